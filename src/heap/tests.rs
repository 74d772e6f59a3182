//! A heap and nothing else, in one process.

use std::collections::BTreeMap;
use std::ops::Range;

use super::check::Census;
use super::class::LARGEST;
use super::heap::{Block, Heap};
use super::layout::{HANDOVER, PAGE_BYTES, PAGE_WORDS};
use super::pins::Retired;
use super::state::State;
use crate::base::atomic::Ordering::Relaxed;
use crate::segment::{Domain, Error, Limit, Options, Reason};

/// A heap whose first block is a table of owners, and a model of what is in it.
struct Subject {
    heap: Heap,
    domain: Domain,
    owners: Range<usize>,
    /// By owner: the block, the words asked for, and what was written into them.
    held: BTreeMap<usize, (Block, usize, u64)>,
    asked: usize,
}

impl Subject {
    fn new(name: &str, capacity: usize, owners: usize) -> Self {
        let domain = Domain::new(&format!("heap-{name}-{}", std::process::id())).unwrap();
        let heap = Heap::create(&domain, "heap", capacity as u64, &Options::new()).unwrap();
        let (block, _) = heap.allocate(owners, HANDOVER).unwrap();
        let owners = block.start()..block.start() + owners;
        for owner in owners.clone() {
            heap.words()[owner].store(0, Relaxed);
        }
        Self { heap, domain, owners, held: BTreeMap::new(), asked: 0 }
    }

    fn allocate(&mut self, owner: usize, words: usize) -> Result<(), Reason> {
        let (block, epoch) = self.heap.allocate(words, owner).map_err(Error::into_reason)?;
        assert_eq!(self.heap.words()[owner].load(Relaxed), block.bits());
        let inside = &self.heap.words()[block.start()..block.start() + words];
        // Both ends and one word of each page: enough to see an overlap.
        for word in marks(inside.len()) {
            inside[word].store(epoch ^ word as u64, Relaxed);
        }
        self.held.insert(owner, (block, words, epoch));
        self.asked += words;
        Ok(())
    }

    fn free(&mut self, owner: usize) {
        let (block, words, epoch) = self.held.remove(&owner).unwrap();
        for word in marks(words) {
            assert_eq!(
                self.heap.words()[block.start() + word].load(Relaxed),
                epoch ^ word as u64,
                "written by another"
            );
        }
        self.heap.free(block, owner).unwrap();
        assert_eq!(self.heap.words()[owner].load(Relaxed), 0);
        self.asked -= words;
    }

    fn census(&self) -> Census {
        let mut entry = self.heap.enter().unwrap();
        let census = entry.runs().census().unwrap();
        assert_eq!(census.damage, Vec::<String>::new());
        let held = self.held.values().map(|(block, ..)| block.start());
        let mut blocks = census.blocks.clone();
        assert!(held.chain([self.owners.start]).all(|start| blocks.remove(&start)), "in use, and not known");
        assert!(blocks.is_empty(), "leaked: {blocks:?}");
        census
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.domain.clean();
    }
}

fn marks(words: usize) -> impl Iterator<Item = usize> {
    (0..words).step_by(PAGE_WORDS).chain([words - 1])
}

/// Numbers that look random and are the same each time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.roll() % limit as u64) as usize
    }

    /// Sizes up to that many words, as many small as large ones.
    fn size(&mut self, most: usize) -> usize {
        let doublings = most.ilog2() as usize;
        let base = 1 << self.below(doublings);
        base + self.below(base)
    }
}

#[test]
fn blocks_of_all_sizes_come_and_go() {
    let mut subject = Subject::new("sizes", 8 << 20, 64);
    for (owner, words) in
        subject.owners.clone().zip([1, 4, 5, 16, 17, 18, 511, 512, 513, LARGEST - 1, LARGEST, LARGEST + 1, 20_000])
    {
        subject.allocate(owner, words).unwrap();
        subject.census();
    }
    while let Some((&owner, _)) = subject.held.first_key_value() {
        subject.free(owner);
        subject.census();
    }
    // One slab of each class is kept, the rest is one run.
    let census = subject.census();
    assert_eq!((census.run_pages, census.words), (0, 64));
}

#[test]
fn random_operations_leave_it_whole() {
    let mut subject = Subject::new("random", 16 << 20, 2000);
    let mut dice = Dice(7);
    for turn in 0..60_000 {
        let owner = subject.owners.start + dice.below(subject.owners.len());
        if subject.held.contains_key(&owner) {
            subject.free(owner);
        } else {
            let words = dice.size(1 << 14);
            if let Err(reason) = subject.allocate(owner, words) {
                assert!(matches!(reason, Reason::Full { limit: Limit::Capacity, .. }), "{reason}");
            }
        }
        if turn % 1000 == 0 {
            subject.census();
        }
    }
}

/// Filled to the brim again and again, it refuses nothing while less than four fifths of it are in use.
#[test]
fn it_does_not_fragment() {
    const CAPACITY: usize = 64 << 20;
    let mut subject = Subject::new("fragments", CAPACITY, 1 << 18);
    let mut dice = Dice(11);
    let mut lowest = usize::MAX;
    let mut taken = Vec::new();
    let mut spare: Vec<usize> = subject.owners.clone().collect();
    for _ in 0..400_000 {
        if subject.asked * 8 < CAPACITY / 10 * 9 {
            let owner = spare.pop().unwrap();
            match subject.allocate(owner, dice.size(1 << 13)) {
                Ok(()) => taken.push(owner),
                Err(reason) => {
                    assert!(matches!(reason, Reason::Full { .. }), "{reason}");
                    lowest = lowest.min(subject.asked);
                    spare.push(owner);
                    let owner = taken.swap_remove(dice.below(taken.len()));
                    subject.free(owner);
                    spare.push(owner);
                }
            }
        }
        if dice.below(3) == 0 && !taken.is_empty() {
            let owner = taken.swap_remove(dice.below(taken.len()));
            subject.free(owner);
            spare.push(owner);
        }
    }
    subject.census();
    println!("first refused at {} % of the capacity", lowest * 800 / CAPACITY);
    assert!(lowest * 8 > CAPACITY / 5 * 4, "refused with {} of {CAPACITY} bytes in use", lowest * 8);
}

#[test]
fn memory_is_had_as_it_is_needed_and_given_back() {
    const CAPACITY: usize = 1 << 30;
    let mut subject = Subject::new("memory", CAPACITY, 4000);
    let there = |subject: &Subject| {
        use std::os::unix::fs::MetadataExt;
        subject.heap.part().path().metadata().unwrap().blocks() * 512
    };
    assert!(there(&subject) < 1 << 20);
    let owners: Vec<usize> = subject.owners.clone().collect();
    for &owner in owners.iter().take(3000) {
        subject.allocate(owner, 4 * PAGE_WORDS).unwrap();
    }
    for &owner in owners.iter().skip(3000) {
        subject.allocate(owner, 20 * PAGE_WORDS).unwrap();
    }
    let most = there(&subject);
    assert!(most >= (3000 * 4 + 1000 * 20) * PAGE_BYTES as u64);
    for &owner in &owners {
        subject.free(owner);
    }
    // Somebody may still be reading; what has been free for a while goes back by and by.
    assert!(there(&subject) >= most);
    for _ in 0..2 {
        std::thread::sleep(super::memory::LONG);
        subject.allocate(owners[0], 20 * PAGE_WORDS).unwrap();
        subject.free(owners[0]);
    }
    subject.census();
    assert!(there(&subject) < most / 2, "{} of {most}", there(&subject));
    // All of it, if it is asked for.
    subject.heap.trim().unwrap();
    subject.census();
    assert!(there(&subject) < 1 << 20, "{}", there(&subject));
    // And can be had again.
    subject.allocate(owners[0], 100 * PAGE_WORDS).unwrap();
    subject.census();
}

#[test]
fn what_was_spoilt_is_an_error() {
    let mut subject = Subject::new("spoilt", 8 << 20, 16);
    let owner = subject.owners.start;
    subject.allocate(owner, 100).unwrap();
    let (block, ..) = subject.held[&owner];
    // Not the owner it has, not the start of a block, not a block at all.
    assert!(subject.heap.free(block, owner + 1).is_err());
    for wrong in [block.start() + 1, 3, subject.heap.words().len() - 1, subject.heap.words().len() + 100, usize::MAX] {
        subject.heap.words()[owner].store(wrong as u64, Relaxed);
        let wrong = Block::in_word(wrong as u64).unwrap();
        assert!(subject.heap.free(wrong, owner).is_err(), "{wrong:?}");
    }
    subject.heap.words()[owner].store(block.bits(), Relaxed);
    subject.census();
}

#[test]
fn what_is_pinned_is_freed_by_the_last_who_pins_it() {
    let subject = Subject::new("pins", 8 << 20, 16);
    let owners: Vec<usize> = subject.owners.clone().collect();
    for (owner, words) in owners.into_iter().zip([10, LARGEST, 3 * PAGE_WORDS]) {
        let (block, epoch) = subject.heap.allocate(words, owner).unwrap();
        let heap = subject.heap.clone();
        let state = heap.state(block).unwrap();
        let life = State::live(epoch);
        // Not before it is live, nor in another state than it was found in.
        assert!(heap.pin(block, life).unwrap().is_none());
        state.begin_life(life);
        assert!(heap.pin(block, life.again().unwrap()).unwrap().is_none());
        let pins = [(); 2].map(|()| heap.pin(block, life).unwrap().unwrap());
        assert_eq!(super::pins::count(&heap), 2);
        assert!(state.was(life));
        assert_eq!(heap.retire(block, owner).unwrap(), Retired::Left);
        // It is nobody's now, but for those.
        assert_eq!(heap.words()[owner].load(Relaxed), 0);
        assert!(!state.was(life) && heap.pin(block, life).unwrap().is_none());
        let [first, second] = pins;
        for (pin, left) in [(first, 1), (second, 0)] {
            let mut entry = heap.enter().unwrap();
            assert!(entry.runs().census().unwrap().blocks.contains(&block.start()));
            drop(entry);
            drop(pin);
            assert_eq!(super::pins::count(&heap), left);
        }
        let mut entry = heap.enter().unwrap();
        assert!(!entry.runs().census().unwrap().blocks.contains(&block.start()));
    }
}

#[test]
fn what_nobody_pinned_is_its_owners() {
    let mut subject = Subject::new("unpinned", 8 << 20, 16);
    let owner = subject.owners.start;
    subject.allocate(owner, 100).unwrap();
    let (block, _, epoch) = subject.held[&owner];
    let state = subject.heap.state(block).unwrap();
    state.begin_life(State::live(epoch));
    drop(subject.heap.pin(block, State::live(epoch).again().unwrap()).unwrap());
    assert_eq!(subject.heap.retire(block, owner).unwrap(), Retired::Ours);
    assert_eq!(subject.heap.retire(block, owner).unwrap(), Retired::Ours);
    let next = state.load().again().unwrap();
    state.reuse();
    state.begin_life(next);
    // Pinned once, but by nobody any more.
    drop(subject.heap.pin(block, next).unwrap().unwrap());
    assert_eq!(subject.heap.retire(block, owner).unwrap(), Retired::Ours);
    assert!(state.load().again().unwrap().is_live());
}
