//! A pair of memory barriers of unequal price: nearly free for who stores often, dear for who waits seldom.
//!
//! After [`heavy`] returns, every store that a thread of a registered process made before its next [`Light::pass`] is visible, or that thread's
//! loads after it see our stores: together they are what two full fences are (membarrier(2), Dekker's pattern).
//!
//! # Safety
//!
//! The unsafe code here is the `membarrier` system call, which touches no memory of ours.
#![allow(unsafe_code)]

use crate::base::atomic::{Ordering::SeqCst, fence, light_fence};

const REGISTER_GLOBAL_EXPEDITED: libc::c_int = libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;
const GLOBAL_EXPEDITED: libc::c_int = libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED;

/// The light side, bound to what this process could register for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Light {
    registered: bool,
}

impl Light {
    /// Registers this process with the kernel; where that is refused, [`Light::pass`] is a full fence.
    pub(crate) fn register() -> Self {
        Self { registered: cfg!(loom) || membarrier(REGISTER_GLOBAL_EXPEDITED) }
    }

    /// Orders the stores before it against the loads after it, relative to others' [`heavy`].
    #[inline(always)]
    pub(crate) fn pass(self) {
        if self.registered {
            light_fence();
        } else {
            full_fence();
        }
    }
}

/// Out of line, so that it does not keep the fast path's private state out of registers.
#[cold]
#[inline(never)]
fn full_fence() {
    fence(SeqCst);
}

/// The heavy side. Where the kernel refuses, it is a fence, and a wake-up may be late by one slice of the wait (never lost).
pub(crate) fn heavy() {
    fence(SeqCst);
    if !cfg!(loom) {
        membarrier(GLOBAL_EXPEDITED);
    }
}

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: takes integers only.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    result == 0
}
