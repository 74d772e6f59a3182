//! A ring of whatever type, as bytes: for tools that print it by its schema.

use super::ring::VERSION;
use crate::base::access::ReadOnly;
use crate::base::atomic::Ordering::{Acquire, Relaxed};
use crate::base::atomic::fence;
use crate::base::copy::{self, words_for};
use crate::ring::control::{CONTROL_WORDS, Control};
use crate::segment::cells::CellLayout;
use crate::segment::open::Expected;
use crate::segment::region::Words;
use crate::segment::schema::Schema;
use crate::segment::{Domain, Error, Kind, Options, Reason, Segment};

/// A ring whose type is known only from its segment; mapped for reading. Takes nothing out and disturbs nobody.
#[derive(Debug)]
pub struct View {
    schema: Schema,
    control: Control<ReadOnly>,
    cells: Words<ReadOnly>,
    layout: CellLayout,
    capacity: u64,
}

impl View {
    /// Opens the ring of this name.
    ///
    /// # Errors
    ///
    /// There is none, or what is there is something else or not ours.
    pub fn open(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        let expected = Expected { kind: Some((Kind::SPSC, VERSION)), schema: None };
        let segment = Segment::<ReadOnly>::attach(domain, name, options, expected)?;
        let schema = segment.element()?.clone();
        let [capacity, size, align, ..] = *segment.geometry();
        let wrong =
            |what, found| segment.error(Reason::Field { what, expected: "one that fits its segment".into(), found });
        let words = segment.body();
        let layout = usize::try_from(align)
            .ok()
            .filter(|align| align.is_power_of_two() && *align <= crate::segment::cells::LARGEST_ALIGNMENT)
            .filter(|_| size == schema.size() as u64)
            .map(|align| CellLayout::of(schema.size(), align))
            .ok_or_else(|| wrong("layout of the ring's values", align))?;
        let length = usize::try_from(capacity)
            .ok()
            .filter(|capacity| capacity.is_power_of_two())
            .and_then(|capacity| capacity.checked_mul(layout.stride));
        // What is not committed may not be touched: its pages may not be there, nor to be had.
        let whole = segment.committed()? == segment.capacity();
        let length = length.filter(|_| whole);
        let parts = length.and_then(|length| words.slice(CONTROL_WORDS, length)).zip(words.array(0));
        let (cells, control) = parts.ok_or_else(|| wrong("ring capacity", capacity))?;
        Ok(Self { schema, control: Control(control), cells, layout, capacity })
    }

    /// The type of the values.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How many values the ring holds at most.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The positions of the consumer and the producer: how many values were popped and pushed, ever. (The second may lag a little.)
    pub fn positions(&self) -> (u64, u64) {
        let head = self.control.head().load(Acquire);
        (head, self.control.tail().load(Acquire).max(head))
    }

    /// The bytes of the value at a position; `None` if it is not in the ring (any more).
    pub fn read(&self, position: u64) -> Option<Vec<u8>> {
        let start = usize::try_from(position & (self.capacity - 1)).ok()?.checked_mul(self.layout.stride)?;
        let (mark, rest) = self.cells.get(start..start.checked_add(self.layout.stride)?)?.split_first()?;
        let value = rest.get(self.layout.value - 1..)?.get(..words_for(self.schema.size()))?;
        let expected = position.wrapping_add(1);
        if mark.load(Acquire) != expected {
            return None;
        }
        let mut bytes = vec![0; self.schema.size()];
        copy::load_bytes(value, &mut bytes);
        // The producer may write over a popped cell before it stores its mark: then the head has passed it.
        fence(Acquire);
        let popped = self.control.head().load(Relaxed).wrapping_sub(position).wrapping_sub(1) < u64::MAX / 2;
        (mark.load(Relaxed) == expected && !popped).then_some(bytes)
    }
}
