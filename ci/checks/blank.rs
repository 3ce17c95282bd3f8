//! Rust source with comments and literals blanked out, so that words can be searched in code only.
//!
//! Every blanked byte becomes a space and line breaks stay, so lines and columns keep their numbers.

/// Returns `source` with the inside of comments, strings and characters replaced by spaces.
pub fn blanked(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match token_end(bytes, at) {
            Some(end) => {
                wipe(&mut out[at..end]);
                end
            }
            None => at + 1,
        };
        assert!(end > at, "the scanner must move on");
        at = end;
    }
    String::from_utf8(out).unwrap_or_default()
}

/// End of the comment or literal that starts at `at`, if one does.
fn token_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Some(at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(block_comment_end(bytes, at));
    }
    let within_word = at > 0 && is_word(bytes[at - 1]);
    if !within_word && let Some(end) = raw_string_end(bytes, at) {
        return Some(end);
    }
    match rest.first()? {
        b'"' => Some(quoted_end(bytes, at)),
        b'\'' => char_end(bytes, at),
        _ => None,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    if matches!(bytes[at], b'b' | b'c') {
        at += 1;
    }
    if bytes.get(at) != Some(&b'r') {
        return None;
    }
    at += 1;
    let hashes = bytes[at..].iter().take_while(|b| **b == b'#').count();
    at += hashes;
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    at += 1;
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let length = bytes[at..].windows(close.len()).position(|window| window == close);
    Some(length.map_or(bytes.len(), |length| at + length + close.len()))
}

fn quoted_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character literal; `None` for a lifetime.
fn char_end(bytes: &[u8], start: usize) -> Option<usize> {
    let first = *bytes.get(start + 1)?;
    if first == b'\\' {
        let close = bytes[start + 3..].iter().position(|b| *b == b'\'')?;
        return Some(start + 3 + close + 1);
    }
    // One character of at most four bytes, then the closing quote.
    (2..=5).find(|n| bytes.get(start + n) == Some(&b'\'')).and_then(|n| {
        let inside = std::str::from_utf8(&bytes[start + 1..start + n]).ok()?;
        (inside.chars().count() == 1).then_some(start + n + 1)
    })
}

fn wipe(bytes: &mut [u8]) {
    for byte in bytes {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_become_spaces_and_code_stays() {
        let source = "let a = \"todo!()\"; // unsafe\n/* x /* y */ z */ fn f<'a>(c: char) {}";
        let expected = "let a =          ;          \n                  fn f<'a>(c: char) {}";
        assert_eq!(blanked(source), expected);
    }

    #[test]
    fn raw_strings_and_characters_are_literals_and_lifetimes_are_not() {
        assert_eq!(blanked("r#\"a\"b\"#;x"), "        ;x");
        assert_eq!(blanked("br\"{\" {"), "      {");
        assert_eq!(blanked("('{','\\'',&'a u8)"), "(   ,    ,&'a u8)");
        assert_eq!(blanked("var\"x\""), "var   ");
    }

    #[test]
    fn an_unfinished_literal_ends_with_the_file() {
        assert_eq!(blanked("a \"bc\\"), "a     ");
        assert_eq!(blanked("a /* b"), "a     ");
    }
}
