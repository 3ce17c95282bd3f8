//! Comma-separated options such as `SchedulerParameters=defer,bf_window=60`.

use serde::{Deserialize, Serialize};

/// Options with or without a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters(pub String);

impl Parameters {
    /// The text as written; empty when not set.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether the option is there, with or without a value. Case does not matter.
    pub fn has(&self, name: &str) -> bool {
        self.parts().any(|(part, _)| part.eq_ignore_ascii_case(name))
    }

    /// The value of an option.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.parts().find(|(part, _)| part.eq_ignore_ascii_case(name)).and_then(|(_, value)| value)
    }

    /// The value of an option, when it is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.value(name).and_then(|value| value.parse().ok())
    }

    fn parts(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let parts = self.0.split(',').map(str::trim);
        parts.map(|part| match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_whole_and_in_any_case() {
        let parameters = Parameters("defer, bf_window=60,Max_RPC_Cnt=x".to_owned());
        assert!(parameters.has("DEFER") && parameters.has("bf_window"));
        assert!(!parameters.has("def") && !Parameters::default().has("defer"));
        assert_eq!(parameters.number("bf_window"), Some(60));
        assert_eq!(parameters.number("max_rpc_cnt"), None);
        assert_eq!(parameters.value("max_rpc_cnt"), Some("x"));
        assert_eq!(parameters.value("defer"), None);
    }
}
