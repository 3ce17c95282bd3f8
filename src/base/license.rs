//! Lists of licences, as `Licenses=` and `--licenses` write them.

/// Kinds of licences that one list names at most.
pub const LICENSES_MAX: usize = 1_000;

/// `name[:count]`, separated by `,` or `;` where all are meant, or by `|` where one of them is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LicenseList {
    /// One of them is enough.
    pub any: bool,
    /// Names and counts, each name once, in the order given.
    pub items: Vec<(String, u32)>,
}

impl LicenseList {
    /// Reads a list; `None` for one that means nothing (`_build_license_list` in slurmctld).
    pub fn parse(text: &str) -> Option<Self> {
        let any = text.contains('|');
        let ands = text.contains([',', ';']);
        if (any && ands) || text.contains(char::is_whitespace) {
            return None;
        }
        let mut list = Self { any, items: Vec::new() };
        for part in text.split([',', ';', '|']).filter(|part| !part.is_empty()) {
            let (name, count) = part.split_once(':').unwrap_or((part, "1"));
            let count: u32 = count.parse().ok().filter(|count| i32::try_from(*count).is_ok())?;
            if let Some((_, sum)) = list.items.iter_mut().find(|(known, _)| known == name) {
                *sum = sum.saturating_add(count);
                continue;
            }
            if list.items.len() >= LICENSES_MAX || name.is_empty() {
                return None;
            }
            list.items.push((name.to_owned(), count));
        }
        Some(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let Some(list) = LicenseList::parse(text) else { return "nonsense".to_owned() };
        let items: Vec<String> =
            list.items.iter().map(|(name, count)| format!("{name}={count}")).collect();
        format!("{} {}", if list.any { "any" } else { "all" }, items.join(" "))
    }

    #[test]
    fn lists_are_read_as_slurm_reads_them() {
        for (text, meaning) in [
            ("", "all "),
            ("a", "all a=1"),
            ("a:2,b@s:3;a", "all a=3 b@s=3"),
            ("a|b:2", "any a=1 b=2"),
            ("a|b,c", "nonsense"),
            ("a: 2", "nonsense"),
            ("a:x", "nonsense"),
            ("a:-1", "nonsense"),
            ("a:4294967295", "nonsense"),
            (":3", "nonsense"),
        ] {
            assert_eq!(read(text), meaning, "{text}");
        }
    }
}
