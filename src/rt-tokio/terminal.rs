//! Terminals for processes: a pair of a terminal and the end that the daemon keeps.
#![expect(unsafe_code, reason = "watching a descriptor is a promise to keep it open")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};

use flurm_rt::{Terminal, Window};
use rustix::fs::{Mode, OFlags, Uid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use tokio::io::ReadBuf;
use tokio::io::unix::AsyncFd;

use crate::pipe::SystemPipe;

/// Its owner reads and writes, and others may send it messages (what `grantpt` sets).
const TERMINAL_MODE: Mode = Mode::from_raw_mode(0o620);

/// A fresh terminal.
#[derive(Debug)]
pub(crate) struct Pair {
    /// What the process gets.
    pub(crate) child: OwnedFd,
    /// The other end.
    pub(crate) own: OwnedFd,
}

impl Pair {
    /// A terminal of a size that belongs to a user, if one is named.
    pub(crate) fn new(window: Window, owner: Option<u32>) -> io::Result<Self> {
        let pair = Self::open(owner)?;
        resize(&pair.own, window)?;
        Ok(pair)
    }

    /// A terminal for output alone, which passes on every byte as it is.
    pub(crate) fn raw(owner: Option<u32>) -> io::Result<Self> {
        let pair = Self::open(owner)?;
        let mut settings = tcgetattr(&pair.child)?;
        settings.output_modes.remove(OutputModes::OPOST);
        tcsetattr(&pair.child, OptionalActions::Now, &settings)?;
        Ok(pair)
    }

    fn open(owner: Option<u32>) -> io::Result<Self> {
        let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        unlockpt(&own)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let child = ioctl_tiocgptpeer(&own, flags)?;
        rustix::fs::fcntl_setfl(&own, rustix::fs::fcntl_getfl(&own)? | OFlags::NONBLOCK)?;
        if let Some(uid) = owner.filter(|_| rustix::process::geteuid().is_root()) {
            rustix::fs::fchown(&child, Some(Uid::from_raw(uid)), None)?;
            rustix::fs::fchmod(&child, TERMINAL_MODE)?;
        }
        Ok(Self { child, own })
    }
}

/// The daemon's hold on the terminal of a process.
#[derive(Debug)]
pub struct SystemTerminal {
    end: OwnedFd,
}

impl SystemTerminal {
    /// The hold on it, and its other end for input and for output.
    pub(crate) fn split(own: OwnedFd) -> io::Result<(Self, [SystemPipe; 2])> {
        let input = SystemPipe::Terminal(watched(own.try_clone()?)?);
        let output = SystemPipe::Terminal(watched(own.try_clone()?)?);
        Ok((Self { end: own }, [input, output]))
    }
}

impl Terminal for SystemTerminal {
    fn resize(&self, window: Window) -> io::Result<()> {
        resize(&self.end, window)
    }
}

/// A descriptor of which the runtime says when it is ready.
pub(crate) fn watched(end: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned, moves into the `AsyncFd` and is closed only with it.
    unsafe { AsyncFd::register(end) }.map_err(|error| io::Error::other(error.to_string()))
}

fn resize(end: impl AsFd, window: Window) -> io::Result<()> {
    let size = Winsize { ws_row: window.rows, ws_col: window.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(end, size)?)
}

/// Reads what was written to the terminal. It ends when nobody has it open any more.
pub(crate) fn poll_read(
    end: &AsyncFd<OwnedFd>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        let mut ready = ready!(end.poll_read_ready(cx))?;
        let tried = ready.try_io(|end| Ok(rustix::io::read(end, buf.initialize_unfilled())?));
        match tried {
            Ok(Ok(count)) => {
                buf.advance(count);
                return Poll::Ready(Ok(()));
            }
            // What the kernel says once the last process has closed it.
            Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => {
                return Poll::Ready(Ok(()));
            }
            Ok(Err(error)) => return Poll::Ready(Err(error)),
            Err(_) => {}
        }
    }
}

/// Writes what the terminal's processes read.
pub(crate) fn poll_write(
    end: &AsyncFd<OwnedFd>,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    loop {
        let mut ready = ready!(end.poll_write_ready(cx))?;
        if let Ok(done) = ready.try_io(|end| Ok(rustix::io::write(end, bytes)?)) {
            return Poll::Ready(done);
        }
    }
}
