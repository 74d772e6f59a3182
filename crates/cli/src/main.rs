//! The `sharedware` tool: streams through shared memory, and a look at what lives there.

#![forbid(unsafe_code)]

mod args;
mod clean;
mod demo;
mod dump;
mod exit;
mod locks;
mod ls;
mod output;
mod progress;
mod recv;
mod rm;
mod send;
mod signals;
mod size;
mod stat;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use sharedware::Domain;

use args::{Arguments, Command};
use exit::Outcome;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => exit.end(),
    }
}

fn run(arguments: Arguments) -> Outcome {
    let domain = || domain(&arguments);
    match &arguments.command {
        Command::Demo(args) => demo::run(&domain()?, args),
        Command::DemoWorker(args) => demo::work(&domain()?, args),
        Command::Send(args) => send::run(&domain()?, args),
        Command::Recv(args) => recv::run(&domain()?, args),
        Command::Ls(args) => ls::run(&domain()?, args),
        Command::Stat(args) => stat::run(&domain()?, args),
        Command::Locks(args) => locks::run(&domain()?, args),
        Command::Dump(args) => dump::run(&domain()?, args),
        Command::Clean(args) => clean::run(&domain()?, args),
        Command::Rm(args) => rm::run(&domain()?, args),
        Command::Completions { shell } => completions(*shell),
    }
}

/// The domain that the options or the environment name.
fn domain(arguments: &Arguments) -> Outcome<Domain> {
    let domain = match &arguments.domain {
        Some(name) => Domain::new(name)?,
        None => Domain::from_env()?,
    };
    Ok(match &arguments.dir {
        Some(directory) => domain.in_directory(directory),
        None => domain,
    })
}

fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "sharedware", &mut script);
    output::write(&script)
}
