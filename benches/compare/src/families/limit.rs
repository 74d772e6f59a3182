//! `limit.line`: the yardstick itself.

use super::{Run, Side};
use crate::process::{Fallible, Job};
use crate::report::Goal;

/// 8 bytes and 64 bytes against each other: the second line's share of the way.
pub(crate) fn line(run: &mut Run<'_>) -> Fallible<()> {
    let side = |bytes| Side::pair(Job::new("one_way", "line", bytes));
    run.row("ns", Some(side(64)), "the line with 8 bytes (ours: 64)", side(8), Goal::None)
}
