//! The end of a thread, behind the destructors of all its thread-locals.
//!
//! # Safety
//!
//! The unsafe code here is `pthread_key_create` and `pthread_setspecific` with a function that lives as long as the program, and values that are
//! numbers: nobody follows them.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::OnceLock;

/// What is done at the end, and the key whose destructor does it; `None` if there was none left.
static KEY: OnceLock<(fn(), Option<libc::pthread_key_t>)> = OnceLock::new();

/// In the first round of destructors; in the second.
const ROUNDS: [usize; 2] = [1, 2];

/// Has `act`, the same for all threads, called when this thread ends (not the process with it). `false` if it will not be. To be called under
/// the fork gate.
///
/// glibc calls the destructors of keys behind those of thread-locals; where thread-locals hang on a key themselves they are destroyed in the first round.
pub(crate) fn watch(act: fn()) -> bool {
    let (_, key) = KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: room for a key; the function lives for ever.
        let result = unsafe { libc::pthread_key_create(&raw mut key, Some(end)) };
        (act, (result == 0).then_some(key))
    });
    key.is_some_and(|key| arm(key, ROUNDS[0]))
}

fn arm(key: libc::pthread_key_t, round: usize) -> bool {
    // SAFETY: the key is never deleted; the value is a number.
    unsafe { libc::pthread_setspecific(key, std::ptr::without_provenance(round)) == 0 }
}

unsafe extern "C" fn end(round: *mut c_void) {
    let Some((act, Some(key))) = KEY.get() else { return };
    if round.addr() != ROUNDS[0] || !arm(*key, ROUNDS[1]) {
        act();
    }
}
