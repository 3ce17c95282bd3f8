//! Relative links in markdown files must lead somewhere.

use std::collections::BTreeSet;

use crate::Finding;
use crate::tree::Files;

/// Checks every `[text](target)` of every markdown file. Links to other sites are not followed.
pub fn check(files: &Files) -> Vec<Finding> {
    let mut known: BTreeSet<String> = files.keys().cloned().collect();
    for name in files.keys() {
        let mut folder = name.as_str();
        while let Some((parent, _)) = folder.rsplit_once('/') {
            known.insert(parent.to_owned());
            folder = parent;
        }
    }
    let mut findings = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".md")) {
        for (line, target) in targets(text.as_deref().unwrap_or_default()) {
            let path = target.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if elsewhere || resolved(name, path).is_some_and(|path| known.contains(&path)) {
                continue;
            }
            findings.push(Finding::at(name, line, format!("the link `{target}` leads nowhere")));
        }
    }
    findings
}

/// Link targets with their lines, outside fenced code and inline code.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        let mut rest = plain.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, tail)) = after.split_once(')') else { break };
            found.push((index + 1, target.to_owned()));
            rest = tail;
        }
    }
    found
}

/// The path from the root that a link in `file` means; `None` when it climbs out.
fn resolved(file: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let files = Files::from([
            ("docs/a.md".to_owned(), Some(text.to_owned())),
            ("docs/deep/b.md".to_owned(), Some(String::new())),
            ("README.md".to_owned(), Some(String::new())),
        ]);
        check(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        let text = "[a](deep/b.md) [b](../README.md#x) [c](deep) [d](https://e.org/f) [e](#here)";
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_are_told_with_their_line() {
        assert_eq!(found("x\n[a](gone.md)"), ["docs/a.md:2: the link `gone.md` leads nowhere"]);
        assert_eq!(found("[a](../../README.md)").len(), 1);
    }

    #[test]
    fn code_holds_no_links() {
        assert_eq!(found("```\n[a](gone.md)\n```\n`[b](gone.md)`"), Vec::<String>::new());
    }
}
