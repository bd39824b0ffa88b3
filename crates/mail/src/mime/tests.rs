//! Messages as they come, and as they should not.

mod stories;

use super::*;
use proptest::prelude::*;

/// Depth, media type and the beginning of the text of a part.
type Told<'a> = (usize, &'a str, &'a str);

fn read(octets: &[u8]) -> Vec<(usize, String, String)> {
    let message = Message::parse(octets);
    let show = |part: &Part<'_>| (part.depth, part.media.clone(), part.text().chars().take(40).collect());
    parts(&message).iter().map(show).collect()
}

fn expected(parts: &[Told<'_>]) -> Vec<(usize, String, String)> {
    parts
        .iter()
        .map(|(depth, media, text)| (*depth, (*media).to_owned(), (*text).to_owned()))
        .collect()
}

#[test]
fn parts_are_told_in_order_whatever_is_broken() {
    let cases: &[(&str, &[Told<'_>])] = &[
        ("Subject: x\n\nhello\n", &[(0, "text/plain", "hello\n")]),
        (
            "Content-Type: TEXT/HTML; charset=utf-8\n\n<p>",
            &[(0, "text/html", "<p>")],
        ),
        ("Content-Type: nonsense\n\nx", &[(0, "text/plain", "x")]),
        (
            "Content-Type: multipart/mixed; boundary=\"b\"\n\npreamble\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n--b--\nafter",
            &[
                (0, "multipart/mixed", ""),
                (1, "text/plain", "one"),
                (1, "text/html", "two"),
            ],
        ),
        // A boundary within another, the outer one's name the beginning of the inner one's.
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=bb\n\n\
             --bb\n\none\n--bb\n\ntwo\n--bb--\n--b\n\nthree\n--b--\n",
            &[
                (0, "multipart/mixed", ""),
                (1, "multipart/alternative", ""),
                (2, "text/plain", "one"),
                (2, "text/plain", "two"),
                (1, "text/plain", "three"),
            ],
        ),
        // The inner multipart is never ended.
        (
            "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--a\n\ntwo",
            &[
                (0, "multipart/mixed", ""),
                (1, "multipart/mixed", ""),
                (2, "text/plain", "one"),
                (1, "text/plain", "two"),
            ],
        ),
        // The boundary never comes, or is not named.
        (
            "Content-Type: multipart/mixed; boundary=a\n\nbuy\n",
            &[(0, "multipart/mixed", "buy\n")],
        ),
        (
            "Content-Type: multipart/mixed\n\n--a\n\nbuy",
            &[(0, "multipart/mixed", "--a\n\nbuy")],
        ),
        (
            "Content-Type: message/rfc822\n\nSubject: in\nContent-Type: text/html\n\n<b>",
            &[(0, "message/rfc822", ""), (1, "text/html", "<b>")],
        ),
    ];
    for (octets, parts) in cases {
        assert_eq!(read(octets.as_bytes()), expected(parts), "{octets}");
        assert_eq!(
            read(octets.replace('\n', "\r\n").as_bytes()).len(),
            parts.len(),
            "{octets}"
        );
    }
}

#[test]
fn encodings_are_decoded_as_far_as_they_go() {
    for (encoding, body, text) in [
        ("base64", "aGVsbG8=", "hello"),
        ("base64", "aGVs\n!bG8", "hello"),
        ("base64", "aGVsbG8=aGVsbG8=", "hellohello"),
        ("base64", "a", ""),
        ("Quoted-Printable", "a=3D=\nb=", "a=b="),
        ("quoted-printable", "a=zz=  \nb", "a=zzb"),
        ("8bit", "a=3D", "a=3D"),
        ("x-unknown", "a=3D", "a=3D"),
    ] {
        let octets = format!("Content-Transfer-Encoding: {encoding}\n\n{body}");
        assert_eq!(read(octets.as_bytes())[0].2, text, "{encoding} {body}");
    }
}

#[test]
fn charsets_are_decoded_or_guessed() {
    for (charset, body, text) in [
        ("iso-8859-1", &b"\xe4"[..], "ä"),
        ("koi8-r", b"\xf0", "П"),
        ("gb2312", b"\xd6\xd0", "中"),
        ("iso-2022-jp", b"\x1b$B4A\x1b(B", "漢"),
        ("us-ascii", "ä".as_bytes(), "ä"),
        ("x-nobody-knows", b"\xe4", "ä"),
        ("utf-8", b"\xff", "\u{fffd}"),
    ] {
        let octets = [
            format!("Content-Type: text/plain; charset=\"{charset}\"\n\n").as_bytes(),
            body,
        ]
        .concat();
        assert_eq!(read(&octets)[0].2, text, "{charset}");
    }
}

#[test]
fn encoded_words_become_text() {
    for (value, text) in [
        ("plain", "plain"),
        ("=?utf-8?Q?a_b=3D?=", "a b="),
        ("=?ISO-8859-1?B?5A==?= and =?iso-8859-1*de?q?=F6?=", "ä and ö"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        // One character that was cut apart.
        ("=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "ä"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=?utf-8?q?never ends", "=?utf-8?q?never ends"),
        ("a =? b", "a =? b"),
    ] {
        assert_eq!(decode_words(value.as_bytes()), text, "{value}");
    }
}

#[test]
fn names_of_files_are_found_wherever_they_stand() {
    for (fields, name) in [
        ("Content-Disposition: attachment; filename=\"a;b.pdf\"", Some("a;b.pdf")),
        (
            "Content-Type: application/pdf; name=\"=?utf-8?q?=C3=A4.pdf?=\"",
            Some("ä.pdf"),
        ),
        (
            "Content-Disposition: attachment; filename*=utf-8'en'%C3%A4.pdf",
            Some("ä.pdf"),
        ),
        (
            "Content-Disposition: attachment; filename*0=\"in\"; filename*1=\"voice.exe\"",
            Some("invoice.exe"),
        ),
        ("Content-Type: application/pdf", None),
    ] {
        let octets = format!("{fields}\n\nx");
        let message = Message::parse(octets.as_bytes());
        assert_eq!(parts(&message)[0].name.as_deref(), name, "{fields}");
    }
}

#[test]
fn nesting_and_numbers_are_bounded() {
    let nested = "Content-Type: message/rfc822\n\n".repeat(100_000);
    assert!(read(nested.as_bytes()).len() <= DEPTH_MAX + 1);
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n{}",
        "--b\n\nx\n".repeat(100_000)
    );
    assert_eq!(read(many.as_bytes()).len(), 501);
    let many: String = (0..30_000).map(|n| format!("--b\n\nx{n}\n")).collect();
    let many = format!("Content-Type: multipart/mixed; boundary=b\n\n{many}");
    let message = Message::parse(many.as_bytes());
    let parts = parts(&message);
    assert!((PARTS_MAX / 4 * 3..=PARTS_MAX).contains(&parts.len()) && parts[0].is_cut);
    assert_eq!(
        (parts[1].text(), parts[parts.len() - 1].text()),
        ("x0".into(), "x29999\n".into())
    );
    let deep: String = (0..10_000)
        .map(|n| format!("--b{n}\nContent-Type: multipart/mixed; boundary=b{}\n\n", n + 1))
        .collect();
    let deep = format!("Content-Type: multipart/mixed; boundary=b0\n\n{deep}");
    assert!(read(deep.as_bytes()).len() <= PARTS_MAX);
    // Words that begin and never end.
    let words = "=?a?q?x ".repeat(30_000);
    assert!(decode_words(words.as_bytes()) == words);
    assert!(decode_words("=?a?q?".repeat(40_000).as_bytes()).len() <= 240_000);
}

fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let bits = three.iter().fold(0, |bits, b| bits << 8 | usize::from(*b)) << (8 * (3 - three.len()));
        let letter = move |at: usize| char::from(LETTERS[bits >> (18 - 6 * at) & 63]);
        (0..=three.len()).map(letter).collect::<String>()
    };
    octets.chunks(3).map(group).collect()
}

/// Caps that no mail reader has blinded this one: a few kB in front of the page, and nobody saw it.
#[test]
fn nothing_is_missed_behind_what_shows_nothing() {
    const PAGE: &str = "Content-Type: text/html\n\n<p>page";
    const HEAD: &str = "Content-Type: multipart/alternative; boundary=B\n\n";
    let nested = |depth: usize| {
        let wrap = |inner: String, n| {
            format!("Content-Type: multipart/mixed; boundary=b{n}x\n\n--b{n}x\n{inner}\n--b{n}x--\n")
        };
        (0..depth).fold(PAGE.to_owned(), wrap)
    };
    let encoded = (0..8).fold(PAGE.to_owned(), |inner, _| {
        let text = base64(inner.as_bytes());
        format!("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{text}\n")
    });
    let numbers: String = (0..9_000).map(|n| format!("--B\n\n{n}\n")).collect();
    for (what, octets) in [
        (
            "empty parts",
            format!("{HEAD}{}--B\n{PAGE}\n--B--", "--B\n\n\n".repeat(30_000)),
        ),
        (
            "empty parts behind",
            format!("{HEAD}--B\n{PAGE}\n{}", "--B\n\n\n".repeat(30_000)),
        ),
        (
            "parts that are one",
            format!("{HEAD}{0}--B\n{PAGE}\n{0}", "--B\n\nx\n".repeat(20_000)),
        ),
        ("parts with numbers", format!("{HEAD}{numbers}--B\n{PAGE}\n--B--")),
        ("levels", nested(99)),
        ("levels of base64", encoded),
        (
            "lines",
            format!("{HEAD}--B\n{}{PAGE}\n--B--", "no field\n".repeat(20_000)),
        ),
        (
            "lines on top",
            format!("Subject: x\n{}{PAGE}", "no field\n".repeat(20_000)),
        ),
        (
            "fields",
            format!(
                "{HEAD}--B\n{}{PAGE}\n--B--",
                "Content-Type: text/plain\n".repeat(20_000)
            ),
        ),
        (
            "pieces",
            format!(
                "Content-Type: multipart/mixed; {}boundary=B\n\n--B\n{PAGE}",
                "name*0=a; boundary*=c;".repeat(20_000)
            ),
        ),
        (
            "boundaries",
            format!(
                "Content-Type: multipart/mixed; {}boundary=B\n\n--B\n{PAGE}",
                "boundary=C; ".repeat(20_000)
            ),
        ),
    ] {
        let message = Message::parse(octets.as_bytes());
        let parts = parts(&message);
        let is_page = |part: &&Part<'_>| part.form() == Form::Page && part.text().starts_with("<p>page");
        assert!(parts.iter().any(|part| is_page(&part)), "{what}");
        assert!(!parts[0].is_cut, "{what}");
    }
}

proptest! {
    #[test]
    fn any_octets_are_parts_within_bounds(octets in proptest::collection::vec(prop_oneof![
        Just(b"--b".to_vec()), Just(b"\n".to_vec()), Just(b"--b--".to_vec()), Just(b"\n\n".to_vec()),
        Just(b"Content-Type: multipart/mixed; boundary=b".to_vec()), Just(b"Content-Type: message/rfc822".to_vec()),
        Just(b"Content-Transfer-Encoding: base64".to_vec()), Just(b"=?utf-8?q?=".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4)], 0..40)) {
        let octets = octets.concat();
        let message = Message::parse(&octets);
        let parts = parts(&message);
        let (others, parts): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.is_other);
        prop_assert!(!parts.is_empty() && parts.len() <= PARTS_MAX && others.len() <= PARTS_MAX);
        prop_assert!(parts.iter().map(|part| part.raw().len()).sum::<usize>() <= octets.len());
        for part in parts.iter().chain(&others) {
            prop_assert!(part.octets().len() <= part.raw().len() + 3);
            part.text();
        }
        decode_words(&octets);
    }
}

/// An invitation that led to a phishing page was no text to the filter, and passed.
#[test]
fn invitations_say_what_their_lines_say_unfolded_and_unescaped() {
    let calendar = Calendar::read(
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:not shown\r\nSUMMARY;LANGUAGE=\"a:b\":Pay\\, now\r\n\
         DESCRIPTION:one\\ntwo https://evil.exa\r\n mple/\\;x\r\nlocation:here\r\nURL:https://url.example/\r\n\
         X-ALT-DESC;FMTTYPE=text/html:<a href=\"https://page.example/\">x</a>\r\n\
         X-GOOGLE-CONFERENCE:https://meet.example/\r\nDESCRIPTION;ENCODING=QUOTED-PRINTABLE:a=3Db\r\nEND:VEVENT\r\n",
    );
    assert_eq!(
        calendar.text,
        "Pay, now\none\ntwo https://evil.example/;x\nhere\nhttps://url.example/\nhttps://meet.example/\na=b\n"
    );
    assert_eq!(calendar.page, "<a href=\"https://page.example/\">x</a>\n");
}

#[test]
fn readings_are_bounded_however_doubtful_a_message_is() {
    let fields = "Content-Type: multipart/mixed; boundary=a; boundary=b (c); boundary*=d\n".repeat(2);
    let many = format!(
        "{fields}\n{}",
        "--a\nno field\n--b\nx\n--bx\n--d\n\n--b (c)\n".repeat(20_000)
    );
    let message = Message::parse(many.as_bytes());
    assert!(parts(&message).len() <= 2 * PARTS_MAX);
    // Comments that begin and never end, and parameters without end, cost no more than their length.
    for piece in ["(", "(a)", "x ", "x=(", "boundary*0=", "\"", "a=b "] {
        let long = format!(
            "Content-Type: multipart/mixed; {}\n\n--a",
            piece.repeat(200_000 / piece.len())
        );
        assert_eq!(read(long.as_bytes()).len(), 1, "{piece}");
    }
    let pieces: String = (0..20_000).map(|n| format!("; boundary*{n}=a")).collect();
    assert!(!read(format!("Content-Type: multipart/mixed{pieces}\n\n--a").as_bytes()).is_empty());
}

/// Behind each delimiter a blank line was looked for that never comes; and a last delimiter behind 500 parts was part of
/// what it ends.
#[test]
fn many_parts_are_read_once() {
    let head = "Content-Type: multipart/mixed; boundary=B\n\n";
    let long = format!("{head}{}", "--BX\n".repeat(100_000));
    assert!(!parts(&Message::parse(long.as_bytes())).is_empty());
    let numbers: String = (0..600).map(|n| format!("--B\n\n{n}\n")).collect();
    let inner = "--B\nContent-Type: multipart/mixed; boundary=C\n\n--C\n\ninner\n--C--\nepilogue\n--B\n\nlast\n--B--\n";
    let found = read(format!("{head}{numbers}{inner}").as_bytes());
    let texts: Vec<&str> = found.iter().map(|(_, _, text)| text.as_str()).collect();
    assert!(texts.ends_with(&["599", "", "inner", "last"]), "{texts:?}");
}

/// What looks like a file of uuencode in a text, and is none or has no end.
#[test]
fn files_within_a_text_begin_and_end_with_lines() {
    let names = |text: &str| -> Vec<String> {
        let octets = format!("Subject: x\n\n{text}");
        parts(&Message::parse(octets.as_bytes()))
            .into_iter()
            .filter_map(|part| part.name)
            .collect()
    };
    for (text, expected) in [
        (
            "begin 644 a.html\n!\n`\nend\nbegin 0755  b c.htm \n`\nend",
            &["a.html", "b c.htm"][..],
        ),
        ("begin 644 a.html\n!\nendless", &["a.html"]),
        ("x begin 644 a.html\nend", &[]),
        (
            "begin 6 a.html\nend\nbegin 644\nend\nbegin 888 x\nend\nbegin the day\nend",
            &[],
        ),
    ] {
        assert_eq!(names(text), expected, "{text}");
    }
    assert_eq!(names(&"begin 644 x\n".repeat(50_000)).len(), 1);
    assert!(names(&"begin 644 x\n!a\nend\n".repeat(50_000)).len() <= PARTS_MAX);
}
