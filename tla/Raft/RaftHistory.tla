----------------------------- MODULE RaftHistory -----------------------------
(* Whether what the simulator saw of openraft in a run is a behaviour of `Raft`.

   `Told` of the generated module Histories is a sequence of runs. Of each it has, member by member and
   in order: the votes that it keeps and gives, the entries that its log gets and loses, what of both
   goes to its disk and is there, what it knows to be committed, and what it holds when its process
   begins. Entry 0 of openraft is the first membership, `Old` here; the log begins behind it.

   `Stand` is one step in Raft and several here: to ask, to be given votes, to count them. A message is
   not seen: what a follower takes must be what the leader of its term has had in its log. *)
EXTENDS Raft, TLC, Histories

VARIABLES
    which,    \* the run
    at,       \* how much of it was seen
    disk,     \* of each: vote and log on its disk
    going,    \* the same, with what is on its way there
    voted,    \* ever: votes that were kept, <<term, candidate, voter>>
    granted,  \* ever: those that the candidate was told of
    stood,    \* ever: candidates, with the end of their logs
    sent,     \* by term: the log of its leader, as long as it was
    agreed,   \* the log as far as anybody knew it to be committed
    refused   \* what forbids the next event, or "none"

storage == <<disk, going>>
elections == <<voted, granted, stood>>
logs == <<sent, agreed>>

Event == Told[which][at + 1]

Blank == [term |-> 0, vote |-> None, elected |-> FALSE, log |-> <<>>]

HistoryInit ==
    /\ Init
    /\ which \in 1 .. Len(Told)
    /\ at = 0
    /\ disk = [s \in Servers |-> Blank]
    /\ going = [s \in Servers |-> Blank]
    /\ voted = {}
    /\ granted = {}
    /\ stood = {}
    /\ sent = <<>>
    /\ agreed = <<>>
    /\ refused = None

Ends(l, e) == Len(l) = e.index /\ LastTerm(l) = e.at
Upto(l, n) == SubSeq(l, 1, n)
Leader(t) == (CHOOSE x \in elected : x[1] = t)[2]
HasLeader(t) == \E x \in elected : x[1] = t

------------------------------------------------------------------------------
\* Restart: the process begins with what is on its disk; a group that was on its way may be there.

Found(e) ==
    {d \in {disk[e.by], going[e.by]} :
        d.term = e.term /\ d.vote = e.of /\ d.elected = e.elected /\ Ends(d.log, e)}

OpenedBreaks(e) == IF Found(e) = {} THEN "Restart" ELSE None

Opens(e) ==
    LET d == CHOOSE d \in Found(e) : TRUE
    IN /\ term' = [term EXCEPT ![e.by] = d.term]
       /\ vote' = [vote EXCEPT ![e.by] = d.vote]
       /\ Follows(e.by)
       /\ log' = [log EXCEPT ![e.by] = d.log]
       /\ commit' = [commit EXCEPT ![e.by] = 0]
       /\ disk' = [disk EXCEPT ![e.by] = d]
       /\ going' = [going EXCEPT ![e.by] = d]
       /\ UNCHANGED <<matched, elected, committed, elections, logs>>

------------------------------------------------------------------------------
\* Stand, in parts.

\* What a member says of itself is on its disk.
StoredBeforeSaid(e) ==
    IF e.kind = "written" THEN e.durable
    ELSE disk[e.by].term = e.term /\ disk[e.by].vote = e.of /\ disk[e.by].elected = e.elected
Wins(e) == e.elected /\ <<e.term, e.of>> \notin elected
Granters(e) == {e.of} \union {s \in Servers : <<e.term, e.of, s>> \in granted}
HasAgreed(c) == Len(agreed) <= Len(log[c]) /\ Upto(log[c], Len(agreed)) = agreed

VotedBreaks(e) ==
    IF ~StoredBeforeSaid(e) THEN "StoredBeforeSaid"
    ELSE IF e.term < term[e.by] THEN "MayVote"
    ELSE IF e.term = term[e.by] /\ vote[e.by] \notin {None, e.of} THEN "MayVote"
    ELSE IF ~Wins(e) THEN None
    ELSE IF HasLeader(e.term) THEN "ElectionSafety"
    ELSE IF e.by # e.of \/ ~IsQuorum(Granters(e), Groups(log[e.of])) THEN "Stand"
    ELSE IF ~HasAgreed(e.of) THEN "LeaderCompleteness"
    ELSE None

Votes(e) ==
    /\ term' = [term EXCEPT ![e.by] = e.term]
    /\ vote' = [vote EXCEPT ![e.by] = e.of]
    /\ role' = [role EXCEPT ![e.by] = IF e.elected /\ e.of = e.by THEN "leader" ELSE "follower"]
    /\ elected' = IF e.elected THEN elected \union {<<e.term, e.of>>} ELSE elected
    /\ sent' = IF Wins(e) THEN (e.term :> log[e.of]) @@ sent ELSE sent
    /\ voted' = voted \union {<<e.term, e.of, e.by>>}
    /\ stood' = IF e.by = e.of /\ ~e.elected
                THEN stood \union {[term |-> e.term, by |-> e.by, index |-> Len(log[e.by]),
                                    at |-> LastTerm(log[e.by])]}
                ELSE stood
    /\ UNCHANGED <<log, commit, matched, committed, granted, agreed, storage>>

\* What the voter had of earlier terms when it was asked. Later ones it has from whom it voted for.
Earlier(l, t) == {i \in 1 .. Len(l) : l[i].term < t}
MayHaveVoted(e) ==
    LET held == Earlier(log[e.by], e.term)
        last == IF held = {} THEN 0 ELSE CHOOSE i \in held : \A j \in held : j <= i
    IN /\ <<e.term, e.of, e.by>> \in voted
       /\ \/ last = 0
          \/ log[e.by][last].term < e.at
          \/ log[e.by][last].term = e.at /\ last <= e.index

GrantedBreaks(e) ==
    IF [term |-> e.term, by |-> e.of, index |-> e.index, at |-> e.at] \notin stood THEN "Stand"
    ELSE IF ~MayHaveVoted(e) THEN "MayVote"
    ELSE None

Grants(e) ==
    /\ granted' = granted \union {<<e.term, e.of, e.by>>}
    /\ UNCHANGED <<vars, storage, voted, stood, logs>>

------------------------------------------------------------------------------
\* Propose and Change by a leader, AppendEntry by a follower; entry 0 by everybody.

Leads(s) == role[s] = "leader"

AppendedBreaks(e) ==
    LET t == term[e.by]
        k == e.index - 1
    IN IF e.index = 0 THEN IF e.groups = {Old} /\ log[e.by] = <<>> THEN None ELSE "Init"
       ELSE IF Leads(e.by)
       THEN IF e.at = t /\ k = Len(log[e.by]) THEN None ELSE "Propose"
       ELSE IF ~disk[e.by].elected \/ <<t, vote[e.by]>> \notin elected \/ k # Len(log[e.by])
       THEN "AppendEntry"
       ELSE IF Len(sent[t]) < e.index \/ sent[t][e.index].term # e.at THEN "AppendEntry"
       ELSE IF Upto(sent[t], k) # log[e.by] THEN "LogMatching"
       ELSE None

Appends(e) ==
    LET made == Entry(e.at, IF Leads(e.by) THEN e.by ELSE Leader(e.at), e.groups)
    IN IF e.index = 0 THEN UNCHANGED <<vars, sent>>
       ELSE /\ log' = [log EXCEPT ![e.by] = Append(@, made)]
            /\ sent' = IF Leads(e.by) THEN [sent EXCEPT ![e.at] = Append(@, made)] ELSE sent
            /\ UNCHANGED <<term, vote, role, commit, matched, elected, committed>>

\* What conflicts is cut, and never by a leader, nor what is committed.
CutBreaks(e) ==
    IF Leads(e.by) THEN "AppendEntry"
    ELSE IF \E i \in e.index + 1 .. Min(Len(log[e.by]), Len(agreed)) : log[e.by][i] = agreed[i]
    THEN "StateMachineSafety"
    ELSE None

Cuts(e) ==
    /\ log' = [log EXCEPT ![e.by] = Upto(@, Min(e.index, Len(@)))]
    /\ UNCHANGED <<term, vote, role, commit, matched, elected, committed>>

\* Only what is committed is left to a snapshot; who is far behind is given one in place of the log.
PurgedBreaks(e) ==
    IF Len(agreed) < e.index \/ (e.index > 0 /\ agreed[e.index].term # e.at)
    THEN "StateMachineSafety"
    ELSE None

Purges(e) ==
    /\ log' = [log EXCEPT ![e.by] = IF Len(@) < e.index THEN Upto(agreed, e.index) ELSE @]
    /\ UNCHANGED <<term, vote, role, commit, matched, elected, committed>>

------------------------------------------------------------------------------
\* What goes to the disk, and is there.

WritesBreaks(e) ==
    IF e.kind = "entry" /\ (e.index # Len(going[e.by].log) + 1 \/ ~HasLeader(e.at))
    THEN "AppendEntry"
    ELSE IF e.kind = "reset" /\ Len(agreed) < e.index THEN "StateMachineSafety"
    ELSE None

Written(d, e) ==
    CASE e.kind = "entry" -> [d EXCEPT !.log = Append(@, Entry(e.at, Leader(e.at), {}))]
      [] e.kind = "vote" -> [d EXCEPT !.term = e.term, !.vote = e.of, !.elected = e.elected]
      [] e.kind = "void" -> [d EXCEPT !.log = Upto(@, Min(e.index, Len(@)))]
      [] e.kind = "reset" -> [d EXCEPT !.log = Upto(agreed, e.index)]

Writes(e) ==
    /\ going' = [going EXCEPT ![e.by] = Written(@, e)]
    /\ UNCHANGED <<vars, disk, elections, logs>>

Stores(e) ==
    /\ disk' = [disk EXCEPT ![e.by] = going[e.by]]
    /\ UNCHANGED <<vars, going, elections, logs>>

------------------------------------------------------------------------------
\* Commit, by a leader; others hear of it, sooner at times than what the leader does itself is seen.

Holds(s, j, t) == j <= Len(disk[s].log) /\ disk[s].log[j].term = t
CanCommit(e) ==
    \E t \in DOMAIN sent :
        \E j \in e.index .. Len(sent[t]) :
            /\ sent[t][j].term = t
            /\ IsQuorum({s \in Servers : Holds(s, j, t)}, Groups(sent[t]))
            /\ Upto(sent[t], e.index) = Upto(log[e.by], e.index)

CommittedBreaks(e) ==
    IF e.index = 0 THEN None
    ELSE IF Len(log[e.by]) < e.index \/ log[e.by][e.index].term # e.at THEN "Commit"
    ELSE IF e.index <= Len(agreed)
    THEN IF Upto(log[e.by], e.index) = Upto(agreed, e.index) THEN None ELSE "StateMachineSafety"
    ELSE IF Upto(log[e.by], Len(agreed)) # agreed THEN "StateMachineSafety"
    ELSE IF CanCommit(e) THEN None
    ELSE "Commit"

Commits(e) ==
    /\ commit' = [commit EXCEPT ![e.by] = Max(@, e.index)]
    /\ agreed' = IF Len(agreed) < e.index THEN Upto(log[e.by], e.index) ELSE agreed
    /\ UNCHANGED <<term, vote, role, log, matched, elected, committed, sent, elections, storage>>

------------------------------------------------------------------------------

Broken(e) ==
    CASE e.kind = "opened" -> OpenedBreaks(e)
      [] e.kind = "voted" -> VotedBreaks(e)
      [] e.kind = "granted" -> GrantedBreaks(e)
      [] e.kind = "appended" -> AppendedBreaks(e)
      [] e.kind = "cut" -> CutBreaks(e)
      [] e.kind = "purged" -> PurgedBreaks(e)
      [] e.kind = "committed" -> CommittedBreaks(e)
      [] e.kind = "written" -> IF StoredBeforeSaid(e) THEN None ELSE "StoredBeforeSaid"
      [] OTHER -> WritesBreaks(e)

Is(e) ==
    CASE e.kind = "opened" -> Opens(e)
      [] e.kind = "voted" -> Votes(e)
      [] e.kind = "granted" -> Grants(e)
      [] e.kind = "appended" -> Appends(e) /\ UNCHANGED <<storage, elections, agreed>>
      [] e.kind = "cut" -> Cuts(e) /\ UNCHANGED <<storage, elections, logs>>
      [] e.kind = "purged" -> Purges(e) /\ UNCHANGED <<storage, elections, logs>>
      [] e.kind = "committed" -> Commits(e)
      [] e.kind = "written" -> Stores(e)
      [] OTHER -> Writes(e)

Happens ==
    /\ refused = None
    /\ at < Len(Told[which])
    /\ Broken(Event) = None
    /\ Is(Event)
    /\ at' = at + 1
    /\ at' = Len(Told[which]) => PrintT(<<"accepted", which>>)
    /\ UNCHANGED <<which, refused>>

Refuses ==
    /\ refused = None
    /\ at < Len(Told[which])
    /\ Broken(Event) # None
    /\ refused' = Broken(Event)
    /\ PrintT(<<"refused", which, at + 1, refused'>>)
    /\ UNCHANGED <<vars, which, at, storage, elections, logs>>

HistoryNext == Happens \/ Refuses
HistorySpec == HistoryInit /\ [][HistoryNext]_<<vars, which, at, storage, elections, logs, refused>>
=============================================================================
