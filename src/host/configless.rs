//! Getting the configuration from a controller, for a node that has no files of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use flurm_rt::Env;
use flurm_wire::Message;
use flurm_wire::messages::{ConfigFile, ConfigRequest};

use crate::auth::Auth;
use crate::auth_cell::AuthCell;
use crate::auth_settings::{AuthSettings, Own};
use crate::munge::UID_ANY;
use crate::rpc::{Rpc, return_code};

/// A node daemon asks (slurm_protocol_defs.h, `CONFIG_REQUEST_*`).
const ASKER_SLURMD: u32 = 1;
/// How long a controller may take to answer: it may be holding the request through an election.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// One file of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, without a folder.
    pub name: String,
    /// What it says.
    pub text: String,
    /// Whether it is a program.
    pub executable: bool,
}

/// Asks the controller at `addr` for all files that a node needs, with auth/slurm where this machine
/// has a key of it, else with munge. `socket` is munged's, where it is not in its usual place.
pub async fn fetch<E: Env>(
    env: E,
    addr: SocketAddr,
    own: &Own,
    socket: Option<&Path>,
) -> Result<Vec<File>, String> {
    let settings = AuthSettings::without_conf(&env, socket, own).await;
    let auth = Auth::load(env.clone(), settings).await?;
    let message = Message::RequestConfig(ConfigRequest { flags: ASKER_SLURMD, port: 0 });
    // Who SlurmUser is stands in the very files that are asked for.
    let reply = Rpc::new(env, AuthCell::new(auth)).call(addr, &message, UID_ANY, ANSWER_MAX).await;
    match reply.map_err(|error| error.to_string())? {
        Message::ResponseConfig(response) => {
            response.config_files.unwrap_or_default().into_iter().filter_map(file).collect()
        }
        other => match return_code(&other) {
            Ok(errno) => Err(format!("{addr}: {errno}")),
            Err(error) => Err(format!("{addr}: {error}")),
        },
    }
}

/// A file as sent; `None` for one that does not exist there. A name that leads out of the folder is
/// refused with all the rest.
fn file(sent: ConfigFile) -> Option<Result<File, String>> {
    if !sent.exists {
        return None;
    }
    let name = sent.file_name.unwrap_or_default();
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Some(Err(format!("the controller sent a file named {name:?}")));
    }
    let text = sent.file_content.unwrap_or_default();
    Some(Ok(File { name, text, executable: sent.execute }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(name: &str, exists: bool) -> Option<Result<File, String>> {
        let file_name = Some(name.to_owned());
        file(ConfigFile { exists, execute: false, file_name, file_content: Some("x".to_owned()) })
    }

    #[test]
    fn names_stay_in_their_folder() {
        assert_eq!(sent("gres.conf", true).unwrap().unwrap().name, "gres.conf");
        assert_eq!(sent("gres.conf", false), None);
        for name in ["", "..", ".hidden", "../slurm.conf", "/etc/passwd", "a\0"] {
            assert!(sent(name, true).unwrap().is_err(), "{name:?}");
        }
    }
}
