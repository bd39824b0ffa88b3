//! What proves who sent a message: fields and records that a sender writes.

use mail::auth_results::{AuthResults, Encoding, Finding, ParsedResults, claims_authserv_id, parse, parse_arc};
use mail::auth_results::{PROPERTIES_MAX, RESULTS_MAX, VALUE_OCTETS_MAX};
use mail::{Domain, Line};

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
