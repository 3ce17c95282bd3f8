//! File name patterns of `--output`, `--error` and `--input` (sbatch(1), "filename pattern").

/// What the patterns stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    /// `%j`, and `%J` without step, and `%A` of a job that is no array task.
    pub job_id: u32,
    /// `%A`: the array's job id, when the job is an array task.
    pub array_job_id: Option<u32>,
    /// `%a`: index in the array.
    pub array_task_id: Option<u32>,
    /// `%x`.
    pub job_name: &'a str,
    /// `%u`.
    pub user_name: &'a str,
    /// `%N`: short host name of the node.
    pub node_name: &'a str,
    /// `%n`: node number relative to the job.
    pub node_rank: u32,
}

/// Largest zero-padding width honoured in a pattern such as `%10j` (sbatch(1)).
const WIDTH_MAX: usize = 10;

/// The file that a batch job's stream goes to when none was asked for.
pub fn default_output(names: &Names<'_>) -> String {
    match (names.array_job_id, names.array_task_id) {
        (Some(_), Some(_)) => expand("slurm-%A_%a.out", names),
        (None, _) | (Some(_), None) => expand("slurm-%j.out", names),
    }
}

/// Replaces the patterns in a file name. A backslash anywhere switches all replacement off and is
/// itself removed; an unknown pattern stays as it is.
pub fn expand(name: &str, names: &Names<'_>) -> String {
    expand_with(name, |letter, width| replacement(letter, width, names))
}

/// The same with replacements of another kind: given a letter and a width, 0 where none was asked for.
pub(crate) fn expand_with(
    name: &str,
    replacement: impl Fn(char, usize) -> Option<String>,
) -> String {
    if name.contains('\\') {
        return name.replace('\\', "");
    }
    let mut out = String::with_capacity(name.len() + 16);
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let width = after[..digits].parse::<usize>().unwrap_or(WIDTH_MAX).min(WIDTH_MAX);
        let width = if digits == 0 { 0 } else { width };
        let Some(letter) = after[digits..].chars().next() else {
            out.push_str(&rest[at..]);
            return out;
        };
        match replacement(letter, width) {
            Some(text) => out.push_str(&text),
            None => out.push_str(&rest[at..at + 1 + digits + letter.len_utf8()]),
        }
        rest = &after[digits + letter.len_utf8()..];
    }
    out.push_str(rest);
    out
}

fn replacement(letter: char, width: usize, names: &Names<'_>) -> Option<String> {
    let number = |value: u32| Some(format!("{value:0width$}"));
    match letter {
        '%' => Some("%".into()),
        'j' | 'J' => number(names.job_id),
        'A' => number(names.array_job_id.unwrap_or(names.job_id)),
        'a' => number(names.array_task_id.unwrap_or(u32::MAX - 1)),
        'n' => number(names.node_rank),
        's' => Some("batch".into()),
        't' => number(0),
        'N' => Some(names.node_name.into()),
        'u' => Some(names.user_name.into()),
        'x' => Some(names.job_name.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'static> = Names {
        job_id: 128,
        array_job_id: None,
        array_task_id: None,
        job_name: "fit",
        user_name: "alice",
        node_name: "n3",
        node_rank: 0,
    };

    #[test]
    fn patterns_are_replaced_as_sbatch_documents_them() {
        assert_eq!(expand("out-%j-%x-%u-%N.txt", &NAMES), "out-128-fit-alice-n3.txt");
        assert_eq!(expand("job%4j.out", &NAMES), "job0128.out");
        assert_eq!(expand("100%%-%j", &NAMES), "100%-128");
        assert_eq!(expand("%q%j%", &NAMES), "%q128%");
        assert_eq!(default_output(&NAMES), "slurm-128.out");
    }

    #[test]
    fn a_backslash_switches_patterns_off() {
        assert_eq!(expand("a\\%j", &NAMES), "a%j");
    }

    #[test]
    fn an_array_task_has_its_own_default() {
        let names = Names { array_job_id: Some(100), array_task_id: Some(4), ..NAMES };
        assert_eq!(default_output(&names), "slurm-100_4.out");
    }
}
