//! `#[derive(Shared)]`.
