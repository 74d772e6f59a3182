use super::registry::Peer;

/// Where something is that can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first eight bytes of the segment's identity.
    pub(crate) segment: u64,
    /// Bytes from the start of its contents.
    pub(crate) offset: u64,
}

impl Place {
    pub(crate) fn of(identity: [u8; 16], offset: u64) -> Self {
        let [segment, _] = bytemuck::cast::<_, [u64; 2]>(identity);
        Self { segment, offset }
    }
}

#[derive(Debug)]
pub(crate) struct WaitRecord;

impl Peer {
    pub(crate) fn wait_record(&self, _thread: u32, _place: Place) -> Option<WaitRecord> {
        None
    }
}
