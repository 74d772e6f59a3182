//! A typed ring between two processes: run `cargo run --release --example spsc -- consume` in one terminal and `... -- produce` in another,
//! in either order. Kill either and start it again: it goes on where it was.

use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use sharedware::ring::WhenPeerGone;
use sharedware::ring::spsc::Ring;
use sharedware::{Domain, Shared};

#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable, Shared)]
struct Tick {
    sequence: u64,
    price: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let role = std::env::args().nth(1).unwrap_or_default();
    let ring = Ring::<Tick>::open_or_create(&Domain::from_env()?, "example-ticks", 1024)?;
    match role.as_str() {
        "produce" => {
            let mut producer = ring.producer()?;
            producer.when_peer_gone(WhenPeerGone::Wait);
            loop {
                let sequence = producer.position();
                producer.push(Tick { sequence, price: 100.0 + (sequence % 7) as f64 })?;
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        "consume" => {
            let mut consumer = ring.consumer()?;
            consumer.when_peer_gone(WhenPeerGone::Wait);
            loop {
                println!("{:?}", consumer.pop()?);
            }
        }
        _ => Err("say `produce` or `consume`".into()),
    }
}
