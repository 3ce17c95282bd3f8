//! Natural order of names: runs of digits compare by value, so `n9` comes before `n10`.

use std::cmp::Ordering;

/// Compares as Slurm's tools do: digit by digit where a run starts with a zero, else by value. Equal
/// only for equal names.
pub fn order(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        let (Some(l), Some(r)) = (left.first(), right.first()) else {
            return left.len().cmp(&right.len());
        };
        if l.is_ascii_digit() && r.is_ascii_digit() {
            let (l_run, r_run) = (digits(left), digits(right));
            let by_length =
                if *l == b'0' || *r == b'0' { Ordering::Equal } else { l_run.cmp(&r_run) };
            let by_digits = by_length.then_with(|| left[..l_run].cmp(&right[..r_run]));
            if by_digits.is_ne() {
                return by_digits;
            }
            (left, right) = (&left[l_run..], &right[r_run..]);
        } else if l == r {
            (left, right) = (&left[1..], &right[1..]);
        } else {
            return l.cmp(r);
        }
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_compare_by_value_and_leading_zeros_come_first() {
        let mut names = ["n10", "n9", "m", "n09", "n1x", "n1", "n", "n0100", "n010"];
        names.sort_by(|a, b| order(a, b));
        assert_eq!(names, ["m", "n", "n010", "n0100", "n09", "n1", "n1x", "n9", "n10"]);
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[01ab9]{0,4}", b in "[01ab9]{0,4}", c in "[01ab9]{0,4}") {
            prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
            prop_assert_eq!(order(&a, &b).is_eq(), a == b);
            if order(&a, &b).is_le() && order(&b, &c).is_le() {
                prop_assert!(order(&a, &c).is_le());
            }
        }
    }
}
