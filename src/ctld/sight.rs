//! What an asker gets to see: `PrivateData` keeps others' jobs and the machine from users, and hidden
//! partitions appear with their jobs on demand.

use flurm_model::{Cluster, Errno, Job, Partition};

use crate::identity::Identity;
use crate::refused::Refused;

/// Bits of `PrivateData` (slurm.h, `PRIVATE_DATA_*`). The others are about accounting.
const JOBS: u16 = 1 << 0;
const NODES: u16 = 1 << 1;
const PARTITIONS: u16 = 1 << 2;
const USAGE: u16 = 1 << 3;
/// In a request: hidden ones too (slurm.h, `SHOW_ALL`).
const SHOW_ALL: u16 = 1;

/// What one asker may see of a cluster.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    cluster: &'a Cluster,
    asker: Identity,
    private_data: u16,
}

impl<'a> Sight<'a> {
    /// `private_data` are the bits of the key.
    pub(crate) fn new(cluster: &'a Cluster, asker: Identity, private_data: u16) -> Self {
        let all = asker.is_operator(cluster.settings());
        Self { cluster, asker, private_data: if all { 0 } else { private_data } }
    }

    /// Whether a job may be seen at all.
    pub(crate) fn job(self, job: &Job) -> bool {
        self.private_data & JOBS == 0 || job.spec.uid == self.asker.uid
    }

    /// Whether a job is listed where none is named: not in hidden partitions only.
    pub(crate) fn lists_job(self, job: &Job, show_flags: u16) -> bool {
        let mut partitions = job.partitions.iter().filter_map(|name| self.cluster.partition(name));
        let open = job.partitions.is_empty()
            || partitions.any(|partition| self.lists_partition(partition, show_flags));
        open && self.job(job)
    }

    /// Whether a partition is listed.
    pub(crate) fn lists_partition(self, partition: &Partition, show_flags: u16) -> bool {
        let all = show_flags & SHOW_ALL != 0 || self.asker.is_operator(self.cluster.settings());
        all || !partition.conf.hidden
    }

    /// Refuses whom the nodes do not concern.
    pub(crate) fn nodes(self) -> Result<(), Refused> {
        self.open(NODES)
    }

    /// Refuses whom the partitions do not concern.
    pub(crate) fn partitions(self) -> Result<(), Refused> {
        self.open(PARTITIONS)
    }

    /// Whether the use of an association may be seen: of accounts, whose name is empty here, and one's
    /// own always.
    pub(crate) fn usage(self, user: &str) -> bool {
        let known = &self.cluster.settings().accounting.uids;
        self.private_data & USAGE == 0 || known.get(user) == Some(&self.asker.uid)
    }

    fn open(self, what: u16) -> Result<(), Refused> {
        if self.private_data & what == 0 { Ok(()) } else { Err(Errno::AccessDenied.into()) }
    }
}

#[cfg(test)]
mod tests {
    use flurm_base::Time;
    use flurm_model::{Actor, Command, Config, JobSpec, PartitionConf, PartitionName, Settings};
    use flurm_wire::Message;
    use flurm_wire::messages::{JobInfoRequest, JobStateRequest, JobUserInfoRequest};

    use super::*;
    use crate::{Answer, Request, answer};

    const SLURM_UID: u32 = 64_030;
    const ALICE: u32 = 1000;
    const BOB: u32 = 1001;

    /// Alice and Bob have a job each in the open partition, and Bob one in the hidden one.
    fn cluster() -> Cluster {
        let open = PartitionConf { name: PartitionName::from("open"), ..PartitionConf::default() };
        let open = PartitionConf { is_default: true, ..open };
        let cellar =
            PartitionConf { name: PartitionName::from("cellar"), ..PartitionConf::default() };
        let cellar = PartitionConf { hidden: true, ..cellar };
        let settings = Settings { slurm_uid: SLURM_UID, ..Settings::default() };
        let config = Config { settings, nodes: Vec::new(), partitions: vec![open, cellar] };
        let mut cluster = Cluster::default();
        let at = Time::from_secs(1);
        cluster.apply(&Command::Configure { at, config: Box::new(config) });
        for (uid, partition) in [(ALICE, "open"), (BOB, "open"), (BOB, "cellar")] {
            let partitions = vec![PartitionName::from(partition)];
            let spec = Box::new(JobSpec { uid, partitions, ..JobSpec::default() });
            let by = Actor { uid, privileged: false };
            cluster.apply(&Command::Submit { at, key: None, by, spec });
        }
        assert_eq!(cluster.jobs().count(), 3);
        cluster
    }

    fn reply(cluster: &Cluster, uid: u32, private_data: u16, message: &Message) -> Message {
        let request = Request {
            identity: Identity { uid, gid: uid },
            message,
            key: None,
            release: 0,
            user: None,
            group_names: Vec::new(),
            peer: String::new(),
            private_data,
            outlook: &crate::Outlook::default(),
        };
        match answer(&request, cluster, Time::from_secs(2)) {
            Answer::Reply(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn job_ids(reply: Message) -> Vec<u32> {
        match reply {
            Message::ResponseJobInfo(info) => info.jobs.iter().map(|job| job.job_id).collect(),
            Message::ResponseJobState(states) => states.jobs.iter().map(|job| job.job_id).collect(),
            other => panic!("{}", other.name()),
        }
    }

    fn listing(show_flags: u16) -> Message {
        Message::RequestJobInfo(JobInfoRequest { show_flags, ..JobInfoRequest::default() })
    }

    #[test]
    fn jobs_of_hidden_partitions_are_listed_on_demand() {
        let cluster = cluster();
        assert_eq!(job_ids(reply(&cluster, BOB, 0, &listing(0))), [1, 2]);
        assert_eq!(job_ids(reply(&cluster, BOB, 0, &listing(SHOW_ALL))), [1, 2, 3]);
        assert_eq!(job_ids(reply(&cluster, SLURM_UID, 0, &listing(0))), [1, 2, 3]);
    }

    #[test]
    fn private_jobs_are_seen_by_their_owner_and_operators() {
        let cluster = cluster();
        let all = listing(SHOW_ALL);
        assert_eq!(job_ids(reply(&cluster, ALICE, JOBS, &all)), [1]);
        assert_eq!(job_ids(reply(&cluster, BOB, JOBS, &all)), [2, 3]);
        assert_eq!(job_ids(reply(&cluster, 0, JOBS, &all)), [1, 2, 3]);
        let of_bob = JobUserInfoRequest { user_id: BOB, ..JobUserInfoRequest::default() };
        let of_bob = Message::RequestJobUserInfo(of_bob);
        assert_eq!(job_ids(reply(&cluster, ALICE, JOBS, &of_bob)), Vec::<u32>::new());
        assert_eq!(job_ids(reply(&cluster, ALICE, 0, &of_bob)), [2, 3]);
        let states = Message::RequestJobState(JobStateRequest::default());
        assert_eq!(job_ids(reply(&cluster, ALICE, JOBS, &states)), [1]);
    }

    #[test]
    fn a_private_machine_is_for_operators() {
        let cluster = cluster();
        let nodes = Message::RequestNodeInfo(Default::default());
        let partitions = Message::RequestPartitionInfo(Default::default());
        for (what, message) in [(NODES, nodes), (PARTITIONS, partitions)] {
            let of = |uid, bits| reply(&cluster, uid, bits, &message).name();
            assert_eq!(of(ALICE, what), "RESPONSE_SLURM_RC");
            assert_ne!(of(ALICE, JOBS), "RESPONSE_SLURM_RC");
            assert_ne!(of(SLURM_UID, what), "RESPONSE_SLURM_RC");
        }
    }
}
