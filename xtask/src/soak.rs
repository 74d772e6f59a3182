//! `cargo xtask soak`: the models, also the large ones; then half of the time killing processes, the other half fuzzing.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::leftovers::Leftovers;
use crate::manifest::Manifest;
use crate::run::since;
use crate::{crash, fuzz, model};

/// Arguments of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long to go on, without the time to build and that for the models; longer if that many kills take longer
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: u64,
    /// How many kills there must be at least
    #[arg(long, default_value_t = 10_000)]
    kills: u64,
}

/// Runs all parts, even if the first one fails, and says at the end what came of them.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let manifest = Manifest::root()?;
    let leftovers = Leftovers::before(&manifest.target_directory()?)?;
    let targets = fuzz::targets()?;
    let (crash_seconds, fuzz_seconds) = split(arguments.seconds, targets.len());

    let mut summary = Vec::new();
    let mut failed = false;
    let mut note = |what: &str, start: Instant, result: Result<()>| {
        failed |= result.is_err();
        summary.push(match result {
            Ok(()) => format!("ok      {what} ({})", since(start)),
            Err(error) => format!("FAILED  {what} ({}): {error:#}", since(start)),
        });
    };

    let start = Instant::now();
    let result = match model::lacking() {
        Some(reason) => Err(anyhow::anyhow!("cannot check models here: {reason}")),
        None => model::run_all(&manifest.target_directory()?),
    };
    note("models: small and large", start, result);
    let start = Instant::now();
    note(
        &format!("crash: at least {} kills and {crash_seconds} s", arguments.kills),
        start,
        if crash::exists(&manifest) {
            crash::run(arguments.kills, crash_seconds)
        } else {
            Err(anyhow::anyhow!("there is no test target `crash`"))
        },
    );
    let start = Instant::now();
    let what = format!("fuzz: {fuzz_seconds} s for each of {} targets", targets.len());
    let result = match fuzz::lacking() {
        _ if targets.is_empty() => Err(anyhow::anyhow!("there is no fuzz target")),
        Some(reason) => Err(anyhow::anyhow!("cannot fuzz here: {reason}")),
        None => fuzz::run(&targets, fuzz_seconds, &manifest.target_directory()?),
    };
    note(&what, start, result);
    let start = Instant::now();
    note("nothing is left behind", start, leftovers.check());

    println!("\n== soak: summary (the harness's own counts are in its last line above)");
    for line in summary {
        println!("{line}");
    }
    if failed {
        bail!("the soak failed");
    }
    Ok(())
}

/// Seconds for the crash run, and for each fuzz target.
fn split(seconds: u64, targets: usize) -> (u64, u64) {
    let fuzz = seconds / 2;
    (seconds - fuzz, (fuzz / u64::try_from(targets.max(1)).unwrap_or(u64::MAX)).max(1))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_time_is_split_and_nobody_gets_none() {
        assert_eq!(split(600, 3), (300, 100));
        assert_eq!(split(11, 1), (6, 5));
        assert_eq!(split(10, 40), (5, 1));
        assert_eq!(split(600, 0), (300, 300));
    }
}
