//! `dump`: the values in slots, rings and locks, read by their schema.

mod text;

use serde_json::{Value as Json, json};
use sharedware::ring::{bytes, spsc};
use sharedware::segment::schema::Schema;
use sharedware::segment::{Entry, Kind};
use sharedware::sync::inspect;
use sharedware::{Domain, Options, Segment, slot};

use crate::args::Dump;
use crate::exit::{Exit, Outcome};
use crate::output;

pub(crate) fn run(domain: &Domain, args: &Dump) -> Outcome {
    let entry = domain.stat(&args.name)?;
    if !entry.in_use && entry.lifetime == sharedware::Lifetime::WhileUsed {
        return Err(Exit::not_found(format_args!(
            "`{}` is what a crash left over, nobody uses it: `sharedware clean` removes it",
            args.name
        )));
    }
    let contents = match entry.kind {
        Kind::SLOTS => slots(domain, args)?,
        Kind::SPSC => ring(domain, args)?,
        Kind::BYTES => records(domain, args)?,
        Kind::RAW => raw(domain, args)?,
        kind if inspect::View::has_value(kind) => guarded(domain, args)?,
        kind => {
            return Err(Exit::failure(format_args!(
                "`{}` holds no value to print, it is of kind {kind}: see `sharedware stat {}`",
                args.name, args.name
            )));
        }
    };
    if args.json { output::json(&contents.json(&entry)) } else { output::write(contents.text().as_bytes()) }
}

/// What was found, in both forms.
#[derive(Default)]
struct Contents {
    lines: Vec<String>,
    values: Vec<Json>,
    /// What the JSON document says besides.
    more: Vec<(&'static str, Json)>,
    /// How many values there are beyond the limit.
    left: u64,
}

impl Contents {
    fn push(&mut self, line: String, value: Json) {
        self.lines.push(line);
        self.values.push(value);
    }

    fn text(&self) -> String {
        let mut text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        if self.left > 0 {
            text.push_str(&format!("... and {} more: --limit shows more\n", self.left));
        }
        text
    }

    fn json(self, entry: &Entry) -> Json {
        let schema = entry.schema.as_ref().map(ToString::to_string);
        let mut document = json!({ "name": entry.name, "kind": entry.kind.name(), "schema": schema });
        if let Json::Object(fields) = &mut document {
            fields.extend(self.more.into_iter().map(|(key, value)| (key.to_owned(), value)));
            fields.insert("values".to_owned(), self.values.into());
            fields.insert("omitted".to_owned(), self.left.into());
        }
        document
    }
}

fn slots(domain: &Domain, args: &Dump) -> Outcome<Contents> {
    let view = slot::View::open(domain, &args.name, &Options::new())?;
    let mut contents = Contents { left: view.len().saturating_sub(args.limit) as u64, ..Contents::default() };
    for index in 0..view.len().min(args.limit) {
        let (line, value) = match view.read(index) {
            Ok((bytes, version)) => {
                let (line, value) = read(view.schema(), &bytes);
                (
                    format!("[{index}] version {version}: {line}"),
                    json!({ "index": index, "version": version, "value": value }),
                )
            }
            Err(error) => (format!("[{index}] {error}"), json!({ "index": index, "error": error.to_string() })),
        };
        contents.push(line, value);
    }
    Ok(contents)
}

fn ring(domain: &Domain, args: &Dump) -> Outcome<Contents> {
    let view = spsc::View::open(domain, &args.name, &Options::new())?;
    let (popped, pushed) = view.positions();
    let mut contents = Contents { more: positions(popped, pushed), ..Contents::default() };
    // Some may be popped while we look, and the producer's position may lag.
    for position in popped..popped.saturating_add(view.capacity()) {
        let Some(bytes) = view.read(position) else { if position >= pushed { break } else { continue } };
        if contents.values.len() == args.limit {
            contents.left = pushed.saturating_sub(position);
            break;
        }
        let (line, value) = read(view.schema(), &bytes);
        contents.push(format!("[{position}] {line}"), json!({ "position": position, "value": value }));
    }
    Ok(contents)
}

fn records(domain: &Domain, args: &Dump) -> Outcome<Contents> {
    let view = bytes::View::open(domain, &args.name, &Options::new())?;
    let (released, committed) = view.positions();
    let found = view.records(args.limit.saturating_add(1));
    let mut contents = Contents { more: positions(released, committed), ..Contents::default() };
    contents.more.push(("finished", found.finished.into()));
    // How many exactly is not worth reading all of them.
    contents.left = u64::from(found.records.len() > args.limit);
    for record in found.records.iter().take(args.limit) {
        let (line, value) = text::record(record);
        contents.push(line, value);
    }
    if found.finished && contents.left == 0 {
        contents.lines.push("(end of the stream)".to_owned());
    }
    Ok(contents)
}

fn raw(domain: &Domain, args: &Dump) -> Outcome<Contents> {
    let segment = Segment::open_read_only(domain, &args.name, &Options::new())?;
    let committed = segment.committed()?;
    let mut contents =
        Contents { left: committed.div_ceil(16).saturating_sub(args.limit as u64), ..Contents::default() };
    let mut row = [0; 16];
    for offset in (0..committed).step_by(16).take(args.limit) {
        let row = &mut row[..usize::try_from(committed - offset).unwrap_or(16).min(16)];
        segment.read(offset, row)?;
        let hex = text::hex(row);
        contents.push(text::row(offset, row), json!({ "offset": offset, "hex": hex }));
    }
    Ok(contents)
}

/// The value that a lock guards.
fn guarded(domain: &Domain, args: &Dump) -> Outcome<Contents> {
    let view = inspect::View::open(domain, &args.name, &Options::new())?;
    let (bytes, whole) = view.read();
    let mut contents = Contents { more: vec![("whole", whole.into())], ..Contents::default() };
    if args.limit == 0 {
        contents.left = 1;
        return Ok(contents);
    }
    let (line, value) = read(view.schema(), &bytes);
    contents.push(line, json!({ "value": value }));
    if !whole {
        contents.lines.push("(somebody has the lock or died with it: this may be half changed)".to_owned());
    }
    Ok(contents)
}

fn positions(consumer: u64, producer: u64) -> Vec<(&'static str, Json)> {
    vec![("positions", json!({ "consumer": consumer, "producer": producer }))]
}

/// A value by its schema, as a line and as JSON.
fn read(schema: &Schema, bytes: &[u8]) -> (String, Json) {
    match schema.value(bytes) {
        Ok(value) => (value.to_string(), text::json(&value)),
        Err(error) => (format!("{} ({error})", text::hex(bytes)), json!({ "error": error.to_string() })),
    }
}
