//! The users every machine knows.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use flurm_rt::{Ident, User};

/// Users and groups.
#[derive(Clone, Debug)]
pub struct Users {
    by_id: BTreeMap<u32, User>,
    groups: BTreeMap<u32, String>,
}

impl Default for Users {
    fn default() -> Self {
        let mut users = Self { by_id: BTreeMap::new(), groups: BTreeMap::new() };
        users.add(0, "root");
        users.add(64030, "slurm");
        for (uid, name) in [(1001, "ada"), (1002, "bob"), (1003, "cleo"), (1004, "dan")] {
            users.add(uid, name);
        }
        users
    }
}

impl Users {
    /// Adds a user with a group of the same name and number.
    pub fn add(&mut self, uid: u32, name: &str) {
        let home = if uid == 0 { "/root".into() } else { PathBuf::from(format!("/home/{name}")) };
        let shell = PathBuf::from("/bin/sh");
        let user = User { uid, gid: uid, name: name.to_owned(), home, shell, groups: vec![uid] };
        self.by_id.insert(uid, user);
        self.groups.insert(uid, name.to_owned());
    }

    /// Ids of ordinary users.
    pub fn ordinary(&self) -> Vec<u32> {
        self.by_id.keys().copied().filter(|uid| (1000..60_000).contains(uid)).collect()
    }

    /// One user.
    pub fn get(&self, uid: u32) -> Option<&User> {
        self.by_id.get(&uid)
    }
}

/// The user database as a component sees it.
#[derive(Clone, Debug)]
pub struct SimIdent;

impl Ident for SimIdent {
    async fn user_by_id(&self, uid: u32) -> io::Result<Option<User>> {
        Ok(super::with(|w| w.users.by_id.get(&uid).cloned()))
    }

    async fn user_by_name(&self, name: &str) -> io::Result<Option<User>> {
        Ok(super::with(|w| w.users.by_id.values().find(|user| user.name == name).cloned()))
    }

    async fn group_name(&self, gid: u32) -> io::Result<Option<String>> {
        Ok(super::with(|w| w.users.groups.get(&gid).cloned()))
    }
}
