//! The locks that are put to it, each as a counter that processes increment under it.
//!
//! # Safety
//!
//! The counters behind the foreign locks are reached only while those are held; LMDB's directory belongs to this run alone.
#![allow(unsafe_code)]

use std::any::Any;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use heed::types::{Bytes, Str};
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions};
use raw_sync::locks::{LockImpl, LockInit};
use shared_memory::{Shmem, ShmemConf};

use crate::ours;
use crate::process::Fallible;
use crate::rivals::pthread;

/// Who takes part.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Runs, where nobody says otherwise: fewer of those that stand still at once.
    pub(super) runs: u32,
    pub(super) ready: bool,
}

/// In the order in which they run.
pub(super) const SUBJECTS: &[Subject] = &[
    Subject { name: "ours", about: "sharedware Mutex", runs: 90, ready: ours::wedge::READY },
    Subject { name: "raw_sync", about: "raw_sync Mutex on shared_memory", runs: 12, ready: true },
    Subject { name: "pthread", about: "pthread mutex, process-shared", runs: 12, ready: true },
    Subject { name: "robust", about: "pthread mutex, robust", runs: 90, ready: true },
    Subject { name: "lmdb", about: "LMDB write transactions (heed)", runs: 90, ready: true },
];

/// Where a subject may put what it shares.
pub(super) struct Place<'a> {
    /// Words that all have mapped, zeros at the start.
    pub(super) words: &'static [AtomicU64],
    /// Of an object of its own.
    pub(super) name: &'a str,
    /// What the names of all objects of this run of the program contain.
    pub(super) prefix: &'a str,
}

/// A counter under a lock.
pub(crate) trait Counter {
    /// Locks, reads the count, does `within`, writes the count plus one, unlocks; the count as written.
    fn increment(&mut self, within: &mut dyn FnMut()) -> Fallible<u64>;
}

/// Makes a subject's counter, before any worker is there; what is returned is kept as long as workers are.
pub(super) fn make(subject: &str, place: &Place<'_>) -> Fallible<Box<dyn Any>> {
    Ok(match subject {
        "ours" => Box::new(ours::wedge::counter(place.prefix, place.name, true)?),
        "raw_sync" => Box::new(RawSync::new(place.name, true)?),
        "pthread" => Box::new(pthread::Mutex::new(place.words, false, true)?),
        "robust" => Box::new(pthread::Mutex::new(place.words, true, true)?),
        "lmdb" => Box::new(Lmdb::make(place.name)?),
        subject => return Err(format!("nobody is called {subject}").into()),
    })
}

/// Opens it in a worker.
pub(super) fn open(subject: &str, place: &Place<'_>) -> Fallible<Box<dyn Counter>> {
    Ok(match subject {
        "ours" => ours::wedge::counter(place.prefix, place.name, false)?,
        "raw_sync" => Box::new(RawSync::new(place.name, false)?),
        "pthread" => Box::new(pthread::Mutex::new(place.words, false, false)?),
        "robust" => Box::new(pthread::Mutex::new(place.words, true, false)?),
        "lmdb" => Box::new(Lmdb::open(place.name)?),
        subject => return Err(format!("nobody is called {subject}").into()),
    })
}

/// Plain or robust. The dead owner of a robust one leaves nothing to repair: the count was stored, or it was not.
impl Counter for pthread::Mutex {
    fn increment(&mut self, within: &mut dyn FnMut()) -> Fallible<u64> {
        Ok(self.with(|words| {
            let count = words[0] + 1;
            within();
            words[0] = count;
            count
        }))
    }
}

struct RawSync {
    lock: Box<dyn LockImpl>,
    _memory: Shmem,
}

/// The counter's place behind the mutex.
const RAW_SYNC_BYTES: usize = 128;

impl RawSync {
    fn new(name: &str, make: bool) -> Fallible<Self> {
        let conf = ShmemConf::new().size(RAW_SYNC_BYTES + 8).os_id(format!("/{name}"));
        let memory = if make { conf.create()? } else { conf.open()? };
        let base = memory.as_ptr();
        // SAFETY: the segment is longer than that.
        let counter = unsafe { base.add(RAW_SYNC_BYTES) };
        let (lock, bytes) = if make {
            // SAFETY: the segment is new and nobody else has it.
            unsafe { raw_sync::locks::Mutex::new(base, counter) }
        } else {
            // SAFETY: the coordinator made the mutex at this place before it started anyone.
            unsafe { raw_sync::locks::Mutex::from_existing(base, counter) }
        }
        .map_err(|error| error.to_string())?;
        if bytes > RAW_SYNC_BYTES {
            return Err(format!("raw_sync's mutex takes {bytes} bytes, not {RAW_SYNC_BYTES}").into());
        }
        Ok(Self { lock, _memory: memory })
    }
}

impl Counter for RawSync {
    fn increment(&mut self, within: &mut dyn FnMut()) -> Fallible<u64> {
        let guard = self.lock.lock().map_err(|error| error.to_string())?;
        // SAFETY: the guard's pointer is to the counter, aligned, and the lock excludes everyone else.
        let place = unsafe { &mut *(*guard).cast::<u64>() };
        let count = *place + 1;
        within();
        *place = count;
        Ok(count)
    }
}

/// On tmpfs, without syncing: what is written survives its writer, as in shared memory. No reader takes part.
struct Lmdb {
    env: &'static Env,
    database: Database<'static, Str, Bytes>,
}

const KEY: &str = "counter";

impl Lmdb {
    fn env(name: &str) -> Fallible<Env> {
        let mut options = EnvOpenOptions::new();
        options.map_size(1 << 20);
        // SAFETY: nobody needs the database after a crash of the machine.
        unsafe { options.flags(EnvFlags::NO_SYNC) };
        // SAFETY: the files belong to this run, and only LMDB touches them while anyone has them open.
        Ok(unsafe { options.open(Self::directory(name)) }?)
    }

    fn directory(name: &str) -> PathBuf {
        PathBuf::from("/dev/shm").join(name)
    }

    fn database(env: &Env) -> Fallible<Database<'_, Str, Bytes>> {
        let opened = env.create_databases_and_commit(env.write_txn()?, |opener, transaction| {
            opener.create_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
        })?;
        Ok(opened.unwrap_commit())
    }

    /// The files; nobody keeps them open.
    fn make(name: &str) -> Fallible<()> {
        std::fs::create_dir(Self::directory(name))?;
        let env = Self::env(name)?;
        let database = Self::database(&env)?;
        let mut transaction = env.write_txn()?;
        database.put(&mut transaction, KEY, &0_u64.to_le_bytes())?;
        Ok(transaction.commit()?)
    }

    /// For the rest of the process.
    fn open(name: &str) -> Fallible<Self> {
        let env = Box::leak(Box::new(Self::env(name)?));
        Ok(Self { env, database: Self::database(env)? })
    }
}

impl Counter for Lmdb {
    fn increment(&mut self, within: &mut dyn FnMut()) -> Fallible<u64> {
        let mut transaction = self.env.write_txn()?;
        let bytes = self.database.get(&transaction, KEY)?.ok_or("no counter")?;
        let count = u64::from_le_bytes(bytes.try_into()?) + 1;
        within();
        self.database.put(&mut transaction, KEY, &count.to_le_bytes())?;
        transaction.commit()?;
        Ok(count)
    }
}
