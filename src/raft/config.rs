//! How a node is set up.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use flurm_base::Span;

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Unique for the whole life of the cluster; never given to another machine.
    pub id: u64,
    /// Name, for logs.
    pub name: String,
    /// Where its Raft port is reached.
    pub addr: SocketAddr,
}

/// Bounds on memory and bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest command, bytes.
    pub command_bytes_max: usize,
    /// Largest forwarded request or answer, bytes.
    pub forward_bytes_max: usize,
    /// Largest snapshot, bytes.
    pub snapshot_bytes_max: usize,
    /// Proposals waiting at once.
    pub proposals_max: usize,
    /// Requests waiting for one peer's answer at once, and requests of one peer served at once.
    pub requests_max: usize,
    /// Connections accepted at once, those still proving themselves included.
    pub connections_max: usize,
    /// A snapshot is also made once the commands since the last one have this many bytes: the
    /// log's memory between two snapshots.
    pub snapshot_after_bytes: u64,
    /// A segment of the log is closed when it is longer than this, bytes.
    pub segment_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_bytes_max: 8 << 20,
            forward_bytes_max: 128 << 20,
            snapshot_bytes_max: 2 << 30,
            proposals_max: 16_384,
            requests_max: 4_096,
            connections_max: 64,
            snapshot_after_bytes: 128 << 20,
            segment_bytes: 16 << 20,
        }
    }
}

/// How a node is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Name of the cluster; members of differently named clusters refuse each other.
    pub cluster: String,
    /// This member's id, one of `members`.
    pub id: u64,
    /// Every member. All members must be given the same list.
    pub members: Vec<Member>,
    /// Where to listen; `None` listens on this member's address in `members`.
    pub listen: Option<SocketAddr>,
    /// Folder of log, vote and snapshots. Created when missing.
    pub folder: PathBuf,
    /// How often a leader shows that it lives.
    pub heartbeat: Span,
    /// Shortest silence after which a member asks for votes.
    pub election_min: Span,
    /// Longest such silence; also how long a member protects a leader it has heard from.
    pub election_max: Span,
    /// How long [`crate::Node::propose`] waits before it answers `Unknown`.
    pub propose_wait: Span,
    /// How long [`crate::Node::read_barrier`] waits for a majority.
    pub read_wait: Span,
    /// Entries between two snapshots.
    pub snapshot_every: u64,
    /// Entries kept behind a snapshot, so that a member that was briefly away needs no snapshot.
    pub keep_behind_snapshot: u64,
    /// Bounds on memory and bytes.
    pub limits: Limits,
}

impl Config {
    /// A configuration with the default spans: a leader's death on a quiet network is noticed and
    /// a successor elected within about 0.35 to 0.7 s.
    pub fn new(cluster: &str, id: u64, members: Vec<Member>, folder: PathBuf) -> Self {
        Self {
            cluster: cluster.to_owned(),
            id,
            members,
            listen: None,
            folder,
            heartbeat: Span::millis(60),
            election_min: Span::millis(150),
            election_max: Span::millis(350),
            propose_wait: Span::secs(10),
            read_wait: Span::secs(2),
            snapshot_every: 10_000,
            keep_behind_snapshot: 2_000,
            limits: Limits::default(),
        }
    }

    pub(crate) fn member(&self, id: u64) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    pub(crate) fn listen_addr(&self) -> SocketAddr {
        let own = self.member(self.id).map(|member| member.addr);
        self.listen.or(own).expect("a validated configuration contains this member")
    }

    /// openraft's configuration. A member that has yet to join does not stand for election.
    pub(crate) fn openraft(&self, joining: bool) -> Result<openraft::Config, String> {
        let keep = self.keep_behind_snapshot;
        let config = openraft::Config {
            cluster_name: self.cluster.clone(),
            heartbeat_interval: self.heartbeat.as_millis(),
            election_timeout_min: self.election_min.as_millis(),
            election_timeout_max: self.election_max.as_millis(),
            install_snapshot_timeout: SNAPSHOT_WAIT.as_millis(),
            max_payload_entries: ENTRIES_PER_MESSAGE,
            // A follower that is behind gets entries for as long as they exist.
            replication_lag_threshold: self.snapshot_every.saturating_add(keep).saturating_mul(4),
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_every),
            max_in_snapshot_log_to_keep: keep,
            purge_batch_size: (keep / 4).max(1),
            enable_elect: !joining,
            enable_pre_vote: Some(true),
            // A member that lost its disk starts again from nothing; `gate` keeps that safe.
            allow_log_reversion: Some(true),
            // A leader that restarts stands for election like everyone else.
            enable_leader_restore: Some(false),
            ..openraft::Config::default()
        };
        config.validate().map_err(|error| error.to_string())
    }

    /// Checks that the values make sense together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let fail = |text: String| Err(ConfigError(text));
        if self.cluster.is_empty() || CLUSTER_NAME_MAX < self.cluster.len() {
            return fail(format!("the cluster's name is not 1 to {CLUSTER_NAME_MAX} bytes long"));
        }
        if self.members.is_empty() {
            return fail("no members are given".to_owned());
        }
        if self.members.len() > MEMBERS_MAX {
            return fail(format!("more than {MEMBERS_MAX} members are given"));
        }
        if self.member(self.id).is_none() {
            return fail(format!("this node's id {} is not among the members", self.id));
        }
        for (at, member) in self.members.iter().enumerate() {
            if self.members[..at].iter().any(|other| other.id == member.id) {
                return fail(format!("member id {} is given twice", member.id));
            }
            if self.members[..at].iter().any(|other| other.addr == member.addr) {
                return fail(format!("member address {} is given twice", member.addr));
            }
        }
        if self.heartbeat.as_millis() == 0 {
            return fail("the heartbeat interval is below one millisecond".to_owned());
        }
        if self.election_min < Span(self.heartbeat.0.saturating_mul(2)) {
            return fail("the shortest election wait is less than two heartbeats".to_owned());
        }
        if self.election_max <= self.election_min {
            return fail("the longest election wait is not above the shortest".to_owned());
        }
        if self.snapshot_every == 0 {
            return fail("the number of entries between snapshots is zero".to_owned());
        }
        self.validate_limits()
    }

    fn validate_limits(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let fail = |text: String| Err(ConfigError(text));
        if limits.command_bytes_max == 0 || COMMAND_BYTES_CEILING < limits.command_bytes_max {
            return fail(format!("the command limit is not in 1..={COMMAND_BYTES_CEILING}"));
        }
        if limits.forward_bytes_max == 0 || FORWARD_BYTES_CEILING < limits.forward_bytes_max {
            return fail(format!("the forward limit is not in 1..={FORWARD_BYTES_CEILING}"));
        }
        if limits.segment_bytes < SEGMENT_BYTES_FLOOR {
            return fail(format!("log segments are shorter than {SEGMENT_BYTES_FLOOR} bytes"));
        }
        let counts = [limits.proposals_max, limits.requests_max, limits.connections_max];
        if counts.contains(&0) || limits.snapshot_after_bytes == 0 {
            return fail("a limit is zero".to_owned());
        }
        Ok(())
    }
}

/// Longest time a snapshot may take to be sent and installed.
const SNAPSHOT_WAIT: Span = Span::secs(600);
/// Most entries in one replication message.
const ENTRIES_PER_MESSAGE: u64 = 1024;
/// Longest name of a cluster, bytes.
const CLUSTER_NAME_MAX: usize = 64;
/// Most members of a cluster.
const MEMBERS_MAX: usize = 9;
/// Largest value of [`Limits::command_bytes_max`].
const COMMAND_BYTES_CEILING: usize = 64 << 20;
/// Largest value of [`Limits::forward_bytes_max`].
const FORWARD_BYTES_CEILING: usize = 1 << 30;
/// Smallest value of [`Limits::segment_bytes`].
const SEGMENT_BYTES_FLOOR: u64 = 4096;

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub(crate) String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}
