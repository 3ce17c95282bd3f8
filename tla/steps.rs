//! Follows the jobs of a cluster from command to command, and tells which of them changed and how.

use std::collections::{BTreeMap, BTreeSet};

use flurm_base::{AttemptId, JobId};
use flurm_model::{
    Cluster, Command, Job, JobChanges, NodeName, NodeStateChange, PriorityChange, RequeueFlags,
    Start, TaskAct,
};

use crate::job_view::JobView;
use crate::step::{About, Step};

/// After so many commands every job is looked at, finished ones too.
const ALL_EVERY: u64 = 64;
const SIGKILL: u16 = 9;
/// `KILL_JOB_BATCH` and `KILL_STEPS_ONLY`: not the whole job.
const KILL_PARTS: u16 = 0b101;

/// A job as it was after the last command.
#[derive(Clone, Debug)]
struct Known {
    view: JobView,
    attempt: AttemptId,
    array: Option<JobId>,
    depends: bool,
}

impl Known {
    fn of(job: &Job) -> Self {
        let array = job.array.as_ref().map(|array| array.job);
        let (attempt, depends) = (job.attempt, job.depends.is_some());
        Self { view: JobView::of(job), attempt, array, depends }
    }

    fn is_of(&self, job: &Job) -> bool {
        self.attempt == job.attempt && self.view.is_of(job)
    }
}

/// All jobs as they were after the last command.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    known: BTreeMap<JobId, Known>,
    /// Those that were not finished.
    live: BTreeSet<JobId>,
    highest: u32,
    commands: u64,
}

/// What a command says about a job, before it is known what became of it.
struct Subject<'a> {
    id: JobId,
    array: Option<JobId>,
    before: Option<&'a Known>,
    after: Option<&'a Job>,
}

impl Steps {
    /// A command was applied: what it made of each job that looks different.
    pub fn after(&mut self, command: &Command, cluster: &Cluster) -> Vec<(JobId, Step)> {
        self.commands += 1;
        let changed = self.changed(command, cluster);
        let mut steps = Vec::new();
        for id in &changed {
            self.steps_of(*id, command, cluster, &mut steps);
        }
        for id in changed {
            match cluster.job(id) {
                Some(job) => {
                    self.known.insert(id, Known::of(job));
                    if job.is_finished() {
                        self.live.remove(&id);
                    } else {
                        self.live.insert(id);
                    }
                }
                None => {
                    self.known.remove(&id);
                    self.live.remove(&id);
                }
            }
            self.highest = self.highest.max(id.0);
        }
        steps
    }

    fn changed(&mut self, command: &Command, cluster: &Cluster) -> BTreeSet<JobId> {
        let mut changed = BTreeSet::new();
        let mut count = 0;
        for job in cluster.pending().chain(cluster.holding()) {
            count += 1;
            match self.known.get_mut(&job.id) {
                Some(known) if known.is_of(job) => known.depends = job.depends.is_some(),
                Some(_) | None => drop(changed.insert(job.id)),
            }
        }
        let differs = |id: &JobId| match (cluster.job(*id), self.known.get(id)) {
            (Some(job), Some(known)) => !known.is_of(job),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        };
        // What was live and is not, what began and ended at once, what a purge may forget.
        if count != self.live.len() {
            changed.extend(self.live.iter().copied().filter(differs));
        }
        let new = self.highest.saturating_add(1)..cluster.job_id_next();
        changed.extend(new.map(JobId).filter(differs));
        if matches!(command, Command::Purge { .. }) || self.commands.is_multiple_of(ALL_EVERY) {
            changed.extend(self.known.keys().copied().filter(differs));
            changed.extend(cluster.jobs().map(|job| job.id).filter(differs));
        }
        changed.extend(named(command).into_iter().filter(differs));
        changed.extend(
            self.live
                .iter()
                .copied()
                .filter(|id| cluster.job(*id).is_none_or(Job::is_finished) && differs(id)),
        );
        changed
    }

    fn steps_of(
        &self,
        id: JobId,
        command: &Command,
        cluster: &Cluster,
        steps: &mut Vec<(JobId, Step)>,
    ) {
        let after = cluster.job(id);
        let array = after.and_then(|job| job.array.as_ref()).map(|array| array.job);
        let mut before = self.known.get(&id);
        let submits = matches!(command, Command::Submit { .. } | Command::Allocate { .. });
        let mut copy = None;
        if before.is_none() && !submits {
            // A task that got a number of its own: first what it was copied from, then the rest.
            copy = array.and_then(|array| self.undivided(array)).cloned();
            if let Some(known) = &copy {
                let subject = Subject { id, array, before: None, after };
                let mut about = self.about(command, &subject, cluster);
                (about.kind, about.current) = ("divide", false);
                let view = Some(known.view.clone());
                steps.push((id, Step { before: None, about, after: view, again: false }));
                before = copy.as_ref();
            }
        }
        let subject =
            Subject { id, array: array.or(before.and_then(|known| known.array)), before, after };
        let about = self.about(command, &subject, cluster);
        let again = match (before, after) {
            (Some(known), Some(job)) => copy.is_none() && known.attempt != job.attempt,
            _ => false,
        };
        let before = before.map(|known| known.view.clone());
        let after = after.map(JobView::of);
        if before != after || again {
            steps.push((id, Step { before, about, after, again }));
        }
    }

    /// The record that stands for an array's undivided tasks: the first, and waiting.
    fn undivided(&self, array: JobId) -> Option<&Known> {
        let mut records = self.known.values().filter(|known| known.array == Some(array));
        records.find(|known| known.view.is_pending() && known.view.nodes().next().is_none())
    }

    fn about(&self, command: &Command, subject: &Subject<'_>, cluster: &Cluster) -> About {
        let mut about = About {
            kind: "other",
            named: false,
            current: false,
            node: None,
            places: Vec::new(),
            answered: Vec::new(),
            marks: BTreeSet::new(),
        };
        let gone = |node: &NodeName| cluster.node(node).is_none_or(|node| node.removed);
        let answered =
            |node: &NodeName| cluster.node(node).is_none_or(flurm_model::Node::is_answered_for);
        let nodes = || subject.before.iter().flat_map(|known| known.view.nodes());
        about.answered = nodes().filter(|node| answered(node)).cloned().collect();
        let depends = subject.before.is_some_and(|known| known.depends)
            || subject.after.is_some_and(|job| job.depends.is_some());
        let homeless = subject.after.is_some_and(|job| {
            !job.partitions.iter().any(|name| cluster.partition(name).is_some())
        });
        let fresh = self.highest < subject.id.0;
        for (mark, holds) in [("depends", depends), ("homeless", homeless), ("fresh", fresh)] {
            if holds {
                about.marks.insert(mark);
            }
        }
        if matches!(command, Command::Configure { .. }) {
            about.places = nodes().filter(|node| gone(node)).cloned().collect();
        }
        if let Command::NodeRegistered { node, .. } = command
            && cluster.node(node).is_some_and(flurm_model::Node::is_down)
        {
            about.marks.insert("down");
        }
        subject.tell(command, &mut about);
        about
    }
}

/// The jobs that a command names.
fn named(command: &Command) -> Vec<JobId> {
    match command {
        Command::Update { job, .. }
        | Command::Requeue { job, .. }
        | Command::Kill { job, .. }
        | Command::TimeLimitReached { job, .. }
        | Command::AllocationOver { job, .. }
        | Command::LaunchConfirmed { job, .. }
        | Command::LaunchFailed { job, .. }
        | Command::EpilogComplete { job, .. } => vec![*job],
        Command::BatchComplete { end, .. } => vec![end.job],
        Command::Schedule { starts, .. } => starts.iter().map(|start| start.job).collect(),
        _ => Vec::new(),
    }
}

impl Subject<'_> {
    fn is_named(&self, id: JobId) -> bool {
        id == self.id || Some(id) == self.array
    }

    fn is_current(&self, attempt: AttemptId) -> bool {
        self.before.is_some_and(|known| known.attempt == attempt)
    }

    /// What the command says.
    fn tell(&self, command: &Command, about: &mut About) {
        match command {
            Command::Submit { .. } | Command::Allocate { .. } => about.kind = "submit",
            Command::Update { job, changes, .. } => {
                about.named = self.is_named(*job);
                self.tell_changes(changes, about);
            }
            Command::Requeue { job, flags, .. } => {
                about.named = self.is_named(*job);
                tell_requeue(*flags, about);
            }
            Command::Kill { job, signal, flags, .. } => {
                about.named = self.is_named(*job);
                self.tell_kill(*signal, *flags, about);
            }
            Command::Suspend { job, .. } => {
                about.named = self.is_named(*job);
                about.kind = "suspend";
            }
            Command::OfTasks { array, act, .. } => {
                about.named = self.is_named(*array);
                match act {
                    TaskAct::Update(changes) => self.tell_changes(changes, about),
                    TaskAct::Requeue(flags) => tell_requeue(*flags, about),
                    TaskAct::Kill { signal, flags } => self.tell_kill(*signal, *flags, about),
                    TaskAct::Suspend { .. } => about.kind = "suspend",
                }
            }
            Command::AllocationOver { job, .. } => {
                about.named = self.is_named(*job);
                about.kind = "over";
                if self.before.is_some_and(|known| known.view.is_pending()) {
                    about.marks.insert("kills");
                }
            }
            Command::Schedule { starts, .. } => self.tell_start(starts, about),
            Command::TimeLimitReached { job, attempt, .. } => {
                about.kind = "time-limit";
                about.named = *job == self.id;
                about.current = self.is_current(*attempt);
            }
            Command::Configure { .. } => about.kind = "configure",
            Command::Purge { .. } => about.kind = "purge",
            _ => self.tell_report(command, about),
        }
    }

    /// What nodes report, or what is said of them.
    fn tell_report(&self, command: &Command, about: &mut About) {
        let (kind, job, attempt, node) = match command {
            Command::LaunchConfirmed { job, attempt, node, .. } => {
                ("confirmed", Some(*job), Some(*attempt), node)
            }
            Command::LaunchFailed { job, attempt, node, .. } => {
                ("refused", Some(*job), Some(*attempt), node)
            }
            Command::BatchComplete { end, .. } => {
                about.marks.extend(ends_of(end));
                ("complete", Some(end.job), Some(end.attempt), &end.node)
            }
            Command::EpilogComplete { job, attempt, node, .. } => {
                ("epilog", Some(*job), Some(*attempt), node)
            }
            Command::NodeRegistered { node, running, .. } => {
                let known = self.before.map(|known| (self.id, known.attempt));
                if known.is_some_and(|known| running.contains(&known)) {
                    about.marks.insert("listed");
                }
                ("registered", None, None, node)
            }
            Command::NodeNotResponding { node, .. } => ("silent", None, None, node),
            Command::NodeDown { node, .. } => {
                about.marks.insert("down");
                ("down", None, None, node)
            }
            Command::UpdateNode { node, changes, .. } => {
                if let Some(NodeStateChange::Down | NodeStateChange::Future) = changes.state {
                    about.marks.insert("down");
                }
                ("down", None, None, node)
            }
            _ => return,
        };
        about.kind = kind;
        about.node = Some(node.clone());
        about.named = job.is_some_and(|job| job == self.id);
        about.current = attempt.is_some_and(|attempt| self.is_current(attempt));
    }

    fn tell_changes(&self, changes: &JobChanges, about: &mut About) {
        about.kind = "update";
        match changes.priority {
            Some(PriorityChange::Hold { .. }) => drop(about.marks.insert("hold")),
            Some(PriorityChange::Release) => drop(about.marks.insert("release")),
            Some(PriorityChange::Set(_)) | None => {}
        }
        match changes.requeue {
            Some(true) => drop(about.marks.insert("requeue")),
            Some(false) => drop(about.marks.insert("norequeue")),
            None => {}
        }
    }

    fn tell_kill(&self, signal: u16, flags: u16, about: &mut About) {
        about.kind = "kill";
        let waits = self.before.is_some_and(|known| known.view.is_pending());
        if signal == SIGKILL && (waits || flags & KILL_PARTS == 0) {
            about.marks.insert("kills");
        }
    }

    /// The start that is about the job: of several tasks of an array, the one on the same nodes.
    fn tell_start(&self, starts: &[Start], about: &mut About) {
        about.kind = "schedule";
        let mine = |start: &&Start| self.is_named(start.job) || self.was_copied(start);
        let has = |start: &&Start| {
            let shares =
                self.after.iter().flat_map(|job| &job.allocation).flat_map(|all| &all.shares);
            shares.map(|share| &share.node).eq(start.placements.iter().map(|part| &part.node))
        };
        let start = starts.iter().filter(mine).find(has).or_else(|| starts.iter().find(mine));
        let Some(start) = start else { return };
        about.named = true;
        about.current = self.is_current(start.attempt);
        about.places = start.placements.iter().map(|part| part.node.clone()).collect();
        about.node = about.places.first().cloned();
    }

    /// Whether the start names the record that this task was copied from.
    fn was_copied(&self, start: &Start) -> bool {
        self.before.is_some_and(|known| known.attempt == start.attempt)
    }
}

fn tell_requeue(flags: RequeueFlags, about: &mut About) {
    about.kind = "requeue";
    if flags.hold || flags.special_exit {
        about.marks.insert("hold");
    }
}

/// How a script may count as ended.
fn ends_of(end: &flurm_model::BatchEnd) -> Vec<&'static str> {
    let mut marks = Vec::new();
    if end.node_restarted {
        return vec!["restarted"];
    }
    if end.errno != 0 {
        marks.push("refused");
    }
    match end.status {
        _ if end.out_of_memory => marks.push("oom"),
        0 => marks.push("well"),
        _ => marks.extend(["badly", "oom"]),
    }
    marks
}
