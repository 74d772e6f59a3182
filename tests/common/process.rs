//! Processes for tests: forked, talked to, watched, and killed by nobody but who forked them.
//!
//! # Safety
//!
//! The unsafe code here is `fork` and system calls on descriptors that are owned here, on integers, and on structures on the stack. Programs
//! that use it have one thread, so that a forked child may do whatever its parent may.
#![allow(unsafe_code)]
#![allow(dead_code, reason = "each test program uses some of it")]

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// What a step of a test comes to; the error is for people to read.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Returns from the function with an error, made like `format!`, unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*).into());
        }
    };
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Exited(i32),
    Signalled(i32),
}

/// One end of a two-way line of messages between a process and its child. Messages arrive whole; what a dead process had sent still arrives.
#[derive(Debug)]
pub(crate) struct Line(File);

/// What [`Line::recv`] may find.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Message(Vec<u8>),
    /// The other end is closed: its process has ended.
    Closed,
    /// Nothing for all of the time given.
    Silence,
}

impl Line {
    fn pair() -> io::Result<(Self, Self)> {
        let mut ends: [RawFd; 2] = [-1; 2];
        // SAFETY: room for two descriptors.
        check(unsafe {
            libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr())
        })?;
        // SAFETY: the descriptor is new and nobody else's.
        let ours = unsafe { File::from_raw_fd(ends[0]) };
        // SAFETY: as above.
        let theirs = unsafe { File::from_raw_fd(ends[1]) };
        Ok((Self(ours), Self(theirs)))
    }

    /// Sends a message of at least one byte.
    pub(crate) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.0.write_all(message)
    }

    pub(crate) fn recv(&mut self, timeout: Duration) -> io::Result<Heard> {
        if !readable(self.0.as_raw_fd(), timeout)? {
            return Ok(Heard::Silence);
        }
        let mut message = vec![0; 1 << 16];
        match self.0.read(&mut message) {
            Ok(0) => Ok(Heard::Closed),
            Ok(length) => {
                message.truncate(length);
                Ok(Heard::Message(message))
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Heard::Closed),
            Err(error) => Err(error),
        }
    }

    /// The next message; an error if none comes.
    pub(crate) fn expect(&mut self, timeout: Duration) -> Outcome<Vec<u8>> {
        match self.recv(timeout)? {
            Heard::Message(message) => Ok(message),
            Heard::Closed => Err("its process ended without a word".into()),
            Heard::Silence => Err(format!("hangs: nothing heard for {timeout:?}").into()),
        }
    }

    /// The same line once more, for a child of one's own.
    pub(crate) fn share(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

/// A child process; killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: i32,
    pub(crate) line: Line,
    /// Readable once the process has ended, zombie or not.
    handle: OwnedFd,
    reaped: bool,
}

impl Child {
    /// Forks a child that runs `run` and exits with its result: 0, or 1 after it has told its error by its line. It does not outlive its parent.
    pub(crate) fn fork(run: impl FnOnce(&mut Line) -> Outcome) -> io::Result<Self> {
        let (ours, mut theirs) = Line::pair()?;
        let parent = process_id();
        // SAFETY: the program has one thread.
        let pid = check(unsafe { libc::fork() })?;
        if pid == 0 {
            drop(ours);
            die_with_parent(parent);
            let code = guarded(&mut theirs, run);
            exit_now(code);
        }
        drop(theirs);
        Ok(Self { pid, line: ours, handle: handle_of(pid)?, reaped: false })
    }

    /// Sends it a signal; SIGKILL ends it for good.
    pub(crate) fn signal(&self, signal: i32) {
        assert!(!self.reaped, "a reaped child's pid may be somebody else's");
        signal_to(self.pid, signal);
    }

    /// Kills it and waits until it is a zombie, or no more.
    pub(crate) fn kill(&mut self) -> io::Result<End> {
        self.signal(libc::SIGKILL);
        self.wait()
    }

    /// Whether it ends within the time; a zombie has ended. Does not reap it.
    pub(crate) fn has_ended(&self, timeout: Duration) -> io::Result<bool> {
        readable(self.handle.as_raw_fd(), timeout)
    }

    /// Waits until it stops (by SIGSTOP) or ends; whether it stopped. Reaps it if it ended.
    pub(crate) fn wait_stopped(&mut self) -> io::Result<bool> {
        let mut status = 0;
        // SAFETY: room for the status.
        check(unsafe { libc::waitpid(self.pid, &raw mut status, libc::WUNTRACED) })?;
        self.reaped = !libc::WIFSTOPPED(status);
        Ok(!self.reaped)
    }

    /// Waits for its end, and reaps it.
    pub(crate) fn wait(&mut self) -> io::Result<End> {
        let mut status = 0;
        // SAFETY: room for the status; the child has not been reaped, so the pid is its.
        check(unsafe { libc::waitpid(self.pid, &raw mut status, 0) })?;
        self.reaped = true;
        Ok(end_of(status))
    }

    /// Somebody else has reaped it, by [`reap_any`].
    pub(crate) fn was_reaped(&mut self) {
        self.reaped = true;
    }

    /// Waits for its end, as long as that; kills it if it takes longer. An error unless it exited with 0.
    pub(crate) fn join(&mut self, timeout: Duration) -> Outcome {
        if !self.has_ended(timeout)? {
            self.kill()?;
            return Err(format!("hangs: no end within {timeout:?}").into());
        }
        match self.wait()? {
            End::Exited(0) => Ok(()),
            end => match self.line.recv(Duration::ZERO) {
                Ok(Heard::Message(why)) => Err(String::from_utf8_lossy(&why).into_owned().into()),
                _ => Err(format!("ended so: {end:?}").into()),
            },
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.kill();
        }
    }
}

/// Runs it and turns errors and panics into messages.
pub(crate) fn guarded(line: &mut Line, run: impl FnOnce(&mut Line) -> Outcome) -> i32 {
    match catch_unwind(AssertUnwindSafe(|| run(line))) {
        Ok(Ok(())) => return 0,
        Ok(Err(error)) => drop(line.send(format!("!{error}").as_bytes())),
        Err(_) => drop(line.send(b"!panicked; see above")),
    }
    1
}

/// Ends this process without running destructors.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: an integer; does not return.
    unsafe { libc::_exit(code) }
}

/// Kills this process, as if from outside.
pub(crate) fn kill_self() {
    signal_to(process_id(), libc::SIGKILL);
}

/// This process's id, asked of the kernel.
pub(crate) fn process_id() -> i32 {
    // SAFETY: no arguments, never fails.
    unsafe { libc::getpid() }
}

pub(crate) fn signal_to(pid: i32, signal: i32) {
    // SAFETY: integers.
    unsafe { libc::kill(pid, signal) };
}

/// The kernel kills this process when its parent, which should be `parent`, ends.
pub(crate) fn die_with_parent(parent: i32) {
    // SAFETY: integers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: no arguments.
    let found = unsafe { libc::getppid() };
    // 0: the parent is in another pid namespace.
    if found != parent && found != 0 {
        exit_now(1);
    }
}

/// A forked process without any strings attached. The child gets `None`.
pub(crate) fn fork_bare() -> io::Result<Option<i32>> {
    // SAFETY: the program has one thread.
    let pid = check(unsafe { libc::fork() })?;
    Ok((pid != 0).then_some(pid))
}

/// Orphans become children of this process.
pub(crate) fn adopt_orphans() {
    // SAFETY: integers.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Reaps any child that has ended; `None` if none has. An error if there are no children.
pub(crate) fn reap_any(wait: bool) -> io::Result<Option<(i32, End)>> {
    let mut status = 0;
    // SAFETY: room for the status.
    let pid = check(unsafe { libc::waitpid(-1, &raw mut status, if wait { 0 } else { libc::WNOHANG }) })?;
    Ok((pid != 0).then(|| (pid, end_of(status))))
}

/// Reaps this child, waiting for its end.
pub(crate) fn reap(pid: i32) -> io::Result<End> {
    let mut status = 0;
    // SAFETY: room for the status.
    check(unsafe { libc::waitpid(pid, &raw mut status, 0) })?;
    Ok(end_of(status))
}

/// Holds SIGCHLD back, to be waited for with [`wait_for_children`].
pub(crate) fn hold_back_child_signals() {
    let set = child_signal();
    // SAFETY: a valid set; the old one is not wanted.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Waits until some child has ended, at most that long.
pub(crate) fn wait_for_children(timeout: Duration) {
    let set = child_signal();
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
    };
    // SAFETY: valid pointers; no information is wanted.
    unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const timeout) };
}

fn child_signal() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: a valid place for a set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was initialised above.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD) };
    // SAFETY: initialised above.
    unsafe { set.assume_init() }
}

/// From here on file systems of this process and its children seem to have no `O_TMPFILE`: a seccomp filter.
pub(crate) fn without_tmpfile() -> io::Result<()> {
    const NUMBER: u32 = 0;
    const FLAGS: u32 = 16 + 8 * 2; // of seccomp_data: the low half of the third argument of openat
    let flag = (libc::O_TMPFILE & !libc::O_DIRECTORY).cast_unsigned();
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP.cast_unsigned();
    let step = |code: u32, k: u32, yes: u8, no: u8| libc::sock_filter { code: code as u16, jt: yes, jf: no, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let mut program = [
        step(load, NUMBER, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_openat as u32, 0, 3),
        step(load, FLAGS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, flag, 0, 1),
        step(libc::BPF_RET | libc::BPF_K, refuse, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: integers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: the program outlives the call, which copies it.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) })?;
    Ok(())
}

/// Words that this process shares with the children it forks from now on; zeros at first. For what the tests themselves have to know.
#[allow(clippy::disallowed_types, reason = "the oracle's memory is not the library's")]
pub(crate) fn shared_words(count: usize) -> io::Result<&'static [std::sync::atomic::AtomicU64]> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new anonymous mapping.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), count * 8, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: mapped for ever, zeroed, page-aligned, and used as atomics only.
    let words = unsafe { std::slice::from_raw_parts(start.cast::<std::sync::atomic::AtomicU64>(), count) };
    debug_assert!(words.iter().all(|word| word.load(SeqCst) == 0));
    Ok(words)
}

/// Nanoseconds on the monotonic clock, which all processes share.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

fn handle_of(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: integers.
    let handle = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let handle = RawFd::try_from(handle).ok().filter(|&handle| handle >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(handle) })
}

fn readable(descriptor: RawFd, timeout: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    let milliseconds = timeout.as_millis().try_into().unwrap_or(i32::MAX);
    // SAFETY: one valid entry.
    Ok(check(unsafe { libc::poll(&raw mut poll, 1, milliseconds) })? > 0)
}

fn end_of(status: i32) -> End {
    if libc::WIFSIGNALED(status) {
        End::Signalled(libc::WTERMSIG(status))
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    }
}

/// The result of a system call; -1 is an error.
pub(crate) fn check(result: i32) -> io::Result<i32> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
