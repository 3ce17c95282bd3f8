//! What a machine can check about the tree itself: which crate may use which, and tidiness.
//!
//! Input: cargo's metadata, `ci/layers.toml` and the files git knows. Output: findings, one line
//! each. It never changes anything.

pub mod blank;
pub mod layers;
pub mod links;
pub mod tidy;
pub mod tree;

use std::fmt;

/// One thing that must be put right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File, or the name of a crate.
    pub place: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// What is wrong and what is allowed.
    pub text: String,
}

impl Finding {
    /// A finding about a whole file or crate.
    pub fn whole(place: &str, text: impl Into<String>) -> Self {
        Self { place: place.to_owned(), line: 0, text: text.into() }
    }

    /// A finding at a line (from 1).
    pub fn at(place: &str, line: usize, text: impl Into<String>) -> Self {
        Self { place: place.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.place, self.text),
            line => write!(f, "{}:{line}: {}", self.place, self.text),
        }
    }
}
