//! A scenario put together from functions: for objects of which every operation takes a few lines.

use std::time::Duration;

use crate::ensure;
use crate::process::Outcome;
use crate::stores::{Acks, Death, Enumerate, Scenario, World};

/// Waiting in vain takes so long: more than a slice or two.
pub(crate) const IN_VAIN: Duration = Duration::from_millis(8);
/// Nobody alive waits so long.
pub(crate) const LONG: Duration = Duration::from_secs(5);

/// An operation on an object `O`; what the victim has in hand when it begins is `V`.
pub(crate) struct Case<O, V = O> {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&World) -> Outcome<O>,
    pub(crate) open: fn(&World) -> Outcome<O>,
    /// In the victim, before points are counted.
    pub(crate) enter: fn(O) -> Outcome<V>,
    pub(crate) operate: fn(V, &mut Acks<'_>) -> Outcome,
    /// What a successor does.
    pub(crate) recover: Option<fn(O) -> Outcome>,
    pub(crate) verify: fn(&World, O, &Death) -> Outcome,
}

impl<O: 'static, V: 'static> Case<O, V> {
    pub(crate) fn boxed(self) -> Box<dyn Enumerate> {
        Box::new(self)
    }
}

impl<O, V> Scenario for Case<O, V> {
    type Held = O;
    type Victim = V;

    fn name(&self) -> String {
        self.name.into()
    }

    fn prepare(&self, world: &World) -> Outcome<O> {
        (self.make)(world)
    }

    fn enter(&self, world: &World) -> Outcome<V> {
        (self.enter)((self.open)(world)?)
    }

    fn operate(&self, _: &World, victim: V, acks: &mut Acks<'_>) -> Outcome {
        (self.operate)(victim, acks)
    }

    fn recovers(&self) -> bool {
        self.recover.is_some()
    }

    fn recover(&self, world: &World) -> Outcome {
        self.recover.map_or(Ok(()), |recover| recover((self.open)(world)?))
    }

    fn verify(&self, world: &World, held: Option<O>, death: &Death) -> Outcome {
        let object = match held {
            Some(object) => object,
            None => (self.open)(world)?,
        };
        (self.verify)(world, object, death)
    }
}

/// As it comes.
pub(crate) fn same<O>(object: O) -> Outcome<O> {
    Ok(object)
}

/// Does it in a thread, and says how that ended.
pub(crate) fn elsewhere<R: Send>(act: impl FnOnce() -> R + Send) -> Outcome<R> {
    std::thread::scope(|scope| scope.spawn(act).join()).map_err(|_| "a thread panicked".into())
}

/// A number between what was acknowledged and one more for each who was killed.
pub(crate) fn counted(what: &str, found: u64, death: &Death) -> Outcome {
    let acked = death.last(0);
    let most = acked + 1 + u64::from(death.successor);
    ensure!((acked..=most).contains(&found), "{found} {what}, where {acked} were acknowledged");
    Ok(())
}
