//! `compare wedge`: `Mutex<u64>`, behind `Counter`.

use sharedware::Domain;
use sharedware::sync::Mutex;

use crate::process::Fallible;
use crate::wedge::Counter;

/// Whether the library has it.
pub(crate) const READY: bool = true;

/// Makes the counter, or opens the one that was made.
pub(crate) fn counter(prefix: &str, name: &str, make: bool) -> Fallible<Box<dyn Counter>> {
    let domain = Domain::new(prefix)?;
    Ok(Box::new(if make { Mutex::create(&domain, name, 0_u64)? } else { Mutex::open(&domain, name)? }))
}

/// A dead owner leaves nothing to repair: the count was stored, or it was not.
impl Counter for Mutex<u64> {
    fn increment(&mut self, within: &mut dyn FnMut()) -> Fallible<u64> {
        let mut guard = self.lock_or_repair(|_| ())?;
        let count = *guard + 1;
        within();
        *guard = count;
        Ok(count)
    }
}
