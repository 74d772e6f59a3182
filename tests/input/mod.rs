//! What the tests of bad input and of the layout share: a directory of their own, segments made by hand, processes of their own.
#![allow(dead_code, reason = "each test target uses some of it")]

pub(crate) mod image;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::{env, fs, process};

use sharedware::{Domain, Error};

/// A directory in shared memory that belongs to one test; gone with its content when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    path: PathBuf,
}

impl Room {
    pub(crate) fn new() -> Self {
        static NEXT: Mutex<u32> = Mutex::new(0);
        let number = {
            let mut next = NEXT.lock().unwrap();
            *next += 1;
            *next
        };
        let path = PathBuf::from(format!("/dev/shm/sharedware-test-{}-{number}", process::id()));
        // A process with our number may have been killed here.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        // Like /dev/shm itself: other users may come in.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).unwrap();
        Self { path }
    }

    /// The room that a parent process made.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn domain(&self) -> Domain {
        domain_in(&self.path)
    }

    /// The file of the segment `name` of [`domain`](Self::domain).
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("sharedware.t.{name}"))
    }

    /// Puts a file under the name of a segment, mode 0600.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Everything there is to know about what is in the room: name, inode, mode, length, content.
    pub(crate) fn state(&self) -> BTreeMap<String, (u64, u32, u64, Vec<u8>)> {
        fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let metadata = entry.path().symlink_metadata().unwrap();
                // The registry comes and goes with handles, and a peer's slot changes.
                let content = metadata.is_file() && metadata.len() < 1 << 20;
                let content = if content { fs::read(entry.path()).unwrap_or_default() } else { Vec::new() };
                let name = entry.file_name().into_string().unwrap();
                (name, (metadata.ino(), metadata.mode(), metadata.len(), content))
            })
            .collect()
    }

    /// Names in the room, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state().into_keys().collect()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The tests' domain in a directory.
pub(crate) fn domain_in(directory: &Path) -> Domain {
    Domain::new("t").unwrap().in_directory(directory)
}

/// The text of an error, which must name the segment and contain all the `parts`.
#[track_caller]
pub(crate) fn says<T>(result: Result<T, Error>, path: &Path, parts: &[&str]) -> String {
    let Err(error) = result else { panic!("expected an error with {parts:?}, but it worked") };
    assert_eq!(error.path(), path, "{error}");
    let text = error.to_string();
    contains(&text, &path.display().to_string());
    for part in parts {
        contains(&text, part);
    }
    text
}

#[track_caller]
pub(crate) fn contains(text: &str, part: &str) {
    assert!(text.contains(part), "expected {part:?} in: {text}");
}

/// Whether this process is root; says loudly what is left out if it is not.
pub(crate) fn root(what: &str) -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        eprintln!("SKIPPED: {what}: needs root");
    }
    is_root
}

/// The argument that a test was started with as a [`Child`]; `None` in the test itself.
pub(crate) fn role() -> Option<String> {
    env::var("SHAREDWARE_TEST_ROLE").ok()
}

/// Where the parent's [`Room`] is.
pub(crate) fn parents_room() -> PathBuf {
    env::var_os("SHAREDWARE_TEST_ROOM").expect("only in a child").into()
}

/// Another process: this very test program, running the test of the given name in a role.
pub(crate) struct Child(Command);

impl Child {
    pub(crate) fn new(test: &str, role: &str, room: &Path) -> Self {
        Self::wrapped(Command::new(env::current_exe().unwrap()), test, role, room)
    }

    /// The same behind a shell command, such as `ulimit -n 20`, that applies to it.
    pub(crate) fn after(shell: &str, test: &str, role: &str, room: &Path) -> Self {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{shell} && exec \"$0\" \"$@\"")).arg(env::current_exe().unwrap());
        Self::wrapped(command, test, role, room)
    }

    fn wrapped(mut command: Command, test: &str, role: &str, room: &Path) -> Self {
        command
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env("SHAREDWARE_TEST_ROLE", role)
            .env("SHAREDWARE_TEST_ROOM", room);
        Self(command)
    }

    /// As the user `nobody`.
    pub(crate) fn as_nobody(mut self) -> Self {
        self.0.uid(NOBODY).gid(NOBODY);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it to its end; fails with its output unless it succeeded.
    #[track_caller]
    pub(crate) fn run(mut self) -> String {
        let output = self.0.output().unwrap();
        assert_success(&output)
    }

    /// Starts it, with its standard input and output piped.
    pub(crate) fn start(mut self) -> process::Child {
        self.0.stdin(process::Stdio::piped()).stdout(process::Stdio::piped()).spawn().unwrap()
    }
}

#[track_caller]
pub(crate) fn assert_success(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{text}", output.status);
    assert!(text.contains("1 passed"), "the child ran no test:\n{text}");
    text
}

/// The uid and gid of `nobody`.
pub(crate) const NOBODY: u32 = 65534;
