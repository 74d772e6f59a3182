//! Which public types may be sent to and shared between threads. That this compiles is the test.

use sharedware::collections::value;
use sharedware::ring::{AttachError, Gone, PeerState, PopError, PushError, WhenPeerGone, bytes, spsc};
use sharedware::segment::{
    CleanReport, Entry, Fate, FileKind, HugePages, Kind, Limit, Memory, NameError, Process, Swept, schema,
};
use sharedware::slot::{self, ReadError, Slot, Slots, WriteError, Writer};
use sharedware::sync::inspect;
use sharedware::sync::{
    AcquireError, ActionError, Arrival, Barrier, BarrierError, BrokenBy, Condvar, CountDownError, Event, FormerRun,
    Latch, LatchError, LockError, Mutex, MutexGuard, Once, OnceError, OnceState, RawMutex, ReadGuard, ReentrantMutex,
    ReentrantMutexGuard, ReleaseError, RwLock, Semaphore, SemaphoreSetup, UnlockError, WaitError, Wake, WriteGuard,
};
use sharedware::{Domain, Error, Lifetime, Options, Owner, ReadOnly, ReadWrite, Reason, Segment};

fn send<T: Send>() {}
fn send_and_sync<T: Send + Sync>() {}
fn unpin<T: Unpin>() {}

#[test]
fn handles_to_structures_are_send_and_sync() {
    send_and_sync::<Domain>();
    send_and_sync::<Segment>();
    send_and_sync::<Segment<ReadOnly>>();
    send_and_sync::<Slot<u64>>();
    send_and_sync::<Slot<u64, ReadOnly>>();
    send_and_sync::<Slots<[f64; 3]>>();
    send_and_sync::<Slots<[f64; 3], ReadOnly>>();
    send_and_sync::<slot::View>();
    send_and_sync::<spsc::Ring<u64>>();
    send_and_sync::<spsc::View>();
    send_and_sync::<bytes::Ring>();
    send_and_sync::<bytes::View>();
    send_and_sync::<Mutex<u64>>();
    send_and_sync::<RawMutex>();
    send_and_sync::<ReentrantMutex<u64>>();
    send_and_sync::<Once>();
    send_and_sync::<Once<ReadOnly>>();
    send_and_sync::<RwLock<u64>>();
    send_and_sync::<Condvar>();
    send_and_sync::<(Event, Event<ReadOnly>, Semaphore, Barrier, Latch, Latch<ReadOnly>)>();
    send_and_sync::<inspect::View>();
    send_and_sync::<inspect::Survey>();
    unpin::<Slots<u64>>();
    unpin::<spsc::Producer<u64>>();
}

/// Whatever changes anything takes `&mut self`, so sharing them does no harm either.
#[test]
fn sides_and_writers_may_move_to_another_thread() {
    send_and_sync::<Writer<u64>>();
    send_and_sync::<spsc::Producer<u64>>();
    send_and_sync::<spsc::Consumer<u64>>();
    send_and_sync::<bytes::Producer>();
    send_and_sync::<bytes::Consumer>();
}

/// They borrow their side exclusively, so a scoped thread may fill or read them.
#[test]
fn claims_may_move_to_a_scoped_thread() {
    send::<spsc::PushClaim<'_, u64>>();
    send::<spsc::PopClaim<'_, u64>>();
    send::<bytes::Claim<'_>>();
    send::<bytes::Record<'_>>();
}

/// That a type does not have a trait.
macro_rules! lacks {
    ($type:ty: $trait:ident) => {{
        trait Ambiguous<Marker> {
            fn chosen() {}
        }
        struct Both;
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + $trait> Ambiguous<Both> for T {}
        // Does not compile if both apply.
        <$type as Ambiguous<_>>::chosen();
    }};
}

/// A lock is given back by the thread that took it.
#[test]
fn guards_stay_in_their_thread() {
    lacks!(MutexGuard<'static, u64>: Send);
    lacks!(ReentrantMutexGuard<'static, u64>: Send);
    // It changes the value through a shared reference.
    lacks!(ReentrantMutexGuard<'static, u64>: Sync);
    fn sync<T: Sync>() {}
    sync::<MutexGuard<'_, u64>>();
    sync::<ReadGuard<'_, u64>>();
    sync::<WriteGuard<'_, u64>>();
    lacks!(ReadGuard<'static, u64>: Send);
    lacks!(WriteGuard<'static, u64>: Send);
}

#[test]
fn answers_and_options_are_send_and_sync() {
    send_and_sync::<Error>();
    send_and_sync::<Reason>();
    send_and_sync::<AttachError>();
    send_and_sync::<PushError>();
    send_and_sync::<PopError>();
    send_and_sync::<ReadError>();
    send_and_sync::<WriteError>();
    send_and_sync::<Gone>();
    send_and_sync::<(LockError<()>, UnlockError, OnceError, OnceState, FormerRun)>();
    send_and_sync::<Wake>();
    send_and_sync::<PeerState>();
    send_and_sync::<WhenPeerGone>();
    send_and_sync::<bytes::Records>();
    send_and_sync::<Options>();
    send_and_sync::<Owner>();
    send_and_sync::<Lifetime>();
    send_and_sync::<ReadOnly>();
    send_and_sync::<ReadWrite>();
    send_and_sync::<(CleanReport, Entry, Fate, FileKind, HugePages, Kind, Limit, Memory, NameError, Process, Swept)>();
    send_and_sync::<(schema::Schema, schema::Difference, schema::Value)>();
    send_and_sync::<sharedware::peer::PeerInfo>();
    send_and_sync::<(value::Value, value::Tag, value::NdArray, value::NdArrayRef<'_>, value::KeyBytes<'_>)>();
    send_and_sync::<(value::Encoded<'_>, value::ValuePlace, value::PlainPlace<u64>, value::Short)>();
    send_and_sync::<(Arrival, BrokenBy, SemaphoreSetup)>();
}

/// So that `?` works in functions that return a boxed error.
#[test]
fn errors_are_errors() {
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    error::<Error>();
    error::<NameError>();
    error::<AttachError>();
    error::<PushError>();
    error::<PopError>();
    error::<ReadError>();
    error::<WriteError>();
    error::<LockError<()>>();
    error::<UnlockError>();
    error::<OnceError>();
    error::<OnceError<std::io::Error>>();
    error::<WaitError>();
    error::<AcquireError>();
    error::<ReleaseError>();
    error::<BarrierError>();
    error::<ActionError<std::io::Error>>();
    error::<CountDownError>();
    error::<LatchError>();
    error::<value::UnknownTag>();
    error::<value::Mismatch>();
    error::<value::DecodeError>();
    error::<value::EncodeError>();
    error::<value::KeyError>();
    error::<value::ShapeError>();
}
