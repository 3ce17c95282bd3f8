//! Every registered message, in every release that has it, comes back from its bytes as it was;
//! damaged bytes never do more harm than an error.

use flurm_wire::{Gen, Json, Message, Release};
use proptest::prelude::*;

/// Truncations tried of one message.
const CUTS_MAX: usize = 150;

/// Every pair of a registered message and a release that has it.
fn pairs() -> Vec<(usize, Release)> {
    let with = |index: usize| {
        let entry = &Message::REGISTERED[index];
        let releases = Release::ALL.into_iter().filter(|release| entry.in_release(*release));
        releases.map(move |release| (index, release))
    };
    (0..Message::REGISTERED.len()).flat_map(with).collect()
}

fn sample(index: usize, release: Release, seed: u64) -> Message {
    Message::REGISTERED[index].sample(&mut Gen::new(release, seed))
}

fn round_trip(index: usize, release: Release, seed: u64) {
    let message = sample(index, release, seed);
    let bytes = message.to_bytes(release);
    let name = message.name();
    match Message::decode(message.msg_type(), release, &bytes) {
        Ok(back) => assert_eq!(back, message, "{name} {release} seed {seed}"),
        Err(error) => panic!("{name} {release} seed {seed}: {error}\n{message:#?}"),
    }
}

#[test]
fn every_message_survives_the_same_seeds() {
    for (index, release) in pairs() {
        for seed in 0..40 {
            round_trip(index, release, seed);
        }
    }
}

/// Only a field that takes all that is left can make sense of less, and then it is what it is.
#[test]
fn a_truncation_is_an_error_or_the_whole_truth() {
    for (index, release) in pairs() {
        let message = sample(index, release, 11);
        let bytes = message.to_bytes(release);
        let stride = 1 + bytes.len() / CUTS_MAX;
        for length in (0..bytes.len()).step_by(stride) {
            let cut = &bytes[..length];
            if let Ok(read) = Message::decode(message.msg_type(), release, cut) {
                assert_eq!(read.to_bytes(release), cut, "{} {release} {length}", message.name());
            }
        }
    }
}

#[test]
fn a_trailing_byte_is_an_error_or_part_of_it() {
    for (index, release) in pairs() {
        let message = sample(index, release, 12);
        let mut bytes = message.to_bytes(release);
        bytes.push(0);
        if let Ok(read) = Message::decode(message.msg_type(), release, &bytes) {
            assert_eq!(read.to_bytes(release), bytes, "{} {release}", message.name());
        }
    }
}

#[test]
fn a_message_is_unknown_outside_its_releases() {
    for entry in Message::REGISTERED {
        for release in Release::ALL {
            if Message::registered(entry.msg_type, release).is_none() {
                let error = Message::decode(entry.msg_type, release, &[]).unwrap_err();
                assert!(error.to_string().contains(entry.name), "{error}");
            }
        }
    }
    let error = Message::decode(4, Release::NEWEST, &[]).unwrap_err();
    assert!(error.to_string().contains("message 4 (no name)"), "{error}");
}

#[test]
fn the_registry_ascends_without_overlap() {
    for pair in Message::REGISTERED.windows(2) {
        let ascending = pair[0].msg_type < pair[1].msg_type;
        let split = pair[0].msg_type == pair[1].msg_type && pair[0].until < pair[1].since;
        assert!(ascending || split, "{} before {}", pair[0].name, pair[1].name);
    }
}

#[test]
fn variants_are_slurms_names_in_camel_case() {
    for (index, entry) in Message::REGISTERED.iter().enumerate() {
        let capital = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
        let camel: String = entry.name.split('_').map(capital).collect();
        let shown = format!("{:?}", sample(index, entry.since, 1));
        let variant = shown.split('(').next().unwrap();
        assert_eq!(variant, camel);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_message_survives(which in 0..10_000usize, seed: u64) {
        let pairs = pairs();
        let (index, release) = pairs[which % pairs.len()];
        round_trip(index, release, seed);
    }

    #[test]
    fn damaged_bytes_give_an_error_or_a_message(
        which in 0..10_000usize,
        seed: u64,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let pairs = pairs();
        let (index, release) = pairs[which % pairs.len()];
        let message = sample(index, release, seed);
        let mut bytes = message.to_bytes(release);
        for (place, byte) in damage {
            if !bytes.is_empty() {
                let at = place.index(bytes.len());
                bytes[at] = byte;
            }
        }
        if let Ok(read) = Message::decode(message.msg_type(), release, &bytes) {
            let again = read.to_bytes(release);
            let reread = Message::decode(read.msg_type(), release, &again);
            prop_assert_eq!(reread.map(|reread| reread.to_bytes(release)), Ok(again));
        }
    }

    #[test]
    fn a_view_is_json(which in 0..10_000usize, seed: u64) {
        let pairs = pairs();
        let (index, release) = pairs[which % pairs.len()];
        let mut json = Json::default();
        sample(index, release, seed).view(&mut json);
        prop_assert!(json.is_balanced(), "{}", json.text());
    }
}
