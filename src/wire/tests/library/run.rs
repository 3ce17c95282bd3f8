//! Slurm's own library of one release, asked to read bodies and to write them again.

#![expect(clippy::disallowed_types, reason = "the library runs in a process of its own")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flurm_wire::Release;

use crate::side;

/// Where Debian's packages of every release put it.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/slurm-wlm/libslurmfull.so";
/// Seconds all bodies of one release may take.
const RUN_MAX_S: &str = "120";
/// The kinds of plugins that programs load and `slurm_init` does not; not every release has each.
const PLUGINS: [&str; 6] = [
    "select_g_init",
    "switch_g_init",
    "slurm_topo_init",
    "topology_g_init",
    "jobacct_gather_init",
    "gres_init",
];
/// What stands before the bytes of an answer.
const ANSWER_BYTES: usize = 12;

/// A body to be read and written.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) accounting: bool,
    pub(crate) msg_type: u16,
    /// The release whose form it has.
    pub(crate) from: Release,
    /// The release whose form is wanted.
    pub(crate) to: Release,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// What the library made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// How many bytes it left unread; `None` if it refused what it read.
    pub(crate) left: Option<u32>,
    /// What it wrote; `None` if it did not, or died of it.
    pub(crate) written: Option<Vec<u8>>,
}

impl Answer {
    /// Whether it read all there was.
    pub(crate) fn is_read(&self) -> bool {
        self.left == Some(0)
    }
}

/// The library of a release whose packages there are.
#[derive(Debug)]
pub(crate) struct Library {
    release: Release,
    folder: PathBuf,
}

impl Library {
    /// The library of `release`, and a program around it.
    #[expect(clippy::disallowed_methods, reason = "the library wants a configuration in a file")]
    pub(crate) fn new(release: Release) -> Self {
        let name = format!("flurm-library-{}-{release}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut conf = String::from(
            "ClusterName=judged\nSlurmctldHost=localhost(127.0.0.1)\nSlurmUser=root\n\
             AuthType=auth/none\nCredType=cred/none\nGresTypes=gpu\n\
             NodeName=n[1-16] NodeAddr=127.0.0.1\nPartitionName=p Nodes=ALL Default=YES\n",
        );
        conf.push_str("TopologyPlugin=topology/tree\nJobAcctGatherType=jobacct_gather/linux\n");
        if release == Release::V22_05 {
            conf.push_str("SelectType=select/cons_tres\n");
        }
        std::fs::write(folder.join("topology.conf"), "SwitchName=s0 Nodes=n[1-16]\n").unwrap();
        std::fs::write(folder.join("slurm.conf"), conf).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/library/repack.c");
        let built = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(folder.join("repack"))
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(built.is_ok_and(|status| status.success()), "repack.c is not built");
        Self { release, folder }
    }

    /// The answers, one a question.
    #[expect(clippy::disallowed_methods, reason = "questions are handed over in a file")]
    pub(crate) fn ask(&self, questions: &[Question]) -> Vec<Answer> {
        let file = self.folder.join("questions");
        std::fs::write(&file, questions.iter().flat_map(bytes_of).collect::<Vec<u8>>()).unwrap();
        let mut line: Vec<String> = ["timeout", RUN_MAX_S].map(str::to_owned).to_vec();
        if let Some(root) = side::root(self.release) {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/side-root");
            line.extend([script.display().to_string(), "--run".to_owned()]);
            line.push(root.display().to_string());
        }
        // In front of the C library, which has an `error` of its own.
        line.extend(["env".to_owned(), format!("LD_PRELOAD={LIBRARY}")]);
        line.push(self.folder.join("repack").display().to_string());
        line.push(LIBRARY.to_owned());
        line.extend(PLUGINS.map(str::to_owned));
        let output = Command::new(&line[0])
            .args(&line[1..])
            .env("SLURM_CONF", self.folder.join("slurm.conf"))
            .stdin(Stdio::from(File::open(file).unwrap()))
            .current_dir("/")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {}: {said}", self.release, output.status);
        answers_in(&output.stdout, questions.len())
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // A folder that stays behind in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn bytes_of(question: &Question) -> Vec<u8> {
    let mut body = question.body.clone();
    if question.accounting {
        body.splice(0..0, question.msg_type.to_be_bytes());
    }
    let mut bytes = vec![u8::from(question.accounting), 0];
    for number in [question.msg_type, question.from.version(), question.to.version()] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend(u32::try_from(body.len()).unwrap().to_ne_bytes());
    bytes.extend(body);
    bytes
}

fn answers_in(mut bytes: &[u8], count: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<ANSWER_BYTES>() {
        let number = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
        let (left, length) = (number(4), number(8) as usize);
        let (body, rest) = rest.split_at(length);
        bytes = rest;
        let (is_read, is_written) = (head[0] == 1, head[1] == 1);
        let left = is_read.then_some(left);
        answers.push(Answer { left, written: is_written.then(|| body.to_vec()) });
    }
    assert_eq!(answers.len(), count, "as many answers as questions");
    answers
}
