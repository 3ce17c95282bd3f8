//! Every registered message, in every release that has it, comes back from its bytes as it was;
//! damaged bytes never do more harm than an error.

#![expect(clippy::unwrap_used, reason = "a test stops at a surprise")]

use flurm_wire::{DbdMessage, Gen, Json, Message, Registry, Release};
use proptest::prelude::*;

/// Truncations tried of one message.
const CUTS_MAX: usize = 150;

/// Every pair of a registered message and a release that has it.
fn pairs<M: Registry>() -> Vec<(usize, Release)> {
    let with = |index: usize| {
        let entry = &M::REGISTERED[index];
        let releases = Release::ALL.into_iter().filter(|release| entry.in_release(*release));
        releases.map(move |release| (index, release))
    };
    (0..M::REGISTERED.len()).flat_map(with).collect()
}

fn any_pair<M: Registry>(which: usize) -> (usize, Release) {
    let pairs = pairs::<M>();
    pairs[which % pairs.len()]
}

fn sample<M: Registry>(index: usize, release: Release, seed: u64) -> M {
    M::REGISTERED[index].sample(&mut Gen::new(release, seed))
}

fn round_trip<M: Registry>(index: usize, release: Release, seed: u64) {
    let message: M = sample(index, release, seed);
    let bytes = message.to_bytes(release);
    let name = message.name();
    match M::decode(message.msg_type(), release, &bytes) {
        Ok(back) => assert_eq!(back, message, "{name} {release} seed {seed}"),
        Err(error) => panic!("{name} {release} seed {seed}: {error}\n{message:#?}"),
    }
}

fn round_trips<M: Registry>() {
    for (index, release) in pairs::<M>() {
        for seed in 0..40 {
            round_trip::<M>(index, release, seed);
        }
    }
}

#[test]
fn every_message_survives_the_same_seeds() {
    round_trips::<Message>();
    round_trips::<DbdMessage>();
}

fn truncations<M: Registry>() {
    for (index, release) in pairs::<M>() {
        let message: M = sample(index, release, 11);
        let bytes = message.to_bytes(release);
        let stride = 1 + bytes.len() / CUTS_MAX;
        for length in (0..bytes.len()).step_by(stride) {
            let cut = &bytes[..length];
            if let Ok(read) = M::decode(message.msg_type(), release, cut) {
                assert_eq!(read.to_bytes(release), cut, "{} {release} {length}", message.name());
            }
        }
    }
}

/// Only a field that takes all that is left can make sense of less, and then it is what it is.
#[test]
fn a_truncation_is_an_error_or_the_whole_truth() {
    truncations::<Message>();
    truncations::<DbdMessage>();
}

fn trailing_bytes<M: Registry>() {
    for (index, release) in pairs::<M>() {
        let message: M = sample(index, release, 12);
        let mut bytes = message.to_bytes(release);
        bytes.push(0);
        if let Ok(read) = M::decode(message.msg_type(), release, &bytes) {
            assert_eq!(read.to_bytes(release), bytes, "{} {release}", message.name());
        }
    }
}

#[test]
fn a_trailing_byte_is_an_error_or_part_of_it() {
    trailing_bytes::<Message>();
    trailing_bytes::<DbdMessage>();
}

fn unknown_outside<M: Registry>() {
    for entry in M::REGISTERED {
        for release in Release::ALL {
            if M::registered(entry.msg_type, release).is_none() {
                let error = M::decode(entry.msg_type, release, &[]).unwrap_err();
                assert!(error.to_string().contains(entry.name), "{error}");
            }
        }
    }
    let error = M::decode(4, Release::NEWEST, &[]).unwrap_err();
    assert!(error.to_string().contains("message 4 (no name)"), "{error}");
}

#[test]
fn a_message_is_unknown_outside_its_releases() {
    unknown_outside::<Message>();
    unknown_outside::<DbdMessage>();
}

fn ascends<M: Registry>() {
    for pair in M::REGISTERED.windows(2) {
        let ascending = pair[0].msg_type < pair[1].msg_type;
        let split = pair[0].msg_type == pair[1].msg_type && pair[0].until < pair[1].since;
        assert!(ascending || split, "{} before {}", pair[0].name, pair[1].name);
    }
}

#[test]
fn the_registries_ascend_without_overlap() {
    ascends::<Message>();
    ascends::<DbdMessage>();
}

fn camel_case<M: Registry>() {
    for (index, entry) in M::REGISTERED.iter().enumerate() {
        let capital = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
        let camel: String = entry.name.split('_').map(capital).collect();
        let shown = format!("{:?}", sample::<M>(index, entry.since, 1));
        let variant = shown.split('(').next().unwrap();
        assert_eq!(variant, camel);
    }
}

#[test]
fn variants_are_slurms_names_in_camel_case() {
    camel_case::<Message>();
    camel_case::<DbdMessage>();
}

/// What damaged bytes decode to, if anything, is written as itself.
fn damaged<M: Registry>(which: usize, seed: u64, damage: &[(prop::sample::Index, u8)]) {
    let (index, release) = any_pair::<M>(which);
    let message: M = sample(index, release, seed);
    let mut bytes = message.to_bytes(release);
    for (place, byte) in damage {
        if !bytes.is_empty() {
            let at = place.index(bytes.len());
            bytes[at] = *byte;
        }
    }
    if let Ok(read) = M::decode(message.msg_type(), release, &bytes) {
        let again = read.to_bytes(release);
        let reread = M::decode(read.msg_type(), release, &again);
        assert_eq!(reread.map(|reread| reread.to_bytes(release)), Ok(again));
    }
}

fn is_json<M: Registry>(which: usize, seed: u64) {
    let (index, release) = any_pair::<M>(which);
    let mut json = Json::default();
    sample::<M>(index, release, seed).view(&mut json);
    assert!(json.is_balanced(), "{}", json.text());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_message_survives(which in 0..10_000usize, seed: u64) {
        let (index, release) = any_pair::<Message>(which);
        round_trip::<Message>(index, release, seed);
        let (index, release) = any_pair::<DbdMessage>(which);
        round_trip::<DbdMessage>(index, release, seed);
    }

    #[test]
    fn damaged_bytes_give_an_error_or_a_message(
        which in 0..10_000usize,
        seed: u64,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        damaged::<Message>(which, seed, &damage);
        damaged::<DbdMessage>(which, seed, &damage);
    }

    #[test]
    fn a_view_is_json(which in 0..10_000usize, seed: u64) {
        is_json::<Message>(which, seed);
        is_json::<DbdMessage>(which, seed);
    }
}
