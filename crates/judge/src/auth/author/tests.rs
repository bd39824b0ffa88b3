//! Whom From fields name, as people, programs and forgers write them.

use super::*;
use proptest::prelude::*;

fn author(value: &[u8]) -> Author {
    fields(&[value])
}

fn fields(values: &[&[u8]]) -> Author {
    let mut octets = b"Subject: x\r\n".to_vec();
    for value in values {
        octets.extend_from_slice(&[b"From: ", *value, b"\r\n"].concat());
    }
    octets.extend_from_slice(b"\r\nFrom: body@body.example\r\n");
    read(&Message::parse(&octets))
}

/// Value, first address.
const ONE: [(&str, &str); 39] = [
    ("a@x.example", "a@x.example"),
    ("a@x.example (a@X.example, or (b@x.example.))", "a@x.example"),
    ("<a@x.example>", "a@x.example"),
    ("Ann <A.b+c@X.Example.>", "A.b+c@x.example"),
    ("\"Ann, B.\" <a@x.example>", "a@x.example"),
    ("\"a@y.example\" <a@x.example>", "a@x.example"),
    ("\"a@y.example\\\" <b@y.example>\" <a@x.example>", "a@x.example"),
    ("a@x.example (Ann (from\r\n work))", "a@x.example"),
    ("(c) Ann (a@y.example) <a@x.example> (c)", "a@x.example"),
    ("a@x.example, b@x.example", "a@x.example"),
    ("a@X.EXAMPLE, b@x.example.", "a@x.example"),
    (",, a@x.example ,\r\n\t,", "a@x.example"),
    ("group: a@x.example, B <b@x.example>;", "a@x.example"),
    ("group: a@x.example;, b@x.example", "a@x.example"),
    ("empty:;, a@x.example", "a@x.example"),
    ("a@x.example;", "a@x.example"),
    ("Re: Ann <a@x.example>", "a@x.example"),
    ("Doe, Ann <a@x.example>", "a@x.example"),
    ("Ann B. Doe <a@x.example>", "a@x.example"),
    (".Ann. <a@x.example>", "a@x.example"),
    ("[list] Ann <a@x.example>", "a@x.example"),
    ("Ann=Doe's (\\) \\( c) <a@x.example>", "a@x.example"),
    ("=?utf-8?q?a=40y.example?= <a@x.example>", "a@x.example"),
    ("=?utf-8?q?Doe, Ann?= <a@x.example>", "a@x.example"),
    ("a@x.example <a2@x.example>", "a2@x.example"),
    ("\"a b\"@x.example", "\"a b\"@x.example"),
    ("\"a\".b@x.example", "\"a\".b@x.example"),
    ("a . b @ x.example", "a.b@x.example"),
    ("< a@x.example >", "a@x.example"),
    ("a!b%c=d/e@x.example", "a!b%c=d/e@x.example"),
    ("Ann <a@b\u{fc}cher.example>", "a@xn--bcher-kva.example"),
    ("\u{e4}@x.example", "\u{e4}@x.example"),
    ("J\u{e4}r <a@x.example>", "a@x.example"),
    ("a@x_y.example", "a@x_y.example"),
    ("a@localhost", "a@localhost"),
    ("a@x.example,", "a@x.example"),
    ("<>, a@x.example", "a@x.example"),
    ("a@192.0.2.1", "a@192.0.2.1"),
    ("a@\u{ff38}.example", "a@x.example"),
];

#[test]
fn one_author_is_read() {
    for (value, expected) in ONE {
        match author(value.as_bytes()) {
            Author::One { address, domain } => {
                assert_eq!(address.as_str(), expected, "{value}");
                assert_eq!(domain.as_str(), expected.rsplit('@').next().unwrap());
            }
            other => panic!("{value}: {other:?}"),
        }
    }
    // Japanese mail of old and broken charsets: no UTF-8, but clear where the address stands.
    assert!(matches!(author(b"\"\xe4\xff\" <a@x.example>"), Author::One { .. }));
}

/// Mail programs differ on these, or none can read them.
const UNREADABLE: &[(&str, Fault)] = &[
    ("a@x.example@y.example", Fault::Trailing),
    ("<a@x.example@y.example>", Fault::Trailing),
    (")a@x.example", Fault::Trailing),
    ("a\\@x.example", Fault::Trailing),
    ("a@x .example", Fault::Trailing),
    ("a@x. example", Fault::Trailing),
    ("a@x(c).example", Fault::Trailing),
    ("a@x.example (c) .y.example", Fault::Trailing),
    ("a@\"x.example\"", Fault::Domain),
    ("a@", Fault::Domain),
    ("a@x..example", Fault::Domain),
    ("a@-x.example", Fault::Domain),
    ("a@x=y.example", Fault::Domain),
    ("a@=?utf-8?q?x?=", Fault::Domain),
    ("Ann <a@>", Fault::Domain),
    ("a@[192.0.2.1]", Fault::Literal),
    ("Ann <a@[IPv6:2001:db8::1]>", Fault::Literal),
    ("a@x.example, b@[192.0.2.1]", Fault::Literal),
    ("<@y.example:a@x.example>", Fault::Route),
    ("<@y.example,@z.example:a@x.example>", Fault::Route),
    ("@x.example", Fault::Local),
    (".a@x.example", Fault::Local),
    ("a(c).b@x.example", Fault::Local),
    ("[a]@x.example", Fault::Local),
    ("\"a@y.example\"@x.example", Fault::Encoded),
    ("=?utf-8?q?a=40y.example=00?=@x.example", Fault::Encoded),
    ("<\"=?utf-8?q?a=40y.example?=\"@x.example>", Fault::Encoded),
    ("\"Ann <a@x.example>", Fault::Quote),
    ("\"Ann\\\" <a@x.example>", Fault::Quote),
    ("Ann (Doe <a@x.example>", Fault::Comment),
    ("((Ann) <a@x.example>", Fault::Comment),
    ("<a@x.example(.y.example)>", Fault::Comment),
    ("=?utf-8?q?a=40x.example?=, <>", Fault::NoAddress),
    ("a@x.example; b@x.example@", Fault::Trailing),
    ("<<a@x.example>> =?utf-8?q?b=40y.example?=", Fault::Local),
    ("=?utf-8?q?Ann?= <<a@x.example>>", Fault::Local),
    ("b\u{ff20}y.example <<a@x.example>>", Fault::Local),
    ("b\u{fe6b}y.example <<a@x.example>>", Fault::Local),
    ("b@y .example <<a@y>>", Fault::Trailing),
    ("'b@y .example' <a@y>", Fault::Trailing),
    ("'b@y (c) .example' <a@y>", Fault::Trailing),
    ("'b@y (c) example' <a@y>", Fault::Trailing),
    ("'b@y'.example <a@y>", Fault::Domain),
    ("\"O\\\"a\" <<a@x.example>>", Fault::Local),
    ("'a@x.example' <a@x.example> (c", Fault::Domain),
    ("'a@x.example' <a@x.example> c)", Fault::Domain),
    ("'a@x.example' <a@x.example> \"c", Fault::Domain),
    ("<@x.example:a@x.example>", Fault::Route),
    ("<@x.example,@x.example:a@x.example>", Fault::Route),
    ("<a@x.example> <b@x.example>", Fault::Trailing),
    ("'a@[192.0.2.1]' <a@[192.0.2.1]>", Fault::Literal),
    ("(c)a(c)b@x.example", Fault::Local),
    ("Bob @ x. example <b@y.example>", Fault::Trailing),
    ("Bob @ \"x.example\" <b@y.example>", Fault::Domain),
    ("@x.example <b@y.example>", Fault::Local),
    ("a@x.example (c) y <b@y.example>", Fault::Trailing),
    ("\"a\"b@x.example <", Fault::Local),
];

#[test]
fn what_programs_read_differently_is_not_guessed() {
    let other = |(value, fault): &&(&str, Fault)| author(value.as_bytes()) != fault.author();
    assert_eq!(
        UNREADABLE.iter().filter(other).collect::<Vec<_>>(),
        Vec::<&(&str, Fault)>::new()
    );
    let control: [&[u8]; 6] = [
        b"a@x.example\0@y.example",
        b"a@x.example\0",
        b"\"a\0\" <a@x.example>",
        b"Ann\r<b@y.example> <a@x.example>",
        b"(\x1b) a@x.example",
        b"a@x.example\x7f",
    ];
    for value in control {
        assert_eq!(author(value), Fault::Control.author(), "{}", value.escape_ascii());
    }
    assert_eq!(author(b"a\xff@x.example"), Fault::Local.author());
    assert_eq!(author(b"a@x\xff.example"), Fault::Domain.author());
    let long = format!("{}@x.example", "a".repeat(LOCAL_PART_OCTETS_MAX + 1));
    assert_eq!(author(long.as_bytes()), Fault::Local.author());
}

/// Programs show one author or another: value, domains of all of them. Such mail was refused, whoever they were.
const DISPUTED: &[(&str, &str)] = &[
    ("<a@x.example> <b@y.example>", "x.example y.example"),
    ("a@x.example <b@y.example>", "x.example y.example"),
    ("a@x.example; b@y.example", "x.example y.example"),
    ("a@x.example;, b@y.example", "x.example y.example"),
    ("g: a@x.example; b@y.example", "x.example y.example"),
    ("(<b@y.example>) <a@x.example>", "y.example x.example"),
    ("a@x.example (b@y.example)", "x.example y.example"),
    ("'a@x.example' <a@y.example>", "x.example y.example"),
    ("'a@x.example' <a@x.example> (a@y.example)", "x.example y.example"),
    ("'a@x.example' \"a@y.example\" <a@x.example>", "x.example y.example"),
    ("b @y.example <<a@x.example>>", "y.example x.example"),
    ("b@ y.example <<a@x.example>>", "y.example x.example"),
    ("a@x.example b@y.example", "x.example x.exampleb y.example"),
    // Some programs drop white space.
    (
        "a@x.example via List <b@y.example>",
        "x.example x.examplevialist y.example",
    ),
    ("a@x.exam ple <b@y.example>", "x.exam x.example y.example"),
    (
        "a@x.example via =List <b@y.example>",
        "x.example x.examplevia y.example",
    ),
    ("a @ x.exam ple <b@y.example>", "x.exam x.example y.example"),
];

#[test]
fn where_programs_show_different_authors_all_are_told() {
    for (value, expected) in DISPUTED {
        let domains = match author(value.as_bytes()) {
            Author::Disputed(domains) => domains,
            other => panic!("{value}: {other:?}"),
        };
        let names: Vec<&str> = domains.iter().map(Domain::as_str).collect();
        assert_eq!(names.join(" "), *expected, "{value}");
    }
    let many = |count: usize| (0..count).map(|n| format!("<a@x{n}.example> ")).collect::<String>();
    assert!(matches!(author(many(4).as_bytes()), Author::Disputed(domains) if domains.len() == 4));
    assert_eq!(author(many(5).as_bytes()), Fault::Trailing.author());
}

/// What no syntax allows, and programs read differently; but all of it is of one domain. Value, address.
const LENIENT: &[(&str, &str)] = &[
    ("'a@x.example' <a@x.example>", "a@x.example"),
    ("'a@x.example'<a@x.example>", "a@x.example"),
    ("<'a@x.example'>", "a@x.example"),
    ("Ann <<a@x.example>>", "a@x.example"),
    ("a@x.example; b@X.example", "a@x.example"),
    ("a@x.example; Bob <b@x.example>", "b@x.example"),
    ("g: a@x.example; b@x.example", "a@x.example"),
    ("a@x.example (c) (b@x.example)", "a@x.example"),
    ("'a@x.example' (c)", "a@x.example"),
    ("(a@x.example)", "a@x.example"),
    ("a: b: c@x.example;", "c@x.example"),
    ("(<a@x.example>) <a@x.example>", "a@x.example"),
    ("\"a@x.example\"", "a@x.example"),
    ("<\"a@x.example\">", "a@x.example"),
    ("<mailto:a@x.example>", "a@x.example"),
    // A free provider's user must not become another one by a display name.
    ("'friend@x.example' <a@x.example>", "a@x.example"),
    ("'friend@x.example' < 'a@x.example' >", "a@x.example"),
    ("\"<friend@x.example>\" a@x.example", "a@x.example"),
    ("(<friend@x.example>) a@x.example", "a@x.example"),
    ("a@x.example \"friend@x.example\" (<friend@x.example>)", "a@x.example"),
    ("\"<friend@x.example>\" 'b@x.example' <a@x.example>", "a@x.example"),
    ("a@x.example <>", "a@x.example"),
    ("Ann <a@x.example> Doe", "a@x.example"),
    ("Ann <a@x.example>>", "a@x.example"),
    ("Ann <a@x.example", "a@x.example"),
    ("Ann a@x.example>", "a@x.example"),
    ("Ann Doe a@x.example", "a@x.example"),
    ("Ann O'Neill o'n@x.example", "o'n@x.example"),
    // Phones in Japan had such addresses.
    ("a..b@x.example", "a..b@x.example"),
    ("a.@x.example", "a.@x.example"),
    (
        "'a@b\u{fc}cher.example' <a@xn--bcher-kva.example>",
        "a@xn--bcher-kva.example",
    ),
    ("J\u{e4}r a@x.example\r\n (c)", "a@x.example"),
    // An `@` in a name.
    ("Bob @ Sender <bob@x.example>", "bob@x.example"),
    ("Bob @ Sender Inc. <bob@x.example>", "bob@x.example"),
    ("@Home <bob@x.example>", "bob@x.example"),
    ("bob@x.example (@bob)", "bob@x.example"),
    ("Sales @ <bob@x.example>", "bob@x.example"),
    ("bob @ x.example <bob@x.example>", "bob@x.example"),
];

#[test]
fn what_is_of_one_domain_however_it_is_read_has_an_author() {
    for (value, expected) in LENIENT {
        match author(value.as_bytes()) {
            Author::One { address, domain } => {
                assert_eq!(address.as_str(), *expected, "{value}");
                assert_eq!(domain.as_str(), expected.rsplit('@').next().unwrap());
            }
            other => panic!("{value}: {other:?}"),
        }
    }
    let addresses = |count: usize| "a@x.example; ".repeat(count);
    assert!(matches!(author(addresses(20).as_bytes()), Author::One { .. }));
    assert_eq!(author(addresses(21).as_bytes()), Fault::Trailing.author());
    // Which of several fields a program shows is its choice.
    assert_eq!(fields(&[b"<<a@x.example>>", b"<<a@x.example>>"]), Fault::Local.author());
}

#[test]
fn several_authors_and_none_are_told_apart() {
    let several = |names: &[&str]| Author::Several(names.iter().map(|n| Domain::parse(n).unwrap()).collect());
    assert_eq!(
        author(b"a@x.example, b@y.example, c@x.example"),
        several(&["x.example", "y.example"])
    );
    assert_eq!(
        author(b"g: a@x.example;, b@y.example"),
        several(&["x.example", "y.example"])
    );
    assert_eq!(
        fields(&[b"a@x.example", b"b@y.example"]),
        several(&["x.example", "y.example"])
    );
    assert_eq!(fields(&[b"a@x.example", b"b@x.example"]), several(&["x.example"]));
    // The same twice is no other author.
    let twice = fields(&[b"Ann <a@x.example>", b"a@X.example (Ann)"]);
    assert!(
        matches!(&twice, Author::One { address, .. } if address.as_str() == "a@x.example"),
        "{twice:?}"
    );
    assert_eq!(fields(&[b"a@x.example", b"a@x.example, Ann <>"]), twice);
    assert_eq!(fields(&[b"a@x.example", b"A@x.example"]), several(&["x.example"]));
    assert_eq!(
        fields(&[b"a@x.example", b"\"b@y.example\", a@x.example"]),
        several(&["x.example"])
    );
    assert_eq!(fields(&[b"a@x.example", b"\"b"]), several(&["x.example"]));
    assert_eq!(fields(&[b"", b"a@x.example"]), several(&["x.example"]));
    assert_eq!(fields(&[b"\"", b"Ann"]), Fault::Quote.author());
    for value in [
        "",
        "<>",
        "Ann <>",
        "undisclosed:;",
        ",,,",
        "(nobody)",
        "Ann",
        "Ann <MAILER-DAEMON>",
    ] {
        assert_eq!(author(value.as_bytes()), Author::None, "{value}");
    }
    assert_eq!(author(b"(a@[192.0.2.1])"), Fault::Comment.author());
    assert_eq!(fields(&[]), Author::None);
    let many = (0..50).map(|n| format!("a@x{n}.example")).collect::<Vec<_>>().join(",");
    assert!(matches!(author(many.as_bytes()), Author::Several(domains) if domains.len() == DOMAINS_MAX));
}

#[test]
fn a_hundred_thousand_of_anything_are_one_pass() {
    for piece in [
        ",",
        "(",
        "()",
        "\"\"",
        "<",
        "a@x.example,",
        "a.",
        "a ",
        "g:",
        ";",
        "\\",
        "=?",
        "@",
        "g:;,",
    ] {
        let _ = author(piece.repeat(240_000 / piece.len()).as_bytes());
    }
    assert_eq!(author(",".repeat(100_000).as_bytes()), Author::None);
    let value = format!("{}{} a@x.example", "(".repeat(100_000), ")".repeat(100_000));
    assert!(matches!(author(value.as_bytes()), Author::One { .. }));
}

proptest! {
    #[test]
    fn any_octets_have_an_author_or_none(value in proptest::collection::vec(
        prop_oneof![any::<u8>(), proptest::sample::select(&b"()<>[]:;@\\,.\" ab=?"[..])], 0..200)) {
        if let Author::One { address, domain } = author(&value) {
            let suffix = format!("@{domain}");
            prop_assert!(address.as_str().ends_with(&suffix));
            prop_assert!(address.as_str().chars().count() <= LOCAL_PART_OCTETS_MAX + 1 + DOMAIN_OCTETS_MAX);
        }
    }

    /// Of pieces of addresses: whatever is read out of them, nothing else stands behind an `@`.
    #[test]
    fn no_other_domain_stands_behind_an_at(pieces in proptest::collection::vec(
        proptest::sample::select(&["a@x.example", "b@x.example", "'", "\"", "<", ">", "(", ")", ", ", "; ", " ", "Ann", ".",
            ":", "@", "@y.example", "b@y.example", "y.example", "\\", "=?", "[", "]", "\r\n "][..]), 0..12)) {
        let value = pieces.concat();
        let domains = match lenient::read(value.as_bytes()) {
            Some(Author::One { address, domain }) => {
                let suffix = format!("@{domain}");
                prop_assert!(address.as_str().ends_with(&suffix));
                vec![domain]
            }
            Some(Author::Disputed(domains)) => domains,
            None => return Ok(()),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        // Neither for programs that drop white space. What has no dot is no domain of anybody.
        for value in [value.clone(), value.replace([' ', '\r', '\n'], "")] {
            for behind in value.split('@').skip(1) {
                let behind = behind.trim_start();
                let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(behind.len());
                let name = behind[..end].to_ascii_lowercase();
                let is_told = domains.iter().any(|domain| domain.as_str() == name);
                let is_alone = !name.strip_suffix('.').unwrap_or(&name).contains('.');
                prop_assert!(is_told || is_alone, "{}: {:?}", &value, domains);
            }
        }
    }

    #[test]
    fn a_plain_author_is_read_whatever_stands_around(
        name in "[A-Za-z ',.]{0,20}", comment in "[a-z .]{0,10}", local in "[a-z0-9+_-]{1,20}", domain in "[a-z]{1,9}\\.example"
    ) {
        let value = format!("{name} ({comment}) <{local}@{domain}>");
        let expected = format!("{local}@{domain}");
        match author(value.as_bytes()) {
            Author::One { address, .. } => prop_assert_eq!(address.as_str(), expected),
            other => prop_assert!(false, "{:?}: {:?}", value, other),
        }
    }
}

/// Words without an address were passed over where another address followed, though they held one that a program shows.
#[test]
fn an_address_in_words_that_have_none_is_another_author() {
    let author = |value: &str| read(&Message::parse(format!("From: {value}\r\n\r\n").as_bytes()));
    for value in [
        "\"Bank <info@bank.example>\", eve@evil.example",
        "T=o \"info@bank.example\", eve@evil.example",
    ] {
        assert!(
            matches!(author(value), Author::Disputed(_)),
            "{value}: {:?}",
            author(value)
        );
    }
    for value in [
        "\"Smith <eve@evil.example>\", eve@evil.example",
        "Smith, Eve <eve@evil.example>",
        "=?utf-8?q?Smith?=, Eve <eve@evil.example>",
    ] {
        assert!(
            matches!(author(value), Author::One { .. }),
            "{value}: {:?}",
            author(value)
        );
    }
}

#[test]
fn all_addresses_of_a_list_are_read_up_to_a_fault() {
    let of = |value: &str, count_max| {
        let header = format!("To: {value}\r\n\r\n");
        let message = Message::parse(header.as_bytes());
        let all = addresses(&message.fields()[0], count_max);
        all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    for (value, expected) in [
        (
            "Ann <Ann@x.example>, bob@y.example (Bob)",
            "Ann@x.example bob@y.example",
        ),
        (
            "Friends: \"Smith, A\" <a@x.example>,\r\n =?utf-8?q?B?= <b@x.example>;, c@z.example",
            "a@x.example b@x.example c@z.example",
        ),
        ("undisclosed-recipients:;", ""),
        ("\"a b\"@x.example, c@[192.0.2.1], d@x.example", "\"a b\"@x.example"),
        ("a@x.example, (", "a@x.example"),
        ("", ""),
    ] {
        assert_eq!(of(value, 9), expected, "{value}");
    }
    assert_eq!(
        of(&"a@x.example,".repeat(9_000), 3),
        "a@x.example a@x.example a@x.example"
    );
}
