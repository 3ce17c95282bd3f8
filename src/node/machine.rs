//! What a machine has, read from the texts that Linux gives about itself.

use std::collections::BTreeSet;

/// Processors, as `/proc/cpuinfo` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processors {
    /// Logical processors.
    pub cpus: u16,
    /// Sockets.
    pub sockets: u16,
    /// Cores of each socket.
    pub cores_per_socket: u16,
    /// Threads of each core.
    pub threads_per_core: u16,
}

/// Memory, as `/proc/meminfo` tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    /// All of it, MiB.
    pub total_mib: u64,
    /// Not in use at all, MiB (slurmd reports `MemFree`).
    pub free_mib: u64,
}

/// Reads `/proc/cpuinfo`; `None` when it lists no processor.
pub fn processors(cpuinfo: &str) -> Option<Processors> {
    let mut cpus = 0u32;
    let mut sockets = BTreeSet::new();
    let mut cores = BTreeSet::new();
    let mut socket = 0u32;
    for line in cpuinfo.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let number = value.trim().parse::<u32>().ok();
        match (key.trim(), number) {
            ("processor", Some(_)) => {
                cpus += 1;
                socket = 0;
            }
            ("physical id", Some(number)) => {
                socket = number;
                sockets.insert(number);
            }
            ("core id", Some(number)) => {
                cores.insert((socket, number));
            }
            _ => {}
        }
    }
    if cpus == 0 {
        return None;
    }
    let sockets = u32::try_from(sockets.len()).unwrap_or(1).max(1);
    let cores = u32::try_from(cores.len()).unwrap_or(1);
    let cores = if cores == 0 { cpus } else { cores };
    let narrow = |value: u32| u16::try_from(value).unwrap_or(u16::MAX).max(1);
    Some(Processors {
        cpus: narrow(cpus),
        sockets: narrow(sockets),
        cores_per_socket: narrow(cores / sockets),
        threads_per_core: narrow(cpus / cores.max(1)),
    })
}

/// Reads `/proc/meminfo`.
pub fn memory(meminfo: &str) -> MemoryState {
    let kib = |key: &str| {
        let line = meminfo.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    MemoryState {
        total_mib: kib("MemTotal:").unwrap_or(0) / 1024,
        free_mib: kib("MemFree:").unwrap_or(0) / 1024,
    }
}

/// Reads the one-minute load from `/proc/loadavg`, in hundredths.
pub fn load_hundredths(loadavg: &str) -> Option<u32> {
    let load: f64 = loadavg.split_whitespace().next()?.parse().ok()?;
    (0.0..1e7).contains(&load).then(|| (load * 100.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyperthreads_are_told_from_cores() {
        let mut text = String::new();
        for cpu in 0..8 {
            let (socket, core) = (cpu / 4, cpu % 2);
            text += &format!(
                "processor\t: {cpu}\nphysical id\t: {socket}\ncore id\t\t: {core}\nflags : x\n\n"
            );
        }
        let found = processors(&text).unwrap();
        let expected = Processors { cpus: 8, sockets: 2, cores_per_socket: 2, threads_per_core: 2 };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_machine_that_tells_no_topology_has_single_threaded_cores_on_one_socket() {
        let found = processors("processor : 0\n\nprocessor : 1\n").unwrap();
        let expected = Processors { cpus: 2, sockets: 1, cores_per_socket: 2, threads_per_core: 1 };
        assert_eq!(found, expected);
        assert_eq!(processors(""), None);
    }

    #[test]
    fn memory_and_load_are_read_in_slurms_units() {
        let text = "MemTotal:       24619244 kB\nMemFree:        1048576 kB\n";
        assert_eq!(memory(text), MemoryState { total_mib: 24_042, free_mib: 1024 });
        assert_eq!(load_hundredths("0.43 0.20 0.10 1/200 300\n"), Some(43));
        assert_eq!(load_hundredths("nonsense"), None);
    }
}
