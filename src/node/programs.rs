//! What a site's programs around jobs and tasks are told, and what they tell back.
//!
//! Pure: environments out of facts, changes of environments out of what a program has written.
//! Source of names and values: `plugins/prep/script`, `slurmd/slurmstepd/task.c`, and what programs
//! of slurmd 22.05 find.

use std::collections::BTreeMap;

use flurm_base::{AttemptId, JobId};
use flurm_wire::records::CredentialBody;
use flurm_wire::{NO_VAL16, UnixTime};
use serde::{Deserialize, Serialize};

use crate::batch::compressed;
use crate::record;

const FACTS_KIND: [u8; 6] = *b"FLMJOB";
const FACTS_FORMAT: u16 = 1;
/// The bit of `--core-spec` that says threads are meant (`CORE_SPEC_THREAD`).
const CORE_SPEC_THREADS: u16 = 0x8000;

/// What programs of the node are told of a job, kept from its first launch there to its epilog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFacts {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: AttemptId,
    /// The user.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Login name.
    pub user_name: String,
    /// Its nodes.
    pub nodes: String,
    /// Working directory.
    pub work_dir: String,
    /// What is said only where it is known, by variable.
    pub named: BTreeMap<String, String>,
}

/// When a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Before the job's first process on a node.
    Prolog,
    /// After its last, with how the job ended where that is known.
    Epilog(Option<Ended>),
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Wait status of the job.
    pub status: u32,
    /// The highest of its steps.
    pub derived: u32,
}

/// What the node knows besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site<'a> {
    /// `ClusterName`.
    pub cluster_name: &'a str,
    /// Path of slurm.conf.
    pub slurm_conf: &'a str,
    /// This node.
    pub node_name: &'a str,
}

impl JobFacts {
    /// What a credential says of its job.
    pub fn of(body: &CredentialBody, attempt: AttemptId, work_dir: &str) -> Self {
        let mut named = BTreeMap::new();
        let mut set = |key: &str, value: Option<String>| {
            named.extend(value.map(|value| (format!("SLURM_JOB_{key}"), value)));
        };
        let time = |time: UnixTime| (time.0 != 0).then(|| time.0.to_string());
        let count = |count: u32| (count != 0).then(|| count.to_string());
        set("ACCOUNT", body.job_account.clone());
        set("COMMENT", body.job_comment.clone());
        set("CONSTRAINTS", body.job_constraints.clone());
        set("END_TIME", time(body.job_end_time));
        set("EXTRA", body.job_extra.clone());
        set("LICENSES", body.job_licenses.clone());
        set("NTASKS", count(body.job_ntasks));
        set("NUM_NODES", count(body.job_nhosts));
        set("PARTITION", body.job_partition.name.clone());
        set("RESERVATION", body.job_reservation.clone());
        set("RESTART_COUNT", Some(body.job_restart_cnt.to_string()));
        set("START_TIME", time(body.job_start_time));
        set("STDERR", body.job_std_err.clone());
        set("STDIN", body.job_std_in.clone());
        set("STDOUT", body.job_std_out.clone());
        let runs = body.cpu_array.values.iter().zip(&body.cpu_array.repeats);
        let runs: Vec<_> = runs.map(|(cpus, nodes)| (*cpus, *nodes)).collect();
        set("CPUS_PER_NODE", (!runs.is_empty()).then(|| compressed(&runs)));
        let (cores, kind) = match body.job_core_spec {
            NO_VAL16 => (0, "cores"),
            spec if spec & CORE_SPEC_THREADS != 0 => (spec & !CORE_SPEC_THREADS, "threads"),
            spec => (spec, "cores"),
        };
        set("CORE_SPEC_COUNT", Some(cores.to_string()));
        set("CORE_SPEC_TYPE", Some(kind.to_owned()));
        Self {
            job: JobId(body.step_id.job_id),
            attempt,
            uid: body.id.uid,
            gid: body.id.gid,
            user_name: body.id.pw_name.clone().unwrap_or_else(|| body.id.uid.to_string()),
            nodes: body.job_hostlist.clone().unwrap_or_default(),
            work_dir: work_dir.to_owned(),
            named,
        }
    }

    /// The environment of a program.
    pub fn environment(&self, site: &Site<'_>, occasion: Occasion) -> Vec<String> {
        let mut env = self.named.clone();
        let mut set = |key: &str, value: String| env.insert(key.to_owned(), value);
        set("SLURM_JOB_ID", self.job.to_string());
        set("SLURM_JOBID", self.job.to_string());
        set("SLURM_CLUSTER_NAME", site.cluster_name.to_owned());
        set("SLURM_CONF", site.slurm_conf.to_owned());
        set("SLURMD_NODENAME", site.node_name.to_owned());
        set("SLURM_JOB_UID", self.uid.to_string());
        set("SLURM_UID", self.uid.to_string());
        set("SLURM_JOB_GID", self.gid.to_string());
        set("SLURM_JOB_USER", self.user_name.clone());
        set("SLURM_JOB_WORK_DIR", self.work_dir.clone());
        set("SLURM_NODELIST", self.nodes.clone());
        set("SLURM_JOB_NODELIST", self.nodes.clone());
        set("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        match occasion {
            Occasion::Prolog => {
                set("SLURM_SCRIPT_CONTEXT", "prolog_slurmd".to_owned());
            }
            Occasion::Epilog(ended) => {
                set("SLURM_SCRIPT_CONTEXT", "epilog_slurmd".to_owned());
                if let Some(Ended { status, derived }) = ended {
                    let (code, signal) = match status & 0x7f {
                        0 => (status >> 8 & 0xff, 0),
                        signal => (0, signal),
                    };
                    set("SLURM_JOB_DERIVED_EC", derived.to_string());
                    set("SLURM_JOB_EXIT_CODE", status.to_string());
                    set("SLURM_JOB_EXIT_CODE2", format!("{code}:{signal}"));
                }
            }
        }
        env.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// The bytes of the record in the attempt's folder.
    pub fn encode(&self) -> Vec<u8> {
        record::encode(FACTS_KIND, FACTS_FORMAT, self)
    }

    /// Reads the record; a damaged one is an error.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        record::decode(FACTS_KIND, FACTS_FORMAT, bytes)
    }
}

/// Whether a name matches a pattern of `*` and `?`, as in `Prolog=/etc/slurm/prolog.d/*`. Hidden
/// files match only what begins with a dot itself.
pub fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut seen) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some('*') => {
                back = Some((at, seen));
                at += 1;
            }
            Some(c) if *c == '?' || *c == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((star, from)) = back else { return false };
                back = Some((star, from + 1));
                at = star + 1;
                seen = from + 1;
            }
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Whether a path names several programs.
pub fn is_pattern(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.contains(['*', '?']))
}

/// What `TaskProlog` has said: what the task is to print first, and its environment from there on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPrologSaid {
    /// Lines for the task's output, line ends included.
    pub print: String,
    /// The task's environment.
    pub environment: Vec<String>,
}

/// Reads the output of `TaskProlog`: `export NAME=value`, `unset NAME`, `print text`; other lines say
/// nothing.
pub fn task_prolog_said(output: &str, environment: &[String]) -> TaskPrologSaid {
    let mut env: BTreeMap<String, String> = environment
        .iter()
        .filter_map(|entry| entry.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let mut print = String::new();
    for line in output.split_inclusive('\n') {
        let text = line.strip_suffix('\n').unwrap_or(line);
        if let Some(said) = text.strip_prefix("print ") {
            print.push_str(said.trim_start());
            print.push('\n');
        } else if let Some(said) = text.strip_prefix("export ") {
            if let Some((name, value)) = said.split_once('=') {
                env.insert(name.trim().to_owned(), value.to_owned());
            }
        } else if let Some(said) = text.strip_prefix("unset ") {
            env.remove(said.trim());
        }
    }
    let environment = env.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    TaskPrologSaid { print, environment }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> CredentialBody {
        CredentialBody {
            step_id: flurm_wire::StepId::step(7, 0),
            job_account: Some("acct".into()),
            job_nhosts: 2,
            job_core_spec: NO_VAL16,
            job_hostlist: Some("n[1-2]".into()),
            ..CredentialBody::default()
        }
    }

    #[test]
    fn an_epilog_is_told_how_the_job_ended() {
        let facts = JobFacts::of(&body(), AttemptId(5), "/home/a");
        let site = Site { cluster_name: "c", slurm_conf: "/etc/slurm.conf", node_name: "n1" };
        let has = |env: &[String], entry: &str| env.iter().any(|one| one == entry);
        let env = facts.environment(&site, Occasion::Prolog);
        for entry in ["SLURM_JOB_ID=7", "SLURM_JOB_ACCOUNT=acct", "SLURM_JOB_NUM_NODES=2"] {
            assert!(has(&env, entry), "{entry}: {env:?}");
        }
        assert!(!env.iter().any(|one| one.starts_with("SLURM_JOB_EXIT")));
        let ended = Ended { status: 3 << 8, derived: 0 };
        let env = facts.environment(&site, Occasion::Epilog(Some(ended)));
        assert!(has(&env, "SLURM_JOB_EXIT_CODE2=3:0") && has(&env, "SLURM_JOB_EXIT_CODE=768"));
        let ended = Ended { status: 9, derived: 0 };
        let env = facts.environment(&site, Occasion::Epilog(Some(ended)));
        assert!(has(&env, "SLURM_JOB_EXIT_CODE2=0:9"));
        assert_eq!(JobFacts::decode(&facts.encode()), Ok(facts));
    }

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", ".a", false),
            ("*.sh", "one.sh", true),
            ("*.sh", "one.sh~", false),
            ("?0*x", "10abx", true),
            ("?0*x", "0x", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(is_pattern("/etc/p.d/*") && !is_pattern("/etc/*/p"));
    }

    #[test]
    fn a_task_prolog_prints_and_changes_the_environment() {
        let env = ["A=1", "B=2"].map(str::to_owned);
        let output = "print hello  you\nexport C=x=y\nunset A\nnonsense\nexport broken\nprint end";
        let said = task_prolog_said(output, &env);
        assert_eq!(said.print, "hello  you\nend\n");
        assert_eq!(said.environment, ["B=2", "C=x=y"]);
    }
}
