//! What a schema is made of.

use xxhash_rust::xxh3::xxh3_64;

/// The layout of one element: a scalar, an array or a struct.
///
/// Made by [`Shared::schema`](super::Shared::schema) or by [`Schema::parse`]; written by `Display`. Equality is
/// equality of layout: same names, same types, same offsets, same size. The names of the Rust types are no part of it.
///
/// # Example
///
/// ```
/// use sharedware::segment::schema::Schema;
/// use sharedware::Shared;
///
/// let schema = <[f32; 4]>::schema();
/// assert_eq!(schema.to_string(), "(4)<f");
/// assert_eq!(Schema::parse("(4)<f"), Ok(schema));
/// ```
//
// Invariants:
// 1. `size` is what `kind` amounts to, and at most `isize::MAX`.
// 2. The shape of an array is not empty and its element is not an array: there is one way to say `[[T; 3]; 2]`.
// 3. The fields of a struct are in order of offset, do not overlap, and end at or before `size`.
// 4. `align` is a power of two.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Schema {
    kind: Kind,
    size: usize,
    align: usize,
}

/// What a [`Schema`] describes; a view, from [`Schema::kind`].
///
/// # Example
///
/// ```
/// use sharedware::segment::schema::{Kind, Scalar, Schema};
///
/// let schema = Schema::parse("(2,3)<d")?;
/// let Kind::Array { shape, element } = schema.kind() else { panic!("not an array") };
/// assert_eq!(shape, &[2, 3]);
/// assert_eq!(element.kind(), &Kind::Scalar(Scalar::F64));
/// # Ok::<(), sharedware::segment::schema::SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// One number.
    Scalar(Scalar),
    /// An array, of one dimension or more, in row-major order: `[[T; 3]; 2]` has the shape `[2, 3]`.
    Array {
        /// The lengths, outermost first; at least one.
        shape: Vec<usize>,
        /// What is in the innermost dimension; never itself an array.
        element: Box<Schema>,
    },
    /// A struct: its fields in order of their offsets.
    Struct(Vec<Field>),
}

/// A number of fixed width, little-endian.
///
/// # Example
///
/// ```
/// use sharedware::segment::schema::Scalar;
///
/// assert_eq!((Scalar::U64.code(), Scalar::U64.name(), Scalar::U64.size()), ('Q', "u64", 8));
/// assert_eq!(Scalar::from_code('Q'), Some(Scalar::U64));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scalar {
    /// `b`
    I8,
    /// `B`
    U8,
    /// `h`
    I16,
    /// `H`
    U16,
    /// `i`
    I32,
    /// `I`
    U32,
    /// `q`
    I64,
    /// `Q`
    U64,
    /// `f`
    F32,
    /// `d`
    F64,
}

impl Scalar {
    /// The code of PEP 3118, in its standard sizes (those that hold after `<`).
    #[must_use]
    pub const fn code(self) -> char {
        match self {
            Self::I8 => 'b',
            Self::U8 => 'B',
            Self::I16 => 'h',
            Self::U16 => 'H',
            Self::I32 => 'i',
            Self::U32 => 'I',
            Self::I64 => 'q',
            Self::U64 => 'Q',
            Self::F32 => 'f',
            Self::F64 => 'd',
        }
    }

    /// The scalar of this code; `None` for every other character.
    #[must_use]
    pub const fn from_code(code: char) -> Option<Self> {
        Some(match code {
            'b' => Self::I8,
            'B' => Self::U8,
            'h' => Self::I16,
            'H' => Self::U16,
            'i' => Self::I32,
            'I' => Self::U32,
            'q' => Self::I64,
            'Q' => Self::U64,
            'f' => Self::F32,
            'd' => Self::F64,
            _ => return None,
        })
    }

    /// The name of the type in Rust.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::I64 => "i64",
            Self::U64 => "u64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Bytes, which is also its natural alignment.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

/// A field of a struct.
///
/// # Example
///
/// ```
/// use sharedware::segment::schema::Schema;
///
/// let schema = Schema::parse("T{<Q:seq:<d:price:}")?;
/// let price = &schema.fields()[1];
/// assert_eq!((price.name(), price.offset(), price.schema().to_string()), ("price", 8, "<d".into()));
/// # Ok::<(), sharedware::segment::schema::SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    name: String,
    offset: usize,
    schema: Schema,
}

impl Field {
    pub(super) const fn new(name: String, offset: usize, schema: Schema) -> Self {
        Self { name, offset, schema }
    }

    /// Its name; `0`, `1` and so on in a tuple struct.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes from the start of the struct.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Its type.
    #[must_use]
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Bytes from the start of the struct to the end of the field.
    pub(super) const fn end(&self) -> usize {
        self.offset.saturating_add(self.schema.size)
    }
}

impl Schema {
    pub(super) const fn scalar(scalar: Scalar) -> Self {
        Self { kind: Kind::Scalar(scalar), size: scalar.size(), align: scalar.size() }
    }

    /// `len` of `element`, one after the other. The size must fit (invariant 1): a Rust type's does, the parser asks
    /// first.
    pub(super) fn array(len: usize, element: Self) -> Self {
        let (size, align) = (element.size.saturating_mul(len), element.align);
        let kind = match element.kind {
            Kind::Array { mut shape, element } => {
                shape.insert(0, len);
                Kind::Array { shape, element }
            }
            Kind::Scalar(_) | Kind::Struct(_) => Kind::Array { shape: vec![len], element: Box::new(element) },
        };
        Self { kind, size, align }
    }

    /// An array of numbers; one of no dimensions is a number. As above, the size must fit.
    pub(crate) fn array_of(shape: &[usize], scalar: Scalar) -> Self {
        shape.iter().rev().fold(Self::scalar(scalar), |inner, len| Self::array(*len, inner))
    }

    /// Fields in order of offset, without overlap, within `size` (invariant 3): the callers see to it.
    pub(super) fn structure(size: usize, fields: Vec<Field>) -> Self {
        debug_assert!(fields.is_sorted_by(|a, b| a.end() <= b.offset), "invariant 3 on Schema");
        debug_assert!(fields.last().is_none_or(|last| last.end() <= size), "invariant 3 on Schema");
        let widest = fields.iter().map(|field| field.schema.align).max().unwrap_or(1);
        let aligned = size.is_multiple_of(widest) && fields.iter().all(|f| f.offset.is_multiple_of(f.schema.align));
        Self { kind: Kind::Struct(fields), size, align: if aligned { widest } else { 1 } }
    }

    /// What it describes.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Bytes of one element, padding included.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The alignment that its scalars ask for: that of the widest, or 1 where a field does not lie on a multiple of its
    /// own width, as in a packed struct.
    ///
    /// The notation has no word for alignment, so a Rust type may have more of it (`repr(align)`) or less
    /// (`repr(packed)` whose fields happen to lie well).
    ///
    /// ```
    /// use sharedware::segment::schema::Schema;
    ///
    /// assert_eq!(Schema::parse("T{<I:a:4x<d:b:}")?.align(), 8);
    /// assert_eq!(Schema::parse("T{<I:a:<d:b:}")?.align(), 1);
    /// # Ok::<(), sharedware::segment::schema::SchemaError>(())
    /// ```
    #[must_use]
    pub const fn align(&self) -> usize {
        self.align
    }

    /// The fields of a struct in order of their offsets; none for a scalar or an array.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        match &self.kind {
            Kind::Struct(fields) => fields,
            Kind::Scalar(_) | Kind::Array { .. } => &[],
        }
    }

    /// XXH3 (64 bits, seed 0) of the text: equal layouts have equal fingerprints, in every build and for ever.
    ///
    /// ```
    /// use sharedware::segment::schema::Schema;
    /// use sharedware::Shared;
    ///
    /// assert_eq!(u64::schema().fingerprint(), Schema::parse("<Q")?.fingerprint());
    /// assert_ne!(u64::schema().fingerprint(), i64::schema().fingerprint());
    /// # Ok::<(), sharedware::segment::schema::SchemaError>(())
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        xxh3_64(self.to_string().as_bytes())
    }
}
