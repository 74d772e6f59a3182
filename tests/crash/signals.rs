//! What others are told by: condition variable, event, once, latch.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sharedware::slot::Slot;
use sharedware::sync::{Condvar, Event, FormerRun, Latch, LatchError, LockError, Mutex, Once, OnceError, Wake};

use crate::case::{Case, IN_VAIN, LONG, counted, same};
use crate::ensure;
use crate::process::Outcome;
use crate::stores::{Death, Enumerate, PROMISE, World};

pub(crate) fn scenarios() -> Vec<Box<dyn Enumerate>> {
    vec![
        waiting().boxed(),
        notifying("notify one", |told| Ok((told, Condvar::notify_one))).boxed(),
        notifying("notify all", |told| Ok((told, Condvar::notify_all))).boxed(),
        setting().boxed(),
        Case::<Flag> {
            name: "wait for an event",
            operate: |event, acks| {
                ensure!(event.event.wait_timeout(IN_VAIN).is_err(), "set by nobody");
                let other = event.event.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(IN_VAIN);
                    other.set();
                });
                event.event.wait()?;
                acks.ack(1)
            },
            ..setting()
        }
        .boxed(),
        running().boxed(),
        counting().boxed(),
        opening().boxed(),
    ]
}

/// A thread of the survivor that waits for what the victim is to say, if the survivor was there before.
pub(crate) type Waiter = Option<JoinHandle<bool>>;

/// It has been told within the time promised, or, if nothing was said, by what `say` says now.
pub(crate) fn told(waiter: Waiter, acked: bool, say: impl FnOnce()) -> Outcome {
    let Some(waiter) = waiter else { return Ok(()) };
    let until = Instant::now() + PROMISE * 4;
    while acked && !waiter.is_finished() {
        ensure!(Instant::now() < until, "who waits hangs, although it was told");
        std::thread::sleep(Duration::from_micros(200));
    }
    say();
    ensure!(waiter.join().is_ok_and(|told| told), "who waits was not told");
    Ok(())
}

struct Told {
    condvar: Condvar,
    /// How many waits have begun, by the survivor's own; how many things have happened.
    counts: Mutex<[u64; 2]>,
    waiter: Waiter,
}

fn make_told(world: &World) -> Outcome<Told> {
    let counts = Mutex::create_with(&world.domain, "counts", [0, 0], &world.options())?;
    let condvar = Condvar::create_with(&world.domain, "it", &world.options())?;
    Ok(Told { condvar, counts, waiter: None })
}

fn open_told(world: &World) -> Outcome<Told> {
    let (domain, waiter) = (&world.domain, None);
    Ok(Told { condvar: Condvar::open(domain, "it")?, counts: Mutex::open(domain, "counts")?, waiter })
}

impl Told {
    /// A thread that waits by the time this returns, for one notification.
    fn start(&self) -> Outcome<JoinHandle<bool>> {
        let before = self.counts.lock_or_repair(|_| {})?[0];
        let (condvar, counts) = (self.condvar.clone(), self.counts.clone());
        let thread = std::thread::spawn(move || {
            let Ok(mut guard) = counts.lock_or_repair(|_| {}) else { return false };
            guard[0] += 1;
            match condvar.wait_timeout(guard, LONG) {
                Ok((_, wake)) | Err(LockError::OwnerDied((_, wake))) => wake == Wake::Notified,
                Err(_) => false,
            }
        });
        while self.counts.lock_or_repair(|_| {})?[0] == before {
            std::thread::yield_now();
        }
        Ok(thread)
    }

    /// Whatever dead ones wait or were notified: each one notification is for somebody who waits.
    fn check(self, world: &World, acked: bool) -> Outcome {
        drop(self.counts.lock_or_repair(|_| {})?);
        told(self.waiter, acked, || _ = self.condvar.notify_all())?;
        let checked = Self { waiter: None, ..self };
        for _ in 0..2 {
            let start = Instant::now();
            let waiter = checked.start()?;
            // Those that died waiting come first. What they get is passed on.
            checked.condvar.notify_one();
            ensure!(waiter.join().is_ok_and(|told| told), "a notification was lost to the dead");
            ensure!(start.elapsed() < PROMISE * 4, "passed on after {:?}", start.elapsed());
            world.recovered();
        }
        let waiters = [checked.start()?, checked.start()?, checked.start()?];
        checked.condvar.notify_all();
        for waiter in waiters {
            ensure!(waiter.join().is_ok_and(|told| told), "not all were notified");
        }
        let guard = checked.counts.lock_or_repair(|_| {})?;
        let (_, wake) = checked.condvar.wait_timeout(guard, IN_VAIN).map_err(LockError::drop_guard)?;
        ensure!(wake == Wake::TimedOut, "notified by nobody");
        Ok(())
    }
}

/// Waiting, with another thread of the victim that makes it happen and notifies; and waiting in vain.
fn waiting() -> Case<Told> {
    Case {
        name: "wait on a condition variable",
        make: make_told,
        open: open_told,
        enter: same,
        operate: |told, acks| {
            for turn in 1..3 {
                let (condvar, counts) = (told.condvar.clone(), told.counts.clone());
                let guard = told.counts.lock().map_err(LockError::drop_guard)?;
                std::thread::spawn(move || {
                    if let Ok(mut guard) = counts.lock_or_repair(|_| {}) {
                        guard[1] += 1;
                        drop(guard);
                        condvar.notify_one();
                    }
                });
                let waited = told.condvar.wait_while(guard, |counts| counts[1] < turn);
                drop(waited.map_err(LockError::drop_guard)?);
                acks.ack(turn)?;
            }
            let guard = told.counts.lock().map_err(LockError::drop_guard)?;
            let (_, wake) = told.condvar.wait_timeout(guard, IN_VAIN).map_err(LockError::drop_guard)?;
            ensure!(wake == Wake::TimedOut, "notified by nobody");
            Ok(())
        },
        recover: Some(|told| {
            // Dies waiting, or notified by itself.
            let waiter = told.start()?;
            told.condvar.notify_all();
            ensure!(waiter.join().is_ok_and(|told| told), "not notified");
            Ok(())
        }),
        verify: |world, told, death| {
            let happened = told.counts.lock_or_repair(|_| {})?[1];
            ensure!(happened >= death.last(0), "{happened} things happened, {} were waited for", death.last(0));
            told.check(world, false)
        },
    }
}

type Notify = fn(&Condvar) -> usize;

/// Notifying a thread of the survivor, or a dead one.
fn notifying(name: &'static str, enter: fn(Told) -> Outcome<(Told, Notify)>) -> Case<Told, (Told, Notify)> {
    Case {
        name,
        make: |world| {
            let mut told = make_told(world)?;
            told.waiter = Some(told.start()?);
            Ok(told)
        },
        open: open_told,
        enter,
        operate: |(told, notify), acks| {
            let count = notify(&told.condvar);
            ensure!(count == 1, "{count} were notified");
            acks.ack(1)?;
            ensure!(notify(&told.condvar) == 0, "notified twice");
            Ok(())
        },
        recover: Some(|told| {
            told.condvar.notify_one();
            Ok(())
        }),
        verify: |world, told, death| told.check(world, death.last(0) == 1),
    }
}

struct Flag {
    event: Event,
    waiter: Waiter,
}

fn setting() -> Case<Flag> {
    Case {
        name: "set and clear an event",
        make: |world| {
            let event = Event::create_with(&world.domain, "it", &world.options())?;
            let other = event.clone();
            let waiter = Some(std::thread::spawn(move || other.wait_timeout(LONG).is_ok()));
            Ok(Flag { event, waiter })
        },
        open: |world| Ok(Flag { event: Event::open(&world.domain, "it")?, waiter: None }),
        enter: same,
        operate: |flag, acks| {
            flag.event.set();
            flag.event.clear();
            ensure!(!flag.event.is_set(), "cleared, and set");
            flag.event.set();
            acks.ack(1)
        },
        recover: Some(|flag| {
            flag.event.set();
            Ok(())
        }),
        verify: |world, flag, death| {
            ensure!(death.acked.is_empty() || flag.event.is_set(), "not set, although that was acknowledged");
            told(flag.waiter, !death.acked.is_empty(), || flag.event.set())?;
            flag.event.set();
            flag.event.wait_timeout(LONG)?;
            world.recovered();
            flag.event.clear();
            ensure!(flag.event.wait_timeout(IN_VAIN).is_err(), "cleared, and set");
            let other = flag.event.clone();
            let setter = std::thread::spawn(move || {
                std::thread::sleep(IN_VAIN);
                other.set();
            });
            flag.event.wait_timeout(LONG)?;
            ensure!(setter.join().is_ok(), "a thread panicked");
            Ok(())
        },
    }
}

struct Doing {
    once: Once,
    /// How often somebody began, and how often somebody came to the end.
    done: Slot<[u64; 2]>,
    waiter: Waiter,
}

impl Doing {
    /// Does it if it is not done; whether it was ours to do, and what became of the former.
    fn call(&self) -> Outcome<Option<Option<FormerRun>>> {
        let mut found = None;
        self.once
            .try_call_once(|state| {
                found = Some(state.former());
                let [began, ended] = self.done.read().map_err(|error| error.to_string())?;
                self.done.write(&[began + 1, ended]).map_err(|error| error.to_string())?;
                self.done.write(&[began + 1, ended + 1]).map(drop).map_err(|error| error.to_string())
            })
            .map(|()| found)
            .map_err(|error| error.to_string().into())
    }
}

/// Failing once, and then doing it; a third call has nothing to do.
fn running() -> Case<Doing> {
    Case {
        name: "do something once",
        make: |world| {
            let done = Slot::create_with(&world.domain, "done", [0, 0], &world.options())?;
            let once = Once::create_with(&world.domain, "it", &world.options())?;
            let other = once.clone();
            let waiter = Some(std::thread::spawn(move || other.wait_timeout(LONG)));
            Ok(Doing { once, done, waiter })
        },
        open: |world| {
            let (once, done) = (Once::open(&world.domain, "it")?, Slot::open(&world.domain, "done")?);
            Ok(Doing { once, done, waiter: None })
        },
        enter: same,
        operate: |doing, acks| {
            let failed = doing.once.try_call_once(|_| Err::<(), _>("on purpose"));
            ensure!(matches!(failed, Err(OnceError::Failed("on purpose"))), "{failed:?}");
            ensure!(doing.call()? == Some(Some(FormerRun::Failed)), "not told that the former failed");
            acks.ack(1)?;
            ensure!(doing.call()?.is_none(), "done twice");
            Ok(())
        },
        recover: Some(|doing| doing.call().map(drop)),
        verify: |world, doing, death| {
            let [began, ended] = doing.done.read()?;
            let found = doing.call()?;
            world.recovered();
            ensure!(death.acked.is_empty() || found.is_none(), "done again, after that was acknowledged");
            match found {
                None => ensure!(ended >= 1, "said to be done, and it is not"),
                Some(former) => {
                    ensure!(began == 0 || former == Some(FormerRun::Died), "not told of the dead: {former:?}");
                }
            }
            ensure!(doing.once.is_completed() && doing.call()?.is_none(), "done again");
            told(doing.waiter, true, || ())
        },
    }
}

struct Countdown {
    latch: Latch,
    waiter: Waiter,
}

fn make_latch(world: &World, count: u32) -> Outcome<Countdown> {
    let latch = Latch::create_with(&world.domain, "it", count, &world.options())?;
    let other = latch.clone();
    let waiter =
        Some(std::thread::spawn(move || matches!(other.wait_timeout(LONG), Ok(()) | Err(LatchError::PartyDied))));
    Ok(Countdown { latch, waiter })
}

fn open_latch(world: &World) -> Outcome<Countdown> {
    Ok(Countdown { latch: Latch::open(&world.domain, "it")?, waiter: None })
}

/// Counting down, as a party too; one party leaves without having counted down.
fn counting() -> Case<Countdown> {
    Case {
        name: "count a latch down",
        make: |world| make_latch(world, 4),
        open: open_latch,
        enter: same,
        operate: |it, acks| {
            it.latch.count_down(1)?;
            acks.ack(1)?;
            it.latch.party()?.count_down();
            acks.ack(2)?;
            drop(it.latch.party()?);
            ensure!(matches!(it.latch.wait_timeout(IN_VAIN), Err(LatchError::TimedOut)), "open with two left");
            Ok(())
        },
        recover: Some(|it| match it.latch.try_wait() {
            // One dead party is all there may be; whoever is left waits in vain.
            Err(LatchError::WouldBlock | LatchError::PartyDied) => Ok(()),
            outcome => Err(format!("{outcome:?} with two left").into()),
        }),
        verify: |world, it, death| {
            match it.latch.try_wait() {
                Err(LatchError::WouldBlock) => {
                    world.recovered();
                    counted("counted down", 4 - it.latch.left(), death)?;
                    ensure!(it.latch.left() >= 2, "{} left", it.latch.left());
                    it.latch.count_down(it.latch.left() as u32)?;
                    it.latch.wait_timeout(LONG)?;
                    ensure!(it.latch.is_open() && it.latch.count_down(1).is_err(), "not open for good");
                }
                Err(LatchError::PartyDied) => {
                    world.recovered();
                    // That is for good.
                    let again = it.latch.wait_timeout(LONG);
                    ensure!(matches!(again, Err(LatchError::PartyDied)), "{again:?} after a party's death");
                    ensure!(!it.latch.is_open(), "open after a party's death");
                }
                outcome => return Err(format!("{outcome:?} with two left").into()),
            }
            told(it.waiter, true, || ())
        },
    }
}

/// Counting down to the end.
fn opening() -> Case<Countdown> {
    Case {
        name: "open a latch",
        make: |world| make_latch(world, 1),
        open: open_latch,
        enter: same,
        operate: |it, acks| {
            it.latch.arrive_and_wait()?;
            acks.ack(1)
        },
        recover: None,
        verify: |world, it, death: &Death| {
            ensure!(death.acked.is_empty() || it.latch.is_open(), "acknowledged, and not open");
            if it.latch.left() > 0 {
                it.latch.count_down(1)?;
            }
            // Also if who counted down last died before it opened it.
            it.latch.wait_timeout(LONG)?;
            world.recovered();
            ensure!(it.latch.is_open() && it.latch.count_down(1).is_err(), "not open for good");
            told(it.waiter, true, || ())
        },
    }
}
