//! The side words, as loom sees them: a side has one owner, whoever comes at the same time.

use loom::thread;

use super::error::{AttachError, Gone, PopError};
use super::side::{PeerState, Role, SIDE_WORDS, Side};
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::peer::{self, Peer};
use crate::segment::region::{WordArray, Words};

fn words() -> WordArray<SIDE_WORDS> {
    Words::on_heap((0..SIDE_WORDS).map(|_| Word::new(0)).collect()).array(0).unwrap()
}

fn take(words: &WordArray<SIDE_WORDS>, slot: u64) -> Result<Side, AttachError> {
    Side::take(words.clone(), Role::Producer, Peer::model(slot))
}

/// Two come at the same time for a side in the state that `before` leaves it in; exactly one gets it.
fn one_of_two_wins(before: impl Fn(&WordArray<SIDE_WORDS>) + Send + Sync + 'static) {
    loom::model(move || {
        let words = words();
        before(&words);
        let rivals = [1, 2].map(|slot| {
            let words = words.clone();
            thread::spawn(move || {
                let side = take(&words, slot);
                assert!(matches!(side, Ok(_) | Err(AttachError::Taken { .. })));
                side
            })
        });
        let sides = rivals.map(|rival| rival.join().unwrap());
        assert_eq!(sides.iter().filter(|side| side.is_ok()).count(), 1);
    });
}

#[test]
fn loom_one_of_two_takes_a_new_side() {
    one_of_two_wins(|_| {});
}

#[test]
fn loom_one_of_two_follows_who_left() {
    one_of_two_wins(|words| drop(take(words, 3).unwrap()));
}

#[test]
fn loom_one_of_two_follows_a_dead_owner() {
    one_of_two_wins(|words| {
        std::mem::forget(take(words, 3).unwrap());
        peer::model::bury(3);
    });
}

/// The owner leaves or dies while two wait to follow; each tries once, so at most one has it in the end, and sees what the owner did.
#[test]
fn loom_the_owner_goes_while_others_come() {
    for leaves in [false, true] {
        loom::model(move || {
            let words = words();
            let side = take(&words, 3).unwrap();
            let rivals = [1, 2].map(|slot| {
                let words = words.clone();
                thread::spawn(move || {
                    let side = take(&words, slot);
                    if side.is_ok() {
                        assert_eq!(
                            words.at::<7>().load(Relaxed),
                            9,
                            "what the last owner did is before what the next does"
                        );
                    }
                    side
                })
            });
            words.at::<7>().store(9, Relaxed);
            if leaves {
                drop(side);
            } else {
                std::mem::forget(side);
                peer::model::bury(3);
            }
            let sides = rivals.map(|rival| rival.join().unwrap());
            assert!(sides.iter().filter(|side| side.is_ok()).count() <= 1);
            if sides.iter().all(Result::is_err) {
                take(&words, 4).unwrap();
            }
        });
    }
}

/// Who asks about the other side hears what is so, and never that a living owner is gone.
#[test]
fn loom_a_successor_is_not_taken_for_dead() {
    loom::model(|| {
        let words = words();
        std::mem::forget(take(&words, 3).unwrap());
        peer::model::bury(3);
        let successor = {
            let words = words.clone();
            thread::spawn(move || take(&words, 1).unwrap())
        };
        let consumer = Side::take(words.clone(), Role::Consumer, Peer::model(2)).unwrap();
        let before = consumer.other().unwrap();
        assert!(matches!(before, PeerState::Dead | PeerState::Alive(_)));
        let successor = successor.join().unwrap();
        assert!(matches!(consumer.other().unwrap(), PeerState::Alive(_)));
        drop(successor);
        assert_eq!(consumer.other().unwrap(), PeerState::Left);
        let verdict = consumer.check_other(PopError::Disconnected);
        assert!(matches!(verdict, Err(PopError::Disconnected(Gone::Left))));
    });
}
