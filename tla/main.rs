//! `flurm-tla`: checks the specifications and what ties them to the code.

use std::path::PathBuf;
use std::process::ExitCode;

use flurm_tla::{Tools, check_all};

const USAGE: &str = "\
usage: flurm-tla check --tools FOLDER [--sim FILE] [--specs FOLDER] [--deep]
        [--only SPEC[/CONFIG]]
  --tools   holds tla2tools.jar and bin/tla (ci/tla puts them there)
  --sim     flurm-sim, in a build that can plant bugs: its histories are judged
  --specs   the specifications (tla)
  --deep    also the configurations with larger constants
  --only    only checks whose names begin so";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("flurm-tla: {text}");
            ExitCode::from(2)
        }
    }
}

fn run(mut args: impl Iterator<Item = String>) -> Result<usize, String> {
    if args.next().as_deref() != Some("check") {
        return Err(String::from(USAGE));
    }
    let (mut tools, mut sim, mut only) = (None, None, None);
    let (mut specs, mut deep) = (PathBuf::from("tla"), false);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--tools" => tools = Some(PathBuf::from(value()?)),
            "--sim" => sim = Some(PathBuf::from(value()?)),
            "--specs" => specs = PathBuf::from(value()?),
            "--only" => only = Some(value()?),
            "--deep" => deep = true,
            other => return Err(format!("`{other}` is not known\n{USAGE}")),
        }
    }
    let folder = tools.ok_or("--tools is needed")?;
    // The checkers run elsewhere.
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    let tools = Tools {
        jar: folder.join("tla2tools.jar"),
        second: folder.join("bin/tla"),
        specs,
        work: folder.join("work"),
        sim,
    };
    check_all(&tools, deep, only.as_deref())
}
