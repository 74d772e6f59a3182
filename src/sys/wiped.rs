//! Private state that a forked child finds zeroed.
//!
//! # Safety
//!
//! The unsafe code here keeps a value in a page of its own. Invariants of [`Wiped`]:
//!
//! 1. `page` is mapped, private and writable as long as the `Wiped` lives, and large enough and aligned for a `T` (checked when compiling).
//! 2. It holds a valid `T`: the one put there, or, in a forked child, all zeros, which is valid for a `Zeroable`.
//! 3. Nobody else has its address.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Zeroable;
use memmap2::MmapRaw;

use super::map;

/// A value that becomes zero in a forked child, so that fast paths need not ask whether they run in one: let zero mean "ask the slow path".
pub(crate) struct Wiped<T: Zeroable> {
    page: MmapRaw,
    value: PhantomData<T>,
}

impl<T: Zeroable> Wiped<T> {
    pub(crate) fn new(value: T) -> io::Result<Self> {
        const { assert!(size_of::<T>() <= 4096 && align_of::<T>() <= 4096 && !std::mem::needs_drop::<T>()) };
        let page = map::private_page()?;
        if !cfg!(loom) {
            map::wipe_on_fork(&page)?;
        }
        // SAFETY: by invariant 1.
        unsafe { page.as_mut_ptr().cast::<T>().write(value) };
        Ok(Self { page, value: PhantomData })
    }
}

impl<T: Zeroable> Deref for Wiped<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: by the invariants.
        unsafe { &*self.page.as_ptr().cast::<T>() }
    }
}

impl<T: Zeroable> DerefMut for Wiped<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: by the invariants; the borrow of `self` makes it the only one.
        unsafe { &mut *self.page.as_mut_ptr().cast::<T>() }
    }
}

impl<T: Zeroable + fmt::Debug> fmt::Debug for Wiped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
