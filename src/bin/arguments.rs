//! Command-line options, read as getopt reads them.
//!
//! Clusters of short options (`-Dvv`), values beside or behind them (`-fFILE`, `-f FILE`), long
//! options with `=` or a word behind. Messages are those of the C library, since scripts know them.

/// An option a program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its letter. Options without one take a letter no user types, such as a capital Greek one.
    pub letter: char,
    /// Its long name, without dashes.
    pub long: Option<&'static str>,
    /// Whether a value follows.
    pub takes_value: bool,
}

/// A known option without a value.
pub const fn flag(letter: char, long: Option<&'static str>) -> Known {
    Known { letter, long, takes_value: false }
}

/// A known option with a value.
pub const fn value(letter: char, long: Option<&'static str>) -> Known {
    Known { letter, long, takes_value: true }
}

/// What was given, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Options by letter, with their values.
    pub options: Vec<(char, Option<String>)>,
    /// Words that are no options.
    pub words: Vec<String>,
}

impl Given {
    /// How often an option was given.
    pub fn count(&self, letter: char) -> usize {
        self.options.iter().filter(|(given, _)| *given == letter).count()
    }

    /// The value of an option, the last one when given more than once.
    pub fn value(&self, letter: char) -> Option<&str> {
        let mut values = self.options.iter().rev().filter(|(given, _)| *given == letter);
        values.find_map(|(_, value)| value.as_deref())
    }

    /// Refuses words, for programs that take only options.
    pub fn without_words(self) -> Result<Self, String> {
        match self.words.first() {
            Some(word) => Err(format!("unexpected argument '{word}'")),
            None => Ok(self),
        }
    }
}

/// Reads arguments (without the program's name).
pub fn read(known: &[Known], args: impl IntoIterator<Item = String>) -> Result<Given, String> {
    let mut given = Given::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            given.words.extend(args);
            break;
        }
        if let Some(long) = arg.strip_prefix("--") {
            read_long(known, long, &mut args, &mut given)?;
        } else if let Some(letters) = arg.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            read_letters(known, letters, &mut args, &mut given)?;
        } else {
            given.words.push(arg);
        }
    }
    Ok(given)
}

fn read_long(
    known: &[Known],
    long: &str,
    args: &mut impl Iterator<Item = String>,
    given: &mut Given,
) -> Result<(), String> {
    let (name, beside) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (long, None),
    };
    let option = known.iter().find(|option| option.long == Some(name));
    let option = option.ok_or_else(|| format!("unrecognized option '--{name}'"))?;
    let value = match (option.takes_value, beside) {
        (true, Some(value)) => Some(value),
        (true, None) => {
            let next = args.next();
            Some(next.ok_or_else(|| format!("option '--{name}' requires an argument"))?)
        }
        (false, Some(_)) => return Err(format!("option '--{name}' doesn't allow an argument")),
        (false, None) => None,
    };
    given.options.push((option.letter, value));
    Ok(())
}

fn read_letters(
    known: &[Known],
    letters: &str,
    args: &mut impl Iterator<Item = String>,
    given: &mut Given,
) -> Result<(), String> {
    for (at, letter) in letters.char_indices() {
        let option = known.iter().find(|option| option.letter == letter);
        let option = option.ok_or_else(|| format!("invalid option -- '{letter}'"))?;
        if !option.takes_value {
            given.options.push((letter, None));
            continue;
        }
        let beside = &letters[at + letter.len_utf8()..];
        let value = if beside.is_empty() {
            let next = args.next();
            next.ok_or_else(|| format!("option requires an argument -- '{letter}'"))?
        } else {
            beside.to_owned()
        };
        given.options.push((letter, Some(value)));
        return Ok(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Known; 4] = [
        flag('D', None),
        value('f', Some("conf")),
        flag('v', Some("verbose")),
        value('Ω', Some("host")),
    ];

    fn of(args: &[&str]) -> Result<Given, String> {
        read(&KNOWN, args.iter().map(|arg| (*arg).to_owned()))
    }

    #[test]
    fn letters_may_be_joined_and_values_stand_beside_or_behind() {
        for args in [&["-Dvvf", "x"][..], &["-D", "-vv", "-fx"], &["-v", "-D", "--conf=x", "-v"]] {
            let given = of(args).unwrap();
            assert_eq!(given.count('D'), 1, "{args:?}");
            assert_eq!(given.count('v'), 2, "{args:?}");
            assert_eq!(given.value('f'), Some("x"), "{args:?}");
        }
        assert_eq!(of(&["--host", "a", "--host", "b"]).unwrap().value('Ω'), Some("b"));
        assert_eq!(of(&["--conf="]).unwrap().value('f'), Some(""));
    }

    #[test]
    fn words_end_nothing_but_two_dashes_do() {
        let given = of(&["a", "-v", "-", "--", "-v"]).unwrap();
        assert_eq!(given.words, ["a", "-", "-v"]);
        assert_eq!(given.count('v'), 1);
        assert_eq!(given.without_words().unwrap_err(), "unexpected argument 'a'");
    }

    #[test]
    fn mistakes_are_named_as_getopt_names_them() {
        for (args, message) in [
            (&["-x"][..], "invalid option -- 'x'"),
            (&["-vx"], "invalid option -- 'x'"),
            (&["-f"], "option requires an argument -- 'f'"),
            (&["--nope=1"], "unrecognized option '--nope'"),
            (&["--conf"], "option '--conf' requires an argument"),
            (&["--verbose=1"], "option '--verbose' doesn't allow an argument"),
        ] {
            assert_eq!(of(args).unwrap_err(), message, "{args:?}");
        }
    }
}
