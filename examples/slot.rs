//! The latest value of something, for any number of readers: run `cargo run --release --example slot -- write` in one terminal and
//! `... -- read` in as many others as you like.

use std::time::{Duration, Instant};

use sharedware::Domain;
use sharedware::slot::Slot;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let domain = Domain::from_env()?;
    match std::env::args().nth(1).as_deref() {
        Some("write") => {
            let slot = Slot::open_or_create(&domain, "example-load", [0.0_f64; 3])?;
            let mut writer = slot.writer()?;
            let start = Instant::now();
            loop {
                let seconds = start.elapsed().as_secs_f64();
                writer.write(&[seconds, seconds.sin(), seconds.cos()])?;
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        Some("read") => {
            let slot = Slot::<[f64; 3], _>::open_read_only(&domain, "example-load")?;
            let mut seen = slot.version()?;
            while let Some(version) = slot.wait_for_change(seen, Duration::from_secs(5))? {
                seen = version;
                println!("{:?}", slot.read()?);
            }
            println!("nothing new for 5 seconds");
            Ok(())
        }
        _ => Err("say `write` or `read`".into()),
    }
}
