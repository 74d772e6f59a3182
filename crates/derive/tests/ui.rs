//! What the derive refuses, and in which words. `TRYBUILD=overwrite cargo test -p sharedware-derive` after a change of
//! words.

#[test]
fn refusals() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
