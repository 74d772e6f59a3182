//! A lock, those who wait for it and a deadlock, as text and as JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sharedware::segment::Kind;
use sharedware::sync::inspect::{Deadlock, Fact, Holder, Life, LockReport, Role, Step, Who};

use crate::ls::printable;
use crate::size;

/// How many holders a line names.
const MOST: usize = 4;

/// A line of the table.
pub(super) fn row(lock: &LockReport) -> Vec<String> {
    let blank = || "-".to_owned();
    let holders = match lock.holders.as_slice() {
        [] => blank(),
        holders => names(holders, |holder| match holder.role {
            Role::Owner => who(&holder.who),
            role => format!("{} {role}", who(&holder.who)),
        }),
    };
    let count = |count: Option<u64>| count.map_or_else(blank, |count| count.to_string());
    vec![
        printable(&lock.label()),
        lock.kind.to_string(),
        state(lock),
        holders,
        lock.holders
            .iter()
            .filter_map(|holder| holder.held)
            .max()
            .map_or_else(blank, |held| format!(">= {}", time(held))),
        lock.waiters.len().to_string(),
        count(lock.contended),
        count(lock.recovered),
    ]
}

/// The lines that `stat` shows of a lock.
pub(crate) fn lines(lock: &LockReport) -> Vec<(&'static str, String)> {
    let mut lines = vec![("state", state(lock))];
    if lock.offset.is_some() {
        lines.insert(0, ("lock", format!("{}: {}", printable(&lock.label()), lock.kind)));
    }
    if lock.holders.is_empty() && lock.contended.is_some() {
        lines.push(("held by", "nobody".to_owned()));
    }
    for holder in &lock.holders {
        let what = match holder.role {
            Role::Owner => "held by",
            Role::Pending => "claimed by",
            Role::Reader => "read by",
            Role::Permit => "permit",
            Role::Arrived => "arrived",
            Role::Expected => "expected",
            _ => "holder",
        };
        lines.push((what, with_time(holder)));
    }
    if let Some(next) = &lock.reserved {
        lines.push(("reserved", format!("for {}, which has waited long", who(next))));
    }
    lines.push(("waiters", lock.waiters.len().to_string()));
    for waiter in &lock.waiters {
        lines.push(("waiter", format!("{} for {}", who(&waiter.who), time(waiter.waiting))));
    }
    if let Some(contended) = lock.contended {
        lines.push(("contended", size::count(contended, "time")));
    }
    if let Some(recovered) = lock.recovered {
        lines.push(("recovered", size::count(recovered, "time")));
    }
    let inconsistent = if lock.inconsistent {
        "yes: an owner died, and nobody has said since that what it guards is whole"
    } else {
        "no"
    };
    lines.push(("inconsistent", inconsistent.to_owned()));
    lines.extend(lock.facts.iter().map(|(name, value)| (*name, value.to_string())));
    lines
}

/// A line for each who waits for the lock.
pub(super) fn waits(lock: &LockReport) -> Vec<String> {
    let by = match lock.holders.as_slice() {
        [] if is_exclusive(lock.kind) => ", which nobody holds".to_owned(),
        [] => String::new(),
        holders => {
            let each = |holder: &Holder| match holder.role {
                Role::Owner => format!("held by {}", with_time(holder)),
                Role::Pending => format!("claimed by {}", with_time(holder)),
                Role::Reader => format!("read by {}", with_time(holder)),
                Role::Permit => format!("a permit of which has {}", with_time(holder)),
                Role::Arrived => format!("where {} has arrived", with_time(holder)),
                Role::Expected => format!("where {} is expected", with_time(holder)),
                _ => with_time(holder),
            };
            format!(", {}", names(holders, each))
        }
    };
    let name = printable(&lock.label());
    let line = |waiter: &_| {
        let sharedware::sync::inspect::Waiter { who: waits, waiting, .. } = waiter;
        format!("{} has waited {} for {name}{by}", who(waits), time(*waiting))
    };
    lock.waiters.iter().map(line).collect()
}

/// The whole circle.
pub(super) fn deadlock(deadlock: &Deadlock) -> String {
    let step = |step: &Step| format!("waits for {}, held by {}", printable(&step.lock), who(&step.holder.who));
    let steps: Vec<String> = deadlock.steps.iter().map(step).collect();
    let first = deadlock.steps.first().map_or_else(String::new, |step| who(&step.waiter.who));
    let what = if deadlock.is_certain() { "DEADLOCK" } else { "perhaps a DEADLOCK (whose threads are not all known)" };
    format!("{what}: {first} {}", steps.join(", which "))
}

pub(crate) fn json(lock: &LockReport) -> Value {
    let holders = lock.holders.iter().map(holder_json);
    let waiters = lock.waiters.iter().map(|waiter| {
        let mut value = who_json(&waiter.who);
        insert(&mut value, "waiting_seconds", waiter.waiting.as_secs_f64().into());
        value
    });
    let facts: Map<String, Value> = lock.facts.iter().map(|(name, value)| ((*name).to_owned(), fact(*value))).collect();
    json!({
        "name": lock.name,
        "offset": lock.offset,
        "kind": lock.kind.name(),
        "kind_number": lock.kind.number(),
        "inconsistent": lock.inconsistent,
        "holders": holders.collect::<Vec<_>>(),
        "reserved": lock.reserved.as_ref().map(who_json),
        "waiters": waiters.collect::<Vec<_>>(),
        "contended": lock.contended,
        "recovered": lock.recovered,
        "facts": facts,
    })
}

pub(super) fn deadlock_json(deadlock: &Deadlock) -> Value {
    let step = |step: &Step| {
        let mut waiter = who_json(&step.waiter.who);
        insert(&mut waiter, "waiting_seconds", step.waiter.waiting.as_secs_f64().into());
        json!({ "waiter": waiter, "lock": step.lock, "holder": holder_json(&step.holder) })
    };
    let steps: Vec<Value> = deadlock.steps.iter().map(step).collect();
    json!({ "certain": deadlock.is_certain(), "steps": steps })
}

fn holder_json(holder: &Holder) -> Value {
    let mut value = who_json(&holder.who);
    insert(&mut value, "role", holder.role.to_string().into());
    insert(&mut value, "held_seconds", holder.held.map(|held| held.as_secs_f64()).into());
    value
}

fn who_json(who: &Who) -> Value {
    let alive = match who.life {
        Life::Alive => Value::Bool(true),
        Life::Dead => Value::Bool(false),
        _ => Value::Null,
    };
    json!({
        "pid": who.peer.as_ref().map(|peer| peer.pid),
        "command": who.peer.as_ref().map(|peer| &peer.command),
        "thread": Some(who.thread).filter(|&thread| thread != 0),
        "alive": alive,
    })
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(key.to_owned(), value);
    }
}

fn fact(fact: Fact) -> Value {
    match fact {
        Fact::Count(count) => count.into(),
        Fact::Flag(flag) => flag.into(),
        other => other.to_string().into(),
    }
}

/// `held`, `free, inconsistent`, `permits 3, bound 4`.
fn state(lock: &LockReport) -> String {
    let mut words = Vec::new();
    if is_exclusive(lock.kind) {
        let dead = lock.holders.iter().any(|holder| holder.who.life == Life::Dead);
        words.push(match lock.holders.as_slice() {
            [] => "free".to_owned(),
            _ if dead => "held by the dead".to_owned(),
            [one] if one.role == Role::Owner => "held".to_owned(),
            _ => "shared".to_owned(),
        });
    }
    if lock.inconsistent {
        words.push("inconsistent".to_owned());
    }
    words.extend(lock.facts.iter().map(|(name, value)| match value {
        Fact::Flag(true) => (*name).to_owned(),
        Fact::Flag(false) => format!("not {name}"),
        value => format!("{name} {value}"),
    }));
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// Whether it is held or free.
fn is_exclusive(kind: Kind) -> bool {
    matches!(kind, Kind::MUTEX | Kind::RAW_MUTEX | Kind::REENTRANT_MUTEX | Kind::RW_LOCK)
}

fn names(holders: &[Holder], each: impl Fn(&Holder) -> String) -> String {
    let mut names: Vec<String> = holders.iter().take(MOST).map(each).collect();
    if holders.len() > MOST {
        names.push(format!("and {} more", holders.len() - MOST));
    }
    names.join(", ")
}

fn with_time(holder: &Holder) -> String {
    let held = holder.held.map(|held| format!(" for at least {}", time(held))).unwrap_or_default();
    format!("{}{held}", who(&holder.who))
}

/// Commands may be anything.
fn who(who: &Who) -> String {
    printable(&who.to_string())
}

/// `1.2 s`, `35 ms`.
fn time(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        _ => indicatif::HumanDuration(time).to_string(),
    }
}
