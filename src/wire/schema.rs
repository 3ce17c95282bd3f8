//! The layout of a message in one release as rows of text: for documents and for the lock.

use crate::{Release, Wire};

/// Collects a layout's rows.
#[derive(Debug, Default)]
pub struct Schema {
    path: Vec<&'static str>,
    rows: Vec<String>,
}

impl Schema {
    /// The rows of `T`, in wire order, as `path kind`.
    pub fn of<T: Wire>(release: Release) -> Vec<String> {
        let mut schema = Self::default();
        T::schema(release, &mut schema);
        schema.rows
    }

    /// Goes into a field.
    pub fn enter(&mut self, name: &'static str) {
        self.path.push(name);
    }

    /// Leaves the field entered last.
    pub fn leave(&mut self) {
        self.path.pop().expect("enter and leave are paired");
    }

    /// A value of a kind stands here.
    pub fn kind(&mut self, kind: &str) {
        let path = self.path.join(".");
        self.rows.push(if path.is_empty() { kind.to_owned() } else { format!("{path} {kind}") });
    }
}
