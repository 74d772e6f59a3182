//! Questions to the kernel whether processes live: about each one once.

use crate::peer::{Cookie, Peer};
use crate::segment::Error;

/// How many processes one who waits asks about at a time: some tens of microseconds in a slice of 100 ms or more.
const A_FEW: usize = 8;

/// What one look at many words that name processes has found out so far.
#[derive(Debug)]
pub(crate) struct Questions<'a> {
    peer: &'a Peer,
    most: usize,
    answers: Vec<(Cookie, bool)>,
}

impl<'a> Questions<'a> {
    /// A few only: who asks again later goes on where there is no answer.
    pub(crate) fn a_few(peer: &'a Peer) -> Self {
        Self { peer, most: A_FEW, answers: Vec::new() }
    }

    /// As many as it takes.
    pub(crate) fn all(peer: &'a Peer) -> Self {
        Self { peer, most: usize::MAX, answers: Vec::new() }
    }

    /// Whether that process lives; `None`: that would be a question too many.
    pub(crate) fn ask(&mut self, cookie: Cookie) -> Result<Option<bool>, Error> {
        if cookie == self.peer.cookie() {
            return Ok(Some(true));
        }
        if let Some((_, alive)) = self.answers.iter().find(|(known, _)| *known == cookie) {
            return Ok(Some(*alive));
        }
        if self.answers.len() >= self.most {
            return Ok(None);
        }
        let alive = self.peer.is_alive(cookie)?;
        self.answers.push((cookie, alive));
        Ok(Some(alive))
    }

    /// Whether that process is dead, as far as is known: not asked is not dead.
    pub(crate) fn is_dead(&mut self, cookie: Cookie) -> Result<bool, Error> {
        Ok(self.ask(cookie)? == Some(false))
    }
}
