//! A ring of whatever type, as bytes: for tools that print it by its schema.

use super::ring::VERSION;
use crate::base::access::ReadOnly;
use crate::base::atomic::Ordering::{Acquire, Relaxed};
use crate::base::atomic::{Word, fence};
use crate::base::copy::{self, words_for};
use crate::ring::control::{CONTROL_WORDS, Control};
use crate::segment::cells::BlockLayout;
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
    layout: BlockLayout,
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
            .map(|align| BlockLayout::of(schema.size(), align))
            .ok_or_else(|| wrong("layout of the ring's values", align))?;
        // What is not committed may not be touched: its pages may not be there, nor to be had.
        let whole = segment.committed()? == segment.capacity();
        let length = layout.total_words(capacity).filter(|_| whole);
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

    /// The positions of the consumer and the producer: how many values were popped and pushed, ever.
    pub fn positions(&self) -> (u64, u64) {
        let head = self.control.head().load(Acquire);
        let (mut there, mut not_there) = (0, self.capacity());
        while there < not_there {
            let middle = there + (not_there - there) / 2;
            if self.is_there(head.wrapping_add(middle)) { there = middle + 1 } else { not_there = middle }
        }
        (head, head.wrapping_add(there))
    }

    /// The bytes of the value at a position; `None` if it is not in the ring (any more).
    pub fn read(&self, position: u64) -> Option<Vec<u8>> {
        let (block, index) = self.locate(position)?;
        let value = block.get(self.layout.first + index * self.layout.step..)?.get(..words_for(self.schema.size()))?;
        if !self.is_there(position) {
            return None;
        }
        let mut bytes = vec![0; self.schema.size()];
        copy::load_bytes(value, &mut bytes);
        // The producer may write over a popped value before it stores its mark: then the head has passed it.
        fence(Acquire);
        let popped = self.control.head().load(Relaxed).wrapping_sub(position).wrapping_sub(1) < u64::MAX / 2;
        (!popped).then_some(bytes)
    }

    /// The words of the block that a position is in, and its index there.
    fn locate(&self, position: u64) -> Option<(&[Word<ReadOnly>], usize)> {
        let (block, index) = self.layout.locate(position, self.capacity);
        let start = block.checked_mul(self.layout.words)?;
        Some((self.cells.get(start..start.checked_add(self.layout.words)?)?, index))
    }

    fn is_there(&self, position: u64) -> bool {
        let Some((block, index)) = self.locate(position) else { return false };
        let mark = block.first().map_or(0, |mark| mark.load(Acquire));
        (1..=(self.layout.values - index) as u64).contains(&mark.wrapping_sub(position))
    }
}
