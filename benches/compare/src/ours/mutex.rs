//! `mutex`: `Mutex<Words>`, behind `Lock` of `locked`.

use serde_json::Value;
use sharedware::Domain;
use sharedware::sync::Mutex;

use crate::blocked;
use crate::locked::{Lock, Words, between_processes, uncontended};
use crate::process::{Context, Fallible};

/// Whether the library has it.
pub(crate) const READY: bool = true;

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    match context.job.what.as_str() {
        "lock" => uncontended::<Ours>(context),
        "blocked" => blocked::by_lock::<Ours>(context),
        _ => between_processes::<Ours>(context),
    }
}

struct Ours(Mutex<Words>);

impl Lock for Ours {
    fn new(context: &Context) -> Fallible<Self> {
        let (domain, name) = (Domain::new(context.prefix())?, context.name(0));
        let mutex = if context.role == 0 {
            Mutex::create(&domain, &name, Words::default())?
        } else {
            Mutex::open(&domain, &name)?
        };
        Ok(Self(mutex))
    }

    #[inline(always)]
    fn with<R>(&self, section: impl FnOnce(&mut Words) -> R) -> R {
        section(&mut self.0.lock().expect("nobody dies"))
    }
}
