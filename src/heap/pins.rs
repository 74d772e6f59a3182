//! Pins: blocks that somebody reads in place, each written down under the process that does, so that those of the dead do not count.
//!
//! ```text
//! word 0 of a page of pins   the next page of pins; 0: none
//! word 1                     the cookie of the process whose page it is; 0: nobody's
//! words 2..                  where pinned blocks start; 0: no pin
//! ```
//!
//! Pages of pins stay as long as the heap, and go from process to process. These are hazard pointers (Michael, 2004), looked for only where the block says that it was ever
//! pinned.

use std::sync::{Mutex, PoisonError};

use super::heap::{Block, Heap};
use super::layout::PINS;
use super::state::{State, StateWord};
use crate::base::access::ReadWrite;
use crate::base::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use crate::base::atomic::{Word, fence};
use crate::peer::{Cookie, Peer};
use crate::segment::Error;
use crate::segment::region::Words;
use crate::sync::lock::Me;
use crate::sys::fork;

/// Words of a page of pins.
const PAGE: usize = 64;
const OWNER: usize = 1;
const FIRST: usize = 2;

/// The pins that this process has room for.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// Locked only under the fork gate, so never in the middle of a fork.
    room: Mutex<Room>,
}

#[derive(Debug, Default)]
struct Room {
    /// As whom it was claimed: not as a forked child.
    claimed_by: Option<Cookie>,
    /// The pages that are ours.
    pages: Vec<usize>,
    /// Words that are free for a pin.
    free: Vec<usize>,
}

impl Pool {
    /// Gives up the pages of pins that this process has, in which nothing is pinned any more.
    pub(crate) fn give_up(&mut self, words: &Words, me: Me) {
        let room = self.room.get_mut().unwrap_or_else(PoisonError::into_inner);
        if room.claimed_by != Some(me.cookie) || !me.is_current() {
            return;
        }
        for page in std::mem::take(room).pages {
            if let Some(owner) = words.get(page + OWNER) {
                // Release: pairs with `claim_page`; the pins that are gone are seen to be.
                let _ = owner.compare_exchange(me.cookie.bits(), 0, Release, Relaxed);
            }
        }
    }
}

/// What became of a block that was live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retired {
    /// Its owner may use it again, or free it.
    Ours,
    /// Somebody has it pinned: it is freed by the last of those.
    Left,
}

/// A block that is not freed as long as this lives.
#[derive(Debug)]
pub(crate) struct Pin {
    heap: Heap,
    block: Block,
    /// Where it is written down.
    at: usize,
    cookie: Cookie,
}

impl Drop for Pin {
    fn drop(&mut self) {
        // In a forked child it is the parent's.
        let Some(me) = self.heap.part().known_me().filter(|me| me.cookie == self.cookie && me.is_current()) else {
            return;
        };
        self.heap.unpin(self.block, self.at);
        let _gate = fork::gate();
        let mut room = self.heap.pool().room.lock().unwrap_or_else(PoisonError::into_inner);
        if room.claimed_by == Some(me.cookie) {
            room.free.push(self.at);
        }
    }
}

impl Heap {
    pub(crate) fn state(&self, block: Block) -> Option<StateWord<'_, ReadWrite>> {
        self.words().get(block.start()).map(StateWord)
    }

    /// Pins a block that was found in this state; `None`: it is not in it any more.
    pub(crate) fn pin(&self, block: Block, found: State) -> Result<Option<Pin>, Error> {
        let peer = self.part().member()?.peer()?;
        let at = self.room(&peer)?;
        // Written down first: who retires the block after it was marked looks here.
        if let Some(word) = self.words().get(at) {
            word.store(block.bits(), Release);
        }
        let pin = Pin { heap: self.clone(), block, at, cookie: peer.cookie() };
        let pinned = self.state(block).is_some_and(|state| state.pin(found));
        Ok(pinned.then_some(pin))
    }

    /// A word to write a pin down in.
    fn room(&self, peer: &Peer) -> Result<usize, Error> {
        if let Some(at) = self.with_room(peer, |room| room.free.pop()) {
            return Ok(at);
        }
        // Not under the gate: it may wait for the heap's lock, and forks would wait with it.
        let page = self.claim_page(peer)?;
        self.with_room(peer, |room| {
            room.pages.push(page);
            room.free.extend((page + FIRST + 1..page + PAGE).rev());
        });
        Ok(page + FIRST)
    }

    fn with_room<R>(&self, peer: &Peer, act: impl FnOnce(&mut Room) -> R) -> R {
        let _gate = fork::gate();
        let mut room = self.pool().room.lock().unwrap_or_else(PoisonError::into_inner);
        if room.claimed_by != Some(peer.cookie()) {
            *room = Room { claimed_by: Some(peer.cookie()), ..Room::default() };
        }
        act(&mut room)
    }

    /// A page of pins that is nobody's, or a dead one's, or a new one.
    #[cold]
    fn claim_page(&self, peer: &Peer) -> Result<usize, Error> {
        let mut free = None;
        for page in self.pin_pages() {
            let Some(owner) = self.words().get(page + OWNER) else { continue };
            let found = owner.load(Acquire);
            let dead = match Cookie::in_word(found) {
                None => true,
                Some(cookie) => !peer.is_alive(cookie)?,
            };
            if dead && owner.compare_exchange(found, peer.cookie().bits(), AcqRel, Relaxed).is_ok() {
                free = Some(page);
                break;
            }
        }
        let page = match free {
            Some(page) => page,
            None => self.new_pin_page(peer.cookie())?,
        };
        // What a dead one had pinned.
        for at in page + FIRST..page + PAGE {
            if let Some(block) = self.words().get(at).and_then(|word| Block::in_word(word.load(Relaxed))) {
                self.unpin(block, at);
            }
        }
        Ok(page)
    }

    #[cold]
    fn new_pin_page(&self, cookie: Cookie) -> Result<usize, Error> {
        self.allocate_listed(PAGE, PINS, |page: &[Word]| {
            for (index, word) in page.iter().enumerate().skip(OWNER) {
                word.store(if index == OWNER { cookie.bits() } else { 0 }, Relaxed);
            }
        })
    }

    /// Where pages of pins start; ends, whatever is written there.
    fn pin_pages(&self) -> impl Iterator<Item = usize> {
        pages(self.words(), PINS)
    }

    /// Takes a pin back; if the block was left to those who pin it, and nobody does any more, frees it.
    fn unpin(&self, block: Block, at: usize) {
        if let Some(word) = self.words().get(at) {
            word.store(0, Release);
        }
        // Pairs with the CAS of `retire`: either who retires it sees no pin, or this sees that it was retired.
        fence(SeqCst);
        if self.state(block).is_some_and(|state| state.load().was_pinned_and_retired()) {
            // If it cannot be freed now, whoever looks the heap over does it.
            let _ = self.collect(block);
        }
    }

    /// Ends the life of a block that nobody can find any more, and that belongs to the word `owner`. If it is [`Retired::Left`], it is nobody's from then on.
    #[inline]
    pub(crate) fn retire(&self, block: Block, owner: usize) -> Result<Retired, Error> {
        match self.state(block) {
            Some(state) if state.retire() => self.leave(block, owner),
            _ => Ok(Retired::Ours),
        }
    }

    /// Leaves a retired block to those who pin it, if anybody does.
    #[cold]
    fn leave(&self, block: Block, owner: usize) -> Result<Retired, Error> {
        let mut entry = self.enter()?;
        // Who takes a pin back after this look waits for us, and finds it left.
        if !self.is_pinned(block)? {
            return Ok(Retired::Ours);
        }
        let left = self.state(block).map_or(0, |state| state.load().left());
        entry.set(owner, 0)?;
        entry.set(block.start(), left)?;
        entry.commit()?;
        Ok(Retired::Left)
    }

    /// Frees a block that was left to those who pin it, if nobody alive does.
    pub(crate) fn collect(&self, block: Block) -> Result<bool, Error> {
        let mut entry = self.enter()?;
        let left = self.state(block).is_some_and(|state| state.load().is_left());
        if !left || self.is_pinned(block)? {
            return Ok(false);
        }
        entry.free_left(block)?;
        Ok(true)
    }

    /// Whether somebody alive has pinned it.
    fn is_pinned(&self, block: Block) -> Result<bool, Error> {
        let peer = self.part().member()?.peer()?;
        for page in self.pin_pages() {
            let pins = self.words().get(page + FIRST..page + PAGE).unwrap_or_default();
            if pins.iter().all(|word| word.load(Acquire) != block.bits()) {
                continue;
            }
            let owner = self.words().get(page + OWNER).and_then(|word| Cookie::in_word(word.load(Acquire)));
            if owner.map_or(Ok(false), |cookie| peer.is_alive(cookie))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Where the blocks of a list start, each of which names the next; as many as there can be, whatever is written there.
pub(crate) fn pages(words: &Words, head: usize) -> impl Iterator<Item = usize> {
    let follow = |at: usize| words.get(at).and_then(|word| Block::in_word(word.load(Acquire))).map(Block::start);
    std::iter::successors(follow(head), move |&page| follow(page)).take(words.len() / PAGE)
}

/// For tests: how many pins are written down.
#[cfg(all(test, not(loom)))]
pub(crate) fn count(heap: &Heap) -> usize {
    let pins = |page: usize| heap.words().get(page + FIRST..page + PAGE).unwrap_or_default();
    pages(heap.words(), PINS).flat_map(pins).filter(|word| word.load(Relaxed) != 0).count()
}
