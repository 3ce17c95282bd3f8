//! A real munged answers over a local socket made by this runtime, and each end knows the other.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use flurm_rt::{Addr, Env, Net};
use flurm_rt_tokio::Tokio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cases::{Folder, eventually, lives, run};
use crate::harness::{Case, Need};

/// First bytes of every munge message.
const MAGIC: u32 = 0x0060_6D4B;
/// Version of munge's protocol.
const VERSION: u8 = 4;
/// Asks for a credential.
const ENCODE_REQUEST: u8 = 2;
const ENCODE_RESPONSE: u8 = 3;
/// Asks what a credential says.
const DECODE_REQUEST: u8 = 4;
const DECODE_RESPONSE: u8 = 5;
/// Longest answer expected.
const BODY_BYTES_MAX: u32 = 1 << 16;

pub(crate) fn cases() -> Vec<Case> {
    vec![Case { name: "munged_knows_us", need: Need::Tool("munged"), run: munged_knows_us }]
}

/// A munged of this test's own.
struct Munged {
    process: Child,
    folder: Folder,
}

impl Munged {
    fn start() -> Self {
        let folder = Folder::new("munge");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(folder.join("key"), [0x5a; 64]).unwrap();
        std::fs::set_permissions(folder.join("key"), PermissionsExt::from_mode(0o600)).unwrap();
        let file = |option: &str, name: &str| format!("--{option}={}", folder.join(name).display());
        let process = Command::new("munged")
            .args(["--foreground", "--num-threads=2"])
            .args([file("key-file", "key"), file("socket", "socket"), file("log-file", "log")])
            .args([file("pid-file", "pid"), file("seed-file", "seed")])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, folder }
    }
}

impl Drop for Munged {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn munged_knows_us() {
    let mut munged = Munged::start();
    run(async {
        let env = Tokio::new();
        let addr = Addr::Local(munged.folder.join("socket"));
        eventually("munged listens", async || env.net().connect(&addr).await.is_ok()).await;
        let stream = env.net().connect(&addr).await.unwrap();
        let peer = stream.credential().unwrap().expect("a local socket has a peer");
        assert_eq!(peer.pid, munged.process.id());
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        // Munged in turn asks the kernel who we are, and writes it into the credential.
        let payload = b"payload";
        let mut request = vec![1, 1, 1, 0];
        request.extend(300u32.to_be_bytes());
        request.extend([0xff; 8]);
        request.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        request.extend(payload);
        let answer = ask(&env, &addr, (ENCODE_REQUEST, ENCODE_RESPONSE), &request).await;
        // Error number, length and text of an error message, then length and credential.
        let credential = &answer[6 + usize::from(answer[1])..];
        assert_eq!(answer[0], 0, "munged refused: {answer:?}");
        let text = String::from_utf8_lossy(credential);
        assert!(text.starts_with("MUNGE:"), "{text}");
        let mut request = u32::try_from(credential.len()).unwrap().to_be_bytes().to_vec();
        request.extend(credential);
        let answer = ask(&env, &addr, (DECODE_REQUEST, DECODE_RESPONSE), &request).await;
        assert_eq!(answer[0], 0, "munged refused: {answer:?}");
        let own = rustix::process::geteuid().as_raw().to_be_bytes();
        assert!(answer.windows(4).any(|word| word == own), "our user id is in {answer:?}");
        assert!(answer.ends_with(payload) || contains(&answer, payload), "{answer:?}");
    });
    assert!(lives(munged.process.id()));
    munged.process.kill().unwrap();
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// One question and its answer, on a connection of its own, as munged wants it.
async fn ask(env: &Tokio, addr: &Addr, kinds: (u8, u8), body: &[u8]) -> Vec<u8> {
    let mut stream = env.net().connect(addr).await.unwrap();
    let mut message = MAGIC.to_be_bytes().to_vec();
    message.extend([VERSION, kinds.0, 0]);
    message.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(body);
    stream.write_all(&message).await.unwrap();
    assert_eq!(stream.read_u32().await.unwrap(), MAGIC);
    assert_eq!(stream.read_u8().await.unwrap(), VERSION);
    assert_eq!(stream.read_u8().await.unwrap(), kinds.1);
    stream.read_u8().await.unwrap();
    let len = stream.read_u32().await.unwrap();
    assert!(len < BODY_BYTES_MAX);
    let mut body = vec![0; usize::try_from(len).unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    body
}
