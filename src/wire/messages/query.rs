//! Requests for listings, and the small answers to some of them.

use crate::{Bits, JobRef, List, NO_VAL, Release, StepId, UnixTime, Wire};

/// Asks for the configuration unless it is unchanged. 2001.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct LastUpdate {
    /// What the asker has already; 0 for nothing.
    pub last_update: UnixTime,
}

/// Asks for all jobs. 2003.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobInfoRequest {
    /// What the asker has already; 0 for nothing.
    pub last_update: UnixTime,
    /// What to leave out.
    pub show_flags: u16,
    /// Only these jobs.
    pub job_ids: List<u32>,
}

/// Asks about one job. 2021 (its record), 2051 (its script), 4019 (whether its nodes are ready).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct JobQuery {
    /// The job.
    pub job: JobRef,
    /// What to leave out.
    pub show_flags: u16,
}

/// Asks for one user's jobs. 2039.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct JobUserInfoRequest {
    /// The user.
    pub user_id: u32,
    /// What to leave out.
    pub show_flags: u16,
}

/// Asks for all of something that changes. 1021 (licences), 2007
/// (nodes), 2009 (partitions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct InfoRequest {
    /// What the asker has already; 0 for nothing.
    pub last_update: UnixTime,
    /// What to leave out.
    pub show_flags: u16,
}

/// Asks for steps. 2005.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct StepInfoRequest {
    /// What the asker has already; 0 for nothing.
    pub last_update: UnixTime,
    /// This step, all of this job, or all.
    pub step_id: StepId,
    /// What to leave out.
    pub show_flags: u16,
}

/// Asks for some nodes. 2040.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct NodeInfoSingleRequest {
    /// The nodes, as a host list.
    pub node_name: Option<String>,
    /// What to leave out.
    pub show_flags: u16,
}

/// Asks which job a process belongs to. 2013.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct JobIdRequest {
    /// The process.
    pub job_pid: u32,
}

/// The job of a process. 2014.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct JobIdResponse {
    /// The job.
    pub job: JobRef,
    /// The outcome.
    pub return_code: u32,
}

/// A job's script. 2052.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct BatchScript {
    /// The text.
    pub script: Option<String>,
}

/// Asks for the states of jobs. 2057, 23.11 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobStateRequest {
    /// These jobs; none means all.
    pub job_ids: Vec<SelectedJob>,
}

/// A job, array task or component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct SelectedJob {
    /// The job or array.
    pub job_id: u32,
    /// The task; `NO_VAL` for none.
    #[wire(default = NO_VAL)]
    pub array_task_id: u32,
    /// The component; `NO_VAL` for none.
    #[wire(default = NO_VAL)]
    pub het_job_offset: u32,
}

/// The states of jobs. 2058, 23.11 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobStateResponse {
    /// One element for each job or undivided part of an array.
    pub jobs: Vec<JobState>,
}

/// The state of a job.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobState {
    /// The job.
    pub job_id: u32,
    /// Its array; 0 for none.
    pub array_job_id: u32,
    /// Its task.
    #[wire(default = NO_VAL, when = Self::is_array)]
    pub array_task_id: u32,
    /// The tasks of an undivided part.
    #[wire(when = Self::is_array)]
    pub array_task_id_bitmap: Option<Bits>,
    /// Its heterogeneous job; 0 for none.
    #[wire(when = Self::is_no_array)]
    pub het_job_id: u32,
    /// The state.
    pub state: u32,
}

impl JobState {
    fn is_array(&self, _: Release) -> bool {
        self.array_job_id != 0
    }

    fn is_no_array(&self, _: Release) -> bool {
        self.array_job_id == 0
    }
}

/// Asks for reservations. 2024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct ReservationInfoRequest {
    /// What the asker has already; 0 for nothing.
    pub last_update: UnixTime,
}

/// A list of host names to be spelled out, or spelled out. 2041, 2042, 25.05 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct HostlistExpansion {
    /// The host list.
    pub expression: Option<String>,
}
