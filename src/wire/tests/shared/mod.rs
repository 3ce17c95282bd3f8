//! Captures as messages, and the values that a message has in two releases by declaration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flurm_wire::frame::{self, LENGTH_BYTES};
use flurm_wire::{FieldInfo, Registry, Release, Visitor, persist};

/// Releases whose own programs were recorded.
pub(crate) const NATIVE: [Release; 3] = [Release::V22_05, Release::V24_11, Release::V26_05];

/// A body that is absent as a whole; before 24.11 it is there and empty.
pub(crate) const NOTHING: &str = ".: null";

/// Fields that do not travel as they are, and why.
pub(crate) const EXCEPT: &[(&str, &str, &str)] = &[
    ("StepId", "sluid", "since 24.11"),
    ("StepId", "step_id", "a bare job before 25.11"),
    ("StepId", "step_het_comp", "a bare job before 25.11"),
    ("NodeInfoMsg", "hidden_nodes", "since 24.11"),
    ("GresJobNodes", "gres_per_bit_alloc", "since 23.11"),
    ("GresJobNodes", "gres_per_bit_step_alloc", "since 23.11"),
    ("GresStepNodes", "gres_per_bit_alloc", "since 23.11"),
    ("UserCond", "assoc_cond", "always there before 24.11"),
    ("UpdateReservation", "core_cnt", "a list that ends in 0 before 23.11, one number since"),
    ("UpdateReservation", "node_cnt", "a list that ends in 0 before 23.11, one number since"),
];

/// A capture as a message.
pub(crate) struct Captured<M> {
    pub(crate) file: String,
    pub(crate) release: Release,
    pub(crate) message: M,
    /// Its bytes as they were sent.
    pub(crate) body: Vec<u8>,
}

#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
pub(crate) fn captured<M: Registry>(persistent: bool) -> Vec<Captured<M>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let mut captured = Vec::new();
    for release in NATIVE {
        for entry in std::fs::read_dir(root.join(release.name())).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let digits: String =
                lines.flat_map(str::chars).filter(char::is_ascii_hexdigit).collect();
            let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
            if persistent != text.lines().any(|line| line.starts_with("# persistent ")) {
                continue;
            }
            let bytes = &bytes[LENGTH_BYTES..];
            let (msg_type, body) = if persistent {
                let parts = persist::split(bytes).unwrap();
                (parts.msg_type, parts.body)
            } else {
                let parts = frame::split(bytes).unwrap();
                (parts.header.msg_type, parts.body)
            };
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            captured.extend(M::decode(msg_type, release, body).ok().map(|message| Captured {
                file,
                release,
                message,
                body: body.to_vec(),
            }));
        }
    }
    captured
}

/// Tables of fields by the names of their records.
pub(crate) type Records = BTreeMap<&'static str, &'static [FieldInfo]>;

/// Every record there is: messages may stand within messages.
pub(crate) fn records<M: Registry>() -> Records {
    let mut records = Records::new();
    for entry in M::REGISTERED {
        for release in Release::ALL.into_iter().filter(|release| entry.in_release(*release)) {
            records.extend(entry.schema(release).records());
        }
    }
    records
}

/// The values of the fields that two releases share, in order, each behind its name.
pub(crate) struct Shared<'a> {
    records: &'a Records,
    releases: [Release; 2],
    /// The open records; for each, its name and whether the present field is left out.
    open: Vec<(&'static str, bool)>,
    field: &'static str,
    values: Vec<String>,
    left_out: BTreeSet<usize>,
}

impl Shared<'_> {
    pub(crate) fn of<M: Registry>(
        message: &M,
        records: &Records,
        releases: [Release; 2],
    ) -> (Vec<String>, BTreeSet<usize>) {
        let (open, values, left_out) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut shared = Shared { records, releases, open, field: "", values, left_out };
        message.view(&mut shared);
        (shared.values, shared.left_out)
    }

    fn is_shared(&mut self, record: &str, name: &str) -> bool {
        let excepted = |(of, field, _): &(&str, &str, &str)| *of == record && *field == name;
        if let Some(at) = EXCEPT.iter().position(excepted) {
            self.left_out.insert(at);
            return false;
        }
        let fields = self.records.get(record).copied().unwrap_or_default();
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            return true;
        };
        let has = |release: &Release| field.since <= *release && *release <= field.until;
        !field.conditional && self.releases.iter().all(has)
    }

    fn value(&mut self, text: String) {
        if self.open.iter().all(|(_, left_out)| !left_out) {
            let record = self.open.last().map_or("", |(name, _)| name);
            self.values.push(format!("{record}.{}: {text}", self.field));
        }
    }
}

impl Visitor for Shared<'_> {
    fn record_begin(&mut self, name: &'static str) {
        self.open.push((name, false));
    }

    fn field(&mut self, name: &'static str) {
        let record = self.open.last().unwrap().0;
        let left_out = !self.is_shared(record, name);
        self.open.last_mut().unwrap().1 = left_out;
        self.field = name;
    }

    fn record_end(&mut self) {
        self.open.pop();
    }

    fn list_begin(&mut self, length: usize) {
        self.value(format!("{length} elements"));
    }

    fn list_end(&mut self) {}

    fn unsigned(&mut self, value: u64) {
        self.value(value.to_string());
    }

    fn signed(&mut self, value: i64) {
        self.value(value.to_string());
    }

    fn fraction(&mut self, value: f64) {
        self.value(format!("{value:?}"));
    }

    fn boolean(&mut self, value: bool) {
        self.value(value.to_string());
    }

    fn text(&mut self, value: &str) {
        self.value(format!("{value:?}"));
    }

    fn bytes(&mut self, value: &[u8]) {
        self.value(format!("{value:?}"));
    }

    fn null(&mut self) {
        self.value("null".to_owned());
    }
}
