//! Containers of either kind behind one face.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flurm_rt::{Container, Usage};

use crate::{cgroup, procfs, tree, wait};

/// Longest container name: a file name.
const NAME_BYTES_MAX: usize = 200;

/// Which kind of container to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containment {
    /// Cgroups of the second version where this process may make them, else the process tree.
    Best,
    /// The process tree, found through `/proc`, even where there are cgroups.
    ProcessTree,
}

/// The kind in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Below this cgroup.
    Cgroup(PathBuf),
    /// Through `/proc`.
    Tree,
}

impl Backing {
    /// Looks at the machine.
    pub(crate) fn choose(containment: Containment) -> Self {
        let found = match containment {
            Containment::Best => cgroup::find(),
            Containment::ProcessTree => None,
        };
        found.map_or(Self::Tree, Self::Cgroup)
    }
}

/// What ended processes have used, by container. The kernel keeps this for a cgroup's CPU time;
/// for the rest it is known only from collecting.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<BTreeMap<String, Usage>>>);

impl Ledger {
    pub(crate) fn add(&self, name: &str, usage: Usage) {
        let mut accounts = self.accounts();
        let account = accounts.entry(name.to_owned()).or_default();
        account.user_us = account.user_us.saturating_add(usage.user_us);
        account.system_us = account.system_us.saturating_add(usage.system_us);
        account.max_rss_kib = account.max_rss_kib.max(usage.max_rss_kib);
    }

    /// Keeps the largest resident set seen so far, and says what is on the account.
    fn seen(&self, name: &str, max_rss_kib: u64) -> Usage {
        self.add(name, Usage { max_rss_kib, ..Usage::default() });
        self.accounts().get(name).copied().unwrap_or_default()
    }

    fn close(&self, name: &str) {
        self.accounts().remove(name);
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, Usage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A container of this machine.
#[derive(Clone, Debug)]
pub struct SystemContainer {
    name: Arc<str>,
    kind: Kind,
    ledger: Ledger,
}

#[derive(Clone, Debug)]
enum Kind {
    Cgroup(PathBuf),
    Tree,
}

impl SystemContainer {
    /// Makes or opens a container. May block.
    pub(crate) fn open(backing: &Backing, name: &str, ledger: &Ledger) -> io::Result<Self> {
        check_name(name)?;
        let kind = match backing {
            Backing::Cgroup(parent) => Kind::Cgroup(cgroup::open(parent, name)?),
            Backing::Tree => Kind::Tree,
        };
        Ok(Self { name: name.into(), kind, ledger: ledger.clone() })
    }

    fn inside(&self) -> io::Result<Vec<u32>> {
        match &self.kind {
            Kind::Cgroup(group) => cgroup::pids(group),
            Kind::Tree => Ok(tree::members(&self.name).iter().map(|stat| stat.pid).collect()),
        }
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let container = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&container)).await;
        done.map_err(io::Error::other)?
    }
}

/// Names become file names, below folders that other programs look into.
fn check_name(name: &str) -> io::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let short = name.len() <= NAME_BYTES_MAX;
    let well_begun = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if short && well_begun && name.chars().all(plain) {
        return Ok(());
    }
    let text = format!("{name:?} is no name for a container");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

impl Container for SystemContainer {
    async fn signal(&self, signal: i32) -> io::Result<bool> {
        self.with(move |this| match &this.kind {
            Kind::Cgroup(group) => cgroup::signal(group, signal),
            Kind::Tree => tree::signal(&this.name, signal),
        })
        .await
    }

    async fn signal_first(&self, signal: i32) -> io::Result<bool> {
        self.with(move |this| {
            let inside = this.inside()?;
            let living =
                inside.into_iter().filter_map(procfs::Stat::of).filter(|stat| stat.living());
            let Some(first) = living.min_by_key(|stat| (stat.stamp(), stat.pid)) else {
                return Ok(false);
            };
            match wait::send_signal(first.pid, signal) {
                Ok(()) => Ok(true),
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn kill(&self) -> io::Result<bool> {
        self.with(|this| match &this.kind {
            Kind::Cgroup(group) => cgroup::kill(group),
            Kind::Tree => tree::kill(&this.name),
        })
        .await
    }

    async fn pids(&self) -> io::Result<Vec<u32>> {
        self.with(Self::inside).await
    }

    async fn usage(&self) -> io::Result<Usage> {
        self.with(|this| match &this.kind {
            Kind::Cgroup(group) => {
                let counted = cgroup::usage(group)?;
                let seen = this.ledger.seen(&this.name, counted.max_rss_kib);
                Ok(Usage { max_rss_kib: seen.max_rss_kib, ..counted })
            }
            Kind::Tree => {
                let living = tree::usage(&this.name);
                let ended = this.ledger.seen(&this.name, living.max_rss_kib);
                Ok(Usage {
                    user_us: ended.user_us.saturating_add(living.user_us),
                    system_us: ended.system_us.saturating_add(living.system_us),
                    max_rss_kib: ended.max_rss_kib,
                })
            }
        })
        .await
    }

    async fn remove(&self) -> io::Result<()> {
        self.with(|this| {
            match &this.kind {
                Kind::Cgroup(group) => cgroup::remove(group)?,
                Kind::Tree => tree::remove(&this.name)?,
            }
            this.ledger.close(&this.name);
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for good in ["job7.0x1f", "a", "0-_."] {
            check_name(good).unwrap();
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for bad in ["", ".", "..", "-x", "a/b", "a b", "a\0", "ä", long.as_str()] {
            assert_eq!(check_name(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
    }

    #[test]
    fn the_ledger_adds_times_and_keeps_the_largest_set() {
        let ledger = Ledger::default();
        ledger.add("a", Usage { user_us: 1, system_us: 2, max_rss_kib: 30 });
        ledger.add("a", Usage { user_us: 10, system_us: 20, max_rss_kib: 3 });
        ledger.add("b", Usage { user_us: 100, system_us: 0, max_rss_kib: 0 });
        let seen = ledger.seen("a", 25);
        assert_eq!(seen, Usage { user_us: 11, system_us: 22, max_rss_kib: 30 });
        ledger.close("a");
        assert_eq!(ledger.seen("a", 0), Usage::default());
    }
}
