//! `flurm`: FLURM's own command, for what Slurm has no command for.

use std::path::Path;
use std::process::ExitCode;

use flurm_bin::arguments::{self, Given, flag, value};
use flurm_bin::{conf_files, startup, wire_tool};
use flurm_conf::{Diagnostic, Severity};

const PROGRAM: &str = "flurm";

const HELP: &str = "Usage: flurm COMMAND [OPTIONS]

  version                   Print the version.
  conf check [-f FILE]      Check slurm.conf and the flurm.conf beside it, and print what is
                            wrong with file and line. Ends with 1 when a daemon could not start.
  wire COMMAND              Look at Slurm's protocol: decode captures, follow live connections,
                            compare. 'flurm wire -h' tells more.

  -f, --conf FILE           slurm.conf to use (default: $SLURM_CONF, else /etc/slurm/slurm.conf).
  -h, --help                Print this help.
  -V, --version             Print the version.";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|first| first == "wire").is_some() {
        return match wire_tool::run(args) {
            Ok(code) => code,
            Err(text) => startup::fail_usage("flurm wire", &text),
        };
    }
    let known = [value('f', Some("conf")), flag('h', Some("help")), flag('V', Some("version"))];
    let given = match arguments::read(&known, args) {
        Ok(given) => given,
        Err(text) => startup::fail_usage(PROGRAM, &text),
    };
    if given.count('h') > 0 {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if given.count('V') > 0 {
        println!("{}", startup::VERSION);
        return ExitCode::SUCCESS;
    }
    let words: Vec<&str> = given.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["version"] => {
            println!("{}", startup::VERSION);
            ExitCode::SUCCESS
        }
        ["conf", "check"] => conf_check(&given),
        [] => startup::fail_usage(PROGRAM, "no command given"),
        _ => startup::fail_usage(PROGRAM, &format!("unknown command '{}'", words.join(" "))),
    }
}

fn conf_check(given: &Given) -> ExitCode {
    let path = match startup::conf_path(given.value('f')) {
        Ok(path) => path,
        Err(error) => startup::fail(PROGRAM, &error.to_string()),
    };
    let found = check(&path);
    for diagnostic in &found {
        println!("{diagnostic}");
    }
    let count = |severity| found.iter().filter(|each| each.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    println!("{}: {errors} errors, {warnings} warnings", path.display());
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(path: &Path) -> Vec<Diagnostic> {
    let conf = match conf_files::slurm_conf(path) {
        Ok(conf) => conf,
        Err(diagnostics) => return diagnostics,
    };
    let mut found = conf.warnings.clone();
    match conf_files::flurm_conf(path, &conf) {
        Ok(own) => found.extend(own.warnings),
        Err(diagnostics) => found.extend(diagnostics),
    }
    found
}
