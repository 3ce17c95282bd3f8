//! The one thread that forks.
//!
//! The kernel ties "die with your parent" to the parent *thread*, so children are made by a thread
//! that never ends, not by whichever pool thread is at hand. It keeps all signals blocked: a child
//! is born deaf and hears again only when it has become its program.
#![expect(unsafe_code, reason = "fork and signal masks have no safe interface")]

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};

use tokio::sync::oneshot;

use crate::child::{Plan, Prepared};
use crate::wait;

/// A process that was just forked and has not yet become its program.
#[derive(Debug)]
pub(crate) struct Forked {
    /// Its id; `None` for a detached process, which says its id itself.
    pub(crate) pid: Option<u32>,
    /// A descriptor that becomes readable when it ends, where the kernel has such.
    pub(crate) pidfd: Option<OwnedFd>,
    /// Where it reports; closed when it has become its program.
    pub(crate) report: Option<OwnedFd>,
    /// Set when somebody else has taken over the duty to collect the process.
    pub(crate) handed_over: bool,
}

impl Drop for Forked {
    /// A start nobody waits for any longer must not go on by itself.
    fn drop(&mut self) {
        let Some(pid) = self.pid else { return };
        if !self.handed_over {
            // It is our uncollected child, so the id is still its own.
            let _ = wait::send_signal(pid, libc::SIGKILL);
            wait::collect_in_thread(pid, |_| {});
        }
    }
}

struct Order {
    plan: Plan,
    reply: oneshot::Sender<io::Result<Forked>>,
}

/// Children of this process that somebody will collect by id. Others are orphans of a container,
/// handed to this process because it asked to receive them.
static AWAITED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

pub(crate) fn awaited() -> MutexGuard<'static, BTreeSet<u32>> {
    AWAITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forks a process that goes on by the plan.
pub(crate) async fn fork(plan: Plan) -> io::Result<Forked> {
    let (reply, answer) = oneshot::channel();
    let orders = orders()?;
    orders.send(Order { plan, reply }).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts processes has died")
}

fn orders() -> io::Result<mpsc::Sender<Order>> {
    static ORDERS: OnceLock<Result<mpsc::Sender<Order>, String>> = OnceLock::new();
    let started = ORDERS.get_or_init(|| {
        let (orders, inbox) = mpsc::channel();
        let builder = std::thread::Builder::new().name("flurm-spawner".to_owned());
        match builder.spawn(move || serve(&inbox)) {
            Ok(_) => Ok(orders),
            Err(error) => Err(error.to_string()),
        }
    });
    started.clone().map_err(io::Error::other)
}

fn serve(inbox: &mpsc::Receiver<Order>) {
    block_signals();
    while let Ok(order) = inbox.recv() {
        // When the asker is gone, the answer is dropped, and with it the process.
        let _ = order.reply.send(fork_one(&order.plan));
    }
}

fn block_signals() {
    // SAFETY: the sets are live locals; the mask is this thread's own. Should the daemon have been
    // started with SIGCHLD ignored, the kernel would throw the status of its children away.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
        let mut current: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGCHLD, std::ptr::null(), &mut current);
        if current.sa_sigaction == libc::SIG_IGN {
            current.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(libc::SIGCHLD, &current, std::ptr::null_mut());
        }
    }
}

fn fork_one(plan: &Plan) -> io::Result<Forked> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let prepared = Prepared::new(plan, &writer);
    // Held until the child is listed, so that nobody takes it for an orphan.
    let mut awaited = awaited();
    // SAFETY: the child only runs `become_program`, which keeps to async-signal-safe calls; this
    // thread has all signals blocked.
    let forked = unsafe { libc::fork() };
    match forked {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: this is the child, and signals are blocked.
        0 => unsafe { prepared.become_program() },
        child => {
            let pid = u32::try_from(child).expect("fork returned a process id");
            if plan.detached {
                // Ends at once, having forked the process proper.
                wait::collect_now(pid)?;
                return Ok(Forked {
                    pid: None,
                    pidfd: None,
                    report: Some(reader),
                    handed_over: true,
                });
            }
            awaited.insert(pid);
            let pidfd = wait::open_pidfd(pid);
            Ok(Forked { pid: Some(pid), pidfd, report: Some(reader), handed_over: false })
        }
    }
}
