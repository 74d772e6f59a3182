//! The crash runs: `tests/crash` kills processes at every shared store and judges what the survivors see.
//!
//! The harness goes on until it has done both: `--kills` kills and `--seconds` seconds.

use anyhow::Result;

use crate::manifest::Manifest;
use crate::run::cargo;

/// Whether the harness exists.
pub(crate) fn exists(manifest: &Manifest) -> bool {
    manifest.targets("sharedware", "test").iter().any(|target| target == "crash")
}

/// Builds and runs the harness.
pub(crate) fn run(kills: u64, seconds: u64) -> Result<()> {
    cargo(&["test", "--release", "--package", "sharedware", "--features", "__crash-points", "--test", "crash", "--"])
        .arg("--kills")
        .arg(kills.to_string())
        .arg("--seconds")
        .arg(seconds.to_string())
        .stream()
}
