//! `rwlock`: `RwLock<Words>`, behind `ReadLock` of `read_locked`.

use serde_json::Value;
use sharedware::Domain;
use sharedware::sync::RwLock;

use crate::message::message;
use crate::process::{Context, Fallible};
use crate::read_locked::{NUMBER, ReadLock, Words, alone, between_processes};

/// Whether the library has it.
pub(crate) const READY: bool = true;

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    if context.job.what == "read_lock" { alone::<Ours>(context) } else { between_processes::<Ours>(context) }
}

struct Ours(RwLock<Words>);

impl ReadLock for Ours {
    fn new(context: &Context) -> Fallible<Self> {
        let (domain, name) = (Domain::new(context.prefix())?, context.name(0));
        let lock = if context.role == 0 {
            RwLock::create(&domain, &name, message(NUMBER))?
        } else {
            RwLock::open(&domain, &name)?
        };
        Ok(Self(lock))
    }

    #[inline(always)]
    fn read<R>(&self, section: impl FnOnce(&Words) -> R) -> R {
        section(&self.0.read().expect("nobody dies"))
    }
}
