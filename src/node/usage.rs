//! What a step uses at present, out of what the kernel says of its processes.
//!
//! Pure: texts of `/proc` in, the record that sstat reads out. Source of fields and units:
//! `plugins/jobacct_gather/common/common_jag.c`.

use flurm_wire::List;
use flurm_wire::messages::JobAcct;
use flurm_wire::records::TresRecord;

use crate::attach::RunningTask;

/// Resources that are counted, by Slurm's ids from 1 (`slurmdb_tres_t`): type and name.
const TRES: [(&str, Option<&str>); 8] = [
    ("cpu", None),
    ("mem", None),
    ("energy", None),
    ("node", None),
    ("billing", None),
    ("fs", Some("disk")),
    ("vmem", None),
    ("pages", None),
];
const CPU: usize = 0;
const MEM: usize = 1;
const DISK: usize = 5;
const VMEM: usize = 6;
const PAGES: usize = 7;
/// Nothing is known (`INFINITE64`).
const UNKNOWN: u64 = u64::MAX;
/// Milliseconds of a clock tick, as the kernel's interface has them on every machine (`USER_HZ`).
const TICK_MS: u64 = 10;

/// What one process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUse {
    /// Its session, which begins with its task.
    pub session: u32,
    /// CPU time of it and of its ended children, milliseconds.
    pub cpu_ms: u64,
    /// Memory, bytes.
    pub resident: u64,
    /// The most memory it has had, bytes.
    pub resident_max: u64,
    /// Address space, bytes.
    pub virtual_size: u64,
    /// Page faults that took a disk.
    pub major_faults: u64,
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
}

impl ProcessUse {
    /// Reads `/proc/<pid>/stat`, `status` and `io`. `None` when the process has vanished.
    pub fn parse(stat: &str, status: &str, io: &str) -> Option<Self> {
        // The command name may hold blanks and brackets, so the fields count from the last ')'.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Field numbers as in proc(5), where the state is field 3.
        let field = |number: usize| -> Option<u64> { fields.get(number - 3)?.parse().ok() };
        let ticks = field(14)? + field(15)? + field(16)? + field(17)?;
        let named = |text: &str, name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let value = line.and_then(|line| line.split_ascii_whitespace().next());
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        let kib = |name| named(status, name).saturating_mul(1024);
        Some(Self {
            session: u32::try_from(field(6)?).ok()?,
            cpu_ms: ticks.saturating_mul(TICK_MS),
            resident: kib("VmRSS"),
            resident_max: kib("VmHWM"),
            virtual_size: kib("VmSize"),
            major_faults: field(12)?,
            read: named(io, "rchar"),
            written: named(io, "wchar"),
        })
    }
}

/// What a task uses, by resource: read or used, and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TaskUse {
    task: u32,
    used: [u64; TRES.len()],
    written: [u64; TRES.len()],
    /// The most memory that one of its processes has had.
    resident_max: u64,
}

/// The account of a step on a node, whose place in the step is `node_id`. Processes that have left
/// the sessions of the tasks count for the first of these. `container_cpu_ms`
/// is the CPU time of all that the step has had, ended processes included.
pub fn account(
    tasks: &[RunningTask],
    node_id: u32,
    processes: &[ProcessUse],
    container_cpu_ms: u64,
) -> JobAcct {
    let uses = uses(tasks, processes);
    let mut account = empty();
    account.user_cpu_sec = container_cpu_ms / 1000;
    account.user_cpu_usec = u32::try_from(container_cpu_ms % 1000).unwrap_or(0) * 1000;
    let node = u64::from(node_id);
    for at in [CPU, MEM, DISK, VMEM, PAGES] {
        let Some((most, least)) = extremes(&uses, |one| one.most(at), |one| one.used[at]) else {
            continue;
        };
        (account.tres_usage_in_max[at], account.tres_usage_in_max_taskid[at]) = most;
        (account.tres_usage_in_min[at], account.tres_usage_in_min_taskid[at]) = least;
        account.tres_usage_in_max_nodeid[at] = node;
        account.tres_usage_in_min_nodeid[at] = node;
        account.tres_usage_in_tot[at] = uses.iter().map(|one| one.used[at]).sum();
    }
    account.tres_usage_in_tot[CPU] = container_cpu_ms.max(uses.iter().map(|u| u.used[CPU]).sum());
    let written = |one: &TaskUse| one.written[DISK];
    if let Some((most, least)) = extremes(&uses, written, written) {
        (account.tres_usage_out_max[DISK], account.tres_usage_out_max_taskid[DISK]) = most;
        (account.tres_usage_out_min[DISK], account.tres_usage_out_min_taskid[DISK]) = least;
        account.tres_usage_out_max_nodeid[DISK] = node;
        account.tres_usage_out_min_nodeid[DISK] = node;
        account.tres_usage_out_tot[DISK] = uses.iter().map(written).sum();
    }
    account
}

/// The largest and the smallest value with the task of each; nothing where there are no tasks.
fn extremes(
    uses: &[TaskUse],
    large: impl Fn(&TaskUse) -> u64,
    small: impl Fn(&TaskUse) -> u64,
) -> Option<((u64, u64), (u64, u64))> {
    let most = uses.iter().max_by_key(|one| large(one))?;
    let least = uses.iter().min_by_key(|one| small(one))?;
    Some(((large(most), u64::from(most.task)), (small(least), u64::from(least.task))))
}

impl TaskUse {
    fn most(&self, at: usize) -> u64 {
        if at == MEM { self.used[MEM].max(self.resident_max) } else { self.used[at] }
    }
}

fn uses(tasks: &[RunningTask], processes: &[ProcessUse]) -> Vec<TaskUse> {
    let none = |task: &RunningTask| TaskUse {
        task: task.task,
        used: [0; TRES.len()],
        written: [0; TRES.len()],
        resident_max: 0,
    };
    let mut uses: Vec<TaskUse> = tasks.iter().map(none).collect();
    for process in processes {
        let own = tasks.iter().position(|task| task.pid == process.session).unwrap_or(0);
        let Some(sum) = uses.get_mut(own) else { continue };
        let parts = [
            (CPU, process.cpu_ms),
            (MEM, process.resident),
            (DISK, process.read),
            (VMEM, process.virtual_size),
            (PAGES, process.major_faults),
        ];
        for (at, value) in parts {
            sum.used[at] = sum.used[at].saturating_add(value);
        }
        sum.written[DISK] = sum.written[DISK].saturating_add(process.written);
        sum.resident_max = sum.resident_max.max(process.resident_max);
    }
    uses
}

fn empty() -> JobAcct {
    let unknown = || vec![UNKNOWN; TRES.len()];
    let ids = || 1..=u32::try_from(TRES.len()).unwrap_or(0);
    let record = |(id, (kind, name)): (u32, (&str, Option<&str>))| TresRecord {
        id,
        r#type: Some(kind.to_owned()),
        name: name.map(str::to_owned),
        ..TresRecord::default()
    };
    JobAcct {
        tres_ids: ids().collect(),
        tres_list: List::from(ids().zip(TRES).map(record).collect::<Vec<_>>()),
        tres_usage_in_max: unknown(),
        tres_usage_in_max_nodeid: unknown(),
        tres_usage_in_max_taskid: unknown(),
        tres_usage_in_min: unknown(),
        tres_usage_in_min_nodeid: unknown(),
        tres_usage_in_min_taskid: unknown(),
        tres_usage_in_tot: unknown(),
        tres_usage_out_max: unknown(),
        tres_usage_out_max_nodeid: unknown(),
        tres_usage_out_max_taskid: unknown(),
        tres_usage_out_min: unknown(),
        tres_usage_out_min_nodeid: unknown(),
        tres_usage_out_min_taskid: unknown(),
        tres_usage_out_tot: unknown(),
        ..JobAcct::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(task: u32, pid: u32) -> RunningTask {
        RunningTask { task, pid, program: "sh".into() }
    }

    #[test]
    fn a_process_is_read_from_what_the_kernel_says() {
        let stat = "12 (a ) b) S 1 12 9 0 -1 4194304 100 0 3 0 5 6 7 8 20 0 1 0 100 1 2";
        let status = "Name:\tx\nVmSize:\t 200 kB\nVmHWM:\t 30 kB\nVmRSS:\t 20 kB\n";
        let used = ProcessUse::parse(stat, status, "rchar: 11\nwchar: 12\n").unwrap();
        let expected = ProcessUse {
            session: 9,
            cpu_ms: 260,
            resident: 20 * 1024,
            resident_max: 30 * 1024,
            virtual_size: 200 * 1024,
            major_faults: 3,
            read: 11,
            written: 12,
        };
        assert_eq!(used, expected);
        for damaged in ["", "12 (x) S", "no bracket at all"] {
            assert_eq!(ProcessUse::parse(damaged, "", ""), None, "{damaged}");
        }
    }

    #[test]
    fn the_largest_and_the_smallest_task_are_named() {
        let tasks = [task(4, 100), task(5, 200)];
        let small = ProcessUse { session: 100, resident: 10, cpu_ms: 5, ..ProcessUse::default() };
        let large = ProcessUse { session: 200, resident: 30, cpu_ms: 7, ..ProcessUse::default() };
        let stray = ProcessUse { session: 1, resident: 5, written: 9, ..ProcessUse::default() };
        let account = account(&tasks, 2, &[small, large, stray], 40);
        assert_eq!(
            (account.tres_usage_in_max[MEM], account.tres_usage_in_max_taskid[MEM]),
            (30, 5)
        );
        assert_eq!(
            (account.tres_usage_in_min[MEM], account.tres_usage_in_min_taskid[MEM]),
            (15, 4)
        );
        assert_eq!(account.tres_usage_in_max_nodeid[MEM], 2);
        assert_eq!((account.tres_usage_in_tot[MEM], account.tres_usage_in_tot[CPU]), (45, 40));
        assert_eq!(account.tres_usage_out_max[DISK], 9);
        assert_eq!(account.tres_usage_in_max[2], UNKNOWN, "energy is not known");
    }
}
