//! The product is followed command by command, and the specification edited.

use std::collections::BTreeSet;

use flurm_base::{AttemptId, JobId, Time};
use flurm_model::{
    Actor, Cluster, Command, Config, JobSpec, Limit, Memory, NodeConf, NodeFacts, NodeName,
    PartitionConf, PartitionName, Placement, Settings, Size, Start,
};

use super::{ACTIONS, About, STEP, Step, StepSpec};
use crate::steps::Steps;

const NOW: Time = Time::from_secs(1_000_000);
const JOB: JobId = JobId(1);

/// A configured cluster of two nodes, followed command by command.
struct Followed {
    cluster: Cluster,
    steps: Steps,
}

impl Followed {
    fn new() -> Self {
        let node = |name: &str| NodeConf {
            name: NodeName::from(name),
            cpus: 8,
            cores_per_socket: 8,
            real_memory_mb: 1_000,
            ..NodeConf::default()
        };
        let nodes = vec![node("a"), node("b")];
        let partition = PartitionConf {
            name: PartitionName::from("main"),
            nodes: nodes.iter().map(|node| node.name.clone()).collect(),
            is_default: true,
            time_default: Some(Limit::Max(1)),
            ..PartitionConf::default()
        };
        let partitions = vec![partition];
        let config = Box::new(Config { settings: Settings::default(), nodes, partitions });
        let mut followed = Self { cluster: Cluster::default(), steps: Steps::default() };
        let facts = NodeFacts {
            cpus: 8,
            boards: 1,
            sockets: 1,
            cores_per_socket: 8,
            threads_per_core: 1,
            real_memory_mb: 1_000,
            ..NodeFacts::default()
        };
        followed.applies(&Command::Configure { at: NOW, config });
        for node in ["a", "b"] {
            let (node, facts) = (NodeName::from(node), Box::new(facts.clone()));
            followed.applies(&Command::NodeRegistered { at: NOW, node, facts, running: vec![] });
        }
        let size = Size { memory: Some(Memory::PerNode(1)), ..Size::default() };
        let batch = Some(std::sync::Arc::default());
        let spec = Box::new(JobSpec { batch, size, requeue: Some(true), ..JobSpec::default() });
        let by = Actor { uid: 1_000, privileged: false };
        followed.applies(&Command::Submit { at: NOW, key: None, by, spec });
        followed
    }

    fn attempt(&self) -> AttemptId {
        self.cluster.job(JOB).unwrap().attempt
    }

    fn start(&self) -> Command {
        let node = NodeName::from("a");
        let placement = Placement {
            node,
            cpus: 1,
            memory_mb: 1,
            tasks: 1,
            whole_node: false,
            gres: Vec::new(),
        };
        let start = Start {
            job: JOB,
            attempt: self.attempt(),
            partition: PartitionName::from("main"),
            placements: vec![placement],
            time_limit: None,
        };
        Command::Schedule { at: NOW, starts: vec![start], reasons: vec![] }
    }

    fn confirmation(&self, attempt: AttemptId) -> Command {
        Command::LaunchConfirmed { at: NOW, job: JOB, attempt, node: NodeName::from("a") }
    }

    fn epilog(&self) -> Command {
        let (attempt, node) = (self.attempt(), NodeName::from("a"));
        Command::EpilogComplete { at: NOW, job: JOB, attempt, node, rc: 0 }
    }

    /// Applies a command and has its steps judged.
    fn judged(&mut self, command: &Command, spec: &StepSpec) -> Result<usize, String> {
        self.cluster.apply(command);
        self.told(command, spec)
    }

    fn told(&mut self, command: &Command, spec: &StepSpec) -> Result<usize, String> {
        let steps = self.steps.after(command, &self.cluster);
        let mut judge = spec.judge().unwrap();
        for (_, step) in &steps {
            judge.judge(step)?;
        }
        Ok(steps.len())
    }

    fn applies(&mut self, command: &Command) {
        self.judged(command, &StepSpec::read().unwrap()).unwrap();
    }
}

#[test]
fn the_steps_of_the_product_are_those_of_the_specification() {
    let spec = StepSpec::read().unwrap();
    let mut world = Followed::new();
    assert_eq!(world.judged(&world.start(), &spec), Ok(1));
    assert_eq!(world.judged(&world.confirmation(world.attempt()), &spec), Ok(1));
    let node = NodeName::from("a");
    let down = Command::NodeDown { at: NOW, node, cause: flurm_model::DownCause::Silence };
    assert_eq!(world.judged(&down, &spec), Ok(1));
    assert_eq!(world.judged(&world.epilog(), &spec), Ok(1));
    assert!(world.cluster.job(JOB).unwrap().is_startable());
    assert_eq!(world.judged(&world.confirmation(AttemptId(7)), &spec), Ok(0));
}

/// The command that is said to have been applied is another one than the one that was.
#[test]
fn a_step_that_no_command_allows_is_refused_with_the_conjunct() {
    let spec = StepSpec::read().unwrap();
    let mut world = Followed::new();
    world.cluster.apply(&world.start());
    let refused = world.told(&world.confirmation(world.attempt()), &spec).unwrap_err();
    assert!(refused.starts_with("Confirmed: \"job.launch = \"needed\" "), "{refused}");

    let mut world = Followed::new();
    let start = world.start();
    world.cluster.apply(&start);
    let none = Command::Schedule { at: NOW, starts: vec![], reasons: vec![] };
    let refused = world.told(&none, &spec).unwrap_err();
    assert!(refused.starts_with("Start: \"c.named\" does not hold"), "{refused}");

    let mut world = Followed::new();
    world.applies(&start);
    world.applies(&world.confirmation(world.attempt()));
    let late = world.epilog();
    let Command::EpilogComplete { at, job, node, rc, .. } = late.clone() else { unreachable!() };
    world.cluster.apply(&late);
    let other = Command::EpilogComplete { at, job, attempt: AttemptId(7), node, rc };
    let refused = world.told(&other, &spec).unwrap_err();
    assert!(refused.starts_with("EpilogDone: \"c.current\" does not hold"), "{refused}");
}

/// Every kind of command has its action, and the evaluator can say why each of them did not do it.
#[test]
fn every_refusal_names_an_action() {
    let spec = StepSpec::read().unwrap();
    let mut judge = spec.judge().unwrap();
    let job = Followed::new();
    let before = crate::JobView::of(job.cluster.job(JOB).unwrap());
    let mut world = Followed::new();
    world.applies(&world.start());
    let after = Some(crate::JobView::of(world.cluster.job(JOB).unwrap()));
    for (kind, action) in ACTIONS {
        let about = About {
            kind,
            named: false,
            current: false,
            node: None,
            places: Vec::new(),
            answered: Vec::new(),
            marks: BTreeSet::new(),
        };
        let (before, after) = (Some(before.clone()), after.clone());
        let refused = judge.judge(&Step { before, about, after, again: false }).unwrap_err();
        assert!(refused.starts_with(&format!("{action}: \"")), "{refused}");
        assert!(STEP.contains(&format!("\n{action}(c) ==")), "{action}");
    }
}

/// A specification with an effect more or a guard more refuses what the product does.
#[test]
fn the_specification_itself_is_what_judges() {
    for (from, to) in [
        ("job' = Started(job, c.where, c.node)", "job' = Started(job, {}, c.node)"),
        ("    /\\ IsStartable(job)\n", "    /\\ job.held\n"),
        ("    /\\ c.kind = \"schedule\"\n", "    /\\ c.kind = \"never\"\n"),
    ] {
        assert!(STEP.contains(from), "the specification has no `{from}`");
        let spec = StepSpec::of(&STEP.replace(from, to)).unwrap();
        let mut world = Followed::new();
        let start = world.start();
        assert!(world.judged(&start, &spec).is_err(), "{to}");
    }
}
