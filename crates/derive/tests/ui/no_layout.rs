//! Without `repr(C)` the compiler may order the fields as it likes; a word that the derive does not know.

use sharedware::Shared;

#[derive(Shared)]
struct Unordered {
    a: u8,
    b: u64,
}

#[derive(Shared)]
#[repr(align(8))]
struct OnlyAligned {
    a: u64,
}

#[derive(Shared)]
#[repr(C)]
#[shared(rename = "b")]
struct Unknown {
    a: u64,
}

fn main() {}
