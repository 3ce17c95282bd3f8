-------------------------------- MODULE Raft --------------------------------
(* Raft, as small as it can be with openraft's visible state: term and vote, role, log, commit index,
   and a change of members in two steps.

   Time and messages are left out: a request and its answer are one step that may happen whenever its
   guard holds, so late and repeated messages are steps taken later and again. Answers that were given
   stay true, in `matched`. *)
EXTENDS Integers, Sequences, FiniteSets

CONSTANTS
    Servers,
    Candidates,  \* those that ever stand
    Old,       \* members at first
    New,       \* members in the end
    Changes,   \* whether they change at all
    Restarts,  \* whether processes end and begin again
    MaxTerm,
    MaxLog,
    Bugs

VARIABLES
    term,       \* newest term each has heard of, on disk
    vote,       \* whom it voted for in that term, on disk
    role,
    log,        \* on disk
    commit,     \* lost with the process
    matched,    \* what a leader knows of the others' logs
    elected,    \* ever: leaders, with their terms
    committed   \* ever: entries with their places

vars == <<term, vote, role, log, commit, matched, elected, committed>>

None == "none"
Max(a, b) == IF a < b THEN b ELSE a
Min(a, b) == IF a < b THEN a ELSE b

\* An entry: the term and the server that made it, and the members from it on, or {}.
Entry(t, s, groups) == [term |-> t, by |-> s, groups |-> groups]
LastTerm(l) == IF l = <<>> THEN 0 ELSE l[Len(l)].term

\* Groups of members, each of which must agree by majority: that of the last entry that has any,
\* committed or not.
Groups(l) ==
    LET at == {i \in 1 .. Len(l) : l[i].groups # {}}
    IN IF at = {} THEN {Old} ELSE l[CHOOSE i \in at : \A j \in at : j <= i].groups
IsQuorum(q, groups) == \A g \in groups : 2 * Cardinality(q \intersect g) > Cardinality(g)

TypeOK ==
    /\ term \in [Servers -> 0 .. MaxTerm]
    /\ vote \in [Servers -> Servers \union {None}]
    /\ role \in [Servers -> {"follower", "leader"}]
    /\ \A s \in Servers : Len(log[s]) <= MaxLog /\ commit[s] <= Len(log[s])

Init ==
    /\ term = [s \in Servers |-> 0]
    /\ vote = [s \in Servers |-> None]
    /\ role = [s \in Servers |-> "follower"]
    /\ log = [s \in Servers |-> <<>>]
    /\ commit = [s \in Servers |-> 0]
    /\ matched = [s \in Servers |-> [f \in Servers |-> 0]]
    /\ elected = {}
    /\ committed = {}

Follows(s) == role' = [role EXCEPT ![s] = "follower"]

IsUpToDate(c, s) ==
    \/ LastTerm(log[c]) > LastTerm(log[s])
    \/ LastTerm(log[c]) = LastTerm(log[s]) /\ Len(log[c]) >= Len(log[s])
    \/ "any-log" \in Bugs

MayVote(s, c, t) ==
    /\ \/ term[s] < t
       \/ term[s] = t /\ vote[s] = None
       \/ term[s] = t /\ "two-votes" \in Bugs
    /\ IsUpToDate(c, s)

\* Nobody was heard of for an election time: `c` votes for itself in the next term, openraft's
\* Vote{term + 1, c}, and `q` with it, each on its disk before it says so. If they are a quorum it
\* leads, and begins with a blank entry of its own term. If not, the terms have risen.
Stand(c, q) ==
    /\ c \in Candidates
    /\ c \in q
    /\ term[c] < MaxTerm
    /\ c \in UNION Groups(log[c])
    /\ \A s \in q \ {c} : MayVote(s, c, term[c] + 1)
    /\ LET wins == IsQuorum(q, Groups(log[c]))
       IN /\ wins \/ q = {c}
          /\ wins => Len(log[c]) < MaxLog
          /\ role' = [s \in Servers |->
                        IF s = c /\ wins THEN "leader"
                        ELSE IF s \in q /\ (s = c \/ "two-votes" \notin Bugs) THEN "follower"
                        ELSE role[s]]
          /\ log' = IF wins THEN [log EXCEPT ![c] = Append(@, Entry(term[c] + 1, c, {}))] ELSE log
          /\ matched' = IF wins THEN [matched EXCEPT ![c] = [f \in Servers |-> 0]] ELSE matched
          /\ elected' = IF wins THEN elected \union {<<term[c] + 1, c>>} ELSE elected
    /\ term' = [s \in Servers |-> IF s \in q THEN term[c] + 1 ELSE term[s]]
    /\ vote' = [s \in Servers |-> IF s \in q THEN c ELSE vote[s]]
    /\ UNCHANGED <<commit, committed>>

\* Openraft's client_write.
Propose(s) ==
    /\ role[s] = "leader"
    /\ Len(log[s]) < MaxLog \/ "no-bound" \in Bugs
    /\ log' = [log EXCEPT ![s] = Append(@, Entry(term[s], s, {}))]
    /\ UNCHANGED <<term, vote, role, commit, matched, elected, committed>>

\* Openraft's change_membership: first both groups, and once that is committed the new one alone.
Change(s) ==
    /\ Changes
    /\ role[s] = "leader"
    /\ Len(log[s]) < MaxLog
    /\ LastTerm(SubSeq(log[s], 1, commit[s])) = term[s]
    /\ LET now == Groups(log[s])
           next == IF now = {Old} /\ "no-joint" \notin Bugs THEN {Old, New} ELSE {New}
       IN /\ now # {New}
          /\ Groups(SubSeq(log[s], 1, commit[s])) = now
          /\ log' = [log EXCEPT ![s] = Append(@, Entry(term[s], s, next))]
    /\ UNCHANGED <<term, vote, role, commit, matched, elected, committed>>

\* A leader's message arrives, about the entry after `k`, or about nothing after the last one.
AppendEntry(l, f, k) ==
    /\ l # f
    /\ role[l] = "leader"
    /\ k <= Len(log[l])
    /\ term[f] <= term[l]
    /\ k <= Len(log[f])
    /\ IF k = 0 THEN TRUE ELSE log[f][k].term = log[l][k].term \/ "no-position" \in Bugs
    /\ LET upto == Min(k + 1, Len(log[l]))
           same == upto <= Len(log[f]) /\ log[f][upto] = log[l][upto]
           taken == IF k = upto \/ same THEN log[f] ELSE Append(SubSeq(log[f], 1, k), log[l][upto])
       IN /\ log' = [log EXCEPT ![f] = taken]
          /\ commit' = [commit EXCEPT ![f] = Max(@, Min(commit[l], upto))]
          /\ matched' = [matched EXCEPT ![l][f] = Max(@, upto)]
    /\ term' = [term EXCEPT ![f] = term[l]]
    /\ vote' = [vote EXCEPT ![f] = IF term[f] < term[l] THEN None ELSE @]
    /\ Follows(f)
    /\ UNCHANGED <<elected, committed>>

\* A quorum has stored an entry of the leader's own term: it is committed, and all before it.
Commit(l, i) ==
    /\ role[l] = "leader"
    /\ i \in commit[l] + 1 .. Len(log[l])
    /\ \/ log[l][i].term = term[l]
       \/ "commit-old-terms" \in Bugs
    /\ IsQuorum({l} \union {f \in Servers : matched[l][f] >= i}, Groups(log[l]))
    /\ commit' = [commit EXCEPT ![l] = i]
    /\ committed' = committed \union {<<j, log[l][j]>> : j \in 1 .. i}
    /\ UNCHANGED <<term, vote, role, log, matched, elected>>

\* Whoever is behind hears of a later term.
Depose(s, o) ==
    /\ role[s] # "follower"
    /\ term[s] < term[o]
    /\ term' = [term EXCEPT ![s] = term[o]]
    /\ vote' = [vote EXCEPT ![s] = None]
    /\ Follows(s)
    /\ UNCHANGED <<log, commit, matched, elected, committed>>

\* The process ends and begins again with what is on its disk.
Restart(s) ==
    /\ Restarts
    /\ \/ role[s] # "follower"
       \/ commit[s] > 0
       \/ "forget-vote" \in Bugs /\ vote[s] # None
    /\ Follows(s)
    /\ commit' = [commit EXCEPT ![s] = 0]
    /\ vote' = [vote EXCEPT ![s] = IF "forget-vote" \in Bugs THEN None ELSE @]
    /\ UNCHANGED <<term, log, matched, elected, committed>>

Places == 0 .. MaxLog

Next ==
    \/ \E s \in Servers :
        \/ \E q \in SUBSET Servers : Stand(s, q)
        \/ Propose(s)
        \/ Change(s)
        \/ Restart(s)
    \/ \E s \in Servers : \E o \in Servers :
        \/ Depose(s, o)
        \/ \E k \in Places : AppendEntry(s, o, k)
    \/ \E s \in Servers : \E k \in Places : Commit(s, k)

Spec == Init /\ [][Next]_vars

------------------------------------------------------------------------------

\* One leader in a term.
ElectionSafety == \A a \in elected : \A b \in elected : a[1] = b[1] => a[2] = b[2]

\* Logs that share an entry share all before it.
LogMatching ==
    \A a \in Servers : \A b \in Servers :
        \A i \in 1 .. Min(Len(log[a]), Len(log[b])) :
            log[a][i].term = log[b][i].term => SubSeq(log[a], 1, i) = SubSeq(log[b], 1, i)

\* What is committed is in the log of every later leader.
LeaderCompleteness ==
    \A s \in Servers : role[s] = "leader" =>
        \A c \in committed :
            c[2].term < term[s] => c[1] <= Len(log[s]) /\ log[s][c[1]] = c[2]

\* What is committed in a place is never anything else.
StateMachineSafety == \A a \in committed : \A b \in committed : a[1] = b[1] => a[2] = b[2]
=============================================================================
