//! Hints to the processor and to the compiler.
//!
//! # Safety
//!
//! The unsafe code here is the prefetch instruction, which never faults, whatever the address, and an empty piece of assembly.
#![allow(unsafe_code)]

/// Asks for the line at this address, which may be anything, to be owned soon: a store to it will then not wait for the other core.
#[inline(always)]
pub(crate) fn prefetch_for_write<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: a hint; it does not access memory as far as the program can tell.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Keeps the compiler from moving accesses to shared memory across it, in either direction.
///
/// As `compiler_fence` does; but assembly that may touch memory cannot touch what is borrowed exclusively, so private state of a hot loop
/// may stay in registers.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn compiler_barrier() {
    // SAFETY: no instruction at all.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) };
}
