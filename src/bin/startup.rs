//! From a command to a running daemon: name of the configuration, terminal, pid file, identity.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use flurm_ctld::Identity;
use flurm_host::{KeyFiles, Own};
use rustix::fs::FlockOperation;

/// Where slurm.conf is unless an option or `SLURM_CONF` says otherwise.
pub const CONF_DEFAULT: &str = "/etc/slurm/slurm.conf";
/// The release, as `-V` prints it.
pub const VERSION: &str = concat!("flurm ", env!("CARGO_PKG_VERSION"));

/// The configuration file: the option, else `SLURM_CONF`, else the default; made absolute, since a
/// daemon leaves its working folder.
pub fn conf_path(option: Option<&str>) -> io::Result<PathBuf> {
    let chosen = match option {
        Some(path) => path.to_owned(),
        None => std::env::var("SLURM_CONF").unwrap_or_else(|_| CONF_DEFAULT.to_owned()),
    };
    std::path::absolute(chosen)
}

/// Who this process is, and which keys of auth/slurm its environment names.
pub fn own() -> Own {
    let file = |name: &str| std::env::var_os(name).map(PathBuf::from);
    Own {
        identity: Identity { uid: own_uid(), gid: own_gid() },
        keys: KeyFiles { key: file(KeyFiles::KEY_VARIABLE), jwks: file(KeyFiles::JWKS_VARIABLE) },
    }
}

/// Says what is wrong, as Slurm's daemons do, and ends with code 1.
pub fn fail(program: &str, text: &str) -> ! {
    eprintln!("{program}: {text}");
    std::process::exit(1);
}

/// Like [`fail`], with a hint at the options.
pub fn fail_usage(program: &str, text: &str) -> ! {
    eprintln!("{program}: {text}\nTry '{program} -h' for more information.");
    std::process::exit(1);
}

/// A pid file, locked while this value lives, so that a second daemon notices the first.
#[derive(Debug)]
pub struct PidFile {
    _file: File,
}

impl PidFile {
    /// Writes this process's id.
    pub fn write(path: &Path) -> Result<Self, String> {
        let text = |error: io::Error| format!("could not write {}: {error}", path.display());
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o644);
        let mut file = options.open(path).map_err(text)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| format!("{} is locked: is another daemon running?", path.display()))?;
        file.set_len(0).map_err(text)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(text)?;
        Ok(Self { _file: file })
    }
}

/// A file named by a key; an empty text names none. Made absolute, as a daemon leaves its folder.
pub fn file(text: &str) -> Option<PathBuf> {
    if text.is_empty() { None } else { std::path::absolute(text).ok() }
}

/// The user this process runs as.
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The group this process runs as.
pub fn own_gid() -> u32 {
    rustix::process::getegid().as_raw()
}

/// Tells systemd a word through `NOTIFY_SOCKET`; does nothing where it does not listen.
pub fn tell_systemd(word: &str) -> io::Result<()> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let bytes = name.as_encoded_bytes();
    let addr = match bytes.strip_prefix(b"@") {
        Some(unnamed) => SocketAddr::from_abstract_name(unnamed)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(word.as_bytes(), &addr)?;
    Ok(())
}

/// Lowers (or raises) the priority of this process, as `-n` asks.
pub fn set_nice(option: Option<&str>) -> Result<(), String> {
    let Some(text) = option else { return Ok(()) };
    let wrong = || format!("Invalid option for -n option (nice value), ignored: {text}");
    let value: i32 = text.parse().map_err(|_| wrong())?;
    rustix::process::nice(value).map(|_| ()).map_err(|errno| format!("could not set nice: {errno}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_notices_the_first() {
        let path = std::env::temp_dir().join(format!("flurm-pid-{}", std::process::id()));
        let held = PidFile::write(&path).unwrap();
        let own = format!("{}\n", std::process::id());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), own);
        let error = PidFile::write(&path).unwrap_err();
        assert!(error.contains("is locked"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), own, "the first's id stays");
        drop(held);
        std::fs::write(&path, "a longer text than any process id\n").unwrap();
        let _again = PidFile::write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), own);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_given_configuration_wins_and_becomes_absolute() {
        let own = std::env::current_dir().unwrap();
        assert_eq!(conf_path(Some("a.conf")).unwrap(), own.join("a.conf"));
        assert_eq!(conf_path(Some("/x/a.conf")).unwrap(), PathBuf::from("/x/a.conf"));
    }

    #[test]
    fn nonsense_is_no_nice_value() {
        assert_eq!(set_nice(None), Ok(()));
        assert!(set_nice(Some("much")).unwrap_err().contains("much"));
    }
}
