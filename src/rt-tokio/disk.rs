//! Files on the machine's disks, with durability on demand.
//!
//! Every operation runs on tokio's pool for blocking work, so a slow disk never stops the tasks that
//! share a thread with the caller. Errors such as a full disk come through as the kernel said them.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flurm_rt::{Access, Entry, File, Fs, OpenMode};

/// Ends the names of files that [`Fs::replace`] has not put in place yet. A crash may leave one; it
/// is no file of ours, so listings pass over it.
const UNFINISHED: &str = ".flurm-unfinished";
/// Permission bits of files made by [`Fs::open`].
const FILE_MODE: u32 = 0o600;

/// The machine's file systems.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

/// An open file.
#[derive(Clone, Debug)]
pub struct DiskFile(Arc<std::fs::File>);

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

impl Fs for Disk {
    type File = DiskFile;

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<DiskFile> {
        let path = path.to_path_buf();
        blocking(move || {
            let mut options = OpenOptions::new();
            options.read(true).mode(FILE_MODE);
            match mode {
                OpenMode::Read => {}
                OpenMode::Update => {
                    options.write(true);
                }
                OpenMode::Create => {
                    options.write(true).create(true);
                }
                OpenMode::CreateNew => {
                    options.write(true).create_new(true);
                }
            }
            options.open(path).map(|file| DiskFile(Arc::new(file)))
        })
        .await
    }

    async fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let path = path.to_path_buf();
        blocking(move || {
            let file = std::fs::File::open(&path)?;
            let mut bytes = Vec::new();
            let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
            file.take(limit).read_to_end(&mut bytes)?;
            if bytes.len() > max {
                let text = format!("{} is longer than {max} bytes", path.display());
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
            }
            Ok(bytes)
        })
        .await
    }

    async fn replace(&self, path: &Path, bytes: &[u8], unix_mode: u32) -> io::Result<()> {
        let (path, bytes) = (path.to_path_buf(), bytes.to_vec());
        blocking(move || replace(&path, &bytes, unix_mode)).await
    }

    async fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        let (source, target) = (source.to_path_buf(), target.to_path_buf());
        blocking(move || std::fs::rename(source, target)).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = path.to_path_buf();
        blocking(move || std::fs::remove_file(path)).await
    }

    async fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let path = path.to_path_buf();
        blocking(move || std::fs::remove_dir_all(path)).await
    }

    async fn create_folder(&self, path: &Path, unix_mode: u32) -> io::Result<()> {
        let path = path.to_path_buf();
        blocking(move || create_folder(&path, unix_mode)).await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let path = path.to_path_buf();
        blocking(move || list(&path)).await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = path.to_path_buf();
        blocking(move || sync_folder(&path)).await
    }

    async fn access(&self, path: &Path) -> io::Result<Access> {
        let path = path.to_path_buf();
        let metadata = blocking(move || std::fs::metadata(path)).await?;
        Ok(Access { uid: metadata.uid(), unix_mode: metadata.mode() & 0o7777 })
    }

    async fn set_mode(&self, path: &Path, unix_mode: u32) -> io::Result<()> {
        let path = path.to_path_buf();
        blocking(move || std::fs::set_permissions(path, Permissions::from_mode(unix_mode))).await
    }

    async fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        let path = path.to_path_buf();
        blocking(move || std::os::unix::fs::lchown(path, Some(uid), Some(gid))).await
    }
}

impl File for DiskFile {
    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = self.0.clone();
        blocking(move || {
            let mut bytes = vec![0; len];
            let mut filled = 0;
            while filled < len {
                match file.read_at(&mut bytes[filled..], offset.saturating_add(filled as u64)) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        })
        .await
    }

    async fn write_at(&self, offset: u64, bytes: Vec<u8>) -> io::Result<()> {
        let file = self.0.clone();
        blocking(move || file.write_all_at(&bytes, offset)).await
    }

    async fn len(&self) -> io::Result<u64> {
        let file = self.0.clone();
        blocking(move || file.metadata().map(|metadata| metadata.len())).await
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        let file = self.0.clone();
        blocking(move || file.set_len(len)).await
    }

    /// Content and the length needed to read it back; times of change may be lost.
    async fn sync(&self) -> io::Result<()> {
        let file = self.0.clone();
        blocking(move || file.sync_data()).await
    }
}

/// Puts a file in place so that a crash at any moment leaves either the old one or the new one.
fn replace(path: &Path, bytes: &[u8], unix_mode: u32) -> io::Result<()> {
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let unfinished = folder.join(unfinished_name(&name.to_string_lossy()));
    let placed = write_whole(&unfinished, bytes, unix_mode)
        .and_then(|()| std::fs::rename(&unfinished, path));
    if let Err(error) = placed {
        // The first error is the one to tell; the leftover is passed over by listings anyway.
        let _ = std::fs::remove_file(&unfinished);
        return Err(error);
    }
    sync_folder(folder)
}

/// A name no other process and no other call uses at the same time.
fn unfinished_name(name: &str) -> String {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    format!(".{name}.{}-{call}{UNFINISHED}", std::process::id())
}

fn write_whole(path: &Path, bytes: &[u8], unix_mode: u32) -> io::Result<()> {
    // A leftover with this name can only come from an earlier process with the same id.
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE);
    let mut file = options.custom_flags(libc::O_NOFOLLOW).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(unix_mode))?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

fn create_folder(path: &Path, unix_mode: u32) -> io::Result<()> {
    let mut missing: Vec<PathBuf> = Vec::new();
    let mut reached = path;
    while !reached.as_os_str().is_empty() && !reached.is_dir() {
        missing.push(reached.to_path_buf());
        match reached.parent() {
            Some(parent) => reached = parent,
            None => break,
        }
    }
    for folder in missing.iter().rev() {
        match DirBuilder::new().mode(unix_mode).create(folder) {
            // The mode of mkdir is cut by the daemon's mask; the caller's is meant exactly.
            Ok(()) => std::fs::set_permissions(folder, Permissions::from_mode(unix_mode))?,
            Err(_) if folder.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn list(path: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(UNFINISHED) {
            continue;
        }
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Removed while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let folder = metadata.is_dir();
        entries.push(Entry { name, folder, len: if folder { 0 } else { metadata.len() } });
    }
    entries.sort();
    Ok(entries)
}
