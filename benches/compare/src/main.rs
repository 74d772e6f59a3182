//! sharedware beside its rivals: real processes on two cores, payloads checked, the machine's limit measured in every round.
//!
//! `compare [NAME..]` runs the benchmarks whose names are or begin with the given ones; `cargo xtask bench` passes its arguments
//! on to it. `compare wedge [SUBJECT..]` kills processes that use a lock instead of measuring it. `compare worker ...` and
//! `compare wedger ...` are one side of one of them, started by the program itself.

mod blocked;
mod crowd;
mod families;
mod limit;
mod locked;
mod message;
mod ours;
mod process;
mod read_locked;
mod report;
mod rivals;
mod rounds;
mod sys;
mod times;
mod wedge;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::families::{BENCHES, Run, select, work};
use crate::process::{Context, Fallible, Lab};
use crate::rounds::Plan;

/// Measures sharedware and its rivals side by side.
#[derive(Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Benchmarks to run, by name or by the first parts of it (`spsc`, `spsc.one_way`); all of them if none is named.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Few and short rounds: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Write one JSON object a line to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the benchmarks and end.
    #[arg(long)]
    list: bool,
    #[command(subcommand)]
    other: Option<Other>,
}

/// What is not a measurement.
#[derive(clap::Subcommand)]
enum Other {
    Wedge(wedge::Arguments),
}

fn main() -> ExitCode {
    let raw: Vec<String> = std::env::args().collect();
    let outcome = match raw.get(1).map(String::as_str) {
        Some("worker") => worker(&raw[2..]),
        Some("wedger") => wedge::work(&raw[2..]),
        _ => coordinate(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn worker(arguments: &[String]) -> Fallible<()> {
    println!("{}", work(&Context::enter(arguments)?)?);
    Ok(())
}

fn coordinate() -> Fallible<()> {
    let arguments = Arguments::parse();
    if let Some(Other::Wedge(arguments)) = &arguments.other {
        return wedge::coordinate(arguments);
    }
    let chosen = select(&arguments.names)?;
    if arguments.list {
        for bench in if arguments.names.is_empty() { BENCHES.iter().collect() } else { chosen } {
            println!("{:26} {}", bench.name, bench.about);
        }
        return Ok(());
    }
    let mut json = arguments.json.as_ref().map(File::create).transpose()?;
    let plan = if arguments.quick {
        Plan { rounds: 3, millis: 30, repeats: 2 }
    } else {
        Plan { rounds: 21, millis: 80, repeats: 21 }
    };
    let mut lab = Lab::new()?;
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for bench in chosen {
        eprintln!("{} ...", bench.name);
        let quick = arguments.quick;
        let mut run = Run { name: bench.name, lab: &mut lab, plan, quick, rows: Vec::new() };
        if let Err(error) = (bench.run)(&mut run) {
            eprintln!("{}: {error}", bench.name);
            failed.push(bench.name);
        }
        for row in run.rows {
            if let Some(file) = &mut json {
                writeln!(file, "{}", row.json())?;
            }
            rows.push(row);
        }
    }
    println!("{}", report::table(&rows));
    let (rounds, unstable) = rows.iter().fold((0, 0), |sum, row| (sum.0 + row.rounds, sum.1 + row.unstable));
    let repeated: usize = rows.iter().map(|row| row.repeated).sum();
    println!(
        "Medians over rounds [quartiles]; ratios are ours by theirs within a round. In {unstable} of {rounds} rounds the limit moved by \
         more than 15 %; {repeated} more such rounds were repeated."
    );
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}
