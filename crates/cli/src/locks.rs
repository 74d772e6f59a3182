//! `locks`: the locks of a domain, who waits for whom, and who waits in vain.

pub(crate) mod show;

use serde_json::{Value, json};
use sharedware::sync::inspect::{self, Deadlock, LockReport, Survey};
use sharedware::{Domain, Options};

use crate::args::Locks;
use crate::exit::{Exit, Outcome};
use crate::ls::printable;
use crate::{output, size};

pub(crate) fn run(domain: &Domain, args: &Locks) -> Outcome {
    for name in &args.names {
        domain.stat(segment_of(name))?;
    }
    // All of them in any case: who has a lock may wait for another.
    let survey = domain.locks(&Options::new())?;
    check(&survey, &args.names)?;
    let is_asked = |lock: &LockReport| is_asked(&args.names, &lock.name, &lock.label());
    let asked: Vec<&LockReport> = survey.locks.iter().filter(|lock| is_asked(lock)).collect();
    let is_shown = |lock: &&&LockReport| !args.waiting || !lock.waiters.is_empty();
    let shown: Vec<&LockReport> = asked.iter().filter(is_shown).copied().collect();
    let concerned = |deadlock: &&Deadlock| deadlock.steps.iter().any(|step| is_asked_label(&args.names, &step.lock));
    let deadlocks: Vec<&Deadlock> = survey.deadlocks.iter().filter(concerned).collect();
    if args.json {
        output::json(&document(domain, &survey, &shown, &deadlocks))?;
    } else {
        print(domain, &shown, &deadlocks, asked.is_empty())?;
    }
    for (name, error) in survey.errors.iter().filter(|(name, _)| is_asked_segment(&args.names, name)) {
        output::say(format_args!("cannot look at `{}`: {}", printable(name), error.reason()));
    }
    for name in survey.partial.iter().filter(|name| is_asked_segment(&args.names, name)) {
        let limit = size::show(inspect::SCANNED);
        output::say(format_args!("`{name}` may hold more locks: only its first {limit} or 4096 locks were looked at"));
    }
    let certain = deadlocks.iter().filter(|deadlock| deadlock.is_certain()).count() as u64;
    if certain == 0 {
        return Ok(());
    }
    Err(Exit::deadlock(format_args!(
        "found {}: none of its threads goes on by itself",
        size::count(certain, "deadlock")
    )))
}

/// `NAME` of `NAME+OFFSET`. (A name has no `+` in it.)
fn segment_of(asked: &str) -> &str {
    asked.split_once('+').map_or(asked, |(segment, _)| segment)
}

fn is_asked(names: &[String], segment: &str, label: &str) -> bool {
    names.is_empty() || names.iter().any(|name| name == segment || name == label)
}

fn is_asked_label(names: &[String], label: &str) -> bool {
    is_asked(names, segment_of(label), label)
}

fn is_asked_segment(names: &[String], segment: &str) -> bool {
    names.is_empty() || names.iter().any(|name| segment_of(name) == segment)
}

/// Each name must stand for some lock.
fn check(survey: &Survey, names: &[String]) -> Outcome {
    for name in names {
        let one = std::slice::from_ref(name);
        if survey.locks.iter().any(|lock| is_asked(one, &lock.name, &lock.label())) {
            continue;
        }
        return Err(match survey.errors.iter().find(|(segment, _)| segment == segment_of(name)) {
            Some((_, error)) => Exit::failure(error),
            None => Exit::not_found(format_args!(
                "`{}` is or holds no lock that anybody uses; `sharedware locks` shows what there is",
                printable(name)
            )),
        });
    }
    Ok(())
}

fn print(domain: &Domain, locks: &[&LockReport], deadlocks: &[&Deadlock], none: bool) -> Outcome {
    if locks.is_empty() {
        let what = if none { "no locks" } else { "no lock that anybody waits for" };
        output::say(format_args!("domain `{}` in {} holds {what}", domain.name(), domain.directory().display()));
    } else {
        let header = ["NAME", "KIND", "STATE", "HOLDERS", "HELD", "WAITERS", "CONTENDED", "RECOVERED"];
        output::print(&output::table(&header, &[5, 6, 7], locks.iter().map(|lock| show::row(lock)).collect()))?;
    }
    let mut lines: Vec<String> = locks.iter().flat_map(|lock| show::waits(lock)).collect();
    lines.extend(deadlocks.iter().map(|deadlock| show::deadlock(deadlock)));
    if lines.is_empty() {
        return Ok(());
    }
    let text: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
    let gap = if locks.is_empty() { "" } else { "\n" };
    output::write(format!("{gap}{text}").as_bytes())
}

fn document(domain: &Domain, survey: &Survey, locks: &[&LockReport], deadlocks: &[&Deadlock]) -> Value {
    let errors = survey.errors.iter().map(|(name, error)| json!({ "name": name, "error": error.reason().to_string() }));
    json!({
        "domain": domain.name(),
        "directory": domain.directory().display().to_string(),
        "locks": locks.iter().map(|lock| show::json(lock)).collect::<Vec<_>>(),
        "deadlocks": deadlocks.iter().map(|deadlock| show::deadlock_json(deadlock)).collect::<Vec<_>>(),
        "errors": errors.collect::<Vec<_>>(),
        "partial": survey.partial,
    })
}
