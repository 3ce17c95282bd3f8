//! What the worlds of the specifications share: the real `Cluster`, the real ledgers of nodes, the
//! processes there, and every message that was ever sent between them.

use std::collections::{BTreeMap, BTreeSet};

use flurm_base::{AttemptId, JobId, Time};
use flurm_model::{
    Actor, BatchEnd, Cluster, Command, Config, Job, JobBase, Limit, NodeConf, NodeFacts, NodeName,
    Order, PartitionConf, PartitionName, Placement, Reply, Settings, Start,
};
use flurm_node::ledger::{LaunchVerdict, Ledger, Phase, TerminateVerdict};
use tla_eval::Value;

use crate::job_view::AttemptNumbers;

/// Nothing depends on the time, unless a world says so.
pub(crate) const NOW: Time = Time::from_secs(1_000_000);
/// All orders are of one leader's term: Failover is about others.
const TERM: u64 = 1;
/// Who submits.
pub(crate) const USER: Actor = Actor { uid: 1_000, privileged: false };
/// ESLURM_USER_ID_MISSING: a launch that failed for no fault of the node.
const ERRNO_NO_USER: u32 = 2010;
const MEMORY_MB: u64 = 1_000;
/// Between two boots of a machine, and more than a clock's jitter.
const BOOT_SECS: i64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Launch,
    Step,
    Terminate,
    Confirm,
    Refuse,
    End,
    Lost,
    Epilog,
}

impl Kind {
    const fn text(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Step => "step",
            Self::Terminate => "terminate",
            Self::Confirm => "confirm",
            Self::Refuse => "refuse",
            Self::End => "end",
            Self::Lost => "lost",
            Self::Epilog => "epilog",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Msg {
    pub(crate) kind: Kind,
    pub(crate) job: JobId,
    pub(crate) attempt: i64,
    pub(crate) node: NodeName,
    /// The run of the node's daemon that a launch is for; 0 where it does not say.
    pub(crate) run: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) job: JobId,
    pub(crate) attempt: i64,
    pub(crate) node: NodeName,
}

/// A step that a site takes: the action's name in the specifications, and the site after it.
pub(crate) type Step = (&'static str, Site);

/// The site.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    pub(crate) attempts: AttemptNumbers,
    pub(crate) ledgers: BTreeMap<NodeName, Ledger>,
    pub(crate) alive: BTreeSet<Process>,
    pub(crate) msgs: BTreeSet<Msg>,
}

impl Site {
    /// Where every behaviour begins: a configured cluster whose nodes have registered.
    ///
    /// # Errors
    /// The product refuses the configuration.
    pub(crate) fn new(
        machines: &[String],
        cpus: u32,
        set: impl FnOnce(&mut Settings),
    ) -> Result<Self, String> {
        let mut cluster = Cluster::default();
        let mut config = Box::new(config_of(machines, cpus));
        set(&mut config.settings);
        let reply = cluster.apply(&Command::Configure { at: NOW, config }).reply;
        if reply != Reply::Done {
            return Err(format!("the configuration was answered with {reply:?}"));
        }
        let names: Vec<NodeName> =
            machines.iter().map(|name| NodeName::from(name.as_str())).collect();
        let mut ledgers = BTreeMap::new();
        for node in &names {
            let mut ledger = Ledger::default();
            let run = ledger.next_start_stamp(Time::default()).secs();
            ledgers.insert(node.clone(), ledger);
            let (node, facts) = (node.clone(), Box::new(facts(cpus, 1, run)));
            let running = Vec::new();
            let register = Command::NodeRegistered { at: NOW, node, facts, running };
            match cluster.apply(&register).reply {
                Reply::Registered { .. } => {}
                other => return Err(format!("a registration was answered with {other:?}")),
            }
        }
        let (attempts, alive, msgs) = Default::default();
        Ok(Self { cluster, attempts, ledgers, alive, msgs })
    }

    /// A job's number in the specifications, from 1 on.
    pub(crate) fn id_of(&self, job: JobId) -> i64 {
        // Jobs are numbered from the configured first one on.
        let first = self.cluster.settings().job_id_first.max(1);
        i64::from(job.0) - i64::from(first) + 1
    }

    /// The job of a number.
    pub(crate) fn job(&self, number: i64) -> Option<&Job> {
        self.cluster.jobs().find(|job| self.id_of(job.id) == number)
    }

    /// All jobs.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        self.cluster.jobs().cloned().collect()
    }

    pub(crate) fn attempt(&self, job: JobId, number: i64) -> AttemptId {
        self.attempts.attempt(job, number).unwrap_or(AttemptId(0))
    }

    /// The site after a command; `None` when it changes nothing.
    pub(crate) fn after(&self, command: &Command) -> Option<Self> {
        self.answered(command).map(|(next, _)| next)
    }

    /// The same, with the answer.
    pub(crate) fn answered(&self, command: &Command) -> Option<(Self, Reply)> {
        let mut next = self.clone();
        let reply = next.cluster.apply(command).reply;
        if matches!(reply, Reply::Stale | Reply::Refused(_)) {
            return None;
        }
        let jobs: Vec<&Job> = next.cluster.jobs().collect();
        for job in jobs {
            next.attempts.learn(job);
        }
        Some((next, reply))
    }

    pub(crate) fn sent(&self, msg: Msg) -> Self {
        let mut next = self.clone();
        next.msgs.insert(msg);
        next
    }

    /// The leader tells nodes what follows from the state. `runs`: launches say which run they mean.
    pub(crate) fn order_steps(&self, runs: bool) -> Vec<Step> {
        let step = |order: Order| {
            let (action, kind, job, attempt, node) = match order {
                Order::Launch { job, attempt, node } => {
                    ("SendLaunch", Kind::Launch, job, attempt, node)
                }
                Order::Terminate { job, attempt, node, .. } => {
                    ("SendTerminate", Kind::Terminate, job, attempt, node)
                }
                Order::EndOrphan { job, attempt, node } => {
                    ("SendEnd", Kind::Terminate, job, attempt, node)
                }
                _ => return None,
            };
            let attempt = self.attempts.number(job, attempt);
            let known = self.cluster.node(node.as_str()).and_then(flurm_model::Node::run);
            let says = runs && kind == Kind::Launch;
            let run = known.filter(|_| says).map_or(0, Time::secs);
            Some((action, self.sent(Msg { kind, job, attempt, node, run })))
        };
        self.cluster.outstanding().filter_map(step).collect()
    }

    /// What nodes reported is committed.
    pub(crate) fn report_step(&self, msg: &Msg) -> Option<Step> {
        let (at, job, node) = (NOW, msg.job, msg.node.clone());
        let attempt = self.attempt(job, msg.attempt);
        let (action, command) = match msg.kind {
            Kind::Confirm => ("Confirmed", Command::LaunchConfirmed { at, job, attempt, node }),
            Kind::Refuse => {
                let errno = ERRNO_NO_USER;
                ("Refused", Command::LaunchFailed { at, job, attempt, node, errno })
            }
            Kind::End | Kind::Lost => {
                let node_restarted = msg.kind == Kind::Lost;
                let (status, errno, out_of_memory) = (0, 0, false);
                let end =
                    BatchEnd { job, attempt, node, status, errno, out_of_memory, node_restarted };
                let action = if node_restarted { "LostIsHeard" } else { "Completed" };
                (action, Command::BatchComplete { at, end })
            }
            Kind::Epilog => {
                ("EpilogDone", Command::EpilogComplete { at, job, attempt, node, rc: 0 })
            }
            Kind::Launch | Kind::Step | Kind::Terminate => return None,
        };
        self.after(&command).map(|next| (action, next))
    }

    /// A node obeys an order, or does not.
    pub(crate) fn node_steps(&self, msg: &Msg) -> Vec<Step> {
        let attempt = self.attempt(msg.job, msg.attempt);
        let mut next = self.clone();
        let Some(ledger) = next.ledgers.get_mut(&msg.node) else { return Vec::new() };
        let answer = |kind: Kind| Msg { kind, run: 0, ..msg.clone() };
        match msg.kind {
            Kind::Launch => {
                let run = (msg.run > 0).then(|| Time::from_secs(msg.run));
                match ledger.on_launch(TERM, run, msg.job, attempt) {
                    LaunchVerdict::Start => {
                        let mut failed = next.clone();
                        if let Some(ledger) = failed.ledgers.get_mut(&msg.node) {
                            ledger.on_ended(NOW, msg.job, attempt);
                        }
                        let fails = ("LaunchFails", failed.sent(answer(Kind::Refuse)));
                        next.alive.insert(process_of(msg));
                        vec![fails, ("Launch", next.sent(answer(Kind::Confirm)))]
                    }
                    LaunchVerdict::AlreadyLaunched => {
                        vec![("Launch", next.sent(answer(Kind::Confirm)))]
                    }
                    LaunchVerdict::Stale | LaunchVerdict::Ended => {
                        vec![("LaunchIsStale", next.sent(answer(Kind::Refuse)))]
                    }
                    LaunchVerdict::OlderAttemptEnding | LaunchVerdict::OtherRun => {
                        vec![("Launch", next)]
                    }
                }
            }
            Kind::Step => match ledger.on_step(msg.job, attempt) {
                LaunchVerdict::Start => {
                    next.alive.insert(process_of(msg));
                    vec![("Launch", next)]
                }
                LaunchVerdict::AlreadyLaunched
                | LaunchVerdict::Stale
                | LaunchVerdict::Ended
                | LaunchVerdict::OlderAttemptEnding
                | LaunchVerdict::OtherRun => vec![("Launch", next)],
            },
            Kind::Terminate => match ledger.on_terminate(NOW, TERM, msg.job, attempt) {
                TerminateVerdict::NothingHere => {
                    vec![("NothingToEnd", next.sent(answer(Kind::Epilog)))]
                }
                TerminateVerdict::End
                | TerminateVerdict::AlreadyEnding
                | TerminateVerdict::Stale => vec![("Terminate", next)],
            },
            Kind::Confirm | Kind::Refuse | Kind::End | Kind::Lost | Kind::Epilog => Vec::new(),
        }
    }

    /// A script that runs starts steps on the other nodes that are held for its job.
    pub(crate) fn srun_steps(&self, job: &Job) -> Vec<Self> {
        let Some(all) = &job.allocation else { return Vec::new() };
        let (id, attempt) = (job.id, self.attempts.number(job.id, job.attempt));
        let script = Process { job: id, attempt, node: all.batch_host().clone() };
        let runs = matches!(job.base, JobBase::Running | JobBase::Suspended);
        if !runs || !self.alive.contains(&script) {
            return Vec::new();
        }
        let others =
            all.shares.iter().map(|share| &share.node).filter(|node| **node != script.node);
        let step = |node: &NodeName| Msg {
            kind: Kind::Step,
            job: id,
            attempt,
            node: node.clone(),
            run: 0,
        };
        others.map(|node| self.sent(step(node))).collect()
    }

    /// Processes end by themselves.
    pub(crate) fn exit_steps(&self) -> Vec<Step> {
        let step = |process: &Process| {
            let Process { job, attempt, node } = process.clone();
            let mut next = self.clone();
            next.alive.remove(process);
            ("Exit", next.sent(Msg { kind: Kind::End, job, attempt, node, run: 0 }))
        };
        self.alive.iter().map(step).collect()
    }

    /// A node ends what it was told to end.
    pub(crate) fn cleanup_steps(&self, node: &NodeName) -> Vec<Step> {
        let mut steps = Vec::new();
        let live = self.ledgers.get(node).into_iter().flat_map(Ledger::live);
        for (job, id, _) in live.filter(|(.., phase)| *phase == Phase::Ending) {
            let attempt = self.attempts.number(job, id);
            let msg = |kind: Kind| Msg { kind, job, attempt, node: node.clone(), run: 0 };
            let mut next = self.clone();
            if let Some(ledger) = next.ledgers.get_mut(node) {
                ledger.on_ended(NOW, job, id);
            }
            if next.alive.remove(&Process { job, attempt, node: node.clone() }) {
                next.msgs.insert(msg(Kind::End));
            }
            steps.push(("CleanUp", next.sent(msg(Kind::Epilog))));
        }
        steps
    }

    /// What each node remembers of each of so many jobs.
    pub(crate) fn ledgers_view(&self, jobs: i64, attempts_max: i64) -> Value {
        let entry = |ledger: &Ledger, number: i64| {
            let newest = self.job(number).and_then(|known| {
                (1..=attempts_max).rev().find_map(|number| {
                    let attempt = self.attempts.attempt(known.id, number)?;
                    ledger.phase(known.id, attempt).map(|phase| (number, phase))
                })
            });
            let (attempt, phase) = match newest {
                None => (0, "none"),
                Some((number, Phase::Launched)) => (number, "launched"),
                Some((number, Phase::Ending)) => (number, "ending"),
                Some((number, Phase::Ended)) => (number, "ended"),
            };
            record([("att", Value::Int(attempt)), ("phase", Value::string(phase))])
        };
        let of_node = |(name, ledger): (&NodeName, &Ledger)| {
            let entries = (1..=jobs).map(|number| entry(ledger, number)).collect();
            (Value::string(name.as_str()), Value::Seq(entries))
        };
        Value::function(self.ledgers.iter().map(of_node).collect())
    }

    /// All messages. `runs`: with the runs that launches are for.
    pub(crate) fn msgs_view(&self, runs: bool) -> Value {
        let msg = |msg: &Msg| {
            let place = self.place(msg.job, msg.attempt, &msg.node);
            let kind = [("kind", Value::string(msg.kind.text()))];
            let run = runs.then_some(("run", Value::Int(msg.run)));
            record(place.into_iter().chain(kind).chain(run))
        };
        Value::set(self.msgs.iter().map(msg))
    }

    /// All processes.
    pub(crate) fn alive_view(&self) -> Value {
        let process = |one: &Process| record(self.place(one.job, one.attempt, &one.node));
        Value::set(self.alive.iter().map(process))
    }

    fn place(&self, job: JobId, attempt: i64, node: &NodeName) -> [(&'static str, Value); 3] {
        [
            ("job", Value::Int(self.id_of(job))),
            ("att", Value::Int(attempt)),
            ("node", Value::string(node.as_str())),
        ]
    }

    /// What the view does not show, and yet decides: a walk keeps worlds apart that differ here.
    pub(crate) fn hidden(&self) -> Vec<u16> {
        self.cluster.jobs().map(|job| job.launch_failures).collect()
    }
}

/// A record of named values.
pub(crate) fn record(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::record(fields.into_iter().map(|(name, value)| (String::from(name), value)))
}

fn process_of(msg: &Msg) -> Process {
    Process { job: msg.job, attempt: msg.attempt, node: msg.node.clone() }
}

/// A decision to start a job on nodes, its script on the first of them.
pub(crate) fn start_of(job: &Job, nodes: &[&NodeName], cpus: u32, whole_node: bool) -> Start {
    let placement = |node: &&NodeName| Placement {
        node: (*node).clone(),
        cpus,
        memory_mb: 1,
        tasks: 1,
        whole_node,
        gres: Vec::new(),
    };
    let placements = nodes.iter().map(placement).collect();
    let (partition, time_limit) = (job.partition.clone(), None);
    Start { job: job.id, attempt: job.attempt, partition, placements, time_limit }
}

/// What a node registers of its machine.
pub(crate) fn facts(cpus: u32, boot: i64, run: i64) -> NodeFacts {
    NodeFacts {
        cpus,
        boards: 1,
        sockets: 1,
        cores_per_socket: u16::try_from(cpus).unwrap_or(u16::MAX),
        threads_per_core: 1,
        real_memory_mb: MEMORY_MB,
        boot: Some(Time::from_secs(boot * BOOT_SECS)),
        daemon_start: Some(Time::from_secs(run)),
        ..NodeFacts::default()
    }
}

/// The boot that a node last registered.
pub(crate) fn boot_of(facts: &NodeFacts) -> i64 {
    facts.boot.map_or(0, |boot| boot.secs() / BOOT_SECS)
}

fn config_of(machines: &[String], cpus: u32) -> Config {
    let node = |name: &String| NodeConf {
        name: NodeName::from(name.as_str()),
        cpus,
        cores_per_socket: u16::try_from(cpus).unwrap_or(u16::MAX),
        real_memory_mb: MEMORY_MB,
        ..NodeConf::default()
    };
    let nodes: Vec<NodeConf> = machines.iter().map(node).collect();
    let partition = PartitionConf {
        name: PartitionName::from("main"),
        nodes: nodes.iter().map(|node| node.name.clone()).collect(),
        is_default: true,
        time_default: Some(Limit::Max(1)),
        ..PartitionConf::default()
    };
    Config { settings: Settings::default(), nodes, partitions: vec![partition] }
}
