//! Segments: named shared memory with a header that says what is in it.

pub mod schema;
