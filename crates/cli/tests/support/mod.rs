//! A room of its own for each test: a directory in shared memory, a domain, and the tool in it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};
use sharedware::Domain;

/// Long enough for a slow and busy machine; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Room {
    pub(crate) directory: PathBuf,
    scratch: PathBuf,
}

impl Room {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("sharedware-test-{}-{name}", std::process::id());
        let (directory, scratch) = (Path::new("/dev/shm").join(&name), std::env::temp_dir().join(&name));
        fs::create_dir(&directory).unwrap();
        fs::create_dir(&scratch).unwrap();
        Self { directory, scratch }
    }

    pub(crate) fn domain(&self) -> Domain {
        Domain::new("test").unwrap().in_directory(&self.directory)
    }

    /// The tool, in this room.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sharedware"));
        command.args(arguments).env("SHAREDWARE_DOMAIN", "test").env("SHAREDWARE_DIR", &self.directory);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.tool(arguments).output().unwrap())
    }

    /// A file that stands apart from shared memory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// What is in shared memory.
    pub(crate) fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    pub(crate) fn assert_empty(&self) {
        assert!(self.left().is_empty(), "left behind: {:?}", self.left());
    }

    /// After a kill of the last one who used it: what is left counts as gone, and `clean` takes it away.
    pub(crate) fn assert_cleanable(&self) {
        let ran = self.run(&["clean"]);
        assert_eq!(ran.status, Some(0), "{}", ran.error);
        self.assert_empty();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left: {:?}\n{}", self.left(), self.run(&["ls", "--all"]).text());
        }
        let _ = fs::remove_dir_all(&self.directory);
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// A run that is over.
pub(crate) struct Ran {
    /// `None`: ended by a signal.
    pub(crate) status: Option<i32>,
    pub(crate) output: Vec<u8>,
    pub(crate) error: String,
}

impl Ran {
    fn new(output: Output) -> Self {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { status: output.status.code(), output: output.stdout, error }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.output.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, Some(0), "{}", self.error);
        serde_json::from_slice(&self.output).unwrap()
    }

    pub(crate) fn fails(self, status: i32, words: &[&str]) {
        assert_eq!(self.status, Some(status), "{}", self.error);
        assert!(self.output.is_empty(), "{:?}", self.text());
        for word in words {
            assert!(self.error.contains(word), "expected `{word}` in: {}", self.error);
        }
    }
}

/// A process of ours; killed if the test ends before it.
pub(crate) struct Running {
    pub(crate) child: Child,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self { child: command.spawn().unwrap() }
    }

    /// Kills it with SIGKILL, unless it has ended.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ran {
        let stdout = self.child.stdout.take();
        let reader = stdout.map(|mut stdout| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                stdout.read_to_end(&mut bytes).unwrap();
                bytes
            })
        });
        let status = self.wait();
        let mut error = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut error).unwrap();
        }
        let output = reader.map(|reader| reader.join().unwrap()).unwrap_or_default();
        Ran { status: status.code(), output, error }
    }

    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Reads its standard error up to a line that has this in it.
    pub(crate) fn says(&mut self, words: &str) -> BufReader<ChildStderr> {
        let mut lines = BufReader::new(self.child.stderr.take().unwrap());
        let mut all = String::new();
        while !all.contains(words) {
            assert!(lines.read_line(&mut all).unwrap() > 0, "expected `{words}` in: {all}");
        }
        lines
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "it never came to be that {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Bytes that repeat nowhere.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

pub(crate) fn sum(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

pub(crate) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

pub(crate) fn open(path: &Path) -> Stdio {
    File::open(path).unwrap().into()
}

pub(crate) fn create(path: &Path) -> Stdio {
    File::create(path).unwrap().into()
}

/// Whether a signal does anything to us and thus to what we start. A shell has what it runs in the background ignore INT, and so do `nohup` and HUP;
/// the tool respects that.
pub(crate) fn is_heeded(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    let heeded = u64::from_str_radix(ignored, 16).unwrap() & (1 << (signal.as_raw() - 1)) == 0;
    if !heeded {
        println!("SKIPPED: {signal:?} is ignored here");
    }
    heeded
}
