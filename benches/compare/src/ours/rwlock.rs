//! `rwlock`: `RwLock<Words>`, behind `ReadLock` of `read_locked`.

use serde_json::Value;
use sharedware::Domain;
use sharedware::sync::RwLock;

use crate::blocked;
use crate::message::{difference, message, sound};
use crate::process::{Context, Fallible};
use crate::read_locked::{NUMBER, ReadLock, Words, alone, between_processes};

/// Whether the library has it.
pub(crate) const READY: bool = true;

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    match context.job.what.as_str() {
        "read_lock" => alone::<Ours>(context),
        "blocked" => behind_a_writer(context),
        _ => between_processes::<Ours>(context),
    }
}

/// Role 0 writes for long, role 1 waits to read.
fn behind_a_writer(context: &Context) -> Fallible<Value> {
    let lock = context.shared(Ours::new)?;
    if context.role == 0 {
        let _guard = lock.0.write().expect("nobody dies");
        return blocked::keep(context);
    }
    blocked::wait(context, || sound(lock.read(|words| difference(words, NUMBER))))
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
