-------------------------------- MODULE Step --------------------------------
(* What each replicated command may make of one job: the whole of `flurm_model::Cluster::apply`, as
   far as the life of a job goes.

   The simulator holds every committed command against `Permits`: the job before, the command as far as
   it is about this job, the job after. What changes without an action here that allows it is refused,
   with the conjunct that does not hold. *)
EXTENDS Job

CONSTANTS
    Machines,     \* nodes, for the checkers only
    MaxAttempts   \* for the checkers only

VARIABLE job

(* A command, as far as it is about the job:
     kind      which
     named     it names the job, or the array that the job belongs to
     current   the attempt it names is the job's current one
     node      the node it names; of a start, the one that runs the script
     where     nodes of a start; nodes that a configuration leaves out
     answered  nodes whose end needs no confirmation: an operator answers for them, or they are gone
     marks     what else is true of it *)
Marks == {
    "fresh",       \* the job's number is higher than any before
    "kills",       \* a signal that ends the job
    "hold",        \* the job is held too
    "release",
    "requeue",     \* --requeue is switched on
    "norequeue",
    "depends",     \* the job waits for others
    "homeless",    \* none of the job's partitions exists
    "listed",      \* the node says that it has the attempt
    "down",        \* the node is DOWN now
    "well",        \* the script ended with 0
    "badly",       \* with something else, or by a signal
    "oom",
    "restarted",   \* the script was lost in a restart of its node
    "refused"}     \* the script could not be run

Has(c, mark) == mark \in c.marks
Fresh == {Submitted(requeue, kill, batch, held) :
             requeue \in BOOLEAN, kill \in BOOLEAN, batch \in BOOLEAN, held \in BOOLEAN}

\* The job becomes `next`. Queued again without a partition to go to, it is held.
Becomes(c, next) ==
    \/ job' = next
    \/ Has(c, "homeless") /\ next.att > job.att /\ job' = [next EXCEPT !.held = TRUE]

HeldToo(c, next) == IF Has(c, "hold") THEN [next EXCEPT !.held = TRUE] ELSE next

\* Command::Submit, Command::Allocate, and a task that gets a number of its own. Cluster::submit,
\* Cluster::split_task
Submit(c) ==
    /\ c.kind \in {"submit", "divide"}
    /\ ~Exists(job)
    /\ Has(c, "fresh")
    /\ job' \in Fresh

\* Waiting for what cannot come. Cluster::judge_dependencies, after any command
NeverSatisfied(c) ==
    /\ Has(c, "depends")
    /\ \/ job.base = "pending" /\ job' = Cancelled(job, {})
       \/ /\ ~Exists(job)
          /\ Has(c, "fresh")
          /\ job' \in {Cancelled(fresh, {}) : fresh \in Fresh}

\* Command::Schedule. Cluster::check_start, Cluster::start
Start(c) ==
    /\ c.kind = "schedule"
    /\ c.named
    /\ c.current
    /\ IsStartable(job)
    /\ job' = Started(job, c.where, c.node)

\* Command::Kill. Cluster::kill
Kill(c) ==
    /\ c.kind \in {"kill", "over"}
    /\ c.named
    /\ Has(c, "kills")
    /\ job.base \in Live
    /\ Becomes(c, Cancelled(job, c.answered))

\* Command::AllocationOver. Cluster::allocation_over
GivenBack(c) ==
    /\ c.kind = "over"
    /\ c.named
    /\ Runs(job)
    /\ \E base \in {"completed", "failed", "oom"} : job' = Ended(job, base, c.answered)

\* Command::TimeLimitReached. Cluster::time_limit_reached
TimeLimit(c) ==
    /\ c.kind = "time-limit"
    /\ c.named
    /\ c.current
    /\ \/ Runs(job) /\ \E base \in {"timeout", "deadline"} : job' = Ended(job, base, c.answered)
       \/ job.base = "pending" /\ job' = [job EXCEPT !.base = "deadline", !.launch = None]

\* Command::Suspend. Cluster::suspend
Suspend(c) ==
    /\ c.kind = "suspend"
    /\ c.named
    /\ Runs(job)
    /\ job' = [job EXCEPT !.base = IF job.base = "running" THEN "suspended" ELSE "running"]

\* Command::Requeue. Cluster::requeue_by_hand
Requeue(c) ==
    /\ c.kind = "requeue"
    /\ c.named
    /\ MayBeRequeued(job)
    /\ Becomes(c, HeldToo(c, Requeued(job, c.answered)))

\* Command::Update. Cluster::update_job
Update(c) ==
    /\ c.kind = "update"
    /\ c.named
    /\ Exists(job)
    /\ ~IsFinished(job)
    /\ job' = [job EXCEPT
            !.held = IF Has(c, "hold") THEN TRUE ELSE IF Has(c, "release") THEN FALSE ELSE job.held,
            !.requeue = IF Has(c, "requeue") THEN TRUE
                        ELSE IF Has(c, "norequeue") THEN FALSE ELSE job.requeue]

\* Command::LaunchConfirmed. Cluster::launch_confirmed
Confirmed(c) ==
    /\ c.kind = "confirmed"
    /\ c.named
    /\ \/ job.launch = "needed"
       \/ "confirm-late" \in Bugs
    /\ job.host = c.node
    /\ c.current
    /\ job' = [job EXCEPT !.launch = "confirmed"]

\* The script could not be run: once more, once more but held, or never. Cluster::fail_launch
LaunchFailed(c) ==
    LET failed == FailedLaunch(job, c.answered) IN
    \/ Becomes(c, failed)
    \/ failed.base = "pending" /\ job' = [failed EXCEPT !.held = TRUE]

\* Command::LaunchFailed. Cluster::launch_failed
Refused(c) ==
    /\ c.kind = "refused"
    /\ c.named
    /\ job.launch = "needed"
    /\ job.host = c.node
    /\ c.current
    /\ LaunchFailed(c)

\* Command::BatchComplete. Cluster::batch_complete
Completed(c) ==
    /\ c.kind = "complete"
    /\ c.named
    /\ \/ c.current
       \/ "stale-reports" \in Bugs
    /\ \/ Runs(job)
       \/ "late-ends" \in Bugs /\ IsTerminal(job)
    /\ job.host = c.node
    /\ \/ Has(c, "well") /\ Becomes(c, Ended(job, "completed", c.answered))
       \/ Has(c, "badly") /\ Becomes(c, Ended(job, "failed", c.answered))
       \/ Has(c, "oom") /\ Becomes(c, Ended(job, "oom", c.answered))
       \/ Has(c, "restarted") /\ Becomes(c, FailedOn(job, c.node, c.answered))
       \/ Has(c, "refused") /\ LaunchFailed(c)

\* Command::EpilogComplete. Cluster::epilog_complete
EpilogDone(c) ==
    /\ c.kind = "epilog"
    /\ c.named
    /\ c.current
    /\ IsOpenOn(job, c.node)
    /\ Becomes(c, AfterEpilog(job, c.node, c.answered))

\* Command::NodeRegistered. Cluster::miss_attempts, Cluster::fail_jobs_on
Registered(c) ==
    /\ c.kind = "registered"
    /\ IsOpenOn(job, c.node)
    /\ \/ /\ job.launch = "needed"
          /\ job.host = c.node
          /\ Has(c, "listed")
          /\ job' = [job EXCEPT !.launch = "confirmed"]
       \/ /\ \/ ~Has(c, "listed")
             \/ Has(c, "down")
          /\ Becomes(c, FailedOn(job, c.node, c.answered))

\* An operator's word frees what a silent node was told to end. Cluster::free_answered_for
WithAnswer(next, n, answered) ==
    IF n \in answered /\ IsOpenOn(next, n) /\ next.shares[n] = "ending"
    THEN WithFreed(next, n)
    ELSE next

\* Command::NodeNotResponding. Cluster::node_not_responding
Silent(c) ==
    /\ c.kind = "silent"
    /\ IsOpenOn(job, c.node)
    /\ c.node \in c.answered
    /\ Becomes(c, WithAnswer(job, c.node, c.answered))

\* Command::NodeDown, Command::UpdateNode. Cluster::fail_jobs_on, Cluster::free_answered_for
Down(c) ==
    /\ c.kind = "down"
    /\ IsOpenOn(job, c.node)
    /\ \/ Has(c, "down")
       \/ c.node \in c.answered
    /\ LET failed == IF Has(c, "down") THEN FailedOn(job, c.node, c.answered) ELSE job
       IN Becomes(c, WithAnswer(failed, c.node, c.answered))

\* Command::Configure. Cluster::end_on_removed_nodes, Cluster::hold_homeless
Configure(c) ==
    /\ c.kind = "configure"
    /\ LET lost == {n \in c.where : IsOpenOn(job, n)}
           first == IF job.host \in lost THEN job.host ELSE CHOOSE n \in lost : TRUE
           survives == ~job.kill /\ job.host \notin lost
           next == IF lost = {} \/ ~Runs(job) THEN job
                   ELSE IF survives THEN WithEnded(job, lost, c.answered)
                   ELSE FailedOn(job, first, c.answered)
       IN \/ Becomes(c, next)
          \/ next.base = "pending" /\ job' = [next EXCEPT !.held = TRUE]

\* Command::Purge. Cluster::purge
Purge(c) ==
    /\ c.kind = "purge"
    /\ IsFinished(job)
    /\ job' = Absent

\* What people, the planner and the clock do.
OfPeople(c) ==
    \/ Submit(c)
    \/ NeverSatisfied(c)
    \/ Start(c)
    \/ Kill(c)
    \/ GivenBack(c)
    \/ TimeLimit(c)
    \/ Suspend(c)
    \/ Requeue(c)
    \/ Update(c)
    \/ Configure(c)
    \/ Purge(c)

\* What nodes report, or what is said of them.
OfNodes(c) ==
    \/ Confirmed(c)
    \/ Refused(c)
    \/ Completed(c)
    \/ EpilogDone(c)
    \/ Registered(c)
    \/ Silent(c)
    \/ Down(c)

\* Every command leaves every job as it is, or does one of these.
Permits(c) == OfPeople(c) \/ OfNodes(c)

------------------------------------------------------------------------------
(* For the checkers: the commands there can be, of a job on a few nodes. *)

Cmd(kind, current, n, where, answered, marks) ==
    [kind |-> kind, named |-> TRUE, current |-> current, node |-> n, where |-> where,
     answered |-> answered, marks |-> marks]

Words == {{}, Machines}
Plain(kinds, marks) ==
    {Cmd(kind, TRUE, None, {}, answered, ms) : kind \in kinds, answered \in Words, ms \in marks}
Reports(kind, marks) ==
    {Cmd(kind, TRUE, n, {}, answered, ms) : n \in Machines, answered \in Words, ms \in marks}
Late(kind, marks) == {Cmd(kind, FALSE, n, {}, {}, ms) : n \in Machines, ms \in marks}
Ends == {{"well"}, {"badly"}, {"oom"}, {"restarted"}, {"refused"}}

Init == job = Absent
Bounded == job'.att <= MaxAttempts

Next ==
    \/ \E c \in Plain({"submit"}, {{"fresh"}}) : Submit(c) /\ Bounded
    \/ \E c \in Plain({"update"}, {{"fresh", "depends"}}) : NeverSatisfied(c) /\ Bounded
    \/ \E n \in Machines : \E where \in {{n}, Machines} :
        Start(Cmd("schedule", TRUE, n, where, {}, {})) /\ Bounded
    \/ \E c \in Plain({"kill", "over"}, {{"kills"}}) : Kill(c) /\ Bounded
    \/ \E c \in Plain({"over"}, {{}}) : GivenBack(c) /\ Bounded
    \/ \E c \in Plain({"time-limit"}, {{}}) : TimeLimit(c) /\ Bounded
    \/ \E c \in Plain({"suspend"}, {{}}) : Suspend(c) /\ Bounded
    \/ \E c \in Plain({"requeue"}, {{}, {"hold"}, {"homeless"}}) : Requeue(c) /\ Bounded
    \/ \E c \in Plain({"update"}, {{"hold"}, {"release"}, {"requeue"}, {"norequeue"}}) :
        Update(c) /\ Bounded
    \/ \E c \in Reports("confirmed", {{}}) : Confirmed(c) /\ Bounded
    \/ \E c \in Reports("refused", {{}}) : Refused(c) /\ Bounded
    \/ \E c \in Reports("complete", Ends) \union Late("complete", Ends) : Completed(c) /\ Bounded
    \/ \E c \in Reports("epilog", {{}}) \union Late("epilog", {{}}) : EpilogDone(c) /\ Bounded
    \/ \E c \in Reports("registered", {{}, {"listed"}}) : Registered(c) /\ Bounded
    \/ \E c \in Reports("silent", {{}}) : Silent(c) /\ Bounded
    \/ \E c \in Reports("down", {{}, {"down"}}) : Down(c) /\ Bounded
    \/ \E n \in Machines : Configure(Cmd("configure", FALSE, None, {n}, {}, {})) /\ Bounded
    \/ \E c \in Plain({"purge"}, {{}}) : Purge(c) /\ Bounded

Spec == Init /\ [][Next]_job

TypeOK == IsJob(job)

\* An ended job stays ended, unless somebody asks for it again, or forgets it.
TerminalAbsorbs ==
    [][IsTerminal(job) =>
        \/ job'.base = job.base
        \/ job.requeue /\ job'.base = "pending"
        \/ job' = Absent]_job

\* Attempts only grow, one by one.
AttemptsGrow == [][Exists(job') => job'.att \in {job.att, job.att + 1}]_job
=============================================================================
