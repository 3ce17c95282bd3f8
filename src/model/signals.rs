//! Signals: what they are called in a job's reason.

/// Ends a process at once.
pub(crate) const SIGKILL: u16 = 9;
/// Continues a stopped process.
pub(crate) const SIGCONT: u16 = 18;
/// Stops a process.
pub(crate) const SIGSTOP: u16 = 19;

/// Linux's description of a signal, as Slurm shows it.
pub(crate) const fn text(signal: u32) -> &'static str {
    match signal {
        1 => "Hangup",
        2 => "Interrupt",
        3 => "Quit",
        4 => "Illegal instruction",
        5 => "Trace/breakpoint trap",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        9 => "Killed",
        10 => "User defined signal 1",
        11 => "Segmentation fault",
        12 => "User defined signal 2",
        13 => "Broken pipe",
        14 => "Alarm clock",
        15 => "Terminated",
        24 => "CPU time limit exceeded",
        25 => "File size limit exceeded",
        31 => "Bad system call",
        53 => "Real-time signal 19",
        _ => "Unknown signal",
    }
}
