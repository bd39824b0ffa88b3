//! The words of the field: comments, quoted strings, tokens (RFC 5322 §3.2, RFC 2045 §5.1).

use crate::text::Line;
use std::fmt;

/// So much of a comment is kept; a [`Line::reason`] shows no more.
const COMMENT_OCTETS_MAX: usize = 1024;

/// Why a field cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthResultsError {
    /// A comment is not closed.
    Comment,
    /// A quoted string is not closed.
    Quote,
    /// It does not begin with an authserv-id.
    Id,
    /// A part is no result: `method=result` with properties.
    Result,
    /// More results, properties or octets in a value than are read.
    TooMany,
    /// An ARC-Authentication-Results field that does not begin with its instance.
    Instance,
}

/// What is left of a value. Never moves past its end.
#[derive(Clone)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Cursor<'a> {
        Cursor(octets)
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    fn bump(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes `octet` if it is next.
    pub(super) fn take(&mut self, octet: u8) -> bool {
        let is_next = self.peek() == Some(octet);
        if is_next {
            self.bump();
        }
        is_next
    }

    /// Takes octets while they are of a kind.
    pub(super) fn take_while(&mut self, is_of_kind: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|&b| !is_of_kind(b)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(end).unwrap_or((self.0, &[]));
        self.0 = rest;
        taken
    }

    /// Passes over white space, line ends and comments; gives the text of the first comment.
    pub(super) fn skip_cfws(&mut self) -> Result<Option<Line>, AuthResultsError> {
        let mut first = None;
        loop {
            self.take_while(is_blank);
            if self.peek() != Some(b'(') {
                return Ok(first);
            }
            let comment = self.comment()?;
            first.get_or_insert(comment);
        }
    }

    /// Nesting is counted, not followed, so that no depth costs anything.
    fn comment(&mut self) -> Result<Line, AuthResultsError> {
        let mut text = Vec::new();
        let mut depth = 1_usize;
        self.bump();
        while let Some(octet) = self.bump() {
            let kept = match octet {
                b'\\' => self.bump().ok_or(AuthResultsError::Comment)?,
                octet => octet,
            };
            match octet {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(Line::reason(&text));
            }
            if text.len() < COMMENT_OCTETS_MAX {
                text.push(kept);
            }
        }
        Err(AuthResultsError::Comment)
    }

    /// A quoted string, its quotes and escapes taken away; the cursor stands at the first quote.
    pub(super) fn quoted(&mut self) -> Result<Vec<u8>, AuthResultsError> {
        let mut text = Vec::new();
        self.bump();
        while let Some(octet) = self.bump() {
            match octet {
                b'"' => return Ok(text),
                b'\\' => text.push(self.bump().ok_or(AuthResultsError::Quote)?),
                b'\r' | b'\n' => {}
                octet => text.push(octet),
            }
        }
        Err(AuthResultsError::Quote)
    }

    /// A keyword (RFC 5321 §4.1.2), lower-cased; empty where there is none. `_` and longer runs of `-` are in use.
    pub(super) fn keyword(&mut self) -> String {
        let word = self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        String::from_utf8_lossy(word).to_ascii_lowercase()
    }
}

pub(super) fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// What an unquoted value is made of where it is read: more than a token (RFC 2045 §5.1), because addresses, octets in
/// Base64 and IPv6 addresses are often written without quotes.
pub(super) fn is_loose(octet: u8) -> bool {
    octet > b' ' && octet != 0x7f && !matches!(octet, b'"' | b'(' | b')' | b';')
}

/// RFC 2045 §5.1.
pub(super) fn is_token(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c)
}

impl fmt::Display for AuthResultsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthResultsError::Comment => "a comment is not closed",
            AuthResultsError::Quote => "a quoted string is not closed",
            AuthResultsError::Id => "there is no authserv-id",
            AuthResultsError::Result => "a part is no result",
            AuthResultsError::TooMany => "there is too much in it",
            AuthResultsError::Instance => "there is no instance",
        })
    }
}

impl std::error::Error for AuthResultsError {}
