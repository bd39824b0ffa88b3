//! What is read off messages, in words; and what is not.

use super::*;
use proptest::prelude::*;

/// The names of a message's features.
fn names(octets: &[u8]) -> Vec<String> {
    let (features, names) = Features::read_named(octets);
    features
        .iter()
        .filter_map(|feature| Some(names.get(&feature)?.as_str().to_owned()))
        .collect()
}

fn has(octets: &str, name: &str) -> bool {
    names(octets.as_bytes()).iter().any(|found| found == name)
}

#[test]
fn what_a_person_sees_becomes_words() {
    for (octets, name) in [
        ("Subject: Cheap Pills\n\n", "`cheap` in Subject"),
        ("Subject: =?utf-8?q?Caf=C3=89?=\n\n", "`café` in Subject"),
        ("From: \"Ann B\" <ann@mail.shop.example>\n\n", "`ann` in From"),
        ("From: <ann@mail.shop.co.uk>\n\n", "`shop.co.uk` in From"),
        ("To: x@y.example\n\nHello, World", "word `world`"),
        ("\n\ndon't", "word `don't`"),
        // Zero-width characters, full-width letters, letters of mathematics, and Cyrillic ones among Latin ones.
        ("\n\nvi\u{200b}ag\u{ad}ra", "word `viagra`"),
        ("\n\n\u{ff36}\u{ff29}AGRA", "word `viagra`"),
        ("\n\n\u{1d42f}\u{1d422}agra", "word `viagra`"),
        ("\n\nvi\u{430}gr\u{430}", "word `viagra`"),
        ("\n\nпривет", "word `привет`"),
        // Scripts without blanks.
        ("\n\n免费发票", "word `费发`"),
        ("\n\nสวัสดี", "word `สว`"),
        ("Content-Type: text/html\n\n<p>V<i></i>iagra", "word `viagra`"),
        (
            "Content-Type: text/html\n\n<p style='display:none'>novel",
            "hidden word `novel`",
        ),
        (
            "Content-Type: text/html\n\n<a href='http://pay.evil.example/login/now'>x</a>",
            "link to `evil.example`",
        ),
        (
            "Content-Type: text/html\n\n<a href='http://pay.evil.example/login/now'>x</a>",
            "`login` in the address of a link",
        ),
        (
            "Content-Type: text/html\n\n<a href='http://evil.example/'>www.bank.example</a>",
            "link whose text names another host",
        ),
        ("\n\nsee https://evil.example/a now", "link to `evil.example`"),
        ("\n\nsee www.evil.example", "link to `www.evil.example`"),
        ("\n\nsee http://192.0.2.1/a", "`192.0.2` in the address of a link"),
        (
            "Content-Type: text/html\n\n<a href='http://evil.com/'>https://bank.com/</a>",
            "Link sign: `shows address`",
        ),
        (
            "Content-Type: text/html\n\n<form action=http://203.0.113.5/><input type=password>",
            "Link sign: `password`",
        ),
        (
            "Content-Disposition: attachment; filename=invoice.pdf.exe\n\nx",
            "attachment with `.pdf.exe` in its name",
        ),
        (
            "DKIM-Signature: v=1; d=shop.example; s=key; a=rsa-sha256\n\n",
            "signed by `shop.example`",
        ),
        (
            "Received: from client.example ([192.0.2.1]) by x.example with ESMTP; now\n\n",
            "client in `192.0.2`",
        ),
        ("X-Unknown-Field: y\n\n", "header field `X-Unknown-Field`"),
    ] {
        assert!(
            has(octets, name),
            "{octets}: no `{name}` in {:?}",
            names(octets.as_bytes())
        );
    }
}

#[test]
fn manner_and_agreement_become_shapes() {
    for (octets, name) in [
        ("\n\n> yes?\n\nNO!\n-- \n", "Quoted lines: `1/8`"),
        ("\n\n> yes?\n\nNO!\n-- \n", "Signature line: `is there`"),
        ("\n\n> yes?\n\nNO!\n-- \n", "Capitals: `6/16`"),
        (
            "From: a@shop.example\nContent-Type: text/html\n\n<a href='http://www.shop.example/'>x</a>",
            "hosts of links: `of the author`",
        ),
        (
            "From: a@shop.example\nContent-Type: text/html\n\n<a href='http://evil.example/'>x</a>",
            "hosts of links: `1 of others`",
        ),
        (
            "From: a@shop.example\nReceived: from mx.shop.example (mx.shop.example [192.0.2.1]) by x.example; now\n\n",
            "Client's names: `as it says, of the author`",
        ),
    ] {
        assert!(
            has(octets, name),
            "{octets}: no `{name}` in {:?}",
            names(octets.as_bytes())
        );
    }
}

#[test]
fn verdicts_of_others_dates_and_traces_of_delivery_are_not_read() {
    let plain = "From: a@b.example\nSubject: x\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n\nhello";
    let expected = Features::read(plain.as_bytes());
    for field in [
        "X-Spam-Status: Yes",
        "X-Spam-Flag: YES",
        "X-Forefront-Antispam-Report: SFV:SPM",
        "X-MS-Exchange-Organization-SCL: 9",
        "X-Microsoft-Antispam: BCL:9",
        "X-Barracuda-Spam-Score: 9",
        "X-Mailward-Verdict: junk",
        "X-REJECT-REASON: junk",
        "X-RCPT-TO: a@b.example",
        "X-LOCALPART: a",
        "Delivered-To: a@b.example",
        "X-Original-To: a@b.example",
        "Authentication-Results: x; spf=fail",
        "ARC-Authentication-Results: i=1; x",
        "Received-SPF: fail",
        "X-Bogosity: Spam",
        "X-DSPAM-Result: Spam",
        "X-Proofpoint-Spam-Details: rule=spam",
        "Status: RO",
        "Content-Length: 9",
    ] {
        assert_eq!(
            Features::read([field, "\n", plain].concat().as_bytes()),
            expected,
            "{field}"
        );
    }
    let later = plain.replace("Mon, 1 Jan 2024 10:00", "Tue, 2 Feb 2021 11:59");
    assert_eq!(Features::read(later.as_bytes()), expected);
    let hop =
        |id: &str| format!("Received: from a.example (a.example [192.0.2.1]) by b.example with ESMTP id {id}; now\n\n");
    assert_eq!(
        Features::read(hop("A1B2").as_bytes()),
        Features::read(hop("ZZ9").as_bytes())
    );
}

/// A model is worth nothing if a feature's number changes without anybody noticing.
#[test]
fn features_keep_their_numbers() {
    let features = Features::read(b"Subject: cheap pills\nFrom: a@shop.example\n\nBuy now at http://shop.example/x\n");
    let sum = features
        .iter()
        .fold(0_u64, |sum, feature| sum.rotate_left(7) ^ u64::from(feature.0));
    let known = (49, 7_469_316_134_290_308_759, 2);
    assert_eq!(
        (features.len(), sum, VERSION),
        known,
        "say another VERSION where a number means something else; where features were only added, pin this anew"
    );
}

/// So much of a message comes at worst.
const LARGE: usize = 30_000_000;

/// Repeated up to so many octets.
fn filled(start: &str, piece: &str, octets: usize) -> Vec<u8> {
    [start.as_bytes(), &piece.as_bytes().repeat(octets / piece.len() + 1)].concat()
}

/// A message with a part that is unpacked by nobody here: zeros, packed by gzip to a thousandth of their size.
fn with_gzip_bomb() -> Vec<u8> {
    // A member of gzip that holds one block of 10 MB of zeros (RFC 1951 §3.2.5), without its end.
    let block = filled("H4sIAAAAAAACA+3BMQEAAADCoPVPbQwfoA", "AAAAAAAAAAAAAAAAAAAAAAAA", 20_000);
    let head = "Subject: logs\nContent-Type: application/gzip; name=logs.gz\nContent-Transfer-Encoding: base64\n\n";
    [head.as_bytes(), &block].concat()
}

/// What is sent to break filters, by its name.
fn monsters() -> Vec<(&'static str, Vec<u8>)> {
    let html = "Content-Type: text/html\n\n";
    let many = |count: usize, piece: &dyn Fn(usize) -> String| (0..count).map(piece).collect::<String>();
    let words = many(1_000_000, &|n| format!("w{n} "));
    let links = many(10_000, &|n| {
        format!("<a href='http://h{n}.example/{n}'>www.x{n}.example</a>")
    });
    let deep = many(10_000, &|n| {
        format!("--b{n}\nContent-Type: multipart/mixed; boundary=b{}\n\n", n + 1)
    });
    let mut state = 1_u64;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    });
    vec![
        ("30 MB of text", filled("Subject: x\n\n", "lorem ipsum ", LARGE)),
        ("a million words", ["\n\n", &words].concat().into_bytes()),
        ("a million words in a page", [html, &words].concat().into_bytes()),
        (
            "a million words in Subject",
            ["Subject: ", &words].concat().into_bytes(),
        ),
        ("10,000 links", [html, &links].concat().into_bytes()),
        ("links in plain text", filled("\n\n", "http://a.example/ ", LARGE)),
        ("a page nested 100,000 deep", filled(html, "<div>", 500_000)),
        (
            "hidden text nested",
            filled(html, "<p style='display:none'>x ", 1_000_000),
        ),
        ("tags that never end", filled(html, "<a href=\"", 1_000_000)),
        ("a gzip bomb", with_gzip_bomb()),
        (
            "messages in messages",
            filled("", "Content-Type: message/rfc822\n\n", 1_000_000),
        ),
        (
            "multiparts in multiparts",
            ["Content-Type: multipart/mixed; boundary=b0\n\n", &deep]
                .concat()
                .into_bytes(),
        ),
        (
            "a million parts",
            filled("Content-Type: multipart/mixed; boundary=b\n\n", "--b\n\nx\n", 8_000_000),
        ),
        ("random octets", random.take(LARGE / 10).collect()),
        ("a million header fields", filled("", "X: y\n", 5_000_000)),
        (
            "one field in a million lines",
            filled("Subject: x\n", " y\n", 3_000_000),
        ),
        ("a million recipients", filled("To: ", "a@b.example, ", 13_000_000)),
        (
            "a signature of many tags",
            filled("DKIM-Signature: ", "d=a.example;", 1_000_000),
        ),
        ("encoded words without end", filled("Subject: ", "=?a?q?x ", 1_000_000)),
        ("one line of 30 MB", filled("\n\n", "a", LARGE)),
        (
            "base64 without end",
            filled("Content-Transfer-Encoding: base64\n\n", "QUFB", LARGE),
        ),
    ]
}

#[test]
fn no_message_costs_more_than_its_share() {
    for (name, octets) in monsters() {
        let (features, names) = Features::read_named(&octets);
        assert!(
            features.len() <= FEATURES_MAX && names.len() <= features.len(),
            "{name}: {}",
            features.len()
        );
        // A name is 120 characters at most.
        assert!(names.values().all(|name| name.as_str().len() <= 480), "{name}");
        // Of the octets only the first ones were looked at.
        if octets.len() > OCTETS_MAX {
            assert_eq!(Features::read(&octets[..OCTETS_MAX]), features, "{name}");
        }
        let mut model = crate::junk::Model::default();
        let lesson = model.train(&features, true);
        assert!(
            crate::junk::Filter::of(&model).pulls(&features, &names, 10).len() <= 10,
            "{name}"
        );
        model.untrain(&features, lesson);
        assert!(model == crate::junk::Model::default(), "{name}");
    }
}

proptest! {
    #[test]
    fn any_octets_are_features_with_or_without_names(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let features = Features::read(&octets);
        prop_assert_eq!(&features, &Features::read_named(&octets).0);
        let list: Vec<Feature> = features.iter().collect();
        prop_assert!(list.is_sorted_by(|a, b| a < b));
        prop_assert!(list.iter().all(|feature| feature.slot() < 1 << SLOT_BITS));
        prop_assert_eq!(Features::from_octets(&features.to_octets()), Some(features.clone()));
        prop_assert_eq!(Features::try_from(String::from(features.clone())), Ok(features));
    }

    #[test]
    fn octets_are_features_in_one_way_only(octets in proptest::collection::vec(0u8..=255, 0..40), large in any::<bool>()) {
        let octets = if large { octets } else { octets.iter().map(|octet| octet & 0x7f).collect() };
        if let Some(features) = Features::from_octets(&octets) {
            prop_assert_eq!(features.to_octets(), octets);
        }
    }

    #[test]
    fn case_and_hidden_characters_make_no_difference(text in "[a-z ]{0,60}", at in 0usize..60) {
        let at = at.min(text.len());
        let hidden = [&text[..at], "\u{200b}", &text[at..]].concat().to_uppercase();
        let words = |text: &str| { let mut found = Vec::new(); words::each(text, |word| found.push(word.to_owned())); found };
        prop_assert_eq!(words(&text), words(&hidden));
    }
}

/// A message whose parts were not found, or were of a kind that nobody looked at, was 48 % junk whatever it said.
#[test]
fn words_are_seen_however_a_part_is_made() {
    let invitation = "BEGIN:VCALENDAR\nSUMMARY:Buy Vi\n agra\nX-ALT-DESC;FMTTYPE=text/html:<b>novel</b>\n";
    for (message, word) in [
        (
            "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\n\n--ab\n\nViagra\n--ab--\n",
            "viagra",
        ),
        ("Content-Type: text/html (c)\n\n<p>Vi<i></i>agra", "viagra"),
        ("Content-Transfer-Encoding: (c) base64\n\nVmlhZ3Jh", "viagra"),
        ("Content-Type: text/plain; charset=utf-7\n\n+AFY-iagra", "viagra"),
        ("Content-Type: application/xhtml+xml\n\n<p>Vi<i></i>agra", "viagra"),
        (
            "Content-Type: image/svg+xml\n\n<svg><text>Viagra</text></svg>",
            "viagra",
        ),
        (
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nDQoNClZpYWdyYQ==",
            "viagra",
        ),
        ("Content-Type: multipart/mixed\n\nViagra", "viagra"),
        (
            "Content-Type: image/png\nContent-Type: text/html\n\n<p>Vi<i></i>agra",
            "viagra",
        ),
        (&["Content-Type: text/calendar\n\n", invitation].concat(), "viagra"),
        (&["Content-Type: text/calendar\n\n", invitation].concat(), "novel"),
    ] {
        assert!(has(message, &format!("word `{word}`")), "{message}");
    }
}
