//! The schema from outside: text, layout, differences and values.

#![cfg(feature = "derive")]

use bytemuck::{Pod, Zeroable};
use proptest::prelude::*;
use sharedware::Shared;
use sharedware::segment::schema::{Kind, MAX_DEPTH, MAX_NAME, MAX_TEXT, MAX_VALUES, Schema, Value, ValueError};

fn parse(text: &str) -> Schema {
    Schema::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

// Text.

#[test]
fn every_accepted_text_is_written_back() {
    for text in [
        "<b",
        "<d",
        "(4)<d",
        "(2,3)<d",
        "(0)<Q",
        "T{}",
        "T{x}",
        "T{4x}",
        "T{<Q:seq:<d:price:}",
        "T{<B:a:x<H:b:4x}",
        "(3)T{<B:a:(2)T{<d:x:}:b:}",
        "T{<Q:0:<Q:1:}",
        "T{<d:größe:<d:価格:}",
    ] {
        assert_eq!(parse(text).to_string(), text);
    }
}

/// Text, position, and what the message says was expected and found.
const REFUSED: &[(&str, usize, &str, &str)] = &[
    ("", 0, "a type", "the end"),
    ("d", 0, "a type", "`d`"),
    (">d", 0, "a type", "`>`"),
    ("<", 1, "a type code", "the end"),
    ("<z", 1, "a type code", "`z`"),
    ("<\u{202e}", 1, "a type code", "`\\u{202e}`"),
    ("<?", 1, "a type code", "`?`"),
    ("<dd", 2, "the end", "`d`"),
    ("4x", 0, "a type", "`4`"),
    ("()<d", 1, "a number", "`)`"),
    ("(-1)<d", 1, "a number", "`-`"),
    ("(04)<d", 1, "leading zeros", "`0`"),
    ("(4", 2, "`,` or `)`", "the end"),
    ("(4)", 3, "a type", "the end"),
    ("(4)(4)<d", 3, "a type", "`(`"),
    ("(99999999999999999999)<d", 1, "2^63 - 1", "more"),
    ("(4294967296,4294967296)<d", 0, "2^63 - 1", "more"),
    ("T", 0, "a type", "`T`"),
    ("T{", 2, "a type", "the end"),
    ("T{<d}", 4, "`:`", "`}`"),
    ("T{<d:a}", 7, "`:` after", "the end"),
    ("T{<d::}", 5, "a name", "`:`"),
    ("T{<d:a b:}", 6, "a letter", "` `"),
    ("T{<d:\x1b[2J:}", 5, "a letter", "`\\u{1b}`"),
    ("T{<d:a:<d:a:}", 10, "no field before", "another `a`"),
    ("T{4<d:a:}", 3, "`x`", "`<`"),
    ("T{0x}", 2, "from 2", "`0x`"),
    ("T{1x}", 2, "from 2", "`1x`"),
    ("T{xx}", 3, "after padding", "`x`"),
    ("T{<d:a:}}", 8, "the end", "`}`"),
];

#[test]
fn refusals_say_where_and_why() {
    for (text, position, expected, found) in REFUSED {
        let error = Schema::parse(text).expect_err(text);
        assert_eq!(error.position(), *position, "{text}: {error}");
        assert!(error.expected().contains(expected), "{text}: {error}");
        assert_eq!(error.found(), *found, "{text}: {error}");
    }
}

#[test]
fn limits_hold_and_are_refused_beyond() {
    let nested = |depth: usize| format!("{}{}", "T{".repeat(depth), "}:a:".repeat(depth).trim_end_matches(":a:"));
    assert!(Schema::parse(&nested(MAX_DEPTH)).is_ok());
    assert!(Schema::parse(&nested(MAX_DEPTH + 1)).is_err());
    assert!(Schema::parse(&"T{".repeat(MAX_TEXT / 2)).is_err());

    let dimensions = |n: usize| format!("({})<B", vec!["1"; n].join(","));
    assert!(Schema::parse(&dimensions(MAX_DEPTH)).is_ok());
    assert!(Schema::parse(&dimensions(MAX_DEPTH + 1)).is_err());

    let named = |bytes: usize| format!("T{{<B:{}:}}", "n".repeat(bytes));
    assert!(Schema::parse(&named(MAX_NAME)).is_ok());
    assert!(Schema::parse(&named(MAX_NAME + 1)).is_err());

    assert!(Schema::parse(&"<".repeat(MAX_TEXT + 1)).unwrap_err().to_string().contains("at most 65536 bytes"));
}

/// A text, and the size of what it describes.
fn any_item() -> impl Strategy<Value = (String, usize)> {
    let scalar =
        prop::sample::select(vec![("<b", 1), ("<B", 1), ("<h", 2), ("<I", 4), ("<f", 4), ("<q", 8), ("<d", 8)])
            .prop_map(|(text, size)| (text.to_owned(), size));
    scalar.prop_recursive(4, 24, 5, |inner| {
        let shaped = (inner.clone(), prop::collection::vec(0..5_usize, 1..4))
            .prop_filter("an array's element is no array", |((text, _), _)| !text.starts_with('('))
            .prop_map(|((text, size), shape)| {
                let lengths: Vec<_> = shape.iter().map(usize::to_string).collect();
                (format!("({}){text}", lengths.join(",")), size * shape.iter().product::<usize>())
            });
        let structure = (prop::collection::vec((0..6_usize, inner, "[a-zé_]{1,4}"), 0..5), 0..9_usize).prop_map(
            |(fields, tail)| {
                let padding = |bytes| match bytes {
                    0 => String::new(),
                    1 => "x".to_owned(),
                    n => format!("{n}x"),
                };
                let (mut text, mut size) = ("T{".to_owned(), tail);
                for (i, (gap, (item, bytes), name)) in fields.into_iter().enumerate() {
                    text += &format!("{}{item}:{name}{i}:", padding(gap));
                    size += gap + bytes;
                }
                (text + &padding(tail) + "}", size)
            },
        );
        prop_oneof![shaped, structure]
    })
}

proptest! {
    #[test]
    fn text_and_schema_are_one((text, size) in any_item()) {
        let schema = Schema::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(schema.to_string(), text);
        prop_assert_eq!(schema.size(), size);
        prop_assert!(schema.value(&vec![0x5a; size]).is_ok());
        prop_assert!(schema.value(&vec![0; size + 1]).is_err());
        prop_assert_eq!(schema.difference(&schema), None);
    }

    #[test]
    fn whatever_is_accepted_is_canonical(text in "[(){}<>:,x0-9TdBQIa]{0,24}|\\PC{0,24}") {
        if let Ok(schema) = Schema::parse(&text) {
            prop_assert_eq!(schema.to_string(), text);
        }
    }

    #[test]
    fn a_damaged_text_is_refused_or_canonical((text, _) in any_item(), at in any::<prop::sample::Index>(), by in any::<char>()) {
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        chars[at] = by;
        let text: String = chars.into_iter().collect();
        if let Ok(schema) = Schema::parse(&text) {
            prop_assert_eq!(schema.to_string(), text);
        }
    }

    #[test]
    fn two_schemas_differ_visibly_or_not_at_all((a, _) in any_item(), (b, _) in any_item()) {
        let (a, b) = (parse(&a), parse(&b));
        match a.difference(&b) {
            None => prop_assert_eq!(a.to_string(), b.to_string()),
            Some(difference) => {
                prop_assert_ne!(a.to_string(), b.to_string());
                prop_assert!(difference.to_string().contains("\n*"), "{}", difference);
            }
        }
    }
}

#[test]
fn fingerprints_are_fixed_for_ever() {
    assert_eq!(parse("<Q").fingerprint(), 0x707f_0d0b_bef7_5f2e);
    assert_eq!(parse("T{<Q:seq:<d:price:}").fingerprint(), 0xfa35_7ec3_2992_d845);
}
// Layout.

/// That the derived schema of `$type` is `$text`, and that it agrees with the compiler on every named field.
macro_rules! agrees {
    ($type:ty, $text:expr, [$($field:tt),*]) => {{
        let schema = <$type>::schema();
        let text: &str = $text;
        assert_eq!(schema.to_string(), text);
        assert_eq!(Schema::parse(text).as_ref(), Ok(&schema));
        assert_eq!(schema.size(), size_of::<$type>());
        let offsets: Vec<_> = schema.fields().iter().map(|field| (field.name(), field.offset())).collect();
        assert_eq!(offsets, [$((stringify!($field).trim_start_matches("r#"), std::mem::offset_of!($type, $field))),*]);
    }};
}

#[derive(Clone, Copy, Pod, Zeroable, Shared)]
#[repr(C)]
struct Tick {
    seq: u64,
    price: f64,
    symbol: [u8; 8],
    levels: [[u16; 2]; 4],
}

#[test]
fn a_struct_is_its_fields() {
    agrees!(Tick, "T{<Q:seq:<d:price:(8)<B:symbol:(4,2)<H:levels:}", [seq, price, symbol, levels]);
    assert_eq!(Tick::schema().align(), align_of::<Tick>());
}

#[derive(Clone, Copy, Pod, Zeroable, Shared)]
#[repr(C)]
struct Nested {
    head: Tick,
    r#type: u32,
    größe: i32,
    tail: [Tick; 2],
}

#[test]
fn structs_nest_and_raw_names_are_plain() {
    let tick = Tick::schema();
    let text = format!("T{{{tick}:head:<I:type:<i:größe:(2){tick}:tail:}}");
    agrees!(Nested, &text, [head, r#type, größe, tail]);
}

#[derive(Clone, Copy, Pod, Zeroable, Shared)]
#[repr(C)]
struct Pair(u64, i64);

#[test]
fn tuple_fields_are_numbered() {
    agrees!(Pair, "T{<Q:0:<q:1:}", [0, 1]);
}

#[derive(Clone, Copy, Pod, Zeroable, Shared)]
#[repr(C, packed)]
struct Packed {
    flag: u8,
    value: u64,
}

#[test]
fn packed_fields_lie_where_they_lie() {
    agrees!(Packed, "T{<B:flag:<Q:value:}", [flag, value]);
    assert_eq!(Packed::schema().align(), 1);
}

#[derive(Clone, Copy, Pod, Zeroable, Shared)]
#[repr(C, align(16))]
struct Aligned {
    a: u64,
    b: u64,
}

#[test]
fn more_alignment_leaves_no_trace() {
    agrees!(Aligned, "T{<Q:a:<Q:b:}", [a, b]);
}

/// Packed, because only then does bytemuck derive `Pod` for a generic struct.
#[derive(Clone, Copy, Pod, Zeroable, Shared)]
#[repr(C, packed)]
struct Grid<T, const W: usize, const H: usize>
where
    T: Copy + 'static,
{
    origin: [T; 2],
    cells: [[T; W]; H],
    name: [u8; 8],
}

#[test]
fn generic_structs_follow_their_parameters() {
    agrees!(Grid<f32, 3, 2>, "T{(2)<f:origin:(2,3)<f:cells:(8)<B:name:}", [origin, cells, name]);
    agrees!(Grid<Pair, 1, 1>, "T{(2)T{<Q:0:<q:1:}:origin:(1,1)T{<Q:0:<q:1:}:cells:(8)<B:name:}", [origin, cells, name]);
}

#[derive(Clone, Copy, Pod, Zeroable, Shared)]
#[repr(transparent)]
struct Id<T>
where
    T: 'static,
{
    raw: u64,
    of: std::marker::PhantomData<T>,
}

#[derive(Clone, Copy, Pod, Zeroable, Shared)]
#[repr(C)]
struct Order {
    id: Id<Tick>,
    price: Price,
}

#[derive(Clone, Copy, Pod, Zeroable, Shared)]
#[repr(transparent)]
struct Price(f64);

#[test]
fn a_transparent_struct_is_its_one_field() {
    assert_eq!(Id::<Tick>::schema(), u64::schema());
    agrees!(Order, "T{<Q:id:<d:price:}", [id, price]);
}

mod elsewhere {
    pub(crate) mod reexport {
        pub(crate) use ::sharedware::*;
    }
}

#[derive(Clone, Copy, Pod, Zeroable, Shared)]
#[shared(crate = "elsewhere::reexport")]
#[repr(C)]
struct Renamed {
    a: u64,
}

#[test]
fn the_crate_may_be_elsewhere() {
    agrees!(Renamed, "T{<Q:a:}", [a]);
}

// Differences.

#[track_caller]
fn differs(expected: &str, found: &str, table: &str) {
    let difference = parse(expected).difference(&parse(found)).expect("they differ");
    assert_eq!(format!("\n{difference}\n"), table);
}

#[test]
fn a_changed_type_is_marked_and_moves_what_follows() {
    differs(
        "T{<Q:seq:<d:price:<I:size:4x}",
        "T{<Q:seq:<f:price:<I:size:}",
        "
  expected         found
     0 seq: u64       0 seq: u64
*    8 price: f64     8 price: f32
*   16 size: u32     12 size: u32
*   24 bytes         16 bytes
",
    );
}

#[test]
fn added_removed_and_renamed_fields_stand_apart() {
    differs(
        "T{<Q:seq:<I:a:<I:b:<Q:end:}",
        "T{<Q:stamp:<Q:seq:<I:a:<Q:finish:}",
        "
  expected       found
*                   0 stamp: u64
*    0 seq: u64     8 seq: u64
*    8 a: u32      16 a: u32
*   12 b: u32      20 finish: u64
*   16 end: u64
*   24 bytes       28 bytes
",
    );
}

#[test]
fn nested_structs_are_opened() {
    differs(
        "T{T{<d:x:<d:y:}:at:(4)T{<Q:id:}:legs:}",
        "T{T{<d:y:<d:x:}:at:(4)T{<q:id:}:legs:}",
        "
  expected                   found
     0 at: {16 bytes}           0 at: {16 bytes}
*    0   x: f64                 0   y: f64
*    8   y: f64                 8   x: f64
    16 legs: [{8 bytes}; 4]    16 legs: [{8 bytes}; 4]
*   16   id: u64               16   id: i64
    48 bytes                   48 bytes
",
    );
}

#[test]
fn scalars_arrays_and_structs_compare() {
    differs(
        "<Q",
        "<d",
        "
  expected    found
*    0 u64       0 f64
     8 bytes     8 bytes
",
    );
    differs(
        "(4)<d",
        "T{<d:x:<d:y:}",
        "
  expected       found
*    0 [f64; 4]     0 {16 bytes}
*                   0   x: f64
*                   8   y: f64
*   32 bytes       16 bytes
",
    );
}

#[test]
fn padding_alone_shows_in_the_size() {
    differs(
        "T{<I:a:}",
        "T{<I:a:4x}",
        "
  expected     found
     0 a: u32     0 a: u32
*    4 bytes      8 bytes
",
    );
}

#[test]
fn of_many_fields_only_the_different_are_shown() {
    let fields =
        |code: &str| (0..4000).map(|i| format!("<{}:f{i}:", if i == 3000 { code } else { "I" })).collect::<String>();
    let (a, b) = (format!("T{{{}}}", fields("I")), format!("T{{{}}}", fields("i")));
    let table = parse(&a).difference(&parse(&b)).expect("they differ").to_string();
    assert!(table.lines().count() < 10 && table.contains("f3000: i32") && table.contains("3999 more rows"), "{table}");
}

// Values.

#[test]
fn values_print_on_one_line() {
    let tick = Tick { seq: 7, price: 1.5, symbol: *b"ACME\0\0\0\0", levels: [[1, 2], [3, 4], [5, 6], [7, 8]] };
    let value = Tick::schema().value(bytemuck::bytes_of(&tick)).unwrap();
    assert_eq!(value.to_string(), r#"{seq: 7, price: 1.5, symbol: "ACME", levels: [[1, 2], [3, 4], [5, 6], [7, 8]]}"#);
    assert_eq!(value.get("seq"), Some(&Value::UInt(7)));
    assert_eq!(value.get("nothing"), None);
}

#[test]
fn extremes_print_short_and_right() {
    fn shown<T: Shared>(value: T) -> String {
        T::schema().value(bytemuck::bytes_of(&value)).unwrap().to_string()
    }
    assert_eq!(shown(u64::MAX), "18446744073709551615");
    assert_eq!(shown(i64::MIN), "-9223372036854775808");
    assert_eq!(shown(i8::MIN), "-128");
    assert_eq!(shown(0.1_f32), "0.1");
    assert_eq!(shown(1e300), "1e300");
    assert_eq!(shown(f64::NAN), "NaN");
    assert_eq!(shown([f64::INFINITY, 1.0]), "[inf, 1.0]");
    assert_eq!(shown([0_u8; 3]), "[0, 0, 0]");
    assert_eq!(shown([0_u64; 0]), "[]");
    assert_eq!(shown(*b"\x1b[2J"), "[27, 91, 50, 74]");
    assert_eq!(shown([*b"ab", *b"\0\x01"]), r#"["ab", [0, 1]]"#);
}

#[test]
fn packed_and_padded_bytes_are_read_where_they_lie() {
    let value = parse("T{<B:a:3x<I:b:<H:c:2x}").value(&[1, 9, 9, 9, 2, 0, 0, 0, 3, 0, 9, 9]).unwrap();
    assert_eq!(value.to_string(), "{a: 1, b: 2, c: 3}");
    let value = parse("T{<B:a:<I:b:}").value(&[1, 2, 0, 0, 0]).unwrap();
    assert_eq!(value.to_string(), "{a: 1, b: 2}");
}

#[test]
fn the_wrong_number_of_bytes_is_an_error() {
    assert_eq!(parse("<Q").value(&[0; 7]), Err(ValueError::Length { expected: 8, found: 7 }));
}

#[test]
fn vast_arrays_of_nothing_are_refused_at_once() {
    for text in [
        "(9223372036854775807)T{}",
        "(9223372036854775807,0)<d",
        "(1000,1000,1000,1000)T{}",
        "(1000)T{(1000)T{(1000)T{}:a:}:a:}",
    ] {
        assert_eq!(parse(text).value(&[]), Err(ValueError::TooMany), "{text}");
    }
    let longest = parse(&format!("({})<H", MAX_VALUES - 1));
    assert!(longest.value(&vec![0; longest.size()]).is_ok());
    let longer = parse(&format!("({MAX_VALUES})<H"));
    assert_eq!(longer.value(&vec![0; longer.size()]), Err(ValueError::TooMany));
    let Kind::Array { shape, .. } = longer.kind() else { panic!("an array") };
    assert_eq!(shape, &[MAX_VALUES]);
}
