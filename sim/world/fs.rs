//! `rt::Fs` over the simulated disk.

use std::io;
use std::path::{Path, PathBuf};

use flurm_rt::{Access, Entry, File, Fs, OpenMode};

use super::disk::{Disk, Inode};
use super::env::Place;
use super::trace::{Kind, digest_bytes};
use super::{MachineId, Nanos, World, trouble, wait};

/// The disk as one process sees it.
#[derive(Clone, Debug)]
pub struct SimFs(pub(crate) Place);

/// An open file.
#[derive(Debug)]
pub struct SimFile {
    machine: MachineId,
    boots: u32,
    inode: Inode,
    path: PathBuf,
}

fn note(w: &mut World, machine: MachineId, path: &Path, facts: u64, what: &str) {
    let lane = || w.machines[machine.0 as usize].name.clone();
    let fact = digest_bytes(path.as_os_str().as_encoded_bytes()) ^ facts;
    let words = || (lane(), format!("disk {what} {}", path.display()));
    w.trace.note(w.now, Kind::Disk, [u64::from(machine.0), fact], words);
}

/// Even over the logarithm, as real sync times roughly are.
pub(crate) fn sync_time(w: &mut World, machine: MachineId) -> Nanos {
    let (low, high) = (w.disk_knobs.sync_min.max(1), w.disk_knobs.sync_max.max(2));
    let span = (high as f64 / low as f64).ln();
    let time = low as f64 * (w.rng.disk.unit() * span).exp();
    (time as Nanos).clamp(low, high) + w.machine(machine).troubles.sum().slower
}

impl SimFs {
    fn change<R>(
        &self,
        path: &Path,
        what: &str,
        f: impl FnOnce(&mut Disk) -> io::Result<R>,
    ) -> io::Result<R> {
        super::with(|w| {
            trouble::writing(w, self.0.machine, false)?;
            let result = f(&mut w.machine_mut(self.0.machine).disk);
            note(w, self.0.machine, path, u64::from(result.is_ok()), what);
            result
        })
    }
}

impl Fs for SimFs {
    type File = SimFile;

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<SimFile> {
        let machine = self.0.machine;
        super::with(|w| {
            trouble::reading(w, machine)?;
            let known = w.machine_mut(machine).disk.exists(path);
            if matches!(mode, OpenMode::Create | OpenMode::CreateNew) && !known {
                trouble::writing(w, machine, true)?;
            }
            let item = w.machine_mut(machine);
            let (boots, inode) = (item.boots, item.disk.open(path, mode)?);
            Ok(SimFile { machine, boots, inode, path: path.to_path_buf() })
        })
    }

    async fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read).await?;
        if file.len().await? > max as u64 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        file.read_at(0, max).await
    }

    async fn replace(&self, path: &Path, bytes: &[u8], _unix_mode: u32) -> io::Result<()> {
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let file = self.open(&temporary, OpenMode::Create).await?;
        file.set_len(0).await?;
        file.write_at(0, bytes.to_vec()).await?;
        file.sync().await?;
        self.rename(&temporary, path).await?;
        self.sync_dir(path.parent().unwrap_or(Path::new("/"))).await
    }

    async fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        self.change(target, "rename to", |disk| disk.rename(source, target))
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(path, "remove", |disk| disk.remove(path))
    }

    async fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.change(path, "remove tree", |disk| disk.remove_tree(path))
    }

    async fn create_folder(&self, path: &Path, _unix_mode: u32) -> io::Result<()> {
        self.change(path, "create folder", |disk| disk.create_folder(path))
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        super::with(|w| w.machine_mut(self.0.machine).disk.list(path))
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let machine = self.0.machine;
        let (time, fails) =
            super::with(|w| (sync_time(w, machine), trouble::sync_fails(w, machine)));
        wait(time).await;
        if fails {
            return Err(trouble::sync_error());
        }
        self.change(path, "sync names of", |disk| disk.sync_dir(path))
    }

    /// Simulated files are all well kept.
    async fn access(&self, path: &Path) -> io::Result<Access> {
        self.open(path, OpenMode::Read).await?;
        Ok(Access { uid: 0, unix_mode: 0o600 })
    }

    async fn set_mode(&self, _path: &Path, _unix_mode: u32) -> io::Result<()> {
        Ok(())
    }

    async fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        self.change(path, "give away", |disk| disk.set_owner(path, uid, gid))
    }
}

impl SimFile {
    fn with<R>(
        &self,
        what: &str,
        facts: u64,
        f: impl FnOnce(&mut Disk) -> io::Result<R>,
    ) -> io::Result<R> {
        super::with(|w| {
            let machine = w.machine_mut(self.machine);
            assert!(machine.boots == self.boots, "a process does not outlive its machine's boot");
            let result = f(&mut machine.disk);
            if !what.is_empty() {
                note(w, self.machine, &self.path, facts, what);
            }
            result
        })
    }
}

impl File for SimFile {
    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        super::with(|w| trouble::reading(w, self.machine))?;
        self.with("", 0, |disk| disk.read_at(self.inode, offset, len))
    }

    async fn write_at(&self, offset: u64, bytes: Vec<u8>) -> io::Result<()> {
        let facts = digest_bytes(&bytes) ^ offset;
        let end = offset.saturating_add(bytes.len() as u64);
        let grows = self.len().await? < end;
        super::with(|w| trouble::writing(w, self.machine, grows))?;
        self.with("write", facts, |disk| disk.write_at(self.inode, offset, &bytes))
    }

    async fn len(&self) -> io::Result<u64> {
        self.with("", 0, |disk| disk.len(self.inode))
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        self.with("set length of", len, |disk| disk.set_len(self.inode, len))
    }

    async fn sync(&self) -> io::Result<()> {
        let machine = self.machine;
        let (time, fails) =
            super::with(|w| (sync_time(w, machine), trouble::sync_fails(w, machine)));
        wait(time).await;
        if fails {
            self.with("fail to sync", 0, |disk| disk.fail_sync(self.inode))?;
            return Err(trouble::sync_error());
        }
        self.with("sync", 0, |disk| disk.sync(self.inode))
    }
}
