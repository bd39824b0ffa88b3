//! What is read off messages, in words; and what is not.

use super::*;
use proptest::prelude::*;

/// The names of a message's features.
fn names(octets: &[u8]) -> Vec<String> {
    let (features, names) = Features::read_named(octets);
    features
        .iter()
        .filter_map(|feature| names.get(&feature).cloned())
        .collect()
}

fn has(octets: &str, name: &str) -> bool {
    names(octets.as_bytes()).iter().any(|found| found == name)
}

#[test]
fn what_a_person_sees_becomes_words() {
    for (octets, name) in [
        ("Subject: Cheap Pills\n\n", "subject: cheap"),
        ("Subject: =?utf-8?q?Caf=C3=89?=\n\n", "subject: café"),
        ("From: \"Ann B\" <ann@mail.shop.example>\n\n", "from: ann"),
        ("From: <ann@mail.shop.co.uk>\n\n", "from: @@shop.co.uk"),
        ("To: x@y.example\n\nHello, World", "world"),
        ("\n\ndon't", "don't"),
        // Zero-width characters, full-width letters, letters of mathematics, and Cyrillic ones among Latin ones.
        ("\n\nvi\u{200b}ag\u{ad}ra", "viagra"),
        ("\n\n\u{ff36}\u{ff29}AGRA", "viagra"),
        ("\n\n\u{1d42f}\u{1d422}agra", "viagra"),
        ("\n\nvi\u{430}gr\u{430}", "viagra"),
        ("\n\nпривет", "привет"),
        // Scripts without blanks.
        ("\n\n免费发票", "费发"),
        ("\n\nสวัสดี", "สว"),
        ("Content-Type: text/html\n\n<p>V<i></i>iagra", "viagra"),
        (
            "Content-Type: text/html\n\n<p style='display:none'>novel",
            "hidden: novel",
        ),
        (
            "Content-Type: text/html\n\n<a href='http://pay.evil.example/login/now'>x</a>",
            "link: @@evil.example",
        ),
        (
            "Content-Type: text/html\n\n<a href='http://pay.evil.example/login/now'>x</a>",
            "link: login",
        ),
        (
            "Content-Type: text/html\n\n<a href='http://evil.example/'>www.bank.example</a>",
            "link shows: another host",
        ),
        ("\n\nsee https://evil.example/a now", "link: @evil.example"),
        ("\n\nsee www.evil.example", "link: @www.evil.example"),
        ("\n\nsee http://192.0.2.1/a", "link: 192.0.2"),
        (
            "Content-Disposition: attachment; filename=invoice.pdf.exe\n\nx",
            "file: .pdf.exe",
        ),
        (
            "DKIM-Signature: v=1; d=shop.example; s=key; a=rsa-sha256\n\n",
            "signed by: @shop.example",
        ),
        (
            "Received: from client.example ([192.0.2.1]) by x.example with ESMTP; now\n\n",
            "client: 192.0.2",
        ),
        ("X-Unknown-Field: y\n\n", "header: X-Unknown-Field"),
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
    let known = (41, 11_878_008_181_916_012_567, 1);
    assert_eq!(
        (features.len(), sum, VERSION),
        known,
        "say another VERSION where this changes"
    );
}

#[test]
fn no_message_costs_more_than_its_share() {
    let words = |count: usize| (0..count).map(|n| format!("w{n} ")).collect::<String>();
    let links = (0..10_000)
        .map(|n| format!("<a href='http://h{n}.example/{n}'>www.x{n}.example</a>"))
        .collect::<String>();
    let html = |body: &str| format!("Content-Type: text/html\n\n{body}");
    for octets in [
        words(1_000_000),
        html(&words(1_000_000)),
        html(&links),
        html(&"<div>".repeat(100_000)),
        format!("Subject: {}\n\n", words(100_000)),
        format!("\n\n{}", "http://a.example/ ".repeat(20_000)),
        format!("To: {}\n\n", "a@b.example, ".repeat(20_000)),
        "X: y\n".repeat(9_000),
        format!("DKIM-Signature: {}\n\n", "d=a.example;".repeat(20_000)),
    ] {
        let octets = octets.as_bytes();
        let features = Features::read(octets.get(..256 * 1024).unwrap_or(octets));
        assert!(features.len() <= FEATURES_MAX, "{}", features.len());
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
        prop_assert_eq!(Features::from_octets(&features.to_octets()), Some(features));
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
