//! What an ARC-Authentication-Results field says that passed (RFC 8617 §4.1.1, RFC 8601 §2.2). Tolerant: what is not
//! understood is passed over.

use super::ArcSet;
use crate::auth::dkim::{is_fws, number};
use mail::Domain;

/// Domains that one field can name as signers.
const DKIM_MAX: usize = 10;
/// Pairs of a name and a value in one field.
const PAIRS_MAX: usize = 1000;

/// Comments and quoted strings taken away, as far as results need it: words, `=` and `;`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(Vec<u8>),
    Equals,
    Semicolon,
}

/// Reads words off a field's value.
struct Tokens<'a> {
    rest: &'a [u8],
    /// The last token was `=`, so that what follows may hold others.
    is_value: bool,
}

impl Tokens<'_> {
    fn take(&mut self) -> Option<u8> {
        let (&octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(octet)
    }

    /// Passes over a comment whose first parenthesis is taken already; comments may hold comments.
    fn skip_comment(&mut self) {
        let mut depth = 1_usize;
        while let Some(octet) = self.take() {
            match octet {
                b'\\' => drop(self.take()),
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Takes a quoted string whose first quote is taken already.
    fn take_quoted(&mut self, word: &mut Vec<u8>) {
        while let Some(octet) = self.take() {
            match octet {
                b'"' => return,
                b'\\' => word.extend(self.take()),
                _ => word.push(octet),
            }
        }
    }

    fn word(&mut self) -> Token {
        let mut word = Vec::new();
        while let Some(&octet) = self.rest.first() {
            if is_fws(octet) || matches!(octet, b';' | b'(') || (octet == b'=' && !self.is_value) {
                break;
            }
            self.take();
            match octet {
                b'"' => self.take_quoted(&mut word),
                _ => word.push(octet),
            }
        }
        Token::Word(word)
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let &octet = self.rest.first()?;
            if is_fws(octet) {
                self.take();
                continue;
            }
            let token = match octet {
                b'(' => {
                    self.take();
                    self.skip_comment();
                    continue;
                }
                b';' => {
                    self.take();
                    Token::Semicolon
                }
                b'=' if !self.is_value => {
                    self.take();
                    Token::Equals
                }
                _ => self.word(),
            };
            self.is_value = token == Token::Equals;
            return Some(token);
        }
    }
}

fn tokens(value: &[u8]) -> Tokens<'_> {
    Tokens {
        rest: value,
        is_value: false,
    }
}

/// The instance at the front, `i=1;` (RFC 8617 §4.2.1), and what follows its semicolon.
pub(super) fn instance(value: &[u8]) -> Option<(u64, &[u8])> {
    let mut tokens = tokens(value);
    let is_name = tokens.next()? == Token::Word(b"i".to_vec());
    let is_pair = is_name && tokens.next()? == Token::Equals;
    let Token::Word(digits) = tokens.next()? else {
        return None;
    };
    let is_over = tokens.next()? == Token::Semicolon;
    (is_pair && is_over).then(|| Some((number(&digits)?, tokens.rest)))?
}

/// Adds what passed to the set.
pub(super) fn read(payload: &[u8], set: &mut ArcSet) {
    // Before the first semicolon stands who says it.
    let tokens = tokens(payload).skip_while(|token| *token != Token::Semicolon);
    let (mut statement, mut last, mut pairs) = (Vec::new(), None, 0_usize);
    let mut is_value = false;
    for token in tokens {
        match token {
            Token::Semicolon => {
                add(&statement, set);
                statement.clear();
                (last, is_value) = (None, false);
            }
            Token::Equals => is_value = last.is_some(),
            Token::Word(value) if is_value => {
                pairs += 1;
                if pairs > PAIRS_MAX {
                    break;
                }
                statement.extend(last.take().map(|name| (name, value)));
                is_value = false;
            }
            Token::Word(name) => last = Some(name),
        }
    }
    add(&statement, set);
}

type Pair = (Vec<u8>, Vec<u8>);

/// One statement: a method with its result, and properties.
fn add(statement: &[Pair], set: &mut ArcSet) {
    let Some(((method, result), properties)) = statement.split_first() else {
        return;
    };
    if !result.eq_ignore_ascii_case(b"pass") {
        return;
    }
    let property = |name: &str| {
        let is_it = |pair: &&Pair| pair.0.eq_ignore_ascii_case(name.as_bytes());
        properties.iter().find(is_it).and_then(|pair| domain(&pair.1))
    };
    // A version may stand behind the method: `dkim/1`.
    let method = method.split(|&octet| octet == b'/').next().unwrap_or_default();
    match method.to_ascii_lowercase().as_slice() {
        b"dmarc" => set.dmarc_pass = set.dmarc_pass.take().or_else(|| property("header.from")),
        b"spf" => set.spf_pass = set.spf_pass.take().or_else(|| property("smtp.mailfrom")),
        b"dkim" => {
            let found = property("header.d").or_else(|| property("header.i"));
            let is_new = |domain: &Domain| set.dkim_pass.len() < DKIM_MAX && !set.dkim_pass.contains(domain);
            if let Some(domain) = found.filter(is_new) {
                set.dkim_pass.push(domain);
            }
        }
        _ => {}
    }
}

/// The domain of `user@domain`, `@domain` or `domain`.
fn domain(text: &[u8]) -> Option<Domain> {
    let text = std::str::from_utf8(text).ok()?;
    Domain::parse(text.rsplit('@').next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn results(value: &str) -> Option<(u64, ArcSet)> {
        let (instance, payload) = instance(value.as_bytes())?;
        let mut set = ArcSet::default();
        read(payload, &mut set);
        Some((instance, set))
    }

    fn names(domains: &[Domain]) -> Vec<&str> {
        domains.iter().map(Domain::as_str).collect()
    }

    #[test]
    fn what_passed_is_found_among_comments_and_quotes() {
        let (instance, set) = results(
            " i=2 ; mx.example 1 (a comment (in a ; comment) \\) dkim=pass);\r\n\
             dkim=pass (1024-bit key; \"x) header.i=@List.example header.s=s1 header.b=ab=cd;\
             dkim = pass header.d = other.example reason=\"good; dmarc=pass header.from=evil.example\";\
             dkim=fail header.d=no.example; dkim/1=PASS header.i=\"joe (;) doe\"@quoted.example;\
             spf=pass (mx: x designates y) smtp.mailfrom=b+srs=ab=x.example=joe@bounce.example;\
             dmarc=pass (p=REJECT) header.from=author.example; dmarc=pass header.from=second.example",
        )
        .unwrap();
        assert_eq!(instance, 2);
        assert_eq!(
            names(&set.dkim_pass),
            ["list.example", "other.example", "quoted.example"]
        );
        assert_eq!(set.spf_pass.unwrap().as_str(), "bounce.example");
        assert_eq!(set.dmarc_pass.unwrap().as_str(), "author.example");
    }

    #[test]
    fn what_did_not_pass_is_not_found() {
        for text in [
            "i=1; mx.example; none",
            "i=1; mx.example; dmarc=fail header.from=a.example",
            "i=1; mx.example; dmarc=pass",
            "i=1; mx.example; (dmarc=pass header.from=a.example)",
            "i=1; dmarc=pass header.from=a.example",
            "i=1; mx.example; x=dmarc=pass header.from=a.example",
            "i=1; mx.example; dmarc=\"pass header.from=a.example",
            "i=1; mx.example; dmarc=pass (header.from=a.example",
        ] {
            assert_eq!(results(text).unwrap().1, ArcSet::default(), "{text}");
        }
        for text in [
            "",
            "mx.example; i=1; none",
            "i=1 mx.example; none",
            "i=; x",
            "i=a; x",
            "i=1",
            "I=1; x",
            "(i=1; x",
        ] {
            assert_eq!(results(text), None, "{text}");
        }
    }

    #[test]
    fn no_more_than_ten_signers_are_kept() {
        let many: String = (0..100).map(|n| format!("; dkim=pass header.d=d{n}.example")).collect();
        let set = results(&format!("i=1; mx.example{many}")).unwrap().1;
        assert_eq!(set.dkim_pass.len(), DKIM_MAX);
    }

    proptest! {
        #[test]
        fn any_octets_are_read(octets in proptest::collection::vec(
            prop_oneof![Just(b'('), Just(b')'), Just(b'"'), Just(b'\\'), Just(b';'), Just(b'='), Just(b' '), any::<u8>()], 0..300)) {
            let _ = instance(&octets);
            read(&octets, &mut ArcSet::default());
        }

        #[test]
        fn comments_may_be_deep(depth in 1usize..100_000) {
            let text = format!("i=1; mx.example {}{}; dmarc=pass header.from=a.example", "(".repeat(depth), ")".repeat(depth));
            prop_assert!(results(&text).unwrap().1.dmarc_pass.is_some());
        }
    }
}
