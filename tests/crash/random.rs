//! The random run: processes that use everything at once are killed at random moments, half of them from outside and half of them right
//! after a random store of theirs, and replaced; an oracle knows what was acknowledged.

use std::path::Path;
use std::time::{Duration, Instant};

use sharedware::__crash as crash;
use sharedware::Domain;

use crate::cast::{Cast, Random, Role};
use crate::ensure;
use crate::oracle::{Me, Oracle, Recovery, about_to_die, die};
use crate::process::{
    Child, End, Heard, Outcome, adopt_orphans, hold_back_child_signals, now, reap_any, wait_for_children,
};

/// Who makes no progress for so long hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so many failures it is clear that something is wrong.
const ENOUGH: u64 = 8;

/// What the run came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) kills: u64,
    pub(crate) acked: u64,
    /// Acknowledged and not there, out of order, twice, torn; or any other answer that is wrong.
    pub(crate) lost: u64,
    pub(crate) hangs: u64,
    pub(crate) left: Vec<String>,
    /// Nanoseconds from a kill to the next operation of anyone else on the same structure, sorted.
    pub(crate) others: Vec<u64>,
    /// The same to the first operation of who replaces the killed one.
    pub(crate) successors: Vec<u64>,
}

struct Worker {
    role: Role,
    index: usize,
    life: u64,
    child: Child,
    /// What it had acknowledged when we last saw progress, and when that was.
    progress: (u64, Instant),
}

struct Run<'a> {
    domain: &'a Domain,
    oracle: Oracle,
    random: Random,
    lives: u64,
    report: Report,
}

/// Runs until there have been so many kills and so many seconds have passed.
pub(crate) fn run(cast: &Cast, directory: &Path, kills: u64, time: Duration, seed: u64) -> Outcome<Report> {
    let domain = Domain::new("random")?.in_directory(directory);
    Child::fork(|_| (cast.prepare)(&domain))?.join(PATIENCE).map_err(|error| format!("preparing: {error}"))?;
    adopt_orphans();
    hold_back_child_signals();
    let oracle = Oracle::new()?;
    let mut run = Run { domain: &domain, oracle, random: Random(seed), lives: 0, report: Report::default() };
    let mut workers = Vec::new();
    for (index, role) in cast.roles.iter().copied().enumerate() {
        workers.push(run.employ(role, index)?);
    }

    let start = Instant::now();
    while (run.report.kills < kills || start.elapsed() < time) && run.report.lost + run.report.hangs < ENOUGH {
        let pause = 100 + run.random.below(4900);
        let until = Instant::now() + Duration::from_micros(pause);
        loop {
            wait_for_children(until.saturating_duration_since(Instant::now()));
            run.bury(&mut workers)?;
            if Instant::now() >= until {
                break;
            }
        }
        let chosen = run.random.below(workers.len() as u64) as usize;
        if let Some(worker) = workers.get_mut(chosen) {
            run.watch(worker);
            let at = now();
            let end = worker.child.kill()?;
            run.buried(worker, end, at)?;
        }
        for worker in &mut workers {
            run.watch(worker);
        }
    }

    for worker in &mut workers {
        worker.child.kill()?;
        run.report.kills += 1;
    }
    // Children of the forker may go on for a moment.
    let until = Instant::now() + PATIENCE;
    while let Ok(reaped) = reap_any(false) {
        if reaped.is_none() {
            wait_for_children(Duration::from_millis(10));
        }
        if Instant::now() > until {
            run.report.hangs += 1;
            println!("HANG: a forked child does not end");
            break;
        }
    }
    run.report.acked = workers.iter().map(|worker| oracle.acked(worker.index)).sum();
    if let Err(error) = Child::fork(|_| (cast.finish)(&domain, oracle))?.join(PATIENCE) {
        run.report.lost += 1;
        println!("FAILED at the end: {error}");
    }
    run.report.left =
        std::fs::read_dir(directory)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    run.report.others = oracle.recoveries(Recovery::Others);
    run.report.successors = oracle.recoveries(Recovery::Successor);
    Ok(run.report)
}

impl Run<'_> {
    /// A new process for a role.
    fn employ(&mut self, role: Role, index: usize) -> Outcome<Worker> {
        self.lives += 1;
        let me = Me { oracle: self.oracle, index, structure: role.structure, life: self.lives };
        let mut random = Random(self.random.next());
        let domain = self.domain;
        let child = Child::fork(|_| {
            about_to_die(me);
            if random.below(2) == 0 {
                // Of every order of magnitude up to ten thousand as many.
                let order = 10_u64.pow(random.below(5) as u32);
                crash::arm(order + random.below(9 * order), die);
            }
            (role.work)(domain, me, random)
        })?;
        Ok(Worker { role, index, life: self.lives, child, progress: (self.oracle.acked(index), Instant::now()) })
    }

    /// Replaces all workers that have ended by themselves.
    fn bury(&mut self, workers: &mut [Worker]) -> Outcome {
        while let Some((pid, end)) = reap_any(false)? {
            // Others are orphans of a forker.
            if let Some(worker) = workers.iter_mut().find(|worker| worker.child.pid == pid) {
                worker.child.was_reaped();
                self.buried(worker, end, now())?;
            }
        }
        Ok(())
    }

    /// Replaces a worker that has ended; at what time, unless it noted that itself.
    fn buried(&mut self, worker: &mut Worker, end: End, at: u64) -> Outcome {
        let at = match self.oracle.died(worker.index) {
            0 => at,
            noted => noted,
        };
        if end == End::Signalled(libc::SIGKILL) {
            self.report.kills += 1;
            self.oracle.killed(worker.index, worker.role.structure, worker.life, at);
        } else {
            self.report.lost += 1;
            let said = match worker.child.line.recv(Duration::ZERO) {
                Ok(Heard::Message(said)) => String::from_utf8_lossy(&said).into_owned(),
                _ => "nothing".into(),
            };
            println!("FAILED after {} kills: {}: {end:?}, said {said}", self.report.kills, worker.role.name);
        }
        *worker = self.employ(worker.role, worker.index)?;
        Ok(())
    }

    /// Notes progress, or that there has been none for long.
    fn watch(&mut self, worker: &mut Worker) {
        let acked = self.oracle.acked(worker.index);
        if acked != worker.progress.0 {
            worker.progress = (acked, Instant::now());
        } else if worker.progress.1.elapsed() > PATIENCE {
            self.report.hangs += 1;
            println!("HANG after {} kills: {} (pid {})", self.report.kills, worker.role.name, worker.child.pid);
            worker.progress.1 = Instant::now();
        }
    }
}

impl Report {
    pub(crate) fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.acked += other.acked;
        self.lost += other.lost;
        self.hangs += other.hangs;
        self.left.extend(other.left);
        self.others.extend(other.others);
        self.successors.extend(other.successors);
        self.others.sort_unstable();
        self.successors.sort_unstable();
    }

    pub(crate) fn check(&self) -> Outcome {
        ensure!(self.lost == 0, "{} wrong answers", self.lost);
        ensure!(self.hangs == 0, "{} hangs", self.hangs);
        ensure!(self.left.is_empty(), "left behind: {:?}", self.left);
        Ok(())
    }
}
