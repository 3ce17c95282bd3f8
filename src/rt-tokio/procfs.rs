//! Reading `/proc`: which processes exist, who started them, what they used.
//!
//! A process may vanish between any two reads; that is `None`, never an error.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::sync::OnceLock;

/// Longest environment that is searched for a mark: the kernel's own bound on one exec is a quarter
/// of the stack limit, which is 2 MiB by default.
const ENVIRONMENT_BYTES_MAX: u64 = 8 << 20;

/// Bits of a start stamp that hold clock ticks since boot; the rest tell one boot from another.
const STAMP_TICK_BITS: u32 = 44;

/// One line of `/proc/<pid>/stat`, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: u32,
    pub(crate) state: u8,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) session: u32,
    /// User and system time of the process and of its waited-for children, in clock ticks.
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    /// Clock ticks after boot at which it started.
    pub(crate) start_ticks: u64,
}

impl Stat {
    /// Reads one process; `None` when there is none.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&text)
    }

    /// True unless it has ended and only waits to be collected.
    pub(crate) fn living(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// An opaque stamp that a later process with the same id does not share, even after a reboot.
    pub(crate) fn stamp(&self) -> u64 {
        let ticks = self.start_ticks & ((1 << STAMP_TICK_BITS) - 1);
        (boot_mark() << STAMP_TICK_BITS) | ticks
    }

    fn parse(text: &[u8]) -> Option<Self> {
        // The command name may hold blanks and brackets, so the fields count from the last ')'.
        let name_end = text.iter().rposition(|byte| *byte == b')')?;
        let pid_end = text.iter().position(|byte| *byte == b' ')?;
        let pid = std::str::from_utf8(&text[..pid_end]).ok()?.parse().ok()?;
        let rest = std::str::from_utf8(&text[name_end + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Field numbers as in proc(5), where the state is field 3.
        let field = |number: usize| fields.get(number - 3).copied();
        let count = |number: usize| field(number)?.parse::<u64>().ok();
        let id = |number: usize| field(number)?.parse::<i64>().ok().map(|id| id.max(0) as u32);
        Some(Self {
            pid,
            state: *field(3)?.as_bytes().first()?,
            parent: id(4)?,
            group: id(5)?,
            session: id(6)?,
            user_ticks: count(14)?.saturating_add(count(16)?),
            system_ticks: count(15)?.saturating_add(count(17)?),
            start_ticks: count(22)?,
        })
    }
}

/// Every process there is, by id.
pub(crate) fn all() -> BTreeMap<u32, Stat> {
    let Ok(folder) = fs::read_dir("/proc") else { return BTreeMap::new() };
    folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| Some((pid, Stat::of(pid)?)))
        .collect()
}

/// The value of a variable in the environment a process was started with.
pub(crate) fn environment(pid: u32, name: &str) -> Option<String> {
    let file = fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    let mut text = Vec::new();
    file.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut text).ok()?;
    let value = text.split(|byte| *byte == 0).find_map(|variable| {
        variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec)
    })?;
    String::from_utf8(value).ok()
}

/// The largest resident set a living process has had.
pub(crate) fn peak_rss_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Seconds since 1970 at which the machine booted.
pub(crate) fn boot_secs() -> Option<i64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// Clock ticks to microseconds.
pub(crate) fn ticks_us(ticks: u64) -> u64 {
    ticks.saturating_mul(1_000_000) / rustix::param::clock_ticks_per_second().max(1)
}

/// A few bits that differ between boots, taken from the kernel's boot id.
fn boot_mark() -> u64 {
    static MARK: OnceLock<u64> = OnceLock::new();
    *MARK.get_or_init(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(5).collect();
        u64::from_str_radix(&digits, 16).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let line = b"42 (a) b (c) S 1 7 8 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 999 0 0";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.pid, stat.state, stat.parent), (42, b'S', 1));
        assert_eq!((stat.group, stat.session), (7, 8));
        assert_eq!((stat.user_ticks, stat.system_ticks, stat.start_ticks), (40, 60, 999));
    }

    #[test]
    fn truncated_lines_are_no_process() {
        let line = b"42 (sh) S 1 7 8 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 999";
        assert!(Stat::parse(line).is_some());
        for end in 0..line.len() - 3 {
            assert_eq!(Stat::parse(&line[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn this_process_is_found_with_its_parent() {
        let own = std::process::id();
        let stat = all()[&own];
        assert!(stat.living());
        assert_eq!(stat.parent, std::os::unix::process::parent_id());
    }
}
