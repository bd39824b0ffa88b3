//! What zone files answer, and which texts are none.

use super::*;
use proptest::prelude::*;

/// One file with all that is read.
const FILE: &str = r#"
; a comment; and "another"
$ORIGIN example.
$TTL 1h30m
@           3600 IN SOA ns hostmaster (
                    1 ; serial
                    2h 3600 1w 5m )
            IN 300 NS ns
@           MX 10 mx1
            MX 0 mx2.other.example.
ns          A 192.0.2.53
mx1 60      A 192.0.2.25
            AAAA 2001:db8::25
            A 192.0.2.26
null        MX 0 .
text        TXT "v=spf1 " "ip4:192.0.2.0/24 -all" ; joined
            TXT ( "a \"quote\"\; "
                  "\195\164" bare;comment
                )
            TXT ""
_dmarc      TXT "v=DMARC1; p=none"
a.b.deep    A 192.0.2.1
*.wild      TXT "wild"
*.wild      MX 5 mx1
real.wild   A 192.0.2.2
x.below.wild A 192.0.2.3
alias       CNAME mx1
far         CNAME alias
lost        CNAME nowhere.other.example.
ring1       CNAME ring2
ring2       CNAME ring1
*.star      CNAME text
late        TIMEOUT
broken      SERVFAIL TXT
            A 192.0.2.4
chain       CNAME late
signed      TLSA 3 1 1 00
            TYPE65534 \# 1 00
c0 CNAME c1
c1 CNAME c2
c2 CNAME c3
c3 CNAME c4
c4 CNAME c5
c5 CNAME c6
c6 CNAME c7
c7 CNAME c8
c8 CNAME mx1
$ORIGIN 2.0.192.in-addr.arpa.
25          PTR mx1.example.
$ORIGIN .
top.test    A 192.0.2.5
"#;

/// What each question gets of [`FILE`].
const ANSWERS: [(&str, &str); 41] = [
    ("example MX", "10 mx1.example, 0 mx2.other.example"),
    ("EXAMPLE. mx", "10 mx1.example, 0 mx2.other.example"),
    ("example A", "none"),
    ("mx1.example A", "192.0.2.25, 192.0.2.26"),
    ("mx1.example AAAA", "2001:db8::25"),
    ("mx1.example TXT", "none"),
    ("null.example MX", "0 ."),
    ("text.example TXT", "v=spf1 ip4:192.0.2.0/24 -all, a \"quote\"; äbare, "),
    ("_dmarc.example TXT", "v=DMARC1; p=none"),
    ("nobody.example A", "no name"),
    ("other.test A", "no name"),
    ("test A", "none"),
    ("top.test A", "192.0.2.5"),
    // Names between others exist.
    ("deep.example A", "none"),
    ("b.deep.example TXT", "none"),
    ("c.deep.example TXT", "no name"),
    ("a.b.deep.example A", "192.0.2.1"),
    ("below.a.b.deep.example A", "no name"),
    // RFC 4592 §2.2.1: a wildcard stands for no name that exists, nor for those below it.
    ("any.wild.example TXT", "wild"),
    ("one.any.wild.example MX", "5 mx1.example"),
    ("any.wild.example A", "none"),
    ("*.wild.example TXT", "wild"),
    ("wild.example TXT", "none"),
    ("real.wild.example TXT", "none"),
    ("a.real.wild.example TXT", "no name"),
    ("below.wild.example TXT", "none"),
    ("y.below.wild.example TXT", "no name"),
    // CNAMEs.
    ("alias.example AAAA", "2001:db8::25"),
    ("far.example A", "192.0.2.25, 192.0.2.26"),
    ("far.example TXT", "none"),
    ("lost.example A", "no name"),
    ("ring1.example A", "malformed"),
    (
        "any.star.example TXT",
        "v=spf1 ip4:192.0.2.0/24 -all, a \"quote\"; äbare, ",
    ),
    ("c0.example A", "malformed"),
    ("c1.example A", "192.0.2.25, 192.0.2.26"),
    // Trouble.
    ("late.example TXT", "timeout"),
    ("chain.example MX", "timeout"),
    ("broken.example TXT", "server_failure"),
    ("broken.example A", "192.0.2.4"),
    // Types that nobody asks for.
    ("signed.example TXT", "none"),
    ("25.2.0.192.in-addr.arpa PTR", "mx1.example"),
];

/// Texts that are no zone file: in which line, and why.
const FAULTS: [(&str, usize, &str); 38] = [
    ("\n\na.example TXTT x", 3, "not a known type of record: `TXTT`"),
    ("a.example", 1, "no type of record in this line: `a.example`"),
    ("a.example 300 IN", 1, "no type of record in this line: `a.example`"),
    ("a.example 300 300 A 192.0.2.1", 1, "not a known type of record: `300`"),
    ("a.example CH A 192.0.2.1", 1, "not a known type of record: `CH`"),
    ("  A 192.0.2.1", 1, "no name before this: `A`"),
    ("; x\na A 192.0.2.256", 2, "not an IPv4 address: `192.0.2.256`"),
    ("a AAAA 192.0.2.1", 1, "not an IPv6 address: `192.0.2.1`"),
    ("a A", 1, "too little or too much after this: `A`"),
    ("a MX mx", 1, "too little or too much after this: `MX`"),
    ("a MX ten mx", 1, "not a preference: `ten`"),
    ("a MX (\n 10\n mx..x )", 3, "not a DNS name: `mx..x`"),
    ("a PTR .", 1, "the root is no target: `.`"),
    ("a TXT", 1, "too little or too much after this: `TXT`"),
    ("a TXT \"x\ny\"", 1, "a quote that is not closed in its line"),
    ("a TXT \"x", 1, "a quote that is not closed in its line"),
    (
        "a TXT x\\25",
        1,
        "`\\` wants a character or an octet as three digits after it",
    ),
    (
        "a TXT x\\256",
        1,
        "`\\` wants a character or an octet as three digits after it",
    ),
    (
        "a TXT x\\",
        1,
        "`\\` wants a character or an octet as three digits after it",
    ),
    ("a (\nA ( 192.0.2.1 ) )", 2, "a parenthesis within parentheses"),
    ("a A 192.0.2.1 )", 1, "a closing parenthesis without an opening one"),
    ("a A 192.0.2.1\nb (\nA\n", 2, "a parenthesis that is never closed"),
    (". A 192.0.2.1", 1, "the root has no records here: `.`"),
    ("a\\.b A 192.0.2.1", 1, "not a DNS name: `a.b`"),
    ("\"a\" A 192.0.2.1", 1, "not a DNS name: `a`"),
    ("ä A 192.0.2.1", 1, "not a DNS name: `ä`"),
    (
        "a CNAME b\na A 192.0.2.1",
        2,
        "a name with a CNAME has nothing else: `A`",
    ),
    (
        "a A 192.0.2.1\na CNAME b",
        2,
        "a name with a CNAME has nothing else: `CNAME`",
    ),
    (
        "a CNAME b\na CNAME c",
        2,
        "a name with a CNAME has nothing else: `CNAME`",
    ),
    ("a CNAME", 1, "this wants one name after it: `CNAME`"),
    ("a DNAME b", 1, "not a known type of record: `DNAME`"),
    ("a TYPE16 \\# 1 00", 1, "not a known type of record: `TYPE16`"),
    ("a TIMEOUT CNAME", 1, "not a type that is asked for: `CNAME`"),
    ("a SERVFAIL A MX", 1, "too much after this: `SERVFAIL`"),
    ("$INCLUDE other", 1, "not a known directive: `$INCLUDE`"),
    ("$ORIGIN", 1, "this wants one word after it: `$ORIGIN`"),
    ("$TTL soon", 1, "not a time to live: `soon`"),
    ("$SECURE .", 1, "the root cannot be named here: `.`"),
];

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Asks `NAME TYPE`.
fn ask(zone: &ZoneFile, question: &str) -> Answer {
    let (asked, kind) = question.split_once(' ').unwrap();
    let kinds = [Kind::A, Kind::Aaaa, Kind::Mx, Kind::Ptr, Kind::Txt];
    let kind = kinds
        .into_iter()
        .find(|known| known.to_string().eq_ignore_ascii_case(kind));
    let question = Question {
        name: name(asked),
        kind: kind.unwrap(),
    };
    pollster::block_on(zone.ask(question))
}

fn words(outcome: &Outcome) -> String {
    let record = |record: &Record| match record {
        Record::A(ip) => ip.to_string(),
        Record::Aaaa(ip) => ip.to_string(),
        Record::Mx(preference, None) => format!("{preference} ."),
        Record::Mx(preference, Some(host)) => format!("{preference} {host}"),
        Record::Ptr(host) => host.to_string(),
        Record::Txt(text) => String::from_utf8_lossy(text).into_owned(),
    };
    match outcome {
        Outcome::Records(records) => records.iter().map(record).collect::<Vec<_>>().join(", "),
        Outcome::NoRecords => "none".to_owned(),
        Outcome::NoName => "no name".to_owned(),
        Outcome::Unavailable(trouble) => serde_json::to_string(trouble).unwrap().replace('"', ""),
    }
}

#[test]
fn a_file_answers_as_it_reads() {
    for text in [FILE.to_owned(), FILE.replace('\n', "\r\n")] {
        let zone = ZoneFile::parse(&text).unwrap();
        for (question, expected) in ANSWERS {
            let answer = ask(&zone, question);
            assert_eq!(words(&answer.outcome), expected, "{question}");
            assert_eq!(answer.security, Security::Unknown);
        }
    }
}

#[test]
fn only_names_in_signed_zones_are_proven() {
    let file = "$SECURE signed.example.\n$ORIGIN example.\n$SECURE also\n\
        signed A 192.0.2.1\nplain A 192.0.2.2\nout.signed CNAME plain\nin CNAME signed\n\
        over.signed CNAME x.also\nx.also A 192.0.2.3\nlate.signed TIMEOUT\n";
    let zone = ZoneFile::parse(file).unwrap();
    for (question, expected) in [
        ("signed.example A", Security::Secure),
        ("signed.example TXT", Security::Secure),
        ("nobody.signed.example TXT", Security::Secure),
        ("unsigned.example TXT", Security::Insecure),
        ("plain.example A", Security::Insecure),
        ("elsewhere.test A", Security::Insecure),
        // A chain is proven if all of it is.
        ("out.signed.example A", Security::Insecure),
        ("in.example A", Security::Insecure),
        ("over.signed.example A", Security::Secure),
        ("late.signed.example A", Security::Unknown),
    ] {
        assert_eq!(ask(&zone, question).security, expected, "{question}");
    }
}

#[test]
fn zones_are_built_by_hand_too() {
    let mut zone = ZoneFile::default();
    assert_eq!(ask(&zone, "a.example A").outcome, Outcome::NoName);
    zone.insert(&name("x.a.example"), Record::A([192, 0, 2, 1].into()));
    zone.insert_alias(&name("alias.example"), &name("x.a.example"));
    zone.insert_trouble(&name("bad.example"), Some(Kind::Mx), Trouble::Malformed);
    zone.insert_trouble(&name("worse.example"), None, Trouble::NoServer);
    zone.insert_signed(&name("a.example"));
    for (question, expected) in [
        ("a.example A", "none"),
        ("alias.example A", "192.0.2.1"),
        ("bad.example MX", "malformed"),
        ("bad.example A", "none"),
        ("worse.example TXT", "\"no_server\""),
    ] {
        assert_eq!(
            words(&ask(&zone, question).outcome),
            expected.replace('"', ""),
            "{question}"
        );
    }
    assert_eq!(ask(&zone, "x.a.example A").security, Security::Secure);
}

#[test]
fn faults_are_named_with_their_line() {
    let long = format!("a TXT {}", "x".repeat(256));
    let huge = format!("a TXT {}", "\"0123456789012345678901234567890123456789\" ".repeat(1700));
    let sizes = [
        (&*long, 1, "a string of more than 255 octets"),
        (&*huge, 1, "a text of more than 65535 octets"),
    ];
    for (file, line, why) in FAULTS.into_iter().chain(sizes) {
        let error = ZoneFile::parse(file).unwrap_err();
        assert_eq!((error.line, error.why.as_str()), (line, why), "{file:?}");
        assert_eq!(error.to_string(), format!("line {line}: {why}"));
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}|[a-c .@*$\"\\\\;()\n\t0-9]{0,80}") {
        if let Err(error) = ZoneFile::parse(&text) {
            prop_assert!(error.line <= text.lines().count().max(1) + 1);
        }
    }

    #[test]
    fn any_words_of_the_file_are_read_or_refused(picks in prop::collection::vec(0usize..1000, 0..60)) {
        let words: Vec<&str> = FILE.split_inclusive([' ', '\n']).collect();
        let text: String = picks.iter().map(|pick| words[pick % words.len()]).collect();
        if let Ok(zone) = ZoneFile::parse(&text) {
            for (question, _) in ANSWERS {
                ask(&zone, question);
            }
        }
    }

    #[test]
    fn any_octets_of_a_text_come_back(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let escaped = |string: &[u8]| string.iter().map(|octet| format!("\\{octet:03}")).collect::<String>();
        let strings: Vec<String> = octets.chunks(255).map(|string| format!("\"{}\"", escaped(string))).collect();
        let zone = ZoneFile::parse(&format!("a.example TXT \"\" {}", strings.join(" "))).unwrap();
        let answer = ask(&zone, "a.example TXT");
        prop_assert_eq!(answer.texts().collect::<Vec<_>>(), [&*octets]);
    }
}
