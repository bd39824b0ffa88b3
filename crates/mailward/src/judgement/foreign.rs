//! Which fields that came with a message are taken out of it, because they claim to be ours or a filter's.
//!
//! Filters, scripts and mail programs behind us believe such fields. What only we may write, and results in our name (RFC
//! 8601 §5), go from everybody. What a filter or a verifier before us may rightly have written stays where the client, after
//! PROXY and XCLIENT, is one of `relay_networks`; strangers' goes:
//!
//! | field | why |
//! |---|---|
//! | `X-Spam-Flag` | we write it, and rules that file go by it |
//! | `BIMI-Indicator`, `BIMI-Location` | a receiver's result, which is shown to people as proven |
//! | ARC-Authentication-Results in our name, outside of a chain that verifies | as Authentication-Results |
//! | those of `[smtp] filter_fields` | filters behind us go by them |
//!
//! `Delivered-To` stays, since loops are found by it, and `BIMI-Selector`, which the author writes and signs.
//!
//! A field that a verified signature of the author covers stays, because the signature would break, unless this table or the
//! field's entry in the list says why it goes all the same: a stranger can sign in its own name whatever it likes.

use super::headers::OwnNames;
use crate::client::Client;
use judge::auth::arc::ArcResult;
use judge::auth::author::Author;
use judge::auth::dkim::DkimResult;
use judge::auth::org::PublicSuffixes;
use judge::evidence::{Fact, Origin};
use mail::auth_results::{claims_arc_authserv_id, claims_authserv_id, names_receiver};
use mail::{Field, Line, Message};
use signatures::Sealed;
use std::fmt;

/// Fields that only we may write, with those of the original; `*` at the end stands for any rest.
const OURS: &[&str] = &[
    "X-HELO",
    "X-REMOTE-IP",
    "X-REMOTE-HOST",
    "X-MAIL-FROM",
    "X-RCPT-TO",
    "X-DOMAIN",
    "X-LOCALPART",
    "X-DKIM-RESULT",
    "X-REJECT-*",
    "X-MS.com-Virus",
    "X-Mailward*",
];

/// Those of the table above that go by their names.
const OF_RECEIVERS: &[&str] = &["X-Spam-Flag", "BIMI-Indicator", "BIMI-Location"];

/// What no entry of the list may name, because mail would be lost, shown as something else, or go in circles without it.
const NEEDED: &[&str] = &[
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Received",
    "Return-Path",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "DKIM-Signature",
    "ARC-Seal",
    "ARC-Message-Signature",
    "ARC-Authentication-Results",
    "Delivered-To",
    "BIMI-Selector",
    "List-Id",
];

/// Longest reason of an entry, in characters.
const WHY_CHARS_MAX: usize = 200;
/// So many of the fields that are taken out are recorded, and so much of each.
const RECORDED_MAX: usize = 20;
const RECORDED_CHARS_MAX: usize = 200;

/// An entry of `[smtp] filter_fields`: `NAME`, `NAME*`, or either with a colon and why it goes even where the author's
/// signature covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterField {
    pattern: Box<str>,
    why: Option<Line>,
}

impl FilterField {
    /// RFC 5322 §2.2: a name is printable ASCII without a colon. `None` for what is none, and for what mail needs.
    pub fn parse(text: &str) -> Option<FilterField> {
        let (pattern, why) = match text.split_once(':') {
            Some((pattern, why)) => (pattern, Some(Line::clean(why.as_bytes(), WHY_CHARS_MAX))),
            None => (text, None),
        };
        let stem = pattern.strip_suffix('*').unwrap_or(pattern);
        let is_name = !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_graphic() && b != b'*');
        let is_needed = NEEDED.iter().any(|name| matches(pattern, name.as_bytes()));
        let has_why = why.as_ref().is_none_or(|why| !why.as_str().is_empty());
        (is_name && !is_needed && has_why).then(|| FilterField {
            pattern: pattern.into(),
            why,
        })
    }

    /// Those of SpamAssassin and rspamd. Where a filter behind us takes the message for judged by them, it goes by the
    /// first four.
    pub fn usual() -> Vec<FilterField> {
        let why = Some(Line::literal("filters and filing rules go by it"));
        let entry = |pattern: &str, why: &Option<Line>| FilterField {
            pattern: pattern.into(),
            why: why.clone(),
        };
        let believed = ["X-Spam", "X-Spam-Status", "X-Spam-Level", "X-Spam-Score"];
        let believed = believed.iter().map(|pattern| entry(pattern, &why));
        let others = ["X-Spam-*", "X-Spamd-*"].iter().map(|pattern| entry(pattern, &None));
        believed.chain(others).collect()
    }
}

impl fmt::Display for FilterField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Some(why) => write!(f, "{}: {why}", self.pattern),
            None => f.write_str(&self.pattern),
        }
    }
}

/// Which fields of one message go.
pub(super) struct Sieve<'a> {
    own: &'a OwnNames,
    /// A client of `relay_networks` sent it.
    is_relayed: bool,
    /// Its ARC chain verifies, or cannot be verified now.
    has_chain: bool,
    /// The places of fields that the author's signature covers.
    signed: Vec<usize>,
}

impl<'a> Sieve<'a> {
    /// For a message of which nothing is proven.
    pub fn new(own: &'a OwnNames, client: &Client) -> Sieve<'a> {
        Sieve {
            own,
            is_relayed: client.is_relayed,
            has_chain: false,
            signed: Vec::new(),
        }
    }

    /// The same, once it is known what was proven of it.
    pub fn proven(mut self, message: &Message<'_>, origin: &Origin, suffixes: &PublicSuffixes) -> Sieve<'a> {
        self.has_chain = origin
            .arc
            .found()
            .is_some_and(|arc| matches!(arc.result, ArcResult::Pass | ArcResult::TempError));
        self.signed = signed_by_author(message, origin, suffixes);
        self
    }

    /// For a message that was delivered before: what a signature covers was kept then if it verified, and may not do so now.
    pub fn delivered(mut self, message: &Message<'_>) -> Sieve<'a> {
        let sealed = Sealed::read(message);
        self.has_chain = true;
        self.signed = (0..sealed.signatures()).flat_map(|n| sealed.covered(n)).collect();
        self
    }

    /// Whether the field at `place` goes.
    pub fn removes(&self, place: usize, field: &Field<'_>) -> bool {
        let OwnNames {
            authserv_id,
            hostname,
            filter_fields,
        } = self.own;
        let name = field.name();
        let is_of = |list: &[&str]| list.iter().any(|pattern| matches(pattern, name));
        let is_ours = is_of(OURS)
            || field.is("Authentication-Results") && claims_authserv_id(&field.value(), authserv_id)
            || field.is("Received-SPF") && names_receiver(&field.value(), hostname);
        if is_ours || self.is_relayed {
            return is_ours;
        }
        let is_signed = self.signed.contains(&place);
        let mut entries = filter_fields.iter().filter(|entry| matches(&entry.pattern, name));
        is_of(OF_RECEIVERS)
            || entries.any(|entry| entry.why.is_some() || !is_signed)
            || field.is("ARC-Authentication-Results")
                && !self.has_chain
                && claims_arc_authserv_id(&field.value(), authserv_id)
    }
}

/// Whether a field's name is that of an entry, in any case.
fn matches(pattern: &str, name: &[u8]) -> bool {
    match pattern.strip_suffix('*') {
        Some(stem) => name
            .get(..stem.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(stem.as_bytes())),
        None => name.eq_ignore_ascii_case(pattern.as_bytes()),
    }
}

/// The places of the fields that a verified signature of the author's organization covers.
fn signed_by_author(message: &Message<'_>, origin: &Origin, suffixes: &PublicSuffixes) -> Vec<usize> {
    let (Fact::Found(Author::One { domain, .. }), Fact::Found(results)) = (&origin.author, &origin.dkim) else {
        return Vec::new();
    };
    let organization = suffixes.organizational(domain);
    let is_authors = |(_, found): &(usize, &judge::auth::dkim::Dkim)| {
        let signer = found.domain.as_ref().map(|signer| suffixes.organizational(signer));
        found.result == DkimResult::Pass && signer.as_ref() == Some(&organization)
    };
    let mut passing = results.iter().enumerate().filter(is_authors).peekable();
    if passing.peek().is_none() {
        return Vec::new();
    }
    let sealed = Sealed::read(message);
    passing.flat_map(|(number, _)| sealed.covered(number)).collect()
}

/// What is recorded of fields that are taken out.
pub(super) fn recorded<'a>(removed: impl Iterator<Item = &'a Field<'a>>) -> Vec<Line> {
    let line = |field: &Field<'_>| {
        let text = [field.name(), b": ", &*field.value()].concat();
        Line::clean(&text, RECORDED_CHARS_MAX)
    };
    removed.take(RECORDED_MAX).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::headers::{HeaderChange, as_it_came, kept_fields, removals, removals_by};
    use super::*;
    use judge::auth::arc::Arc;
    use judge::auth::dkim::Dkim;
    use judge::resolver::Security;
    use mail::Domain;

    fn own() -> OwnNames {
        OwnNames {
            authserv_id: "id.example".into(),
            hostname: "mx.example.com".into(),
            filter_fields: FilterField::usual(),
        }
    }

    fn stranger() -> Client {
        Client::at([198, 51, 100, 9].into())
    }

    /// Those that go, as `name: value`, without what is folded.
    fn gone(text: &str, client: &Client) -> Vec<usize> {
        let message = Message::parse(text.as_bytes());
        let place = |change| match change {
            HeaderChange::Remove(place) => place,
            other => panic!("{other:?}"),
        };
        removals(&message, &own(), client).into_iter().map(place).collect()
    }

    #[test]
    fn what_only_we_may_write_goes_from_everybody() {
        let relayed = Client {
            is_relayed: true,
            ..stranger()
        };
        for field in [
            "x-helo: a",
            "X-Reject-Reason: a",
            "X-MAILWARD-ANYTHING: a",
            "X-Mailward: a",
            "x-reject-: a",
            "X-DKIM-RESULT: pass",
            "Authentication-Results: id.example; spf=pass",
            "Authentication-Results: ; id.example; spf=pass",
            "Received-SPF: pass (x) receiver=MX.example.com; identity=mailfrom",
            "Received-SPF: pass (x) receiver=mx(c).example.com",
        ] {
            for client in [stranger(), relayed] {
                assert_eq!(gone(&format!("{field}\r\n\r\n"), &client), [0], "{field}");
            }
        }
    }

    /// A filter behind us that trusts them let a spammer's own word decide.
    #[test]
    fn fields_of_filters_go_unless_one_of_our_networks_sent_them() {
        let relayed = Client {
            is_relayed: true,
            ..stranger()
        };
        for field in [
            "X-Spam-Flag: NO",
            "x-spam-status: No, score=-9",
            "X-Spam-Level:",
            "X-Spam-Anything: x",
            "X-Spam: no",
            "X-Spamd-Result: default: False",
            "ARC-Authentication-Results: i=1; id.example; dmarc=pass",
            "ARC-Authentication-Results: i=1;; (x) \"id.example\"; dmarc=pass",
            "BIMI-Indicator: PHN2Zz4=",
            "bimi-location: https://evil.example/logo.svg",
        ] {
            let text = format!("{field}\r\n\r\n");
            assert_eq!(gone(&text, &stranger()), [0], "{field}");
            assert_eq!(gone(&text, &relayed), [] as [usize; 0], "{field}");
        }
        for field in [
            "Delivered-To: foo@example.com",
            "BIMI-Selector: v=BIMI1; s=default",
            "Received-SPF: pass (x) receiver=relay.other.example",
            "Authentication-Results: mx.example.com; spf=pass",
            "ARC-Authentication-Results: i=1; other.example; dmarc=pass",
            "X-Mailer: X-Spam-Flag",
            "X-Reject: x",
            "X-HELO2: x",
        ] {
            assert_eq!(
                gone(&format!("{field}\r\n\r\n"), &stranger()),
                [] as [usize; 0],
                "{field}"
            );
        }
    }

    fn dkim(result: DkimResult, domain: &str) -> Dkim {
        Dkim {
            result,
            domain: Domain::parse(domain).ok(),
            selector: Line::literal("s1"),
            identity: None,
            algorithm: Line::literal("rsa-sha256"),
            key_bits: Some(2048),
            start: Line::literal("AAAA"),
            is_testing: false,
            why: Line::default(),
            security: Security::Unknown,
        }
    }

    const SIGNED: &str = "X-Spam-Report: late\r\n\
        DKIM-Signature: v=1; a=rsa-sha256; d=news.shop.example; s=s1; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\
        \th=from:x-spam-report:x-spam-status:bimi-location; b=AAAA\r\n\
        From: a@shop.example\r\nX-Spam-Report: signed\r\nX-Spam-Status: No\r\nBIMI-Location: x\r\n\r\n";

    fn origin(author: &str, result: DkimResult) -> Origin {
        let domain = Domain::parse(author.rsplit('@').next().unwrap()).unwrap();
        Origin {
            author: Fact::Found(Author::One {
                address: Line::reason(author.as_bytes()),
                domain,
            }),
            dkim: Fact::Found(vec![dkim(result, "news.shop.example")]),
            ..Origin::default()
        }
    }

    fn gone_by(text: &str, origin: &Origin) -> Vec<HeaderChange> {
        let (own, message) = (own(), Message::parse(text.as_bytes()));
        let sieve = Sieve::new(&own, &stranger()).proven(&message, origin, &PublicSuffixes::BuiltIn);
        removals_by(&sieve, &message)
    }

    #[test]
    fn what_the_authors_signature_covers_goes_only_where_the_list_says_why() {
        let remove =
            |places: &[usize]| -> Vec<HeaderChange> { places.iter().copied().map(HeaderChange::Remove).collect() };
        let pass = DkimResult::Pass;
        // The lower X-Spam-Report is the one that is signed. Status and location go all the same.
        assert_eq!(gone_by(SIGNED, &origin("a@shop.example", pass)), remove(&[0, 4, 5]));
        // Not verified, or somebody else's.
        let all = remove(&[0, 3, 4, 5]);
        assert_eq!(gone_by(SIGNED, &origin("a@shop.example", DkimResult::Fail)), all);
        assert_eq!(gone_by(SIGNED, &origin("a@bank.example", pass)), all);
        assert_eq!(gone_by(SIGNED, &Origin::default()), all);
    }

    #[test]
    fn results_of_ours_stay_in_a_chain_that_verifies() {
        let text = "ARC-Authentication-Results: i=1; id.example; dmarc=pass\r\n\r\n";
        for (result, stays) in [
            (ArcResult::Pass, true),
            (ArcResult::TempError, true),
            (ArcResult::Fail, false),
            (ArcResult::None, false),
        ] {
            let arc = Arc {
                result,
                sets: Vec::new(),
                why: Line::default(),
            };
            let origin = Origin {
                arc: Fact::Found(arc),
                ..Origin::default()
            };
            assert_eq!(gone_by(text, &origin).is_empty(), stays, "{result}");
        }
    }

    #[test]
    fn entries_of_the_list_are_names_that_mail_can_do_without() {
        for text in ["X-Spam-*", "X-Spam-Flag: rules go by it", "x-foo", "X*"] {
            let entry = FilterField::parse(text).unwrap();
            assert_eq!(entry.to_string(), text);
        }
        for entry in FilterField::usual() {
            assert_eq!(FilterField::parse(&entry.to_string()), Some(entry));
        }
        for text in [
            "", "*", "X-*-Y", "X Spam", "X-Spam:", "X-Spam: ", "Fröm", "From", "received", "Rec*", "List-*", "D*",
        ] {
            assert_eq!(FilterField::parse(text), None, "{text}");
        }
    }

    /// `scan` of a delivered message takes out what was added since, by us and behind us, and no more: a signature that
    /// verified when the message came verifies again.
    #[test]
    fn a_delivered_message_is_scanned_as_it_came() {
        let top = "Authentication-Results: id.example; dkim=pass\r\n\
                   Received: from mx.shop.example ([192.0.2.1])\r\n\tby mx.example.com with ESMTP id 0ENFCF0PKZEE; now\r\n\
                   X-Mailward-Id: 0ENFCF0PKZEE aa\r\n";
        let (came, blank) = SIGNED.split_at(SIGNED.len() - 2);
        let delivered = [
            top,
            came,
            "X-HELO: mx.shop.example\r\nX-Spam-Level: **\r\n",
            blank,
            "body\r\n",
        ]
        .concat();
        let message = Message::parse(delivered.as_bytes());
        let scanned = as_it_came(&message, &own(), &stranger()).unwrap();
        let scanned = String::from_utf8(scanned).unwrap();
        let gone = gone_by(SIGNED, &origin("a@shop.example", DkimResult::Pass));
        let parsed = Message::parse(SIGNED.as_bytes());
        let kept = String::from_utf8(kept_fields(&parsed, &gone)).unwrap();
        assert_eq!(scanned, format!("{kept}\r\nbody\r\n"));
    }

    #[test]
    fn what_is_recorded_is_short() {
        let text = "X-Spam-Status: No,\r\n\tscore=-9\r\n".repeat(50) + "\r\n";
        let message = Message::parse(text.as_bytes());
        let lines = recorded(message.fields().iter());
        assert_eq!(lines.len(), RECORDED_MAX);
        assert_eq!(lines[0].as_str(), "X-Spam-Status: No, score=-9");
    }
}
