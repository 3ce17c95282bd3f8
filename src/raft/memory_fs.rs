//! A disk in memory that can lose power at any operation and rot, for tests.
//!
//! What was written but not synced is lost, kept or torn per 512-byte sector; names that were added
//! or removed without a sync of their folder are kept or lost one by one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flurm_rt::{Access, Entry, File, Fs, OpenMode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SECTOR: usize = 512;

#[derive(Clone, Default)]
struct Inode {
    synced: Vec<u8>,
    current: Vec<u8>,
}

#[derive(Default)]
struct Disk {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, u64>,
    synced_names: BTreeMap<PathBuf, u64>,
    operations: u64,
    dies_at: Option<u64>,
    sync_fails_at: Option<u64>,
    syncs: u64,
    dead: bool,
}

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct MemoryFs {
    disk: Arc<Mutex<Disk>>,
}

fn died() -> io::Error {
    io::Error::other("the power is gone")
}

impl Disk {
    fn step(&mut self) -> io::Result<()> {
        if self.dead {
            return Err(died());
        }
        self.operations += 1;
        if self.dies_at == Some(self.operations) {
            self.dead = true;
        }
        Ok(())
    }

    fn finish(&self) -> io::Result<()> {
        if self.dead { Err(died()) } else { Ok(()) }
    }
}

impl MemoryFs {
    /// Takes the power away during the `count`-th operation from now.
    pub(crate) fn die_after(&self, count: u64) {
        let mut disk = self.disk.lock().unwrap();
        disk.dies_at = Some(disk.operations + count);
    }

    /// Makes the `count`-th sync from now fail, its data kept in memory only.
    pub(crate) fn fail_sync_after(&self, count: u64) {
        let mut disk = self.disk.lock().unwrap();
        disk.sync_fails_at = Some(disk.syncs + count);
    }

    /// True when the power went away.
    pub(crate) fn is_dead(&self) -> bool {
        self.disk.lock().unwrap().dead
    }

    /// Power comes back: what was not synced is lost, kept or torn, as the seed says.
    pub(crate) fn restart(&self, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut disk = self.disk.lock().unwrap();
        for inode in disk.inodes.values_mut() {
            tear(inode, &mut rng);
        }
        let current = disk.names.clone();
        let mut names = disk.synced_names.clone();
        for (path, inode) in &current {
            if names.get(path) != Some(inode) && rng.random_bool(0.5) {
                names.insert(path.clone(), *inode);
            }
        }
        for path in disk.synced_names.keys() {
            if !current.contains_key(path) && rng.random_bool(0.5) {
                names.remove(path);
            }
        }
        disk.names = names.clone();
        disk.synced_names = names;
        disk.dead = false;
        disk.dies_at = None;
        disk.sync_fails_at = None;
    }

    /// A process restart: nothing is lost.
    pub(crate) fn reopen(&self) {
        let mut disk = self.disk.lock().unwrap();
        disk.dead = false;
        disk.dies_at = None;
    }

    /// All files with their content.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let disk = self.disk.lock().unwrap();
        disk.names.iter().map(|(p, i)| (p.clone(), disk.inodes[i].current.clone())).collect()
    }

    /// Puts a file on the disk, durably.
    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut disk = self.disk.lock().unwrap();
        let inode = disk.next_inode;
        disk.next_inode += 1;
        disk.inodes.insert(inode, Inode { synced: bytes.clone(), current: bytes });
        disk.names.insert(path.to_owned(), inode);
        disk.synced_names.insert(path.to_owned(), inode);
    }

    /// Takes a file off the disk, durably.
    pub(crate) fn take(&self, path: &Path) {
        let mut disk = self.disk.lock().unwrap();
        disk.names.remove(path);
        disk.synced_names.remove(path);
    }

    /// A deep copy: another disk with the same content.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::default();
        for (path, bytes) in self.files() {
            copy.put(&path, bytes);
        }
        copy
    }

    /// Flips one bit.
    pub(crate) fn flip(&self, path: &Path, bit: usize) {
        let mut disk = self.disk.lock().unwrap();
        let inode = disk.names[path];
        let inode = disk.inodes.get_mut(&inode).unwrap();
        inode.current[bit / 8] ^= 1 << (bit % 8);
        inode.synced = inode.current.clone();
    }
}

fn tear(inode: &mut Inode, rng: &mut StdRng) {
    if inode.synced == inode.current {
        return;
    }
    let (old, new) = (inode.synced.clone(), inode.current.clone());
    let mode = rng.random_range(0..4);
    let len = match mode {
        0 => old.len(),
        1 => new.len(),
        _ => {
            let (low, high) = (old.len().min(new.len()), old.len().max(new.len()));
            low + rng.random_range(0..=(high - low) / SECTOR) * SECTOR
        }
    };
    let mut result = vec![0; len.min(old.len().max(new.len()))];
    for start in (0..result.len()).step_by(SECTOR) {
        let end = (start + SECTOR).min(result.len());
        let pick = |from: &[u8], at: usize| from.get(at).copied().unwrap_or(0);
        let keep_old = mode == 0 || (mode != 1 && rng.random_bool(0.5));
        let same = (start..end).all(|at| pick(&old, at) == pick(&new, at));
        // A sector that was being rewritten may hold anything at all.
        let garbage = !same && mode == 3 && rng.random_bool(0.3);
        for (at, byte) in result.iter_mut().enumerate().take(end).skip(start) {
            *byte = if garbage {
                rng.random_range(0..=255)
            } else if keep_old {
                pick(&old, at)
            } else {
                pick(&new, at)
            };
        }
    }
    inode.synced = result.clone();
    inode.current = result;
}

/// An open file.
pub(crate) struct MemoryFile {
    disk: Arc<Mutex<Disk>>,
    inode: u64,
}

impl Fs for MemoryFs {
    type File = MemoryFile;

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<MemoryFile> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        let found = disk.names.get(path).copied();
        let inode = match (found, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => inode,
            (None, OpenMode::Read | OpenMode::Update) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                let inode = disk.next_inode;
                disk.next_inode += 1;
                disk.inodes.insert(inode, Inode::default());
                disk.names.insert(path.to_owned(), inode);
                inode
            }
        };
        disk.finish()?;
        Ok(MemoryFile { disk: Arc::clone(&self.disk), inode })
    }

    async fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        let inode = disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let bytes = disk.inodes[inode].current.clone();
        if max < bytes.len() { Err(io::Error::other("too long")) } else { Ok(bytes) }
    }

    async fn replace(&self, path: &Path, bytes: &[u8], _unix_mode: u32) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let file = self.open(&temporary, OpenMode::Create).await?;
        file.set_len(0).await?;
        file.write_at(0, bytes.to_vec()).await?;
        file.sync().await?;
        self.rename(&temporary, path).await?;
        self.sync_dir(path.parent().unwrap()).await
    }

    async fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        let inode = disk.names.remove(source).ok_or(io::ErrorKind::NotFound)?;
        disk.names.insert(target.to_owned(), inode);
        disk.finish()
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        disk.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        disk.finish()
    }

    async fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        disk.names.retain(|name, _| !name.starts_with(path));
        disk.finish()
    }

    async fn create_folder(&self, _path: &Path, _unix_mode: u32) -> io::Result<()> {
        Ok(())
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        let inside = disk.names.iter().filter(|(name, _)| name.parent() == Some(path));
        let entry = |(name, inode): (&PathBuf, &u64)| Entry {
            name: name.file_name().unwrap().to_str().unwrap().to_owned(),
            folder: false,
            len: disk.inodes[inode].current.len() as u64,
        };
        Ok(inside.map(entry).collect())
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        disk.finish()?;
        disk.synced_names.retain(|name, _| name.parent() != Some(path));
        let inside: Vec<(PathBuf, u64)> = disk
            .names
            .iter()
            .filter(|(name, _)| name.parent() == Some(path))
            .map(|(name, inode)| (name.clone(), *inode))
            .collect();
        disk.synced_names.extend(inside);
        Ok(())
    }

    async fn access(&self, path: &Path) -> io::Result<Access> {
        let disk = self.disk.lock().unwrap();
        disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Access { uid: 0, unix_mode: 0o600 })
    }

    async fn set_mode(&self, _path: &Path, _unix_mode: u32) -> io::Result<()> {
        Ok(())
    }

    async fn set_owner(&self, _path: &Path, _uid: u32, _gid: u32) -> io::Result<()> {
        Ok(())
    }
}

impl File for MemoryFile {
    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        let bytes = &disk.inodes[&self.inode].current;
        let start = (offset as usize).min(bytes.len());
        Ok(bytes[start..(start + len).min(bytes.len())].to_vec())
    }

    async fn write_at(&self, offset: u64, bytes: Vec<u8>) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        let inode = disk.inodes.get_mut(&self.inode).unwrap();
        let end = offset as usize + bytes.len();
        if inode.current.len() < end {
            inode.current.resize(end, 0);
        }
        inode.current[offset as usize..end].copy_from_slice(&bytes);
        disk.finish()
    }

    async fn len(&self) -> io::Result<u64> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        Ok(disk.inodes[&self.inode].current.len() as u64)
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        disk.inodes.get_mut(&self.inode).unwrap().current.resize(len as usize, 0);
        disk.finish()
    }

    async fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        disk.finish()?;
        disk.syncs += 1;
        if disk.sync_fails_at == Some(disk.syncs) {
            return Err(io::Error::other("the disk failed to sync"));
        }
        let inode = disk.inodes.get_mut(&self.inode).unwrap();
        inode.synced = inode.current.clone();
        Ok(())
    }
}

/// Runs a future that never waits.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the memory disk never waits"),
    }
}
