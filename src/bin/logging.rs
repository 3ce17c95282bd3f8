//! Where log lines go and how they look.
//!
//! A daemon writes to its log file, in the foreground also to standard error, and to the system's
//! log when it has neither. A panic is written like any error, and ends the process at once: a
//! daemon that has met a bug stops, and its peers take over.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Socket of the system's log.
const SYSLOG: &str = "/dev/log";
/// Facility "daemon" in a syslog priority.
const FACILITY_DAEMON: u8 = 3 << 3;
/// Permission bits of a log file.
const FILE_MODE: u32 = 0o640;

/// A level by Slurm's numbers: 0 quiet, 1 fatal, 2 error, 3 info, 4 verbose, 5–9 debug to debug5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verbosity(pub u8);

impl Verbosity {
    /// Slurm's default.
    pub const INFO: Self = Self(3);
    const MAX: Self = Self(9);

    /// Reads a name or a number, as in `SlurmctldDebug`.
    pub fn parse(text: &str) -> Option<Self> {
        let names = [
            "quiet", "fatal", "error", "info", "verbose", "debug", "debug2", "debug3", "debug4",
            "debug5",
        ];
        if let Ok(number) = text.parse::<u8>() {
            return (number <= Self::MAX.0).then_some(Self(number));
        }
        let position = names.iter().position(|name| name.eq_ignore_ascii_case(text))?;
        u8::try_from(position).ok().map(Self)
    }

    /// Raised by so many `-v`.
    pub fn raised(self, times: usize) -> Self {
        let times = u8::try_from(times).unwrap_or(u8::MAX);
        Self(self.0.saturating_add(times)).min(Self::MAX)
    }

    /// Our own lines at this level, those of libraries from two steps less.
    fn targets(self) -> Targets {
        let libraries = Self(self.0.saturating_sub(2));
        Targets::new().with_default(libraries.filter()).with_target("flurm", self.filter())
    }

    fn filter(self) -> LevelFilter {
        match self.0 {
            0 => LevelFilter::OFF,
            1 | 2 => LevelFilter::ERROR,
            3 => LevelFilter::INFO,
            4 | 5 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }
}

/// What to log where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program's name, for the system's log.
    pub program: &'static str,
    /// Log file.
    pub file: Option<PathBuf>,
    /// Also to standard error.
    pub stderr: bool,
    /// How much.
    pub verbosity: Verbosity,
}

/// The open log. Clones are the same log.
#[derive(Clone)]
pub struct Log(Arc<Sinks>);

struct Sinks {
    program: &'static str,
    stderr: bool,
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
    system: Option<UnixDatagram>,
}

impl Log {
    /// Opens the log, sends all events to it and arms the panic hook.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let file = settings.file.as_deref().map(open).transpose()?;
        let system = if file.is_none() && !settings.stderr { system_log() } else { None };
        if file.is_none() && !settings.stderr && system.is_none() {
            eprintln!("{}: no log file is set and no system log listens", settings.program);
        }
        let log = Self(Arc::new(Sinks {
            program: settings.program,
            stderr: settings.stderr,
            path: settings.file,
            file: Mutex::new(file),
            system,
        }));
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .event_format(SlurmFormat)
            .with_writer(log.clone());
        tracing_subscriber::registry()
            .with(settings.verbosity.targets())
            .with(layer)
            .try_init()
            .map_err(io::Error::other)?;
        std::panic::set_hook(Box::new(|panic| {
            let trace = std::backtrace::Backtrace::force_capture();
            tracing::error!(target: "flurm", "fatal: {panic}\n{trace}");
            std::process::abort();
        }));
        Ok(log)
    }

    /// Opens the log file anew, after a rotation has moved the old one away.
    pub fn reopen(&self) -> io::Result<()> {
        if let Some(path) = &self.0.path {
            let fresh = open(path)?;
            *self.0.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(FILE_MODE);
    options.open(path).map_err(|error| {
        io::Error::new(error.kind(), format!("could not open the log {}: {error}", path.display()))
    })
}

fn system_log() -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(SYSLOG).ok()?;
    Some(socket)
}

/// Collects one line and writes it everywhere at once.
pub struct Line<'a> {
    sinks: &'a Sinks,
    severity: u8,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    /// A log that cannot be written has nobody to be told to.
    fn drop(&mut self) {
        if self.sinks.stderr {
            let _ = io::stderr().write_all(&self.text);
        }
        let mut file = self.sinks.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_mut() {
            let _ = file.write_all(&self.text);
        }
        if let Some(system) = &self.sinks.system {
            let priority = FACILITY_DAEMON | self.severity;
            let head = format!("<{priority}>{}[{}]: ", self.sinks.program, std::process::id());
            let text = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
            let _ = system.send(&[head.as_bytes(), text].concat());
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { sinks: &self.0, severity: severity(Level::INFO), text: Vec::new() }
    }

    fn make_writer_for(&'a self, metadata: &tracing::Metadata<'_>) -> Line<'a> {
        Line { sinks: &self.0, severity: severity(*metadata.level()), text: Vec::new() }
    }
}

fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Slurm's look: `[2026-11-23T15:22:29.123] error: text`.
struct SlurmFormat;

impl<S, N> FormatEvent<S, N> for SlurmFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        write!(writer, "[{}] ", flurm_rt_tokio::local_now())?;
        let word = match *event.metadata().level() {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            Level::INFO => "",
            Level::DEBUG => "debug: ",
            Level::TRACE => "debug2: ",
        };
        writer.write_str(word)?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_by_name_and_number() {
        assert_eq!(Verbosity::parse("info"), Some(Verbosity::INFO));
        assert_eq!(Verbosity::parse("DEBUG2"), Some(Verbosity(6)));
        assert_eq!(Verbosity::parse("9"), Some(Verbosity(9)));
        assert_eq!(Verbosity::parse("10"), None);
        assert_eq!(Verbosity::parse("loud"), None);
    }

    #[test]
    fn raising_ends_at_the_loudest() {
        assert_eq!(Verbosity::INFO.raised(2), Verbosity(5));
        assert_eq!(Verbosity::INFO.raised(1_000), Verbosity::MAX);
    }

    #[test]
    fn libraries_are_quieter_than_we_are() {
        let targets = Verbosity::INFO.targets();
        assert!(targets.would_enable("flurm_host::controller", &Level::INFO));
        assert!(!targets.would_enable("flurm_host::controller", &Level::DEBUG));
        assert!(!targets.would_enable("openraft::core", &Level::INFO));
        let targets = Verbosity(5).targets();
        assert!(targets.would_enable("flurm_raft", &Level::DEBUG));
        assert!(!targets.would_enable("openraft::core", &Level::DEBUG));
    }

    /// Plays two parts: the test, and the daemon that it starts and that panics.
    #[test]
    fn a_panic_is_logged_and_ends_the_process() {
        const PART: &str = "FLURM_TEST_PANIC_LOG";
        if let Some(path) = std::env::var_os(PART) {
            let file = Some(PathBuf::from(path));
            let verbosity = Verbosity::INFO;
            Log::start(Settings { program: "test", file, stderr: false, verbosity }).unwrap();
            let _ = std::thread::spawn(|| panic!("a bug was met")).join();
            unreachable!("a panicking thread takes the process along");
        }
        let path = std::env::temp_dir().join(format!("flurm-panic-{}", std::process::id()));
        let name = "logging::tests::a_panic_is_logged_and_ends_the_process";
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args(["--exact", name]).env(PART, &path).output().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        assert_eq!(signal, Some(6), "{output:?}");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.starts_with("[20"), "{text}");
        assert!(text.contains("error: fatal: "), "{text}");
        assert!(text.contains("a bug was met"), "{text}");
        assert!(text.contains("logging.rs"), "the place is named: {text}");
    }
}
