//! Tidiness of tracked files: lengths, names, module documents, forbidden words.

use crate::tree::Files;
use crate::{Finding, blank};

/// Longest file of code, in lines.
pub const FILE_LINES_MAX: usize = 800;
/// Longest function, in lines from its `fn` to its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Names that say nothing about a file's duty.
const EMPTY_NAMES: [&str; 4] = ["utils", "common", "helpers", "misc"];

/// Pieces of text that belong to one machine or one registry. Split so that this file passes.
const FOREIGN: [&str; 10] = [
    concat!("/wor", "k/"),
    concat!("/roo", "t/"),
    concat!("/tmp", "/t/"),
    concat!("deb.", "debian.org"),
    concat!("security.", "debian.org"),
    concat!("static.", "crates.io"),
    concat!("index.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
];

/// Files whose text others wrote.
const NOT_OURS: [&str; 2] = ["LICENSE", "Cargo.lock"];

/// Checks every file.
pub fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, text) in files {
        findings.extend(file_name(name));
        let Some(text) = text else { continue };
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        findings.extend(foreign(name, text));
        if is_code(name, text) {
            findings.extend(length(name, text));
        }
        if name.ends_with(".rs") {
            findings.extend(rust(name, text));
        }
    }
    findings.extend(dependencies_explained(files));
    findings
}

fn is_code(name: &str, text: &str) -> bool {
    name.ends_with(".rs") || name.ends_with(".sh") || text.starts_with("#!")
}

fn file_name(path: &str) -> Option<Finding> {
    let stems = path.split('/').map(|part| part.split('.').next().unwrap_or_default());
    let empty = stems.into_iter().find(|stem| EMPTY_NAMES.contains(stem))?;
    Some(Finding::whole(path, format!("the name `{empty}` tells no duty")))
}

fn length(name: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    (lines > FILE_LINES_MAX)
        .then(|| Finding::whole(name, format!("{lines} lines; {FILE_LINES_MAX} are allowed")))
}

fn foreign(name: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for piece in FOREIGN.iter().filter(|piece| line.contains(*piece)) {
            let text = format!("`{piece}` belongs to one machine or registry");
            findings.push(Finding::at(name, index + 1, text));
        }
    }
    findings
}

fn rust(name: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.trim_start().starts_with("//!") {
        findings.push(Finding::whole(name, "starts with no module document (`//!`)"));
    }
    let code = blank::blanked(text);
    for (index, line) in code.lines().enumerate() {
        let packed: String = line.split_whitespace().collect();
        let mut tell = |text: &str| findings.push(Finding::at(name, index + 1, text));
        if packed.contains("#[allow(") || packed.contains("#![allow(") {
            tell("use #[expect(lint, reason = \"…\")] instead of #[allow]");
        }
        if packed.contains("todo!(") || packed.contains("unimplemented!(") {
            tell("unfinished code");
        }
        if packed.contains("#[ignore") {
            tell("an ignored test: assert the known behaviour with a BUG(issue) line instead");
        }
    }
    findings.extend(long_functions(name, &code));
    findings
}

/// Functions over the limit. `code` has comments and literals blanked, so braces can be counted.
fn long_functions(name: &str, code: &str) -> Vec<Finding> {
    let bytes = code.as_bytes();
    let mut findings = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find("fn ") {
        let start = from + found;
        from = start + 3;
        let word_before =
            start > 0 && (bytes[start - 1].is_ascii_alphanumeric() || bytes[start - 1] == b'_');
        if word_before {
            continue;
        }
        let Some(end) = body_end(bytes, from) else { continue };
        let lines = code[start..end].matches('\n').count() + 1;
        if lines > FUNCTION_LINES_MAX {
            let line = code[..start].matches('\n').count() + 1;
            let text = format!("a function of {lines} lines; {FUNCTION_LINES_MAX} are allowed");
            findings.push(Finding::at(name, line, text));
        }
    }
    findings
}

/// End of the braces that open first after `at`; `None` when a semicolon comes before them.
fn body_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut round = 0_i32;
    let mut open = at;
    loop {
        match *bytes.get(open)? {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b';' if round == 0 => return None,
            b'{' if round == 0 => break,
            _ => {}
        }
        open += 1;
    }
    let mut depth = 0_usize;
    for (offset, byte) in bytes[open..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(open + offset + 1),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Each outside crate of the workspace has its reason written down.
fn dependencies_explained(files: &Files) -> Vec<Finding> {
    const MANIFEST: &str = "Cargo.toml";
    const REASONS: &str = "docs/decisions/dependencies.md";
    let text = |name: &str| files.get(name).cloned().flatten().unwrap_or_default();
    let Ok(manifest) = text(MANIFEST).parse::<toml::Table>() else {
        return vec![Finding::whole(MANIFEST, "is no TOML")];
    };
    let reasons = text(REASONS);
    let dependencies = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table);
    dependencies
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.get("path").is_none())
        .filter(|(name, _)| !reasons.contains(&format!("`{name}`")))
        .map(|(name, _)| Finding::whole(REASONS, format!("has no line with a reason for `{name}`")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str) -> Vec<String> {
        let files = Files::from([(name.to_owned(), Some(text.to_owned()))]);
        check(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_tidy_file_has_nothing_to_put_right() {
        assert_eq!(found("a/planner.rs", "//! Plans.\nfn f() {}\n"), Vec::<String>::new());
    }

    #[test]
    fn a_module_without_a_document_is_told() {
        assert_eq!(found("a.rs", "fn f() {}\n"), ["a.rs: starts with no module document (`//!`)"]);
    }

    #[test]
    fn long_files_and_long_functions_are_told() {
        let long = format!("//! A.\n{}", "\n".repeat(FILE_LINES_MAX));
        assert_eq!(found("a.rs", &long), ["a.rs: 801 lines; 800 are allowed"]);
        let function =
            |lines: usize| format!("//! A.\nfn f(a: [u8; 2]) {{\n{}}}\n", "\n".repeat(lines));
        assert_eq!(found("a.rs", &function(FUNCTION_LINES_MAX - 2)).len(), 0);
        assert_eq!(
            found("a.rs", &function(FUNCTION_LINES_MAX - 1)),
            ["a.rs:2: a function of 71 lines; 70 are allowed"]
        );
    }

    #[test]
    fn a_declaration_without_a_body_has_no_length() {
        let text = format!("//! A.\ntrait T {{ fn f();\n{}}}\n", "\n".repeat(90));
        assert_eq!(found("a.rs", &text).len(), 0);
    }

    #[test]
    fn names_without_a_duty_are_refused() {
        assert_eq!(
            found("src/utils.rs", "//! A.\n"),
            ["src/utils.rs: the name `utils` tells no duty"]
        );
        assert_eq!(found("src/misc/a.rs", "//! A.\n").len(), 1);
        assert_eq!(found("src/commonest.rs", "//! A.\n").len(), 0);
    }

    #[test]
    fn forbidden_words_are_found_in_code_and_not_in_comments() {
        let text = "//! A.\n#[allow(dead_code)]\nfn f() { todo!() }\n// todo!()\n#[ignore]\n";
        let lines: Vec<usize> = {
            let files = Files::from([("a.rs".to_owned(), Some(text.to_owned()))]);
            check(&files).iter().map(|f| f.line).collect()
        };
        assert_eq!(lines, [2, 3, 5]);
    }

    #[test]
    fn what_belongs_to_one_machine_is_found_anywhere() {
        let text = format!("see {}main\n", FOREIGN[0]);
        assert_eq!(found("docs/a.md", &text).len(), 1);
        assert_eq!(found("LICENSE", &text).len(), 0);
    }

    #[test]
    fn an_outside_crate_without_a_reason_is_told() {
        let manifest = "[workspace.dependencies]\na = \"1\"\nb = \"1\"\nc = { path = \"c\" }\n";
        let files = Files::from([
            ("Cargo.toml".to_owned(), Some(manifest.to_owned())),
            ("docs/decisions/dependencies.md".to_owned(), Some("| `a` | why |\n".to_owned())),
        ]);
        let told: Vec<String> = check(&files).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["docs/decisions/dependencies.md: has no line with a reason for `b`"]);
    }
}
