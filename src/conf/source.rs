//! Files to settings: follows `Include`, looks every key up in its table and checks its value.

use std::collections::BTreeMap;

use crate::Release;
use crate::diagnostic::{Place, Report};
use crate::key::{self, Key, Kind, Status};
use crate::lines::{self, Content, Piece, RawPair};
use crate::value::{self, Value};

/// The largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 16 << 20;
/// How deep files may include each other.
pub const INCLUDE_DEPTH_MAX: usize = 16;
/// How many files may be read in all.
pub const FILES_MAX: usize = 1024;

/// Gives the text of a file, or says why it cannot.
pub type Loader<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// A value somebody wrote, and where.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// A line such as `NodeName=n[1-4] CPUs=8`.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: &'static str,
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) fields: BTreeMap<&'static str, Written>,
}

/// Everything that the files say.
#[derive(Default)]
pub(crate) struct Source {
    /// Keys that stand alone; a repeatable one has several values.
    pub(crate) settings: BTreeMap<&'static str, Vec<Written>>,
    /// Lines of several keys, in order.
    pub(crate) records: Vec<Record>,
    /// The files that were read, in order.
    pub(crate) files: Vec<String>,
    /// Slurm's check sum over all their bytes, by which nodes notice that their files differ.
    pub(crate) hash: u32,
}

/// Reads `root` and what it includes.
pub(crate) fn read(
    table: &'static [Key],
    load: Loader<'_>,
    root: &str,
    report: &mut Report,
) -> Source {
    let folder = root.rfind('/').map_or("", |end| &root[..=end]).to_owned();
    let mut reader = Reader { table, load, folder, source: Source::default(), report };
    reader.file(root, &Place { file: root.to_owned(), ..Place::default() }, 0);
    reader.source
}

struct Reader<'a> {
    table: &'static [Key],
    load: Loader<'a>,
    /// Where relative names start, with a slash at its end.
    folder: String,
    source: Source,
    report: &'a mut Report,
}

impl Reader<'_> {
    fn file(&mut self, path: &str, asked_at: &Place, depth: usize) {
        let error = |report: &mut Report, text: String| report.error(asked_at, None, text);
        if depth >= INCLUDE_DEPTH_MAX {
            let text = format!("files include each other more than {INCLUDE_DEPTH_MAX} deep");
            return error(self.report, text);
        }
        if self.source.files.len() >= FILES_MAX {
            return error(self.report, format!("more than {FILES_MAX} files are included"));
        }
        let text = match (self.load)(path) {
            Ok(text) => text,
            Err(reason) => {
                return error(self.report, format!("could not read {path}: {reason}"));
            }
        };
        if text.len() > FILE_BYTES_MAX {
            return error(self.report, format!("{path} is larger than {FILE_BYTES_MAX} bytes"));
        }
        self.source.files.push(path.to_owned());
        let mut summed = 0;
        for line in &lines::logical_lines(&text) {
            let bytes = &text.as_bytes()[summed..line.bytes_end];
            self.source.hash = check_sum(self.source.hash, bytes);
            summed = line.bytes_end;
            match line.content() {
                Content::Include(name) => self.include(path, &name, depth),
                Content::Pairs(pairs, rest) => self.line(path, &pairs, rest.as_ref()),
            }
        }
    }

    fn include(&mut self, path: &str, name: &Piece, depth: usize) {
        let place = place(path, name);
        let mut file = name.text.clone();
        if file.is_empty() || file.contains(char::is_whitespace) {
            return self.report.error(&place, Some("Include"), "expected one file name");
        }
        if file.contains('*') {
            let text = "patterns are not supported by Slurm either: name each file";
            return self.report.error(&place, Some("Include"), text);
        }
        if file.contains("%c") {
            let cluster = self.source.settings.get("ClusterName").and_then(|values| values.last());
            let Some(cluster) = cluster else {
                let text = "%c needs ClusterName to be set on an earlier line";
                return self.report.error(&place, Some("Include"), text);
            };
            file = file.replace("%c", &cluster.value.text.to_ascii_lowercase());
        }
        let full = if file.starts_with('/') { file } else { format!("{}{file}", self.folder) };
        self.file(&full, &place, depth + 1);
    }

    fn line(&mut self, path: &str, pairs: &[RawPair], rest: Option<&Piece>) {
        let found = pairs.first().map(|pair| (pair, key::find(self.table, &pair.key.text)));
        match found {
            Some((pair, Some(key))) => match key.kind {
                Kind::Line(fields) => self.record(path, key, fields, pairs),
                _ => {
                    self.setting(path, key, pair);
                    if let Some(next) = pairs.get(1) {
                        let place = place(path, &next.key);
                        let text = "starts on a line of its own (quote values with spaces)";
                        self.report.error(&place, Some(&next.key.text), text);
                    }
                }
            },
            Some((pair, None)) => self.unknown(path, self.table, None, &pair.key),
            None => {}
        }
        if let Some(rest) = rest {
            let text = format!("`{}` is not a `key=value`", shorten(&rest.text));
            self.report.error(&place(path, rest), None, text);
        }
    }

    fn setting(&mut self, path: &str, key: &'static Key, pair: &RawPair) {
        let Some(written) = self.check(path, key, pair) else { return };
        let values = self.source.settings.entry(key.name).or_default();
        if key.kind != Kind::Each && !values.is_empty() {
            let text = format!("is set again; line {} no longer counts", values[0].place.line);
            self.report.warning(&written.place, key.name, text);
            values.clear();
        }
        values.push(written);
    }

    fn record(&mut self, path: &str, key: &'static Key, fields: &'static [Key], pairs: &[RawPair]) {
        let Some((head, pairs)) = pairs.split_first() else { return };
        let place = place(path, &head.value);
        self.judge(key, &head.value.text, &place);
        let mut record =
            Record { key: key.name, name: head.value.text.clone(), place, fields: BTreeMap::new() };
        for pair in pairs {
            let Some(field) = key::find(fields, &pair.key.text) else {
                self.unknown(path, fields, Some(key.name), &pair.key);
                continue;
            };
            let Some(written) = self.check(path, field, pair) else { continue };
            let place = written.place.clone();
            if record.fields.insert(field.name, written).is_some() {
                let text = "is set twice on this line; the latter counts";
                self.report.warning(&place, field.name, text);
            }
        }
        self.source.records.push(record);
    }

    /// The value of a pair when its key allows it.
    fn check(&mut self, path: &str, key: &'static Key, pair: &RawPair) -> Option<Written> {
        let place = place(path, &pair.value);
        if let Some(operator) = pair.operator {
            let text = format!("`{operator}=` means the same as `=` here");
            self.report.warning(&place, key.name, text);
        }
        match value::read(key.kind, &pair.value.text) {
            Ok(value) => {
                for word in &value.skipped {
                    let text = format!("`{word}` is not known and has no effect");
                    self.report.warning(&place, key.name, text);
                }
                self.judge(key, &value.text, &place);
                Some(Written { value, place })
            }
            Err(message) => {
                self.report.error(&place, Some(key.name), message);
                None
            }
        }
    }

    /// Says what comes of a value by the status of its key.
    fn judge(&mut self, key: &Key, shown: &str, place: &Place) {
        let usual = is_default(key, shown);
        match key.status {
            Status::Honoured => {}
            Status::Partly(_) | Status::Accepted if usual => {}
            Status::Partly(words) => {
                let known = |part: &&str| words.iter().any(|word| word.eq_ignore_ascii_case(part));
                let parts = shown.split(',').map(str::trim).filter(|part| !part.is_empty());
                let names = parts.map(|part| part.split('=').next().unwrap_or(part));
                for name in names.filter(|name| !known(name)) {
                    let text = format!("`{}` is accepted but has no effect yet", shorten(name));
                    self.report.warning(place, key.name, text);
                }
            }
            Status::Accepted => {
                let text = format!("`{}` is accepted but has no effect yet", shorten(shown));
                self.report.warning(place, key.name, text);
            }
            Status::Refused(_) if usual => {}
            Status::Refused(reason) => {
                let text = format!("`{}` is refused: {reason}", shorten(shown));
                self.report.error(place, Some(key.name), text);
            }
            Status::Defunct(reason) => {
                self.report.warning(place, key.name, format!("has no effect: {reason}"));
            }
        }
        if let Some(name) = key.renamed {
            self.report.warning(place, key.name, format!("is the old name of {name}"));
        } else if key.until < Release::LAST {
            let text = format!("is not known to Slurm after release {}", key.until);
            self.report.warning(place, key.name, text);
        }
    }

    fn unknown(&mut self, path: &str, table: &'static [Key], line: Option<&str>, key: &Piece) {
        let near = key::nearest(table.iter().map(|known| known.name), &key.text);
        let of = line.map(|line| format!(" of {line}")).unwrap_or_default();
        let text = match near {
            Some(near) => format!("is not a known key{of}; did you mean {near}?"),
            None if line.is_some() => {
                let names: Vec<&str> = table.iter().map(|known| known.name).collect();
                format!("is not a known key{of}; known are {}", names.join(", "))
            }
            None => "is not a known key".to_owned(),
        };
        self.report.error(&place(path, key), Some(&shorten(&key.text)), text);
    }
}

/// Whether a value is what the key is without being set; `…/none` plugins and empty text are.
fn is_default(key: &Key, shown: &str) -> bool {
    let default = value::read(key.kind, key.default).map(|value| value.text);
    let none = shown.is_empty() || shown.eq_ignore_ascii_case("none") || shown.ends_with("/none");
    match (key.kind, default) {
        (_, Ok(default)) if !key.default.is_empty() => shown.eq_ignore_ascii_case(&default),
        (Kind::Flag, _) => shown == "no",
        (Kind::Text | Kind::Flags(_) | Kind::LooseFlags(_), _) => none,
        _ => false,
    }
}

fn place(file: &str, piece: &Piece) -> Place {
    let file = file.to_owned();
    Place { file, line: piece.line, column: piece.column, length: piece.length }
}

/// The beginning of a text that may be very long.
fn shorten(text: &str) -> String {
    const LETTERS_MAX: usize = 80;
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Slurm's check sum of configuration files.
fn check_sum(start: u32, bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 4129;
    let mut sum = start;
    for byte in bytes {
        // A C `char` is signed.
        sum ^= (i32::from(byte.cast_signed()) << 8).cast_unsigned();
        for _ in 0..8 {
            let high = sum & 0x8000 != 0;
            sum <<= 1;
            if high {
                sum ^= POLYNOMIAL;
            }
        }
    }
    sum
}
