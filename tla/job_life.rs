//! The product's own steps in the world of `JobLife.tla`: the real `Cluster`, the real ledgers of
//! nodes, and around them what the specification leaves to chance.

use std::collections::{BTreeMap, BTreeSet};

use flurm_base::{AttemptId, JobId, RequestKey, Span, Time};
use flurm_model::{
    Actor, BatchEnd, Cluster, Command, Config, Job, JobBase, JobChanges, JobSpec, Limit, Memory,
    NodeConf, NodeFacts, NodeName, Order, PartitionConf, PartitionName, Placement, PriorityChange,
    Reply, RequeueFlags, Settings, Size, Start,
};
use flurm_node::ledger::{LaunchVerdict, Ledger, Phase, TerminateVerdict};
use tla_eval::{State, Value};

use crate::job_view::{AttemptNumbers, view_of_job};
use crate::walk::World;

/// The constants of the specification.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bounds {
    pub(crate) requests: Vec<String>,
    pub(crate) machines: Vec<String>,
    pub(crate) max_attempts: i64,
    #[serde(default)]
    pub(crate) may_requeue: bool,
    #[serde(default)]
    pub(crate) hand_requeue: bool,
    #[serde(default)]
    pub(crate) cancels: bool,
    #[serde(default)]
    pub(crate) holds: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Launch,
    Terminate,
    Confirm,
    Refuse,
    End,
    Epilog,
}

impl Kind {
    const fn text(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Terminate => "terminate",
            Self::Confirm => "confirm",
            Self::Refuse => "refuse",
            Self::End => "end",
            Self::Epilog => "epilog",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Msg {
    kind: Kind,
    job: JobId,
    attempt: i64,
    node: NodeName,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    job: JobId,
    attempt: i64,
    node: NodeName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    New,
    Sent,
    Acked(JobId),
}

/// The world.
#[derive(Clone)]
pub(crate) struct JobLife {
    bounds: Bounds,
    cluster: Cluster,
    attempts: AttemptNumbers,
    ledgers: BTreeMap<NodeName, Ledger>,
    clients: Vec<Client>,
    alive: BTreeSet<Process>,
    msgs: BTreeSet<Msg>,
}

/// Nothing here depends on the time.
const NOW: Time = Time::from_secs(1_000_000);
/// All orders are of one leader's term: Failover is about others.
const TERM: u64 = 1;
const USER: Actor = Actor { uid: 1_000, privileged: false };
const SIGKILL: u16 = 9;
/// ESLURM_USER_ID_MISSING: a launch that failed for no fault of the node.
const ERRNO_NO_USER: u32 = 2010;
const MEMORY_MB: u64 = 1_000;

impl JobLife {
    /// Where every behaviour begins: a configured cluster whose nodes have registered.
    ///
    /// # Errors
    /// The product refuses the configuration.
    pub(crate) fn new(bounds: Bounds) -> Result<Self, String> {
        let mut cluster = Cluster::default();
        let config = Box::new(config_of(&bounds));
        let reply = cluster.apply(&Command::Configure { at: NOW, config }).reply;
        let names: Vec<NodeName> =
            bounds.machines.iter().map(|name| NodeName::from(name.as_str())).collect();
        for node in &names {
            let (node, facts) = (node.clone(), Box::new(facts()));
            let running = Vec::new();
            let register = Command::NodeRegistered { at: NOW, node, facts, running };
            match cluster.apply(&register).reply {
                Reply::Registered { .. } => {}
                other => return Err(format!("a registration was answered with {other:?}")),
            }
        }
        if reply != Reply::Done {
            return Err(format!("the configuration was answered with {reply:?}"));
        }
        let clients = vec![Client::New; bounds.requests.len()];
        let ledgers = names.into_iter().map(|name| (name, Ledger::default())).collect();
        let (attempts, alive, msgs) = Default::default();
        Ok(Self { bounds, cluster, attempts, ledgers, clients, alive, msgs })
    }

    fn id_of(&self, job: JobId) -> i64 {
        // Jobs are numbered from the configured first one on.
        let first = self.cluster.settings().job_id_first.max(1);
        i64::from(job.0) - i64::from(first) + 1
    }

    fn jobs(&self) -> Vec<Job> {
        self.cluster.jobs().cloned().collect()
    }

    fn attempt(&self, job: JobId, number: i64) -> AttemptId {
        self.attempts.attempt(job, number).unwrap_or(AttemptId(0))
    }

    /// The world after a command; `None` when it changes nothing.
    fn after(&self, command: &Command) -> Option<Self> {
        let mut next = self.clone();
        let reply = next.cluster.apply(command).reply;
        if matches!(reply, Reply::Stale | Reply::Refused(_)) {
            return None;
        }
        let jobs: Vec<&Job> = next.cluster.jobs().collect();
        for job in jobs {
            next.attempts.learn(job);
        }
        Some(next)
    }

    fn sent(&self, msg: Msg) -> Self {
        let mut next = self.clone();
        next.msgs.insert(msg);
        next
    }

    fn client_steps(&self, steps: &mut Vec<(&'static str, Self)>) {
        for (index, client) in self.clients.iter().enumerate() {
            let key = key_of(index);
            if *client == Client::New {
                let mut next = self.clone();
                next.clients[index] = Client::Sent;
                steps.push(("Send", next));
                continue;
            }
            let spec = Box::new(self.submission());
            let submit = Command::Submit { at: NOW, key: Some(key), by: USER, spec };
            steps.extend(self.after(&submit).map(|next| ("CommitSubmit", next)));
            if let (Client::Sent, Some(job)) = (client, self.cluster.submitted(&key)) {
                let mut next = self.clone();
                next.clients[index] = Client::Acked(job);
                steps.push(("Acknowledge", next));
            }
        }
    }

    fn submission(&self) -> JobSpec {
        let size = Size { memory: Some(Memory::PerNode(1)), ..Size::default() };
        JobSpec {
            uid: USER.uid,
            batch: Some(std::sync::Arc::default()),
            size,
            requeue: Some(self.bounds.may_requeue),
            ..JobSpec::default()
        }
    }

    /// What people, the planner and the clock do.
    fn command_steps(&self, steps: &mut Vec<(&'static str, Self)>) {
        for job in self.jobs() {
            let id = job.id;
            let bounded = self.attempts.number(id, job.attempt) <= self.bounds.max_attempts;
            for node in self.ledgers.keys().filter(|_| bounded) {
                let starts = vec![start_of(&job, node)];
                let schedule = Command::Schedule { at: NOW, starts, reasons: Vec::new() };
                steps.extend(self.after(&schedule).map(|next| ("Start", next)));
            }
            if self.bounds.cancels {
                let kill = Command::Kill { at: NOW, job: id, by: USER, signal: SIGKILL, flags: 0 };
                steps.extend(self.after(&kill).map(|next| ("Cancel", next)));
                let at = NOW + Span::secs(1_000_000);
                let late = Command::TimeLimitReached { at, job: id, attempt: job.attempt };
                steps.extend(self.after(&late).map(|next| ("TimeLimit", next)));
            }
            if self.bounds.hand_requeue && bounded {
                let flags = RequeueFlags::default();
                let requeue = Command::Requeue { at: NOW, job: id, by: USER, flags };
                steps.extend(self.after(&requeue).map(|next| ("Requeue", next)));
            }
            if self.bounds.holds && job.base == JobBase::Pending {
                let update = |priority: PriorityChange| {
                    let changes = JobChanges { priority: Some(priority), ..JobChanges::default() };
                    Command::Update { at: NOW, job: id, by: USER, changes: Box::new(changes) }
                };
                if job.is_startable() {
                    let hold = update(PriorityChange::Hold { as_user: false });
                    steps.extend(self.after(&hold).map(|next| ("Hold", next)));
                }
                let release = update(PriorityChange::Release);
                steps.extend(self.after(&release).map(|next| ("Release", next)));
            }
        }
    }

    /// The leader tells nodes what follows from the state.
    fn order_steps(&self, steps: &mut Vec<(&'static str, Self)>) {
        for order in self.cluster.outstanding() {
            let (action, kind, job, attempt, node) = match order {
                Order::Launch { job, attempt, node } => {
                    ("SendLaunch", Kind::Launch, job, attempt, node)
                }
                Order::Terminate { job, attempt, node, .. } => {
                    ("SendTerminate", Kind::Terminate, job, attempt, node)
                }
                _ => continue,
            };
            let attempt = self.attempts.number(job, attempt);
            steps.push((action, self.sent(Msg { kind, job, attempt, node })));
        }
    }

    /// What nodes reported is committed.
    fn report_steps(&self, msg: &Msg, steps: &mut Vec<(&'static str, Self)>) {
        let (at, job, node) = (NOW, msg.job, msg.node.clone());
        let attempt = self.attempt(job, msg.attempt);
        let (action, command) = match msg.kind {
            Kind::Confirm => ("Confirmed", Command::LaunchConfirmed { at, job, attempt, node }),
            Kind::Refuse => {
                let errno = ERRNO_NO_USER;
                ("Refused", Command::LaunchFailed { at, job, attempt, node, errno })
            }
            Kind::End => {
                let end = BatchEnd {
                    job,
                    attempt,
                    node,
                    status: 0,
                    errno: 0,
                    out_of_memory: false,
                    node_restarted: false,
                };
                ("Completed", Command::BatchComplete { at, end })
            }
            Kind::Epilog => {
                ("EpilogDone", Command::EpilogComplete { at, job, attempt, node, rc: 0 })
            }
            Kind::Launch | Kind::Terminate => return,
        };
        steps.extend(self.after(&command).map(|next| (action, next)));
    }

    /// Nodes obey, or do not.
    fn node_steps(&self, msg: &Msg, steps: &mut Vec<(&'static str, Self)>) {
        let attempt = self.attempt(msg.job, msg.attempt);
        let mut next = self.clone();
        let Some(ledger) = next.ledgers.get_mut(&msg.node) else { return };
        let answer = |kind: Kind| Msg { kind, ..msg.clone() };
        match msg.kind {
            Kind::Launch => match ledger.on_launch(TERM, msg.job, attempt) {
                LaunchVerdict::Start => {
                    let mut failed = next.clone();
                    if let Some(ledger) = failed.ledgers.get_mut(&msg.node) {
                        ledger.on_ended(NOW, msg.job, attempt);
                    }
                    steps.push(("LaunchFails", failed.sent(answer(Kind::Refuse))));
                    next.alive.insert(process_of(msg));
                    steps.push(("Launch", next.sent(answer(Kind::Confirm))));
                }
                LaunchVerdict::AlreadyLaunched => {
                    steps.push(("Launch", next.sent(answer(Kind::Confirm))));
                }
                LaunchVerdict::Stale | LaunchVerdict::Ended => {
                    steps.push(("LaunchIsStale", next.sent(answer(Kind::Refuse))));
                }
                LaunchVerdict::OlderAttemptEnding => steps.push(("Launch", next)),
            },
            Kind::Terminate => match ledger.on_terminate(NOW, TERM, msg.job, attempt) {
                TerminateVerdict::NothingHere => {
                    steps.push(("NothingToEnd", next.sent(answer(Kind::Epilog))));
                }
                TerminateVerdict::End
                | TerminateVerdict::AlreadyEnding
                | TerminateVerdict::Stale => steps.push(("Terminate", next)),
            },
            Kind::Confirm | Kind::Refuse | Kind::End | Kind::Epilog => {}
        }
    }

    fn process_steps(&self, steps: &mut Vec<(&'static str, Self)>) {
        for process in &self.alive {
            let Process { job, attempt, node } = process.clone();
            let mut next = self.clone();
            next.alive.remove(process);
            steps.push(("Exit", next.sent(Msg { kind: Kind::End, job, attempt, node })));
        }
        for (node, ledger) in &self.ledgers {
            for (job, id, phase) in ledger.live() {
                if phase != Phase::Ending {
                    continue;
                }
                let attempt = self.attempts.number(job, id);
                let msg = |kind: Kind| Msg { kind, job, attempt, node: node.clone() };
                let mut next = self.clone();
                if let Some(ledger) = next.ledgers.get_mut(node) {
                    ledger.on_ended(NOW, job, id);
                }
                if next.alive.remove(&Process { job, attempt, node: node.clone() }) {
                    next.msgs.insert(msg(Kind::End));
                }
                steps.push(("CleanUp", next.sent(msg(Kind::Epilog))));
            }
        }
    }

    fn ledger_view(&self, ledger: &Ledger) -> Value {
        let entry = |job: i64| {
            let known = self.cluster.jobs().find(|known| self.id_of(known.id) == job);
            let newest = known.and_then(|known| {
                let tries = (1..=self.bounds.max_attempts + 1).rev();
                tries.into_iter().find_map(|number| {
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
        Value::Seq(self.numbers().map(entry).collect())
    }

    fn numbers(&self) -> std::ops::RangeInclusive<i64> {
        1..=i64::try_from(self.bounds.requests.len()).unwrap_or(i64::MAX)
    }

    fn by_request(&self, value: impl Fn(usize) -> Value) -> Value {
        let entry = |(index, name): (usize, &String)| (Value::string(name), value(index));
        Value::function(self.bounds.requests.iter().enumerate().map(entry).collect())
    }
}

impl World for JobLife {
    fn view(&self) -> State {
        let job = |number: i64| {
            let known = self.cluster.jobs().find(|job| self.id_of(job.id) == number);
            view_of_job(known, &self.attempts)
        };
        let key = |index: usize| {
            let job = self.cluster.submitted(&key_of(index));
            Value::Int(job.map_or(0, |job| self.id_of(job)))
        };
        let client = |index: usize| {
            let (state, id) = match self.clients[index] {
                Client::New => ("new", 0),
                Client::Sent => ("sent", 0),
                Client::Acked(job) => ("acked", self.id_of(job)),
            };
            record([("st", Value::string(state)), ("id", Value::Int(id))])
        };
        let ledger = |(name, ledger): (&NodeName, &Ledger)| {
            (Value::string(name.as_str()), self.ledger_view(ledger))
        };
        let place = |job: JobId, attempt: i64, node: &NodeName| {
            [
                ("job", Value::Int(self.id_of(job))),
                ("att", Value::Int(attempt)),
                ("node", Value::string(node.as_str())),
            ]
        };
        let msg = |msg: &Msg| {
            let kind = [("kind", Value::string(msg.kind.text()))];
            record(place(msg.job, msg.attempt, &msg.node).into_iter().chain(kind))
        };
        let process = |one: &Process| record(place(one.job, one.attempt, &one.node));
        let variable = |name: &str, value: Value| (String::from(name), value);
        State::from([
            variable("client", self.by_request(client)),
            variable("keys", self.by_request(key)),
            variable("jobs", Value::Seq(self.numbers().map(job).collect())),
            variable("ledger", Value::function(self.ledgers.iter().map(ledger).collect())),
            variable("alive", Value::set(self.alive.iter().map(process))),
            variable("msgs", Value::set(self.msgs.iter().map(msg))),
        ])
    }

    fn steps(&self) -> Vec<(&'static str, Self)> {
        let mut steps = Vec::new();
        self.client_steps(&mut steps);
        self.command_steps(&mut steps);
        self.order_steps(&mut steps);
        for msg in &self.msgs {
            self.report_steps(msg, &mut steps);
            self.node_steps(msg, &mut steps);
        }
        self.process_steps(&mut steps);
        steps
    }
}

fn record(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::record(fields.into_iter().map(|(name, value)| (String::from(name), value)))
}

fn key_of(index: usize) -> RequestKey {
    RequestKey([u8::try_from(index + 1).unwrap_or(u8::MAX); 16])
}

fn process_of(msg: &Msg) -> Process {
    Process { job: msg.job, attempt: msg.attempt, node: msg.node.clone() }
}

fn start_of(job: &Job, node: &NodeName) -> Start {
    let placement =
        Placement { node: node.clone(), cpus: 1, memory_mb: 1, tasks: 1, whole_node: false };
    let placements = vec![placement];
    Start { job: job.id, attempt: job.attempt, partition: job.partition.clone(), placements }
}

fn facts() -> NodeFacts {
    NodeFacts {
        cpus: 8,
        boards: 1,
        sockets: 1,
        cores_per_socket: 8,
        threads_per_core: 1,
        real_memory_mb: MEMORY_MB,
        boot: Some(Time::from_secs(1_000)),
        daemon_start: Some(Time::from_secs(2_000)),
        ..NodeFacts::default()
    }
}

/// Room for everything: Allocation is about scarcity.
fn config_of(bounds: &Bounds) -> Config {
    let node = |name: &String| NodeConf {
        name: NodeName::from(name.as_str()),
        cpus: 8,
        cores_per_socket: 8,
        real_memory_mb: MEMORY_MB,
        ..NodeConf::default()
    };
    let nodes: Vec<NodeConf> = bounds.machines.iter().map(node).collect();
    let partition = PartitionConf {
        name: PartitionName::from("main"),
        nodes: nodes.iter().map(|node| node.name.clone()).collect(),
        is_default: true,
        time_default: Some(Limit::Max(1)),
        ..PartitionConf::default()
    };
    Config { settings: Settings::default(), nodes, partitions: vec![partition] }
}
