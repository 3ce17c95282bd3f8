//! The product's own steps in the world of `JobLife.tla`: a site, and clients who submit.

use flurm_base::{RequestKey, Span};
use flurm_model::{
    Command, JobBase, JobChanges, JobSpec, Memory, PriorityChange, RequeueFlags, Size,
};
use tla_eval::{State, Value};

use crate::job_view::view_of_job;
use crate::site::{NOW, Site, USER, record, start_of};
use crate::walk::World;

/// The constants of the specification.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Bounds {
    requests: Vec<String>,
    machines: Vec<String>,
    max_attempts: i64,
    may_requeue: bool,
    hand_requeue: bool,
    cancels: bool,
    holds: bool,
    bugs: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    New,
    Sent,
    Acked(flurm_base::JobId),
}

/// The world.
#[derive(Clone)]
pub(crate) struct JobLife {
    bounds: Bounds,
    site: Site,
    clients: Vec<Client>,
}

const SIGKILL: u16 = 9;
/// Room for everything: Allocation is about scarcity.
const CPUS: u32 = 8;

impl JobLife {
    /// Where every behaviour begins.
    ///
    /// # Errors
    /// The product refuses the configuration.
    pub(crate) fn new(bounds: Bounds) -> Result<Self, String> {
        if !bounds.bugs.is_empty() {
            return Err("a walk has no bugs of the specification".into());
        }
        let site = Site::new(&bounds.machines, CPUS, |_| {})?;
        let clients = vec![Client::New; bounds.requests.len()];
        Ok(Self { bounds, site, clients })
    }

    fn with(&self, site: Site) -> Self {
        Self { site, ..self.clone() }
    }

    fn after(&self, command: &Command) -> Option<Self> {
        self.site.after(command).map(|site| self.with(site))
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
            if let (Client::Sent, Some(job)) = (client, self.site.cluster.submitted(&key)) {
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
        for job in self.site.jobs() {
            let id = job.id;
            let number = self.site.attempts.number(id, job.attempt);
            let bounded = number <= self.bounds.max_attempts;
            for node in self.site.ledgers.keys().filter(|_| bounded) {
                let starts = vec![start_of(&job, &[node], 1, false)];
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
        let site = &self.site;
        let job = |number: i64| view_of_job(site.job(number), &site.attempts);
        let key = |index: usize| {
            let job = site.cluster.submitted(&key_of(index));
            Value::Int(job.map_or(0, |job| site.id_of(job)))
        };
        let client = |index: usize| {
            let (state, id) = match self.clients[index] {
                Client::New => ("new", 0),
                Client::Sent => ("sent", 0),
                Client::Acked(job) => ("acked", site.id_of(job)),
            };
            record([("st", Value::string(state)), ("id", Value::Int(id))])
        };
        let attempts_max = self.bounds.max_attempts + 1;
        let variable = |name: &str, value: Value| (String::from(name), value);
        State::from([
            variable("client", self.by_request(client)),
            variable("keys", self.by_request(key)),
            variable("jobs", Value::Seq(self.numbers().map(job).collect())),
            variable("ledger", site.ledgers_view(*self.numbers().end(), attempts_max)),
            variable("alive", site.alive_view()),
            variable("msgs", site.msgs_view(false)),
        ])
    }

    fn hidden(&self) -> Vec<u16> {
        self.site.hidden()
    }

    fn steps(&self) -> Vec<(&'static str, Self)> {
        let mut steps = Vec::new();
        self.client_steps(&mut steps);
        self.command_steps(&mut steps);
        let site = &self.site;
        let mut of_site = site.order_steps(false);
        for msg in &site.msgs {
            of_site.extend(site.report_step(msg));
            of_site.extend(site.node_steps(msg));
        }
        of_site.extend(site.exit_steps());
        of_site.extend(site.ledgers.keys().flat_map(|node| site.cleanup_steps(node)));
        steps.extend(of_site.into_iter().map(|(action, next)| (action, self.with(next))));
        steps
    }
}

fn key_of(index: usize) -> RequestKey {
    RequestKey([u8::try_from(index + 1).unwrap_or(u8::MAX); 16])
}
