-------------------------------- MODULE Life --------------------------------
(* The life of one job from far away: attempts are made one after the other, each begins at most once
   and in its turn, and only when nothing of the job is alive.

   JobLife, Fence and Failover refine it: whatever they do is one of these steps, or changes nothing
   that can be seen from here. *)
EXTENDS Integers

VARIABLES
    att,    \* the newest attempt that was made, 0 before the first
    begun,  \* attempts that ever began
    quiet   \* no process of the job is alive

vars == <<att, begun, quiet>>

Init ==
    /\ att \in {0, 1}
    /\ begun = {}
    /\ quiet = TRUE

\* Another attempt is made.
Again ==
    /\ quiet
    /\ att' = att + 1
    /\ begun' = begun
    /\ quiet' = quiet

\* An attempt begins. Where its end is not looked at, it may be over at once.
Begin ==
    /\ quiet
    /\ \E a \in 1 .. att :
        /\ \A b \in begun : b < a
        /\ begun' = begun \union {a}
    /\ quiet' \in BOOLEAN
    /\ att' = att

Exit ==
    /\ quiet' = TRUE
    /\ att' = att
    /\ begun' = begun

Next == Again \/ Begin \/ Exit

Spec == Init /\ [][Next]_vars
=============================================================================
