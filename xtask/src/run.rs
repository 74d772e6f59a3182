//! Commands: shown before they run, streamed while they run, named when they fail.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Set for everything that we start, with our process id, so that [`crate::leftovers`] knows our offspring from processes
/// of somebody else who works on the same machine.
pub(crate) const MARKER: &str = "SHAREDWARE_XTASK";

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A command in the making.
pub(crate) struct Run {
    command: Command,
    /// What a person would type.
    shown: String,
}

/// `cargo` of the toolchain that runs us, in the root of the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Run {
    let program = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    Run::new(program, "cargo", arguments)
}

/// `cargo` of the nightly toolchain. The variables by which rustup and cargo hand our own toolchain down would win over
/// the choice made here, so they go.
pub(crate) fn cargo_nightly(arguments: &[&str]) -> Run {
    let mut run = Run::new(PathBuf::from("rustup"), "rustup", &["run", "nightly", "cargo"]).args(arguments);
    run.command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    run
}

impl Run {
    fn new(program: PathBuf, shown: &str, arguments: &[&str]) -> Run {
        let mut command = Command::new(program);
        command.current_dir(root()).env(MARKER, std::process::id().to_string());
        let run = Run { command, shown: shown.to_owned() };
        run.args(arguments)
    }

    /// Any program, in the root of the repository.
    pub(crate) fn program(name: &str, arguments: &[&str]) -> Run {
        Run::new(PathBuf::from(name), name, arguments)
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Run {
        let argument = argument.as_ref();
        self.command.arg(argument);
        self.shown.push(' ');
        self.shown.push_str(&quoted(argument));
        self
    }

    pub(crate) fn args(self, arguments: &[&str]) -> Run {
        arguments.iter().fold(self, Run::arg)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        let value = value.as_ref();
        self.command.env(name, value);
        self.shown = format!("{name}={} {}", quoted(value), self.shown);
        self
    }

    /// Puts a directory in front of the search path; not shown.
    pub(crate) fn path_first(mut self, directory: &Path) -> Run {
        let mut path = OsString::from(directory);
        if let Some(old) = std::env::var_os("PATH") {
            path.push(":");
            path.push(old);
        }
        self.command.env("PATH", path);
        self
    }

    /// Runs where the user stands rather than in the root of the repository.
    pub(crate) fn here(mut self) -> Result<Run> {
        self.command.current_dir(std::env::current_dir().context("where are we?")?);
        Ok(self)
    }

    /// Runs in this directory rather than in the root of the repository.
    pub(crate) fn at(mut self, directory: &Path) -> Run {
        self.command.current_dir(directory);
        self
    }

    /// Runs it with our own output; an error if it fails.
    pub(crate) fn stream(self) -> Result<()> {
        let shown = self.shown.clone();
        let status = self.status()?;
        if !status.success() {
            bail!("`{shown}` failed ({status})");
        }
        Ok(())
    }

    /// Runs it with our own output.
    pub(crate) fn status(mut self) -> Result<ExitStatus> {
        println!("$ {}", self.shown);
        self.command.status().with_context(|| format!("cannot start `{}`", self.shown))
    }

    /// Runs it and returns what it wrote to its standard output; its standard error is ours.
    pub(crate) fn capture(mut self) -> Result<String> {
        let output =
            self.command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{}`", self.shown))?;
        if !output.status.success() {
            bail!("`{}` failed ({})", self.shown, output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{}` did not write UTF-8", self.shown))
    }

    /// Whether it starts and succeeds; silent.
    pub(crate) fn works(mut self) -> bool {
        let quiet = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if word.is_empty() || word.contains([' ', '"', '*', '$']) { format!("'{word}'") } else { word.into_owned() }
}

/// How long something took, for people.
pub(crate) fn since(start: Instant) -> String {
    seconds(start.elapsed())
}

fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole >= 60 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_a_person_would_type_them() {
        let run = Run::program("cargo", &["test", "a b"]).env("RUSTFLAGS", "--cfg loom");
        assert_eq!(run.shown, "RUSTFLAGS='--cfg loom' cargo test 'a b'");
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(seconds(Duration::from_millis(1_240)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = Run::program("false", &[]).stream().expect_err("`false` succeeded");
        assert!(error.to_string().contains("`false` failed"), "{error}");
    }
}
