//! The store-by-store kill test: an operation is run once to count its crash points (every shared store and every system call that
//! changes what others see), and then killed right after each of them, each time in a fresh domain, and a survivor judges.
//!
//! To cover an operation, implement [`Scenario`] and put it in the list in `main.rs`. Everything happens in processes of their own,
//! forked from the harness, which itself never opens a segment: so it never hangs, and it sees what is left when all have gone.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use sharedware::__crash as crash;
use sharedware::{Domain, Lifetime, Options};

use crate::ensure;
use crate::process::{Child, Heard, Line, Outcome, kill_self, now};

/// Longer than that is a hang.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the library promises: a survivor goes on within this time. Exceeding it is counted and reported.
pub(crate) const PROMISE: Duration = Duration::from_millis(250);

/// When the survivor came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Witness {
    /// It had the structure open before the death, and has it still. Segments live while used.
    Before,
    /// It comes after the death, to a domain in which nobody lives any more. Segments live until removed.
    After,
}

/// Where a round takes place.
pub(crate) struct World {
    pub(crate) domain: Domain,
    pub(crate) witness: Witness,
    recovered: Cell<Option<u64>>,
}

impl World {
    fn new(domain: Domain, witness: Witness) -> Self {
        Self { domain, witness, recovered: Cell::new(None) }
    }

    /// How to create what the operation is about.
    pub(crate) fn options(&self) -> Options {
        Options::new().lifetime(match self.witness {
            Witness::Before => Lifetime::WhileUsed,
            Witness::After => Lifetime::UntilRemoved,
        })
    }

    /// The survivor has done its first operation after the death. The first call counts.
    pub(crate) fn recovered(&self) {
        if self.recovered.get().is_none() {
            self.recovered.set(Some(now()));
        }
    }
}

/// What is known of a death.
#[derive(Debug, Default)]
pub(crate) struct Death {
    /// What the victim acknowledged, in order.
    pub(crate) acked: Vec<u64>,
    /// Whether a successor came before the survivor, did [`Scenario::recover`], perhaps in part, and was killed as well.
    pub(crate) successor: bool,
}

impl Death {
    /// The last acknowledgement, or `otherwise` if there was none.
    pub(crate) fn last(&self, otherwise: u64) -> u64 {
        self.acked.last().copied().unwrap_or(otherwise)
    }
}

/// Where a victim says what has succeeded: outside of what is being tested.
pub(crate) struct Acks<'a>(&'a mut Line);

impl Acks<'_> {
    pub(crate) fn ack(&mut self, what: u64) -> Outcome {
        Ok(self.0.send(&message(b'a', what))?)
    }
}

/// An operation to be killed at each of its crash points.
pub(crate) trait Scenario {
    /// What a survivor that was there before holds.
    type Held;
    /// What the victim has in hand when the operation begins.
    type Victim;

    fn name(&self) -> String;

    /// Makes the world that the operation needs; in the survivor's process if it was there before, otherwise in one that ends.
    fn prepare(&self, world: &World) -> Outcome<Self::Held>;

    /// In the victim, before points are counted.
    fn enter(&self, world: &World) -> Outcome<Self::Victim>;

    /// In the victim: the operation. Whatever it drops, by the end at the latest, counts as well.
    fn operate(&self, world: &World, victim: Self::Victim, acks: &mut Acks<'_>) -> Outcome;

    /// Whether [`recover`](Self::recover) is something: then it is killed at each of its points, too, after each death of a victim.
    fn recovers(&self) -> bool {
        false
    }

    /// What a successor does first.
    fn recover(&self, _world: &World) -> Outcome {
        Ok(())
    }

    /// In the survivor: recovers, checks that what was acknowledged is there, and the rest not at all or entirely, and goes on using it all.
    fn verify(&self, world: &World, held: Option<Self::Held>, death: &Death) -> Outcome;
}

/// What the rounds came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) kills: u64,
    pub(crate) acked: u64,
    pub(crate) failures: u64,
    pub(crate) hangs: u64,
    /// Nanoseconds from the survivor's being told of the death to its first operation.
    pub(crate) recoveries: Vec<u64>,
}

/// Any scenario.
pub(crate) trait Enumerate {
    fn title(&self) -> String;
    /// Runs all rounds and prints a line. Goes on after failures, up to a few.
    ///
    /// `budget`: how many rounds with successors there are at most (about); which ones, `seed` says.
    fn enumerate(&self, directory: &Path, budget: u64, seed: u64, tally: &mut Tally);
}

impl<S: Scenario> Enumerate for S {
    fn title(&self) -> String {
        self.name()
    }

    fn enumerate(&self, directory: &Path, budget: u64, seed: u64, tally: &mut Tally) {
        for witness in [Witness::Before, Witness::After] {
            let mut run = Run { scenario: self, directory, witness, rounds: 0, failures: 0, budget, seed, tally };
            let (kills, from) = (run.tally.kills, run.tally.recoveries.len());
            let points = run.all().unwrap_or_else(|error| {
                run.fail("counting its points", &*error);
                0
            });
            let slowest = tally.recoveries.iter().skip(from).max().copied().unwrap_or(0);
            let when = format!("{witness:?}").to_lowercase();
            println!(
                "  {:<44} {points:>3} points, {:>4} kills; survivor there {when:<6} recovers in {:.2} ms at most",
                self.name(),
                tally.kills - kills,
                slowest as f64 / 1e6
            );
        }
    }
}

struct Run<'a, S> {
    scenario: &'a S,
    directory: &'a Path,
    witness: Witness,
    rounds: u64,
    failures: u64,
    budget: u64,
    seed: u64,
    tally: &'a mut Tally,
}

/// No point is fatal.
const NEVER: u64 = u64::MAX;
/// A scenario that fails so often has been understood.
const ENOUGH: u64 = 3;

impl<S: Scenario> Run<'_, S> {
    /// All rounds; how many points the operation has.
    fn all(&mut self) -> Outcome<u64> {
        let (points, _) = self.round(NEVER, None)?;
        let points = points.ok_or("it was killed although no point was fatal")?;
        ensure!(points > 0, "it passes no crash point");
        for fatal in 0..=points {
            self.attempt(&format!("killed after point {fatal} of {points}"), fatal, None);
            if !self.scenario.recovers() {
                continue;
            }
            // Successors pass about as many points as their predecessor did.
            let stride = ((points + 1) * (points + 1)).div_ceil(self.budget).min(points + 1);
            if !(fatal + self.seed).is_multiple_of(stride) {
                continue;
            }
            for again in 0.. {
                let what = format!("killed after point {fatal} of {points}, its successor after point {again}");
                if !self.attempt(&what, fatal, Some(again)) {
                    break;
                }
            }
        }
        Ok(points)
    }

    /// A round whose failure is noted; whether the successor was killed in it.
    fn attempt(&mut self, what: &str, fatal: u64, again: Option<u64>) -> bool {
        if self.failures >= ENOUGH {
            return false;
        }
        match self.round(fatal, again) {
            Ok((_, killed)) => killed,
            Err(error) => {
                self.fail(what, &*error);
                false
            }
        }
    }

    /// Notes a failure and makes room for the next round.
    fn fail(&mut self, what: &str, error: &dyn std::error::Error) {
        self.failures += 1;
        self.tally.failures += 1;
        let message = error.to_string();
        self.tally.hangs += u64::from(message.contains("hangs"));
        println!("FAILED: {} ({:?}), {what}: {message}", self.scenario.name(), self.witness);
        for entry in std::fs::read_dir(self.directory).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
    }

    /// One world from beginning to end; the points that the operation passed, if it was not killed, and whether the successor was.
    fn round(&mut self, fatal: u64, again: Option<u64>) -> Outcome<(Option<u64>, bool)> {
        self.rounds += 1;
        let domain = Domain::new(&format!("r{}", self.rounds))?.in_directory(self.directory);
        let (scenario, witness) = (self.scenario, self.witness);
        let world = || World::new(domain.clone(), witness);

        let mut survivor = match witness {
            Witness::Before => {
                let mut survivor = Child::fork(|line| {
                    let world = world();
                    let held = scenario.prepare(&world)?;
                    line.send(b"ready")?;
                    survive(scenario, &world, Some(held), line)
                })?;
                said(&mut survivor.line, b"ready", "preparing")?;
                Some(survivor)
            }
            Witness::After => {
                let prepare = |_: &mut Line| scenario.prepare(&world()).map(drop);
                Child::fork(prepare)?.join(PATIENCE).map_err(|error| format!("preparing: {error}"))?;
                None
            }
        };

        let mut death = Death::default();
        let mut victim = Child::fork(|line| {
            let world = world();
            let victim = scenario.enter(&world)?;
            armed(fatal, || scenario.operate(&world, victim, &mut Acks(line)))?;
            line.send(&message(b'p', crash::passed()))?;
            kill_self();
            Ok(())
        })?;
        let points = self.listen(&mut victim, "the victim", Some(&mut death))?;

        let mut successor_killed = false;
        if let Some(again) = again {
            death.successor = true;
            let mut successor = Child::fork(|line| {
                armed(again, || scenario.recover(&world()))?;
                line.send(&message(b'p', crash::passed()))?;
                kill_self();
                Ok(())
            })?;
            successor_killed = self.listen(&mut successor, "the successor", None)?.is_none();
        }

        let mut survivor = match survivor.take() {
            Some(survivor) => survivor,
            None => Child::fork(|line| survive(scenario, &world(), None, line))?,
        };
        survivor.line.send(&death_message(&death))?;
        let judged = survivor.line.expect(PATIENCE).map_err(|error| format!("the survivor {error}"))?;
        match judged.split_first() {
            Some((b'v', time)) => self.tally.recoveries.push(number(time)),
            _ => return Err(format!("{} (acknowledged: {:?})", text(&judged), death.acked).into()),
        }
        survivor.join(PATIENCE).map_err(|error| format!("the survivor, at the end: {error}"))?;
        self.tally.acked += death.acked.len() as u64;
        let left: Vec<_> = std::fs::read_dir(self.directory)?.flatten().map(|entry| entry.file_name()).collect();
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok((points, successor_killed))
    }

    /// Listens to a process until its end; the points that it passed, if it came to its end.
    fn listen(&mut self, child: &mut Child, who: &str, mut death: Option<&mut Death>) -> Outcome<Option<u64>> {
        let mut points = None;
        loop {
            let heard = child.line.recv(PATIENCE)?;
            let Heard::Message(message) = heard else {
                ensure!(heard == Heard::Closed, "{who} hangs");
                child.kill()?;
                self.tally.kills += 1;
                return Ok(points);
            };
            match (message.split_first(), &mut death) {
                (Some((b'a', what)), Some(death)) => death.acked.push(number(what)),
                (Some((b'p', passed)), _) => points = Some(number(passed)),
                _ => return Err(format!("{who}: {}", text(&message)).into()),
            }
        }
    }
}

/// The survivor's part from the death on.
fn survive<S: Scenario>(scenario: &S, world: &World, held: Option<S::Held>, line: &mut Line) -> Outcome {
    let told = line.expect(Duration::from_secs(3600))?;
    let start = now();
    let death = Death {
        successor: told.first() == Some(&1),
        acked: told.get(1..).unwrap_or_default().chunks(8).map(number).collect(),
    };
    scenario.verify(world, held, &death)?;
    let recovered = world.recovered.get().unwrap_or_else(now);
    // What lives until removed is removed; and what a crash left is swept, as the next one in would.
    for (name, entry) in world.domain.list()? {
        match entry {
            Ok(entry) if entry.lifetime == Lifetime::UntilRemoved => world.domain.remove(&name)?,
            _ => {}
        }
    }
    world.domain.clean()?;
    line.send(&message(b'v', recovered.saturating_sub(start)))?;
    Ok(())
}

/// Runs it, to be killed after this crash point.
fn armed(fatal: u64, run: impl FnOnce() -> Outcome) -> Outcome {
    crash::arm(fatal, kill_self);
    if fatal == 0 {
        kill_self();
    }
    run()
}

fn said(line: &mut Line, expected: &[u8], doing: &str) -> Outcome {
    let heard = line.expect(PATIENCE).map_err(|error| format!("{doing}: {error}"))?;
    ensure!(heard == expected, "{doing}: {}", text(&heard));
    Ok(())
}

fn message(kind: u8, number: u64) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(number.to_ne_bytes());
    message
}

fn death_message(death: &Death) -> Vec<u8> {
    let mut message = vec![u8::from(death.successor)];
    message.extend(death.acked.iter().flat_map(|what| what.to_ne_bytes()));
    message
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_ne_bytes)
}

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(message).into_owned()
}
