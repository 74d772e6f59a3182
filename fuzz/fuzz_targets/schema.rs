//! Arbitrary text as a schema: it is refused, or read and written back byte for byte; then it reads values of arbitrary bytes and is
//! compared with another.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sharedware::segment::schema::Schema;

fuzz_target!(|data: &[u8]| {
    // Up to a 0 the text, up to the next another text, then a value's bytes, repeated as often as needed.
    let mut parts = data.splitn(3, |&byte| byte == 0);
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default());
    let (Ok(first), Ok(second)) = (text(), text()) else { return };
    let bytes = parts.next().unwrap_or_default();
    let (first, second) = (check(first, bytes), check(second, bytes));
    if let (Some(first), Some(second)) = (first, second) {
        assert_eq!(first == second, first.to_string() == second.to_string());
        match first.difference(&second) {
            None => assert_eq!(first.fingerprint(), second.fingerprint()),
            Some(difference) => assert!(difference.to_string().contains("bytes")),
        }
    }
});

fn check(text: &str, bytes: &[u8]) -> Option<Schema> {
    let schema = match Schema::parse(text) {
        Ok(schema) => schema,
        Err(error) => {
            assert!(error.position() <= text.len() && !error.to_string().contains(char::is_control));
            return None;
        }
    };
    assert_eq!(schema.to_string(), text);
    assert!(schema.align().is_power_of_two() && schema.size().is_multiple_of(schema.align()));
    if schema.size() <= 1 << 16 {
        let value: Vec<u8> = bytes.iter().copied().chain([0]).cycle().take(schema.size()).collect();
        if let Ok(value) = schema.value(&value) {
            assert!(!value.to_string().contains(char::is_control));
        }
    }
    assert!(schema.value(bytes).is_ok() <= (bytes.len() == schema.size()));
    Some(schema)
}
