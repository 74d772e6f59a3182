//! A schema as text: the canonical notation, and the names that people know from Rust.

use std::fmt::{self, Display, Formatter};

use super::model::{Kind, Schema};

/// The canonical text, which [`Schema::parse`] reads back.
impl Display for Schema {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Kind::Scalar(scalar) => write!(f, "<{}", scalar.code()),
            Kind::Array { shape, element } => {
                for (i, len) in shape.iter().enumerate() {
                    write!(f, "{}{len}", if i == 0 { "(" } else { "," })?;
                }
                write!(f, "){element}")
            }
            Kind::Struct(fields) => {
                f.write_str("T{")?;
                let mut end = 0;
                for field in fields {
                    padding(f, field.offset().saturating_sub(end))?;
                    write!(f, "{}:{}:", field.schema(), field.name())?;
                    end = field.end();
                }
                padding(f, self.size().saturating_sub(end))?;
                f.write_str("}")
            }
        }
    }
}

fn padding(f: &mut Formatter<'_>, bytes: usize) -> fmt::Result {
    match bytes {
        0 => Ok(()),
        1 => f.write_str("x"),
        _ => write!(f, "{bytes}x"),
    }
}

/// A type as Rust writes it: `f64`, `[[f64; 3]; 2]`, `[{8 bytes}; 4]`; a struct is known by its size here.
pub(super) struct RustName<'a>(pub(super) &'a Schema);

impl Display for RustName<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            Kind::Scalar(scalar) => f.write_str(scalar.name()),
            Kind::Array { shape, element } => {
                for _ in shape {
                    f.write_str("[")?;
                }
                write!(f, "{}", RustName(element))?;
                shape.iter().rev().try_for_each(|len| write!(f, "; {len}]"))
            }
            Kind::Struct(_) => write!(f, "{{{} bytes}}", self.0.size()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_names_nest_outermost_last() {
        let name = |text: &str| RustName(&Schema::parse(text).unwrap()).to_string();
        assert_eq!(name("<d"), "f64");
        assert_eq!(name("(2,3)<d"), "[[f64; 3]; 2]");
        assert_eq!(name("(4)T{<d:x:}"), "[{8 bytes}; 4]");
    }
}
