//! `cargo xtask bench`: a thin front for `benches/compare`, a manifest of its own so that rivals never enter the root's.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use anyhow::{Result, bail};

use crate::run::{cargo, root};

const MANIFEST: &str = "benches/compare/Cargo.toml";

/// Arguments of `cargo xtask bench`, all handed on to the binary `compare`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Benchmarks to run, all of them if none is named; `wedge [SUBJECT..]` kills processes that use locks instead
    names: Vec<String>,
    /// Run for a short time: numbers to look at, not to publish
    #[arg(long)]
    quick: bool,
    /// Write the results to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the benchmarks
    #[arg(long)]
    list: bool,
    /// Options that only `compare` knows, such as those of `wedge --help`
    #[arg(last = true, value_name = "OPTION")]
    rest: Vec<String>,
}

/// Builds `compare` in release, runs it where the user stands, and passes its exit status on.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match compare(arguments) {
        Ok(status) => passed_on(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<ExitStatus> {
    let manifest = root().join(MANIFEST);
    if !manifest.exists() {
        bail!("there is nothing to run: {MANIFEST} does not exist in this checkout");
    }
    let mut run = cargo(&["run", "--release", "--bin", "compare", "--manifest-path"]).here()?.arg(manifest).arg("--");
    // First, since one of them may be a subcommand.
    for name in &arguments.names {
        run = run.arg(name);
    }
    if arguments.quick {
        run = run.arg("--quick");
    }
    if arguments.list {
        run = run.arg("--list");
    }
    if let Some(file) = &arguments.json {
        run = run.arg("--json").arg(file);
    }
    for option in &arguments.rest {
        run = run.arg(option);
    }
    run.status()
}

/// The same number as a shell would report: the exit code, or 128 and the signal.
fn passed_on(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
