//! One connection of a client or a node: one request, one reply.
//!
//! Any replica takes any request. The leader answers it; another replica verifies it and forwards it;
//! while there is no leader it waits, and only when waiting longer would outlast the client is the
//! client sent to another controller.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_base::{RequestKey, Span};
use flurm_ctld::Refused;
use flurm_raft::{ForwardError, ForwardFuture};
use flurm_rt::{Addr, AsyncRuntime, Clock, Env, Ident, Listener, Net, Peer, Select2};
use flurm_wire::messages::ReturnCode;
use flurm_wire::{AuthBlock, Errno, Frame, Header, Message, Release, frame};

use crate::auth::Verified;
use crate::auth_settings::Kind;
use crate::controller::Controller;
use crate::frame_io::{FrameError, read_frame, write_frame};
use crate::munge::UID_ANY;
use crate::peers::{Forwarded, ForwardedAnswer};
use crate::serve;
use crate::task::detach;

/// Connections served at once; more wait in the kernel's queue.
static SESSIONS_MAX: Knob<usize> = Knob::new("host.session.sessions_max", 1_024, 4, 1_024);
/// A request must have come whole within this time.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// A reply must be taken within this time.
const REPLY_MAX: Duration = Duration::from_secs(30);
/// Pause after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often a client that waits for a leader is looked at: has it hung up?
static WAIT_PAUSE: Knob<Duration> = Knob::new(
    "host.session.wait_pause",
    Duration::from_millis(50),
    Duration::from_millis(1),
    Duration::from_millis(500),
);
/// A forwarded request is answered within this time, or asked again: the leader may be cut off.
/// Asking again is harmless, since the request keeps its key.
static FORWARD_MAX: Knob<Span> =
    Knob::new("host.session.forward_max", Span::secs(3), Span::millis(500), Span::secs(8));

/// Listens where clients look for this controller.
pub(crate) async fn listen<E: Env>(
    controller: &Controller<E>,
) -> Result<Vec<<E::Net as Net>::Listener>, String> {
    let mut listeners = Vec::new();
    for addr in controller.setup().controller_listen_addrs(controller.position()).await? {
        let listener = controller.env().net().listen(&Addr::Ip(addr)).await;
        listeners.push(listener.map_err(|error| format!("could not listen on {addr}: {error}"))?);
        tracing::info!("serving Slurm's clients on {addr}");
    }
    Ok(listeners)
}

/// Accepts connections for ever.
pub(crate) async fn accept<E: Env>(
    controller: Controller<E>,
    mut listener: <E::Net as Net>::Listener,
) {
    let sessions = Arc::new(AtomicUsize::new(0));
    loop {
        if sessions.load(Ordering::Relaxed) >= SESSIONS_MAX.get() {
            E::Rt::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                sessions.fetch_add(1, Ordering::Relaxed);
                let (controller, sessions) = (controller.clone(), sessions.clone());
                detach::<E>(async move {
                    session(&controller, stream, &peer).await;
                    sessions.fetch_sub(1, Ordering::Relaxed);
                });
            }
            Err(error) => {
                tracing::warn!("could not accept a connection: {error}");
                E::Rt::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Who is to read a reply, and how that peer expects it to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Nobody that is known: the reply is signed as this daemon signs.
    Anybody,
    /// The user whose credential, of this kind, came with the request.
    User(Kind, u32),
}

async fn session<E: Env>(
    controller: &Controller<E>,
    mut stream: <E::Net as Net>::Stream,
    peer: &Peer,
) {
    let bytes = match read_frame::<E, _>(&mut stream, REQUEST_MAX).await {
        Ok(bytes) => bytes,
        Err(FrameError::Closed) => return,
        Err(error) => {
            tracing::info!("refused a connection: {error}");
            return;
        }
    };
    let frame = match frame::split(&bytes) {
        Ok(frame) => frame,
        Err(error) => {
            tracing::info!("refused a message: {error}");
            answer_unreadable(controller, &mut stream, &error).await;
            return;
        }
    };
    let release = frame.header.release;
    let reply = match verify(controller, &frame).await {
        Ok(verified) => {
            let reader = Reader::User(verified.kind, verified.identity.uid);
            let reply = respond(controller, &stream, &frame, verified, peer).await;
            reply.map(|(msg_type, body)| (msg_type, body, reader))
        }
        Err(refused) => {
            let message = refused.message();
            Some((message.msg_type(), message.to_bytes(release), Reader::Anybody))
        }
    };
    if let Some((msg_type, body, reader)) = reply {
        send(controller, &mut stream, release, msg_type, &body, reader).await;
    }
}

/// A peer whose frame cannot be read is told so in a release that it can read.
async fn answer_unreadable<E: Env>(
    controller: &Controller<E>,
    stream: &mut <E::Net as Net>::Stream,
    error: &frame::FrameError,
) {
    let (errno, release) = match error {
        frame::FrameError::Version { .. } => (Errno::SLURM_PROTOCOL_VERSION_ERROR, Release::OLDEST),
        _ => (Errno::ESLURM_PROTOCOL_INCOMPLETE_PACKET, Release::NEWEST),
    };
    let message = code(errno);
    let body = message.to_bytes(release);
    send(controller, stream, release, message.msg_type(), &body, Reader::Anybody).await;
}

async fn verify<E: Env>(
    controller: &Controller<E>,
    frame: &Frame<'_>,
) -> Result<Verified, Refused> {
    let auth = controller.setup().auth();
    let msg_type = frame.header.msg_type;
    let verified = auth.verify(frame.auth.as_ref(), msg_type, frame.body).await;
    verified.map_err(|unverified| {
        tracing::warn!(msg_type, "refused a message: {unverified}");
        Refused::plain(unverified.errno.0)
    })
}

/// The reply's kind and body; `None` when the client is gone.
async fn respond<E: Env>(
    controller: &Controller<E>,
    stream: &<E::Net as Net>::Stream,
    frame: &Frame<'_>,
    verified: Verified,
    peer: &Peer,
) -> Option<(u16, Vec<u8>)> {
    let release = frame.header.release;
    let plain = |message: Message| Some((message.msg_type(), message.to_bytes(release)));
    let message = match frame.message() {
        Ok(message) => message,
        Err(error) => {
            tracing::info!(msg_type = frame.header.msg_type, "refused a message: {error}");
            return plain(code(unreadable_body(&error)));
        }
    };
    if verified.replayed && !is_repetition(controller, &verified) {
        flurm_base::sometimes!("a repeated credential was refused");
        tracing::warn!(uid = verified.identity.uid, "refused a replayed credential");
        return plain(code(Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR));
    }
    if let Some(reply) = serve::locally(controller, &message, release, verified.identity).await {
        return plain(reply);
    }
    let forwarded = Forwarded {
        uid: verified.identity.uid,
        gid: verified.identity.gid,
        key: Some(verified.key.unwrap_or_else(|| fresh_key(controller)).0),
        user: user_of(controller, &message, &verified).await,
        peer: match &peer.addr {
            Addr::Ip(addr) => addr.ip().to_string(),
            Addr::Local(_) => String::new(),
        },
        release: release.version(),
        msg_type: frame.header.msg_type,
        body: frame.body.to_vec(),
    };
    through_leader(controller, stream, &forwarded).await
}

fn unreadable_body(error: &flurm_wire::DecodeError) -> Errno {
    match error.fault {
        flurm_wire::Fault::UnknownMessage { .. } => Errno::SLURM_UNEXPECTED_MSG_ERROR,
        _ => Errno::ESLURM_PROTOCOL_INCOMPLETE_PACKET,
    }
}

/// A credential that munged has seen may be the client's own repetition of a submission that was
/// accepted; everything else that comes twice is refused.
fn is_repetition<E: Env>(controller: &Controller<E>, verified: &Verified) -> bool {
    let Some(key) = verified.key else { return false };
    controller.replica().cluster().submitted(&key).is_some()
}

fn fresh_key<E: Env>(controller: &Controller<E>) -> RequestKey {
    let mut key = [0; 16];
    controller.env().random(&mut key);
    RequestKey(key)
}

/// Name and groups of the user a submission is for: from the sender's own credential where it tells,
/// else as this machine knows them.
async fn user_of<E: Env>(
    controller: &Controller<E>,
    message: &Message,
    sender: &Verified,
) -> Option<(String, Vec<u32>)> {
    let desc = match message {
        Message::RequestSubmitBatchJob(desc)
        | Message::RequestResourceAllocation(desc)
        | Message::RequestJobWillRun(desc) => desc,
        _ => return None,
    };
    let uid = flurm_ctld::owner_uid(desc, sender.identity.uid);
    if let Some(user) = sender.user.as_ref().filter(|_| uid == sender.identity.uid) {
        return Some((user.name.clone(), user.groups.clone()));
    }
    match controller.env().ident().user_by_id(uid).await {
        Ok(user) => user.map(|user| (user.name, user.groups)),
        Err(error) => {
            tracing::warn!("could not look up uid {uid}: {error}");
            None
        }
    }
}

/// Asks whoever leads, again and again until there is an answer, the client hangs up, or the client
/// would not wait any longer.
async fn through_leader<E: Env>(
    controller: &Controller<E>,
    stream: &<E::Net as Net>::Stream,
    request: &Forwarded,
) -> Option<(u16, Vec<u8>)> {
    let clock = controller.env().clock();
    let deadline = clock.monotonic() + controller.hold_max();
    let mut asked = false;
    loop {
        if <E::Net as Net>::hung_up(stream) {
            flurm_base::sometimes!("a client hung up before its request was taken");
            return None;
        }
        let left = deadline - clock.monotonic();
        if left == Span(0) {
            flurm_base::sometimes!("a client was sent to another controller");
            let message = code(Errno::ESLURM_IN_STANDBY_MODE);
            let release = Release::from_version(request.release)?;
            return Some((message.msg_type(), message.to_bytes(release)));
        }
        match ask_leader(controller, request, left).await {
            Some(ForwardedAnswer::Reply { msg_type, body }) => {
                if asked {
                    flurm_base::sometimes!("a request was answered after a change of leaders");
                }
                return Some((msg_type, body));
            }
            Some(ForwardedAnswer::NotLeader) | None => {
                asked = true;
                wait_for_leader(controller).await;
            }
        }
    }
}

/// Asks whoever leads once. `None` where nobody does, or the answer was lost.
pub(crate) async fn ask_leader<E: Env>(
    controller: &Controller<E>,
    request: &Forwarded,
    wait: Span,
) -> Option<ForwardedAnswer> {
    if controller.leading().is_some() || serve::answers_anyway(request.msg_type) {
        return Some(serve::as_leader(controller, request).await);
    }
    let raft = controller.raft();
    let leader = raft.leader().filter(|leader| leader.id != raft.status().id)?;
    match raft.forward(leader.id, request.encode(), wait.min(FORWARD_MAX.get())).await {
        Ok(bytes) => ForwardedAnswer::decode(&bytes).ok(),
        Err(ForwardError::Unknown) => {
            flurm_base::sometimes!("a forwarded request got no answer");
            if flurm_base::planted::is("host_refuses_what_it_may_have_taken") {
                let message = code(Errno::SLURM_ERROR);
                let body = message.to_bytes(Release::from_version(request.release)?);
                return Some(ForwardedAnswer::Reply { msg_type: message.msg_type(), body });
            }
            None
        }
        Err(_) => None,
    }
}

/// Waits for news of a leader, but no longer than a moment: the client may hang up meanwhile.
async fn wait_for_leader<E: Env>(controller: &Controller<E>) {
    let mut watch = controller.raft().watch();
    let seen = watch.current().leader;
    let news = async {
        while watch.current().leader == seen {
            if !watch.changed().await {
                // The log has stopped: there is no news any more, and only the pause ends the wait.
                std::future::pending::<()>().await;
            }
        }
    };
    let pause = E::Rt::sleep(WAIT_PAUSE.get());
    match E::Rt::select2(Box::pin(news), Box::pin(pause)).await {
        Select2::First(()) | Select2::Second(()) => {}
    }
}

/// Answers requests that other controllers forward here.
pub(crate) fn serve_forwarded<E: Env>(controller: &Controller<E>) {
    // The handler belongs to the Raft node, which the controller owns: it must not own it in turn.
    let answering = controller.downgrade();
    controller.raft().on_forward(Arc::new(move |_peer, bytes: Vec<u8>| -> ForwardFuture {
        let controller = answering.upgrade();
        Box::pin(async move {
            let answer = match (controller, Forwarded::decode(&bytes)) {
                (Some(controller), Ok(request)) => serve::as_leader(&controller, &request).await,
                (None, _) => ForwardedAnswer::NotLeader,
                (Some(_), Err(error)) => {
                    tracing::error!("could not read a forwarded request: {error}");
                    ForwardedAnswer::NotLeader
                }
            };
            answer.encode()
        })
    }));
}

async fn send<E: Env>(
    controller: &Controller<E>,
    stream: &mut <E::Net as Net>::Stream,
    release: Release,
    msg_type: u16,
    body: &[u8],
    reader: Reader,
) {
    // Stock clients of 22.05 want every reply signed; later ones take it as slurmctld sends it.
    let signed = release < Release::V23_02;
    let mut auth: Option<AuthBlock> = None;
    if signed {
        let signer = controller.setup().auth();
        let block = match reader {
            Reader::Anybody => signer.sign(release, msg_type, body, UID_ANY).await,
            Reader::User(kind, uid) => signer.sign_as(kind, release, msg_type, body, uid).await,
        };
        match block {
            Ok(block) => auth = Some(block),
            Err(error) => {
                tracing::error!("could not sign a reply: {error}");
                return;
            }
        }
    }
    let bytes = frame::build(Header::new(release, msg_type), auth.as_ref(), body);
    if let Err(error) = write_frame::<E, _>(stream, &bytes, REPLY_MAX).await {
        tracing::debug!("could not send a reply: {error}");
    }
}

fn code(errno: Errno) -> Message {
    Message::ResponseSlurmRc(ReturnCode { return_code: errno.0 })
}
