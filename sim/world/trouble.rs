//! What is wrong with a machine beside its links, its clocks and its power: its disk, its room for
//! processes, its resolver. Several troubles add up.

use std::io;

use serde::{Deserialize, Serialize};

use super::{MachineId, Nanos, World};

/// `EIO`.
const EIO: i32 = 5;

/// One trouble of a machine, or all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trouble {
    /// Percent of syncs that fail and make nothing durable.
    pub sync_percent: u8,
    /// Percent of reads that fail.
    pub read_percent: u8,
    /// Percent of writes that fail.
    pub write_percent: u8,
    /// No file grows and none is made.
    pub full: bool,
    /// Added to every sync, nanoseconds.
    pub slower: Nanos,
    /// Percent of processes that cannot be made.
    pub fork_percent: u8,
    /// No name resolves.
    pub names_fail: bool,
}

impl Trouble {
    fn with(self, other: Self) -> Self {
        Self {
            sync_percent: self.sync_percent.max(other.sync_percent),
            read_percent: self.read_percent.max(other.read_percent),
            write_percent: self.write_percent.max(other.write_percent),
            full: self.full || other.full,
            slower: self.slower.max(other.slower),
            fork_percent: self.fork_percent.max(other.fork_percent),
            names_fail: self.names_fail || other.names_fail,
        }
    }

    /// As people read it.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        let parts = [
            (self.sync_percent, "of syncs fail"),
            (self.read_percent, "of reads fail"),
            (self.write_percent, "of writes fail"),
            (self.fork_percent, "of processes cannot be made"),
        ];
        for (percent, what) in parts.into_iter().filter(|(percent, _)| *percent > 0) {
            words.push(format!("{percent} % {what}"));
        }
        if self.full {
            words.push("the disk is full".to_owned());
        }
        if self.slower > 0 {
            words.push(format!("syncs take {} ms longer", self.slower / super::MILLI));
        }
        if self.names_fail {
            words.push("no name resolves".to_owned());
        }
        words.join(", ")
    }
}

/// The troubles of one machine, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    list: Vec<(u64, Trouble)>,
    sum: Trouble,
}

impl Troubles {
    /// All together.
    pub fn sum(&self) -> Trouble {
        self.sum
    }

    /// One more.
    pub fn begin(&mut self, number: u64, trouble: Trouble) {
        self.list.push((number, trouble));
        self.add_up();
    }

    /// One less.
    pub fn end(&mut self, number: u64) {
        self.list.retain(|(own, _)| *own != number);
        self.add_up();
    }

    fn add_up(&mut self) {
        let sum = self.list.iter().fold(Trouble::default(), |sum, (_, one)| sum.with(*one));
        self.sum = sum;
    }
}

/// Whether something that fails so often fails this time.
pub(super) fn strikes(w: &mut World, percent: u8) -> bool {
    percent > 0 && w.rng.trouble.below(100) < u64::from(percent)
}

/// Lets a read fail.
pub(super) fn reading(w: &mut World, machine: MachineId) -> io::Result<()> {
    let percent = w.machine(machine).troubles.sum().read_percent;
    if strikes(w, percent) {
        flurm_base::sometimes!("a read from a disk failed");
        return Err(io::Error::from_raw_os_error(EIO));
    }
    Ok(())
}

/// Lets a write fail; `grows` when it needs room.
pub(super) fn writing(w: &mut World, machine: MachineId, grows: bool) -> io::Result<()> {
    let trouble = w.machine(machine).troubles.sum();
    if strikes(w, trouble.write_percent) {
        flurm_base::sometimes!("a write to a disk failed");
        return Err(io::Error::from_raw_os_error(EIO));
    }
    if trouble.full && grows {
        flurm_base::sometimes!("a disk had no room");
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// Whether a sync fails.
pub(crate) fn sync_fails(w: &mut World, machine: MachineId) -> bool {
    let percent = w.machine(machine).troubles.sum().sync_percent;
    let fails = strikes(w, percent);
    flurm_base::sometimes!(fails, "a sync failed");
    fails
}

/// The error of a failed sync.
pub(super) fn sync_error() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_add_up_and_go_one_by_one() {
        let mut troubles = Troubles::default();
        troubles.begin(1, Trouble { sync_percent: 10, full: true, ..Trouble::default() });
        troubles.begin(2, Trouble { sync_percent: 40, slower: 7, ..Trouble::default() });
        let both = Trouble { sync_percent: 40, full: true, slower: 7, ..Trouble::default() };
        assert_eq!(troubles.sum(), both);
        assert_eq!(both.words(), "40 % of syncs fail, the disk is full, syncs take 0 ms longer");
        troubles.end(2);
        assert_eq!((troubles.sum().sync_percent, troubles.sum().slower), (10, 0));
        troubles.end(1);
        assert_eq!(troubles.sum(), Trouble::default());
    }
}
