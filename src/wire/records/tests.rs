//! Round trips of every record in every release, and field counts against Slurm's.

use super::*;
use crate::{DecodeError, Gen, NO_VAL, Reader, Record, Release, UnixTime, Wire, Writer};

/// Seeds per record and release.
const SEEDS: u64 = 40;

fn encode(release: Release, value: &impl Wire) -> Vec<u8> {
    let mut w = Writer::new(release);
    value.encode(&mut w);
    w.into_bytes()
}

fn decode<T: Wire>(release: Release, bytes: &[u8]) -> Result<T, DecodeError> {
    let mut r = Reader::new(release, bytes);
    let value = T::decode(&mut r)?;
    r.finish()?;
    Ok(value)
}

fn survives<T: Wire + std::fmt::Debug + PartialEq>() {
    each_sample::<T>(truncations_are_refused::<T>);
}

fn each_sample<T: Wire + std::fmt::Debug + PartialEq>(also: fn(Release, &[u8])) {
    for release in Release::ALL {
        for seed in 0..SEEDS {
            let value = T::sample(&mut Gen::new(release, seed));
            let bytes = encode(release, &value);
            let back: T = decode(release, &bytes)
                .unwrap_or_else(|error| panic!("{} {release} seed {seed}: {error}", T::KIND));
            assert_eq!(back, value, "{} {release} seed {seed}", T::KIND);
            assert_eq!(encode(release, &back), bytes, "{} {release} seed {seed}", T::KIND);
            also(release, &bytes);
        }
    }
}

fn truncations_are_refused<T: Wire + std::fmt::Debug>(release: Release, bytes: &[u8]) {
    let step = (bytes.len() / 16).max(1);
    for length in (0..bytes.len()).step_by(step) {
        let short: Result<T, _> = decode(release, &bytes[..length]);
        assert!(short.is_err(), "{} {release} cut to {length} of {}", T::KIND, bytes.len());
    }
}

macro_rules! round_trips {
    ($($test:ident: $($record:ty),+;)*) => {
        $(
            #[test]
            fn $test() {
                $(survives::<$record>();)+
            }
        )*
    };
}

round_trips! {
    job_descriptions_survive: JobDesc, JobDescList;
    jobs_survive: JobInfoMsg, JobInfo, JobResources;
    nodes_survive: NodeInfoMsg;
    partitions_survive: PartitionInfoMsg;
    steps_survive: StepInfoMsg;
    reservations_survive: ReservationInfoMsg;
    licences_survive: LicenseInfoMsg;
    credentials_survive: Credential, VersionedCredential;
    launches_survive: BatchJobLaunch, PrologLaunch, LaunchTasks;
    states_for_step_managers_survive: StepManagerState, GresNodeState;
    kills_survive: KillJob, PrologComplete, WillRun, StatsRequest;
    configurations_survive: BuildInfo;
    statistics_survive: Stats;
    updates_survive: UpdateNode, UpdatePartition, DeletePartition, UpdateReservation,
        ReservationName;
    steps_survive_their_making: StepCreate, StepCreated, StepLayout, LaunchParams;
    attachments_survive: Reattach;
    broadcasts_survive: SbcastAnswer, SbcastCredential, FileBcast;
    registrations_survive: NodeRegistration, NodeRegistrationAnswer, GresNodeConfig;
}

/// These end in bytes that are not understood, so a cut can leave a whole message.
#[test]
fn open_ended_messages_survive() {
    each_sample::<Allocation>(|_, _| ());
    each_sample::<AllocationList>(|_, _| ());
}

fn fields_per_release<T: Record>() -> [usize; 8] {
    Release::ALL.map(|release| {
        let carried = |field: &&crate::FieldInfo| field.since <= release && release <= field.until;
        T::FIELDS.iter().filter(carried).count()
    })
}

/// The numbers are those of Slurm's unpack functions, where a nested record counts once.
#[test]
fn records_have_as_many_fields_as_slurms() {
    assert_eq!(fields_per_release::<JobDesc>(), [118, 119, 119, 121, 121, 122, 122, 125]);
    // Slurm's 134, 136, 137 and 142 since 24.11 count the three fields of `brief` one by one.
    assert_eq!(fields_per_release::<JobInfo>(), [125, 128, 128, 131, 132, 134, 135, 140]);
    assert_eq!(fields_per_release::<NodeInfo>(), [45, 47, 49, 49, 49, 54, 55, 56]);
    assert_eq!(fields_per_release::<PartitionInfo>(), [37, 38, 38, 38, 38, 39, 39, 39]);
    assert_eq!(fields_per_release::<StepInfo>(), [36, 36, 36, 36, 36, 41, 41, 42]);
    // Slurm's count and two fields of each element of `core_spec` are one field here.
    let reservation = [22, 23, 23, 23, 23, 23, 24, 24].map(|count| count - 2);
    assert_eq!(fields_per_release::<ReservationInfo>(), reservation);
    // Slurm's counts of running steps and of bytes of generic resources are part of their fields.
    let registration = [31, 31, 34, 34, 34, 35, 36, 36].map(|count| count - 2);
    assert_eq!(fields_per_release::<NodeRegistration>(), registration);
    // A list behind a count or flag of its own is one field here: `cpus_per_node` is three of
    // Slurm's, `argv`, `environment` and `cred` are two.
    let launch = [45, 44, 41, 41, 44, 45, 44, 44].map(|count| count - 5);
    assert_eq!(fields_per_release::<BatchJobLaunch>(), launch);
    assert_eq!(fields_per_release::<BuildInfo>(), [215, 215, 212, 208, 209, 211, 214, 220]);
    assert_eq!(fields_per_release::<Stats>(), [52, 52, 54, 59, 59, 59, 58, 58]);
    // `cpus_per_node` is three of Slurm's, `node_addr` and `working_cluster_rec` are two each.
    let allocation = [25, 29, 29, 29, 29, 27, 29, 29];
    let folded = [4, 4, 4, 4, 4, 3, 3, 3];
    let expected = std::array::from_fn(|release| allocation[release] - folded[release]);
    assert_eq!(fields_per_release::<Allocation>(), expected);
    assert_eq!(fields_per_release::<UpdateNode>(), [13, 13, 15, 15, 16, 17, 17, 18]);
    assert_eq!(fields_per_release::<UpdatePartition>(), [28, 29, 29, 29, 29, 30, 30, 30]);
    assert_eq!(fields_per_release::<UpdateReservation>(), [18, 19, 20, 20, 20, 20, 21, 21]);
    let prolog = [19, 19, 16, 20, 20, 20, 19, 19];
    // The flag and the three parts of a step manager's data are one field here.
    let folded = [0, 0, 0, 3, 3, 3, 3, 3];
    let expected = std::array::from_fn(|release| prolog[release] - folded[release]);
    assert_eq!(fields_per_release::<PrologLaunch>(), expected);
    // The flag before `cred` is part of it.
    assert_eq!(fields_per_release::<StepCreate>(), [39, 42, 42, 42, 42, 46, 46, 48]);
    // Ports and tasks are one field each with their counts, and so is the credential's version.
    assert_eq!(fields_per_release::<LaunchTasks>(), [71, 70, 68, 70, 71, 72, 72, 72]);
    assert_eq!(fields_per_release::<KillJob>(), [17, 16, 16, 16, 16, 16, 16, 16].map(|n| n - 1));
}

#[test]
fn listings_put_the_count_before_their_header() {
    let message = PartitionInfoMsg {
        last_update: UnixTime(9),
        partitions: vec![PartitionInfo::default(), PartitionInfo::default()],
    };
    let bytes = encode(Release::V22_05, &message);
    assert_eq!(bytes[..12], [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9]);
}

#[test]
fn hidden_nodes_count_but_have_no_record() {
    let shown = NodeInfo { name: Some("n2".into()), ..NodeInfo::default() };
    let hidden_nodes = Some(crate::Bits::from_indices(2, [0]));
    let message = NodeInfoMsg { last_update: UnixTime(1), hidden_nodes, nodes: vec![shown] };
    let bytes = encode(Release::V24_11, &message);
    assert_eq!(bytes[..4], [0, 0, 0, 2]);
    let back: NodeInfoMsg = decode(Release::V24_11, &bytes).unwrap();
    let positions: Vec<_> = back.positions().map(|(at, node)| (at, node.name.clone())).collect();
    assert_eq!(positions, [(1, Some("n2".into()))]);
}

#[test]
fn purged_details_leave_a_brief() {
    let brief = JobInfoBrief { num_cpus: 4, num_nodes: 2, nice: 0x8000_0000 };
    let job = JobInfo { has_details: false, brief: brief.clone(), ..JobInfo::default() };
    let back: JobInfo = decode(Release::V26_05, &encode(Release::V26_05, &job)).unwrap();
    assert_eq!(back.brief, brief);
    assert!(back.work_dir.is_none());
    let detailed = JobInfo { work_dir: Some("/w".into()), ..JobInfo::default() };
    let back: JobInfo = decode(Release::V26_05, &encode(Release::V26_05, &detailed)).unwrap();
    assert_eq!(back.work_dir.as_deref(), Some("/w"));
}

#[test]
fn job_numbers_are_found_where_the_release_puts_them() {
    let by_number = JobDesc { job_id: 7, ..JobDesc::default() };
    assert_eq!(by_number.job_number(), Some(7));
    let by_step = JobDesc { step_id: crate::StepId::job(8), ..JobDesc::default() };
    assert_eq!(by_step.job_number(), Some(8));
    assert_eq!(JobDesc::default().job_number(), None);
    assert_eq!(JobDesc::default().time_limit, NO_VAL);
}

#[test]
fn a_credential_may_be_older_than_its_message() {
    let credential = Credential::sample(&mut Gen::new(Release::V23_02, 3));
    let versioned = VersionedCredential { release: Some(Release::V23_02), credential };
    let bytes = encode(Release::V24_05, &versioned);
    assert_eq!(bytes[..2], [0x27, 0]);
    assert_eq!(decode::<VersionedCredential>(Release::V24_05, &bytes).unwrap(), versioned);
    let unknown = [0x20, 0, 1, 2];
    assert!(decode::<VersionedCredential>(Release::V24_05, &unknown).is_err());
}

#[test]
fn a_credential_that_is_one_token_is_told_from_one_with_a_body() {
    let token = Credential::Token("eyJhbGciOiJIUzI1NiJ9.eyJjb250ZXh0IjoibGF1bmNoIn0.c2ln".into());
    for release in Release::ALL {
        let read = decode::<Credential>(release, &encode(release, &token));
        match release >= Release::V23_11 {
            true => assert_eq!(read.unwrap(), token, "{release}"),
            // Nobody sends tokens there: what looks like one is a body that makes no sense.
            false => assert!(read.is_err(), "{release}"),
        }
        for seed in 0..200 {
            let signed = Credential::from(SignedCredential::sample(&mut Gen::new(release, seed)));
            let read = decode::<Credential>(release, &encode(release, &signed)).unwrap();
            assert!(matches!(read, Credential::Signed(_)), "{release} {seed}");
        }
    }
}

#[test]
fn only_the_fake_signature_of_old_releases_lacks_its_nul() {
    let fake = Signature(Some(FAKE_SIGNATURE.into()));
    let real = Signature(Some("MUNGE:AwQ:".into()));
    assert_eq!(encode(Release::V22_05, &fake).len(), 4 + 14);
    assert_eq!(encode(Release::V23_11, &fake).len(), 4 + 15);
    let from_later = encode(Release::V23_11, &fake);
    let read: Signature = decode(Release::V23_02, &from_later).unwrap();
    assert_eq!(encode(Release::V23_02, &read), from_later);
    for release in Release::ALL {
        assert_eq!(encode(release, &real), b"\0\0\0\x0bMUNGE:AwQ:\0", "{release}");
        assert_eq!(decode::<Signature>(release, &encode(release, &real)).unwrap(), real);
        assert_eq!(encode(release, &Signature(None)), [0; 4], "{release}");
    }
}

#[test]
fn runs_say_what_each_node_has() {
    let runs = Runs::of([4u16, 4, 8]);
    assert_eq!((runs.values.as_slice(), runs.repeats.as_slice()), (&[4, 8][..], &[2, 1][..]));
    assert_eq!([0, 1, 2, 3].map(|node| runs.at(node)), [Some(4), Some(4), Some(8), None]);
    assert_eq!(encode(Release::V22_05, &Runs::<u64>::of([])), [0; 4]);
}

#[test]
fn arrays_that_disagree_are_refused() {
    let two_counts = [0, 0, 0, 2, 0, 0, 0, 1, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9];
    assert!(decode::<Runs<u16>>(Release::NEWEST, &two_counts).is_err());
}
