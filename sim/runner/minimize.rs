//! Delta debugging: the smallest part of a list that still fails.

/// Reduces a list while `fails` says that the rest still fails. Every part that is tried keeps the
/// order. `fails` may say no for ever after (its time is up); what was reached until then is kept.
pub(super) fn minimize<T: Clone>(items: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut items = items.to_vec();
    if items.is_empty() {
        return items;
    }
    if fails(&[]) {
        return Vec::new();
    }
    let mut parts = 2;
    while items.len() > 1 {
        let size = items.len().div_ceil(parts);
        let without = |from: usize| {
            let to = (from + size).min(items.len());
            [&items[..from], &items[to..]].concat()
        };
        let starts = (0..items.len()).step_by(size);
        match starts.map(without).find(|rest| !rest.is_empty() && fails(rest)) {
            Some(rest) => {
                items = rest;
                parts = (parts - 1).max(2);
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(items.len()),
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_need_each_other_are_found_among_a_hundred() {
        let items: Vec<u32> = (0..100).collect();
        let mut tries = 0;
        let rest = minimize(&items, |part| {
            tries += 1;
            part.contains(&17) && part.contains(&80)
        });
        assert_eq!(rest, [17, 80]);
        assert!(tries < 60, "{tries} tries");
    }

    #[test]
    fn what_fails_without_anything_needs_nothing() {
        assert!(minimize(&[1, 2, 3], |_| true).is_empty());
        assert_eq!(minimize(&[1, 2, 3], |_| false), [1, 2, 3]);
        assert_eq!(minimize(&[5], |part| part == [5]), [5]);
    }
}
