//! Names of segments and domains, validated once, and the file name they make together.

use std::fmt;

/// What every file of ours starts with.
pub(crate) const PREFIX: &str = "sharedware.";
const LONGEST_NAME: usize = 128;
const LONGEST_DOMAIN: usize = 64;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name is empty.
    #[error("the {what} is empty: give it 1 to {longest} characters of {allowed}")]
    Empty {
        /// "segment name" or "domain name".
        what: &'static str,
        /// The longest that is allowed, in bytes.
        longest: usize,
        /// The characters that are allowed.
        allowed: &'static str,
    },
    /// The name is too long.
    #[error("the {what} has {length} bytes: at most {longest} are allowed")]
    TooLong {
        /// "segment name" or "domain name".
        what: &'static str,
        /// The length found, in bytes.
        length: usize,
        /// The longest that is allowed, in bytes.
        longest: usize,
    },
    /// A character that is not allowed, or not there.
    #[error("the {what} {name:?} has {found:?} at byte {at}: use {allowed}, and do not start with '.'")]
    Character {
        /// "segment name" or "domain name".
        what: &'static str,
        /// The name given.
        name: String,
        /// The character found.
        found: char,
        /// Where, in bytes from the start.
        at: usize,
        /// The characters that are allowed.
        allowed: &'static str,
    },
}

/// The name of a segment: 1 to 128 of `A-Z a-z 0-9 . _ -`, not starting with `.`; the library's own start with `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) const PEERS: &str = "@peers";
    pub(crate) const TEMPORARY: &str = "@tmp-";

    /// A user's name.
    pub(crate) fn new(name: &str) -> Result<Self, NameError> {
        check("segment name", name, LONGEST_NAME, "A-Z a-z 0-9 . _ -", true)?;
        Ok(Self(name.to_owned()))
    }

    /// The registry of a domain.
    pub(crate) fn peers() -> Self {
        Self(Self::PEERS.to_owned())
    }

    /// A name for a segment in the making, where the file system cannot make it without one.
    pub(crate) fn temporary(random: [u8; 16]) -> Self {
        Self(format!("{}{:032x}", Self::TEMPORARY, u128::from_ne_bytes(random)))
    }

    /// A name as it was found in the directory, ours or not.
    pub(crate) fn found(name: &str) -> Self {
        Self(name.to_owned())
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.0.starts_with(Self::TEMPORARY)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Domain names may not contain a dot, so that the file name can be taken apart again.
pub(crate) fn check_domain(name: &str) -> Result<(), NameError> {
    check("domain name", name, LONGEST_DOMAIN, "A-Z a-z 0-9 _ -", false)
}

fn check(what: &'static str, name: &str, longest: usize, allowed: &'static str, dots: bool) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what, longest, allowed });
    }
    if name.len() > longest {
        return Err(NameError::TooLong { what, length: name.len(), longest });
    }
    let fits = |at: usize, c: char| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '-' => true,
        '.' => dots && at > 0,
        _ => false,
    };
    match name.char_indices().find(|&(at, c)| !fits(at, c)) {
        None => Ok(()),
        Some((at, found)) => Err(NameError::Character { what, name: name.to_owned(), found, at, allowed }),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_rule_allows() {
        for name in ["a", "A.b_c-9", &"x".repeat(128), "-", "_", "a."] {
            assert_eq!(Name::new(name).map(|name| name.0), Ok(name.to_owned()));
        }
    }

    #[test]
    fn refuses_everything_else_and_says_why() {
        for (name, message) in [
            ("", "the segment name is empty: give it 1 to 128 characters of A-Z a-z 0-9 . _ -"),
            (&"x".repeat(129), "the segment name has 129 bytes: at most 128 are allowed"),
            (".a", "the segment name \".a\" has '.' at byte 0: use A-Z a-z 0-9 . _ -, and do not start with '.'"),
            ("a/b", "the segment name \"a/b\" has '/' at byte 1: use A-Z a-z 0-9 . _ -, and do not start with '.'"),
            (
                "@peers",
                "the segment name \"@peers\" has '@' at byte 0: use A-Z a-z 0-9 . _ -, and do not start with '.'",
            ),
            ("é", "the segment name \"é\" has 'é' at byte 0: use A-Z a-z 0-9 . _ -, and do not start with '.'"),
            ("a\0", "the segment name \"a\\0\" has '\\0' at byte 1: use A-Z a-z 0-9 . _ -, and do not start with '.'"),
        ] {
            assert_eq!(Name::new(name).unwrap_err().to_string(), message);
        }
        assert!(check_domain("a.b").is_err());
        assert!(check_domain("u1000").is_ok());
    }
}
