//! Fuzzing: finds out whether it can be done here, gets `cargo-fuzz`, runs the targets of `fuzz/Cargo.toml`.
//!
//! libFuzzer needs a nightly compiler (but not `rust-src`) and a C++ compiler. Each target starts from `fuzz/seeds/TARGET`,
//! if that exists, and keeps what it learns in `fuzz/corpus/TARGET`, which is not committed. What makes a target fail is
//! left in `fuzz/artifacts/TARGET`.

use std::path::Path;

use anyhow::{Context, Result};

use crate::manifest::Manifest;
use crate::run::{Run, cargo, cargo_nightly, root};

/// Pinned, so that a release of somebody else's does not turn a test red.
const CARGO_FUZZ: &str = "0.13.2";
/// One input may take this long; more is a hang.
const SECONDS_PER_INPUT: u32 = 5;

/// The names of all targets.
pub(crate) fn targets() -> Result<Vec<String>> {
    let manifest = Manifest::read("fuzz/Cargo.toml")?;
    Ok(manifest.map(|manifest| manifest.targets("sharedware-fuzz", "bin")).unwrap_or_default())
}

/// What this machine lacks for fuzzing, in words, or `None`.
pub(crate) fn lacking() -> Option<String> {
    if !Run::program("rustup", &["run", "nightly", "rustc", "--version"]).works() {
        return Some("no nightly toolchain; `rustup toolchain install nightly --profile minimal` gets it".to_owned());
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if !Run::program(&compiler, &["--version"]).works() {
        return Some(format!("no C++ compiler (`{compiler}`), which libFuzzer is built with; install g++ or clang"));
    }
    None
}

/// Builds the targets and runs each for so many seconds; the first that fails ends it.
pub(crate) fn run(targets: &[String], seconds_each: u64, target_directory: &Path) -> Result<()> {
    let tools = target_directory.join("tools");
    install(&tools)?;
    let bin = tools.join("bin");
    let build = target_directory.join("fuzz");
    for target in targets {
        let seeds = format!("fuzz/seeds/{target}");
        let corpus = format!("fuzz/corpus/{target}");
        std::fs::create_dir_all(root().join(&corpus)).with_context(|| format!("cannot make {corpus}"))?;
        let mut run =
            cargo_nightly(&["fuzz", "run", "--target-dir"]).path_first(&bin).arg(&build).arg(target).arg(corpus);
        if root().join(&seeds).is_dir() {
            run = run.arg(seeds);
        }
        run.arg("--")
            .arg(format!("-max_total_time={seconds_each}"))
            .arg(format!("-timeout={SECONDS_PER_INPUT}"))
            .arg("-print_final_stats=1")
            .stream()
            .with_context(|| {
                format!("fuzz target `{target}`; if it found an input, that is in fuzz/artifacts/{target}")
            })?;
    }
    Ok(())
}

/// Installs the pinned `cargo-fuzz` below the target directory, unless it is there.
fn install(tools: &Path) -> Result<()> {
    let installed = Run::program(&tools.join("bin/cargo-fuzz").to_string_lossy(), &["--version"]).capture();
    if installed.is_ok_and(|version| version.split_whitespace().any(|word| word == CARGO_FUZZ)) {
        return Ok(());
    }
    let build = tools.join("build");
    cargo(&["install", "--locked", "--debug", "--force", "--version", CARGO_FUZZ, "--root"])
        .arg(tools)
        .arg("--target-dir")
        .arg(&build)
        .arg("cargo-fuzz")
        .stream()
        .context("cannot install cargo-fuzz")?;
    // Only the binary is worth keeping.
    std::fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))
}
