//! The heap: whatever is allocated belongs to somebody, and whatever is free can be had.

use sharedware::__heap::{Pinned, Probe};

use crate::case::{Case, same};
use crate::ensure;
use crate::process::Outcome;
use crate::stores::{Death, Enumerate, World};

const OWNERS: usize = 64;
const CAPACITY: u64 = 4 << 20;
/// Words of a page.
const PAGE: usize = 512;
/// Words of a small block, and how many there are to a slab at least.
const SMALL: usize = 400;

pub(crate) fn scenarios() -> Vec<Box<dyn Enumerate>> {
    vec![
        Case::<Probe> {
            operate: |heap, acks| {
                for owner in 0..12 {
                    heap.allocate(owner, SMALL)?;
                    acks.ack(owner as u64 + 1)?;
                }
                Ok(())
            },
            verify: |world, heap, death| {
                let (owning, acked) = (owning(&heap)?, death.last(0));
                ensure!((acked.saturating_sub(1)..=acked).contains(&owning), "{owning} allocated of {acked}");
                check(world, &heap)
            },
            ..base("allocate blocks of new slabs")
        }
        .boxed(),
        Case::<Probe> {
            operate: |heap, acks| {
                for owner in 0..OWNERS {
                    heap.free(owner)?;
                    acks.ack(owner as u64 + 1)?;
                }
                Ok(())
            },
            make: |world| {
                let heap = make(world)?;
                (0..OWNERS).try_for_each(|owner| heap.allocate(owner, SMALL))?;
                Ok(heap)
            },
            verify: |world, heap, death| {
                let (freed, acked) = (OWNERS as u64 - 1 - owning(&heap)?, death.last(0));
                ensure!((acked.saturating_sub(1)..=acked).contains(&freed), "{freed} freed of {acked}");
                check(world, &heap)
            },
            ..base("free blocks and slabs")
        }
        .boxed(),
        Case::<Probe> {
            make: |world| {
                let heap = make(world)?;
                for owner in 0..9 {
                    heap.allocate(owner, (10 + owner) * PAGE)?;
                }
                Ok(heap)
            },
            operate: |heap, acks| {
                // Free between taken ones, before a free one, behind one, between two.
                for owner in [1, 4, 3, 6, 7, 5] {
                    heap.free(owner)?;
                }
                // From the middle of a free run, a whole one, never used ones of which the table does not tell yet.
                for (owner, pages) in [(1, 11), (3, 20), (4, 300)] {
                    heap.allocate(owner, pages * PAGE)?;
                }
                acks.ack(1)
            },
            ..base("free and allocate runs of pages")
        }
        .boxed(),
        Case::<Probe> {
            make: |world| {
                let heap = make(world)?;
                heap.allocate(0, 30 * PAGE)?;
                heap.allocate(1, PAGE * 10)?;
                heap.free(0)?;
                heap.let_go()?;
                Ok(heap)
            },
            operate: |heap, acks| {
                heap.let_go()?;
                heap.allocate(0, 25 * PAGE)?;
                acks.ack(1)
            },
            ..base("give memory back and have it again")
        }
        .boxed(),
        Case::<Probe, (Probe, Option<Pinned>)> {
            name: "pin a block that is retired",
            make: |world| {
                let heap = make(world)?;
                heap.allocate(0, 100)?;
                heap.allocate(1, 20 * PAGE)?;
                Ok(heap)
            },
            open: |world| Ok(Probe::open(&world.domain, &world.options())?),
            enter: |heap| Ok((heap, None)),
            operate: |(heap, _), acks| {
                for owner in [0, 1] {
                    let pins = [heap.pin(owner)?, heap.pin(owner)?];
                    ensure!(pins.iter().all(Option::is_some), "not pinned");
                    heap.retire(owner)?;
                    ensure!(heap.pin(owner)?.is_none(), "pinned when it was retired");
                    drop(pins);
                }
                acks.ack(1)
            },
            recover: Some(recover),
            verify: |world, heap, _: &Death| check(world, &heap),
        }
        .boxed(),
    ]
}

fn base(name: &'static str) -> Case<Probe> {
    Case {
        name,
        make,
        open: |world| Ok(Probe::open(&world.domain, &world.options())?),
        enter: same,
        operate: |_, _| Ok(()),
        recover: Some(recover),
        verify: |world, heap, _| check(world, &heap),
    }
}

fn make(world: &World) -> Outcome<Probe> {
    Ok(Probe::create(&world.domain, CAPACITY, OWNERS, &world.options())?)
}

/// Who comes next finishes what the dead had begun.
fn recover(heap: Probe) -> Outcome {
    settle(&heap)?;
    heap.retire(0)?;
    heap.allocate(0, 30)?;
    Ok(())
}

fn settle(heap: &Probe) -> Outcome {
    Ok((0..OWNERS).try_for_each(|owner| heap.settle(owner))?)
}

/// How many of the owners but the first, which a successor uses, own something.
fn owning(heap: &Probe) -> Outcome<u64> {
    settle(heap)?;
    let mut count = 0;
    for owner in 1..OWNERS {
        count += u64::from(heap.owns(owner)?);
    }
    Ok(count)
}

/// Nothing is damaged and nothing leaked; all of it can be had, and nothing is left in the end.
fn check(world: &World, heap: &Probe) -> Outcome {
    settle(heap)?;
    if !heap.owns(40)? {
        heap.allocate(40, 3)?;
    }
    world.recovered();
    whole(heap)?;
    (0..OWNERS).try_for_each(|owner| heap.retire(owner))?;
    whole(heap)?;
    heap.allocate(0, CAPACITY as usize / 8 / 2)?;
    heap.retire(0)?;
    for (owner, words) in [1, SMALL, PAGE, 9 * PAGE].into_iter().enumerate() {
        heap.allocate(owner, words)?;
    }
    whole(heap)
}

fn whole(heap: &Probe) -> Outcome {
    let damage = heap.check()?;
    ensure!(damage.is_empty(), "{damage:?}");
    Ok(())
}
