/* Two controllers share one patient: the hold, its fencing token, the reservation, and a crash anywhere.

   What stands here is the protocol that the ledger, the journal, the heart and the device keep between them, with all
   else left out. Each controller has a stimulator of its own; both may be on the same patient. Time passes at any
   moment, so a controller may sleep between any two of its lines for as long as it likes. A controller may crash at
   any moment, lose all that is not durable, and start again.

     session   ask the ledger for hold and reservation (one transaction), write the permit, arm, feed, stop, settle,
               release
     hold      given where nobody has it or it has run out; it is never renewed. Its holder reckons its own end from
               the time before it asked, and stops MARGIN earlier than the ledger lets go
     device    stops by itself DEAD_MAN after the last frame it took, and after the reserved charge; a keep-alive that
               comes later finds it stopped and is refused
     crash     what was reserved counts as delivered; the hold is left to run out
     take      a clinician says that the holder's device is unplugged: the hold is free, the token rises

   Times are ticks that are left, so there is no last tick: the model is complete for sessions of any length. A frame
   lands within the tick in which it is written, and one energising frame is under way at a time.

   What must hold in every interleaving stands in the assertions A1 to A5. Each BUG_ below leaves one guard out; the
   test demands that the model without any is clean and that each of them is found. */

#define DEAD_MAN 3
#define TTL 7            /* of a hold, on the ledger's clock */
#define RESERVE 3        /* charge of one session; a tick of current is one unit */
#define CAP 6            /* what the patient may have */
#define NOBODY 2

#if defined(BUG_NO_MARGIN)
#define MARGIN 0
#elif defined(BUG_SHORT_MARGIN)
#define MARGIN DEAD_MAN
#else
#define MARGIN (2 * DEAD_MAN)
#endif
#ifdef BUG_FAILOVER
#define IS_FREE true
#else
#define IS_FREE (holder == NOBODY || hold_left == 0)
#endif
#ifdef BUG_RELEASE_BLINDLY
#define IS_MINE true
#else
#define IS_MINE (holder == me && token == mine)
#endif
#ifdef BUG_NO_DEADLINE
#define MAY_WRITE true
#else
#define MAY_WRITE (time_left[me] > 0)
#endif
#ifdef BUG_CRASH_IS_FREE
#define CRASH_COSTS 0
#else
#define CRASH_COSTS reserved[me]
#endif
#ifdef BUG_STALE_EVIDENCE
#define EVIDENCE 0
#else
#define EVIDENCE (RESERVE - left[me])
#endif

/* The ledger: durable, one transaction at a time. */
byte holder = NOBODY;
byte hold_left = 0;
byte token = 0;
byte reserved[2];
byte charged = 0;

/* Each controller: what is on its disk, and its own reckoning of the hold. */
byte permit[2];
byte time_left[2];

/* Each controller's stimulator. */
bool plugged[2] = true;
bool armed[2];
bool flows[2];
byte fed[2];             /* ticks until the dead man acts */
byte left[2];            /* of the reserved charge */
byte delivered = 0;      /* the truth: what went through the patient's skin */

bool crashed[2];
bool has_crashed = false;
bool has_taken = false;

#define COUNTED (charged + reserved[0] + reserved[1])
#define OTHER (1 - me)

inline halt(who) {
    armed[who] = false;
    flows[who] = false;
    fed[who] = 0
}

inline tick(who) {
    if
    :: flows[who] -> left[who]--; delivered++
    :: else
    fi;
    if
    :: fed[who] > 0 -> fed[who]--
    :: else
    fi;
    if
    :: fed[who] == 0 || left[who] == 0 -> halt(who)
    :: else
    fi;
    if
    :: time_left[who] > 0 -> time_left[who]--
    :: else
    fi
}

active proctype Clock() {
end:
    do
    :: d_step {
            tick(0);
            tick(1);
            if
            :: hold_left > 0 -> hold_left--
            :: else
            fi;
            assert(delivered <= COUNTED)                                  /* A1: nothing that was given is forgotten */
        }
    od
}

active proctype Fate() {
end:
    do
    :: d_step { !has_crashed -> has_crashed = true; crashed[0] = true }
    :: d_step { !has_crashed -> has_crashed = true; crashed[1] = true }
    :: d_step {
            !has_taken && holder != NOBODY ->
            has_taken = true;
            plugged[holder] = false;
            halt(holder);
            holder = NOBODY;
            token++
        }
    od
}

proctype Controller(byte me; byte sessions) {
    byte mine = 0;
    do
    :: sessions > 0 ->
        {
            d_step { sessions--; time_left[me] = TTL - MARGIN + 1 };
            atomic {
                if
                :: IS_FREE && COUNTED + RESERVE <= CAP ->
                    holder = me;
                    hold_left = TTL + 1;
                    token++;
                    mine = token;
                    reserved[me] = RESERVE;
                    left[me] = RESERVE;
                    assert(!flows[OTHER]);                                /* A2: nobody is given a hold that is in use */
                    assert(COUNTED <= CAP)                                /* A3: never more than the patient may have */
                :: else -> goto over
                fi
            };
#ifdef BUG_LATE_RECKONING
            time_left[me] = TTL - MARGIN + 1;
#endif
#ifndef BUG_ARM_BEFORE_DURABLE
            permit[me] = mine;
#endif
            if
            :: MAY_WRITE                                                  /* the clock is read before a write ... */
            :: !MAY_WRITE -> goto done
            fi;
            d_step {                                                      /* ... and sleep may come between */
                if
                :: plugged[me] ->
                    armed[me] = true;
                    fed[me] = DEAD_MAN;
                    assert(permit[me] == mine)                            /* A4: permission is durable before its use */
                :: else
                fi
            };
#ifdef BUG_ARM_BEFORE_DURABLE
            permit[me] = mine;
#endif
            do
            :: MAY_WRITE ->
                if
                :: d_step {
                        armed[me] ->
                        flows[me] = true;
                        fed[me] = DEAD_MAN;
                        assert(!flows[OTHER])                             /* A5: one device at a time */
                    }
                :: !armed[me] -> break                                    /* refused: the dead man was faster */
                fi
            :: true -> break
            od;
done:       halt(me);
            time_left[me] = 0;
            d_step {
                charged = charged + EVIDENCE;
                reserved[me] = 0;
                assert(delivered <= COUNTED)
            };
            d_step {
                if
                :: IS_MINE -> holder = NOBODY
                :: else
                fi;
                mine = 0
            };
over:       time_left[me] = 0
        } unless {
            d_step { crashed[me] -> crashed[me] = false; mine = 0; time_left[me] = 0 };
            halt(me);                        /* it is back, and says hello to its device */
            d_step {
                charged = charged + CRASH_COSTS;
                reserved[me] = 0;
                assert(delivered <= COUNTED)
            }
        }
    :: else -> break
    od
}

init {
    atomic {
        run Controller(0, 2);
        run Controller(1, 1)
    }
}
