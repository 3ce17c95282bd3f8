//! `scontrol show …` output as fields.

use std::collections::BTreeMap;

/// One job, node or partition as scontrol prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(BTreeMap<String, String>);

impl Record {
    /// Reads one record: `Key=value` pairs in lines; a value may hold blanks when it ends a line.
    pub fn parse(text: &str) -> Self {
        let mut fields = BTreeMap::new();
        for line in text.lines() {
            let mut starts: Vec<usize> = Vec::new();
            for (at, _) in line.match_indices('=') {
                let start = line[..at].rfind(' ').map_or(0, |blank| blank + 1);
                let key = &line[start..at];
                let first = key.chars().next().is_some_and(|c| c.is_ascii_uppercase());
                // A key is a capitalised word; `cpu=1,mem=1M` and `a=b` inside a value are none.
                if first && !key.contains(['=', ',', '"']) && starts.last() != Some(&start) {
                    starts.push(start);
                }
            }
            for (index, start) in starts.iter().enumerate() {
                let end = starts.get(index + 1).copied().unwrap_or(line.len());
                if let Some((key, value)) = line[*start..end].split_once('=') {
                    fields.insert(key.to_owned(), value.trim_end().to_owned());
                }
            }
        }
        Self(fields)
    }

    /// Reads records that are separated by empty lines.
    pub fn parse_all(text: &str) -> Vec<Self> {
        text.split("\n\n").map(Self::parse).filter(|record| !record.0.is_empty()).collect()
    }

    /// A field; panics when the record has none of that name.
    pub fn get(&self, key: &str) -> &str {
        self.find(key).unwrap_or_else(|| panic!("no {key} in {:?}", self.0))
    }

    /// A field, if there is one of that name.
    pub fn find(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The names of all fields.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// True for a job that has ended for good.
    pub fn ended(&self) -> bool {
        let state = self.get("JobState");
        !matches!(
            state,
            "PENDING" | "CONFIGURING" | "RUNNING" | "COMPLETING" | "SUSPENDED" | "REQUEUED"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_fields_of_a_line_are_told_apart() {
        let record = Record::parse("JobId=7 JobName=a b\n   TRES=cpu=1,mem=2M UserId=me(1)\n");
        assert_eq!(record.get("JobId"), "7");
        assert_eq!(record.get("JobName"), "a b");
        assert_eq!(record.get("TRES"), "cpu=1,mem=2M");
        assert_eq!(record.get("UserId"), "me(1)");
    }

    #[test]
    fn empty_lines_separate_records() {
        let records = Record::parse_all("NodeName=n1 A=1\n   State=IDLE\n\nNodeName=n2\n\n");
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].get("State"), "IDLE");
        assert_eq!(records[1].get("NodeName"), "n2");
    }

    #[test]
    fn ratios_with_colons_are_values() {
        let record = Record::parse("NumTasks=1 CPUs/Task=1 ReqB:S:C:T=0:0:*:*\n");
        assert_eq!(record.get("CPUs/Task"), "1");
        assert_eq!(record.get("ReqB:S:C:T"), "0:0:*:*");
    }
}
