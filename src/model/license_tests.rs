//! Licences: who gets them, until when, and what a smaller configuration means.

use flurm_base::JobId;

use crate::kit::{ALICE, Kit, ROOT, config, spec};
use crate::{Config, Errno, JobChanges, JobSpec, Refusal, Reply, Requests, StartRefusal};

fn with_licenses(text: &[(&str, u32)]) -> Config {
    let mut config = config(2);
    config.settings.licenses = text.iter().map(|(name, count)| ((*name).into(), *count)).collect();
    config
}

fn kit() -> Kit {
    let mut kit = Kit::new(2);
    kit.configure(with_licenses(&[("a", 3), ("b", 1)]));
    kit
}

fn asks(kit: &mut Kit, text: &str) -> Result<JobId, Refusal> {
    let requests = Requests { licenses: Some(text.into()), ..Requests::default() };
    kit.try_submit(JobSpec { requests, ..spec() })
}

fn starts(kit: &mut Kit, id: JobId) -> Result<(), StartRefusal> {
    let start = kit.start_of(id, &["n1"]);
    let Reply::Scheduled { refused, .. } = kit.schedule(vec![start]) else { panic!("no plan") };
    refused.first().map_or(Ok(()), |(_, why)| Err(*why))
}

fn used(kit: &Kit) -> Vec<String> {
    let text = |one: crate::License<'_>| format!("{} {}/{}", one.name, one.used, one.total);
    kit.cluster.licenses().map(text).collect()
}

#[test]
fn what_cannot_be_had_is_refused() {
    let mut kit = kit();
    for bad in ["c", "a:4", "a:1 b:1", "a|b,a", "b:2"] {
        assert_eq!(asks(&mut kit, bad).unwrap_err().errno, Errno::InvalidLicenses, "{bad}");
    }
    for good in ["a", "a:3,b", "a:3|b", "a:0"] {
        assert!(asks(&mut kit, good).is_ok(), "{good}");
    }
}

#[test]
fn no_more_are_given_than_there_are_and_they_return_when_nothing_is_left() {
    let mut kit = kit();
    let first = asks(&mut kit, "a:2").unwrap();
    let second = asks(&mut kit, "a:2").unwrap();
    assert_eq!(starts(&mut kit, first), Ok(()));
    assert_eq!(used(&kit), ["a 2/3", "b 0/1"]);
    assert_eq!(starts(&mut kit, second), Err(StartRefusal::Licenses));
    kit.launches(first, "n1");
    kit.suspends(first);
    assert_eq!(starts(&mut kit, second), Err(StartRefusal::Licenses), "suspended jobs keep them");
    kit.cancels(first, ALICE);
    assert_eq!(starts(&mut kit, second), Err(StartRefusal::Licenses), "its node cleans up");
    kit.epilog(first, "n1");
    assert_eq!(starts(&mut kit, second), Ok(()));
    assert_eq!(kit.job(second).licenses, [("a".to_owned(), 2)]);
    let restored = crate::Cluster::restore(&kit.cluster.snapshot()).expect("it is readable");
    assert!(restored == kit.cluster, "who has licenses is kept");
}

#[test]
fn one_of_several_is_enough() {
    let mut kit = kit();
    let ids: Vec<JobId> = (0..3).map(|_| asks(&mut kit, "b|a:2").unwrap()).collect();
    assert_eq!(starts(&mut kit, ids[0]), Ok(()));
    assert_eq!(starts(&mut kit, ids[1]), Ok(()));
    assert_eq!(starts(&mut kit, ids[2]), Err(StartRefusal::Licenses));
    assert_eq!(used(&kit), ["a 2/3", "b 1/1"]);
}

#[test]
fn who_has_a_license_keeps_it_when_the_site_has_fewer() {
    let mut kit = kit();
    let first = asks(&mut kit, "a:2").unwrap();
    let waits = asks(&mut kit, "a").unwrap();
    assert_eq!(starts(&mut kit, first), Ok(()));
    kit.configure(with_licenses(&[("a", 1)]));
    assert_eq!(used(&kit), ["a 2/1"]);
    assert_eq!(starts(&mut kit, waits), Err(StartRefusal::Licenses));
    kit.launches(first, "n1");
    kit.ends(first, "n1", 0);
    kit.epilog(first, "n1");
    assert_eq!(starts(&mut kit, waits), Ok(()));
    kit.configure(config(2));
    assert_eq!(used(&kit), Vec::<String>::new());
    let more = JobChanges { licenses: Some("a".into()), ..JobChanges::default() };
    let next = kit.submits();
    assert_eq!(
        kit.updates(next, ROOT, more),
        Reply::Refused(Refusal::new(Errno::InvalidLicenses, "there is no license a",))
    );
}
