//! Job arrays: numbers, records, limits, and acts on parts of them.

use flurm_base::JobId;

use crate::kit::{ALICE, Kit, spec};
use crate::{
    ArrayRequest, Command, Errno, JobBase, JobChanges, JobSpec, PriorityChange, Reason, Reply,
    StartRefusal, TaskAct, TaskSet,
};

fn tasks(text: &str) -> TaskSet {
    TaskSet::parse(text, 1001).expect("a good list")
}

fn array(text: &str, running_max: Option<u32>) -> JobSpec {
    let array = Some(ArrayRequest { tasks: tasks(text), running_max, step: 1 });
    JobSpec { array, ..spec() }
}

impl Kit {
    fn submits_array(&mut self, text: &str, running_max: Option<u32>) -> JobId {
        self.try_submit(array(text, running_max)).expect("the array is accepted")
    }

    fn of_tasks(&mut self, array: JobId, which: Option<&str>, act: TaskAct) -> Vec<String> {
        let (at, which) = (self.now, which.map(tasks));
        let command = Command::OfTasks { at, by: ALICE, array, tasks: which, act };
        let Reply::Tasks { outcomes, .. } = self.apply(&command).reply else { panic!("no tasks") };
        let text = |outcome: &crate::TaskOutcome| match &outcome.refusal {
            None => outcome.tasks.to_string(),
            Some(refusal) => format!("{}: {:?}", outcome.tasks, refusal.errno),
        };
        outcomes.iter().map(text).collect()
    }

    fn names(&self) -> Vec<String> {
        let text = |job: &crate::Job| format!("{} {} {:?}", job.id, job.name_in_words(), job.base);
        self.cluster.jobs().map(text).collect()
    }

    /// Starts the next task of an array on a node.
    fn starts_one(&mut self, array: JobId, node: &str) -> Result<JobId, StartRefusal> {
        let start = self.start_of(array, &[node]);
        match self.schedule(vec![start]) {
            Reply::Scheduled { started, refused } => match started.first() {
                Some(_) => {
                    let of = |job: &&crate::Job| job.start.is_some();
                    Ok(self.cluster.jobs().filter(of).map(|job| job.id).max().expect("one"))
                }
                None => Err(refused[0].1),
            },
            other => panic!("{other:?}"),
        }
    }
}

fn kill() -> TaskAct {
    TaskAct::Kill { signal: 9, flags: 0 }
}

fn hold() -> TaskAct {
    let priority = Some(PriorityChange::Hold { as_user: false });
    TaskAct::Update(Box::new(JobChanges { priority, ..JobChanges::default() }))
}

#[test]
fn tasks_get_numbers_when_they_start_and_the_last_one_keeps_the_arrays() {
    let mut kit = Kit::new(2);
    let id = kit.submits_array("1-5:2", None);
    let after = kit.submits();
    assert_eq!(kit.names(), ["1 1_[1-5:2] Pending", "2 2 Pending"]);
    kit.starts(id, &["n1"]);
    kit.starts(id, &["n1"]);
    let between = kit.submits();
    kit.starts(id, &["n2"]);
    assert_eq!((after, between), (JobId(2), JobId(5)));
    let names = ["1 1_5 Running", "2 2 Pending", "3 1_1 Running", "4 1_3 Running", "5 5 Pending"];
    assert_eq!(kit.names(), names);
    let attempts: std::collections::BTreeSet<_> =
        kit.cluster.jobs().map(|job| job.attempt).collect();
    assert_eq!(attempts.len(), 5, "every task has an attempt of its own");
    let start = kit.start_of(id, &["n1"]);
    let refused = vec![(id, StartRefusal::NotPending)];
    assert_eq!(kit.schedule(vec![start]), Reply::Scheduled { started: Vec::new(), refused });
}

#[test]
fn one_command_starts_several_tasks_of_an_array() {
    let mut kit = Kit::new(2);
    let id = kit.submits_array("0-9", None);
    let start = kit.start_of(id, &["n1"]);
    let Reply::Scheduled { started, .. } = kit.schedule(vec![start.clone(), start]) else {
        panic!("no plan")
    };
    assert_eq!(started.len(), 2);
    assert_eq!(kit.names(), ["1 1_[2-9] Pending", "2 1_0 Running", "3 1_1 Running"]);
}

#[test]
fn no_more_tasks_run_at_once_than_asked() {
    let mut kit = Kit::new(2);
    let id = kit.submits_array("1-9", Some(2));
    let first = kit.starts_one(id, "n1").expect("it starts");
    kit.starts_one(id, "n1").expect("it starts");
    assert_eq!(kit.starts_one(id, "n1"), Err(StartRefusal::NotPending));
    assert_eq!(kit.cluster.startable_tasks(kit.job(id)), 0);
    kit.launches(first, "n1");
    kit.ends(first, "n1", 0);
    assert_eq!(kit.cluster.startable_tasks(kit.job(id)), 1);
    let more = JobChanges { array_running_max: Some(0), ..JobChanges::default() };
    kit.of_tasks(id, None, TaskAct::Update(Box::new(more)));
    assert_eq!(kit.cluster.startable_tasks(kit.job(id)), 7);
}

#[test]
fn a_task_is_held_alone_and_others_are_not() {
    let mut kit = Kit::new(2);
    let id = kit.submits_array("1-7", None);
    assert_eq!(kit.of_tasks(id, Some("2,5"), hold()), ["2", "5"]);
    assert_eq!(kit.names(), ["1 1_[1,3-4,6-7] Pending", "2 1_2 Pending", "3 1_5 Pending"]);
    assert_eq!((kit.job(JobId(2)).reason, kit.job(id).reason), (Reason::HeldUser, Reason::None));
    assert_eq!(kit.of_tasks(id, Some("1,3-4,6-7,9"), hold()), ["1,3-4,6-7", "9: InvalidJobId"]);
    assert_eq!(kit.job(id).reason, Reason::HeldUser);
    let release = Some(PriorityChange::Release);
    let release = JobChanges { priority: release, ..JobChanges::default() };
    kit.of_tasks(id, None, TaskAct::Update(Box::new(release)));
    assert!(kit.cluster.jobs().all(|job| job.priority > 0), "the whole array is released");
}

#[test]
fn cancelled_tasks_that_wait_vanish_and_running_ones_end() {
    let mut kit = Kit::new(2);
    let id = kit.submits_array("1-7", None);
    kit.starts(id, &["n1"]);
    assert_eq!(kit.of_tasks(id, Some("1-3"), kill()), ["2-3", "1"]);
    assert_eq!(kit.state(JobId(2)), "Cancelled+COMPLETING");
    assert_eq!(kit.job(id).name_in_words(), "1_[4-7]");
    let usr1 = TaskAct::Kill { signal: 10, flags: 0 };
    assert_eq!(kit.of_tasks(id, Some("5"), usr1), ["5: TransitionStateNoUpdate"]);
    assert_eq!(kit.of_tasks(id, None, kill()), ["4-7", "1: AlreadyDone"]);
    assert_eq!(kit.job(id).base, JobBase::Cancelled);
    assert_eq!(kit.job(id).name_in_words(), "1_[4-7]");
    let (at, array) = (kit.now, JobId(99));
    let command = Command::OfTasks { at, by: ALICE, array, tasks: None, act: kill() };
    assert_eq!(kit.apply(&command).reply, Reply::Refused(Errno::InvalidJobId.into()));
}

#[test]
fn arrays_that_the_site_does_not_take_are_refused() {
    let mut kit = Kit::new(2);
    let errno = |kit: &mut Kit, spec| kit.try_submit(spec).map_err(|refusal| refusal.errno);
    let mut config = crate::kit::config(2);
    config.settings.array_size_max = Some(10);
    config.settings.job_count_max = 8;
    kit.configure(config.clone());
    assert_eq!(errno(&mut kit, array("10", None)), Err(Errno::InvalidArray));
    assert_eq!(errno(&mut kit, array("1-9", None)), Err(Errno::MaxJobCount));
    let interactive = JobSpec { batch: None, ..array("1-2", None) };
    assert_eq!(errno(&mut kit, interactive), Err(Errno::InvalidArray));
    assert_eq!(errno(&mut kit, array("1-8", None)), Ok(JobId(1)));
    assert_eq!(errno(&mut kit, spec()), Err(Errno::MaxJobCount));
    config.settings.job_count_max = 100;
    config.settings.array_tasks_max = Some(3);
    kit.configure(config);
    assert_eq!(errno(&mut kit, array("1-4", None)), Err(Errno::InvalidArray));
}

#[test]
fn an_array_costs_its_started_tasks_only() {
    let mut kit = Kit::new(2);
    let before = kit.cluster.snapshot().len();
    kit.submits_array("0-1000", None);
    let all = kit.cluster.snapshot().len() - before;
    let mut other = Kit::new(2);
    other.submits_array("0-9", None);
    let few = other.cluster.snapshot().len() - before;
    assert!(all <= few + 8, "{all} bytes for a thousand tasks, {few} for ten");
    assert_eq!(kit.cluster.jobs_count(), 1);
}

#[test]
fn an_array_survives_a_snapshot() {
    let mut kit = Kit::new(2);
    let id = kit.submits_array("1-7", Some(3));
    kit.starts(id, &["n1"]);
    kit.of_tasks(id, Some("4"), hold());
    let restored = crate::Cluster::restore(&kit.cluster.snapshot()).expect("it is readable");
    assert!(restored == kit.cluster);
    kit.cluster = restored;
    kit.starts(id, &["n2"]);
    assert_eq!(kit.cluster.array(id).map(|array| array.running), Some(2));
}
