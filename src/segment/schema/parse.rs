//! Reading a schema's text, which others may have written.

use std::collections::HashSet;

use super::model::{Field, Scalar, Schema};

/// The longest text that [`Schema::parse`] reads, in bytes.
pub const MAX_TEXT: usize = 1 << 16;
/// The longest name of a field, in bytes of UTF-8.
pub const MAX_NAME: usize = 128;
/// The deepest nesting; every struct and every dimension of an array counts one.
pub const MAX_DEPTH: usize = 32;

/// The largest size of anything, as in Rust.
const MAX_SIZE: usize = isize::MAX.cast_unsigned();

/// A text is not a schema: where, what would have been right, and what was there instead.
///
/// # Example
///
/// ```
/// use sharedware::segment::schema::Schema;
///
/// let error = Schema::parse("T{<Q:seq:>d:price:}").unwrap_err();
/// assert_eq!(error.position(), 9);
/// assert_eq!(
///     error.to_string(),
///     "schema, byte 9: expected a type (`<` and a code, `T{`, or a shape and one of these), found `>`",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema, byte {position}: expected {expected}, found {found}")]
pub struct SchemaError {
    position: usize,
    expected: &'static str,
    found: String,
}

impl SchemaError {
    /// Where in the text, in bytes from its start.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// What would have been right there, in words.
    #[must_use]
    pub const fn expected(&self) -> &'static str {
        self.expected
    }

    /// What was there, in words, with everything escaped that does not print.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }
}

impl Schema {
    /// Reads the notation that [the module](super#notation) describes. Whatever this accepts, `Display` writes back
    /// byte for byte.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] for any text that is not the canonical text of a schema, or that exceeds [`MAX_TEXT`],
    /// [`MAX_NAME`], [`MAX_DEPTH`] or a size of `isize::MAX` bytes.
    ///
    /// # Example
    ///
    /// ```
    /// use sharedware::segment::schema::Schema;
    ///
    /// let text = "T{<Q:seq:(8)<B:sym:T{<d:x:<d:y:}:at:<f:price:4x}";
    /// let schema = Schema::parse(text)?;
    /// assert_eq!((schema.size(), schema.align()), (40, 8));
    /// assert_eq!(schema.to_string(), text);
    /// # Ok::<(), sharedware::segment::schema::SchemaError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let mut parser = Parser { text, at: 0 };
        if text.len() > MAX_TEXT {
            return Err(SchemaError {
                position: MAX_TEXT,
                expected: "at most 65536 bytes of text",
                found: format!("{} of them", text.len()),
            });
        }
        let schema = parser.item(0)?;
        if parser.rest().is_empty() { Ok(schema) } else { Err(parser.expected("the end")) }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// An error about the character that comes next.
    fn expected(&self, expected: &'static str) -> SchemaError {
        let found = match self.rest().chars().next() {
            Some(c) => format!("`{}`", c.escape_debug()),
            None => "the end".to_owned(),
        };
        SchemaError { position: self.at, expected, found }
    }

    fn item(&mut self, mut depth: usize) -> Result<Schema, SchemaError> {
        let start = self.at;
        let mut shape = Vec::new();
        if self.eat("(") {
            loop {
                depth = self.deeper(depth)?;
                shape.push(self.number()?);
                if self.eat(")") {
                    break;
                }
                if !self.eat(",") {
                    return Err(self.expected("`,` or `)`"));
                }
            }
        }
        let element = if self.eat("<") {
            let code = self.rest().chars().next().and_then(Scalar::from_code);
            let scalar = code.ok_or_else(|| self.expected("a type code (one of b B h H i I q Q f d)"))?;
            self.at += scalar.code().len_utf8();
            Schema::scalar(scalar)
        } else if self.rest().starts_with("T{") {
            let depth = self.deeper(depth)?;
            self.at += 2;
            self.structure(depth)?
        } else {
            return Err(self.expected("a type (`<` and a code, `T{`, or a shape and one of these)"));
        };
        shape.into_iter().rev().try_fold(element, |element, len| {
            match element.size().checked_mul(len).is_some_and(|size| size <= MAX_SIZE) {
                true => Ok(Schema::array(len, element)),
                false => Err(too_large(start)),
            }
        })
    }

    /// The fields, from behind `T{` to behind `}`.
    fn structure(&mut self, depth: usize) -> Result<Schema, SchemaError> {
        let (mut end, mut padded) = (0, false);
        let mut fields = Vec::new();
        let mut names = HashSet::new();
        while !self.eat("}") {
            let start = self.at;
            let bytes = if self.rest().starts_with(|c: char| c == 'x' || c.is_ascii_digit()) {
                if padded {
                    return Err(self.expected("a field or `}` after padding"));
                }
                padded = true;
                self.padding()?
            } else {
                padded = false;
                let schema = self.item(depth)?;
                let size = schema.size();
                let at = self.at + 1;
                let name = self.name()?;
                if !names.insert(name) {
                    return Err(SchemaError {
                        position: at,
                        expected: "a name that no field before has",
                        found: format!("another `{name}`"),
                    });
                }
                fields.push(Field::new(name.to_owned(), end, schema));
                size
            };
            end = end.checked_add(bytes).filter(|end| *end <= MAX_SIZE).ok_or_else(|| too_large(start))?;
        }
        Ok(Schema::structure(end, fields))
    }

    /// `x`, or a number from 2 and `x`.
    fn padding(&mut self) -> Result<usize, SchemaError> {
        if self.eat("x") {
            return Ok(1);
        }
        let start = self.at;
        let bytes = self.number()?;
        if !self.eat("x") {
            return Err(self.expected("`x` (padding; the shape of an array stands in parentheses)"));
        }
        if bytes < 2 {
            let found = format!("`{bytes}x`");
            return Err(SchemaError { position: start, expected: "`x`, or a number from 2 and `x`", found });
        }
        Ok(bytes)
    }

    /// Digits, without leading zeros, at most `MAX_SIZE`.
    fn number(&mut self) -> Result<usize, SchemaError> {
        let rest = self.rest();
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        if digits.is_empty() {
            return Err(self.expected("a number"));
        }
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(self.expected("a number without leading zeros"));
        }
        let number = digits.parse().ok().filter(|number| *number <= MAX_SIZE).ok_or_else(|| too_large(self.at))?;
        self.at += digits.len();
        Ok(number)
    }

    /// `:`, a name, `:`.
    fn name(&mut self) -> Result<&'a str, SchemaError> {
        if !self.eat(":") {
            return Err(self.expected("`:` and the name of the field"));
        }
        let (rest, start) = (self.rest(), self.at);
        let Some((name, _)) = rest.split_once(':') else {
            self.at = self.text.len();
            return Err(self.expected("`:` after the name of a field"));
        };
        if name.is_empty() {
            return Err(self.expected("a name"));
        }
        if let Some((i, _)) = name.char_indices().find(|(_, c)| !may_be_in_a_name(*c)) {
            self.at += i;
            return Err(self.expected("a letter, a digit, `_`, or `:` after the name"));
        }
        if name.len() > MAX_NAME {
            let found = format!("{} of them", name.len());
            return Err(SchemaError { position: start, expected: "a name of at most 128 bytes", found });
        }
        self.at += name.len() + 1;
        Ok(name)
    }

    fn deeper(&self, depth: usize) -> Result<usize, SchemaError> {
        if depth < MAX_DEPTH {
            return Ok(depth + 1);
        }
        Err(SchemaError { position: self.at, expected: "at most 32 levels of nesting", found: "one more".to_owned() })
    }
}

fn too_large(position: usize) -> SchemaError {
    SchemaError { position, expected: "a size of at most 2^63 - 1 bytes", found: "more".to_owned() }
}

/// Every character of a Rust identifier is let through; nothing that moves a cursor, reorders or hides text is. ASCII
/// is exact; beyond it, only what Rust's `Debug` would print as it is, or combine with what stands before it.
fn may_be_in_a_name(c: char) -> bool {
    match c {
        '_' => true,
        _ if c.is_ascii() => c.is_ascii_alphanumeric(),
        _ if c.is_alphanumeric() => true,
        // Combining marks (\u{301}) are escaped by `escape_debug` only at the start of a string, which a letter hides
        // here.
        _ => ['a', c].iter().collect::<String>().escape_debug().count() == 2 && !c.is_whitespace(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_letters_and_marks_but_nothing_that_deceives() {
        for good in ['a', 'Z', '0', '_', 'é', '価', '\u{301}', '\u{94d}'] {
            assert!(may_be_in_a_name(good), "{good:?}");
        }
        for bad in
            [':', ' ', '-', '}', '\0', '\n', '\x1b', '\u{7f}', '\u{9b}', '\u{a0}', '\u{200b}', '\u{202e}', '\u{feff}']
        {
            assert!(!may_be_in_a_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn sizes_stop_at_isize_max() {
        assert_eq!(Schema::parse("(9223372036854775807)<B").map(|s| s.size()), Ok(MAX_SIZE));
        assert!(Schema::parse("(9223372036854775808)<B").is_err());
        assert!(Schema::parse("(4611686018427387904)<H").is_err());
        assert!(Schema::parse("T{9223372036854775807xx}").is_err());
        assert!(Schema::parse("T{9223372036854775807x<B:a:}").is_err());
        assert_eq!(Schema::parse("(9223372036854775807,9223372036854775807,0)<d").map(|s| s.size()), Ok(0));
    }
}
