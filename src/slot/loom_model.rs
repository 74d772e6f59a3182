//! Slots, as loom sees them.

use std::time::Duration;

use loom::thread;

use super::slots::Slots;
use crate::base::atomic::without_light_fences;
use crate::base::mortal;
use crate::peer;
use crate::slot::ReadError;

/// Version `n` of the models' value: two words, so that it can be torn.
fn value(version: u64) -> [u64; 2] {
    [version, !version]
}

/// Reads, checks that the value is whole and of its version, and returns the version. `None`: too many writes in a row.
fn read(slots: &Slots<[u64; 2]>) -> Option<u64> {
    match slots.read_versioned(0) {
        Ok((found, version)) => {
            assert_eq!(found, value(version), "torn or of another version");
            Some(version)
        }
        Err(ReadError::Overrun { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn loom_reads_are_whole_and_never_go_back() {
    without_light_fences(|| {
        loom::model(|| {
            let slots = Slots::model(value(0));
            let readers = [(); 2].map(|()| {
                let slots = slots.clone();
                thread::spawn(move || {
                    let first = read(&slots).unwrap_or(0);
                    let second = read(&slots).unwrap_or(first);
                    assert!(first <= second);
                })
            });
            let mut writer = slots.writer(0).unwrap();
            for version in 1..=2 {
                assert_eq!(writer.write(&value(version)).unwrap(), version);
            }
            for reader in readers {
                reader.join().unwrap();
            }
            assert_eq!(read(&slots), Some(2), "a read after a write sees it");
        })
    });
}

/// Enough writes for the copy that a reader is at to be written over: such a read starts over, and takes nobody's word for spoilt.
#[test]
fn loom_a_copy_written_over_is_read_again() {
    without_light_fences(|| {
        loom::model(|| {
            let slots = Slots::model(value(0));
            let reader = {
                let slots = slots.clone();
                thread::spawn(move || {
                    read(&slots);
                })
            };
            let mut writer = slots.writer(0).unwrap();
            for version in 1..=6 {
                writer.write(&value(version)).unwrap();
            }
            reader.join().unwrap();
        })
    });
}

#[test]
fn loom_writers_take_turns() {
    loom::model(|| {
        let slots = Slots::model([0; 2]);
        let writers = [1, 2].map(|number| {
            let slots = slots.model_as(number);
            thread::spawn(move || slots.write(0, &[number; 2]).unwrap())
        });
        let ([first, second], version) = slots.read_versioned(0).unwrap();
        assert!(first == second && version <= 2 && (first == 0) == (version == 0));
        for writer in writers {
            writer.join().unwrap();
        }
        let ([first, second], version) = slots.read_versioned(0).unwrap();
        assert!(first == second && first > 0 && version == 2, "a write was lost");
    });
}

#[test]
fn loom_a_write_wakes_who_waits_for_a_change() {
    loom::model(|| {
        let slots = Slots::model(value(0));
        let waiter = {
            let slots = slots.clone();
            thread::spawn(move || {
                let mut seen = 0;
                while seen < 2 {
                    seen = slots.wait_for_change(0, seen, Duration::MAX).unwrap().unwrap();
                }
            })
        };
        slots.write(0, &value(1)).unwrap();
        slots.write(0, &value(2)).unwrap();
        waiter.join().unwrap();
    });
}

/// A writer dies anywhere in its two writes. Meanwhile and afterwards somebody reads; afterwards somebody else writes.
fn a_writer_dies(write: impl Fn(&Slots<[u64; 2]>) + Copy + Send + Sync + 'static) {
    without_light_fences(move || {
        mortal::at_every_store(move |stores| {
            let slots = Slots::model(value(0));
            let victim = {
                let slots = slots.model_as(1);
                thread::spawn(move || peer::model::run(1, stores, || write(&slots)).is_some())
            };
            let reader = {
                let slots = slots.clone();
                thread::spawn(move || read(&slots))
            };
            let survived = victim.join().unwrap();
            let seen = reader.join().unwrap().unwrap_or(0);
            let left = read(&slots).expect("nobody writes now");
            assert!(seen <= left && left <= 2 && (!survived || left == 2), "an acknowledged write was lost");
            let successor = slots.model_as(2);
            successor.write(0, &value(left + 1)).unwrap();
            assert_eq!(read(&slots), Some(left + 1));
        })
    });
}

#[test]
fn loom_an_exclusive_writer_dies_at_every_store() {
    a_writer_dies(|slots| {
        let mut writer = slots.writer(0).unwrap();
        writer.write(&value(1)).unwrap();
        writer.write(&value(2)).unwrap();
    });
}

#[test]
fn loom_a_writer_dies_at_every_store() {
    a_writer_dies(|slots| {
        slots.write(0, &value(1)).unwrap();
        slots.write(0, &value(2)).unwrap();
    });
}

/// The successor comes while the victim may still be at it, and a reader looks on.
#[test]
fn loom_a_successor_waits_for_the_dying() {
    mortal::at_every_store(|stores| {
        let slots = Slots::model(value(0));
        let victim = {
            let slots = slots.model_as(1);
            thread::spawn(move || peer::model::run(1, stores, || slots.write(0, &value(1)).unwrap()).is_some())
        };
        let successor = {
            let slots = slots.model_as(2);
            // Either comes first or second.
            thread::spawn(move || {
                let before = slots.version(0).unwrap();
                slots.write(0, &[7; 2]).unwrap();
                before
            })
        };
        let (found, _) = slots.read_versioned(0).unwrap();
        assert!([value(0), value(1), [7; 2]].contains(&found));
        successor.join().unwrap();
        let survived = victim.join().unwrap();
        let (found, version) = slots.read_versioned(0).unwrap();
        assert!(version == 2 || (version == 1 && !survived));
        assert!(found == [7; 2] || found == value(1));
    });
}
