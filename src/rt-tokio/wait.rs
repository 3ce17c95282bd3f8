//! Waiting for children and sending signals.
#![expect(unsafe_code, reason = "wait4 and kill of any signal number have no safe interface")]

use std::io;
use std::os::fd::OwnedFd;

use flurm_rt::{Child, ExitStatus, Standard, Usage};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::child::OwnEnd;
use crate::pipe::SystemPipe;
use crate::spawner;
use crate::terminal::SystemTerminal;

/// Stack of a thread that only waits.
const WAIT_STACK_BYTES: usize = 128 << 10;

/// How a child ended and what it used, itself and the children it waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) usage: Usage,
}

/// A started process.
#[derive(Debug)]
pub struct SystemChild {
    pid: u32,
    /// `None` for a detached process.
    status: Option<watch::Receiver<Option<ExitStatus>>>,
    /// The daemon's ends of its standard streams.
    pipes: [Option<SystemPipe>; 3],
    terminal: Option<SystemTerminal>,
}

impl SystemChild {
    /// A process that is nobody's child.
    pub(crate) fn detached(pid: u32) -> Self {
        Self { pid, status: None, pipes: [None, None, None], terminal: None }
    }

    /// A child that is collected from here on, whether or not anybody waits for it.
    pub(crate) fn collected(
        pid: u32,
        pidfd: Option<OwnedFd>,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> Self {
        let (tell, status) = watch::channel(None);
        let finish = move |ended: Ended| {
            on_end(ended);
            // Nobody listens when the child was dropped.
            let _ = tell.send(Some(ended.status));
        };
        // SAFETY: the descriptor is owned, moves into the `AsyncFd` and is closed only with it.
        match pidfd.map(|pidfd| unsafe { AsyncFd::register(pidfd) }) {
            Some(Ok(pidfd)) => {
                tokio::spawn(async move {
                    match pidfd.readable().await.and_then(|_| collect_awaited(pid)) {
                        Ok(ended) => finish(ended),
                        Err(error) => lost(pid, &error),
                    }
                });
            }
            Some(Err(_)) | None => collect_in_thread(pid, finish),
        }
        Self { pid, status: Some(status), pipes: [None, None, None], terminal: None }
    }

    /// The same with the daemon's ends of pipes, or of a terminal.
    pub(crate) fn with_ends(
        mut self,
        ends: [Option<OwnEnd>; 3],
        terminal: Option<OwnedFd>,
    ) -> io::Result<Self> {
        if let Some(own) = terminal {
            let (terminal, [input, output]) = SystemTerminal::split(own)?;
            self.pipes = [Some(input), Some(output), None];
            self.terminal = Some(terminal);
            return Ok(self);
        }
        for (at, end) in ends.into_iter().enumerate() {
            self.pipes[at] = end.map(|end| SystemPipe::new(end, at == 0)).transpose()?;
        }
        Ok(self)
    }
}

impl Child for SystemChild {
    type Pipe = SystemPipe;
    type Terminal = SystemTerminal;

    fn take_terminal(&mut self) -> Option<SystemTerminal> {
        self.terminal.take()
    }

    fn take_pipe(&mut self, which: Standard) -> Option<SystemPipe> {
        let at = match which {
            Standard::Input => 0,
            Standard::Output => 1,
            Standard::Error => 2,
        };
        self.pipes[at].take()
    }

    fn pid(&self) -> u32 {
        self.pid
    }

    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let Some(status) = &mut self.status else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a detached process is not waited for",
            ));
        };
        let ended = status.wait_for(Option::is_some).await;
        let ended = ended.map_err(|_| io::Error::other("the end of the process was not seen"))?;
        Ok(ended.expect("waited until it is there"))
    }
}

fn lost(pid: u32, error: &io::Error) {
    tracing::error!(pid, %error, "could not collect a child");
}

/// Collects a child from a thread of its own, for kernels without process descriptors.
pub(crate) fn collect_in_thread(pid: u32, finish: impl FnOnce(Ended) + Send + 'static) {
    let builder = std::thread::Builder::new().name(format!("wait-{pid}"));
    let waiting = builder.stack_size(WAIT_STACK_BYTES).spawn(move || match collect_awaited(pid) {
        Ok(ended) => finish(ended),
        Err(error) => lost(pid, &error),
    });
    if let Err(error) = waiting {
        lost(pid, &error);
    }
}

/// Waits for a child that is listed as awaited, and collects it.
fn collect_awaited(pid: u32) -> io::Result<Ended> {
    let ended = collect_now(pid);
    spawner::awaited().remove(&pid);
    ended
}

/// Waits for a child and collects it.
pub(crate) fn collect_now(pid: u32) -> io::Result<Ended> {
    Ok(wait4(pid, 0)?.expect("without WNOHANG it waits for the end"))
}

/// Collects a child if it has ended.
pub(crate) fn collect_if_ended(pid: u32) -> io::Result<Option<Ended>> {
    wait4(pid, libc::WNOHANG)
}

fn wait4(pid: u32, options: libc::c_int) -> io::Result<Option<Ended>> {
    let target = to_pid(pid)?;
    let mut status = 0;
    // SAFETY: all zero bytes are a valid rusage.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live locals.
        let rc = unsafe { libc::wait4(target, &mut status, options, &mut used) };
        if rc == target {
            let status = ExitStatus(status.cast_unsigned() & 0xffff);
            return Ok(Some(Ended { status, usage: usage(&used) }));
        }
        if rc == 0 {
            return Ok(None);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn usage(used: &libc::rusage) -> Usage {
    let micros = |time: libc::timeval| {
        let secs = u64::try_from(time.tv_sec).unwrap_or(0);
        secs.saturating_mul(1_000_000).saturating_add(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    Usage {
        user_us: micros(used.ru_utime),
        system_us: micros(used.ru_stime),
        max_rss_kib: u64::try_from(used.ru_maxrss).unwrap_or(0),
    }
}

/// A descriptor of a child; `None` where the kernel has none.
pub(crate) fn open_pidfd(pid: u32) -> Option<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(to_pid(pid).ok()?)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::NONBLOCK)
        .or_else(|_| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()))
        .ok()
}

/// Sends a signal to one process.
pub(crate) fn send_signal(pid: u32, signal: i32) -> io::Result<()> {
    let target = to_pid(pid)?;
    // SAFETY: plain numbers; a positive id names exactly one process.
    if unsafe { libc::kill(target, signal) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A process id for the kernel. Zero and numbers that would turn negative mean groups there.
fn to_pid(pid: u32) -> io::Result<libc::pid_t> {
    match libc::pid_t::try_from(pid) {
        Ok(target) if target > 0 => Ok(target),
        _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_collects_where_there_are_no_process_descriptors() {
        let mut child = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        collect_in_thread(child.id(), move |ended| tell.send(ended.status).unwrap());
        assert_eq!(told.recv().unwrap(), ExitStatus::exited(7));
        assert!(child.wait().is_err(), "it was collected");
    }

    #[test]
    fn numbers_that_name_groups_are_no_processes() {
        for pid in [0, u32::MAX, 1 << 31] {
            let error = send_signal(pid, 0).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ESRCH), "{pid}");
        }
        send_signal(std::process::id(), 0).unwrap();
    }
}
