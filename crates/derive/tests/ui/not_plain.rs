//! Layout alone does not make a type plain old data.

use bytemuck::Zeroable;
use sharedware::Shared;

#[derive(Clone, Copy, Zeroable, Shared)]
#[repr(C)]
struct NotPod {
    a: u64,
}

fn main() {}
