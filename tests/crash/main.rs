//! What becomes of everybody else when a process is killed: at every shared store of every operation, one after the other (`stores`), and at
//! random moments (`random`).
//!
//! ```text
//! cargo test --release --features __crash-points --test crash -- [--kills N] [--seconds S] [--seed N] [--only NAME]
//! ```
//!
//! `--only stores` or `--only random` runs one half; `--only locks` the random run of the locks alone; any other NAME the store-by-store
//! scenarios whose title contains it.

#[path = "../common/process.rs"]
mod process;

mod acting;
mod bytes;
mod case;
mod cast;
mod conditions;
mod exclusive;
mod heap;
mod lockers;
mod locks;
mod meeting;
mod oracle;
mod peers;
mod permits;
mod random;
mod readers;
mod segments;
mod signals;
mod slots;
mod stores;
mod successor;
mod typed;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cast::Cast;
use random::Report;
use stores::{Enumerate, PROMISE, Tally};

/// Every operation that is killed at each of its crash points. A new structure adds its own here.
fn scenarios() -> Vec<Box<dyn Enumerate>> {
    let mut all: Vec<Box<dyn Enumerate>> = vec![
        Box::new(segments::creating(false)),
        Box::new(segments::creating(true)),
        Box::new(segments::creating_slot()),
        Box::new(segments::creating_ring()),
        Box::new(segments::Opening),
        Box::new(segments::OpeningLeftover),
        Box::new(segments::Growing),
        Box::new(segments::Removing),
        Box::new(segments::Cleaning),
        Box::new(segments::LettingGo),
        Box::new(peers::Registering),
        Box::new(slots::Writing),
        Box::new(slots::WritingAlone),
        Box::new(slots::TakingTurns),
        Box::new(typed::Attaching { producer: true }),
        Box::new(typed::Attaching { producer: false }),
        Box::new(bytes::Attaching { producer: true }),
        Box::new(bytes::Attaching { producer: false }),
        Box::new(bytes::Receiving),
        Box::new(locks::Locking),
        Box::new(locks::Waiting),
        Box::new(locks::TakingOver),
    ];
    all.extend(exclusive::scenarios());
    all.extend(readers::scenarios());
    all.extend(signals::scenarios());
    all.extend(permits::scenarios());
    all.extend(conditions::scenarios());
    all.extend(meeting::scenarios());
    all.extend(acting::scenarios());
    all.extend(heap::scenarios());
    all.extend(typed::pushing().map(|scenario| Box::new(scenario) as Box<dyn Enumerate>));
    all.extend(typed::popping().map(|scenario| Box::new(scenario) as Box<dyn Enumerate>));
    all.extend(bytes::sending().map(|scenario| Box::new(scenario) as Box<dyn Enumerate>));
    all
}

/// From so many kills on, a run is a long one.
const LONG: u64 = 10_000;

struct Arguments {
    kills: u64,
    seconds: u64,
    seed: u64,
    only: Option<String>,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments { kills: 100, seconds: 0, seed: process::now(), only: None };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{argument}: {text} is no number"));
        match argument.as_str() {
            "--kills" => parsed.kills = number(value()?)?,
            "--seconds" => parsed.seconds = number(value()?)?,
            "--seed" => parsed.seed = number(value()?)?,
            "--only" => parsed.only = Some(value()?),
            // What `cargo test` may pass to every test program.
            "--nocapture" | "--quiet" | "-q" => {}
            _ => return Err(format!("unknown argument {argument}")),
        }
    }
    Ok(parsed)
}

/// A directory for one run, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new(what: &str) -> std::io::Result<Self> {
        let directory = PathBuf::from(format!("/dev/shm/sharedware-crash-{}-{what}", std::process::id()));
        std::fs::create_dir(&directory)?;
        Ok(Self(directory))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> process::Outcome<bool> {
    let arguments = arguments()?;
    let only = arguments.only.as_deref();
    let mut tally = Tally::default();
    if !matches!(only, Some("random" | "locks")) {
        store_by_store(&arguments, &mut tally)?;
    }
    let mut report = Report::default();
    for (cast, name) in [(&workers::CAST, "random"), (&lockers::CAST, "locks")] {
        if only.is_none_or(|only| only == "random" || only == name) {
            report.add(at_random(cast, &arguments)?);
        }
    }
    let mut all = report.others.clone();
    all.extend(&tally.recoveries);
    all.sort_unstable();
    let judged = report.check();
    if let Err(error) = &judged {
        println!("FAILED: {error}");
    }
    println!(
        "crash: {} kills, {} operations acknowledged, {} lost, {} hangs, recovery {}",
        tally.kills + report.kills,
        tally.acked + report.acked,
        tally.failures - tally.hangs + report.lost + report.left.len() as u64,
        tally.hangs + report.hangs,
        times(&all)
    );
    Ok(tally.failures == 0 && judged.is_ok())
}

fn store_by_store(arguments: &Arguments, tally: &mut Tally) -> process::Outcome {
    let start = Instant::now();
    println!("killed after each shared store:");
    let place = Place::new("stores")?;
    let chosen = arguments.only.as_deref().filter(|&only| only != "stores");
    // The long run, and who asks for something in particular, gets every point of every successor; the short run, some of them.
    let budget = if arguments.kills >= LONG || arguments.only.is_some() { u64::MAX } else { 40 };
    for scenario in scenarios().iter().filter(|scenario| scenario.title().contains(chosen.unwrap_or(""))) {
        scenario.enumerate(&place.0, budget, arguments.seed, tally);
    }
    if chosen.is_none_or(|only| "successor".contains(only)) {
        match successor::run(&place.0) {
            Ok(points) => println!("  a peer's successor in the registry, stopped after each of its {points} points"),
            Err(error) => {
                tally.failures += 1;
                println!("FAILED: a peer's successor in the registry: {error}");
            }
        }
    }
    println!("  {} kills, {} failures in {:.1} s", tally.kills, tally.failures, start.elapsed().as_secs_f64());
    Ok(())
}

fn at_random(cast: &Cast, arguments: &Arguments) -> process::Outcome<Report> {
    println!("{} processes killed at random, {} (--seed {}):", cast.roles.len(), cast.title, arguments.seed);
    let start = Instant::now();
    let place = Place::new("random")?;
    let report =
        random::run(cast, &place.0, arguments.kills, Duration::from_secs(arguments.seconds / 2), arguments.seed)?;
    let slow = report.others.iter().filter(|&&time| u128::from(time) > PROMISE.as_nanos()).count();
    println!(
        "  {} kills in {:.1} s; from a kill to the next operation on the structure by anyone else: {} ({slow} beyond {PROMISE:?}); by the \
         successor, its start included: {}",
        report.kills,
        start.elapsed().as_secs_f64(),
        times(&report.others),
        times(&report.successors)
    );
    Ok(report)
}

/// Percentiles of sorted nanoseconds.
fn times(sorted: &[u64]) -> String {
    let at = |percent: usize| {
        let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        format!("{:.3} ms", sorted.get(index).copied().unwrap_or(0) as f64 / 1e6)
    };
    format!("p50 {} p99 {} max {}", at(50), at(99), at(100))
}
