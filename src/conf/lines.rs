//! The lexical rules that slurm.conf and flurm.conf share: comments, continuation, escapes, quotes.
//!
//! Follows Slurm's parser: `#` starts a comment unless escaped, a line that ends in an odd number of
//! backslashes goes on in the next one, `\x` stands for `x` everywhere (before quotes are looked at),
//! and a value is quoted, or ends at white space.

/// One character of a logical line and where it stands in the file.
#[derive(Clone, Copy)]
struct Cell {
    letter: char,
    line: u32,
    column: u32,
}

/// A line after comments, continuations and escapes are resolved.
pub(crate) struct Logical {
    cells: Vec<Cell>,
    first_line: u32,
    /// Where it ends in the text of the file, in bytes, its newline included.
    pub(crate) bytes_end: usize,
}

/// A piece of a logical line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) length: u32,
}

/// One `key=value`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RawPair {
    pub(crate) key: Piece,
    /// The `+` of `+=` and the like.
    pub(crate) operator: Option<char>,
    pub(crate) value: Piece,
}

/// What a logical line holds.
pub(crate) enum Content {
    /// `Include` with the name that follows.
    Include(Piece),
    /// Pairs, and the part at the end that is none.
    Pairs(Vec<RawPair>, Option<Piece>),
}

/// The logical lines of a file's text.
pub(crate) fn logical_lines(text: &str) -> Vec<Logical> {
    let mut lines = Vec::new();
    let mut open: Option<Logical> = None;
    let mut bytes_end = 0;
    for (index, physical) in text.split_inclusive('\n').enumerate() {
        bytes_end += physical.len();
        let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let cells =
            physical.chars().zip(1..).map(|(letter, column)| Cell { letter, line: number, column });
        let mut cells: Vec<Cell> = cells.collect();
        cells.truncate(comment_start(&cells));
        let goes_on = cut_continuation(&mut cells);
        let empty = || Logical { cells: Vec::new(), first_line: number, bytes_end };
        let line = open.get_or_insert_with(empty);
        line.cells.append(&mut cells);
        line.bytes_end = bytes_end;
        if !goes_on {
            lines.extend(open.take());
        }
    }
    lines.extend(open);
    for line in &mut lines {
        line.cells = without_escapes(&line.cells);
    }
    lines
}

/// Index of the `#` that starts a comment: one after an even number of backslashes.
fn comment_start(cells: &[Cell]) -> usize {
    let mut escaped = false;
    for (index, cell) in cells.iter().enumerate() {
        match cell.letter {
            '#' if !escaped => return index,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    cells.len()
}

/// Drops the backslash that joins the next line, if there is one.
fn cut_continuation(cells: &mut Vec<Cell>) -> bool {
    let space_count = cells.iter().rev().take_while(|cell| cell.letter.is_whitespace()).count();
    let end = cells.len() - space_count;
    let slashes_count = cells[..end].iter().rev().take_while(|cell| cell.letter == '\\').count();
    let goes_on = slashes_count % 2 == 1;
    if goes_on {
        cells.truncate(end - 1);
    }
    goes_on
}

fn without_escapes(cells: &[Cell]) -> Vec<Cell> {
    let mut kept = Vec::with_capacity(cells.len());
    let mut cells = cells.iter();
    while let Some(cell) = cells.next() {
        kept.extend(if cell.letter == '\\' { cells.next() } else { Some(cell) });
    }
    kept
}

impl Logical {
    /// What the line says.
    pub(crate) fn content(&self) -> Content {
        if let Some(name) = self.include() {
            return Content::Include(name);
        }
        let mut pairs = Vec::new();
        let mut at = 0;
        while let Some((pair, next)) = self.pair(at) {
            pairs.push(pair);
            at = next;
        }
        let start = self.skip_space(at);
        let rest = (start < self.cells.len()).then(|| self.piece(start, self.trimmed_end()));
        Content::Pairs(pairs, rest)
    }

    /// The name after `Include`, which must stand at the very start of the line.
    fn include(&self) -> Option<Piece> {
        const WORD: &str = "include";
        let start: String = self.cells.iter().take(WORD.len()).map(|cell| cell.letter).collect();
        let follows = self.cells.get(WORD.len()).is_some_and(|cell| cell.letter.is_whitespace());
        if !follows || !start.eq_ignore_ascii_case(WORD) {
            return None;
        }
        let from = self.skip_space(WORD.len());
        let to = self.skip_while(from, |letter| !letter.is_whitespace());
        // Anything after the name would be ignored without a word: it belongs to the name.
        let whole = if self.skip_space(to) < self.cells.len() { self.trimmed_end() } else { to };
        Some(self.piece(from, whole))
    }

    /// The pair that starts at `at` and where the next one may start.
    fn pair(&self, at: usize) -> Option<(RawPair, usize)> {
        let key_from = self.skip_space(at);
        let is_key = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
        let key_to = self.skip_while(key_from, is_key);
        if key_to == key_from {
            return None;
        }
        let mut at = self.skip_space(key_to);
        let operator = self.letter(at).filter(|letter| matches!(letter, '+' | '-' | '*' | '/'));
        at += usize::from(operator.is_some());
        if self.letter(at) != Some('=') {
            return None;
        }
        let from = self.skip_space(at + 1);
        let (value, next) = self.quoted(from).or_else(|| self.bare(from))?;
        let key = self.piece(key_from, key_to);
        Some((RawPair { key, operator, value }, next))
    }

    fn quoted(&self, from: usize) -> Option<(Piece, usize)> {
        if self.letter(from) != Some('"') {
            return None;
        }
        let to = self.skip_while(from + 1, |letter| letter != '"');
        let closed = self.letter(to) == Some('"');
        let ended = self.letter(to + 1).is_none_or(char::is_whitespace);
        let whole = closed && ended;
        whole.then(|| (self.piece(from + 1, to), to + 1))
    }

    fn bare(&self, from: usize) -> Option<(Piece, usize)> {
        let to = self.skip_while(from, |letter| !letter.is_whitespace());
        (to > from).then(|| (self.piece(from, to), to))
    }

    fn letter(&self, at: usize) -> Option<char> {
        self.cells.get(at).map(|cell| cell.letter)
    }

    fn skip_space(&self, at: usize) -> usize {
        self.skip_while(at, char::is_whitespace)
    }

    fn skip_while(&self, at: usize, wanted: impl Fn(char) -> bool) -> usize {
        let rest = self.cells.get(at..).unwrap_or_default();
        at + rest.iter().take_while(|cell| wanted(cell.letter)).count()
    }

    fn trimmed_end(&self) -> usize {
        let space = self.cells.iter().rev().take_while(|cell| cell.letter.is_whitespace());
        self.cells.len() - space.count()
    }

    fn piece(&self, from: usize, to: usize) -> Piece {
        let to = to.max(from);
        let text: String = self.cells[from..to].iter().map(|cell| cell.letter).collect();
        let place = self.cells.get(from).or(self.cells.last());
        Piece {
            length: u32::try_from(to - from).unwrap_or(u32::MAX),
            line: place.map_or(self.first_line, |cell| cell.line),
            column: place.map_or(1, |cell| cell.column),
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each logical line that is not blank, as `key op= value @line:column`.
    fn read(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for line in &logical_lines(text) {
            match line.content() {
                Content::Include(name) => found.push(format!("include {}", name.text)),
                Content::Pairs(pairs, rest) => {
                    for pair in pairs {
                        let op = pair.operator.map(String::from).unwrap_or_default();
                        let value = pair.value;
                        found.push(format!(
                            "{} {op}= {:?} @{}:{}",
                            pair.key.text, value.text, value.line, value.column
                        ));
                    }
                    found.extend(rest.map(|rest| format!("rest {:?} @{}", rest.text, rest.column)));
                }
            }
        }
        found
    }

    #[test]
    fn pairs_comments_and_quotes() {
        assert_eq!(read("A=1 # B=2\n"), ["A = \"1\" @1:3"]);
        assert_eq!(read("A=x\\#y # c"), ["A = \"x#y\" @1:3"]);
        assert_eq!(read("A=\"x y\" B=\"\""), ["A = \"x y\" @1:4", "B = \"\" @1:12"]);
        assert_eq!(read("A = 1\tb.c_2+=2"), ["A = \"1\" @1:5", "b.c_2 += \"2\" @1:14"]);
        assert_eq!(read("  # only a comment\n\n"), Vec::<String>::new());
    }

    #[test]
    fn a_quote_that_does_not_close_is_part_of_the_value() {
        assert_eq!(read("A=\"x y"), ["A = \"\\\"x\" @1:3", "rest \"y\" @6"]);
        assert_eq!(read("A=\"x\"y"), ["A = \"\\\"x\\\"y\" @1:3"]);
    }

    #[test]
    fn lines_that_end_in_an_odd_number_of_backslashes_go_on() {
        assert_eq!(read("A=1,\\\n2\nB=3"), ["A = \"1,2\" @1:3", "B = \"3\" @3:3"]);
        assert_eq!(read("A=1 \\  \n B=2"), ["A = \"1\" @1:3", "B = \"2\" @2:4"]);
        assert_eq!(read("A=1\\\\\nB=2"), ["A = \"1\\\\\" @1:3", "B = \"2\" @2:3"]);
        assert_eq!(read("A=1 # no \\\nB=2"), ["A = \"1\" @1:3", "B = \"2\" @2:3"]);
        assert_eq!(read("A=1 \\"), ["A = \"1\" @1:3"]);
    }

    #[test]
    fn what_is_no_pair_is_left_over() {
        assert_eq!(read("A=1 nonsense here "), ["A = \"1\" @1:3", "rest \"nonsense here\" @5"]);
        assert_eq!(read("A="), ["rest \"A=\" @1"]);
        assert_eq!(read("=1"), ["rest \"=1\" @1"]);
        assert_eq!(read("A= B=2"), ["A = \"B=2\" @1:4"]);
    }

    #[test]
    fn include_stands_first_on_its_line() {
        assert_eq!(read("INCLUDE  x.conf \n"), ["include x.conf"]);
        assert_eq!(read("include a b"), ["include a b"]);
        assert_eq!(read(" include x"), ["rest \"include x\" @2"]);
        assert_eq!(read("Includes=1"), ["Includes = \"1\" @1:10"]);
    }
}
