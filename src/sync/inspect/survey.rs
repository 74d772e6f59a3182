//! Finding the locks of a domain, and looking at them.

use super::deadlock::{Deadlock, deadlocks};
use super::findings::Findings;
use super::report::{LockReport, Looked};
use super::{Inspect, Known};
use crate::base::access::ReadOnly;
use crate::base::atomic::Ordering::{Acquire, Relaxed};
use crate::peer::{Census, Place};
use crate::segment::open::Expected;
use crate::segment::region::Words;
use crate::segment::{Domain, Entry, Error, Kind, Options, Reason, Segment};
use crate::sync::part::{self, ALIGNMENT, CONFIG_WORDS, STATE};
use crate::sys::barrier::Light;
use crate::sys::clock;

/// How much of a raw segment is searched for locks, in bytes.
pub const SCANNED: u64 = 64 << 20;
/// More locks than that are not looked for in one segment.
const MOST_PARTS: usize = 4096;

/// The locks of a domain, or of one segment, as they were at some moments; see [the module](super).
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// All that were found, by name and offset.
    pub locks: Vec<LockReport>,
    /// Those that wait for each other in a circle, each circle once: seen in two looks, in which none of them had moved.
    pub deadlocks: Vec<Deadlock>,
    /// Segments that hold or may hold locks and could not be looked at, and why.
    pub errors: Vec<(String, Error)>,
    /// Raw segments that were not searched to their end: only [`SCANNED`] bytes, or up to the 4096th lock.
    pub partial: Vec<String>,
}

impl Domain {
    /// Looks at all that [`sync`](crate::sync) has in this domain, standing alone or within raw segments, without locking.
    ///
    /// Raw segments are searched: for each 64 bytes of their contents, one word is read. What was left by crashes and nobody uses is passed over.
    ///
    /// # Errors
    ///
    /// The directory or the registry of the domain cannot be read. What is wrong with single segments is in the result.
    pub fn locks(&self, options: &Options) -> Result<Survey, Error> {
        let mut found = Found::default();
        for (name, entry) in self.list()? {
            // What is no segment at all holds no locks.
            let Ok(entry) = entry else { continue };
            match found.look_into(self, &entry, options) {
                Err(error) if !error.is_not_found() => found.errors.push((name, error)),
                _ => {}
            }
        }
        found.survey(self)
    }

    /// Looks at what [`sync`](crate::sync) has in one segment, as [`locks`](Self::locks) does. Deadlocks are found only if they are all in it.
    ///
    /// # Errors
    ///
    /// There is no such segment, it cannot be looked at, or the registry of the domain cannot be read.
    pub fn locks_in(&self, name: &str, options: &Options) -> Result<Survey, Error> {
        let mut found = Found::default();
        found.look_into(self, &self.stat(name)?, options)?;
        found.survey(self)
    }
}

/// A part, mapped.
struct Subject {
    name: String,
    offset: Option<u64>,
    place: Place,
    kind: Kind,
    inspect: Inspect,
    config: [u64; CONFIG_WORDS],
    state: Words<ReadOnly>,
}

impl Subject {
    fn look(&self, light: Light) -> Option<Findings> {
        let mut findings = Findings::new(light);
        (self.inspect)(&self.config, &self.state, &mut findings)?;
        Some(findings)
    }
}

#[derive(Default)]
struct Found {
    subjects: Vec<Subject>,
    errors: Vec<(String, Error)>,
    partial: Vec<String>,
}

impl Found {
    /// Finds what is in a segment.
    fn look_into(&mut self, domain: &Domain, entry: &Entry, options: &Options) -> Result<(), Error> {
        let alone = Known::of(entry.kind);
        if alone.is_none() && entry.kind != Kind::RAW {
            return Ok(());
        }
        let version = alone.map_or(1, |known| known.version);
        let expected = Expected { kind: Some((entry.kind, version)), schema: None };
        let segment = Segment::<ReadOnly>::attach(domain, &entry.name, options, expected)?;
        // Only what is committed may be touched.
        let words = usize::try_from(segment.committed()? / 8).unwrap_or(usize::MAX);
        let body = segment.body();
        let body = body.slice(0, words.min(body.len())).unwrap_or_else(|| body.empty());
        match alone {
            Some(known) => self.add_whole(entry, &segment, &body, known),
            None => {
                self.search(entry, &segment, &body);
                Ok(())
            }
        }
    }

    /// A segment that is one object.
    fn add_whole(
        &mut self,
        entry: &Entry,
        segment: &Segment<ReadOnly>,
        body: &Words<ReadOnly>,
        known: &'static Known,
    ) -> Result<(), Error> {
        let tag = body.first().map_or(0, |word| word.load(Acquire));
        let is_one = part::read_tag(tag) == Some((known.kind, known.version));
        let part = part_at(entry, segment, body, 0, known).filter(|_| is_one);
        // A look is only to find out whether it can be one.
        let Some(part) = part.filter(|part| part.look(Light::register()).is_some()) else {
            let found = if is_one { "something too short".to_owned() } else { part::describe(tag) };
            return Err(segment.error(Reason::Part { expected: known.kind.to_string(), offset: 0, found }));
        };
        self.subjects.push(Subject { offset: None, ..part });
        Ok(())
    }

    /// A raw segment, which may have objects anywhere.
    fn search(&mut self, entry: &Entry, segment: &Segment<ReadOnly>, body: &Words<ReadOnly>) {
        let searched = body.len().min((SCANNED / 8) as usize);
        let mut partial = searched < body.len();
        let light = Light::register();
        let mut count = 0;
        for at in (0..searched).step_by((ALIGNMENT / 8) as usize) {
            let tag = body.get(at).map_or(0, |word| word.load(Acquire));
            let Some((kind, version)) = part::read_tag(tag) else { continue };
            let Some(known) = Known::of(kind).filter(|known| known.version == version) else { continue };
            let part = part_at(entry, segment, body, at, known).filter(|part| part.look(light).is_some());
            let Some(part) = part else { continue };
            if count == MOST_PARTS {
                partial = true;
                break;
            }
            count += 1;
            self.subjects.push(part);
        }
        if partial {
            self.partial.push(entry.name.clone());
        }
    }

    fn survey(self, domain: &Domain) -> Result<Survey, Error> {
        let locks = look_at(&self.subjects, domain)?;
        let mut deadlocks = deadlocks(&locks);
        if !deadlocks.is_empty() {
            // Who was seen waiting and who was seen holding, was not seen at the same moment.
            let later = look_at(&self.subjects, domain)?;
            deadlocks.retain(|deadlock| deadlock.is_in(&later));
        }
        Ok(Survey { locks, deadlocks, errors: self.errors, partial: self.partial })
    }
}

/// The object whose tag is word `at` of the body.
fn part_at(
    entry: &Entry,
    segment: &Segment<ReadOnly>,
    body: &Words<ReadOnly>,
    at: usize,
    known: &'static Known,
) -> Option<Subject> {
    let words = body.slice(at, body.len().checked_sub(at)?)?;
    let mut config = [0; CONFIG_WORDS];
    for (value, word) in config.iter_mut().zip(words.get(1..STATE)?) {
        *value = word.load(Relaxed);
    }
    let offset = at as u64 * 8;
    Some(Subject {
        name: entry.name.clone(),
        offset: Some(offset),
        place: Place::new(segment, offset),
        kind: known.kind,
        inspect: known.inspect,
        config,
        state: words.slice(STATE, words.len().checked_sub(STATE)?)?,
    })
}

fn look_at(subjects: &[Subject], domain: &Domain) -> Result<Vec<LockReport>, Error> {
    let light = Light::register();
    let before: Vec<Option<Findings>> = subjects.iter().map(|subject| subject.look(light)).collect();
    let census = Census::take(domain)?;
    let looked = subjects.iter().zip(before).filter_map(|(subject, before)| {
        let looked = Looked { before: before?, after: subject.look(light)? };
        let what = (subject.name.as_str(), subject.offset, subject.kind);
        Some(looked.report(what, &census, census.waits_at(subject.place), clock::boot_ns()))
    });
    Ok(looked.collect())
}
