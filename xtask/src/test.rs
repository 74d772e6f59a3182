//! `cargo xtask test`: the one test command.

use std::fmt;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::leftovers::Leftovers;
use crate::manifest::Manifest;
use crate::run::{cargo, root, since};
use crate::{crash, fuzz, model};

/// How many kills and seconds the short crash run takes at least; `cargo xtask soak` is the long one.
const SHORT_CRASH_RUN: (u64, u64) = (300, 20);
/// How many times a loom model's threads may be interrupted, which bounds the interleavings it explores.
const LOOM_PREEMPTIONS: &str = "3";

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run this step and no other; may be given several times
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<Step>,
    /// Leave this step out; may be given several times
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<Step>,
    /// List the steps in their order
    #[arg(long)]
    list: bool,
    /// How long each fuzz target runs
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    fuzz_seconds: u64,
}

/// The steps, in their order: what fails fast comes first.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// All files are formatted, also those of manifests of their own
    Format,
    /// No clippy warning in any target of any member
    Clippy,
    /// No clippy warning with all features on
    ClippyAllFeatures,
    /// No rustdoc warning, in public and in private documentation
    Docs,
    /// Unit, integration and documentation tests of all members, with the optional features
    Tests,
    /// The interleavings of every protocol, explored by loom
    Loom,
    /// The model of the lock whose owner may die, explored by Spin, with its seeded mistakes
    Model,
    /// Processes killed at every shared store, briefly
    Crash,
    /// Every fuzz target, briefly
    Fuzz,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

enum Outcome {
    Passed,
    Skipped(String),
}

/// Runs the steps that were asked for, then looks for what they left behind.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let wanted =
        |step: &Step| (arguments.only.is_empty() || arguments.only.contains(step)) && !arguments.skip.contains(step);
    let steps: Vec<Step> = Step::value_variants().iter().copied().filter(wanted).collect();
    if arguments.list {
        for value in steps.iter().filter_map(Step::to_possible_value) {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            println!("{:<20}  {help}", value.get_name());
        }
        return Ok(());
    }
    if steps.is_empty() {
        bail!("--only and --skip leave no step to run");
    }

    let start = Instant::now();
    let manifest = Manifest::root()?;
    let leftovers = Leftovers::before(&manifest.target_directory()?)?;
    let mut summary = Vec::new();
    let mut failure = None;
    for (index, &step) in steps.iter().enumerate() {
        println!("\n== {step} ({} of {})", index + 1, steps.len());
        let start = Instant::now();
        let result = step.run(arguments, &manifest);
        let line = match &result {
            Ok(Outcome::Passed) => format!("{step:<20}  ok       {}", since(start)),
            Ok(Outcome::Skipped(reason)) => format!("{step:<20}  skipped  {}: {reason}", since(start)),
            Err(_) => format!("{step:<20}  FAILED   {}", since(start)),
        };
        println!("== {line}");
        summary.push(line);
        if let Err(error) = result {
            failure = Some(error.context(format!("step `{step}` failed; `cargo xtask test --only {step}` repeats it")));
            summary.extend(steps.iter().skip(index + 1).map(|step| format!("{step:<20}  not run")));
            break;
        }
    }
    let nothing_left = leftovers.check();
    summary.push(format!("{:<20}  {}", "nothing left behind", if nothing_left.is_ok() { "ok" } else { "FAILED" }));

    println!("\n== summary, after {}", since(start));
    for line in summary {
        println!("{line}");
    }
    match (failure, nothing_left) {
        (Some(failure), Ok(())) => Err(failure),
        (Some(failure), Err(left)) => {
            eprintln!("error: {left:#}");
            Err(failure)
        }
        (None, result) => result,
    }
}

impl Step {
    fn run(self, arguments: &Arguments, manifest: &Manifest) -> Result<Outcome> {
        match self {
            Step::Format => format_check()?,
            Step::Clippy => cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).stream()?,
            Step::ClippyAllFeatures => {
                cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
                    .stream()?;
            }
            Step::Docs => docs()?,
            Step::Tests => cargo(&["test", "--workspace", "--features", "sharedware/serde"]).stream()?,
            Step::Loom => return loom(manifest),
            Step::Model => return models(manifest),
            Step::Crash if !crash::exists(manifest) => bail!("no test target `crash`"),
            Step::Crash => crash::run(SHORT_CRASH_RUN.0, SHORT_CRASH_RUN.1)?,
            Step::Fuzz => return fuzz_briefly(arguments.fuzz_seconds, manifest),
        }
        Ok(Outcome::Passed)
    }
}

fn format_check() -> Result<()> {
    for manifest in ["Cargo.toml", "benches/compare/Cargo.toml", "fuzz/Cargo.toml"] {
        if root().join(manifest).exists() {
            cargo(&["fmt", "--all", "--check", "--manifest-path", manifest]).stream()?;
        }
    }
    Ok(())
}

/// The library and the tool have the same name, so their pages would overwrite each other: binaries go first, and the
/// library's public pages are what remains.
fn docs() -> Result<()> {
    let scopes: [&[&str]; 3] = [
        &["--workspace", "--bins"],
        &["--package", "sharedware", "--features", "serde", "--lib", "--document-private-items"],
        &["--workspace", "--features", "sharedware/serde", "--lib"],
    ];
    for scope in scopes {
        cargo(&["doc", "--no-deps"]).args(scope).env("RUSTDOCFLAGS", "-D warnings").stream()?;
    }
    Ok(())
}

/// Models are tests of the library whose path contains `loom`; they build in a directory of their own, because the flag
/// changes every dependency.
fn loom(manifest: &Manifest) -> Result<Outcome> {
    let target = manifest.target_directory()?.join("loom");
    let models = || {
        cargo(&["test", "--release", "--package", "sharedware", "--lib", "--target-dir"])
            .arg(&target)
            .arg("loom")
            .env("LOOM_MAX_PREEMPTIONS", LOOM_PREEMPTIONS)
            .env("RUSTFLAGS", "--cfg loom")
    };
    let list = models().args(&["--", "--list"]).capture()?;
    if !list.lines().any(|line| line.ends_with(": test")) {
        bail!("no loom model (no test of the library whose path contains `loom`)");
    }
    models().stream()?;
    Ok(Outcome::Passed)
}

fn models(manifest: &Manifest) -> Result<Outcome> {
    if let Some(reason) = model::lacking() {
        return Ok(Outcome::Skipped(format!("cannot check models here: {reason}")));
    }
    model::run_small(&manifest.target_directory()?)?;
    Ok(Outcome::Passed)
}

fn fuzz_briefly(seconds_each: u64, manifest: &Manifest) -> Result<Outcome> {
    let targets = fuzz::targets()?;
    if targets.is_empty() {
        bail!("no fuzz target");
    }
    if let Some(reason) = fuzz::lacking() {
        return Ok(Outcome::Skipped(format!("cannot fuzz here: {reason}")));
    }
    fuzz::run(&targets, seconds_each, &manifest.target_directory()?)?;
    Ok(Outcome::Passed)
}
