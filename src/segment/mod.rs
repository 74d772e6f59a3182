//! Named segments of shared memory: made whole, opened only if they are what they say, gone when nobody uses them.

mod access_bytes;
pub(crate) mod buffer;
pub(crate) mod cells;
pub(crate) mod create;
mod domain;
mod error;
pub(crate) mod header;
pub(crate) mod lend;
mod list;
pub(crate) mod name;
pub(crate) mod open;
mod options;
pub(crate) mod region;
pub mod schema;
#[allow(clippy::module_inception, reason = "the type that the floor is named for")]
mod segment;
mod sweep;

pub use crate::sys::process::Process;
pub use domain::Domain;
pub use error::{Error, FileKind, Limit, Reason};
pub use header::Kind;
pub use list::Entry;
pub use name::NameError;
pub use options::{HugePages, Lifetime, Memory, Options, Owner};
pub use segment::Segment;
pub use sweep::{CleanReport, Fate, Swept};
