//! A heap, as a process has it open.

use std::sync::Arc;

use super::class::Class;
use super::entry::backed;
use super::journal::{Changes, Fault, spoilt};
use super::layout::{EPOCH, PAGE_BYTES, PAGE_WORDS, Plan, TABLE, TABLE_BACKED, TOP};
use super::memory::{LONG, Memory};
use super::pins::Pool;
use super::runs::Runs;
use super::slabs::Found;
use super::stats::Stats;
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::peer::Member;
use crate::segment::create::{self, Blueprint};
use crate::segment::header::GEOMETRY_WORDS;
use crate::segment::open::Expected;
use crate::segment::region::Words;
use crate::segment::{Domain, Error, Kind, Limit, Options, Reason, Segment};
use crate::sync::bell::Deadline;
use crate::sync::inside::{Entered, Inside, Outside};
use crate::sync::lock::Wait;
use crate::sync::part::Part;

pub(crate) const VERSION: u32 = 1;

/// Where a block starts: a word of the segment's contents. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Block(usize);

impl Block {
    /// What a word holds that may hold anything; `None` for nothing.
    pub(crate) fn in_word(word: u64) -> Option<Self> {
        usize::try_from(word).ok().filter(|&start| start != 0).map(Self)
    }

    pub(crate) fn start(self) -> usize {
        self.0
    }

    pub(crate) fn bits(self) -> u64 {
        self.0 as u64
    }
}

/// A segment of blocks of any size, which the structures in it are made of.
///
/// Its capacity is address space, which is cheap; memory is had from the system as blocks need it, and given back when what was freed has been free for a while. Cheap to clone: clones
/// share the mapping.
///
/// **Progress.** Allocating and freeing take one lock, for tens of nanoseconds as a rule.
///
/// **If a process dies** in the middle of either, it has happened or it has not; the next one to allocate or free goes on.
///
/// # Example
///
/// ```
/// use sharedware::{Domain, Options, heap::Heap};
///
/// let domain = Domain::new("doc-heap")?;
/// let heap = Heap::create(&domain, "everything", 1 << 30, &Options::new())?;
/// let stats = heap.stats()?;
/// assert_eq!(stats.blocks, 0);
/// assert!(stats.committed < 1 << 20);
/// # Ok::<(), sharedware::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Heap {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    memory: Memory,
    words: Words,
    plan: Plan,
    part: Part,
    inside: Inside,
    pool: Pool,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(me) = self.part.known_me() {
            self.pool.give_up(&self.words, me);
        }
    }
}

impl Heap {
    /// Creates an empty heap of `capacity` bytes, rounded up to whole pages.
    ///
    /// # Errors
    ///
    /// The name is taken or cannot be one, the capacity cannot be, memory is full, or the system refuses; nothing is left behind.
    pub fn create(domain: &Domain, name: &str, capacity: u64, options: &Options) -> Result<Self, Error> {
        let name = domain.check(name)?;
        let capacity = capacity.checked_next_multiple_of(PAGE_BYTES as u64).unwrap_or(capacity);
        let plan = Plan::of(capacity).map_err(|reason| Error::new(&domain.path(&name), reason))?;
        let member = Member::join(domain)?;
        let blueprint = Blueprint {
            kind: Kind::HEAP,
            kind_version: VERSION,
            geometry: [0; GEOMETRY_WORDS],
            schema: None,
            body: capacity,
            committed: ((TABLE + plan.first_table_pages()) * PAGE_BYTES) as u64,
        };
        let (segment, ()) =
            create::create(domain, &name, blueprint, options, false, |words| initialise(words, plan), |_, _| Ok(()))?;
        Self::over(segment, plan, member)
    }

    /// Opens a heap.
    ///
    /// # Errors
    ///
    /// There is none, or what is there is something else, spoilt, or not ours.
    pub fn open(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        let expected = Expected { kind: Some((Kind::HEAP, VERSION)), schema: None };
        let segment = Segment::attach(domain, name, options, expected)?;
        let plan = Plan::of(segment.capacity()).map_err(|reason| segment.error(reason))?;
        Self::over(segment, plan, Member::join(domain)?)
    }

    fn over(segment: Segment, plan: Plan, member: Member) -> Result<Self, Error> {
        let words = segment.body();
        let part = Part::within(&segment, 0, words.clone(), Some(member));
        let inside = Inside::new(&part).map_err(|reason| segment.error(reason))?;
        let memory = Memory::new(segment);
        Ok(Self { shared: Arc::new(Shared { memory, words, plan, part, inside, pool: Pool::default() }) })
    }

    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        self.shared.part.path()
    }

    /// How many bytes there can be in all, the heap's own included.
    pub fn capacity(&self) -> u64 {
        self.shared.plan.pages as u64 * PAGE_BYTES as u64
    }

    pub(crate) fn words(&self) -> &Words {
        &self.shared.words
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    pub(crate) fn part(&self) -> &Part {
        &self.shared.part
    }

    pub(crate) fn error(&self, reason: Reason) -> Error {
        self.shared.part.error(reason)
    }

    #[cold]
    #[allow(clippy::boxed_local, reason = "that is how it comes")]
    fn fault(&self, fault: Fault) -> Error {
        self.error(*fault)
    }

    /// Allocates a block of so many words, and says in the word `owner`, which is 0, where it is; returns that and a number that no other block was allocated with.
    ///
    /// The caller alone uses `owner`. The block is to start with a state word, or with a word whose last two bits are 0. **If the caller dies**, the block is allocated
    /// and `owner` says where, or neither is so.
    ///
    /// # Errors
    ///
    /// There is no memory; nothing has changed.
    pub(crate) fn allocate(&self, words: usize, owner: usize) -> Result<(Block, u64), Error> {
        let attempt = || {
            let mut entry = self.enter()?;
            let taken = entry.allocate(words, owner);
            let (found, epoch) = taken.map_err(|fault| self.fault(fault))?;
            entry.commit()?;
            Ok((found, epoch))
        };
        let (found, epoch) = attempt()?;
        match found {
            Found::Block(place) => Ok((Block(place.start()), epoch)),
            Found::Run { page, length } => {
                let block = Block(page * PAGE_WORDS);
                // Not inside: it may take long.
                if let Err(fault) = self.back_run(page, length) {
                    self.free(block, owner)?;
                    return Err(self.fault(fault));
                }
                Ok((block, epoch))
            }
        }
    }

    /// Frees the block that the word `owner` names, which is 0 then.
    ///
    /// # Errors
    ///
    /// There is no such block: something was spoilt.
    pub(crate) fn free(&self, block: Block, owner: usize) -> Result<(), Error> {
        let mut entry = self.enter()?;
        let given = entry.free(block, owner).map_err(|fault| self.fault(fault))?;
        entry.commit()?;
        entry.tidy(given)
    }

    /// Allocates a block of so many words, which is in use from then on, as the first of a list: its first word names the next. `fill` writes what else is in it.
    pub(crate) fn allocate_listed(
        &self,
        words: usize,
        head: usize,
        fill: impl FnOnce(&[Word]),
    ) -> Result<usize, Error> {
        let mut entry = self.enter()?;
        let start = entry.allocate_listed(words, head, fill).map_err(|fault| self.fault(fault))?;
        entry.commit()?;
        Ok(start)
    }

    /// The block that the word `owner` names, which was a dead process's, if there is one that can be used; otherwise there is none then.
    pub(crate) fn adopt(&self, owner: usize) -> Result<Option<Block>, Error> {
        let mut entry = self.enter()?;
        let Some(block) = self.words().get(owner).and_then(|word| Block::in_word(word.load(Relaxed))) else {
            return Ok(None);
        };
        // It died before it had the memory.
        if entry.is_there(block).map_err(|fault| self.fault(fault))? {
            return Ok(Some(block));
        }
        entry.free(block, owner).map_err(|fault| self.fault(fault))?;
        entry.commit()?;
        Ok(None)
    }

    /// Looks at everything, under the lock: for people.
    ///
    /// # Errors
    ///
    /// The control words are spoilt.
    pub fn stats(&self) -> Result<Stats, Error> {
        let mut entry = self.enter()?;
        let census = entry.runs().census().map_err(|fault| self.fault(fault))?;
        let own = (self.shared.plan.first.min(TABLE + self.table_pages())) as u64;
        Ok(Stats::of(&census, self.capacity(), own))
    }

    fn table_pages(&self) -> usize {
        self.shared.words.get(TABLE_BACKED).map_or(0, |word| usize::try_from(word.load(Relaxed)).unwrap_or(usize::MAX))
    }

    /// How many words the block has.
    #[cfg(any(test, feature = "__crash-points"))]
    pub(crate) fn words_of(&self, block: Block) -> Result<usize, Error> {
        let mut entry = self.enter()?;
        entry.runs().find_block(block.start()).map(Found::words).map_err(|fault| self.fault(fault))
    }

    /// Gives the memory of free pages back to the system; returns how many bytes that were. Takes a second, so that nobody is still reading what was there.
    ///
    /// It happens by itself once more than 16 MiB are free, as far as blocks are still being freed.
    ///
    /// # Errors
    ///
    /// Something was spoilt, or the system refuses.
    pub fn trim(&self) -> Result<u64, Error> {
        let let_go = |give_back| self.enter()?.runs().let_go(give_back).map_err(|fault| self.fault(fault));
        let_go(false)?;
        std::thread::sleep(LONG);
        let mut all = 0;
        loop {
            match let_go(true)? {
                0 => return Ok(all),
                pages => all += pages as u64 * PAGE_BYTES as u64,
            }
        }
    }

    /// Has the memory of a run that is ours.
    fn back_run(&self, page: usize, length: usize) -> Result<(), Fault> {
        let shared = &*self.shared;
        // Reads and marks pages of the run only, which are nobody else's.
        let mut changes = Changes::alone(&shared.words);
        Runs { memory: &shared.memory, plan: shared.plan, changes: &mut changes }.back(page, length)
    }

    pub(crate) fn enter(&self) -> Result<Entry<'_>, Error> {
        let shared = &*self.shared;
        let entered =
            shared.inside.enter(&shared.part, Wait::Until(Deadline::NEVER)).map_err(|outside| match outside {
                Outside::Segment(error) => error,
                Outside::Busy => self.fault(spoilt("the owner of its lock", "one that leaves".into(), 0)),
            })?;
        let changes = Changes::begin(&shared.words).map_err(|fault| self.fault(fault))?;
        Ok(Entry { heap: self, changes, _entered: entered })
    }
}

/// The contents of a new heap.
fn initialise(words: &Words, plan: Plan) {
    let put = |index: usize, value: u64| {
        if let Some(word) = words.get(index) {
            word.store(value, Relaxed);
        }
    };
    put(TOP, plan.first as u64);
    put(TABLE_BACKED, plan.first_table_pages() as u64);
    put(EPOCH, 1);
    // Nobody asks about these; but they are there.
    for page in 0..plan.first.min(TABLE + plan.first_table_pages()) {
        put(plan.entry(page), backed(0, true));
    }
}

/// Who is inside the heap's lock.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    heap: &'a Heap,
    changes: Changes<'a>,
    _entered: Entered<'a>,
}

impl<'a> Entry<'a> {
    pub(crate) fn runs(&mut self) -> Runs<'_, 'a> {
        let shared = &*self.heap.shared;
        Runs { memory: &shared.memory, plan: shared.plan, changes: &mut self.changes }
    }

    /// Has the word be that when this is committed.
    pub(crate) fn set(&mut self, index: usize, value: u64) -> Result<(), Error> {
        self.changes.set(index, value).map_err(|fault| self.heap.fault(fault))
    }

    /// Frees a block that was left.
    pub(crate) fn free_left(&mut self, block: Block) -> Result<(), Error> {
        let given = self.give(block, block.start()).map_err(|fault| self.heap.fault(fault))?;
        self.commit()?;
        self.tidy(given)
    }

    /// Whether all memory of a block is there.
    fn is_there(&mut self, block: Block) -> Result<bool, Fault> {
        let runs = self.runs();
        match runs.find_block(block.start())? {
            Found::Block(_) => Ok(true),
            Found::Run { page, length } => {
                for page in page..page + length {
                    if !runs.is_backed(page)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        self.changes.commit().map_err(|fault| self.heap.fault(fault))
    }

    /// After pages have come back.
    #[inline]
    fn tidy(&mut self, given: bool) -> Result<(), Error> {
        if given {
            let heap = self.heap;
            self.runs().let_go_if_plenty().map_err(|fault| heap.fault(fault))?;
        }
        Ok(())
    }

    fn allocate(&mut self, words: usize, owner: usize) -> Result<(Found, u64), Fault> {
        let owned = self.changes.get(owner)?;
        if owned != 0 {
            return Err(spoilt("the owner of a new block", "to own none".into(), owned));
        }
        let mut runs = self.runs();
        let found = match Class::of(words) {
            Some(class) => runs.take_block(class)?.map(Found::Block),
            None => {
                let length = words.div_ceil(PAGE_WORDS);
                let page = runs.take(length)?;
                if let Some(page) = page {
                    runs.tell_run(page, length)?;
                }
                page.map(|page| Found::Run { page, length })
            }
        };
        let found = found.ok_or_else(|| self.full(words))?;
        let start = match found {
            Found::Block(place) => place.start(),
            Found::Run { page, .. } => page * PAGE_WORDS,
        };
        let epoch = self.changes.get(EPOCH)?;
        self.changes.set(EPOCH, epoch.wrapping_add(1))?;
        self.changes.set(owner, start as u64)?;
        Ok((found, epoch))
    }

    #[cold]
    fn full(&mut self, words: usize) -> Fault {
        let shared = &*self.heap.shared;
        let used = self.runs().top().unwrap_or(shared.plan.pages);
        let left = (shared.plan.pages - used) as u64 * PAGE_BYTES as u64;
        Box::new(Reason::Full { asked: words as u64 * 8, left, limit: Limit::Capacity })
    }

    /// Whether pages have come back with it.
    fn free(&mut self, block: Block, owner: usize) -> Result<bool, Fault> {
        let found = self.changes.get(owner)?;
        if found != block.bits() {
            return Err(spoilt("the owner of a block", format!("{}", block.start()), found));
        }
        self.give(block, owner)
    }

    /// The same of one that belongs to nobody; the word `last` is 0 then.
    fn give(&mut self, block: Block, last: usize) -> Result<bool, Fault> {
        self.changes.set(last, 0)?;
        let mut runs = self.runs();
        match runs.find_block(block.start())? {
            Found::Block(place) => {
                let given = runs.give_block(place)?;
                if given {
                    runs.count_free_backed(place.class.pages() as u64)?;
                }
                Ok(given)
            }
            Found::Run { page, length } => {
                runs.give(page, length)?;
                runs.count_free_backed(length as u64)?;
                Ok(true)
            }
        }
    }

    fn allocate_listed(&mut self, words: usize, head: usize, fill: impl FnOnce(&[Word])) -> Result<usize, Fault> {
        let next = self.changes.get(head)?;
        self.changes.set(head, 0)?;
        let (found, _) = self.allocate(words, head)?;
        let Found::Block(place) = found else { return Err(self.full(words)) };
        // It is nobody's until this is committed.
        let block = self.heap.words().get(place.start()..place.start() + words).unwrap_or_default();
        if let Some(first) = block.first() {
            first.store(next, Relaxed);
        }
        fill(block);
        Ok(place.start())
    }
}
