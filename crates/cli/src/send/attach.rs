//! Taking the sending side of a ring that no stream has been through.

use std::time::Duration;

use sharedware::Domain;
use sharedware::ring::PeerState;
use sharedware::ring::bytes::{Producer, Ring};

use crate::args::Send;
use crate::exit::{Exit, Outcome};
use crate::output;
use crate::signals::Signals;

const PAUSE: Duration = Duration::from_millis(2);

/// Makes the ring and takes the side. A ring that another sender has left or died on still belongs to its receiver: two halves of different
/// streams must not be taken for one. So wait until it is gone, unless told to go on with that very stream.
pub(super) fn attach(domain: &Domain, args: &Send, signals: &mut Signals) -> Outcome<Producer> {
    if args.resume {
        return resume(domain, &args.name);
    }
    let mut told = false;
    loop {
        let ring = Ring::open_or_create(domain, &args.name, args.capacity)?;
        match ring.producer_state()? {
            PeerState::Left | PeerState::Dead => {}
            _ => {
                let producer = ring.producer()?;
                // Between our question and our taking, another sender may have come and gone.
                if producer.position() == 0 && !producer.is_finished() {
                    return Ok(producer);
                }
            }
        }
        let over = ring.producer().is_ok_and(|producer| producer.is_finished());
        // As long as we have it open, it is in use.
        drop(ring);
        if !told && !over {
            let name = &args.name;
            output::say(format_args!(
                "the sender before on `{name}` did not end its stream, and its receiver is still there: waiting for \
                 that to end (--resume goes on with that stream instead)"
            ));
            told = true;
        }
        signals.sleep(PAUSE)?;
    }
}

fn resume(domain: &Domain, name: &str) -> Outcome<Producer> {
    let nothing =
        || Exit::not_found(format_args!("there is no unfinished stream `{name}` to go on with: send without --resume"));
    let ring = match Ring::open(domain, name) {
        Err(error) if error.is_not_found() => return Err(nothing()),
        outcome => outcome?,
    };
    let producer = ring.producer()?;
    if producer.is_finished() { Err(nothing()) } else { Ok(producer) }
}
