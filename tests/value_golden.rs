//! `docs/values.json`, from which programs in other languages learn whether they read and write what we do, against the library, in both
//! directions. Its hashes come from rapidhash in C.

#![cfg(feature = "derive")]

use std::collections::BTreeSet;

use bytemuck::{Pod, Zeroable};
use serde::Deserialize;
use sharedware::Shared;
use sharedware::collections::value::{
    Encode, HASH_VERSION, Key, KeyError, MAX_DIMENSIONS, NdArray, NdArrayRef, Tag, Value, decode, hash_key,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    hash_version: u32,
    values: Vec<Vector>,
    refused: Vec<Refused>,
    keys: Vec<KeyVector>,
    not_keys: Vec<NotAKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    tag: String,
    code: u8,
    hex: String,
    meaning: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    name: String,
    code: u8,
    hex: String,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyVector {
    name: String,
    of: Stored,
    code: u8,
    hex: String,
    hash: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    code: u8,
    hex: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotAKey {
    name: String,
    code: u8,
    hex: String,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../docs/values.json")).expect("docs/values.json")
}

fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect(hex)).collect()
}

/// Code and payload.
fn stored<T: Encode + ?Sized>(value: &T) -> (u8, Vec<u8>) {
    value.encode(|it| (it.tag().code(), it.to_vec())).expect("encodes")
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable, Shared)]
struct Tick {
    seq: u64,
    price: f64,
}

fn plain<T: Shared>(value: &T) -> Value {
    Value::Plain { fingerprint: T::schema().fingerprint(), data: bytemuck::bytes_of(value).to_vec() }
}

fn array<T: Shared>(shape: &[usize], items: &[T]) -> Value {
    Value::Array(NdArrayRef::of(shape, items).expect("a shape").into())
}

/// What each vector stands for.
fn meanings() -> Vec<(&'static str, Value)> {
    vec![
        ("none", Value::None),
        ("false", Value::Bool(false)),
        ("true", Value::Bool(true)),
        ("zero", Value::Int(0)),
        ("one", Value::Int(1)),
        ("minus one", Value::Int(-1)),
        ("smallest integer", Value::Int(i64::MIN)),
        ("largest signed integer", Value::Int(i64::MAX)),
        ("smallest integer beyond i64", Value::UInt(1 << 63)),
        ("largest integer", Value::UInt(u64::MAX)),
        ("float zero", Value::Float(0.0)),
        ("float minus zero", Value::Float(-0.0)),
        ("float one", Value::Float(1.0)),
        ("one and a half", Value::Float(1.5)),
        ("f32 of a tenth", Value::Float(0.1_f32.into())),
        ("smallest float", Value::Float(5e-324)),
        ("largest float", Value::Float(f64::MAX)),
        ("infinity", Value::Float(f64::INFINITY)),
        ("minus infinity", Value::Float(f64::NEG_INFINITY)),
        ("not a number", Value::Float(f64::from_bits(0x7ff8_0000_0000_0000))),
        ("empty string", Value::from("")),
        ("string", Value::from("key")),
        ("string beyond ASCII", Value::from("Grüße 価格 🦀")),
        ("string with zero", Value::from("a\0b")),
        ("empty bytes", Value::from([])),
        ("bytes", Value::from(*b"key")),
        ("bytes that are no text", Value::from([0, 255, 128])),
        ("struct", plain(&Tick { seq: 7, price: 1.5 })),
        ("array of a fixed size", plain(&[1.0_f32, 2.0, 3.0])),
        ("plain data of no bytes", plain(&[0_u32; 0])),
        ("array without dimensions", array(&[], &[1.5])),
        ("array of one dimension", array(&[5], &[1_u8, 2, 3, 4, 255])),
        ("array of two dimensions", array(&[2, 3], &[1, 2, 3, -1, -2, -3])),
        ("empty array", array::<f32>(&[0, 3], &[])),
        ("array of type b", array(&[1], &[1_i8])),
        ("array of type B", array(&[1], &[2_u8])),
        ("array of type h", array(&[1], &[3_i16])),
        ("array of type H", array(&[1], &[4_u16])),
        ("array of type i", array(&[1], &[5_i32])),
        ("array of type I", array(&[1], &[6_u32])),
        ("array of type q", array(&[1], &[7_i64])),
        ("array of type Q", array(&[1], &[8_u64])),
        ("array of type f", array(&[1], &[9_f32])),
        ("array of type d", array(&[1], &[10_f64])),
        ("array of 32 dimensions", array(&[1; MAX_DIMENSIONS], &[7_u8])),
        ("map", Value::Packed(b"\x82\xa4name\xa6backup\xa5tries\x03".to_vec())),
        ("tuple", Value::Packed(b"\x93\x01\xa1a\xc0".to_vec())),
        ("pickle", Value::Pickle(b"\x80\x05N.".to_vec())),
        ("private to Rust", Value::Rust(vec![1, 2, 3])),
    ]
}

/// Whether they are the same to the last bit of a NaN.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

#[test]
fn every_vector_is_written_and_read() {
    let (golden, meanings) = (golden(), meanings());
    let names: Vec<&str> = golden.values.iter().map(|vector| vector.name.as_str()).collect();
    assert_eq!(names, meanings.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (vector, (name, value)) in golden.values.iter().zip(&meanings) {
        let payload = unhex(&vector.hex);
        assert_eq!(stored(value), (vector.code, payload.clone()), "{name}");
        let read: Value = decode(vector.code, &payload).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(same(&read, value), "{name}: {read}");
        assert_eq!(Tag::try_from(vector.code).map(Tag::name), Ok(vector.tag.as_str()), "{name}");
        assert!(!vector.meaning.is_empty(), "{name}");
    }
}

/// The types of Rust make the same bytes as the [`Value`]s above, and are made of them.
#[test]
fn types_are_the_values_that_they_should_be() {
    let (golden, mut seen) = (golden(), BTreeSet::new());
    let mut check = |name: &str, code: u8, payload: &[u8]| {
        let vector = golden.values.iter().find(|vector| vector.name == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((code, payload), (vector.code, unhex(&vector.hex).as_slice()), "{name}");
        seen.insert(code);
    };
    macro_rules! is {
        ($($name:literal: $type:ty = $value:expr;)*) => { $(
            let value: $type = $value;
            let (code, payload) = stored(&value);
            check($name, code, &payload);
            assert_eq!(decode::<$type>(code, &payload).as_ref(), Ok(&value), $name);
        )* };
    }
    is! {
        "none": () = ();
        "none": Option<u8> = None;
        "one": Option<u8> = Some(1);
        "false": bool = false;
        "true": bool = true;
        "one": u8 = 1;
        "one": u16 = 1;
        "one": u32 = 1;
        "one": u64 = 1;
        "minus one": i8 = -1;
        "minus one": i16 = -1;
        "minus one": i32 = -1;
        "minus one": i64 = -1;
        "smallest integer": i64 = i64::MIN;
        "largest signed integer": i64 = i64::MAX;
        "largest signed integer": u64 = 0x7fff_ffff_ffff_ffff;
        "smallest integer beyond i64": u64 = 1 << 63;
        "largest integer": u64 = u64::MAX;
        "f32 of a tenth": f32 = 0.1;
        "infinity": f32 = f32::INFINITY;
        "one and a half": f64 = 1.5;
        "string beyond ASCII": String = "Grüße 価格 🦀".to_owned();
        "string": Box<str> = "key".into();
        "bytes": Vec<u8> = b"key".to_vec();
        "bytes": [u8; 3] = *b"key";
        "empty bytes": [u8; 0] = [];
        "struct": Tick = Tick { seq: 7, price: 1.5 };
        "array of a fixed size": [f32; 3] = [1.0, 2.0, 3.0];
        "plain data of no bytes": [u32; 0] = [];
        "array of two dimensions": NdArray = NdArrayRef::of(&[2, 3], &[1, 2, 3, -1, -2, -3]).expect("a shape").into();
    }
    for (name, (code, payload)) in [
        ("string", stored("key")),
        ("string", stored(&"key")),
        ("bytes", stored(b"key".as_slice())),
        ("bytes", stored(&b"key".as_slice())),
        ("array of two dimensions", stored(&NdArrayRef::of(&[2, 3], &[1, 2, 3, -1, -2, -3]).expect("a shape"))),
    ] {
        check(name, code, &payload);
    }
    assert_eq!(seen.len(), 9, "all but those that only a Value has: {seen:?}");
}

#[test]
fn every_tag_has_vectors() {
    let golden = golden();
    let codes = |codes: &mut dyn Iterator<Item = u8>| codes.collect::<BTreeSet<u8>>();
    let all: BTreeSet<u8> = Tag::ALL.iter().map(|tag| tag.code()).collect();
    assert_eq!(codes(&mut golden.values.iter().map(|vector| vector.code)), all);
    let keys = codes(&mut golden.keys.iter().map(|key| key.of.code));
    let not_keys = codes(&mut golden.not_keys.iter().map(|vector| vector.code));
    assert!(keys.is_disjoint(&not_keys));
    assert_eq!(keys.union(&not_keys).copied().collect::<BTreeSet<u8>>(), all);
    let names: BTreeSet<&str> = golden.refused.iter().map(|refused| refused.name.as_str()).collect();
    assert_eq!(names.len(), golden.refused.len(), "a name twice");
}

#[test]
fn what_is_no_value_is_refused() {
    for Refused { name, code, hex, why } in golden().refused {
        let read = decode::<Value>(code, &unhex(&hex));
        assert!(read.is_err(), "{name} ({why}): {read:?}");
    }
}

#[test]
fn keys_are_canonical_and_their_hash_is_for_ever() {
    let golden = golden();
    assert_eq!(golden.hash_version, HASH_VERSION);
    for KeyVector { name, of, code, hex, hash } in golden.keys {
        let (payload, hash) = (unhex(&hex), u64::from_str_radix(hash.trim_start_matches("0x"), 16).expect("a hash"));
        let value: Value = decode(of.code, &unhex(&of.hex)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let key = |value: &Value| value.key(|key| (key.tag().code(), key.encoded().to_vec(), key.hash()));
        assert_eq!(key(&value), Ok((code, payload.clone(), hash)), "{name}");
        let again: Value = decode(code, &payload).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key(&again), Ok((code, payload.clone(), hash)), "{name}, again");
        assert_eq!(hash_key(Tag::try_from(code).expect("a tag"), &payload), hash, "{name}");
    }
    for NotAKey { name, code, hex } in golden.not_keys {
        let value: Value = decode(code, &unhex(&hex)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(value.key(|_| ()), Err(KeyError::NotAKey { tag: value.tag() }), "{name}");
    }
}
