//! `flurm-checks <layers|tidy|links|all>`: prints what must be put right; exit status 1 if anything.

use std::path::Path;
use std::process::ExitCode;

use flurm_checks::{Finding, layers, links, tidy, tree};

const USAGE: &str = "usage: flurm-checks <layers|tidy|links|all>, from the root of the repository";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [wanted] = arguments.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match findings(wanted, Path::new(".")) {
        Ok(findings) if findings.is_empty() => {
            println!("{wanted}: nothing to put right");
            ExitCode::SUCCESS
        }
        Ok(findings) => {
            for finding in &findings {
                println!("{finding}");
            }
            println!("{wanted}: {} to put right", findings.len());
            ExitCode::FAILURE
        }
        Err(text) => {
            eprintln!("flurm-checks: {text}");
            ExitCode::from(2)
        }
    }
}

fn findings(wanted: &str, root: &Path) -> Result<Vec<Finding>, String> {
    let mut all = Vec::new();
    let files = tree::read(root)?;
    match wanted {
        "layers" => all.extend(layers::check(root, &files)?),
        "tidy" => all.extend(tidy::check(&files)),
        "links" => all.extend(links::check(&files)),
        "all" => {
            all.extend(layers::check(root, &files)?);
            all.extend(tidy::check(&files));
            all.extend(links::check(&files));
        }
        _ => return Err(USAGE.to_owned()),
    }
    all.sort();
    Ok(all)
}
