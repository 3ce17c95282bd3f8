//! flurm.conf: the few settings that slurm.conf has no key for. The file may be absent.

use std::collections::{BTreeMap, BTreeSet};

use flurm_base::Span;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Place, Report};
use crate::fields::Fields;
use crate::key;
use crate::source::{self, Loader, Source};
use crate::{Conf, table, value};

/// How far the Raft port lies above the first `SlurmctldPort` when flurm.conf names none. Slurm's own
/// ports of one host (6817, 6818, 6819, and 6820 of slurmrestd) stay clear of it.
const RAFT_PORT_OFFSET: u16 = 13;

/// FLURM's own settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlurmConf {
    /// One for each `SlurmctldHost`, in their order.
    pub peers: Vec<Peer>,
    /// `DataDir`, where `%h` stands for a controller's name.
    pub data_dir_pattern: String,
    /// `ListenAddr`: addresses to listen on; empty for all.
    pub listen_addrs: Vec<String>,
    /// `SackSocket`: where tokens of auth/slurm are made for programs; `None` for Slurm's own places.
    pub sack_socket: Option<String>,
    /// `HeartbeatInterval`: how often a leader shows that it lives.
    pub heartbeat_interval: Span,
    /// `ElectionTimeoutMin`: the least silence after which a follower stands for election.
    pub election_timeout_min: Span,
    /// `ElectionTimeoutMax`: the most.
    pub election_timeout_max: Span,
    /// `GroupCommitDelay`: how long a commit may wait for others to share its disk sync.
    pub group_commit_delay: Span,
    /// `HoldTime`: how long a request waits for a leader before the client is sent away.
    pub hold_time: Span,
    /// `SnapshotEvery`: log entries between two snapshots.
    pub snapshot_every: u64,
    /// What an administrator should know about the file.
    pub warnings: Vec<Diagnostic>,
}

/// One controller as the others reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its number in the Raft cluster, from 1. It belongs to the controller's data for good: give it
    /// an `Id` when the order of the `SlurmctldHost` lines changes.
    pub id: u64,
    /// Its name in `SlurmctldHost`.
    pub name: String,
    /// Where its Raft port is reached.
    pub addr: String,
    /// Its Raft port.
    pub port: u16,
}

impl FlurmConf {
    /// The settings when there is no flurm.conf.
    pub fn without_file(conf: &Conf) -> Result<Self, Vec<Diagnostic>> {
        settle(&Source::default(), "flurm.conf", conf, Report::default())
    }

    /// Reads flurm.conf at `path`, for the cluster that `conf` describes.
    pub fn parse(load: Loader<'_>, path: &str, conf: &Conf) -> Result<Self, Vec<Diagnostic>> {
        let mut report = Report::default();
        let source = source::read(table::FLURM, load, path, &mut report);
        settle(&source, path, conf, report)
    }

    /// The data folder of one controller.
    pub fn data_dir(&self, controller: &str) -> String {
        self.data_dir_pattern.replace("%h", controller)
    }
}

fn settle(
    source: &Source,
    path: &str,
    conf: &Conf,
    mut report: Report,
) -> Result<FlurmConf, Vec<Diagnostic>> {
    let whole_file = Place { file: path.to_owned(), ..Place::default() };
    let written = |key: &str| source.settings.get(key).and_then(|values| values.last());
    let place = |key: &str| written(key).map_or(&whole_file, |written| &written.place);
    let number = |key: &str| {
        let set = written(key).and_then(|written| written.value.number);
        set.or_else(|| default_number(key))
    };
    let span = |key: &str| Span(number(key).unwrap_or(0));
    let text = |key: &str| written(key).map_or("", |written| written.value.text.as_str());

    let (heartbeat, least) = (span("HeartbeatInterval"), span("ElectionTimeoutMin"));
    let most = span("ElectionTimeoutMax");
    let rules = [
        (heartbeat.0 == 0, "HeartbeatInterval", "must be above 0"),
        (
            least.0 < heartbeat.0.saturating_mul(2),
            "ElectionTimeoutMin",
            "must be at least twice HeartbeatInterval",
        ),
        (most <= least, "ElectionTimeoutMax", "must be above ElectionTimeoutMin"),
        (number("SnapshotEvery") == Some(0), "SnapshotEvery", "must be above 0"),
        (number("RaftPort") == Some(0), "RaftPort", "must be a port from 1 to 65535"),
    ];
    for (_, key, message) in rules.into_iter().filter(|(broken, ..)| *broken) {
        report.error(place(key), Some(key), message);
    }
    if span("HoldTime") >= conf.times.message_timeout {
        let text = "is not below MessageTimeout: clients give up before they are answered";
        report.warning(place("HoldTime"), "HoldTime", text);
    }
    let default_port = conf.slurmctld_ports.first.checked_add(RAFT_PORT_OFFSET);
    let port = number("RaftPort").and_then(|port| u16::try_from(port).ok()).or(default_port);
    if port.is_none() {
        let text = "must be set, because SlurmctldPort leaves no room above it";
        report.error(&whole_file, Some("RaftPort"), text);
    }
    let peers = peers(source, conf, port.unwrap_or(0), &mut report);
    let data_dir = Some(text("DataDir")).filter(|text| !text.is_empty());
    let usual = || format!("{}/flurm-%h", conf.paths.state_save_location.trim_end_matches('/'));
    let flurm = FlurmConf {
        peers,
        data_dir_pattern: data_dir.map_or_else(usual, str::to_owned),
        listen_addrs: crate::fields::list(text("ListenAddr")),
        sack_socket: Some(text("SackSocket")).filter(|text| !text.is_empty()).map(str::to_owned),
        heartbeat_interval: heartbeat,
        election_timeout_min: least,
        election_timeout_max: most,
        group_commit_delay: span("GroupCommitDelay"),
        hold_time: span("HoldTime"),
        snapshot_every: number("SnapshotEvery").unwrap_or(1),
        warnings: Vec::new(),
    };
    let warnings = report.verdict()?;
    Ok(FlurmConf { warnings, ..flurm })
}

fn default_number(name: &str) -> Option<u64> {
    let key = key::find(table::FLURM, name).filter(|key| !key.default.is_empty())?;
    value::read(key.kind, key.default).ok().and_then(|value| value.number)
}

fn peers(source: &Source, conf: &Conf, port: u16, report: &mut Report) -> Vec<Peer> {
    let of_controller = |(host, id): (&crate::ControllerHost, u64)| Peer {
        id,
        name: host.name.clone(),
        addr: host.addr.clone(),
        port,
    };
    let mut peers: Vec<Peer> = conf.controllers.iter().zip(1..).map(of_controller).collect();
    let none = BTreeMap::new();
    for record in source.records.iter().filter(|record| record.key == "Peer") {
        let fields = Fields::new(record, &none);
        let Some(peer) = peers.iter_mut().find(|peer| peer.name == record.name) else {
            let names: Vec<&str> = conf.controllers.iter().map(|host| host.name.as_str()).collect();
            let text =
                format!("{} is no SlurmctldHost; those are {}", record.name, names.join(", "));
            report.error(&record.place, Some("Peer"), text);
            continue;
        };
        peer.addr = fields.some_text("Addr").unwrap_or_else(|| peer.addr.clone());
        peer.port = fields.small("Port", peer.port);
        peer.id = fields.number("Id").unwrap_or(peer.id);
        if peer.port == 0 || peer.id == 0 {
            report.error(&record.place, Some("Peer"), "Port and Id must be above 0");
        }
    }
    let ids: BTreeSet<u64> = peers.iter().map(|peer| peer.id).collect();
    if ids.len() < peers.len() {
        let place = source.records.last().map(|record| record.place.clone()).unwrap_or_default();
        report.error(&place, Some("Peer"), "two controllers have the same Id");
    }
    peers
}
