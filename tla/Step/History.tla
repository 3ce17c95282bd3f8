------------------------------- MODULE History -------------------------------
(* Whether histories that the simulator wrote down are behaviours of `Step`.

   `Told` of the generated module Histories is a sequence of histories, each of one job of one run:
   the commands that changed it, with the job after each, and the processes of its script. Each event
   is a step that `Step` permits, and what JobLife and Fence promise of processes holds of it. What
   is between, orders and what nodes remember, is not seen: an order may be acted on at any time after
   the state has demanded it. *)
EXTENDS Step, Sequences, TLC, Histories

VARIABLES
    which,    \* the history
    at,       \* how much of it was seen
    alive,    \* processes of the script
    ordered,  \* launches that the state ever demanded
    began,    \* launches that were ever done
    refused   \* what forbids the next event, or "none"

vars == <<job, which, at, alive, ordered, began, refused>>

Event == Told[which][at + 1]
Place(e) == [att |-> e.att, node |-> e.node]
Demands(j) == IF j.launch = "needed" THEN {[att |-> j.att, node |-> j.host]} ELSE {}

\* RunsWhereItIsHeld of JobLife and Fence, of one process; NoDoubleRun, before it begins.
RunsWhereItIsHeld(j, p) == j.att = p.att /\ IsOpenOn(j, p.node)
NoDoubleRun == alive = {}

\* A script starts once for an attempt, and only where the state demanded it; what ends has begun.
StartsOnce(e) == Place(e) \notin began
OnlyWhatIsOrdered(e) == Place(e) \in ordered
EndsWhatRuns(e) == Place(e) \in alive

\* The promise that an event breaks, whatever command it is.
Broken(e) ==
    IF e.kind = "command"
    THEN IF \E p \in alive : ~RunsWhereItIsHeld(e.job, p) THEN "RunsWhereItIsHeld" ELSE None
    ELSE IF e.kind = "begins"
    THEN IF ~StartsOnce(e) THEN "StartsOnce"
         ELSE IF ~OnlyWhatIsOrdered(e) THEN "OnlyWhatIsOrdered"
         ELSE IF ~NoDoubleRun THEN "NoDoubleRun"
         ELSE IF ~RunsWhereItIsHeld(job, Place(e)) THEN "RunsWhereItIsHeld"
         ELSE None
    ELSE IF ~EndsWhatRuns(e) THEN "EndsWhatRuns" ELSE None

Action(e) == IF e.kind = "command" THEN e.cmd.kind ELSE e.kind
AfterIt(e) == IF e.kind = "command" THEN e.job ELSE job

HistoryInit ==
    /\ job = Absent
    /\ which \in 1 .. Len(Told)
    /\ at = 0
    /\ alive = {}
    /\ ordered = {}
    /\ began = {}
    /\ refused = None

\* The next event happens.
Happens ==
    /\ refused = None
    /\ at < Len(Told[which])
    /\ job' = AfterIt(Event)
    /\ Event.kind = "command" => Permits(Event.cmd)
    /\ Broken(Event) = None
    /\ alive' = IF Event.kind = "begins" THEN alive \union {Place(Event)}
                ELSE IF Event.kind = "ends" THEN alive \ {Place(Event)}
                ELSE alive
    /\ began' = IF Event.kind = "begins" THEN began \union {Place(Event)} ELSE began
    /\ ordered' = IF Event.kind = "command" THEN ordered \union Demands(Event.job) ELSE ordered
    /\ at' = at + 1
    /\ at' = Len(Told[which]) => PrintT(<<"accepted", which>>)
    /\ UNCHANGED <<which, refused>>

\* It cannot: the history is none of `Step`.
Refuses ==
    /\ refused = None
    /\ at < Len(Told[which])
    /\ job' = AfterIt(Event)
    /\ LET permitted == Event.kind = "command" => Permits(Event.cmd)
       IN /\ ~permitted \/ Broken(Event) # None
          /\ refused' = IF permitted THEN Broken(Event) ELSE Action(Event)
    /\ PrintT(<<"refused", which, at + 1, refused'>>)
    /\ UNCHANGED <<which, at, alive, ordered, began>>

HistoryNext == Happens \/ Refuses
HistorySpec == HistoryInit /\ [][HistoryNext]_vars
=============================================================================
