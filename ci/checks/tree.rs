//! The files git knows (tracked, and new ones it does not ignore), with their text.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Path from the root of the repository → text. A file that is not UTF-8 has `None`.
pub type Files = BTreeMap<String, Option<String>>;

/// Reads all of them.
pub fn read(root: &Path) -> Result<Files, String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("could not run git: {e}"))?;
    if !output.status.success() {
        return Err(format!("git: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let mut files = Files::new();
    for name in output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        let path = root.join(&name);
        // A file deleted but not yet committed is still in the index; a link is not followed.
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if !meta.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(|e| format!("could not read {name}: {e}"))?;
        files.insert(name, String::from_utf8(bytes).ok());
    }
    Ok(files)
}
