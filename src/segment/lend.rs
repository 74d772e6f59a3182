//! One value in shared words, lent out to who holds the lock around it.
//!
//! # Safety
//!
//! The unsafe code here makes references to shared memory. It rests on this invariant of [`Lent`]:
//!
//! 1. `words` has as many words as a `T` takes, and its start is aligned for `T`.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;

use super::region::Words;
use crate::Shared;
use crate::base::copy::words_for;

/// The largest alignment that a lent value may have, in bytes: that of the words it starts at.
pub(crate) const LARGEST_ALIGNMENT: usize = 64;

/// A value of type `T` that a lock guards.
pub(crate) struct Lent<T> {
    words: Words,
    element: PhantomData<fn() -> T>,
}

impl<T: Shared> Lent<T> {
    /// How many words a value takes: whole lines.
    pub(crate) const WORDS: usize = words_for(size_of::<T>()).next_multiple_of(8);

    /// The value at the start of `words`; `None` if it does not fit there or is not aligned.
    pub(crate) fn new(words: &Words) -> Option<Self> {
        let words = words.slice(0, Self::WORDS)?;
        let aligned = words.as_ptr().addr().is_multiple_of(align_of::<T>());
        aligned.then_some(Self { words, element: PhantomData })
    }

    /// The value.
    ///
    /// # Safety
    ///
    /// As long as the result lives, no well-behaved peer and nobody in this process may write the value: the caller holds the lock, for
    /// reading at least.
    #[inline(always)]
    pub(crate) unsafe fn get(&self) -> &T {
        // SAFETY: in bounds and aligned by invariant 1; any bit pattern is a `T`, which is plain old data; nobody writes, says the caller.
        unsafe { &*self.words.as_ptr().cast::<T>() }
    }

    /// The value, to change it.
    ///
    /// # Safety
    ///
    /// As for [`get`](Self::get), and nobody else may read it: the caller holds the lock alone. Only one such reference may exist at a time.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "the memory is shared; exclusion is the lock's, not the borrow's")]
    pub(crate) unsafe fn get_mut(&self) -> &mut T {
        // SAFETY: as in `get`; words may be written through shared references, and nobody else touches them, says the caller.
        unsafe { &mut *self.words.as_ptr().cast::<T>().cast_mut() }
    }
}

impl<T> Clone for Lent<T> {
    fn clone(&self) -> Self {
        Self { words: self.words.clone(), element: PhantomData }
    }
}

impl<T> fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lent({:?})", self.words)
    }
}
