//! Header fields, and the facts that are read off a message.

use judge::auth::org::PublicSuffixes;
use judge::evidence::{AuthorField, ContentFacts};
use judge::reputation::{Letter, Sender, Trust};
use mail::limits::{HEADER_FIELDS_MAX, HEADER_OCTETS_MAX};
use mail::received::{RECEIVED_OCTETS_MAX, parse};
use mail::{Line, Message};

/// Fields and body are the octets in their order; facts are few, bounded, and read back as they were stored.
pub fn header(octets: &[u8]) {
    let message = Message::parse(octets);
    let header: Vec<u8> = message.fields().iter().flat_map(|f| f.raw()).copied().collect();
    let without_mbox = without_mbox(octets);
    assert!(without_mbox.starts_with(&header) && without_mbox.ends_with(message.body()));
    assert!(header.len() + message.body().len() <= without_mbox.len());
    let between = &without_mbox[header.len()..without_mbox.len() - message.body().len()];
    assert!(between.trim_ascii().is_empty(), "octets belong to nothing: {between:?}");
    assert!(message.fields().len() <= HEADER_FIELDS_MAX && header.len() <= HEADER_OCTETS_MAX);
    let mut rest = without_mbox;
    for field in message.fields() {
        rest = &rest[field.raw().len()..];
        assert!(
            !rest.starts_with(b" ") && !rest.starts_with(b"\t"),
            "a folded line was left"
        );
        let mut lines = field.raw().split_inclusive(|&b| b == b'\n').skip(1);
        assert!(
            lines.all(|line| line.starts_with(b" ") || line.starts_with(b"\t")),
            "two fields are one"
        );
        assert!(!field.name().is_empty() && field.name().iter().all(|b| b.is_ascii_graphic() && *b != b':'));
        assert!(!field.value().contains(&b'\n'));
        assert!(field.raw().starts_with(field.name()));
        let name = std::str::from_utf8(field.name()).expect("ASCII");
        assert!(
            message
                .first(&name.to_ascii_uppercase())
                .is_some_and(|first| first.is(name))
        );
    }
    facts(&message, octets.len() as u64);
}

/// The octets behind lines of an mbox: `From `, with any `>` in front, and no colon next.
fn without_mbox(octets: &[u8]) -> &[u8] {
    let mut rest = octets;
    loop {
        let line = rest.split(|&b| b == b'\n').next().unwrap_or_default();
        let text: Vec<u8> = line.iter().copied().skip_while(|&b| b == b'>').collect();
        let next = text.iter().skip(5).find(|b| !b.is_ascii_whitespace());
        if !text.starts_with(b"From ") || next == Some(&b':') {
            return rest;
        }
        rest = rest.get(line.len() + 1..).unwrap_or_default();
    }
}

fn facts(message: &Message<'_>, size_octets: u64) {
    let facts = ContentFacts::gather(message, size_octets);
    let author = match &facts.author {
        AuthorField::Missing => None,
        AuthorField::BogusInitial(line) | AuthorField::TwoAts(line) | AuthorField::Plain(line) => Some(line),
    };
    let lines = [&facts.message_id, &facts.subject, &facts.mailer].map(Option::as_ref);
    for line in lines.into_iter().chain([author]).flatten() {
        assert!(line.as_str().chars().count() <= 500);
        assert!(!line.as_str().contains(char::is_control));
    }
    // Encoded words, and octets of old charsets, may be more or less than they look.
    let subject = message.first("subject").map(|field| field.value()).unwrap_or_default();
    if subject.is_ascii() && !subject.windows(2).any(|two| two == b"=?") {
        assert_eq!(facts.subject.is_none(), Line::reason(&subject).as_str().is_empty());
    }
    let stored = serde_json::to_vec(&facts).expect("facts can be stored");
    assert_eq!(
        serde_json::from_slice::<ContentFacts>(&stored).expect("facts read back"),
        facts
    );
}

/// Any Received field is read within limits or refused, folded or not; whatever a client calls itself in SMTP, it is not
/// taken for its address, nor for who wrote the field.
pub fn received(octets: &[u8]) {
    let found = parse(octets);
    assert!(found.is_none() || octets.len() <= RECEIVED_OCTETS_MAX);
    if let Some(found) = &found {
        assert!(found.has_from || found.address.is_none() && found.helo.is_none() && found.reverse_name.is_none());
        assert!(found.reverse_name.is_none() || found.address.is_some());
        assert!(found.date.as_str().chars().count() <= 100);
    }
    let folded: Vec<u8> = octets
        .iter()
        .flat_map(|b| {
            if *b == b' ' {
                &b"\r\n "[..]
            } else {
                std::slice::from_ref(b)
            }
        })
        .copied()
        .collect();
    if folded.len() <= RECEIVED_OCTETS_MAX {
        assert_eq!(parse(&folded), found, "folding changes the field");
    }
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    if octets.is_empty() || octets.len() > 1000 || octets.iter().any(is_blank) {
        // No HELO name.
        return;
    }
    let value = [
        b"from ",
        octets,
        b" (unknown [198.51.100.7]) by mx.b.example (Postfix) with ESMTP id 1; x",
    ]
    .concat();
    if let Some(found) = parse(&value) {
        let told = |line: &Option<Line>, expected: &str| line.as_ref().is_none_or(|line| line.as_str() == expected);
        let address = found.address.map(|address| address.to_string());
        assert!(
            address.is_none_or(|address| address == "198.51.100.7"),
            "the client named its address"
        );
        assert!(
            told(&found.by, "mx.b.example") && told(&found.protocol, "ESMTP"),
            "the client wrote the field"
        );
    }
}

/// Whatever stands beneath the last hop of ours proves nothing, and changes nothing of what that hop wrote; beneath a hop
/// of nobody's nothing is known at all.
pub fn letter(octets: &[u8]) {
    let mut trust = Trust::default();
    trust.host("mx.b.example").expect("a name");
    let of = |by: &str| -> Sender {
        let border = format!("Received: from mx.a.example (u [192.0.2.1]) by {by} with ESMTP id 1; x\r\n");
        let message = [border.as_bytes(), octets].concat();
        let opened = Letter::open(&Message::parse(&message), &trust);
        assert!(opened.letter.is_bounded() && !opened.has_results);
        opened.letter.sender(&PublicSuffixes::BuiltIn)
    };
    let (ours, foreign) = (of("mx.b.example"), of("mx.c.example"));
    for sender in [&ours, &foreign] {
        assert!(sender.author.as_ref().is_none_or(|author| !author.is_validated));
        assert!(sender.dkim.is_empty() && sender.reverse_path.is_none());
    }
    assert!(foreign.helo.is_none() && foreign.networks == [None; 3]);
    assert_eq!(ours.helo.expect("a name").domain.as_str(), "mx.a.example");
    assert_eq!(ours.networks[0].expect("an address").to_string(), "192.0.2.1");
}
