//! What holds for every dialogue, in pieces of any size.

use super::*;
use crate::smtp::client::write_dot_stuffed;
use crate::smtp::replay::{Bodies, Manner, Record, Replay, narrow_settings, run};
use crate::smtp::transcripts::settings;
use proptest::prelude::*;

const WHOLE: Manner = Manner {
    piece: usize::MAX,
    bodies: Bodies::Left,
};

const fn taken(piece: usize) -> Manner {
    Manner {
        piece,
        bodies: Bodies::Taken,
    }
}

fn outcome(inputs: &[Vec<u8>], manner: Manner) -> Record {
    run(narrow_settings(), inputs.iter().map(Vec::as_slice), manner)
}

const WORDS: [&[u8]; 42] = [
    b"EHLO c.example\r\n",
    b"HELO c.example\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"MAIL FROM:<a@b.example> SIZE=9 BODY=8BITMIME SMTPUTF8\r\n",
    b"RCPT TO:<x@site.example>\r\n",
    b"RCPT TO:<unknown@site.example>\r\n",
    b"RCPT TO:<later@site.example>\r\n",
    b"RCPT TO:<overload@site.example>\r\n",
    b"DATA\r\n",
    b"DATA\r\ntext\r\n.\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"..text, refuse me\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"FOO\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b".",
    b"\0",
    b"\xff",
    b" ",
    b"<",
    b"a text that is longer than a line may be\r\n",
    b"STARTTLS\r\n",
    b"STARTTLS now\r\n",
    b"XCLIENT ADDR=192.0.2.1 LOGIN=ann\r\n",
    b"XCLIENT ADDR=[UNAVAILABLE]\r\n",
    b"XCLIENT ADDR=\r\n",
    b"BDAT 0\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 5\r\n",
    b"BDAT 5 LAST\r\n",
    b"BDAT 8\r\ntext\r\n.\r",
    b"BDAT 9 LAST\r\n\ntext\r\n.\r",
    b"BDAT 61\r\n",
    b"BDAT 99999999999999999999999\r\n",
    b"BDAT x\r\n",
];

/// Inputs, each of which arrives together; up to three words of a good beginning stand first.
fn dialogue() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let word = proptest::sample::select(&WORDS[..]);
    let input = proptest::collection::vec(word, 0..12);
    (0usize..=3, proptest::collection::vec(input, 1..4)).prop_map(|(start, inputs)| {
        let head: [&[u8]; 3] = [WORDS[0], WORDS[2], WORDS[4]];
        let mut inputs: Vec<_> = inputs.into_iter().map(|words| words.concat()).collect();
        inputs[0].splice(..0, head[..start].concat());
        inputs
    })
}

/// How a message is sent.
#[derive(Debug, Clone)]
enum Form {
    /// As it is, and then `CRLF . CRLF`.
    Raw,
    /// As a client sends it by DATA.
    Stuffed,
    /// In chunks of this many octets.
    Chunks(usize),
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![
        Just(Form::Raw),
        Just(Form::Stuffed),
        (1usize..30).prop_map(Form::Chunks)
    ]
}

fn chunks(text: &[u8], cuts: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    for cut in cuts {
        let (now, after) = rest.split_at(cut.min(rest.len()));
        out.extend(format!("BDAT {}\r\n", now.len()).bytes());
        out.extend(now);
        rest = after;
    }
    out.extend(format!("BDAT {} LAST\r\n", rest.len()).bytes());
    out.extend(rest);
    out
}

/// The octets as characters, one each, with a space for a NUL.
fn latin1(octets: &[u8]) -> String {
    let plain = |octet: &u8| if *octet == 0 { ' ' } else { char::from(*octet) };
    octets.iter().map(plain).collect()
}

fn has_bare_line_break(text: &[u8]) -> bool {
    let text = latin1(text).replace("\r\n", "");
    text.contains(['\r', '\n'])
}

/// What a text comes to by BDAT, told in the plainest way: nothing in it ends it, and each LF ends a line.
fn by_bdat(text: &[u8]) -> Vec<u8> {
    let text = latin1(text);
    let plain = |line: &str| {
        let line = line.strip_suffix("\r\n").or(line.strip_suffix('\n')).unwrap_or(line);
        line.replace('\r', " ") + "\r\n"
    };
    let lines: String = text.split_inclusive('\n').map(plain).collect();
    lines.chars().map(|c| c as u8).collect()
}

/// What the octets behind DATA come to, and how many of them are the message: the first `CRLF . CRLF` ends it, where a
/// CRLF stands before the octets.
fn by_data(octets: &[u8]) -> (Option<Vec<u8>>, usize) {
    let stream = [b"\r\n", octets].concat();
    let end = stream.windows(5).position(|w| w == b"\r\n.\r\n").unwrap();
    let message = latin1(&stream[..end + 2]).replace("\r\n.", "\r\n");
    let good = !has_bare_line_break(&stream[..end + 2]);
    (
        good.then(|| message.chars().skip(2).map(|c| c as u8).collect()),
        end + 3,
    )
}

/// Sends one message between an envelope and NOOP; the bodies that were handed over, and whether the session was in
/// step behind it.
fn deliver(message: &[u8], manner: Manner) -> (Vec<Vec<u8>>, bool) {
    let input = [
        b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n",
        message,
        b"RSET\r\nNOOP\r\n",
    ]
    .concat();
    let mut wide = settings();
    wide.errors_max = 1000;
    wide.unrecognized_max = 1000;
    let record = run(wide, [&*input], manner);
    let in_step = record.output.ends_with(b"250 2.0.0 Reset\r\n250 2.0.0 OK\r\n");
    (record.messages.into_iter().map(|(_, body)| body).collect(), in_step)
}

/// What smugglers put for an end, alone and with commands behind.
const ENDS: [&[u8]; 16] = [
    b"\r\n.\r\n",
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\r\r\n",
    b"\r\n. \r\n",
    b"\r\n..\r\n",
    b"\r\nBDAT 0 LAST\r\n",
];

const SMUGGLED: &[u8] = b"RSET\r\nMAIL FROM:<evil@bank.example>\r\nRCPT TO:<x@site.example>\r\nDATA\r\nevil\r\n";

#[test]
fn by_bdat_no_end_is_an_end_wherever_the_chunk_is_cut() {
    for end in ENDS {
        let text = [b"text", end, SMUGGLED].concat();
        let expected = vec![by_bdat(&text)];
        for cut in 0..=text.len() {
            let sent = chunks(&text, [cut]);
            for manner in [WHOLE, taken(1), taken(7)] {
                assert_eq!(deliver(&sent, manner), (expected.clone(), true), "{end:?} at {cut}");
            }
        }
    }
}

#[test]
fn by_data_only_the_true_end_is_an_end_wherever_the_input_is_cut() {
    for end in ENDS {
        let text = [b"text", end, SMUGGLED].concat();
        let stream = [&*text, b"\r\n.\r\n"].concat();
        let (body, octets) = by_data(&stream);
        // Behind the true end stand commands that the client itself has sent, with a message of their own.
        let own = usize::from(octets < stream.len());
        let sent = [b"DATA\r\n", &*stream].concat();
        for piece in 1..sent.len() + 60 {
            let (bodies, in_step) = deliver(&sent, taken(piece));
            assert!(in_step);
            assert_eq!(bodies.len(), own + usize::from(body.is_some()), "{end:?}");
            assert_eq!(bodies.first().filter(|_| body.is_some()), body.as_ref(), "{end:?}");
        }
        // As our own client sends the same text, it is one message.
        let mut stuffed = b"DATA\r\n".to_vec();
        write_dot_stuffed(&text, &mut stuffed);
        for piece in [1, 2, 5, 1000] {
            let (bodies, in_step) = deliver(&stuffed, taken(piece));
            assert!(in_step && bodies.len() <= 1, "{end:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn octet_by_octet_is_the_same_as_at_once(inputs in dialogue(), piece in 2usize..40) {
        let whole = outcome(&inputs, WHOLE);
        prop_assert_eq!(&outcome(&inputs, Manner { piece: 1, ..WHOLE }), &whole);
        prop_assert_eq!(&outcome(&inputs, Manner { piece, ..WHOLE }), &whole);
        prop_assert_eq!(&outcome(&inputs, taken(1)), &whole);
        prop_assert_eq!(&outcome(&inputs, taken(piece)), &whole);
    }

    #[test]
    fn a_valid_dialogue_with_wrong_octets_is_the_same_in_pieces(
        wrong in proptest::collection::vec((0usize..270, any::<u8>(), any::<bool>()), 0..6),
    ) {
        let mut input = b"XCLIENT ADDR=192.0.2.1\r\nEHLO c.example\r\nMAIL FROM:<a@b.example>\r\n\
            RCPT TO:<x@site.example>\r\nDATA\r\ntext\r\n..dot\r\n.\r\nRSET\r\nMAIL FROM:<>\r\n\
            RCPT TO:<y@site.example>\r\nBDAT 6\r\nab\r\n.\rBDAT 5 LAST\r\n\nab\r\n\
            MAIL FROM:<>\r\nRCPT TO:<y@site.example>\r\nDATA\r\n.\r\nQUIT\r\n".to_vec();
        for (at, octet, insert) in wrong {
            let at = at.min(input.len() - 1);
            if insert { input.insert(at, octet) } else { input[at] = octet }
        }
        let inputs = [input];
        let whole = outcome(&inputs, WHOLE);
        prop_assert_eq!(&outcome(&inputs, Manner { piece: 1, ..WHOLE }), &whole);
        prop_assert_eq!(&outcome(&inputs, taken(1)), &whole);
    }

    #[test]
    fn any_octets_get_whole_replies_within_bounds(input in proptest::collection::vec(
        prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..400)) {
        let inputs = [input];
        let record = outcome(&inputs, WHOLE);
        prop_assert_eq!(&outcome(&inputs, taken(1)).output, &record.output);
        prop_assert!(record.messages.is_empty());
        prop_assert!(record.output.len() <= 26 * 400);
        let said = String::from_utf8(record.output).unwrap();
        prop_assert!(said.ends_with("\r\n"));
        for line in said.split_terminator("\r\n") {
            prop_assert!(line.len() <= 510 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit));
            prop_assert!(!line.contains(['\r', '\n']));
        }
    }

    /// However a message is composed, what the text holds is never obeyed.
    #[test]
    fn a_message_never_gives_a_second_one(words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..12)) {
        let text = words.concat();
        let mut stuffed = Vec::new();
        write_dot_stuffed(&text, &mut stuffed);
        let mut driver = Replay::new(settings());
        driver.session.greet();
        driver.feed(b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n", taken(100));
        driver.feed(&stuffed, taken(100));
        prop_assert_eq!(driver.messages.len(), 1);
        prop_assert_eq!(driver.session.expects(), Expects::Command);
    }

    /// Several messages in one connection, by any form and with any text, come to what the plain model says.
    #[test]
    fn messages_are_those_of_the_plain_model(
        texts in proptest::collection::vec(
            (proptest::collection::vec(prop_oneof![
                proptest::sample::select(&ENDS[..]),
                proptest::sample::select(&WORDS[..]),
                Just(SMUGGLED),
            ], 0..4), form()),
            1..5,
        ),
        piece in 1usize..200,
    ) {
        let (mut input, mut expected) = (b"EHLO c\r\n".to_vec(), Vec::new());
        for (words, form) in &texts {
            let text = words.concat();
            input.extend(b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n");
            match form {
                Form::Raw => {
                    let stream = [&*text, b"\r\n.\r\n"].concat();
                    let (body, octets) = by_data(&stream);
                    // What stands behind a true end within the text would be commands of the client's own.
                    input.extend([b"DATA\r\n", &stream[..octets]].concat());
                    expected.extend(body);
                }
                Form::Stuffed => {
                    input.extend(b"DATA\r\n");
                    let at = input.len();
                    write_dot_stuffed(&text, &mut input);
                    expected.extend(by_data(&input[at..]).0);
                }
                Form::Chunks(size) => {
                    input.extend(chunks(&text, std::iter::repeat_n(*size, text.len() / size)));
                    expected.push(by_bdat(&text));
                }
            }
        }
        input.extend(b"NOOP\r\n");
        let mut wide = settings();
        (wide.errors_max, wide.commands_max) = (100_000, 100_000);
        let record = run(wide, [&*input], taken(piece));
        let bodies: Vec<_> = record.messages.into_iter().map(|(_, body)| body).collect();
        prop_assert_eq!(bodies, expected);
        prop_assert!(record.output.ends_with(b"250 2.0.0 OK\r\n"));
    }
}
