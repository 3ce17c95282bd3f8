//! `flurm-cluster`: starts, changes and ends a cluster in a folder. `ci/try` drives it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flurm_tests::{Cluster, Shape};

const USAGE: &str =
    "usage: flurm-cluster start FOLDER [--controllers N] [--nodes N] [--cpus N] [--real]
       flurm-cluster leader|stop FOLDER
       flurm-cluster kill|restart FOLDER c1|c2|…|n1|n2|…";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("flurm-cluster: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["start", folder, options @ ..] => start(&absolute(folder)?, options),
        ["stop", folder] => {
            Cluster::adopt(&absolute(folder)?)?.stop_all();
            Ok(())
        }
        ["leader", folder] => {
            println!("{}", Cluster::adopt(&absolute(folder)?)?.wait_leader());
            Ok(())
        }
        ["kill", folder, name] => {
            Cluster::adopt(&absolute(folder)?)?.kill(name);
            Ok(())
        }
        ["restart", folder, name] => {
            Cluster::adopt(&absolute(folder)?)?.start_daemon(name);
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn start(folder: &Path, options: &[&str]) -> Result<(), String> {
    let mut shape = Shape::small();
    let mut rest = options;
    loop {
        rest = match rest {
            [] => break,
            ["--real", tail @ ..] => {
                shape = shape.real();
                tail
            }
            ["--controllers", count, tail @ ..] => {
                shape.controllers = number(count, 1, 5)?;
                tail
            }
            ["--nodes", count, tail @ ..] => {
                shape.nodes = number(count, 1, 100)?;
                tail
            }
            ["--cpus", count, tail @ ..] => {
                shape.cpus = number(count, 1, 1024)?;
                tail
            }
            [other, ..] => return Err(format!("unknown option {other}\n{USAGE}")),
        };
    }
    if folder.join("slurm.conf").exists() {
        return Err(format!("{} holds a cluster already", folder.display()));
    }
    let mut cluster = Cluster::lay_out(&shape, folder);
    cluster.start_all();
    cluster.wait_idle();
    cluster.leave_running();
    Ok(())
}

fn number(text: &str, low: u16, high: u16) -> Result<u16, String> {
    let value: u16 = text.parse().map_err(|_| format!("{text} is no number"))?;
    let fits = (low..=high).contains(&value);
    fits.then_some(value).ok_or(format!("{value} is not between {low} and {high}"))
}

fn absolute(folder: &str) -> Result<PathBuf, String> {
    std::path::absolute(folder).map_err(|e| format!("{folder}: {e}"))
}
