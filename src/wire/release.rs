//! The releases whose protocol is spoken, and what becomes of peers outside that range.

use std::fmt;

/// A Slurm release, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Release {
    /// 22.05
    V22_05,
    /// 23.02
    V23_02,
    /// 23.11
    V23_11,
    /// 24.05
    V24_05,
    /// 24.11
    V24_11,
    /// 25.05
    V25_05,
    /// 25.11
    V25_11,
    /// 26.05
    V26_05,
}

/// The protocol number of a release is its ordinal in Slurm's history in the upper byte.
const OLDEST_ORDINAL: u16 = 38;

/// A peer whose version is outside the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// Older than `Release::OLDEST`: refused; its header has an extra field.
    Older(u16),
    /// Newer than `Release::NEWEST`: refused. A newer peer can speak an older version, so it is the
    /// peer that must step back.
    Newer(u16),
    /// Not the version of any release: the lower byte is always zero.
    Odd(u16),
}

impl Release {
    /// Every release, oldest first.
    pub const ALL: [Self; 8] = [
        Self::V22_05,
        Self::V23_02,
        Self::V23_11,
        Self::V24_05,
        Self::V24_11,
        Self::V25_05,
        Self::V25_11,
        Self::V26_05,
    ];
    /// The oldest release that is spoken.
    pub const OLDEST: Self = Self::V22_05;
    /// The newest release that is spoken; also the node protocol's own.
    pub const NEWEST: Self = Self::V26_05;

    /// The protocol number that stands in headers.
    pub const fn version(self) -> u16 {
        (OLDEST_ORDINAL + self as u16) << 8
    }

    /// The release with this protocol number.
    pub fn from_version(version: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|release| release.version() == version)
    }

    /// The release to speak with a peer that announced `version`: its own, and nothing else,
    /// because clients accept replies in their own version only.
    pub fn for_peer(version: u16) -> Result<Self, Unsupported> {
        if let Some(release) = Self::from_version(version) {
            return Ok(release);
        }
        if version < Self::OLDEST.version() {
            return Err(Unsupported::Older(version));
        }
        if version > Self::NEWEST.version() {
            return Err(Unsupported::Newer(version));
        }
        Err(Unsupported::Odd(version))
    }

    /// The name users know, such as "24.11".
    pub const fn name(self) -> &'static str {
        match self {
            Self::V22_05 => "22.05",
            Self::V23_02 => "23.02",
            Self::V23_11 => "23.11",
            Self::V24_05 => "24.05",
            Self::V24_11 => "24.11",
            Self::V25_05 => "25.05",
            Self::V25_11 => "25.11",
            Self::V26_05 => "26.05",
        }
    }

    /// The release of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|release| release.name() == name)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older(version) => write!(f, "protocol version {version} is older than 22.05's"),
            Self::Newer(version) => write!(f, "protocol version {version} is newer than 26.05's"),
            Self::Odd(version) => write!(f, "protocol version {version} belongs to no release"),
        }
    }
}

impl std::error::Error for Unsupported {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_slurms() {
        assert_eq!(Release::V22_05.version(), 0x2600);
        assert_eq!(Release::V24_11.version(), 0x2a00);
        assert_eq!(Release::V26_05.version(), 0x2d00);
        for release in Release::ALL {
            assert_eq!(Release::from_version(release.version()), Some(release));
            assert_eq!(Release::from_name(release.name()), Some(release));
        }
    }

    #[test]
    fn foreign_versions_are_refused_by_kind() {
        assert_eq!(Release::for_peer(0x2400), Err(Unsupported::Older(0x2400)));
        assert_eq!(Release::for_peer(0x2e00), Err(Unsupported::Newer(0x2e00)));
        assert_eq!(Release::for_peer(0x2a01), Err(Unsupported::Odd(0x2a01)));
        assert_eq!(Release::for_peer(0x2a00), Ok(Release::V24_11));
    }
}
