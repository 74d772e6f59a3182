//! A handle's membership: the peer it was opened as, or, in a forked child, the one the child became.

use std::sync::{Arc, Mutex, TryLockError};

use super::registry::Peer;
use crate::segment::{Domain, Error};

/// What a handle that outlives a fork keeps: the child registers itself on first need.
#[derive(Debug)]
pub(crate) struct Member {
    domain: Option<Domain>,
    opened_as: Arc<Peer>,
    became: Mutex<Option<Arc<Peer>>>,
}

impl Member {
    pub(crate) fn join(domain: &Domain) -> Result<Self, Error> {
        let opened_as = Peer::join(domain)?;
        Ok(Self { domain: Some(domain.clone()), opened_as, became: Mutex::new(None) })
    }

    /// A member of no domain, see [`Peer::model`].
    #[cfg(loom)]
    pub(crate) fn model(slot: u64) -> Self {
        Self { domain: None, opened_as: Peer::model(slot), became: Mutex::new(None) }
    }

    /// The peer that this process is.
    #[inline]
    pub(crate) fn peer(&self) -> Result<Arc<Peer>, Error> {
        if self.opened_as.is_current() { Ok(self.opened_as.clone()) } else { self.after_fork() }
    }

    /// Runs `act` as the peer that this process is, without touching a reference count.
    #[inline]
    pub(crate) fn with<R>(&self, act: impl FnOnce(&Peer) -> R) -> Result<R, Error> {
        if self.opened_as.is_current() { Ok(act(&self.opened_as)) } else { self.after_fork().map(|peer| act(&peer)) }
    }

    /// The peer that this process is, unless it is a forked child that has not owned anything by this handle.
    pub(crate) fn known(&self) -> Option<Arc<Peer>> {
        if self.opened_as.is_current() {
            return Some(self.opened_as.clone());
        }
        // Locked for good if a thread of the parent held it at the fork, see below.
        let became = match self.became.try_lock() {
            Ok(became) => became,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        became.clone().filter(|peer| peer.is_current())
    }

    #[cold]
    fn after_fork(&self) -> Result<Arc<Peer>, Error> {
        // A thread of the parent may have held this mutex at the fork; then nobody ever lets it go here. Registering anew is
        // cheap enough to do it again instead of waiting.
        let mut became = match self.became.try_lock() {
            Ok(became) => became,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let peer = self.join_again()?;
                // What it will own needs it to live, and there is no place to keep it.
                std::mem::forget(peer.clone());
                return Ok(peer);
            }
        };
        match &*became {
            Some(peer) if peer.is_current() => Ok(peer.clone()),
            _ => {
                let peer = self.join_again()?;
                *became = Some(peer.clone());
                Ok(peer)
            }
        }
    }

    fn join_again(&self) -> Result<Arc<Peer>, Error> {
        match &self.domain {
            Some(domain) => Peer::join(domain),
            None => Ok(self.opened_as.clone()),
        }
    }
}
