//! Leaving the terminal: the double fork of a classic daemon.
#![expect(unsafe_code, reason = "fork has no safe interface")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

/// Held by the daemon while it starts. The command that started it waits until the daemon is
/// ready, so a failed start is seen by whoever typed the command.
#[derive(Debug)]
pub struct Readiness(File);

impl Readiness {
    /// Lets the starting command end with success. Dropping without a word ends it with failure.
    pub fn announce(mut self) -> io::Result<()> {
        self.0.write_all(&[READY])
    }
}

const READY: u8 = 1;

/// Detaches from terminal, session and parent. Returns in the daemon only; the starting process
/// waits for [`Readiness::announce`] and ends with 0, or with 1 when the daemon dies before it.
///
/// The working folder becomes `/` and standard input `/dev/null`; standard output and error stay
/// until [`crate::daemon::Readiness`] has been announced by the caller and it points them elsewhere.
///
/// # Panics
/// When other threads exist already: they would be missing in the daemon.
pub fn detach() -> io::Result<Readiness> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    assert_eq!(threads, 1, "a daemon detaches before it starts threads");
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: this process has one thread, so the child may do anything the parent may.
    if in_child(unsafe { libc::fork() })? {
        drop(reader);
        rustix::process::setsid()?;
        // A second fork: no session leader is left that could acquire a terminal by opening one.
        // SAFETY: as above; the child of a single-threaded process has one thread.
        if in_child(unsafe { libc::fork() })? {
            std::env::set_current_dir("/")?;
            let null = File::open("/dev/null")?;
            rustix::stdio::dup2_stdin(null.as_fd())?;
            return Ok(Readiness(File::from(writer)));
        }
        std::process::exit(0);
    }
    drop(writer);
    let mut word = [0u8; 1];
    let announced = File::from(reader).read_exact(&mut word).is_ok() && word[0] == READY;
    std::process::exit(if announced { 0 } else { 1 });
}

fn in_child(forked: libc::pid_t) -> io::Result<bool> {
    match forked {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(true),
        _ => Ok(false),
    }
}
