//! `rwlock`: `RwLock<Words>`, behind `ReadLock` of `read_locked`.

use serde_json::Value;

use crate::process::{Context, Fallible};

/// Whether the library has it.
pub(crate) const READY: bool = false;

/// A worker's part.
pub(crate) fn work(_context: &Context) -> Fallible<Value> {
    Err("the library does not have it yet".into())
}
