//! Taking another user's identity.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use flurm_rt::{Child, Env, Limit, Output, Proc, SpawnStage};
use flurm_rt_tokio::Containment;

use crate::cases::{Folder, machine, nobody, run, shell};
use crate::harness::{Case, Need};

pub(crate) fn cases() -> Vec<Case> {
    let case = |name, need, run| Case { name, need, run };
    vec![
        case("a_job_is_its_user_and_nothing_of_root", Need::Root, is_its_user),
        case("output_files_belong_to_the_user", Need::Root, files_belong),
        case("a_user_gets_no_file_where_it_may_not_write", Need::Root, refused_output),
        case("a_folder_closed_to_the_user_is_refused", Need::Root, refused_folder),
        case("soft_limits_stay_below_hard_ones", Need::Root, limits),
        case("nobody_else_without_privilege", Need::Unprivileged, no_privilege),
    ]
}

fn is_its_user() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("identity"));
        let mut user = nobody(&env).await;
        let script =
            "id -u; id -g; id -G; grep -E '^(Uid|Gid|Groups|CapEff|CapPrm)' /proc/$$/status";
        user.groups.push(4);
        let mut spawn = shell(&folder, script);
        spawn.user = Some(user.clone());
        let mut child = env.proc().spawn(spawn).await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0), "{}", folder.text("err"));
        let (uid, gid) = (user.uid, user.gid);
        let expected = format!(
            "{uid}\n{gid}\n{gid} 4\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n\
             Gid:\t{gid}\t{gid}\t{gid}\t{gid}\nGroups:\t4 {gid} \n\
             CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
        );
        assert_eq!(folder.text("out"), expected);
    });
}

fn files_belong() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("owner"));
        let user = nobody(&env).await;
        let mut spawn = shell(&folder, "echo out; echo err >&2; touch made");
        spawn.user = Some(user.clone());
        spawn.umask = Some(0o027);
        let mut child = env.proc().spawn(spawn).await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
        for name in ["out", "err", "made"] {
            let metadata = std::fs::metadata(folder.join(name)).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (user.uid, user.gid), "{name}");
            assert_eq!(metadata.mode() & 0o777, 0o640, "{name}");
        }
    });
}

fn refused_output() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("refused"));
        let closed = folder.join("closed");
        std::fs::create_dir(&closed).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(closed.join("root-only"), "secret").unwrap();
        std::fs::set_permissions(closed.join("root-only"), PermissionsExt::from_mode(0o600))
            .unwrap();
        let user = nobody(&env).await;
        let target = |name: &str| Output::File { path: closed.join(name), append: true };
        for (stage, name) in [
            (SpawnStage::Stdin, "root-only"),
            (SpawnStage::Stdout, "root-only"),
            (SpawnStage::Stdout, "new"),
            (SpawnStage::Stderr, "new"),
        ] {
            let mut spawn = shell(&folder, "true");
            spawn.user = Some(user.clone());
            match stage {
                SpawnStage::Stdin => spawn.stdin = target(name),
                SpawnStage::Stdout => spawn.stdout = target(name),
                _ => spawn.stderr = target(name),
            }
            let error = env.proc().spawn(spawn).await.unwrap_err();
            assert_eq!(error.stage, stage, "{name}: {error}");
            assert_eq!(error.source.raw_os_error(), Some(libc::EACCES), "{name}: {error}");
        }
        assert!(!closed.join("new").exists());
        assert_eq!(std::fs::read_to_string(closed.join("root-only")).unwrap(), "secret");
    });
}

fn refused_folder() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("folder"));
        let closed = folder.join("closed");
        std::fs::create_dir(&closed).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut spawn = shell(&folder, "true");
        spawn.work_dir = closed;
        let mut as_root = env.proc().spawn(spawn.clone()).await.unwrap();
        assert_eq!(as_root.wait().await.unwrap().code(), Some(0));
        spawn.user = Some(nobody(&env).await);
        let error = env.proc().spawn(spawn).await.unwrap_err();
        assert_eq!(error.stage, SpawnStage::WorkDir, "{error}");
        assert_eq!(error.source.raw_os_error(), Some(libc::EACCES));
    });
}

fn limits() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("limits"));
        let mut spawn = shell(&folder, "ulimit -Sn; ulimit -Sc; ulimit -Hn");
        let limit = |name: &str, soft| Limit { name: name.to_owned(), soft };
        spawn.limits = vec![limit("NOFILE", u64::MAX), limit("CORE", 0)];
        spawn.user = Some(nobody(&env).await);
        let mut child = env.proc().spawn(spawn.clone()).await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
        let text = folder.text("out");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], lines[2], "unlimited files end at the hard limit");
        assert_eq!(lines[1], "0");
        spawn.limits = vec![limit("NOFILE", 77)];
        let mut child = env.proc().spawn(spawn).await.unwrap();
        child.wait().await.unwrap();
        assert_eq!(folder.text("out").lines().next(), Some("77"));
    });
}

fn no_privilege() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("other"));
        let own = rustix::process::geteuid().as_raw();
        let mut user = nobody(&env).await;
        user.uid = own + 1;
        let mut spawn = shell(&folder, "true");
        spawn.user = Some(user.clone());
        let error = env.proc().spawn(spawn.clone()).await.unwrap_err();
        assert_eq!(error.stage, SpawnStage::Identity);
        assert_eq!(error.source.raw_os_error(), Some(libc::EPERM));
        user.uid = own;
        user.gid = rustix::process::getegid().as_raw();
        spawn.user = Some(user);
        let mut child = env.proc().spawn(spawn).await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
    });
}
