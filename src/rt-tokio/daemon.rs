//! Leaving the terminal: the double fork of a classic daemon.
#![expect(unsafe_code, reason = "fork has no safe interface")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use flurm_rt::User;

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
/// How often to look whether ended threads are gone.
const THREAD_LOOKS_MAX: u32 = 100;
/// Pause between two looks.
const THREAD_PAUSE: Duration = Duration::from_millis(10);

fn threads() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Detaches from terminal, session and parent. Returns in the daemon only; the starting process
/// waits for [`Readiness::announce`] and ends with 0, or with 1 when the daemon dies before it.
///
/// The working folder becomes `/` and standard input `/dev/null`; standard output and error stay
/// until [`silence`], so that a failing start can say why.
///
/// # Panics
/// When other threads exist already: they would be missing in the daemon.
pub fn detach() -> io::Result<Readiness> {
    // A thread that was joined may still be on its way out.
    let mut threads = threads()?;
    for _ in 0..THREAD_LOOKS_MAX {
        if threads == 1 {
            break;
        }
        std::thread::sleep(THREAD_PAUSE);
        threads = self::threads()?;
    }
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

/// Points standard output and error at `/dev/null`, once nothing may be told there any longer.
pub fn silence() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(null.as_fd())?;
    rustix::stdio::dup2_stderr(null.as_fd())?;
    Ok(())
}

/// Makes this whole process run as a user, for good. For root only.
pub fn become_user(user: &User) -> io::Result<()> {
    let checked = |rc: libc::c_int| if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: the group list is live and as long as said; the C library applies each call to every
    // thread of the process.
    unsafe {
        checked(libc::setgroups(user.groups.len(), user.groups.as_ptr()))?;
        checked(libc::setresgid(user.gid, user.gid, user.gid))?;
        checked(libc::setresuid(user.uid, user.uid, user.uid))
    }
}

fn in_child(forked: libc::pid_t) -> io::Result<bool> {
    match forked {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(true),
        _ => Ok(false),
    }
}
