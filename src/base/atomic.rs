//! The one kind of atomic that lives in shared memory: a 64-bit [`Word`].
//!
//! All shared state goes through this module, so that `--cfg loom` can replace the atomics under every protocol, and so that
//! the crash-point build counts every store. Futexes are the low half of a word. (clippy forbids the standard atomics
//! elsewhere: see `clippy.toml`.)
#![allow(clippy::disallowed_types, reason = "this is the facade that everything else goes through")]

use core::fmt;
use core::marker::PhantomData;
pub(crate) use core::sync::atomic::Ordering;
use core::sync::atomic::Ordering::Relaxed;

#[cfg(not(loom))]
use core::sync::atomic as imp;
#[cfg(loom)]
use loom::sync::atomic as imp;

use super::access::{Access, ReadWrite};
use super::crash;
#[cfg(loom)]
use super::{explore, mortal};

/// A 64-bit word that other processes may read and write at any time. Of a `Word<ReadOnly>` one can only load.
///
/// Any bit pattern is valid. Layout: one aligned, native-endian `u64`.
#[repr(transparent)]
pub(crate) struct Word<A: Access = ReadWrite> {
    cell: imp::AtomicU64,
    access: PhantomData<A>,
}

impl<A: Access> Word<A> {
    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        #[cfg(loom)]
        {
            if mortal::is_dead() {
                return 0;
            }
            explore::meet();
        }
        // Of atomics in read-only memory only relaxed loads are promised to work.
        if !A::WRITABLE && !matches!(order, Relaxed) {
            let value = self.cell.load(Relaxed);
            fence(Ordering::Acquire);
            return value;
        }
        self.cell.load(order)
    }
}

impl Word<ReadWrite> {
    #[cfg(any(test, loom))]
    pub(crate) fn new(value: u64) -> Self {
        Self { cell: imp::AtomicU64::new(value), access: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn store(&self, value: u64, order: Ordering) {
        #[cfg(loom)]
        {
            if !mortal::may_store() {
                return;
            }
            explore::meet();
        }
        self.cell.store(value, order);
        crash::point();
    }

    /// Strong compare and exchange: `Ok(previous)` if it was `current`, otherwise what was found.
    #[inline(always)]
    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        #[cfg(loom)]
        {
            if !mortal::may_store() {
                return Err(0);
            }
            explore::meet();
        }
        let result = self.cell.compare_exchange(current, new, success, failure);
        crash::point();
        result
    }

    /// Raises the word to at least `value`; never lowers it.
    pub(crate) fn raise(&self, value: u64, success: Ordering) {
        let mut seen = self.load(Relaxed);
        while seen < value {
            match self.compare_exchange(seen, value, success, Relaxed) {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }
}

impl<A: Access> fmt::Debug for Word<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.load(Relaxed))
    }
}

/// A fence between this thread's accesses; loom's own under loom.
#[inline(always)]
pub(crate) fn fence(order: Ordering) {
    #[cfg(loom)]
    if mortal::is_dead() {
        return;
    }
    imp::fence(order);
}

/// To be put between two sequentially consistent accesses of which the first changes its word: they are in one total order with the fences of
/// others. That is so by itself; but loom takes such accesses for AcqRel ones, and has a total order for fences only.
#[inline(always)]
pub(crate) fn total_order() {
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}

/// A fence for the compiler only. Under loom a full one, which stands for its pairing with `sys::barrier::heavy`; or none at all in
/// `explore::without_light_fences`.
#[inline(always)]
pub(crate) fn light_fence() {
    #[cfg(not(loom))]
    super::hint::compiler_barrier();
    #[cfg(loom)]
    if explore::light_fences() {
        fence(Ordering::SeqCst);
    }
}

/// One turn of a spin loop.
#[inline(always)]
pub(crate) fn spin() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}
