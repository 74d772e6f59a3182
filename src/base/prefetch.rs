//! Hints to the processor.
//!
//! # Safety
//!
//! The unsafe code here is the prefetch instruction, which never faults, whatever the address.
#![allow(unsafe_code)]

/// Asks for the line at this address, which may be anything, to be owned soon: a store to it will then not wait for the other core.
#[inline(always)]
pub(crate) fn for_write<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: a hint; it does not access memory as far as the program can tell.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
