//! Numbers: one encoding for each, whatever type they come from, and ranges.

use super::encode::Encoded;
use super::error::DecodeError;
use super::tag::Tag;
use crate::segment::schema::Scalar;

/// 2^63 and 2^64, which `f64` holds exactly.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// A number as it is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    /// Beyond `i64::MAX`, or else it is an `Int`.
    UInt(u64),
    Float(f64),
}

/// The first bytes; zeros where there are too few, which there never are.
#[inline(always)]
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

impl Number {
    #[inline(always)]
    pub(super) const fn unsigned(value: u64) -> Self {
        if value <= i64::MAX as u64 { Self::Int(value as i64) } else { Self::UInt(value) }
    }

    /// The number that is in memory as this type.
    #[inline(always)]
    pub(super) fn of(scalar: Scalar, bytes: &[u8]) -> Self {
        match scalar {
            Scalar::I8 => Self::Int(i8::from_le_bytes(first(bytes)).into()),
            Scalar::U8 => Self::Int(u8::from_le_bytes(first(bytes)).into()),
            Scalar::I16 => Self::Int(i16::from_le_bytes(first(bytes)).into()),
            Scalar::U16 => Self::Int(u16::from_le_bytes(first(bytes)).into()),
            Scalar::I32 => Self::Int(i32::from_le_bytes(first(bytes)).into()),
            Scalar::U32 => Self::Int(u32::from_le_bytes(first(bytes)).into()),
            Scalar::I64 => Self::Int(i64::from_le_bytes(first(bytes))),
            Scalar::U64 => Self::unsigned(u64::from_le_bytes(first(bytes))),
            Scalar::F32 => Self::Float(f32::from_le_bytes(first(bytes)).into()),
            Scalar::F64 => Self::Float(f64::from_le_bytes(first(bytes))),
        }
    }

    #[inline(always)]
    pub(super) const fn tag(self) -> Tag {
        match self {
            Self::Int(_) => Tag::Int,
            Self::UInt(_) => Tag::UInt,
            Self::Float(_) => Tag::Float,
        }
    }

    #[inline(always)]
    pub(super) const fn bytes(self) -> [u8; 8] {
        match self {
            Self::Int(value) => value.to_le_bytes(),
            Self::UInt(value) => value.to_le_bytes(),
            Self::Float(value) => value.to_le_bytes(),
        }
    }

    #[inline(always)]
    pub(super) fn encode<R>(self, act: impl FnOnce(Encoded<'_>) -> R) -> R {
        act(Encoded::new(self.tag(), &self.bytes()))
    }

    /// The number of this tag and payload; `None` for the tag of anything else.
    #[inline(always)]
    pub(super) fn decode(tag: Tag, bytes: [u8; 8]) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match tag {
            Tag::Int => Self::Int(i64::from_le_bytes(bytes)),
            Tag::UInt => match Self::unsigned(u64::from_le_bytes(bytes)) {
                Self::Int(_) => return Err(DecodeError::Malformed { tag, what: "it is within i64" }),
                number => number,
            },
            Tag::Float => Self::Float(f64::from_le_bytes(bytes)),
            _ => return Ok(None),
        }))
    }

    /// Writes it to memory as this type. Integers do not take floats: that was checked.
    #[inline(always)]
    pub(super) fn put(self, scalar: Scalar, to: &mut [u8]) -> Result<(), DecodeError> {
        macro_rules! integer {
            ($type:ty) => {
                match self {
                    Self::Int(value) => <$type>::try_from(value).ok(),
                    Self::UInt(value) => <$type>::try_from(value).ok(),
                    Self::Float(_) => None,
                }
                .map(|value| write(to, &value.to_le_bytes()))
            };
        }
        let fits = match scalar {
            Scalar::I8 => integer!(i8),
            Scalar::U8 => integer!(u8),
            Scalar::I16 => integer!(i16),
            Scalar::U16 => integer!(u16),
            Scalar::I32 => integer!(i32),
            Scalar::U32 => integer!(u32),
            Scalar::I64 => integer!(i64),
            Scalar::U64 => integer!(u64),
            Scalar::F32 => self.to_f32().map(|value| write(to, &value.to_le_bytes())),
            Scalar::F64 => self.to_f64().map(|value| write(to, &value.to_le_bytes())),
        };
        fits.ok_or_else(|| self.out_of(scalar))
    }

    #[cold]
    fn out_of(self, scalar: Scalar) -> DecodeError {
        let value = match self {
            Self::Int(value) => value.to_string(),
            Self::UInt(value) => value.to_string(),
            Self::Float(value) => format!("{value:?}"),
        };
        let range = match scalar {
            Scalar::I8 => format!("{} to {}", i8::MIN, i8::MAX),
            Scalar::U8 => format!("{} to {}", u8::MIN, u8::MAX),
            Scalar::I16 => format!("{} to {}", i16::MIN, i16::MAX),
            Scalar::U16 => format!("{} to {}", u16::MIN, u16::MAX),
            Scalar::I32 => format!("{} to {}", i32::MIN, i32::MAX),
            Scalar::U32 => format!("{} to {}", u32::MIN, u32::MAX),
            Scalar::I64 => format!("{} to {}", i64::MIN, i64::MAX),
            Scalar::U64 => format!("{} to {}", u64::MIN, u64::MAX),
            Scalar::F32 if matches!(self, Self::Float(_)) => format!("{:?} to {:?}", f32::MIN, f32::MAX),
            Scalar::F32 => "integers of 24 significant bits".to_owned(),
            Scalar::F64 => "integers of 53 significant bits".to_owned(),
        };
        DecodeError::Range { value, into: scalar.name(), range }
    }

    /// The same number as `f64`; not every integer beyond 2^53 is one.
    #[inline(always)]
    fn to_f64(self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(value),
            Self::Int(value) => exact(value as f64, value.into()),
            Self::UInt(value) => exact(value as f64, value.into()),
        }
    }

    /// The nearest `f32`, where a finite number does not become infinite; of an integer, the same number.
    #[inline(always)]
    fn to_f32(self) -> Option<f32> {
        match self {
            Self::Float(wide) => {
                let narrow = wide as f32;
                (narrow.is_finite() || !wide.is_finite()).then_some(narrow)
            }
            Self::Int(value) => exact((value as f32).into(), value.into()).map(|_| value as f32),
            Self::UInt(value) => exact((value as f32).into(), value.into()).map(|_| value as f32),
        }
    }

    /// The one among equal numbers that is a key: an integer, if it is whole and there is one, and one of all NaNs.
    #[inline(always)]
    pub(super) fn canonical(self) -> Self {
        let Self::Float(value) = self else { return self };
        // A cast saturates, and the range of `i64` does not end at a float, so the range is asked first.
        if (-TWO_TO_63..TWO_TO_63).contains(&value) {
            let integer = value as i64;
            if integer as f64 == value { Self::Int(integer) } else { self }
        } else if (TWO_TO_63..TWO_TO_64).contains(&value) {
            Self::UInt(value as u64)
        } else if value.is_nan() {
            Self::Float(f64::from_bits(0x7ff8_0000_0000_0000))
        } else {
            self
        }
    }
}

#[inline(never)]
fn exact(float: f64, integer: i128) -> Option<f64> {
    (float as i128 == integer).then_some(float)
}

#[inline(always)]
fn write(to: &mut [u8], bytes: &[u8]) {
    for (to, from) in to.iter_mut().zip(bytes) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_floats_are_integers_as_keys() {
        let key = |value: f64| Number::Float(value).canonical();
        assert_eq!(key(1.0), Number::Int(1));
        assert_eq!(key(-0.0), Number::Int(0));
        assert_eq!(key(-TWO_TO_63), Number::Int(i64::MIN));
        assert_eq!(key(TWO_TO_63.next_down()), Number::Int(i64::MAX - 1023));
        assert_eq!(key(TWO_TO_63), Number::UInt(1 << 63));
        assert_eq!(key(TWO_TO_64.next_down()), Number::UInt(u64::MAX - 2047));
        for same in [1.5, -1e-300, TWO_TO_64, (-TWO_TO_63).next_down(), 1e300, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(key(same), Number::Float(same));
        }
        assert_eq!(key(-f64::NAN).bytes(), 0x7ff8_0000_0000_0000_u64.to_le_bytes());
    }

    #[test]
    fn floats_take_integers_that_they_hold() {
        assert_eq!(Number::Int(1 << 53).to_f64(), Some(TWO_TO_63 / 1024.0));
        assert_eq!(Number::Int((1 << 53) + 1).to_f64(), None);
        assert_eq!(Number::Int(i64::MIN).to_f64(), Some(-TWO_TO_63));
        assert_eq!(Number::Int(i64::MAX).to_f64(), None);
        assert_eq!(Number::UInt(1 << 63).to_f64(), Some(TWO_TO_63));
        assert_eq!(Number::UInt(u64::MAX).to_f64(), None);
    }

    #[test]
    fn an_f32_rounds_but_does_not_overflow() {
        assert_eq!(Number::Float(0.1).to_f32(), Some(0.1));
        assert_eq!(Number::Float(f64::from(f32::MAX)).to_f32(), Some(f32::MAX));
        assert_eq!(Number::Float(1e39).to_f32(), None);
        assert_eq!(Number::Float(f64::NEG_INFINITY).to_f32(), Some(f32::NEG_INFINITY));
        assert_eq!(Number::Int(-(1 << 24)).to_f32(), Some(-16_777_216.0));
        assert_eq!(Number::Int((1 << 24) + 1).to_f32(), None);
        assert_eq!(Number::UInt(1 << 63).to_f32(), Some(TWO_TO_63 as f32));
        assert_eq!(Number::UInt(u64::MAX).to_f32(), None);
        assert!(Number::Float(f64::NAN).to_f32().is_some_and(f32::is_nan));
    }
}
