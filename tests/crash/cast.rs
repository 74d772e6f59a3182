//! Who takes part in a random run: roles, each played by a process, whoever it is at the time.

use std::time::Duration;

use sharedware::Domain;

use crate::ensure;
use crate::oracle::{Me, Oracle};
use crate::process::Outcome;

/// Those who use some structures together.
pub(crate) struct Cast {
    pub(crate) title: &'static str,
    /// Makes what they use; it lives until removed.
    pub(crate) prepare: fn(&Domain) -> Outcome,
    /// After everybody has been killed: everything acknowledged is there. Then removes it all.
    pub(crate) finish: fn(&Domain, Oracle) -> Outcome,
    pub(crate) roles: &'static [Role],
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Role {
    pub(crate) name: &'static str,
    /// Those with the same number use the same structure.
    pub(crate) structure: usize,
    /// Works until killed, or until something is wrong.
    pub(crate) work: fn(&Domain, Me, Random) -> Outcome,
}

/// A small generator of random numbers (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A break now and then, so that the others get the processor too.
    pub(crate) fn breathe(&mut self) {
        if self.below(64) == 0 {
            std::thread::sleep(Duration::from_micros(self.below(200)));
        }
    }
}

pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

pub(crate) fn within(what: &str, acked: u64, found: u64, unacked: u64) -> Outcome {
    ensure!(found >= acked, "lost: {what}: {acked} acknowledged, {found} there");
    ensure!(found <= acked + unacked, "too many: {what}: {acked} acknowledged, {found} there");
    Ok(())
}
