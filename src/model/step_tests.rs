//! Allocations and steps: where steps go, how they wait for each other, and how they end.

use flurm_base::{JobId, RequestKey, Span};

use crate::kit::{ALICE, Kit, ROOT, name, spec};
use crate::{
    AllocClient, Command, Errno, JobSpec, Limit, Memory, News, Reply, Size, StepSpec, step_flags,
};

const WHOLE: u32 = step_flags::WHOLE;

fn client() -> AllocClient {
    AllocClient {
        host: String::from("login"),
        allocation_port: 1,
        message_port: 2,
        release: 0x2d00,
    }
}

/// An allocation of whole nodes.
fn allocation(kit: &mut Kit, nodes: &[&str]) -> JobId {
    let count = u32::try_from(nodes.len()).unwrap();
    let size = Size { nodes_min: count, cpus_min: 4 * count, ..Size::default() };
    let memory = Some(Memory::PerNode(4_000));
    let spec = Box::new(JobSpec { batch: None, size: Size { memory, ..size }, ..spec() });
    let (at, key) = (kit.now, None);
    let command = Command::Allocate { at, key, by: ALICE, spec, client: Box::new(client()) };
    let Reply::Submitted { job, .. } = kit.apply(&command).reply else { panic!("not accepted") };
    let mut start = kit.start_of(job, nodes);
    for placement in &mut start.placements {
        placement.cpus = 4;
        placement.memory_mb = 4_000;
    }
    kit.passes(1);
    kit.schedule(vec![start]);
    job
}

fn wants(nodes: u32, tasks: u32, flags: u32) -> StepSpec {
    StepSpec {
        nodes_min: Some(nodes),
        cpus: tasks,
        tasks,
        flags,
        distribution: 2,
        ..StepSpec::default()
    }
}

fn creates(kit: &mut Kit, job: JobId, spec: StepSpec) -> Result<u32, Errno> {
    let at = kit.now;
    match kit.apply(&Command::CreateStep { at, job, key: None, spec: Box::new(spec) }).reply {
        Reply::StepCreated { step, .. } => Ok(step),
        Reply::Refused(refusal) => Err(refusal.errno),
        other => panic!("{other:?}"),
    }
}

fn tasks(kit: &Kit, job: JobId, step: u32) -> Vec<Vec<u32>> {
    kit.cluster.step(job, step).unwrap().parts.iter().map(|part| part.tasks.clone()).collect()
}

fn ends(kit: &mut Kit, job: JobId, step: u32, part: u32, status: u32) -> Reply {
    let (at, attempt) = (kit.now, kit.attempt(job));
    let range = (part, part);
    kit.apply(&Command::StepPartEnded { at, job, attempt, step, range, status }).reply
}

#[test]
fn tasks_fill_nodes_in_blocks_or_go_round() {
    let mut kit = Kit::new(2);
    let job = allocation(&mut kit, &["n1", "n2"]);
    let step = creates(&mut kit, job, wants(2, 4, step_flags::OVERLAP)).unwrap();
    assert_eq!(tasks(&kit, job, step), [vec![0, 1, 2], vec![3]]);
    let cyclic = StepSpec { distribution: 1, ..wants(2, 5, step_flags::OVERLAP) };
    let step = creates(&mut kit, job, cyclic).unwrap();
    assert_eq!(tasks(&kit, job, step), [vec![0, 2, 4], vec![1, 3]]);
    let plane = StepSpec { distribution: 4, plane_size: 2, ..wants(2, 5, step_flags::OVERLAP) };
    let step = creates(&mut kit, job, plane).unwrap();
    assert_eq!(tasks(&kit, job, step), [vec![0, 1, 4], vec![2, 3]]);
    let over = StepSpec { cpus: 0, ..wants(2, 10, step_flags::OVERCOMMIT | step_flags::OVERLAP) };
    let step = creates(&mut kit, job, over).unwrap();
    assert_eq!(tasks(&kit, job, step), [vec![0, 1, 2, 3, 4], vec![5, 6, 7, 8, 9]]);
}

#[test]
fn a_step_waits_until_another_has_given_its_cpus_back() {
    let mut kit = Kit::new(1);
    let job = allocation(&mut kit, &["n1"]);
    let first = creates(&mut kit, job, wants(1, 1, WHOLE)).unwrap();
    assert_eq!(creates(&mut kit, job, wants(1, 1, WHOLE)), Err(Errno::NodesBusy));
    assert_eq!(creates(&mut kit, job, wants(1, 1, 0)), Err(Errno::NodesBusy));
    let over = creates(&mut kit, job, wants(1, 1, step_flags::OVERLAP)).unwrap();
    assert_eq!(ends(&mut kit, job, first, 0, 0), Reply::Done);
    assert_eq!(ends(&mut kit, job, first, 0, 0), Reply::Stale);
    assert_eq!(ends(&mut kit, job, over, 0, 0), Reply::Done);
    let exact = [(); 4].map(|()| creates(&mut kit, job, wants(1, 1, 0)));
    assert_eq!(exact, [Ok(2), Ok(3), Ok(4), Ok(5)]);
    assert_eq!(creates(&mut kit, job, wants(1, 1, 0)), Err(Errno::NodesBusy));
    assert_eq!(creates(&mut kit, job, wants(1, 5, 0)), Err(Errno::TooManyRequestedCpus));
}

#[test]
fn memory_of_steps_is_counted_within_the_job() {
    let mut kit = Kit::new(1);
    let job = allocation(&mut kit, &["n1"]);
    let with = |mb| StepSpec { memory: Some(Memory::PerNode(mb)), ..wants(1, 1, 0) };
    creates(&mut kit, job, with(3_000)).unwrap();
    assert_eq!(creates(&mut kit, job, with(2_000)), Err(Errno::NodesBusy));
    assert_eq!(creates(&mut kit, job, with(5_000)), Err(Errno::InvalidTaskMemory));
    creates(&mut kit, job, with(1_000)).unwrap();
}

#[test]
fn a_repeated_request_gets_the_same_step() {
    let mut kit = Kit::new(1);
    let job = allocation(&mut kit, &["n1"]);
    let (at, key) = (kit.now, Some(RequestKey([7; 16])));
    let command = Command::CreateStep { at, job, key, spec: Box::new(wants(1, 1, WHOLE)) };
    let made = Reply::StepCreated { job, step: 0 };
    assert_eq!([kit.apply(&command).reply, kit.apply(&command).reply], [made.clone(), made]);
}

#[test]
fn nodes_named_or_left_out_are_respected() {
    let mut kit = Kit::new(3);
    let job = allocation(&mut kit, &["n1", "n2", "n3"]);
    let nodes = |kit: &Kit, step| {
        let step = kit.cluster.step(job, step).unwrap();
        step.parts.iter().map(|part| part.node.to_string()).collect::<Vec<_>>().join(",")
    };
    let named = StepSpec { nodes_required: vec![name("n2")], ..wants(1, 1, 0) };
    let step = creates(&mut kit, job, named).unwrap();
    assert_eq!(nodes(&kit, step), "n2");
    let without = StepSpec { nodes_excluded: vec![name("n1")], ..wants(1, 1, 0) };
    let step = creates(&mut kit, job, without).unwrap();
    assert_eq!(nodes(&kit, step), "n3");
    let relative = StepSpec { relative: Some(1), ..wants(2, 2, 0) };
    let step = creates(&mut kit, job, relative).unwrap();
    assert_eq!(nodes(&kit, step), "n2,n3");
    let stranger = StepSpec { nodes_required: vec![name("n9")], ..wants(1, 1, 0) };
    assert_eq!(creates(&mut kit, job, stranger), Err(Errno::RequestedNodeConfigUnavailable));
}

#[test]
fn steps_die_with_their_job_and_its_client_hears_of_it() {
    let mut kit = Kit::new(1);
    let job = allocation(&mut kit, &["n1"]);
    let attempt = kit.attempt(job);
    creates(&mut kit, job, wants(1, 1, WHOLE)).unwrap();
    assert_eq!(kit.orders(), [format!("tell {job} Allocated")]);
    let at = kit.now;
    let told = |news| Command::NewsTold { at, job, attempt, news };
    assert_eq!(kit.apply(&told(News::Allocated)).reply, Reply::Done);
    assert_eq!(kit.apply(&told(News::Allocated)).reply, Reply::Stale);
    kit.cancels(job, ROOT);
    let orders = [format!("terminate {job} n1 Killed"), format!("tell {job} Over")];
    assert_eq!(kit.orders(), orders);
    kit.epilog(job, "n1");
    assert!(kit.cluster.step(job, 0).is_none(), "a step outlived its job");
    assert_eq!(kit.apply(&told(News::Over)).reply, Reply::Done);
    assert_eq!(kit.cluster.steps_of(job), None);
}

#[test]
fn an_allocation_ends_with_the_status_of_its_client() {
    let mut kit = Kit::new(1);
    let job = allocation(&mut kit, &["n1"]);
    let at = kit.now;
    kit.apply(&Command::AllocationOver { at, job, by: ALICE, status: 3 << 8 });
    assert_eq!((kit.state(job).as_str(), kit.job(job).exit_status), ("Failed+COMPLETING", 768));
}

#[test]
fn a_step_past_its_time_limit_is_killed_once() {
    let mut kit = Kit::new(1);
    let job = allocation(&mut kit, &["n1"]);
    let limited = StepSpec { time_limit: Some(Limit::Max(1)), ..wants(1, 1, 0) };
    let step = creates(&mut kit, job, limited).unwrap();
    let attempt = kit.attempt(job);
    assert_eq!(kit.cluster.step_limits_reached(kit.now), []);
    kit.passes(60);
    assert_eq!(kit.cluster.step_limits_reached(kit.now), [(job, attempt, step)]);
    let at = kit.now;
    kit.apply(&Command::StepTimeLimitReached { at, job, attempt, step });
    assert_eq!(kit.cluster.step_limits_reached(kit.now + Span::secs(9)), []);
    assert!(kit.orders().contains(&format!("signal {job}.{step} 9")));
}
