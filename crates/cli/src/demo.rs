//! `demo`: processes that share a ring and slots by name, one after the other killed and replaced while the others go on.
//!
//! ```text
//! feed   pushes numbered ticks into the ring `demo.ticks`, and writes quotes into the slots `demo.quotes`
//! book   takes the ticks out, checks every number, and measures how long each took
//! watch  reads the quotes as fast as it can, and checks that none is half written
//! ```
//!
//! What each has to say it writes into a slot of its own, where we read it. Their standard input is a pipe from us: at its end they
//! end, so none of them outlives us, however we go. Whoever lets go of the segments last removes them.

mod book;
mod feed;
mod plain;
mod screen;
mod shared;
mod story;
mod team;
mod watch;

use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use sharedware::Domain;

use crate::args::{Demo, DemoWorker, Role};
use crate::exit::{Exit, Outcome};
use crate::signals::Signals;
use plain::Plain;
use screen::Screen;
use shared::Segments;
use story::Story;
use team::Team;

/// How often the display changes.
const FRAME: Duration = Duration::from_millis(100);
/// How long the processes may take to end when asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the story is shown.
trait Stage {
    /// Shows the state of affairs for the length of a frame. `false`: the user wants no more.
    fn show(&mut self, story: &Story, signals: &mut Signals) -> Outcome<bool>;
}

pub(crate) fn run(domain: &Domain, args: &Demo) -> Outcome {
    let mut signals = Signals::catch()?;
    let segments = Segments::create(domain, &args.name)?;
    let fancy = stdout().is_terminal() && !args.plain;
    let mut team = Team::new(domain, &args.name, !fancy)?;
    let mut story = Story::new(domain, args);
    let outcome = {
        let mut stage: Box<dyn Stage> = if fancy { Box::new(Screen::open()?) } else { Box::new(Plain::new(&story)?) };
        play(&mut story, &mut team, &segments, stage.as_mut(), &mut signals)
    };
    match outcome {
        // A second Ctrl-C while they end kills them.
        Ok(()) | Err(Exit::Signal(_)) => end(&mut team, &segments)?,
        Err(other) => return Err(other),
    }
    drop(team);
    story.look(&segments);
    drop(segments);
    crate::output::write(story.summary().as_bytes())?;
    outcome?;
    story.verdict()
}

/// The show: until its time is over, or the user has seen enough.
fn play(
    story: &mut Story,
    team: &mut Team,
    segments: &Segments,
    stage: &mut dyn Stage,
    signals: &mut Signals,
) -> Outcome {
    while !story.is_over() {
        if let Some(role) = story.next_victim() {
            let killed_ns = shared::now();
            let (dead, successor) = team.kill_and_replace(role)?;
            story.killed(role, dead, successor, killed_ns);
        }
        for (role, dead, pid) in team.replace_the_dead()? {
            story.found_dead(role, dead, pid);
        }
        story.look(segments);
        if !stage.show(story, signals)? {
            break;
        }
        signals.check()?;
    }
    Ok(())
}

/// Asks them to end, and waits until they have: the feed first, the book when it has taken everything.
fn end(team: &mut Team, segments: &Segments) -> Outcome {
    segments.stop()?;
    let started = Instant::now();
    while !team.is_done()? {
        if started.elapsed() > PATIENCE {
            return Err(Exit::failure("a process of the demo did not end when asked to; it was killed"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// One of the processes, as `demo` starts it.
pub(crate) fn work(domain: &Domain, args: &DemoWorker) -> Outcome {
    let name = match args.role {
        Role::Feed => c"demo-feed",
        Role::Book => c"demo-book",
        Role::Watch => c"demo-watch",
    };
    // For `ps` and `sharedware ls`; no matter if it cannot be.
    let _ = rustix::thread::set_name(name);
    match args.role {
        Role::Feed => feed::run(domain, &args.name),
        Role::Book => book::run(domain, &args.name),
        Role::Watch => watch::run(domain, &args.name),
    }
}
