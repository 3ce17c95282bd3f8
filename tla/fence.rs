//! The product's own steps in the world of `Fence.tla`: a site whose machines fail and come back, and
//! a leader who judges silence.

use std::collections::BTreeMap;

use flurm_base::{AttemptId, JobId, RequestKey, Span, Time};
use flurm_ctld::Silence;
use flurm_model::{
    Actor, Command, JobSpec, Memory, Node, NodeBase, NodeChanges, NodeName, NodeStateChange, Reply,
    ReturnToService, Size,
};
use flurm_node::ledger::{Ledger, Phase};
use tla_eval::{State, Value};

use crate::job_view::view_of_job;
use crate::site::{Kind, Msg, NOW, Process, Site, USER, boot_of, facts, record, start_of};
use crate::walk::World;

/// The constants of the specification.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Bounds {
    job_count: u32,
    machines: Vec<String>,
    failing: Vec<String>,
    width: u32,
    max_attempts: i64,
    may_requeue: bool,
    kill: bool,
    max_boots: i64,
    max_runs: i64,
    disk_loss: bool,
    max_terms: i64,
    silence: u64,
    operators: bool,
    honest: bool,
    returns: String,
    bugs: Vec<String>,
}

/// What a node really is.
#[derive(Clone, Copy)]
struct Machine {
    boot: i64,
    run: i64,
    on: bool,
}

/// A registration on its way.
#[derive(Clone, PartialEq, Eq)]
struct Registration {
    boot: i64,
    run: i64,
    live: Vec<(JobId, AttemptId)>,
}

/// Who leads.
#[derive(Clone)]
struct Leader {
    on: bool,
    term: i64,
    began: Span,
    now: Span,
    silence: Silence,
}

/// The world.
#[derive(Clone)]
pub(crate) struct Fence {
    bounds: Bounds,
    site: Site,
    leader: Leader,
    machines: BTreeMap<NodeName, Machine>,
    reg: BTreeMap<NodeName, Option<Registration>>,
}

type Steps = Vec<(&'static str, Fence)>;

const ROOT: Actor = Actor { uid: 0, privileged: true };
const OPERATORS_REASON: &str = "operator";
const CPUS: u32 = 8;
/// JobLife has launches that fail or are refused.
const LAUNCHES_OF_JOB_LIFE: [&str; 2] = ["LaunchFails", "LaunchIsStale"];
/// Longer than a registration may be on its way.
const LATE: Span = Span::secs(61);

impl Fence {
    /// Where every behaviour begins: jobs wait, all nodes serve.
    ///
    /// # Errors
    /// The product refuses the configuration or a job.
    pub(crate) fn new(bounds: Bounds) -> Result<Self, String> {
        if !bounds.bugs.is_empty() {
            return Err("a walk has no bugs of the specification".into());
        }
        let returns = match bounds.returns.as_str() {
            "always" => ReturnToService::Always,
            "silence" => ReturnToService::AfterSilence,
            "hand" => ReturnToService::ByHand,
            other => return Err(format!("ReturnToService is not {other}")),
        };
        let mut site = Site::new(&bounds.machines, CPUS, |settings| {
            settings.return_to_service = returns;
        })?;
        for number in 1..=bounds.job_count {
            let size = Size {
                memory: Some(Memory::PerNode(1)),
                nodes_min: bounds.width,
                ..Size::default()
            };
            let spec = Box::new(JobSpec {
                uid: USER.uid,
                batch: Some(std::sync::Arc::default()),
                size,
                requeue: Some(bounds.may_requeue),
                kill_on_node_fail: bounds.kill,
                ..JobSpec::default()
            });
            let key = Some(RequestKey([u8::try_from(number).unwrap_or(u8::MAX); 16]));
            let submit = Command::Submit { at: NOW, key, by: USER, spec };
            site = site.after(&submit).ok_or("a submission was refused")?;
        }
        let names = bounds.machines.iter().map(|name| NodeName::from(name.as_str()));
        let machines = names.map(|name| (name, Machine { boot: 1, run: 1, on: true })).collect();
        let reg = bounds.failing.iter().map(|name| (NodeName::from(name.as_str()), None));
        let (began, now) = (Span(0), Span(0));
        let silence = Silence::new(1, now);
        let leader = Leader { on: true, term: 1, began, now, silence };
        let reg = reg.collect();
        Ok(Self { bounds, site, leader, machines, reg })
    }

    fn with(&self, site: Site) -> Self {
        Self { site, ..self.clone() }
    }

    fn apply(&self, action: &'static str, command: &Command, steps: &mut Steps) {
        steps.extend(self.site.after(command).map(|site| (action, self.with(site))));
    }

    /// What follows from the state, and from what nodes report.
    fn job_steps(&self, steps: &mut Steps) {
        let mut of_site = self.site.order_steps(true);
        let report = |msg: &Msg| {
            let (action, next) = self.site.report_step(msg)?;
            let orphan = msg.kind == Kind::Epilog && !self.holds(msg);
            Some((if orphan { "OrphanIsGone" } else { action }, next))
        };
        of_site.extend(self.site.msgs.iter().filter_map(report));
        steps.extend(of_site.into_iter().map(|(action, site)| (action, self.with(site))));
        for job in self.site.jobs() {
            if self.site.attempts.number(job.id, job.attempt) > self.bounds.max_attempts {
                continue;
            }
            for nodes in placements(&self.machines, self.bounds.width) {
                let starts = vec![start_of(&job, &nodes, 1, false)];
                let schedule = Command::Schedule { at: NOW, starts, reasons: Vec::new() };
                self.apply("Start", &schedule, steps);
            }
        }
    }

    /// Whether the attempt of a report is current and has a share where the report comes from.
    fn holds(&self, msg: &Msg) -> bool {
        let attempt = self.site.attempt(msg.job, msg.attempt);
        let job = self.site.cluster.job(msg.job).filter(|job| job.attempt == attempt);
        let share = job.and_then(|job| job.allocation.as_ref()?.share(&msg.node));
        share.is_some_and(flurm_model::Share::is_open)
    }

    /// Time passes, leaders come and go, and judge.
    fn leader_steps(&self, steps: &mut Steps) {
        if !self.leader.on {
            let mut next = self.clone();
            let (term, now) = (self.leader.term + 1, self.leader.now);
            let number = u64::try_from(term).unwrap_or(0);
            let silence = Silence::new(number, now);
            next.leader = Leader { on: true, term, began: now, now, silence };
            steps.push(("NewLeader", next));
            return;
        }
        if self.leader.term < self.bounds.max_terms {
            let mut next = self.clone();
            next.leader.on = false;
            steps.push(("LeaderIsLost", next));
        }
        if self.bounds.silence > 0 {
            let mut next = self.clone();
            next.leader.now = self.leader.now + Span(1);
            steps.push(("Tick", next));
        }
        let (now, silence_max) = (self.leader.now, Span(self.bounds.silence));
        for command in self.leader.silence.judge(&self.site.cluster, now, silence_max, NOW) {
            match &command {
                Command::NodeDown { node, .. } if self.reg.contains_key(node) => {
                    self.apply("TakeDown", &command, steps);
                }
                Command::NodeNotResponding { node, .. } if self.reg.contains_key(node) => {
                    self.apply("Suspect", &command, steps);
                }
                // The others answer always.
                _ => {}
            }
        }
    }

    fn heard(&self, node: &NodeName) -> Self {
        let mut next = self.clone();
        next.leader.silence.heard(self.leader.now, node);
        next
    }

    /// What becomes of a machine that may fail, as the controllers learn it.
    fn node_steps(&self, node: &NodeName, steps: &mut Steps) {
        let machine = self.machines[node];
        if machine.on {
            steps.push(("Answer", self.heard(node)));
        }
        let (at, name) = (NOW, node.clone());
        if self.site.cluster.node(node.as_str()).is_some_and(|node| !node.is_responding()) {
            let (cpu_load, free_memory_mb) = (None, None);
            let responds =
                Command::NodeResponding { at, node: name.clone(), cpu_load, free_memory_mb };
            self.apply("Responds", &responds, steps);
        }
        if self.bounds.operators {
            let change = |state: NodeStateChange, reason: Option<&str>| {
                let (state, reason) = (Some(state), reason.map(String::from));
                let changes = Box::new(NodeChanges { state, reason, ..NodeChanges::default() });
                Command::UpdateNode { at, node: name.clone(), by: ROOT, changes }
            };
            let runs = self.site.alive.iter().any(|process| process.node == *node);
            let known = self.site.cluster.node(node.as_str());
            let answers = known.is_some_and(Node::is_responding);
            if !self.bounds.honest || answers || !machine.on && !runs {
                let down = change(NodeStateChange::Down, Some(OPERATORS_REASON));
                self.apply("OperatorDown", &down, steps);
            }
            self.apply("Resume", &change(NodeStateChange::Resume, None), steps);
        }
        if let Some(registration) = &self.reg[node] {
            steps.extend(self.registered(node, registration, NOW).map(|next| ("Register", next)));
            let is_true = *registration == self.content(node);
            if is_true && self.misses(node, registration) {
                let next = self.registered(node, registration, NOW + LATE);
                steps.extend(next.map(|next| ("Register", next)));
            }
        }
    }

    fn registered(&self, node: &NodeName, taken: &Registration, at: Time) -> Option<Self> {
        let facts = Box::new(facts(CPUS, taken.boot, taken.run));
        let running = taken.live.clone();
        let command = Command::NodeRegistered { at, node: node.clone(), facts, running };
        let (site, reply) = self.site.answered(&command)?;
        let Reply::Registered { .. } = reply else { return None };
        let mut next = self.with(site).heard(node);
        next.reg.insert(node.clone(), None);
        Some(next)
    }

    /// Whether a registration shows only that confirmed launches are missing.
    fn misses(&self, node: &NodeName, registration: &Registration) -> bool {
        let launches = |wanted: &str| {
            let confirmed = |job: &&flurm_model::Job| match job.launch {
                flurm_model::Launch::None => false,
                flurm_model::Launch::Needed { .. } => wanted == "needed",
                flurm_model::Launch::Confirmed { .. } => wanted == "confirmed",
            };
            self.site.cluster.jobs().filter(confirmed).collect::<Vec<_>>()
        };
        let missing = |job: &&flurm_model::Job| {
            let host = job.allocation.as_ref().map(flurm_model::Allocation::batch_host);
            host == Some(node) && !registration.live.contains(&(job.id, job.attempt))
        };
        launches("needed").is_empty() && launches("confirmed").iter().any(missing)
    }

    /// What a node has to say of itself.
    fn content(&self, node: &NodeName) -> Registration {
        let Machine { boot, run, .. } = self.machines[node];
        let live = self.site.ledgers[node].live().map(|(job, attempt, _)| (job, attempt));
        Registration { boot, run, live: live.collect() }
    }

    /// What happens on and to a machine that may fail.
    fn machine_steps(&self, node: &NodeName, steps: &mut Steps) {
        let machine = self.machines[node];
        let becomes = |machine: Machine| {
            let mut next = self.clone();
            next.machines.insert(node.clone(), machine);
            next
        };
        if machine.on {
            let mut next = self.clone();
            next.reg.insert(node.clone(), Some(self.content(node)));
            steps.push(("WriteRegistration", next));
            steps.extend(self.report_lost_steps(node));
        } else {
            let mut next = becomes(Machine { run: machine.run + 1, on: true, ..machine });
            if let Some(ledger) = next.site.ledgers.get_mut(node) {
                // The wall clock goes on, also where the disk was lost.
                let stamp = ledger.next_start_stamp(Time::from_secs(machine.run + 1));
                assert_eq!(stamp.secs(), machine.run + 1, "start stamps count runs");
            }
            steps.push(("DaemonStarts", next));
        }
        if machine.run >= self.bounds.max_runs {
            return;
        }
        if machine.on {
            steps.push(("DaemonStops", becomes(Machine { on: false, ..machine })));
        }
        if machine.boot < self.bounds.max_boots {
            let boot = machine.boot + 1;
            let mut next = becomes(Machine { boot, on: false, ..machine });
            next.site.alive.retain(|process| process.node != *node);
            if self.bounds.disk_loss {
                let mut empty = next.clone();
                empty.site.ledgers.insert(node.clone(), Ledger::default());
                steps.push(("DiskIsLost", empty));
            }
            steps.push(("PowerFails", next));
        }
    }

    /// An attempt that the ledger has and that nobody heard the end of, without a process.
    fn report_lost_steps(&self, node: &NodeName) -> Steps {
        let live = self.site.ledgers[node].live();
        let launched = live.filter(|(.., phase)| *phase == Phase::Launched);
        let step = |(job, id, _): (JobId, AttemptId, Phase)| {
            let attempt = self.site.attempts.number(job, id);
            let msg = |kind: Kind| Msg { kind, job, attempt, node: node.clone(), run: 0 };
            let runs = self.site.alive.contains(&Process { job, attempt, node: node.clone() });
            let told = self.site.msgs.contains(&msg(Kind::End));
            let lost = self.with(self.site.sent(msg(Kind::Lost)));
            (!runs && !told).then_some(("ReportLost", lost))
        };
        launched.filter_map(step).collect()
    }

    fn node_view(&self, node: &Node) -> Value {
        let base = match node.base {
            NodeBase::Up => "up",
            NodeBase::Down => "down",
            NodeBase::Unknown => "unknown",
            NodeBase::Future => "future",
        };
        let why = match node.reason.as_str() {
            "" => "none",
            "Not responding" => "silent",
            "Node unexpectedly rebooted" => "rebooted",
            other => other,
        };
        record([
            ("base", Value::string(base)),
            ("resp", Value::Bool(node.is_responding())),
            ("word", Value::Bool(node.operator_down)),
            ("orphans", Value::set(node.orphans.iter().map(|orphan| self.attempt_view(orphan)))),
            ("why", Value::string(why)),
            ("boot", Value::Int(node.facts.as_ref().map_or(0, boot_of))),
            ("run", Value::Int(node.run().map_or(0, Time::secs))),
        ])
    }

    fn attempt_view(&self, (job, attempt): &(JobId, AttemptId)) -> Value {
        let number = self.site.attempts.number(*job, *attempt);
        record([("job", Value::Int(self.site.id_of(*job))), ("att", Value::Int(number))])
    }

    fn reg_view(&self, registration: Option<&Registration>) -> Value {
        let live = registration.iter().flat_map(|registration| &registration.live);
        let live = live.map(|entry| self.attempt_view(entry));
        record([
            ("run", Value::Int(registration.map_or(0, |registration| registration.run))),
            ("boot", Value::Int(registration.map_or(0, |registration| registration.boot))),
            ("live", Value::set(live)),
        ])
    }

    fn silence_view(&self, node: &NodeName) -> Value {
        let Leader { now, silence, .. } = &self.leader;
        let ticks = silence.of(node, *now).0.min(self.bounds.silence);
        Value::Int(i64::try_from(ticks).unwrap_or(i64::MAX))
    }
}

/// All ways to choose so many of the nodes, one of them first.
fn placements(machines: &BTreeMap<NodeName, Machine>, width: u32) -> Vec<Vec<&NodeName>> {
    let mut found: Vec<Vec<&NodeName>> = vec![Vec::new()];
    for _ in 0..width {
        let mut longer = Vec::new();
        for nodes in found {
            let rest = machines.keys().filter(|name| !nodes.contains(name));
            longer.extend(rest.map(|name| [nodes.as_slice(), &[name]].concat()));
        }
        found = longer;
    }
    found
}

impl World for Fence {
    fn view(&self) -> State {
        let site = &self.site;
        let count = i64::from(self.bounds.job_count);
        let job = |number: i64| view_of_job(site.job(number), &site.attempts);
        let name = |node: &NodeName| Value::string(node.as_str());
        let node = |node: &Node| (name(&node.conf.name), self.node_view(node));
        let machine = |(node, machine): (&NodeName, &Machine)| {
            let Machine { boot, run, on } = *machine;
            let fields = [("boot", Value::Int(boot)), ("run", Value::Int(run))];
            (name(node), record(fields.into_iter().chain([("on", Value::Bool(on))])))
        };
        let led = (self.leader.now - self.leader.began).0.min(self.bounds.silence);
        let leader = record([
            ("on", Value::Bool(self.leader.on)),
            ("term", Value::Int(self.leader.term)),
            ("led", Value::Int(i64::try_from(led).unwrap_or(i64::MAX))),
        ]);
        let reg = self.reg.iter().map(|(node, one)| (name(node), self.reg_view(one.as_ref())));
        let silence = self.reg.keys().map(|node| (name(node), self.silence_view(node)));
        let attempts_max = self.bounds.max_attempts + 1;
        let variable = |name: &str, value: Value| (String::from(name), value);
        State::from([
            variable("jobs", Value::Seq((1..=count).map(job).collect())),
            variable("nodes", Value::function(site.cluster.nodes().map(node).collect())),
            variable("leader", leader),
            variable("silence", Value::function(silence.collect())),
            variable("machine", Value::function(self.machines.iter().map(machine).collect())),
            variable("reg", Value::function(reg.collect())),
            variable("ledger", site.ledgers_view(count, attempts_max)),
            variable("alive", site.alive_view()),
            variable("msgs", site.msgs_view(true)),
        ])
    }

    fn hidden(&self) -> Vec<u16> {
        self.site.hidden()
    }

    fn steps(&self) -> Steps {
        let mut steps = Vec::new();
        self.leader_steps(&mut steps);
        if self.leader.on {
            self.job_steps(&mut steps);
            self.reg.keys().for_each(|node| self.node_steps(node, &mut steps));
        }
        self.reg.keys().for_each(|node| self.machine_steps(node, &mut steps));
        let site = &self.site;
        let mut of_site = site.exit_steps();
        let on = |node: &NodeName| self.machines[node].on;
        for msg in site.msgs.iter().filter(|msg| on(&msg.node)) {
            let told = site.node_steps(msg).into_iter();
            of_site.extend(told.filter(|(action, _)| !LAUNCHES_OF_JOB_LIFE.contains(action)));
        }
        of_site.extend(self.machines.keys().filter(|n| on(n)).flat_map(|n| site.cleanup_steps(n)));
        steps.extend(of_site.into_iter().map(|(action, site)| (action, self.with(site))));
        steps
    }
}
