//! The words before the cells or the buffer, the same for both rings. Each side's words are on lines of their own, 128 bytes apart.
//!
//! ```text
//! word 0..8    sides and bells      (see `ring::side`)
//! word 16      tail      producer   a hint: where the producer goes on, stored after each commit
//! word 32      head      consumer   where the consumer goes on, exact
//! word 48      released  consumer   `head` as it was now and then: the line that the producer polls
//! word 64 ...  cells or buffer
//! ```

use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Word;
use crate::segment::region::WordArray;

pub(super) const CONTROL_WORDS: usize = 64;
const TAIL: usize = 16;
const HEAD: usize = 32;
const RELEASED: usize = 48;

/// The control words by name.
#[derive(Debug, Clone)]
pub(super) struct Control<A: Access = ReadWrite>(pub(super) WordArray<CONTROL_WORDS, A>);

impl<A: Access> Control<A> {
    #[inline(always)]
    pub(super) fn tail(&self) -> &Word<A> {
        self.0.at::<TAIL>()
    }

    #[inline(always)]
    pub(super) fn head(&self) -> &Word<A> {
        self.0.at::<HEAD>()
    }

    #[inline(always)]
    pub(super) fn released(&self) -> &Word<A> {
        self.0.at::<RELEASED>()
    }
}
