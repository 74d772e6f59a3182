//! The hash of a key: part of the layout, so the same in every build, on every machine, for ever.

use rapidhash::v3::{RapidSecrets, RapidStreamHasherV3, rapidhash_v3_inline};

use super::encode::Encoded;
use super::tag::Tag;

/// Which hash [`hash_key`] is; what a collection that stores hashes has in its header.
pub const HASH_VERSION: u32 = 1;

/// The longest payload in two parts that is put together before it is hashed.
const SHORT: usize = 128;

/// The hash of a key, of its canonical bytes: [rapidhash] V3 (the plain one, neither micro nor nano) with the tag's code as the
/// seed, which in C is `rapidhash_withSeed(bytes, length, code)`.
///
/// Whoever chooses the keys can choose keys that collide. Let nobody do so whom you would not let write.
///
/// ```
/// use sharedware::collections::value::{Tag, hash_key};
///
/// assert_eq!(hash_key(Tag::Str, b"key"), 0xd2d6a8923fa8de9c);
/// ```
///
/// [rapidhash]: https://github.com/Nicoshev/rapidhash
#[must_use]
#[inline(always)]
pub const fn hash_key(tag: Tag, bytes: &[u8]) -> u64 {
    rapidhash_v3_inline::<true, false, false>(bytes, &secrets(tag))
}

#[inline(always)]
const fn secrets(tag: Tag) -> RapidSecrets {
    RapidSecrets::seed_cpp(tag.code() as u64)
}

/// The hash of a payload in two parts.
#[inline(always)]
pub(super) fn hash(value: Encoded<'_>) -> u64 {
    if value.head().is_empty() {
        return hash_key(value.tag(), value.body());
    }
    let mut together = [0; SHORT];
    let mut rest = together.as_mut_slice();
    for part in [value.head().as_flattened(), value.body()] {
        let Some((to, behind)) = rest.split_at_mut_checked(part.len()) else { return hash_long(value) };
        to.copy_from_slice(part);
        rest = behind;
    }
    let length = SHORT - rest.len();
    hash_key(value.tag(), together.get(..length).unwrap_or_default())
}

#[inline(never)]
fn hash_long(value: Encoded<'_>) -> u64 {
    let secrets = secrets(value.tag());
    let mut hasher = RapidStreamHasherV3::new(&secrets);
    hasher.write(value.head().as_flattened());
    hasher.write(value.body());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_parts_hash_as_one() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for length in (0..300).chain([999]) {
            for words in 0..3 {
                let head = vec![[7; 8]; words];
                let value = Encoded::with_head(Tag::Plain, &head, &bytes[..length]);
                assert_eq!(hash(value), hash_key(Tag::Plain, &value.to_vec()), "{words} words, {length} bytes");
                assert_eq!(hash_long(value), hash(value), "{words} words, {length} bytes");
            }
        }
    }

    #[test]
    fn the_tag_counts() {
        let hashes = Tag::ALL.map(|tag| hash_key(tag, b"key"));
        assert!((1..hashes.len()).all(|i| !hashes[..i].contains(&hashes[i])));
    }
}
