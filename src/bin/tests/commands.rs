//! The executables as commands: what they print, and what they end with.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const FLURM: &str = env!("CARGO_BIN_EXE_flurm");
const FLURMCTLD: &str = env!("CARGO_BIN_EXE_flurmctld");
const FLURMD: &str = env!("CARGO_BIN_EXE_flurmd");
const FLURMSTEPD: &str = env!("CARGO_BIN_EXE_flurmstepd");

/// A folder with a slurm.conf, removed at the end.
struct Site(PathBuf);

impl Site {
    /// A cluster of one controller, at a port of its own, with further lines.
    fn new(word: &str, port: u16, lines: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("flurm-bin-{word}-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let site = Self(folder);
        let at = site.0.display();
        let text = format!(
            "ClusterName=test\nSlurmctldHost=c1(127.0.0.1)\nSlurmctldPort={port}\nSlurmUser=root\n\
             AuthType=auth/none\nStateSaveLocation={at}/state\n\
             SlurmdSpoolDir={at}/spool\nSlurmctldPidFile={at}/ctld.pid\nSlurmdPidFile={at}/d.pid\n\
             SlurmctldLogFile={at}/ctld.log\nSlurmdLogFile={at}/d.log\n\
             CommunicationParameters=NoInAddrAny,NoCtldInAddrAny\n\
             NodeName=n1 NodeAddr=127.0.0.1 Port={} CPUs=1\n\
             PartitionName=main Nodes=n1 Default=YES\n{lines}",
            port + 1
        );
        std::fs::write(site.conf(), text).unwrap();
        site
    }

    fn conf(&self) -> PathBuf {
        self.0.join("slurm.conf")
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(program: &str, args: &[&str], conf: Option<&Path>) -> Output {
    let mut command = Command::new(program);
    command.args(args).env_remove("SLURM_CONF");
    if let Some(conf) = conf {
        command.env("SLURM_CONF", conf);
    }
    command.output().unwrap()
}

fn words(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Waits for a condition that must come true soon.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("never came true: {what}");
}

#[test]
fn every_program_prints_its_version_and_its_help() {
    let version = concat!("flurm ", env!("CARGO_PKG_VERSION"), "\n");
    for program in [FLURM, FLURMCTLD, FLURMD, FLURMSTEPD] {
        let told = words(&run(program, &["-V"], None));
        assert_eq!(told, (Some(0), version.to_owned(), String::new()), "{program}");
        let (code, out, _) = words(&run(program, &["-h"], None));
        assert_eq!(code, Some(0), "{program}");
        assert!(out.starts_with("Usage: "), "{program}: {out}");
    }
    assert_eq!(words(&run(FLURM, &["version"], None)).1, version);
}

#[test]
fn unknown_options_end_with_one() {
    for program in [FLURM, FLURMCTLD, FLURMD, FLURMSTEPD] {
        let (code, out, err) = words(&run(program, &["-Q"], None));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{program}");
        assert!(err.contains("invalid option -- 'Q'"), "{program}: {err}");
    }
    let (code, _, err) = words(&run(FLURM, &["frobnicate"], None));
    assert_eq!(code, Some(1));
    assert!(err.contains("unknown command 'frobnicate'"), "{err}");
}

#[test]
fn a_missing_configuration_is_named() {
    for program in [FLURMCTLD, FLURMD] {
        let (code, _, err) = words(&run(program, &["-D", "-f", "/nonexistent/slurm.conf"], None));
        assert_eq!(code, Some(1), "{program}");
        assert!(err.contains("/nonexistent/slurm.conf"), "{program}: {err}");
    }
}

#[test]
fn options_that_could_lose_state_are_refused_with_advice() {
    let site = Site::new("refused", 21_490, "");
    for option in ["-c", "-i"] {
        let (code, _, err) = words(&run(FLURMCTLD, &[option], Some(&site.conf())));
        assert_eq!(code, Some(1));
        assert!(err.contains(option), "{err}");
        assert!(err.contains("data folder"), "{err}");
    }
}

#[test]
fn configuration_mistakes_are_shown_with_their_place() {
    let good = Site::new("good", 21_491, "");
    let (code, out, _) = words(&run(FLURM, &["conf", "check"], Some(&good.conf())));
    assert_eq!(code, Some(0), "{out}");
    assert!(out.ends_with(": 0 errors, 0 warnings\n"), "{out}");
    let bad = Site::new("bad", 21_491, "SlurmdTimeuot=5\n");
    let conf = bad.conf();
    let (code, out, _) = words(&run(FLURM, &["conf", "check", "-f", conf.to_str().unwrap()], None));
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("slurm.conf:15:1: error: "), "{out}");
    assert!(out.contains("SlurmdTimeout"), "the likely key is named: {out}");
    let (code, _, err) = words(&run(FLURMCTLD, &["-D"], Some(&conf)));
    assert_eq!(code, Some(1));
    assert!(err.contains("slurm.conf:15:1: error: "), "{err}");
}

#[test]
fn a_controller_does_not_start_with_accounts_that_cannot_be_read() {
    let site = Site::new("accounts", 21_497, "");
    let file = site.conf().with_file_name("associations.conf");
    std::fs::write(&file, "Nonsense\n").unwrap();
    let (code, _, err) = words(&run(FLURMCTLD, &["-D", "--host", "c1"], Some(&site.conf())));
    assert_eq!(code, Some(1));
    assert!(err.contains("associations.conf:1"), "{err}");
    // There, and no file that could be read: not the same as no accounts.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let (code, _, err) = words(&run(FLURMCTLD, &["-D", "--host", "c1"], Some(&site.conf())));
    assert_eq!(code, Some(1));
    assert!(err.contains("associations.conf"), "{err}");
}

#[test]
fn a_controller_that_cannot_start_is_seen_by_who_started_it() {
    let site = Site::new("stranger", 21_492, "");
    let (code, _, err) = words(&run(FLURMCTLD, &["--host", "nobody"], Some(&site.conf())));
    assert_eq!(code, Some(1));
    assert!(err.contains("flurmctld: fatal: nobody is none of the SlurmctldHost: c1"), "{err}");
}

#[test]
fn a_controller_started_by_root_becomes_slurm_user() {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("skipped: only root can become somebody else");
        return;
    }
    let site = Site::new("user", 21_496, "");
    let conf = std::fs::read_to_string(site.conf()).unwrap();
    std::fs::write(site.conf(), conf.replace("SlurmUser=root", "SlurmUser=nobody")).unwrap();
    let nobody = 65_534;
    std::os::unix::fs::chown(&site.0, Some(nobody), Some(nobody)).unwrap();
    let (code, _, err) = words(&run(FLURMCTLD, &["--host", "c1"], Some(&site.conf())));
    assert_eq!(code, Some(0), "{err}");
    let pid = site.text("ctld.pid").trim().to_owned();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert_eq!(line("Uid:"), format!("Uid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}"));
    assert_eq!(line("CapEff:"), "CapEff:\t0000000000000000");
    assert_eq!(std::fs::metadata(site.0.join("ctld.log")).unwrap().uid(), nobody);
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    eventually("it ends", || site.text("ctld.log").contains("flurmctld ends"));
}

#[test]
fn a_controller_lives_as_a_daemon() {
    let site = Site::new("daemon", 21_494, "");
    let (code, out, err) = words(&run(FLURMCTLD, &["--host", "c1"], Some(&site.conf())));
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    let pid = site.text("ctld.pid").trim().to_owned();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next())
    };
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success(), "{name}");
    };
    assert!(state().is_some_and(|state| state != 'Z'), "the pid file names a living process");
    eventually("it leads", || site.text("ctld.log").contains("leads"));
    let first = site.text("ctld.log");
    assert!(first.starts_with("[20"), "lines begin with their time: {first}");
    std::fs::rename(site.0.join("ctld.log"), site.0.join("ctld.log.1")).unwrap();
    signal("-USR2");
    eventually("the log is opened anew", || site.0.join("ctld.log").exists());
    let conf = std::fs::read_to_string(site.conf()).unwrap();
    std::fs::write(site.conf(), conf.replace("NodeName=n1 ", "Nonsense=n1 ")).unwrap();
    signal("-HUP");
    eventually("it refuses nonsense", || site.text("ctld.log").contains("could not reconfigure: "));
    std::fs::write(site.conf(), conf).unwrap();
    signal("-TERM");
    eventually("it ends", || state().is_none_or(|state| state == 'Z'));
    assert!(site.text("ctld.log").contains("flurmctld ends"));
    assert!(!site.0.join("ctld.pid").exists(), "the pid file goes with the daemon");
}
