//! `compare wedge`: what a lock does when the processes that use it are killed.
//!
//! Three processes lock, increment a counter and unlock, without a pause. One of them, chosen at random, is killed (SIGKILL)
//! every 0.2 to 8 ms and replaced. After so many kills all are told to finish. The run is *wedged* if nobody gets on for some seconds,
//! or if, when the others have finished and left, one sleeps on.

mod run;
mod stuck;
mod subjects;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use crate::process::{Fallible, Lab};
use crate::rounds::Spread;
pub(crate) use run::work;
use run::{Outcome, Plan, Still};
pub(crate) use subjects::Counter;
use subjects::SUBJECTS;

/// Kills processes that use a lock, ours and the others', and counts the runs that end in a standstill.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Subjects; all of them if none is named.
    #[arg(value_name = "SUBJECT")]
    subjects: Vec<String>,
    /// Runs of each subject, instead of its own number.
    #[arg(long)]
    runs: Option<u32>,
    /// Kills in a run that does not wedge before.
    #[arg(long, default_value_t = 150)]
    kills: u32,
    /// Seconds without progress that count as for ever.
    #[arg(long, default_value_t = 3.0)]
    patience: f64,
    /// Hold the lock for so many nanoseconds more than an increment takes; each of several is tried.
    #[arg(long, value_name = "NS", value_delimiter = ',', default_values_t = [0, 1000])]
    hold: Vec<u32>,
    /// Leave the lock alone for so many nanoseconds after each holding.
    #[arg(long, value_name = "NS", default_value_t = 0)]
    pause: u32,
    /// Begin the random numbers here, to have the same kills again (though not the same moments).
    #[arg(long)]
    seed: Option<u64>,
    /// Few and short runs: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Write one JSON object a run to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the subjects and end.
    #[arg(long)]
    list: bool,
}

/// Every run of every subject, and the table.
pub(crate) fn coordinate(arguments: &Arguments) -> Fallible<()> {
    if let Some(unknown) = arguments.subjects.iter().find(|name| !SUBJECTS.iter().any(|it| it.name == *name)) {
        let names: Vec<&str> = SUBJECTS.iter().map(|it| it.name).collect();
        return Err(format!("no subject is called {unknown:?}; there are: {}", names.join(", ")).into());
    }
    let wanted = |name: &str| arguments.subjects.is_empty() || arguments.subjects.iter().any(|it| it == name);
    let chosen: Vec<_> = SUBJECTS.iter().filter(|subject| wanted(subject.name)).collect();
    if arguments.list {
        for subject in chosen {
            println!("{:10} {}", subject.name, subject.about);
        }
        return Ok(());
    }
    let mut json = arguments.json.as_ref().map(File::create).transpose()?;
    let lab = Lab::new()?;
    let mut seed = arguments.seed.unwrap_or_else(crate::sys::now_ns);
    let kills = if arguments.quick { arguments.kills.min(40) } else { arguments.kills };
    let mut tallies = Vec::new();
    let cases =
        chosen.into_iter().filter(|it| it.ready).flat_map(|it| arguments.hold.iter().map(move |&hold| (it, hold)));
    for (subject, hold) in cases {
        let mut tally = Tally { subject: subject.about, hold, outcomes: Vec::new() };
        let runs = arguments.runs.unwrap_or(if arguments.quick { 3 } else { subject.runs });
        for number in 0..runs {
            seed = seed.wrapping_add(1);
            let plan = Plan {
                subject: subject.name,
                name: format!("{}-wedge-{seed:x}", lab.prefix()),
                prefix: lab.prefix().to_owned(),
                kills,
                patience: Duration::from_secs_f64(arguments.patience),
                hold,
                pause: arguments.pause,
                seed,
            };
            let outcome = run::run(&plan);
            // Whatever killed processes left.
            lab.sweep();
            let outcome = outcome?;
            eprintln!("{}, {hold} ns, {}/{runs}: {}", subject.name, number + 1, outcome.text());
            if let Some(file) = &mut json {
                writeln!(file, "{}", outcome.json(&plan))?;
            }
            tally.outcomes.push(outcome);
        }
        tallies.push(tally);
    }
    println!("{}", table(&tallies));
    println!(
        "Three processes; one is killed every 0.2 to 8 ms and replaced, {kills} times in a run, and then all are told to finish. Wedged: \
         nobody gets on for {} s, or one sleeps on for so long when the others have left. Held: for so much longer than an increment \
         takes. Kills before: those until the last progress of a wedged run. Lost: acknowledged increments that the counter lacks.",
        arguments.patience
    );
    Ok(())
}

/// The runs of one subject.
struct Tally {
    subject: &'static str,
    hold: u32,
    outcomes: Vec<Outcome>,
}

fn table(tallies: &[Tally]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "subject",
        "held",
        "runs",
        "wedged",
        "nobody gets on",
        "one sleeps on",
        "kills before [quartiles]",
        "longest standstill",
        "kills in all",
        "lost",
        "failed",
        "seen",
    ]);
    for Tally { subject, hold, outcomes } in tallies {
        let count = |still: Still| outcomes.iter().filter(|it| it.still == still).count();
        let (all, some) = (count(Still::All), count(Still::Some));
        let wedged = outcomes.iter().filter(|it| it.still != Still::Nobody);
        let before = Spread::of(wedged.clone().map(|it| f64::from(it.kills_before)));
        let mut seen: Vec<String> = wedged.map(|it| it.kind.clone()).collect();
        seen.sort();
        seen.dedup();
        let longest = outcomes.iter().filter(|it| it.still == Still::Nobody).map(|it| it.longest).max();
        let kills: u32 = outcomes.iter().map(|it| it.kills).sum();
        let lost: u64 = outcomes.iter().map(|it| it.lost).sum();
        table.add_row([
            (*subject).to_owned(),
            format!("{hold} ns"),
            outcomes.len().to_string(),
            (all + some).to_string(),
            all.to_string(),
            some.to_string(),
            before.map_or_else(|| "-".into(), |it| format!("{:.0} [{:.0}-{:.0}]", it.median, it.p25, it.p75)),
            longest.map_or_else(|| "-".into(), |it| format!("{} ms", it.as_millis())),
            kills.to_string(),
            lost.to_string(),
            outcomes.iter().filter(|it| it.failed.is_some()).count().to_string(),
            seen.join("\n"),
        ]);
    }
    table.to_string()
}

impl Outcome {
    fn text(&self) -> String {
        let end = match self.still {
            Still::Nobody => "got through".to_owned(),
            Still::All => format!("wedged after {} kills, nobody gets on: {}", self.kills_before, self.state),
            Still::Some => format!("wedged after {} kills, the others have left: {}", self.kills_before, self.state),
        };
        let failed = self.failed.as_ref().map(|said| format!("; a worker ended by itself: {said}")).unwrap_or_default();
        format!("{end} ({} kills, {} increments, {} lost){failed}", self.kills, self.acknowledged, self.lost)
    }

    fn json(&self, plan: &Plan) -> Value {
        json!({
            "name": "wedge",
            "subject": plan.subject,
            "hold_ns": plan.hold,
            "pause_ns": plan.pause,
            "wedged": self.still != Still::Nobody,
            "all": self.still == Still::All,
            "kills": self.kills,
            "kills_before": self.kills_before,
            "acknowledged": self.acknowledged,
            "lost": self.lost,
            "took_ms": self.took.as_secs_f64() * 1e3,
            "longest_standstill_ms": self.longest.as_secs_f64() * 1e3,
            "state": self.state,
            "failed": self.failed,
            "seed": plan.seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(still: Still, kills_before: u32) -> Outcome {
        Outcome {
            still,
            kills: 150,
            kills_before,
            acknowledged: 9,
            lost: 0,
            took: Duration::from_millis(600),
            longest: Duration::from_millis(20),
            kind: "sleeps".into(),
            state: "sleeps (word 0)".into(),
            failed: None,
        }
    }

    #[test]
    fn the_table_counts_what_wedged() {
        let outcomes = vec![outcome(Still::Nobody, 150), outcome(Still::All, 7), outcome(Still::Some, 150)];
        let text = table(&[Tally { subject: "a lock", hold: 1000, outcomes }]);
        let row = text.lines().find(|line| line.contains("a lock")).unwrap();
        let cells: Vec<&str> = row.trim_matches('│').split('┆').map(str::trim).collect();
        assert_eq!(cells, ["a lock", "1000 ns", "3", "2", "1", "1", "78 [43-114]", "20 ms", "450", "0", "0", "sleeps"]);
    }
}
