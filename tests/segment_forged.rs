//! Segments whose header is valid to the checksum and whose content is not what the library would write: made by somebody who knows
//! the layout and means harm. The answer is a value or an error.

mod input;

use std::time::Duration;

use input::image::{self, Image};
use input::{Room, says};
use sharedware::peer::PeerInfo;
use sharedware::ring::{AttachError, PeerState, PopError, PushError, bytes, spsc};
use sharedware::slot::{self, Slots};
use sharedware::{Options, Segment};

/// Sizes in the header that do not fit each other were subtracted without a look: a panic, or numbers near 2^64.
#[test]
fn sizes_that_contradict_each_other_are_refused() {
    let room = Room::new();
    let domain = room.domain();
    let refuse = |image: &Image, part: &str| {
        let path = room.put("x", &image.bytes());
        says(Segment::open(&domain, "x", &Options::new()).map(|segment| segment.committed()), &path, &[part]);
        says(domain.stat("x"), &path, &[part]);
    };
    // Nothing is committed at first, not even the header.
    refuse(Image::new(image::RAW, 8192).u64(image::FIRST_COMMITTED, 0).u64(image::COMMITTED, 0), "committed");
    refuse(Image::new(image::RAW, 8192).u64(image::FIRST_COMMITTED, 0).u64(image::COMMITTED, 4096), "committed");
    refuse(Image::new(image::RAW, 8192).u64(image::FIRST_COMMITTED, 4095), "committed");
    refuse(Image::new(image::RAW, 8192).u64(image::FIRST_COMMITTED, u64::MAX), "committed");
    refuse(Image::new(image::RAW, 8192).u64(image::COMMITTED, u64::MAX), "committed");
    refuse(Image::new(image::RAW, 8192).u64(image::COMMITTED, 1 << 40), "committed");
    refuse(&Image::new(image::RAW, 0), "capacity");
    refuse(&Image::new(image::RAW, 13), "capacity");
    refuse(Image::new(image::RAW, 8192).u64(image::CAPACITY, 4096), "capacity");
    refuse(Image::new(image::RAW, 8192).u64(image::HEADER_SIZE, 0), "header size");
    refuse(Image::new(image::RAW, 8192).u64(image::HEADER_SIZE, 4095), "header size");
    refuse(Image::new(image::RAW, 8192).u64(image::HEADER_SIZE, u64::MAX - 4095), "header size");
    refuse(Image::new(image::RAW, 8192).u32(image::LIFETIME, 0), "lifetime");
    refuse(Image::new(image::RAW, 8192).u32(image::LIFETIME, 3), "lifetime");
}

/// Schemas that contradict what stands beside them.
#[test]
fn schemas_that_contradict_the_header_are_refused() {
    let room = Room::new();
    let domain = room.domain();
    let refuse = |image: &Image, part: &str| {
        let path = room.put("x", &image.bytes());
        says(Slots::<u64>::open(&domain, "x"), &path, &[part]);
        says(slot::View::open(&domain, "x", &Options::new()), &path, &[part]);
    };
    let good = || Image::slots("<Q", 8, 8, 2);
    refuse(good().u32(image::SCHEMA_LENGTH, 4000), "schema");
    refuse(good().u32(image::SCHEMA_LENGTH, u32::MAX), "schema");
    refuse(good().u32(image::SCHEMA_LENGTH, 0), "element type");
    refuse(good().u64(image::FINGERPRINT, 1), "fingerprint");
    refuse(good().u32(image::ELEMENT_SIZE, 16), "element size");
    refuse(good().u32(image::ELEMENT_ALIGN, 1), "element alignment");
    refuse(good().schema("(4294967297)<Q", 8, 8), "element size");
    refuse(good().schema("T{<Q:\u{1b}[2J:}", 8, 8), "schema");
    let mut no_text = good();
    no_text.header[image::SCHEMA] = 0xff;
    refuse(&no_text, "schema");
}

/// The geometry of slots decides where memory is touched.
#[test]
fn slots_of_impossible_geometry_are_refused() {
    let room = Room::new();
    let domain = room.domain();
    let refuse = |image: &Image, part: &str| {
        let path = room.put("x", &image.bytes());
        says(Slots::<u64>::open(&domain, "x"), &path, &[part]);
        says(Slots::<u64, sharedware::ReadOnly>::open_read_only(&domain, "x"), &path, &[part]);
        says(slot::View::open(&domain, "x", &Options::new()), &path, &[part]);
    };
    for length in [0, 1, 3, 1 << 20, u64::MAX] {
        refuse(Image::slots("<Q", 8, 8, 2).geometry(0, length), "number of slots");
    }
    refuse(Image::slots("<Q", 8, 8, 2).geometry(1, 16), "value");
    refuse(Image::slots("<Q", 8, 8, 2).geometry(2, 2), "copies");
    // Pages that may not be there may not be touched.
    refuse(
        Image::slots("<Q", 8, 8, 20).u64(image::FIRST_COMMITTED, 4096).u64(image::COMMITTED, 8192),
        "number of slots",
    );
}

/// Of rings the same; the view of a typed ring used to take one whose pages are not all committed.
#[test]
fn rings_of_impossible_geometry_are_refused() {
    let room = Room::new();
    let domain = room.domain();
    let refuse = |image: &Image, part: &str| {
        let path = room.put("x", &image.bytes());
        says(spsc::Ring::<u64>::open(&domain, "x"), &path, &[part]);
        says(spsc::View::open(&domain, "x", &Options::new()), &path, &[part]);
    };
    let good = || Image::spsc("<Q", 8, 8, 1024, 7);
    for capacity in [0, 3, 2048, 1 << 60, 1 << 63, u64::MAX] {
        refuse(good().geometry(0, capacity), "ring capacity");
    }
    let path = room.put("x", &Image::spsc("(7)<Q", 56, 8, 2, 1).geometry(0, u64::MAX).bytes());
    says(spsc::Ring::<[u64; 7]>::open(&domain, "x"), &path, &["ring capacity"]);
    says(spsc::View::open(&domain, "x", &Options::new()), &path, &["ring capacity"]);
    refuse(good().geometry(1, 4), "values");
    for align in [0, 3, 128, u64::MAX] {
        refuse(good().geometry(2, align), "values");
    }
    refuse(good().u64(image::FIRST_COMMITTED, 4096).u64(image::COMMITTED, 8192), "ring capacity");

    let refuse = |image: &Image, part: &str| {
        let path = room.put("x", &image.bytes());
        says(bytes::Ring::open(&domain, "x"), &path, &[part]);
        says(bytes::View::open(&domain, "x", &Options::new()), &path, &[part]);
    };
    for capacity in [0, 8, 32, 4097, 8192, 1 << 46, 1 << 47, u64::MAX] {
        refuse(Image::byte_ring(4096).geometry(0, capacity), "ring capacity");
    }
    refuse(Image::byte_ring(16384).u64(image::FIRST_COMMITTED, 4096).u64(image::COMMITTED, 8192), "ring capacity");
}

/// Positions and marks of a typed ring that no process of ours stored.
#[test]
fn hostile_words_of_a_typed_ring() {
    let room = Room::new();
    let domain = room.domain();
    let odd = [0, 1, 7, 8, 9, 1 << 32, 1 << 63, u64::MAX - 8, u64::MAX - 1, u64::MAX];
    for head in odd {
        for tail in odd {
            for (released, mark) in [(0, 0), (head, tail), (u64::MAX, head.wrapping_add(1)), (tail, 1)] {
                let mut image = Image::spsc("<Q", 8, 8, 8, 7);
                image.word(32, head).word(48, released);
                for block in 0..3 {
                    image.word(64 + 8 * block, mark.wrapping_add(7 * block as u64));
                }
                image.word(0, u64::MAX).word(1, 1 << 63).word(2, u64::MAX).word(3, 7);
                room.put("x", &image.bytes());
                let view = spsc::View::open(&domain, "x", &Options::new()).unwrap();
                let (from, to) = view.positions();
                for position in [from, from.wrapping_add(1), to, to.wrapping_sub(1), u64::MAX] {
                    let _ = view.read(position);
                }
                let ring = spsc::Ring::<u64>::open(&domain, "x").unwrap();
                match ring.producer() {
                    Ok(mut producer) => {
                        for _ in 0..20 {
                            let _ = producer.try_push(1);
                        }
                        let _ = producer.push_slice(&[1, 2, 3]);
                        let _ = producer.claim_many(usize::MAX).map(spsc::PushClaim::commit);
                        let _ = producer.push_timeout(1, Duration::ZERO);
                    }
                    Err(error) => assert!(matches!(error, AttachError::Corrupt(_)), "{error}"),
                }
                match ring.consumer() {
                    Ok(mut consumer) => {
                        for _ in 0..20 {
                            let _ = consumer.try_pop();
                        }
                        let _ = consumer.pop_slice(&mut [0; 3]);
                        let _ = consumer.claim_many(usize::MAX).map(spsc::PopClaim::release);
                        let _ = consumer.pop_timeout(Duration::ZERO);
                    }
                    Err(error) => assert!(matches!(error, AttachError::Corrupt(_)), "{error}"),
                }
            }
        }
    }
}

/// Positions and record headers of a byte ring that no process of ours stored.
#[test]
fn hostile_words_of_a_byte_ring() {
    let room = Room::new();
    let domain = room.domain();
    let committed = 1_u64 << 63;
    let headers = [
        0,
        1,
        committed | 1 << 48,         // a record of nothing
        committed | 1 << 48 | 56,    // as long as the buffer
        committed | 1 << 48 | 57,    // longer
        committed | ((1 << 49) - 1), // the longest there is
        committed | 2 << 48,         // skip
        committed | 3 << 48,         // end
        committed | 4 << 48,         // no kind of ours
        u64::MAX,
    ];
    let positions = [0, 1, 8, 56, 64, 72, 1 << 63, u64::MAX - 7, u64::MAX];
    for header in headers {
        for head in positions {
            for tail in positions {
                let mut image = Image::byte_ring(64);
                image.word(16, tail).word(32, head).word(48, tail);
                for word in 64..72 {
                    image.word(word, header);
                }
                room.put("x", &image.bytes());
                let view = bytes::View::open(&domain, "x", &Options::new()).unwrap();
                let _ = view.positions();
                assert!(view.records(usize::MAX).records.len() <= 8);
                let ring = bytes::Ring::open(&domain, "x").unwrap();
                match ring.consumer() {
                    Ok(mut consumer) => {
                        for _ in 0..20 {
                            match consumer.try_recv() {
                                Ok(record) => record.release(),
                                Err(error) => assert!(
                                    matches!(error, PopError::Empty | PopError::Finished | PopError::Corrupt(_)),
                                    "{error}"
                                ),
                            }
                        }
                        let _ = consumer.recv_timeout(Duration::ZERO).map(|record| record.len());
                    }
                    Err(error) => assert!(matches!(error, AttachError::Corrupt(_)), "{error}"),
                }
                match ring.producer() {
                    Ok(mut producer) => {
                        for length in [0, 1, 8, 16, 17, usize::MAX] {
                            match producer.try_claim(length) {
                                Ok(claim) => claim.commit(),
                                Err(error) => assert!(
                                    matches!(
                                        error,
                                        PushError::Full
                                            | PushError::Finished
                                            | PushError::TooLong { .. }
                                            | PushError::Corrupt(_)
                                    ),
                                    "{error}"
                                ),
                            }
                        }
                        let _ = producer.send_timeout(&[1; 16], Duration::ZERO);
                        let _ = producer.finish();
                    }
                    Err(error) => assert!(matches!(error, AttachError::Corrupt(_)), "{error}"),
                }
            }
        }
    }
}

/// Versions, sequences and owners of a slot that no process of ours stored.
#[test]
fn hostile_words_of_a_slot() {
    let room = Room::new();
    let domain = room.domain();
    let odd = [0, 1, 2, 3, 1 << 61, 1 << 63, u64::MAX - 1, u64::MAX];
    for current in odd {
        for sequence in odd {
            for owner in odd {
                let mut image = Image::slots("<Q", 8, 8, 1);
                image.word(0, current).word(8, owner).word(9, owner).word(10, sequence);
                for copy in 0..8 {
                    image.word(16 + 8 * copy, sequence);
                }
                room.put("x", &image.bytes());
                let slots = Slots::<u64>::open(&domain, "x").unwrap();
                let _ = slots.read(0);
                let _ = slots.wait_for_change(0, current, Duration::ZERO);
                // Nobody alive owns it, whatever the word says: it can be written, and is then whole.
                slots.write_timeout(0, &42, Duration::ZERO).unwrap();
                assert_eq!(slots.read(0).unwrap(), 42);
                assert_eq!(slots.wait_for_change(0, slots.version(0).unwrap(), Duration::ZERO).unwrap(), None);
                drop(slots.writer(0).unwrap());
                slots.try_write(0, &43).unwrap();
                let view = slot::View::open(&domain, "x", &Options::new()).unwrap();
                assert_eq!(view.read(0).unwrap().0, 43_u64.to_le_bytes());
                assert!(view.read(1).is_err() && view.read(usize::MAX).is_err());
            }
        }
    }
}

/// Incarnations of which the sum does not fit in a cookie: a debug build panicked, and a release build took every live peer of such a
/// registry for dead.
#[test]
fn incarnations_at_the_end_of_their_range_keep_peers_alive() {
    const TEST: &str = "incarnations_at_the_end_of_their_range_keep_peers_alive";
    if input::role().is_some() {
        let ring = spsc::Ring::<u64>::open(&input::domain_in(&input::parents_room()), "ring").unwrap();
        let mut consumer = ring.consumer().unwrap();
        let producer = consumer.peer().unwrap();
        assert!(matches!(producer, PeerState::Alive(_)), "{producer:?}");
        assert!(matches!(consumer.pop_timeout(Duration::from_millis(100)), Err(PopError::TimedOut)));
        return;
    }
    for (first, raised) in [
        (1_u64 << 48, u64::MAX),
        ((1 << 48) - 1, 0),
        ((1 << 48) - 2, 0),
        (1, u64::MAX),
        (u64::MAX, 0),
        (1 << 63, 1 << 63),
    ] {
        let room = Room::new();
        let mut registry = Image::peers(first);
        for slot in 0..4096 {
            registry.word(8 * slot, raised).word(8 * slot + 1, u64::MAX).word(8 * slot + 3, u64::MAX);
        }
        room.put("@peers", &registry.bytes());
        let ring = spsc::Ring::<u64>::create(&room.domain(), "ring", 8).unwrap();
        let _producer = ring.producer().unwrap();
        input::Child::new(TEST, "consumer", room.path()).run();
    }
}

/// What a process calls itself ends up on terminals.
#[test]
fn names_of_processes_cannot_move_a_cursor() {
    let room = Room::new();
    let domain = room.domain();
    let ring = spsc::Ring::<u64>::create(&domain, "ring", 8).unwrap();
    let _producer = ring.producer().unwrap();
    let path = room.file("@peers");
    let mut bytes = std::fs::read(&path).unwrap();
    let slot = (0..4096).find(|slot| image::word_at(&bytes, 4096 + 64 * slot + 8) != 0).unwrap();
    let at = 4096 + 64 * slot + 24;
    bytes[at..at + 16].copy_from_slice(b"\x1b[2J\x9b\xc2\x9b\r\nx\xff\0\0\0\0\0");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes[at..at + 16], at as u64).unwrap();
    let peers: Vec<PeerInfo> = domain.peers().unwrap();
    assert_eq!(peers.len(), 1);
    assert!(!peers[0].command.chars().any(char::is_control), "{:?}", peers[0].command);
}

/// A registry that is none.
#[test]
fn a_registry_of_impossible_geometry_is_refused() {
    let room = Room::new();
    let domain = room.domain();
    room.put("ring", &Image::spsc("<Q", 8, 8, 8, 7).bytes());
    let mut short = Image::new(image::PEERS, 4096);
    short.u32(image::KIND_VERSION, 2).geometry(0, 4096).geometry(1, 1).geometry(2, 4096);
    let mut without_waits = Image::new(image::PEERS, 4096 * 64 + 4095 * 64);
    without_waits.u32(image::KIND_VERSION, 2).geometry(0, 4096).geometry(1, 1).geometry(2, 4096);
    for (image, part) in [
        (Image::peers(1).geometry(0, 8192).clone(), "peer slots"),
        (Image::peers(1).geometry(0, 0).clone(), "peer slots"),
        (Image::peers(0), "incarnation"),
        (short, "peer slots"),
        (Image::peers(1).geometry(2, 8192).clone(), "wait records"),
        (Image::peers(1).geometry(2, 0).clone(), "wait records"),
        (without_waits, "wait records"),
        (Image::peers(1).u32(image::KIND_VERSION, 1).clone(), "version 2 of peer registry, found 1"),
        (Image::new(image::RAW, 4096), "peer registry"),
        (Image::peers(1).u64(image::FIRST_COMMITTED, 4096).u64(image::COMMITTED, 8192).clone(), "peer slots"),
    ] {
        let path = room.put("@peers", &image.bytes());
        says(spsc::Ring::<u64>::open(&domain, "ring"), &path, &[part]);
        assert_eq!(domain.stat("ring").unwrap().kind, sharedware::segment::Kind::SPSC);
        // It may be listed and looked at, as far as it is one.
        let _ = domain.peers();
    }
    // Without a registry nobody is a peer.
    std::fs::remove_file(room.file("@peers")).unwrap();
    assert_eq!(domain.peers().unwrap(), []);
}

/// A type so large that its size did not fit in its header's field was written, and then refused on opening.
#[test]
fn an_element_beyond_the_header_is_refused_at_creation() {
    let room = Room::new();
    let domain = room.domain();
    let path = room.file("vast");
    says(spsc::Ring::<[u8; 1 << 32]>::create(&domain, "vast", 1), &path, &["element type", "4294967295"]);
    room.assert_empty();
}
