//! Containers without cgroups: a job's processes found through `/proc`.
//!
//! A process belongs to a container when it carries the container's mark in the environment it was
//! started with, or is in a session or group of a process started into the container, or descends
//! from a member, or was orphaned onto the container's reaper: the process that started the
//! container's first process and asked the kernel for its orphans. A record per container names
//! reaper and first processes, so that another process opens the same container.
//!
//! What escapes: a process that clears its environment, leaves its session *and* loses its parent
//! after the reaper has died, or beside a second container of the same reaper. Cgroups have no
//! such gap; this is for machines without them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use flurm_rt::Usage;

use crate::container::Ledger;
use crate::procfs::{self, Stat};
use crate::{spawner, wait};

/// The variable that marks a process as a member of the container it names.
pub(crate) const MARK: &str = "FLURM_CONTAINER";
/// Mark of a process that a reaper starts outside every container.
pub(crate) const MARK_OUTSIDE: &str = "-";
/// How often a tree is stopped and killed before the rest is left to the caller.
const KILL_ROUNDS_MAX: u32 = 200;
/// How often the tree is looked at for new processes while it is being stopped.
const STOP_ROUNDS_MAX: u32 = 1_000;
/// Pause between two rounds of killing.
const KILL_PAUSE: Duration = Duration::from_millis(5);
/// Pause of the thread that collects orphans.
const ORPHAN_PAUSE: Duration = Duration::from_millis(100);

/// What was written down about a container: who receives its orphans, what was started into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    reapers: Vec<Stamped>,
    roots: Vec<Stamped>,
}

/// A process that cannot be mistaken for a later one with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stamped {
    pid: u32,
    stamp: u64,
}

impl Stamped {
    fn own() -> io::Result<Self> {
        let pid = std::process::id();
        let stat = Stat::of(pid).ok_or_else(|| io::Error::other("/proc does not show us"))?;
        Ok(Self { pid, stamp: stat.stamp() })
    }
}

impl Record {
    fn load(name: &str) -> Self {
        let text = fs::read_to_string(folder().join(name)).unwrap_or_default();
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let mut record = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let kind = words.next();
            let numbers = (words.next().map(str::parse), words.next().map(str::parse));
            let (Some(Ok(pid)), Some(Ok(stamp))) = numbers else { continue };
            match kind {
                Some("reaper") => record.reapers.push(Stamped { pid, stamp }),
                Some("root") => record.roots.push(Stamped { pid, stamp }),
                _ => {}
            }
        }
        record
    }

    fn add(name: &str, kind: &str, process: Stamped) -> io::Result<()> {
        let folder = made_folder()?;
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        let mut file = options.open(folder.join(name))?;
        file.write_all(format!("{kind} {} {}\n", process.pid, process.stamp).as_bytes())
    }
}

/// Where the records lie: gone after a reboot, like the processes.
fn folder() -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    match uid {
        0 => PathBuf::from("/run/flurm-containers"),
        _ => PathBuf::from(format!("/tmp/flurm-containers-{uid}")),
    }
}

fn made_folder() -> io::Result<PathBuf> {
    let folder = folder();
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => return Ok(folder),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let metadata = fs::symlink_metadata(&folder)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if metadata.is_dir() && ours {
        return Ok(folder);
    }
    let text = format!("{} belongs to somebody else", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// Makes this process receive the orphans of the container, before the first start into it.
pub(crate) fn become_reaper(name: &str, ledger: &Ledger) -> io::Result<()> {
    let own = Stamped::own()?;
    if !Record::load(name).reapers.contains(&own) {
        Record::add(name, "reaper", own)?;
    }
    static REAPING: OnceLock<Result<(), i32>> = OnceLock::new();
    let ledger = ledger.clone();
    let reaping = REAPING.get_or_init(|| {
        let any = rustix::process::Pid::from_raw(1);
        rustix::process::set_child_subreaper(any).map_err(|errno| errno.raw_os_error())?;
        let builder = std::thread::Builder::new().name("flurm-orphans".to_owned());
        let started = builder.spawn(move || collect_orphans(own, &ledger));
        started.map(|_| ()).map_err(|error| error.raw_os_error().unwrap_or(libc::EAGAIN))
    });
    reaping.map_err(io::Error::from_raw_os_error)
}

/// Writes down a process that was started into the container.
pub(crate) fn add_root(name: &str, pid: u32) -> io::Result<()> {
    match Stat::of(pid) {
        Some(stat) => Record::add(name, "root", Stamped { pid, stamp: stat.stamp() }),
        None => Ok(()),
    }
}

/// Collects processes that were orphaned onto this one, for ever.
fn collect_orphans(own: Stamped, ledger: &Ledger) {
    loop {
        let orphans: Vec<u32> = {
            let all = procfs::all();
            let awaited = spawner::awaited();
            all.values()
                .filter(|stat| stat.parent == own.pid && !stat.living())
                .filter(|stat| !awaited.contains(&stat.pid))
                .map(|stat| stat.pid)
                .collect()
        };
        for pid in orphans {
            if let Ok(Some(ended)) = wait::collect_if_ended(pid)
                && let [only] = containers_of(own).as_slice()
            {
                ledger.add(only, ended.usage);
            }
        }
        std::thread::sleep(ORPHAN_PAUSE);
    }
}

/// The containers whose orphans a process receives.
fn containers_of(reaper: Stamped) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder()) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| Record::load(name).reapers.contains(&reaper)).collect()
}

/// The living processes of a container.
pub(crate) fn members(name: &str) -> Vec<Stat> {
    let record = Record::load(name);
    let all = procfs::all();
    let living_reapers: BTreeSet<u32> = record
        .reapers
        .iter()
        .filter(|reaper| all.get(&reaper.pid).is_some_and(|stat| stat.stamp() == reaper.stamp))
        .map(|reaper| reaper.pid)
        .collect();
    let marks: BTreeMap<u32, String> =
        all.keys().filter_map(|pid| Some((*pid, procfs::environment(*pid, MARK)?))).collect();
    let sole = |reaper: &Stamped| containers_of(*reaper).len() == 1;
    let adopting: BTreeSet<u32> = record
        .reapers
        .iter()
        .filter(|reaper| living_reapers.contains(&reaper.pid) && sole(reaper))
        .map(|reaper| reaper.pid)
        .collect();
    let sessions = sessions(&record, &all);
    let awaited = spawner::awaited().clone();
    let belongs = |stat: &Stat| match marks.get(&stat.pid) {
        Some(mark) if mark == name => true,
        Some(_) => false,
        None => {
            let in_session = sessions.contains(&stat.session) || sessions.contains(&stat.group);
            let orphaned = adopting.contains(&stat.parent) && !awaited.contains(&stat.pid);
            in_session || orphaned
        }
    };
    let outside = |pid: u32| pid == 1 || pid == std::process::id() || living_reapers.contains(&pid);
    let mut inside: BTreeSet<u32> =
        all.values().filter(|stat| belongs(stat)).map(|stat| stat.pid).collect();
    inside.retain(|pid| !outside(*pid));
    // Children of members, their children, and so on; zombies keep their children until collected.
    loop {
        let before = inside.len();
        for stat in all.values() {
            if inside.contains(&stat.parent) && !outside(stat.pid) {
                inside.insert(stat.pid);
            }
        }
        if inside.len() == before {
            break;
        }
    }
    all.into_values().filter(|stat| inside.contains(&stat.pid) && stat.living()).collect()
}

/// Ids of sessions and groups led by processes started into the container. The kernel keeps such a
/// number from being given to a new process while the session lasts, so a process that has the
/// number but another stamp proves that the session is over.
fn sessions(record: &Record, all: &BTreeMap<u32, Stat>) -> BTreeSet<u32> {
    let reused = |root: &Stamped| all.get(&root.pid).is_some_and(|s| s.stamp() != root.stamp);
    record.roots.iter().filter(|root| !reused(root)).map(|root| root.pid).collect()
}

/// Sends a signal to every member. True when there was one.
pub(crate) fn signal(name: &str, signal: i32) -> io::Result<bool> {
    let members = members(name);
    for member in &members {
        signal_same(member, signal)?;
    }
    Ok(!members.is_empty())
}

/// Kills every member. Stops them all first, until nothing new appears: a stopped process forks no
/// more, so a fork bomb is not chased but caught.
pub(crate) fn kill(name: &str) -> io::Result<bool> {
    let mut found = false;
    for _ in 0..KILL_ROUNDS_MAX {
        let mut stopped: BTreeSet<(u32, u64)> = BTreeSet::new();
        for _ in 0..STOP_ROUNDS_MAX {
            let mut fresh = members(name);
            fresh.retain(|member| stopped.insert((member.pid, member.stamp())));
            if fresh.is_empty() {
                break;
            }
            for member in &fresh {
                signal_same(member, libc::SIGSTOP)?;
            }
        }
        if stopped.is_empty() {
            return Ok(found);
        }
        found = true;
        for (pid, stamp) in stopped {
            if let Some(member) = Stat::of(pid).filter(|stat| stat.stamp() == stamp) {
                signal_same(&member, libc::SIGKILL)?;
            }
        }
        std::thread::sleep(KILL_PAUSE);
    }
    tracing::warn!(container = name, "processes are still there after they were killed");
    Ok(found)
}

/// Signals a process only while it is still the one that was seen.
fn signal_same(member: &Stat, signal: i32) -> io::Result<()> {
    let same = Stat::of(member.pid).is_some_and(|stat| stat.start_ticks == member.start_ticks);
    if !same {
        return Ok(());
    }
    match wait::send_signal(member.pid, signal) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result,
    }
}

/// What the living members have used, with the children they waited for.
pub(crate) fn usage(name: &str) -> Usage {
    let mut sum = Usage::default();
    for member in members(name) {
        sum.user_us = sum.user_us.saturating_add(procfs::ticks_us(member.user_ticks));
        sum.system_us = sum.system_us.saturating_add(procfs::ticks_us(member.system_ticks));
        sum.max_rss_kib = sum.max_rss_kib.max(procfs::peak_rss_kib(member.pid).unwrap_or(0));
    }
    sum
}

/// Forgets an empty container.
pub(crate) fn remove(name: &str) -> io::Result<()> {
    if !members(name).is_empty() {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    match fs::remove_file(folder().join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_line_by_line_and_torn_lines_are_passed_over() {
        let record = Record::parse("reaper 7 70\nroot 8 80\nroot 9 90\nroot 1");
        assert_eq!(record.reapers, [Stamped { pid: 7, stamp: 70 }]);
        let roots = [Stamped { pid: 8, stamp: 80 }, Stamped { pid: 9, stamp: 90 }];
        assert_eq!(record.roots, roots);
    }

    #[test]
    fn a_reused_number_ends_the_session_it_named() {
        let all = procfs::all();
        let own = all[&std::process::id()];
        let roots =
            |stamp| Record { reapers: vec![], roots: vec![Stamped { pid: own.pid, stamp }] };
        assert!(sessions(&roots(own.stamp()), &all).contains(&own.pid));
        assert!(sessions(&roots(own.stamp() - 1), &all).is_empty());
        let ended = Record { reapers: vec![], roots: vec![Stamped { pid: u32::MAX, stamp: 1 }] };
        assert!(sessions(&ended, &all).contains(&u32::MAX));
    }
}
