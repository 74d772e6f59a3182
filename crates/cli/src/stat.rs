//! `stat`: everything about one segment.

use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use sharedware::ring::{bytes, spsc};
use sharedware::segment::{Entry, Kind};
use sharedware::sync::inspect::LockReport;
use sharedware::{Domain, Options};

use crate::args::Stat;
use crate::exit::Outcome;
use crate::{locks, ls, output, size};

pub(crate) fn run(domain: &Domain, args: &Stat) -> Outcome {
    let entry = domain.stat(&args.name)?;
    let users = domain.users(&args.name).unwrap_or_default();
    let positions = positions(domain, &entry);
    let locks = locks(domain, &entry);
    if args.json {
        let mut document = ls::segment(&entry, &users);
        if let (Value::Object(fields), Some(locks)) = (&mut document, &locks) {
            let (key, value) = match locks {
                Ok(locks) => ("locks", locks.iter().map(locks::show::json).collect()),
                Err(reason) => ("locks_error", Value::from(reason.as_str())),
            };
            fields.insert(key.to_owned(), value);
        }
        if let (Some((popped, pushed)), Value::Object(fields)) = (positions, &mut document) {
            fields.insert("positions".to_owned(), json!({ "consumer": popped, "producer": pushed }));
        }
        return output::json(&document);
    }
    let bytes = |count: u64| format!("{count} bytes ({})", size::show(count));
    let created = entry.created.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut lines = vec![
        ("name", entry.name.clone()),
        ("path", entry.path.display().to_string()),
        ("kind", entry.kind.to_string()),
        ("shape", shape(&entry)),
        ("size", bytes(entry.size)),
        ("committed", bytes(entry.committed)),
        ("allocated", bytes(entry.allocated)),
        ("lifetime", ls::lifetime(&entry).to_owned()),
        ("created", format!("{} ago ({created} s since 1970)", ls::age(entry.created))),
        ("by", format!("uid {}, pid {}", entry.creator.0, entry.creator.1)),
        ("owner", format!("uid {}, mode {:04o}", entry.owner.0, entry.owner.1)),
        ("users", ls::users(&entry, &users)),
    ];
    if let Some((popped, pushed)) = positions {
        lines.push((
            "positions",
            format!("consumer {popped}, producer {pushed}, between them {}", pushed.wrapping_sub(popped)),
        ));
    }
    match &locks {
        Some(Ok(locks)) => lines.extend(locks.iter().flat_map(locks::show::lines)),
        Some(Err(reason)) => lines.push(("locks", format!("cannot be looked at: {reason}"))),
        None => {}
    }
    lines.push(("schema", ls::schema(&entry).unwrap_or_else(|| "-".to_owned())));
    let rows = lines.into_iter().map(|(what, value)| vec![what.to_owned(), value]).collect();
    output::print(&output::table(&[], &[], rows))
}

/// What the kind's own numbers mean; see docs/layout.md.
fn shape(entry: &Entry) -> String {
    let [first, second, ..] = entry.geometry;
    match entry.kind {
        Kind::SLOTS => format!("{} of {second} bytes", size::count(first, "slot")),
        Kind::SPSC => format!("room for {} of {second} bytes", size::count(first, "value")),
        Kind::BYTES => format!("a buffer of {}", size::show(first)),
        _ => "-".to_owned(),
    }
}

/// The lock that it is, or those in a raw segment; or why they cannot be looked at. `None`: it is something else, or nobody uses it.
fn locks(domain: &Domain, entry: &Entry) -> Option<Result<Vec<LockReport>, String>> {
    match domain.locks_in(&entry.name, &Options::new()) {
        Ok(survey) => Some(survey.locks).filter(|locks| !locks.is_empty()).map(Ok),
        Err(error) if error.is_not_found() => None,
        Err(error) => Some(Err(error.reason().to_string().replace('\n', " "))),
    }
}

/// Where a ring's consumer and producer are, if it is a ring that somebody uses.
fn positions(domain: &Domain, entry: &Entry) -> Option<(u64, u64)> {
    let options = Options::new();
    match entry.kind {
        Kind::SPSC => spsc::View::open(domain, &entry.name, &options).ok().map(|view| view.positions()),
        Kind::BYTES => bytes::View::open(domain, &entry.name, &options).ok().map(|view| view.positions()),
        _ => None,
    }
}
