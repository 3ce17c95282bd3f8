//! Shares and priorities, as `sshare` and `sprio` show them.

use crate::{
    Codec, DecodeError, Gen, List, LongDouble, Reader, Release, Schema, StepId, Visitor, Wire,
    Writer,
};

/// Asks for shares. 2022.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct SharesRequest {
    /// Only these accounts.
    pub acct_list: List<String>,
    /// Only these users.
    pub user_list: List<String>,
}

/// Shares. 2023.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct SharesResponse {
    /// Names of the resources that the arrays below count.
    pub tres_names: Vec<String>,
    /// The associations; Slurm sends none as an absent list.
    pub associations: List<AssociationShares>,
    /// Sum of the shares.
    pub tot_shares: u64,
}

/// One association's shares.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct AssociationShares {
    /// Its number.
    pub assoc_id: u32,
    /// The cluster.
    pub cluster: Option<String>,
    /// The account or user.
    pub name: Option<String>,
    /// The parent account.
    pub parent: Option<String>,
    /// The partition.
    pub partition: Option<String>,
    /// Shares as a part of the whole.
    pub shares_norm: f64,
    /// Shares as configured.
    pub shares_raw: u32,
    /// Seconds of each resource that running jobs may still use.
    pub tres_run_secs: Vec<u64>,
    /// Limits in minutes.
    pub tres_grp_mins: Vec<u64>,
    /// Effective use.
    pub usage_efctv: f64,
    /// Use as a part of the whole.
    pub usage_norm: f64,
    /// Use in seconds.
    pub usage_raw: u64,
    /// Use of each resource.
    pub usage_tres_raw: Vec<LongDouble>,
    /// The factor that priorities use.
    pub fs_factor: f64,
    /// The factor within the level.
    pub level_fs: f64,
    /// Whether it is a user's.
    pub user: u16,
}

/// Asks for priorities: of everything since 23.02. 2026.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct PriorityFactorsRequest {
    /// Only these jobs.
    #[wire(until = V22_05)]
    pub job_ids: List<u32>,
    /// Only these users' jobs.
    #[wire(until = V22_05)]
    pub user_ids: List<u32>,
    /// Only in these partitions.
    #[wire(until = V22_05)]
    pub partitions: Option<String>,
}

/// Priorities. 2027.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct PriorityFactorsResponse {
    /// One element for each job and partition.
    pub jobs: List<JobPriority>,
}

/// What a job's priority is made of. The parts are absent where the priority was set by hand.
#[derive(Clone, Debug, PartialEq, Wire)]
#[wire(order(until = V22_05, fields(
    job, user_id, age, assoc, fairshare, job_size, partition_factor, qos_factor, direct_prio,
    site, tres, tres_count, tres_names, tres_weights, nice, partition,
)))]
pub struct JobPriority {
    /// The job's account.
    #[wire(since = V23_02)]
    pub account: Option<String>,
    /// The job.
    #[wire(as_ = JobNumber)]
    pub job: StepId,
    /// The partition that the priority holds in.
    pub partition: Option<String>,
    /// A priority set by hand; 0 where it is computed.
    #[wire(sample = often_zero)]
    pub direct_prio: f64,
    /// For waiting.
    #[wire(when = Self::is_computed)]
    pub age: f64,
    /// For the association.
    #[wire(when = Self::is_computed)]
    pub assoc: f64,
    /// For using less than one's share.
    #[wire(when = Self::is_computed)]
    pub fairshare: f64,
    /// For size.
    #[wire(when = Self::is_computed)]
    pub job_size: f64,
    /// For the partition.
    #[wire(when = Self::is_computed)]
    pub partition_factor: f64,
    /// For the quality of service.
    #[wire(when = Self::is_computed)]
    pub qos_factor: f64,
    /// The site's own.
    #[wire(when = Self::is_computed)]
    pub site: u32,
    /// For each resource.
    #[wire(when = Self::is_computed)]
    pub tres: Vec<f64>,
    /// Length of the arrays.
    #[wire(until = V22_05)]
    pub tres_count: u32,
    /// Names of the resources.
    #[wire(when = Self::is_computed)]
    pub tres_names: Vec<String>,
    /// Their weights.
    #[wire(when = Self::is_computed)]
    pub tres_weights: Vec<f64>,
    /// What is taken away, plus 0x80000000.
    #[wire(when = Self::is_computed)]
    pub nice: u32,
    /// The job's quality of service.
    #[wire(since = V23_02)]
    pub qos: Option<String>,
    /// The job's user.
    pub user_id: u32,
}

impl JobPriority {
    fn is_computed(&self, release: Release) -> bool {
        release < Release::V23_02 || self.direct_prio == 0.0
    }
}

fn often_zero(g: &mut Gen) -> f64 {
    if g.coin() { 0.0 } else { f64::sample(g) }
}

/// A job as a bare number before 26.05, as a whole step id from then on.
struct JobNumber;

impl Codec<StepId> for JobNumber {
    const KIND: &'static str = "job";

    fn encode(value: &StepId, w: &mut Writer) {
        if w.release() >= Release::V26_05 {
            return value.encode(w);
        }
        w.u32(value.job_id);
    }

    fn decode(r: &mut Reader<'_>) -> Result<StepId, DecodeError> {
        if r.release() >= Release::V26_05 {
            return StepId::decode(r);
        }
        r.field("job_id").map(StepId::job)
    }

    fn sample(g: &mut Gen) -> StepId {
        if g.release() >= Release::V26_05 {
            return StepId::sample(g);
        }
        StepId::job(u32::sample(g))
    }

    fn view(value: &StepId, v: &mut dyn Visitor) {
        value.view(v);
    }

    fn schema(release: Release, s: &mut Schema) {
        s.kind(if release >= Release::V26_05 { "step_id+sluid" } else { "u32" });
    }
}
