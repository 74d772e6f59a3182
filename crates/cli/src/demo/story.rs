//! What has happened so far, put together from what the processes say.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sharedware::Domain;

use super::shared::{BookReport, FeedReport, SYMBOLS, Segments, WatchReport, now};
use crate::args::{Demo, Role};
use crate::exit::{Exit, Outcome};
use crate::size;

/// How many frames of the past a display may want.
const PAST: usize = 300;

/// The state of affairs, as it is to be shown.
pub(super) struct Story {
    domain: Domain,
    pub(super) name: String,
    started: Instant,
    pub(super) length: Duration,
    /// Who is to be killed when, the next one last.
    victims: Vec<(Duration, Role)>,
    /// Who was killed or found dead, when, and whose first word we wait for.
    fallen: Vec<Fallen>,
    pub(super) events: Vec<(Duration, String)>,
    pub(super) feed: FeedReport,
    pub(super) book: BookReport,
    pub(super) watch: WatchReport,
    /// How often the quotes were written.
    pub(super) written: u64,
    looked: Instant,
    /// Messages a second, frame by frame.
    pub(super) rates: VecDeque<u64>,
    /// Messages a second while the feed sends as fast as it goes.
    pub(super) full_speed: f64,
    /// The most of that so far.
    fastest: f64,
    last_fast: (u64, u64),
    /// Time of one read.
    pub(super) read_ns: f64,
    last_read: (u64, u64),
    kills: u32,
    slowest_takeover: Duration,
}

struct Fallen {
    role: Role,
    at_ns: u64,
    successor: u32,
}

impl Story {
    pub(super) fn new(domain: &Domain, args: &Demo) -> Self {
        let length = Duration::from_secs(args.seconds);
        Self {
            domain: domain.clone(),
            name: args.name.clone(),
            started: Instant::now(),
            length,
            victims: vec![(length * 65 / 100, Role::Book), (length * 35 / 100, Role::Feed)],
            fallen: Vec::new(),
            events: vec![(Duration::ZERO, "started feed, book and watch; there is no server".to_owned())],
            feed: FeedReport::default(),
            book: BookReport::default(),
            watch: WatchReport::default(),
            written: 0,
            looked: Instant::now(),
            rates: VecDeque::new(),
            full_speed: 0.0,
            fastest: 0.0,
            last_fast: (0, 0),
            read_ns: 0.0,
            last_read: (0, 0),
            kills: 0,
            slowest_takeover: Duration::ZERO,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed().min(self.length)
    }

    pub(super) fn is_over(&self) -> bool {
        self.started.elapsed() >= self.length
    }

    /// Who is to be killed now, if it is time and all are well.
    pub(super) fn next_victim(&mut self) -> Option<Role> {
        let (when, _) = self.victims.last()?;
        if self.started.elapsed() < *when || !self.fallen.is_empty() {
            return None;
        }
        self.victims.pop().map(|(_, role)| role)
    }

    pub(super) fn killed(&mut self, role: Role, dead: u32, successor: u32, at_ns: u64) {
        let name = role.name();
        self.fell(role, successor, at_ns);
        self.event(format!("kill -9 {dead}: the {name} is gone; started another, {successor}"));
    }

    pub(super) fn found_dead(&mut self, role: Role, dead: u32, successor: u32) {
        let name = role.name();
        self.fell(role, successor, now());
        self.event(format!("somebody killed the {name}, pid {dead}; started another, {successor}"));
    }

    fn fell(&mut self, role: Role, successor: u32, at_ns: u64) {
        self.kills += 1;
        // If it had not yet said a word, it never will.
        self.fallen.retain(|fallen| fallen.role != role);
        self.fallen.push(Fallen { role, at_ns, successor });
    }

    fn event(&mut self, what: String) {
        self.events.push((self.elapsed(), what));
    }

    /// Reads what the processes say.
    pub(super) fn look(&mut self, segments: &Segments) {
        // What cannot be read stays as it was.
        self.feed = segments.feed.read().unwrap_or(self.feed);
        let next = self.book.next;
        self.book = segments.book.read().unwrap_or(self.book);
        self.watch = segments.watch.read().unwrap_or(self.watch);
        self.written = (0..SYMBOLS).map(|index| segments.quotes.version(index).unwrap_or(0)).sum();
        let time = self.looked.elapsed().as_secs_f64();
        if time > 0.05 {
            self.looked = Instant::now();
            self.rates.push_back(((self.book.next - next) as f64 / time) as u64);
            if self.rates.len() > PAST {
                self.rates.pop_front();
            }
        }
        let (fast, fast_ns) = (self.book.fast - self.last_fast.0, self.book.fast_ns - self.last_fast.1);
        if fast_ns > 10_000_000 {
            self.full_speed = fast as f64 * 1e9 / fast_ns as f64;
            self.fastest = self.fastest.max(self.full_speed);
            self.last_fast = (self.book.fast, self.book.fast_ns);
        }
        let (reads, read_ns) = (self.watch.reads - self.last_read.0, self.watch.read_ns - self.last_read.1);
        if reads > 0 {
            self.read_ns = read_ns as f64 / reads as f64;
            self.last_read = (self.watch.reads, self.watch.read_ns);
        }
        self.look_for_successors();
    }

    fn look_for_successors(&mut self) {
        let reports = [
            (Role::Feed, self.feed.pid, self.feed.started_ns, self.feed.first),
            (Role::Book, self.book.pid, self.book.started_ns, self.book.first),
            (Role::Watch, self.watch.pid, self.watch.started_ns, 0),
        ];
        let mut news = Vec::new();
        self.fallen.retain(|fallen| {
            let said =
                |(role, pid, ..): &&(Role, u64, u64, u64)| *role == fallen.role && u64::from(fallen.successor) == *pid;
            let report = reports.iter().find(said);
            let Some((role, pid, started_ns, first)) = report else { return true };
            let took = Duration::from_nanos(started_ns.saturating_sub(fallen.at_ns));
            news.push((*role, *pid, took, *first));
            false
        });
        for (role, pid, took, first) in news {
            self.slowest_takeover = self.slowest_takeover.max(took);
            let place = if role == Role::Watch {
                String::new()
            } else {
                format!(" at message {}", indicatif::HumanCount(first))
            };
            self.event(format!(
                "{} {pid} goes on{place}, {} after the kill",
                role.name(),
                time(took.as_nanos() as u64)
            ));
        }
    }

    /// Messages that were sent and never came, as of the last look.
    pub(super) fn lost(&self) -> u64 {
        self.book.lost
    }

    /// What became of it, in a few lines. To be asked when everybody has ended.
    pub(super) fn summary(&self) -> String {
        let Self { book, watch, feed, .. } = self;
        let count = indicatif::HumanCount;
        let left = self.left_behind();
        let left = if left.is_empty() { "nothing".to_owned() } else { left.join(", ") };
        let again = match book.again {
            0 => String::new(),
            again => format!(" ({} seen again, since the book died before it had released them)", count(again)),
        };
        let seconds = self.elapsed().as_secs_f64();
        format!(
            "sharedware demo: three processes, {seconds:.1} seconds, no server\n\
             \x20 ring      {} messages of 32 bytes sent, {} received; up to {:.0} million a second\n\
             \x20 one way   p50 {}, p99 {}, p99.9 {} (one message a microsecond)\n\
             \x20 slots     {} writes; {} reads, {:.1} ns each; half-written values seen: {}\n\
             \x20 kill -9   {} of them; the slowest successor was at work after {}\n\
             \x20 left behind in {}: {left}\n\
             \x20 lost: {}{again}\n",
            count(feed.next),
            count(book.next),
            self.fastest / 1e6,
            time(book.p50_ns),
            time(book.p99_ns),
            time(book.p999_ns),
            count(self.written),
            count(watch.reads),
            watch.read_ns as f64 / watch.reads.max(1) as f64,
            watch.torn,
            self.kills,
            time(self.slowest_takeover.as_nanos() as u64),
            self.domain.directory().display(),
            self.lost_in_all(),
        )
    }

    /// Also what the book never saw.
    fn lost_in_all(&self) -> u64 {
        self.book.lost + self.feed.next.saturating_sub(self.book.next)
    }

    fn left_behind(&self) -> Vec<String> {
        let prefix = format!("{}.", self.name);
        let names = self.domain.list().unwrap_or_default().into_iter().map(|(name, _)| name);
        names.filter(|name| name.starts_with(&prefix)).collect()
    }

    /// A failure if a promise was broken.
    pub(super) fn verdict(&self) -> Outcome {
        let lost = self.lost_in_all();
        if lost > 0 {
            return Err(Exit::failure(format_args!(
                "{} lost: this must not happen, please report it",
                size::count(lost, "message")
            )));
        }
        if self.watch.torn > 0 {
            return Err(Exit::failure("half-written values were seen: this must not happen, please report it"));
        }
        Ok(())
    }
}

/// `140 ns`, `1.2 us`, `3.4 ms`.
pub(super) fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}
