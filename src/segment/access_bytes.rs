//! Bytes in and out of the words of a raw segment, at any length.

use crate::base::access::Access;
use crate::base::atomic::{Ordering::Relaxed, Word};
use crate::base::copy;

pub(super) fn read<A: Access>(words: &[Word<A>], bytes: &mut [u8]) {
    copy::load_bytes(words, bytes);
}

/// Like [`copy::store_bytes`], but leaves the bytes behind the last one as they are.
pub(super) fn write(words: &[Word], bytes: &[u8]) {
    let whole = bytes.len() / 8;
    let (Some(full), rest) = (words.get(..whole), bytes.get(whole * 8..).unwrap_or_default()) else { return };
    copy::store_bytes(full, bytes);
    let Some(last) = words.get(whole).filter(|_| !rest.is_empty()) else { return };
    let mut seen = last.load(Relaxed);
    loop {
        let mut new = seen.to_ne_bytes();
        for (to, from) in new.iter_mut().zip(rest) {
            *to = *from;
        }
        match last.compare_exchange(seen, u64::from_ne_bytes(new), Relaxed, Relaxed) {
            Ok(_) => return,
            Err(found) => seen = found,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_write_touches_its_bytes_only() {
        for length in 0..20 {
            let words: Vec<Word> = (0..3).map(|_| Word::new(u64::MAX)).collect();
            let bytes: Vec<u8> = (1..=length).collect();
            write(&words, &bytes);
            let mut all = [0; 24];
            read(&words, &mut all);
            let (written, rest) = all.split_at(bytes.len());
            assert_eq!(written, bytes);
            assert!(rest.iter().all(|&byte| byte == 0xff));
        }
    }
}
