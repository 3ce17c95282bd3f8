------------------------------ MODULE Allocation ------------------------------
(* Who gets which nodes, and when they are free again.

   Jobs want CPUs on one node or on several at once, some want nodes to themselves. A start is one
   atomic command that gives a job all of its nodes or none. A node's share is taken until the node
   confirmed that nothing of the job is left there.

   With `Planner` starts are those of `flurm_sched::plan`; without it any start that
   `flurm_model::Cluster` accepts: whoever plans badly must not be able to oversubscribe. *)
EXTENDS Job

CONSTANTS
    JobCount,  \* jobs wait, the first one first
    Machines,  \* "n1" comes first in the configuration
    Cpus,      \* of each machine
    Wide,      \* jobs that want two nodes
    Big,       \* jobs that want two CPUs on each of their nodes
    Whole,     \* jobs that want their nodes to themselves
    Planner,   \* starts are the planner's
    Cancels,   \* users cancel
    Steps      \* scripts start steps on their other nodes

VARIABLES
    jobs,    \* the controllers' state of each job
    ledger,  \* what each node remembers of each job
    alive,   \* processes
    msgs     \* all that was ever sent

vars == <<jobs, ledger, alive, msgs>>

Numbers == 1 .. JobCount
NoEntry == [att |-> 0, phase |-> None]
Kinds == {"launch", "step", "terminate", "confirm", "end", "epilog"}
Messages == [kind : Kinds, job : Numbers, att : {1}, node : Machines]
Msg(k, j, n) == [kind |-> k, job |-> j, att |-> 1, node |-> n]
Processes == [job : Numbers, att : {1}, node : Machines]
Process(j, n) == [job |-> j, att |-> 1, node |-> n]

Width(j) == IF j \in Wide THEN 2 ELSE 1

\* The planner gives all CPUs of a node to whoever wants it alone. Others may not think of that.
CpusOf(j) == IF j \in Whole /\ Planner THEN Cpus ELSE IF j \in Big THEN 2 ELSE 1

On(n) == {j \in Numbers : IsOpenOn(jobs[j], n)}

\* CPUs of a node that a set of jobs takes: as many as there are pairs.
Sum(js) == Cardinality({p \in js \X (1 .. Cpus) : p[2] <= CpusOf(p[1])})

TypeOK ==
    /\ \A j \in Numbers : IsJob(jobs[j]) /\ jobs[j].att = 1 /\ Nodes(jobs[j]) \subseteq Machines
    /\ \A n \in Machines : \A j \in Numbers :
        /\ ledger[n][j].att \in {0, 1}
        /\ ledger[n][j].phase \in {None, "launched", "ending", "ended"}
    /\ alive \subseteq Processes
    /\ msgs \subseteq Messages

Init ==
    /\ jobs = [j \in Numbers |-> Submitted(FALSE, TRUE, TRUE, FALSE)]
    /\ ledger = [n \in Machines |-> [j \in Numbers |-> NoEntry]]
    /\ alive = {}
    /\ msgs = {}

------------------------------------------------------------------------------
(* Commands. *)

Becomes(j, job) ==
    /\ jobs' = [jobs EXCEPT ![j] = job]
    /\ UNCHANGED <<ledger, alive, msgs>>

\* flurm_model::Cluster::check_room
HasRoom(j, n) ==
    /\ \/ Sum(On(n)) + CpusOf(j) <= Cpus
       \/ "no-room" \in Bugs
    /\ \/ On(n) = {}
       \/ j \notin Whole /\ On(n) \intersect Whole = {}
       \/ "not-alone" \in Bugs

Place(n) == IF n = "n1" THEN 1 ELSE IF n = "n2" THEN 2 ELSE 3

\* flurm_sched::plan: nobody overtakes, and nodes are taken in the configuration's order.
IsPlanned(j, where, host) ==
    /\ \A i \in 1 .. j - 1 : ~IsStartable(jobs[i])
    /\ \A n \in where : \A m \in Machines \ where : HasRoom(j, m) => Place(n) < Place(m)
    /\ \A n \in where : Place(host) <= Place(n)

\* Command::Schedule
Start(j, where, host) ==
    /\ IsStartable(jobs[j])
    /\ \/ Cardinality(where) = Width(j)
       \/ "part-of-a-gang" \in Bugs
    /\ host \in where
    /\ \A n \in where : HasRoom(j, n)
    /\ Planner => IsPlanned(j, where, host)
    /\ Becomes(j, Started(jobs[j], where, host))

\* scancel. Command::Kill
Cancel(j) ==
    /\ Cancels
    /\ jobs[j].base \in Live
    /\ Becomes(j, Cancelled(jobs[j], {}))

\* Command::LaunchConfirmed
Confirmed(p) ==
    /\ Msg("confirm", p.job, p.node) \in msgs
    /\ AwaitsLaunch(jobs[p.job], p.att, p.node)
    /\ Becomes(p.job, [jobs[p.job] EXCEPT !.launch = "confirmed"])

\* The batch script ended. Command::BatchComplete
Completed(p) ==
    /\ Msg("end", p.job, p.node) \in msgs
    /\ AwaitsEnd(jobs[p.job], p.att, p.node)
    /\ Becomes(p.job, Ended(jobs[p.job],
                            IF "stay-running" \in Bugs THEN "running" ELSE "completed",
                            IF "free-at-end" \in Bugs THEN Nodes(jobs[p.job]) ELSE {}))

\* A node holds nothing of a job any more. Command::EpilogComplete
EpilogDone(p) ==
    /\ Msg("epilog", p.job, p.node) \in msgs
    /\ AwaitsEpilog(jobs[p.job], p.att, p.node)
    /\ Becomes(p.job, AfterEpilog(jobs[p.job], p.node, {}))

------------------------------------------------------------------------------
(* The leader tells nodes what the state demands; a script tells its other nodes. *)

Sends(m) ==
    /\ m \notin msgs
    /\ msgs' = msgs \union {m}
    /\ UNCHANGED <<jobs, ledger, alive>>

SendLaunch(j) ==
    /\ jobs[j].launch = "needed"
    /\ Sends(Msg("launch", j, jobs[j].host))

SendTerminate(j, n) ==
    /\ n \in Nodes(jobs[j])
    /\ jobs[j].shares[n] = "ending"
    /\ Sends(Msg("terminate", j, n))

\* srun within the script: it carries a credential for its job's nodes.
SendStep(j, n) ==
    /\ Steps
    /\ Runs(jobs[j])
    /\ n \in Nodes(jobs[j])
    /\ n # jobs[j].host
    /\ Process(j, jobs[j].host) \in alive
    /\ Sends(Msg("step", j, n))

------------------------------------------------------------------------------
(* Nodes. *)

Entry(n, j) == ledger[n][j]

Begins(p) ==
    /\ Entry(p.node, p.job) = NoEntry
    /\ ledger' = [ledger EXCEPT ![p.node][p.job] = [att |-> 1, phase |-> "launched"]]
    /\ alive' = alive \union {p}

\* flurm_node::ledger::Ledger::on_launch
Launch(p) ==
    /\ Msg("launch", p.job, p.node) \in msgs
    /\ Begins(p)
    /\ msgs' = msgs \union {Msg("confirm", p.job, p.node)}
    /\ UNCHANGED jobs

\* flurm_node::ledger::Ledger::on_step
LaunchStep(p) ==
    /\ Msg("step", p.job, p.node) \in msgs
    /\ Begins(p)
    /\ UNCHANGED <<jobs, msgs>>

\* A process ends by itself. Only the script's end means anything to the controllers.
Exit(p) ==
    /\ p \in alive
    /\ alive' = alive \ {p}
    /\ msgs' = msgs \union {Msg("end", p.job, p.node)}
    /\ UNCHANGED <<jobs, ledger>>

\* flurm_node::ledger::Ledger::on_terminate
Terminate(p) ==
    /\ Msg("terminate", p.job, p.node) \in msgs
    /\ Entry(p.node, p.job).phase = "launched"
    /\ ledger' = [ledger EXCEPT ![p.node][p.job].phase = "ending"]
    /\ UNCHANGED <<jobs, alive, msgs>>

NothingToEnd(p) ==
    /\ Msg("terminate", p.job, p.node) \in msgs
    /\ Entry(p.node, p.job).phase \in {None, "ended"}
    /\ Msg("epilog", p.job, p.node) \notin msgs
    /\ ledger' = [ledger EXCEPT ![p.node][p.job] = [att |-> 1, phase |-> "ended"]]
    /\ msgs' = msgs \union {Msg("epilog", p.job, p.node)}
    /\ UNCHANGED <<jobs, alive>>

\* flurm_node::ledger::Ledger::on_ended
CleanUp(n, j) ==
    /\ Entry(n, j).phase = "ending"
    /\ ledger' = [ledger EXCEPT ![n][j].phase = "ended"]
    /\ alive' = alive \ {Process(j, n)}
    /\ msgs' = msgs \union {Msg("epilog", j, n)}
                    \union (IF Process(j, n) \in alive THEN {Msg("end", j, n)} ELSE {})
    /\ UNCHANGED jobs

------------------------------------------------------------------------------

Next ==
    \/ \E j \in Numbers :
        \/ \E where \in SUBSET Machines : \E host \in Machines : Start(j, where, host)
        \/ \E n \in Machines : CleanUp(n, j) \/ SendTerminate(j, n) \/ SendStep(j, n)
        \/ Cancel(j)
        \/ SendLaunch(j)
    \/ \E p \in Processes :
        \/ Confirmed(p)
        \/ Completed(p)
        \/ EpilogDone(p)
        \/ Launch(p)
        \/ LaunchStep(p)
        \/ Exit(p)
        \/ Terminate(p)
        \/ NothingToEnd(p)

Spec == Init /\ [][Next]_vars

Fairness ==
    \A j \in Numbers :
        /\ WF_vars(\E where \in SUBSET Machines : \E host \in Machines : Start(j, where, host))
        /\ WF_vars(SendLaunch(j))
        /\ \A n \in Machines : WF_vars(SendTerminate(j, n))
        /\ \A n \in Machines : WF_vars(CleanUp(n, j))
        /\ \A n \in Machines : WF_vars(Launch(Process(j, n)))
        /\ \A n \in Machines : WF_vars(Completed(Process(j, n)))
        /\ \A n \in Machines : WF_vars(EpilogDone(Process(j, n)))
        /\ \A n \in Machines :
            WF_vars(Terminate(Process(j, n)) \/ NothingToEnd(Process(j, n)))
        /\ \A n \in Machines : WF_vars(Exit(Process(j, n)))

FairSpec == Spec /\ Fairness

------------------------------------------------------------------------------
(* What is promised. *)

\* No node gives more CPUs than it has, on paper and in processes.
NoOversubscription ==
    \A n \in Machines :
        /\ Sum(On(n)) <= Cpus
        /\ Sum({j \in Numbers : Process(j, n) \in alive}) <= Cpus

\* A job that wants its nodes to itself has them to itself.
WholeIsAlone == \A n \in Machines : On(n) \intersect Whole # {} => Cardinality(On(n)) = 1

\* A job has all of its nodes or none.
AllOrNothing ==
    \A j \in Numbers :
        Runs(jobs[j]) =>
            /\ Cardinality(Nodes(jobs[j])) = Width(j)
            /\ \A n \in Nodes(jobs[j]) : jobs[j].shares[n] = "held"

\* What runs, runs where something is held for it.
RunsWhereItIsHeld == \A p \in alive : IsOpenOn(jobs[p.job], p.node)

\* A share is free only once nothing of the job is there, and nothing ever will be.
FreedOnceGone ==
    [][\A j \in Numbers : \A n \in Machines :
        (IsOpenOn(jobs[j], n) /\ ~IsOpenOn(jobs'[j], n)) =>
            /\ Process(j, n) \notin alive
            /\ Entry(n, j).phase = "ended"]_vars

\* Nobody overtakes whoever fits an empty cluster.
NobodyOvertakes ==
    [][\A i, j \in Numbers :
        (i < j /\ IsStartable(jobs[i])) => ~(jobs[j].base = "pending" /\ Runs(jobs'[j]))]_vars

\* A job that fits an idle cluster starts, whatever came before it.
EveryJobStarts == \A j \in Numbers : TRUE ~> jobs[j].base # "pending"
==============================================================================
