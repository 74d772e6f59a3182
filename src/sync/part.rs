//! What all objects here have in common: a run of words that stands alone under a name, or is part of a segment of the user's.
//!
//! ```text
//! word 0      tag      0x5357 (16 bits) | version (16 bits) | kind (32 bits)
//! words 1..8  config   never changes: what it was created with
//! words 8...  state
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use super::lock::Me;
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::peer::{Member, Peer, Place};
use crate::segment::create::{self, Blueprint};
use crate::segment::header::GEOMETRY_WORDS;
use crate::segment::open::Expected;
use crate::segment::region::{WordArray, Words};
use crate::segment::schema::Schema;
use crate::segment::{Domain, Error, Kind, Options, Reason, Segment};
use crate::sys::barrier::Light;

/// Words of the config.
pub(crate) const CONFIG_WORDS: usize = 7;
/// Where the state begins.
pub(crate) const STATE: usize = 8;
/// Parts start at multiples of so many bytes.
pub(crate) const ALIGNMENT: u64 = 64;
const MAGIC: u64 = 0x5357;

/// What an object's part looks like.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) config: [u64; CONFIG_WORDS],
    /// Words of the state.
    pub(crate) state: usize,
}

impl Shape {
    /// How many words the whole part takes: whole lines.
    fn words(&self) -> usize {
        (STATE + self.state).next_multiple_of(STATE)
    }
}

/// A kind of object that is made of a part.
pub(crate) trait Object<A: Access = ReadWrite>: Sized {
    /// What it is created with.
    type Setup: ?Sized;
    const KIND: Kind;
    const VERSION: u32 = 1;

    /// The type of the value in it, if it has one.
    fn schema() -> Option<Schema> {
        None
    }

    /// What its part looks like.
    ///
    /// # Errors
    ///
    /// It cannot be created so.
    fn shape(setup: &Self::Setup) -> Result<Shape, Reason>;

    /// What a part of this config looks like.
    ///
    /// # Errors
    ///
    /// There is none.
    fn shape_of(config: [u64; CONFIG_WORDS]) -> Result<Shape, Reason>;

    /// Puts into the state, which is all zero, what is not zero.
    fn initialise(state: &Words, setup: &Self::Setup);

    /// The object around a part whose config has a shape, and whose state is as long as that says.
    ///
    /// # Errors
    ///
    /// Something else about it cannot be.
    fn over(part: Part<A>) -> Result<Self, Reason>;
}

/// A part, as one process has it open.
#[derive(Debug)]
pub(crate) struct Part<A: Access = ReadWrite> {
    pub(crate) config: [u64; CONFIG_WORDS],
    pub(crate) state: Words<A>,
    pub(crate) light: Light,
    place: Place,
    path: PathBuf,
    /// `None` for who only reads: it owns nothing.
    member: Option<Member>,
}

impl<A: Access> Part<A> {
    /// The words `from..from + N` of the state.
    pub(crate) fn array<const N: usize>(&self, from: usize) -> Result<WordArray<N, A>, Reason> {
        let missing = || Reason::Truncated { expected: (from + N) as u64 * 8, found: self.state.len() as u64 * 8 };
        self.state.array(from).ok_or_else(missing)
    }

    /// What an object that arranges its segment itself keeps there of this kind: its state, at an offset of the contents.
    pub(crate) fn within(segment: &Segment<A>, offset: u64, state: Words<A>, member: Option<Member>) -> Self {
        let (place, path) = (Place::new(segment, offset), segment.path().to_owned());
        Self { config: [0; CONFIG_WORDS], state, light: Light::register(), place, path, member }
    }

    /// A part without a segment, for models; opened by the peer of that slot.
    #[cfg(all(test, loom))]
    pub(crate) fn model(state: Words<A>, slot: u64) -> Self {
        let place = Place { segment: 0, offset: 0 };
        let member = A::WRITABLE.then(|| Member::model(slot));
        Self { config: [0; CONFIG_WORDS], state, light: Light::register(), place, path: PathBuf::new(), member }
    }

    /// Where it is, for those who look who waits for what.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn error(&self, reason: Reason) -> Error {
        Error::new(&self.path, reason)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }
}

impl Part {
    /// Membership of the domain it is in.
    pub(crate) fn member(&self) -> Result<&Member, Error> {
        // There for every part that was opened for writing.
        self.member.as_ref().ok_or_else(|| self.error(Reason::Forked))
    }

    /// This process, as it owns things; also in a forked child.
    pub(crate) fn me(&self) -> Result<Me, Error> {
        self.member()?.with(Me::of)
    }

    /// The peer that this process is, if it has ever owned anything here.
    pub(crate) fn known_peer(&self) -> Option<Arc<Peer>> {
        self.member.as_ref().and_then(Member::known)
    }

    /// The same, as it owns things.
    pub(crate) fn known_me(&self) -> Option<Me> {
        self.known_peer().map(|peer| Me::of(&peer))
    }

    /// Has this process live on as a member until its end, whatever becomes of its handles.
    pub(crate) fn stay_member(&self) {
        std::mem::forget(self.known_peer());
    }
}

fn tag<A: Access, O: Object<A>>() -> u64 {
    MAGIC << 48 | u64::from(O::VERSION) << 32 | u64::from(O::KIND.number())
}

/// Creates an object of its own.
pub(crate) fn create<O: Object>(domain: &Domain, name: &str, setup: &O::Setup, options: &Options) -> Result<O, Error> {
    let name = domain.check(name)?;
    let fail = |reason| Error::new(&domain.path(&name), reason);
    let shape = O::shape(setup).map_err(fail)?;
    let member = Member::join(domain)?;
    let body = shape.words() as u64 * 8;
    let blueprint = Blueprint {
        kind: O::KIND,
        kind_version: O::VERSION,
        geometry: [0; GEOMETRY_WORDS],
        schema: O::schema(),
        body,
        committed: body,
    };
    let init = |words: &Words| initialise::<O>(words, &shape, setup);
    let (segment, ()) = create::create(domain, &name, blueprint, options, false, init, |_, _| Ok(()))?;
    over(&segment, 0, Some(member))
}

/// Opens an object of its own.
pub(crate) fn open<A: Access, O: Object<A>>(domain: &Domain, name: &str, options: &Options) -> Result<O, Error> {
    let schema = O::schema();
    let expected = Expected { kind: Some((O::KIND, O::VERSION)), schema: schema.as_ref() };
    let segment = Segment::<A>::attach(domain, name, options, expected)?;
    let member = if A::WRITABLE { Some(Member::join(domain)?) } else { None };
    over(&segment, 0, member)
}

/// Opens an object of its own, or creates it.
pub(crate) fn open_or_create<O: Object>(
    domain: &Domain,
    name: &str,
    setup: &O::Setup,
    options: &Options,
) -> Result<O, Error> {
    let checked = domain.check(name)?;
    let open = || open(domain, name, options);
    create::open_or_create(domain, &checked, open, || create(domain, name, setup, options))
}

/// Makes an object within a raw segment, over whatever is there.
pub(crate) fn create_at<O: Object>(
    domain: &Domain,
    segment: &Segment,
    offset: u64,
    setup: &O::Setup,
) -> Result<O, Error> {
    let shape = O::shape(setup).map_err(|reason| segment.error(reason))?;
    check_raw(segment)?;
    let member = Member::join(domain)?;
    let words = room(segment, offset, shape.words())?;
    initialise::<O>(&words, &shape, setup);
    over(segment, offset, Some(member))
}

/// Opens an object within a raw segment.
pub(crate) fn open_at<A: Access, O: Object<A>>(domain: &Domain, segment: &Segment<A>, offset: u64) -> Result<O, Error> {
    check_raw(segment)?;
    let member = if A::WRITABLE { Some(Member::join(domain)?) } else { None };
    over(segment, offset, member)
}

/// Parts may be put into raw segments only: the others are arranged already.
fn check_raw<A: Access>(segment: &Segment<A>) -> Result<(), Error> {
    let found = segment.kind();
    if found == Kind::RAW { Ok(()) } else { Err(segment.error(Reason::Kind { expected: Kind::RAW, found })) }
}

/// How many bytes an object takes within a segment.
pub(crate) fn size_of_part<O: Object>(setup: &O::Setup) -> Result<u64, Reason> {
    O::shape(setup).map(|shape| shape.words() as u64 * 8)
}

/// So many words of a raw segment, if they are there.
fn room<A: Access>(segment: &Segment<A>, offset: u64, words: usize) -> Result<Words<A>, Error> {
    let committed = segment.committed()?;
    let end = (words as u64).checked_mul(8).and_then(|length| length.checked_add(offset));
    let fits = offset.is_multiple_of(ALIGNMENT) && end.is_some_and(|end| end <= committed);
    let found = usize::try_from(offset / 8).ok().filter(|_| fits).and_then(|start| segment.body().slice(start, words));
    found.ok_or_else(|| {
        let expected = format!("a multiple of {ALIGNMENT} with {} bytes behind it within {committed}", words * 8);
        segment.error(Reason::Size { what: "an offset", expected, found: offset })
    })
}

fn initialise<O: Object>(words: &Words, shape: &Shape, setup: &O::Setup) {
    let Some((tag_word, rest)) = words.split_first() else { return };
    // Until the end nobody takes it for one.
    tag_word.store(0, Release);
    for word in rest {
        word.store(0, Relaxed);
    }
    for (word, value) in rest.iter().zip(shape.config) {
        word.store(value, Relaxed);
    }
    if let Some(state) = words.slice(STATE, words.len() - STATE) {
        O::initialise(&state, setup);
    }
    tag_word.store(tag::<ReadWrite, O>(), Release);
}

/// The object at an offset, if it is there, and one.
fn over<A: Access, O: Object<A>>(segment: &Segment<A>, offset: u64, member: Option<Member>) -> Result<O, Error> {
    let head = room(segment, offset, STATE)?;
    let head: WordArray<STATE, A> = head.array(0).ok_or_else(|| segment.error(Reason::NotFound))?;
    let found = head.at::<0>().load(Acquire);
    if found != tag::<A, O>() {
        return Err(segment.error(Reason::Part { expected: O::KIND.to_string(), offset, found: describe(found) }));
    }
    let mut config = [0; CONFIG_WORDS];
    for (value, word) in config.iter_mut().zip(head.run(1, CONFIG_WORDS)) {
        *value = word.load(Relaxed);
    }
    let shape = O::shape_of(config).map_err(|reason| segment.error(reason))?;
    let words = room(segment, offset, shape.words())?;
    let state = words.slice(STATE, shape.state).ok_or_else(|| segment.error(Reason::NotFound))?;
    let part = Part {
        config,
        state,
        light: Light::register(),
        place: Place::new(segment, offset),
        path: segment.path().to_owned(),
        member,
    };
    O::over(part).map_err(|reason| segment.error(reason))
}

/// Parts of loom models: on the heap, opened by peers that are known by their slots.
#[cfg(loom)]
pub(crate) mod model {
    use super::*;

    /// An object of a model.
    #[derive(Debug, Clone)]
    pub(crate) struct Heap {
        config: [u64; CONFIG_WORDS],
        state: Words,
    }

    impl Heap {
        pub(crate) fn new<O: Object>(setup: &O::Setup) -> Self {
            let shape = O::shape(setup).unwrap();
            let state = Words::on_heap((0..shape.state).map(|_| crate::base::atomic::Word::new(0)).collect());
            O::initialise(&state, setup);
            Self { config: shape.config, state }
        }

        /// The object, as the peer of this slot has it open.
        pub(crate) fn open<O: Object>(&self, slot: u64) -> O {
            let part = Part {
                config: self.config,
                state: self.state.clone(),
                light: Light::register(),
                place: Place { segment: 0, offset: 0 },
                path: PathBuf::new(),
                member: Some(Member::model(slot)),
            };
            O::over(part).unwrap()
        }
    }
}

/// The kind and its version in a tag word; `None`: it is not one.
pub(crate) fn read_tag(tag: u64) -> Option<(Kind, u32)> {
    (tag >> 48 == MAGIC).then(|| (Kind::from_number(tag as u32), (tag >> 32) as u32 & 0xffff))
}

/// What a tag says.
pub(crate) fn describe(tag: u64) -> String {
    match tag {
        0 => "nothing".to_owned(),
        _ if tag >> 48 != MAGIC => format!("something else ({tag:#x})"),
        _ => format!("version {} of {}", tag >> 32 & 0xffff, Kind::from_number(tag as u32)),
    }
}

/// The ways to make and to open an object, the same for all of them.
///
/// `"a mutex"` is what the documentation calls it; `setup` the parameters of creation; `with` how they become the `Setup`.
macro_rules! constructors {
    ($called:literal, ($($parameter:ident: $type:ty),*), $setup:expr) => {
        #[doc = concat!("Creates ", $called, " under a name, with default [`Options`](crate::Options).")]
        ///
        /// # Errors
        ///
        /// The name is taken or cannot be one, it cannot be made so, memory is full, or the system refuses; nothing is left behind.
        pub fn create(domain: &crate::Domain, name: &str $(, $parameter: $type)*) -> Result<Self, crate::Error> {
            crate::sync::part::create(domain, name, &$setup, &crate::Options::new())
        }

        /// As [`create`](Self::create), with options.
        ///
        /// # Errors
        ///
        /// As for [`create`](Self::create).
        pub fn create_with(domain: &crate::Domain, name: &str $(, $parameter: $type)*, options: &crate::Options) -> Result<Self, crate::Error> {
            crate::sync::part::create(domain, name, &$setup, options)
        }

        #[doc = concat!("Opens ", $called, " by its name.")]
        ///
        /// # Errors
        ///
        /// There is none, or what is there is something else, of another type, spoilt, or not ours.
        pub fn open(domain: &crate::Domain, name: &str) -> Result<Self, crate::Error> {
            crate::sync::part::open(domain, name, &crate::Options::new())
        }

        /// As [`open`](Self::open), with options.
        ///
        /// # Errors
        ///
        /// As for [`open`](Self::open).
        pub fn open_with(domain: &crate::Domain, name: &str, options: &crate::Options) -> Result<Self, crate::Error> {
            crate::sync::part::open(domain, name, options)
        }

        #[doc = concat!("Opens ", $called, " by its name, or creates it if there is none.")]
        ///
        /// # Errors
        ///
        /// As for [`open`](Self::open) and [`create`](Self::create).
        pub fn open_or_create(domain: &crate::Domain, name: &str $(, $parameter: $type)*) -> Result<Self, crate::Error> {
            crate::sync::part::open_or_create(domain, name, &$setup, &crate::Options::new())
        }

        /// As [`open_or_create`](Self::open_or_create), with options.
        ///
        /// # Errors
        ///
        /// As for [`open`](Self::open) and [`create`](Self::create).
        pub fn open_or_create_with(domain: &crate::Domain, name: &str $(, $parameter: $type)*, options: &crate::Options) -> Result<Self, crate::Error> {
            crate::sync::part::open_or_create(domain, name, &$setup, options)
        }

        #[doc = concat!("Makes ", $called, " within a raw segment, over whatever is there: nobody may be using that.")]
        ///
        /// `offset` is in bytes, a multiple of 64. Until it is done nobody can open it there. `domain` is the one whose processes share it.
        ///
        /// # Errors
        ///
        /// No room there, or it cannot be made so; nothing has changed.
        pub fn create_at(domain: &crate::Domain, segment: &crate::Segment, offset: u64 $(, $parameter: $type)*) -> Result<Self, crate::Error> {
            crate::sync::part::create_at(domain, segment, offset, &$setup)
        }

        #[doc = concat!("Opens ", $called, " within a raw segment.")]
        ///
        /// # Errors
        ///
        /// There is none, or what is there is something else, of another type, or spoilt.
        pub fn open_at(domain: &crate::Domain, segment: &crate::Segment, offset: u64) -> Result<Self, crate::Error> {
            crate::sync::part::open_at(domain, segment, offset)
        }
    };
}
pub(crate) use constructors;

/// The ways to open an object for looking only, the same for all that have something to see.
macro_rules! read_only_constructors {
    ($called:literal) => {
        #[doc = concat!("Opens ", $called, " by its name, to look and to wait only: that needs no right to write.")]
        ///
        /// # Errors
        ///
        /// There is none, or what is there is something else, of another type, spoilt, or not ours to read.
        pub fn open_read_only(domain: &crate::Domain, name: &str) -> Result<Self, crate::Error> {
            crate::sync::part::open(domain, name, &crate::Options::new())
        }

        /// As [`open_read_only`](Self::open_read_only), with options.
        ///
        /// # Errors
        ///
        /// As for [`open_read_only`](Self::open_read_only).
        pub fn open_read_only_with(
            domain: &crate::Domain,
            name: &str,
            options: &crate::Options,
        ) -> Result<Self, crate::Error> {
            crate::sync::part::open(domain, name, options)
        }

        #[doc = concat!("Opens ", $called, " within a raw segment, for looking only.")]
        ///
        /// # Errors
        ///
        /// There is none, or what is there is something else, of another type, or spoilt.
        pub fn open_read_only_at(
            domain: &crate::Domain,
            segment: &crate::Segment<crate::ReadOnly>,
            offset: u64,
        ) -> Result<Self, crate::Error> {
            crate::sync::part::open_at(domain, segment, offset)
        }
    };
}
pub(crate) use read_only_constructors;
