//! Dependencies: who waits for whom, for how long, and what becomes of those that wait in vain.

use flurm_base::JobId;

use crate::kit::{ALICE, Kit, ROOT, spec};
use crate::{
    ArrayRequest, Cluster, Errno, JobBase, JobChanges, JobSpec, Reason, Refusal, Reply, TaskSet,
};

fn after(text: &str) -> JobSpec {
    let mut spec = spec();
    spec.requests.dependency = Some(text.to_owned());
    spec
}

fn array(mut spec: JobSpec, text: &str) -> JobSpec {
    let tasks = TaskSet::parse(text, 1001).expect("a good list");
    spec.array = Some(ArrayRequest { tasks, running_max: None, step: 1 });
    spec
}

impl Kit {
    fn waits(&mut self, text: &str) -> JobId {
        self.try_submit(after(text)).expect("the dependency is accepted")
    }

    fn finishes(&mut self, id: JobId, node: &str, status: u32) {
        self.launches(id, node);
        assert_eq!(self.ends(id, node, status), Reply::Done);
        self.epilog(id, node);
    }

    fn begins(&mut self, id: JobId) {
        self.starts(id, &["n1"]);
    }

    fn depends(&self, id: JobId, text: &str) -> Result<Reply, Refusal> {
        let mut copy = Kit { cluster: self.cluster.clone(), now: self.now };
        let dependency = Some(text.to_owned());
        match copy.updates(id, ALICE, JobChanges { dependency, ..JobChanges::default() }) {
            Reply::Refused(refusal) => Err(refusal),
            done => Ok(done),
        }
    }

    fn says(&self, id: JobId) -> (Reason, String) {
        let job = self.job(id);
        (job.reason, job.depends.as_ref().map(ToString::to_string).unwrap_or_default())
    }
}

fn free() -> (Reason, String) {
    (Reason::None, String::new())
}

fn waiting(text: &str) -> (Reason, String) {
    (Reason::Dependency, text.to_owned())
}

fn never(text: &str) -> (Reason, String) {
    (Reason::DependencyNeverSatisfied, text.to_owned())
}

#[test]
fn a_job_waits_for_success_and_for_the_clean_up() {
    let mut kit = Kit::new(2);
    let first = kit.submits();
    let second = kit.waits("afterok:1");
    assert_eq!(kit.says(second), waiting("afterok:1(unfulfilled)"));
    assert_eq!(kit.job(second).eligible, None);
    let start = kit.start_of(second, &["n1"]);
    let Reply::Scheduled { refused, .. } = kit.schedule(vec![start]) else { panic!("no plan") };
    assert_eq!(refused.len(), 1, "a start is refused while it waits");
    kit.begins(first);
    kit.launches(first, "n1");
    kit.ends(first, "n1", 0);
    assert_eq!(kit.says(second), waiting("afterok:1(unfulfilled)"));
    kit.epilog(first, "n1");
    assert_eq!(kit.says(second), free());
    assert_eq!(kit.job(second).eligible, Some(kit.now));
    kit.begins(second);
}

#[test]
fn failure_satisfies_some_and_leaves_others_waiting_for_ever() {
    let mut kit = Kit::new(2);
    let first = kit.submits();
    let texts = ["afterok:1", "afternotok:1", "afterany:1", "afterok:1?afternotok:1"];
    let jobs = texts.map(|text| kit.waits(text));
    kit.begins(first);
    kit.finishes(first, "n1", 256);
    assert_eq!(kit.says(jobs[0]), never("afterok:1(failed)"));
    assert!(jobs[1..].iter().all(|job| kit.says(*job) == free()));
}

#[test]
fn an_invalid_dependency_cancels_where_asked_and_so_does_what_waits_for_it() {
    let mut kit = Kit::new(2);
    let first = kit.submits();
    let kills = JobSpec { kill_on_invalid_dependency: Some(true), ..after("afterok:1") };
    let second = kit.try_submit(kills.clone()).expect("accepted");
    let mut third = kills;
    third.requests.dependency = Some("afterok:2".to_owned());
    let third = kit.try_submit(third).expect("accepted");
    kit.cancels(first, ALICE);
    assert_eq!(kit.job(second).base, JobBase::Cancelled);
    assert_eq!(kit.job(third).base, JobBase::Cancelled);
    let mut config = crate::kit::config(2);
    config.settings.kill_invalid_dependency = true;
    kit.configure(config);
    assert_eq!(kit.waits("afterok:1").0, 4);
    assert_eq!(kit.job(JobId(4)).base, JobBase::Cancelled);
}

#[test]
fn after_waits_for_the_start_and_so_many_minutes() {
    let mut kit = Kit::new(2);
    let first = kit.submits();
    let (at_once, later) = (kit.waits("after:1"), kit.waits("after:1+5"));
    kit.begins(first);
    assert_eq!(kit.says(at_once), free());
    assert_eq!(kit.says(later), waiting("after:1+5(unfulfilled)"));
    let due = kit.now + flurm_base::Span::secs(300);
    assert_eq!(kit.cluster.begin_next(kit.now), Some(due));
    kit.passes(299);
    assert!(kit.job(later).dependency_reason(kit.now).is_some());
    kit.passes(1);
    assert_eq!(kit.job(later).dependency_reason(kit.now), None);
    kit.begins(later);
}

#[test]
fn a_singleton_waits_for_earlier_jobs_of_its_name_and_user() {
    let mut kit = Kit::new(2);
    let first = kit.submits();
    let second = kit.waits("singleton");
    let third = kit.waits("singleton");
    let other = kit.submit_with(None, ROOT, JobSpec { uid: 0, ..after("singleton") }).unwrap();
    assert_eq!(kit.says(other), free(), "another user's jobs do not count");
    kit.begins(first);
    assert_eq!(kit.says(second), waiting("singleton(unfulfilled)"));
    kit.finishes(first, "n1", 256);
    assert_eq!((kit.says(second), kit.says(third).0), (free(), Reason::Dependency));
    kit.cancels(second, ALICE);
    assert_eq!(kit.says(third), free());
}

#[test]
fn a_whole_array_is_waited_for_and_remembered_beyond_its_records() {
    let mut kit = Kit::new(2);
    let id = kit.try_submit(array(spec(), "1-2")).expect("accepted");
    let (all, one) = (kit.waits("afterok:1"), kit.waits("afterok:1_2"));
    assert_eq!(kit.says(all), waiting("afterok:1_*(unfulfilled)"));
    kit.begins(id);
    kit.finishes(JobId(4), "n1", 256);
    kit.passes(301);
    kit.apply(&crate::Command::Purge { at: kit.now });
    assert!(kit.cluster.job(JobId(4)).is_none(), "the failed task is forgotten");
    kit.begins(id);
    kit.finishes(id, "n1", 0);
    assert_eq!(kit.says(all), never("afterok:1_*(failed)"));
    assert_eq!(kit.says(one), free());
}

#[test]
fn corresponding_tasks_follow_one_by_one() {
    let mut kit = Kit::new(2);
    let first = kit.try_submit(array(spec(), "1-3")).expect("accepted");
    let second = kit.try_submit(array(after("aftercorr:1"), "1-3")).expect("accepted");
    assert_eq!(kit.says(second), waiting("aftercorr:1_*(unfulfilled)"));
    kit.begins(first);
    kit.begins(first);
    kit.finishes(JobId(3), "n1", 0);
    kit.finishes(JobId(4), "n1", 256);
    let names: Vec<String> = kit.cluster.jobs().map(crate::Job::name_in_words).collect();
    assert_eq!(names, ["1_[3]", "2_[3]", "1_1", "1_2", "2_1", "2_2"]);
    assert_eq!(kit.says(JobId(5)), free());
    assert_eq!(kit.says(JobId(6)), never("aftercorr:1_*(failed)"));
    assert_eq!(kit.says(second).0, Reason::Dependency);
}

#[test]
fn dependencies_are_changed_and_circles_are_refused() {
    let mut kit = Kit::new(2);
    kit.submits();
    let (second, third) = (kit.waits("afterany:1"), kit.waits("afterany:2"));
    assert_eq!(kit.depends(second, "afterok:3").unwrap_err().errno, Errno::CircularDependency);
    assert_eq!(kit.depends(second, "afterok:2").unwrap_err().errno, Errno::Dependency);
    assert_eq!(kit.depends(second, "nonsense").unwrap_err().errno, Errno::Dependency);
    let clear = JobChanges { dependency: Some(String::new()), ..JobChanges::default() };
    assert_eq!(kit.updates(third, ALICE, clear), Reply::Done);
    assert_eq!(kit.says(third), free());
    let again = JobChanges { dependency: Some("afterok:1".into()), ..JobChanges::default() };
    assert_eq!(kit.updates(third, ALICE, again), Reply::Done);
    assert_eq!(kit.says(third), waiting("afterok:1(unfulfilled)"));
    assert_eq!(kit.job(third).eligible, None);
}

#[test]
fn a_job_that_does_not_exist_holds_nobody_back() {
    let mut kit = Kit::new(2);
    let job = kit.waits("afterok:4711");
    assert_eq!(kit.says(job), free());
}

#[test]
fn dependencies_survive_a_snapshot() {
    let mut kit = Kit::new(2);
    let first = kit.submits();
    let second = kit.waits("after:1+5,afterok:1,singleton");
    kit.begins(first);
    let restored = Cluster::restore(&kit.cluster.snapshot()).expect("it is readable");
    assert!(restored == kit.cluster);
    kit.cluster = restored;
    kit.finishes(first, "n1", 0);
    assert_eq!(kit.says(second), waiting("after:1+5(unfulfilled)"));
}
