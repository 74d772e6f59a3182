//! Mappings, by way of `memmap2`.
//!
//! # Safety
//!
//! The unsafe code here is an `madvise` and an `mlock` that `memmap2` does not offer, on ranges of live mappings.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};

/// Maps the first `length` bytes of the file, shared, for reading and (if `writable`) writing.
pub(crate) fn map(file: &File, length: usize, writable: bool) -> io::Result<MmapRaw> {
    let mut options = MmapOptions::new();
    options.len(length);
    if writable { options.map_raw(file) } else { options.map_raw_read_only(file) }
}

/// A private anonymous page of zeros.
pub(crate) fn private_page() -> io::Result<MmapRaw> {
    MmapOptions::new().len(4096).map_anon().map(MmapRaw::from)
}

/// Forked children do not inherit the mapping.
pub(crate) fn not_on_fork(map: &MmapRaw) -> io::Result<()> {
    map.advise(Advice::DontFork)
}

/// Forked children find zeros in the mapping.
pub(crate) fn wipe_on_fork(map: &MmapRaw) -> io::Result<()> {
    // SAFETY: the range is exactly the live mapping; the advice concerns children only.
    let result = unsafe { libc::madvise(map.as_mut_ptr().cast(), map.len(), libc::MADV_WIPEONFORK) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks for huge pages; whether they come depends on the system's settings.
pub(crate) fn want_huge_pages(map: &MmapRaw) -> io::Result<()> {
    map.advise(Advice::HugePage)
}

/// Faults every page in now, for writing if the mapping is writable. `EINVAL` on kernels before 5.14.
pub(crate) fn prefault(map: &MmapRaw, length: usize, writable: bool) -> io::Result<()> {
    let advice = if writable { Advice::PopulateWrite } else { Advice::PopulateRead };
    map.advise_range(advice, 0, length)
}

/// Keeps the first `length` bytes of the mapping in memory (`mlock`).
pub(crate) fn lock_in_memory(map: &MmapRaw, length: usize) -> io::Result<()> {
    // SAFETY: the range is within the live mapping.
    let result = unsafe { libc::mlock(map.as_ptr().cast(), length.min(map.len())) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Allocates the pages of a part of a mapping (`MADV_POPULATE_WRITE`): from then on touching them cannot fail. `EINVAL` on kernels before 5.14; `EFAULT` where there is no
/// memory.
pub(crate) fn populate(map: &MmapRaw, offset: usize, length: usize) -> io::Result<()> {
    map.advise_range(Advice::PopulateWrite, offset, length)
}

/// Frees the pages of a part of a mapping, in the file as well (`MADV_REMOVE`, which is `FALLOC_FL_PUNCH_HOLE`); they are read as zeros.
pub(crate) fn punch(map: &MmapRaw, offset: usize, length: usize) -> io::Result<()> {
    // SAFETY: whoever punches a hole owns what is there: nobody goes by these bytes any more.
    unsafe { map.unchecked_advise_range(UncheckedAdvice::Remove, offset, length) }
}
