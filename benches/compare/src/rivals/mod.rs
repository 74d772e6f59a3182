//! Everyone else, each tuned as its own documentation and benchmarks tune it; what was chosen and why is said in each file.

pub(crate) mod files;
pub(crate) mod guarded;
pub(crate) mod iceoryx;
pub(crate) mod ipc;
pub(crate) mod mutexed;
pub(crate) mod pthread;
pub(crate) mod seqlock;
pub(crate) mod sleepers;
pub(crate) mod threads;
