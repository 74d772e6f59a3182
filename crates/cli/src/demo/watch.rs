//! The watch: reads quotes that are being written all the time, from a mapping that is for reading only.

use std::time::Duration;

use sharedware::Domain;
use sharedware::slot::Slots;

use super::shared::{Orphan, Quote, SYMBOLS, Segments, WatchReport, now};
use crate::exit::{Exit, Outcome};

const BURST: usize = 20_000;
/// Leaves the processor to the others, should there be few.
const PAUSE: Duration = Duration::from_millis(2);

pub(super) fn run(domain: &Domain, name: &str) -> Outcome {
    let segments = Segments::open(domain, name)?;
    let quotes = Slots::<Quote, _>::open_read_only(domain, &format!("{name}.quotes"))?;
    let before = segments.watch.read().map_err(Exit::failure)?;
    let mut report = WatchReport { pid: std::process::id().into(), started_ns: now(), ..before };
    let mut orphan = Orphan::new();
    while !segments.is_stopped() && !orphan.is_it(now()) {
        let started = now();
        for index in (0..SYMBOLS).cycle().take(BURST) {
            let quote = quotes.read(index).map_err(Exit::failure)?;
            report.torn += u64::from(quote.check != !quote.number);
        }
        report.reads += BURST as u64;
        report.read_ns += now() - started;
        segments.watch.write(&report).map_err(Exit::failure)?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
