//! What proves who sent a message: fields and records that a sender writes.

use judge::auth::author::{Author, read};
use judge::auth::dmarc::{Dmarc, DmarcResult, Evidence, Wish, evaluate};
use judge::auth::org::PublicSuffixes;
use judge::auth::spf::{Spf, SpfResult};
use judge::resolver::{Answer, BoxFuture, Outcome, Question, Record, Resolver, Security};
use mail::auth_results::{AuthResults, Encoding, Finding, ParsedResults, claims_authserv_id, parse, parse_arc};
use mail::auth_results::{PROPERTIES_MAX, RESULTS_MAX, VALUE_OCTETS_MAX};
use mail::{Domain, Line, Message};

const OURS: &str = "mx.site.example";

/// Any field is read within limits or refused; one that is read as ours is found to be; what is foreign comes out of a
/// field of ours as it went in.
pub fn auth_results(octets: &[u8]) {
    let parsed = parse(octets);
    if let Ok(parsed) = &parsed {
        check_results(parsed);
        let id = parsed.authserv_id.as_str();
        assert!(Domain::parse(id).is_err() || claims_authserv_id(octets, id));
        let is_ours = Domain::parse(id).is_ok_and(|id| id.as_str() == OURS);
        assert!(!is_ours || claims_authserv_id(octets, OURS), "ours is not found");
    }
    if let Ok((instance, parsed)) = parse_arc(octets) {
        assert!((1..=50).contains(&instance));
        check_results(&parsed);
    }
    let lower = octets.to_ascii_lowercase();
    let begins = lower.strip_prefix(OURS.as_bytes());
    if begins.is_some_and(|rest| rest.is_empty() || rest.starts_with(b";") || rest.starts_with(b" ")) {
        assert!(claims_authserv_id(octets, OURS), "ours is not found");
    }
    for encoding in [Encoding::Ascii, Encoding::Utf8] {
        check_written(&String::from_utf8_lossy(octets), encoding);
    }
}

fn check_results(parsed: &ParsedResults) {
    assert!(parsed.results.len() <= RESULTS_MAX);
    for result in &parsed.results {
        assert!(!result.method.as_str().is_empty() && !result.result.as_str().is_empty());
        assert!(result.properties.len() <= PROPERTIES_MAX);
        for property in &result.properties {
            assert!(property.value.as_str().chars().count() <= 10 * VALUE_OCTETS_MAX);
        }
    }
}

fn check_written(text: &str, encoding: Encoding) {
    let mut field = AuthResults::new(OURS);
    for (method, result) in [("spf", "pass"), ("dkim", "fail")] {
        let finding = Finding::new(method, result).comment(text).reason(text);
        field.push(
            finding
                .property("smtp.mailfrom", text)
                .property("header.d", "b.example"),
        );
    }
    let written = String::from_utf8(field.to_field(encoding)).expect("UTF-8");
    assert!(encoding == Encoding::Utf8 || written.is_ascii());
    for (n, line) in written
        .strip_suffix("\r\n")
        .expect("a line end")
        .split("\r\n")
        .enumerate()
    {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n']) && !line.trim().is_empty());
        assert_eq!(n > 0, line.starts_with('\t'));
    }
    let value = written.strip_prefix("Authentication-Results:").expect("the name");
    assert!(claims_authserv_id(value.as_bytes(), OURS));
    let parsed = parse(value.as_bytes()).expect("ours is read again");
    assert_eq!((parsed.authserv_id.as_str(), parsed.results.len()), (OURS, 2));
    let said = Line::reason(text.as_bytes());
    let said = if encoding == Encoding::Ascii {
        said.to_ascii()
    } else {
        said.as_str().into()
    };
    for result in &parsed.results {
        let read = |line: &Option<Line>| line.as_ref().map_or(String::new(), |line| line.as_str().to_owned());
        assert_eq!(
            (read(&result.comment), read(&result.reason)),
            (said.to_string(), said.to_string())
        );
        let mailfrom = result.property("smtp", "mailfrom");
        assert!(mailfrom.is_none_or(|value| value.as_str() == text));
        assert_eq!(result.property("header", "d").map(Line::as_str), Some("b.example"));
    }
}

/// Any From field has an author or none. Line breaks of folding and an empty element change no author; another field or
/// another address never leaves one author of another domain.
pub fn author(octets: &[u8]) {
    let found = of_fields(&[octets]);
    match &found {
        Author::One { address, domain } => {
            assert!(address.as_str().ends_with(&format!("@{domain}")));
            assert!(address.as_str().chars().count() <= 512);
        }
        Author::Several(domains) => assert!((1..=10).contains(&domains.len())),
        Author::Unreadable(why) => assert!(!why.as_str().is_empty()),
        Author::Disputed(domains) => assert!((2..=4).contains(&domains.len())),
        Author::None => {}
    }
    if octets.contains(&b'\n') {
        // What follows a line end may be another field.
        return;
    }
    assert_eq!(
        of_fields(&[&[b"\r\n ", octets].concat()]),
        found,
        "folding changes the author"
    );
    assert_eq!(
        of_fields(&[&[b",", octets].concat()]),
        found,
        "an empty element changes the author"
    );
    let both = of_fields(&[&[octets, b", z@other.example"].concat()]);
    if let (Author::One { domain, .. }, Author::One { domain: of_both, .. }) = (&found, &both) {
        assert_eq!((domain, domain.as_str()), (of_both, "other.example"));
    }
    let two = of_fields(&[octets, b"z@other.example"]);
    let is_same = matches!(&two, Author::One { address, .. } if address.as_str() == "z@other.example");
    assert!(
        matches!(two, Author::Several(_)) || is_same && two == found,
        "two fields: {two:?}"
    );
}

fn of_fields(values: &[&[u8]]) -> Author {
    let fields = values.iter().flat_map(|value| [b"From: ", *value, b"\r\n"]);
    read(&Message::parse(&fields.collect::<Vec<_>>().concat()))
}

/// The same text at every name.
struct Everywhere<'a>(&'a [u8]);

impl Resolver for Everywhere<'_> {
    fn ask(&self, _: Question) -> BoxFuture<'_, Answer> {
        let answer = Answer {
            outcome: Outcome::Records([Record::Txt(self.0.into())].into()),
            security: Security::Unknown,
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Any text is a record or none; it never makes a stranger pass, a lot never makes the wish stricter than published, and
/// an owner's own mail passes whatever the record says.
pub fn dmarc_record(octets: &[u8]) {
    let stranger = judged(octets, "y.test", 0);
    assert!(
        matches!(stranger.result, DmarcResult::None | DmarcResult::Fail),
        "{}",
        stranger.why
    );
    let is_version = octets.first().is_some_and(|b| b.eq_ignore_ascii_case(&b'v'));
    let is_record = is_version && octets.windows(6).any(|w| w == b"DMARC1");
    assert!(is_record || stranger.result == DmarcResult::None);
    for lot in [0, 50, 99] {
        let found = judged(octets, "y.test", lot);
        assert!(found.wish <= found.published && found.published == stranger.published);
        assert!(found.wish >= Wish::Quarantine || found.published != Wish::Reject);
        assert!(found.wish <= stranger.wish, "a higher lot is no stricter");
    }
    let own = judged(octets, "a.b.x.example", 0);
    assert_eq!(own.result == DmarcResult::Pass, stranger.result == DmarcResult::Fail);
    assert!(own.why.as_str().chars().count() <= 200);
}

/// Of an author at `a.b.x.example`, with SPF that passes for a domain.
fn judged(record: &[u8], spf_domain: &str, lot: u8) -> Dmarc {
    let domain = |name| Domain::parse(name).expect("a domain");
    let spf_domain = domain(spf_domain);
    let evidence = Evidence {
        author: &Author::One {
            address: Line::literal("a@a.b.x.example"),
            domain: domain("a.b.x.example"),
        },
        spf: &Spf {
            result: SpfResult::Pass,
            domain: Line::default(),
            term: Line::default(),
            explanation: Line::default(),
            security: Security::Unknown,
        },
        spf_domain: Some(&spf_domain),
        dkim: &[],
        lot,
    };
    pollster::block_on(evaluate(&evidence, &PublicSuffixes::BuiltIn, &Everywhere(record)))
}
