//! associations.conf: accounts, users, their shares and limits, and qualities of service.
//!
//! The file is what `sacctmgr dump` writes (sacctmgr(1), "flat file dump and load"), with one more kind
//! of line, `QOS - name:…`, whose options are those of `sacctmgr add qos`. So what a site's database
//! holds can be taken over as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Place, Report};
use crate::source::Loader;

/// Lines of one file, at most.
const LINES_MAX: usize = 1_000_000;
/// The account at the top.
pub const ROOT: &str = "root";
/// `Fairshare=parent` as a number (slurmdb.h, `SLURMDB_FS_USE_PARENT`).
pub const USE_PARENT: u32 = 0x7fff_ffff;

/// Counts of trackable resources by name, such as `cpu` or `gres/gpu`; memory in MB.
pub type Tres = Vec<(String, u64)>;

/// What an association or a quality of service allows. `None` and empty lists allow all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `GrpJobs`: running at once, together.
    pub grp_jobs: Option<u32>,
    /// `GrpSubmitJobs`: waiting and running at once, together.
    pub grp_submit: Option<u32>,
    /// `GrpTRES`: held at once, together.
    pub grp_tres: Tres,
    /// `GrpTRESMins`: used ever, together, in minutes.
    pub grp_tres_mins: Tres,
    /// `GrpTRESRunMins`: what running jobs may still use, together, in minutes.
    pub grp_tres_run_mins: Tres,
    /// `GrpWall`: time run ever, together, in minutes.
    pub grp_wall_min: Option<u32>,
    /// `MaxJobs`, `MaxJobsPerUser`: running at once, of one user.
    pub max_jobs: Option<u32>,
    /// `MaxJobsPerAccount`, of a quality of service.
    pub max_jobs_per_account: Option<u32>,
    /// `MaxSubmitJobs`, `MaxSubmitJobsPerUser`: waiting and running at once, of one user.
    pub max_submit: Option<u32>,
    /// `MaxSubmitJobsPerAccount`, of a quality of service.
    pub max_submit_per_account: Option<u32>,
    /// `MaxTRESPerJob`.
    pub max_tres_per_job: Tres,
    /// `MaxTRESPerNode`.
    pub max_tres_per_node: Tres,
    /// `MaxTRESPerUser`, of a quality of service: held at once.
    pub max_tres_per_user: Tres,
    /// `MaxTRESPerAccount`, of a quality of service: held at once.
    pub max_tres_per_account: Tres,
    /// `MaxTRESMinsPerJob`, in minutes.
    pub max_tres_mins_per_job: Tres,
    /// `MinTRESPerJob`, of a quality of service.
    pub min_tres_per_job: Tres,
    /// `MaxWallDurationPerJob`, in minutes.
    pub max_wall_min: Option<u32>,
}

/// A user in an account, or the account itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Association {
    /// The account.
    pub account: String,
    /// The account above it; empty at the top. Of a user's association: its own account.
    pub parent: String,
    /// The user; empty for the account itself.
    pub user: String,
    /// The partition that it is for; empty for all.
    pub partition: String,
    /// `Fairshare`, or [`USE_PARENT`].
    pub shares: u32,
    /// `Priority`.
    pub priority: u32,
    /// What it allows.
    pub limits: Limits,
    /// `QOS`: what may be used; empty takes the account's.
    pub qos: Vec<String>,
    /// `DefaultQOS`.
    pub qos_default: Option<String>,
}

/// A quality of service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qos {
    /// Its name.
    pub name: String,
    /// `Priority`.
    pub priority: u32,
    /// `UsageFactor` in thousandths.
    pub usage_thousandths: u32,
    /// What it allows.
    pub limits: Limits,
    /// `Preempt`: whose jobs have to make room.
    pub preempts: Vec<String>,
    /// `PreemptMode`, in lower case; empty takes the cluster's.
    pub preempt_mode: String,
    /// `GraceTime`, seconds.
    pub grace_s: u32,
    /// `PreemptExemptTime`, seconds; `None` takes the cluster's.
    pub exempt_s: Option<u32>,
    /// `Flags`, in lower case.
    pub flags: Vec<String>,
}

/// Everything in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Associations {
    /// Accounts, each before those below it, and users.
    pub list: Vec<Association>,
    /// Qualities of service, in their order.
    pub qos: Vec<Qos>,
    /// Each user's default account.
    pub default_accounts: BTreeMap<String, String>,
}

/// A file's content with what its author should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The content.
    pub associations: Associations,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// Reads associations.conf at `path`.
///
/// # Errors
/// What is wrong with it, line by line.
pub fn parse(load: Loader<'_>, path: &str) -> Result<Parsed, Vec<Diagnostic>> {
    let mut report = Report::default();
    let whole = Place { file: path.to_owned(), ..Place::default() };
    let text = load(path).unwrap_or_else(|error| {
        report.error(&whole, None, error);
        String::new()
    });
    let mut reader = Reader::new(report);
    for (nth, line) in text.lines().take(LINES_MAX).enumerate() {
        let number = u32::try_from(nth).unwrap_or(u32::MAX).saturating_add(1);
        let length = u32::try_from(line.chars().count()).unwrap_or(u32::MAX);
        reader.line(line, Place { file: path.to_owned(), line: number, column: 1, length });
    }
    reader.finish(&whole)
}

struct Reader {
    report: Report,
    found: Associations,
    accounts: BTreeSet<String>,
    keys: BTreeSet<(String, String, String)>,
    parent: String,
    qos_places: Vec<(Place, String)>,
}

/// One `name=value` of a line, the name in lower case.
struct Option_ {
    name: String,
    value: String,
}

impl Reader {
    fn new(report: Report) -> Self {
        Self {
            report,
            found: Associations::default(),
            accounts: BTreeSet::new(),
            keys: BTreeSet::new(),
            parent: ROOT.to_owned(),
            qos_places: Vec::new(),
        }
    }

    fn line(&mut self, line: &str, place: Place) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            return;
        }
        let parts = line.split_once(" - ").and_then(|(kind, rest)| {
            let mut pieces = split(rest).into_iter();
            let name = unquoted(&pieces.next()?).to_ascii_lowercase();
            (!name.is_empty()).then_some((kind.trim().to_ascii_lowercase(), name, pieces))
        });
        let Some((kind, name, pieces)) = parts else {
            let text =
                "expected `Cluster`, `Parent`, `Account`, `User` or `QOS`, then ` - ` and a name";
            return self.report.error(&place, None, text);
        };
        let mut options = Vec::new();
        for piece in pieces.filter(|piece| !piece.trim().is_empty()) {
            let Some((name, value)) = piece.split_once('=') else {
                let text = format!("`{piece}` is not `name=value`");
                self.report.error(&place, None, text);
                continue;
            };
            let name = name.trim().trim_end_matches(['+', '-']).to_ascii_lowercase();
            options.push(Option_ { name, value: unquoted(value.trim()).to_owned() });
        }
        match kind.as_str() {
            "cluster" => self.account(ROOT, "", &options, &place),
            "parent" if self.has_account(&name) => self.parent = name,
            "parent" => {
                let text = format!("there is no account {name} yet");
                self.report.error(&place, Some("Parent"), text);
            }
            "account" => {
                let parent = self.parent.clone();
                self.account(&name, &parent, &options, &place);
            }
            "user" => self.user(&name, &options, &place),
            "qos" => self.qos(name, &options, &place),
            other => self.report.error(&place, None, format!("`{other}` is no kind of line")),
        }
    }

    fn has_account(&self, name: &str) -> bool {
        name == ROOT || self.accounts.contains(name)
    }

    fn account(&mut self, name: &str, parent: &str, options: &[Option_], place: &Place) {
        let entry = Association {
            account: name.to_owned(),
            parent: parent.to_owned(),
            ..Association::default()
        };
        if let Some(entry) = self.association(entry, options, place) {
            self.accounts.insert(name.to_owned());
            // The top comes first wherever its line stands.
            let at = if name == ROOT { 0 } else { self.found.list.len() };
            self.found.list.insert(at, entry);
        }
    }

    fn user(&mut self, name: &str, options: &[Option_], place: &Place) {
        let value = |wanted: &str| {
            options.iter().find(|option| option.name == wanted).map(|option| option.value.clone())
        };
        if let Some(account) = value("defaultaccount") {
            self.found.default_accounts.insert(name.to_owned(), account.to_ascii_lowercase());
        }
        let entry = Association {
            account: self.parent.clone(),
            parent: self.parent.clone(),
            user: name.to_owned(),
            partition: value("partition").unwrap_or_default(),
            ..Association::default()
        };
        if let Some(entry) = self.association(entry, options, place) {
            let account = entry.account.clone();
            self.found.default_accounts.entry(name.to_owned()).or_insert(account);
            self.found.list.push(entry);
        }
    }

    fn association(
        &mut self,
        mut entry: Association,
        options: &[Option_],
        place: &Place,
    ) -> Option<Association> {
        let key = (entry.account.clone(), entry.user.clone(), entry.partition.clone());
        if !self.keys.insert(key) {
            self.report.error(place, None, "it is defined twice");
            return None;
        }
        for option in options {
            if let Err(text) = self.set(&mut entry, option, place) {
                self.report.error(place, Some(&option.name), text);
            }
        }
        Some(entry)
    }

    fn set(
        &mut self,
        entry: &mut Association,
        option: &Option_,
        place: &Place,
    ) -> Result<(), String> {
        let value = option.value.as_str();
        match option.name.as_str() {
            "fairshare" if value.eq_ignore_ascii_case("parent") => entry.shares = USE_PARENT,
            "fairshare" => entry.shares = number(value)?.unwrap_or(1),
            "priority" => entry.priority = number(value)?.unwrap_or(0),
            "qos" | "qoslevel" => {
                entry.qos = names(value);
                self.qos_places.extend(entry.qos.iter().map(|name| (place.clone(), name.clone())));
            }
            "defaultqos" => {
                let name = value.to_ascii_lowercase();
                self.qos_places.push((place.clone(), name.clone()));
                entry.qos_default = Some(name);
            }
            "partition" | "defaultaccount" | "description" | "organization" | "adminlevel"
            | "coordinator" | "wckeys" | "defaultwckey" | "classification" => {}
            "maxjobsperuser" | "maxjobsperaccount" | "maxtresperuser" | "maxtresperaccount"
            | "mintresperjob" => return Err("only a QOS has it".to_owned()),
            name => return set_limit(&mut entry.limits, name, value),
        }
        Ok(())
    }

    fn qos(&mut self, name: String, options: &[Option_], place: &Place) {
        if self.found.qos.iter().any(|qos| qos.name == name) {
            return self.report.error(place, None, "it is defined twice");
        }
        let mut qos = Qos::named(&name);
        for option in options {
            if let Err(text) = self.set_qos(&mut qos, option, place) {
                self.report.error(place, Some(&option.name), text);
            }
        }
        self.found.qos.push(qos);
    }

    fn set_qos(&mut self, qos: &mut Qos, option: &Option_, place: &Place) -> Result<(), String> {
        let value = option.value.as_str();
        match option.name.as_str() {
            "priority" => qos.priority = number(value)?.unwrap_or(0),
            "usagefactor" => {
                let factor: f64 = value.parse().map_err(|_| not_number(value))?;
                if !(0.0..=1_000_000.0).contains(&factor) {
                    return Err(not_number(value));
                }
                qos.usage_thousandths = (factor * 1_000.0).round() as u32;
            }
            "preempt" => {
                qos.preempts = names(value);
                self.qos_places
                    .extend(qos.preempts.iter().map(|name| (place.clone(), name.clone())));
            }
            "preemptmode" => qos.preempt_mode = value.to_ascii_lowercase(),
            "gracetime" => qos.grace_s = number(value)?.unwrap_or(0),
            "preemptexempttime" => qos.exempt_s = seconds(value)?,
            "flags" => qos.flags = names(value),
            "description" => {}
            "grptresmins" | "grpcpumins" | "grpwall" => {
                return Err("is not counted for a QOS yet, and jobs would run past it".to_owned());
            }
            name => return set_limit(&mut qos.limits, name, value),
        }
        Ok(())
    }

    fn finish(mut self, whole: &Place) -> Result<Parsed, Vec<Diagnostic>> {
        if !self.accounts.contains(ROOT) {
            self.account(ROOT, "", &[], whole);
        }
        // Every cluster has this one (`_convert_qos_list` and the database's first row).
        const NORMAL: &str = "normal";
        if !self.found.qos.iter().any(|qos| qos.name == NORMAL) {
            self.found.qos.insert(0, Qos::named(NORMAL));
        }
        for (place, name) in std::mem::take(&mut self.qos_places) {
            if !self.found.qos.iter().any(|qos| qos.name == name) {
                let text = format!("there is no QOS {name}");
                self.report.error(&place, Some("QOS"), text);
            }
        }
        let warnings = self.report.verdict()?;
        Ok(Parsed { associations: self.found, warnings })
    }
}

impl Default for Association {
    fn default() -> Self {
        Self {
            account: String::new(),
            parent: String::new(),
            user: String::new(),
            partition: String::new(),
            shares: 1,
            priority: 0,
            limits: Limits::default(),
            qos: Vec::new(),
            qos_default: None,
        }
    }
}

impl Qos {
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            priority: 0,
            usage_thousandths: 1_000,
            limits: Limits::default(),
            preempts: Vec::new(),
            preempt_mode: String::new(),
            grace_s: 0,
            exempt_s: None,
            flags: Vec::new(),
        }
    }
}

/// The options that limit something, with the shorter names that sacctmgr takes too.
fn set_limit(limits: &mut Limits, name: &str, value: &str) -> Result<(), String> {
    match name {
        "grpjobs" => limits.grp_jobs = number(value)?,
        "grpsubmitjobs" | "grpsubmit" => limits.grp_submit = number(value)?,
        "grptres" => limits.grp_tres = tres(value)?,
        "grpcpus" => add(&mut limits.grp_tres, "cpu", value)?,
        "grpnodes" => add(&mut limits.grp_tres, "node", value)?,
        "grpmemory" => add(&mut limits.grp_tres, "mem", value)?,
        "grptresmins" => limits.grp_tres_mins = tres(value)?,
        "grpcpumins" => add(&mut limits.grp_tres_mins, "cpu", value)?,
        "grptresrunmins" => limits.grp_tres_run_mins = tres(value)?,
        "grpcpurunmins" => add(&mut limits.grp_tres_run_mins, "cpu", value)?,
        "grpwall" => limits.grp_wall_min = minutes(value)?,
        "maxjobs" | "maxjobsperuser" | "maxjobspu" => limits.max_jobs = number(value)?,
        "maxjobsperaccount" | "maxjobspa" => limits.max_jobs_per_account = number(value)?,
        "maxsubmitjobs"
        | "maxsubmit"
        | "maxsubmitjobsperuser"
        | "maxsubmitpu"
        | "maxsubmitjobspu" => limits.max_submit = number(value)?,
        "maxsubmitjobsperaccount" | "maxsubmitpa" | "maxsubmitjobspa" => {
            limits.max_submit_per_account = number(value)?;
        }
        "maxtres" | "maxtresperjob" | "maxtrespj" => limits.max_tres_per_job = tres(value)?,
        "maxcpus" | "maxcpusperjob" => add(&mut limits.max_tres_per_job, "cpu", value)?,
        "maxnodes" | "maxnodesperjob" => add(&mut limits.max_tres_per_job, "node", value)?,
        "maxtrespernode" | "maxtrespn" => limits.max_tres_per_node = tres(value)?,
        "maxtresperuser" | "maxtrespu" => limits.max_tres_per_user = tres(value)?,
        "maxcpusperuser" | "maxcpuspu" => add(&mut limits.max_tres_per_user, "cpu", value)?,
        "maxtresperaccount" | "maxtrespa" => limits.max_tres_per_account = tres(value)?,
        "maxtresmins" | "maxtresminsperjob" | "maxtresminspj" => {
            limits.max_tres_mins_per_job = tres(value)?;
        }
        "maxcpumins" | "maxcpuminsperjob" => add(&mut limits.max_tres_mins_per_job, "cpu", value)?,
        "mintres" | "mintresperjob" | "mintrespj" => limits.min_tres_per_job = tres(value)?,
        "maxwall" | "maxwalldurationperjob" | "maxwallpj" => limits.max_wall_min = minutes(value)?,
        _ => return Err("is no option of sacctmgr that is known here".to_owned()),
    }
    Ok(())
}

/// Pieces between colons that stand outside of quotes and values of times; the first is the name.
fn split(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut quote = None;
    for letter in text.chars() {
        match (quote, letter) {
            (None, ':') => pieces.push(String::new()),
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
        if quote.is_some() || letter != ':' {
            pieces.last_mut().expect("it begins with one").push(letter);
        }
    }
    pieces
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('\'').or_else(|| inner('"')).unwrap_or(text)
}

fn names(text: &str) -> Vec<String> {
    let parts = text.split(',').map(|name| name.trim().trim_start_matches(['+', '-']));
    parts.filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect()
}

fn not_number(value: &str) -> String {
    format!("`{value}` is not a number")
}

/// A number; -1 for none.
fn number(value: &str) -> Result<Option<u32>, String> {
    match value {
        "-1" => Ok(None),
        text => text.parse().map(Some).map_err(|_| not_number(value)),
    }
}

/// A time in minutes, in Slurm's ways of writing times; -1 for none.
fn minutes(value: &str) -> Result<Option<u32>, String> {
    Ok(seconds(value)?.map(|seconds| seconds.div_ceil(60)))
}

fn seconds(value: &str) -> Result<Option<u32>, String> {
    if value == "-1" {
        return Ok(None);
    }
    let seconds = crate::value::time(value).ok_or_else(|| format!("`{value}` is not a time"))?;
    Ok(u32::try_from(seconds).ok().filter(|seconds| *seconds != u32::MAX))
}

/// `cpu=10,mem=4G,gres/gpu=2`, or with colons for the equal signs; -1 takes a limit away.
fn tres(value: &str) -> Result<Tres, String> {
    let mut all = Tres::new();
    for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, count) =
            part.split_once('=').ok_or_else(|| format!("`{part}` is not `resource=count`"))?;
        add(&mut all, &name.to_ascii_lowercase(), count)?;
    }
    Ok(all)
}

fn add(all: &mut Tres, name: &str, count: &str) -> Result<(), String> {
    all.retain(|(known, _)| known != name);
    if count == "-1" {
        return Ok(());
    }
    let bad = || format!("`{count}` is not a count");
    let digits = count.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let plain: u64 = digits.parse().map_err(|_| bad())?;
    let unit = match count[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "m" if name == "mem" => 1,
        "" => 1,
        "k" => 1 << 10,
        "g" if name == "mem" => 1 << 10,
        "t" if name == "mem" => 1 << 20,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return Err(bad()),
    };
    all.push((name.to_owned(), plain.saturating_mul(unit)));
    all.sort();
    Ok(())
}
