//! The releases of Slurm whose configuration is understood.

/// A release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is a release's own number")]
pub enum Release {
    V22_05,
    V23_02,
    V23_11,
    V24_05,
    V24_11,
    V25_05,
    V25_11,
    V26_05,
}

impl Release {
    /// The oldest that is understood.
    pub const FIRST: Self = Self::V22_05;
    /// The newest that is understood: its defaults are FLURM's.
    pub const LAST: Self = Self::V26_05;
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V22_05 => "22.05",
            Self::V23_02 => "23.02",
            Self::V23_11 => "23.11",
            Self::V24_05 => "24.05",
            Self::V24_11 => "24.11",
            Self::V25_05 => "25.05",
            Self::V25_11 => "25.11",
            Self::V26_05 => "26.05",
        })
    }
}
