//! The fields of a record over those of the `DEFAULT` records before it.

use std::collections::BTreeMap;

use crate::diagnostic::Place;
use crate::source::{Record, Written};

/// What a line says, with what the `DEFAULT` lines before it said where it is silent itself.
pub(crate) struct Fields<'a> {
    own: &'a Record,
    defaults: &'a BTreeMap<&'static str, Written>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(own: &'a Record, defaults: &'a BTreeMap<&'static str, Written>) -> Self {
        Self { own, defaults }
    }

    /// What the line itself says.
    pub(crate) fn own(&self, key: &str) -> Option<&'a Written> {
        self.own.fields.get(key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Written> {
        self.own(key).or_else(|| self.defaults.get(key))
    }

    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).map(|written| written.value.text.as_str())
    }

    /// Like `text`, but nothing for an empty one.
    pub(crate) fn some_text(&self, key: &str) -> Option<String> {
        self.text(key).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(|written| written.value.number)
    }

    /// A number that the key's kind keeps below the maximum of `T`, or `otherwise`.
    pub(crate) fn small<T: TryFrom<u64>>(&self, key: &str, otherwise: T) -> T {
        self.number(key).and_then(|number| T::try_from(number).ok()).unwrap_or(otherwise)
    }

    /// The parts between commas.
    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        list(self.text(key).unwrap_or_default())
    }

    /// Where a key's value stands, or the line when the key is not set.
    pub(crate) fn place(&self, key: &str) -> &'a Place {
        self.get(key).map_or(&self.own.place, |written| &written.place)
    }
}

/// The parts of a text between commas, without empty ones.
pub(crate) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
