//! The lines between command line and daemon.
//!
//! A raw message may hold any octets; where a piece is not UTF-8 it travels as `octets`, each octet the character of
//! the same number.

use crate::cli::ask::Ask;
use serde::{Deserialize, Serialize};

/// The version of the lines. A daemon that was not restarted after an update says so rather than misunderstand.
pub(super) const VERSION: u32 = 1;
/// The longest request, in octets.
pub(super) const REQUEST_OCTETS_MAX: u64 = 64 * 1024;
/// Octets of one piece of an answer.
pub(super) const PIECE_OCTETS: usize = 16 * 1024;
/// The longest line of an answer: every octet of a piece may become an escape of six.
pub(super) const LINE_OCTETS_MAX: u64 = 8 * PIECE_OCTETS as u64;

/// One request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// [`VERSION`].
    pub mailward: u32,
    /// How wide a table may be; it is not cut where this is null or missing.
    #[serde(default)]
    pub columns: Option<usize>,
    pub ask: Ask,
}

/// What every version has, to tell which one it is.
#[derive(Debug, Deserialize)]
pub(super) struct AnyRequest {
    pub mailward: u32,
}

/// One line of an answer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Piece {
    /// For standard output.
    Text(String),
    /// For standard output: octets that are no UTF-8.
    Octets(String),
    /// For standard error.
    Error(String),
    /// The end: the exit code.
    Exit(u8),
    /// The end: it could not be done. For standard error, whole with `error:` and `hint:`.
    Failed(String),
}

impl Piece {
    pub(super) fn of(octets: &[u8]) -> Piece {
        match std::str::from_utf8(octets) {
            Ok(text) => Piece::Text(text.to_owned()),
            Err(_) => Piece::Octets(octets.iter().map(|octet| char::from(*octet)).collect()),
        }
    }

    /// The octets of a piece that is [`Piece::Octets`]; characters that stand for none are left out.
    pub(super) fn octets(text: &str) -> Vec<u8> {
        text.chars().filter_map(|c| u8::try_from(c).ok()).collect()
    }
}

/// A line, with its end.
pub(super) fn line<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(value).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_octets_arrive_as_they_are(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let line = line(&Piece::of(&octets)).unwrap();
            prop_assert_eq!(line.matches('\n').count(), 1);
            let got = match serde_json::from_str(&line).unwrap() {
                Piece::Text(text) => text.into_bytes(),
                Piece::Octets(text) => Piece::octets(&text),
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(got, octets);
        }
    }

    #[test]
    fn no_piece_is_longer_than_a_line_may_be() {
        for octet in [0, b'"', 0x1f, 0x7f, 0xff] {
            let line = line(&Piece::of(&[octet; PIECE_OCTETS])).unwrap();
            assert!(line.len() as u64 <= LINE_OCTETS_MAX, "{octet}");
        }
    }

    #[test]
    fn a_request_reads_as_the_page_says() {
        let text = r#"{"mailward":1,"columns":100,"ask":{"why":{"id":null,"json":false}}}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        assert!(matches!(request.ask, Ask::Why(_)));
        assert_eq!(line(&request).unwrap().trim_end(), text);
        let piped: Request = serde_json::from_str(r#"{"mailward":1,"columns":null,"ask":"reload"}"#).unwrap();
        assert_eq!(piped.columns, None);
        let reload: Request = serde_json::from_str(r#"{"mailward":1,"columns":1,"ask":"reload"}"#).unwrap();
        assert!(matches!(reload.ask, Ask::Reload));
    }
}
