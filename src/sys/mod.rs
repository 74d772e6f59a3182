//! System calls, and nothing but system calls: each function does one thing and says which.
//!
//! Linux 4.14 or later, 64-bit little-endian processors.

pub(crate) mod barrier;
pub(crate) mod clock;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod lock;
pub(crate) mod map;
pub(crate) mod object;
pub(crate) mod process;
#[cfg(not(loom))]
pub(crate) mod thread_end;
