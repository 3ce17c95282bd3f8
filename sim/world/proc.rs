//! `rt::Proc` over the simulated process table.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use flurm_rt::{
    Child, Container, ExitStatus, OpenMode, Output, Proc, Spawn, SpawnError, SpawnStage, Standard,
    Terminal, Usage, Window,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::env::Place;
use super::process::{self, ProcKey, Start};
use super::script::{self, Plan};
use super::{MICRO, MachineId, World, trouble, wait};

/// Largest script that is looked into.
/// `EAGAIN`, as fork says it.
const EAGAIN: i32 = 11;
const SHELLS: [&str; 4] = ["sh", "bash", "dash", "env"];

/// The process table as one process sees it.
#[derive(Clone, Debug)]
pub struct SimProc(pub(crate) Place);

/// A child process.
#[derive(Debug)]
pub struct SimChild {
    key: ProcKey,
    pid: u32,
}

/// A process container.
#[derive(Clone, Debug)]
pub struct SimContainer {
    machine: MachineId,
    name: String,
}

fn failed(stage: SpawnStage, source: io::Error) -> SpawnError {
    SpawnError { stage, source }
}

/// The file that says what a program does: the program itself, or what a shell is given.
fn script_path(spawn: &Spawn) -> PathBuf {
    let name = spawn.program.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let shell = SHELLS.contains(&name);
    let argument = spawn.argv.iter().skip(1).find(|argument| !argument.starts_with('-'));
    match argument {
        Some(argument) if shell => spawn.work_dir.join(argument),
        _ => spawn.program.clone(),
    }
}

fn open_output(
    w: &mut World,
    machine: MachineId,
    spawn: &Spawn,
    output: &Output,
) -> io::Result<()> {
    let Output::File { path, append } = output else { return Ok(()) };
    let disk = &mut w.machine_mut(machine).disk;
    let inode = disk.open(&spawn.work_dir.join(path), OpenMode::Create)?;
    if !append {
        disk.set_len(inode, 0)?;
    }
    Ok(())
}

impl SimProc {
    fn start_script(&self, spawn: &Spawn) -> Result<(ProcKey, u32), SpawnError> {
        let machine = self.0.machine;
        super::with(|w| {
            let disk = &mut w.machine_mut(machine).disk;
            disk.create_folder(&spawn.work_dir).map_err(|e| failed(SpawnStage::WorkDir, e))?;
            let said = if script::is_task(spawn) {
                Plan::of_argv(&spawn.argv)
            } else {
                let bytes = disk.peek(&script_path(spawn));
                let bytes = bytes.map_err(|e| failed(SpawnStage::Exec, e))?;
                Plan::parse(&String::from_utf8_lossy(&bytes))
            };
            if let Output::File { path, .. } = &spawn.stdin {
                let stdin = disk.peek(&spawn.work_dir.join(path));
                stdin.map_err(|e| failed(SpawnStage::Stdin, e))?;
            }
            open_output(w, machine, spawn, &spawn.stdout)
                .map_err(|e| failed(SpawnStage::Stdout, e))?;
            open_output(w, machine, spawn, &spawn.stderr)
                .map_err(|e| failed(SpawnStage::Stderr, e))?;
            let plan = said.map_err(|e| {
                failed(SpawnStage::Exec, io::Error::new(io::ErrorKind::InvalidData, e))
            })?;
            let output = match &spawn.stdout {
                Output::File { path, .. } => Some(spawn.work_dir.join(path)),
                Output::Null
                | Output::SameAsStdout
                | Output::Inherit
                | Output::Pipe
                | Output::RawTerminal => None,
            };
            let first = plan.output;
            let (key, pid) = process::start_script(w, self.0.process, machine, spawn, plan);
            script::tie_output(w, key, output);
            script::write(w, key, first);
            Ok((key, pid))
        })
    }

    fn start_program(&self, spawn: &Spawn) -> Result<(ProcKey, u32), SpawnError> {
        let machine = self.0.machine;
        let name = spawn.program.file_name().and_then(|name| name.to_str()).unwrap_or("?");
        let (key, pid) = super::with(|w| {
            let own = w.processes.get(self.0.process).map_or((0, 0), |own| (own.uid, own.gid));
            let user = spawn.user.as_ref().map_or(own, |user| (user.uid, user.gid));
            let key = process::insert_component(w, machine, self.0.process, name, user);
            let process = w.processes.get_mut(key).expect("it was inserted just now");
            process.awaited = !spawn.detached;
            if spawn.container.is_some() {
                process.container.clone_from(&spawn.container);
            }
            (key, process.pid)
        });
        let start = Start { key, machine, spawn: spawn.clone() };
        match super::program_for(&start) {
            Some(main) => super::launch(key, machine, main),
            None => {
                process::end(key, super::history::Gone::Ended(ExitStatus::exited(127).0));
                return Err(failed(SpawnStage::Exec, io::ErrorKind::NotFound.into()));
            }
        }
        Ok((key, pid))
    }
}

/// Programs that are components, not scripts.
fn is_component(program: &Path) -> bool {
    program.file_name().is_some_and(|name| name == "flurmstepd")
}

impl Proc for SimProc {
    type Child = SimChild;
    type Container = SimContainer;

    async fn spawn(&self, spawn: Spawn) -> Result<SimChild, SpawnError> {
        let delay = super::with(|w| w.rng.process.range(200 * MICRO..=3_000 * MICRO));
        wait(delay).await;
        let fails = super::with(|w| {
            let percent = w.machine(self.0.machine).troubles.sum().fork_percent;
            trouble::strikes(w, percent)
        });
        if fails {
            flurm_base::sometimes!("a process could not be made");
            return Err(failed(SpawnStage::Fork, io::Error::from_raw_os_error(EAGAIN)));
        }
        if let Some(container) = &spawn.container {
            let known = super::with(|w| w.processes.has_container(self.0.machine, container));
            if !known {
                return Err(failed(SpawnStage::Fork, io::ErrorKind::NotFound.into()));
            }
        }
        let (key, pid) = if is_component(&spawn.program) {
            self.start_program(&spawn)?
        } else {
            self.start_script(&spawn)?
        };
        Ok(SimChild { key, pid })
    }

    async fn container(&self, name: &str) -> io::Result<SimContainer> {
        let machine = self.0.machine;
        super::with(|w| w.processes.open_container(machine, name));
        Ok(SimContainer { machine, name: name.to_owned() })
    }

    fn alive(&self, pid: u32, started: u64) -> bool {
        self.started_at(pid) == Some(started)
    }

    fn started_at(&self, pid: u32) -> Option<u64> {
        super::with(|w| w.processes.with_pid(self.0.machine, pid).map(|process| process.started))
    }

    fn own_pid(&self) -> u32 {
        super::with(|w| w.processes.get(self.0.process).map_or(1, |process| process.pid))
    }
}

/// The daemon's end of a scripted process's stream: what its plan says that it writes, at once, and
/// the end when the process has ended.
#[derive(Debug)]
pub struct SimPipe {
    key: ProcKey,
    /// Bytes that were not read yet.
    left: u64,
}

impl AsyncRead for SimPipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left > 0 {
            let count = self.left.min(buf.remaining() as u64);
            buf.put_slice(&vec![b'.'; count as usize]);
            self.left -= count;
            return Poll::Ready(Ok(()));
        }
        super::with(|w| match w.processes.get_mut(self.key) {
            Some(process) if process.ended.is_none() => {
                process.waiters.push(cx.waker().clone());
                Poll::Pending
            }
            Some(_) | None => Poll::Ready(Ok(())),
        })
    }
}

impl AsyncWrite for SimPipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Simulated processes have no terminals.
#[derive(Debug)]
pub enum SimTerminal {}

impl Terminal for SimTerminal {
    fn resize(&self, _window: Window) -> io::Result<()> {
        match *self {}
    }
}

impl Child for SimChild {
    type Pipe = SimPipe;
    type Terminal = SimTerminal;

    fn take_terminal(&mut self) -> Option<SimTerminal> {
        None
    }

    fn take_pipe(&mut self, which: Standard) -> Option<SimPipe> {
        let planned = super::with(|w| {
            let script = w.processes.get(self.key)?.script.as_ref()?;
            Some(script.plan.output)
        });
        let left = if which == Standard::Output { planned.unwrap_or(0) } else { 0 };
        Some(SimPipe { key: self.key, left })
    }

    fn pid(&self) -> u32 {
        self.pid
    }

    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let key = self.key;
        poll_fn(|cx| {
            super::with(|w| match w.processes.get_mut(key) {
                None => Poll::Ready(Err(io::Error::from_raw_os_error(10))),
                Some(process) => match process.ended {
                    Some(status) => Poll::Ready(Ok(status)),
                    None => {
                        process.waiters.push(cx.waker().clone());
                        Poll::Pending
                    }
                },
            })
        })
        .await
    }
}

impl Drop for SimChild {
    fn drop(&mut self) {
        super::try_with(|w| process::forget(w, self.key));
    }
}

impl Container for SimContainer {
    async fn signal(&self, signal: i32) -> io::Result<bool> {
        let inside = super::with(|w| w.processes.inside(self.machine, &self.name));
        for key in &inside {
            process::signal(*key, signal);
        }
        Ok(!inside.is_empty())
    }

    async fn signal_first(&self, signal: i32) -> io::Result<bool> {
        let inside = super::with(|w| {
            let inside = w.processes.inside(self.machine, &self.name);
            let started = |key: &ProcKey| w.processes.get(*key).map(|p| (p.started, p.pid));
            inside.into_iter().min_by_key(started)
        });
        if let Some(key) = inside {
            process::signal(key, signal);
        }
        Ok(inside.is_some())
    }

    async fn kill(&self) -> io::Result<bool> {
        self.signal(9).await
    }

    async fn pids(&self) -> io::Result<Vec<u32>> {
        super::with(|w| {
            let inside = w.processes.inside(self.machine, &self.name);
            Ok(inside.iter().filter_map(|key| w.processes.get(*key)).map(|p| p.pid).collect())
        })
    }

    async fn usage(&self) -> io::Result<Usage> {
        let ran = super::with(|w| {
            let inside = w.processes.inside(self.machine, &self.name);
            let of = |key: &ProcKey| w.processes.get(*key).map_or(0, |p| w.now() - p.started);
            inside.iter().map(of).sum::<u64>()
        });
        Ok(Usage { user_us: ran / MICRO, system_us: 0, max_rss_kib: 1024 })
    }

    async fn remove(&self) -> io::Result<()> {
        let empty = super::with(|w| w.processes.remove_container(self.machine, &self.name));
        if empty { Ok(()) } else { Err(io::ErrorKind::ResourceBusy.into()) }
    }
}
