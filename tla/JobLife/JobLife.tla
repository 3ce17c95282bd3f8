------------------------------- MODULE JobLife -------------------------------
(* Submission and the life of a job.

   Clients submit and may repeat a request; the cluster gives out one number for each request; the
   planner starts a job; the leader derives orders to nodes from the state and repeats them; nodes
   keep a ledger, run processes and report. Every message may be late, lost and repeated: a message
   once sent stays in `msgs`, may be acted on at any later time and any number of times, or never.

   What is committed is taken for granted here (Failover says why): a command is one atomic step of
   `flurm_model::Cluster::apply`, a node's step one verdict of `flurm_node::ledger::Ledger`. *)
EXTENDS Job

CONSTANTS
    Requests,      \* what clients want; each is one key of idempotency
    Machines,      \* each takes one job's batch step
    MaxAttempts,   \* attempts with a higher number are not started
    MayRequeue,    \* jobs are submitted with --requeue
    HandRequeue,   \* users requeue by hand
    Cancels,       \* users cancel, time limits end jobs
    Holds          \* users hold and release

VARIABLES
    client,  \* what each request's client knows
    keys,    \* the job of each request, 0 before there is one
    jobs,    \* the controllers' state, by job number
    ledger,  \* what each node remembers of each job
    alive,   \* processes of attempts
    msgs     \* all that was ever sent between leader and nodes

vars == <<client, keys, jobs, ledger, alive, msgs>>

Numbers == 1 .. Cardinality(Requests)
Attempts == 1 .. MaxAttempts + 1
NoEntry == [att |-> 0, phase |-> None]

Kinds == {"launch", "terminate", "confirm", "refuse", "end", "epilog"}
Messages == [kind : Kinds, job : Numbers, att : Attempts, node : Machines]
Msg(k, j, a, n) == [kind |-> k, job |-> j, att |-> a, node |-> n]
Places == [job : Numbers, att : Attempts, node : Machines]
Process(j, a, n) == [job |-> j, att |-> a, node |-> n]

TypeOK ==
    /\ client \in [Requests -> [st : {"new", "sent", "acked"}, id : {0} \union Numbers]]
    /\ keys \in [Requests -> {0} \union Numbers]
    /\ \A j \in Numbers :
        /\ IsJob(jobs[j])
        /\ jobs[j].att \in {0} \union Attempts
        /\ Nodes(jobs[j]) \subseteq Machines
    /\ \A n \in Machines : \A j \in Numbers :
        /\ ledger[n][j].att \in {0} \union Attempts
        /\ ledger[n][j].phase \in {None, "launched", "ending", "ended"}
    /\ alive \subseteq Places
    /\ msgs \subseteq Messages

Init ==
    /\ client = [r \in Requests |-> [st |-> "new", id |-> 0]]
    /\ keys = [r \in Requests |-> 0]
    /\ jobs = [j \in Numbers |-> Absent]
    /\ ledger = [n \in Machines |-> [j \in Numbers |-> NoEntry]]
    /\ alive = {}
    /\ msgs = {}

------------------------------------------------------------------------------
(* Commands. *)

NextNumber == Cardinality({j \in Numbers : Exists(jobs[j])}) + 1

\* A submission is committed. Repeated, it finds its key and changes nothing. Command::Submit
CommitSubmit(r) ==
    /\ client[r].st # "new"
    /\ \/ keys[r] = 0
       \/ "forget-keys" \in Bugs
    /\ NextNumber \in Numbers
    /\ jobs' = [jobs EXCEPT ![NextNumber] = Submitted(MayRequeue, TRUE, TRUE, FALSE)]
    /\ keys' = [keys EXCEPT ![r] = NextNumber]
    /\ UNCHANGED <<client, ledger, alive, msgs>>

Becomes(j, job) ==
    /\ jobs' = [jobs EXCEPT ![j] = job]
    /\ UNCHANGED <<client, keys, ledger, alive, msgs>>

\* The planner's decision. Command::Schedule
Start(j, n) ==
    /\ IsStartable(jobs[j])
    /\ \/ jobs[j].att <= MaxAttempts
       \/ "no-bound" \in Bugs
    /\ Becomes(j, Started(jobs[j], {n}, n))

\* scancel. Command::Kill
Cancel(j) ==
    /\ Cancels
    /\ jobs[j].base \in Live
    /\ Becomes(j, Cancelled(jobs[j], {}))

\* scontrol requeue. Command::Requeue
Requeue(j) ==
    /\ HandRequeue
    /\ MayBeRequeued(jobs[j])
    /\ jobs[j].att <= MaxAttempts
    /\ Becomes(j, Requeued(jobs[j], {}))

\* Command::TimeLimitReached
TimeLimit(j) ==
    /\ Cancels
    /\ Runs(jobs[j])
    /\ Becomes(j, Ended(jobs[j], "timeout", {}))

\* scontrol hold, scontrol release. Command::Update
Hold(j) ==
    /\ Holds
    /\ IsStartable(jobs[j])
    /\ Becomes(j, [jobs[j] EXCEPT !.held = TRUE])

Release(j) ==
    /\ Holds
    /\ jobs[j].base = "pending"
    /\ jobs[j].held
    /\ Becomes(j, [jobs[j] EXCEPT !.held = FALSE])

\* A node has the batch step. Command::LaunchConfirmed
Confirmed(p) ==
    /\ Msg("confirm", p.job, p.att, p.node) \in msgs
    /\ AwaitsLaunch(jobs[p.job], p.att, p.node)
    /\ Becomes(p.job, [jobs[p.job] EXCEPT !.launch = "confirmed"])

\* A node refused the batch step. Command::LaunchFailed
Refused(p) ==
    /\ Msg("refuse", p.job, p.att, p.node) \in msgs
    /\ AwaitsLaunch(jobs[p.job], p.att, p.node)
    /\ Becomes(p.job, FailedLaunch(jobs[p.job], {}))

\* The batch script ended. Command::BatchComplete
Completed(p) ==
    /\ Msg("end", p.job, p.att, p.node) \in msgs
    /\ AwaitsEnd(jobs[p.job], p.att, p.node)
    /\ Becomes(p.job, Ended(jobs[p.job], "completed", {}))

\* A node holds nothing of an attempt any more. Command::EpilogComplete
EpilogDone(p) ==
    /\ Msg("epilog", p.job, p.att, p.node) \in msgs
    /\ AwaitsEpilog(jobs[p.job], p.att, p.node)
    /\ Becomes(p.job, AfterEpilog(jobs[p.job], p.node, {}))

------------------------------------------------------------------------------
(* Clients. *)

Send(r) ==
    /\ client[r].st = "new"
    /\ client' = [client EXCEPT ![r].st = "sent"]
    /\ UNCHANGED <<keys, jobs, ledger, alive, msgs>>

\* The answer arrives: to the first try or to a later one.
Acknowledge(r) ==
    /\ client[r].st = "sent"
    /\ keys[r] # 0
    /\ client' = [client EXCEPT ![r] = [st |-> "acked", id |-> keys[r]]]
    /\ UNCHANGED <<keys, jobs, ledger, alive, msgs>>

------------------------------------------------------------------------------
(* The leader tells nodes what the state demands. flurm_model::Cluster::outstanding *)

SendLaunch(j) ==
    /\ jobs[j].launch = "needed"
    /\ Msg("launch", j, jobs[j].att, jobs[j].host) \notin msgs
    /\ msgs' = msgs \union {Msg("launch", j, jobs[j].att, jobs[j].host)}
    /\ UNCHANGED <<client, keys, jobs, ledger, alive>>

SendTerminate(j, n) ==
    /\ n \in Nodes(jobs[j])
    /\ jobs[j].shares[n] = "ending"
    /\ Msg("terminate", j, jobs[j].att, n) \notin msgs
    /\ msgs' = msgs \union {Msg("terminate", j, jobs[j].att, n)}
    /\ UNCHANGED <<client, keys, jobs, ledger, alive>>

------------------------------------------------------------------------------
(* Nodes. *)

Entry(n, j) == ledger[n][j]

\* flurm_node::ledger::Ledger::on_launch
Verdict(e, att) ==
    IF att < e.att THEN "stale"
    ELSE IF att = e.att
         THEN IF e.phase = "launched" THEN "already"
              ELSE IF e.phase = "ended" /\ "obey-ended" \in Bugs THEN "start"
              ELSE "ended"
         ELSE IF e.phase \in {None, "ended"} THEN "start" ELSE "older-ending"

\* The node starts the batch step. Found started already, it agrees again.
Launch(p) ==
    /\ Msg("launch", p.job, p.att, p.node) \in msgs
    /\ Verdict(Entry(p.node, p.job), p.att) = "start"
    /\ ledger' = [ledger EXCEPT ![p.node][p.job] = [att |-> p.att, phase |-> "launched"]]
    /\ alive' = alive \union {Process(p.job, p.att, p.node)}
    /\ msgs' = msgs \union {Msg("confirm", p.job, p.att, p.node)}
    /\ UNCHANGED <<client, keys, jobs>>

\* The node cannot start it: no such user, no fork.
LaunchFails(p) ==
    /\ Msg("launch", p.job, p.att, p.node) \in msgs
    /\ Verdict(Entry(p.node, p.job), p.att) = "start"
    /\ ledger' = [ledger EXCEPT ![p.node][p.job] = [att |-> p.att, phase |-> "ended"]]
    /\ msgs' = msgs \union {Msg("refuse", p.job, p.att, p.node)}
    /\ UNCHANGED <<client, keys, jobs, alive>>

\* The order came too late.
LaunchIsStale(p) ==
    /\ Msg("launch", p.job, p.att, p.node) \in msgs
    /\ Verdict(Entry(p.node, p.job), p.att) \in {"stale", "ended"}
    /\ Msg("refuse", p.job, p.att, p.node) \notin msgs
    /\ msgs' = msgs \union {Msg("refuse", p.job, p.att, p.node)}
    /\ UNCHANGED <<client, keys, jobs, ledger, alive>>

\* The batch script ends by itself; its step daemon reports until it is heard.
Exit(p) ==
    /\ p \in alive
    /\ alive' = alive \ {p}
    /\ msgs' = msgs \union {Msg("end", p.job, p.att, p.node)}
    /\ UNCHANGED <<client, keys, jobs, ledger>>

\* flurm_node::ledger::Ledger::on_terminate, where something is to be ended.
Terminate(p) ==
    /\ Msg("terminate", p.job, p.att, p.node) \in msgs
    /\ LET e == Entry(p.node, p.job) IN
        /\ p.att >= e.att
        /\ e.phase = "launched"
    /\ ledger' = [ledger EXCEPT ![p.node][p.job].phase = "ending"]
    /\ UNCHANGED <<client, keys, jobs, alive, msgs>>

\* The same, where nothing is there and, from now on, nothing ever will be.
NothingToEnd(p) ==
    /\ Msg("terminate", p.job, p.att, p.node) \in msgs
    /\ LET e == Entry(p.node, p.job) IN
        /\ \/ p.att < e.att
           \/ e.phase \in {None, "ended"}
        /\ ledger' = [ledger EXCEPT ![p.node][p.job] =
                        IF p.att < e.att \/ "forget-terminated" \in Bugs
                        THEN e
                        ELSE [att |-> p.att, phase |-> "ended"]]
    /\ Msg("epilog", p.job, p.att, p.node) \notin msgs
    /\ msgs' = msgs \union {Msg("epilog", p.job, p.att, p.node)}
    /\ UNCHANGED <<client, keys, jobs, alive>>

\* All processes are gone, the epilog ran. flurm_node::ledger::Ledger::on_ended
CleanUp(n, j) ==
    /\ Entry(n, j).phase = "ending"
    /\ LET a == Entry(n, j).att
           p == Process(j, a, n)
       IN
        /\ ledger' = [ledger EXCEPT ![n][j].phase = "ended"]
        /\ alive' = alive \ {p}
        /\ msgs' = msgs \union {Msg("epilog", j, a, n)}
                        \union (IF p \in alive THEN {Msg("end", j, a, n)} ELSE {})
    /\ UNCHANGED <<client, keys, jobs>>

------------------------------------------------------------------------------

Next ==
    \/ \E r \in Requests : Send(r) \/ CommitSubmit(r) \/ Acknowledge(r)
    \/ \E j \in Numbers :
        \/ \E n \in Machines : Start(j, n) \/ CleanUp(n, j) \/ SendTerminate(j, n)
        \/ Cancel(j)
        \/ Requeue(j)
        \/ TimeLimit(j)
        \/ Hold(j)
        \/ Release(j)
        \/ SendLaunch(j)
    \/ \E p \in Places :
        \/ Confirmed(p)
        \/ Refused(p)
        \/ Completed(p)
        \/ EpilogDone(p)
        \/ Launch(p)
        \/ LaunchFails(p)
        \/ LaunchIsStale(p)
        \/ Terminate(p)
        \/ NothingToEnd(p)
    \/ \E p \in Places : Exit(p)

Spec == Init /\ [][Next]_vars

\* What must go on for jobs to end. Nobody has to cancel, and no launch has to fail.
Fairness ==
    /\ \A r \in Requests : WF_vars(CommitSubmit(r)) /\ WF_vars(Acknowledge(r))
    /\ \A j \in Numbers :
        /\ WF_vars(\E n \in Machines : Start(j, n))
        /\ WF_vars(Release(j))
        /\ WF_vars(SendLaunch(j))
        /\ \A n \in Machines : WF_vars(SendTerminate(j, n))
        /\ \A n \in Machines : WF_vars(CleanUp(n, j))
        /\ WF_vars(\E p \in Places : p.job = j /\ (Launch(p) \/ LaunchFails(p)))
        /\ WF_vars(\E p \in Places : p.job = j /\ (Confirmed(p) \/ Refused(p)))
        /\ WF_vars(\E p \in Places : p.job = j /\ Completed(p))
        /\ WF_vars(\E p \in Places : p.job = j /\ EpilogDone(p))
        /\ WF_vars(\E p \in Places : p.job = j /\ (Terminate(p) \/ NothingToEnd(p)))
        /\ WF_vars(\E p \in alive : p.job = j /\ Exit(p))

FairSpec == Spec /\ Fairness

------------------------------------------------------------------------------
(* What is promised. *)

\* An acknowledged number is never lost, and never means another request.
AckedIsKept ==
    \A r \in Requests :
        client[r].st = "acked" =>
            /\ keys[r] = client[r].id
            /\ Exists(jobs[client[r].id])

\* One request, one job, however often it is repeated.
OneJobPerRequest ==
    /\ \A r, s \in Requests : (r # s /\ keys[r] # 0) => keys[r] # keys[s]
    /\ \A j \in Numbers : Exists(jobs[j]) => \E r \in Requests : keys[r] = j

\* No job runs twice at once.
NoDoubleRun ==
    \A j \in Numbers : Cardinality({p \in alive : p.job = j}) <= 1

\* What runs is the current attempt, on the node that is held for it. So a freed share, a waiting
\* job and a finished job have no process anywhere.
RunsWhereItIsHeld ==
    \A p \in alive :
        /\ jobs[p.job].att = p.att
        /\ IsOpenOn(jobs[p.job], p.node)

\* An ended job stays ended, unless somebody asks for it again.
TerminalAbsorbs ==
    [][\A j \in Numbers :
        IsTerminal(jobs[j]) =>
            \/ jobs'[j].base = jobs[j].base
            \/ HandRequeue /\ jobs'[j].base = "pending"]_vars

\* Attempts only grow.
AttemptsGrow == [][\A j \in Numbers : jobs'[j].att >= jobs[j].att]_vars

\* Every accepted job ends, and nothing of it is left. Attempts are bounded here and not in the
\* product: a job beyond the bound counts as ended.
EveryJobEnds ==
    \A j \in Numbers : Exists(jobs[j]) ~> (IsFinished(jobs[j]) \/ jobs[j].att > MaxAttempts)

\* Whoever asks is answered.
EveryRequestIsAnswered == \A r \in Requests : client[r].st = "sent" ~> client[r].st = "acked"
\* The first job's life, from far away.
Begun == {a \in Attempts : \E n \in Machines : Msg("confirm", 1, a, n) \in msgs}
Life == INSTANCE Life WITH
    att <- jobs[1].att, begun <- Begun, quiet <- (\A p \in alive : p.job # 1)
RefinesLife == Life!Spec
==============================================================================
