//! The replicated cluster: jobs, nodes, partitions, and the commands that change them.
//!
//! Input: commands in the order of the replicated log, each with its time. Output: a reply, events,
//! and the orders that follow from the state. The same commands give the same cluster on every
//! replica, byte for byte. Refuses to know how commands are agreed on, where bytes are stored, and
//! what any message looks like on the wire.

mod act;
mod amounts;
mod apply;
mod array;
mod array_act;
mod association;
mod check;
mod cluster;
mod codec;
mod command;
mod configure;
mod constraint;
mod dependency;
mod dependents;
mod fairshare;
mod gres;
mod index;
mod job;
mod license;
mod life;
mod limits;
mod multifactor;
mod names;
mod node;
mod node_life;
mod orders;
mod partition;
mod reason;
mod refusal;
mod reservation;
mod settings;
mod signals;
mod spec;
mod start;
mod step;
mod step_gres;
mod step_life;
mod step_place;
mod submit;
mod suspend;
mod task_set;
mod tenants;
mod top;
mod update_job;
mod usage;

pub use amounts::{Limit, Memory};
pub use array::{ArrayRequest, ArrayUse, JobArray};
pub use association::{Accounting, enforce};
pub use cluster::{Cluster, Updated};
pub use codec::{CodecError, FORMAT_VERSION};
pub use command::{
    Actor, Applied, BatchEnd, Command, DownCause, Event, JobChanges, NodeChanges, NodeStateChange,
    Placement, PriorityChange, Reply, RequeueFlags, Start, StartRefusal, TaskAct, TaskOutcome,
};
pub use constraint::{Constraint, Features};
pub use dependency::{Dependencies, Dependency, DependencyKind, DependencyState, DependencyTasks};
pub use fairshare::{Standing, standings};
pub use gres::{
    GresFault, GresHeld, GresPart, GresTake, GresUse, GresUses, GresWish, found_counts, held_of,
    list_found,
};
pub use job::{
    Allocation, EndCause, Hold, Job, JobBase, JobFlags, Launch, Share, ShareState, SignalRequest,
};
pub use license::{License, choose as choose_licenses};
pub use limits::{Amounts, Ledger};
pub use multifactor::{Factors, Multifactor, Weigher, priority_flags};
pub use names::{NodeName, PartitionName};
pub use node::{InitialState, Node, NodeBase, NodeConf, NodeFacts, NodeFlags, NodeUse};
pub use orders::Order;
pub use partition::{OverSubscribe, Partition, PartitionConf, PartitionState};
pub use reason::Reason;
pub use refusal::{Errno, Refusal};
pub use reservation::{NodeBounds, Reservation, bounds as node_bounds, reservation_flags};
pub use settings::{Config, EnforcePartLimits, ReturnToService, Select, SelectUnit, Settings};
pub use spec::{Batch, JobSpec, Mail, OpenMode, Requests, Sharing, Size, Streams, Warning};
pub use step::{
    AllocClient, INTERACTIVE_STEP, JobSteps, News, Step, StepPart, StepSpec, step_flags,
};
pub use suspend::Suspension;
pub use task_set::TaskSet;
pub use tenants::Tenants;
pub use usage::Usage;

#[cfg(test)]
mod array_tests;
#[cfg(test)]
mod association_tests;
#[cfg(test)]
mod dependency_tests;
#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod job_tests;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod license_tests;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod multifactor_tests;
#[cfg(test)]
mod node_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod reservation_tests;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod suspend_tests;
