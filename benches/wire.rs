//! Reading and writing messages, beside Slurm's own library on the same bytes in the same run.
//!
//! Prints a table: nanoseconds and allocations for each record. The records come from frames that
//! real Slurm 22.05 sent. `benches/libslurm.c` does the same with Debian's libslurmfull. An argument
//! chooses the subjects whose names have it.

use std::path::{Path, PathBuf};
use std::process::Command;

use flurm_benches::{Cost, Counting, cost};
use flurm_wire::{Message, Release, Writer, frame};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Records of a listing, as the figures are stated for.
const RECORDS: usize = 10_000;
/// The release that Debian's library on this machine speaks.
const RELEASE: Release = Release::V22_05;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The message in a captured frame.
fn captured(name: &str) -> Message {
    let path = root().join("tests/captures/22.05").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: String = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("a capture is hex");
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    let parts = frame::split(&bytes[frame::LENGTH_BYTES..]).expect("a capture is a frame");
    parts.message().expect("a capture is understood")
}

/// What is measured: a name, how many records, the message.
fn subjects() -> Vec<(&'static str, usize, Message)> {
    let Message::ResponseJobInfo(mut jobs) = captured("2004_scontrol_d_show_job.hex") else {
        panic!("the capture lists jobs");
    };
    let job = jobs.jobs[0].clone();
    jobs.jobs = vec![job; RECORDS];
    for (job, number) in jobs.jobs.iter_mut().zip(1u32..) {
        job.job_id = number;
    }
    let Message::ResponseNodeInfo(mut nodes) = captured("2008_scontrol_show_node.hex") else {
        panic!("the capture lists nodes");
    };
    let node = nodes.nodes[0].clone();
    nodes.nodes = vec![node; RECORDS];
    vec![
        ("10,000 jobs listed (2004)", RECORDS, Message::ResponseJobInfo(jobs)),
        ("10,000 nodes listed (2008)", RECORDS, Message::ResponseNodeInfo(nodes)),
        ("a submission (4003)", 1, captured("4003_sbatch.hex")),
    ]
}

/// Builds the C program; says why when it cannot.
fn libslurm() -> Result<PathBuf, String> {
    let library = "/usr/lib/x86_64-linux-gnu/slurm-wlm/libslurmfull.so";
    if !Path::new(library).exists() {
        return Err(format!("{library} is missing: run ci/packages"));
    }
    let program = std::env::temp_dir().join(format!("flurm-libslurm-{}", std::process::id()));
    let source = root().join("benches/libslurm.c");
    let status = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(&program)
        .arg(&source)
        .arg(library)
        .args(["-Wl,-rpath,/usr/lib/x86_64-linux-gnu/slurm-wlm", "-lm"])
        .status()
        .map_err(|error| format!("cc: {error}"))?;
    if !status.success() {
        return Err(format!("cc: {status}"));
    }
    Ok(program)
}

/// Runs the C program on a body: its costs for reading and, where the library can, writing.
fn theirs(program: &Path, message: &Message, calls: u32) -> Result<[Option<Cost>; 2], String> {
    let folder = std::env::temp_dir().join(format!("flurm-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let body = folder.join("body");
    std::fs::write(&body, message.to_bytes(RELEASE)).map_err(|error| error.to_string())?;
    let conf = folder.join("slurm.conf");
    let text = "ClusterName=bench\nSlurmctldHost=localhost\nAuthType=auth/none\n\
                CredType=cred/none\nSelectType=select/cons_tres\nNodeName=n1\n\
                PartitionName=p Nodes=ALL\n";
    std::fs::write(&conf, text).map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .arg(&body)
        .args([message.msg_type().to_string(), calls.to_string()])
        .env("SLURM_CONF", &conf)
        .output()
        .map_err(|error| error.to_string())?;
    let _ = std::fs::remove_dir_all(&folder);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(format!(
            "{}: {shown}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let find = |word: &str| {
        let line = shown.lines().find_map(|line| line.strip_prefix(word))?;
        let mut numbers = line.split_whitespace().map(str::parse::<f64>);
        Some(Cost { ns: numbers.next()?.ok()?, allocations: numbers.next()?.ok()? })
    };
    Ok([find("read "), find("write ")])
}

fn show(what: &str, records: usize, ours: Cost, theirs: Option<Cost>) {
    let each = |cost: Cost| (cost.ns / records as f64, cost.allocations / records as f64);
    let (ns, allocations) = each(ours);
    let rest = match theirs.map(each) {
        Some((other_ns, other)) => {
            format!("{other_ns:.0} | {other:.1} | {:.1}×", other_ns / ns)
        }
        None => "– | – | –".to_owned(),
    };
    println!("| {what} | {ns:.0} | {allocations:.1} | {rest} |");
}

fn main() {
    let program = libslurm();
    if let Err(reason) = &program {
        eprintln!("libslurm is left out: {reason}");
    }
    println!("| per record | ns | allocations | libslurm ns | allocations | ratio |");
    println!("|---|---|---|---|---|---|");
    let chosen = std::env::args().nth(1).unwrap_or_default();
    let subjects = subjects().into_iter().filter(|(name, ..)| name.contains(&chosen));
    for (name, records, message) in subjects {
        let calls = if records == 1 { 20_000 } else { 5 };
        let bytes = message.to_bytes(RELEASE);
        let kind = message.msg_type();
        let read = cost(calls, || Message::decode(kind, RELEASE, &bytes).expect("our own bytes"));
        // Both sides write into memory that they keep.
        let mut w = Writer::new(RELEASE);
        let write = cost(calls, || {
            w.clear();
            message.encode(&mut w);
        });
        assert_eq!(w.bytes(), bytes, "what was measured is the message");
        let others = match &program {
            Ok(program) => theirs(program, &message, calls).unwrap_or_else(|reason| {
                eprintln!("libslurm on {name}: {reason}");
                [None; 2]
            }),
            Err(_) => [None; 2],
        };
        show(&format!("{name}, read"), records, read, others[0]);
        show(&format!("{name}, write"), records, write, others[1]);
    }
    if let Ok(program) = program {
        let _ = std::fs::remove_file(program);
    }
}
