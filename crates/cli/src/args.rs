//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::size;

const STATUSES: &str = "\
Exit status:
  0  all went well
  1  it failed; standard error says why
  2  the command line cannot be understood
  3  there is no such segment
  4  the process on the other side died, or left before the end
  5  `locks` found a deadlock, and showed it

Environment:
  SHAREDWARE_DOMAIN  as --domain
  SHAREDWARE_DIR     as --dir
  NO_COLOR           if set, no colours";

const EXAMPLES: &str = "\
Examples:
  sharedware demo                             see it work
  sharedware send x <big & sharedware recv x | sha256sum
  sharedware ls";

/// Structures in shared memory: send streams through them, and look at what lives there. No server.
#[derive(Debug, Parser)]
#[command(name = "sharedware", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{STATUSES}"))]
pub(crate) struct Arguments {
    /// The domain, the namespace that names are in; if not given, `u` and your user id
    #[arg(long, global = true, value_name = "NAME", env = "SHAREDWARE_DOMAIN", hide_env = true)]
    pub(crate) domain: Option<String>,

    /// The directory that shared memory is in; if not given, /dev/shm
    #[arg(long, global = true, value_name = "DIRECTORY", env = "SHAREDWARE_DIR", hide_env = true)]
    pub(crate) dir: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See it work: processes share a ring and slots, are killed and replaced, and lose nothing
    Demo(Demo),
    /// One of the processes of the demo
    #[command(hide = true)]
    DemoWorker(DemoWorker),
    /// Send standard input or a file to whoever receives under this name
    Send(Send),
    /// Receive what is sent under this name, to standard output
    Recv(Recv),
    /// List what the domain holds
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Show everything about one segment
    Stat(Stat),
    /// List the locks: who holds them, who waits for whom, and deadlocks
    Locks(Locks),
    /// Print the values in slots, rings and locks, by their schema
    Dump(Dump),
    /// Remove what crashes left behind
    Clean(Clean),
    /// Remove a segment by name
    Rm(Rm),
    /// Print the completions for a shell
    #[command(after_help = "Example:\n  source <(sharedware completions bash)")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// See it work: processes share a ring and slots, are killed and replaced, and lose nothing.
///
/// On a terminal it is a live display; otherwise a line each second. Meanwhile `sharedware ls`, `sharedware dump demo.quotes` or
/// `kill -9` of any of its processes in another terminal are welcome. Everything is gone at the end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sharedware demo
  sharedware demo --seconds 60 --plain")]
pub(crate) struct Demo {
    /// How long it takes
    #[arg(long, value_name = "NUMBER", default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,

    /// What the names of its segments start with
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub(crate) name: String,

    /// Lines instead of a live display, even on a terminal
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoWorker {
    pub(crate) role: Role,

    #[arg(long)]
    pub(crate) name: String,
}

/// What a process of the demo does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Pushes.
    Feed,
    /// Pops.
    Book,
    /// Reads.
    Watch,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Book => "book",
            Self::Watch => "watch",
        }
    }
}

/// Send standard input or a file to whoever receives under this name.
///
/// Sender and receiver may start in either order. The sender stays until everything was received: then it ends with status 0, and so
/// does the receiver. If the receiver dies or leaves before that, the sender ends with status 4, or, with --wait, waits for
/// another one, which goes on at the record where the last one stopped.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sharedware send backup <big.tar
  sharedware send backup --file big.tar
  tail -f log | sharedware send log --lines --wait")]
pub(crate) struct Send {
    /// The name to send under
    pub(crate) name: String,

    /// Send this file instead of standard input
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Send each line as a record of its own, without its newline
    #[arg(long, short)]
    pub(crate) lines: bool,

    /// The size of the ring, such as 64K or 4M; a line can be half of it, less 16 bytes
    #[arg(long, value_name = "SIZE", default_value = "4M", value_parser = size::parse)]
    pub(crate) capacity: u64,

    /// If the receiver dies or leaves, wait for another one
    #[arg(long)]
    pub(crate) wait: bool,

    /// Go on with the stream of a sender that died, whose receiver waits with --wait
    #[arg(long)]
    pub(crate) resume: bool,
}

/// Receive what is sent under this name, to standard output.
///
/// Ends with status 0 at the end of the stream. If the sender dies or leaves before that, everything that it had sent is still
/// written, and the status is 4; or, with --wait, the receiver waits for a `send --resume` to go on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sharedware recv backup >big.tar
  sharedware recv log --lines | grep error")]
pub(crate) struct Recv {
    /// The name to receive under
    pub(crate) name: String,

    /// Write a newline after each record
    #[arg(long, short)]
    pub(crate) lines: bool,

    /// If the sender dies or leaves, wait for another one to go on
    #[arg(long)]
    pub(crate) wait: bool,
}

/// List what the domain holds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sharedware ls
  sharedware ls --json | jq -r '.segments[] | select(.in_use | not) | .name'")]
pub(crate) struct Ls {
    /// Print one JSON document instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    /// Also what the library keeps for itself, such as @peers
    #[arg(long, short)]
    pub(crate) all: bool,
}

/// Show everything about one segment.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sharedware stat prices")]
pub(crate) struct Stat {
    /// The segment
    pub(crate) name: String,

    /// Print one JSON document instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the locks of the domain and their kin, also those within raw segments: who holds them, who waits for whom, and who waits in a circle.
///
/// Locks nothing and disturbs nobody: what is shown was so at some moment, and may be over. "Held" is counted from the moment on at which
/// somebody waiting saw it; those who wait for less than some milliseconds are not shown. Ends with status 5 if there is a deadlock: threads that
/// wait for each other in a circle, seen in two looks. (If one of them waits with a timeout, it may still go on.)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sharedware locks
  sharedware locks --waiting
  sharedware locks --json | jq '.deadlocks'")]
pub(crate) struct Locks {
    /// Only these segments, or these locks (NAME+OFFSET within a raw segment)
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// Only locks that somebody waits for
    #[arg(long, short)]
    pub(crate) waiting: bool,

    /// Print one JSON document instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print the values in slots, rings and locks, by their schema. Takes nothing out, locks nothing and disturbs nobody.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sharedware dump prices
  sharedware dump log --limit 10
  sharedware dump prices --json | jq '.values[0].value'")]
pub(crate) struct Dump {
    /// The segment
    pub(crate) name: String,

    /// Print one JSON document instead of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Print at most this many values (of raw segments: rows of 16 bytes)
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    pub(crate) limit: usize,
}

/// Remove what crashes left behind: segments that live while used and that nobody uses. Never what somebody uses, nor what is
/// to stay until removed by name.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sharedware clean --dry-run")]
pub(crate) struct Clean {
    /// Only say what would be removed
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,

    /// Print one JSON document instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Remove a segment by name. Who uses it keeps it until they let go; the name is free at once.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sharedware rm prices")]
pub(crate) struct Rm {
    /// The segments
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}
