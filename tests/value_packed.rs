//! Nested data by serde: what it is in bytes, and what is refused.

#![cfg(feature = "serde")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use sharedware::collections::value::{DecodeError, Encode, EncodeError, Key, MAX_NESTING, Packed, Tag, Value, decode};

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Job {
    name: String,
    tries: Option<u32>,
    limits: BTreeMap<String, f64>,
    state: State,
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
enum State {
    Waiting,
    Running { since: u64 },
    Failed(String, i32),
}

/// As deep as one likes.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Deep(Vec<Deep>);

/// The same with an enum.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
enum Chain {
    None,
    Other(Box<Chain>),
}

fn deep(levels: usize) -> Deep {
    (1..levels).fold(Deep(vec![]), |inner, _| Deep(vec![inner]))
}

fn packed<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    Packed(value).encode(|it| {
        assert_eq!(it.tag(), Tag::Packed);
        it.to_vec()
    })
}

fn unpacked<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode::<Packed<T>>(Tag::Packed.code(), bytes).map(|Packed(value)| value)
}

#[test]
fn structs_are_maps_by_name() {
    #[derive(Serialize)]
    struct Old {
        name: &'static str,
        state: State,
        added_later: u8,
        limits: BTreeMap<String, f64>,
    }
    let old = Old { name: "x", state: State::Waiting, added_later: 1, limits: BTreeMap::new() };
    let read = Job { name: "x".into(), tries: None, limits: BTreeMap::new(), state: State::Waiting };
    assert_eq!(unpacked(&packed(&old).expect("packs")), Ok(read));
    assert_eq!(packed(&(1, "a", ())).expect("packs"), b"\x93\x01\xa1a\xc0");
}

#[test]
fn what_does_not_fit_says_why() {
    let reason = |bytes: &[u8]| unpacked::<(u8, String)>(bytes).expect_err("does not fit").to_string();
    assert!(reason(b"\x92\x01\x02").contains("expected a string"), "{}", reason(b"\x92\x01\x02"));
    assert_eq!(reason(b"\x92\x01\xa1a\xc0\xc0"), "nested data does not fit: there are more bytes behind it");
    assert!(reason(b"").starts_with("nested data does not fit: "));
    let error = decode::<Packed<u8>>(Tag::Int.code(), &[0; 8]).expect_err("another type");
    assert_eq!(error.to_string(), "expected nested data, found an integer");
    assert_eq!(unpacked::<Vec<u8>>(b"\x93\x01\x02\x03"), Ok(vec![1, 2, 3]));
}

/// Whatever can be written can be read, and neither overflows the stack.
#[test]
fn nesting_is_bounded() {
    let written = (1..2 * MAX_NESTING).take_while(|levels| packed(&deep(*levels)).is_ok()).last().unwrap_or(0);
    // The last level is empty, and an empty list has no level.
    assert_eq!(written, MAX_NESTING + 1);
    assert_eq!(unpacked(&packed(&deep(written)).expect("packs")), Ok(deep(written)));
    let error = packed(&deep(written + 1)).expect_err("too deep");
    assert_eq!(error.to_string(), "cannot be written as nested data: it is nested more than 128 levels deep");
    let mut endless = vec![0x91; 100_000];
    endless.push(0x90);
    assert!(unpacked::<Deep>(&endless).is_err());
    // Levels of enums are those that rmp-serde does not count.
    let endless = [b"\x81\xa5Other".repeat(100_000), b"\xa4None".to_vec()].concat();
    assert!(unpacked::<Chain>(&endless).is_err());
    assert!(unpacked::<Chain>(&endless[7 * (100_000 - MAX_NESTING)..]).is_ok());
}

/// A length in the data is no reason to allocate.
#[test]
fn vast_lengths_are_errors() {
    assert!(unpacked::<Vec<u64>>(b"\xdd\xff\xff\xff\xff\x01").is_err());
    assert!(unpacked::<String>(b"\xdb\xff\xff\xff\xffa").is_err());
    assert!(unpacked::<BTreeMap<u8, u8>>(b"\xdf\xff\xff\xff\xff\x01\x02").is_err());
}

#[test]
fn tuples_are_keys() {
    let key = |value: &dyn Fn() -> Value| value().key(|key| (key.tag(), key.hash())).expect("a key");
    let tuple = Packed((1, "a")).key(|key| (key.tag(), key.hash())).expect("a key");
    assert_eq!(tuple, key(&|| Value::Packed(b"\x92\x01\xa1a".to_vec())));
    assert!(Packed(deep(1000)).key(|_| ()).is_err());
}

fn states() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Waiting),
        any::<u64>().prop_map(|since| State::Running { since }),
        any::<(String, i32)>().prop_map(|(why, code)| State::Failed(why, code)),
    ]
}

proptest! {
    #[test]
    fn types_come_back(
        name in any::<String>(),
        tries in any::<Option<u32>>(),
        limits in prop::collection::btree_map(any::<String>(), any::<f64>(), 0..4),
        state in states(),
    ) {
        let job = Job { name, tries, limits, state };
        let bytes = packed(&job).expect("packs");
        prop_assert_eq!(unpacked::<Job>(&bytes), Ok(job));
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in any::<Vec<u8>>()) {
        let _ = unpacked::<Job>(&bytes);
        let _ = unpacked::<Deep>(&bytes);
        let _ = unpacked::<serde_json::Value>(&bytes);
    }
}
