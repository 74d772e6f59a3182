//! Who waits for whom, and in which circles.

use std::collections::{HashMap, HashSet, VecDeque};

use super::report::{Holder, LockReport, Role, Waiter};
use crate::peer::Cookie;

/// More than so many holders in the way of somebody are not followed: only spoilt words say so.
const MOST_HOLDERS: usize = 1 << 16;

/// A thread that waits for somebody.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Step {
    /// What the lock that it waits for is called; see [`LockReport::label`].
    pub lock: String,
    /// The thread.
    pub waiter: Waiter,
    /// Who is in its way.
    pub holder: Holder,
}

/// Threads that wait for each other in a circle: the holder of each step is the waiter of the next, and that of the last is the waiter of the first.
///
/// If no wait ends by itself (by a timeout or a signal), no process dies and nobody unlocks what others hold, none of them goes on ever.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deadlock {
    /// At least one.
    pub steps: Vec<Step>,
}

impl Deadlock {
    /// Whether it is known of each holder which thread it is. Otherwise it may be another than the one that waits, which may let go.
    pub fn is_certain(&self) -> bool {
        self.steps.iter().all(|step| step.holder.who.thread != 0)
    }

    /// Whether a later look shows the same waits for the same holders. In two looks, none of whose threads has moved between them, it is real.
    pub fn is_in(&self, later: &[LockReport]) -> bool {
        self.steps.iter().all(|step| {
            let lock = later.iter().find(|lock| lock.label() == step.lock);
            lock.is_some_and(|lock| {
                let key = |waiter: &Waiter| (waiter.who.key(), waiter.since_ns);
                let waits = lock.waiters.iter().any(|waiter| key(waiter) == key(&step.waiter));
                let (who, role) = (&step.holder.who, step.holder.role);
                waits && lock.holders.iter().any(|holder| holder.who.is(who) && holder.role == role)
            })
        })
    }
}

/// Who waits for whom: each waiter of each lock with each of its holders, as far as the waiter waits for that one.
pub fn waits(locks: &[LockReport]) -> impl Iterator<Item = Step> + '_ {
    locks.iter().flat_map(|lock| {
        lock.waiters.iter().flat_map(move |waiter| {
            let in_its_way = lock.holders.iter().filter(|holder| holder.role != Role::Arrived);
            let others = in_its_way.filter(|holder| !is_its_own_turn(waiter, holder));
            others.map(|holder| step(lock, waiter, holder))
        })
    })
}

/// The circles of those who wait for each other: every thread that is in one is in one of these, and none of these is there twice.
///
/// A waiter waits for all holders of its lock that have to let go of it: an owner, readers, parties that have not come. (For a permit any holder will
/// do, and anybody may add one: no circle goes through permits.) Where it is not known which thread of a process is the holder, it may be any.
///
/// Pure: what it is told was seen at different moments, so a circle may be one that never was. [`Domain::locks`](crate::Domain::locks) looks twice.
pub fn deadlocks(locks: &[LockReport]) -> Vec<Deadlock> {
    let graph = Graph::new(locks);
    let mut covered = vec![false; graph.threads.len()];
    let mut found = Vec::new();
    for start in 0..graph.threads.len() {
        // In one already.
        if covered.get(start) != Some(&false) {
            continue;
        }
        let Some(circle) = graph.shortest_circle(start) else { continue };
        for link in &circle {
            if let Some(covered) = covered.get_mut(link.waiter) {
                *covered = true;
            }
        }
        let steps: Vec<Step> = circle.iter().filter_map(|link| graph.step(link)).collect();
        if steps.len() == circle.len() {
            found.push(Deadlock { steps });
        }
    }
    found
}

/// Who is to have it next does not wait for itself, but for the others.
fn is_its_own_turn(waiter: &Waiter, holder: &Holder) -> bool {
    holder.role == Role::Pending && holder.who.is(&waiter.who)
}

fn step(lock: &LockReport, waiter: &Waiter, holder: &Holder) -> Step {
    Step { lock: lock.label(), waiter: waiter.clone(), holder: holder.clone() }
}

/// Threads that wait, and queues that they wait in. All who wait in a queue wait for the same.
struct Graph<'a> {
    locks: &'a [LockReport],
    /// The queues that each thread waits in.
    threads: Vec<Vec<usize>>,
    queues: Vec<Queue>,
    /// Which thread is which.
    keys: Vec<(Cookie, u32)>,
}

struct Queue {
    /// Which lock.
    lock: usize,
    /// Who is in the way and waits itself: which thread, by which of the lock's holders.
    ahead: Vec<(usize, usize)>,
}

/// From a thread that waits to one that is in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    waiter: usize,
    lock: usize,
    holder: usize,
}

impl<'a> Graph<'a> {
    fn new(locks: &'a [LockReport]) -> Self {
        let mut graph = Self { locks, threads: Vec::new(), queues: Vec::new(), keys: Vec::new() };
        let mut by_key = HashMap::new();
        let mut by_process: HashMap<Cookie, Vec<usize>> = HashMap::new();
        for waiter in locks.iter().flat_map(|lock| &lock.waiters) {
            let (cookie, _) = waiter.who.key();
            by_key.entry(waiter.who.key()).or_insert_with(|| {
                by_process.entry(cookie).or_default().push(graph.keys.len());
                graph.keys.push(waiter.who.key());
                graph.keys.len() - 1
            });
        }
        graph.threads.resize_with(graph.keys.len(), Vec::new);
        let mut left = MOST_HOLDERS;
        for (index, lock) in locks.iter().enumerate() {
            // Those whose turn is next wait for all but themselves.
            let (next, others): (Vec<&Waiter>, Vec<&Waiter>) = lock
                .waiters
                .iter()
                .partition(|waiter| lock.holders.iter().any(|holder| is_its_own_turn(waiter, holder)));
            for (waiters, but) in [(next, Some(Role::Pending)), (others, None)] {
                if waiters.is_empty() {
                    continue;
                }
                let mut seen = HashSet::new();
                let mut ahead = Vec::new();
                for (number, holder) in lock.holders.iter().enumerate() {
                    if !holder.role.bars() || Some(holder.role) == but {
                        continue;
                    }
                    let (cookie, thread) = holder.who.key();
                    let (known, any);
                    let threads = if thread == 0 {
                        any = by_process.get(&cookie);
                        any.map_or(&[][..], Vec::as_slice)
                    } else {
                        known = by_key.get(&(cookie, thread));
                        known.map_or(&[][..], std::slice::from_ref)
                    };
                    for &thread in threads {
                        if left > 0 && seen.insert(thread) {
                            left -= 1;
                            ahead.push((thread, number));
                        }
                    }
                }
                for waiter in waiters {
                    let thread = by_key.get(&waiter.who.key()).and_then(|&thread| graph.threads.get_mut(thread));
                    thread.into_iter().for_each(|queues| queues.push(graph.queues.len()));
                }
                graph.queues.push(Queue { lock: index, ahead });
            }
        }
        graph
    }

    /// A shortest circle through this thread.
    fn shortest_circle(&self, start: usize) -> Option<Vec<Link>> {
        // Each queue is looked at once: whoever waits in it waits for the same.
        let mut looked = vec![false; self.queues.len()];
        let mut reached_by: Vec<Option<Link>> = vec![None; self.threads.len()];
        let mut next = VecDeque::from([start]);
        while let Some(waiter) = next.pop_front() {
            for &queue in self.threads.get(waiter)? {
                if std::mem::replace(looked.get_mut(queue)?, true) {
                    continue;
                }
                let queue = self.queues.get(queue)?;
                for &(thread, holder) in &queue.ahead {
                    let reached = reached_by.get_mut(thread)?;
                    if reached.is_some() {
                        continue;
                    }
                    *reached = Some(Link { waiter, lock: queue.lock, holder });
                    if thread == start {
                        return Self::trace(start, &reached_by);
                    }
                    next.push_back(thread);
                }
            }
        }
        None
    }

    /// The links that led back to where they started, from there on.
    fn trace(start: usize, reached_by: &[Option<Link>]) -> Option<Vec<Link>> {
        let mut links = Vec::new();
        let mut thread = start;
        // No thread was reached twice.
        while links.len() <= reached_by.len() {
            let link = (*reached_by.get(thread)?)?;
            links.push(link);
            thread = link.waiter;
            if thread == start {
                links.reverse();
                return Some(links);
            }
        }
        None
    }

    fn step(&self, link: &Link) -> Option<Step> {
        let lock = self.locks.get(link.lock)?;
        let key = self.keys.get(link.waiter)?;
        let waiter = lock.waiters.iter().find(|waiter| waiter.who.key() == *key)?;
        Some(step(lock, waiter, lock.holders.get(link.holder)?))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
