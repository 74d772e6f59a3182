//! `rm`: segments removed by name.

use sharedware::Domain;

use crate::args::Rm;
use crate::exit::Outcome;

pub(crate) fn run(domain: &Domain, args: &Rm) -> Outcome {
    for name in &args.names {
        domain.remove(name)?;
    }
    Ok(())
}
