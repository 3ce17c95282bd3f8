//! Messages about a configuration file, with the place they are about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where in which file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file, as it was asked for.
    pub file: String,
    /// Line, from 1; 0 when the message is about the file as a whole.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// How many characters it is about.
    pub length: u32,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It is used, but perhaps not as its author meant.
    Warning,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Where.
    pub place: Place,
    /// How bad.
    pub severity: Severity,
    /// The key it is about, if it is about one.
    pub key: Option<String>,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.place.file)?;
        if self.place.line > 0 {
            write!(f, "{}:{}:", self.place.line, self.place.column)?;
        }
        match self.severity {
            Severity::Error => write!(f, " error: ")?,
            Severity::Warning => write!(f, " warning: ")?,
        }
        match &self.key {
            Some(key) => write!(f, "{key}: {}", self.message),
            None => write!(f, "{}", self.message),
        }
    }
}

/// Collects messages, up to a bound, after which further ones are only counted.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) messages: Vec<Diagnostic>,
    errors_count: usize,
}

impl Report {
    /// The most messages that are kept.
    const MESSAGES_MAX: usize = 1000;

    pub(crate) fn error(&mut self, place: &Place, key: Option<&str>, message: impl Into<String>) {
        self.errors_count += 1;
        self.push(Severity::Error, place, key, message.into());
    }

    pub(crate) fn warning(&mut self, place: &Place, key: &str, message: impl Into<String>) {
        self.push(Severity::Warning, place, Some(key), message.into());
    }

    /// The warnings when nothing was an error, else everything.
    pub(crate) fn verdict(self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        if self.errors_count == 0 { Ok(self.messages) } else { Err(self.messages) }
    }

    fn push(&mut self, severity: Severity, place: &Place, key: Option<&str>, message: String) {
        if self.messages.len() < Self::MESSAGES_MAX {
            let (place, key) = (place.clone(), key.map(str::to_owned));
            self.messages.push(Diagnostic { place, severity, key, message });
        }
    }
}
