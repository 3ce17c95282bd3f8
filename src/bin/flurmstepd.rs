//! `flurmstepd`: runs one attempt of one job and outlives the node daemon that started it.
//!
//! Started by `flurmd` only: its arguments are between the two.

use std::path::PathBuf;
use std::process::ExitCode;

use flurm_bin::arguments::{self, Given, flag, value};
use flurm_bin::daemon::{Daemon, Mode};
use flurm_bin::logging::{Settings, Verbosity};
use flurm_bin::{conf_files, own_node, startup};
use flurm_conf::Paths;
use flurm_host::stepd;

const PROGRAM: &str = "flurmstepd";
/// Stands for `--folder`, which has no letter.
const FOLDER: char = 'Φ';

const HELP: &str = "Usage: flurmstepd -f FILE [-N NODE] --folder FOLDER [-v]
  -f FILE           slurm.conf to use.
      --folder DIR  Folder of the attempt in the node's spool.
  -h                Print this help.
  -N NODE           Name of the node (default: by the machine's host name).
  -v                Log more. May be given several times.
  -V                Print the version.
Started by flurmd; there is no use in starting it by hand.";

fn main() -> ExitCode {
    let known = [
        value('f', None),
        flag('h', Some("help")),
        value('N', None),
        flag('v', None),
        flag('V', Some("version")),
        value(FOLDER, Some("folder")),
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
        Ok((daemon, conf, folder)) => daemon.run(move |env, stop| async move {
            let options = stepd::Options { conf, folder, own: startup::own() };
            // Nobody stops a step daemon by hand: its job's end does. A signal meant for it ends
            // it as a crash would, and the node daemon sees to what it leaves.
            tokio::select! {
                ended = stepd::run(env, options) => ended,
                () = stop => Err("stopped by a signal before the job had ended".to_owned()),
            }
        }),
        Err(text) => startup::fail(PROGRAM, &text),
    }
}

/// The daemon's life, its configuration file, and the folder of its attempt.
fn prepare(given: &Given) -> Result<(Daemon, PathBuf, PathBuf), String> {
    let folder = given.value(FOLDER).ok_or("--folder is missing")?;
    let path = startup::conf_path(given.value('f')).map_err(|error| error.to_string())?;
    let conf = conf_files::slurm_conf(&path).map_err(|found| conf_files::errors(&found))?;
    let node = own_node::find(&conf, given.value('N'))?;
    let level = conf.text("SlurmdDebug");
    let verbosity = Verbosity::parse(level);
    let verbosity = verbosity.ok_or_else(|| format!("SlurmdDebug: unknown level {level:?}"))?;
    let log = Settings {
        program: PROGRAM,
        file: startup::file(&Paths::for_node(&conf.paths.slurmd_log_file, node)),
        stderr: true,
        verbosity: verbosity.raised(given.count('v')),
    };
    // The node daemon has detached it already.
    let mode = Mode::Foreground;
    let daemon = Daemon {
        program: PROGRAM,
        mode,
        pid_file: None,
        log,
        user: None,
        nice: None,
        // The node daemon tells it through its socket.
        bell: None,
    };
    Ok((daemon, path, PathBuf::from(folder)))
}
