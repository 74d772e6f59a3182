//! `clean`: what crashes left behind, removed.

use serde_json::{Value, json};
use sharedware::Domain;
use sharedware::segment::Fate;

use crate::args::Clean;
use crate::exit::Outcome;
use crate::{ls, output, size};

pub(crate) fn run(domain: &Domain, args: &Clean) -> Outcome {
    let report = if args.dry_run { domain.clean_dry_run()? } else { domain.clean()? };
    let left = report.objects.iter().filter_map(|object| match &object.fate {
        Fate::Left(why) => Some((&object.name, why)),
        _ => None,
    });
    if args.json {
        let left: Vec<Value> = left.map(|(name, why)| json!({ "name": name, "reason": why })).collect();
        let removed: Vec<&str> = report.removed().collect();
        return output::json(&json!({ "dry_run": args.dry_run, "removed": removed, "left": left }));
    }
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let lines: String = report.removed().map(|name| format!("{verb} {}\n", ls::printable(name))).collect();
    output::write(lines.as_bytes())?;
    for (name, why) in left {
        output::say(format_args!("left {} alone: {}", ls::printable(name), why.replace('\n', " ")));
    }
    output::say(format_args!("{verb} {}", size::count(report.removed().count() as u64, "segment")));
    Ok(())
}
