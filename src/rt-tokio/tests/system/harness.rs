//! Runs the cases one by one and counts them.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Longest time one case may take.
const CASE_TIME_MAX: Duration = Duration::from_secs(60);

/// What a case needs of the machine.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    Nothing,
    Root,
    Unprivileged,
    Cgroup,
    RootAndCgroup,
    Tool(&'static str),
}

/// One check.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) need: Need,
    pub(crate) run: fn(),
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn tool(name: &str) -> bool {
    let folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"];
    folders.iter().any(|folder| PathBuf::from(folder).join(name).exists())
}

fn missing(need: Need) -> Option<String> {
    let root = (!is_root()).then(|| "needs root".to_owned());
    let cgroup = || (!has_cgroups()).then(|| "needs a writable cgroup2".to_owned());
    match need {
        Need::Nothing => None,
        Need::Root => root,
        Need::Unprivileged => is_root().then(|| "is for users other than root".to_owned()),
        Need::Cgroup => cgroup(),
        Need::RootAndCgroup => root.or_else(cgroup),
        Need::Tool(name) => (!tool(name)).then(|| format!("needs {name}")),
    }
}

/// Whether containers are cgroups here, told by where a contained process finds itself.
fn has_cgroups() -> bool {
    let output = role(&["report-cgroup"]).output().expect("this test starts itself");
    String::from_utf8_lossy(&output.stdout).contains("/flurm/")
}

/// This executable in another part.
pub(crate) fn role(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test knows its own path"));
    command.arg("--role").args(args).stdin(Stdio::null());
    command
}

pub(crate) fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("--role") => {
            crate::roles::play(&args[1..]);
            return ExitCode::SUCCESS;
        }
        Some("--case") => {
            let case = crate::cases::all().into_iter().find(|case| case.name == args[1]);
            (case.expect("the harness names existing cases").run)();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let chosen = |case: &Case| words.is_empty() || words.iter().any(|w| case.name.contains(*w));
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), Vec::new());
    for case in crate::cases::all().into_iter().filter(chosen) {
        if let Some(reason) = missing(case.need) {
            println!("skipped {}: {reason}", case.name);
            skipped.push(case.name);
            continue;
        }
        let started = Instant::now();
        match run(&case) {
            Ok(()) => {
                println!("ok      {} ({} ms)", case.name, started.elapsed().as_millis());
                passed += 1;
            }
            Err(text) => {
                println!("FAILED  {}: {text}", case.name);
                failed.push(case.name);
            }
        }
    }
    if !skipped.is_empty() {
        println!("skipped here: {}", skipped.join(", "));
    }
    // The form in which cargo's own harness sums up, which scripts read.
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {passed} passed; {} failed; {} ignored",
        failed.len(),
        skipped.len()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(case: &Case) -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().expect("this test knows its own path"));
    command.args(["--case", case.name]).stdin(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let started = Instant::now();
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(status.to_string()),
            None if started.elapsed() > CASE_TIME_MAX => {
                child.kill().map_err(|error| error.to_string())?;
                child.wait().map_err(|error| error.to_string())?;
                return Err(format!("took longer than {CASE_TIME_MAX:?}"));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
