//! A test program without libtest: cases that run one after the other, each in a process and a directory of its own, forked from a program that
//! has one thread.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use sharedware::Domain;

use crate::ensure;
use crate::process::{Child, Outcome, process_id};

/// Longer than that is a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long to look at something that must not happen.
pub(crate) const WHILE: Duration = Duration::from_millis(120);

/// What it has to say if all is well, such as what it had to leave out.
pub(crate) type Case = fn(&Domain) -> Outcome<Option<String>>;

/// Runs those whose name contains the first argument that is not an option, or all.
pub(crate) fn run_all(title: &str, cases: &[(&str, Case)]) -> ExitCode {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let directory = PathBuf::from(format!("/dev/shm/sharedware-{title}-{}", process_id()));
    let mut failures = 0;
    for (name, case) in cases.iter().filter(|(name, _)| name.contains(&only)) {
        let outcome = run(title, &directory, *case);
        let verdict = match outcome {
            Ok(note) if note.is_empty() => "ok".to_owned(),
            Ok(note) => format!("ok: {note}"),
            Err(error) => {
                failures += 1;
                format!("FAILED: {error}")
            }
        };
        println!("{title}: {name} ... {verdict}");
    }
    println!("{title}: {failures} failed");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One case, in a process and a directory of its own; whatever it has to say.
fn run(title: &str, directory: &Path, case: Case) -> Outcome<String> {
    std::fs::create_dir(directory)?;
    let outcome = in_process(title, directory, case);
    let left: Vec<_> = std::fs::read_dir(directory)?.flatten().map(|entry| entry.file_name()).collect();
    std::fs::remove_dir_all(directory)?;
    let note = outcome?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(note)
}

fn in_process(title: &str, directory: &Path, case: Case) -> Outcome<String> {
    let mut child = Child::fork(|line| {
        let domain = Domain::new(title)?.in_directory(directory);
        let note = case(&domain)?.unwrap_or_default();
        domain.clean()?;
        line.send(format!("+{note}").as_bytes())?;
        Ok(())
    })?;
    let said = String::from_utf8(child.line.expect(Duration::from_secs(120))?)?;
    child.join(PATIENCE).ok();
    match said.strip_prefix('+') {
        Some(note) => Ok(note.to_owned()),
        None => Err(said.into()),
    }
}

/// Waits for a child to say that.
pub(crate) fn said(child: &mut Child, expected: &[u8]) -> Outcome {
    let heard = child.line.expect(PATIENCE)?;
    ensure!(heard == expected, "{}", String::from_utf8_lossy(&heard));
    Ok(())
}
