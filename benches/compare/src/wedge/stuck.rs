//! What those who stand still do, read from `/proc`: who sleeps on a futex, what its word holds, and whether its owner lives.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What the kernel and glibc put into a robust mutex's word beside the owner's thread number.
const WAITERS: u32 = 0x8000_0000;
const OWNER_DIED: u32 = 0x4000_0000;
const THREAD: u32 = 0x3fff_ffff;

/// In a few words, and in full.
pub(super) fn describe(pids: &[u32]) -> (String, String) {
    let (mut kinds, texts): (Vec<_>, Vec<_>) = pids.iter().map(|&pid| of(pid)).unzip();
    kinds.sort();
    kinds.dedup();
    (kinds.join(" / "), texts.join(", "))
}

fn of(pid: u32) -> (String, String) {
    let running = |why: &str| (why.to_owned(), why.to_owned());
    let Ok(call) = std::fs::read_to_string(format!("/proc/{pid}/syscall")) else {
        return running("cannot be looked at");
    };
    let fields: Vec<&str> = call.split_ascii_whitespace().collect();
    let number = fields.first().and_then(|field| field.parse::<i64>().ok());
    if number != Some(libc::SYS_futex) {
        return running(if number.is_none() { "is running" } else { "sleeps in another system call" });
    }
    let Some(mutex) = fields.get(1).and_then(|address| Mutex::read(pid, address)) else {
        return running("sleeps on a futex that cannot be read");
    };
    mutex.describe()
}

/// The first words of glibc's `pthread_mutex_t`: lock, count, owner, users, kind.
struct Mutex([u32; 5]);

impl Mutex {
    fn read(pid: u32, address: &str) -> Option<Self> {
        let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
        let mut bytes = [0; 20];
        File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut bytes, address).ok()?;
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * at + byte]));
        Some(Self(std::array::from_fn(word)))
    }

    fn describe(&self) -> (String, String) {
        let [lock, _, owner, _, kind] = self.0;
        // PTHREAD_MUTEX_ROBUST_NORMAL_NP among the bits of a mutex's kind. Others keep 1 or 2 in the word and the owner apart.
        let robust = kind & 16 != 0;
        let owner = if robust { lock & THREAD } else { owner };
        let lives = Path::new(&format!("/proc/{owner}")).exists();
        let kind = match (lock, owner) {
            (0, _) => "sleeps, and the lock is free".to_owned(),
            _ if robust && owner == 0 && lock & OWNER_DIED != 0 => "sleeps, and the lock's owner has died".to_owned(),
            (_, 0) => "sleeps, and the lock has no owner".to_owned(),
            _ if lives && robust && lock & WAITERS == 0 => "sleeps unannounced, and the lock's owner lives".to_owned(),
            _ if lives => "sleeps, and the lock's owner lives".to_owned(),
            _ => "sleeps, and the lock's owner is dead".to_owned(),
        };
        let text = format!("{kind} (word {lock:#010x}, owner {owner})");
        (kind, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROBUST: u32 = 144;

    #[test]
    fn a_word_tells_who_is_waited_for() {
        let here = std::process::id();
        let kind = |words| Mutex(words).describe().0;
        assert_eq!(kind([0, 0, 0, 0, ROBUST]), "sleeps, and the lock is free");
        assert_eq!(kind([WAITERS | OWNER_DIED, 0, 0, 0, ROBUST]), "sleeps, and the lock's owner has died");
        assert_eq!(kind([here, 0, 0, 0, ROBUST]), "sleeps unannounced, and the lock's owner lives");
        assert_eq!(kind([here | WAITERS, 0, 0, 0, ROBUST]), "sleeps, and the lock's owner lives");
        assert_eq!(kind([2, 0, here, 0, 128]), "sleeps, and the lock's owner lives");
        assert_eq!(kind([2, 0, THREAD, 0, 128]), "sleeps, and the lock's owner is dead");
        assert_eq!(kind([2, 0, 0, 0, 128]), "sleeps, and the lock has no owner");
    }

    #[test]
    fn whoever_is_gone_cannot_be_looked_at() {
        assert_eq!(describe(&[u32::MAX]).0, "cannot be looked at");
    }
}
