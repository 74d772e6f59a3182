//! Locks of threads: std's and parking_lot's, as they come. Both are inlined into the loops that measure them.

use crate::locked::{self, Lock};
use crate::message::message;
use crate::process::{Context, Fallible};
use crate::read_locked::{self, NUMBER, ReadLock};

impl Lock for std::sync::Mutex<locked::Words> {
    fn new(_context: &Context) -> Fallible<Self> {
        Ok(Self::default())
    }

    #[inline(always)]
    fn with<R>(&self, section: impl FnOnce(&mut locked::Words) -> R) -> R {
        section(&mut self.lock().expect("nobody panics"))
    }
}

impl Lock for parking_lot::Mutex<locked::Words> {
    fn new(_context: &Context) -> Fallible<Self> {
        Ok(Self::default())
    }

    #[inline(always)]
    fn with<R>(&self, section: impl FnOnce(&mut locked::Words) -> R) -> R {
        section(&mut self.lock())
    }
}

impl ReadLock for std::sync::RwLock<read_locked::Words> {
    fn new(_context: &Context) -> Fallible<Self> {
        Ok(Self::new(message(NUMBER)))
    }

    #[inline(always)]
    fn read<R>(&self, section: impl FnOnce(&read_locked::Words) -> R) -> R {
        section(&self.read().expect("nobody panics"))
    }
}

impl ReadLock for parking_lot::RwLock<read_locked::Words> {
    fn new(_context: &Context) -> Fallible<Self> {
        Ok(Self::new(message(NUMBER)))
    }

    #[inline(always)]
    fn read<R>(&self, section: impl FnOnce(&read_locked::Words) -> R) -> R {
        section(&self.read())
    }
}
