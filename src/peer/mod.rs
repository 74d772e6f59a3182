//! Who is alive: the processes of a domain, known by cookies that are never reused.
//!
//! A process is a *peer* while it holds any handle that needs to own something. Whether a peer lives is asked of the kernel, which
//! drops the peer's lock with its address space; no timeout, no pid and no signal ever decides it. See ARCHITECTURE.md, "Peers".
//!
//! **If a peer dies**, the next question about its cookie answers "dead", within the microseconds the question takes.

mod census;
mod cookie;
mod member;
#[cfg(loom)]
pub(crate) mod model;
mod registry;
mod table;
mod waits;

#[expect(unused_imports, reason = "for what comes with `sync`")]
pub(crate) use census::{Census, Wait};
pub(crate) use cookie::Cookie;
pub(crate) use member::Member;
pub(crate) use registry::Peer;
pub use table::PeerInfo;
pub(crate) use waits::{Place, WaitRecord};
