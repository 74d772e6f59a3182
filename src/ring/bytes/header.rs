//! The header word of a record.
//!
//! ```text
//! bit 63       1: the record is committed (0 in all bits: nothing here yet)
//! bits 48..63  kind: 1 data, 2 skip to the start of the buffer, 3 end of the stream
//! bits 0..48   length of the payload in bytes, without padding
//! ```

const COMMITTED: u64 = 1 << 63;
const KIND_SHIFT: u32 = 48;
const LENGTH: u64 = (1 << KIND_SHIFT) - 1;
const DATA: u64 = 1;
const SKIP: u64 = 2;
const END: u64 = 3;

/// Bytes of a header.
pub(super) const HEADER: u64 = 8;
/// Nothing here yet.
pub(super) const NOTHING: u64 = 0;

/// A header, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    Nothing,
    Data {
        length: u64,
    },
    /// The next record is at the start of the buffer.
    Skip,
    End,
    /// No producer of ours wrote this.
    Garbage,
}

impl Header {
    /// Understands a word that may hold anything. `contiguous`: bytes from the header to the end of the buffer.
    #[inline(always)]
    pub(super) fn of(word: u64, contiguous: u64) -> Self {
        if word == NOTHING {
            return Self::Nothing;
        }
        let length = word & LENGTH;
        match word & !LENGTH {
            flags if flags == COMMITTED | DATA << KIND_SHIFT && size_of_record(length) <= contiguous => {
                Self::Data { length }
            }
            flags if flags == COMMITTED | SKIP << KIND_SHIFT && length == 0 => Self::Skip,
            flags if flags == COMMITTED | END << KIND_SHIFT && length == 0 => Self::End,
            _ => Self::Garbage,
        }
    }

    /// The word of a header to be written.
    #[inline(always)]
    pub(super) fn word(self) -> u64 {
        match self {
            Self::Data { length } => COMMITTED | DATA << KIND_SHIFT | length,
            Self::Skip => COMMITTED | SKIP << KIND_SHIFT,
            Self::End => COMMITTED | END << KIND_SHIFT,
            Self::Nothing | Self::Garbage => NOTHING,
        }
    }
}

/// Bytes that a record of this payload takes: header, payload, padding.
#[inline(always)]
pub(super) const fn size_of_record(length: u64) -> u64 {
    HEADER + length.next_multiple_of(8)
}

/// The longest payload of a ring: whatever the position, such a record fits once the ring is empty.
pub(super) const fn longest(capacity: u64) -> u64 {
    capacity / 2 - 16
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn headers_are_understood_as_they_were_written() {
        for header in [
            Header::Nothing,
            Header::Data { length: 0 },
            Header::Data { length: 1 },
            Header::Data { length: 4080 },
            Header::Skip,
            Header::End,
        ] {
            assert_eq!(Header::of(header.word(), 4096), header);
        }
    }

    #[test]
    fn what_nobody_writes_is_garbage() {
        let too_long = Header::Data { length: 4089 }.word();
        for word in
            [1, COMMITTED, u64::MAX, too_long, Header::Skip.word() | 1, Header::Data { length: 8 }.word() & !COMMITTED]
        {
            assert_eq!(Header::of(word, 4096), Header::Garbage, "{word:#x}");
        }
    }

    #[test]
    fn the_longest_record_fits_an_empty_ring_at_any_position() {
        for capacity in [64, 4096, 1 << 20] {
            let size = size_of_record(longest(capacity));
            // The worst position leaves just less than the record at the end of the buffer.
            assert!((size - 8) + size + HEADER <= capacity);
        }
    }
}
