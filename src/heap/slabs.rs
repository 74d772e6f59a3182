//! Slabs: runs of pages that are cut into blocks of one size.
//!
//! A slab starts with the bits of its free blocks. Those that have any are listed by class; one of which all blocks are free goes back to the runs, unless it
//! is the only one of its class that has any.

use super::class::{BITMAP, Class, SLAB_HEAD};
use super::entry::{Link, Page};
use super::journal::{Changes, Fault, spoilt};
use super::layout::{PAGE_WORDS, SLABS, TOP};
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
    #[inline]
    pub(crate) fn start(self) -> usize {
        self.page * PAGE_WORDS + SLAB_HEAD + self.block * self.class.words()
    }

    /// The block of the slab at `page` that starts at a word.
    #[inline]
    pub(crate) fn at(page: usize, class: Class, start: usize) -> Option<Self> {
        let block = class.block_at(start.checked_sub(page * PAGE_WORDS + SLAB_HEAD)?)?;
        Some(Self { page, class, block })
    }

    /// Which of the slab's words of bits says whether it is free, and by which bit.
    #[inline]
    fn bit(self) -> (usize, u64) {
        (self.block / 64, 1 << (self.block % 64))
    }
}

/// The list of the slabs of a class that have free blocks.
#[inline]
fn list_of(class: Class) -> usize {
    SLABS + usize::from(class.number())
}

/// The bits of the free blocks of a slab.
#[inline]
fn bits_of(changes: &Changes<'_>, page: usize, class: Class) -> Result<[u64; BITMAP], Fault> {
    let mut bits = class.all_free();
    for (word, bits) in bits.iter_mut().enumerate() {
        *bits &= changes.word(page * PAGE_WORDS + word)?.load(Relaxed);
    }
    Ok(bits)
}

impl Runs<'_, '_> {
    /// Takes a free block; `None`: there is no memory for another slab.
    #[inline]
    pub(crate) fn take_block(&mut self, class: Class) -> Result<Option<Place>, Fault> {
        let page = match self.listed(list_of(class))? {
            0 => match self.new_slab(class)? {
                Some(page) => page,
                None => return Ok(None),
            },
            page => page,
        };
        if self.page(page)? != Page::Slab(class) {
            return Err(spoilt("a page listed as a slab", format!("a slab of class {}", class.number()), page as u64));
        }
        let mut bits = bits_of(self.changes, page, class)?;
        let Some((word, free)) = bits.iter_mut().enumerate().find(|(_, bits)| **bits != 0) else {
            return Err(spoilt("a listed slab", "one with a free block".into(), page as u64));
        };
        let block = word * 64 + free.trailing_zeros() as usize;
        *free &= *free - 1;
        self.changes.set(page * PAGE_WORDS + word, *free)?;
        if bits == [0; BITMAP] {
            self.delist(list_of(class), page)?;
        }
        Ok(Some(Place { page, class, block }))
    }

    /// Makes a slab of free pages, and lists it.
    #[cold]
    fn new_slab(&mut self, class: Class) -> Result<Option<usize>, Fault> {
        let length = class.pages();
        let Some(page) = self.take(length)? else { return Ok(None) };
        self.back(page, length)?;
        // What is in a page that is free nobody goes by: no need to note it down first.
        for (word, bits) in class.all_free().into_iter().enumerate() {
            self.changes.word(page * PAGE_WORDS + word)?.store(bits, Relaxed);
        }
        self.tell_slab(page, class)?;
        self.enlist(list_of(class), page)?;
        Ok(Some(page))
    }

    /// Gives a block back; whether its whole slab came back with it.
    ///
    /// # Errors
    ///
    /// It is free already.
    #[inline]
    pub(crate) fn give_block(&mut self, place: Place) -> Result<bool, Fault> {
        let Place { page, class, .. } = place;
        let mut bits = bits_of(self.changes, page, class)?;
        let had_none = bits == [0; BITMAP];
        let (word, bit) = place.bit();
        if let Some(bits) = bits.get_mut(word) {
            if *bits & bit != 0 {
                return Err(spoilt("a block to be freed", "one in use".into(), place.start() as u64));
            }
            *bits |= bit;
            self.changes.set(page * PAGE_WORDS + word, *bits)?;
        }
        if had_none {
            self.enlist(list_of(class), page)?;
        } else if bits == class.all_free() && self.link(page)? != Link::default() {
            self.delist(list_of(class), page)?;
            self.give(page, class.pages())?;
            return Ok(true);
        }
        Ok(false)
    }

    /// What is allocated at a word.
    #[inline]
    pub(crate) fn find_block(&self, start: usize) -> Result<Found, Fault> {
        let page = start / PAGE_WORDS;
        // Of pages beyond, the table may not be there.
        let top = self.changes.word(TOP)?.load(Relaxed);
        if page as u64 >= top {
            return Err(no_block(start));
        }
        let first = match self.page(page)? {
            Page::Run(length) if start.is_multiple_of(PAGE_WORDS) && (page + length) as u64 <= top => {
                return Ok(Found::Run { page, length });
            }
            Page::Slab(class) => return found(page, class, start),
            Page::SlabRest(back) => page.saturating_sub(back),
            _ => return Err(no_block(start)),
        };
        match self.page(first)? {
            Page::Slab(class) => found(first, class, start),
            _ => Err(no_block(start)),
        }
    }

    /// Whether a block is in use.
    pub(crate) fn is_taken(&self, place: Place) -> Result<bool, Fault> {
        let (word, bit) = place.bit();
        Ok(self.changes.get(place.page * PAGE_WORDS + word)? & bit == 0)
    }
}

#[inline]
fn found(page: usize, class: Class, start: usize) -> Result<Found, Fault> {
    Place::at(page, class, start).map(Found::Block).ok_or_else(|| no_block(start))
}

#[cold]
fn no_block(start: usize) -> Fault {
    spoilt("a block", "the start of one".into(), start as u64)
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
