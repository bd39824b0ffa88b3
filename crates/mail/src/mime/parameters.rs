//! A value with parameters: `text/plain; charset="utf-8"` (RFC 2045 §5.1), with continuations and charsets of RFC 2231
//! and comments of RFC 822.
//!
//! A semicolon that is missing is forgiven: `text/html charset=utf-8`. An unquoted value may have blanks in it, as
//! file names have that programs forget to quote.

use super::charset::decode as decode_charset;
use super::reading::Reading;
use super::words::decode_words;
use super::{cut_name, transfer};

/// The parameters that say something about a part; others are passed over, however many there are.
const NAMES: [&str; 4] = ["boundary", "charset", "filename", "name"];
/// Pieces of one parameter that are kept, the last one in place of another. Where it stands once, the first and the last.
const PIECES_MAX: usize = 10_000;
const PLAIN_MAX: usize = 2;
/// A word longer than this is no name of a parameter.
const NAME_OCTETS_MAX: usize = 64;

/// The first word and the parameters behind it.
pub(super) struct Parameters {
    /// Without comments.
    pub first: Vec<u8>,
    list: Vec<Piece>,
    reading: Reading,
}

/// One parameter, or a piece of one.
struct Piece {
    name: &'static str,
    sort: Sort,
    value: Vec<u8>,
}

/// How a parameter's name ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// `name`.
    Plain,
    /// `name*`: with a charset, and octets as `%41` (RFC 2231 §4).
    Extended,
    /// `name*1`, or `name*1*`, which is extended (§3).
    Continued { index: u32, is_extended: bool },
}

/// What is no number stands first.
fn index_of(number: &[u8]) -> u32 {
    let number = std::str::from_utf8(number).ok();
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

impl Piece {
    fn new(name: &[u8], value: Vec<u8>) -> Option<Piece> {
        let name = name.iter().filter(|b| **b != b'"');
        let lower: Vec<u8> = name.map(u8::to_ascii_lowercase).collect();
        let star = memchr::memchr(b'*', &lower).unwrap_or(lower.len());
        let (word, behind) = lower.split_at_checked(star)?;
        let name = NAMES.into_iter().find(|name| name.as_bytes() == word)?;
        let sort = match behind {
            b"" => Sort::Plain,
            b"*" => Sort::Extended,
            [_, number @ ..] => Sort::Continued {
                index: index_of(number.split(|&b| b == b'*').next().unwrap_or_default()),
                is_extended: number.contains(&b'*'),
            },
        };
        Some(Piece { name, sort, value })
    }
}

impl Parameters {
    /// Reads a value on one line, and notes what readers differ in.
    pub fn parse(value: &[u8], reading: Reading, doubts: &mut Reading) -> Parameters {
        let mut lexer = Lexer {
            rest: value,
            is_verbatim: reading.has(Reading::VERBATIM),
            ends_at_blank: reading.has(Reading::TOKEN),
            is_doubtful: false,
            has_blanks: false,
        };
        lexer.skip_blanks();
        let first = lexer.first();
        let (mut list, mut counts) = (Vec::new(), Counts::default());
        while let Some((name, value)) = lexer.parameter() {
            if let Some(piece) = Piece::new(&name, value) {
                keep(&mut list, &mut counts, piece);
            }
        }
        doubts.note(Reading::VERBATIM, lexer.is_doubtful);
        doubts.note(Reading::TOKEN, lexer.has_blanks);
        Parameters { first, list, reading }
    }

    /// A parameter as octets.
    pub fn octets(&self, name: &str, doubts: &mut Reading) -> Option<Vec<u8>> {
        Some(self.value(name, doubts)?.octets)
    }

    /// A parameter as text, decoded and cut.
    pub fn text(&self, name: &str, doubts: &mut Reading) -> Option<String> {
        let value = self.value(name, doubts)?;
        let text = match &value.charset {
            Some(charset) => decode_charset(charset, &value.octets),
            None => decode_words(&value.octets),
        };
        Some(cut_name(text.trim()))
    }

    fn value(&self, name: &str, doubts: &mut Reading) -> Option<Value> {
        let plain = self.pick(name, Sort::Plain, doubts).map(|value| Value {
            charset: None,
            octets: value.to_vec(),
        });
        let extended = self.pick(name, Sort::Extended, doubts).map(|value| {
            let mut joined = Value::default();
            joined.push(value, true);
            joined
        });
        let rfc_2231 = match (extended, self.continued(name, doubts)) {
            (Some(extended), Some(continued)) => {
                doubts.note(Reading::PLAIN_FIRST, extended != continued);
                Some(if self.reading.has(Reading::PLAIN_FIRST) {
                    continued
                } else {
                    extended
                })
            }
            (extended, continued) => extended.or(continued),
        };
        match (plain, rfc_2231) {
            (Some(plain), Some(other)) => {
                doubts.note(Reading::PLAIN_FIRST, plain != other);
                Some(if self.reading.has(Reading::PLAIN_FIRST) {
                    plain
                } else {
                    other
                })
            }
            (plain, other) => plain.or(other),
        }
    }

    /// Of pieces of one name the first, or the last.
    fn pick(&self, name: &str, sort: Sort, doubts: &mut Reading) -> Option<&[u8]> {
        let found = self
            .list
            .iter()
            .filter(|piece| piece.name == name && piece.sort == sort)
            .map(|piece| piece.value.as_slice());
        self.first_or_last(found, doubts)
    }

    fn first_or_last<'a>(&self, mut found: impl Iterator<Item = &'a [u8]>, doubts: &mut Reading) -> Option<&'a [u8]> {
        let first = found.next()?;
        let last = found.last().unwrap_or(first);
        doubts.note(Reading::LAST_PARAMETER, first != last);
        Some(if self.reading.has(Reading::LAST_PARAMETER) {
            last
        } else {
            first
        })
    }

    /// RFC 2231 §3: the pieces are one value, in the order of their numbers wherever they stand.
    fn continued(&self, name: &str, doubts: &mut Reading) -> Option<Value> {
        let mut pieces: Vec<(u32, bool, &[u8])> = Vec::new();
        for piece in self.list.iter().filter(|piece| piece.name == name) {
            if let Sort::Continued { index, is_extended } = piece.sort {
                pieces.push((index, is_extended, &piece.value));
            }
        }
        // Those of one number keep their order.
        pieces.sort_by_key(|(index, ..)| *index);
        let mut joined: Option<Value> = None;
        for same in pieces.chunk_by(|(one, ..), (other, ..)| one == other) {
            let value = self.first_or_last(same.iter().map(|(_, _, value)| *value), doubts)?;
            let is_extended = same.iter().any(|(_, is_extended, of)| *is_extended && *of == value);
            joined.get_or_insert_default().push(value, is_extended);
        }
        joined
    }
}

/// How many pieces there are, by name and by how the name ends.
type Counts = [[usize; 3]; NAMES.len()];

/// Adds a piece, or puts it in the place of the last one like it.
fn keep(list: &mut Vec<Piece>, counts: &mut Counts, piece: Piece) {
    let (sort, max) = match piece.sort {
        Sort::Plain => (0, PLAIN_MAX),
        Sort::Extended => (1, PLAIN_MAX),
        Sort::Continued { .. } => (2, PIECES_MAX),
    };
    let name = NAMES.iter().position(|name| *name == piece.name).unwrap_or_default();
    let Some(count) = counts.get_mut(name).and_then(|counts| counts.get_mut(sort)) else {
        return;
    };
    let is_alike = |other: &Piece| {
        other.name == piece.name && std::mem::discriminant(&other.sort) == std::mem::discriminant(&piece.sort)
    };
    if *count == max {
        if let Some(last) = list.iter().rposition(is_alike) {
            list.remove(last);
        }
    } else {
        *count += 1;
    }
    list.push(piece);
}

/// A parameter's value.
#[derive(Default, PartialEq, Eq)]
struct Value {
    /// Of a value as RFC 2231 writes it.
    charset: Option<String>,
    octets: Vec<u8>,
}

impl Value {
    /// Adds a piece; the first one has the charset and a language before it, between `'`.
    fn push(&mut self, piece: &[u8], is_extended: bool) {
        let is_first = self.charset.is_none();
        let charset = self.charset.get_or_insert_default();
        if !is_extended {
            return self.octets.extend_from_slice(piece);
        }
        let mut split = piece.splitn(3, |&b| b == b'\'');
        match (split.next(), split.next(), split.next()) {
            // The language was left out with its `'`.
            (Some(_), Some(text), None) if is_first => self.octets.extend(transfer::percent(text)),
            (Some(set), Some(_), Some(text)) if is_first => {
                *charset = String::from_utf8_lossy(set).to_ascii_lowercase();
                self.octets.extend(transfer::percent(text));
            }
            _ => self.octets.extend(transfer::percent(piece)),
        }
    }
}

/// What is left of a value.
struct Lexer<'a> {
    rest: &'a [u8],
    is_verbatim: bool,
    ends_at_blank: bool,
    /// Something was read that a reader who goes by semicolons reads otherwise.
    is_doubtful: bool,
    /// An unquoted value has something behind a blank or a comment.
    has_blanks: bool,
}

impl<'a> Lexer<'a> {
    /// The next parameter, if there is one: its name, and its value.
    fn parameter(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        loop {
            self.skip_blanks();
            let (first, after) = self.rest.split_first()?;
            if matches!(first, b';' | b'=') {
                self.rest = after;
                continue;
            }
            let name = self.name();
            self.skip_blanks();
            if let Some(after) = self.rest.strip_prefix(b"=") {
                self.rest = after;
                self.skip_blanks();
                return Some((name, self.value()));
            }
        }
    }

    /// At least one octet, so that a word without a value is passed over.
    fn name(&mut self) -> Vec<u8> {
        let is_end = |b: &u8| match b {
            b'=' | b';' => true,
            b'(' | b' ' | b'\t' => !self.is_verbatim,
            _ => false,
        };
        let end = self.rest.iter().skip(1).position(is_end).map(|at| at + 1);
        let (name, after) = self
            .rest
            .split_at_checked(end.unwrap_or(self.rest.len()))
            .unwrap_or_default();
        self.rest = after;
        name.trim_ascii_end().to_vec()
    }

    /// White space, and comments in it.
    fn skip_blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_ascii_start();
            match self.comment() {
                Some(after) => self.rest = after,
                None => return,
            }
        }
    }

    /// What follows the comment that begins here (RFC 822 §3.4.3: comments nest). One that never ends has nothing behind
    /// it; who reads verbatim finds what stands in it.
    fn comment(&mut self) -> Option<&'a [u8]> {
        if self.is_verbatim || self.rest.first() != Some(&b'(') {
            return None;
        }
        self.is_doubtful = true;
        let (mut depth, mut is_escaped) = (0_usize, false);
        for (at, octet) in self.rest.iter().enumerate() {
            match octet {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'(' => depth += 1,
                b')' if depth == 1 => return self.rest.get(at + 1..),
                b')' => depth -= 1,
                _ => {}
            }
        }
        Some(&[])
    }

    /// The first word. Quotes are none there, so that one that is never closed hides no parameter.
    fn first(&mut self) -> Vec<u8> {
        let mut word = Vec::new();
        while let Some((&octet, after)) = self.rest.split_first() {
            let behind = self.comment();
            match octet {
                b';' => break,
                b'(' if behind.is_some() => self.rest = behind.unwrap_or_default(),
                _ => {
                    self.rest = after;
                    word.extend(Some(octet).filter(|octet| !matches!(octet, b'"' | b'\\')));
                    if octet.is_ascii_whitespace() && !self.is_verbatim && begins_parameter(after) {
                        self.is_doubtful = true;
                        break;
                    }
                }
            }
        }
        word
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rest.strip_prefix(b"\"") {
            Some(inside) if !self.is_verbatim => self.quoted(inside),
            _ => self.unquoted(),
        }
    }

    /// RFC 2045 §5.1: a quoted string; what stands behind it up to the next parameter is passed over.
    fn quoted(&mut self, inside: &'a [u8]) -> Vec<u8> {
        let (mut value, mut octets) = (Vec::new(), inside.iter());
        self.is_doubtful |= !inside.contains(&b'"');
        while let Some(&octet) = octets.next() {
            match octet {
                b'"' => break,
                b'\\' => value.extend(octets.next()),
                _ => value.push(octet),
            }
        }
        self.rest = octets.as_slice();
        self.skip_blanks();
        if !matches!(self.rest.first(), None | Some(b';')) {
            self.is_doubtful = true;
            if !begins_parameter(self.rest) {
                self.unquoted();
            }
        }
        value
    }

    /// Up to the next parameter, without comments; blanks within are part of it.
    fn unquoted(&mut self) -> Vec<u8> {
        let (mut value, mut is_quoted) = (Vec::new(), false);
        // Where a blank or a comment stands first.
        let mut token = None;
        while let Some((&octet, after)) = self.rest.split_first() {
            if is_quoted || octet == b'"' {
                self.rest = after;
                match (octet, after.split_first()) {
                    // One that is never closed is none.
                    (b'"', _) => is_quoted = !is_quoted && after.contains(&b'"'),
                    (b'\\', Some((&escaped, behind))) => {
                        value.push(escaped);
                        self.rest = behind;
                    }
                    _ => value.push(octet),
                }
                continue;
            }
            if octet == b';' {
                break;
            }
            let (is_blank, comment) = (matches!(octet, b' ' | b'\t'), self.comment());
            if self.is_verbatim || !is_blank && comment.is_none() {
                value.push(octet);
                self.rest = after;
                continue;
            }
            token.get_or_insert(value.len());
            value.extend(Some(b' ').filter(|_| is_blank));
            self.rest = comment.unwrap_or_else(|| after.trim_ascii_start());
            if begins_parameter(self.rest) {
                self.is_doubtful = true;
                break;
            }
        }
        value.truncate(value.trim_ascii_end().len());
        let token = token.unwrap_or(value.len());
        self.has_blanks |= token < value.len();
        if self.ends_at_blank {
            value.truncate(token);
        }
        value
    }
}

/// Whether a name and `=` stand here, so that a semicolon is missing.
fn begins_parameter(rest: &[u8]) -> bool {
    let Some(end) = rest.iter().take(NAME_OCTETS_MAX).position(|b| !is_token(*b)) else {
        return false;
    };
    let behind = rest.iter().skip(end).take(NAME_OCTETS_MAX);
    end > 0 && behind.copied().find(|b| !matches!(b, b' ' | b'\t')) == Some(b'=')
}

/// RFC 2045 §5.1: what a word without quotes is made of.
pub(super) fn is_token(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet)
}
