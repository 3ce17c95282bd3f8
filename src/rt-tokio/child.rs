//! What happens between fork and exec.
//!
//! The child of a threaded process may only make calls that are safe in a signal handler: no
//! allocation, no locks, no panics. So everything is laid out in memory before the fork ([`Plan`],
//! [`Prepared`]), and the child walks through it, reporting the first failure with its stage.
#![expect(unsafe_code, reason = "system calls between fork and exec")]

use std::cell::Cell;
use std::ffi::{CStr, CString, NulError};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use crate::pipe::Pair;
use crate::terminal;
use flurm_rt::{Limit, Output, Spawn, SpawnError, SpawnStage, User};
use libc::{c_char, c_int, gid_t, mode_t, uid_t};

/// Exit code of a child that could not become the program; nobody sees it, the report says why.
const EXIT_NOT_STARTED: c_int = 127;
/// Highest signal number of Linux.
const SIGNAL_MAX: c_int = 64;
/// First descriptor that is none of the three standard streams.
const FD_FIRST_OWN: RawFd = 3;
/// How many descriptors are marked one by one where the kernel cannot mark a range.
const FD_MARKED_MAX: RawFd = 1 << 16;
/// Mode of output files before the mask.
const OUTPUT_MODE: mode_t = 0o666;
/// Tag of a report that names the process instead of a failure.
const TAG_PID: u32 = 1_000;
/// Digits of the largest process id.
const PID_DIGITS_MAX: usize = 10;
/// Bytes of one report: a tag and a value.
pub(crate) const REPORT_BYTES: usize = 8;

/// A start, checked and laid out so that the child needs no memory of its own.
#[derive(Debug)]
pub(crate) struct Plan {
    program: CString,
    argv: Vec<CString>,
    environment: Vec<CString>,
    /// Name of the variable that is to hold the process's own id.
    own_pid_variable: Option<CString>,
    work_dir: CString,
    identity: Option<Identity>,
    umask: Option<mode_t>,
    limits: Vec<(Resource, u64)>,
    streams: [Target; 3],
    /// The terminal in place of the streams.
    terminal: Option<OwnedFd>,
    /// `cgroup.procs` of the container, open for writing.
    cgroup: Option<OwnedFd>,
    pub(crate) detached: bool,
    /// It belongs to a job, and the kernel may end it when memory runs out.
    expendable: bool,
    /// The daemon's ends of pipes, by stream; to be taken before the plan is carried out.
    pub(crate) own_ends: [Option<OwnEnd>; 3],
    /// The daemon's end of the terminal; to be taken likewise.
    pub(crate) own_terminal: Option<OwnedFd>,
}

type Resource = libc::__rlimit_resource_t;

#[derive(Debug)]
struct Identity {
    uid: uid_t,
    gid: gid_t,
    groups: Vec<gid_t>,
}

/// What one of the three standard streams becomes.
#[derive(Debug)]
enum Target {
    Inherited,
    Open {
        path: CString,
        flags: c_int,
    },
    /// The same open file as standard output.
    Stdout,
    /// The process's end of a pipe or of a terminal that it only writes to.
    Pipe(OwnedFd),
}

/// The daemon's end of one of the three standard streams.
#[derive(Debug)]
pub(crate) enum OwnEnd {
    Pipe(OwnedFd),
    Terminal(OwnedFd),
}

/// What the child reported before it became the program, or instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The id of a detached process.
    Pid(u32),
    /// It failed at this stage with this error number.
    Failed(SpawnStage, i32),
}

impl Plan {
    /// Checks a start and lays it out. `mark` is a variable to add to the environment.
    pub(crate) fn new(
        spawn: &Spawn,
        cgroup: Option<OwnedFd>,
        mark: Option<(&str, &str)>,
    ) -> Result<Self, SpawnError> {
        let at = |stage| move |source| SpawnError { stage, source };
        let in_exec = at(SpawnStage::Exec);
        let owner = spawn.user.as_ref().map(|user| user.uid);
        let terminal = spawn
            .terminal
            .map(|window| terminal::Pair::new(window, owner).map_err(at(SpawnStage::Fork)));
        let terminal = terminal.transpose()?;
        let mut own_ends = [None, None, None];
        let [input, output, error] = &mut own_ends;
        let (terminal, own_terminal) = match terminal {
            Some(pair) => (Some(pair.child), Some(pair.own)),
            None => (None, None),
        };
        Ok(Self {
            program: c_path(&spawn.program).map_err(in_exec)?,
            argv: c_strings(&spawn.argv).map_err(in_exec)?,
            environment: c_strings(&environment(&spawn.environment, mark)).map_err(in_exec)?,
            own_pid_variable: spawn
                .own_pid_variable
                .as_deref()
                .map(CString::new)
                .transpose()
                .map_err(|error| in_exec(error.into()))?,
            work_dir: c_path(&spawn.work_dir).map_err(at(SpawnStage::WorkDir))?,
            identity: spawn.user.as_ref().map(Identity::of),
            umask: spawn.umask,
            limits: spawn.limits.iter().map(resource).collect::<Result<_, _>>().map_err(in_exec)?,
            streams: match &terminal {
                Some(_) => [Target::Inherited, Target::Inherited, Target::Inherited],
                None => [
                    Target::input(&spawn.stdin, input).map_err(at(SpawnStage::Stdin))?,
                    Target::output(&spawn.stdout, owner, false, output)
                        .map_err(at(SpawnStage::Stdout))?,
                    Target::output(&spawn.stderr, owner, true, error)
                        .map_err(at(SpawnStage::Stderr))?,
                ],
            },
            cgroup,
            detached: spawn.detached,
            expendable: spawn.container.is_some(),
            own_ends,
            own_terminal,
            terminal,
        })
    }
}

impl Identity {
    fn of(user: &User) -> Self {
        let mut groups = user.groups.clone();
        if !groups.contains(&user.gid) {
            groups.insert(0, user.gid);
        }
        Self { uid: user.uid, gid: user.gid, groups }
    }
}

impl Target {
    fn input(output: &Output, own: &mut Option<OwnEnd>) -> io::Result<Self> {
        match output {
            Output::Pipe => Self::pipe(true, own),
            Output::Null => Ok(Self::null()),
            Output::File { path, .. } => {
                Ok(Self::Open { path: c_path(path)?, flags: libc::O_RDONLY })
            }
            Output::Inherit => Ok(Self::Inherited),
            Output::SameAsStdout => Err(invalid("standard input cannot be standard output")),
            Output::RawTerminal => Err(invalid("standard input is no terminal without a session")),
        }
    }

    fn pipe(is_input: bool, own: &mut Option<OwnEnd>) -> io::Result<Self> {
        let pair = Pair::new(is_input)?;
        *own = Some(OwnEnd::Pipe(pair.own));
        Ok(Self::Pipe(pair.child))
    }

    fn output(
        output: &Output,
        owner: Option<u32>,
        is_stderr: bool,
        own: &mut Option<OwnEnd>,
    ) -> io::Result<Self> {
        match output {
            Output::Pipe => Self::pipe(false, own),
            Output::Null => Ok(Self::null()),
            Output::File { path, append } => {
                let start = if *append { libc::O_APPEND } else { libc::O_TRUNC };
                let flags = libc::O_WRONLY | libc::O_CREAT | start;
                Ok(Self::Open { path: c_path(path)?, flags })
            }
            Output::Inherit => Ok(Self::Inherited),
            Output::SameAsStdout if is_stderr => Ok(Self::Stdout),
            Output::SameAsStdout => Err(invalid("standard output cannot be its own copy")),
            Output::RawTerminal => {
                let pair = terminal::Pair::raw(owner)?;
                *own = Some(OwnEnd::Terminal(pair.own));
                Ok(Self::Pipe(pair.child))
            }
        }
    }

    fn null() -> Self {
        Self::Open { path: c"/dev/null".to_owned(), flags: libc::O_RDWR }
    }
}

/// The environment with the container mark, which no start inherits by chance.
fn environment(given: &[String], mark: Option<(&str, &str)>) -> Vec<String> {
    let foreign = |variable: &String| {
        let name = variable.split('=').next().unwrap_or_default();
        name != crate::tree::MARK
    };
    let mut all: Vec<String> = given.iter().filter(|variable| foreign(variable)).cloned().collect();
    if let Some((name, value)) = mark {
        all.push(format!("{name}={value}"));
    }
    all
}

fn resource(limit: &Limit) -> io::Result<(Resource, u64)> {
    let resource = match limit.name.as_str() {
        "CPU" => libc::RLIMIT_CPU,
        "FSIZE" => libc::RLIMIT_FSIZE,
        "DATA" => libc::RLIMIT_DATA,
        "STACK" => libc::RLIMIT_STACK,
        "CORE" => libc::RLIMIT_CORE,
        "RSS" => libc::RLIMIT_RSS,
        "NPROC" => libc::RLIMIT_NPROC,
        "NOFILE" => libc::RLIMIT_NOFILE,
        "MEMLOCK" => libc::RLIMIT_MEMLOCK,
        "AS" => libc::RLIMIT_AS,
        other => return Err(invalid(&format!("there is no limit named {other:?}"))),
    };
    Ok((resource, limit.soft))
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(with_nul)
}

fn c_strings(texts: &[String]) -> io::Result<Vec<CString>> {
    texts.iter().map(|text| CString::new(text.as_bytes()).map_err(with_nul)).collect()
}

fn with_nul(_: NulError) -> io::Error {
    invalid("a text for a new process contains a NUL byte")
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

impl Report {
    /// Reads what the child wrote.
    pub(crate) fn read(bytes: [u8; REPORT_BYTES]) -> Self {
        let [a, b, c, d, rest @ ..] = bytes;
        let value = i32::from_ne_bytes(rest);
        match u32::from_ne_bytes([a, b, c, d]) {
            TAG_PID => Self::Pid(value.unsigned_abs()),
            tag => Self::Failed(stage(tag), value),
        }
    }
}

const STAGES: [SpawnStage; 7] = [
    SpawnStage::Fork,
    SpawnStage::Identity,
    SpawnStage::WorkDir,
    SpawnStage::Stdin,
    SpawnStage::Stdout,
    SpawnStage::Stderr,
    SpawnStage::Exec,
];

fn stage(tag: u32) -> SpawnStage {
    let index = usize::try_from(tag).unwrap_or(usize::MAX);
    *STAGES.get(index).expect("only our own child writes into the pipe")
}

fn tag(stage: SpawnStage) -> u32 {
    match stage {
        SpawnStage::Fork => 0,
        SpawnStage::Identity => 1,
        SpawnStage::WorkDir => 2,
        SpawnStage::Stdin => 3,
        SpawnStage::Stdout => 4,
        SpawnStage::Stderr => 5,
        SpawnStage::Exec => 6,
    }
}

/// `NAME=` with room for a process id, which only the child knows and which it writes without asking
/// for memory.
struct OwnPid(Vec<Cell<u8>>);

impl OwnPid {
    fn new(name: &CStr) -> Self {
        let bytes = name.to_bytes().iter().chain(b"=").chain(&[0; PID_DIGITS_MAX + 1]);
        Self(bytes.copied().map(Cell::new).collect())
    }

    /// Writes the digits, the last one first.
    fn fill(&self, pid: u32) {
        let digits = pid.checked_ilog10().map_or(1, |log| log as usize + 1);
        let start = self.0.len() - 1 - PID_DIGITS_MAX;
        let mut rest = pid;
        for place in self.0[start..start + digits].iter().rev() {
            place.set(b'0' + (rest % 10) as u8);
            rest /= 10;
        }
    }
}

/// A plan with the pointer tables that exec wants.
pub(crate) struct Prepared<'a> {
    plan: &'a Plan,
    argv: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    own_pid: Option<OwnPid>,
    report: RawFd,
    parent: libc::pid_t,
}

impl<'a> Prepared<'a> {
    /// Lays out the pointers. The child writes its reports to `report`.
    pub(crate) fn new(plan: &'a Plan, report: &OwnedFd) -> Self {
        let table = |texts: &[CString]| {
            texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>()
        };
        let parent = libc::pid_t::try_from(std::process::id()).expect("process ids fit pid_t");
        let own_pid = plan.own_pid_variable.as_deref().map(OwnPid::new);
        let mut environment = table(&plan.environment);
        if let Some(variable) = &own_pid {
            environment.insert(0, variable.0.as_ptr().cast());
        }
        Self {
            plan,
            argv: table(&plan.argv),
            environment,
            own_pid,
            report: report.as_raw_fd(),
            parent,
        }
    }

    /// Becomes the program.
    ///
    /// # Safety
    /// Only in the child of a fork whose parent had all signals blocked in the forking thread.
    pub(crate) unsafe fn become_program(&self) -> ! {
        // SAFETY: the caller vouches for being in the child; every call below is a plain system
        // call on memory laid out before the fork.
        unsafe {
            reset_dispositions();
            if libc::setsid() == -1 {
                self.fail(SpawnStage::Fork);
            }
            if self.plan.detached {
                self.leave_parent();
            }
            self.enter_cgroup();
            if self.plan.expendable {
                give_up_protection();
            }
            if let Some(umask) = self.plan.umask {
                libc::umask(umask);
            }
            self.take_identity();
            if !self.plan.detached {
                self.die_with_parent();
            }
            if libc::chdir(self.plan.work_dir.as_ptr()) == -1 {
                self.fail(SpawnStage::WorkDir);
            }
            self.open_streams();
            self.set_limits();
            close_others_at_exec();
            if let Some(variable) = &self.own_pid {
                variable.fill(std::process::id());
            }
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
            libc::execve(self.plan.program.as_ptr(), self.argv.as_ptr(), self.environment.as_ptr());
            self.fail(SpawnStage::Exec)
        }
    }

    /// Forks once more and lets the parent side end, so that the program is nobody's child.
    unsafe fn leave_parent(&self) {
        // SAFETY: a raw fork in a single-threaded child; both sides go on with system calls only.
        unsafe {
            match libc::fork() {
                -1 => self.fail(SpawnStage::Fork),
                0 => {}
                _ => libc::_exit(0),
            }
            // Its own session again: the first one ends with the leader that has just exited.
            if libc::setsid() == -1 {
                self.fail(SpawnStage::Fork);
            }
            self.report(TAG_PID, libc::getpid());
        }
    }

    unsafe fn enter_cgroup(&self) {
        let Some(procs) = &self.plan.cgroup else { return };
        // SAFETY: writes one byte from a static to a descriptor the plan owns. "0" is the writer.
        if unsafe { libc::write(procs.as_raw_fd(), c"0".as_ptr().cast(), 1) } == -1 {
            // SAFETY: ends the child.
            unsafe { self.fail(SpawnStage::Fork) }
        }
    }

    /// Groups, then group, then user: each step needs the privilege that the last one gives up.
    unsafe fn take_identity(&self) {
        let Some(identity) = &self.plan.identity else { return };
        let (uid, gid) = (identity.uid, identity.gid);
        // SAFETY: plain system calls; the group list outlives them.
        unsafe {
            if libc::geteuid() != 0 {
                // An unprivileged daemon runs everything as itself and nothing as anyone else.
                if libc::geteuid() == uid && libc::getegid() == gid {
                    return;
                }
                *libc::__errno_location() = libc::EPERM;
                self.fail(SpawnStage::Identity);
            }
            let taken = libc::setgroups(identity.groups.len(), identity.groups.as_ptr()) == 0
                && libc::setresgid(gid, gid, gid) == 0
                && libc::setresuid(uid, uid, uid) == 0;
            if !taken {
                self.fail(SpawnStage::Identity);
            }
            // Believe it only when the way back is shut.
            if uid != 0 && libc::setuid(0) != -1 {
                *libc::__errno_location() = libc::EPERM;
                self.fail(SpawnStage::Identity);
            }
        }
    }

    /// Taking an identity clears the parent-death signal, so it is set afterwards; the parent may
    /// have died before.
    unsafe fn die_with_parent(&self) {
        // SAFETY: plain system calls.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if libc::getppid() != self.parent {
                libc::_exit(EXIT_NOT_STARTED);
            }
        }
    }

    unsafe fn open_streams(&self) {
        if let Some(terminal) = &self.plan.terminal {
            // SAFETY: a descriptor of the plan; this child leads a session that has no terminal.
            return unsafe { self.take_terminal(terminal.as_raw_fd()) };
        }
        let places = [
            (libc::STDIN_FILENO, SpawnStage::Stdin),
            (libc::STDOUT_FILENO, SpawnStage::Stdout),
            (libc::STDERR_FILENO, SpawnStage::Stderr),
        ];
        for (target, (fd, stage)) in self.plan.streams.iter().zip(places) {
            // SAFETY: paths are C strings of the plan; descriptors are this child's own.
            unsafe {
                match target {
                    Target::Inherited => {}
                    Target::Pipe(end) => {
                        if libc::dup2(end.as_raw_fd(), fd) == -1 {
                            self.fail(stage);
                        }
                    }
                    Target::Stdout => {
                        if libc::dup2(libc::STDOUT_FILENO, fd) == -1 {
                            self.fail(stage);
                        }
                    }
                    Target::Open { path, flags } => {
                        let flags = flags | libc::O_CLOEXEC | libc::O_NOCTTY;
                        let opened = retry(|| libc::open(path.as_ptr(), flags, OUTPUT_MODE));
                        if opened == -1 || !place(opened, fd) {
                            self.fail(stage);
                        }
                    }
                }
            }
        }
    }

    unsafe fn take_terminal(&self, terminal: RawFd) {
        // SAFETY: plain system calls on a descriptor of this child.
        unsafe {
            if libc::ioctl(terminal, libc::TIOCSCTTY, 0) == -1 {
                self.fail(SpawnStage::Stdin);
            }
            for fd in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
                if libc::dup2(terminal, fd) == -1 {
                    self.fail(SpawnStage::Stdin);
                }
            }
        }
    }

    /// Last before exec: a limit on files or memory must not hinder the steps above.
    unsafe fn set_limits(&self) {
        for (resource, soft) in &self.plan.limits {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `limit` is a live rlimit.
            unsafe {
                if libc::getrlimit(*resource, &mut limit) == -1 {
                    self.fail(SpawnStage::Exec);
                }
                limit.rlim_cur = if *soft < limit.rlim_max { *soft } else { limit.rlim_max };
                if libc::setrlimit(*resource, &limit) == -1 {
                    self.fail(SpawnStage::Exec);
                }
            }
        }
    }

    unsafe fn fail(&self, stage: SpawnStage) -> ! {
        // SAFETY: errno is this thread's own; `_exit` runs no handlers of the daemon.
        unsafe {
            self.report(tag(stage), *libc::__errno_location());
            libc::_exit(EXIT_NOT_STARTED)
        }
    }

    unsafe fn report(&self, tag: u32, value: c_int) {
        let mut bytes = [0u8; REPORT_BYTES];
        bytes[..4].copy_from_slice(&tag.to_ne_bytes());
        bytes[4..].copy_from_slice(&value.to_ne_bytes());
        // SAFETY: the buffer is live. A write this short into an empty pipe is whole or fails, and
        // it fails only when the parent is gone and nobody wants to know.
        retry(|| unsafe { libc::write(self.report, bytes.as_ptr().cast(), REPORT_BYTES) as c_int });
    }
}

/// Puts an open file at a standard descriptor, to be kept at exec.
unsafe fn place(opened: RawFd, fd: RawFd) -> bool {
    // SAFETY: both are descriptors of this child.
    unsafe {
        if opened == fd {
            return libc::fcntl(fd, libc::F_SETFD, 0) == 0;
        }
        let placed = libc::dup2(opened, fd) == fd;
        // A file opened at a low number fills a gap that a later stream will take itself.
        if opened >= FD_FIRST_OWN {
            libc::close(opened);
        }
        placed
    }
}

fn retry(mut call: impl FnMut() -> c_int) -> c_int {
    loop {
        let rc = call();
        // SAFETY: reads this thread's errno.
        if rc != -1 || unsafe { *libc::__errno_location() } != libc::EINTR {
            return rc;
        }
    }
}

/// The program starts with the defaults, not with what the daemon ignores or handles. Asks the
/// kernel itself, since the C library keeps two signals from its callers.
unsafe fn reset_dispositions() {
    /// Room for the kernel's own structure; all zero is the default disposition.
    const DEFAULT: [u64; 8] = [0; 8];
    /// Bytes of the kernel's signal set.
    const SET_BYTES: usize = 8;
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: the structure is read only and larger than the kernel's. The two signals whose
        // disposition cannot be changed say EINVAL, which is as good.
        unsafe {
            let none = ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), none, SET_BYTES);
        }
    }
}

/// A daemon may be protected from being killed for want of memory; its jobs must not inherit that.
unsafe fn give_up_protection() {
    // SAFETY: static strings and a descriptor of this child. Where it cannot be written there is no
    // protection to give up.
    unsafe {
        let path = c"/proc/self/oom_score_adj".as_ptr();
        let fd = libc::open(path, libc::O_WRONLY | libc::O_CLOEXEC);
        if fd != -1 {
            libc::write(fd, c"0".as_ptr().cast(), 1);
            libc::close(fd);
        }
    }
}

/// No descriptor of the daemon reaches the program, not even one opened without care elsewhere.
unsafe fn close_others_at_exec() {
    // SAFETY: marks descriptors of this child only.
    unsafe {
        let first = FD_FIRST_OWN as libc::c_uint;
        let mark = libc::CLOSE_RANGE_CLOEXEC;
        if libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, mark) == 0 {
            return;
        }
        for fd in FD_FIRST_OWN..FD_MARKED_MAX {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_survives_the_pipe() {
        for stage_sent in STAGES {
            let mut bytes = [0; REPORT_BYTES];
            bytes[..4].copy_from_slice(&tag(stage_sent).to_ne_bytes());
            bytes[4..].copy_from_slice(&13i32.to_ne_bytes());
            assert_eq!(Report::read(bytes), Report::Failed(stage_sent, 13));
        }
    }

    #[test]
    fn a_mark_is_never_inherited_and_never_doubled() {
        let given: Vec<String> = ["A=1", "FLURM_CONTAINER=outer", "B"].map(str::to_owned).to_vec();
        assert_eq!(environment(&given, None), ["A=1", "B"]);
        let mark = Some((crate::tree::MARK, "inner"));
        assert_eq!(environment(&given, mark), ["A=1", "B", "FLURM_CONTAINER=inner"]);
    }

    #[test]
    fn unknown_limits_are_refused() {
        let limit = |name: &str| resource(&Limit { name: name.to_owned(), soft: 5 });
        assert_eq!(limit("NOFILE").unwrap(), (libc::RLIMIT_NOFILE, 5));
        assert_eq!(limit("nofile").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn the_own_pid_is_written_behind_its_name() {
        for (pid, expected) in
            [(0, "A=0"), (7, "A=7"), (4_194_304, "A=4194304"), (u32::MAX, "A=4294967295")]
        {
            let variable = OwnPid::new(c"A");
            variable.fill(pid);
            let bytes: Vec<u8> = variable.0.iter().map(Cell::get).collect();
            assert_eq!(CStr::from_bytes_until_nul(&bytes).unwrap().to_str().unwrap(), expected);
        }
    }
}
