//! The disk of a machine: what processes see (the page cache) and what a power loss leaves.
//!
//! Names and contents become durable separately: a file's content by `sync`, a folder's names by
//! `sync_dir`. A process kill changes nothing. A power loss keeps, of what was not synced, an
//! arbitrary part: single names of a folder, single 512-byte sectors of a file, its length or not.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use flurm_base::Rng;
use flurm_rt::{Entry, OpenMode};

use super::{MICRO, Nanos};

/// Bytes that reach the disk together or not at all.
pub const SECTOR: usize = 512;

/// How a disk behaves.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// Shortest and longest sync; the draw is even over the logarithm.
    pub sync_min: Nanos,
    /// Longest sync.
    pub sync_max: Nanos,
    /// Probability that an unsynced sector or name survives a power loss.
    pub survive: f64,
}

impl Default for Knobs {
    fn default() -> Self {
        Self { sync_min: 100 * MICRO, sync_max: 4_000 * MICRO, survive: 0.5 }
    }
}

/// A file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inode(u64);

#[derive(Clone, Debug, Default)]
struct Content {
    cache: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
    len_dirty: bool,
    /// A failed sync let go of changes that never reached the disk.
    forgotten: bool,
}

#[derive(Clone, Debug, Default)]
struct Folder {
    cache: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
}

#[derive(Clone, Debug)]
enum Body {
    File(Content),
    Folder(Folder),
}

#[derive(Clone, Debug)]
struct Item {
    body: Body,
    owner: (u32, u32),
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    items: BTreeMap<Inode, Item>,
    root: Inode,
    next: u64,
    /// Bytes all files may hold together; writing more is `ENOSPC`.
    pub capacity: u64,
    used: u64,
}

impl Default for Disk {
    fn default() -> Self {
        let root = Inode(0);
        let item = Item { body: Body::Folder(Folder::default()), owner: (0, 0) };
        let items = BTreeMap::from([(root, item)]);
        Self { items, root, next: 1, capacity: u64::MAX, used: 0 }
    }
}

fn no_space() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{}: no such file", path.display()))
}

fn steps(path: &Path) -> io::Result<Vec<&str>> {
    let mut steps = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => {
                steps.push(name.to_str().ok_or(io::ErrorKind::InvalidInput)?);
            }
            Component::ParentDir => {
                steps.pop();
            }
            Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(steps)
}

impl Disk {
    /// All files as processes see them, with their paths, in order.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![(PathBuf::from("/"), self.root)];
        while let Some((path, inode)) = folders.pop() {
            match &self.items[&inode].body {
                Body::File(content) => files.push((path, content.cache.clone())),
                Body::Folder(folder) => {
                    folders.extend(folder.cache.iter().map(|(name, at)| (path.join(name), *at)));
                }
            }
        }
        files.sort();
        files
    }

    fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut at = self.root;
        for name in steps(path)? {
            let Body::Folder(folder) = &self.items[&at].body else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            at = *folder.cache.get(name).ok_or_else(|| missing(path))?;
        }
        Ok(at)
    }

    fn parent_of<'p>(&self, path: &'p Path) -> io::Result<(Inode, &'p str)> {
        let mut names = steps(path)?;
        let name = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let mut at = self.root;
        for step in names {
            let Body::Folder(folder) = &self.items[&at].body else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            at = *folder.cache.get(step).ok_or_else(|| missing(path))?;
        }
        Ok((at, name))
    }

    fn folder(&mut self, inode: Inode) -> io::Result<&mut Folder> {
        match self.items.get_mut(&inode).map(|item| &mut item.body) {
            Some(Body::Folder(folder)) => Ok(folder),
            Some(Body::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn content(&mut self, inode: Inode) -> io::Result<&mut Content> {
        match self.items.get_mut(&inode).map(|item| &mut item.body) {
            Some(Body::File(content)) => Ok(content),
            Some(Body::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::Error::from_raw_os_error(5)),
        }
    }

    fn add(&mut self, body: Body, owner: (u32, u32)) -> Inode {
        let inode = Inode(self.next);
        self.next += 1;
        self.items.insert(inode, Item { body, owner });
        inode
    }

    /// Opens a file.
    pub fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Inode> {
        let (parent, name) = self.parent_of(path)?;
        let existing = self.folder(parent)?.cache.get(name).copied();
        match (existing, mode) {
            (Some(_), OpenMode::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => self.content(inode).map(|_| inode),
            (None, OpenMode::Read | OpenMode::Update) => Err(missing(path)),
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                let inode = self.add(Body::File(Content::default()), (0, 0));
                self.folder(parent)?.cache.insert(name.to_owned(), inode);
                Ok(inode)
            }
        }
    }

    /// Whether a file or folder is there.
    pub fn exists(&self, path: &Path) -> bool {
        self.find(path).is_ok()
    }

    /// Reads up to `len` bytes.
    pub fn read_at(&mut self, inode: Inode, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let content = self.content(inode)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.cache.len());
        let end = start.saturating_add(len).min(content.cache.len());
        Ok(content.cache[start..end].to_vec())
    }

    /// Writes into the page cache.
    pub fn write_at(&mut self, inode: Inode, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        let old = self.content(inode)?.cache.len();
        if end > old {
            self.resize(inode, end)?;
        }
        let content = self.content(inode)?;
        content.cache[start..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            content.dirty.extend(start / SECTOR..=(end - 1) / SECTOR);
        }
        Ok(())
    }

    /// Cuts or grows a file.
    pub fn set_len(&mut self, inode: Inode, len: u64) -> io::Result<()> {
        self.resize(inode, usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?)
    }

    fn resize(&mut self, inode: Inode, len: usize) -> io::Result<()> {
        let old = self.content(inode)?.cache.len();
        let grown = (len as u64).saturating_sub(old as u64);
        if self.used.saturating_add(grown) > self.capacity {
            return Err(no_space());
        }
        self.used = (self.used + grown).saturating_sub((old as u64).saturating_sub(len as u64));
        let content = self.content(inode)?;
        content.cache.resize(len, 0);
        content.len_dirty = true;
        let (low, high) = (len.min(old), len.max(old));
        content.dirty.extend(low / SECTOR..high.div_ceil(SECTOR));
        Ok(())
    }

    /// Length of a file.
    pub fn len(&mut self, inode: Inode) -> io::Result<u64> {
        Ok(self.content(inode)?.cache.len() as u64)
    }

    /// Makes a file's content durable.
    pub fn sync(&mut self, inode: Inode) -> io::Result<()> {
        let Content { cache, durable, dirty, len_dirty, .. } = self.content(inode)?;
        durable.resize(cache.len(), 0);
        for sector in std::mem::take(dirty) {
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(cache.len());
            if start < end {
                durable[start..end].copy_from_slice(&cache[start..end]);
            }
        }
        *len_dirty = false;
        assert!(durable.len() == cache.len(), "after a sync the disk holds what the cache holds");
        Ok(())
    }

    /// A sync of a file fails as Linux lets it: the changes stay visible, count as clean from now
    /// on, and are not on the disk.
    pub fn fail_sync(&mut self, inode: Inode) -> io::Result<()> {
        let content = self.content(inode)?;
        let len = content.cache.len();
        content.durable.resize(len, 0);
        content.len_dirty = false;
        content.forgotten |= !content.dirty.is_empty();
        content.dirty.clear();
        Ok(())
    }

    /// Makes a folder's names durable.
    pub fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        let folder = self.folder(inode)?;
        folder.durable = folder.cache.clone();
        Ok(())
    }

    /// Renames, replacing the target.
    pub fn rename(&mut self, source: &Path, target: &Path) -> io::Result<()> {
        let (from, from_name) = self.parent_of(source)?;
        let (to, to_name) = self.parent_of(target)?;
        let inode = *self.folder(from)?.cache.get(from_name).ok_or_else(|| missing(source))?;
        self.folder(to)?;
        self.folder(from)?.cache.remove(from_name);
        self.folder(to)?.cache.insert(to_name.to_owned(), inode);
        Ok(())
    }

    /// Removes a file.
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let inode = *self.folder(parent)?.cache.get(name).ok_or_else(|| missing(path))?;
        let len = self.len(inode)?;
        self.folder(parent)?.cache.remove(name);
        self.used = self.used.saturating_sub(len);
        Ok(())
    }

    /// Removes a folder and all below it.
    pub fn remove_tree(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let inode = *self.folder(parent)?.cache.get(name).ok_or_else(|| missing(path))?;
        self.folder(inode)?;
        self.folder(parent)?.cache.remove(name);
        Ok(())
    }

    /// Creates a folder and its parents.
    pub fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        let mut at = self.root;
        for name in steps(path)? {
            at = match self.folder(at)?.cache.get(name).copied() {
                Some(next) => {
                    self.folder(next)?;
                    next
                }
                None => {
                    let made = self.add(Body::Folder(Folder::default()), (0, 0));
                    self.folder(at)?.cache.insert(name.to_owned(), made);
                    made
                }
            };
        }
        Ok(())
    }

    /// The names in a folder.
    pub fn list(&mut self, path: &Path) -> io::Result<Vec<Entry>> {
        let inode = self.find(path)?;
        let names = self.folder(inode)?.cache.clone();
        let describe = |(name, inode): (String, Inode)| match &self.items[&inode].body {
            Body::File(content) => Entry { name, folder: false, len: content.cache.len() as u64 },
            Body::Folder(_) => Entry { name, folder: true, len: 0 },
        };
        Ok(names.into_iter().map(describe).collect())
    }

    /// Gives a file or folder away.
    pub fn set_owner(&mut self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        let inode = self.find(path)?;
        let item = self.items.get_mut(&inode).ok_or_else(|| missing(path))?;
        item.owner = (uid, gid);
        Ok(())
    }

    /// Writes a file with its folders at once and durably: what an installer does before the story
    /// begins.
    pub fn install(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            self.create_folder(folder)?;
        }
        let inode = self.open(path, OpenMode::Create)?;
        self.set_len(inode, 0)?;
        self.write_at(inode, 0, bytes)?;
        self.sync(inode)?;
        self.sync_all_names();
        Ok(())
    }

    /// Creates a folder durably.
    pub fn install_folder(&mut self, path: &Path) -> io::Result<()> {
        self.create_folder(path)?;
        self.sync_all_names();
        Ok(())
    }

    fn sync_all_names(&mut self) {
        for item in self.items.values_mut() {
            if let Body::Folder(folder) = &mut item.body {
                folder.durable.clone_from(&folder.cache);
            }
        }
    }

    /// A whole file, when it exists.
    pub fn peek(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let inode = self.find(path)?;
        Ok(self.content(inode)?.cache.clone())
    }

    /// The power fails: of what was not synced, each sector and each name survives with probability
    /// `survive`.
    pub fn lose_power(&mut self, survive: f64, rng: &mut Rng) {
        for item in self.items.values_mut() {
            match &mut item.body {
                Body::File(content) => tear_content(content, survive, rng),
                Body::Folder(folder) => tear_names(folder, survive, rng),
            }
        }
        self.drop_unreachable();
    }

    /// A folder at the root and everything below it is gone for good.
    pub fn wipe_below(&mut self, folder: &Path) {
        let root = self.root;
        for name in steps(folder).unwrap_or_default().into_iter().take(1) {
            if let Some(Body::Folder(top)) = self.items.get_mut(&root).map(|item| &mut item.body) {
                top.cache.remove(name);
                top.durable.remove(name);
            }
        }
        self.drop_unreachable();
    }

    /// Whether nothing of the files that are named so would be lost with the power.
    pub fn is_durable(&self, prefix: &str) -> bool {
        let folders = self.items.values().filter_map(|item| match &item.body {
            Body::Folder(folder) => Some(&folder.cache),
            Body::File(_) => None,
        });
        let mut named = folders.flatten().filter(|(name, _)| name.starts_with(prefix));
        named.all(|(_, inode)| match &self.items[inode].body {
            Body::File(content) => content.cache == content.durable,
            Body::Folder(_) => true,
        })
    }

    /// Flips a bit of a file below `folder` whose content is on the disk; false when there is none.
    /// `draw` decides which.
    pub fn rot(&mut self, folder: &Path, draw: u64) -> bool {
        let Ok(top) = self.find(folder) else { return false };
        let mut open = vec![top];
        let mut files = Vec::new();
        while let Some(inode) = open.pop() {
            match &self.items[&inode].body {
                Body::Folder(folder) => open.extend(folder.cache.values().rev()),
                Body::File(content) if content.durable.is_empty() => {}
                Body::File(_) => files.push(inode),
            }
        }
        if files.is_empty() {
            return false;
        }
        let inode = files[(draw % files.len() as u64) as usize];
        let Ok(content) = self.content(inode) else { return false };
        let bit = (draw / 64) % (content.durable.len() as u64 * 8);
        let (at, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        content.durable[at] ^= mask;
        if let Some(byte) = content.cache.get_mut(at) {
            *byte ^= mask;
        }
        true
    }

    fn drop_unreachable(&mut self) {
        let mut reached = BTreeSet::from([self.root]);
        let mut open = vec![self.root];
        while let Some(inode) = open.pop() {
            if let Body::Folder(folder) = &self.items[&inode].body {
                open.extend(folder.cache.values().filter(|child| reached.insert(**child)));
            }
        }
        self.items.retain(|inode, _| reached.contains(inode));
        let lens = self.items.values().map(|item| match &item.body {
            Body::File(content) => content.cache.len() as u64,
            Body::Folder(_) => 0,
        });
        self.used = lens.sum();
    }
}

fn tear_content(content: &mut Content, survive: f64, rng: &mut Rng) {
    if !content.len_dirty && content.dirty.is_empty() && !content.forgotten {
        return;
    }
    content.forgotten = false;
    let keeps_len = !content.len_dirty || rng.chance(survive);
    let len = if keeps_len { content.cache.len() } else { content.durable.len() };
    let mut after = content.durable.clone();
    after.resize(len, 0);
    for sector in std::mem::take(&mut content.dirty) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(len).min(content.cache.len());
        if start < end && rng.chance(survive) {
            after[start..end].copy_from_slice(&content.cache[start..end]);
        }
    }
    content.durable.clone_from(&after);
    content.cache = after;
    content.len_dirty = false;
}

fn tear_names(folder: &mut Folder, survive: f64, rng: &mut Rng) {
    if folder.cache == folder.durable {
        return;
    }
    let names: BTreeSet<&String> = folder.cache.keys().chain(folder.durable.keys()).collect();
    let mut after = BTreeMap::new();
    for name in names {
        let (cached, durable) = (folder.cache.get(name), folder.durable.get(name));
        let kept = if cached != durable && rng.chance(survive) { cached } else { durable };
        if let Some(inode) = kept {
            after.insert(name.clone(), *inode);
        }
    }
    folder.cache.clone_from(&after);
    folder.durable = after;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_with(path: &str, synced: &[u8]) -> Disk {
        let mut disk = Disk::default();
        disk.install(Path::new(path), synced).unwrap();
        disk
    }

    #[test]
    fn an_unsynced_write_is_lost_or_torn_at_sectors_and_a_synced_one_never() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..64 {
            let mut disk = disk_with("/a/log", &[1; 1024]);
            let inode = disk.open(Path::new("/a/log"), OpenMode::Update).unwrap();
            disk.write_at(inode, 0, &[2; 1024]).unwrap();
            disk.lose_power(0.5, &mut Rng::from_seed(seed));
            let bytes = disk.peek(Path::new("/a/log")).unwrap();
            assert!(bytes.chunks(SECTOR).all(|sector| sector.iter().all(|b| *b == sector[0])));
            outcomes.insert((bytes[0], bytes[512]));
        }
        assert_eq!(outcomes, BTreeSet::from([(1, 1), (1, 2), (2, 1), (2, 2)]));
        let mut disk = disk_with("/a/log", &[1; 1024]);
        let inode = disk.open(Path::new("/a/log"), OpenMode::Update).unwrap();
        disk.write_at(inode, 0, &[2; 1024]).unwrap();
        disk.sync(inode).unwrap();
        disk.lose_power(0.0, &mut Rng::from_seed(0));
        assert_eq!(disk.peek(Path::new("/a/log")).unwrap(), [2; 1024]);
    }

    #[test]
    fn a_failed_sync_forgets_and_the_next_one_does_not_remember() {
        let path = Path::new("/a/log");
        let mut disk = disk_with("/a/log", &[1; 1024]);
        let inode = disk.open(path, OpenMode::Update).unwrap();
        disk.write_at(inode, 0, &[2; 512]).unwrap();
        disk.fail_sync(inode).unwrap();
        disk.write_at(inode, 512, &[3; 512]).unwrap();
        disk.sync(inode).unwrap();
        assert_eq!(disk.peek(path).unwrap()[0], 2, "what was written is still seen");
        disk.lose_power(1.0, &mut Rng::from_seed(1));
        let bytes = disk.peek(path).unwrap();
        assert_eq!((bytes[0], bytes[512]), (1, 3));
    }

    #[test]
    fn one_bit_rots_and_a_folder_can_be_lost() {
        let mut disk = disk_with("/var/log", &[0; 64]);
        assert!(disk.rot(Path::new("/var"), 12_345));
        let ones: u32 =
            disk.peek(Path::new("/var/log")).unwrap().iter().map(|b| b.count_ones()).sum();
        assert_eq!(ones, 1);
        assert!(!disk.rot(Path::new("/etc"), 1));
        disk.wipe_below(Path::new("/var"));
        assert!(!disk.exists(Path::new("/var/log")));
    }

    #[test]
    fn a_new_name_needs_a_sync_of_its_folder() {
        let path = Path::new("/a/new");
        for (sync_names, survives) in [(false, false), (true, true)] {
            let mut disk = disk_with("/a/old", b"x");
            let inode = disk.open(path, OpenMode::CreateNew).unwrap();
            disk.write_at(inode, 0, b"hello").unwrap();
            disk.sync(inode).unwrap();
            if sync_names {
                disk.sync_dir(Path::new("/a")).unwrap();
            }
            disk.lose_power(0.0, &mut Rng::from_seed(1));
            assert_eq!(disk.peek(path).is_ok(), survives);
        }
    }

    #[test]
    fn a_rename_is_atomic_for_its_target() {
        for seed in 0..64 {
            let mut disk = disk_with("/a/f", b"old");
            let tmp = Path::new("/a/f.tmp");
            let inode = disk.open(tmp, OpenMode::CreateNew).unwrap();
            disk.write_at(inode, 0, b"new").unwrap();
            disk.sync(inode).unwrap();
            disk.rename(tmp, Path::new("/a/f")).unwrap();
            disk.lose_power(0.5, &mut Rng::from_seed(seed));
            let bytes = disk.peek(Path::new("/a/f")).unwrap();
            assert!(bytes == b"old" || bytes == b"new", "seed {seed}: {bytes:?}");
        }
    }

    #[test]
    fn a_full_disk_refuses_and_a_removed_file_gives_its_room_back() {
        let mut disk = disk_with("/a/f", &[0; 600]);
        disk.capacity = 1_000;
        let inode = disk.open(Path::new("/a/g"), OpenMode::Create).unwrap();
        let error = disk.write_at(inode, 0, &[0; 600]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        disk.remove(Path::new("/a/f")).unwrap();
        disk.write_at(inode, 0, &[0; 600]).unwrap();
    }

    #[test]
    fn folders_are_listed_in_order_and_removed_whole() {
        let mut disk = disk_with("/s/job2/launch", b"22");
        disk.install(Path::new("/s/job1/launch"), b"1").unwrap();
        let names = |disk: &mut Disk, path: &str| -> Vec<String> {
            disk.list(Path::new(path)).unwrap().into_iter().map(|entry| entry.name).collect()
        };
        assert_eq!(names(&mut disk, "/s"), ["job1", "job2"]);
        disk.remove_tree(Path::new("/s/job1")).unwrap();
        assert_eq!(names(&mut disk, "/s"), ["job2"]);
        let gone = disk.remove_tree(Path::new("/s/job1")).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
