//! Slots from outside: one process, several threads, two processes.

#![cfg(feature = "derive")]

use std::thread;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use proptest::prelude::*;
use sharedware::slot::{ReadError, Slot, Slots, View, WriteError};
use sharedware::{Options, ReadOnly, Reason, Shared};

mod common {
    pub(crate) mod place;
}
use common::place::{self, Place, SOON, eventually, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, Shared)]
#[repr(C)]
struct Tick {
    seq: u64,
    price: f64,
    symbol: [u8; 8],
}

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, Shared)]
#[repr(C, align(64))]
struct Wide {
    words: [u64; 8],
}

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, Shared)]
#[repr(C, align(128))]
struct Wider {
    words: [u64; 16],
}

// Ordinary use.

#[test]
fn a_value_is_read_as_it_was_written() {
    let place = Place::new();
    let slot = Slot::create(&place.domain(), "tick", Tick::zeroed()).unwrap();
    let tick = Tick { seq: 1, price: 2.5, symbol: *b"SHARED\0\0" };
    assert_eq!(slot.read_versioned().unwrap(), (Tick::zeroed(), 0));
    slot.write(&tick).unwrap();

    let other = Slot::<Tick>::open(&place.domain(), "tick").unwrap();
    let reader = Slot::<Tick, _>::open_read_only(&place.domain(), "tick").unwrap();
    assert_eq!(other.read_versioned().unwrap(), (tick, 1));
    assert_eq!(reader.read_versioned().unwrap(), (tick, 1));
    other.write(&Tick { seq: 2, ..tick }).unwrap();
    assert_eq!(slot.read().unwrap().seq, 2);
    assert_eq!(reader.clone().version().unwrap(), 2);
}

#[test]
fn slots_are_apart() {
    let place = Place::new();
    let slots = Slots::create(&place.domain(), "slots", 5, [0_u16; 3]).unwrap();
    for index in 0..5 {
        slots.write(index, &[index as u16; 3]).unwrap();
    }
    let again = Slots::<[u16; 3]>::open_or_create(&place.domain(), "slots", 99, [7; 3]).unwrap();
    assert_eq!(again.len(), 5, "what is there is what counts");
    for index in 0..5 {
        assert_eq!(again.read_versioned(index).unwrap(), ([index as u16; 3], 1));
    }
}

#[test]
fn there_is_no_slot_beyond_the_last() {
    let place = Place::new();
    let slots = Slots::create(&place.domain(), "slots", 2, 0_u32).unwrap();
    for index in [2, 3, usize::MAX / 64, usize::MAX] {
        let refused = slots.read(index).unwrap_err();
        assert_eq!(refused, ReadError::OutOfRange { index, length: 2 });
        assert_eq!(refused.to_string(), format!("expected a slot index below 2, found {index}"));
        assert!(slots.version(index).is_err());
        assert!(slots.wait_for_change(index, 0, Duration::ZERO).is_err());
        assert!(matches!(slots.write(index, &1), Err(WriteError::OutOfRange { length: 2, .. })));
        assert!(matches!(slots.writer(index), Err(WriteError::OutOfRange { .. })));
    }
}

#[test]
fn a_number_of_slots_that_cannot_be_is_refused_and_leaves_nothing() {
    let place = Place::new();
    for length in [0, usize::MAX, usize::MAX / 1000] {
        let refused = Slots::create(&place.domain(), "slots", length, 0_u64).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Size { .. } | Reason::Full { .. }), "{refused}");
        assert!(refused.to_string().contains("sharedware.test.slots"), "{refused}");
    }
    assert!(!place.files().iter().any(|name| name.ends_with("slots")));
}

/// From a byte to two lines, and every alignment: what comes out is what went in.
#[test]
fn values_of_every_size_and_alignment() {
    fn holds<T: Shared + PartialEq + std::fmt::Debug>(place: &Place, name: &str) {
        let mut value = T::zeroed();
        for (index, byte) in bytemuck::bytes_of_mut(&mut value).iter_mut().enumerate() {
            *byte = index as u8 ^ 0xa5;
        }
        let slots = Slots::create(&place.domain(), name, 3, T::zeroed()).unwrap();
        for _ in 0..9 {
            slots.write(1, &value).unwrap();
        }
        let reader = Slots::<T, ReadOnly>::open_read_only(&place.domain(), name).unwrap();
        assert_eq!([0, 1, 2].map(|index| reader.read(index).unwrap()), [T::zeroed(), value, T::zeroed()], "{name}");
        let (bytes, version) = View::open(&place.domain(), name, &Options::new()).unwrap().read(1).unwrap();
        assert_eq!((bytes.as_slice(), version), (bytemuck::bytes_of(&value), 9), "{name}");
    }
    let place = Place::new();
    holds::<u8>(&place, "1");
    holds::<[u8; 7]>(&place, "7");
    holds::<[u64; 3]>(&place, "24");
    holds::<[u8; 56]>(&place, "56");
    holds::<[u8; 57]>(&place, "57");
    holds::<[u8; 64]>(&place, "64");
    holds::<[u64; 15]>(&place, "120");
    holds::<Wide>(&place, "aligned-64");
    holds::<Wider>(&place, "aligned-128");
    holds::<[u8; 5000]>(&place, "pages");
    holds::<[u32; 0]>(&place, "nothing");
}

// Who may open what.

#[test]
fn another_type_is_refused_with_both_named() {
    let place = Place::new();
    let _slot = Slot::create(&place.domain(), "slot", Tick::zeroed()).unwrap();
    let refused = Slot::<u32>::open(&place.domain(), "slot").unwrap_err();
    assert!(matches!(refused.reason(), Reason::Schema(_)), "{refused}");
    let refused = sharedware::ring::spsc::Ring::<Tick>::open(&place.domain(), "slot").unwrap_err();
    assert!(matches!(refused.reason(), Reason::Kind { .. }), "{refused}");
    assert!(Slot::<u32>::open(&place.domain(), "none").unwrap_err().is_not_found());
    assert!(Slot::create(&place.domain(), "slot", 1_u32).unwrap_err().is_already_exists());
}

#[test]
fn a_slot_lives_as_long_as_any_clone() {
    let place = Place::new();
    let slot = Slot::create(&place.domain(), "slot", 1_u64).unwrap();
    let clone = slot.clone();
    drop(slot);
    clone.write(&2).unwrap();
    assert_eq!(Slot::<u64>::open(&place.domain(), "slot").unwrap().read().unwrap(), 2);
    drop(clone);
    assert!(Slot::<u64>::open(&place.domain(), "slot").unwrap_err().is_not_found());
}

// Writers.

#[test]
fn an_exclusive_writer_keeps_others_out_until_it_is_dropped() {
    let place = Place::new();
    let slot = Slot::create(&place.domain(), "slot", 0_u64).unwrap();
    let other = Slot::<u64>::open(&place.domain(), "slot").unwrap();
    let mut writer = slot.writer().unwrap();
    assert_eq!((writer.write(&1).unwrap(), writer.write(&2).unwrap()), (1, 2));
    for refused in [
        other.write(&9).unwrap_err(),
        other.try_write(&9).unwrap_err(),
        other.write_timeout(&9, Duration::MAX).unwrap_err(),
        other.writer().unwrap_err(),
    ] {
        let text = refused.to_string();
        assert!(matches!(refused, WriteError::Owned(Some(_))), "{text}");
        assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
    }
    assert_eq!(other.read().unwrap(), 2);
    drop(writer);
    other.write(&3).unwrap();
    assert_eq!(slot.writer().unwrap().write(&4).unwrap(), 4);
}

#[test]
fn a_writer_outlives_the_handle_it_was_made_by() {
    let place = Place::new();
    let mut writer = Slot::create(&place.domain(), "slot", 0_u64).unwrap().writer().unwrap();
    writer.write(&5).unwrap();
    assert_eq!(Slot::<u64>::open(&place.domain(), "slot").unwrap().read().unwrap(), 5);
}

#[test]
fn threads_that_write_lose_nothing_and_readers_see_whole_values() {
    const WRITES: u64 = 3000;
    let place = Place::new();
    let slot = Slot::create(&place.domain(), "slot", [0_u64; 9]).unwrap();
    thread::scope(|scope| {
        for writer in 1..=3 {
            let slot = Slot::<[u64; 9]>::open(&place.domain(), "slot").unwrap();
            scope.spawn(move || (1..=WRITES).for_each(|n| assert!(slot.write(&[n << 8 | writer; 9]).is_ok())));
        }
        for _ in 0..2 {
            let reader = Slot::<[u64; 9], _>::open_read_only(&place.domain(), "slot").unwrap();
            scope.spawn(move || {
                let mut last = 0;
                while last < 3 * WRITES {
                    let (value, version) = reader.read_versioned().unwrap();
                    assert!(value.iter().all(|word| *word == value[0]), "torn: {value:?}");
                    assert!(version >= last, "back from {last} to {version}");
                    last = version;
                }
            });
        }
    });
    assert_eq!(slot.version().unwrap(), 3 * WRITES);
    assert_eq!(slot.read().unwrap()[0] >> 8, WRITES);
}

// Waiting.

#[test]
fn waiting_for_a_change_ends_in_time() {
    let place = Place::new();
    let slot = Slot::create(&place.domain(), "slot", 0_u64).unwrap();
    let reader = Slot::<u64, _>::open_read_only(&place.domain(), "slot").unwrap();
    for timeout in [Duration::ZERO, MOMENT] {
        assert_eq!(takes_at_least(timeout, || slot.wait_for_change(0, timeout)).unwrap(), None);
        assert_eq!(takes_at_least(timeout, || reader.wait_for_change(0, timeout)).unwrap(), None);
    }
    slot.write(&1).unwrap();
    assert_eq!(slot.wait_for_change(0, Duration::MAX).unwrap(), Some(1));
    assert_eq!(reader.wait_for_change(0, Duration::MAX).unwrap(), Some(1));
    assert_eq!(slot.wait_for_change(77, Duration::ZERO).unwrap(), Some(1), "any other version is a change");
}

#[test]
fn a_write_wakes_everybody_who_waits() {
    let place = Place::new();
    let slot = Slot::create(&place.domain(), "slot", 0_u64).unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            let waiter = Slot::<u64>::open(&place.domain(), "slot").unwrap();
            scope.spawn(move || {
                let mut version = 0;
                while version < 50 {
                    version = waiter.wait_for_change(version, SOON).unwrap().expect("woken");
                }
            });
        }
        let reader = Slot::<u64, _>::open_read_only(&place.domain(), "slot").unwrap();
        scope.spawn(move || {
            let mut version = 0;
            while version < 50 {
                version = reader.wait_for_change(version, SOON).unwrap().expect("woken");
            }
        });
        for value in 1..=50 {
            thread::sleep(Duration::from_micros(300));
            slot.write(&value).unwrap();
        }
    });
}

// Two processes.

#[test]
fn an_exclusive_writer_of_another_process_gives_way_when_killed() {
    if let Some((_, place)) = place::role() {
        let slot = Slot::<u64>::open(&place.domain(), "slot").unwrap();
        let mut writer = slot.writer().unwrap();
        writer.write(&1).unwrap();
        place::sleep_until_killed();
    }
    let place = Place::new();
    let slot = Slot::create(&place.domain(), "slot", 0_u64).unwrap();
    let other = place.other_process("an_exclusive_writer_of_another_process_gives_way_when_killed", "writer");
    assert_eq!(slot.wait_for_change(0, SOON).unwrap(), Some(1));
    let refused = slot.try_write(&2).unwrap_err();
    assert!(refused.to_string().contains(&format!("pid {}", other.pid())), "{refused}");
    other.kill();
    assert_eq!(slot.read().unwrap(), 1);
    slot.try_write(&2).unwrap();
    assert_eq!(slot.writer().unwrap().write(&3).unwrap(), 3);
}

#[test]
fn what_was_written_outlives_who_wrote_it() {
    let options = Options::new().lifetime(sharedware::Lifetime::UntilRemoved);
    if let Some((_, place)) = place::role() {
        Slot::create_with(&place.domain(), "slot", 7_u64, &options).unwrap().write(&8).unwrap();
        return;
    }
    let place = Place::new();
    place.other_process("what_was_written_outlives_who_wrote_it", "writer").join();
    assert_eq!(Slot::<u64>::open(&place.domain(), "slot").unwrap().read_versioned().unwrap(), (8, 1));
    place.domain().remove("slot").unwrap();
    eventually(|| Slot::<u64>::open(&place.domain(), "slot").is_err().then_some(()));
}

// Against a model.

#[derive(Debug, Clone)]
enum Step {
    Write(usize, u64),
    TryWrite(usize, u64),
    Exclusive(usize, u64),
    Reopen,
    Read(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = 0_usize..4;
    let step = prop_oneof![
        (index.clone(), any::<u64>()).prop_map(|(at, value)| Step::Write(at, value)),
        (index.clone(), any::<u64>()).prop_map(|(at, value)| Step::TryWrite(at, value)),
        (index.clone(), any::<u64>()).prop_map(|(at, value)| Step::Exclusive(at, value)),
        Just(Step::Reopen),
        index.prop_map(Step::Read),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_steps_leave_what_a_plain_array_holds(steps in steps()) {
        let place = Place::new();
        let mut slots = Slots::create(&place.domain(), "slots", 3, 0_u64).unwrap();
        let mut model = [(0_u64, 0_u64); 3];
        for step in steps {
            match step {
                Step::Write(at, value) | Step::TryWrite(at, value) | Step::Exclusive(at, value) => {
                    let done = match step {
                        Step::Write(..) => slots.write(at, &value).is_ok(),
                        Step::TryWrite(..) => slots.try_write(at, &value).is_ok(),
                        _ => slots.writer(at).is_ok_and(|mut writer| writer.write(&value).is_ok()),
                    };
                    prop_assert_eq!(done, at < 3);
                    if let Some(place) = model.get_mut(at) {
                        *place = (value, place.1 + 1);
                    }
                }
                Step::Reopen => slots = Slots::open(&place.domain(), "slots").unwrap(),
                Step::Read(at) => prop_assert_eq!(slots.read_versioned(at).ok(), model.get(at).copied()),
            }
        }
        for (at, expected) in model.into_iter().enumerate() {
            prop_assert_eq!(slots.read_versioned(at).unwrap(), expected);
        }
    }
}
