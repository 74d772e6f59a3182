//! One run: three workers, the killing, the watching, and the end of everyone.

use std::io::Read;
use std::os::fd::RawFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::stuck;
use super::subjects::{self, Place};
use crate::process::Fallible;
use crate::sys;

/// What a run is to do.
pub(super) struct Plan {
    pub(super) subject: &'static str,
    /// Of whatever object the subject needs.
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) kills: u32,
    pub(super) patience: Duration,
    /// Nanoseconds for which each holds the lock, and for which it then leaves it alone, beside what that takes anyway.
    pub(super) hold: u32,
    pub(super) pause: u32,
    pub(super) seed: u64,
}

/// Who stands still at the end: everyone, or some, who sleep on when the others have finished and left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Still {
    Nobody,
    Some,
    All,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) still: Still,
    pub(super) kills: u32,
    /// Those before the last progress that anyone made.
    pub(super) kills_before: u32,
    pub(super) acknowledged: u64,
    pub(super) lost: u64,
    /// How long the killing took, and the longest time within it in which nobody got on.
    pub(super) took: Duration,
    pub(super) longest: Duration,
    /// The state in a few words, for the table; and in full.
    pub(super) kind: String,
    pub(super) state: String,
    /// What a worker said that ended by itself.
    pub(super) failed: Option<String>,
}

const WORKERS: usize = 3;
const BYTES: usize = 4096;
/// A worker's words are this far from each other: increments acknowledged, by it and its predecessors; the largest count seen.
const STRIDE: usize = 16;
const ACKNOWLEDGED: usize = 0;
const SEEN: usize = 1;
/// Tells the workers to finish.
const STOP: usize = 64;
/// First word of the subject's place.
const PLACE: usize = 128;
/// How often the coordinator looks while it watches.
const LOOK: Duration = Duration::from_micros(100);

/// Runs it; whatever happens, no process is left.
pub(super) fn run(plan: &Plan) -> Fallible<Outcome> {
    let fd = sys::inheritable_memory(BYTES)?;
    let words = sys::map_words(fd, BYTES)?;
    let place = Place { words: &words[PLACE..], name: &plan.name, prefix: &plan.prefix };
    // Kept until the end: what its maker drops may vanish.
    let made = subjects::make(plan.subject, &place)?;
    let mut crew = Crew { plan, fd, words, children: Vec::new() };
    let outcome = crew.go();
    drop(crew);
    drop(made);
    sys::close(fd)?;
    outcome
}

struct Crew<'a> {
    plan: &'a Plan,
    fd: RawFd,
    words: &'static [AtomicU64],
    children: Vec<Child>,
}

impl Crew<'_> {
    fn go(&mut self) -> Fallible<Outcome> {
        for worker in 0..WORKERS {
            let child = self.spawn(worker)?;
            self.children.push(child);
        }
        let mut outcome = Outcome {
            still: Still::Nobody,
            kills: 0,
            kills_before: 0,
            acknowledged: 0,
            lost: 0,
            took: Duration::ZERO,
            longest: Duration::ZERO,
            kind: String::new(),
            state: String::new(),
            failed: None,
        };
        if !self.wait(|crew| !crew.sums().contains(&0)) {
            return Err(format!("{}: a worker did not begin", self.plan.subject).into());
        }
        let mut random = Random(self.plan.seed);
        let (begun, mut next) = (Instant::now(), Instant::now());
        let mut progress = Progress::new(self.sums());
        while outcome.kills < self.plan.kills && progress.none_since() < self.plan.patience && outcome.failed.is_none()
        {
            // From kill to kill: what the last one took, on a machine that is busy, is not added.
            next += Duration::from_micros(200 + random.below(7801));
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            progress.look(self.sums(), outcome.kills);
            self.notice_failures(&mut outcome)?;
            let victim = random.below(WORKERS as u64) as usize;
            self.children[victim].kill()?;
            self.children[victim].wait()?;
            outcome.kills += 1;
            self.children[victim] = self.spawn(victim)?;
        }
        outcome.took = begun.elapsed();
        outcome.longest = progress.longest;
        let before = self.sums();
        let anyone = self.wait(|crew| crew.sums() != before);
        self.words[STOP].store(1, Ordering::Release);
        let everyone = anyone && self.wait(|crew| crew.running().is_empty());
        (outcome.still, outcome.kills_before) = match (anyone, everyone) {
            (_, true) => (Still::Nobody, outcome.kills),
            (true, false) => (Still::Some, outcome.kills),
            (false, false) => (Still::All, progress.kills),
        };
        self.notice_failures(&mut outcome)?;
        (outcome.kind, outcome.state) = stuck::describe(&self.running());
        self.end();
        outcome.acknowledged = self.sums().iter().sum();
        let seen = (0..WORKERS).map(|worker| self.word(worker, SEEN).load(Ordering::Acquire));
        // Every holding has a count of its own, so there cannot be more of them than the largest, unless some were lost.
        outcome.lost = outcome.acknowledged.saturating_sub(seen.max().unwrap_or(0));
        Ok(outcome)
    }

    /// Waits, without killing, until it is so, or for as long as patience lasts; whether it is.
    fn wait(&mut self, mut so: impl FnMut(&mut Self) -> bool) -> bool {
        let deadline = Instant::now() + self.plan.patience;
        loop {
            if so(self) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Those that have not ended.
    fn running(&mut self) -> Vec<u32> {
        self.children.iter_mut().filter_map(|it| matches!(it.try_wait(), Ok(None)).then(|| it.id())).collect()
    }

    fn word(&self, worker: usize, at: usize) -> &'static AtomicU64 {
        &self.words[worker * STRIDE + at]
    }

    fn sums(&self) -> [u64; WORKERS] {
        std::array::from_fn(|worker| self.word(worker, ACKNOWLEDGED).load(Ordering::Acquire))
    }

    fn spawn(&self, worker: usize) -> Fallible<Child> {
        let Plan { subject, name, prefix, hold, pause, .. } = self.plan;
        let mut command = Command::new("/proc/self/exe");
        command.args(["wedger", &self.fd.to_string(), &worker.to_string(), subject, name, prefix]);
        command.args([hold.to_string(), pause.to_string()]);
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?)
    }

    /// A worker ends by itself when it is told to stop, or because something failed.
    fn notice_failures(&mut self, outcome: &mut Outcome) -> Fallible<()> {
        for child in &mut self.children {
            if let Some(status) = child.try_wait()?.filter(|status| !status.success()) {
                let mut said = String::new();
                child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut said)).transpose()?;
                outcome.failed = Some(format!("{status}: {}", said.trim()));
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// When anyone got on last.
struct Progress {
    sums: [u64; WORKERS],
    at: Instant,
    kills: u32,
    longest: Duration,
}

impl Progress {
    fn new(sums: [u64; WORKERS]) -> Self {
        Self { sums, at: Instant::now(), kills: 0, longest: Duration::ZERO }
    }

    fn look(&mut self, sums: [u64; WORKERS], kills: u32) {
        if sums != self.sums {
            *self = Self { sums, at: Instant::now(), kills, longest: self.longest.max(self.at.elapsed()) };
        }
    }

    fn none_since(&self) -> Duration {
        self.at.elapsed()
    }
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (it ^ (it >> 31)) % bound
    }
}

/// A worker's life: until it is killed, is told to finish, or something fails.
pub(crate) fn work(arguments: &[String]) -> Fallible<()> {
    let [fd, worker, subject, name, prefix, hold, pause] = arguments else {
        return Err("a worker is started by the coordinator, not by hand".into());
    };
    sys::die_with_parent()?;
    let words = sys::map_words(fd.parse()?, BYTES)?;
    let worker: usize = worker.parse()?;
    let (hold, pause): (u64, u64) = (hold.parse()?, pause.parse()?);
    let mut counter = subjects::open(subject, &Place { words: &words[PLACE..], name, prefix })?;
    let word = |at: usize| &words[worker * STRIDE + at];
    while words[STOP].load(Ordering::Acquire) == 0 {
        let count = counter.increment(&mut || pass(hold))?;
        word(SEEN).fetch_max(count, Ordering::Release);
        word(ACKNOWLEDGED).fetch_add(1, Ordering::Release);
        pass(pause);
    }
    Ok(())
}

/// Stays awake for so many nanoseconds.
fn pass(ns: u64) {
    if ns > 0 {
        let until = sys::now_ns() + ns;
        while sys::now_ns() < until {
            std::hint::spin_loop();
        }
    }
}
