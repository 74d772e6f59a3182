//! A directory of shared memory for one test, gone with it, and other processes that work in it.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sharedware::Domain;

static NEXT: Mutex<u32> = Mutex::new(0);

const PLACE: &str = "SHAREDWARE_TEST_PLACE";
const ROLE: &str = "SHAREDWARE_TEST_ROLE";

/// Long enough for anything that should happen at once, on the slowest machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A directory of shared memory that only this test knows.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    ours: bool,
}

impl Place {
    pub(crate) fn new() -> Self {
        let number = {
            let mut next = NEXT.lock().unwrap();
            *next += 1;
            *next
        };
        let directory = PathBuf::from(format!("/dev/shm/sharedware-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        Self { directory, ours: true }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn domain(&self) -> Domain {
        Domain::new("test").unwrap().in_directory(&self.directory)
    }

    /// The names of the files in it.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.directory).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Starts this test once more in another process, which finds itself with [`role`].
    pub(crate) fn other_process(&self, test: &str, role: &str) -> Other {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(PLACE, &self.directory)
            .env(ROLE, role)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Other(child)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// The part this process is to play, and where, if it is another process of a test.
pub(crate) fn role() -> Option<(String, Place)> {
    let role = std::env::var(ROLE).ok()?;
    let directory = PathBuf::from(std::env::var_os(PLACE)?);
    Some((role, Place { directory, ours: false }))
}

/// Another process of the test; killed with SIGKILL when dropped.
#[derive(Debug)]
pub(crate) struct Other(Child);

impl Other {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for it to end, however it does.
    pub(crate) fn end(mut self) {
        self.0.wait().unwrap();
    }

    /// Waits for it to end well.
    pub(crate) fn join(mut self) {
        assert!(self.0.wait().unwrap().success(), "the other process failed");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks until there is something.
pub(crate) fn eventually<R>(mut look: impl FnMut() -> Option<R>) -> R {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < SOON, "did not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs `wait`, which must take at least `timeout` of time.
#[track_caller]
pub(crate) fn takes_at_least<R>(timeout: Duration, wait: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = wait();
    assert!(start.elapsed() >= timeout, "over after {:?} of {timeout:?}", start.elapsed());
    result
}

/// Sleeps for ever, until killed.
pub(crate) fn sleep_until_killed() -> ! {
    loop {
        std::thread::sleep(SOON);
    }
}

/// Ends this process as SIGKILL does.
pub(crate) fn die() -> ! {
    let _ = Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
    sleep_until_killed()
}

/// Numbers that look random, the same for every run (SplitMix64).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any bits; often few, all, or a small number, which are likelier to mean something.
    pub(crate) fn word(&mut self) -> u64 {
        let any = self.next();
        match self.next() % 6 {
            0 => 0,
            1 => u64::MAX,
            2 => any % 5,
            3 => 1 << (any % 64),
            _ => any,
        }
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
