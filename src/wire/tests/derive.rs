//! What each attribute of `#[derive(Wire)]` does to the bytes.

use flurm_wire::codec::U16In32;
use flurm_wire::{Gen, Json, NO_VAL, Reader, Record, Release, Schema, Wire, Writer};

/// Every attribute at once.
#[derive(Clone, Debug, PartialEq, Wire)]
#[wire(order(until = V23_02, fields(second, first, filler, flag, extra, wide)))]
struct Everything {
    first: u8,
    #[wire(default = 7)]
    second: u8,
    #[wire(since = V24_05, default = NO_VAL)]
    later: u32,
    #[wire(until = V23_11, constant = 0xabcdu16)]
    filler: (),
    flag: bool,
    #[wire(when = Self::has_extra, default = 9)]
    extra: u8,
    #[wire(as_ = U16In32)]
    wide: u16,
}

impl Everything {
    fn has_extra(&self, _: Release) -> bool {
        self.flag
    }
}

fn bytes(release: Release, value: &Everything) -> Vec<u8> {
    let mut w = Writer::new(release);
    value.encode(&mut w);
    w.into_bytes()
}

fn read(release: Release, bytes: &[u8]) -> Everything {
    let mut r = Reader::new(release, bytes);
    let value = Everything::decode(&mut r).expect("well-formed");
    r.finish().expect("used up");
    value
}

fn example() -> Everything {
    Everything {
        first: 1,
        second: 2,
        later: 3,
        flag: true,
        extra: 4,
        wide: 5,
        ..Default::default()
    }
}

#[test]
fn defaults_are_the_declared_ones() {
    let default = Everything::default();
    assert_eq!((default.second, default.later, default.extra), (7, NO_VAL, 9));
    assert_eq!((default.first, default.flag, default.wide), (0, false, 0));
}

#[test]
fn an_order_holds_for_its_releases_only() {
    let old = [2, 1, 0xab, 0xcd, 1, 4, 0, 0, 0, 5];
    assert_eq!(bytes(Release::V23_02, &example()), old);
    let middle = [1, 2, 0xab, 0xcd, 1, 4, 0, 0, 0, 5];
    assert_eq!(bytes(Release::V23_11, &example()), middle);
    let new = [1, 2, 0, 0, 0, 3, 1, 4, 0, 0, 0, 5];
    assert_eq!(bytes(Release::V24_05, &example()), new);
}

#[test]
fn what_a_release_lacks_has_its_default() {
    let back = read(Release::V23_02, &bytes(Release::V23_02, &example()));
    assert_eq!(back, Everything { later: NO_VAL, ..example() });
    assert_eq!(read(Release::V26_05, &bytes(Release::V26_05, &example())), example());
}

#[test]
fn a_predicate_decides_over_what_was_read() {
    let without = Everything { flag: false, ..example() };
    let sent = bytes(Release::V26_05, &without);
    assert_eq!(sent, [1, 2, 0, 0, 0, 3, 0, 0, 0, 0, 5]);
    assert_eq!(read(Release::V26_05, &sent), Everything { extra: 9, ..without });
}

#[test]
fn filler_is_skipped_whatever_it_holds() {
    let sent = [1, 2, 0, 0, 0, 0, 0, 0, 5];
    let back = read(Release::V23_11, &sent);
    assert_eq!((back.flag, back.wide), (false, 5));
}

#[test]
fn an_error_names_the_field() {
    let error = Everything::decode(&mut Reader::new(Release::V26_05, &[1, 2, 0])).unwrap_err();
    assert_eq!(error.field, Some("Everything.later"));
    assert_eq!(error.to_string(), "needs 4 bytes where 1 are left at byte 2 in Everything.later");
}

#[test]
fn the_table_says_what_was_declared() {
    let names: Vec<_> = Everything::FIELDS.iter().map(|field| field.name).collect();
    assert_eq!(names, ["first", "second", "later", "filler", "flag", "extra", "wide"]);
    assert_eq!(Everything::FIELDS[2].since, Release::V24_05);
    assert_eq!(Everything::FIELDS[3].until, Release::V23_11);
    assert!(Everything::FIELDS[5].conditional);
    let rows = ["second u8", "first u8", "filler u16", "flag bool", "extra? u8", "wide u32"];
    assert_eq!(Schema::of::<Everything>(Release::V22_05).rows(), rows);
}

#[test]
fn a_view_shows_every_field() {
    let expected = r#"{"first":1,"second":2,"later":3,"flag":true,"extra":4,"wide":5}"#;
    assert_eq!(Json::of(&example()), expected);
}

#[test]
fn samples_keep_to_what_the_release_has() {
    for seed in 0..200 {
        let sample = Everything::sample(&mut Gen::new(Release::V22_05, seed));
        assert_eq!(sample.later, NO_VAL);
        assert!(sample.flag || sample.extra == 9);
    }
}

/// A list whose length is told earlier.
#[derive(Clone, Debug, PartialEq, Wire)]
struct Told {
    #[wire(sample = Gen::few)]
    count: u32,
    between: u8,
    #[wire(count = Self::count)]
    elements: Vec<u16>,
}

impl Told {
    const fn count(&self) -> u32 {
        self.count
    }
}

#[test]
fn elements_are_as_many_as_an_earlier_field_says() {
    let told = Told { count: 2, between: 9, elements: vec![5, 6] };
    let mut w = Writer::new(Release::NEWEST);
    told.encode(&mut w);
    assert_eq!(w.bytes(), [0, 0, 0, 2, 9, 0, 5, 0, 6]);
    let read = |bytes: &[u8]| Told::decode(&mut Reader::new(Release::NEWEST, bytes));
    assert_eq!(read(w.bytes()), Ok(told));
    assert!(read(&[0, 0, 0, 3, 9, 0, 5, 0, 6]).is_err());
    assert!(read(&[0xff, 0xff, 0xff, 0xff, 9]).is_err(), "a false count costs nothing");
    assert_eq!(Schema::of::<Told>(Release::NEWEST).rows()[2], "elements.[counted] u16");
    for seed in 0..50 {
        let sample = Told::sample(&mut Gen::new(Release::NEWEST, seed));
        assert_eq!(sample.elements.len(), sample.count as usize);
    }
}
