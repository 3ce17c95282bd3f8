//! Tables of a scenario file that name their kind: faults and workloads. A kind is registered once,
//! in the list of its own module.

use std::sync::Arc;

use serde::de::DeserializeOwned;

/// Reads the rest of a table.
pub type Read<T> = fn(toml::Table) -> Result<Arc<T>, String>;

/// A kind of table: its name and how its other keys are read.
pub struct Kind<T: ?Sized> {
    /// Value of `name`.
    pub name: &'static str,
    /// Reads the other keys.
    pub read: Read<T>,
}

/// Reads the keys of one kind; unknown ones are refused by the type.
pub fn read<T: DeserializeOwned>(table: toml::Table) -> Result<T, String> {
    T::deserialize(toml::Value::Table(table)).map_err(|error| error.to_string())
}

/// Reads a table by its `name`.
pub fn by_name<T: ?Sized>(
    kinds: &[Kind<T>],
    what: &str,
    mut table: toml::Table,
) -> Result<Arc<T>, String> {
    let name = match table.remove("name") {
        Some(toml::Value::String(name)) => name,
        _ => return Err(format!("a {what} has a `name`")),
    };
    let Some(kind) = kinds.iter().find(|kind| kind.name == name) else {
        let known: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
        return Err(format!("no {what} is called `{name}`; there are {}", known.join(", ")));
    };
    (kind.read)(table).map_err(|error| format!("{what} `{name}`: {}", error.trim_end()))
}
