//! What people build from `shared_memory` and `raw_sync`: a ring in a segment under a process-shared mutex; and the event.
//!
//! In the ring both sides spin on the mutex instead of waiting on `raw_sync`'s event, which would put a system call into every message.
//!
//! # Safety
//!
//! The ring behind the mutex is reached only while its guard lives; its layout is the two constants below.
#![allow(unsafe_code)]

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};

use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};
use raw_sync::locks::{LockImpl, LockInit, Mutex};
use shared_memory::{Shmem, ShmemConf};

use crate::families::wake::Sleeper;
use crate::message::{Link, Rx, Tx, difference, message};
use crate::process::{Context, Fallible};

pub(crate) struct Mutexed<const N: usize>;

/// Positions and cells, under the mutex.
#[repr(C)]
struct Ring<const N: usize> {
    head: u64,
    tail: u64,
    cells: [[u64; N]; CELLS],
}

const CELLS: usize = 1024;
const LOCK_BYTES: usize = 128;

pub(crate) struct End<const N: usize> {
    lock: Box<dyn LockImpl>,
    _memory: Shmem,
}

impl<const N: usize> End<N> {
    fn new(context: &Context, lane: usize) -> Fallible<Self> {
        let conf = ShmemConf::new().size(LOCK_BYTES + size_of::<Ring<N>>()).os_id(format!("/{}", context.name(lane)));
        let memory = if context.role == 0 { conf.create()? } else { conf.open()? };
        let base = memory.as_ptr();
        // SAFETY: the segment is longer than LOCK_BYTES.
        let data = unsafe { base.add(LOCK_BYTES) };
        let (lock, bytes) = if context.role == 0 {
            // SAFETY: the segment is new and zero, which is an empty ring; nobody else has it before `Context::created`.
            unsafe { Mutex::new(base, data) }
        } else {
            // SAFETY: role 0 has finished making the lock at this place.
            unsafe { Mutex::from_existing(base, data) }
        }
        .map_err(|error| error.to_string())?;
        if bytes > LOCK_BYTES {
            return Err(format!("raw_sync's mutex takes {bytes} bytes, not {LOCK_BYTES}").into());
        }
        Ok(Self { lock, _memory: memory })
    }

    /// Spins until `attempt` has done something.
    #[inline]
    fn until<T>(&self, mut attempt: impl FnMut(&mut Ring<N>) -> Option<T>) -> T {
        loop {
            let guard = self.lock.lock().expect("the mutex");
            // SAFETY: the guard's pointer is to the ring, aligned to 128 bytes, and the lock excludes the other side.
            if let Some(done) = attempt(unsafe { &mut *(*guard).cast::<Ring<N>>() }) {
                return done;
            }
            drop(guard);
            spin_loop();
        }
    }
}

impl<const N: usize> Link for Mutexed<N> {
    type Tx = End<N>;
    type Rx = End<N>;

    fn tx(context: &Context, lane: usize) -> Fallible<Self::Tx> {
        End::new(context, lane)
    }

    fn rx(context: &Context, lane: usize) -> Fallible<Self::Rx> {
        End::new(context, lane)
    }
}

impl<const N: usize> Tx for End<N> {
    #[inline]
    fn send(&mut self, number: u64) {
        self.until(|ring| {
            (ring.tail - ring.head < CELLS as u64).then(|| {
                ring.cells[ring.tail as usize % CELLS] = message(number);
                ring.tail += 1;
            })
        });
    }
}

impl<const N: usize> Rx for End<N> {
    #[inline]
    fn recv(&mut self, number: u64) -> u64 {
        let words = self.until(|ring| {
            (ring.tail > ring.head).then(|| {
                ring.head += 1;
                ring.cells[(ring.head - 1) as usize % CELLS]
            })
        });
        difference(&words, number)
    }
}

/// An event that resets itself, and the message behind it.
pub(crate) struct RawSyncEvent {
    event: Box<dyn EventImpl>,
    memory: Shmem,
}

const EVENT_BYTES: usize = 256;

impl RawSyncEvent {
    fn message(&self) -> &AtomicU64 {
        // SAFETY: the segment is longer than EVENT_BYTES.
        let place = unsafe { self.memory.as_ptr().add(EVENT_BYTES) };
        // SAFETY: the place is aligned, mapped as long as `self` is, and reached atomically by both sides.
        unsafe { AtomicU64::from_ptr(place.cast()) }
    }
}

impl Sleeper for RawSyncEvent {
    fn new(context: &Context) -> Fallible<Self> {
        let conf = ShmemConf::new().size(EVENT_BYTES + 8).os_id(format!("/{}", context.name(0)));
        let memory = if context.role == 0 { conf.create()? } else { conf.open()? };
        let (event, bytes) = if context.role == 0 {
            // SAFETY: the segment is new, and nobody else has it before `Context::created`.
            unsafe { Event::new(memory.as_ptr(), true) }
        } else {
            // SAFETY: role 0 has finished making the event at this place.
            unsafe { Event::from_existing(memory.as_ptr()) }
        }
        .map_err(|error| error.to_string())?;
        if bytes > EVENT_BYTES {
            return Err(format!("raw_sync's event takes {bytes} bytes, not {EVENT_BYTES}").into());
        }
        Ok(Self { event, memory })
    }

    fn send(&mut self, number: u64) {
        self.message().store(number, Ordering::Relaxed);
        self.event.set(EventState::Signaled).expect("the event");
    }

    fn recv(&mut self) -> u64 {
        self.event.wait(Timeout::Infinite).expect("the event");
        self.message().load(Ordering::Relaxed)
    }
}

/// Makes a segment, opens it a second time, and drops both, which unlinks it.
pub(crate) fn create_and_open(name: &str, bytes: usize) -> Fallible<u64> {
    let made = ShmemConf::new().size(bytes).os_id(name).create()?;
    // SAFETY: the segment is page-aligned and longer than a word.
    unsafe { made.as_ptr().cast::<u64>().write_volatile(42) };
    let opened = ShmemConf::new().os_id(name).open()?;
    // SAFETY: as above.
    Ok(unsafe { opened.as_ptr().cast::<u64>().read_volatile() })
}
