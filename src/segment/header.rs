//! The header of a segment: layout version 1, to the byte. `docs/layout.md` is the same in prose; `tests/layout.rs` pins it.
//!
//! Everything but [`COMMITTED`] is written once, before the segment has a name, and covered by a checksum. It is read once, with
//! `pread` into private memory, checked, and never looked at again.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::error::Reason;
use super::schema::Schema;

/// The layout version that this code writes and reads.
pub(crate) const LAYOUT_VERSION: u32 = 1;
/// `0x0201` as the creator's processor stores it.
pub(crate) const BYTE_ORDER: u16 = 0x0201;
/// Bits of the creator's `usize`.
pub(crate) const WORD_BITS: u16 = 64;
/// The first eight bytes.
pub(crate) const MAGIC: [u8; 8] = *b"SHRDWARE";
/// The smallest header, and the unit of its size.
pub(crate) const HEADER_UNIT: u64 = 4096;
/// The largest header.
pub(crate) const HEADER_LARGEST: u64 = 65_536;
/// The largest element that a header can describe, in bytes.
pub(crate) const LARGEST_ELEMENT: u64 = u32::MAX as u64;
/// How many words of geometry a structure may keep in the header.
pub(crate) const GEOMETRY_WORDS: usize = 8;

// Offsets. Each is the previous one plus the previous field's size.
const AT_MAGIC: usize = 0;
const AT_LAYOUT_VERSION: usize = AT_MAGIC + 8;
const AT_BYTE_ORDER: usize = AT_LAYOUT_VERSION + 4;
const AT_WORD_BITS: usize = AT_BYTE_ORDER + 2;
const AT_KIND: usize = AT_WORD_BITS + 2;
const AT_KIND_VERSION: usize = AT_KIND + 4;
const AT_HEADER_SIZE: usize = AT_KIND_VERSION + 4;
const AT_CAPACITY: usize = AT_HEADER_SIZE + 8;
const AT_IDENTITY: usize = AT_CAPACITY + 8;
const AT_CREATED: usize = AT_IDENTITY + 16;
const AT_CREATOR_USER: usize = AT_CREATED + 8;
const AT_CREATOR_PID: usize = AT_CREATOR_USER + 4;
const AT_MODE: usize = AT_CREATOR_PID + 4;
const AT_LIFETIME: usize = AT_MODE + 4;
const AT_FIRST_COMMITTED: usize = AT_LIFETIME + 4;
const AT_ELEMENT_SIZE: usize = AT_FIRST_COMMITTED + 8;
const AT_ELEMENT_ALIGN: usize = AT_ELEMENT_SIZE + 4;
const AT_FINGERPRINT: usize = AT_ELEMENT_ALIGN + 4;
const AT_SCHEMA_LENGTH: usize = AT_FINGERPRINT + 8;
const AT_FLAGS: usize = AT_SCHEMA_LENGTH + 4;
const AT_GEOMETRY: usize = AT_FLAGS + 4;
const AT_RESERVED: usize = AT_GEOMETRY + 8 * GEOMETRY_WORDS;
const AT_CHECKSUM: usize = 248;
const AT_COMMITTED: usize = 256;
const AT_RESERVED_MUTABLE: usize = AT_COMMITTED + 8;
const AT_SCHEMA: usize = 512;

const _: () = {
    assert!(AT_KIND == 16);
    assert!(AT_CAPACITY == 32);
    assert!(AT_CREATED == 56);
    assert!(AT_FIRST_COMMITTED == 80);
    assert!(AT_GEOMETRY == 112);
    assert!(AT_RESERVED == 176);
    assert!(AT_CHECKSUM + 8 == AT_COMMITTED);
    assert!(AT_SCHEMA as u64 <= HEADER_UNIT);
};

/// Word index of the committed size, the one field of the header that changes.
pub(crate) const COMMITTED: usize = AT_COMMITTED / 8;

/// What sort of structure a segment holds. Unknown ones have a number and no name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub(crate) u32);

impl Kind {
    /// Bytes for the user to arrange: [`Segment`](super::Segment).
    pub const RAW: Self = Self(1);
    /// The registry of the domain's peers.
    pub const PEERS: Self = Self(2);
    /// Seqlock slots: [`Slots`](crate::slot::Slots).
    pub const SLOTS: Self = Self(3);
    /// A typed single-producer single-consumer ring: [`ring::spsc`](crate::ring::spsc).
    pub const SPSC: Self = Self(4);
    /// A single-producer single-consumer ring of records: [`ring::bytes`](crate::ring::bytes).
    pub const BYTES: Self = Self(5);

    /// A lock around a value: [`Mutex`](crate::sync::Mutex).
    pub const MUTEX: Self = Self(6);
    /// A lock around nothing: [`RawMutex`](crate::sync::RawMutex).
    pub const RAW_MUTEX: Self = Self(7);
    /// A lock that its owner may take again: [`ReentrantMutex`](crate::sync::ReentrantMutex).
    pub const REENTRANT_MUTEX: Self = Self(8);
    /// A lock for many readers or one writer: [`RwLock`](crate::sync::RwLock).
    pub const RW_LOCK: Self = Self(9);
    /// A condition variable: [`Condvar`](crate::sync::Condvar).
    pub const CONDVAR: Self = Self(10);
    /// A counting semaphore: [`Semaphore`](crate::sync::Semaphore).
    pub const SEMAPHORE: Self = Self(11);
    /// A flag to wait for: [`Event`](crate::sync::Event).
    pub const EVENT: Self = Self(12);
    /// A meeting point: [`Barrier`](crate::sync::Barrier).
    pub const BARRIER: Self = Self(13);
    /// Something that happens once: [`Once`](crate::sync::Once).
    pub const ONCE: Self = Self(14);
    /// A countdown: [`Latch`](crate::sync::Latch).
    pub const LATCH: Self = Self(15);
    /// Blocks of memory, and what is built of them.
    pub const HEAP: Self = Self(16);

    /// The number in the header.
    pub fn number(self) -> u32 {
        self.0
    }

    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Its name, if this version of the library knows it.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::RAW => Some("raw segment"),
            Self::PEERS => Some("peer registry"),
            Self::SLOTS => Some("slots"),
            Self::SPSC => Some("spsc ring"),
            Self::BYTES => Some("byte ring"),
            Self::MUTEX => Some("mutex"),
            Self::RAW_MUTEX => Some("raw mutex"),
            Self::REENTRANT_MUTEX => Some("reentrant mutex"),
            Self::RW_LOCK => Some("reader-writer lock"),
            Self::CONDVAR => Some("condition variable"),
            Self::SEMAPHORE => Some("semaphore"),
            Self::EVENT => Some("event"),
            Self::BARRIER => Some("barrier"),
            Self::ONCE => Some("once"),
            Self::LATCH => Some("latch"),
            Self::HEAP => Some("heap"),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "structure of unknown kind {}", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How long a segment lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// Gone with its last user. What a crash left behind counts as gone, and is removed by whoever notices.
    #[default]
    WhileUsed,
    /// Stays until it is removed by name: its content is found again after everybody died. (Not after a reboot.)
    UntilRemoved,
}

/// The header in private memory, checked.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) kind_version: u32,
    pub(crate) header_size: u64,
    pub(crate) capacity: u64,
    pub(crate) identity: [u8; 16],
    pub(crate) created_ns: u64,
    pub(crate) creator_user: u32,
    pub(crate) creator_pid: u32,
    pub(crate) mode: u32,
    pub(crate) lifetime: Lifetime,
    pub(crate) first_committed: u64,
    pub(crate) geometry: [u64; GEOMETRY_WORDS],
    pub(crate) schema: Option<Schema>,
    /// As it was when the header was read.
    pub(crate) committed: u64,
}

impl Header {
    /// How large a header must be for this schema; `None` if no header is large enough.
    pub(crate) fn size_for(schema: Option<&Schema>) -> Option<u64> {
        let text = schema.map_or(0, |schema| schema.to_string().len());
        let size = u64::try_from(AT_SCHEMA.checked_add(text)?).ok()?.next_multiple_of(HEADER_UNIT);
        (size <= HEADER_LARGEST).then_some(size)
    }

    /// The bytes of the header, `header_size` of them.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.header_size).unwrap_or(0)];
        let mut put = |at: usize, value: &[u8]| {
            if let Some(place) = bytes.get_mut(at..at + value.len()) {
                place.copy_from_slice(value);
            }
        };
        put(AT_MAGIC, &MAGIC);
        put(AT_LAYOUT_VERSION, &LAYOUT_VERSION.to_le_bytes());
        put(AT_BYTE_ORDER, &BYTE_ORDER.to_ne_bytes());
        put(AT_WORD_BITS, &WORD_BITS.to_le_bytes());
        put(AT_KIND, &self.kind.0.to_le_bytes());
        put(AT_KIND_VERSION, &self.kind_version.to_le_bytes());
        put(AT_HEADER_SIZE, &self.header_size.to_le_bytes());
        put(AT_CAPACITY, &self.capacity.to_le_bytes());
        put(AT_IDENTITY, &self.identity);
        put(AT_CREATED, &self.created_ns.to_le_bytes());
        put(AT_CREATOR_USER, &self.creator_user.to_le_bytes());
        put(AT_CREATOR_PID, &self.creator_pid.to_le_bytes());
        put(AT_MODE, &self.mode.to_le_bytes());
        let lifetime: u32 = match self.lifetime {
            Lifetime::WhileUsed => 1,
            Lifetime::UntilRemoved => 2,
        };
        put(AT_LIFETIME, &lifetime.to_le_bytes());
        put(AT_FIRST_COMMITTED, &self.first_committed.to_le_bytes());
        if let Some(schema) = &self.schema {
            let text = schema.to_string();
            // Both fit: the creator has compared the size with `LARGEST_ELEMENT`.
            let size = u32::try_from(schema.size()).unwrap_or(u32::MAX);
            let align = u32::try_from(schema.align()).unwrap_or(u32::MAX);
            put(AT_ELEMENT_SIZE, &size.to_le_bytes());
            put(AT_ELEMENT_ALIGN, &align.to_le_bytes());
            put(AT_FINGERPRINT, &schema.fingerprint().to_le_bytes());
            put(AT_SCHEMA_LENGTH, &u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            put(AT_SCHEMA, text.as_bytes());
        }
        for (index, word) in self.geometry.iter().enumerate() {
            put(AT_GEOMETRY + 8 * index, &word.to_le_bytes());
        }
        put(AT_COMMITTED, &self.committed.to_le_bytes());
        let checksum = checksum(&bytes);
        if let Some(place) = bytes.get_mut(AT_CHECKSUM..AT_CHECKSUM + 8) {
            place.copy_from_slice(&checksum.to_le_bytes());
        }
        bytes
    }

    /// How long the header says it is, from its first [`HEADER_UNIT`] bytes; everything that must be known before the rest makes
    /// sense (magic, version, byte order, word size) is checked here.
    pub(crate) fn size_from(first: &[u8]) -> Result<u64, Reason> {
        if u64::try_from(first.len()).unwrap_or(0) < HEADER_UNIT {
            return Err(Reason::Truncated { expected: HEADER_UNIT, found: first.len() as u64 });
        }
        let magic: [u8; 8] = take(first, AT_MAGIC);
        if magic != MAGIC {
            let (expected, found) = (MAGIC.escape_ascii().to_string(), magic.escape_ascii().to_string());
            return Err(Reason::Magic { expected, found });
        }
        // The version and both marks stay where they are in every version to come. A foreign byte order is told first,
        // since it garbles the rest.
        let order = u16::from_ne_bytes(take(first, AT_BYTE_ORDER));
        if order != BYTE_ORDER {
            return Err(Reason::ByteOrder { found: order });
        }
        let version = u32::from_le_bytes(take(first, AT_LAYOUT_VERSION));
        if version != LAYOUT_VERSION {
            return Err(Reason::LayoutVersion { expected: LAYOUT_VERSION, found: version });
        }
        let bits = u16::from_le_bytes(take(first, AT_WORD_BITS));
        if bits != WORD_BITS {
            return Err(Reason::WordSize { found: bits });
        }
        let size = u64::from_le_bytes(take(first, AT_HEADER_SIZE));
        if size == 0 || !size.is_multiple_of(HEADER_UNIT) || size > HEADER_LARGEST {
            let expected = format!("a multiple of {HEADER_UNIT} up to {HEADER_LARGEST}");
            return Err(Reason::Field { what: "header size", expected, found: size });
        }
        Ok(size)
    }

    /// Checks the whole header against the checksum, itself, and the length of the file.
    pub(crate) fn decode(bytes: &[u8], file_length: u64) -> Result<Self, Reason> {
        let header_size = Self::size_from(bytes)?;
        let found = bytes.len() as u64;
        let whole = usize::try_from(header_size).ok().and_then(|size| bytes.get(..size));
        let bytes = whole.ok_or(Reason::Truncated { expected: header_size, found })?;
        let (expected, found) = (checksum(bytes), u64::from_le_bytes(take(bytes, AT_CHECKSUM)));
        if expected != found {
            return Err(Reason::Checksum { expected, found });
        }
        let reserved = bytes.get(AT_RESERVED_MUTABLE..AT_SCHEMA).unwrap_or_default();
        if let Some(&byte) = reserved.iter().find(|&&byte| byte != 0) {
            return Err(Reason::Field { what: "reserved bytes", expected: "0".into(), found: byte.into() });
        }
        let capacity = u64::from_le_bytes(take(bytes, AT_CAPACITY));
        if capacity > file_length {
            return Err(Reason::Truncated { expected: capacity, found: file_length });
        }
        if capacity < file_length {
            let expected = format!("of the {file_length} bytes that the file has");
            return Err(Reason::Field { what: "capacity", expected, found: capacity });
        }
        if capacity <= header_size || !capacity.is_multiple_of(8) {
            let expected = format!("in multiples of 8 above {header_size}");
            return Err(Reason::Field { what: "capacity", expected, found: capacity });
        }
        let first_committed = u64::from_le_bytes(take(bytes, AT_FIRST_COMMITTED));
        let committed = u64::from_le_bytes(take(bytes, AT_COMMITTED));
        // From here on everybody may subtract the header from either.
        if first_committed < header_size {
            let expected = format!("from {header_size} to {capacity}");
            return Err(Reason::Field { what: "size committed at first", expected, found: first_committed });
        }
        check_committed(committed, first_committed, capacity)?;
        let lifetime = match u32::from_le_bytes(take(bytes, AT_LIFETIME)) {
            1 => Lifetime::WhileUsed,
            2 => Lifetime::UntilRemoved,
            found => {
                let expected = "1 (while used) or 2 (until removed)".into();
                return Err(Reason::Field { what: "lifetime", expected, found: found.into() });
            }
        };
        let mut geometry = [0; GEOMETRY_WORDS];
        for (index, word) in geometry.iter_mut().enumerate() {
            *word = u64::from_le_bytes(take(bytes, AT_GEOMETRY + 8 * index));
        }
        Ok(Self {
            kind: Kind(u32::from_le_bytes(take(bytes, AT_KIND))),
            kind_version: u32::from_le_bytes(take(bytes, AT_KIND_VERSION)),
            header_size,
            capacity,
            identity: take(bytes, AT_IDENTITY),
            created_ns: u64::from_le_bytes(take(bytes, AT_CREATED)),
            creator_user: u32::from_le_bytes(take(bytes, AT_CREATOR_USER)),
            creator_pid: u32::from_le_bytes(take(bytes, AT_CREATOR_PID)),
            mode: u32::from_le_bytes(take(bytes, AT_MODE)),
            lifetime,
            first_committed,
            geometry,
            schema: decode_schema(bytes)?,
            committed,
        })
    }
}

/// Whether a committed size can be, given the segment's first committed size and capacity.
pub(crate) fn check_committed(committed: u64, first: u64, capacity: u64) -> Result<(), Reason> {
    let whole = committed == capacity || committed.is_multiple_of(HEADER_UNIT);
    if committed < first || committed > capacity || !whole {
        let expected = format!("from {first} to {capacity}, in units of {HEADER_UNIT}");
        return Err(Reason::Field { what: "committed size", expected, found: committed });
    }
    Ok(())
}

fn decode_schema(bytes: &[u8]) -> Result<Option<Schema>, Reason> {
    let length = u32::from_le_bytes(take(bytes, AT_SCHEMA_LENGTH)) as usize;
    if length == 0 {
        return Ok(None);
    }
    let damaged = |expected: String| Reason::Field { what: "schema", expected, found: length as u64 };
    let text = AT_SCHEMA.checked_add(length).and_then(|end| bytes.get(AT_SCHEMA..end));
    let text = text.ok_or_else(|| damaged("a length within the header".into()))?;
    let text = std::str::from_utf8(text).map_err(|error| damaged(error.to_string()))?;
    let schema = Schema::parse(text).map_err(|error| damaged(error.to_string()))?;
    let fingerprint = u64::from_le_bytes(take(bytes, AT_FINGERPRINT));
    if schema.fingerprint() != fingerprint {
        let expected = format!("{:#018x}", schema.fingerprint());
        return Err(Reason::Field { what: "schema fingerprint", expected, found: fingerprint });
    }
    let size = u32::from_le_bytes(take(bytes, AT_ELEMENT_SIZE));
    let align = u32::from_le_bytes(take(bytes, AT_ELEMENT_ALIGN));
    for (what, expected, found) in [("element size", schema.size(), size), ("element alignment", schema.align(), align)]
    {
        if expected as u64 != u64::from(found) {
            return Err(Reason::Field { what, expected: expected.to_string(), found: found.into() });
        }
    }
    Ok(Some(schema))
}

/// Over everything that never changes: the fixed fields and the schema.
fn checksum(bytes: &[u8]) -> u64 {
    let fixed = xxh3_64(bytes.get(..AT_CHECKSUM).unwrap_or_default());
    let schema = xxh3_64(bytes.get(AT_SCHEMA..).unwrap_or_default());
    xxh3_64(&[fixed.to_le_bytes(), schema.to_le_bytes()].concat())
}

/// `N` bytes at a constant offset within the first [`HEADER_UNIT`]; zeros if they are not there, which the callers have excluded.
fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|slice| slice.try_into().ok()).unwrap_or([0; N])
}
