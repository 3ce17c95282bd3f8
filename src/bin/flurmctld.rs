//! `flurmctld`: the controller. Any number of them, usually three, hold the cluster's state together.

use std::path::PathBuf;
use std::process::ExitCode;

use flurm_bin::arguments::{self, Given, flag, value};
use flurm_bin::daemon::{Daemon, Mode};
use flurm_bin::logging::{Settings, Verbosity};
use flurm_bin::{conf_files, startup};
use flurm_conf::Conf;
use flurm_host::{Bell, controller};

const PROGRAM: &str = "flurmctld";
/// Stands for `--host`, which has no letter.
const HOST: char = 'Η';
/// Stands for `--systemd`, which has no letter.
const SYSTEMD: char = 'Σ';

const HELP: &str = "Usage: flurmctld [OPTIONS]
  -D                Run in the foreground.
  -f FILE           slurm.conf to use (default: $SLURM_CONF, else /etc/slurm/slurm.conf).
  -h                Print this help.
      --host NAME   Which SlurmctldHost this is (default: by the machine's host name).
  -L FILE           Log to this file instead of SlurmctldLogFile.
  -n VALUE          Run at this nice value.
  -r, -R            Recover all state, as is always done.
      --systemd     Started by systemd as Type=notify.
  -v                Log more. May be given several times.
  -V                Print the version.";

fn main() -> ExitCode {
    let known = [
        flag('c', None),
        flag('D', None),
        value('f', None),
        flag('h', Some("help")),
        flag('i', None),
        value('L', None),
        value('n', None),
        flag('r', None),
        flag('R', None),
        flag('v', None),
        flag('V', Some("version")),
        value(HOST, Some("host")),
        flag(SYSTEMD, Some("systemd")),
    ];
    let given = arguments::read(&known, std::env::args().skip(1)).and_then(Given::without_words);
    let given = given.unwrap_or_else(|text| startup::fail_usage(PROGRAM, &text));
    if given.count('h') > 0 {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if given.count('V') > 0 {
        println!("{}", startup::VERSION);
        return ExitCode::SUCCESS;
    }
    match prepare(&given) {
        Ok((daemon, conf, host)) => {
            let bell = daemon.bell.clone().unwrap_or_default();
            daemon.run(move |env, stop| async move {
                let own = startup::own();
                controller::run(env, controller::Options { conf, host, own, bell }, stop).await
            })
        }
        Err(text) => startup::fail(PROGRAM, &text),
    }
}

/// The daemon's life, its configuration file, and which controller it is.
fn prepare(given: &Given) -> Result<(Daemon, PathBuf, Option<String>), String> {
    if given.count('c') > 0 {
        return Err("-c is not taken: the state belongs to all controllers. To start anew, stop \
                    them all and remove their data folders"
            .to_owned());
    }
    if given.count('i') > 0 {
        return Err(
            "-i is not taken: damaged state is never passed over. A controller whose data \
                    is damaged gets it anew from its peers when its data folder is removed"
                .to_owned(),
        );
    }
    let path = startup::conf_path(given.value('f')).map_err(|error| error.to_string())?;
    let conf = conf_files::slurm_conf(&path).map_err(|found| conf_files::errors(&found))?;
    let mode = Mode::of(given.count('D') > 0, given.count(SYSTEMD) > 0);
    let daemon = Daemon {
        program: PROGRAM,
        mode,
        pid_file: startup::file(&conf.paths.slurmctld_pid_file),
        log: log(given, &conf, mode)?,
        user: Some(conf.slurm_user.clone()),
        nice: given.value('n').map(str::to_owned),
        bell: Some(Bell::default()),
    };
    Ok((daemon, path, given.value(HOST).map(str::to_owned)))
}

fn log(given: &Given, conf: &Conf, mode: Mode) -> Result<Settings, String> {
    let file = given.value('L').unwrap_or(&conf.paths.slurmctld_log_file);
    let level = conf.text("SlurmctldDebug");
    let verbosity = Verbosity::parse(level);
    let verbosity = verbosity.ok_or_else(|| format!("SlurmctldDebug: unknown level {level:?}"))?;
    Ok(Settings {
        program: PROGRAM,
        file: startup::file(file),
        stderr: mode.keeps_stderr(),
        verbosity: verbosity.raised(given.count('v')),
    })
}
