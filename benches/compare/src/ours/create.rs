//! `create`: create and open of a segment of 64 KiB, gone with its last handle.

use serde_json::Value;
use sharedware::{Domain, Options, Segment};

use crate::families::create::repeat;
use crate::process::{Context, Fallible};

/// Whether the library has it.
pub(crate) const READY: bool = true;

/// The segment's first bytes are its header; a word behind it is written and read. Registering this process as a
/// peer happens once, and so outside of what is repeated.
const OFFSET: u64 = 32768;

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    let domain = Domain::new(context.prefix())?;
    let options = Options::new();
    let _registered = Segment::create(&domain, "registered", 65536, &options)?;
    repeat(context, |number| {
        let name = format!("create-{number}");
        let made = Segment::create(&domain, &name, 65536, &options)?;
        made.write(OFFSET, &42_u64.to_le_bytes())?;
        let opened = Segment::open(&domain, &name, &options)?;
        let mut word = [0; 8];
        opened.read(OFFSET, &mut word)?;
        drop(opened);
        drop(made);
        Ok(u64::from_le_bytes(word))
    })
}
