//! Times of a log as people read and write them: UTC, `2026-01-05T12:00:00.000000`.

use flurm_base::Time;

const DAY_S: i64 = 86_400;
const MICROS: i64 = 1_000_000;

/// Days since 1970-01-01 of a date of the Gregorian calendar. The year is counted from March, so
/// that the leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before + (153 * month + 2) / 5 + day - 1 - 719_468
}

fn date(days_since: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days_since.div_euclid(366);
    while days(year + 1, 1, 1) <= days_since {
        year += 1;
    }
    let starts = |month: &i64| days(year, *month, 1) <= days_since;
    let month = (1..=12).rev().find(starts).unwrap_or(1);
    (year, month, days_since - days(year, month, 1) + 1)
}

/// Writes a time.
pub(super) fn text(time: Time) -> String {
    let (seconds, micros) = (time.0.div_euclid(MICROS), time.0.rem_euclid(MICROS));
    let (year, month, day) = date(seconds.div_euclid(DAY_S));
    let rest = seconds.rem_euclid(DAY_S);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}")
}

/// Reads a time: a date, with or without a time of day, with or without a fraction.
pub(super) fn parse(text: &str) -> Option<Time> {
    let (day, time) = text.trim_end_matches('Z').split_once('T').unwrap_or((text, "00:00:00"));
    let numbers = |text: &str, by: char| -> Option<[i64; 3]> {
        let parts: Vec<i64> = text.split(by).map(str::parse).collect::<Result<_, _>>().ok()?;
        parts.try_into().ok()
    };
    let [year, month, day] = numbers(day, '-')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = numbers(time, ':')?;
    let possible = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second)
        && fraction.len() <= 6;
    if !possible {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    let seconds = days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
    Some(Time(seconds * MICROS + micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for seconds in [0, 951_782_399, 951_868_800, 1_767_571_200, 4_107_542_399, 1_709_164_800] {
            let time = Time(seconds * MICROS + 120_034);
            assert_eq!(parse(&text(time)), Some(time), "{}", text(time));
        }
        assert_eq!(text(Time::from_secs(1_767_571_200)), "2026-01-05T00:00:00.000000");
        assert_eq!(parse("2000-02-29"), Some(Time::from_secs(951_782_400)));
        assert_eq!(parse("2026-01-05T00:00:01.5"), Some(Time(1_767_571_201_500_000)));
        for wrong in ["", "17", "2026-13-01", "2026-01-05T25:00:00", "2026-01-05 00:00:00"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
