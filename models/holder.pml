/* HOLDER, and how a thread finds out that it waits for itself. What is modelled, and what the flags mean: README.md. */

/* How often thread 1 comes, and the others. */
#ifndef TURNS
#define TURNS 1
#endif
#ifndef OTHERS
#define OTHERS TURNS
#endif

#define BIT(who) (1 << (who))

/* OWNER: which process holds it, and two bits. */
#define INCONSISTENT 8
#define SETTLING 16
#define WHO(word) ((word) & 7)
#define FREE (WHO(owner) == 0)
#ifdef NO_SETTLING
#define MINE(word) (WHO(word) == process)
#else
#define MINE(word) (WHO(word) == process && !((word) & SETTLING))
#endif

/* HOLDER: the number of the thread, above it that of the holding. */
#define THREAD(word) ((word) & 3)
#define WITHOUT_THREAD(word) ((word) & ~3)
#define NEXT_HOLDING(word, number) (WITHOUT_THREAD(word) + 4 + (number))

byte owner;
byte holder;
byte dead;
bool third_ended;

/* The truth: which thread holds the lock. */
byte inside;

inline acquired(new) {
    owner = new;
    assert(inside == 0);
    inside = _pid
}

/* 1 and 2 are threads of process 1. The third, of process 2, has the number of the first. */
proctype Thread(byte process; byte number) {
    byte turn, seen, mine;
    bool again;
    {
#ifdef RECYCLED
    /* Numbers are unique among the living: the first gets its number when the third does not need it any more. */
    !(process == 1 && number == 1) || third_ended;
#else
    skip;
#endif

lock:
    atomic {
        seen = 0; mine = 0; again = 0;
        if
        :: turn == (_pid == 1 -> TURNS : OTHERS) -> goto done
        :: else -> turn++
        fi;
        if
        :: FREE -> acquired(owner | process); goto took
        :: else
        fi
    }

/* Do I wait for myself? */
check:
#ifdef OWNER_THEN_HOLDER
    atomic {
        mine = owner;
        if
        :: MINE(mine) -> mine = 0
        :: else -> mine = 0; goto other
        fi
    }
    seen = holder;
#elif defined(HOLDER_THEN_OWNER)
    seen = holder;
    atomic {
        mine = owner;
        if
        :: MINE(mine) -> mine = 0
        :: else -> mine = 0; seen = 0; goto other
        fi
    }
#else
    seen = holder;
    mine = owner;
    atomic {
        if
        :: holder == seen && MINE(mine) -> mine = 0
        :: else -> mine = 0; seen = 0; goto other
        fi
    }
#endif
    atomic {
        if
        :: THREAD(seen) == number -> assert(inside == _pid); seen = 0; goto unlock
        :: else -> seen = 0
        fi
    }

/* Somebody else holds it: unless I was just told that it is me. */
other:
#ifndef STRANGER
    assert(!again);
#endif
    if
    :: atomic { FREE -> acquired(owner | process); goto took }
    :: atomic { WHO(owner) && (dead & BIT(WHO(owner))) -> seen = owner }
    fi;
    atomic {
        if
        :: owner == seen -> seen = 0; acquired(process | INCONSISTENT | SETTLING)
        :: else -> seen = 0; goto other
        fi
    }
    holder = NEXT_HOLDING(holder, number);
    owner = process | INCONSISTENT;
    goto held;

took:
    holder = NEXT_HOLDING(holder, number);

held:
    if
    :: atomic { true -> again = 1; goto check }
    :: true
    fi;

unlock:
    again = 0;
    holder = WITHOUT_THREAD(holder);
    atomic {
        if
        :: inside == _pid -> owner = owner & INCONSISTENT; inside = 0
        :: else
        fi;
        goto lock
    }

    } unless { dead & BIT(process) };
done:
    atomic {
        if
        :: process == 2 -> third_ended = 1
        :: else
        fi;
        turn = 0; seen = 0; mine = 0; again = 0
    }
}

#ifdef STRANGER
/* Unlocks a RawMutex that it sees locked, by whomever, and leaves HOLDER as it is. */
proctype Stranger() {
end:
    atomic { owner != 0 && !(owner & SETTLING) && inside -> owner = 0; inside = 0 }
}
#endif

/* Kills one process. */
proctype Killer() {
    if
    :: atomic { dead = BIT(1); if :: inside == 1 || inside == 2 -> inside = 0 :: else fi }
    :: atomic { dead = BIT(2); if :: inside == 3 -> inside = 0 :: else fi }
    fi
}

init {
    atomic {
        run Thread(1, 1); run Thread(1, 2); run Thread(2, 1);
#ifdef STRANGER
        run Stranger();
#endif
        if
        :: run Killer()
        :: true
        fi
    }
}
