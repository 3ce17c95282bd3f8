//! A private munged with its own key and socket.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Daemon;
use crate::wait::eventually;

/// Bytes in a fresh key.
const KEY_LEN: u64 = 128;

/// Path of the socket in a munge folder.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("munge.socket.2")
}

/// Starts a munged that keeps everything in `folder`; a key already there is used.
pub fn start(folder: &Path) -> Daemon {
    fs::create_dir_all(folder).expect("make the munge folder");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("open the folder");
    let key = folder.join("key");
    if !key.exists() {
        let mut bytes = Vec::new();
        let source = fs::File::open("/dev/urandom").expect("open /dev/urandom");
        source.take(KEY_LEN).read_to_end(&mut bytes).expect("read /dev/urandom");
        fs::write(&key, bytes).expect("write the key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).expect("close the key");
    }
    let mut command = Command::new("munged");
    command.args(["--foreground", "--force", "--num-threads=10"]);
    for (option, name) in [
        ("key-file", "key"),
        ("socket", "munge.socket.2"),
        ("log-file", "log"),
        ("pid-file", "pid"),
        ("seed-file", "seed"),
    ] {
        command.arg(format!("--{option}={}", folder.join(name).display()));
    }
    let daemon = Daemon::start(command, &folder.join("out"));
    let path = socket(folder);
    eventually("munged answers", || {
        let encoded = Command::new("munge").arg("-n").arg("-S").arg(&path).output();
        let encoded = encoded.expect("run munge");
        if encoded.status.success() { Ok(()) } else { Err(encoded.stderr) }
    });
    daemon
}
