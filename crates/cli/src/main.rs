//! The `sharedware` tool.
fn main() {}
