//! What the tests replicate, and how their members trust each other.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests reach the real machine and may fail at once"
)]

use std::path::PathBuf;

use flurm_raft::{Handshake, StateMachine};

/// A folder of its own for one test, removed at its end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("flurm-raft-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Keeps every command in order; a command's answer is how many there are.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) commands: Vec<Vec<u8>>,
}

impl StateMachine for Journal {
    fn apply(&mut self, _index: u64, _term: u64, command: &[u8]) -> Vec<u8> {
        self.commands.push(command.to_vec());
        (self.commands.len() as u64).to_le_bytes().to_vec()
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for command in &self.commands {
            bytes.extend_from_slice(&(command.len() as u32).to_le_bytes());
            bytes.extend_from_slice(command);
        }
        bytes
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut commands = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (len, tail) = rest.split_first_chunk::<4>().ok_or("cut short")?;
            let (command, tail) =
                tail.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or("cut short")?;
            commands.push(command.to_vec());
            rest = tail;
        }
        self.commands = commands;
        Ok(())
    }
}

/// A shared secret, as a proof of having it: secret and challenge, xored.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) u8);

impl Handshake for Secret {
    async fn prove(&self, challenge: &[u8; 32]) -> Result<Vec<u8>, String> {
        Ok(challenge.iter().map(|byte| byte ^ self.0).collect())
    }

    async fn verify(&self, _peer: u64, challenge: &[u8; 32], proof: &[u8]) -> Result<(), String> {
        if self.prove(challenge).await? == proof { Ok(()) } else { Err("wrong secret".to_owned()) }
    }
}
