//! What a session does beyond the dialogues of `testdata/smtp`.

use super::*;
use crate::smtp::replay::{Bodies, Manner, Replay};
use crate::smtp::transcripts::settings;

/// A session that has greeted, and its driver.
fn driver() -> Replay {
    let mut driver = Replay::new(settings());
    driver.session.greet();
    driver
}

fn pieces(piece: usize) -> Manner {
    Manner {
        piece,
        bodies: Bodies::Left,
    }
}

const ENVELOPE: &[u8] = b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n";

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 416, "{}", size_of::<Session>());
    let mut driver = driver();
    let message = b"0123456789\r\n".repeat(5000);
    driver.feed(
        b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n",
        pieces(5),
    );
    driver.feed(&message, pieces(4096));
    driver.feed(b".\r\n", pieces(4096));
    assert_eq!(driver.messages.len(), 1);
    assert!(driver.session.transaction.is_none());
    assert!(driver.session.output.capacity() <= 4096);
    assert!(matches!(driver.session.stage, Stage::Command));
}

#[test]
fn a_message_that_is_given_up_is_read_to_its_end_and_answered_so() {
    let mut driver = driver();
    driver.feed(
        b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx\r\n",
        pieces(5),
    );
    assert!(driver.session.body_octets() > 0);
    driver
        .session
        .give_up_message(Reply::new(452, (4, 3, 1), Line::literal("full")));
    driver.feed(&b"0123456789\r\n".repeat(50), pieces(7));
    assert_eq!(driver.session.body_octets(), 0);
    driver.feed(b".\r\nNOOP\r\n", pieces(3));
    assert!(driver.messages.is_empty() && driver.session.transaction.is_none());
    assert!(driver.output.ends_with(b"452 4.3.1 full\r\n250 2.0.0 OK\r\n"));
}

#[test]
fn a_message_with_a_fault_is_kept_until_it_is_too_large() {
    let mut driver = driver();
    driver.feed(
        b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx\ny",
        pieces(5),
    );
    driver.feed(&b"0123456789\r\n".repeat(5000), pieces(4096));
    assert_eq!(driver.session.expects(), Expects::Data);
    assert!(driver.session.body_octets() > 60_000);
    driver.feed(&b"0123456789\r\n".repeat(5000), pieces(4096));
    assert_eq!(driver.session.expects(), Expects::Data);
    assert_eq!(driver.session.body_octets(), 0);
}

#[test]
fn refusals_that_nobody_asks_for_are_bounded() {
    let mut settings = settings();
    (settings.recipients_max, settings.commands_max) = (1, 100_000);
    let mut session = Session::new(Arc::new(settings));
    session.greet();
    session.advance(&mut &ENVELOPE[..]);
    session.answer(&replies::noop());
    session.advance(&mut &b"RCPT TO:<a@b.example>\r\n".repeat(10_000)[..]);
    assert_eq!(session.take_refused().len(), REFUSALS_HELD_MAX);
    session.advance(&mut &b"RCPT TO:<a@b.example>\r\n"[..]);
    assert_eq!(session.take_refused().len(), 1);
}

#[test]
fn nothing_is_read_before_the_greeting_or_while_an_answer_is_due() {
    let mut session = Session::new(Arc::new(settings()));
    let mut input = &b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nNOOP\r\n"[..];
    let length = input.len();
    assert_eq!(session.advance(&mut input), None);
    assert_eq!((input.len(), session.expects()), (length, Expects::Greeting));
    session.greet();
    assert!(matches!(session.advance(&mut input), Some(Ask::Recipient(_))));
    assert_eq!(session.advance(&mut input), None);
    assert_eq!(input, b"NOOP\r\n");
    // An answer that nobody asked for changes nothing.
    let reply = replies::noop();
    session.answer(&reply);
    let length = session.output().len();
    session.answer(&reply);
    assert_eq!(session.output().len(), length);
    assert_eq!(session.transaction().unwrap().recipients.len(), 1);
}

#[test]
fn shutdown_while_an_answer_is_due_closes_and_the_late_answer_is_dropped() {
    let mut session = Session::new(Arc::new(settings()));
    session.greet();
    let mut input = &b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n"[..];
    assert!(session.advance(&mut input).is_some());
    session.output().clear();
    session.shutdown();
    session.answer(&replies::noop());
    session.timed_out();
    let said = String::from_utf8(session.output().clone()).unwrap();
    assert_eq!(said, "421 4.3.2 Server is going down, try again later\r\n");
    assert!(session.is_closing());
}

/// The transaction goes with the message, and nobody knew any more whose message it was that the end of the server, or a
/// fault of its own, cut off.
#[test]
fn what_ends_while_a_message_is_judged_tells_whose_it_was() {
    let ends: [fn(&mut Session); 2] = [Session::shutdown, |session| session.fail(replies::noop())];
    for end in ends {
        for message in [&b"x\r\n.\r\n"[..], b"a\nb\r\n.\r\n"] {
            let mut session = Session::new(Arc::new(settings()));
            session.greet();
            for part in [ENVELOPE, b"DATA\r\n", message] {
                if let Some(Ask::Recipient(_)) = session.advance(&mut &part[..]) {
                    session.answer(&replies::noop());
                }
            }
            end(&mut session);
            let refused = session.take_refused();
            assert_eq!(refused.len(), 1);
            let Refused {
                stage,
                helo,
                reverse_path,
                recipients,
                first_recipients,
                ..
            } = &refused[0];
            let texts = [helo, reverse_path].map(|line| line.as_ref().map(Line::as_str));
            assert_eq!((*stage, texts), ("end of message", [Some("c"), Some("<>")]));
            assert_eq!((*recipients, first_recipients[0].as_str()), (1, "a@b.example"));
        }
    }
}

/// What stands behind STARTTLS in one input may come from somebody between client and server, who must not be able to
/// put words into the mouth of the client that TLS then proves (CVE-2011-0411 and its kin).
#[test]
fn what_stands_behind_starttls_is_not_consumed_and_never_executed() {
    for piece in [usize::MAX, 1, 3] {
        let mut driver = driver();
        driver.session.offer_tls();
        driver.feed(ENVELOPE, pieces(piece));
        driver.output.clear();
        let mut input = &b"STARTTLS\r\nRSET\r\nMAIL FROM:<evil@b.example>\r\n"[..];
        assert_eq!(driver.session.advance(&mut input), Some(Ask::StartTls));
        assert_eq!(input, b"RSET\r\nMAIL FROM:<evil@b.example>\r\n");
        assert_eq!(driver.session.output(), b"220 2.0.0 Ready to start TLS\r\n");
        // Even a driver that does not throw it away gets nothing done before TLS.
        assert_eq!(driver.session.advance(&mut input), None);
        driver.session.answer(&replies::noop());
        assert_eq!(driver.session.advance(&mut input), None);
        assert_eq!(input.len(), 34);
        driver.session.output().clear();
        driver.session.tls_started();
        assert!(driver.session.transaction().is_none() && driver.session.hello.is_none());
        driver.feed(b"MAIL FROM:<a@b.example>\r\nEHLO c\r\n", pieces(piece));
        let said = String::from_utf8(std::mem::take(&mut driver.output)).unwrap();
        assert!(
            said.starts_with("503 5.5.1 Send EHLO or HELO first\r\n250-mx"),
            "{said}"
        );
        assert!(!said.contains("STARTTLS"));
    }
}

#[test]
fn tls_from_the_first_octet_is_not_offered_again() {
    let mut driver = Replay::new(settings());
    driver.session.tls_started();
    driver.session.offer_tls();
    assert_eq!(driver.session.expects(), Expects::Greeting);
    driver.session.greet();
    // At another time it means nothing.
    driver.feed(ENVELOPE, pieces(9));
    driver.session.tls_started();
    assert!(driver.session.transaction().is_some());
    driver.feed(b"STARTTLS\r\n", pieces(9));
    let said = String::from_utf8(driver.output).unwrap();
    assert!(
        !said.contains("STARTTLS") && said.ends_with("503 5.5.1 TLS is active already\r\n"),
        "{said}"
    );
}

#[test]
fn limits_of_the_connection_outlive_starttls_and_xclient() {
    let mut driver = driver();
    driver.session.offer_tls();
    driver.session.trust_xclient();
    driver.session.settings = Arc::new(Settings {
        commands_max: 4,
        ..settings()
    });
    driver.feed(b"STARTTLS\r\n", pieces(5));
    driver.feed(b"FOO\r\nXCLIENT ADDR=192.0.2.1\r\nFOO\r\nNOOP\r\n", pieces(5));
    assert!(driver.session.is_closing());
    assert_eq!(driver.session.unrecognized, 2);
}

#[test]
fn of_a_chunk_that_says_it_is_past_the_limit_nothing_is_held() {
    let mut driver = driver();
    driver.feed(ENVELOPE, pieces(100));
    driver.feed(b"BDAT 99999999 LAST\r\n", pieces(100));
    for _ in 0..50 {
        driver.feed(&b"0123456789\r\n".repeat(500), pieces(4096));
        assert_eq!(driver.session.expects(), Expects::Data);
        assert_eq!(driver.session.body_octets(), 0);
    }
    driver.session.timed_out();
    assert!(driver.session.is_closing() && driver.messages.is_empty());
}

#[test]
fn a_chunk_that_no_connection_lives_to_carry_is_answered_at_once() {
    // Its octets were waited for until the time was over, and the client never heard why.
    for octets in ["18446744073709551615", "18446744073709551617", "4294967297"] {
        for envelope in [ENVELOPE, b"EHLO c\r\n"] {
            let mut driver = driver();
            driver.feed(envelope, pieces(100));
            driver.feed(format!("BDAT {octets} LAST\r\n").as_bytes(), pieces(100));
            let said = String::from_utf8(driver.output).unwrap();
            assert!(
                said.ends_with("552 5.3.4 Message is larger than 100000 octets, closing connection\r\n"),
                "{said}"
            );
            assert!(driver.session.is_closing());
        }
    }
}

#[test]
fn between_two_chunks_a_message_is_due_and_its_memory_is_told() {
    let mut driver = driver();
    driver.feed(ENVELOPE, pieces(100));
    driver.feed(b"BDAT 8\r\n12345\r\nx", pieces(3));
    assert_eq!(driver.session.expects(), Expects::Data);
    assert!(driver.session.body_octets() >= 8);
    driver.feed(b"RSET\r\n", pieces(3));
    assert_eq!(
        (driver.session.expects(), driver.session.body_octets()),
        (Expects::Command, 0)
    );
}

#[test]
fn a_message_in_chunks_that_is_given_up_is_answered_at_the_next_end_of_a_chunk() {
    let mut driver = driver();
    driver.feed(ENVELOPE, pieces(100));
    driver.feed(b"BDAT 8\r\n12345\r\nx", pieces(3));
    driver
        .session
        .give_up_message(Reply::new(452, (4, 3, 1), Line::literal("full")));
    assert_eq!(driver.session.body_octets(), 0);
    driver.output.clear();
    driver.feed(b"BDAT 4\r\nx\r\nyBDAT 1\r\nzBDAT 0 LAST\r\nBDAT 0 LAST\r\n", pieces(3));
    let told = "452 4.3.1 full\r\n".repeat(3) + "503 5.5.1 Send MAIL first\r\n";
    assert_eq!(String::from_utf8(driver.output).unwrap(), told);
    assert!(driver.messages.is_empty());
    // Only the last one was an error.
    assert_eq!(driver.session.errors, 1);
}

#[test]
fn parts_of_a_message_that_was_refused_are_no_parts_of_the_next_one() {
    for (first, second) in [
        (&b"DATA\r\nfirst\r\n"[..], &b"bare\n\r\n.\r\n"[..]),
        (b"BDAT 7\r\nfirst\r\n", b"RSET\r\n"),
    ] {
        let taken = Manner {
            piece: 100,
            bodies: Bodies::Taken,
        };
        let mut driver = driver();
        driver.feed(ENVELOPE, taken);
        driver.feed(first, taken);
        // The end of one message and the begin of the next one come in one input.
        let next = [second, ENVELOPE, b"DATA\r\nsecond\r\n"].concat();
        driver.feed(&next, taken);
        driver.feed(b"its end\r\n.\r\n", taken);
        let bodies: Vec<_> = driver.messages.iter().map(|(_, body)| body.as_slice()).collect();
        assert_eq!(bodies, [b"second\r\nits end\r\n"]);
    }
}

#[test]
fn a_body_that_is_taken_counts_for_the_size_of_the_message() {
    for form in [&b"DATA\r\n"[..], b"BDAT 120000 LAST\r\n"] {
        let taken = Manner {
            piece: 1000,
            bodies: Bodies::Taken,
        };
        let mut driver = driver();
        driver.feed(ENVELOPE, taken);
        driver.feed(form, taken);
        for _ in 0..12 {
            driver.feed(&b"01234567\r\n".repeat(1000), taken);
            assert!(driver.session.body_octets() <= 2000);
        }
        driver.feed(b".\r\n", taken);
        let said = String::from_utf8(driver.output).unwrap();
        assert!(said.contains("552 5.3.4") && driver.messages.is_empty(), "{said}");
    }
}

#[test]
fn many_chunks_of_some_size_are_no_many_commands_and_small_ones_are() {
    for (octets, limit) in [(1024, false), (1023, true)] {
        let mut driver = driver();
        driver.feed(ENVELOPE, pieces(usize::MAX));
        // The dialogue may have 100 commands, the message 100,000 octets.
        let chunk = [
            format!("BDAT {octets}\r\n").into_bytes(),
            b"x\r\n".repeat(octets / 3),
            b"y".repeat(octets % 3),
        ]
        .concat();
        for _ in 0..97 {
            driver.feed(&chunk, pieces(usize::MAX));
        }
        driver.feed(b"BDAT 0 LAST\r\n", pieces(usize::MAX));
        assert_eq!(driver.session.is_closing(), limit, "{octets}");
    }
}

/// What a client is seen to have done when it sends these inputs.
fn conduct(inputs: &[&[u8]]) -> Conduct {
    let mut driver = driver();
    driver.session.offer_tls();
    driver.session.trust_xclient();
    for input in inputs {
        driver.feed(input, pieces(usize::MAX));
    }
    driver.session.conduct()
}

#[test]
fn a_client_that_waits_where_it_must_has_a_clean_record() {
    for inputs in [
        &[
            &b"HELO c\r\n"[..],
            b"MAIL FROM:<>\r\n",
            b"RCPT TO:<a@b.example>\r\n",
            b"DATA\r\n",
            b"x\r\n.\r\n",
            b"QUIT\r\n",
        ][..],
        &[
            b"EHLO c\r\n",
            b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n",
            b"x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n",
            b".\r\nQUIT\r\n",
        ],
        &[
            b"EHLO c\r\n",
            b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nBDAT 3\r\nx\r\nBDAT 3 LAST\r\ny\r\nMAIL FROM:<>\r\nQUIT\r\n",
        ],
        &[b"EHLO c\r\n", b"STARTTLS\r\n", b"EHLO c\r\n", b"NOOP\r\n"],
        &[
            b"EHLO c\r\n",
            b"XCLIENT ADDR=192.0.2.1\r\nEHLO c\r\n",
            b"MAIL FROM:<>\r\nRSET\r\n",
        ],
        &[b"HE", b"LO c\r", b"\n", b"NOO", b"P\r\n"],
    ] {
        assert_eq!(conduct(inputs), Conduct::default(), "{inputs:?}");
    }
}

#[test]
fn a_client_that_does_not_wait_is_seen() {
    let clean = Conduct::default();
    let before = Conduct {
        pipelined_before_hello: true,
        ..clean
    };
    let unoffered = Conduct {
        pipelined_unoffered: true,
        ..clean
    };
    let past = Conduct {
        pipelined_past_group: true,
        ..clean
    };
    for (inputs, expected) in [
        (&[&b"EHLO c\r\nMAIL FROM:<>\r\n"[..]][..], before),
        (&[b"EHLO c\r\nMA"], before),
        (&[b"NOOP\r\nEHLO c\r\n"], before),
        (&[b"EHLO c\r\n", b"STARTTLS\r\n", b"EHLO c\r\nMAIL FROM:<>\r\n"], before),
        (
            &[b"HELO c\r\n", b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n"],
            unoffered,
        ),
        (
            &[
                b"HELO c\r\n",
                b"MAIL FROM:<>\r\n",
                b"RCPT TO:<a@b.example>\r\n",
                b"DATA\r\n",
                b".\r\nQUIT\r\n",
            ],
            unoffered,
        ),
        (
            &[b"EHLO c\r\n", b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx"],
            past,
        ),
        (&[b"EHLO c\r\n", b"EHLO c\r\nNOOP\r\n"], past),
        (&[b"EHLO c\r\n", b"NOOP\r\nNOOP\r\n"], past),
        (&[b"EHLO c\r\n", b"STARTTLS\r\n\x16\x03\x01"], past),
    ] {
        assert_eq!(conduct(inputs), expected, "{inputs:?}");
    }
}

#[test]
fn what_is_no_command_is_counted_up_to_the_greeting() {
    let conduct = conduct(&[
        b"FOO\r\n",
        b"\0\r\n",
        b"MAIL FROM:<>\r\n",
        b"HELO c\r\n",
        b"\r\n",
        b"GET /\r\n",
    ]);
    let expected = Conduct {
        unknown_before_hello: 2,
        spoke_http: true,
        ..Conduct::default()
    };
    assert_eq!(conduct, expected);
}

#[test]
fn an_ask_carries_the_conduct_up_to_it_and_xclient_makes_it_another_client() {
    let mut driver = driver();
    driver.session.note_early_talk();
    driver.session.trust_xclient();
    driver.feed(b"EHLO c\r\nMAIL FROM:<>\r\n", pieces(usize::MAX));
    let mut input = &b"RCPT TO:<a@b.example>\r\nDATA\r\n.\r\n"[..];
    assert!(driver.session.advance(&mut input).is_some());
    let at_recipient = driver.session.transaction().unwrap().conduct;
    assert!(at_recipient.spoke_early && at_recipient.pipelined_before_hello && !at_recipient.pipelined_past_group);
    driver.session.answer(&Reply::new(250, (2, 1, 5), Line::literal("ok")));
    driver.feed(input, pieces(usize::MAX));
    assert!(driver.messages[0].0.conduct.pipelined_past_group);
    driver.feed(b"XCLIENT ADDR=192.0.2.1\r\n", pieces(usize::MAX));
    assert_eq!(driver.session.conduct(), Conduct::default());
}
