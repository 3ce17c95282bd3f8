//! How a member with an empty folder comes to take part.
//!
//! Either the cluster has never lived: then every member finds that all others hold nothing either,
//! and starts it with the configured members; all starting it at once is harmless, since they start
//! it with the same list. Or it has: then this member is late or lost its disk, and recovers as in
//! Viewstamped Replication: it asks until enough others have answered that one of them must know
//! everything this member can have agreed to, among them the leader of the newest term; it follows
//! from that term on, and votes once it has applied all that this leader held then.
//!
//! A file says that a member has yet to join, from before its log exists until it has joined, so a
//! crash in between changes nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_rt::{AsyncRuntime, Env, Fs, Select2};
use futures_util::future::join_all;

use crate::applier::Progress;
use crate::config::Config;
use crate::gate::{Gate, Phase};
use crate::handshake::Lane;
use crate::link::{StopWatch, stopped};
use crate::log;
use crate::machine::StateMachine;
use crate::message::{Reply, Request, Survey};
use crate::network::Links;
use crate::server::Raft;
use crate::types::PeerInfo;

const JOINING_FILE: &str = "joining";
const JOINING_TEXT: &[u8] =
    b"This member has yet to join its cluster. The file goes away when it has.\n";
/// Pause between two rounds of asking.
static ROUND_PAUSE: Knob<Duration> = Knob::new(
    "raft.join.round_pause",
    Duration::from_millis(100),
    Duration::from_millis(1),
    Duration::from_secs(1),
);
/// Longest wait for an answer.
static ANSWER_WAIT: Knob<Duration> = Knob::new(
    "raft.join.answer_wait",
    Duration::from_secs(1),
    Duration::from_millis(200),
    Duration::from_secs(5),
);
/// Rounds without progress between two log lines.
const ROUNDS_PER_LINE: u64 = 50;

fn path(folder: &Path) -> PathBuf {
    folder.join(JOINING_FILE)
}

/// Tells whether a member has yet to join, and makes that durable before its log exists. A cluster
/// of one has nobody to ask.
pub(crate) async fn begin<F: Fs>(fs: &F, config: &Config) -> io::Result<bool> {
    if config.members.len() == 1 {
        return Ok(false);
    }
    let names = fs.list(&config.folder).await?;
    if names.iter().any(|entry| entry.name == JOINING_FILE) {
        return Ok(true);
    }
    if names.iter().any(|entry| log::is_log_file(&entry.name)) {
        return Ok(false);
    }
    fs.replace(&path(&config.folder), JOINING_TEXT, 0o600).await?;
    Ok(true)
}

async fn end<F: Fs>(fs: &F, folder: &Path) -> io::Result<()> {
    fs.remove(&path(folder)).await?;
    fs.sync_dir(folder).await
}

/// What one round of asking says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// Nobody holds anything.
    NeverLived,
    /// The cluster lives; from this term on this member may follow.
    Lives { term: u64, last: u64 },
    /// Not enough answers yet.
    Unclear,
}

/// Judges the answers of the others, `None` for those that did not answer.
fn judge(members: usize, answers: &[Option<Survey>]) -> Finding {
    let others = members - 1;
    let heard: Vec<&Survey> = answers.iter().flatten().collect();
    if heard.len() == others && heard.iter().all(|survey| !survey.established) {
        return Finding::NeverLived;
    }
    // Only members that forgot nothing can vouch.
    let sound: Vec<&&Survey> = heard.iter().filter(|survey| !survey.joining).collect();
    let needed = (members / 2 + 1).min(others);
    if sound.len() < needed {
        return Finding::Unclear;
    }
    let newest = heard.iter().map(|survey| survey.term).max().unwrap_or(0);
    let leader = sound.iter().find(|survey| survey.leads && survey.term == newest);
    match leader.and_then(|leader| leader.last) {
        Some(last) => Finding::Lives { term: newest, last },
        None => Finding::Unclear,
    }
}

/// Brings a member into its cluster, or the cluster to life.
pub(crate) struct Join<E: Env, S: StateMachine> {
    pub(crate) env: E,
    pub(crate) config: Arc<Config>,
    pub(crate) raft: Raft<E, S>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) links: Links<E>,
    pub(crate) progress: Arc<Progress>,
}

impl<E: Env, S: StateMachine> Join<E, S> {
    /// Works until this member takes part fully.
    pub(crate) async fn run(self, mut stop: StopWatch<E>) {
        let stopping = Box::pin(stopped::<E>(&mut stop));
        if let Select2::Second(Err(text)) = E::Rt::select2(stopping, Box::pin(self.work())).await {
            tracing::error!("could not join the cluster: {text}");
        }
    }

    async fn work(&self) -> Result<(), String> {
        if self.config.members.len() == 1 {
            return initialize::<E, S>(&self.raft, &self.config).await;
        }
        let mut round: u64 = 0;
        loop {
            let phase = self.gate.phase();
            if let Phase::Follow { last, .. } = phase {
                if last < self.progress.applied.load(Ordering::Acquire) {
                    flurm_base::sometimes!("a member with an empty folder caught up");
                    tracing::info!("caught up with the cluster; this member votes from here on");
                    return self.open().await;
                }
            } else {
                if phase == Phase::Open && self.is_initialized().await? {
                    return Ok(());
                }
                let answers = self.ask().await;
                match judge(self.config.members.len(), &answers) {
                    Finding::NeverLived => return self.bring_to_life(phase).await,
                    Finding::Lives { term, last } if phase == Phase::Shut => {
                        tracing::info!(
                            term,
                            last,
                            "this member's folder is empty but the cluster lives; catching up"
                        );
                        self.gate.set(Phase::Follow { term, last });
                    }
                    Finding::Lives { .. } | Finding::Unclear => {}
                }
                round += 1;
                if round.is_multiple_of(ROUNDS_PER_LINE) {
                    self.say_who_is_missing(&answers);
                }
            }
            E::Rt::sleep(ROUND_PAUSE.get()).await;
        }
    }

    async fn is_initialized(&self) -> Result<bool, String> {
        self.raft.is_initialized().await.map_err(|error| error.to_string())
    }

    fn say_who_is_missing(&self, answers: &[Option<Survey>]) {
        let silent: Vec<u64> = self
            .links
            .peers()
            .into_iter()
            .zip(answers)
            .filter(|(_, answer)| answer.is_none())
            .map(|(id, _)| id)
            .collect();
        tracing::info!(?silent, "this member waits for others before it takes part");
    }

    /// Asks every other member, in the order of their ids.
    async fn ask(&self) -> Vec<Option<Survey>> {
        let asking = self.links.peers().into_iter().map(|peer| async move {
            let link = self.links.link(peer, Lane::Control)?;
            match link.call(&Request::Survey, ANSWER_WAIT.get()).await {
                Ok(Reply::Survey(survey)) => Some(survey),
                Ok(_) | Err(_) => None,
            }
        });
        join_all(asking).await
    }

    async fn open(&self) -> Result<(), String> {
        let ended = end(self.env.fs(), &self.config.folder).await;
        ended.map_err(|error| error.to_string())?;
        self.gate.set(Phase::Open);
        self.raft.runtime_config().elect(true);
        Ok(())
    }

    async fn bring_to_life(&self, phase: Phase) -> Result<(), String> {
        if phase != Phase::Open {
            self.open().await?;
        }
        initialize(&self.raft, &self.config).await
    }
}

/// Starts the cluster with the configured members. Harmless when it has started meanwhile.
pub(crate) async fn initialize<E: Env, S: StateMachine>(
    raft: &Raft<E, S>,
    config: &Config,
) -> Result<(), String> {
    let info = |name: &str, addr: String| PeerInfo { name: name.to_owned(), addr };
    let members: BTreeMap<u64, PeerInfo> = config
        .members
        .iter()
        .map(|member| (member.id, info(&member.name, member.addr.to_string())))
        .collect();
    match raft.initialize(members).await {
        Ok(()) => tracing::info!("the cluster starts its life"),
        Err(error) => match error.fatal() {
            Some(fatal) => return Err(fatal.to_string()),
            // A leader was faster.
            None => tracing::debug!("the cluster was started already: {error}"),
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank() -> Option<Survey> {
        Some(Survey { joining: true, established: false, term: 0, leads: false, last: None })
    }

    fn member(term: u64, leads: bool, last: u64) -> Option<Survey> {
        Some(Survey { joining: false, established: true, term, leads, last: Some(last) })
    }

    #[test]
    fn a_cluster_starts_only_when_all_others_hold_nothing() {
        assert_eq!(judge(3, &[blank(), blank()]), Finding::NeverLived);
        assert_eq!(judge(3, &[blank(), None]), Finding::Unclear);
        assert_eq!(judge(3, &[blank(), member(1, true, 5)]), Finding::Unclear);
    }

    #[test]
    fn following_needs_enough_sound_members_and_the_newest_leader() {
        let lives = Finding::Lives { term: 4, last: 9 };
        assert_eq!(judge(3, &[member(4, true, 9), member(4, false, 8)]), lives);
        assert_eq!(judge(3, &[member(4, true, 9), None]), Finding::Unclear);
        // An older leader that does not know of its successor's election.
        assert_eq!(judge(3, &[member(4, true, 9), member(5, false, 8)]), Finding::Unclear);
        assert_eq!(
            judge(5, &[member(4, true, 9), member(3, false, 1), blank(), None]),
            Finding::Unclear
        );
        let three = [member(4, true, 9), member(3, false, 1), None, member(2, false, 0)];
        assert_eq!(judge(5, &three), lives);
        assert_eq!(judge(2, &[member(4, true, 9)]), lives);
    }
}
