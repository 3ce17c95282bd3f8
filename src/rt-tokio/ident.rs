//! Users and groups through the name service switch, which may ask the network and block.
#![expect(unsafe_code, reason = "the reentrant C interfaces are the only way to the name services")]

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;

use flurm_rt::{Ident, User};
use libc::{c_char, c_int, gid_t};

/// First size of the buffer that receives an entry.
const ENTRY_BYTES_MIN: usize = 1 << 10;
/// Largest entry accepted: a group with very many members.
const ENTRY_BYTES_MAX: usize = 16 << 20;
/// Most groups one user may have; Linux's own bound.
const GROUPS_MAX: usize = 65_536;

/// The machine's user database.
#[derive(Clone, Copy, Debug, Default)]
pub struct Users;

impl Ident for Users {
    async fn user_by_id(&self, uid: u32) -> io::Result<Option<User>> {
        blocking(move || {
            // SAFETY: the four pointers come from `entry`, live through the call, and the buffer
            // length is that of the buffer.
            user(|entry, buffer, len, found| unsafe {
                libc::getpwuid_r(uid, entry, buffer, len, found)
            })
        })
        .await
    }

    async fn user_by_name(&self, name: &str) -> io::Result<Option<User>> {
        let Ok(name) = CString::new(name) else { return Ok(None) };
        blocking(move || {
            // SAFETY: as in `user_by_id`; the name is a C string that outlives the call.
            user(|entry, buffer, len, found| unsafe {
                libc::getpwnam_r(name.as_ptr(), entry, buffer, len, found)
            })
        })
        .await
    }

    async fn group_name(&self, gid: u32) -> io::Result<Option<String>> {
        blocking(move || {
            // SAFETY: the four pointers come from `entry`, live through the call, and the buffer
            // length is that of the buffer.
            let call = |entry, buffer, len, found| unsafe {
                libc::getgrgid_r(gid, entry, buffer, len, found)
            };
            entry(call, |group: &libc::group| text(group.gr_name))
        })
        .await
    }
}

/// Runs a look-up where it may block for as long as the name service takes.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn user(
    call: impl FnMut(*mut libc::passwd, *mut c_char, usize, *mut *mut libc::passwd) -> c_int,
) -> io::Result<Option<User>> {
    let found = entry(call, |passwd: &libc::passwd| User {
        uid: passwd.pw_uid,
        gid: passwd.pw_gid,
        name: text(passwd.pw_name),
        home: path(passwd.pw_dir),
        shell: path(passwd.pw_shell),
        groups: Vec::new(),
    })?;
    let Some(mut user) = found else { return Ok(None) };
    user.groups = groups(&user.name, user.gid)?;
    Ok(Some(user))
}

/// Calls one of the `get…_r` functions with a buffer that grows until the entry fits.
fn entry<C, T>(
    mut call: impl FnMut(*mut C, *mut c_char, usize, *mut *mut C) -> c_int,
    read: impl Fn(&C) -> T,
) -> io::Result<Option<T>> {
    let mut buffer: Vec<c_char> = vec![0; ENTRY_BYTES_MIN];
    loop {
        let mut entry = MaybeUninit::<C>::uninit();
        let mut found: *mut C = ptr::null_mut();
        let rc = call(entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &mut found);
        match rc {
            0 if found.is_null() => return Ok(None),
            // SAFETY: with rc 0 and a result, the function has filled `entry` and points to it; its
            // strings lie in `buffer`, which lives until after `read`.
            0 => return Ok(Some(read(unsafe { &*found }))),
            libc::ERANGE if buffer.len() < ENTRY_BYTES_MAX => {
                let len = buffer.len().saturating_mul(4).min(ENTRY_BYTES_MAX);
                buffer.resize(len, 0);
            }
            libc::EINTR => {}
            // Some name services say "no such entry" with these.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// All groups of a user, the primary one included.
fn groups(name: &str, primary: gid_t) -> io::Result<Vec<u32>> {
    let name = CString::new(name).map_err(io::Error::other)?;
    let mut groups: Vec<gid_t> = vec![0; 64];
    loop {
        let mut count = c_int::try_from(groups.len()).expect("bounded by GROUPS_MAX");
        // SAFETY: `groups` has room for `count` ids and the name is a C string.
        let rc =
            unsafe { libc::getgrouplist(name.as_ptr(), primary, groups.as_mut_ptr(), &mut count) };
        let filled = usize::try_from(count).unwrap_or(0);
        if rc >= 0 {
            groups.truncate(filled);
            return Ok(groups);
        }
        if groups.len() >= GROUPS_MAX {
            return Err(io::Error::other("the user has more groups than the system allows"));
        }
        // Some implementations do not say how many are needed, so at least double.
        let len = filled.max(groups.len() * 2).min(GROUPS_MAX);
        groups.resize(len, 0);
    }
}

fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: a non-null string of an entry is NUL-terminated and lies in the entry's live buffer.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn path(pointer: *const c_char) -> PathBuf {
    if pointer.is_null() {
        return PathBuf::new();
    }
    // SAFETY: a non-null string of an entry is NUL-terminated and lies in the entry's live buffer.
    let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
    PathBuf::from(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn root_is_found_by_id_and_by_name() {
        let by_id = run(Users.user_by_id(0)).unwrap().unwrap();
        assert_eq!((by_id.name.as_str(), by_id.gid), ("root", 0));
        assert!(by_id.groups.contains(&0));
        assert!(by_id.home.is_absolute());
        assert_eq!(run(Users.user_by_name("root")).unwrap(), Some(by_id));
        assert_eq!(run(Users.group_name(0)).unwrap().as_deref(), Some("root"));
    }

    #[test]
    fn strangers_are_none() {
        assert_eq!(run(Users.user_by_id(4_000_000_001)).unwrap(), None);
        assert_eq!(run(Users.user_by_name("no-such-user-here")).unwrap(), None);
        assert_eq!(run(Users.user_by_name("nul\0inside")).unwrap(), None);
        assert_eq!(run(Users.group_name(4_000_000_001)).unwrap(), None);
    }

    #[test]
    fn an_entry_larger_than_the_buffer_makes_it_grow() {
        let mut sizes = Vec::new();
        let found = entry(
            |_: *mut libc::passwd, _, len, _| {
                sizes.push(len);
                if len < 5_000 { libc::ERANGE } else { libc::ENOENT }
            },
            |_| (),
        );
        assert_eq!(found.unwrap(), None);
        assert_eq!(sizes, [1_024, 4_096, 16_384]);
    }

    #[test]
    fn an_endless_entry_is_an_error() {
        let found = entry(|_: *mut libc::passwd, _, _, _| libc::ERANGE, |_| ());
        assert_eq!(found.unwrap_err().raw_os_error(), Some(libc::ERANGE));
    }
}
