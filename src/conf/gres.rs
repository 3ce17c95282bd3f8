//! gres.conf: which devices of which generic resource a node has (gres.conf(5)).

use flurm_base::{Hostlist, count};

use crate::diagnostic::{Diagnostic, Report};
use crate::fields::Fields;
use crate::source::{self, Loader, Record};
use crate::table;

/// The most devices that one line may name.
const DEVICES_MAX: usize = 1024;

/// A line of gres.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GresLine {
    /// The nodes it is about, expanded; `None` for whichever node reads it.
    pub nodes: Option<Vec<String>>,
    /// `Name`.
    pub name: String,
    /// `Type`.
    pub kind: Option<String>,
    /// `File`, expanded.
    pub files: Vec<String>,
    /// How many: `Count`, or as many as there are files.
    pub count: u64,
}

/// All lines of gres.conf, and what may not be meant as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GresConf {
    /// In their order.
    pub lines: Vec<GresLine>,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

impl GresConf {
    /// Reads gres.conf at `path`.
    pub fn parse(load: Loader<'_>, path: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut report = Report::default();
        let source = source::read(table::GRES, load, path, &mut report);
        let lines = source.records.iter().filter_map(|record| line(record, &mut report)).collect();
        let warnings = report.verdict()?;
        Ok(Self { lines, warnings })
    }

    /// The lines that are about a node.
    pub fn of_node(&self, node: &str) -> impl Iterator<Item = &GresLine> {
        let about = move |line: &&GresLine| {
            line.nodes.as_ref().is_none_or(|nodes| nodes.iter().any(|name| name == node))
        };
        self.lines.iter().filter(about)
    }
}

fn line(record: &Record, report: &mut Report) -> Option<GresLine> {
    let none = std::collections::BTreeMap::new();
    let fields = Fields::new(record, &none);
    let by_node = record.key == "NodeName";
    let name = if by_node { fields.some_text("Name") } else { Some(record.name.clone()) };
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        // A line that only says `AutoDetect=off` for some nodes.
        if fields.get("AutoDetect").is_none() {
            report.error(&record.place, Some("Name"), "is missing");
        }
        return None;
    };
    let nodes = match by_node {
        true => Some(expanded(&record.name, "NodeName", record, report)?),
        false => None,
    };
    let key = if fields.get("MultipleFiles").is_some() { "MultipleFiles" } else { "File" };
    let files = match fields.some_text(key) {
        Some(text) => expanded(&text, key, record, report)?,
        None => Vec::new(),
    };
    let several = key == "MultipleFiles";
    let count = match (fields.text("Count").map(count::parse), files.len()) {
        (Some(None), _) => {
            let text = format!("{:?} is no count", fields.text("Count").unwrap_or_default());
            report.error(fields.place("Count"), Some("Count"), text);
            return None;
        }
        (Some(Some(count)), _) => count,
        (None, 0) => 1,
        (None, _) if several => 1,
        (None, files) => files as u64,
    };
    if !several && !files.is_empty() && count != files.len() as u64 {
        let text = format!("is {count}, but {} files are named", files.len());
        report.error(fields.place("Count"), Some("Count"), text);
        return None;
    }
    Some(GresLine { nodes, name, kind: fields.some_text("Type"), files, count })
}

fn expanded(text: &str, key: &str, record: &Record, report: &mut Report) -> Option<Vec<String>> {
    match Hostlist::parse(text) {
        Ok(list) if list.len() <= DEVICES_MAX || key == "NodeName" => Some(list.iter().collect()),
        Ok(list) => {
            let wrong = format!("names {}; at most {DEVICES_MAX} are taken", list.len());
            report.error(&record.place, Some(key), wrong);
            None
        }
        Err(error) => {
            report.error(&record.place, Some(key), error.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<GresConf, Vec<Diagnostic>> {
        GresConf::parse(&|_| Ok(text.to_owned()), "/etc/slurm/gres.conf")
    }

    #[test]
    fn lines_are_for_all_nodes_or_for_some() {
        let conf = parse(
            "NodeName=n[1-2] Name=gpu Type=tesla File=/dev/nvidia[0-1]\n\
             Name=craynet Count=3 # counted only\nName=shm Count=2K\n",
        )
        .unwrap();
        let of = |node: &str| -> Vec<(&str, u64, usize)> {
            let lines = conf.of_node(node);
            let short = lines.map(|line| (line.name.as_str(), line.count, line.files.len()));
            short.collect()
        };
        assert_eq!(of("n2"), [("gpu", 2, 2), ("craynet", 3, 0), ("shm", 2048, 0)]);
        assert_eq!(of("n3"), [("craynet", 3, 0), ("shm", 2048, 0)]);
        assert_eq!(conf.lines[0].files, ["/dev/nvidia0", "/dev/nvidia1"]);
        assert_eq!(conf.lines[0].kind.as_deref(), Some("tesla"));
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_its_place() {
        let said = |text: &str| parse(text).unwrap_err()[0].to_string();
        assert!(said("Name=gpu File=/dev/nvidia[0-1] Count=3").contains("2 files are named"));
        assert!(
            said("Name=gpu Count=many").contains("gres.conf:1:"),
            "{}",
            said("Name=gpu Count=many")
        );
        assert!(said("NodeName=n1 Type=tesla").contains("Name"));
        assert!(said("Name=gpu Colour=blue").contains("Colour"));
    }

    #[test]
    fn detection_is_warned_of() {
        let conf = parse("AutoDetect=nvml\nName=gpu File=/dev/nvidia0\n").unwrap();
        assert!(conf.warnings[0].to_string().contains("AutoDetect"), "{:?}", conf.warnings);
        assert!(parse("AutoDetect=off\n").unwrap().warnings.is_empty());
    }
}
