//! Enums, unions and structs of nothing.

use sharedware::Shared;

#[derive(Shared)]
#[repr(u8)]
enum Side {
    Buy,
    Sell,
}

#[derive(Shared)]
#[repr(C)]
union Either {
    a: u32,
    b: f32,
}

#[derive(Shared)]
#[repr(C)]
struct Nothing;

#[derive(Shared)]
#[repr(C)]
struct Empty {}

fn main() {}
