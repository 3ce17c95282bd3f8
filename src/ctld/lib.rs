//! What a request means to a controller: Slurm's messages to commands, and the replicated state to
//! Slurm's messages.
//!
//! Input: a verified identity, a message, the state and the time as arguments. Output: a reply, or a
//! command to propose and how to answer once it is committed. Knows nothing of connections, of
//! replication, or of which replica it runs on.

mod access;
mod allocate;
mod array_view;
mod build_info;
mod config;
mod constraint;
mod gres;
mod identity;
mod job_view;
mod launch;
mod license_view;
mod node_update;
mod node_view;
mod options;
mod options_table;
mod outlook;
mod partition_update;
mod partition_view;
mod priority_view;
mod refused;
mod requests;
mod reservation;
mod shares_view;
mod sight;
mod silence;
mod step_answer;
mod steps;
mod submit;
mod suspend;
mod tables;
mod target;
mod top;
mod update;
mod will_run;

pub use allocate::not_now;
pub use build_info::{BuildFacts, build_info, version};
pub use config::cluster_config;
pub use gres::{CONF_HAS_FILE as GRES_CONF_HAS_FILE, plugin_id as gres_plugin_id};
pub use identity::Identity;
pub use launch::{RUN_ENTRY, TERM_ENTRY, UnsignedLaunch, run_of, term_of, terminate_orphan};
pub use outlook::{Expected, Outlook};
pub use refused::Refused;
pub use requests::{
    Answer, Gather, Request, Then, answer, audit, committed, committed_many, groups_to_name,
};
pub use silence::Silence;
pub use step_answer::attempt_of;
pub use submit::{Submitter, batch_job, owner_uid};
pub use suspend::SuspendOrder;
pub use tables::Tables;
pub use will_run::Trial;

#[cfg(test)]
mod build_info_tests;
#[cfg(test)]
mod options_tests;
