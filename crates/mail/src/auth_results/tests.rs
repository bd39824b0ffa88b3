//! Fields of RFC 8601 and of the wild, read and written.

use super::*;
use proptest::prelude::*;

/// Method, result, and properties in the order in which they stand.
type Expected = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str, &'static str)],
);

/// RFC 8601 appendix B, in the order of its examples (B.1 has no such field).
const RFC8601_APPENDIX_B: [(&str, &str, &[Expected]); 8] = [
    ("example.org 1; none", "example.org", &[]),
    (
        "example.com;\r\n         spf=pass smtp.mailfrom=example.net",
        "example.com",
        &[("spf", "pass", &[("smtp", "mailfrom", "example.net")])],
    ),
    (
        "example.com;\r\n          auth=pass (cleartext) smtp.auth=sender@example.net;\r\n          \
         spf=pass smtp.mailfrom=example.net",
        "example.com",
        &[
            ("auth", "pass", &[("smtp", "auth", "sender@example.net")]),
            ("spf", "pass", &[("smtp", "mailfrom", "example.net")]),
        ],
    ),
    (
        "example.com; iprev=pass\r\n          policy.iprev=192.0.2.200",
        "example.com",
        &[("iprev", "pass", &[("policy", "iprev", "192.0.2.200")])],
    ),
    (
        "example.com;\r\n        dkim=pass (good signature) header.d=example.com",
        "example.com",
        &[("dkim", "pass", &[("header", "d", "example.com")])],
    ),
    (
        "example.com;\r\n      dkim=pass reason=\"good signature\"\r\n        header.i=@mail-router.example.net;\r\n      \
         dkim=fail reason=\"bad signature\"\r\n        header.i=@newyork.example.com",
        "example.com",
        &[
            ("dkim", "pass", &[("header", "i", "@mail-router.example.net")]),
            ("dkim", "fail", &[("header", "i", "@newyork.example.com")]),
        ],
    ),
    (
        "foo.example.net (foobar) 1 (baz);\r\n        dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n          \
         policy (A dot can go here) . (like that) expired\r\n            (this surprised me) = (as I wasn't expecting it) 1362471462",
        "foo.example.net",
        &[("dkim", "fail", &[("policy", "expired", "1362471462")])],
    ),
    (
        "example.com; arc=pass (as.2.example=pass) header.oldest-pass=0 smtp.remote-ip=2001:db8::1;",
        "example.com",
        &[(
            "arc",
            "pass",
            &[("header", "oldest-pass", "0"), ("smtp", "remote-ip", "2001:db8::1")],
        )],
    ),
];

#[test]
fn rfc8601_appendix_b() {
    for (value, id, expected) in RFC8601_APPENDIX_B {
        let parsed = parse(value.as_bytes()).unwrap();
        assert_eq!(parsed.authserv_id.as_str(), id);
        assert_eq!(parsed.results.len(), expected.len(), "{value}");
        for (result, (method, word, properties)) in parsed.results.iter().zip(expected) {
            assert_eq!((result.method.as_str(), result.result.as_str()), (*method, *word));
            let found: Vec<_> = result
                .properties
                .iter()
                .map(|p| (p.ptype.as_str(), p.name.as_str(), p.value.as_str()))
                .collect();
            assert_eq!(found, *properties, "{value}");
        }
    }
}

#[test]
fn what_stands_beside_a_result_is_read() {
    let parsed = parse(RFC8601_APPENDIX_B[6].0.as_bytes()).unwrap();
    assert_eq!((parsed.version, parsed.results[0].version), (Some(1), Some(1)));
    let parsed = parse(RFC8601_APPENDIX_B[5].0.as_bytes()).unwrap();
    assert_eq!(parsed.results[1].reason.as_ref().unwrap().as_str(), "bad signature");
    let parsed = parse(b"a.example; dkim=pass (1 (nested \\) one) x) header.d=b.example").unwrap();
    let comment = parsed.results[0].comment.as_ref().unwrap();
    assert_eq!(comment.as_str(), "1 (nested ) one) x");
}

/// As written by large receivers, who keep to no grammar.
#[test]
fn fields_in_the_wild_are_read() {
    let parsed = parse(
        b"mx.example 1; spf=pass (sender ip is 192.0.2.1) smtp.rcpttodomain=c.example smtp.mailfrom=b.example; \
          dmarc=pass (p=none sp=none pct=100) action=none header.from=b.example; arc=none; ",
    )
    .unwrap();
    let dmarc = &parsed.results[1];
    assert_eq!(dmarc.property("header", "from").unwrap().as_str(), "b.example");
    assert_eq!(dmarc.property("", "action").unwrap().as_str(), "none");
    let parsed =
        parse(b"mx.example; dkim=pass header.b=a/+b== header.i=@b.example smtp.mailfrom=<>; spf=none smtp.helo=")
            .unwrap();
    assert_eq!(parsed.results[0].property("header", "b").unwrap().as_str(), "a/+b==");
    assert_eq!(parsed.results[1].property("smtp", "helo").unwrap().as_str(), "");
    let parsed = parse(br#"mx.example; auth=pass smtp.auth="a@x"@b.example"#).unwrap();
    assert_eq!(
        parsed.results[0].property("smtp", "auth").unwrap().as_str(),
        r#""a@x"@b.example"#
    );
}

#[test]
fn a_property_that_is_there_twice_counts_if_both_agree() {
    let parsed = parse(b"a.example; dkim=pass header.d=b.example header.d=b.example header.i=@x header.i=@y").unwrap();
    let dkim = &parsed.results[0];
    assert!(dkim.property("header", "d").is_some());
    assert_eq!(dkim.property("header", "i"), None);
}

#[test]
fn what_cannot_be_read_is_refused_as_a_whole() {
    use AuthResultsError::{Comment, Id, Instance, Quote, Result, TooMany};
    let cases: [(&[u8], AuthResultsError); 13] = [
        (b"", Id),
        (b"; none", Id),
        (b"spf=pass smtp.mailfrom=a.example", Id),
        (b"a.example b.example; none", Id),
        (b"a\0.example; none", Id),
        (b"(((; none", Comment),
        (b"a.example; dkim=pass (x", Comment),
        (b"\"a.example; none", Quote),
        (b"a.example; dkim=pass header.d=\"b", Quote),
        (b"a.example; dkim", Result),
        (b"a.example; dkim=pass header.d", Result),
        (b"a.example; dkim=pass header.d=b.example)", Result),
        (b"a.example; dkim=pass header.d=\"b\"c=d", Result),
    ];
    for (value, why) in cases {
        assert_eq!(parse(value), Err(why), "{}", value.escape_ascii());
    }
    let many = [b"a.example".to_vec(), b"; spf=pass".repeat(RESULTS_MAX + 1)].concat();
    assert_eq!(parse(&many), Err(TooMany));
    let many = [
        b"a.example; dkim=pass".to_vec(),
        b" header.d=b".repeat(PROPERTIES_MAX + 1),
    ]
    .concat();
    assert_eq!(parse(&many), Err(TooMany));
    let long = format!("a.example; dkim=pass header.d={}", "b".repeat(VALUE_OCTETS_MAX + 1));
    assert_eq!(parse(long.as_bytes()), Err(TooMany));
    assert_eq!(parse(&b"(".repeat(200_000)), Err(Comment));
    for value in [
        "a.example; none",
        "i=0; a.example; none",
        "i=51; a.example; none",
        "i=1 a.example",
    ] {
        assert_eq!(parse_arc(value.as_bytes()), Err(Instance), "{value}");
    }
}

#[test]
fn an_arc_field_begins_with_its_instance() {
    let (instance, parsed) = parse_arc(b" i = 12 (x); a.example; spf=pass smtp.mailfrom=b.example").unwrap();
    assert_eq!((instance, parsed.authserv_id.as_str()), (12, "a.example"));
    assert_eq!(parsed.results.len(), 1);
}

#[test]
fn ours_is_folded_and_quotes_what_is_foreign() {
    let mut field = AuthResults::new("mx.site.example");
    assert_eq!(
        text(&field, Encoding::Ascii),
        "Authentication-Results: mx.site.example; none\r\n"
    );
    field.push(Finding::new("spf", "pass").property("smtp.mailfrom", "a@b.example"));
    field.push(
        Finding::new("dkim", "fail")
            .comment("the body (its first part) has changed\r\nX-Evil: 1; dkim=pass\\")
            .property("header.d", "b.example")
            .property("header.b", "ab/c=; dkim=pass"),
    );
    field.push(
        Finding::new("dmarc", "fail")
            .reason("p=reject")
            .property("header.from", "b.example"),
    );
    field.push(Finding::new("iprev", "pass").property("policy.iprev", "2001:db8::1"));
    assert_eq!(
        text(&field, Encoding::Ascii),
        "Authentication-Results: mx.site.example; spf=pass smtp.mailfrom=a@b.example;\r\n\
         \tdkim=fail (the body \\(its first part\\) has changed X-Evil: 1; dkim=pass\\\\)\r\n\
         \theader.d=b.example header.b=\"ab/c=; dkim=pass\"; dmarc=fail reason=\"p=reject\"\r\n\
         \theader.from=b.example; iprev=pass policy.iprev=\"2001:db8::1\"\r\n"
    );
}

#[test]
fn what_cannot_be_said_is_left_out() {
    let mut field = AuthResults::new("mx.site.example");
    field.push(
        Finding::new("spf", "pass")
            .comment("für ä")
            .property("smtp.helo", "")
            .property("smtp.mailfrom", "ä@b.example")
            .property("header.a", "two  blanks")
            .property("header.b", "a\0b")
            .property("header.d", &"x".repeat(VALUE_OCTETS_MAX + 1))
            .property("header.s", &"\"".repeat(VALUE_OCTETS_MAX)),
    );
    assert_eq!(
        text(&field, Encoding::Ascii),
        "Authentication-Results: mx.site.example; spf=pass (f?r ?)\r\n"
    );
    assert_eq!(
        text(&field, Encoding::Utf8),
        "Authentication-Results: mx.site.example; spf=pass (für ä)\r\n\tsmtp.mailfrom=ä@b.example\r\n"
    );
}

fn text(field: &AuthResults, encoding: Encoding) -> String {
    String::from_utf8(field.to_field(encoding)).unwrap()
}

const OURS: &str = "mx.site.example";

#[test]
fn claims_to_be_ours_are_found() {
    for value in [
        "mx.site.example; spf=pass",
        "MX.Site.EXAMPLE ; none",
        "mx.site.example",
        "mx.site.example. 1; none",
        "\"mx.site.example\"; none",
        "\"m\\x.site.example\" 1 ; none",
        "(c(c)) mx.site.example(x) 1 (y); none",
        "(\\)) \r\n\tmx.site.example\r\n ; none",
        "ｍｘ.site.example; none",
        // From here on another program might read it so.
        "mx.site.example spf=pass",
        "mx.site.example 1 2; none",
        "mx.site.example/1; none",
        "mx.site.example\0; none",
        "other.example mx.site.example; none",
        "(mx.site.example; dkim=pass",
        "\"mx.site.example; dkim=pass",
        "\"x; mx.site.example\" y; none",
        "mx.(c)site.example x; none",
        "mx.\r\n site.example; none",
        "mx(.site.example x; dkim=pass",
        "mx\\.site.example; none",
        "=mx.site.example; none",
        // An empty first part ended the search, so that the name behind it stayed.
        "; mx.site.example; dkim=pass",
        ";;(x);\r\n \"\" ; \"MX.site.example\" 1; none",
        "(mx.other.example); mx.site.example; none",
        ";(mx.site.example; dkim=pass",
    ] {
        assert!(claims_authserv_id(value.as_bytes(), OURS), "{value:?}");
    }
    assert!(claims_authserv_id(
        "bücher.example; none".as_bytes(),
        "xn--bcher-kva.example"
    ));
    assert!(claims_authserv_id(b"mx.site.example; none", "MX.site.example."));
}

#[test]
fn the_fields_of_others_are_left_alone() {
    for value in [
        "",
        "other.example; spf=pass smtp.mailfrom=mx.site.example",
        "xmx.site.example; none",
        "mx.site.example.evil.example; none",
        "other.example (mx.site.example); none",
        "other.example 1 (x\\) mx.site.example); none",
        "spf=pass (x) smtp.mailfrom=other.example; dkim=pass header.d=mx.site.example",
        "; other.example; dkim=pass header.d=mx.site.example",
        ";",
        "\"\"",
    ] {
        assert!(!claims_authserv_id(value.as_bytes(), OURS), "{value:?}");
    }
    assert!(!claims_authserv_id(b"mx.site.example; none", ""));
}

#[test]
fn claims_of_arc_stand_behind_the_instance() {
    for value in [
        "i=1; mx.site.example; dkim=pass",
        " I = 2 (x) ; \"mx.\\site.example\" 1; none",
        "i=1;; mx.site.example; none",
        "i=1; mx(c).site.example; none",
        // No instance, or none that counts.
        "mx.site.example; none",
        "i=0; mx.site.example; none",
        "i=51; (c) MX.site.example; none",
    ] {
        assert!(claims_arc_authserv_id(value.as_bytes(), OURS), "{value:?}");
    }
    for value in ["i=1; other.example; dkim=pass header.d=mx.site.example", "i=1", ""] {
        assert!(!claims_arc_authserv_id(value.as_bytes(), OURS), "{value:?}");
    }
    assert!(!claims_arc_authserv_id(b"i=1; mx.site.example; none", ""));
}

/// The name was looked for as it is, so a comment or a backslash in it was enough to pass.
#[test]
fn rfc7208_9_1_a_receiver_is_known_in_any_spelling() {
    for value in [
        "pass (x) receiver=mx.site.example; identity=mailfrom",
        "pass (MX.Site.Example: domain of a@b.example designates 192.0.2.1) client-ip=192.0.2.1",
        "pass receiver=\"mx.site.example\"",
        "pass receiver=\"mx.si\\te.example\"",
        "pass receiver=mx(c).site(c(c)).example",
        "pass receiver=mx.\r\n\tsite.example",
        "pass receiver=ｍｘ.site.example; identity=helo",
        "pass (ｍｘ.\"site\".example: x)",
    ] {
        assert!(names_receiver(value.as_bytes(), OURS), "{value:?}");
    }
    for value in [
        "pass (x) receiver=relay.other.example; envelope-from=\"a@site.example\"",
        "pass receiver=ｍｙ.site.example",
        "pass",
        "",
    ] {
        assert!(!names_receiver(value.as_bytes(), OURS), "{value:?}");
    }
    assert!(names_receiver(
        "pass receiver=bücher.example".as_bytes(),
        "xn--bcher-kva.example"
    ));
    assert!(!names_receiver(b"pass receiver=mx.site.example", ""));
}

const METHODS: [(&str, &str); 4] = [
    ("spf", "softfail"),
    ("dkim", "pass"),
    ("x-tls", "none"),
    ("dmarc", "none"),
];
const PROPERTIES: [&str; 4] = ["smtp.mailfrom", "header.d", "header.x_y", "policy.iprev"];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9.]{1,20}",
        "[ -~]{0,30}",
        "[a-z.+]{0,9}@[a-z.]{1,12}",
        "\"[ -~]{0,9}\"@b.example",
        "\\PC{0,20}",
        "[a-z\"\\\\(); ]{0,700}",
    ]
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(value in proptest::collection::vec(
        prop_oneof![any::<u8>(), proptest::sample::select(&b"();\"\\=./ \r\na1"[..])], 0..200)) {
        if let Ok(parsed) = parse(&value) {
            prop_assert!(parsed.results.len() <= RESULTS_MAX);
            // A field that is read as ours is also found to be.
            let id = parsed.authserv_id.as_str();
            prop_assert!(claims_authserv_id(&value, id) || crate::Domain::parse(id).is_err(), "{}", id);
        }
        let _ = parse_arc(&value);
        let _ = claims_authserv_id(&value, OURS);
        // Whatever stands in front of a claim that is empty, it stays a claim.
        let claim = [b";", value.as_slice()].concat();
        prop_assert!(!claims_authserv_id(&value, OURS) || claims_authserv_id(&claim, OURS));
        let of_arc = [b"i=1;", value.as_slice()].concat();
        prop_assert_eq!(claims_authserv_id(&value, OURS), claims_arc_authserv_id(&of_arc, OURS));
        let _ = (claims_arc_authserv_id(&value, OURS), names_receiver(&value, OURS));
    }

    #[test]
    fn what_is_written_is_read_again(id in "[a-z]{1,10}(\\.[a-z]{1,30}){0,3}", utf8 in any::<bool>(), results in proptest::collection::vec(
        (0..4_usize, "\\PC{0,250}", "[ -~]{0,250}", proptest::collection::vec((0..4_usize, value()), 0..5)), 0..6)) {
        let encoding = if utf8 { Encoding::Utf8 } else { Encoding::Ascii };
        let mut field = AuthResults::new(&id);
        for (method, comment, reason, properties) in &results {
            let finding = Finding::new(METHODS[*method].0, METHODS[*method].1).comment(comment).reason(reason);
            field.push(properties.iter().fold(finding, |f, (name, value)| f.property(PROPERTIES[*name], value)));
        }
        let written = field.to_field(encoding);
        prop_assert!(utf8 || written.is_ascii());
        let written = String::from_utf8(written).unwrap();
        let lines: Vec<&str> = written.strip_suffix("\r\n").unwrap().split("\r\n").collect();
        for (n, line) in lines.iter().enumerate() {
            prop_assert!(line.len() <= 998 && !line.contains(['\r', '\n']));
            prop_assert!(n == 0 || line.starts_with('\t') && !line.trim().is_empty());
        }
        let parsed = parse(written.strip_prefix("Authentication-Results:").unwrap().as_bytes()).unwrap();
        prop_assert_eq!(parsed.authserv_id.as_str(), id);
        prop_assert_eq!(parsed.results.len(), results.len());
        for (read, (method, comment, reason, properties)) in parsed.results.iter().zip(&results) {
            prop_assert_eq!((read.method.as_str(), read.result.as_str()), METHODS[*method]);
            let said = |text: &str| {
                let line = crate::Line::reason(text.as_bytes());
                if utf8 { line.as_str().to_owned() } else { line.to_ascii().into_owned() }
            };
            let read_line = |line: &Option<crate::Line>| line.as_ref().map_or(String::new(), |l| l.as_str().to_owned());
            prop_assert_eq!(read_line(&read.comment), said(comment));
            prop_assert_eq!(read_line(&read.reason), said(reason));
            let mut sayable = properties.iter().filter(|(_, v)| {
                !v.is_empty() && (utf8 || v.is_ascii()) && crate::Line::clean(v.as_bytes(), 700).as_str() == v
            });
            for property in &read.properties {
                // Only what is too long with its escapes may be missing.
                let (name, value) = sayable.find(|(_, v)| v == property.value.as_str()).unwrap();
                prop_assert_eq!(format!("{}.{}", property.ptype, property.name), PROPERTIES[*name]);
                prop_assert_eq!(property.value.as_str(), value);
            }
        }
    }
}
