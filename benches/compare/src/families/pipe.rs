//! `pipe.1g`: a file through two whole processes, ours and `cat | cat`, started and ended within the measurement.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::Run;
use crate::limit::probe;
use crate::process::Fallible;
use crate::report::{Goal, Row};
use crate::rounds::{Plan, Sample, paired};
use crate::sys;

/// 1 GiB (`--quick`: 128 MiB) in the page cache, to `/dev/null` at the far end. GB/s.
pub(crate) fn file(run: &mut Run<'_>) -> Fallible<()> {
    let bytes: u64 = if run.quick { 128 << 20 } else { 1 << 30 };
    let scratch = Scratch::new(run.lab.prefix())?;
    let input = scratch.0.join("input");
    fill(&input, bytes)?;
    let tool = build_tool()?;
    let cores = run.lab.cores;
    let mut ours = None;
    if let Some(tool) = &tool {
        same_bytes(tool, &input, &scratch.0, cores)?;
        let (input, scratch) = (&input, &scratch.0);
        ours = Some(move || {
            let mut receive = Command::new(tool);
            receive.args(["recv", "bench"]).env("SHAREDWARE_DOMAIN", domain(scratch)).stdin(Stdio::null());
            let mut send = Command::new(tool);
            send.args(["send", "bench"]).env("SHAREDWARE_DOMAIN", domain(scratch)).stdout(Stdio::null());
            through(bytes, input, send, receive, cores, false)
        });
    } else {
        eprintln!("pipe.1g: the tool cannot send yet, so only the pipe is measured");
    }
    let mut theirs = || through(bytes, &input, Command::new("cat"), Command::new("cat"), cores, true);
    let plan = Plan { rounds: run.plan.rounds.min(9), ..run.plan };
    let lab = RefCell::new(&mut *run.lab);
    let us = ours.as_mut().map(|measure| measure as &mut dyn FnMut() -> Fallible<Sample>);
    let paired = paired(plan, || probe(&mut lab.borrow_mut()), us, &mut theirs)?;
    run.rows.push(Row::new(run.name, "GB/s", "cat file | cat >/dev/null", Goal::RatioAtLeast(2.0), &paired));
    Ok(())
}

/// Starts both, the first on the first core with the file as its input, and takes the time until both have ended well.
fn through(
    bytes: u64,
    input: &Path,
    mut send: Command,
    mut receive: Command,
    cores: [usize; 2],
    piped: bool,
) -> Fallible<Sample> {
    sys::start_on(&mut send, cores[0]);
    sys::start_on(&mut receive, cores[1]);
    if piped {
        // As a shell runs `cat file | cat`: the file is an argument.
        send.arg(input).stdout(Stdio::piped());
    } else {
        send.stdin(File::open(input)?);
    }
    let start = Instant::now();
    let mut first = send.spawn()?;
    if piped {
        receive.stdin(first.stdout.take().ok_or("a pipe")?);
    }
    let second = receive.stdout(Stdio::null()).spawn().and_then(|mut child| child.wait());
    if second.is_err() {
        first.kill()?;
    }
    let (first, second) = (first.wait()?, second?);
    let elapsed = start.elapsed();
    if !first.success() || !second.success() {
        return Err(format!("the sender ended with {first}, the receiver with {second}").into());
    }
    Ok(Sample { value: bytes as f64 / elapsed.as_nanos() as f64, ..Sample::default() })
}

/// Once, outside the measurement: what arrives is what was sent.
fn same_bytes(tool: &Path, input: &Path, scratch: &Path, cores: [usize; 2]) -> Fallible<()> {
    let mut send = Command::new(tool);
    send.args(["send", "bench"])
        .env("SHAREDWARE_DOMAIN", domain(scratch))
        .stdin(File::open(input)?)
        .stdout(Stdio::null());
    sys::start_on(&mut send, cores[0]);
    let mut sender = send.spawn()?;
    let mut receive = Command::new(tool);
    receive.args(["recv", "bench"]).env("SHAREDWARE_DOMAIN", domain(scratch)).stdout(Stdio::piped());
    let mut receiver = receive.spawn()?;
    let mut arrived = receiver.stdout.take().ok_or("a pipe")?;
    let mut sent = File::open(input)?;
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let same = loop {
        let length = sent.read(&mut a)?;
        if length == 0 {
            break arrived.read(&mut b)? == 0;
        }
        if arrived.read_exact(&mut b[..length]).is_err() || a[..length] != b[..length] {
            break false;
        }
    };
    if !same {
        sender.kill()?;
        receiver.kill()?;
    }
    sender.wait()?;
    receiver.wait()?;
    if same { Ok(()) } else { Err("what `sharedware recv` wrote is not what `sharedware send` read".into()) }
}

/// A domain of this run, so that nobody else's ring is met.
fn domain(scratch: &Path) -> String {
    scratch.file_name().map_or_else(|| "compare".into(), |name| name.to_string_lossy().into_owned())
}

/// The tool in release, or `None` while it has no `send`.
fn build_tool() -> Fallible<Option<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args([
        "build",
        "--release",
        "--package",
        "sharedware-cli",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let output = cargo.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the tool does not build".into());
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let tool = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    let tool = tool.ok_or("cargo named no executable")?;
    let help = Command::new(&tool).args(["send", "--help"]).stdin(Stdio::null()).output()?;
    Ok((help.status.success() && !help.stdout.is_empty()).then_some(tool))
}

/// Bytes that do not repeat within a page, written and read once, so that they are in the page cache.
fn fill(path: &Path, bytes: u64) -> Fallible<()> {
    let mut file = File::create(path)?;
    let mut block = vec![0_u64; 1 << 17];
    for number in 0..bytes >> 20 {
        for (k, word) in block.iter_mut().enumerate() {
            *word = (number << 17 | k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        file.write_all(sys::bytes_of(&block))?;
    }
    drop(file);
    std::io::copy(&mut File::open(path)?, &mut std::io::sink())?;
    Ok(())
}

/// A directory that goes with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(prefix: &str) -> Fallible<Self> {
        let path = std::env::temp_dir().join(format!("{prefix}-pipe"));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
