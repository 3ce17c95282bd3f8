------------------------------ MODULE Failover ------------------------------
(* What a change of leaders may do to clients, and to the world.

   The log is one sequence here, because what is committed is never anything else, on any controller:
   Raft says why. Left are the rules of docs/light-worlds.md that are about leaders: who believes to
   lead, who may commit, what becomes of a proposal without an answer, when a read may be answered,
   and what may be done to nodes on the strength of a state.

   The commands are those of one job: started, ended, started again. *)
EXTENDS Integers, Sequences, FiniteSets

CONSTANTS
    Controllers,
    MaxTerm,
    MaxLog,
    Bugs

VARIABLES
    term,     \* the newest
    log,      \* what is committed
    leads,    \* the term in which each controller believes that it leads, or 0
    applied,  \* how much of the log each has applied
    waiting,  \* a proposal of each that has no answer
    acked,    \* how much of the log was acknowledged to somebody
    reads,    \* what each was asked to read: how much was known to somebody then, how much to itself
    answer,   \* the last answer to a read: how much it had to show, and how much it showed
    orders,   \* launches that were ever sent
    node,     \* the newest attempt a node has started, and the newest term it has obeyed
    started   \* attempts that ever started

vars == <<term, log, leads, applied, waiting, acked, reads, answer, orders, node, started>>

None == "none"
Blank == "blank"
Entry(t, what) == [term |-> t, what |-> what]
NoRead == [floor |-> -1, index |-> 0]

Max(a, b) == IF a < b THEN b ELSE a

\* The state after the first `n` entries: how often the job was started, and whether it runs.
Starts(n) == Cardinality({i \in 1 .. n : log[i].what = "start"})
Runs(n) ==
    \E i \in 1 .. n :
        /\ log[i].what = "start"
        /\ \A j \in i + 1 .. n : log[j].what # "end"

TypeOK ==
    /\ term \in 0 .. MaxTerm
    /\ Len(log) <= MaxLog
    /\ \A i \in 1 .. Len(log) : log[i].what \in {Blank, "start", "end"}
    /\ \A c \in Controllers : leads[c] \in 0 .. term /\ applied[c] \in 0 .. Len(log)
    /\ acked \in 0 .. MaxLog

Init ==
    /\ term = 0
    /\ log = <<>>
    /\ leads = [c \in Controllers |-> 0]
    /\ applied = [c \in Controllers |-> 0]
    /\ waiting = [c \in Controllers |-> None]
    /\ acked = 0
    /\ reads = [c \in Controllers |-> NoRead]
    /\ answer = [floor |-> 0, shown |-> 0]
    /\ orders = {}
    /\ node = [attempt |-> 0, term |-> 0]
    /\ started = {}

Leads(c) == leads[c] # 0
\* No later term exists: then a majority confirms it, and stores what this leader sends.
IsNewest(c) == leads[c] = term
\* It has applied an entry of its own term, so it knows what all earlier leaders committed.
IsReady(c) ==
    /\ applied[c] > 0
    /\ log[applied[c]].term = leads[c]

\* Rule Elect. Of the proposals of earlier leaders any one may be in the new leader's log, and is
\* then committed with the blank entry that it begins with.
Elect(c) ==
    /\ term < MaxTerm
    /\ leads[c] # term \/ term = 0
    /\ \E o \in Controllers \union {None} :
        /\ o # None => waiting[o] # None
        /\ Len(log) + (IF o = None THEN 1 ELSE 2) <= MaxLog
        /\ LET own == Entry(term + 1, Blank)
           IN log' = IF o = None THEN Append(log, own)
                     ELSE log \o <<Entry(leads[o], waiting[o]), own>>
        /\ waiting' = IF o = None THEN waiting ELSE [waiting EXCEPT ![o] = None]
    /\ term' = IF "same-term" \in Bugs /\ term > 0 THEN term ELSE term + 1
    /\ leads' = [leads EXCEPT ![c] = term']
    /\ reads' = [reads EXCEPT ![c] = NoRead]
    /\ UNCHANGED <<applied, acked, answer, orders, node, started>>

\* Rule Depose, and rule Crash as far as others see it.
Depose(c) ==
    /\ Leads(c)
    /\ ~IsNewest(c)
    /\ leads' = [leads EXCEPT ![c] = 0]
    /\ waiting' = [waiting EXCEPT ![c] = None]
    /\ reads' = [reads EXCEPT ![c] = NoRead]
    /\ UNCHANGED <<term, log, applied, acked, answer, orders, node, started>>

\* Rule Propose: whoever believes that it leads takes a command, judged by the state it has.
Propose(c) ==
    /\ Leads(c)
    /\ waiting[c] = None
    /\ Len(log) < MaxLog \/ "no-bound" \in Bugs
    /\ waiting' = [waiting EXCEPT ![c] = IF Runs(applied[c]) THEN "end" ELSE "start"]
    /\ acked' = IF "ack-early" \in Bugs THEN Len(log) + 1 ELSE acked
    /\ UNCHANGED <<term, log, leads, applied, reads, answer, orders, node, started>>

\* Rule Commit. `apply` is total: a start of a job that runs, an end of one that does not, is refused
\* and changes nothing.
Commit(c) ==
    /\ waiting[c] # None
    /\ \/ IsNewest(c)
       \/ "stale-commit" \in Bugs
    /\ Len(log) < MaxLog \/ "no-bound" \in Bugs
    /\ log' = Append(log, Entry(leads[c], waiting[c]))
    /\ waiting' = [waiting EXCEPT ![c] = None]
    /\ UNCHANGED <<term, leads, applied, acked, reads, answer, orders, node, started>>

\* Rules Append and Commit: a controller learns that an entry is committed, and applies it. A leader
\* answers whoever proposed it.
Apply(c) ==
    /\ applied[c] < Len(log)
    /\ applied' = [applied EXCEPT ![c] = @ + 1]
    /\ acked' = IF Leads(c) /\ log[applied[c] + 1].term = leads[c] THEN Max(acked, applied[c] + 1)
                ELSE acked
    /\ UNCHANGED <<term, log, leads, waiting, reads, answer, orders, node, started>>

\* Rule Read, its beginning: what was acknowledged or shown to anybody must be in the answer.
Ask(c) ==
    /\ Leads(c)
    /\ reads[c] = NoRead
    /\ reads' = [reads EXCEPT ![c] = [floor |-> Max(acked, answer.shown), index |-> applied[c]]]
    /\ UNCHANGED <<term, log, leads, applied, waiting, acked, answer, orders, node, started>>

\* Rule Read, its end.
Answer(c) ==
    /\ reads[c] # NoRead
    /\ \/ IsNewest(c)
       \/ "read-alone" \in Bugs
    /\ \/ IsReady(c)
       \/ "read-at-once" \in Bugs
    /\ answer' = [floor |-> reads[c].floor, shown |-> applied[c]]
    /\ reads' = [reads EXCEPT ![c] = NoRead]
    /\ UNCHANGED <<term, log, leads, applied, waiting, acked, orders, node, started>>

\* flurm_model::Cluster::outstanding: derived from the state, by every leader anew, never handed over.
Launch(c) ==
    /\ Leads(c)
    /\ \/ IsReady(c)
       \/ "launch-at-once" \in Bugs
    /\ \/ Runs(applied[c])
       \/ "launch-proposed" \in Bugs /\ waiting[c] = "start"
    /\ LET attempt == Starts(applied[c]) + (IF Runs(applied[c]) THEN 0 ELSE 1)
           order == [attempt |-> attempt, term |-> leads[c]]
       IN /\ order \notin orders
          /\ orders' = orders \union {order}
    /\ UNCHANGED <<term, log, leads, applied, waiting, acked, reads, answer, node, started>>

\* flurm_node::ledger::Ledger::on_launch: a node obeys no older term, and starts no attempt twice,
\* nor an older one. An order may be acted on at any time after it was sent, and again.
Obey(order) ==
    /\ order \in orders
    /\ order.term >= node.term \/ "obey-older" \in Bugs
    /\ order.attempt > node.attempt \/ ("obey-older" \in Bugs /\ order.attempt # node.attempt)
    /\ node' = [attempt |-> order.attempt, term |-> order.term]
    /\ started' = started \union {order.attempt}
    /\ UNCHANGED <<term, log, leads, applied, waiting, acked, reads, answer, orders>>

Orders == [attempt : 1 .. MaxLog, term : 1 .. MaxTerm]

Next ==
    \/ \E c \in Controllers :
        \/ Elect(c)
        \/ Depose(c)
        \/ Propose(c)
        \/ Commit(c)
        \/ Apply(c)
        \/ Ask(c)
        \/ Answer(c)
        \/ Launch(c)
    \/ \E order \in Orders : Obey(order)

Spec == Init /\ [][Next]_vars

\* Somebody is elected, learns what is committed, and goes on telling nodes what the state demands.
Fairness ==
    /\ WF_vars(term = 0 /\ \E c \in Controllers : Elect(c))
    /\ \A c \in Controllers : WF_vars(Apply(c)) /\ WF_vars(Launch(c)) /\ WF_vars(Answer(c))
    /\ WF_vars(\E order \in Orders : Obey(order))

FairSpec == Spec /\ Fairness

------------------------------------------------------------------------------

\* What was acknowledged is committed.
AckedIsKept == acked <= Len(log)

\* No two controllers lead in one term.
OneLeaderPerTerm ==
    \A a \in Controllers : \A b \in Controllers : a # b /\ leads[a] # 0 => leads[a] # leads[b]

\* Terms rise along the log: a deposed leader commits nothing.
TermsRise == \A i \in 1 .. Len(log) : \A j \in i .. Len(log) : log[i].term <= log[j].term

\* A read shows what was acknowledged, or shown to anybody, before it was asked.
ReadsNeverGoBack == answer.shown >= answer.floor

\* Only what is committed acts on the world.
OnlyCommittedActs == \A a \in started : a <= Starts(Len(log))

\* What a node starts is newer than all it started before.
AttemptsGrow == [][node'.attempt >= node.attempt]_vars

\* Somebody leads who can answer.
SomebodyServes == <>(\E c \in Controllers : Leads(c) /\ IsReady(c))

\* A start that is committed is done, unless the job has ended since: whoever leads then.
StartsAreDone ==
    \A a \in 1 .. MaxLog :
        (Runs(Len(log)) /\ Starts(Len(log)) = a)
            ~> (a \in started \/ ~Runs(Len(log)) \/ Starts(Len(log)) > a)
\* The job's life, from far away: how its attempts end is not looked at.
Life == INSTANCE Life WITH att <- Starts(Len(log)), begun <- started, quiet <- TRUE
RefinesLife == Life!Spec
=============================================================================
