//! Whether a handle may write, as a type: a read-only handle has no method that stores.

mod sealed {
    pub trait Sealed {}
}

/// How a segment is mapped: [`ReadWrite`] or [`ReadOnly`]. Sealed.
pub trait Access: sealed::Sealed + Copy + Send + Sync + 'static {
    /// Whether the memory is mapped for writing.
    const WRITABLE: bool;
}

/// Mapped for reading and writing.
#[derive(Debug, Clone, Copy)]
pub struct ReadWrite;

/// Mapped for reading only: the processor itself refuses every store.
#[derive(Debug, Clone, Copy)]
pub struct ReadOnly;

impl sealed::Sealed for ReadWrite {}
impl sealed::Sealed for ReadOnly {}

impl Access for ReadWrite {
    const WRITABLE: bool = true;
}

impl Access for ReadOnly {
    const WRITABLE: bool = false;
}
