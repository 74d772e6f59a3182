//! Fields that are plain old data and yet not to be shared.

use bytemuck::{Pod, Zeroable};
use sharedware::Shared;

#[derive(Clone, Copy, Pod, Zeroable, Shared)]
#[repr(C)]
struct Wide {
    len: usize,
    id: u64,
}

fn share<T: Shared>(_: T) {}

fn main() {
    share(true);
}
