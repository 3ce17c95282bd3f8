//! Scripted processes: what a simulated job does, told by `#SIM` lines of its script.
//!
//! `#SIM run=5s exit=0 ignore_term output=1024 leave=30s unkillable=2s key=c1-7 cpus=2 mem=100`

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flurm_rt::{ExitStatus, OpenMode, Spawn};

use super::history::{Effect, Gone};
use super::process::{self, ProcKey};
use super::{EventKey, MILLI, Nanos, SECOND, World};

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How long it runs.
    pub run: Nanos,
    /// Its exit code.
    pub exit: u8,
    /// It ignores SIGTERM.
    pub ignore_term: bool,
    /// After SIGTERM it takes this long to end.
    pub term_after: Nanos,
    /// Signals take this long to work, even SIGKILL (a process stuck in the kernel).
    pub unkillable: Nanos,
    /// Bytes it writes to its standard output.
    pub output: u64,
    /// A background process it leaves behind runs this long after it.
    pub leave: Nanos,
    /// The submission it belongs to.
    pub key: Option<String>,
    /// CPUs its client asked for.
    pub cpus: u32,
    /// Memory its client asked for, MiB.
    pub memory_mib: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            run: 100 * MILLI,
            exit: 0,
            ignore_term: false,
            term_after: 0,
            unkillable: 0,
            output: 0,
            leave: 0,
            key: None,
            cpus: 1,
            memory_mib: 0,
        }
    }
}

/// Most digits of a span's fraction.
const FRACTION_DIGITS_MAX: usize = 9;

/// Reads a span: `250ms`, `5s`, `3m`, `1.5h`. Exact to the nanosecond.
pub fn parse_span(text: &str) -> Result<Nanos, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let wrong = || format!("`{text}` is not a span of time");
    let unit: u128 = match unit {
        "us" => 1_000,
        "ms" => u128::from(MILLI),
        "s" => u128::from(SECOND),
        "m" => 60 * u128::from(SECOND),
        "h" => 3600 * u128::from(SECOND),
        _ => return Err(format!("`{text}` needs a unit: us, ms, s, m or h")),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > FRACTION_DIGITS_MAX {
        return Err(wrong());
    }
    let digits = format!("{whole}{fraction}").parse::<u128>().map_err(|_| wrong())?;
    let nanos = digits.checked_mul(unit).ok_or_else(wrong)? / 10_u128.pow(fraction.len() as u32);
    Nanos::try_from(nanos).map_err(|_| wrong())
}

/// Writes a span so that [`parse_span`] reads the same: `12.5s`.
pub fn span_text(span: Nanos) -> String {
    let text = format!("{}.{:0width$}", span / SECOND, span % SECOND, width = FRACTION_DIGITS_MAX);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

impl Plan {
    /// Reads the `#SIM` lines of a script.
    pub fn parse(script: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        let lines = script.lines().filter_map(|line| line.strip_prefix("#SIM "));
        for word in lines.flat_map(str::split_whitespace) {
            plan.set(word)?;
        }
        Ok(plan)
    }

    fn set(&mut self, word: &str) -> Result<(), String> {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<u64>().map_err(|_| format!("`{word}` needs a number"));
        match name {
            "run" => self.run = parse_span(value)?,
            "exit" => self.exit = number()? as u8,
            "ignore_term" => self.ignore_term = true,
            "term_after" => self.term_after = parse_span(value)?,
            "unkillable" => self.unkillable = parse_span(value)?,
            "output" => self.output = number()?,
            "leave" => self.leave = parse_span(value)?,
            "key" => self.key = Some(value.to_owned()),
            "cpus" => self.cpus = number()? as u32,
            "mem" => self.memory_mib = number()?,
            _ => return Err(format!("`{name}` is not something a simulated job can do")),
        }
        Ok(())
    }

    /// The script that makes a simulated job do this.
    pub fn script(&self) -> String {
        let ms = |span: Nanos| Duration::from_nanos(span).as_millis();
        let mut words = format!("run={}ms exit={} cpus={}", ms(self.run), self.exit, self.cpus);
        let mut add = |word: String| words.push_str(&format!(" {word}"));
        if self.ignore_term {
            add("ignore_term".into());
        }
        for (name, span) in [
            ("term_after", self.term_after),
            ("unkillable", self.unkillable),
            ("leave", self.leave),
        ] {
            if span > 0 {
                add(format!("{name}={}ms", ms(span)));
            }
        }
        for (name, number) in [("output", self.output), ("mem", self.memory_mib)] {
            if number > 0 {
                add(format!("{name}={number}"));
            }
        }
        if let Some(key) = &self.key {
            add(format!("key={key}"));
        }
        format!("#!/bin/sh\n#SIM {words}\n")
    }

    /// The command line that makes a task of a step do this.
    pub fn argv(&self) -> Vec<String> {
        let script = self.script();
        let words = script.lines().filter_map(|line| line.strip_prefix("#SIM "));
        let words = words.flat_map(str::split_whitespace).map(str::to_owned);
        std::iter::once(TASK_PROGRAM.to_owned()).chain(words).collect()
    }

    /// Reads such a command line.
    pub fn of_argv(argv: &[String]) -> Result<Self, String> {
        let mut plan = Self::default();
        for word in argv.iter().skip(1) {
            plan.set(word)?;
        }
        Ok(plan)
    }
}

/// The program that srun is asked to run: its arguments say what it does.
const TASK_PROGRAM: &str = "/usr/bin/simulated-task";

/// Whether a process is a task of a step.
pub fn is_task(spawn: &Spawn) -> bool {
    spawn.program == Path::new(TASK_PROGRAM)
}

/// A step of a scripted process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It reaches its end.
    Finish,
    /// A signal takes effect.
    Die(u8),
}

/// Where a scripted process stands.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What it does.
    pub plan: Plan,
    /// The event that will end it.
    pub next: Option<EventKey>,
    /// Time left while it is stopped.
    pub stopped_with: Option<Nanos>,
    /// Where its standard output goes.
    pub output: Option<PathBuf>,
}

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
const SIGTSTP: i32 = 20;
const SIGURG: i32 = 23;
const SIGWINCH: i32 = 28;

/// What a signal does to a scripted process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing.
    None,
    /// It stops.
    Stop,
    /// It goes on.
    Continue,
    /// It dies after a while.
    Die(Nanos),
}

impl Plan {
    /// What a signal does.
    pub fn reaction(&self, signal: i32) -> Reaction {
        match signal {
            0 | SIGCHLD | SIGURG | SIGWINCH => Reaction::None,
            SIGSTOP | SIGTSTP => Reaction::Stop,
            SIGCONT => Reaction::Continue,
            SIGKILL => Reaction::Die(self.unkillable),
            SIGTERM if self.ignore_term => Reaction::None,
            SIGTERM => Reaction::Die(self.term_after.max(self.unkillable)),
            _ => Reaction::Die(self.unkillable),
        }
    }
}

/// Makes a step of a scripted process. Called when its event is due.
pub fn step(key: ProcKey, step: Step) {
    let status = match step {
        Step::Finish => {
            leave_child(key);
            super::with(|w| {
                write(w, key, LAST_WORDS);
                let process = w.processes.get(key)?;
                Some(ExitStatus::exited(process.script.as_ref()?.plan.exit))
            })
        }
        Step::Die(signal) => Some(ExitStatus::signaled(signal)),
    };
    if let Some(status) = status {
        process::end(key, Gone::Ended(status.0));
    }
}

/// Bytes that a process which writes at all writes at its end.
const LAST_WORDS: u64 = 40;

/// Says where a process's standard output goes.
pub fn tie_output(w: &mut World, key: ProcKey, output: Option<PathBuf>) {
    if let Some(script) = w.processes.get_mut(key).and_then(|p| p.script.as_mut()) {
        script.output = output;
    }
}

/// Lets a process write to its standard output; one that was planned to be silent stays so.
pub fn write(w: &mut World, key: ProcKey, bytes: u64) {
    let Some(process) = w.processes.get(key) else { return };
    let Some(script) = &process.script else { return };
    let Some(path) = script.output.clone().filter(|_| script.plan.output > 0) else { return };
    let word = format!("{} {} ", script.plan.key.as_deref().unwrap_or("-"), process.pid);
    let machine = process.machine;
    let count = usize::try_from(bytes).expect("a job writes what fits into memory");
    let bytes: Vec<u8> = word.bytes().cycle().take(count).collect();
    // A job does not check whether its output fits on the disk either; what was not taken was not
    // written.
    let fits = super::trouble::writing(w, machine, true).is_ok();
    let disk = &mut w.machine_mut(machine).disk;
    let written = disk.open(&path, OpenMode::Create).and_then(|inode| {
        let end = disk.len(inode)?;
        if fits { disk.write_at(inode, end, &bytes) } else { Err(ErrorKind::StorageFull.into()) }
    });
    if written.is_ok() {
        w.history.outputs.entry((machine, path)).or_default().add(&bytes);
    }
}

fn leave_child(key: ProcKey) {
    super::with(|w| {
        let Some(parent) = w.processes.get(key).cloned() else { return };
        let Some(script) = &parent.script else { return };
        let leave = script.plan.leave;
        if leave == 0 {
            return;
        }
        let plan = Plan { run: leave, leave: 0, output: 0, ..script.plan.clone() };
        let at = w.now();
        let child = process::insert_script(w, &parent, plan);
        w.history.push(at, Effect::Started(child));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_tells_what_the_job_does() {
        let text = "#!/bin/sh\n#SBATCH -n1\n#SIM run=2.5s exit=3 ignore_term\n#SIM key=c1-7\n";
        let plan = Plan::parse(text).unwrap();
        assert_eq!((plan.run, plan.exit, plan.ignore_term), (2_500 * MILLI, 3, true));
        assert_eq!(Plan::parse(&plan.script()).unwrap(), plan);
        assert_eq!(Plan::of_argv(&plan.argv()).unwrap(), plan);
        assert_eq!(
            Plan::parse("#SIM dance").unwrap_err(),
            "`dance` is not something a simulated job can do"
        );
        assert!(Plan::parse("#SIM run=5").unwrap_err().contains("needs a unit"));
    }

    #[test]
    fn only_kill_cannot_be_ignored() {
        let plan = Plan { ignore_term: true, ..Plan::default() };
        assert_eq!(plan.reaction(SIGTERM), Reaction::None);
        assert_eq!(plan.reaction(SIGKILL), Reaction::Die(0));
        assert_eq!(plan.reaction(SIGSTOP), Reaction::Stop);
        assert_eq!(plan.reaction(0), Reaction::None);
    }
}
