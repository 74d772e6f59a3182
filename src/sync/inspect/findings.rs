//! What a kind finds in the words of one of its parts, before anybody is known by name.

use super::report::{Fact, Role};
use crate::base::access::ReadOnly;
use crate::base::atomic::Ordering::{Acquire, Relaxed};
use crate::peer::Cookie;
use crate::segment::region::Words;
use crate::sync::lock::Core;
use crate::sync::seats::{self, SEAT_WORDS};
use crate::sys::barrier::Light;

/// More holders than that are not listed: a list that long tells nobody anything.
const MOST_HOLDERS: usize = 1024;

/// What was found in a part. Everything in it may be nonsense: it comes from shared words.
#[derive(Debug)]
pub(crate) struct Findings {
    light: Light,
    pub(super) inconsistent: bool,
    pub(super) holders: Vec<Found>,
    pub(super) reserved: Option<Cookie>,
    /// Times contended and recovered.
    pub(super) counts: Option<(u64, u64)>,
    pub(super) facts: Vec<(&'static str, Fact)>,
}

/// A holder that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) cookie: Cookie,
    /// 0: not known.
    pub(super) thread: u32,
    pub(super) role: Role,
    /// Since when a waiter has seen this holding, by `CLOCK_BOOTTIME`.
    pub(super) seen_since: Option<u64>,
}

impl Findings {
    pub(super) fn new(light: Light) -> Self {
        let (inconsistent, holders, reserved) = (false, Vec::new(), None);
        Self { light, inconsistent, holders, reserved, counts: None, facts: Vec::new() }
    }

    /// The lock core at the start of the state: its owner, and all else that it tells. Returned, for what more a kind wants of it; `None`: too short.
    pub(crate) fn lock<'a>(&mut self, state: &'a Words<ReadOnly>) -> Option<Core<'a, ReadOnly>> {
        self.lock_as(state, 0, |_| Role::Owner)
    }

    /// The same of a lock core at word `from` of the state, whose owner has the role that `role` makes of its cookie word.
    pub(crate) fn lock_as<'a>(
        &mut self,
        state: &'a Words<ReadOnly>,
        from: usize,
        role: impl FnOnce(Cookie) -> Role,
    ) -> Option<Core<'a, ReadOnly>> {
        let core = Core::at(state, from, self.light)?;
        let owner = core.owner().load();
        self.inconsistent |= owner.is_inconsistent();
        self.reserved = core.next();
        self.counts = Some(core.counts());
        if let Some(cookie) = owner.cookie() {
            let holding = core.holder().load();
            // Just taken, from a dead owner perhaps: the holder word may not be its own yet.
            let thread = if owner.is_settled(cookie) { holding.thread() } else { 0 };
            let seen_since = core.seen_since(holding).filter(|_| thread != 0);
            self.add(Found { cookie, thread, role: role(cookie), seen_since });
        }
        Some(core)
    }

    /// How often somebody had to wait, and how often something was taken back from the dead.
    pub(crate) fn counts(&mut self, contended: u64, recovered: u64) {
        self.counts = Some((contended, recovered));
    }

    /// Who is to have it next: a word with a cookie, 0 for nobody.
    pub(crate) fn reserved(&mut self, cookie: u64) {
        self.reserved = Cookie::in_word(cookie);
    }

    /// One who holds a part of it, or is expected to come: a word with a cookie, 0 for nobody; and the thread, 0 if that is not known.
    pub(crate) fn holder(&mut self, cookie: u64, thread: u32, role: Role) {
        if let Some(cookie) = Cookie::in_word(cookie) {
            self.add(Found { cookie, thread, role, seen_since: None });
        }
    }

    /// Those who sit in these seats.
    pub(crate) fn seats(&mut self, words: &Words<ReadOnly>, role: Role) {
        for [who, thread] in words.as_chunks::<SEAT_WORDS>().0 {
            let (who, thread) = seats::read(who.load(Acquire), thread.load(Relaxed));
            self.holder(who, thread, role);
        }
    }

    /// That an owner died says nothing about a lock of this kind.
    pub(crate) fn is_consistent(&mut self) {
        self.inconsistent = false;
    }

    /// Something that only this kind has, in words for people: `permits`, 3.
    pub(crate) fn fact(&mut self, name: &'static str, value: impl Into<Fact>) {
        self.facts.push((name, value.into()));
    }

    fn add(&mut self, found: Found) {
        if self.holders.len() < MOST_HOLDERS {
            self.holders.push(found);
        }
    }
}
