//! Containers as cgroups of the second version: the kernel itself keeps the list.
//!
//! Only the grouping is needed, no controller, so the second hierarchy of a machine that otherwise
//! runs the first version serves as well.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flurm_rt::Usage;

use crate::{procfs, wait};

/// The cgroup below which all containers lie.
const PARENT: &str = "flurm";
/// How long a kill waits for the kernel to finish what it was told.
const KILL_SETTLE: Duration = Duration::from_millis(500);
/// Pause between two looks at what is left.
const KILL_PAUSE: Duration = Duration::from_millis(2);
/// Deepest nesting below a container that is looked into.
const DEPTH_MAX: usize = 32;

/// Finds a place where this process may make cgroups and move processes into them.
pub(crate) fn find() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let places = mount_points(&mounts).into_iter().flat_map(|mount| {
        let below_own = own_group(&own).map(|group| mount.join(group.trim_start_matches('/')));
        [Some(mount), below_own].into_iter().flatten()
    });
    places.map(|place| place.join(PARENT)).find(|parent| usable(parent))
}

/// Mount points of the second version, as `/proc/self/mountinfo` tells them.
fn mount_points(mounts: &str) -> Vec<PathBuf> {
    let point = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let kind = after.split(' ').next()?;
        let path = before.split(' ').nth(4)?;
        // Blanks in paths are written in octal; a cgroup mount with one is nobody's practice.
        (kind == "cgroup2" && !path.contains('\\')).then(|| PathBuf::from(path))
    };
    mounts.lines().filter_map(point).collect()
}

/// This process's own group in the second version.
fn own_group(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Tries it: makes a group, opens its process list for writing, removes it.
fn usable(parent: &Path) -> bool {
    if make(parent).is_err() {
        return false;
    }
    // Moving a process also takes the right to write the list of the groups' common ancestor.
    let above = parent.parent().unwrap_or(parent).join("cgroup.procs");
    let movable = fs::OpenOptions::new().write(true).open(above).is_ok();
    let probe = parent.join(format!(".probe-{}", std::process::id()));
    let tried = movable && make(&probe).is_ok() && procs_for_writing(&probe).is_ok();
    // A probe that was never made cannot be removed.
    let _ = fs::remove_dir(&probe);
    tried
}

fn make(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Makes the group of a container, or finds it.
pub(crate) fn open(parent: &Path, name: &str) -> io::Result<PathBuf> {
    let group = parent.join(name);
    make(parent)?;
    // The peak of memory is counted only where the memory controller is on. It need not be.
    for above in [parent.parent().unwrap_or(parent), parent] {
        let _ = fs::write(above.join("cgroup.subtree_control"), "+memory");
    }
    make(&group)?;
    Ok(group)
}

/// The list of processes, to be written by a process that wants to enter.
pub(crate) fn procs_for_writing(group: &Path) -> io::Result<OwnedFd> {
    let file = fs::OpenOptions::new().write(true).open(group.join("cgroup.procs"))?;
    Ok(file.into())
}

/// The group and all groups below it, deepest last.
fn groups(group: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = vec![(group.to_path_buf(), 0)];
    let mut next = 0;
    while let Some((path, depth)) = all.get(next).cloned() {
        next += 1;
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries.flatten() {
            let below = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if below && depth < DEPTH_MAX {
                all.push((entry.path(), depth + 1));
            }
        }
    }
    Ok(all.into_iter().map(|(path, _)| path).collect())
}

/// The processes inside.
pub(crate) fn pids(group: &Path) -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for group in groups(group)? {
        let text = match fs::read_to_string(group.join("cgroup.procs")) {
            Err(error) if removed(&error) => continue,
            text => text?,
        };
        pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    }
    // A number 0 stands for a process of another process namespace.
    pids.retain(|pid| *pid != 0);
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// A group that vanished while it was read.
fn removed(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    errno == Some(libc::ENOENT) || errno == Some(libc::ENODEV)
}

/// Sends a signal to every process inside. True when there was one.
pub(crate) fn signal(group: &Path, signal: i32) -> io::Result<bool> {
    let pids = pids(group)?;
    for pid in &pids {
        match wait::send_signal(*pid, signal) {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
            _ => {}
        }
    }
    Ok(!pids.is_empty())
}

/// Kills everything inside. True when there was something.
pub(crate) fn kill(group: &Path) -> io::Result<bool> {
    if pids(group)?.is_empty() {
        return Ok(false);
    }
    match fs::write(group.join("cgroup.kill"), "1") {
        Ok(()) => settle(group, |_| Ok(()))?,
        // Kernels before 5.14 cannot kill a group: round after round, until a round finds nobody.
        Err(error) if removed(&error) => settle(group, kill_each)?,
        Err(error) => return Err(error),
    }
    Ok(true)
}

fn kill_each(group: &Path) -> io::Result<()> {
    signal(group, libc::SIGKILL).map(|_| ())
}

/// Waits until nobody is inside, doing `each` time something about it; not for ever, since a process
/// may be stuck in the kernel.
fn settle(group: &Path, each: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let started = Instant::now();
    while !pids(group)?.is_empty() && started.elapsed() < KILL_SETTLE {
        each(group)?;
        std::thread::sleep(KILL_PAUSE);
    }
    Ok(())
}

/// What was used, by those who have ended too.
pub(crate) fn usage(group: &Path) -> io::Result<Usage> {
    let text = match fs::read_to_string(group.join("cpu.stat")) {
        Err(error) if removed(&error) => return Ok(Usage::default()),
        text => text?,
    };
    let (user_us, system_us) = cpu_time(&text);
    let peak = fs::read_to_string(group.join("memory.peak")).ok();
    let counted = peak.and_then(|text| text.trim().parse::<u64>().ok()).map(|bytes| bytes / 1_024);
    let max_rss_kib = match counted {
        Some(kib) => kib,
        None => pids(group)?.into_iter().filter_map(procfs::peak_rss_kib).max().unwrap_or(0),
    };
    Ok(Usage { user_us, system_us, max_rss_kib })
}

/// User and system time, microseconds.
fn cpu_time(text: &str) -> (u64, u64) {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    (value("user_usec"), value("system_usec"))
}

/// Removes the group and those below it. They must be empty.
pub(crate) fn remove(group: &Path) -> io::Result<()> {
    for below in groups(group)?.iter().rev() {
        match fs::remove_dir(below) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_the_second_version_are_found_in_pure_and_mixed_machines() {
        let pure = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(mount_points(pure), [PathBuf::from("/sys/fs/cgroup")]);
        let mixed = "25 20 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
             26 25 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             27 25 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        assert_eq!(mount_points(mixed), [PathBuf::from("/sys/fs/cgroup/unified")]);
        assert!(mount_points("garbage\n\n - \n1 2 - cgroup2").is_empty());
    }

    #[test]
    fn the_own_group_is_the_one_without_controllers_listed() {
        assert_eq!(own_group("4:memory:/a\n0::/system.slice/x\n"), Some("/system.slice/x"));
        assert_eq!(own_group("4:memory:/a\n"), None);
    }

    #[test]
    fn cpu_time_is_read_by_name() {
        let text = "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnice_usec 0\n";
        assert_eq!(cpu_time(text), (10, 20));
        assert_eq!(cpu_time(""), (0, 0));
    }

    /// Needs a cgroup of its own; says so where it cannot have one.
    #[test]
    fn rounds_of_signals_end_a_group_that_the_kernel_cannot_kill() {
        let Some(parent) = find() else {
            println!("skipped: no cgroup may be made here");
            return;
        };
        let group = open(&parent, &format!("rounds-{}", std::process::id())).unwrap();
        let enter = format!("echo $$ > {}/cgroup.procs; sleep 1000 & sleep 1000", group.display());
        let mut child = std::process::Command::new("sh").args(["-c", &enter]).spawn().unwrap();
        while pids(&group).unwrap().len() < 3 {
            std::thread::sleep(KILL_PAUSE);
        }
        settle(&group, kill_each).unwrap();
        assert!(pids(&group).unwrap().is_empty());
        child.wait().unwrap();
        remove(&group).unwrap();
    }
}
