//! Reservations: who may have their nodes, and when.

use flurm_base::{JobId, Span};

use crate::kit::{ALICE, Kit, ROOT, spec};
use crate::{
    Command, Errno, JobSpec, Limit, Reply, Requests, Reservation, StartRefusal, reservation_flags,
};

fn reserve(kit: &Kit, node: &str, from_s: u64, until_s: u64) -> Reservation {
    Reservation {
        name: "r".into(),
        start: kit.now + Span::secs(from_s),
        end: kit.now + Span::secs(until_s),
        nodes: vec![node.into()],
        users: vec!["bob".into()],
        ..Reservation::default()
    }
}

fn put(kit: &mut Kit, reservation: Reservation) -> Reply {
    let (at, create) = (kit.now, kit.cluster.reservation(&reservation.name).is_none());
    let reservation = Box::new(reservation);
    kit.apply(&Command::PutReservation { at, by: ROOT, create, reservation }).reply
}

fn refused(errno: Errno, reply: &Reply) -> bool {
    matches!(reply, Reply::Refused(refusal) if refusal.errno == errno)
}

fn of(user: &str, reservation: Option<&str>, minutes: u32) -> JobSpec {
    let reservation = reservation.map(str::to_owned);
    JobSpec {
        user_name: Some(user.into()),
        time_limit: Some(Limit::Max(minutes)),
        requests: Requests { reservation, ..Requests::default() },
        ..spec()
    }
}

fn starts(kit: &mut Kit, id: JobId, node: &str) -> Result<(), StartRefusal> {
    let start = kit.start_of(id, &[node]);
    let Reply::Scheduled { refused, .. } = kit.schedule(vec![start]) else { panic!("no plan") };
    refused.first().map_or(Ok(()), |(_, why)| Err(*why))
}

#[test]
fn others_have_its_nodes_only_as_long_as_they_are_gone_before() {
    let mut kit = Kit::new(2);
    let later = reserve(&kit, "n1", 600, 1_200);
    assert_eq!(put(&mut kit, later), Reply::Done);
    let long = kit.try_submit(of("alice", None, 11)).unwrap();
    let short = kit.try_submit(of("alice", None, 10)).unwrap();
    assert_eq!(starts(&mut kit, long, "n1"), Err(StartRefusal::Node));
    assert_eq!(starts(&mut kit, short, "n1"), Ok(()));
    assert_eq!(starts(&mut kit, long, "n2"), Ok(()));
    assert_eq!(kit.cluster.begin_next(kit.now), Some(kit.now + Span::secs(600)));
}

#[test]
fn its_own_jobs_run_within_it() {
    let mut kit = Kit::new(2);
    let soon = reserve(&kit, "n1", 60, 1_260);
    put(&mut kit, soon);
    let alices = kit.try_submit(of("alice", Some("r"), 5)).unwrap_err();
    assert_eq!(alices.errno, Errno::ReservationAccess);
    assert_eq!(
        kit.try_submit(of("bob", Some("s"), 5)).unwrap_err().errno,
        Errno::ReservationInvalid
    );
    let bobs = kit.try_submit(of("bob", Some("r"), 5)).unwrap();
    let long = kit.try_submit(of("bob", Some("r"), 60)).unwrap();
    assert_eq!(starts(&mut kit, bobs, "n1"), Err(StartRefusal::NotPending), "it begins later");
    kit.passes(60);
    assert_eq!(starts(&mut kit, bobs, "n2"), Err(StartRefusal::Node));
    assert_eq!(
        starts(&mut kit, long, "n1"),
        Err(StartRefusal::NotPending),
        "it would end too late"
    );
    assert_eq!(starts(&mut kit, bobs, "n1"), Ok(()));
    let at = kit.now;
    let delete = Command::DeleteReservation { at, by: ROOT, name: "r".into() };
    assert!(refused(Errno::ReservationBusy, &kit.apply(&delete).reply));
    kit.passes(1_300);
    let at = kit.now;
    let over = Command::ReservationOver { at, name: "r".into() };
    assert_eq!(kit.apply(&over).reply, Reply::Done);
    assert!(kit.cluster.reservation("r").is_none());
    assert_eq!(kit.job(long).reason.text(), "ReservationDeleted");
    assert_eq!(kit.job(long).priority, 0);
    assert_eq!(kit.job(long).spec.requests.reservation, None, "released, it runs anywhere");
    assert_eq!(kit.state(bobs), "Running", "what runs goes on");
    kit.cancels(bobs, ALICE);
}

#[test]
fn nodes_that_jobs_or_other_reservations_have_are_not_given_twice() {
    let mut kit = Kit::new(3);
    kit.runs("n1");
    let taken = reserve(&kit, "n1", 0, 600);
    assert!(refused(Errno::NodesBusy, &put(&mut kit, taken.clone())));
    let flags = reservation_flags::IGNORE_JOBS;
    assert_eq!(put(&mut kit, Reservation { flags, ..taken.clone() }), Reply::Done);
    let second = Reservation { name: "s".into(), flags, ..taken };
    assert!(refused(Errno::ReservationOverlap, &put(&mut kit, second.clone())));
    let flags = flags | reservation_flags::MAINT;
    assert_eq!(put(&mut kit, Reservation { flags, ..second.clone() }), Reply::Done);
    let counted = Reservation { name: "t".into(), nodes: Vec::new(), nodes_wanted: 2, ..second };
    let counted = Reservation { flags: 0, ..counted };
    assert_eq!(put(&mut kit, counted.clone()), Reply::Done);
    let nodes = &kit.cluster.reservation("t").unwrap().nodes;
    assert_eq!(nodes.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["n2", "n3"]);
    let more = Reservation { name: "u".into(), ..counted };
    assert!(refused(Errno::NodesBusy, &put(&mut kit, more)));
}

#[test]
fn a_daily_reservation_comes_again() {
    let mut kit = Kit::new(1);
    let flags = reservation_flags::DAILY;
    let daily = Reservation { flags, ..reserve(&kit, "n1", 0, 600) };
    let start = daily.start;
    put(&mut kit, daily);
    let over_day = kit.try_submit(of("alice", None, 60)).unwrap();
    kit.passes(23 * 3_600 + 1_800);
    let at = kit.now;
    assert_eq!(
        starts(&mut kit, over_day, "n1"),
        Err(StartRefusal::Node),
        "it comes in half an hour"
    );
    assert_eq!(kit.apply(&Command::ReservationOver { at, name: "r".into() }).reply, Reply::Done);
    let next = kit.cluster.reservation("r").unwrap().start;
    assert_eq!(next.since(start).as_secs(), 24 * 3_600);
    let restored = crate::Cluster::restore(&kit.cluster.snapshot()).expect("it is readable");
    assert!(restored == kit.cluster);
}

#[test]
fn an_hourly_reservation_comes_again() {
    let mut kit = Kit::new(1);
    let flags = reservation_flags::HOURLY;
    let hourly = Reservation { flags, ..reserve(&kit, "n1", 0, 600) };
    let start = hourly.start;
    put(&mut kit, hourly);
    kit.passes(700);
    let at = kit.now;
    let long = kit.try_submit(of("alice", None, 60)).unwrap();
    assert_eq!(starts(&mut kit, long, "n1"), Err(StartRefusal::Node));
    assert_eq!(kit.apply(&Command::ReservationOver { at, name: "r".into() }).reply, Reply::Done);
    assert_eq!(kit.cluster.reservation("r").unwrap().start.since(start).as_secs(), 3_600);
}

#[test]
fn a_magnetic_reservation_draws_the_jobs_that_it_lets_in() {
    let mut kit = Kit::new(1);
    let flags = reservation_flags::MAGNETIC;
    let magnetic = Reservation { flags, ..reserve(&kit, "n1", 0, 1_200) };
    put(&mut kit, magnetic);
    let other = kit.try_submit(of("alice", None, 5)).unwrap();
    let long = kit.try_submit(of("bob", None, 60)).unwrap();
    let job = kit.try_submit(of("bob", None, 5)).unwrap();
    assert_eq!(starts(&mut kit, other, "n1"), Err(StartRefusal::Node));
    assert_eq!(starts(&mut kit, long, "n1"), Err(StartRefusal::Node), "it would end too late");
    assert_eq!(starts(&mut kit, job, "n1"), Ok(()));
}

#[test]
fn jobs_are_not_held_after_a_reservation_that_says_so() {
    let mut kit = Kit::new(1);
    let flags = reservation_flags::NO_HOLD_JOBS;
    let short = Reservation { flags, ..reserve(&kit, "n1", 0, 60) };
    put(&mut kit, short);
    let job = kit.try_submit(of("bob", Some("r"), 5)).unwrap();
    assert_eq!(starts(&mut kit, job, "n1"), Err(StartRefusal::NotPending), "it is too short");
    kit.passes(60);
    let at = kit.now;
    kit.apply(&Command::ReservationOver { at, name: "r".into() });
    assert_eq!(starts(&mut kit, job, "n1"), Ok(()));
}
