//! Copies between private memory and shared words, one relaxed access a word.
//!
//! Another process may write the words meanwhile; the result is then a mixture, never undefined behaviour. Whoever needs to
//! know validates afterwards (see `slot`).

use super::access::Access;
use super::atomic::{Ordering::Relaxed, Word};

/// How many words hold `bytes` bytes.
pub(crate) const fn words_for(bytes: usize) -> usize {
    bytes.div_ceil(8)
}

/// Copies `to.len()` bytes out of the words, as many as both sides have.
#[inline(always)]
pub(crate) fn load_bytes<A: Access>(from: &[Word<A>], to: &mut [u8]) {
    let mut chunks = to.chunks_exact_mut(8);
    let mut words = from.iter();
    for chunk in &mut chunks {
        let Some(word) = words.next() else { return };
        chunk.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
    }
    let rest = chunks.into_remainder();
    if let Some(word) = words.next() {
        for (to, from) in rest.iter_mut().zip(word.load(Relaxed).to_ne_bytes()) {
            *to = from;
        }
    }
}

/// Copies `from` into the words, as much as both sides have; the last word is padded with zeros.
#[inline(always)]
pub(crate) fn store_bytes(to: &[Word], from: &[u8]) {
    let mut chunks = from.chunks_exact(8);
    let mut words = to.iter();
    for chunk in &mut chunks {
        let Some(word) = words.next() else { return };
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        word.store(u64::from_ne_bytes(bytes), Relaxed);
    }
    let rest = chunks.remainder();
    if !rest.is_empty()
        && let Some(word) = words.next()
    {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(rest) {
            *to = *from;
        }
        word.store(u64::from_ne_bytes(bytes), Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn copies_every_length_and_nothing_beyond() {
        for length in 0..40 {
            let words: Vec<Word> = (0..5).map(|_| Word::new(u64::MAX)).collect();
            let bytes: Vec<u8> = (1..=length).collect();
            store_bytes(&words, &bytes);
            let mut back = vec![0; bytes.len()];
            load_bytes(&words, &mut back);
            assert_eq!(back, bytes);
            let untouched = words.iter().skip(words_for(bytes.len()));
            assert!(untouched.clone().all(|word| word.load(Relaxed) == u64::MAX), "length {length}");
        }
    }

    #[test]
    fn the_shorter_side_bounds_the_copy() {
        let words = [Word::new(0)];
        store_bytes(&words, &[7; 64]);
        let mut out = [1; 24];
        load_bytes(&words, &mut out);
        assert_eq!(out[..8], [7; 8]);
        assert_eq!(out[8..], [1; 16]);
    }
}
