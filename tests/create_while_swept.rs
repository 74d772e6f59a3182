//! Creating on a file system without `O_TMPFILE` once failed with "no such segment" now and then.
//!
//! There a segment in the making has a name, and until its creator has locked it, it looks like what a crash left: a sweep (and every
//! creation sweeps) took it away. A creator whose temporary was swept starts over with another.

#[allow(dead_code, reason = "shared with the other tests")]
#[path = "common/process.rs"]
mod process;

use std::time::Duration;

use process::{Child, Outcome, without_tmpfile};
use sharedware::{Domain, Options, Segment};

#[test]
fn creators_survive_the_sweeps_of_others() -> Outcome {
    let domain = Domain::new(&format!("create-swept-{}", std::process::id()))?;
    let create = |name: &'static str| {
        let domain = domain.clone();
        Child::fork(move |_| {
            without_tmpfile()?;
            for _ in 0..400 {
                Segment::create(&domain, name, 64, &Options::new())?;
                domain.clean()?;
            }
            Ok(())
        })
    };
    let mut creators = [create("a")?, create("b")?, create("c")?];
    for creator in &mut creators {
        creator.join(Duration::from_secs(20))?;
    }
    ensure!(domain.list()?.is_empty(), "left behind: {:?}", domain.list()?);
    Ok(())
}
