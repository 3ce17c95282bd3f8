//! A controller and an accounting daemon that say whatever a test wants to hear read out.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flurm_wire::frame::{self, Frame, LENGTH_BYTES};
use flurm_wire::messages::{ReturnCode, SrunTimeout};
use flurm_wire::persist::{self, PersistRc};
use flurm_wire::{
    AuthBlock, DbdMessage, Header, Message, NO_VAL, Release, StepId, UnixTime, names,
};

use crate::accounting;
use crate::cases::Answer;
use crate::errands;
use crate::nodes;

/// Longest wait for the rest of a request.
const READ_WAIT_MAX: Duration = Duration::from_secs(5);
/// When every job ends.
const END_S: i64 = 4_000_000_000;
/// Requests on one persistent connection.
const REQUESTS_MAX: usize = 100;

/// What is answered to each kind of request; what a cluster without anything says to any other.
pub(crate) type Replies = Vec<(u16, Answer)>;

/// A server that answers until the test ends.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens, on loopback.
    pub(crate) port: u16,
    replies: Arc<Mutex<Replies>>,
}

impl Server {
    /// Starts one.
    #[expect(clippy::disallowed_methods, reason = "real clients speak to real sockets")]
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let replies: Arc<Mutex<Replies>> = Arc::default();
        let shared = Arc::clone(&replies);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let replies = shared.lock().unwrap().clone();
                // A client that hangs up early has seen enough. One may hold two connections.
                std::thread::spawn(move || answer(stream, &replies));
            }
        });
        Self { port, replies }
    }

    /// Replaces what is answered from here on.
    pub(crate) fn say(&self, replies: Replies) {
        *self.replies.lock().unwrap() = replies;
    }
}

fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut prefix = [0; LENGTH_BYTES];
    stream.read_exact(&mut prefix)?;
    let length = persist::length(prefix, frame::REQUEST_BYTES_MAX).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn answer(mut stream: TcpStream, replies: &Replies) -> io::Result<()> {
    stream.set_read_timeout(Some(READ_WAIT_MAX))?;
    let bytes = receive(&mut stream)?;
    let request = frame::split(&bytes).map_err(io::Error::other)?;
    let asked = request.header.msg_type;
    if asked == names::REQUEST_PERSIST_INIT {
        return converse(stream, request.header.release, replies);
    }
    let found = replies.iter().find_map(|(kind, answer)| match answer {
        Answer::Controller(message) if *kind == asked => Some(message.clone()),
        _ => None,
    });
    let message = found.unwrap_or_else(|| fallback(&request));
    stream.write_all(&reply(request.header.release, &message))
}

/// A persistent connection, up to its end.
fn converse(mut stream: TcpStream, release: Release, replies: &Replies) -> io::Result<()> {
    let port = stream.local_addr()?.port();
    let ret_info = release.version();
    let welcome = PersistRc { comment: None, flags: 0, rc: 0, ret_info };
    let welcome = DbdMessage::PersistRc(welcome);
    stream.write_all(&persist::build_message(&welcome, release))?;
    for _ in 0..REQUESTS_MAX {
        let bytes = receive(&mut stream)?;
        let parts = persist::split(&bytes).map_err(io::Error::other)?;
        let asked = parts.msg_type;
        let found = replies.iter().find_map(|(kind, answer)| match answer {
            Answer::Accounting(message) if *kind == asked => Some(message.clone()),
            _ => None,
        });
        let message = found.unwrap_or_else(|| accounting::fallback(asked, release, port));
        stream.write_all(&persist::build_message(&message, release))?;
    }
    Ok(())
}

/// What is true of a cluster that has nothing.
fn fallback(request: &Frame<'_>) -> Message {
    let Header { msg_type: asked, release, .. } = request.header;
    let default = |kind: u16| {
        let entry = Message::REGISTERED.iter().find(|entry| entry.msg_type == kind);
        entry.expect("only registered answers are named").default()
    };
    match asked {
        names::REQUEST_NODE_INFO => nodes::known_nodes(),
        names::REQUEST_PARTITION_INFO => nodes::known_partitions(),
        names::REQUEST_STEP_LAYOUT => nodes::known_layout(release.version()),
        names::REQUEST_JOB_INFO => default(names::RESPONSE_JOB_INFO),
        names::REQUEST_JOB_INFO_SINGLE => nodes::known_jobs(),
        names::REQUEST_JOB_STEP_INFO => nodes::known_steps(release.version(), asked_step(request)),
        names::REQUEST_JOB_READY => {
            Message::ResponseJobReady(ReturnCode { return_code: errands::READY })
        }
        names::REQUEST_JOB_END_TIME => Message::SrunTimeout(SrunTimeout {
            step_id: StepId::step(1, 0),
            timeout: UnixTime(END_S),
        }),
        names::REQUEST_BUILD_INFO => default(names::RESPONSE_BUILD_INFO),
        names::REQUEST_FED_INFO => default(names::RESPONSE_FED_INFO),
        names::REQUEST_RESERVATION_INFO => default(names::RESPONSE_RESERVATION_INFO),
        _ => Message::ResponseSlurmRc(ReturnCode { return_code: 0 }),
    }
}

/// The step that a client wants to know about, if it names one.
fn asked_step(request: &Frame<'_>) -> StepId {
    match request.message() {
        Ok(Message::RequestJobStepInfo(query)) if query.step_id.step_id != NO_VAL => query.step_id,
        _ => StepId::step(1, 2),
    }
}

/// Signed in the way of auth/none, which every release believes when it is told to.
fn reply(release: Release, message: &Message) -> Vec<u8> {
    let auth = AuthBlock::None { uid: 0, gid: 0, hostname: Some("localhost".to_owned()) };
    let header = Header::new(release, message.msg_type());
    frame::build(header, Some(&auth), &message.to_bytes(release))
}
