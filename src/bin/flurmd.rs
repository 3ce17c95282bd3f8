//! `flurmd`: the daemon of a node. Runs jobs through `flurmstepd`, which outlives it.

use std::path::PathBuf;
use std::process::ExitCode;

use flurm_bin::arguments::{self, Given, flag, value};
use flurm_bin::daemon::{Daemon, Mode};
use flurm_bin::logging::{Settings, Verbosity};
use flurm_bin::{conf_files, own_node, startup};
use flurm_conf::{Conf, NodeConf, Paths};
use flurm_host::{Bell, node};
use flurm_rt::Env;

const PROGRAM: &str = "flurmd";
/// Stands for `--conf-server`, which has no letter.
const CONF_SERVER: char = 'Κ';
/// Stands for `--authinfo`, which has no letter.
const AUTHINFO: char = 'Α';
/// Stands for `--systemd`, which has no letter.
const SYSTEMD: char = 'Σ';

const HELP: &str = "Usage: flurmd [OPTIONS]
      --authinfo INFO   How to reach munge for --conf-server, such as socket=/path.
  -c                Accepted for Slurm's sake: there are no stale locks to clear.
  -C                Print what this machine has, as a NodeName line, and end.
      --conf-server HOST[:PORT][,...]
                    Get the configuration from a controller.
  -d FILE           The step daemon (default: flurmstepd beside this program).
  -D                Run in the foreground.
  -f FILE           slurm.conf to use (default: $SLURM_CONF, else /etc/slurm/slurm.conf).
  -h                Print this help.
  -L FILE           Log to this file instead of SlurmdLogFile.
  -n VALUE          Run at this nice value.
  -N NODE           Which node this is (default: by the machine's host name).
      --systemd     Started by systemd as Type=notify.
  -v                Log more. May be given several times.
  -V                Print the version.";

fn main() -> ExitCode {
    let known = [
        value(AUTHINFO, Some("authinfo")),
        flag('c', None),
        flag('C', None),
        value(CONF_SERVER, Some("conf-server")),
        value('d', None),
        flag('D', None),
        value('f', Some("conf")),
        flag('h', Some("help")),
        value('L', None),
        value('n', None),
        value('N', None),
        flag('v', None),
        flag('V', Some("version")),
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
    if given.count('C') > 0 {
        println!("{}", own_node::describe());
        return ExitCode::SUCCESS;
    }
    match prepare(&given) {
        Ok((daemon, prepared)) => {
            let bell = daemon.bell.clone().unwrap_or_default();
            daemon.run(move |env, stop| async move {
                env.proc().log_containment();
                let options = node::Options {
                    conf: prepared.conf,
                    node_name: Some(prepared.node),
                    stepd: prepared.stepd,
                    own: startup::own(),
                    bell,
                };
                node::run(env, options, stop).await
            })
        }
        Err(text) => startup::fail(PROGRAM, &text),
    }
}

/// What the component is started with, as far as it comes from the command line.
struct Prepared {
    conf: PathBuf,
    node: String,
    stepd: PathBuf,
}

fn prepare(given: &Given) -> Result<(Daemon, Prepared), String> {
    let path = match given.value(CONF_SERVER) {
        Some(servers) => own_node::fetch_conf(servers, given.value(AUTHINFO), given.value('N'))?,
        None => startup::conf_path(given.value('f')).map_err(|error| error.to_string())?,
    };
    let conf = conf_files::slurm_conf(&path).map_err(|found| conf_files::errors(&found))?;
    let node = own_node::find(&conf, given.value('N'))?;
    let mode = Mode::of(given.count('D') > 0, given.count(SYSTEMD) > 0);
    let daemon = Daemon {
        program: PROGRAM,
        mode,
        pid_file: startup::file(&Paths::for_node(&conf.paths.slurmd_pid_file, node)),
        log: log(given, &conf, node, mode)?,
        // Only root may run jobs as their users, so the daemon stays what it is.
        user: None,
        nice: given.value('n').map(str::to_owned),
        bell: Some(Bell::default()),
    };
    let stepd = match given.value('d') {
        Some(path) => std::path::absolute(path),
        None => std::env::current_exe().map(|own| own.with_file_name("flurmstepd")),
    };
    let stepd = stepd.map_err(|error| format!("could not find flurmstepd: {error}"))?;
    if !stepd.exists() {
        return Err(format!("there is no step daemon at {}", stepd.display()));
    }
    Ok((daemon, Prepared { conf: path, node: node.name.clone(), stepd }))
}

fn log(given: &Given, conf: &Conf, node: &NodeConf, mode: Mode) -> Result<Settings, String> {
    let own = Paths::for_node(&conf.paths.slurmd_log_file, node);
    let level = conf.text("SlurmdDebug");
    let verbosity = Verbosity::parse(level);
    let verbosity = verbosity.ok_or_else(|| format!("SlurmdDebug: unknown level {level:?}"))?;
    Ok(Settings {
        program: PROGRAM,
        file: startup::file(given.value('L').unwrap_or(&own)),
        stderr: mode.keeps_stderr(),
        verbosity: verbosity.raised(given.count('v')),
    })
}
