//! A munged of the test's own, in whose credentials addresses of nodes travel.

#![expect(clippy::disallowed_types, reason = "a real munged is a real process")]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whoever knows it reads and makes credentials; nobody but this test's clients does.
const KEY: [u8; 64] = [7; 64];
/// Only the owner may read a key.
const KEY_MODE: u32 = 0o600;

/// A running munged, up to [`Sealer::stop`].
#[derive(Debug)]
pub(crate) struct Sealer {
    socket: PathBuf,
}

impl Sealer {
    /// Where the munged of a folder listens.
    pub(crate) fn socket(folder: &Path) -> PathBuf {
        folder.join("munge.socket")
    }

    /// Starts one that keeps everything in `folder`. It goes to the background once it answers.
    #[expect(clippy::disallowed_methods, reason = "a real munged reads a real key")]
    pub(crate) fn start(folder: &Path) -> Self {
        let (socket, key) = (Self::socket(folder), folder.join("munge.key"));
        std::fs::write(&key, KEY).unwrap();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(KEY_MODE)).unwrap();
        let mut command = munged(&socket);
        command.arg("--force");
        for option in ["key-file", "log-file", "pid-file", "seed-file"] {
            let name = format!("munge.{}", option.trim_end_matches("-file"));
            command.arg(format!("--{option}={}", folder.join(name).display()));
        }
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "munged: {status}");
        Self { socket }
    }

    /// A credential that holds `payload`.
    pub(crate) fn seal(&self, payload: &[u8]) -> String {
        let mut child = Command::new("munge")
            .arg(format!("--socket={}", self.socket.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(payload).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "munge: {}", output.status);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Ends it, while its folder is still there.
    pub(crate) fn stop(&self) {
        // One that is gone already needs no end.
        let _ =
            munged(&self.socket).arg("--stop").stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// The program, told its socket.
fn munged(socket: &Path) -> Command {
    let mut command = Command::new("munged");
    command.arg(format!("--socket={}", socket.display()));
    command
}
