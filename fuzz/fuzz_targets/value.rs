//! Arbitrary bytes as a value: each type refuses them or makes a value of them. What a type has read it writes back as the same bytes, if
//! there is one way to write it; and equal keys have equal hashes.
#![no_main]

use bytemuck::{Pod, Zeroable};
use libfuzzer_sys::fuzz_target;
use serde::{Deserialize, Serialize};
use sharedware::Shared;
use sharedware::collections::value::{Decode, Encode, Key, NdArray, Packed, Tag, Value, decode, hash_key};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Shared)]
struct Tick {
    seq: u64,
    price: [f32; 2],
}

/// All that serde knows, in any depth.
#[derive(Serialize, Deserialize)]
enum Nested {
    Nothing,
    Number(i64, f64),
    Text(String, Option<char>),
    List(Vec<Nested>),
    Map { key: Box<Nested>, rest: std::collections::BTreeMap<String, Nested> },
}

fuzz_target!(|data: &[u8]| {
    let Some((&code, payload)) = data.split_first() else { return };
    let Ok(tag) = Tag::try_from(code) else {
        assert!(decode::<Value>(code, payload).is_err());
        return;
    };
    if let Some(value) = exact::<Value>(tag, payload) {
        assert!(value.tag() == tag && !value.to_string().contains(char::is_control));
        check_key(&value);
    }
    exact::<Option<String>>(tag, payload);
    exact::<Option<Box<str>>>(tag, payload);
    exact::<Vec<u8>>(tag, payload);
    exact::<[u8; 16]>(tag, payload);
    exact::<NdArray>(tag, payload);
    exact::<Tick>(tag, payload);
    exact::<()>(tag, payload);
    number::<u8>(tag, payload);
    number::<i32>(tag, payload);
    number::<u64>(tag, payload);
    number::<f32>(tag, payload);
    number::<f64>(tag, payload);
    number::<bool>(tag, payload);
    if let Ok(nested) = decode::<Packed<Nested>>(code, payload) {
        let bytes = nested.encode(|it| it.to_vec()).expect("what was read can be written");
        assert!(decode::<Packed<Nested>>(code, &bytes).is_ok());
    }
});

fn exact<T: Encode + Decode>(tag: Tag, payload: &[u8]) -> Option<T> {
    let value = decode::<T>(tag.code(), payload).ok()?;
    let same = value.encode(|it| it.tag() == tag && it.to_vec() == payload);
    assert!(same == Ok(true));
    Some(value)
}

/// A number may have come from one of another type; it is equal, so as a key it is the same, unless an `f32` was rounded.
fn number<T: Key + Decode>(tag: Tag, payload: &[u8]) {
    let (Ok(number), Ok(value)) = (decode::<T>(tag.code(), payload), decode::<Value>(tag.code(), payload)) else {
        return;
    };
    let key = |key: &dyn Fn() -> Value| key().key(|key| (key.tag(), key.encoded().to_vec(), key.hash()));
    let mine = number.key(|key| (key.tag(), key.encoded().to_vec(), key.hash()));
    if size_of::<T>() != 4 || tag != Tag::Float {
        assert_eq!(mine, key(&|| value.clone()));
    }
}

fn check_key(value: &Value) {
    let Ok((tag, bytes, hash)) = value.key(|key| (key.tag(), key.encoded().to_vec(), key.hash())) else {
        assert!(matches!(value.tag(), Tag::Array | Tag::Pickle | Tag::Rust));
        return;
    };
    assert_eq!(hash, hash_key(tag, &bytes));
    let again: Value = decode(tag.code(), &bytes).expect("a key is a value");
    assert_eq!(again.key(|key| (key.tag(), key.encoded().to_vec())), Ok((tag, bytes)));
}
