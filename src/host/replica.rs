//! The replicated cluster as Raft's state machine.

use flurm_base::codec;
use flurm_model::{Cluster, Command, Event, Reply};
use flurm_raft::StateMachine;

/// One replica's copy of the cluster.
#[derive(Default)]
pub struct Replica {
    cluster: Cluster,
    /// Counts the changes that can make a difference to the planner.
    plan_version: u64,
    /// Counts configurations that were taken over, also where they changed nothing here.
    configured: u64,
}

impl Replica {
    /// The cluster's state.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Grows whenever the planner should look again.
    pub fn plan_version(&self) -> u64 {
        self.plan_version
    }

    /// Grows whenever a leader has read its configuration and keys.
    pub fn configured(&self) -> u64 {
        self.configured
    }

    /// Reads what [`StateMachine::apply`] answered.
    pub fn reply(bytes: &[u8]) -> Result<Reply, String> {
        codec::decode(bytes)
    }
}

impl StateMachine for Replica {
    fn apply(&mut self, index: u64, _term: u64, command: &[u8]) -> Vec<u8> {
        // A committed entry that cannot be read must stop this replica: to skip it would make the
        // replicas differ. It was written by a newer release, or the log is damaged.
        let command = match Command::decode(command) {
            Ok(command) => command,
            Err(error) => panic!("log entry {index} cannot be applied: {error}"),
        };
        let applied = self.cluster.apply(&command);
        if matches!(command, Command::Configure { .. }) {
            self.configured += 1;
        }
        if applied.events.iter().any(matters_to_planner) {
            self.plan_version += 1;
        }
        for event in &applied.events {
            if let Some(text) = flurm_ctld::audit(event) {
                tracing::info!(index, "{text}");
            }
        }
        codec::encode(&applied.reply)
    }

    fn snapshot(&self) -> Vec<u8> {
        self.cluster.snapshot()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.cluster = Cluster::restore(bytes).map_err(|error| error.to_string())?;
        self.plan_version += 1;
        self.configured += 1;
        Ok(())
    }
}

fn matters_to_planner(event: &Event) -> bool {
    match event {
        Event::Configured
        | Event::JobSubmitted(_)
        | Event::JobChanged(_)
        | Event::JobEnding(..)
        | Event::JobEnded(..)
        | Event::JobRequeued(..)
        | Event::JobSuspended(..)
        | Event::JobResumed(..)
        | Event::NodeChanged(_)
        | Event::NodeRemoved(_)
        | Event::PartitionChanged(_)
        | Event::PartitionRemoved(_) => true,
        Event::JobStarted(..) | Event::JobPurged(_) => false,
        Event::StepEnded(..) | Event::StepChanged(..) => false,
    }
}
