//! The product's own steps in the world of `Allocation.tla`: a site with few CPUs, and jobs that want
//! several nodes, several CPUs, or nodes to themselves.

use std::collections::BTreeSet;

use flurm_base::RequestKey;
use flurm_model::{Command, JobSpec, Memory, NodeName, Sharing, Size, Start};
use flurm_sched::{Snapshot, plan};
use tla_eval::{State, Value};

use crate::job_view::view_of_job;
use crate::site::{Kind, NOW, Site, USER, start_of};
use crate::walk::World;

/// The constants of the specification.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Bounds {
    job_count: u32,
    machines: Vec<String>,
    cpus: u32,
    wide: BTreeSet<i64>,
    big: BTreeSet<i64>,
    whole: BTreeSet<i64>,
    planner: bool,
    cancels: bool,
    steps: bool,
    bugs: Vec<String>,
}

/// The world.
#[derive(Clone)]
pub(crate) struct Allocation {
    bounds: Bounds,
    site: Site,
}

const SIGKILL: u16 = 9;
/// JobLife has launches that fail or are refused.
const LAUNCHES_OF_JOB_LIFE: [&str; 2] = ["LaunchFails", "LaunchIsStale"];

impl Allocation {
    /// Where every behaviour begins: all jobs wait.
    ///
    /// # Errors
    /// The product refuses the configuration or a job.
    pub(crate) fn new(bounds: Bounds) -> Result<Self, String> {
        if !bounds.bugs.is_empty() {
            return Err("a walk has no bugs of the specification".into());
        }
        let mut site = Site::new(&bounds.machines, bounds.cpus, |_| {})?;
        for number in 1..=bounds.job_count {
            let spec = Box::new(bounds.spec(i64::from(number)));
            let key = Some(RequestKey([u8::try_from(number).unwrap_or(u8::MAX); 16]));
            let submit = Command::Submit { at: NOW, key, by: USER, spec };
            site = site.after(&submit).ok_or("a submission was refused")?;
        }
        Ok(Self { bounds, site })
    }

    /// The planner's next decision; the decisions after it are those of the next state.
    fn planned(&self) -> Vec<Start> {
        plan(&Snapshot::of(&self.site.cluster, NOW)).starts.into_iter().take(1).collect()
    }

    /// Every decision that anybody could propose, good or bad.
    fn thinkable(&self) -> Vec<Start> {
        let nodes: Vec<&NodeName> = self.site.ledgers.keys().collect();
        let mut starts = Vec::new();
        for job in self.site.jobs() {
            let number = self.site.id_of(job.id);
            let (cpus, whole) = (self.bounds.cpus_of(number), self.bounds.whole.contains(&number));
            for host in &nodes {
                starts.push(start_of(&job, &[host], cpus, whole));
                let others = nodes.iter().filter(|other| *other != host);
                starts.extend(others.map(|other| start_of(&job, &[host, other], cpus, whole)));
            }
        }
        starts
    }

    fn job_steps(&self) -> Vec<(&'static str, Site)> {
        let site = &self.site;
        let mut steps = site.order_steps(false);
        let starts = if self.bounds.planner { self.planned() } else { self.thinkable() };
        for start in starts {
            let schedule = Command::Schedule { at: NOW, starts: vec![start], reasons: Vec::new() };
            steps.extend(site.after(&schedule).map(|next| ("Start", next)));
        }
        for job in site.jobs() {
            if self.bounds.cancels {
                let (job, signal) = (job.id, SIGKILL);
                let kill = Command::Kill { at: NOW, job, by: USER, signal, flags: 0 };
                steps.extend(site.after(&kill).map(|next| ("Cancel", next)));
            }
            if self.bounds.steps {
                steps.extend(site.srun_steps(&job).into_iter().map(|next| ("SendStep", next)));
            }
        }
        steps
    }
}

impl Bounds {
    fn cpus_of(&self, number: i64) -> u32 {
        match (self.planner && self.whole.contains(&number), self.big.contains(&number)) {
            (true, _) => self.cpus,
            (false, true) => 2,
            (false, false) => 1,
        }
    }

    fn spec(&self, number: i64) -> JobSpec {
        let width = if self.wide.contains(&number) { 2 } else { 1 };
        let each = if self.big.contains(&number) { 2 } else { 1 };
        let size = Size {
            cpus_min: each,
            nodes_min: width,
            nodes_max: Some(width),
            tasks: Some(width),
            cpus_per_task: u16::try_from(each).ok(),
            memory: Some(Memory::PerNode(1)),
            ..Size::default()
        };
        JobSpec {
            uid: USER.uid,
            batch: Some(std::sync::Arc::default()),
            size,
            sharing: self.whole.contains(&number).then_some(Sharing::Exclusive),
            requeue: Some(false),
            ..JobSpec::default()
        }
    }
}

impl World for Allocation {
    fn view(&self) -> State {
        let site = &self.site;
        let count = i64::from(self.bounds.job_count);
        let job = |number: i64| view_of_job(site.job(number), &site.attempts);
        let variable = |name: &str, value: Value| (String::from(name), value);
        State::from([
            variable("jobs", Value::Seq((1..=count).map(job).collect())),
            variable("ledger", site.ledgers_view(count, 1)),
            variable("alive", site.alive_view()),
            variable("msgs", site.msgs_view(false)),
        ])
    }

    /// How much each share takes of its node.
    fn hidden(&self) -> Vec<u16> {
        let shares =
            self.site.cluster.jobs().flat_map(|job| &job.allocation).flat_map(|all| &all.shares);
        shares.map(|share| u16::try_from(share.cpus).unwrap_or(u16::MAX)).collect()
    }

    fn steps(&self) -> Vec<(&'static str, Self)> {
        let site = &self.site;
        let mut steps = self.job_steps();
        for msg in &site.msgs {
            steps.extend(site.report_step(msg));
            let told = site.node_steps(msg).into_iter();
            let step = |(action, next)| match msg.kind {
                Kind::Step => ("LaunchStep", next),
                _ => (action, next),
            };
            let here = |(action, _): &(&str, Site)| !LAUNCHES_OF_JOB_LIFE.contains(action);
            steps.extend(told.filter(here).map(step));
        }
        steps.extend(site.exit_steps());
        steps.extend(site.ledgers.keys().flat_map(|node| site.cleanup_steps(node)));
        let world = |site| Self { site, ..self.clone() };
        steps.into_iter().map(|(action, site)| (action, world(site))).collect()
    }
}
