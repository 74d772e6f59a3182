//! What a lock guards, as bytes: for tools that print it by its schema.

use super::Known;
use crate::base::access::ReadOnly;
use crate::base::atomic::Ordering::Acquire;
use crate::base::atomic::fence;
use crate::base::copy::{self, words_for};
use crate::segment::open::Expected;
use crate::segment::region::{WordArray, Words};
use crate::segment::schema::Schema;
use crate::segment::{Domain, Error, Kind, Options, Reason, Segment};
use crate::sync::lock::{Core, LOCK_WORDS};
use crate::sync::part::STATE;
use crate::sys::barrier::Light;

/// The value of a lock that stands alone, whose type is known only from its segment; mapped for reading. Locks nothing.
#[derive(Debug)]
pub struct View {
    schema: Schema,
    lock: WordArray<LOCK_WORDS, ReadOnly>,
    light: Light,
    value: Words<ReadOnly>,
}

impl View {
    /// Opens the lock of this name.
    ///
    /// # Errors
    ///
    /// There is none, or what is there is something else, has no value, or is not ours.
    pub fn open(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        let entry = domain.stat(name)?;
        let wrong = |kind| Error::new(&entry.path, Reason::Kind { expected: Kind::MUTEX, found: kind });
        let known = Known::of(entry.kind).ok_or_else(|| wrong(entry.kind))?;
        let value = known.value.ok_or_else(|| wrong(entry.kind))?;
        let expected = Expected { kind: Some((known.kind, known.version)), schema: None };
        let segment = Segment::<ReadOnly>::attach(domain, name, options, expected)?;
        let schema = segment.element()?.clone();
        // What is not committed may not be touched.
        let committed = segment.committed()?;
        let body = segment.body();
        let words = words_for(schema.size());
        let there = (STATE + value).saturating_add(words) as u64 <= committed / 8;
        let value = body.slice(STATE + value, words).filter(|_| there);
        let missing = || segment.error(Reason::Truncated { expected: words as u64 * 8, found: committed });
        let (lock, value) = body.array::<LOCK_WORDS>(STATE).zip(value).ok_or_else(missing)?;
        Ok(Self { schema, lock, light: Light::register(), value })
    }

    /// Whether objects of this kind have a value.
    pub fn has_value(kind: Kind) -> bool {
        Known::of(kind).is_some_and(|known| known.value.is_some())
    }

    /// The type of the value.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The bytes of the value, and whether they are whole: nobody had the lock meanwhile, as far as can be told without taking it, and no owner
    /// died in the middle.
    pub fn read(&self) -> (Vec<u8>, bool) {
        let core = Core::new(self.lock.as_array(), self.light);
        let state = || (core.owner().load(), core.holder().load());
        let before = state();
        let mut bytes = vec![0; self.schema.size()];
        copy::load_bytes(&self.value, &mut bytes);
        fence(Acquire);
        let whole = before == state() && before.0.is_free() && !before.0.is_inconsistent();
        (bytes, whole)
    }
}
