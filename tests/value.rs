//! Keys and values from outside: round trips, what is refused and how, keys, and any bytes at all. The bytes themselves are in
//! `tests/value_golden.rs`.

#![cfg(feature = "derive")]

use std::fmt::Debug;

use bytemuck::{Pod, Zeroable};
use proptest::collection::vec;
use proptest::prelude::*;
use sharedware::Shared;
use sharedware::collections::value::{
    Decode, DecodeError, Encode, EncodeError, Encoded, Key, KeyError, MAX_DIMENSIONS, Mismatch, NdArray, NdArrayRef,
    Place, ShapeError, Tag, UnknownTag, Value, decode, hash_key,
};
use sharedware::segment::schema::{Scalar, Schema};

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable, Shared)]
struct Tick {
    seq: u64,
    price: f64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable, Shared)]
struct Tock {
    seq: u64,
    prise: f64,
}

#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable, Shared)]
struct UserId(u32);

fn stored<T: Encode + ?Sized>(value: &T) -> (Tag, Vec<u8>) {
    value.encode(|it| (it.tag(), it.to_vec())).expect("encodes")
}

fn back<T: Encode + Decode>(value: &T) -> Result<T, DecodeError> {
    let (tag, payload) = stored(value);
    decode(tag.code(), &payload)
}

/// What the error says when one type is read as another.
fn misread<T: Decode + Debug>(value: &(impl Encode + ?Sized)) -> String {
    let (tag, payload) = stored(value);
    decode::<T>(tag.code(), &payload).expect_err("another type").to_string()
}

/// Tag, bytes and hash of a key.
fn key<T: Key + ?Sized>(key: &T) -> (Tag, Vec<u8>, u64) {
    key.key(|key| (key.tag(), key.encoded().to_vec(), key.hash())).expect("a key")
}

// Types.

#[test]
fn another_type_is_named() {
    assert_eq!(misread::<String>(&5), "expected a string, found an integer");
    assert_eq!(misread::<i32>("text"), "expected an integer, found a string");
    assert_eq!(misread::<i32>(&1.0), "expected an integer, found a float");
    assert_eq!(misread::<u8>(&true), "expected an integer, found a boolean");
    assert_eq!(misread::<f64>(&()), "expected a float, found nothing");
    assert_eq!(misread::<Vec<u8>>("text"), "expected bytes, found a string");
    assert_eq!(misread::<String>(b"text"), "expected a string, found bytes");
    assert_eq!(misread::<[u8; 3]>("abc"), "expected bytes, found a string");
    assert_eq!(misread::<()>(&0), "expected nothing, found an integer");
    assert_eq!(misread::<bool>("true"), "expected a boolean, found a string");
    assert_eq!(misread::<Tick>(&[0_u8; 16]), "expected plain old data, found bytes");
    assert_eq!(misread::<NdArray>(&[0_u16; 2]), "expected an array, found plain old data");
    assert_eq!(misread::<Option<String>>(&1_u8), "expected a string, found an integer");
    assert_eq!(misread::<bool>(&u64::MAX), "expected a boolean, found an integer beyond i64");
}

#[test]
fn another_length_is_named() {
    assert_eq!(misread::<[u8; 4]>(b"abcde"), "expected 4 bytes (bytes), found 5 bytes");
    assert_eq!(misread::<[u16; 4]>(&[0_u16; 3]), "expected 16 bytes (plain old data), found 14 bytes");
    assert_eq!(i64::place(Tag::Int, 7).unwrap_err(), Mismatch::Length { tag: Tag::Int, expected: 8, found: 7 });
    assert!(<()>::place(Tag::None, 1).is_err() && bool::place(Tag::Bool, 8).is_err());
}

#[test]
fn another_schema_of_the_same_size_is_found() {
    let (tag, payload) = stored(&Tick { seq: 1, price: 2.0 });
    let (expected, found) = (Tock::schema().fingerprint(), Tick::schema().fingerprint());
    assert_eq!(decode::<Tock>(tag.code(), &payload), Err(DecodeError::Schema { expected, found }));
    assert_eq!(back(&Tick { seq: 1, price: 2.0 }), Ok(Tick { seq: 1, price: 2.0 }));
}

#[test]
fn an_unknown_tag_is_refused_by_every_type() {
    let error = Err(DecodeError::Mismatch(Mismatch::UnknownTag(UnknownTag(77))));
    assert_eq!(decode::<Value>(77, b""), error);
    assert_eq!(decode::<String>(77, b"").map(Value::from), error);
    assert_eq!(
        decode::<Option<()>>(0, b"").unwrap_err().to_string().split(':').next(),
        Some("found a value of unknown kind 0")
    );
}

/// The length is from memory that others write; no type takes it at its word.
#[test]
fn a_vast_length_is_an_error() {
    for tag in Tag::ALL {
        for length in [usize::MAX, isize::MAX as usize, 1 << 60] {
            assert!(Value::place(tag, length).is_err(), "{tag}");
            assert!(String::place(tag, length).is_err() && <Vec<u8>>::place(tag, length).is_err(), "{tag}");
            assert!(<Option<Box<str>>>::place(tag, length).is_err() && NdArray::place(tag, length).is_err(), "{tag}");
            assert!(Tick::place(tag, length).is_err() && u64::place(tag, length).is_err(), "{tag}");
        }
    }
    let error = String::place(Tag::Str, 1 << 60).unwrap_err();
    assert_eq!(error.to_string(), "no memory for a copy of a value of 1152921504606846976 bytes");
}

#[test]
fn a_transparent_struct_is_what_it_wraps() {
    assert_eq!(stored(&UserId(7)), stored(&7_u32));
    assert_eq!(decode(Tag::Int.code(), &7_i64.to_le_bytes()), Ok(UserId(7)));
    assert_eq!(key(&UserId(7)), key(&7.0));
    assert_eq!(stored(&[UserId(7); 2]), stored(&[7_u32; 2]));
}

/// A type whose `Shared` is written by hand.
#[test]
fn without_the_derive_a_type_is_plain_data() {
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
    struct ByHand(u64);

    impl Shared for ByHand {
        fn schema() -> Schema {
            u64::schema()
        }
    }

    let (tag, payload) = stored(&ByHand(5));
    assert_eq!((tag, &payload[..8]), (Tag::Plain, u64::schema().fingerprint().to_le_bytes().as_slice()));
    assert_eq!(back(&ByHand(5)), Ok(ByHand(5)));
}

// Numbers.

#[test]
fn ranges_are_checked() {
    assert_eq!(misread::<u8>(&300), "300 does not fit u8: 0 to 255");
    assert_eq!(misread::<u64>(&-1), "-1 does not fit u64: 0 to 18446744073709551615");
    assert_eq!(
        misread::<i64>(&u64::MAX),
        "18446744073709551615 does not fit i64: -9223372036854775808 to 9223372036854775807"
    );
    assert_eq!(misread::<i8>(&-129), "-129 does not fit i8: -128 to 127");
    assert_eq!(misread::<f32>(&1e39), "1e39 does not fit f32: -3.4028235e38 to 3.4028235e38");
    assert_eq!(misread::<f64>(&i64::MAX), "9223372036854775807 does not fit f64: integers of 53 significant bits");
    assert_eq!(misread::<f32>(&16_777_217), "16777217 does not fit f32: integers of 24 significant bits");
    assert_eq!(misread::<bool>(&2), "2 does not fit bool: 0 and 1");
    assert_eq!(misread::<bool>(&-1), "-1 does not fit bool: 0 and 1");
}

#[test]
fn a_key_is_read_back_as_the_type_that_it_was() {
    fn check<T: Key + Decode + PartialEq + Debug>(value: T) {
        let (tag, payload, _) = key(&value);
        assert_eq!(decode::<T>(tag.code(), &payload), Ok(value));
    }
    check(true);
    check(false);
    check(1.0_f64);
    check(-1e18_f64);
    check(2_f64.powi(63));
    check(2_f64.powi(64));
    check(0.1_f64);
    check(16_777_216.0_f32);
    check(f32::MAX);
    check(f32::MIN);
    check(0.1_f32);
    check(u64::MAX);
    check(i64::MIN);
    check(Some("text".to_owned()));
    check(None::<u8>);
}

// Keys.

#[test]
fn equal_numbers_are_one_key() {
    let one = key(&1_u8);
    assert!(one == key(&1_i64) && one == key(&1.0_f32) && one == key(&1.0_f64) && one == key(&true));
    assert!(one == key(&Some(1_u16)) && one == key(&Value::from(true)) && one == key(&Value::UInt(1)));
    assert_eq!(key(&-0.0), key(&false));
    assert_eq!(key(&f64::NAN), key(&-f32::NAN));
    assert_ne!(key(&1), key(&1.5));
    assert_eq!(key(&2_f64.powi(63)), key(&(1_u64 << 63)));
    assert_ne!(key(&2_f64.powi(64)), key(&u64::MAX));
}

#[test]
fn what_differs_in_kind_differs_as_a_key() {
    let keys = [
        key("1"),
        key(&1),
        key(b"1"),
        key(&()),
        key(&Value::Packed(b"1".to_vec())),
        key(&[1_u16]),
        key(&[1_i16]),
        key(""),
        key(&[0_u8; 0]),
    ];
    for (i, key) in keys.iter().enumerate() {
        assert!(keys.iter().skip(i + 1).all(|other| key.2 != other.2 && (key.0, &key.1) != (other.0, &other.1)));
    }
    assert_eq!(key("text"), key(&"text".to_owned()));
    assert_eq!(key(b"text"), key(&b"text".to_vec()));
}

#[test]
fn what_has_no_canonical_form_is_no_key() {
    let array = NdArray::from(NdArrayRef::of(&[1], &[1]).expect("a shape"));
    for value in [Value::Array(array), Value::Pickle(vec![]), Value::Rust(vec![1])] {
        assert_eq!(value.key(|_| ()), Err(KeyError::NotAKey { tag: value.tag() }));
        assert_eq!(Some(value.clone()).key(|_| ()), Err(KeyError::NotAKey { tag: value.tag() }));
    }
}

/// Somebody else's `Encode` may say anything.
#[test]
fn a_foreign_encoding_does_no_harm() {
    struct Odd(Tag, &'static [u8]);

    impl Encode for Odd {
        fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError> {
            Ok(act(Encoded::new(self.0, self.1)))
        }
    }
    impl Key for Odd {}

    for tag in Tag::ALL {
        let odd = Odd(tag, b"odd");
        assert!(odd.key(|key| key.hash()).is_ok() != matches!(tag, Tag::Array | Tag::Pickle | Tag::Rust), "{tag}");
        assert!(Value::of(&odd).is_ok());
    }
}

// Arrays.

#[test]
fn shapes_are_checked() {
    let new = |shape: &[usize], bytes: usize| NdArrayRef::new(Scalar::F64, shape, &vec![0; bytes]).map(|_| ());
    assert_eq!(new(&[2, 3], 48), Ok(()));
    assert_eq!(new(&[2, 3], 47), Err(ShapeError::Length { expected: 48, found: 47 }));
    assert_eq!(new(&[], 8), Ok(()));
    assert_eq!(new(&[usize::MAX, 2], 0), Err(ShapeError::Size));
    assert_eq!(new(&[usize::MAX, 0], 0), Err(ShapeError::Size));
    assert_eq!(new(&[1 << 59, 0, 0], 0), Ok(()));
    assert_eq!(new(&[1; MAX_DIMENSIONS], 8), Ok(()));
    assert_eq!(new(&[1; MAX_DIMENSIONS + 1], 8), Err(ShapeError::Dimensions { found: 33 }));
    let error = NdArrayRef::of(&[1], &[Tick { seq: 0, price: 0.0 }]).unwrap_err();
    assert_eq!(error.to_string(), "the items of an array are numbers, not `T{<Q:seq:<d:price:}`");
}

#[test]
fn values_are_written_in_one_line() {
    let array = |shape: &[usize]| {
        let items: Vec<i16> = (0..).take(shape.iter().product()).collect();
        Value::from(NdArrayRef::of(shape, &items).expect("a shape")).to_string()
    };
    assert_eq!(array(&[2, 2]), "(2,2)<h [[0, 1], [2, 3]]");
    assert_eq!(array(&[]), "<h 0");
    assert_eq!(array(&[0, 3]), "(0,3)<h");
    assert_eq!(array(&[1000]), "(1000)<h");
    assert_eq!(array(&[usize::MAX >> 2, 0]), "(4611686018427387903,0)<h");
    assert_eq!(Value::from("\x1b[2J\u{202e}\n").to_string(), r#""\u{1b}[2J\u{202e}\n""#);
    assert_eq!(Value::from([0, b'a', b'"', 255]).to_string(), r#"b"\x00a\"\xff""#);
    assert_eq!(Value::from(1e300).to_string(), "1e300");
    assert_eq!(Value::from(None::<u8>).to_string(), "none");
    assert_eq!(Value::Pickle(vec![0; 3]).to_string(), "a pickled Python object, 3 bytes");
}

// Everything.

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<Vec<u8>>().prop_map(Value::from),
        (any::<u64>(), any::<Vec<u8>>()).prop_map(|(fingerprint, data)| Value::Plain { fingerprint, data }),
        (vec(0_usize..4, 0..4), any::<i32>()).prop_map(|(shape, first)| {
            let items: Vec<i32> = (0..shape.iter().product()).map(|i| first.wrapping_add(i as i32)).collect();
            NdArrayRef::of(&shape, &items).expect("a shape").into()
        }),
        any::<Vec<u8>>().prop_map(Value::Packed),
        any::<Vec<u8>>().prop_map(Value::Pickle),
        any::<Vec<u8>>().prop_map(Value::Rust),
    ]
}

proptest! {
    #[test]
    fn every_value_comes_back(value in values()) {
        prop_assert_eq!(back(&value), Ok(value.clone()));
        prop_assert_eq!(Value::of(&value), Ok(value.clone()));
        prop_assert!(!value.to_string().contains(char::is_control));
    }

    #[test]
    fn every_type_comes_back(
        numbers in any::<(u8, u16, u32, u64, i8, i16, i32, i64)>(),
        floats in any::<(f32, f64)>(),
        text in any::<String>(),
        bytes in any::<(Vec<u8>, [u8; 16])>(),
        option in any::<Option<bool>>(),
        array in any::<[[i16; 3]; 2]>(),
    ) {
        prop_assert_eq!(back(&numbers.0), Ok(numbers.0));
        prop_assert_eq!(back(&numbers.1), Ok(numbers.1));
        prop_assert_eq!(back(&numbers.2), Ok(numbers.2));
        prop_assert_eq!(back(&numbers.3), Ok(numbers.3));
        prop_assert_eq!(back(&numbers.4), Ok(numbers.4));
        prop_assert_eq!(back(&numbers.5), Ok(numbers.5));
        prop_assert_eq!(back(&numbers.6), Ok(numbers.6));
        prop_assert_eq!(back(&numbers.7), Ok(numbers.7));
        prop_assert_eq!(back(&floats.0), Ok(floats.0));
        prop_assert_eq!(back(&floats.1), Ok(floats.1));
        prop_assert_eq!(back(&Box::<str>::from(text.as_str())), Ok(Box::from(text.as_str())));
        prop_assert_eq!(back(&text), Ok(text));
        prop_assert_eq!(back(&bytes.0), Ok(bytes.0.clone()));
        prop_assert_eq!(back(&bytes.1), Ok(bytes.1));
        prop_assert_eq!(back(&option), Ok(option));
        prop_assert_eq!(back(&array), Ok(array));
    }

    /// A number is the same through [`Value`] as directly, and integers of all types are encoded alike.
    #[test]
    fn one_number_one_encoding(number in any::<u32>()) {
        let encoding = stored(&number);
        prop_assert_eq!(&stored(&u64::from(number)), &encoding);
        prop_assert_eq!(&stored(&i64::from(number)), &encoding);
        prop_assert_eq!(&stored(&Value::UInt(number.into())), &encoding);
        prop_assert_eq!(key(&f64::from(number)), key(&number));
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(code in 0_u8..16, payload in vec(any::<u8>(), 0..64)) {
        if let Ok(value) = decode::<Value>(code, &payload) {
            prop_assert_eq!(stored(&value), (Tag::try_from(code).expect("a tag"), payload.clone()));
        }
        let _ = decode::<u16>(code, &payload);
        let _ = decode::<Option<f32>>(code, &payload);
        let _ = decode::<bool>(code, &payload);
        let _ = decode::<Tick>(code, &payload);
        let _ = decode::<String>(code, &payload);
        if let Ok(tag) = Tag::try_from(code) {
            let _ = hash_key(tag, &payload);
        }
    }

    /// With headers that are nearly right, as random bytes hardly ever are.
    #[test]
    fn any_array_is_a_value_or_an_error(
        dimensions in 0_u8..4,
        dtype in "<[a-zA-Z]",
        shape in vec(prop_oneof![0_u64..4, any::<u64>()], 0..4),
        data in vec(any::<u8>(), 0..32),
    ) {
        let mut payload = vec![dimensions, 2];
        payload.extend(dtype.bytes().chain([0; 4]));
        payload.extend(shape.iter().flat_map(|length| length.to_le_bytes()));
        payload.extend(data);
        if let Ok(array) = decode::<NdArray>(Tag::Array.code(), &payload) {
            prop_assert_eq!(stored(&array), (Tag::Array, payload.clone()));
            prop_assert_eq!(stored(&array.view()), (Tag::Array, payload));
            let items = array.shape().iter().product::<usize>();
            prop_assert_eq!(items * array.dtype().size(), array.data().len());
        }
    }

    /// Copied in the two parts that a reader copies, or in one.
    #[test]
    fn places_have_the_length_they_were_made_for(value in values()) {
        let (tag, payload) = stored(&value);
        let mut place = Value::place(tag, payload.len()).expect("it fits");
        let (head, body) = place.parts();
        prop_assert_eq!(head.len() * 8 + body.len(), payload.len());
        let (first, rest) = payload.split_at(head.len() * 8);
        head.as_flattened_mut().copy_from_slice(first);
        body.copy_from_slice(rest);
        prop_assert_eq!(Value::decode(tag, place), Ok(value));
    }
}
