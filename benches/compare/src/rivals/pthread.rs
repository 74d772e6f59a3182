//! POSIX threads' objects, process-shared, in the arena: mutex (plain and robust), readers-writer lock, condition variable
//! and semaphore. What a lock guards stands on its own cache line or the next, as in a `struct` that begins with the lock.
//!
//! # Safety
//!
//! Every object is made by role 0 in words of the arena that nothing else uses, before role 1 may have it
//! (`Context::created`), is never destroyed, and the arena stays mapped as long as the process lives. The words behind a lock
//! are reached only while it is held.
#![allow(unsafe_code)]

use std::sync::atomic::AtomicU64;

use libc::{pthread_cond_t, pthread_mutex_t, pthread_rwlock_t, sem_t};

use crate::families::wake::Sleeper;
use crate::locked::{Lock, Words};
use crate::message::message;
use crate::process::{Context, Fallible};
use crate::read_locked::{self, NUMBER, ReadLock};

/// The words before what is guarded: those of a `pthread_mutex_t` (40 bytes) and of a `pthread_rwlock_t` (56 bytes).
const MUTEX_WORDS: usize = size_of::<pthread_mutex_t>().div_ceil(8);
const RWLOCK_WORDS: usize = size_of::<pthread_rwlock_t>().div_ceil(8);

/// A mutex in shared words, and what it guards behind it.
#[derive(Clone, Copy)]
pub(crate) struct Mutex {
    place: &'static [AtomicU64],
}

impl Mutex {
    /// Takes the first words of `place`, and makes the mutex there if `make` says so.
    pub(crate) fn new(place: &'static [AtomicU64], robust: bool, make: bool) -> Fallible<Self> {
        let it = Self { place: place.get(..MUTEX_WORDS + size_of::<Words>() / 8).ok_or("an arena")? };
        if make {
            it.make(robust)?;
        }
        Ok(it)
    }

    fn make(self, robust: bool) -> Fallible<()> {
        // SAFETY: an attribute object is plain bytes; it is initialised by the next call.
        let mut attributes: libc::pthread_mutexattr_t = unsafe { std::mem::zeroed() };
        // SAFETY: the attributes outlive the call.
        succeeded(unsafe { libc::pthread_mutexattr_init(&raw mut attributes) })?;
        // SAFETY: the attributes are initialised.
        succeeded(unsafe { libc::pthread_mutexattr_setpshared(&raw mut attributes, libc::PTHREAD_PROCESS_SHARED) })?;
        if robust {
            // SAFETY: the attributes are initialised.
            succeeded(unsafe { libc::pthread_mutexattr_setrobust(&raw mut attributes, libc::PTHREAD_MUTEX_ROBUST) })?;
        }
        // SAFETY: the place is aligned and large enough, and nobody else has it yet.
        succeeded(unsafe { libc::pthread_mutex_init(self.raw(), &raw const attributes) })
    }

    fn raw(self) -> *mut pthread_mutex_t {
        self.place.as_ptr().cast_mut().cast()
    }

    /// What the mutex guards.
    fn words(self) -> *mut Words {
        self.place[MUTEX_WORDS..].as_ptr().cast_mut().cast()
    }

    /// Locks; true if the last owner of a robust mutex died, in which case the state is declared consistent.
    #[inline(always)]
    pub(crate) fn lock(self) -> bool {
        // SAFETY: the mutex is initialised and stays so.
        match unsafe { libc::pthread_mutex_lock(self.raw()) } {
            0 => false,
            libc::EOWNERDEAD => {
                // SAFETY: we hold it, and were told that it is inconsistent.
                let told = unsafe { libc::pthread_mutex_consistent(self.raw()) };
                assert_eq!(told, 0, "pthread_mutex_consistent");
                true
            }
            error => panic!("pthread_mutex_lock: error {error}"),
        }
    }

    #[inline(always)]
    pub(crate) fn unlock(self) {
        // SAFETY: we hold it.
        let told = unsafe { libc::pthread_mutex_unlock(self.raw()) };
        assert_eq!(told, 0, "pthread_mutex_unlock");
    }

    #[inline(always)]
    pub(crate) fn with<R>(self, section: impl FnOnce(&mut Words) -> R) -> R {
        self.lock();
        // SAFETY: the words are aligned, inside the place, and ours while we hold the lock.
        let result = section(unsafe { &mut *self.words() });
        self.unlock();
        result
    }
}

/// The plain mutex, between processes.
pub(crate) struct Plain(Mutex);

impl Lock for Plain {
    fn new(context: &Context) -> Fallible<Self> {
        Ok(Self(Mutex::new(context.free(), false, context.role == 0)?))
    }

    #[inline(always)]
    fn with<R>(&self, section: impl FnOnce(&mut Words) -> R) -> R {
        self.0.with(section)
    }
}

/// The robust mutex, between processes.
pub(crate) struct Robust(Mutex);

impl Lock for Robust {
    fn new(context: &Context) -> Fallible<Self> {
        Ok(Self(Mutex::new(context.free(), true, context.role == 0)?))
    }

    #[inline(always)]
    fn with<R>(&self, section: impl FnOnce(&mut Words) -> R) -> R {
        self.0.with(section)
    }
}

/// The readers-writer lock, between processes.
pub(crate) struct ReadWrite(&'static [AtomicU64]);

impl ReadWrite {
    fn raw(&self) -> *mut pthread_rwlock_t {
        self.0.as_ptr().cast_mut().cast()
    }

    fn words(&self) -> *mut read_locked::Words {
        self.0[RWLOCK_WORDS..].as_ptr().cast_mut().cast()
    }
}

impl ReadLock for ReadWrite {
    fn new(context: &Context) -> Fallible<Self> {
        let it = Self(&context.free()[..RWLOCK_WORDS + size_of::<read_locked::Words>() / 8]);
        if context.role == 0 {
            // SAFETY: an attribute object is plain bytes; it is initialised by the next call.
            let mut attributes: libc::pthread_rwlockattr_t = unsafe { std::mem::zeroed() };
            let attributes = &raw mut attributes;
            // SAFETY: the attributes outlive the call.
            succeeded(unsafe { libc::pthread_rwlockattr_init(attributes) })?;
            // SAFETY: the attributes are initialised.
            succeeded(unsafe { libc::pthread_rwlockattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) })?;
            // SAFETY: the place is aligned and large enough, and nobody else has it yet.
            succeeded(unsafe { libc::pthread_rwlock_init(it.raw(), attributes) })?;
            // SAFETY: the words are aligned, inside the place, and nobody else has them yet.
            unsafe { it.words().write(message(NUMBER)) };
        }
        Ok(it)
    }

    #[inline(always)]
    fn read<R>(&self, section: impl FnOnce(&read_locked::Words) -> R) -> R {
        // SAFETY: the lock is initialised and stays so.
        let told = unsafe { libc::pthread_rwlock_rdlock(self.raw()) };
        assert_eq!(told, 0, "pthread_rwlock_rdlock");
        // SAFETY: the words are aligned, inside the place, and nobody writes them while we hold the lock.
        let result = section(unsafe { &*self.words() });
        // SAFETY: we hold it.
        let told = unsafe { libc::pthread_rwlock_unlock(self.raw()) };
        assert_eq!(told, 0, "pthread_rwlock_unlock");
        result
    }
}

/// A condition variable with its mutex; word 0 of what that guards is the number of the last message.
pub(crate) struct Condition {
    mutex: Mutex,
    place: &'static [AtomicU64],
    parity: u64,
    last: u64,
}

impl Condition {
    fn raw(&self) -> *mut pthread_cond_t {
        self.place.as_ptr().cast_mut().cast()
    }
}

impl Sleeper for Condition {
    fn new(context: &Context) -> Fallible<Self> {
        let mutex = Mutex::new(context.free(), false, context.role == 0)?;
        let it = Self { mutex, place: &context.free()[16..], parity: context.role as u64, last: 0 };
        if context.role == 0 {
            // SAFETY: an attribute object is plain bytes; it is initialised by the next call.
            let mut attributes: libc::pthread_condattr_t = unsafe { std::mem::zeroed() };
            let attributes = &raw mut attributes;
            // SAFETY: the attributes outlive the call.
            succeeded(unsafe { libc::pthread_condattr_init(attributes) })?;
            // SAFETY: the attributes are initialised.
            succeeded(unsafe { libc::pthread_condattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) })?;
            // SAFETY: the place is aligned and large enough, and nobody else has it yet.
            succeeded(unsafe { libc::pthread_cond_init(it.raw(), attributes) })?;
        }
        Ok(it)
    }

    fn send(&mut self, number: u64) {
        self.mutex.with(|words| words[0] = number);
        // SAFETY: the condition variable is initialised and stays so.
        unsafe { libc::pthread_cond_signal(self.raw()) };
    }

    fn recv(&mut self) -> u64 {
        self.mutex.lock();
        loop {
            // SAFETY: the words are aligned, inside the place, and ours while we hold the lock.
            let number = unsafe { (*self.mutex.words())[0] };
            if number > self.last && number % 2 == self.parity {
                self.last = number;
                self.mutex.unlock();
                return number;
            }
            // SAFETY: both are initialised and stay so, and we hold the mutex.
            unsafe { libc::pthread_cond_wait(self.raw(), self.mutex.raw()) };
        }
    }
}

/// Two semaphores, one a direction, and the message beside them.
pub(crate) struct Semaphores {
    place: &'static [AtomicU64],
    role: usize,
}

impl Semaphores {
    /// The one on which `role` waits.
    fn raw(&self, role: usize) -> *mut sem_t {
        self.place[16 * role..].as_ptr().cast_mut().cast()
    }
}

impl Sleeper for Semaphores {
    fn new(context: &Context) -> Fallible<Self> {
        let it = Self { place: context.free(), role: context.role };
        for role in (0..2).filter(|_| context.role == 0) {
            // SAFETY: the place is aligned and large enough, and nobody else has it yet.
            let told = unsafe { libc::sem_init(it.raw(role), 1, 0) };
            assert_eq!(told, 0, "sem_init");
        }
        Ok(it)
    }

    fn send(&mut self, number: u64) {
        // The semaphore orders it.
        self.place[32].store(number, std::sync::atomic::Ordering::Relaxed);
        // SAFETY: the semaphore is initialised and stays so.
        let told = unsafe { libc::sem_post(self.raw(1 - self.role)) };
        assert_eq!(told, 0, "sem_post");
    }

    fn recv(&mut self) -> u64 {
        // SAFETY: the semaphore is initialised and stays so. A signal may end it early, hence the loop.
        while unsafe { libc::sem_wait(self.raw(self.role)) } != 0 {}
        self.place[32].load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn succeeded(error: libc::c_int) -> Fallible<()> {
    if error == 0 { Ok(()) } else { Err(std::io::Error::from_raw_os_error(error).into()) }
}
