//! Reads slurm.conf and flurm.conf with everything they include.
//!
//! A file of the same bytes says the same, so a text is parsed once for as long as a process
//! remembers it: a reconfiguration or a new term with unchanged files costs their reading only, and
//! the many daemons of a simulated cluster share one parse. Files are read in the same order whether
//! something is remembered or not.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flurm_conf::associations::{Associations, Parsed};
use flurm_conf::{Conf, Diagnostic, FILE_BYTES_MAX, FlurmConf, GresConf, Loader};
use flurm_rt::{Env, Fs};

/// Files looked at while reading a configuration, includes counted.
const READS_MAX: usize = 2 * flurm_conf::FILES_MAX;
/// Configurations of one kind that a process remembers.
const KNOWN_MAX: usize = 4;

static CONFS: Known<Conf> = Known::new();
static ASSOCIATIONS: Known<Parsed> = Known::new();
static FLURM_CONFS: Known<FlurmConf> = Known::new();
static GRES_CONFS: Known<GresConf> = Known::new();

/// A file's path, and its text or why there is none.
type File = (String, Result<String, String>);

/// One parse and what it is a function of.
struct Remembered<T> {
    /// In the order in which the parser asked for them.
    files: Vec<File>,
    /// The configuration that this one was read for.
    basis: Option<Arc<Conf>>,
    value: Arc<T>,
}

/// The newest parses, the last one at the end.
struct Known<T> {
    parsed: Mutex<Vec<Remembered<T>>>,
}

/// What is known of a configuration whose first files are at hand.
enum Next<T> {
    Whole(Arc<T>),
    Wants(String),
    Unknown,
}

impl<T> Known<T> {
    const fn new() -> Self {
        Self { parsed: Mutex::new(Vec::new()) }
    }

    fn after(&self, files: &[File], basis: Option<&Arc<Conf>>) -> Next<T> {
        let parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        let same_basis = |one: &&Remembered<T>| match (&one.basis, basis) {
            (None, None) => true,
            (Some(known), Some(given)) => Arc::ptr_eq(known, given),
            (None, Some(_)) | (Some(_), None) => false,
        };
        let mut fitting = parsed.iter().rev().filter(same_basis);
        let Some(found) = fitting.find(|one| one.files.starts_with(files)) else {
            return Next::Unknown;
        };
        match found.files.get(files.len()) {
            None => Next::Whole(found.value.clone()),
            Some((path, _)) => Next::Wants(path.clone()),
        }
    }

    fn keep(&self, files: Vec<File>, basis: Option<&Arc<Conf>>, value: &Arc<T>) {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if KNOWN_MAX <= parsed.len() {
            parsed.remove(0);
        }
        parsed.push(Remembered { files, basis: basis.cloned(), value: value.clone() });
        assert!(parsed.len() <= KNOWN_MAX, "what is remembered has a bound");
    }
}

/// Reads slurm.conf at `path`.
pub(crate) async fn read_conf<E: Env>(env: &E, path: &Path) -> Result<Arc<Conf>, String> {
    let root = path.to_string_lossy().into_owned();
    let parse = |load: Loader<'_>| flurm_conf::parse(load, &root);
    let conf = read(env, &root, None, &CONFS, parse).await?;
    for warning in &conf.warnings {
        tracing::warn!("{warning}");
    }
    Ok(conf)
}

/// Reads flurm.conf beside slurm.conf, where there is one.
pub(crate) async fn read_flurm_conf<E: Env>(
    env: &E,
    conf_path: &Path,
    conf: &Arc<Conf>,
) -> Result<Arc<FlurmConf>, String> {
    let path = conf_path.with_file_name("flurm.conf");
    if !is_there(env, &path).await? {
        if let Next::Whole(flurm) = FLURM_CONFS.after(&[], Some(conf)) {
            return Ok(flurm);
        }
        let flurm = Arc::new(FlurmConf::without_file(conf).map_err(joined)?);
        FLURM_CONFS.keep(Vec::new(), Some(conf), &flurm);
        return Ok(flurm);
    }
    let root = path.to_string_lossy().into_owned();
    let parse = |load: Loader<'_>| FlurmConf::parse(load, &root, conf);
    let flurm = read(env, &root, Some(conf), &FLURM_CONFS, parse).await?;
    for warning in &flurm.warnings {
        tracing::warn!("{warning}");
    }
    Ok(flurm)
}

/// Reads associations.conf beside slurm.conf; without one there are no accounts.
pub(crate) async fn read_associations<E: Env>(
    env: &E,
    conf_path: &Path,
) -> Result<Associations, String> {
    let path = conf_path.with_file_name("associations.conf");
    if !is_there(env, &path).await? {
        return Ok(Associations::default());
    }
    let root = path.to_string_lossy().into_owned();
    let parse = |load: Loader<'_>| flurm_conf::associations::parse(load, &root);
    let parsed = read(env, &root, None, &ASSOCIATIONS, parse).await?;
    for warning in &parsed.warnings {
        tracing::warn!("{warning}");
    }
    Ok(parsed.associations.clone())
}

/// Reads gres.conf beside slurm.conf, where there is one.
pub(crate) async fn read_gres_conf<E: Env>(
    env: &E,
    conf_path: &Path,
) -> Result<Arc<GresConf>, String> {
    let path = conf_path.with_file_name("gres.conf");
    if !is_there(env, &path).await? {
        return Ok(Arc::default());
    }
    let root = path.to_string_lossy().into_owned();
    let parse = |load: Loader<'_>| GresConf::parse(load, &root);
    read(env, &root, None, &GRES_CONFS, parse).await
}

/// Whether an optional file exists. One that cannot be opened is an error: a site's limits must not
/// vanish with a right to read, or with a fault of the disk.
async fn is_there<E: Env>(env: &E, path: &Path) -> Result<bool, String> {
    match env.fs().open(path, flurm_rt::OpenMode::Read).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Parsing is pure and asks for files by name, so files are read until it asks for no new one.
async fn read<E: Env, T>(
    env: &E,
    root: &str,
    basis: Option<&Arc<Conf>>,
    known: &Known<T>,
    parse: impl Fn(Loader<'_>) -> Result<T, Vec<Diagnostic>> + Send,
) -> Result<Arc<T>, String> {
    let mut files: Vec<File> = Vec::new();
    let mut wanted = root.to_owned();
    for _ in 0..READS_MAX {
        let text = read_text(env, &wanted).await;
        files.push((wanted, text));
        wanted = match known.after(&files, basis) {
            Next::Whole(value) => return Ok(value),
            Next::Wants(path) => path,
            Next::Unknown => match try_parse(&files, &parse) {
                (_, Some(path)) => path,
                (parsed, None) => {
                    let value = Arc::new(parsed.map_err(joined)?);
                    known.keep(files, basis, &value);
                    return Ok(value);
                }
            },
        };
    }
    Err(format!("the configuration includes more than {READS_MAX} files"))
}

/// Parses from the files read so far; the second value is the first file that was missing.
fn try_parse<T>(
    files: &[File],
    parse: &impl Fn(Loader<'_>) -> Result<T, Vec<Diagnostic>>,
) -> (Result<T, Vec<Diagnostic>>, Option<String>) {
    let missing = RefCell::new(None);
    let load = |path: &str| match files.iter().find(|(name, _)| name == path) {
        Some((_, text)) => text.clone(),
        None => {
            missing.borrow_mut().get_or_insert_with(|| path.to_owned());
            Err("not read yet".into())
        }
    };
    let parsed = parse(&load);
    (parsed, missing.into_inner())
}

async fn read_text<E: Env>(env: &E, path: &str) -> Result<String, String> {
    let bytes = env.fs().read(Path::new(path), FILE_BYTES_MAX).await;
    let bytes = bytes.map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "the file is not text".into())
}

fn joined(diagnostics: Vec<Diagnostic>) -> String {
    let lines: Vec<String> = diagnostics.iter().map(Diagnostic::to_string).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        (path.to_owned(), Ok(text.to_owned()))
    }

    #[test]
    fn the_same_files_are_known_and_others_are_not() {
        let known: Known<u8> = Known::new();
        let (main, part) = (file("a", "Include b"), file("b", "x"));
        known.keep(vec![main.clone(), part.clone()], None, &Arc::new(1));
        let wants = known.after(std::slice::from_ref(&main), None);
        assert!(matches!(wants, Next::Wants(path) if path == "b"));
        assert!(matches!(known.after(&[main.clone(), part], None), Next::Whole(one) if *one == 1));
        assert!(matches!(known.after(&[main, file("b", "y")], None), Next::Unknown));
        assert!(matches!(known.after(&[file("a", "")], None), Next::Unknown));
    }

    #[test]
    fn only_the_newest_are_remembered() {
        let known: Known<usize> = Known::new();
        for number in 0..=KNOWN_MAX {
            known.keep(vec![file("a", &number.to_string())], None, &Arc::new(number));
        }
        assert!(matches!(known.after(&[file("a", "0")], None), Next::Unknown));
        assert!(matches!(known.after(&[file("a", "1")], None), Next::Whole(one) if *one == 1));
    }
}
