/* The lock core between processes. What is modelled, what is not, and what the flags mean: README.md. */

/* How many processes, 2 to 4; how often the first one comes, and the others. */
#ifndef N
#define N 3
#endif
#ifndef TURNS
#define TURNS 1
#endif
#ifndef OTHERS
#define OTHERS TURNS
#endif
/* At most so many die, and so many waits reach their deadline (2 each). */
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0
#endif

/* Once for each process. Number N + 1 is the stranger. */
#if N == 2
#define EACH(what) what(1); what(2)
#elif N == 3
#define EACH(what) what(1); what(2); what(3)
#else
#define EACH(what) what(1); what(2); what(3); what(4)
#endif
#ifdef RAW
#define ALL(what) EACH(what); what(N + 1)
#else
#define ALL(what) EACH(what)
#endif

#define ME (_pid)
#define BIT(who) (1 << (who))
#define MY_BIT BIT(_pid)

/* OWNER: who holds it, and two bits. */
#define INCONSISTENT 8
#define SETTLING 16
#define WHO(word) ((word) & 7)
#define FREE (WHO(owner) == 0)
/* What the CAS from free makes of it. */
#ifdef RAW
#define TAKEN (owner | ME | SETTLING)
#else
#define TAKEN (owner | ME)
#endif

byte owner;
byte bell;            /* bit 0: SLEEPING; above it: how often it was rung */
byte next;            /* whom the others let pass */
byte spinner;         /* who spins, so that nobody need be woken */

/* The kernel. */
byte asleep;          /* who is in its queue; a bit for each, as below */
byte dead;
byte slices[N + 2];   /* how many of each one's sleeps may end by the clock */
byte deaths_left;
byte timeouts_left;

/* The truth, for the assertions only. */
byte inside;          /* who holds the lock */
bool hurt;            /* an owner died, and nobody has declared the data consistent since */
bool someone_died;
byte gone;            /* who has come to its end alive */

/* Each one's store that nobody else can see yet: what it stores in OWNER, plus 1. */
#ifdef BUFFERED
byte buffer[N + 2];
#define DRAIN(who) if :: buffer[who] -> owner = buffer[who] - 1; buffer[who] = 0 :: else fi
#define STORE_OWNER(word) buffer[ME] == 0 -> buffer[ME] = (word) + 1
#else
#define DRAIN(who) skip
#define STORE_OWNER(word) owner = (word)
#endif

/* ---- Seeded mistakes that are a word in another place ---- */

#define DEAD(who) ((who) != 0 && (dead & BIT(who)))
#ifdef ASKS_NOBODY
#define TO_BE_TAKEN_OVER(word) (WHO(word) != 0)
#else
#define TO_BE_TAKEN_OVER(word) DEAD(WHO(word))
#endif

#ifdef BLIND_TAKEOVER
#define STILL(word) true
#else
#define STILL(word) (owner == (word))
#endif

#ifdef BLIND_UNLOCK
#define STILL_LOCKED(word) true
#else
#define STILL_LOCKED(word) (owner == (word))
#endif

#ifdef MARK_LOST
#define TAKEN_OVER (ME | SETTLING)
#else
#define TAKEN_OVER (ME | INCONSISTENT | SETTLING)
#endif

#ifdef FORGETS_INCONSISTENT
#define GIVEN_BACK 0
#else
#define GIVEN_BACK (told -> INCONSISTENT : 0)
#endif

#ifdef SPINNER_OUTRANKS_NEXT
#define NOBODY_IS_NEXT true
#else
#define NOBODY_IS_NEXT (next == 0 || next == spinner)
#endif

#ifdef RINGS_UNCOUNTED
#define RUNG(word) 0
#else
#define RUNG(word) ((word) + 1)
#endif

#ifdef STRANGER_HURRIES
#define MAY_UNLOCK(word) (WHO(word) != 0)
#else
#define MAY_UNLOCK(word) (WHO(word) != 0 && (!((word) & SETTLING) || DEAD(WHO(word))))
#endif

/* ---- NEXT: all let pass whom it names, unless their time is up ---- */

#ifdef NEXT
#define MAY_PASS (next == 0 || next == ME || leaving)
/* It has waited long: anyone may think so. */
#define MAYBE_NEXT if :: atomic { !leaving && next == 0 -> next = ME } :: true fi
#define NEXT_NO_MORE atomic { if :: next == ME -> next = 0 :: else fi }
#else
#define MAY_PASS true
#define MAYBE_NEXT skip
#define NEXT_NO_MORE skip
#endif

/* A slice ends only after somebody has died, so that it does not hide a wake-up that was lost among the living. */
#ifdef NEXT
#define SLICE_ENDS (slices[ME] || DEAD(WHO(owner)) || DEAD(next) || DEAD(spinner))
#else
#define SLICE_ENDS (slices[ME] || DEAD(WHO(owner)) || DEAD(spinner))
#endif

/* ---- Steps ---- */

/* The CAS, or the blind store, by which somebody comes to own it. */
inline acquired(new) {
    owner = new;
    assert(inside == 0);
    inside = inside | MY_BIT;
    told = (owner & INCONSISTENT) != 0;
    settling = (owner & SETTLING) != 0;
    assert(told || !hurt);
    assert(!told || someone_died);
    seen = 0; leaving = 0
}

inline wake_one() {
    if
    :: asleep & BIT(1) -> asleep = asleep & ~BIT(1)
    :: asleep & BIT(2) -> asleep = asleep & ~BIT(2)
#if N > 2
    :: asleep & BIT(3) -> asleep = asleep & ~BIT(3)
#endif
#if N > 3
    :: asleep & BIT(4) -> asleep = asleep & ~BIT(4)
#endif
    :: asleep == 0
    fi
}

/* FUTEX_WAKE of one, anyone of them; of all, if it is somebody's in particular. */
inline wake() {
    if
#if defined(NEXT) && !defined(NEXT_WAKES_ONE)
    :: next != 0 -> asleep = 0
    :: next == 0 -> wake_one()
#else
    :: true -> wake_one()
#endif
    fi
}

inline end_of(process) {
    if
    :: dead & BIT(process)
    :: else -> gone = gone | BIT(process); slices[process] = 0
    fi
}

proctype Process() {
    byte turn, word, seen, before;
#ifdef SPINNER
    byte rival;    /* who spun when it went to sleep */
#endif
    bool told;     /* that the data are inconsistent */
    bool settling; /* the CAS by which it came to own it said SETTLING */
    bool leaving;  /* its deadline has passed */
    {
    skip;

fast:
    atomic {
        word = 0; told = 0; settling = 0; leaving = 0;
        if
        :: turn == (ME == 1 -> TURNS : OTHERS) -> goto done
        :: else -> turn++
        fi;
        DRAIN(ME);
        if
        :: FREE && MAY_PASS -> acquired(TAKEN); goto won
        :: else
        fi
    }

#ifdef SPINNER
    if
    :: atomic { spinner == 0 -> spinner = ME }
    :: goto slow
    fi;
    MAYBE_NEXT;
    atomic {
        DRAIN(ME);
        if
        :: FREE && MAY_PASS -> acquired(TAKEN); goto won_spinning
        :: else
        fi
    }
    NEXT_NO_MORE;
#ifndef SPINS_TO_THE_LAST
    atomic { DRAIN(ME); if :: spinner == ME -> spinner = 0 :: else fi }
#ifndef SPINNER_OUTRANKS_NEXT
    /* Nobody was woken for what was given back meanwhile. */
    if
    :: FREE -> atomic {
            seen = bell;
            if
            :: seen & 1
            :: else -> seen = 0; goto slow
            fi
        }
        atomic {
            if
            :: spinner != 0 && NOBODY_IS_NEXT -> seen = 0; goto slow
            :: else
            fi
        }
        atomic {
            DRAIN(ME);
            if
            :: bell == seen -> bell = RUNG(seen); seen = 0
            :: else -> seen = 0; goto slow
            fi
        }
        atomic { wake() }
    :: else
    fi;
#endif
#endif
#endif

slow:
    MAYBE_NEXT;
announce:
    atomic {
        if
        :: bell & 1
        :: else -> DRAIN(ME); bell++
        fi;
        seen = bell
    }
#if defined(BUFFERED) && !defined(NO_HEAVY)
#ifdef LEAVES_LIGHTLY
    atomic { if :: leaving :: else -> ALL(DRAIN) fi }
#else
    atomic { ALL(DRAIN) }
#endif
#endif
#ifndef LOOKS_NO_MORE
    atomic {
        DRAIN(ME);
        if
        :: FREE && MAY_PASS -> acquired(TAKEN); goto won
        :: else
        fi
    }
#endif
#ifdef SPINS_TO_THE_LAST
    atomic { if :: spinner == ME -> spinner = 0 :: else fi }
#endif
    /* FUTEX_WAIT. */
    atomic {
        if
        :: leaving -> goto ask
        :: !leaving && bell != seen -> goto slow
        :: !leaving && bell == seen -> asleep = asleep | MY_BIT
        fi;
        seen = 0;
#ifdef NEXT
        before = next;
#endif
#ifdef SPINNER
        rival = spinner
#endif
    }
    /* Woken; or the slice has ended; or the time is up, which may also show when one was woken. */
    atomic {
        if
        :: !(asleep & MY_BIT) -> before = 0;
#ifdef SPINNER
            rival = 0;
#endif
#if TIMEOUTS > 0
            if
            :: timeouts_left -> timeouts_left--; goto time_is_up
            :: true
            fi;
#endif
#if defined(LOST_WAITERS_BIT) || defined(SLEEPING_AFTERWARDS)
            goto bare
#else
            goto slow
#endif
        :: (asleep & MY_BIT) && SLICE_ENDS -> asleep = asleep & ~MY_BIT;
            if
            :: slices[ME] -> slices[ME]--
            :: else
            fi
#if TIMEOUTS > 0
        :: (asleep & MY_BIT) && timeouts_left -> asleep = asleep & ~MY_BIT; before = 0;
            timeouts_left--; goto time_is_up
#endif
        fi
    }

ask:
#ifdef SPINNER
    atomic { if :: rival != 0 && rival == spinner && !leaving -> spinner = 0 :: else fi; rival = 0 }
#endif
    atomic {
        word = owner;
#ifdef NEXT
        /* The lock is free, and somebody had it all to himself for a slice. */
        if
        :: !leaving && FREE && next != 0 && next != ME && next == before -> word = 0; goto revoke
        :: else
        fi;
#endif
        before = 0;
        if
        :: TO_BE_TAKEN_OVER(word) -> goto take_over
        :: else -> word = 0
        fi;
        if
        :: leaving -> goto leave
        :: else -> goto slow
        fi
    }

#ifdef NEXT
revoke:
    atomic {
        if
        :: next == before -> next = 0
        :: else
        fi;
        before = 0;
        goto slow
    }
#endif

#if defined(LOST_WAITERS_BIT) || defined(SLEEPING_AFTERWARDS)
bare:
    atomic {
        DRAIN(ME);
        if
        :: FREE && MAY_PASS -> acquired(TAKEN)
        :: else -> goto slow
        fi
    }
#ifdef SLEEPING_AFTERWARDS
    /* Only once it has settled. */
    atomic { if :: settling -> owner = owner & ~SETTLING; settling = 0 :: else fi }
    atomic { if :: bell & 1 :: else -> bell++ fi }
#endif
    goto won;
#endif

take_over:
    atomic {
        DRAIN(ME);
        if
        :: STILL(word) -> acquired(TAKEN_OVER); word = 0
        :: else -> word = 0;
            if
            :: leaving -> goto leave
            :: else -> goto slow
            fi
        fi
    }

#ifdef SPINNER
    goto won;
won_spinning:
    NEXT_NO_MORE;
    atomic { DRAIN(ME); if :: spinner == ME -> spinner = 0 :: else fi }
#endif

won:
    NEXT_NO_MORE;
    /* Here it stores HOLDER. Then SETTLING ends. */
    if
    :: atomic { settling -> STORE_OWNER(ME | (told -> INCONSISTENT : 0)); settling = 0; assert(inside & MY_BIT) }
    :: !settling
    fi;

#ifdef RAW
    /* Unlocks, if it is still ours; a stranger may do so at the same time. */
    atomic {
        DRAIN(ME);
        word = owner;
        if
        :: WHO(word) == ME
        :: else -> goto fast
        fi
    }
    if
    :: atomic { word & INCONSISTENT -> if :: owner == word -> owner = ME; word = ME; hurt = 0 :: else -> goto fast fi }
    :: true
    fi;
    atomic {
        if
        :: owner == word -> owner = word & INCONSISTENT; inside = inside & ~MY_BIT; told = 0; word = 0
        :: else -> goto fast
        fi
    }
#else
    if
    :: atomic { told -> STORE_OWNER(ME); assert(inside & MY_BIT); hurt = 0; told = 0 }
    :: true
    fi;
    atomic { STORE_OWNER(GIVEN_BACK); assert(inside & MY_BIT); inside = inside & ~MY_BIT; told = 0 }
#endif

ring:
    atomic {
        seen = bell;
        if
        :: seen & 1
        :: else -> seen = 0; goto fast
        fi
    }
#ifdef SPINNER
    atomic {
        if
        :: spinner != 0 && NOBODY_IS_NEXT -> seen = 0; goto fast
        :: else
        fi
    }
#endif
#ifdef WAKES_FIRST
    atomic { wake() }
#endif
    atomic {
        DRAIN(ME);
        if
        :: bell == seen -> bell = RUNG(seen); seen = 0
        :: else -> seen = 0; goto fast /* another was faster, and wakes */
        fi
    }
#ifndef WAKES_FIRST
    atomic { wake() }
#endif
    goto fast;

#if TIMEOUTS > 0
time_is_up:
#ifdef LEAVES_AT_ONCE
    goto leave;
#elif defined(LEAVES_AFTER_A_LOOK)
    atomic { if :: FREE -> wake() :: else fi; goto leave }
#else
    /* As if to sleep once more, since a wake-up may have been meant for somebody: either it gets the lock, or its owner sees SLEEPING. */
    atomic { leaving = 1; goto announce }
#endif
#endif

leave:
#ifdef NEXT
    NEXT_NO_MORE;
#ifndef NEXT_CLEARED_QUIETLY
    /* Who let us pass may have gone to sleep beside a free lock. */
    atomic { if :: bell & 1 :: else -> DRAIN(ME); bell++ fi }
#ifdef BUFFERED
    atomic { ALL(DRAIN) }
#endif
    if
    :: FREE -> goto ring
    :: else
    fi;
#endif
#endif
    goto fast

    } unless { dead & MY_BIT };
done:
    atomic { end_of(_pid);
#ifdef SPINNER
        rival = 0;
#endif
        turn = 0; word = 0; seen = 0; before = 0; told = 0; settling = 0; leaving = 0 }
}

#ifdef RAW
/* Unlocks what it sees locked, by whomever, once; waits for who is settling. */
proctype Stranger() {
    byte word, seen;
    {
    skip;
end:
    atomic { MAY_UNLOCK(owner) -> word = owner }
    atomic {
        if
        :: STILL_LOCKED(word) -> owner = word & INCONSISTENT; inside = inside & ~BIT(WHO(word));
            if
            :: word & INCONSISTENT
            /* Whoever unlocks the lock of a dead owner answers for the data. */
            :: else -> hurt = 0
            fi
        :: else -> goto done
        fi
    }
    atomic {
        seen = bell;
        if
        :: seen & 1
        :: else -> goto done
        fi
    }
#ifdef SPINNER
    atomic {
        if
        :: spinner != 0 && NOBODY_IS_NEXT -> goto done
        :: else
        fi
    }
#endif
    atomic {
        if
        :: bell == seen -> bell = RUNG(seen)
        :: else -> goto done
        fi
    }
    atomic { wake(); goto done }
    } unless { dead & MY_BIT };
done:
    atomic { end_of(_pid); word = 0; seen = 0 }
}
#endif

/* ---- Death ---- */

#define GIVE_A_SLICE(who) if :: (dead | gone) & BIT(who) :: else -> slices[who]++ fi

/* What it has stored, it has stored. Everyone else may notice. */
inline kill(who) {
    deaths_left && !((dead | gone) & BIT(who)) ->
    deaths_left--;
    someone_died = 1;
    DRAIN(who);
    dead = dead | BIT(who);
    asleep = asleep & ~BIT(who);
    slices[who] = 0;
    EACH(GIVE_A_SLICE);
    if
    :: inside & BIT(who) -> inside = inside & ~BIT(who); hurt = 1
    :: else
    fi
}

proctype Killer() {
end:
    do
    :: atomic { kill(1) }
    :: atomic { kill(2) }
#if N > 2
    :: atomic { kill(3) }
#endif
#if N > 3
    :: atomic { kill(4) }
#endif
#ifdef RAW
    :: atomic { kill(N + 1) }
#endif
    :: deaths_left == 0 -> break
    od
}

#ifdef BUFFERED
/* A store comes out some time. */
proctype Memory() {
end:
    do
    :: atomic { buffer[1] -> DRAIN(1) }
    :: atomic { buffer[2] -> DRAIN(2) }
#if N > 2
    :: atomic { buffer[3] -> DRAIN(3) }
#endif
#if N > 3
    :: atomic { buffer[4] -> DRAIN(4) }
#endif
    od
}
#endif

/* Exactly so many die and give up. If more might, nobody would ever be seen to be stuck: the killer would help. */
init {
    atomic {
        if
        :: deaths_left = 0
#if DEATHS > 0
        :: deaths_left = 1
#endif
#if DEATHS > 1
        :: deaths_left = 2
#endif
        fi;
        if
        :: timeouts_left = 0
#if TIMEOUTS > 0
        :: timeouts_left = 1
#endif
#if TIMEOUTS > 1
        :: timeouts_left = 2
#endif
        fi;
        run Process(); run Process();
#if N > 2
        run Process();
#endif
#if N > 3
        run Process();
#endif
#ifdef RAW
        run Stranger();
#endif
        run Killer();
#ifdef BUFFERED
        run Memory()
#endif
    }
}
