-------------------------------- MODULE Fence --------------------------------
(* Nodes that fall silent, restart and come back, and what becomes of their jobs.

   The controllers know of a node what it registered: which boot of its machine, which run of its
   daemon, which attempts. The leader judges silence by its own time. A job of a lost node is failed
   at once, yet its share stays taken until the node confirmed that nothing is left of it, or an
   operator answered for a node that is silent.

   As in JobLife a command is one atomic step of `flurm_model::Cluster::apply`, a node's step one
   verdict of `flurm_node::ledger::Ledger`, a judgement one of `flurm_ctld::silence::Silence`.
   Messages may be late, lost and repeated; those to a machine outlive its power. Registrations of a
   node arrive in the order in which they were written. *)
EXTENDS Job

CONSTANTS
    JobCount,     \* jobs that wait in the beginning
    Machines,
    Failing,      \* machines that may fail; the others never do
    Width,        \* nodes of each job
    MaxAttempts,  \* attempts with a higher number are not started
    MayRequeue,   \* jobs were submitted with --requeue
    Kill,         \* jobs were submitted without --no-kill
    MaxBoots,     \* of each failing machine
    MaxRuns,      \* of its daemon
    DiskLoss,     \* a failing machine may come back with an empty disk
    MaxTerms,     \* leaders, one after the other
    Silence,      \* SlurmdTimeout in ticks of a leader's time; 0: nobody judges
    Operators,    \* an operator takes nodes out of service and puts them back
    Honest,       \* of what does not answer he sets DOWN only what is dead
    Returns       \* ReturnToService: "always", "silence" or "hand"

VARIABLES
    jobs,     \* the controllers' state of each job
    nodes,    \* and of each node
    leader,   \* who leads, and for how long
    silence,  \* ticks since this leader heard of a node
    machine,  \* what each node really is
    reg,      \* the registration of each node that is on its way
    ledger,   \* what each node remembers of each job
    alive,    \* processes of attempts
    msgs      \* all that was ever sent

vars == <<jobs, nodes, leader, silence, machine, reg, ledger, alive, msgs>>

Numbers == 1 .. JobCount
Attempts == 1 .. MaxAttempts + 1
Stamps == 1 .. MaxRuns
NoEntry == [att |-> 0, phase |-> None]
NoReg == [run |-> 0, boot |-> 0, live |-> {}]

Kinds == {"launch", "terminate", "confirm", "end", "lost", "epilog"}
Messages == [kind : Kinds, job : Numbers, att : Attempts, node : Machines, run : {0} \union Stamps]
Msg(k, j, a, n) == [kind |-> k, job |-> j, att |-> a, node |-> n, run |-> 0]
LaunchMsg(j, a, n, r) == [kind |-> "launch", job |-> j, att |-> a, node |-> n, run |-> r]
Places == [job : Numbers, att : Attempts, node : Machines]
Process(j, a, n) == [job |-> j, att |-> a, node |-> n]
Placements == {s \in SUBSET Machines : Cardinality(s) = Width}

TypeOK ==
    /\ \A j \in Numbers :
        /\ IsJob(jobs[j])
        /\ jobs[j].att \in Attempts
        /\ Nodes(jobs[j]) \subseteq Machines
    /\ nodes \in [Machines -> [base : {"up", "down"}, resp : BOOLEAN, word : BOOLEAN,
                               why : {None, "silent", "rebooted", "operator"},
                               orphans : SUBSET [job : Numbers, att : Attempts],
                               boot : 1 .. MaxBoots, run : Stamps]]
    /\ leader \in [on : BOOLEAN, term : 1 .. MaxTerms, led : 0 .. Silence]
    /\ silence \in [Failing -> 0 .. Silence]
    /\ machine \in [Machines -> [boot : 1 .. MaxBoots, run : Stamps, on : BOOLEAN]]
    /\ \A n \in Machines : \A j \in Numbers :
        /\ ledger[n][j].att \in {0} \union Attempts
        /\ ledger[n][j].phase \in {None, "launched", "ending", "ended"}
    /\ alive \subseteq Places
    /\ msgs \subseteq Messages

Init ==
    /\ jobs = [j \in Numbers |-> Submitted(MayRequeue, Kill, TRUE, FALSE)]
    /\ nodes = [n \in Machines |-> [base |-> "up", resp |-> TRUE, word |-> FALSE, why |-> None,
                                    orphans |-> {},
                                    boot |-> 1, run |-> 1]]
    /\ leader = [on |-> TRUE, term |-> 1, led |-> 0]
    /\ silence = [n \in Failing |-> 0]
    /\ machine = [n \in Machines |-> [boot |-> 1, run |-> 1, on |-> TRUE]]
    /\ reg = [n \in Failing |-> NoReg]
    /\ ledger = [n \in Machines |-> [j \in Numbers |-> NoEntry]]
    /\ alive = {}
    /\ msgs = {}

------------------------------------------------------------------------------
(* What commands make of nodes and their jobs. *)

\* flurm_model::Node::is_answered_for
Answered(ns) == {n \in Machines : ns[n].word /\ ~ns[n].resp}

\* flurm_model::Node::is_usable
Serves(n) ==
    /\ nodes[n].base = "up"
    /\ nodes[n].resp
    /\ nodes[n].orphans = {} \/ "beside-orphans" \in Bugs

Attempt(j, a) == [job |-> j, att |-> a]

\* flurm_model::Cluster::doubt_words: what an operator's word has just freed may be alive.
Freed(n, js) ==
    {Attempt(j, jobs[j].att) :
        j \in {i \in Numbers :
                /\ IsOpenOn(jobs[i], n)
                /\ ~(js[i].att = jobs[i].att /\ IsOpenOn(js[i], n))}}

Doubted(ns, js) ==
    [n \in Machines |->
        [ns[n] EXCEPT !.orphans = ns[n].orphans \union
                        (IF n \in Answered(ns) THEN Freed(n, js) ELSE {})]]

\* flurm_model::Cluster::fail_jobs_on
FailedHere(js, n, answered) ==
    [j \in Numbers |-> IF IsOpenOn(js[j], n) THEN FailedOn(js[j], n, answered) ELSE js[j]]

\* flurm_model::Cluster::free_answered_for
FreedHere(js, n, answered) ==
    [j \in Numbers |->
        IF n \in answered /\ IsOpenOn(js[j], n) /\ js[j].shares[n] # "held"
        THEN WithFreed(js[j], n)
        ELSE js[j]]

\* flurm_model::Cluster::miss_attempts
Missed(job, n, there, rebooted, anew, answered) ==
    IF ~(n \in Nodes(job) /\ job.shares[n] = "held") THEN job
    ELSE IF ~job.batch \/ job.host # n
         THEN IF rebooted THEN FailedOn(job, n, answered) ELSE job
    ELSE IF job.launch = "needed" /\ there THEN [job EXCEPT !.launch = "confirmed"]
    ELSE IF job.launch = "confirmed" /\ ~there /\ anew THEN FailedOn(job, n, answered)
    ELSE job

\* What a node has to say of itself. flurm_node::ledger::Ledger::live
Content(n) ==
    [run |-> machine[n].run, boot |-> machine[n].boot,
     live |-> {[job |-> j, att |-> ledger[n][j].att] :
                j \in {i \in Numbers : ledger[n][i].phase \in {"launched", "ending"}}}]

\* A command that changes jobs alone.
Becomes(j, job) ==
    /\ leader.on
    /\ jobs' = [jobs EXCEPT ![j] = job]
    /\ nodes' = Doubted(nodes, jobs')
    /\ UNCHANGED <<leader, silence, machine, reg, ledger, alive, msgs>>

------------------------------------------------------------------------------
(* Commands about jobs. *)

\* The planner's decision. Command::Schedule
Start(j, where, host) ==
    /\ IsStartable(jobs[j])
    /\ jobs[j].att <= MaxAttempts
    /\ host \in where
    /\ \A n \in where : Serves(n) \/ "start-anywhere" \in Bugs
    /\ Becomes(j, Started(jobs[j], where, host))

\* A node has the batch step. Command::LaunchConfirmed
Confirmed(p) ==
    /\ Msg("confirm", p.job, p.att, p.node) \in msgs
    /\ AwaitsLaunch(jobs[p.job], p.att, p.node)
    /\ Becomes(p.job, [jobs[p.job] EXCEPT !.launch = "confirmed"])

\* The batch script ended. Command::BatchComplete
Completed(p) ==
    /\ Msg("end", p.job, p.att, p.node) \in msgs
    /\ AwaitsEnd(jobs[p.job], p.att, p.node)
    /\ Becomes(p.job, Ended(jobs[p.job], "completed", Answered(nodes)))

\* It was lost with its machine. The same command, with `node_restarted`
LostIsHeard(p) ==
    /\ Msg("lost", p.job, p.att, p.node) \in msgs
    /\ AwaitsEnd(jobs[p.job], p.att, p.node)
    /\ Becomes(p.job, FailedOn(jobs[p.job], p.node, Answered(nodes)))

\* A node holds nothing of an attempt any more. Command::EpilogComplete
EpilogDone(p) ==
    /\ Msg("epilog", p.job, p.att, p.node) \in msgs
    /\ AwaitsEpilog(jobs[p.job], p.att, p.node)
    /\ leader.on
    /\ jobs' = [jobs EXCEPT ![p.job] = AfterEpilog(jobs[p.job], p.node, Answered(nodes))]
    /\ LET ns == Doubted(nodes, jobs') IN
        nodes' = [ns EXCEPT ![p.node].orphans = ns[p.node].orphans \ {Attempt(p.job, p.att)}]
    /\ UNCHANGED <<leader, silence, machine, reg, ledger, alive, msgs>>

\* Nor of one that nobody wanted there. The same command. flurm_model::Cluster::forget_orphan
OrphanIsGone(p) ==
    /\ Msg("epilog", p.job, p.att, p.node) \in msgs
    /\ ~AwaitsEpilog(jobs[p.job], p.att, p.node)
    /\ leader.on
    /\ Attempt(p.job, p.att) \in nodes[p.node].orphans
    /\ nodes' = [nodes EXCEPT ![p.node].orphans =
                    nodes[p.node].orphans \ {Attempt(p.job, p.att)}]
    /\ UNCHANGED <<jobs, leader, silence, machine, reg, ledger, alive, msgs>>

------------------------------------------------------------------------------
(* The leader judges. *)

\* Time passes while somebody leads.
Tick ==
    /\ Silence > 0
    /\ leader.on
    /\ leader' = [leader EXCEPT !.led = IF leader.led < Silence THEN leader.led + 1 ELSE Silence]
    /\ silence' = [n \in Failing |-> IF silence[n] < Silence THEN silence[n] + 1 ELSE Silence]
    /\ <<leader', silence'>> # <<leader, silence>>
    /\ UNCHANGED <<jobs, nodes, machine, reg, ledger, alive, msgs>>

LeaderIsLost ==
    /\ leader.on
    /\ leader.term < MaxTerms
    /\ leader' = [leader EXCEPT !.on = FALSE]
    /\ UNCHANGED <<jobs, nodes, silence, machine, reg, ledger, alive, msgs>>

\* Whoever leads anew has heard of nobody yet, and begins to count. flurm_ctld::silence
NewLeader ==
    /\ ~leader.on
    /\ leader' = [on |-> TRUE, term |-> leader.term + 1, led |-> 0]
    /\ silence' = [n \in Failing |-> IF "count-leaderless" \in Bugs THEN Silence ELSE 0]
    /\ UNCHANGED <<jobs, nodes, machine, reg, ledger, alive, msgs>>

\* A node answered whatever it was asked.
Answer(n) ==
    /\ leader.on
    /\ machine[n].on
    /\ silence[n] > 0
    /\ silence' = [silence EXCEPT ![n] = 0]
    /\ UNCHANGED <<jobs, nodes, leader, machine, reg, ledger, alive, msgs>>

\* An answer is committed, perhaps long after it was given. Command::NodeResponding
Responds(n) ==
    /\ leader.on
    /\ ~nodes[n].resp
    /\ nodes' = [nodes EXCEPT ![n].resp = TRUE,
                              ![n].word = nodes[n].word /\ "word-for-what-answers" \in Bugs]
    /\ UNCHANGED <<jobs, leader, silence, machine, reg, ledger, alive, msgs>>

\* Half of the silence: Command::NodeNotResponding
Suspect(n) ==
    /\ Silence > 0
    /\ leader.on
    /\ nodes[n].resp
    /\ silence[n] >= Silence \div 2
    /\ ~(nodes[n].base = "up" /\ silence[n] >= Silence)
    /\ LET ns == [nodes EXCEPT ![n].resp = FALSE]
           js == IF "requeue-suspects" \in Bugs
                 THEN [j \in Numbers |-> IF IsOpenOn(jobs[j], n)
                        THEN WithFreed(FailedOn(jobs[j], n, Answered(ns)), n) ELSE jobs[j]]
                 ELSE jobs
       IN
        /\ jobs' = FreedHere(js, n, Answered(ns))
        /\ nodes' = Doubted(ns, jobs')
    /\ UNCHANGED <<leader, silence, machine, reg, ledger, alive, msgs>>

\* All of it: Command::NodeDown
TakeDown(n) ==
    /\ Silence > 0
    /\ leader.on
    /\ nodes[n].base = "up"
    /\ silence[n] >= Silence
    /\ LET ns == [nodes EXCEPT ![n].base = "down",
                               ![n].resp = FALSE,
                               ![n].why = IF nodes[n].why = None THEN "silent" ELSE nodes[n].why]
       IN
        /\ jobs' = FreedHere(FailedHere(jobs, n, Answered(ns)), n, Answered(ns))
        /\ nodes' = Doubted(ns, jobs')
    /\ UNCHANGED <<leader, silence, machine, reg, ledger, alive, msgs>>

\* scontrol update nodename=n state=down reason=...: whoever says so of a node that does not answer,
\* answers for it. Of one that answers nobody has said what becomes of it later.
OperatorDown(n) ==
    /\ Operators
    /\ leader.on
    /\ (Honest /\ ~nodes[n].resp) => (~machine[n].on /\ \A p \in alive : p.node # n)
    /\ LET word == ~nodes[n].resp \/ "word-for-what-answers" \in Bugs
           ns == [nodes EXCEPT ![n].base = "down", ![n].word = word, ![n].why = "operator"]
       IN
        /\ jobs' = FreedHere(FailedHere(jobs, n, Answered(ns)), n, Answered(ns))
        /\ nodes' = Doubted(ns, jobs')
    /\ <<nodes', jobs'>> # <<nodes, jobs>>
    /\ UNCHANGED <<leader, silence, machine, reg, ledger, alive, msgs>>

\* scontrol update nodename=n state=resume
Resume(n) ==
    /\ Operators
    /\ leader.on
    /\ nodes[n].base = "down"
    /\ nodes' = [nodes EXCEPT ![n].base = "up", ![n].why = None,
                              ![n].word = nodes[n].word /\ "keep-word" \in Bugs]
    /\ UNCHANGED <<jobs, leader, silence, machine, reg, ledger, alive, msgs>>

\* No registration is on its way for long: late ones say what is. Here only those that matter.
IsTrueAndMisses(n) ==
    /\ reg[n] = Content(n)
    /\ \E j \in Numbers :
        /\ jobs[j].launch = "confirmed"
        /\ jobs[j].host = n
        /\ [job |-> j, att |-> jobs[j].att] \notin reg[n].live
    /\ \A j \in Numbers : jobs[j].launch # "needed"

\* Command::NodeRegistered. What nobody wants is to be ended. A registration that
\* was written before a launch was confirmed does not name it: it is believed about what is missing
\* only if the daemon is another one, or if it comes `late`, long after.
Register(n, late) ==
    /\ leader.on
    /\ late => IsTrueAndMisses(n)
    /\ reg[n] # NoReg
    /\ LET r == reg[n]
           was == nodes[n]
           rebooted == was.run # r.run /\ was.boot < r.boot
           anew == rebooted \/ was.run < r.run
           back == \/ Returns = "always"
                   \/ Returns = "silence" /\ was.why = "silent" /\ ~rebooted
           known == [was EXCEPT !.resp = TRUE, !.word = FALSE, !.boot = r.boot, !.run = r.run]
           now == IF was.base = "down" /\ back
                  THEN [known EXCEPT !.base = "up", !.why = None]
                  ELSE IF rebooted /\ Returns # "always"
                       THEN [known EXCEPT !.base = "down",
                                          !.why = IF was.why \in {None, "silent"}
                                                  THEN "rebooted" ELSE was.why]
                       ELSE known
           ns == [nodes EXCEPT ![n] = now]
           failed == IF rebooted /\ now.base = "down"
                     THEN FailedHere(jobs, n, Answered(ns))
                     ELSE jobs
           js == [j \in Numbers |->
                    Missed(failed[j], n, [job |-> j, att |-> failed[j].att] \in r.live,
                           rebooted, late \/ anew, Answered(ns))]
           orphans == {e \in r.live : ~(js[e.job].att = e.att /\ IsOpenOn(js[e.job], n))}
       IN
        /\ jobs' = js
        /\ nodes' = LET doubted == Doubted(ns, js)
                    IN [doubted EXCEPT ![n].orphans = doubted[n].orphans \union orphans]
    /\ silence' = [silence EXCEPT ![n] = 0]
    /\ reg' = [reg EXCEPT ![n] = NoReg]
    /\ UNCHANGED <<leader, machine, ledger, alive, msgs>>

------------------------------------------------------------------------------
(* The leader tells nodes what the state demands. flurm_model::Cluster::outstanding *)

SendLaunch(j) ==
    /\ leader.on
    /\ jobs[j].launch = "needed"
    /\ LET m == LaunchMsg(j, jobs[j].att, jobs[j].host, nodes[jobs[j].host].run)
       IN
        /\ m \notin msgs
        /\ msgs' = msgs \union {m}
    /\ UNCHANGED <<jobs, nodes, leader, silence, machine, reg, ledger, alive>>

SendTerminate(j, n) ==
    /\ leader.on
    /\ n \in Nodes(jobs[j])
    /\ jobs[j].shares[n] = "ending"
    /\ Msg("terminate", j, jobs[j].att, n) \notin msgs
    /\ msgs' = msgs \union {Msg("terminate", j, jobs[j].att, n)}
    /\ UNCHANGED <<jobs, nodes, leader, silence, machine, reg, ledger, alive>>

\* A node that answers is told to end what nobody wants there.
SendEnd(n) ==
    /\ leader.on
    /\ nodes[n].resp
    /\ \E e \in nodes[n].orphans :
        /\ Msg("terminate", e.job, e.att, n) \notin msgs
        /\ msgs' = msgs \union {Msg("terminate", e.job, e.att, n)}
    /\ UNCHANGED <<jobs, nodes, leader, silence, machine, reg, ledger, alive>>

------------------------------------------------------------------------------
(* Nodes. *)

Entry(n, j) == ledger[n][j]

\* flurm_node::ledger::Ledger::on_launch
Verdict(e, p, r) ==
    IF r # machine[p.node].run /\ "any-run" \notin Bugs THEN "other-run"
    ELSE IF p.att < e.att THEN "stale"
    ELSE IF p.att = e.att
         THEN IF e.phase = "launched" THEN "already" ELSE "ended"
         ELSE IF e.phase \in {None, "ended"} THEN "start" ELSE "older-ending"

\* A refusal of what is stale changes nothing here: JobLife has it.
Launch(p, r) ==
    /\ LaunchMsg(p.job, p.att, p.node, r) \in msgs
    /\ machine[p.node].on
    /\ Verdict(Entry(p.node, p.job), p, r) = "start"
    /\ ledger' = [ledger EXCEPT ![p.node][p.job] = [att |-> p.att, phase |-> "launched"]]
    /\ alive' = alive \union {Process(p.job, p.att, p.node)}
    /\ msgs' = msgs \union {Msg("confirm", p.job, p.att, p.node)}
    /\ UNCHANGED <<jobs, nodes, leader, silence, machine, reg>>

\* The batch script ends by itself; its step daemon reports, whatever the node's daemon does.
Exit(p) ==
    /\ p \in alive
    /\ alive' = alive \ {p}
    /\ msgs' = msgs \union {Msg("end", p.job, p.att, p.node)}
    /\ UNCHANGED <<jobs, nodes, leader, silence, machine, reg, ledger>>

\* flurm_node::ledger::Ledger::on_terminate, where something is to be ended.
Terminate(p) ==
    /\ Msg("terminate", p.job, p.att, p.node) \in msgs
    /\ machine[p.node].on
    /\ LET e == Entry(p.node, p.job) IN
        /\ p.att >= e.att
        /\ e.phase = "launched"
    /\ ledger' = [ledger EXCEPT ![p.node][p.job].phase = "ending"]
    /\ UNCHANGED <<jobs, nodes, leader, silence, machine, reg, alive, msgs>>

\* The same, where nothing is there and, from now on, nothing ever will be.
NothingToEnd(p) ==
    /\ Msg("terminate", p.job, p.att, p.node) \in msgs
    /\ machine[p.node].on
    /\ LET e == Entry(p.node, p.job) IN
        /\ \/ p.att < e.att
           \/ e.phase \in {None, "ended"}
        /\ ledger' = [ledger EXCEPT ![p.node][p.job] =
                        IF p.att < e.att THEN e ELSE [att |-> p.att, phase |-> "ended"]]
    /\ msgs' = msgs \union {Msg("epilog", p.job, p.att, p.node)}
    /\ <<ledger', msgs'>> # <<ledger, msgs>>
    /\ UNCHANGED <<jobs, nodes, leader, silence, machine, reg, alive>>

\* All processes are gone, the epilog ran. flurm_node::ledger::Ledger::on_ended
CleanUp(n, j) ==
    /\ machine[n].on
    /\ Entry(n, j).phase = "ending"
    /\ LET a == Entry(n, j).att
           p == Process(j, a, n)
       IN
        /\ ledger' = [ledger EXCEPT ![n][j].phase = "ended"]
        /\ alive' = alive \ {p}
        /\ msgs' = msgs \union {Msg("epilog", j, a, n)}
                        \union (IF p \in alive THEN {Msg("end", j, a, n)} ELSE {})
    /\ UNCHANGED <<jobs, nodes, leader, silence, machine, reg>>

DaemonStops(n) ==
    /\ machine[n].on
    /\ machine[n].run < MaxRuns
    /\ machine' = [machine EXCEPT ![n].on = FALSE]
    /\ UNCHANGED <<jobs, nodes, leader, silence, reg, ledger, alive, msgs>>

PowerFails(n) ==
    /\ machine[n].boot < MaxBoots
    /\ machine[n].run < MaxRuns
    /\ machine' = [machine EXCEPT ![n].on = FALSE, ![n].boot = machine[n].boot + 1]
    /\ alive' = {p \in alive : p.node # n}
    /\ UNCHANGED <<jobs, nodes, leader, silence, reg, ledger, msgs>>

\* The same, and the machine comes back with an empty spool.
DiskIsLost(n) ==
    /\ DiskLoss
    /\ machine[n].boot < MaxBoots
    /\ machine[n].run < MaxRuns
    /\ machine' = [machine EXCEPT ![n].on = FALSE, ![n].boot = machine[n].boot + 1]
    /\ alive' = {p \in alive : p.node # n}
    /\ ledger' = [ledger EXCEPT ![n] = [j \in Numbers |-> NoEntry]]
    /\ UNCHANGED <<jobs, nodes, leader, silence, reg, msgs>>

\* flurm_node::ledger::Ledger::next_start_stamp
DaemonStarts(n) ==
    /\ ~machine[n].on
    /\ machine' = [machine EXCEPT ![n].on = TRUE, ![n].run = machine[n].run + 1]
    /\ UNCHANGED <<jobs, nodes, leader, silence, reg, ledger, alive, msgs>>

WriteRegistration(n) ==
    /\ machine[n].on
    /\ reg[n] # Content(n)
    /\ reg' = [reg EXCEPT ![n] = Content(n)]
    /\ UNCHANGED <<jobs, nodes, leader, silence, machine, ledger, alive, msgs>>

\* The daemon finds an attempt of an earlier run without a process, and nobody said how it ended.
ReportLost(n, j) ==
    /\ machine[n].on
    /\ Entry(n, j).phase = "launched"
    /\ LET a == Entry(n, j).att IN
        /\ Process(j, a, n) \notin alive
        /\ Msg("end", j, a, n) \notin msgs
        /\ Msg("lost", j, a, n) \notin msgs
        /\ msgs' = msgs \union {Msg("lost", j, a, n)}
    /\ UNCHANGED <<jobs, nodes, leader, silence, machine, reg, ledger, alive>>

------------------------------------------------------------------------------

Next ==
    \/ \E j \in Numbers :
        \/ \E where \in Placements : \E host \in Machines : Start(j, where, host)
        \/ \E n \in Machines : CleanUp(n, j) \/ SendTerminate(j, n)
        \/ \E n \in Failing : ReportLost(n, j)
        \/ SendLaunch(j)
    \/ \E p \in Places :
        \/ Confirmed(p)
        \/ Completed(p)
        \/ LostIsHeard(p)
        \/ EpilogDone(p)
        \/ OrphanIsGone(p)
        \/ \E r \in Stamps : Launch(p, r)
        \/ Terminate(p)
        \/ NothingToEnd(p)
    \/ \E p \in Places : Exit(p)
    \/ \E n \in Failing :
        \/ Answer(n)
        \/ SendEnd(n)
        \/ Responds(n)
        \/ Suspect(n)
        \/ TakeDown(n)
        \/ OperatorDown(n)
        \/ Resume(n)
        \/ \E late \in BOOLEAN : Register(n, late)
        \/ WriteRegistration(n)
        \/ DaemonStops(n)
        \/ DaemonStarts(n)
        \/ PowerFails(n)
        \/ DiskIsLost(n)
    \/ Tick
    \/ LeaderIsLost
    \/ NewLeader

Spec == Init /\ [][Next]_vars

\* What must go on for jobs to end: nothing fails for ever, and nobody has to fail.
JobsGoOn ==
    \A j \in Numbers :
        /\ WF_vars(\E where \in Placements : \E host \in Machines : Start(j, where, host))
        /\ WF_vars(SendLaunch(j))
        /\ \A n \in Machines : WF_vars(SendTerminate(j, n))
        /\ \A n \in Machines : WF_vars(CleanUp(n, j))
        /\ \A n \in Failing : WF_vars(ReportLost(n, j))
        /\ WF_vars(\E p \in Places : p.job = j /\ \E r \in Stamps : Launch(p, r))
        /\ WF_vars(\E p \in Places : p.job = j /\ Confirmed(p))
        /\ WF_vars(\E p \in Places : p.job = j /\ (Completed(p) \/ LostIsHeard(p)))
        /\ WF_vars(\E p \in Places : p.job = j /\ (EpilogDone(p) \/ OrphanIsGone(p)))
        /\ WF_vars(\E p \in Places : p.job = j /\ (Terminate(p) \/ NothingToEnd(p)))
        /\ WF_vars(\E p \in alive : p.job = j /\ Exit(p))

NodesComeBack ==
    \A n \in Failing :
        /\ WF_vars(DaemonStarts(n))
        /\ WF_vars(SendEnd(n))
        /\ WF_vars(WriteRegistration(n))
        /\ WF_vars(Register(n, FALSE))
        /\ WF_vars(Register(n, TRUE))

LeadersWatch ==
    /\ WF_vars(NewLeader)
    /\ WF_vars(Tick)
    /\ \A n \in Failing : WF_vars(Suspect(n)) /\ WF_vars(TakeDown(n))

FairSpec == Spec /\ JobsGoOn /\ NodesComeBack /\ LeadersWatch

------------------------------------------------------------------------------
(* What is promised. *)

\* No job runs twice at once.
NoDoubleRun ==
    \A j \in Numbers : Cardinality({p \in alive : p.job = j}) <= 1

\* What runs is the current attempt, on a node that is held for it or being cleaned.
RunsWhereItIsHeld ==
    \A p \in alive :
        /\ jobs[p.job].att = p.att
        /\ IsOpenOn(jobs[p.job], p.node)

\* A job gets another attempt only once nothing of the earlier one is alive.
FencedBeforeRequeue ==
    [][\A j \in Numbers : jobs'[j].att # jobs[j].att => \A p \in alive : p.job # j]_vars

\* What the controllers take for launched, by the node's present run, that run has.
KnownIsThere ==
    \A j \in Numbers :
        (jobs[j].launch = "confirmed" /\ nodes[jobs[j].host].run = machine[jobs[j].host].run) =>
            Entry(jobs[j].host, j) = [att |-> jobs[j].att, phase |-> "launched"]

\* A node is taken for silent only after silence under one leader, who led for that long.
JudgedByLedTime ==
    [][\A n \in Failing :
        (nodes[n].resp /\ ~nodes'[n].resp) =>
            /\ leader.on
            /\ leader.led >= Silence \div 2]_vars

\* Jobs start on nodes that are in service and answer.
StartsWhereServed ==
    [][\A j \in Numbers :
        (jobs[j].base = "pending" /\ jobs'[j].base = "running") =>
            \A n \in Nodes(jobs'[j]) : Serves(n)]_vars

\* Nothing starts beside what nobody wants, even where an operator erred.
StartsBesideNothing ==
    [][\A j \in Numbers :
        (jobs[j].base = "pending" /\ jobs'[j].base = "running") =>
            \A p \in alive :
                p.node \in Nodes(jobs'[j]) =>
                    jobs[p.job].att = p.att /\ IsOpenOn(jobs[p.job], p.node)]_vars

\* Nobody answers for a node in service.
WordIsForDown == \A n \in Machines : nodes[n].word => nodes[n].base = "down"

\* Nobody answers for a node that can answer itself.
WordIsForSilent == \A n \in Machines : nodes[n].word => ~nodes[n].resp

\* Every job ends, although machines fail.
EveryJobEnds ==
    \A j \in Numbers : TRUE ~> (IsFinished(jobs[j]) \/ jobs[j].att > MaxAttempts)

\* A node that stays away is noticed.
SilenceIsNoticed ==
    \A n \in Failing : ~machine[n].on ~> (machine[n].on \/ ~nodes[n].resp)

\* So is one that comes back.
ReturnIsNoticed ==
    \A n \in Failing : machine[n].on ~> (~machine[n].on \/ nodes[n].run = machine[n].run)
\* The first job's life, from far away.
Begun == {a \in Attempts : \E n \in Machines : Msg("confirm", 1, a, n) \in msgs}
Life == INSTANCE Life WITH
    att <- jobs[1].att, begun <- Begun, quiet <- (\A p \in alive : p.job # 1)
RefinesLife == Life!Spec
==============================================================================
