//! Segments made by hand from `docs/layout.md`: a second encoder, which shares no code with the library's.

use xxhash_rust::xxh3::xxh3_64;

/// A segment in the making. Made with [`Image::new`], changed field by field, then turned into [`bytes`](Self::bytes).
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// The header, from the start to the schema's end, padded to `header_size`.
    pub(crate) header: Vec<u8>,
    /// What comes behind it.
    pub(crate) body: Vec<u8>,
}

pub(crate) const MAGIC: usize = 0;
pub(crate) const LAYOUT_VERSION: usize = 8;
pub(crate) const BYTE_ORDER: usize = 12;
pub(crate) const WORD_BITS: usize = 14;
pub(crate) const KIND: usize = 16;
pub(crate) const KIND_VERSION: usize = 20;
pub(crate) const HEADER_SIZE: usize = 24;
pub(crate) const CAPACITY: usize = 32;
pub(crate) const IDENTITY: usize = 40;
pub(crate) const CREATED: usize = 56;
pub(crate) const CREATOR_USER: usize = 64;
pub(crate) const CREATOR_PID: usize = 68;
pub(crate) const MODE: usize = 72;
pub(crate) const LIFETIME: usize = 76;
pub(crate) const FIRST_COMMITTED: usize = 80;
pub(crate) const ELEMENT_SIZE: usize = 88;
pub(crate) const ELEMENT_ALIGN: usize = 92;
pub(crate) const FINGERPRINT: usize = 96;
pub(crate) const SCHEMA_LENGTH: usize = 104;
pub(crate) const FLAGS: usize = 108;
pub(crate) const GEOMETRY: usize = 112;
pub(crate) const RESERVED: usize = 176;
pub(crate) const CHECKSUM: usize = 248;
pub(crate) const COMMITTED: usize = 256;
pub(crate) const RESERVED_MUTABLE: usize = 264;
pub(crate) const SCHEMA: usize = 512;

pub(crate) const RAW: u32 = 1;
pub(crate) const PEERS: u32 = 2;
pub(crate) const SLOTS: u32 = 3;
pub(crate) const SPSC: u32 = 4;
pub(crate) const BYTES: u32 = 5;

impl Image {
    /// A valid segment of version 1 of a kind, until removed, mode 0600, with a body of zeros, all committed.
    pub(crate) fn new(kind: u32, body: usize) -> Self {
        let mut image = Self { header: vec![0; 4096], body: vec![0; body] };
        image.header[MAGIC..8].copy_from_slice(b"SHRDWARE");
        image.u32(LAYOUT_VERSION, 1);
        image.header[BYTE_ORDER..14].copy_from_slice(&[0x01, 0x02]);
        image.header[WORD_BITS..16].copy_from_slice(&[64, 0]);
        image.u32(KIND, kind);
        image.u32(KIND_VERSION, 1);
        image.u64(HEADER_SIZE, 4096);
        image.u64(CAPACITY, 4096 + body as u64);
        image.header[IDENTITY..CREATED].copy_from_slice(b"made by hand....");
        image.u64(CREATED, 1_700_000_000_000_000_000);
        image.u32(CREATOR_PID, 1);
        image.u32(MODE, 0o600);
        image.u32(LIFETIME, 2);
        image.u64(FIRST_COMMITTED, 4096 + body as u64);
        image.u64(COMMITTED, 4096 + body as u64);
        image
    }

    /// Slots of one element type.
    pub(crate) fn slots(schema: &str, size: u32, align: u32, length: u64) -> Self {
        let copy = (8 + u64::from(size).next_multiple_of(8)).next_multiple_of(64);
        let slot = 128 + 8 * copy;
        let mut image = Self::new(SLOTS, usize::try_from(slot * length).unwrap());
        image.schema(schema, size, align).geometry(0, length).geometry(1, size.into()).geometry(2, 8);
        for index in 0..length {
            // Copy 0 holds version 0, the others nothing.
            for version in 1..8 {
                let at = usize::try_from(index * slot + 128 + version * copy).unwrap();
                image.body[at..at + 8].fill(0xff);
            }
        }
        image
    }

    /// A typed ring of blocks of 64 bytes, in which `values` have room beside the mark.
    pub(crate) fn spsc(schema: &str, size: u32, align: u32, capacity: u64, values: u64) -> Self {
        let blocks = capacity.div_ceil(values) + 1;
        let mut image = Self::new(SPSC, usize::try_from(512 + blocks * 64).unwrap());
        image.schema(schema, size, align).geometry(0, capacity).geometry(1, size.into()).geometry(2, align.into());
        image
    }

    /// A byte ring.
    pub(crate) fn byte_ring(capacity: u64) -> Self {
        let mut image = Self::new(BYTES, usize::try_from(512 + capacity).unwrap());
        image.geometry(0, capacity);
        image
    }

    /// A registry of peers.
    pub(crate) fn peers(first_incarnation: u64) -> Self {
        // Slots, and wait records behind them.
        let mut image = Self::new(PEERS, 4096 * 64 + 4096 * 64);
        image.u32(KIND_VERSION, 2).geometry(0, 4096).geometry(1, first_incarnation).geometry(2, 4096);
        image
    }

    pub(crate) fn u32(&mut self, at: usize, value: u32) -> &mut Self {
        self.header[at..at + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u64(&mut self, at: usize, value: u64) -> &mut Self {
        self.header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn geometry(&mut self, index: usize, value: u64) -> &mut Self {
        self.u64(GEOMETRY + 8 * index, value)
    }

    pub(crate) fn schema(&mut self, text: &str, size: u32, align: u32) -> &mut Self {
        let end = SCHEMA + text.len();
        assert!(end <= 4096, "larger headers are not made by hand");
        self.header[SCHEMA..end].copy_from_slice(text.as_bytes());
        self.u32(ELEMENT_SIZE, size).u32(ELEMENT_ALIGN, align);
        self.u64(FINGERPRINT, xxh3_64(text.as_bytes())).u32(SCHEMA_LENGTH, u32::try_from(text.len()).unwrap())
    }

    /// A word of the body, by its number.
    pub(crate) fn word(&mut self, index: usize, value: u64) -> &mut Self {
        self.body[8 * index..8 * index + 8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// The bytes, without a fresh checksum.
    pub(crate) fn unsealed(&self) -> Vec<u8> {
        [self.header.as_slice(), &self.body].concat()
    }

    /// The bytes, with the right checksum.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut sealed = self.clone();
        let parts = [xxh3_64(&self.header[..CHECKSUM]), xxh3_64(&self.header[SCHEMA..])];
        sealed.u64(CHECKSUM, xxh3_64(&[parts[0].to_le_bytes(), parts[1].to_le_bytes()].concat()));
        sealed.unsealed()
    }
}

/// The word at an offset of some bytes.
pub(crate) fn word_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The half word at an offset of some bytes.
pub(crate) fn half_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}
