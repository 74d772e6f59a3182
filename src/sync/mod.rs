//! Waiting for what another process does: spin while that pays, then sleep, and ask now and then whether the other still lives.

pub(crate) mod bell;
#[cfg(all(test, loom))]
mod loom_model;
pub(crate) mod spin;
