//! What the processes of the random run do until they are killed, and what each of them makes sure of.

use std::time::Duration;

use sharedware::ring::{PopError, PushError, WhenPeerGone, bytes, spsc};
use sharedware::slot::{Slots, WriteError};
use sharedware::{Domain, Lifetime, Options, ReadOnly, Segment};

use crate::cast::{Cast, Random, Role, mix, within};
use crate::ensure;
use crate::oracle::{Me, Note, Oracle};
use crate::process::{Outcome, exit_now, fork_bare, process_id, reap, without_tmpfile};

/// Rings, slots and segments, all at once.
pub(crate) const CAST: Cast = Cast {
    title: "rings, slots and segments",
    prepare,
    finish,
    roles: &[
        Role { name: "typed producer", structure: 0, work: push },
        Role { name: "typed consumer", structure: 0, work: pop },
        Role { name: "bytes producer", structure: 1, work: send },
        Role { name: "bytes consumer", structure: 1, work: receive },
        // Two write in turn, and children of the third do so with the handle they inherited.
        Role { name: "writer 0", structure: 2, work: |domain, me, random| write(domain, me, random, 0) },
        Role { name: "writer 1", structure: 2, work: |domain, me, random| write(domain, me, random, 1) },
        Role { name: "forker", structure: 2, work: fork },
        // The exclusive writer of another slot.
        Role { name: "lone writer", structure: 3, work: write_alone },
        Role { name: "reader", structure: 2, work: read },
        // They create, open, grow, remove and sweep segments; the second without `O_TMPFILE`.
        Role { name: "churner 0", structure: 4, work: |domain, me, random| churn(domain, me, random, 0) },
        Role { name: "churner 1", structure: 4, work: |domain, me, random| churn(domain, me, random, 1) },
        Role { name: "churner 2", structure: 4, work: |domain, me, random| churn(domain, me, random, 2) },
        // Becomes a peer and leaves.
        Role { name: "registrant", structure: 5, work: register },
    ],
};

type Value = [u64; 8];

/// The value of a position: its last word depends on all others.
fn value(position: u64) -> Value {
    sealed([position, mix(position), 0, 0, 0, 0, !position, 0])
}

fn sealed(mut value: Value) -> Value {
    value[7] = seal(&value);
    value
}

fn seal(value: &Value) -> u64 {
    value.iter().take(7).fold(7, |sum, &word| mix(sum ^ word))
}

const TYPED: &str = "typed";
const BYTES: &str = "bytes";
const SLOTS: &str = "slots";
const IDLE: &str = "idle";
const TYPED_CAPACITY: u64 = 32;
const BYTES_CAPACITY: u64 = 4096;
const BATCH: u64 = 16;
const IN_TURN: usize = 0;
const ALONE: usize = 1;
/// The writer that a forker's children are.
const CHILD: u64 = 2;

/// Makes what the workers use; it lives until removed.
fn prepare(domain: &Domain) -> Outcome {
    let options = Options::new().lifetime(Lifetime::UntilRemoved);
    spsc::Ring::<Value>::create_with(domain, TYPED, TYPED_CAPACITY, &options)?;
    bytes::Ring::create_with(domain, BYTES, BYTES_CAPACITY, &options)?;
    spsc::Ring::<u64>::create_with(domain, IDLE, 4, &options)?;
    let slots = Slots::create_with(domain, SLOTS, 2, sealed([0; 8]), &options)?;
    ensure!(slots.len() == 2, "{} slots", slots.len());
    Ok(())
}

/// After everybody has been killed: everything acknowledged is there. Then removes it all.
fn finish(domain: &Domain, oracle: Oracle) -> Outcome {
    let mut consumer = spsc::Ring::<Value>::open(domain, TYPED)?.consumer()?;
    within("typed ring, popped", oracle.known(Note::Popped), consumer.position(), BATCH)?;
    while let Ok(found) = consumer.try_pop() {
        ensure!(found == value(consumer.position() - 1), "typed ring: {found:x?} at the end");
    }
    within("typed ring, pushed", oracle.known(Note::Pushed), consumer.position(), BATCH)?;

    let mut consumer = bytes::Ring::open(domain, BYTES)?.consumer()?;
    let mut next = None;
    while let Ok(found) = consumer.try_recv() {
        next = Some(check_record(&found, next, oracle)? + 1);
        found.release();
    }
    if let Some(next) = next {
        within("byte ring, sent", oracle.known(Note::Sent), next, 1)?;
    }

    let slots = Slots::<Value>::open(domain, SLOTS)?;
    let (found, version) = slots.read_versioned(IN_TURN)?;
    ensure!(seal(&found) == found[7], "torn: {found:x?}");
    ensure!(version >= oracle.known(Note::Turn), "lost: slot at version {version}");
    let (found, version) = slots.read_versioned(ALONE)?;
    ensure!(seal(&found) == found[7], "torn: {found:x?}");
    within("slot of a lone writer", oracle.known(Note::Alone), version, 1)?;
    drop((slots, consumer));
    for (name, entry) in domain.list()? {
        if entry?.lifetime == Lifetime::UntilRemoved {
            domain.remove(&name)?;
        }
    }
    domain.clean()?;
    Ok(())
}

fn push(domain: &Domain, me: Me, mut random: Random) -> Outcome {
    let ring = spsc::Ring::<Value>::open(domain, TYPED)?;
    let mut producer = ring.producer()?;
    within("typed ring, pushed", me.oracle.known(Note::Pushed), producer.position(), BATCH)?;
    let popped = me.oracle.known(Note::Popped);
    ensure!(producer.position() >= popped, "lost: typed ring: {popped} popped, {producer:?} is not there yet");
    me.oracle.note(Note::Pushed, producer.position());
    if random.below(2) == 0 {
        producer.when_peer_gone(WhenPeerGone::Wait);
    }
    loop {
        let from = producer.position();
        let count = 1 + random.below(BATCH);
        let outcome = match random.below(5) {
            0 => producer.push(value(from)).map(|()| 1),
            1 => producer.try_push(value(from)).map(|()| 1),
            2 => producer.push_timeout(value(from), Duration::from_micros(random.below(3000))).map(|()| 1),
            3 => producer.push_slice(&(from..from + count).map(value).collect::<Vec<_>>()).map(|pushed| pushed as u64),
            _ => producer.claim_many(count as usize).map(|mut claim| {
                let room = claim.len();
                for (position, place) in (from..).zip(claim.iter_mut()) {
                    *place = value(position);
                }
                let some = 1 + random.below(room as u64);
                claim.commit_first(some as usize);
                some
            }),
        };
        match outcome {
            Ok(pushed) => {
                ensure!(producer.position() == from + pushed, "{pushed} pushed from {from} on: {producer:?}");
                me.oracle.note(Note::Pushed, from + pushed);
                me.acked(pushed);
            }
            Err(PushError::Full | PushError::TimedOut | PushError::Disconnected(_)) => {
                producer.wait_for_room_timeout(Duration::from_millis(1)).or_else(|refused| match refused {
                    PushError::TimedOut | PushError::Disconnected(_) => Ok(()),
                    other => Err(other),
                })?;
            }
            Err(error) => return Err(format!("{error}: {producer:?}, {} popped", me.oracle.known(Note::Popped)).into()),
        }
        random.breathe();
    }
}

fn pop(domain: &Domain, me: Me, mut random: Random) -> Outcome {
    let ring = spsc::Ring::<Value>::open(domain, TYPED)?;
    let mut consumer = ring.consumer()?;
    within("typed ring, popped", me.oracle.known(Note::Popped), consumer.position(), BATCH)?;
    me.oracle.note(Note::Popped, consumer.position());
    if random.below(2) == 0 {
        consumer.when_peer_gone(WhenPeerGone::Wait);
    }
    loop {
        let from = consumer.position();
        let mut batch = [[0; 8]; BATCH as usize];
        let count = 1 + random.below(BATCH) as usize;
        let outcome = match random.below(5) {
            0 => consumer.pop().map(|found| vec![found]),
            1 => consumer.try_pop().map(|found| vec![found]),
            2 => consumer.pop_timeout(Duration::from_micros(random.below(3000))).map(|found| vec![found]),
            3 => consumer.pop_slice(&mut batch[..count]).map(|popped| batch[..popped].to_vec()),
            _ => consumer.claim_many(count).map(|claim| {
                let found: Vec<_> = claim.iter().copied().collect();
                claim.release();
                found
            }),
        };
        match outcome {
            Ok(found) => {
                for (position, found) in (from..).zip(&found) {
                    ensure!(*found == value(position), "order: typed ring at {position}: {found:x?}");
                }
                me.oracle.note(Note::Popped, from + found.len() as u64);
                me.acked(found.len() as u64);
            }
            Err(PopError::Empty | PopError::TimedOut | PopError::Disconnected(_)) => {
                consumer.wait_for_value_timeout(Duration::from_millis(1)).or_else(|refused| match refused {
                    PopError::TimedOut | PopError::Disconnected(_) => Ok(()),
                    other => Err(other),
                })?;
            }
            Err(error) => return Err(error.into()),
        }
        random.breathe();
    }
}

/// A record's length; and how many bytes more are claimed for it.
fn lengths(number: u64) -> (usize, usize) {
    let mut random = Random(number);
    let length = 8 + if random.below(20) == 0 { random.below(1900) } else { random.below(100) };
    let more = if number.is_multiple_of(4) { random.below(60) } else { 0 };
    (length as usize, more as usize)
}

fn record(number: u64) -> Vec<u8> {
    let (length, _) = lengths(number);
    let mut bytes = number.to_ne_bytes().to_vec();
    bytes.extend((8..length).map(|at| mix(number ^ at as u64) as u8));
    bytes
}

/// Where the producer is after a record.
fn position_after(position: u64, number: u64) -> u64 {
    let (length, more) = lengths(number);
    let size = |length: usize| 8 + (length as u64).next_multiple_of(8);
    let contiguous = BYTES_CAPACITY - position % BYTES_CAPACITY;
    let at = if size(length + more) <= contiguous { position } else { position + contiguous };
    at + size(length)
}

fn check_record(found: &[u8], expected: Option<u64>, oracle: Oracle) -> Outcome<u64> {
    let number = found.first_chunk().map_or(u64::MAX, |bytes| u64::from_ne_bytes(*bytes));
    match expected {
        Some(expected) => ensure!(number == expected, "order: byte ring: record {number} instead of {expected}"),
        None => within("byte ring, received", oracle.known(Note::Received), number, 1)?,
    }
    ensure!(found == record(number), "torn: byte ring: record {number} is {found:x?}");
    Ok(number)
}

fn send(domain: &Domain, me: Me, mut random: Random) -> Outcome {
    let ring = bytes::Ring::open(domain, BYTES)?;
    let mut producer = ring.producer()?;
    if random.below(2) == 0 {
        producer.when_peer_gone(WhenPeerGone::Wait);
    }
    let mut number = me.oracle.known(Note::Sent);
    let acked = me.oracle.known(Note::SentPosition(number));
    if producer.position() != acked {
        let next = position_after(acked, number);
        ensure!(
            producer.position() == next,
            "lost: byte ring: {number} records acknowledged, up to {acked}; the successor is at {} and not at {next}",
            producer.position()
        );
        number += 1;
        // Found to be there, so it counts: the next death may come before anything is acknowledged.
        me.oracle.note(Note::SentPosition(number), next);
        me.oracle.note(Note::Sent, number);
    }
    loop {
        let bytes = record(number);
        let timeout = Duration::from_micros(random.below(3000));
        let outcome = match (lengths(number).1, random.below(3)) {
            (0, 0) => producer.try_send(&bytes),
            (0, 1) => producer.send(&bytes),
            (0, _) => producer.send_timeout(&bytes, timeout),
            (more, way) => {
                let length = bytes.len() + more;
                let claim = match way {
                    0 => producer.try_claim(length),
                    1 => producer.claim(length),
                    _ => producer.claim_timeout(length, timeout),
                };
                claim.map(|mut claim| {
                    claim[..bytes.len()].copy_from_slice(&bytes);
                    claim.commit_first(bytes.len());
                })
            }
        };
        match outcome {
            Ok(()) => {
                number += 1;
                me.oracle.note(Note::SentPosition(number), producer.position());
                me.oracle.note(Note::Sent, number);
                me.acked(1);
            }
            Err(PushError::Full | PushError::TimedOut | PushError::Disconnected(_)) => {
                std::thread::sleep(Duration::from_micros(random.below(100)));
            }
            Err(error) => return Err(error.into()),
        }
        random.breathe();
    }
}

fn receive(domain: &Domain, me: Me, mut random: Random) -> Outcome {
    let ring = bytes::Ring::open(domain, BYTES)?;
    let mut consumer = ring.consumer()?;
    if random.below(2) == 0 {
        consumer.when_peer_gone(WhenPeerGone::Wait);
    }
    let mut expected = None;
    loop {
        let outcome = match random.below(3) {
            0 => consumer.try_recv(),
            1 => consumer.recv(),
            _ => consumer.recv_timeout(Duration::from_micros(random.below(3000))),
        };
        match outcome {
            Ok(found) => {
                let next = check_record(&found, expected, me.oracle)? + 1;
                // Those before it were received, acknowledged or not.
                me.oracle.note(Note::Received, next - 1);
                found.release();
                me.oracle.note(Note::Received, next);
                me.acked(1);
                expected = Some(next);
            }
            Err(PopError::Empty | PopError::TimedOut | PopError::Disconnected(_)) => {
                std::thread::sleep(Duration::from_micros(random.below(100)));
            }
            Err(error) => return Err(error.into()),
        }
        random.breathe();
    }
}

fn write_one(slots: &Slots<Value>, me: Me, random: &mut Random, who: u64) -> Outcome {
    let count = me.oracle.next(Note::Writer(who));
    let value = sealed([who, count, random.next(), 0, random.next(), 0, count, 0]);
    match random.below(3) {
        0 => slots.write(IN_TURN, &value),
        1 => slots.try_write(IN_TURN, &value),
        _ => slots.write_timeout(IN_TURN, &value, Duration::from_micros(random.below(5000))),
    }
    .map(|_| {
        me.oracle.raise(Note::Turn, slots.version(IN_TURN).unwrap_or(0));
        me.acked(1);
    })
    .or_else(|refused| match refused {
        WriteError::Busy(_) => Ok(()),
        other => Err(other.into()),
    })
}

fn write(domain: &Domain, me: Me, mut random: Random, who: u64) -> Outcome {
    let slots = Slots::<Value>::open(domain, SLOTS)?;
    loop {
        write_one(&slots, me, &mut random, who)?;
        random.breathe();
    }
}

fn fork(domain: &Domain, me: Me, mut random: Random) -> Outcome {
    let slots = Slots::<Value>::open(domain, SLOTS)?;
    write_one(&slots, me, &mut random, CHILD)?;
    loop {
        let writes = random.below(50);
        let mut theirs = Random(random.next());
        let Some(child) = fork_bare()? else {
            let wrote = (0..writes).try_for_each(|_| write_one(&slots, me, &mut theirs, CHILD));
            if let Err(error) = &wrote {
                eprintln!("a forked child: {error}");
            }
            exit_now(i32::from(wrote.is_err()));
        };
        write_one(&slots, me, &mut random, CHILD)?;
        let end = reap(child)?;
        ensure!(end != crate::process::End::Exited(1), "a forked child failed");
        std::thread::sleep(Duration::from_micros(random.below(500)));
    }
}

fn write_alone(domain: &Domain, me: Me, mut random: Random) -> Outcome {
    let slots = Slots::<Value>::open(domain, SLOTS)?;
    let mut writer = slots.writer(ALONE)?;
    let mut version = slots.version(ALONE)?;
    within("slot of a lone writer", me.oracle.known(Note::Alone), version, 1)?;
    me.oracle.note(Note::Alone, version);
    loop {
        let value = sealed([version + 1, random.next(), 0, random.next(), 0, 0, 0, 0]);
        version = writer.write(&value)?;
        ensure!(version == value[0], "version {version} instead of {}", value[0]);
        me.oracle.note(Note::Alone, version);
        me.acked(1);
        if random.below(100) == 0 {
            drop(writer);
            writer = slots.writer(ALONE)?;
        }
        random.breathe();
    }
}

fn read(domain: &Domain, me: Me, mut random: Random) -> Outcome {
    let slots = Slots::<Value, ReadOnly>::open_read_only(domain, SLOTS)?;
    let mut seen = [0; 2];
    let mut counts = [0; CHILD as usize];
    loop {
        for (index, note) in [(IN_TURN, Note::Turn), (ALONE, Note::Alone)] {
            let acked = me.oracle.known(note);
            let (found, version) = slots.read_versioned(index)?;
            ensure!(seal(&found) == found[7], "torn: slot {index}: {found:x?}");
            ensure!(version >= acked, "lost: slot {index}: version {acked} acknowledged, {version} read");
            ensure!(version >= seen[index], "order: slot {index}: version {version} after {}", seen[index]);
            seen[index] = version;
            if index == ALONE {
                ensure!(found[0] == version, "order: slot {index}: version {version} holds {found:x?}");
            } else if let Some(count) = counts.get_mut(found[0] as usize).filter(|_| version > 0) {
                ensure!(found[1] >= *count, "order: slot {index}: {} of writer {} after {count}", found[1], found[0]);
                *count = found[1];
            }
            me.acked(1);
        }
        if random.below(8) == 0 {
            slots.wait_for_change(IN_TURN, seen[IN_TURN], Duration::from_millis(2))?;
        }
        random.breathe();
    }
}

/// What has become of a churner's own segment. Between the two it may or may not be there.
mod own {
    pub(super) const ABSENT: u64 = 0;
    pub(super) const CREATING: u64 = 1;
    pub(super) const THERE: u64 = 2;
    pub(super) const REMOVING: u64 = 3;
}

fn churn(domain: &Domain, me: Me, mut random: Random, who: u64) -> Outcome {
    if who == 1 {
        without_tmpfile()?;
    }
    let name = format!("own-{who}");
    let stays = Options::new().lifetime(Lifetime::UntilRemoved);
    let passing = Options::new();
    let mut kept = Vec::new();
    loop {
        match random.below(8) {
            // What lives until removed is there once its creation has been acknowledged, and until removing it has begun.
            0..2 => match (me.oracle.known(Note::Own(who)), Segment::open(domain, &name, &stays)) {
                (own::THERE, Err(error)) => return Err(format!("lost: {name}: {error}").into()),
                (own::ABSENT, Ok(_)) => return Err(format!("order: {name} was removed, and is there").into()),
                (_, Ok(segment)) => {
                    segment.grow(5000 + random.below(90_000))?;
                    me.oracle.note(Note::Own(who), own::REMOVING);
                    domain.remove(&name)?;
                    me.oracle.note(Note::Own(who), own::ABSENT);
                }
                (_, Err(error)) if error.is_not_found() => {
                    me.oracle.note(Note::Own(who), own::CREATING);
                    Segment::create_growing(domain, &name, 4096, 100_000, &stays)?;
                    me.oracle.note(Note::Own(who), own::THERE);
                }
                (_, Err(error)) => return Err(error.into()),
            },
            2..6 => {
                let shared = format!("shared-{}", random.below(3));
                let segment = Segment::open_or_create(domain, &shared, 4096, &passing)?;
                let mut found = [0; 8];
                segment.read(8, &mut found)?;
                let marked = mix(shared.len() as u64).to_ne_bytes();
                ensure!(found == [0; 8] || found == marked, "torn: {shared}: {found:x?}");
                segment.write(8, &marked)?;
                kept.push(segment);
                if random.below(3) == 0 {
                    kept.clear();
                }
            }
            6 => match domain.remove(&format!("shared-{}", random.below(3))) {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            },
            _ => {
                let report = domain.clean()?;
                let ours = |name: &str| name.starts_with("own-") || !name.contains('-') && !name.starts_with('@');
                let removed: Vec<_> = report.removed().filter(|&name| ours(name)).collect();
                ensure!(removed.is_empty(), "lost: the sweep removed {removed:?}");
            }
        }
        me.acked(1);
        kept.truncate(8);
        random.breathe();
    }
}

fn register(domain: &Domain, me: Me, mut random: Random) -> Outcome {
    loop {
        let ring = spsc::Ring::<u64>::open(domain, IDLE)?;
        let mut producer = ring.producer()?;
        if let Err(error) = producer.try_push(1)
            && !matches!(error, PushError::Full)
        {
            return Err(error.into());
        }
        let peers = domain.peers()?;
        let mine = peers.iter().filter(|peer| peer.pid == process_id().unsigned_abs()).count();
        ensure!(mine == 1, "this process is {mine} peers of {peers:?}");
        drop((producer, ring));
        me.acked(1);
        random.breathe();
    }
}
