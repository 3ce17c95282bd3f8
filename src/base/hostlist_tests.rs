//! Host lists against what Slurm prints, and their laws.

use super::*;
use proptest::prelude::*;

fn ranged(expression: &str) -> String {
    Hostlist::parse(expression).unwrap().to_string()
}

fn names(expression: &str) -> String {
    Hostlist::parse(expression).unwrap().iter().collect::<Vec<_>>().join(" ")
}

fn sorted(expression: &str) -> String {
    let mut list = Hostlist::parse(expression).unwrap();
    list.uniq();
    list.to_string()
}

#[test]
fn ranges_expand_with_their_padding() {
    assert_eq!(names("n[1-3,7,010-012]"), "n1 n2 n3 n7 n010 n011 n012");
    assert_eq!(names("n[8-11]"), "n8 n9 n10 n11");
    assert_eq!(names("n[08-11]"), "n08 n09 n10 n11");
    assert_eq!(names("a,b c\td\n"), "a b c d");
    assert_eq!(names(""), "");
}

#[test]
fn brackets_combine_in_slurms_order() {
    assert_eq!(names("r[1-2]n[1-2]"), "r1n1 r1n2 r2n1 r2n2");
    assert_eq!(names("n[1-2]-ib"), "n1-ib n2-ib");
    assert_eq!(
        names("a[1-2]b[1-2]c[1-2]"),
        "a1b1c1 a1b1c2 a2b1c1 a2b1c2 a1b2c1 a1b2c2 a2b2c1 a2b2c2"
    );
}

#[test]
fn what_is_not_a_host_list_is_refused() {
    assert_eq!(Hostlist::parse("n[1-2"), Err(Error::Brackets("n[1-2".into())));
    assert_eq!(Hostlist::parse("n1]"), Err(Error::Brackets("n1]".into())));
    for bad in ["n[]", "n[a]", "n[2-1]", "n[1-]", "n[-1]", "n[1--2]", "n[1,]", "n[+1]", "n[1-2-3]"]
    {
        assert!(matches!(Hostlist::parse(bad), Err(Error::Range(_))), "{bad}");
    }
    for bad in ["n[0-65536]", "n[1-999999999]", "a[1-300]b[1-300]", "n[1-65536],x"] {
        assert_eq!(Hostlist::parse(bad), Err(Error::TooManyHosts), "{bad}");
    }
    assert_eq!(Hostlist::parse("n[1-65536]").unwrap().len(), HOSTS_MAX);
    let deep = "n[1]".repeat(9);
    assert_eq!(Hostlist::parse(&deep), Err(Error::TooManyDimensions(deep.clone())));
}

/// Each row was printed by `scontrol show hostlist` and `scontrol show hostlistsorted` of 22.05.8;
/// the latter keeps repeated names, so it says nothing about lists that have them.
#[test]
fn ranged_strings_are_slurms() {
    let rows = include_str!("hostlist_cases.txt").lines().filter(|line| !line.starts_with('#'));
    let mut rows_count = 0;
    for row in rows {
        let parts: Vec<&str> = row.split_whitespace().collect();
        let [expression, expected, expected_sorted] = parts[..] else { panic!("{row}") };
        assert_eq!(ranged(expression), expected, "{expression}");
        let hosts = Hostlist::parse(expression).unwrap();
        let unique: std::collections::BTreeSet<String> = hosts.iter().collect();
        if unique.len() == hosts.len() {
            assert_eq!(sorted(expression), expected_sorted, "{expression} sorted");
        }
        rows_count += 1;
    }
    assert!(rows_count > 20);
}

#[test]
fn names_are_found_where_they_are() {
    let list = Hostlist::parse("n[1-3],login,n010,r1s[08-11]").unwrap();
    for (index, name) in list.iter().enumerate() {
        assert_eq!(list.find(&name), Some(index));
        assert_eq!(list.nth(index), Some(name));
    }
    assert_eq!(list.nth(list.len()), None);
    for absent in ["n4", "n01", "n", "login1", "n10", "r1s8", "r1s011", ""] {
        assert!(!list.contains(absent), "{absent}");
    }
}

#[test]
fn very_long_numbers_are_ordinary_text() {
    let name = "n12345678901234567890123";
    assert_eq!(ranged(name), name);
}

#[test]
fn compress_sorts_and_drops_repeats() {
    assert_eq!(compress(["n3", "n1", "n2", "n2", "a"]), "a,n[1-3]");
    assert_eq!(sorted("n[8-12],n09,n10,x,x,n[98-101]"), "n[8-9,09-12,98-101],x");
}

fn any_names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[a-c]{1,2}[0-9]{0,3}", 0..40)
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[n0-9a\\[\\],\\- ]{0,40}|.{0,40}") {
        if let Ok(list) = Hostlist::parse(&text) {
            prop_assert_eq!(list.iter().count(), list.len());
        }
    }

    #[test]
    fn a_printed_list_reads_back_as_the_same_names(names in any_names()) {
        let mut list = Hostlist::new();
        names.iter().for_each(|name| list.push_host(name).unwrap());
        prop_assert_eq!(list.iter().collect::<Vec<_>>(), names);
        let again = Hostlist::parse(&list.to_string()).unwrap();
        prop_assert_eq!(again.iter().collect::<Vec<_>>(), list.iter().collect::<Vec<_>>());
    }

    #[test]
    fn uniq_keeps_exactly_the_set_of_names(names in any_names()) {
        let mut list = Hostlist::new();
        names.iter().for_each(|name| list.push_host(name).unwrap());
        list.uniq();
        let kept: std::collections::BTreeSet<String> = list.iter().collect();
        prop_assert_eq!(kept.len(), list.len());
        prop_assert_eq!(kept, names.into_iter().collect());
        let once = list.clone();
        list.uniq();
        prop_assert_eq!(list, once);
    }
}
