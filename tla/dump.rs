//! A state graph as TLC dumps it (`-dump dot,actionlabels`).

use std::collections::{BTreeMap, BTreeSet};

use tla_eval::State;

use crate::text;

/// States, and steps between them with the names of their actions. Steps that change nothing are
/// left out: every specification allows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Where behaviours begin.
    pub initial: BTreeSet<State>,
    /// All reachable states.
    pub states: BTreeSet<State>,
    /// From, action, to.
    pub steps: BTreeSet<(State, String, State)>,
}

impl Graph {
    /// Reads a dump.
    ///
    /// # Errors
    /// The line that cannot be read.
    pub fn parse(dump: &str) -> Result<Self, String> {
        let mut graph = Self::default();
        let mut names: BTreeMap<i64, State> = BTreeMap::new();
        let mut steps: Vec<(i64, String, i64)> = Vec::new();
        for line in dump.lines() {
            let told = |text: String| format!("a line of the state graph: {text}: {line}");
            let Some((head, label)) = line.split_once(" [") else { continue };
            if let Some((from, to)) = head.split_once(" -> ") {
                // The dashed ones are steps that change nothing.
                let Some(label) = label.strip_prefix("label=\"") else { continue };
                let action = label.split('"').next().unwrap_or_default();
                let ends = (from.parse(), to.parse());
                let (Ok(from), Ok(to)) = ends else { return Err(told("no step".into())) };
                steps.push((from, String::from(action), to));
            } else if let Ok(name) = head.parse::<i64>() {
                let (state, initial) = parse_state(label).map_err(told)?;
                if initial {
                    graph.initial.insert(state.clone());
                }
                names.insert(name, state);
            }
        }
        for (from, action, to) in steps {
            let (Some(from), Some(to)) = (names.get(&from), names.get(&to)) else {
                return Err(format!("a step {action} joins states that were not dumped"));
            };
            if from != to {
                graph.steps.insert((from.clone(), action, to.clone()));
            }
        }
        graph.states = names.into_values().collect();
        Ok(graph)
    }
}

/// The state of a node's label, and whether it is an initial one.
fn parse_state(label: &str) -> Result<(State, bool), String> {
    let label = label.strip_prefix("label=\"").ok_or("no label")?;
    let (end, initial) = match (label.find("\",style"), label.rfind("\"];")) {
        (Some(end), _) => (end, true),
        (None, Some(end)) => (end, false),
        (None, None) => return Err("the label does not end".into()),
    };
    let mut plain = String::with_capacity(end);
    let mut chars = label[..end].chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, false) => plain.push(c),
            (_, true) => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => return Err("the label ends in a backslash".into()),
            },
        }
    }
    Ok((text::state(&plain)?, initial))
}

#[cfg(test)]
mod tests {
    use super::Graph;

    #[test]
    fn dumps_are_read() {
        let dump = concat!(
            "strict digraph DiskGraph {\n",
            "17 [label=\"/\\\\ a = 0\\n/\\\\ s = \\\"x\\\"\",style = filled]\n",
            "17 -> -5 [label=\"Go\",color=\"black\",fontcolor=\"black\"];\n",
            "-5 [label=\"/\\\\ a = 1\\n/\\\\ s = \\\"y\\\"\"];\n",
            "17 -> 17 [style=\"dashed\"];\n",
            "{rank = same; 17;}\n}\n",
        );
        let graph = Graph::parse(dump).unwrap();
        assert_eq!((graph.states.len(), graph.initial.len(), graph.steps.len()), (2, 1, 1));
        let (from, action, to) = graph.steps.first().unwrap();
        assert_eq!((from["a"].to_string(), action.as_str()), ("0".into(), "Go"));
        assert_eq!(to["s"].to_string(), "\"y\"");
        assert!(Graph::parse("3 -> 4 [label=\"Go\",color=\"black\"];\n").is_err());
        assert!(Graph::parse("3 [label=\"/\\\\ a = \"];\n").is_err());
    }
}
