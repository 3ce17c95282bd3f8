//! Files with explicit durability: nothing survives a power loss that was not synced, and a new,
//! renamed or removed name survives only after `sync_dir` of its folder.

use std::future::Future;
use std::io;
use std::path::Path;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing file, reading only.
    Read,
    /// Existing file, reading and writing.
    Update,
    /// Reading and writing; created when missing (mode 0600).
    Create,
    /// Reading and writing; must not exist (mode 0600).
    CreateNew,
}

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// File name, without the folder.
    pub name: String,
    /// True for a folder.
    pub folder: bool,
    /// Length in bytes (0 for a folder).
    pub len: u64,
}

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its owner.
    pub uid: u32,
    /// Permission bits.
    pub unix_mode: u32,
}

/// The disk of one machine.
pub trait Fs: Send + Sync + 'static {
    /// An open file.
    type File: File;

    /// Opens a file.
    fn open(
        &self,
        path: &Path,
        mode: OpenMode,
    ) -> impl Future<Output = io::Result<Self::File>> + Send;
    /// Reads a whole file of at most `max` bytes; a longer one is an error.
    fn read(&self, path: &Path, max: usize) -> impl Future<Output = io::Result<Vec<u8>>> + Send;
    /// Replaces a file whole: temporary file in the same folder, sync, rename, sync of the folder.
    /// `unix_mode` are the permission bits.
    fn replace(
        &self,
        path: &Path,
        bytes: &[u8],
        unix_mode: u32,
    ) -> impl Future<Output = io::Result<()>> + Send;
    /// Renames within one file system, replacing the target.
    fn rename(&self, source: &Path, target: &Path) -> impl Future<Output = io::Result<()>> + Send;
    /// Removes a file. A missing one is an error of kind `NotFound`.
    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send;
    /// Removes a folder and all below it. A missing one is an error of kind `NotFound`.
    fn remove_tree(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send;
    /// Creates a folder and its parents with these permission bits; existing ones are left alone.
    fn create_folder(
        &self,
        path: &Path,
        unix_mode: u32,
    ) -> impl Future<Output = io::Result<()>> + Send;
    /// The names in a folder, in order.
    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<Entry>>> + Send;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send;
    /// Owner and permissions of a file or folder; symbolic links are followed.
    fn access(&self, path: &Path) -> impl Future<Output = io::Result<Access>> + Send;
    /// Sets the permission bits of a file, a folder, or a local socket.
    fn set_mode(&self, path: &Path, unix_mode: u32) -> impl Future<Output = io::Result<()>> + Send;
    /// Gives a file or folder to a user and group.
    fn set_owner(
        &self,
        path: &Path,
        uid: u32,
        gid: u32,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// An open file. Operations on one file are issued one at a time by its owner.
#[expect(clippy::len_without_is_empty, reason = "a length takes a round trip; empty is len 0")]
pub trait File: Send + Sync + 'static {
    /// Reads up to `len` bytes at `offset`; fewer at the end of the file.
    fn read_at(&self, offset: u64, len: usize) -> impl Future<Output = io::Result<Vec<u8>>> + Send;
    /// Writes all of `bytes` at `offset`, growing the file.
    fn write_at(&self, offset: u64, bytes: Vec<u8>) -> impl Future<Output = io::Result<()>> + Send;
    /// Length in bytes.
    fn len(&self) -> impl Future<Output = io::Result<u64>> + Send;
    /// Cuts or grows the file.
    fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send;
    /// Makes the content durable.
    fn sync(&self) -> impl Future<Output = io::Result<()>> + Send;
}
