//! Files, and what is on the disk when.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use flurm_rt::{Entry, Env, File, Fs, OpenMode};
use flurm_rt_tokio::{Disk, Tokio};

use crate::cases::{Folder, run};
use crate::harness::{Case, Need};

pub(crate) fn cases() -> Vec<Case> {
    let case = |name, need, run| Case { name, need, run };
    vec![
        case("files_open_as_asked", Need::Nothing, modes),
        case("reads_and_writes_go_to_their_offsets", Need::Nothing, offsets),
        case("a_file_longer_than_allowed_is_refused", Need::Nothing, too_long),
        case("a_full_disk_is_told", Need::Nothing, full),
        case("listings_are_ordered_and_pass_over_unfinished_files", Need::Nothing, listing),
        case("folders_and_trees_come_and_go", Need::Nothing, trees),
        case("ownership_is_given", Need::Root, ownership),
        case("replacing_leaves_old_or_new", Need::Nothing, replacing),
        case("replacing_syncs_before_and_after_the_rename", Need::Tool("strace"), sync_order),
    ]
}

/// Replaces the file named by the last argument, for a tracer to watch.
pub(crate) fn replace_once(path: &Path) {
    run(async { Disk.replace(path, b"new", 0o640).await.unwrap() });
}

fn modes() {
    run(async {
        let (disk, folder) = (Disk, Folder::new("modes"));
        let path = folder.join("file");
        for mode in [OpenMode::Read, OpenMode::Update] {
            let error = disk.open(&path, mode).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{mode:?}");
        }
        let file = disk.open(&path, OpenMode::CreateNew).await.unwrap();
        file.write_at(0, b"text".to_vec()).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again = disk.open(&path, OpenMode::CreateNew).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        let file = disk.open(&path, OpenMode::Create).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 4, "opening to create truncates nothing");
        let reader = disk.open(&path, OpenMode::Read).await.unwrap();
        assert_eq!(reader.read_at(1, 100).await.unwrap(), b"ext");
        assert!(reader.write_at(0, b"x".to_vec()).await.is_err());
    });
}

fn offsets() {
    run(async {
        let (disk, folder) = (Disk, Folder::new("offsets"));
        let file = disk.open(&folder.join("file"), OpenMode::Create).await.unwrap();
        file.write_at(6, b"world".to_vec()).await.unwrap();
        file.write_at(0, b"hello".to_vec()).await.unwrap();
        assert_eq!(file.read_at(0, 11).await.unwrap(), b"hello\0world");
        assert_eq!(file.read_at(9, 11).await.unwrap(), b"ld");
        assert_eq!(file.read_at(11, 5).await.unwrap(), b"");
        file.set_len(3).await.unwrap();
        assert_eq!(
            (file.len().await.unwrap(), file.read_at(0, 9).await.unwrap()),
            (3, b"hel".to_vec())
        );
        file.sync().await.unwrap();
    });
}

fn too_long() {
    run(async {
        let (env, folder) = (Tokio::new(), Folder::new("long"));
        let path = folder.join("file");
        std::fs::write(&path, [7; 100]).unwrap();
        assert_eq!(env.fs().read(&path, 100).await.unwrap(), [7; 100]);
        let error = env.fs().read(&path, 99).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        // A file without end does not take memory without end.
        let error = env.fs().read(Path::new("/dev/zero"), 1 << 16).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    });
}

fn full() {
    run(async {
        let file = Disk.open(Path::new("/dev/full"), OpenMode::Update).await.unwrap();
        let error = file.write_at(0, b"x".to_vec()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    });
}

fn listing() {
    run(async {
        let folder = Folder::new("listing");
        std::fs::write(folder.join("b"), "22").unwrap();
        std::fs::create_dir(folder.join("a")).unwrap();
        std::fs::write(folder.join(".c.1-2.flurm-unfinished"), "torn").unwrap();
        let entries = Disk.list(folder.path()).await.unwrap();
        let entry = |name: &str, folder, len| Entry { name: name.to_owned(), folder, len };
        assert_eq!(entries, [entry("a", true, 0), entry("b", false, 2)]);
        let error = Disk.list(&folder.join("none")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

fn trees() {
    run(async {
        let folder = Folder::new("trees");
        let deep = folder.join("a").join("b").join("c");
        Disk.create_folder(&deep, 0o750).await.unwrap();
        Disk.create_folder(&deep, 0o700).await.unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&deep), 0o750, "an existing folder is left alone");
        assert_eq!(mode(&folder.join("a")), 0o750);
        std::fs::write(deep.join("file"), "x").unwrap();
        let error = Disk.create_folder(&deep.join("file").join("below"), 0o700).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        std::os::unix::fs::symlink("/", folder.join("a").join("link")).unwrap();
        Disk.remove_tree(&folder.join("a")).await.unwrap();
        assert!(!folder.join("a").exists());
        assert!(Path::new("/etc").exists(), "links are not followed");
        for error in [
            Disk.remove_tree(&folder.join("a")).await.unwrap_err(),
            Disk.remove(&folder.join("a")).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
    });
}

fn ownership() {
    run(async {
        let folder = Folder::new("owner");
        std::fs::write(folder.join("file"), "").unwrap();
        Disk.set_owner(&folder.join("file"), 12, 34).await.unwrap();
        let metadata = std::fs::metadata(folder.join("file")).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (12, 34));
    });
}

fn replacing() {
    run(async {
        let folder = Folder::new("replacing");
        let path = folder.join("file");
        Disk.replace(&path, b"one", 0o644).await.unwrap();
        Disk.replace(&path, b"two", 0o600).await.unwrap();
        assert_eq!(folder.text("file"), "two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // A folder in the way: the replacement fails and leaves nothing behind.
        std::fs::create_dir(folder.join("taken")).unwrap();
        Disk.replace(&folder.join("taken"), b"x", 0o600).await.unwrap_err();
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
        assert_eq!(names.len(), 2, "{names:?}");
        let renamed = folder.join("renamed");
        Disk.rename(&path, &renamed).await.unwrap();
        Disk.sync_dir(folder.path()).await.unwrap();
        assert_eq!(folder.text("renamed"), "two");
    });
}

fn sync_order() {
    let folder = Folder::new("order");
    let (trace, target) = (folder.join("trace"), folder.join("file"));
    let status = Command::new("strace")
        .args(["-f", "-y", "-qq", "-e", "signal=none"])
        .args(["-e", "trace=write,fsync,fdatasync,rename,renameat,renameat2", "-o"])
        .args([&trace, &std::env::current_exe().unwrap()])
        .args(["--role", "replace", target.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(status.success());
    let text = folder.text("trace");
    let unfinished = ".flurm-unfinished";
    let steps: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(folder.path().to_str().unwrap()))
        .map(|line| {
            let call = line.split_ascii_whitespace().nth(1).unwrap();
            match call.split('(').next().unwrap() {
                "write" if line.contains(unfinished) => "write",
                "fsync" if line.contains(unfinished) => "sync file",
                "rename" => "rename",
                "fsync" => "sync folder",
                _ => panic!("unexpected: {line}"),
            }
        })
        .collect();
    assert_eq!(steps, ["write", "sync file", "rename", "sync folder"], "{text}");
}
