//! Arbitrary bytes as a segment, opened by every kind and used: read, written, waited on, with words that change meanwhile. The answer is
//! a value or an error: no panic, no crash, no hang.
//!
//! The first byte chooses how the rest is understood: as a file, as a file that gets the right checksum, or as a recipe for a segment
//! whose header is right or nearly so, for the words behind it, and for what is done with it.
#![no_main]

#[path = "../../tests/input/image.rs"]
#[allow(dead_code)]
mod image;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use image::Image;
use libfuzzer_sys::fuzz_target;
use sharedware::ring::{WhenPeerGone, bytes, spsc};
use sharedware::slot::{self, Slots};
use sharedware::{Domain, Options, ReadOnly, Segment, Shared};
use sharedware_fuzz::{Scratch, Word, my_cookie};

/// What is done with an open structure, or to it by another process.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Act {
    Use { what: u8, with: u8 },
    Spoil { word: u16, value: Word },
}

#[derive(Arbitrary, Debug)]
struct Recipe {
    kind: u8,
    element: u8,
    size: u8,
    header: Vec<(u16, Word)>,
    /// Bytes of the header that are changed after its checksum was made.
    damage: Vec<(u16, u8)>,
    /// Bytes cut off or added.
    length: i8,
    body: Vec<(u16, Word)>,
    registry: Option<(Word, Vec<(u16, Word)>)>,
    acts: Vec<Act>,
}

const ACTS: usize = 24;
const MOMENT: Duration = Duration::from_micros(20);

fuzz_target!(|data: &[u8]| {
    let Some((mode, rest)) = data.split_first() else { return };
    let scratch = Scratch::new().expect("a directory in shared memory");
    let domain = Domain::new("f").expect("a good name").in_directory(scratch.path());
    match mode % 3 {
        0 => attach_file(&domain, rest, &[]),
        1 => {
            let mut bytes = rest.to_vec();
            seal(&mut bytes);
            attach_file(&domain, &bytes, &[]);
        }
        _ => {
            if let Ok(recipe) = Recipe::arbitrary(&mut Unstructured::new(rest)) {
                follow(&domain, &recipe);
            }
        }
    }
});

/// Repairs everything that stands between a mutated file and the code behind the checksum.
fn seal(bytes: &mut [u8]) {
    if bytes.len() < 4096 {
        return;
    }
    let (header, body) = bytes.split_at(4096);
    let mut image = Image { header: header.to_vec(), body: body.to_vec() };
    image.header[..16].copy_from_slice(&Image::new(image::RAW, 0).header[..16]);
    image.u64(image::HEADER_SIZE, 4096).u64(image::CAPACITY, bytes.len() as u64).u32(image::LIFETIME, 2);
    image.u64(image::FIRST_COMMITTED, bytes.len() as u64).u64(image::COMMITTED, bytes.len() as u64);
    image.header[image::RESERVED_MUTABLE..image::SCHEMA].fill(0);
    let sealed = image.bytes();
    bytes.copy_from_slice(&sealed);
}

fn follow(domain: &Domain, recipe: &Recipe) {
    // A registry as it should be, in which this process has a place, or a forged one.
    let registry = domain.directory().join("sharedware.f.@peers");
    let (mut mine, mut keep) = (0, None);
    match &recipe.registry {
        Some((first, words)) => {
            let mut image = Image::peers(first.value(0));
            for (at, word) in words {
                // Slots and wait records.
                image.word(usize::from(*at) % (2 * 4096 * 8), word.value(0));
            }
            write(&registry, &image.bytes());
        }
        None => {
            keep = bytes::Ring::create(domain, "mine", 64).ok();
            mine = my_cookie(&fs::read(&registry).unwrap_or_default());
        }
    }

    let size = u64::from(recipe.size % 40);
    let (schema, width, align) =
        [("<Q", 8, 8), ("(3)<B", 3, 1), ("(5)<I", 20, 4), ("(0)<H", 0, 2), ("(2,9)<d", 144, 8)]
            [usize::from(recipe.element) % 5];
    let mut image = match recipe.kind % 5 {
        0 => Image::new(image::RAW, 8 * (1 + size as usize * 20)),
        1 => Image::slots(schema, width, align, 1 + size % 4),
        2 => {
            // So many values to a block of one line; a larger one has eight, behind a line.
            let capacity = 1 + size % 20;
            match width {
                0..=8 => Image::spsc(schema, width, align, capacity, 7),
                9..=56 => Image::spsc(schema, width, align, capacity, 7 / u64::from(width.div_ceil(8))),
                _ => {
                    let mut image = Image::spsc(schema, width, align, capacity, 8);
                    let body = 512 + (capacity.div_ceil(8) + 1) * (64 + 8 * u64::from(width));
                    image.body.resize(body as usize, 0);
                    for at in [image::CAPACITY, image::FIRST_COMMITTED, image::COMMITTED] {
                        image.u64(at, 4096 + body);
                    }
                    image
                }
            }
        }
        3 => Image::byte_ring(64 << (size % 4)),
        _ => Image::peers(size),
    };
    for (at, word) in &recipe.header {
        // Any word of the header that is not the checksum, geometry first.
        let at =
            if at % 2 == 0 { image::GEOMETRY + 8 * (usize::from(*at / 2) % 8) } else { 8 * (usize::from(*at) % 64) };
        image.u64(at, word.value(mine));
    }
    let words = image.body.len() / 8;
    for (at, word) in &recipe.body {
        if words > 0 {
            image.word(usize::from(*at) % words, word.value(mine));
        }
    }
    let mut bytes = image.bytes();
    for (at, change) in &recipe.damage {
        bytes[usize::from(*at) % 4096] ^= change;
    }
    let length = bytes.len().saturating_add_signed(recipe.length.into());
    bytes.resize(length, 0);
    let acts: Vec<(Act, u64)> = recipe.acts.iter().take(ACTS).map(|&act| (act, mine)).collect();
    attach_file(domain, &bytes, &acts);
    drop(keep);
}

fn write(path: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.expect("a file").write_all_at(bytes, 0).expect("room for it");
}

fn attach_file(domain: &Domain, bytes: &[u8], acts: &[(Act, u64)]) {
    let path = domain.directory().join("sharedware.f.x");
    write(&path, bytes);
    let file = OpenOptions::new().write(true).open(&path).expect("just made");
    let play = Play { domain, file: &file, body: bytes.len().saturating_sub(4096) / 8, acts };

    let _ = (domain.list(), domain.peers(), domain.clean_dry_run(), domain.stat("x"));
    play.raw();
    play.slots::<u64>();
    play.slots::<[u8; 3]>();
    play.slots::<[u32; 5]>();
    play.slots::<[[f64; 9]; 2]>();
    play.views();
    play.spsc::<u64>();
    play.spsc::<[u8; 3]>();
    play.spsc::<[u16; 0]>();
    play.spsc::<[[f64; 9]; 2]>();
    play.bytes();

    // The same bytes as the registry of another domain.
    let other = Domain::new("g").expect("a good name").in_directory(domain.directory());
    write(&domain.directory().join("sharedware.g.@peers"), bytes);
    let _ = other.peers();
    if let Ok(slot) = slot::Slot::create(&other, "y", 1_u64) {
        let _ = slot.try_write(&2).map(|_| assert_eq!(slot.read(), Ok(2)));
        let _ = other.peers();
    }
    let _ = (domain.clean(), other.clean(), domain.remove("x"));
}

struct Play<'a> {
    domain: &'a Domain,
    file: &'a File,
    /// Words behind the header.
    body: usize,
    acts: &'a [(Act, u64)],
}

impl Play<'_> {
    /// Does what the recipe says; by itself a little of everything.
    fn acts(&self, mut act: impl FnMut(u8, u8)) {
        if self.acts.is_empty() {
            (0..10).for_each(|what| act(what, what.wrapping_mul(37)));
        }
        for (step, mine) in self.acts {
            match *step {
                Act::Use { what, with } => act(what, with),
                Act::Spoil { word, value } if self.body > 0 => {
                    let at = 4096 + 8 * (usize::from(word) % self.body);
                    let _ = self.file.write_all_at(&value.value(*mine).to_le_bytes(), at as u64);
                }
                Act::Spoil { .. } => {}
            }
        }
    }

    fn raw(&self) {
        let options = Options::new();
        let mut buffer = [0; 100];
        if let Ok(segment) = Segment::open_read_only(self.domain, "x", &options) {
            let _ = (segment.committed(), segment.capacity(), segment.created(), segment.memory());
            self.acts(|what, with| drop(segment.read(u64::from(what) * 8, &mut buffer[..usize::from(with) % 101])));
        }
        if let Ok(segment) = Segment::open(self.domain, "x", &options) {
            self.acts(|what, with| {
                let _ = segment.write(u64::from(what) * 8, &buffer[..usize::from(with) % 101]);
                let _ = segment.read(segment.capacity().saturating_sub(with.into()), &mut buffer);
                let _ = segment.grow(u64::from(what) << 4);
                let _ = segment.committed();
            });
        }
    }

    fn slots<T: Shared + PartialEq + std::fmt::Debug>(&self) {
        if let Ok(slots) = Slots::<T, ReadOnly>::open_read_only(self.domain, "x") {
            self.acts(|what, with| {
                let index = usize::from(with) % 5;
                let _ = slots.read(index);
                if what % 4 == 0 {
                    let _ = slots.wait_for_change(index, slots.version(index).unwrap_or(0), MOMENT);
                }
            });
        }
        let Ok(slots) = Slots::<T>::open(self.domain, "x") else { return };
        self.acts(|what, with| {
            let index = usize::from(with) % slots.len().min(5);
            match what % 6 {
                0 => drop(slots.read_versioned(index)),
                1 => drop(slots.try_write(index, &T::zeroed())),
                2 => drop(slots.write_timeout(index, &T::zeroed(), MOMENT)),
                3 => drop(slots.wait_for_change(index, with.into(), MOMENT)),
                4 => drop(slots.read(usize::MAX - index)),
                _ => {
                    if let Ok(mut writer) = slots.writer(index) {
                        writer.write(&T::zeroed()).expect("ours");
                        assert_eq!(slots.read(index), Ok(T::zeroed()), "a write by the only writer is there");
                    }
                }
            }
        });
    }

    fn views(&self) {
        let options = Options::new();
        if let Ok(view) = slot::View::open(self.domain, "x", &options) {
            self.acts(|what, _| {
                if let Ok((bytes, _)) = view.read(what.into()) {
                    let _ = view.schema().value(&bytes).map(|value| value.to_string());
                }
            });
        }
        if let Ok(view) = spsc::View::open(self.domain, "x", &options) {
            self.acts(|what, with| {
                let (from, to) = view.positions();
                for position in [from.wrapping_add(what.into()), to.wrapping_sub(with.into()), with.into()] {
                    if let Some(bytes) = view.read(position) {
                        let _ = view.schema().value(&bytes).map(|value| value.to_string());
                    }
                }
            });
        }
        if let Ok(view) = bytes::View::open(self.domain, "x", &options) {
            self.acts(|what, _| {
                let most = usize::from(what);
                assert!(view.records(most).records.len() <= most);
                assert!(view.records(usize::MAX).records.len() as u64 <= view.capacity() / 8);
                let _ = view.positions();
            });
        }
    }

    fn spsc<T: Shared>(&self) {
        let Ok(ring) = spsc::Ring::<T>::open(self.domain, "x") else { return };
        let (mut producer, mut consumer) = (ring.producer().ok(), ring.consumer().ok());
        let zero = T::zeroed();
        self.acts(|what, with| {
            let count = usize::from(with % 40);
            if let Some(producer) = producer.as_mut().filter(|_| what % 2 == 0) {
                match what / 2 % 8 {
                    0 => drop(producer.try_push(zero)),
                    1 => drop(producer.push_slice(&vec![zero; count])),
                    2 => drop(producer.push_timeout(zero, MOMENT)),
                    3 => drop(producer.claim_many(count).map(|claim| claim.commit_first(count / 2))),
                    4 => {
                        let _ = producer.claim_many(usize::MAX).map(|mut claim| {
                            claim.iter_mut().for_each(|value| *value = zero);
                            claim.commit();
                        });
                    }
                    5 => drop(producer.wait_for_room_timeout(Duration::ZERO)),
                    6 => drop(producer.peer()),
                    _ => producer.when_peer_gone(if with % 2 == 0 { WhenPeerGone::Wait } else { WhenPeerGone::Fail }),
                }
            }
            if let Some(consumer) = consumer.as_mut().filter(|_| what % 2 == 1) {
                match what / 2 % 8 {
                    0 => drop(consumer.try_pop().is_ok()),
                    1 => drop(consumer.pop_slice(&mut vec![zero; count])),
                    2 => drop(consumer.pop_timeout(MOMENT).is_ok()),
                    3 => drop(consumer.claim_many(count).map(|claim| claim.release_first(count / 2))),
                    4 => drop(consumer.claim_many(usize::MAX).map(|claim| {
                        assert_eq!(claim.iter().count(), claim.len());
                        claim.release();
                    })),
                    5 => drop(consumer.wait_for_value_timeout(Duration::ZERO)),
                    6 => drop(consumer.peer()),
                    _ => consumer.when_peer_gone(if with % 2 == 0 { WhenPeerGone::Wait } else { WhenPeerGone::Fail }),
                }
            }
            match what {
                250 => producer = None,
                251 => consumer = None,
                252 => producer = producer.take().or_else(|| ring.producer().ok()),
                253 => consumer = consumer.take().or_else(|| ring.consumer().ok()),
                _ => {}
            }
        });
    }

    fn bytes(&self) {
        let Ok(ring) = bytes::Ring::open(self.domain, "x") else { return };
        let (mut producer, mut consumer) = (ring.producer().ok(), ring.consumer().ok());
        self.acts(|what, with| {
            let record = vec![with; usize::from(with)];
            if let Some(producer) = producer.as_mut().filter(|_| what % 2 == 0) {
                match what / 2 % 6 {
                    0 => drop(producer.try_send(&record)),
                    1 => drop(producer.send_timeout(&record, MOMENT)),
                    2 => drop(producer.try_claim(record.len()).map(|mut claim| {
                        claim.fill(7);
                        claim.commit_first(record.len() / 2);
                    })),
                    3 => drop(producer.try_claim(usize::MAX - record.len())),
                    4 => drop(producer.peer()),
                    _ => drop(producer.finish()),
                }
            }
            if let Some(consumer) = consumer.as_mut().filter(|_| what % 2 == 1) {
                match what / 2 % 4 {
                    0 => drop(consumer.try_recv().map(|record| record.release())),
                    1 => drop(consumer.recv_timeout(MOMENT).map(|record| {
                        assert!(record.iter().count() as u64 <= ring.capacity());
                        record.release();
                    })),
                    2 => drop(consumer.try_recv().map(|record| record.len())),
                    _ => drop(consumer.peer()),
                }
            }
            match what {
                250 => producer = None,
                251 => consumer = None,
                252 => producer = producer.take().or_else(|| ring.producer().ok()),
                253 => consumer = consumer.take().or_else(|| ring.consumer().ok()),
                _ => {}
            }
        });
    }
}
