//! `ls`: what a domain holds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sharedware::segment::{Entry, Process};
use sharedware::{Domain, Error, Lifetime};

use crate::args::Ls;
use crate::exit::Outcome;
use crate::{output, size};

pub(crate) fn run(domain: &Domain, args: &Ls) -> Outcome {
    let mut objects = domain.list()?;
    objects.retain(|(name, _)| args.all || !name.starts_with('@'));
    let objects: Vec<Object> = objects.into_iter().map(|(name, entry)| Object::new(domain, name, entry)).collect();
    if args.json {
        let segments: Vec<Value> = objects.iter().map(Object::json).collect();
        let directory = domain.directory().display().to_string();
        return output::json(&json!({ "domain": domain.name(), "directory": directory, "segments": segments }));
    }
    if objects.is_empty() {
        output::say(format_args!("domain `{}` in {} is empty", domain.name(), domain.directory().display()));
        return Ok(());
    }
    let header = ["NAME", "KIND", "SIZE", "COMMITTED", "AGE", "USERS", "SCHEMA"];
    output::print(&output::table(&header, &[2, 3, 4], objects.iter().map(Object::row).collect()))
}

/// A segment, or something else under a name of ours and why it is none.
struct Object {
    name: String,
    entry: Result<Entry, Error>,
    users: Vec<Process>,
}

impl Object {
    fn new(domain: &Domain, name: String, entry: Result<Entry, Error>) -> Self {
        let in_use = entry.as_ref().is_ok_and(|entry| entry.in_use);
        let users = if in_use { domain.users(&name).unwrap_or_default() } else { Vec::new() };
        Self { name, entry, users }
    }

    fn json(&self) -> Value {
        match &self.entry {
            Ok(entry) => segment(entry, &self.users),
            Err(error) => json!({ "name": self.name, "path": error.path(), "error": error.reason().to_string() }),
        }
    }

    fn row(&self) -> Vec<String> {
        let name = printable(&self.name);
        match &self.entry {
            Ok(entry) => vec![
                name,
                entry.kind.to_string(),
                size::show(entry.size),
                size::show(entry.committed),
                age(entry.created),
                users(entry, &self.users),
                schema(entry).map_or_else(|| "-".to_owned(), |text| shortened(&text)),
            ],
            Err(error) => {
                let blank = || "-".to_owned();
                // One line, however long the story.
                let reason = error.reason().to_string().replace('\n', " ");
                vec![name, "not usable".to_owned(), blank(), blank(), blank(), blank(), reason]
            }
        }
    }
}

/// A segment as `ls --json` and `stat --json` show it.
pub(crate) fn segment(entry: &Entry, users: &[Process]) -> Value {
    let hex: String = entry.identity.iter().map(|byte| format!("{byte:02x}")).collect();
    let users: Vec<Value> = users.iter().map(|user| json!({ "pid": user.pid, "command": user.command })).collect();
    json!({
        "name": entry.name,
        "path": entry.path,
        "kind": entry.kind.name(),
        "kind_number": entry.kind.number(),
        "size": entry.size,
        "committed": entry.committed,
        "allocated": entry.allocated,
        "lifetime": lifetime(entry),
        "in_use": entry.in_use,
        "users": users,
        "created_unix": entry.created.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64()),
        "age_seconds": seconds(entry.created).as_secs_f64(),
        "creator": { "uid": entry.creator.0, "pid": entry.creator.1 },
        "owner": entry.owner.0,
        "mode": format!("{:04o}", entry.owner.1),
        "identity": hex,
        "schema": schema(entry),
        "geometry": entry.geometry,
    })
}

pub(crate) fn lifetime(entry: &Entry) -> &'static str {
    match entry.lifetime {
        Lifetime::WhileUsed => "while used",
        Lifetime::UntilRemoved => "until removed",
    }
}

pub(crate) fn schema(entry: &Entry) -> Option<String> {
    entry.schema.as_ref().map(ToString::to_string)
}

/// `4711 feed, 4712 book`; or why there are none to show.
pub(crate) fn users(entry: &Entry, users: &[Process]) -> String {
    match (entry.in_use, entry.lifetime) {
        (true, _) if users.is_empty() => "in use (by whom is not ours to see)".to_owned(),
        (true, _) => {
            let each = users.iter().map(|user| format!("{} {}", user.pid, printable(&user.command)));
            each.collect::<Vec<_>>().join(", ")
        }
        (false, Lifetime::WhileUsed) => "none (left over)".to_owned(),
        (false, Lifetime::UntilRemoved) => "none".to_owned(),
    }
}

/// `3 minutes`.
pub(crate) fn age(created: SystemTime) -> String {
    indicatif::HumanDuration(seconds(created)).to_string()
}

fn seconds(created: SystemTime) -> Duration {
    created.elapsed().unwrap_or_default()
}

/// Names of files and commands may hold anything, even what moves a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// As much as is good in a table; `stat` shows the whole.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}...", &text[..at]),
    }
}
