//! The daemon's ends of the pipes that are a process's standard streams.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::child::OwnEnd;
use crate::terminal;

/// The end of a pipe that a process reads from or writes to.
#[derive(Debug)]
pub enum SystemPipe {
    /// What the process writes.
    Reader(Receiver),
    /// What the process reads.
    Writer(Sender),
    /// The other end of its terminal.
    Terminal(AsyncFd<OwnedFd>),
}

/// A fresh pipe: the process's end and the daemon's.
pub(crate) struct Pair {
    pub(crate) child: OwnedFd,
    pub(crate) own: OwnedFd,
}

impl Pair {
    /// A pipe that the process reads from, or that it writes to.
    pub(crate) fn new(is_input: bool) -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok(match is_input {
            true => Self { child: reader, own: writer },
            false => Self { child: writer, own: reader },
        })
    }
}

impl SystemPipe {
    /// The daemon's end, for the input or for an output of a process.
    pub(crate) fn new(own: OwnEnd, is_input: bool) -> io::Result<Self> {
        match (own, is_input) {
            (OwnEnd::Pipe(own), true) => Sender::from_owned_fd(own).map(Self::Writer),
            (OwnEnd::Pipe(own), false) => Receiver::from_owned_fd(own).map(Self::Reader),
            (OwnEnd::Terminal(own), _) => terminal::watched(own).map(Self::Terminal),
        }
    }
}

fn wrong_way() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "the pipe goes the other way")
}

impl AsyncRead for SystemPipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Reader(reader) => Pin::new(reader).poll_read(cx, buf),
            Self::Terminal(end) => terminal::poll_read(end, cx, buf),
            Self::Writer(_) => Poll::Ready(Err(wrong_way())),
        }
    }
}

impl AsyncWrite for SystemPipe {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Writer(writer) => Pin::new(writer).poll_write(cx, bytes),
            Self::Terminal(end) => terminal::poll_write(end, cx, bytes),
            Self::Reader(_) => Poll::Ready(Err(wrong_way())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Writer(writer) => Pin::new(writer).poll_flush(cx),
            Self::Reader(_) | Self::Terminal(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Writer(writer) => Pin::new(writer).poll_shutdown(cx),
            Self::Reader(_) | Self::Terminal(_) => Poll::Ready(Ok(())),
        }
    }
}
