//! The chores of the house: `cargo xtask test`, `cargo xtask bench`, `cargo xtask soak`.

mod bench;
mod crash;
mod fuzz;
mod leftovers;
mod manifest;
mod model;
mod run;
mod soak;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the house.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Everything that must pass before a commit reaches main; stops at the first step that fails
    Test(test::Arguments),
    /// Compare with the limits of the machine and with the rivals, in real processes
    Bench(bench::Arguments),
    /// Kill processes at random and fuzz, for as long as you like, after the larger models
    Soak(soak::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Bench(arguments) => return bench::run(&arguments),
        Chore::Soak(arguments) => soak::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
