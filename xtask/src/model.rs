//! The models in `models/`: Spin looks at every interleaving of a small configuration. The protocol must hold, and each
//! mistake that can be put into it must be found: a model that finds nothing proves nothing.

use std::num::NonZero;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::run::{Run, root, since};

/// What Spin must say of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing is wrong, in any state.
    Holds,
    /// Somebody waits for ever.
    Stuck,
    /// An assertion that contains this does not hold.
    Violates(&'static str),
}

use Verdict::{Holds, Stuck, Violates};

/// A model and what is defined for it.
struct Variant {
    model: &'static str,
    flags: &'static str,
    verdict: Verdict,
}

const fn lock(verdict: Verdict, flags: &'static str) -> Variant {
    Variant { model: "mutex", flags, verdict }
}

const fn holder(verdict: Verdict, flags: &'static str) -> Variant {
    Variant { model: "holder", flags, verdict }
}

/// How two owners at once are found; an owner whose word is another's; a death that the next owner is not told of; a
/// thread that takes another's lock for its own.
const TWO_OWNERS: Verdict = Violates("inside==0");
const ROBBED: Verdict = Violates("inside&");
const UNTOLD: Verdict = Violates("told||");
const NOT_ITS_OWN: Verdict = Violates("inside==_pid");

/// Checked by `cargo xtask test`: some seconds. The largest first, for the sake of the other cores.
const SMALL: &[Variant] = &[
    lock(Holds, "NEXT TIMEOUTS=1 DEATHS=1"),
    lock(Holds, "NEXT RAW"),
    lock(Holds, "SPINNER RAW"),
    lock(Holds, "SPINNER DEATHS=1"),
    lock(Holds, "SPINNER NEXT"),
    lock(Holds, "TIMEOUTS=1 DEATHS=1 BUFFERED"),
    lock(Holds, "TURNS=2 OTHERS=1 DEATHS=1 BUFFERED"),
    lock(Holds, "DEATHS=2"),
    lock(Holds, "RAW"),
    lock(Holds, "N=2 TURNS=2 OTHERS=1 DEATHS=1 RAW"),
    holder(Holds, "TURNS=2 OTHERS=1"),
    holder(Holds, "TURNS=2 OWNER_THEN_HOLDER RECYCLED"),
    // Mistakes.
    lock(Stuck, "LOST_WAITERS_BIT"),
    lock(Stuck, "SLEEPING_AFTERWARDS RAW"),
    lock(Stuck, "LOOKS_NO_MORE"),
    lock(Stuck, "NO_HEAVY BUFFERED"),
    lock(Stuck, "WAKES_FIRST"),
    lock(Stuck, "LEAVES_AT_ONCE TIMEOUTS=1"),
    lock(Stuck, "LEAVES_AFTER_A_LOOK TIMEOUTS=1 TURNS=2 OTHERS=1"),
    lock(Stuck, "LEAVES_LIGHTLY TIMEOUTS=1 TURNS=2 OTHERS=1 BUFFERED"),
    lock(Stuck, "NEXT NEXT_WAKES_ONE"),
    lock(Stuck, "NEXT NEXT_CLEARED_QUIETLY TIMEOUTS=1"),
    lock(Stuck, "SPINNER SPINS_TO_THE_LAST"),
    lock(Stuck, "SPINNER SPINNER_OUTRANKS_NEXT NEXT TURNS=2 OTHERS=1"),
    lock(TWO_OWNERS, "BLIND_UNLOCK RAW"),
    lock(TWO_OWNERS, "BLIND_TAKEOVER DEATHS=1"),
    lock(TWO_OWNERS, "ASKS_NOBODY DEATHS=1"),
    lock(ROBBED, "STRANGER_HURRIES RAW N=2"),
    lock(UNTOLD, "MARK_LOST DEATHS=1"),
    lock(UNTOLD, "FORGETS_INCONSISTENT DEATHS=1"),
    holder(NOT_ITS_OWN, "NO_SETTLING"),
    holder(NOT_ITS_OWN, "NO_SETTLING RECYCLED"),
    holder(NOT_ITS_OWN, "OWNER_THEN_HOLDER TURNS=2"),
    holder(NOT_ITS_OWN, "HOLDER_THEN_OWNER TURNS=2 RECYCLED"),
    holder(NOT_ITS_OWN, "STRANGER"),
];

/// Checked by `cargo xtask soak` besides: some minutes.
const LARGE: &[Variant] = &[
    lock(Holds, "N=4 DEATHS=1"),
    lock(Holds, "TURNS=2 DEATHS=2"),
    lock(Holds, "TURNS=2 DEATHS=1 BUFFERED"),
    lock(Holds, "TURNS=2 OTHERS=1 TIMEOUTS=2 DEATHS=1 BUFFERED"),
    lock(Holds, "DEATHS=1 RAW"),
    lock(Holds, "TURNS=2 OTHERS=1 TIMEOUTS=1 RAW"),
    lock(Holds, "NEXT TURNS=2 OTHERS=1 TIMEOUTS=1 DEATHS=1"),
    lock(Holds, "NEXT DEATHS=1 RAW"),
    lock(Holds, "SPINNER TIMEOUTS=1 DEATHS=1 BUFFERED"),
    lock(Holds, "SPINNER NEXT DEATHS=1"),
    lock(Holds, "SPINNER NEXT TURNS=2 OTHERS=1 TIMEOUTS=1"),
    lock(Holds, "RINGS_UNCOUNTED TURNS=2 OTHERS=1 TIMEOUTS=1 DEATHS=1"),
    holder(Holds, "TURNS=3"),
];

/// What this machine lacks for checking models, in words, or `None`.
pub(crate) fn lacking() -> Option<String> {
    if !Run::program("spin", &["-V"]).works() {
        return Some("no Spin; install the package `spin` (`apt-get install spin`)".to_owned());
    }
    let compiler = compiler();
    if !Run::program(&compiler, &["--version"]).works() {
        return Some(format!(
            "no C compiler (`{compiler}`), which Spin's checkers are built with; install gcc or clang"
        ));
    }
    None
}

fn compiler() -> String {
    std::env::var("CC").unwrap_or_else(|_| "cc".to_owned())
}

/// Checks the small configurations.
pub(crate) fn run_small(target_directory: &Path) -> Result<()> {
    run(&[SMALL], target_directory)
}

/// Checks the small configurations and the large ones.
pub(crate) fn run_all(target_directory: &Path) -> Result<()> {
    run(&[LARGE, SMALL], target_directory)
}

/// Checks each variant, as many at a time as there are cores (but not more than memory allows), all of them even if one fails.
fn run(lists: &[&'static [Variant]], target_directory: &Path) -> Result<()> {
    let directory = target_directory.join("model");
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let start = Instant::now();
    let variants = lists.iter().flat_map(|list| list.iter());
    let count = variants.clone().count();
    let queue = Mutex::new(variants);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get).min(4) {
            scope.spawn(|| {
                loop {
                    // Not in the head of a `while let`, where the lock would be held while we check.
                    let variant = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(variant) = variant else { return };
                    if let Err(error) = variant.check(&directory) {
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    for failure in &failures {
        println!("FAILED  {failure:#}");
    }
    if let Some(failure) = failures.into_iter().next() {
        return Err(failure);
    }
    println!("{count} variants checked in {}", since(start));
    Ok(())
}

impl Variant {
    fn name(&self) -> String {
        format!("{} {}", self.model, self.flags)
    }

    /// Where a checker of this variant is built, so that several can be at once.
    fn directory_name(&self) -> String {
        self.name().replace([' ', '='], "-").to_lowercase()
    }

    fn flags(&self) -> impl Iterator<Item = String> {
        self.flags.split(' ').map(|flag| format!("-D{flag}"))
    }

    fn check(&self, directory: &Path) -> Result<()> {
        let directory = directory.join(self.directory_name());
        self.check_in(&directory).with_context(|| {
            let (model, flags) = (self.model, self.flags().collect::<Vec<_>>().join(" "));
            let directory = directory.display();
            format!(
                "{}; if there is a way to it, `spin -p -g {flags} -k {directory}/{model}.pml.trail models/{model}.pml` shows it",
                self.name()
            )
        })
    }

    fn check_in(&self, directory: &Path) -> Result<()> {
        let start = Instant::now();
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let model = root().join("models").join(self.model).with_extension("pml");
        self.flags().fold(Run::program("spin", &["-a"]).at(directory), Run::arg).arg(model).capture()?;
        // Not optimized: that would take longer than it saves. Safety only: to be stuck is a matter of safety here. States
        // are stored compressed, in so many MiB at most.
        Run::program(&compiler(), &["-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=4000", "-o", "pan", "pan.c"])
            .at(directory)
            .capture()?;
        // Deeper than any way is long, and a small table, which grows.
        let report = Run::program("./pan", &["-m1000000", "-w20"]).at(directory).capture()?;
        let states = judge(&report, self.verdict)?;
        let found = if self.verdict == Holds { "holds" } else { "caught" };
        println!("{found:<6}  {:<64}  {states:>9} states  {:>7}", self.name(), since(start));
        std::fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))
    }
}

/// Compares what the checker wrote with what it must find; returns how many states there are.
fn judge(report: &str, verdict: Verdict) -> Result<u64> {
    let value = |line: Option<&str>| line.and_then(|line| line.trim().parse().ok());
    let errors: u64 = value(report.lines().find_map(|line| Some(line.split_once("errors: ")?.1)))
        .with_context(|| format!("the checker did not come to its end:\n{report}"))?;
    let states = value(report.lines().find_map(|line| line.strip_suffix(" states, stored")))
        .with_context(|| format!("the checker does not say how many states there are:\n{report}"))?;
    let error = report.lines().find_map(|line| line.strip_prefix("pan:1: "));
    match (verdict, error) {
        (Holds, None) => {
            ensure!(errors == 0, "{errors} errors");
            let incomplete = ["not completed", "too small", "out of memory", "-DMEMLIM bound"];
            ensure!(!incomplete.iter().any(|sign| report.contains(sign)), "the search is not complete:\n{report}");
        }
        (Holds, Some(error)) => bail!("the protocol does not hold: {error}"),
        (Stuck, Some(error)) if error.starts_with("invalid end state") => {}
        (Violates(what), Some(error)) if error.starts_with("assertion violated") && error.contains(what) => {}
        (_, Some(error)) => bail!("the mistake must be caught as {verdict:?}, but what was found is: {error}"),
        (_, None) => bail!("the mistake is not caught"),
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "State-vector 60 byte, depth reached 243, errors: 0\n   577765 states, stored\n";
    const STUCK: &str = "pan:1: invalid end state (at depth 171)\npan: wrote mutex.pml.trail\n\
        Warning: Search not completed\nState-vector 76 byte, depth reached 257, errors: 1\n   106213 states, stored\n";

    #[test]
    fn what_holds_was_searched_to_its_end_without_an_error() {
        assert_eq!(judge(FULL, Holds).unwrap(), 577_765);
        assert!(judge(STUCK, Holds).is_err());
        assert!(judge(&format!("error: max search depth too small\n{FULL}"), Holds).is_err());
        assert!(judge("pan: out of memory\n", Holds).is_err());
    }

    #[test]
    fn a_mistake_is_caught_for_its_own_reason() {
        assert_eq!(judge(STUCK, Stuck).unwrap(), 106_213);
        assert!(judge(STUCK, TWO_OWNERS).is_err());
        assert!(judge(FULL, Stuck).is_err());
        let two = STUCK.replace("invalid end state", "assertion violated (inside==0)");
        assert!(judge(&two, TWO_OWNERS).is_ok());
        assert!(judge(&two, UNTOLD).is_err());
        assert!(judge(&two, Stuck).is_err());
    }
}
