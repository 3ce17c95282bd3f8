//! Reading configuration and keys again while a daemon runs.
//!
//! `scontrol reconfigure`, or SIGHUP to any controller, makes the leading controller read its files
//! and put what they say into the log; the others read theirs when they apply that; then every node
//! daemon is asked to, and tells its step daemons. Slurm's daemons since 23.11 start themselves anew
//! instead, with the same effect (`reconfigure_slurm` in `slurmctld/controller.c`).
//!
//! The request to the nodes is signed with the keys that were in force before, because nodes do not
//! know the new ones yet. A file that is wrong is told in the log and to whoever asked, and the old
//! keys stay in force.

use std::time::Duration;

use flurm_base::RequestKey;
use flurm_model::{NodeBase, NodeName};
use flurm_rt::{AsyncRuntime, Env};
use flurm_wire::messages::ReturnCode;
use flurm_wire::{Errno, Message, Release};

use crate::auth_cell::AuthCell;
use crate::bell::Bell;
use crate::controller::Controller;
use crate::peers::{Forwarded, ForwardedAnswer};
use crate::rpc::Rpc;
use crate::setup::Setup;
use crate::task::detach;
use crate::{launcher, leader, session};

/// Nodes told at the same time.
const TOLD_MAX: usize = 64;
/// Tries for each node; one that cannot be reached reads its files when it starts.
const TRIES_MAX: u32 = 3;
/// Pause between two tries.
const TRY_PAUSE: Duration = Duration::from_secs(2);

/// Reads the leader's files, makes the log and the nodes follow.
///
/// # Errors
/// What is wrong with which file, or why the log did not take it; then nothing has changed for
/// others.
pub(crate) async fn reconfigure<E: Env>(controller: &Controller<E>) -> Result<(), String> {
    let before = controller.setup().auth_cell().frozen();
    leader::configure(controller).await?;
    let nodes: Vec<NodeName> = {
        let replica = controller.replica();
        let nodes = replica.cluster().nodes().filter(|node| node.base != NodeBase::Future);
        nodes.map(|node| node.conf.name.clone()).collect()
    };
    let controller = controller.clone();
    detach::<E>(async move {
        for group in nodes.chunks(TOLD_MAX) {
            let told: Vec<_> = group
                .iter()
                .map(|node| E::Rt::spawn(tell(controller.clone(), before.clone(), node.clone())))
                .collect();
            for task in told {
                let _ = task.await;
            }
        }
    });
    Ok(())
}

async fn tell<E: Env>(controller: Controller<E>, before: AuthCell<E>, node: NodeName) {
    let rpc = Rpc::new(controller.env().clone(), before);
    for _ in 0..TRIES_MAX {
        let told = launcher::ask_by(&rpc, &controller, &node, &Message::RequestReconfigure).await;
        match told {
            Ok(_) => return,
            Err(text) => tracing::debug!("{node} was not told to read its files again: {text}"),
        }
        E::Rt::sleep(TRY_PAUSE).await;
    }
    tracing::warn!("{node} could not be told to read its files again");
}

/// A controller that does not lead follows what a leader read: it reads its own files.
pub(crate) async fn follow<E: Env>(controller: &Controller<E>, seen: &mut u64) {
    let configured = controller.replica().configured();
    if *seen == configured {
        return;
    }
    *seen = configured;
    report(controller.setup()).await;
}

/// Reads all files of a daemon again, and tells the log what is wrong. True when nothing is.
async fn report<E: Env>(setup: &Setup<E>) -> bool {
    let read = setup.reload().await;
    if let Err(text) = &read {
        tracing::error!("could not read the configuration again, the old stays in force: {text}");
    }
    read.is_ok()
}

/// Serves a controller's bell for ever.
pub(crate) async fn obey<E: Env>(controller: Controller<E>, bell: Bell) {
    loop {
        bell.heard().await;
        if let Err(text) = ask_leader(&controller).await {
            tracing::error!("could not reconfigure: {text}");
        }
        // Whether or not there was a leader: a controller with old keys may be the reason.
        report(controller.setup()).await;
    }
}

async fn ask_leader<E: Env>(controller: &Controller<E>) -> Result<(), String> {
    let mut key = [0; 16];
    controller.env().random(&mut key);
    let (release, message) = (Release::NEWEST, Message::RequestReconfigure);
    let request = Forwarded {
        uid: controller.setup().slurm_uid(),
        gid: 0,
        key: Some(RequestKey(key).0),
        user: None,
        peer: String::new(),
        release: release.version(),
        msg_type: message.msg_type(),
        body: message.to_bytes(release),
    };
    let wait = controller.hold_max();
    let (msg_type, body) = match session::ask_leader(controller, &request, wait).await {
        Some(ForwardedAnswer::Reply { msg_type, body }) => (msg_type, body),
        Some(ForwardedAnswer::NotLeader) | None => return Err("no controller leads".into()),
    };
    match Message::decode(msg_type, release, &body) {
        Ok(Message::ResponseSlurmRc(ReturnCode { return_code: 0 })) => Ok(()),
        Ok(Message::ResponseSlurmRc(answer)) => Err(Errno(answer.return_code).to_string()),
        Ok(Message::ResponseSlurmRcMsg(answer)) => Err(answer.err_msg.unwrap_or_default()),
        Ok(other) => Err(format!("unexpected reply {}", other.name())),
        Err(error) => Err(error.to_string()),
    }
}

/// Serves a node daemon's bell for ever: reads the files and tells the step daemons.
pub(crate) async fn obey_on_node<E: Env>(daemon: crate::node::NodeDaemon<E>) {
    loop {
        daemon.bell().heard().await;
        tracing::info!("reading configuration and keys again");
        if !report(daemon.setup()).await {
            continue;
        }
        if let Err(text) = daemon.copy_keys().await {
            tracing::error!("{text}");
        }
        if let Err(text) = daemon.reload_gres().await {
            tracing::error!("could not read gres.conf again, the old stays in force: {text}");
        }
        crate::node_attempts::ring_stepds(&daemon).await;
    }
}

/// Serves a step daemon's bell for ever.
pub(crate) async fn obey_in_step<E: Env>(setup: Setup<E>, bell: Bell) {
    loop {
        bell.heard().await;
        if let Err(text) = setup.reread_keys().await {
            tracing::error!("could not read keys again, the old stay in force: {text}");
        }
    }
}
