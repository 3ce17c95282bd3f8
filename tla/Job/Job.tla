-------------------------------- MODULE Job --------------------------------
(* A job as the controllers keep it, and what each replicated command makes of it.

   One fact, one place: JobLife, Fence and Allocation put these operators into their worlds, and Step
   holds every command of a simulation against them. Each operator names the function of
   `src/model` that it describes. *)
EXTENDS Integers, FiniteSets

CONSTANT Bugs  \* mistakes switched on, for configurations that must fail

None == "none"
Live == {"pending", "running", "suspended"}
Terminal == {"completed", "cancelled", "failed", "timeout", "nodefail", "preempted", "bootfail",
             "deadline", "oom"}
Bases == Live \union Terminal
Launches == {None, "needed", "confirmed"}
Shares == {"held", "ending", "freed"}

\* What an attempt holds: a state for each of its nodes. `host` runs the batch script.
Nothing == [n \in {} |-> None]

\* requeue: submitted with --requeue. kill: --no-kill was not given. batch: it has a script.
Absent == [base |-> None, att |-> 0, launch |-> None, host |-> None, shares |-> Nothing,
           held |-> FALSE, requeue |-> FALSE, kill |-> TRUE, batch |-> TRUE]

Submitted(requeue, kill, batch, held) ==
    [base |-> "pending", att |-> 1, launch |-> None, host |-> None, shares |-> Nothing,
     held |-> held, requeue |-> requeue, kill |-> kill, batch |-> batch]

Exists(job) == job.base # None
Nodes(job) == DOMAIN job.shares
Takes(share) == share \in {"held", "ending"}
IsOpenOn(job, n) == n \in Nodes(job) /\ Takes(job.shares[n])
IsOpen(job) == \E n \in Nodes(job) : Takes(job.shares[n])
Runs(job) == job.base \in {"running", "suspended"}
IsTerminal(job) == job.base \in Terminal
IsFinished(job) == IsTerminal(job) /\ ~IsOpen(job)

\* flurm_model::Job::is_startable, and the hold that `check_start` looks at
IsStartable(job) ==
    /\ job.base = "pending"
    /\ ~IsOpen(job)
    /\ ~job.held

\* flurm_model::Cluster::start
Started(job, where, host) ==
    [job EXCEPT !.base = "running",
                !.launch = IF job.batch THEN "needed" ELSE None,
                !.host = host,
                !.shares = [n \in where |-> "held"]]

\* flurm_model::life::end_shares: `which` nodes are asked to end what is there. An operator's word
\* stands for those in `answered`.
WithEnded(job, which, answered) ==
    [job EXCEPT !.shares =
        [n \in Nodes(job) |->
            IF n \in which
            THEN IF n \in answered THEN "freed"
                 ELSE IF job.shares[n] = "held" THEN "ending" ELSE job.shares[n]
            ELSE job.shares[n]]]

\* flurm_model::Cluster::queue_again: a fresh attempt for a job whose earlier one is gone
QueuedAgain(job) ==
    [job EXCEPT !.att = IF "restart-numbers" \in Bugs THEN job.att - 1 ELSE job.att + 1,
                !.base = "pending",
                !.launch = None,
                !.host = None,
                !.shares = Nothing]

\* flurm_model::Cluster::settle_end
Settled(job) ==
    IF job.base = "pending" /\ (~IsOpen(job) \/ "requeue-early" \in Bugs)
    THEN QueuedAgain(job)
    ELSE job

\* flurm_model::Cluster::end_attempt
Ended(job, base, answered) ==
    Settled([WithEnded(job, Nodes(job), answered) EXCEPT !.base = base, !.launch = None])

\* flurm_model::Cluster::fail_launch
FailedLaunch(job, answered) ==
    Ended(job, IF job.requeue /\ job.batch THEN "pending" ELSE "failed", answered)

\* flurm_model::Cluster::fail_on_node: the attempt ends, or goes on without the node
FailedOn(job, n, answered) ==
    IF ~Runs(job) THEN job
    ELSE IF ~job.kill /\ Cardinality(Nodes(job)) > 1 /\ job.host # n
         THEN WithEnded(job, {n}, answered)
         ELSE Ended(job, IF job.requeue /\ job.batch THEN "pending" ELSE "nodefail", answered)

\* flurm_model::Cluster::free_share
WithFreed(job, n) ==
    IF IsOpenOn(job, n)
    THEN Settled([job EXCEPT !.shares =
            [o \in Nodes(job) |-> IF o = n THEN "freed" ELSE job.shares[o]]])
    ELSE job

\* flurm_model::Cluster::current: a report counts for the attempt it is about, and for no other
IsCurrent(job, att) ==
    /\ Exists(job)
    /\ \/ job.att = att
       \/ "stale-reports" \in Bugs

\* flurm_model::Cluster::launch_confirmed, and launch_failed
AwaitsLaunch(job, att, n) ==
    /\ IsCurrent(job, att)
    /\ job.launch = "needed"
    /\ job.host = n

\* flurm_model::Cluster::batch_complete
AwaitsEnd(job, att, n) ==
    /\ IsCurrent(job, att)
    /\ \/ Runs(job)
       \/ "late-ends" \in Bugs /\ IsTerminal(job)
    /\ job.host = n

\* flurm_model::Cluster::epilog_complete
AwaitsEpilog(job, att, n) ==
    /\ \/ IsCurrent(job, att)
       \/ "any-epilog" \in Bugs /\ Exists(job)
    /\ IsOpenOn(job, n)

AfterEpilog(job, n, answered) ==
    LET lost == job.shares[n] = "held"
        ended == IF lost THEN FailedOn(job, n, answered) ELSE job
    IN WithFreed(ended, n)

\* flurm_model::Cluster::kill
Cancelled(job, answered) ==
    IF Runs(job) THEN Ended(job, "cancelled", answered)
    ELSE [job EXCEPT !.base = "cancelled", !.launch = None]

\* flurm_model::Cluster::requeue_by_hand
MayBeRequeued(job) ==
    /\ job.requeue
    /\ job.batch
    /\ Exists(job)
    /\ job.base # "pending"

Requeued(job, answered) ==
    IF Runs(job) THEN Ended(job, "pending", answered)
    ELSE Settled([job EXCEPT !.base = "pending"])

\* The form of a job, whatever happens to it.
IsJob(job) ==
    /\ job.base \in Bases \union {None}
    /\ job.launch \in Launches
    /\ \A n \in Nodes(job) : job.shares[n] \in Shares
    /\ job.launch # None => Runs(job)
    /\ Runs(job) => job.host \in Nodes(job)
    /\ Runs(job) /\ job.kill =>
        \A n \in Nodes(job) : job.shares[n] = "held"
=============================================================================
