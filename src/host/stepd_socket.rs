//! The local socket of a step daemon: there while it lives, and how the node daemon asks it for
//! things.
//!
//! A request is a byte that names it, and where it carries something a length and a record; so is an
//! answer, without the byte.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flurm_node::attach::{AttachOrder, Attached, BYTES_MAX};
use flurm_rt::{Addr, AsyncRuntime, Env, Listener, Net};
use flurm_wire::Errno;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::bell::Bell;
use crate::spool::AttemptFolder;
use crate::step_hub::Hub;
use crate::task::detach;

/// Connections to a step daemon kept at once: the node daemon's watchers.
const WATCHERS_MAX: usize = 64;
/// What the node daemon writes to a step daemon that is to read its keys again.
const REREAD: u8 = b'k';
/// What it writes in front of an order to attach a client.
const ATTACH: u8 = b'a';
/// What it writes to be told which tasks run.
const TASKS: u8 = b't';
/// A step daemon must have answered within this time.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Listens on the folder's socket and keeps every connection until this daemon ends. Clients attach
/// to the hub, where there is one.
pub(crate) async fn hold<E: Env>(
    env: &E,
    folder: &AttemptFolder,
    bell: Bell,
    hub: Option<Hub<E>>,
) -> Result<<E::Rt as AsyncRuntime>::JoinHandle<()>, String> {
    let listener = env.net().listen(&Addr::Local(folder.socket())).await;
    let mut listener = listener.map_err(|error| format!("could not listen: {error}"))?;
    let env = env.clone();
    Ok(E::Rt::spawn(async move {
        let watchers = Arc::new(AtomicUsize::new(0));
        while let Ok((stream, _)) = listener.accept().await {
            if watchers.load(Ordering::Relaxed) >= WATCHERS_MAX {
                continue;
            }
            watchers.fetch_add(1, Ordering::Relaxed);
            let (bell, watchers) = (bell.clone(), watchers.clone());
            let (env, hub) = (env.clone(), hub.clone());
            detach::<E>(async move {
                serve(&env, stream, &bell, hub.as_ref()).await;
                watchers.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }))
}

async fn serve<E: Env>(
    env: &E,
    mut stream: <E::Net as Net>::Stream,
    bell: &Bell,
    hub: Option<&Hub<E>>,
) {
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte).await {
        if byte == [REREAD] {
            bell.ring();
        }
        if byte == [TASKS] {
            let tasks = hub.map(Hub::tasks).unwrap_or_default();
            if send(&mut stream, &Attached { errno: 0, tasks }.encode()).await.is_err() {
                return;
            }
        }
        if byte == [ATTACH] {
            let Ok(order) = receive(&mut stream).await else { return };
            let answer = match (AttachOrder::decode(&order), hub) {
                (Ok(order), Some(hub)) => hub.attach(env, &order).await,
                (Ok(_), None) => refused(Errno::ESLURMD_STEP_NOTRUNNING),
                (Err(text), _) => {
                    tracing::warn!("an order to attach makes no sense: {text}");
                    refused(Errno::ESLURM_NOT_SUPPORTED)
                }
            };
            if send(&mut stream, &answer.encode()).await.is_err() {
                return;
            }
        }
    }
}

fn refused(errno: Errno) -> Attached {
    Attached { errno: errno.0, tasks: Vec::new() }
}

async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, String> {
    let length = stream.read_u32().await.map_err(|error| error.to_string())?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > BYTES_MAX {
        return Err(format!("{length} bytes are announced, where {BYTES_MAX} are allowed"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(|error| error.to_string())?;
    Ok(bytes)
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), String> {
    let length = u32::try_from(bytes.len()).map_err(|error| error.to_string())?;
    stream.write_u32(length).await.map_err(|error| error.to_string())?;
    stream.write_all(bytes).await.map_err(|error| error.to_string())
}

/// Asks the step daemon of a folder to read its keys again.
///
/// # Errors
/// When it cannot be told; one that is gone is no error.
pub(crate) async fn ring<E: Env>(env: &E, socket: &Path) -> std::io::Result<()> {
    let Ok(mut stream) = env.net().connect(&Addr::Local(socket.to_path_buf())).await else {
        return Ok(());
    };
    stream.write_all(&[REREAD]).await
}

/// Asks the step daemon of a folder to attach a client.
///
/// # Errors
/// When it is gone or does not answer, in words.
pub(crate) async fn attach<E: Env>(
    env: &E,
    socket: &Path,
    order: &AttachOrder,
) -> Result<Attached, String> {
    let asked = async {
        let connected = env.net().connect(&Addr::Local(socket.to_path_buf())).await;
        let mut stream = connected.map_err(|error| error.to_string())?;
        stream.write_all(&[ATTACH]).await.map_err(|error| error.to_string())?;
        send(&mut stream, &order.encode()).await?;
        Attached::decode(&receive(&mut stream).await?)
    };
    let answered = E::Rt::timeout(ANSWER_MAX, asked).await;
    answered.map_err(|_| "the step daemon does not answer".to_owned())?
}

/// Asks the step daemon of a folder which tasks run.
///
/// # Errors
/// When it is gone or does not answer, in words.
pub(crate) async fn tasks<E: Env>(env: &E, socket: &Path) -> Result<Attached, String> {
    let asked = async {
        let connected = env.net().connect(&Addr::Local(socket.to_path_buf())).await;
        let mut stream = connected.map_err(|error| error.to_string())?;
        stream.write_all(&[TASKS]).await.map_err(|error| error.to_string())?;
        Attached::decode(&receive(&mut stream).await?)
    };
    let answered = E::Rt::timeout(ANSWER_MAX, asked).await;
    answered.map_err(|_| "the step daemon does not answer".to_owned())?
}
