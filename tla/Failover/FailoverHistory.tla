--------------------------- MODULE FailoverHistory ---------------------------
(* Whether what the simulator saw of the log in a run is a behaviour of `Failover`.

   `Told` of the generated module Histories is a sequence of runs. Of each it has, in order: what
   became committed, up to where members had applied it, who believed to lead, which proposals were
   answered, which reads, and which states were written down and read again. Terms are numbered from
   1 on, those without a committed entry left out. That a leader was elected shows when the entry that
   it begins with is committed; that a majority confirmed a read does not show at all. *)
EXTENDS Failover, TLC, Histories

VARIABLES
    which,      \* the run
    at,         \* how much of it was seen
    led,        \* who was ever believed to lead, with the term
    asked,      \* what each one's read must show, or -1 where none was asked
    confirmed,  \* whether a majority could have confirmed each one's read since it was asked
    kept,       \* states that were written down
    refused     \* what forbids the next event, or "none"

seen == <<which, at, led, asked, confirmed, kept, refused>>

Event == Told[which][at + 1]

HistoryInit ==
    /\ Init
    /\ which \in 1 .. Len(Told)
    /\ at = 0
    /\ led = {}
    /\ asked = [c \in Controllers |-> -1]
    /\ confirmed = [c \in Controllers |-> FALSE]
    /\ kept = {}
    /\ refused = None

\* What was applied in a place is never anything else.
StateMachineSafety(e) == log[e.index].term = e.term

\* What is read again is what somebody wrote down.
SnapshotsAreKept(e) == e.index \in kept

\* The promise or rule that an event breaks.
Broken(e) ==
    CASE e.kind = "elected" -> IF e.term = term + 1 THEN None ELSE "Elect"
      [] e.kind = "committed" -> IF leads[e.by] = e.term /\ IsNewest(e.by) THEN None ELSE "TermsRise"
      [] e.kind = "applied" ->
            IF e.index > Len(log) THEN "Apply"
            ELSE IF ~StateMachineSafety(e) THEN "StateMachineSafety" ELSE None
      [] e.kind = "acknowledged" -> IF e.index <= acked THEN None ELSE "AckedIsKept"
      [] e.kind = "leads" ->
            IF \E l \in led : l.term = e.term /\ l.by # e.by THEN "OneLeaderPerTerm" ELSE None
      [] e.kind = "answered" ->
            IF ~confirmed[e.by] \/ ~IsReady(e.by) THEN "Answer"
            ELSE IF applied[e.by] < asked[e.by] THEN "ReadsNeverGoBack" ELSE None
      [] e.kind = "restored" -> IF SnapshotsAreKept(e) THEN None ELSE "SnapshotsAreKept"
      [] OTHER -> None

\* A leader hears of a later term in which nobody was elected, or its process ended, and it is elected
\* again.
StepsDown(c) ==
    /\ leads' = [leads EXCEPT ![c] = 0]
    /\ UNCHANGED <<term, log, applied, waiting, acked, reads, answer, orders, node, started>>

\* Propose: which command is taken is the client's choice here.
Takes(c) ==
    /\ Leads(c)
    /\ waiting[c] = None
    /\ waiting' = [waiting EXCEPT ![c] = "command"]
    /\ UNCHANGED <<term, log, leads, applied, acked, reads, answer, orders, node, started>>

\* What comes before the next event and is not seen.
Unseen(e) ==
    \/ e.kind = "elected" /\ term > 0 /\ leads[e.by] = term /\ StepsDown(e.by)
    \/ e.kind = "committed" /\ waiting[e.by] = None /\ Takes(e.by)

\* Apply, several times. One of its own term a leader acknowledges.
Applies(c, upto) ==
    LET own == {i \in applied[c] + 1 .. upto : log[i].term = leads[c]}
    IN /\ applied' = [applied EXCEPT ![c] = Max(@, upto)]
       /\ acked' = IF own = {} THEN acked
                   ELSE Max(acked, CHOOSE i \in own : \A j \in own : j <= i)
       /\ UNCHANGED <<term, log, leads, waiting, reads, answer, orders, node, started>>

\* A process begins with nothing but what it stored. What it proposed before may still be committed,
\* by whoever leads next, so the term that it led stays known.
Restarts(c) ==
    /\ applied' = [applied EXCEPT ![c] = 0]
    /\ UNCHANGED <<term, log, leads, waiting, acked, reads, answer, orders, node, started>>

\* Answer; that a majority had confirmed it is known.
Answers(c) ==
    /\ answer' = [floor |-> asked[c], shown |-> applied[c]]
    /\ UNCHANGED <<term, log, leads, applied, waiting, acked, reads, orders, node, started>>

Is(e) ==
    CASE e.kind = "elected" -> Elect(e.by)
      [] e.kind = "committed" -> Commit(e.by)
      [] e.kind = "applied" -> Applies(e.by, e.index)
      [] e.kind = "restarted" -> Restarts(e.by)
      [] e.kind = "answered" -> Answers(e.by)
      [] OTHER -> UNCHANGED vars

\* Ask; that it leads shows later.
Asks(e) ==
    asked' = IF e.kind = "asked" THEN [asked EXCEPT ![e.by] = Max(acked, answer.shown)]
             ELSE IF e.kind \in {"answered", "restarted"} THEN [asked EXCEPT ![e.by] = -1]
             ELSE asked

Confirms ==
    confirmed' = [c \in Controllers |->
        /\ asked'[c] # -1
        /\ \/ confirmed[c]
           \/ leads'[c] # 0 /\ leads'[c] = term']

Prepares ==
    /\ refused = None
    /\ at < Len(Told[which])
    /\ Broken(Event) = None
    /\ Unseen(Event)
    /\ UNCHANGED asked
    /\ Confirms
    /\ UNCHANGED <<which, at, led, kept, refused>>

Happens ==
    /\ refused = None
    /\ at < Len(Told[which])
    /\ Broken(Event) = None
    /\ Event.kind = "elected" => (term = 0 \/ leads[Event.by] # term)
    /\ Is(Event)
    /\ Asks(Event)
    /\ Confirms
    /\ led' = IF Event.kind = "leads" THEN led \union {[by |-> Event.by, term |-> Event.term]}
              ELSE led
    /\ kept' = IF Event.kind = "kept" THEN kept \union {Event.index} ELSE kept
    /\ at' = at + 1
    /\ at' = Len(Told[which]) => PrintT(<<"accepted", which>>)
    /\ UNCHANGED <<which, refused>>

Refuses ==
    /\ refused = None
    /\ at < Len(Told[which])
    /\ Broken(Event) # None
    /\ refused' = Broken(Event)
    /\ PrintT(<<"refused", which, at + 1, refused'>>)
    /\ UNCHANGED <<which, at, led, asked, confirmed, kept>>
    /\ UNCHANGED vars

HistoryNext == Prepares \/ Happens \/ Refuses
HistorySpec == HistoryInit /\ [][HistoryNext]_<<vars, seen>>
=============================================================================
