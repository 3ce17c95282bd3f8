//! Values: text to numbers, flags, times and words, as Slurm reads them.

use crate::key::Kind;

/// A value that its kind allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The value as it is shown: numbers in decimal, words as the manual spells them.
    pub text: String,
    /// The number it stands for: of a flag 0 or 1, of a time its seconds, of words their bits.
    pub number: Option<u64>,
    /// Words that are skipped.
    pub skipped: Vec<String>,
}

/// Seconds that stand for no limit.
pub const NO_LIMIT: u64 = u64::MAX;

/// Reads `text` as a value of a kind; the message says what is allowed.
pub fn read(kind: Kind, text: &str) -> Result<Value, String> {
    let plain = |text: String, number| Value { text, number, skipped: Vec::new() };
    match kind {
        Kind::Text | Kind::Each | Kind::Line(_) => Ok(plain(text.to_owned(), None)),
        Kind::Number(max) => {
            let number = number(text, max)?;
            let shown = if number == max { "UNLIMITED".to_owned() } else { number.to_string() };
            Ok(plain(shown, Some(number)))
        }
        Kind::Flag => {
            let flag = flag(text)?;
            Ok(plain(if flag { "yes" } else { "no" }.to_owned(), Some(u64::from(flag))))
        }
        Kind::Time => {
            let expected = "expected minutes, minutes:seconds, hours:minutes:seconds, \
                            days-hours[:minutes[:seconds]] or UNLIMITED";
            let seconds =
                time(text).ok_or_else(|| format!("`{text}` is not a time: {expected}"))?;
            Ok(plain(show_time(seconds), Some(seconds)))
        }
        Kind::Span => {
            let micros = span(text)
                .ok_or_else(|| format!("`{text}` is not a time such as 500us, 100ms or 8s"))?;
            Ok(plain(show_span(micros), Some(micros)))
        }
        Kind::Ports => {
            let (first, last) = ports(text)
                .ok_or_else(|| format!("`{text}` is not a port from 1 to 65535 or a range"))?;
            Ok(plain(show_ports(first, last), Some(u64::from(first))))
        }
        Kind::OneOf(words) => {
            let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
            let (word, number) =
                found.ok_or_else(|| format!("`{text}` is not one of {}", list(words)))?;
            Ok(plain((*word).to_owned(), Some(*number)))
        }
        Kind::Flags(words) => {
            let value = flags(text, words);
            match value.skipped.first() {
                Some(word) => Err(format!("`{word}` is not one of {}", list(words))),
                None => Ok(value),
            }
        }
        Kind::LooseFlags(words) => Ok(flags(text, words)),
    }
}

fn flags(text: &str, words: &[(&str, u64)]) -> Value {
    let (mut bits, mut shown, mut skipped) = (0, Vec::new(), Vec::new());
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match words.iter().find(|(word, _)| word.eq_ignore_ascii_case(part)) {
            Some((word, number)) => {
                bits |= number;
                shown.push(*word);
            }
            None => skipped.push(part.to_owned()),
        }
    }
    Value { text: shown.join(","), number: Some(bits), skipped }
}

fn list(words: &[(&str, u64)]) -> String {
    words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}

/// A whole number as C's `strtoul` with base 0 reads it: `0x` starts a hexadecimal and `0` an octal
/// one. `K` multiplies by 1024 where the maximum is above 16 bits.
pub fn number(text: &str, max: u64) -> Result<u64, String> {
    /// The maximum of the kind that has no unit.
    const SHORT_MAX: u64 = 0xffff;
    if ["UNLIMITED", "INFINITE"].iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return Ok(max);
    }
    let wrong = || format!("`{text}` is not a whole number from 0 to {max} or UNLIMITED");
    let trimmed = text.trim_start();
    let (digits, unit) = match trimmed.strip_suffix(['k', 'K']) {
        Some(digits) if max > SHORT_MAX => (digits, 1024),
        _ => (trimmed, 1),
    };
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let (digits, base) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some(start) if start.starts_with('0') => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let number = u64::from_str_radix(digits, base).ok().and_then(|number| number.checked_mul(unit));
    number.filter(|number| *number <= max).ok_or_else(wrong)
}

/// Yes or no.
pub fn flag(text: &str) -> Result<bool, String> {
    let any = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if any(&["yes", "up", "true", "1"]) {
        Ok(true)
    } else if any(&["no", "down", "false", "0"]) {
        Ok(false)
    } else {
        Err(format!("`{text}` is not YES or NO"))
    }
}

/// A time in seconds; [`NO_LIMIT`] for `UNLIMITED`, `INFINITE` and `-1`.
pub fn time(text: &str) -> Option<u64> {
    if ["UNLIMITED", "INFINITE", "-1"].iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return Some(NO_LIMIT);
    }
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(count(days)?), clock),
        None => (None, text),
    };
    let parts: Vec<u64> = clock.split(':').map(count).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match (days, parts.as_slice()) {
        (Some(_), [hours]) => (*hours, 0, 0),
        (Some(_), [hours, minutes]) => (*hours, *minutes, 0),
        (None, [minutes]) => (0, *minutes, 0),
        (None, [minutes, seconds]) => (0, *minutes, *seconds),
        (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
        _ => return None,
    };
    Some(days.unwrap_or(0) * 86_400 + hours * 3_600 + minutes * 60 + seconds)
}

/// A number of a time, small enough that no sum of a few of them overflows.
fn count(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = plain.then(|| text.parse().ok()).flatten()?;
    Some(u64::from(number))
}

/// Minutes of a time in seconds, begun ones counted whole, as Slurm's partitions keep them.
pub fn minutes(seconds: u64) -> crate::Limit {
    let minutes = u32::try_from(seconds.div_ceil(60)).ok().filter(|m| *m < crate::NO_VAL);
    minutes.map_or(crate::Limit::Unlimited, crate::Limit::At)
}

/// A time as Slurm shows it: `[days-]hours:minutes:seconds`.
pub fn show_time(seconds: u64) -> String {
    if seconds == NO_LIMIT {
        return "UNLIMITED".to_owned();
    }
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let clock = format!("{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    if days > 0 { format!("{days}-{clock}") } else { clock }
}

/// Microseconds of a short time with a unit.
pub fn span(text: &str) -> Option<u64> {
    let unit_start = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(unit_start);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A short time with the largest unit that leaves it whole.
fn show_span(micros: u64) -> String {
    match micros {
        micros if micros % 1_000_000 == 0 => format!("{}s", micros / 1_000_000),
        micros if micros % 1_000 == 0 => format!("{}ms", micros / 1_000),
        micros => format!("{micros}us"),
    }
}

/// A port or a range of them with a start below its end.
pub fn ports(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| text.trim().parse().ok().filter(|port| *port > 0);
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            (first < last).then_some((first, last))
        }
    }
}

fn show_ports(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limit;
    use crate::key::{U16, U32, U64};

    #[test]
    fn numbers_read_as_slurm_reads_them() {
        let rows = [
            (U16, "10", Some(10)),
            (U16, "010", Some(8)),
            (U16, "0x10", Some(16)),
            (U16, "0", Some(0)),
            (U16, "65535", Some(65_535)),
            (U16, "65536", None),
            (U16, "4K", None),
            (U16, "Infinite", Some(65_535)),
            (U32, "4k", Some(4096)),
            (U32, "unlimited", Some(0xffff_ffff)),
            (U32, "4294967296", None),
            (U64, "18446744073709551615K", None),
            (U64, "4G", None),
            (U64, "-1", None),
            (U64, "", None),
            (U64, "08", None),
            (U64, "1 2", None),
            (U64, "0x", None),
            (U64, "++1", None),
            (U64, "é1", None),
        ];
        for (kind, text, expected) in rows {
            assert_eq!(read(kind, text).ok().and_then(|v| v.number), expected, "{text:?}");
        }
    }

    #[test]
    fn times_read_as_slurm_reads_them() {
        let rows = [
            ("5", Some(300)),
            ("5:30", Some(330)),
            ("1:00:00", Some(3600)),
            ("2-0", Some(172_800)),
            ("1-2:30", Some(95_400)),
            ("1-2:30:05", Some(95_405)),
            ("-1", Some(NO_LIMIT)),
            ("Unlimited", Some(NO_LIMIT)),
            ("0", Some(0)),
            ("", None),
            ("1:2:3:4", None),
            ("1-", None),
            ("-2", None),
            ("a", None),
            ("1-2-3", None),
            ("99999999999", None),
        ];
        for (text, expected) in rows {
            assert_eq!(time(text), expected, "{text:?}");
        }
        assert_eq!(minutes(61), Limit::At(2));
        assert_eq!(minutes(NO_LIMIT), Limit::Unlimited);
        assert_eq!(show_time(95_405), "1-02:30:05");
    }

    #[test]
    fn words_are_found_in_any_case_and_shown_as_in_the_manual() {
        let value = read(Kind::Flags(crate::words::PROLOG_FLAGS), "x11,alloc").unwrap();
        assert_eq!((value.text.as_str(), value.number), ("X11,Alloc", Some(21)));
        let wrong = read(Kind::Flags(crate::words::PROLOG_FLAGS), "x12").unwrap_err();
        assert!(wrong.contains("`x12`") && wrong.contains("Contain"), "{wrong}");
        let loose = read(Kind::LooseFlags(crate::words::PRIVATE_DATA), "jobs,cloud").unwrap();
        assert_eq!((loose.number, loose.skipped), (Some(1), vec!["cloud".to_owned()]));
    }

    #[test]
    fn short_times_need_a_unit() {
        let rows = [
            ("500us", Some(500)),
            ("100ms", Some(100_000)),
            ("8S", Some(8_000_000)),
            ("8", None),
            ("", None),
            ("ms", None),
            ("1m", None),
            ("18446744073709551615s", None),
        ];
        for (text, expected) in rows {
            assert_eq!(span(text), expected, "{text}");
            let shown = expected.map(|micros| span(&show_span(micros)));
            assert_eq!(shown.flatten(), expected);
        }
    }

    #[test]
    fn ports_are_single_or_a_range() {
        assert_eq!(ports("6817"), Some((6817, 6817)));
        assert_eq!(ports("6817-6820"), Some((6817, 6820)));
        for wrong in ["0", "70000", "5-5", "6-5", "5-", "x", ""] {
            assert_eq!(ports(wrong), None, "{wrong}");
        }
    }
}
