//! A heap and nothing else, for tests of this crate: a table of owners, and what they own.

use std::collections::BTreeSet;

use super::heap::{Block, Heap};
use super::journal::Fault;
use super::layout::{HANDOVER, PINS};
use super::pins::{self, Pin, Retired};
use super::state::State;
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::segment::{Domain, Error, Options, Reason};

/// A heap whose first block is a table of owners.
#[derive(Debug)]
pub struct Probe {
    heap: Heap,
    /// Where the table starts: a word that is 0, as if it were a state, then owners.
    table: usize,
}

/// A pinned block.
#[derive(Debug)]
#[allow(dead_code, reason = "dropping it is all there is to do")]
pub struct Pinned(Pin);

const NAME: &str = "heap";

impl Probe {
    /// With so many owners.
    pub fn create(domain: &Domain, capacity: u64, owners: usize, options: &Options) -> Result<Self, Error> {
        let heap = Heap::create(domain, NAME, capacity, options)?;
        let (block, _) = heap.allocate(1 + owners, HANDOVER)?;
        let probe = Self { heap, table: block.start() };
        for word in probe.heap.words().get(block.start()..=block.start() + owners).unwrap_or_default() {
            word.store(0, Relaxed);
        }
        Ok(probe)
    }

    /// The same one.
    pub fn open(domain: &Domain, options: &Options) -> Result<Self, Error> {
        let heap = Heap::open(domain, NAME, options)?;
        let table = heap.words().get(HANDOVER).and_then(|word| Block::in_word(word.load(Relaxed)));
        let table = table.ok_or_else(|| heap.error(Reason::NotFound))?.start();
        Ok(Self { heap, table })
    }

    #[cfg(test)]
    pub(super) fn heap(&self) -> &Heap {
        &self.heap
    }

    fn at(&self, owner: usize) -> usize {
        self.table + 1 + owner
    }

    fn word(&self, owner: usize) -> Result<&Word, Error> {
        self.heap.words().get(self.at(owner)).ok_or_else(|| self.heap.error(Reason::NotFound))
    }

    fn block(&self, owner: usize) -> Result<Option<Block>, Error> {
        Ok(Block::in_word(self.word(owner)?.load(Relaxed)))
    }

    /// Whether that one owns anything.
    pub fn owns(&self, owner: usize) -> Result<bool, Error> {
        Ok(self.block(owner)?.is_some())
    }

    /// Allocates so many words for who owns nothing, and makes them a live block.
    pub fn allocate(&self, owner: usize, words: usize) -> Result<(), Error> {
        let (block, epoch) = self.heap.allocate(words, self.at(owner))?;
        for word in [1, words - 1].into_iter().filter(|&word| word > 0) {
            if let Some(word) = self.heap.words().get(block.start() + word) {
                word.store(epoch, Relaxed);
            }
        }
        if let Some(state) = self.heap.state(block) {
            state.reuse();
            state.begin_life(State::live(epoch));
        }
        Ok(())
    }

    /// Frees what that one owns, if anything, whoever reads it.
    pub fn free(&self, owner: usize) -> Result<(), Error> {
        match self.block(owner)? {
            Some(block) => self.heap.free(block, self.at(owner)),
            None => Ok(()),
        }
    }

    /// The same with regard to those who have it pinned.
    pub fn retire(&self, owner: usize) -> Result<(), Error> {
        let Some(block) = self.block(owner)? else { return Ok(()) };
        match self.heap.retire(block, self.at(owner))? {
            Retired::Ours => self.heap.free(block, self.at(owner)),
            Retired::Left => Ok(()),
        }
    }

    /// What who has an owner's structure from somebody dead does first.
    pub fn settle(&self, owner: usize) -> Result<(), Error> {
        self.heap.adopt(self.at(owner)).map(drop)
    }

    /// Pins what that one owns, if it is live.
    pub fn pin(&self, owner: usize) -> Result<Option<Pinned>, Error> {
        let Some(block) = self.block(owner)? else { return Ok(None) };
        let Some(found) = self.heap.state(block).map(super::state::StateWord::load).filter(|state| state.is_live())
        else {
            return Ok(None);
        };
        Ok(self.heap.pin(block, found)?.map(Pinned))
    }

    /// Looks for free memory to be given back; gives it back if it was free the last time.
    pub fn let_go(&self) -> Result<usize, Error> {
        let fault = |fault: Fault| self.heap.error(*fault);
        self.heap.enter()?.runs().let_go(true).map_err(fault)
    }

    /// What is wrong, in words for people; what is in use and nobody's counts, once nobody pins anything.
    pub fn check(&self) -> Result<Vec<String>, Error> {
        let fault = |fault: Fault| self.heap.error(*fault);
        let census = self.heap.enter()?.runs().census().map_err(fault)?;
        let mut damage = census.damage;
        let mut left: BTreeSet<usize> = census.blocks;
        let table = Block::in_word(self.table as u64).ok_or_else(|| self.heap.error(Reason::NotFound))?;
        let owned =
            (0..self.heap.words_of(table)? - 1).filter_map(|owner| self.block(owner).ok().flatten()).map(Block::start);
        for start in owned.chain([self.table]).chain(pins::pages(self.heap.words(), PINS)) {
            if !left.remove(&start) {
                damage.push(format!("word {start}: owned, and not in use"));
            }
        }
        for start in left {
            let Some(block) = Block::in_word(start as u64) else { continue };
            if !self.heap.collect(block)? {
                damage.push(format!("word {start}: leaked"));
            }
        }
        Ok(damage)
    }
}
