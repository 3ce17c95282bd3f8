//! Serves tokens of auth/slurm to the programs of this machine, which do not hold the cluster's key:
//! Slurm's "sack" (`src/plugins/auth/slurm/sack.c`). Programs of 23.11 and later ask here.
//!
//! Who asks is what the kernel says about the other end of the socket, never what the request says.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flurm_rt::{Addr, AsyncRuntime, Env, Fs, Listener, Net, PeerCredential};
use flurm_wire::sack::{self, SackRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::auth::Auth;
use crate::auth_cell::AuthCell;
use crate::task::detach;

/// Where programs look for a controller's socket.
pub(crate) const CONTROLLER_SOCKET: &str = "/run/slurmctld/sack.socket";
/// Where programs look for a node daemon's socket, and for sackd's.
pub(crate) const NODE_SOCKET: &str = "/run/slurm/sack.socket";

/// Connections served at once; more wait in the kernel's queue.
const SESSIONS_MAX: usize = 256;
/// Of these, connections of one user; more are closed.
const SESSIONS_OF_USER_MAX: usize = 128;
/// A request must have come whole, and its reply be taken, within this time.
const EXCHANGE_MAX: Duration = Duration::from_secs(5);
/// Pause while there are too many connections, and after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Pause before another look at a path that another daemon serves, or that cannot be served.
const LISTEN_PAUSE: Duration = Duration::from_secs(2);
/// Everybody may connect.
const SOCKET_MODE: u32 = 0o777;
/// Everybody may look the socket up.
const FOLDER_MODE: u32 = 0o755;
/// Group and others may change the folder: they could put a socket of their own there.
const FOLDER_OPEN: u32 = 0o022;
/// Only owners may rename and remove what is in the folder.
const STICKY: u32 = 0o1000;

/// Serves tokens at a path for ever. Several daemons of one machine may want the same path: one
/// serves, and the others take over when it ends.
pub(crate) async fn run<E: Env>(env: E, auth: AuthCell<E>, path: PathBuf) {
    let mut told = false;
    loop {
        match listen(&env, &auth.now(), &path).await {
            Ok(listener) => {
                tracing::info!("serving tokens on {}", path.display());
                accept::<E>(auth.clone(), listener).await;
            }
            Err(error) => {
                let taken = error.kind() == io::ErrorKind::AddrInUse;
                match (told, taken) {
                    (true, _) => {}
                    (false, true) => {
                        tracing::info!("{} is served by another daemon", path.display());
                    }
                    (false, false) => {
                        tracing::error!("could not serve tokens on {}: {error}", path.display());
                    }
                }
                told = true;
            }
        }
        E::Rt::sleep(LISTEN_PAUSE).await;
    }
}

async fn listen<E: Env>(
    env: &E,
    auth: &Auth<E>,
    path: &Path,
) -> io::Result<<E::Net as Net>::Listener> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    env.fs().create_folder(folder, FOLDER_MODE).await?;
    let access = env.fs().access(folder).await?;
    let own = auth.settings().own.uid;
    let safe = access.unix_mode & FOLDER_OPEN == 0 || access.unix_mode & STICKY != 0;
    if !safe || (access.uid != own && !auth.is_slurm_user(access.uid)) {
        let text = format!("{} can be changed by others than SlurmUser", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    let listener = env.net().listen(&Addr::Local(path.to_path_buf())).await?;
    env.fs().set_mode(path, SOCKET_MODE).await?;
    Ok(listener)
}

/// Open connections by user.
type Open = Arc<Mutex<BTreeMap<u32, usize>>>;

/// Takes a place for a user, if there is one.
fn enter(open: &Open, uid: u32) -> bool {
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    let count = open.entry(uid).or_insert(0);
    if *count >= SESSIONS_OF_USER_MAX {
        return false;
    }
    *count += 1;
    true
}

fn leave(open: &Open, uid: u32) {
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(count) = open.get_mut(&uid) {
        *count -= 1;
        if *count == 0 {
            open.remove(&uid);
        }
    }
}

fn count(open: &Open) -> usize {
    open.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
}

async fn accept<E: Env>(auth: AuthCell<E>, mut listener: <E::Net as Net>::Listener) {
    let open = Open::default();
    loop {
        if count(&open) >= SESSIONS_MAX {
            E::Rt::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(who) = peer.credential else { continue };
                if !enter(&open, who.uid) {
                    tracing::warn!(uid = who.uid, "refused a token: too many connections");
                    continue;
                }
                let (auth, open) = (auth.clone(), open.clone());
                detach::<E>(async move {
                    match E::Rt::timeout(EXCHANGE_MAX, session(&auth.now(), stream, who)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(uid = who.uid, "no token: {error}"),
                        Err(_) => tracing::debug!(uid = who.uid, "no token: it took too long"),
                    }
                    leave(&open, who.uid);
                });
            }
            Err(error) => {
                tracing::warn!("could not accept a connection: {error}");
                E::Rt::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn session<E: Env>(
    auth: &Auth<E>,
    mut stream: <E::Net as Net>::Stream,
    who: PeerCredential,
) -> io::Result<()> {
    let mut head = [0; sack::HEAD_BYTES];
    stream.read_exact(&mut head).await?;
    let length = SackRequest::rest_bytes(head).ok_or(io::ErrorKind::InvalidData)?;
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    let request = SackRequest::decode(&rest);
    let request = request.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let reply = match request {
        SackRequest::Create { reader, payload } => {
            sack::token_reply(&auth.token_for(who, reader, &payload).await)
        }
        SackRequest::Verify { token } => {
            let genuine = auth.vouches(&token, who);
            if let Err(error) = &genuine {
                tracing::info!(uid = who.uid, "did not vouch for a token: {error}");
            }
            sack::verdict_reply(genuine.is_ok())
        }
    };
    stream.write_all(&reply).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_every_place() {
        let open = Open::default();
        for _ in 0..SESSIONS_OF_USER_MAX {
            assert!(enter(&open, 1001));
        }
        assert!(!enter(&open, 1001));
        assert!(enter(&open, 1002));
        assert_eq!(count(&open), SESSIONS_OF_USER_MAX + 1);
        leave(&open, 1001);
        assert!(enter(&open, 1001));
        leave(&open, 1002);
        assert_eq!(count(&open), SESSIONS_OF_USER_MAX);
    }
}
