//! Reading configuration files from the disk, before any runtime exists.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flurm_conf::{Conf, Diagnostic, FILE_BYTES_MAX, FlurmConf, Severity};

/// Gives the text of a file to the parser.
pub fn load(path: &str) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("longer than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))
}

/// Where flurm.conf is: beside slurm.conf.
pub fn flurm_conf_path(slurm_conf: &Path) -> PathBuf {
    slurm_conf.with_file_name("flurm.conf")
}

/// Reads slurm.conf.
pub fn slurm_conf(path: &Path) -> Result<Conf, Vec<Diagnostic>> {
    flurm_conf::parse(&load, &path.to_string_lossy())
}

/// Reads flurm.conf beside slurm.conf, or takes its defaults when there is none.
pub fn flurm_conf(slurm_conf: &Path, conf: &Conf) -> Result<FlurmConf, Vec<Diagnostic>> {
    let path = flurm_conf_path(slurm_conf);
    if path.exists() {
        FlurmConf::parse(&load, &path.to_string_lossy(), conf)
    } else {
        FlurmConf::without_file(conf)
    }
}

/// The errors among messages, one a line, for a daemon that cannot start with them.
pub fn errors(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|each| each.severity == Severity::Error);
    errors.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
