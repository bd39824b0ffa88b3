//! Fields as programs write them, and as somebody may try to make them write.

use super::*;
use proptest::prelude::*;

/// HELO name, reverse name, address, `by`, protocol; `-` for what is not told.
fn told(value: &str) -> String {
    let received = parse(value.as_bytes()).expect("a field that can be read");
    let text = |line: &Option<Line>| line.as_ref().map_or("-".to_owned(), Line::to_string);
    let address = received.address.map_or("-".to_owned(), |address| address.to_string());
    format!(
        "{} {} {address} {} {}",
        text(&received.helo),
        text(&received.reverse_name),
        text(&received.by),
        text(&received.protocol)
    )
}

const DATE: &str = "Mon, 02 Nov 2026 10:00:00 +0000 (UTC)";

/// The field without its date, and what it tells.
const FORMS: &[(&str, &str)] = &[
    // Postfix
    (
        "from mx.a.example (mx.a.example [192.0.2.1])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\r\n\t(No client certificate requested)\r\n\tby mx.b.example (Postfix) with ESMTPS id 4X1\r\n\tfor <b@b.example>; ",
        "mx.a.example mx.a.example 192.0.2.1 mx.b.example ESMTPS",
    ),
    (
        "from a (unknown [IPv6:2001:db8::1]) by mx.b.example (Postfix) with SMTP id 4X1; ",
        "a - 2001:db8::1 mx.b.example SMTP",
    ),
    (
        "from [127.0.0.1] (unknown [198.51.100.7]) by mx.b.example (Postfix) with ESMTP id 4X1; ",
        "[127.0.0.1] - 198.51.100.7 mx.b.example ESMTP",
    ),
    (
        "by mx.b.example (Postfix, from userid 33) id 4X1; ",
        "- - - mx.b.example -",
    ),
    // Exim
    (
        "from mx.a.example ([192.0.2.1] helo=a) by mx.b.example with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384 (Exim 4.96) (envelope-from <a@a.example>) id 1abc for b@b.example; ",
        "a mx.a.example 192.0.2.1 mx.b.example ESMTPS",
    ),
    (
        "from mx.a.example ([192.0.2.1]:4711 helo=a ident=x) by mx.b.example with esmtp (Exim 4.96) id 1; ",
        "a mx.a.example 192.0.2.1 mx.b.example ESMTP",
    ),
    (
        "from [198.51.100.7] (helo=[127.0.0.1]) by mx.b.example with esmtp (Exim 4.96) id 1; ",
        "[127.0.0.1] - 198.51.100.7 mx.b.example ESMTP",
    ),
    (
        "from [198.51.100.7] (port=4711 helo=a) by mx.b.example with smtp id 1; ",
        "a - 198.51.100.7 mx.b.example SMTP",
    ),
    (
        "from mx.a.example ([2001:db8::1]) by mx.b.example with esmtp (Exim 4.96) id 1; ",
        "mx.a.example - 2001:db8::1 mx.b.example ESMTP",
    ),
    (
        "from root by mx.b.example with local (Exim 4.96) id 1; ",
        "root - - mx.b.example LOCAL",
    ),
    // Sendmail
    (
        "from a (mx.a.example [192.0.2.1]) by mx.b.example (8.14.4/8.14.4) with ESMTP id x; ",
        "a mx.a.example 192.0.2.1 mx.b.example ESMTP",
    ),
    (
        "from a (mx.a.example [192.0.2.1] (may\r\n\tbe forged)) by mx.b.example (8.14.4/8.14.4) with ESMTP id x; ",
        "a - 192.0.2.1 mx.b.example ESMTP",
    ),
    (
        "from a (IDENT:bob@mx.a.example [192.0.2.1]) by mx.b.example (8.9.3/8.9.3) with SMTP id x; ",
        "a mx.a.example 192.0.2.1 mx.b.example SMTP",
    ),
    (
        "(from bob@localhost) by mx.b.example (8.14.4/8.14.4/Submit) id x; ",
        "- - - mx.b.example -",
    ),
    (
        "from mx.a.example [192.0.2.1] by mx.b.example; ",
        "mx.a.example - 192.0.2.1 mx.b.example -",
    ),
    // qmail
    (
        "from unknown (HELO a) (198.51.100.7)\n  by mx.b.example with SMTP; ",
        "a - 198.51.100.7 mx.b.example SMTP",
    ),
    (
        "from mx.a.example (EHLO a) (bob@198.51.100.7) by mx.b.example (qpsmtpd/0.84) with ESMTP; ",
        "a - 198.51.100.7 mx.b.example ESMTP",
    ),
    (
        "from mx.a.example (198.51.100.7) by mx.b.example with QMQP; ",
        "mx.a.example - 198.51.100.7 mx.b.example QMQP",
    ),
    ("(qmail 4711 invoked from network); ", "- - - - -"),
    // Microsoft
    (
        "from mx.a.example (192.0.2.1) by\r\n mx.b.example (10.152.20.1) with Microsoft SMTP Server\r\n (version=TLS1_2, cipher=TLS_X) id\r\n 15.20.1; ",
        "mx.a.example - 192.0.2.1 mx.b.example MICROSOFT",
    ),
    (
        "from mx.a.example (2001:db8::1) by mx.b.example (2001:db8::2) with Microsoft SMTP Server id 15; ",
        "mx.a.example - 2001:db8::1 mx.b.example MICROSOFT",
    ),
    (
        "from mx.a.example ([192.0.2.1]) by mx.b.example with Microsoft SMTPSVC(6.0.3790.1830); ",
        "mx.a.example - 192.0.2.1 mx.b.example MICROSOFT",
    ),
    // Google
    (
        "from mx.a.example (mx.a.example. [192.0.2.1])\r\n        by mx.b.example with ESMTPS id x for <b@b.example>\r\n        (version=TLS1_3 bits=256/256); ",
        "mx.a.example - 192.0.2.1 mx.b.example ESMTPS",
    ),
    ("by 2001:db8:5::1 with SMTP id x; ", "- - - 2001:db8:5::1 SMTP"),
    // Others: Dovecot, amavis, Yahoo, fetchmail, ours
    (
        "from mx.b.example by imap.b.example with LMTP id x (envelope-from <a@a.example>) for <b@b.example>; ",
        "mx.b.example - - imap.b.example LMTP",
    ),
    (
        "from mx.b.example ([127.0.0.1]) by localhost (mx.b.example [127.0.0.1]) (amavisd-new, port 10024) with ESMTP id x; ",
        "mx.b.example - 127.0.0.1 localhost ESMTP",
    ),
    (
        "from 192.0.2.9 (EHLO a) (198.51.100.7) by mx.b.example with SMTPS; ",
        "a - 198.51.100.7 mx.b.example SMTPS",
    ),
    (
        "from 198.51.100.7 (EHLO mx.a.example) by mx.b.example with SMTPs\r\n (version=TLS1_3 cipher=TLS_X); ",
        "mx.a.example - 198.51.100.7 mx.b.example SMTPS",
    ),
    (
        "from 2001:db8::1 (EHLO mx.a.example) by mx.b.example with SMTP; ",
        "mx.a.example - 2001:db8::1 mx.b.example SMTP",
    ),
    (
        "from [198.51.100.7] (HELO mx.a.example)\r\n  by mx.b.example (CommuniGate Pro SMTP 6.1.20)\r\n  with ESMTPS id 1 for b@b.example; ",
        "mx.a.example - 198.51.100.7 mx.b.example ESMTPS",
    ),
    (
        "from [198.51.100.7] (account bob@b.example HELO laptop) by mx.b.example (CommuniGate Pro SMTP 6.1.20) with ESMTPSA id 1; ",
        "[198.51.100.7] - - mx.b.example ESMTPSA",
    ),
    (
        "from pop.a.example [192.0.2.1] by home with POP3 (fetchmail-6.4.1) for <b@localhost> (single-drop); ",
        "pop.a.example - 192.0.2.1 home POP3",
    ),
    (
        "from a ([IPv6:2001:db8::1])\r\n\tby mx.b.example with ESMTPS id 0E8AG0000001\r\n\t(TLSv1_3 with TLS13_AES_256_GCM_SHA384)\r\n\tfor <b@b.example>; ",
        "a - 2001:db8::1 mx.b.example ESMTPS",
    ),
    ("FROM a (x [::ffff:192.0.2.1]) BY b WITH smtp; ", "a x 192.0.2.1 b SMTP"),
];

#[test]
fn every_program_has_a_form_of_its_own() {
    for (value, expected) in FORMS {
        let value = format!("{value}{DATE}");
        assert_eq!(told(&value), *expected, "{value}");
        assert_eq!(parse(value.as_bytes()).unwrap().date.as_str(), DATE, "{value}");
    }
}

/// A HELO name is the client's choice, and so are the names in its certificate and what its ident server says.
#[test]
fn what_a_client_chooses_makes_no_other_address() {
    for (value, expected) in [
        (
            "from x([127.0.0.1]) (unknown [198.51.100.7]) by b with SMTP; ",
            "x - - b SMTP",
        ),
        (
            "from x[127.0.0.1] (unknown [198.51.100.7]) by b with SMTP; ",
            "x[127.0.0.1] - 198.51.100.7 b SMTP",
        ),
        (
            "from by (unknown [198.51.100.7]) by b with SMTP; ",
            "by - 198.51.100.7 b SMTP",
        ),
        ("from x;by (unknown [198.51.100.7]) by b with SMTP; ", "x - - - -"),
        ("from x;by;b;with;LMTP (unknown [198.51.100.7]) by c; ", "x - - - -"),
        ("from x([127.0.0.1]);y (unknown [198.51.100.7]) by c; ", "x - - - -"),
        ("from x([127.0.0.1])by(c)b (unknown [198.51.100.7]) by c; ", "x - - c -"),
        (
            "from x\x0cby\x0cb (unknown [198.51.100.7]) by c; ",
            "x by b - 198.51.100.7 c -",
        ),
        (
            "from x (IDENT:[127.0.0.1]@a [198.51.100.7]) by b with SMTP; ",
            "x a 198.51.100.7 b SMTP",
        ),
        (
            "from x (a [198.51.100.7]) (Client CN \"y [127.0.0.1] z\") by b with SMTP; ",
            "x - - b SMTP",
        ),
        (
            "from x (a [198.51.100.7]) (Client CN \"127.0.0.1\") by b with SMTP; ",
            "x a 198.51.100.7 b SMTP",
        ),
        (
            "from x (HELO [127.0.0.1]) (198.51.100.7) by b; ",
            "[127.0.0.1] - 198.51.100.7 b -",
        ),
        ("from [127.0.0.1] by b with SMTP; ", "[127.0.0.1] - - b SMTP"),
        (
            "from x (a [198.51.100.7]) by b from y (c [127.0.0.1]) by d; ",
            "x a 198.51.100.7 b -",
        ),
        ("by b from y (c [127.0.0.1]); ", "- - - b -"),
    ] {
        assert_eq!(told(&format!("{value}{DATE}")), expected, "{value}");
    }
    for open in [
        "from x( (a [192.0.2.1]) by b; z",
        "from x (a [192.0.2.1] by b; z",
        "(\\",
    ] {
        assert_eq!(parse(open.as_bytes()), None, "{open}");
    }
}

#[test]
fn what_is_too_long_is_not_read() {
    let long = |octets: usize| [b"from x by y; ".to_vec(), vec![b'z'; octets]].concat();
    assert!(parse(&long(RECEIVED_OCTETS_MAX)).is_none());
    assert_eq!(parse(&long(2000)).unwrap().date.as_str().len(), DATE_CHARS_MAX);
    let name = "n".repeat(NAME_OCTETS_MAX + 1);
    assert_eq!(
        told(&format!("from {name} ({name} [192.0.2.1]) by b; x")),
        "- - 192.0.2.1 b -"
    );
    assert_eq!(told(""), "- - - - -");
    assert!(parse(b"").unwrap().is_note());
}

proptest! {
    #[test]
    fn any_octets_are_read_or_not(value in proptest::collection::vec(
        prop_oneof![any::<u8>(), proptest::sample::select(&b"()[];\\ .:=@from by"[..])], 0..300)) {
        if let Some(received) = parse(&value) {
            prop_assert!(received.date.as_str().chars().count() <= DATE_CHARS_MAX);
            prop_assert!(received.has_from || received.address.is_none() && received.helo.is_none());
        }
    }

    #[test]
    fn pieces_of_fields_name_an_address_that_stands_there(pieces in proptest::collection::vec(proptest::sample::select(&[
        "from", "by", "with", " ", "(", ")", "a.example", "[192.0.2.1]", "[127.0.0.1]", "helo=", "(HELO x)", ";", "id", "\\",
    ][..]), 0..14)) {
        let value = pieces.concat();
        if let Some(address) = parse(value.as_bytes()).and_then(|received| received.address) {
            prop_assert!(value.contains(&address.to_string()));
        }
    }
}
