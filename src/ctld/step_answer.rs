//! What srun gets for a step: where its tasks run, and what to launch them with.

use flurm_base::Span;
use flurm_model::{Allocation, Job, Memory, Share, Step};
use flurm_wire::records::{
    Credential, CredentialBody, Identity, Runs, SbcastBody, StepCreated, StepLayout, SwitchJobInfo,
};
use flurm_wire::{NO_VAL, Release, StepId, UnixTime};

use crate::tables::Tables;

/// Before the attempt in a credential's list of aliases. Credentials before 24.11 have no other
/// place for it, and stock daemons ask that list for nodes' names only.
const ATTEMPT_MARK: &str = "flurm-attempt:";
/// How long files may be copied for a job without time limit.
const SBCAST_MAX: Span = Span::secs(365 * 24 * 3600);
/// SLURM_DIST_BLOCK: what an unknown distribution becomes where no memory was asked for.
const DIST_BLOCK: u32 = 2;
const DIST_UNKNOWN: u32 = 0x2000;
const DIST_BASE: u32 = 0xffff;

/// The attempt that a step's credential is for; 0 where it does not say.
pub fn attempt_of(body: &CredentialBody) -> u64 {
    if body.step_id.sluid != 0 {
        return body.step_id.sluid;
    }
    let marked = body.job_alias_list.as_deref().and_then(|text| text.strip_prefix(ATTEMPT_MARK));
    marked.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

impl Tables<'_> {
    /// Where a step's tasks run.
    pub(crate) fn layout(&self, step: &Step) -> StepLayout {
        let nodes = step.parts.iter().map(|part| &part.node);
        let mut task_dist = step.spec.distribution;
        let of_memory =
            matches!(step.spec.memory, Some(Memory::PerNode(1..) | Memory::PerCpu(1..)));
        if task_dist & DIST_BASE == DIST_UNKNOWN && !of_memory {
            task_dist = task_dist & !DIST_BASE | DIST_BLOCK;
        }
        StepLayout {
            node_list: Some(self.host_list(nodes)),
            node_cnt: u32::try_from(step.parts.len()).unwrap_or(u32::MAX),
            start_protocol_ver: step.spec.client_release,
            task_cnt: step.spec.tasks,
            task_dist,
            tids: step.parts.iter().map(|part| part.tasks.clone()).collect(),
            ..StepLayout::default()
        }
    }

    /// What a step's credential is to say, packed in `release`.
    pub fn step_credential(&self, job: &Job, step: &Step, release: Release) -> CredentialBody {
        let shares = job.allocation.as_ref().map_or(&[][..], |all: &Allocation| &all.shares);
        let nodes = self.host_list(shares.iter().map(|share| &share.node));
        let own = |share: &&Share| step.parts.iter().any(|part| part.node == share.node);
        let cpus = |share: &Share| {
            let part = step.parts.iter().find(|part| part.node == share.node);
            part.map_or(0, |part| part.cpus)
        };
        let memory = step.parts.iter().map(|part| {
            let share = shares.iter().find(|share| share.node == part.node);
            let whole = share.map_or(0, |share| share.memory_mb);
            if part.memory_mb == 0 { whole } else { part.memory_mb }
        });
        let step_nodes = shares.iter().filter(own).map(|share| &share.node);
        let alias = format!("{ATTEMPT_MARK}{:x}", job.attempt.0);
        CredentialBody {
            step_gres_list: crate::gres::step_states(self.cluster, shares, step),
            step_id: StepId::step(job.id.0, step.number).with_sluid(job.attempt.0),
            step_hostlist: Some(self.host_list(step_nodes)),
            step_core_bitmap: Some(self.step_cores(shares, cpus)),
            step_mem_alloc: Runs::of(memory),
            job_alias_list: (release < Release::V24_11).then_some(alias),
            ..self.credential(job, shares, nodes)
        }
    }

    /// What sbcast may write for a job or one of its steps: its files, on its nodes, until it ends.
    pub fn sbcast(&self, job: &Job, step: u32) -> Option<SbcastBody> {
        let allocation = job.allocation.as_ref()?;
        let parts = self.cluster.step(job.id, step).map(|step| &step.parts);
        let nodes = match parts {
            Some(parts) => self.host_list(parts.iter().map(|part| &part.node)),
            None => self.host_list(allocation.shares.iter().map(|share| &share.node)),
        };
        let spec = &job.spec;
        let forever = self.now + SBCAST_MAX;
        let expiration = crate::launch::end_time(job).unwrap_or(forever);
        Some(SbcastBody {
            step_id: StepId::step(job.id.0, step).with_sluid(job.attempt.0),
            id: Identity {
                uid: spec.uid,
                gid: spec.gid,
                pw_name: spec.user_name.clone(),
                gids: spec.groups.clone(),
                ..Identity::default()
            },
            ctime: UnixTime(self.now.secs()),
            expiration: UnixTime(expiration.secs()),
            job_id: job.id.0,
            het_job_id: NO_VAL,
            step,
            uid: spec.uid,
            gid: spec.gid,
            user_name: spec.user_name.clone(),
            gids: spec.groups.clone(),
            nodes: Some(nodes),
        })
    }

    /// The answer to the request for a step, with its credential signed.
    pub fn step_created(&self, job: &Job, step: &Step, credential: Credential) -> StepCreated {
        StepCreated {
            step_id: StepId::step(job.id.0, step.number).with_sluid(job.attempt.0),
            step_layout: Some(self.layout(step)),
            cred: Some(Box::new(credential)),
            switch_job: SwitchJobInfo::default(),
            use_protocol_ver: step.spec.client_release,
            state: crate::steps::RUNNING,
            ..StepCreated::default()
        }
    }
}
