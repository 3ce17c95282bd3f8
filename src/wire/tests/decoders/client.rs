//! Debian's own clients, each with nothing in its configuration but where to ask.

#![expect(clippy::disallowed_types, reason = "real clients are real processes")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flurm_wire::messages::NodeAddrsAnswer;
use flurm_wire::{Message, Release};

use crate::cases::Answer;
use crate::seal::Sealer;
use crate::side;

/// Seconds a client may take.
const CLIENT_MAX_S: &str = "60";

/// The clients of one release.
#[derive(Debug)]
pub(crate) struct Clients {
    release: Release,
    folder: PathBuf,
    sealer: Sealer,
}

impl Clients {
    /// The clients of `release`, told to ask at `port`.
    #[expect(clippy::disallowed_methods, reason = "real clients read real files")]
    pub(crate) fn new(release: Release, port: u16) -> Self {
        let name = format!("flurm-decoders-{}-{release}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut conf = format!(
            "ClusterName=judged\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort={port}\n\
             SlurmUser=root\nScronParameters=enable\nAuthType=auth/none\nCredType=cred/none\nMessageTimeout=20\n\
             SlurmdPort={port}\nNodeName=n[1-16] NodeAddr=127.0.0.1\nPartitionName=p Nodes=ALL Default=YES\n"
        );
        // Plugins that read parts of replies.
        conf.push_str("PriorityType=priority/multifactor\nTopologyPlugin=topology/tree\n");
        if release == Release::V22_05 {
            conf.push_str("SelectType=select/cons_tres\n");
        }
        std::fs::write(folder.join("slurm.conf"), &conf).unwrap();
        let folder_of = folder.join("sealed");
        std::fs::create_dir_all(&folder_of).unwrap();
        let socket = format!("AuthInfo=socket={}\n", Sealer::socket(&folder).display());
        let sealed = conf.replace("CredType=cred/none", "CredType=cred/munge") + &socket;
        std::fs::write(folder_of.join("slurm.conf"), sealed).unwrap();
        conf.push_str("AccountingStorageType=accounting_storage/slurmdbd\n");
        conf.push_str("AccountingStorageHost=127.0.0.1\nAccountingStorageTRES=gres/gpu\n");
        conf.push_str(&format!("AccountingStoragePort={port}\n"));
        conf.push_str("GresTypes=gpu\nTrackWCKey=yes\n");
        let folder_of = folder.join("accounting");
        std::fs::create_dir_all(&folder_of).unwrap();
        std::fs::write(folder_of.join("slurm.conf"), conf).unwrap();
        std::fs::write(folder.join("topology.conf"), "SwitchName=s0 Nodes=n[1-16]\n").unwrap();
        let sealer = Sealer::start(&folder);
        Self { release, folder, sealer }
    }

    /// The answer as it is sent: what belongs in a credential is in one.
    pub(crate) fn seal(&self, answer: Answer) -> Answer {
        let Answer::Sealed(addrs) = answer else { return answer };
        let net_cred = Some(self.sealer.seal(&addrs.signed_bytes(self.release)));
        Answer::Controller(Message::ResponseNodeAliasAddrs(NodeAddrsAnswer { net_cred }))
    }

    /// What a client prints, or its complaint. `part` is the folder of its configuration; one that
    /// `fails` may, and what it complains about is what it prints.
    pub(crate) fn run(&self, part: &str, words: &[&str], fails: bool) -> Result<String, String> {
        let mut line: Vec<String> = ["timeout", CLIENT_MAX_S].map(str::to_owned).to_vec();
        if let Some(root) = side::root(self.release) {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/side-root");
            line.extend([script.display().to_string(), "--run".to_owned()]);
            line.push(root.display().to_string());
        }
        line.extend(words.iter().map(|word| (*word).to_owned()));
        let output = Command::new(&line[0])
            .args(&line[1..])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SLURM_CONF", self.folder.join(part).join("slurm.conf"))
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .current_dir("/")
            .output()
            .map_err(|error| format!("{}: {error}", line[0]))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // A signal or a time-out is no complaint.
        let complained = fails && matches!(output.status.code(), Some(0..100));
        if !output.status.success() && !complained {
            let status = output.status;
            return Err(format!("{status}: {}{}", text(&output.stdout), text(&output.stderr)));
        }
        // Some name the machine they run on, and some speak on the other channel only.
        let host = hostname();
        let said = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
        Ok(text(said).replace(&format!(" {host} "), " HOST "))
    }
}

/// This machine's name, as clients say it.
#[expect(clippy::disallowed_methods, reason = "the kernel tells it in a file")]
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().split('.').next().unwrap_or_default().to_owned()
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.sealer.stop();
        // A folder that stays behind in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
