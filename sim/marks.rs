//! Marks: every rare path that a `sometimes!` names, here and in the components, so that a run over
//! many scenarios can tell which were never reached.

/// Every mark. A test compares the list with the sources.
pub const KNOWN: &[&str] = &[
    "a cancelled script told how it ended",
    "a client could not make its credential",
    "a client hung up before its request was taken",
    "a client was sent to another controller",
    "a controller could not judge a report",
    "a daemon could not sign a request",
    "a daemon took other keys",
    "a damaged log was noticed",
    "a damaged snapshot was noticed",
    "a disk had no room",
    "a forwarded request got no answer",
    "a job lost its partition or node and was held",
    "a job ran out of time",
    "a job was cancelled because its dependency cannot be met",
    "a job was cancelled while it was launched",
    "a job was cancelled while its nodes cleaned up",
    "a job was held after too many failed launches",
    "a job was held because its reservation is over",
    "a job was requeued because its launch failed",
    "a job was requeued because its node failed",
    "a late order to suspend a job was not obeyed",
    "a launch for an earlier run of a node was not obeyed",
    "a launch was repeated",
    "a light leader was deposed",
    "a light leader without news heard of a later term",
    "a light member lost entries that were not synced",
    "a light member lost its disk",
    "a light member was given a snapshot",
    "a member stopped because its disk failed",
    "a member with an empty folder caught up",
    "a name did not resolve",
    "a node could not make a step daemon",
    "a node could not record a launch",
    "a node could not record that an attempt is to end",
    "a node daemon found an attempt of an earlier run",
    "a node has ended what nobody wanted",
    "a node may have an attempt that nobody wants",
    "a node reported a batch script lost in its restart",
    "a node was drained because it failed a job",
    "a node was judged for its silence",
    "a node was removed from the configuration under a live job",
    "a partition was used and deleted",
    "a process could not be made",
    "a read from a disk failed",
    "a registration showed that an attempt was lost",
    "a repeated credential was refused",
    "a request came before the cluster was configured",
    "a request for a step was repeated and answered with the same",
    "a request was answered after a change of leaders",
    "a retry was answered",
    "a running job was suspended",
    "a snapshot came from a peer",
    "a stale launch was refused",
    "a start was refused because the state had moved on",
    "a step came while its job was being ended",
    "a step daemon was gone before it had reported its step",
    "a step ran out of time",
    "a step was killed that never came to its node",
    "a submission was repeated and answered with the same job",
    "a sync failed",
    "a torn tail of the log was cut",
    "a write to a disk failed",
    "an attempt was ended before its step daemon had started",
    "an attempt was lost with its machine or step daemon",
    "an operator answered for a silent node",
    "an operator's order was done",
    "entries of a deposed leader were cut",
    "entries of a deposed light leader were cut",
    "light members elected another leader",
    "the client of an allocation could not be told",
    "the fate of a proposal stayed unknown",
    "two controllers answered the same submission",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Marks that one source text names.
    fn marks_in(text: &str) -> Vec<String> {
        let calls = text.split(concat!("sometimes", "!(")).skip(1);
        // The text is the last argument; conditions hold no texts.
        let named = calls.filter_map(|call| call.split('"').nth(1));
        named.map(str::to_owned).collect()
    }

    fn collect(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("a name in a folder of sources").path();
            if path.is_dir() && !path.ends_with("target") {
                collect(&path, found);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source is text");
                // The macro's own tests and documentation name marks that nobody reaches.
                if !path.ends_with("base/mark.rs") {
                    found.extend(marks_in(&text));
                }
            }
        }
    }

    #[test]
    fn the_list_is_what_the_sources_say() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = BTreeSet::new();
        for folder in ["src", "sim"] {
            collect(&root.join(folder), &mut found);
        }
        let known: BTreeSet<String> = KNOWN.iter().map(|mark| (*mark).to_owned()).collect();
        assert_eq!(known, found, "the first is this list, the second the sources");
        assert!(KNOWN.is_sorted(), "the list is in order");
    }
}
