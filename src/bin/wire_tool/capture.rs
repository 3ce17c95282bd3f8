//! Captures as files: hexadecimal text in several forms, or the bytes themselves.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use flurm_wire::Release;
use flurm_wire::stream::{Piece, Speech, Stream};

/// Largest capture that is read, bytes.
const CAPTURE_BYTES_MAX: u64 = 1 << 30;
/// Bytes in a line of a stored capture.
const LINE_BYTES: usize = 64;
/// A comment that says what follows is of a persistent connection: of that release, or else of the
/// one that the file's folder is named after.
const PERSISTENT: &str = "persistent ";

/// The pieces of a capture; a last frame that is cut short comes as it is.
pub(super) fn read(file: &str, speech: Speech) -> Result<Vec<Piece>, String> {
    let folder = Path::new(file).parent().and_then(Path::file_name);
    let folder = folder.and_then(|name| Release::from_name(&name.to_string_lossy()));
    let bytes = match file {
        "-" => bounded(std::io::stdin().lock()),
        _ => std::fs::File::open(Path::new(file)).and_then(bounded),
    };
    let bytes = bytes.map_err(|error| format!("could not read {file}: {error}"))?;
    let parts =
        match std::str::from_utf8(&bytes).ok().and_then(|text| of_text(text, speech, folder)) {
            Some(parts) => parts,
            None => vec![(speech, bytes)],
        };
    Ok(parts.into_iter().flat_map(|(speech, bytes)| pieces(speech, &bytes)).collect())
}

fn bounded(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(CAPTURE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn pieces(speech: Speech, bytes: &[u8]) -> Vec<Piece> {
    let mut stream = Stream::new(speech);
    let mut pieces = stream.push(bytes);
    let rest = stream.unfinished().to_vec();
    if !rest.is_empty() {
        pieces.push(match stream.speech() {
            Speech::Persistent(release) => Piece::Persistent(release, rest),
            Speech::Frames => Piece::Frame(rest),
            Speech::Channel => Piece::Channel(rest),
            Speech::Raw => Piece::Raw(rest),
        });
    }
    pieces
}

/// Bytes out of text, with what comments say about them; `None` when it is no hexadecimal text.
fn of_text(text: &str, speech: Speech, folder: Option<Release>) -> Option<Vec<(Speech, Vec<u8>)>> {
    let mut parts = vec![(speech, Vec::new())];
    let mut is_dump = false;
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            let persistent = comment.trim_start().strip_prefix(PERSISTENT);
            let release = persistent.and_then(|name| Release::from_name(name).or(folder));
            if let Some(release) = release {
                parts.push((Speech::Persistent(release), Vec::new()));
            }
            continue;
        }
        let digits: Vec<u8> =
            digits_of(line, &mut is_dump).bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        if digits.len() % 2 == 1 {
            return None;
        }
        for pair in digits.chunks(2) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            let byte = u8::try_from(digit(0)? * 16 + digit(1)?).expect("two digits are a byte");
            parts.last_mut().expect("never empty").1.push(byte);
        }
    }
    parts.retain(|(_, bytes)| !bytes.is_empty());
    Some(parts)
}

/// The hexadecimal columns of a line: `xxd` puts `offset:` in front and text after two blanks,
/// `hexdump -C` a bare offset and text between bars, and the total length at the very end.
fn digits_of<'a>(line: &'a str, is_dump: &mut bool) -> &'a str {
    let is_offset = |word: &str| word.len() >= 7 && word.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some((offset, rest)) = line.split_once(": ")
        && is_offset(offset)
    {
        return rest.split("  ").next().unwrap_or_default();
    }
    let rest = line.split('|').next().unwrap_or_default();
    match rest.split_once("  ") {
        Some((offset, digits)) if is_offset(offset) => {
            *is_dump = true;
            digits
        }
        None if *is_dump && is_offset(line) => "",
        _ => rest,
    }
}

/// A capture file's text: `comments` and the bytes.
pub(super) fn to_text(comments: &[String], persistent: Option<Release>, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 200);
    for comment in comments {
        for line in comment.lines() {
            text.push_str("# ");
            text.push_str(line);
            text.push('\n');
        }
    }
    if let Some(release) = persistent {
        text.push_str(&format!("# {PERSISTENT}{release}\n"));
    }
    for line in bytes.chunks(LINE_BYTES) {
        for byte in line {
            write!(text, "{byte:02x}").expect("a String takes all");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<Vec<u8>> {
        let parts = of_text(text, Speech::Frames, None)?;
        Some(parts.into_iter().flat_map(|(_, bytes)| bytes).collect())
    }

    #[test]
    fn dumps_of_several_tools_are_read() {
        let expected = Some((0..20).collect::<Vec<u8>>());
        let plain = "# what\n000102030405060708090a0b0c0d0e0f\n10111213\n";
        let xxd = "00000000: 0001 0203 0405 0607 0809 0a0b 0c0d 0e0f  ................\n\
                   00000010: 1011 1213                                ....\n";
        let hexdump = "00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|\n\
                       00000010  10 11 12 13                                       |....|\n\
                       00000014\n";
        for text in [plain, xxd, hexdump] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        assert_eq!(bytes("not hexadecimal"), None);
    }

    #[test]
    fn a_stored_capture_is_read_back() {
        let mut sent: Vec<u8> = (0..192).collect();
        // A last line that could be taken for an offset.
        sent.extend([0; 4]);
        let text = to_text(&["a\nb".to_owned()], Some(Release::V24_11), &sent);
        assert!(text.starts_with("# a\n# b\n# persistent 24.11\n"), "{text}");
        let parts = of_text(&text, Speech::Frames, None).unwrap();
        assert_eq!(parts, [(Speech::Persistent(Release::V24_11), sent)]);
        let text = "# persistent connection with slurmdbd\n0102\n";
        let parts = of_text(text, Speech::Frames, Some(Release::V26_05)).unwrap();
        assert_eq!(parts, [(Speech::Persistent(Release::V26_05), vec![1, 2])]);
    }
}
