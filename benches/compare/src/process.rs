//! Workers: this program executes itself, pinned to a core each (where there are no more of them than that), and reads one JSON
//! document from each when it ends.
//!
//! The workers of a job meet in the *arena*, a nameless shared mapping that they inherit. The coordinator sleeps while they
//! run, kills all when one fails or takes too long, and removes what a killed rival left in `/dev/shm`.

use std::cell::Cell;
use std::io::Read;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sys;

/// Anything that goes wrong ends the benchmark with a sentence.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// One side of a comparison, as its workers are told about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// What is measured: `one_way`, `stream`, `read`, ... see `families::work`.
    pub(crate) what: String,
    /// By whom: `ours`, `rtrb`, `iceoryx2`, ...
    pub(crate) subject: String,
    /// Size of a message, record or value.
    pub(crate) bytes: usize,
    /// Messages at a time; 1 is singly.
    pub(crate) batch: usize,
    /// Messages a queue holds, where its maker must say.
    pub(crate) capacity: usize,
    /// Operations in all.
    pub(crate) count: u64,
    /// How long it goes on, where that is fixed and the count is not.
    pub(crate) millis: u64,
    /// Who take part: processes, or threads of one.
    pub(crate) roles: usize,
    /// Unique in this run; names of shared objects carry it.
    pub(crate) id: u64,
}

impl Job {
    pub(crate) fn new(what: &str, subject: &str, bytes: usize) -> Self {
        let (what, subject) = (what.into(), subject.into());
        Self { what, subject, bytes, batch: 1, capacity: 1024, count: 1000, millis: 0, roles: 2, id: 0 }
    }

    pub(crate) fn batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// For the first run; those after it are as long as a round.
    pub(crate) fn count(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    pub(crate) fn millis(mut self, millis: u64) -> Self {
        self.millis = millis;
        self
    }

    pub(crate) fn roles(mut self, roles: usize) -> Self {
        self.roles = roles;
        self
    }

    pub(crate) fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }
}

const ARENA_BYTES: usize = 1 << 20;
const ARRIVED: usize = 0;
const CREATED: usize = 16;
const STOP: usize = 32;
const STARTED: usize = 48;
const NOTES: usize = 64;
/// First word that belongs to whatever is measured.
const FREE: usize = 512;

/// What a worker knows: its job, its role (counted from 0), and where to meet the others.
pub(crate) struct Context {
    pub(crate) job: Job,
    pub(crate) role: usize,
    cores: [usize; 2],
    words: &'static [AtomicU64],
    prefix: String,
    met: Cell<u64>,
}

impl Context {
    /// Enters a worker process: pinned, and dead as soon as the coordinator is.
    pub(crate) fn enter(arguments: &[String]) -> Fallible<Self> {
        let [role, fd, core0, core1, prefix, job] = arguments else {
            return Err("a worker is started by the coordinator, not by hand".into());
        };
        sys::die_with_parent()?;
        let context = Self {
            job: serde_json::from_str(job)?,
            role: role.parse()?,
            cores: [core0.parse()?, core1.parse()?],
            words: sys::map_words(fd.parse()?, ARENA_BYTES)?,
            prefix: prefix.clone(),
            met: Cell::new(0),
        };
        context.settle()?;
        Ok(context)
    }

    /// Another role's context, for a thread of this process; the thread calls [`Context::settle`] first.
    pub(crate) fn for_thread(&self, role: usize) -> Self {
        let (job, prefix) = (self.job.clone(), self.prefix.clone());
        Self { job, role, cores: self.cores, words: self.words, prefix, met: Cell::new(0) }
    }

    /// Pins the calling thread to its role's core, if each has one; more of them are the scheduler's to lay out.
    pub(crate) fn settle(&self) -> Fallible<()> {
        if self.job.roles > self.cores.len() {
            return Ok(());
        }
        Ok(sys::pin(self.cores[self.role])?)
    }

    /// A name for a shared object of this job.
    pub(crate) fn name(&self, lane: usize) -> String {
        format!("{}-{}-{lane}", self.prefix, self.job.id)
    }

    /// What iceoryx2 puts before the names of its files.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Waits until all roles are here. All must have called it equally often.
    pub(crate) fn meet(&self) {
        self.met.set(self.met.get() + self.job.roles as u64);
        self.words[ARRIVED].fetch_add(1, Ordering::SeqCst);
        while self.words[ARRIVED].load(Ordering::SeqCst) < self.met.get() {
            std::thread::yield_now();
        }
    }

    /// Role 0 says that what the others open is there.
    pub(crate) fn created(&self) {
        self.words[CREATED].store(1, Ordering::Release);
    }

    /// Another role waits until role 0 has said so.
    pub(crate) fn await_created(&self) {
        while self.words[CREATED].load(Ordering::Acquire) == 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// What role 0 makes and the others open when it is there.
    pub(crate) fn shared<T>(&self, new: impl FnOnce(&Self) -> Fallible<T>) -> Fallible<T> {
        if self.role != 0 {
            self.await_created();
        }
        let made = new(self)?;
        self.created();
        Ok(made)
    }

    /// A flag by which one role ends the others' loops.
    pub(crate) fn stop(&self) -> &'static AtomicU64 {
        &self.words[STOP]
    }

    /// The moment at which role 0 began, for role 1 to read at the end.
    pub(crate) fn started(&self) -> &'static AtomicU64 {
        &self.words[STARTED]
    }

    /// Words for what is measured, zero at the start; a multiple of 128 bytes from each other where `index` is one of 16.
    pub(crate) fn free(&self) -> &'static [AtomicU64] {
        &self.words[FREE..]
    }

    /// Leaves a short text for the other role.
    pub(crate) fn leave_note(&self, lane: usize, text: &str) {
        let area = &self.words[NOTES + lane * 64..][..64];
        assert!(text.len() < 63 * 8, "a note of {} bytes", text.len());
        for (word, chunk) in area[1..].iter().zip(text.as_bytes().chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        area[0].store(text.len() as u64, Ordering::Release);
    }

    /// Waits for the other role's note.
    pub(crate) fn read_note(&self, lane: usize) -> Fallible<String> {
        let area = &self.words[NOTES + lane * 64..][..64];
        loop {
            let length = area[0].load(Ordering::Acquire) as usize;
            if length > 0 {
                let bytes: Vec<u8> = area[1..].iter().flat_map(|w| w.load(Ordering::Relaxed).to_le_bytes()).collect();
                return Ok(String::from_utf8(bytes[..length].to_vec())?);
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// The coordinator's side: starts jobs and collects what they say.
pub(crate) struct Lab {
    pub(crate) cores: [usize; 2],
    fd: RawFd,
    words: &'static [AtomicU64],
    prefix: String,
    jobs: u64,
}

impl Lab {
    pub(crate) fn new() -> Fallible<Self> {
        let cores = sys::allowed_cores()?;
        let &[first, second, ..] = cores.as_slice() else {
            return Err("two cores are needed: a measurement across processes on one core says nothing".into());
        };
        let fd = sys::inheritable_memory(ARENA_BYTES)?;
        let words = sys::map_words(fd, ARENA_BYTES)?;
        let prefix = format!("compare{}", std::process::id());
        Ok(Self { cores: [first, second], fd, words, prefix, jobs: 0 })
    }

    /// A name for an object that the coordinator itself has others make.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Runs a job with a process for each role, two of them on a core each; the answers, role by role.
    pub(crate) fn processes(&mut self, job: &Job) -> Fallible<Vec<Value>> {
        self.run(job, job.roles)
    }

    /// Runs a job in one process, which is role 0 on the first core and may start a thread for each other role.
    pub(crate) fn solo(&mut self, job: &Job) -> Fallible<Value> {
        Ok(self.run(job, 1)?.pop().unwrap_or_default())
    }

    fn run(&mut self, job: &Job, workers: usize) -> Fallible<Vec<Value>> {
        for word in self.words {
            word.store(0, Ordering::Relaxed);
        }
        self.jobs += 1;
        let job = Job { id: self.jobs, ..job.clone() };
        let mut children = Vec::new();
        for role in 0..workers {
            match self.spawn(&job, role) {
                Ok(child) => children.push(child),
                Err(error) => {
                    end(&mut children);
                    return Err(format!("cannot start a worker: {error}").into());
                }
            }
        }
        let outcome = wait(&mut children);
        if outcome.is_err() {
            end(&mut children);
            self.sweep();
        }
        outcome.map_err(|error| format!("{} {} of {} bytes: {error}", job.what, job.subject, job.bytes).into())
    }

    fn spawn(&self, job: &Job, role: usize) -> Fallible<Child> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("worker").args([role.to_string(), self.fd.to_string()]);
        command.args(self.cores.map(|core| core.to_string())).arg(&self.prefix).arg(serde_json::to_string(job)?);
        Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    }

    /// Removes what killed workers left: objects that carry this run's prefix, and so nobody else's.
    pub(crate) fn sweep(&self) {
        for directory in [PathBuf::from("/dev/shm"), std::env::temp_dir()] {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().contains(&self.prefix) {
                    let path = entry.path();
                    let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
                }
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.sweep();
    }
}

/// Sleeps until all have ended well and returns what they printed. Everything printed is shorter than a pipe, so none of
/// them can be stuck in writing it.
fn wait(children: &mut [Child]) -> Fallible<Vec<Value>> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut running = children.len();
    while running > 0 {
        std::thread::sleep(Duration::from_millis(2));
        running = 0;
        for child in &mut *children {
            match child.try_wait()? {
                None => running += 1,
                Some(status) if status.success() => {}
                Some(status) => {
                    let mut said = String::new();
                    child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut said)).transpose()?;
                    return Err(format!("a worker ended with {status}: {}", said.trim()).into());
                }
            }
        }
        if Instant::now() > deadline {
            return Err("no end after 60 seconds".into());
        }
    }
    children
        .iter_mut()
        .map(|child| {
            let mut said = String::new();
            child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut said)).transpose()?;
            Ok(serde_json::from_str(said.trim())?)
        })
        .collect()
}

fn end(children: &mut [Child]) {
    for child in children {
        let _ = child.kill();
        let _ = child.wait();
    }
}
