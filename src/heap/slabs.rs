//! Slabs: runs of pages that are cut into blocks of one size.
//!
//! A slab starts with the bits of its free blocks. Those that have any are listed by class; one of which all blocks are free goes back to the runs, unless it
//! is the only one of its class that has any.

use super::class::{BITMAP, Class, SLAB_HEAD};
use super::entry::{Link, Page};
use super::journal::{Fault, spoilt};
use super::layout::{PAGE_WORDS, SLABS};
use super::runs::Runs;
use crate::base::atomic::Ordering::Relaxed;

/// A block within a slab.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The slab's first page.
    pub(crate) page: usize,
    pub(crate) class: Class,
    /// The number of the block.
    pub(crate) block: usize,
}

impl Place {
    /// Where the block starts.
    pub(crate) fn start(self) -> usize {
        self.page * PAGE_WORDS + SLAB_HEAD + self.block * self.class.words()
    }

    /// The block of the slab at `page` that starts at a word.
    pub(crate) fn at(page: usize, class: Class, start: usize) -> Option<Self> {
        let within = start.checked_sub(page * PAGE_WORDS + SLAB_HEAD)?;
        let block = within / class.words();
        (within.is_multiple_of(class.words()) && block < class.blocks()).then_some(Self { page, class, block })
    }

    /// The word and the bit that say whether it is free.
    fn bit(self) -> (usize, u64) {
        (self.page * PAGE_WORDS + self.block / 64, 1 << (self.block % 64))
    }
}

/// The list of the slabs of a class that have free blocks.
fn list_of(class: Class) -> usize {
    SLABS + usize::from(class.number())
}

impl Runs<'_, '_> {
    /// Takes a free block; `None`: there is no memory for another slab.
    pub(crate) fn take_block(&mut self, class: Class) -> Result<Option<Place>, Fault> {
        let listed = self.listed(list_of(class))?;
        let page = match listed {
            0 => match self.new_slab(class)? {
                Some(page) => page,
                None => return Ok(None),
            },
            page => page,
        };
        if self.page(page)? != Page::Slab(class) {
            return Err(spoilt("a page listed as a slab", format!("a slab of class {}", class.number()), page as u64));
        }
        let (mut taken, mut any_left) = (None, false);
        for word in 0..BITMAP {
            let at = page * PAGE_WORDS + word;
            let mut free = self.changes.get(at)? & class.all_free(word);
            if taken.is_none() && free != 0 {
                taken = Some(Place { page, class, block: word * 64 + free.trailing_zeros() as usize });
                free &= free - 1;
                self.changes.set(at, free)?;
            }
            any_left |= free != 0;
        }
        if !any_left {
            self.delist(list_of(class), page)?;
        }
        taken.map(Some).ok_or_else(|| spoilt("a listed slab", "one with a free block".into(), page as u64))
    }

    /// Makes a slab of free pages, and lists it.
    fn new_slab(&mut self, class: Class) -> Result<Option<usize>, Fault> {
        let length = class.pages();
        let Some(page) = self.take(length)? else { return Ok(None) };
        self.back(page, length)?;
        // What is in a page that is free nobody goes by: no need to note it down first.
        for word in 0..SLAB_HEAD {
            let free = if word < BITMAP { class.all_free(word) } else { 0 };
            self.changes.word(page * PAGE_WORDS + word)?.store(free, Relaxed);
        }
        self.tell_slab(page, class)?;
        self.enlist(list_of(class), page)?;
        Ok(Some(page))
    }

    /// Gives a block back.
    ///
    /// # Errors
    ///
    /// It is free already.
    pub(crate) fn give_block(&mut self, place: Place) -> Result<Option<(usize, usize)>, Fault> {
        let Place { page, class, .. } = place;
        let (at, bit) = place.bit();
        let before = self.changes.get(at)?;
        if before & bit != 0 {
            return Err(spoilt("a block to be freed", "one in use".into(), place.start() as u64));
        }
        self.changes.set(at, before | bit)?;
        let (mut free, mut others) = (0, 0);
        for word in 0..BITMAP {
            let bits = self.changes.get(page * PAGE_WORDS + word)? & class.all_free(word);
            free += bits.count_ones() as usize;
            others |= bits & !if page * PAGE_WORDS + word == at { bit } else { 0 };
        }
        let list = list_of(class);
        if others == 0 {
            self.enlist(list, page)?;
        } else if free == class.blocks() && self.link(page)? != Link::default() {
            self.delist(list, page)?;
            return self.give(page, class.pages()).map(Some);
        }
        Ok(None)
    }

    /// What is allocated at a word.
    pub(crate) fn find_block(&self, start: usize) -> Result<Found, Fault> {
        let not_one = || spoilt("a block", "the start of one".into(), start as u64);
        let page = start / PAGE_WORDS;
        if page >= self.top()? {
            return Err(not_one());
        }
        let first = match self.page(page)? {
            Page::Run(length) if start.is_multiple_of(PAGE_WORDS) => return Ok(Found::Run { page, length }),
            Page::Slab(_) => page,
            Page::SlabRest(back) => page.checked_sub(back).ok_or_else(not_one)?,
            _ => return Err(not_one()),
        };
        let Page::Slab(class) = self.page(first)? else { return Err(not_one()) };
        Place::at(first, class, start).map(Found::Block).ok_or_else(not_one)
    }

    /// Whether a block is in use.
    pub(crate) fn is_taken(&self, place: Place) -> Result<bool, Fault> {
        let (at, bit) = place.bit();
        Ok(self.changes.get(at)? & bit == 0)
    }
}

/// What is allocated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found {
    Block(Place),
    Run { page: usize, length: usize },
}

impl Found {
    /// How many words there are for the user.
    pub(crate) fn words(self) -> usize {
        match self {
            Self::Block(place) => place.class.words(),
            Self::Run { length, .. } => length * PAGE_WORDS,
        }
    }
}
