//! `slot`: the slot, behind `Cell`; its reader through a read-only mapping, its writer exclusive.

use serde_json::Value;
use sharedware::slot::{Slot, Writer};
use sharedware::{Domain, ReadOnly};

use crate::families::slot::cell;
use crate::process::{Context, Fallible};
use crate::rivals::seqlock::{Cell, CellReader, CellWriter};

/// Whether the library has it.
pub(crate) const READY: bool = true;

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    cell::<Ours>(context)
}

struct Ours;

struct OursWriter {
    writer: Writer<[u64; 8]>,
    _slot: Slot<[u64; 8]>,
}

impl Cell for Ours {
    type Writer = OursWriter;
    type Reader = Slot<[u64; 8], ReadOnly>;

    fn writer(context: &Context) -> Fallible<Self::Writer> {
        let slot = Slot::create(&Domain::new(context.prefix())?, &context.name(0), [0; 8])?;
        Ok(OursWriter { writer: slot.writer()?, _slot: slot })
    }

    fn reader(context: &Context) -> Fallible<Self::Reader> {
        Ok(Slot::open_read_only(&Domain::new(context.prefix())?, &context.name(0))?)
    }
}

impl CellWriter for OursWriter {
    #[inline(always)]
    fn write(&mut self, value: &[u64; 8]) {
        self.writer.write(value).expect("the slot to be writable");
    }
}

impl CellReader for Slot<[u64; 8], ReadOnly> {
    #[inline(always)]
    fn read(&mut self) -> [u64; 8] {
        Slot::read(self).expect("the slot to be readable")
    }
}
