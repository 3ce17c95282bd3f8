//! The layout of a message in one release as rows of text: for documents and for the lock.

use std::collections::BTreeMap;

use crate::{FieldInfo, Release, Wire};

/// Collects a layout's rows and the records it is made of.
#[derive(Debug, Default)]
pub struct Schema {
    path: Vec<&'static str>,
    rows: Vec<String>,
    records: BTreeMap<&'static str, &'static [FieldInfo]>,
}

impl Schema {
    /// The layout of `T`.
    pub fn of<T: Wire>(release: Release) -> Self {
        let mut schema = Self::default();
        T::schema(release, &mut schema);
        schema
    }

    /// One row `path kind` for each value, in wire order.
    pub fn rows(&self) -> &[String] {
        &self.rows
    }

    /// The tables of the records that occur, by name.
    pub const fn records(&self) -> &BTreeMap<&'static str, &'static [FieldInfo]> {
        &self.records
    }

    /// Goes into a field.
    pub fn enter(&mut self, name: &'static str) {
        self.path.push(name);
    }

    /// Leaves the field entered last.
    pub fn leave(&mut self) {
        self.path.pop().expect("enter and leave are paired");
    }

    /// A record stands here.
    pub fn record(&mut self, name: &'static str, fields: &'static [FieldInfo]) {
        self.records.insert(name, fields);
    }

    /// A value of a kind stands here.
    pub fn kind(&mut self, kind: &str) {
        let path = self.path.join(".");
        self.rows.push(if path.is_empty() { kind.to_owned() } else { format!("{path} {kind}") });
    }
}
