//! What the manifests say exists: the targets of a package, and where cargo builds.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run::{cargo, root};

/// `cargo metadata` of one manifest and its workspace, without dependencies.
pub(crate) struct Manifest(Value);

impl Manifest {
    /// Reads the manifest at `path` (from the root of the repository); `None` if there is none.
    pub(crate) fn read(path: &str) -> Result<Option<Manifest>> {
        if !root().join(path).exists() {
            return Ok(None);
        }
        let json =
            cargo(&["metadata", "--quiet", "--no-deps", "--format-version", "1", "--manifest-path", path]).capture()?;
        let value = serde_json::from_str(&json).with_context(|| format!("cargo metadata of {path}"))?;
        Ok(Some(Manifest(value)))
    }

    /// The manifest at the root of the repository.
    pub(crate) fn root() -> Result<Manifest> {
        Manifest::read("Cargo.toml")?.context("no Cargo.toml at the root of the repository")
    }

    /// Where cargo builds the packages of this workspace.
    pub(crate) fn target_directory(&self) -> Result<PathBuf> {
        let directory = self.0["target_directory"].as_str().context("cargo metadata names no target directory")?;
        Ok(PathBuf::from(directory))
    }

    /// The names of a package's targets of one kind (`bin`, `test`), in the order of their names.
    pub(crate) fn targets(&self, package: &str, kind: &str) -> Vec<String> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut names: Vec<String> = list(&self.0["packages"])
            .iter()
            .filter(|candidate| candidate["name"] == package)
            .flat_map(|package| list(&package["targets"]))
            .filter(|target| list(&target["kind"]).iter().any(|candidate| candidate == kind))
            .filter_map(|target| target["name"].as_str().map(str::to_owned))
            .collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_by_package_and_kind() {
        let manifest = Manifest::root().expect("cargo metadata");
        assert_eq!(manifest.targets("sharedware-cli", "bin"), ["sharedware"]);
        assert!(manifest.targets("sharedware", "test").contains(&"floors".to_owned()));
        assert!(manifest.targets("sharedware", "bin").is_empty());
    }

    #[test]
    fn a_manifest_that_does_not_exist_is_no_error() {
        assert!(Manifest::read("no/such/Cargo.toml").expect("no error").is_none());
    }
}
