//! Data structures that live in shared memory: open them by name from any process. No server.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("sharedware runs on Linux on 64-bit little-endian processors only (a portable backend is planned behind `sys`)");

mod base;
mod sys;
