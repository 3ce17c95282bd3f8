//! Counts of generic resources, as `gres.conf` and `--gres` write them.

/// A count with one of Slurm's suffixes `K`, `M`, `G`, `T`, `P`, each 1,024 times the one before it, in
/// either case; `None` for what is no count or too large. Source: `--gres` in sbatch(1).
pub fn parse(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let power = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1024_u64.checked_pow(power)?)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn suffixes_multiply() {
        for (text, count) in
            [("0", Some(0)), ("7", Some(7)), ("2k", Some(2048)), ("1P", Some(1 << 50))]
        {
            assert_eq!(parse(text), count, "{text}");
        }
    }

    #[test]
    fn what_is_no_count_is_refused() {
        for text in ["", "k", "-1", "1x", "1kk", "1.5", "16385P", "99999999999999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
