//! The environment of a user's login shell, for `sbatch --get-user-env` and whatever implies it
//! (`--export=NONE`, `--export=NAME,…`): how to ask for it, and what to make of the answer.

use std::collections::BTreeMap;

/// What sbatch puts into a job's environment when the node is to add the login environment.
const WANTED: &str = "SLURM_GET_USER_ENV=1";
/// The program that becomes the user with a login shell.
pub const PROGRAM: &str = "/bin/su";
/// What a login shell prints around its environment, so that greetings do not get into it.
const BEGIN: &str = "\0FLURM-ENVIRONMENT-BEGINS\0";
const END: &str = "FLURM-ENVIRONMENT-ENDS\0";

/// Whether the node is to add the login environment.
pub fn is_wanted(environment: &[String]) -> bool {
    environment.iter().any(|entry| entry == WANTED)
}

/// Arguments of [`PROGRAM`]. Only programs with full paths are run, so any shell will do.
pub fn arguments(user_name: &str) -> Vec<String> {
    let told = "/usr/bin/printf '\\0FLURM-ENVIRONMENT-BEGINS\\0'; /usr/bin/env -0; \
        /usr/bin/printf 'FLURM-ENVIRONMENT-ENDS\\0'";
    ["su", "-", user_name, "-c", told].map(str::to_owned).to_vec()
}

/// The environment in what the login shell printed; `None` when it is not there as a whole.
pub fn parse(printed: &[u8]) -> Option<Vec<String>> {
    let printed = String::from_utf8_lossy(printed);
    let (_, after) = printed.split_once(BEGIN)?;
    let (inside, _) = after.split_once(END)?;
    let entries = inside.split('\0').filter(|entry| entry.contains('='));
    Some(entries.map(str::to_owned).collect())
}

/// The login environment with what was passed with the job, which goes before.
pub fn merged(login: Vec<String>, passed: &[String]) -> Vec<String> {
    let name = |entry: &String| entry.split('=').next().unwrap_or_default().to_owned();
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for entry in login.into_iter().chain(passed.iter().cloned()) {
        all.insert(name(&entry), entry);
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|entry| (*entry).to_owned()).collect()
    }

    #[test]
    fn greetings_around_the_environment_are_left_out() {
        let printed = b"Welcome!\n\0FLURM-ENVIRONMENT-BEGINS\0A=1\0B=two\nlines\0\
            FLURM-ENVIRONMENT-ENDS\0bye\n";
        assert_eq!(parse(printed), Some(texts(&["A=1", "B=two\nlines"])));
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(parse(b"\0FLURM-ENVIRONMENT-BEGINS\0A=1\0"), None);
        assert_eq!(parse(b"This account is currently not available.\n"), None);
    }

    #[test]
    fn what_was_passed_goes_before_what_the_login_gives() {
        let merged = merged(texts(&["A=login", "B=login"]), &texts(&["A=passed", "C=passed"]));
        assert_eq!(merged, ["A=passed", "B=login", "C=passed"]);
    }

    #[test]
    fn the_marks_are_the_ones_the_shell_is_told_to_print() {
        let told = arguments("me").pop().unwrap();
        for mark in [BEGIN, END] {
            assert!(told.contains(mark.trim_matches('\0')), "{told}");
        }
        assert!(is_wanted(&texts(&["A=1", "SLURM_GET_USER_ENV=1"])));
        assert!(!is_wanted(&texts(&["A=1"])));
    }
}
