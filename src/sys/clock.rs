//! Clocks: wall time for people, boot time for cookies. Waiting uses [`std::time::Instant`], which is monotonic.
//!
//! # Safety
//!
//! The unsafe code here is `clock_gettime` into a local.
#![allow(unsafe_code)]

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970, for people to read.
pub(crate) fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since the machine started, suspended time included: never goes back.
pub(crate) fn boot_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    debug_assert_eq!(result, 0);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}
