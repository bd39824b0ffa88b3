//! What next hops answer, and what we make of it for our own client.

use crate::{Input, in_pieces, model};
use mail::limits::{REPLY_LINE_OCTETS_MAX, REPLY_LINES_MAX};
use mail::smtp::client::{Answer, Extensions, ReplyError, ReplyParser, SizeOffer};

/// Replies are the same in pieces of any size, bounded, and can be handed on as replies.
pub fn client_replies(octets: &[u8]) {
    let mut input = Input(octets);
    let piece = input.number();
    let stream = input.rest();
    let [whole, single, sized] = in_pieces(stream, piece).map(answers);
    assert_eq!(single, whole);
    assert_eq!(sized, whole);
    let (found, _) = whole;
    assert!(found.len() <= model::lines(stream).len(), "a reply without a line");
    for answer in found {
        check_answer(&answer);
        let offered = Extensions::parse(&answer);
        assert!(offered.size != SizeOffer::Max(0));
        hand_on(answer);
    }
}

type Found = (Vec<Answer>, Option<ReplyError>);

fn answers<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Found {
    let (mut parser, mut found) = (ReplyParser::default(), Vec::new());
    for mut piece in pieces {
        while !piece.is_empty() {
            match parser.feed(&mut piece) {
                Ok(answer) => found.extend(answer),
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

fn check_answer(answer: &Answer) {
    assert!((200..600).contains(&answer.code));
    assert!((1..=REPLY_LINES_MAX).contains(&answer.lines.len()));
    for line in &answer.lines {
        assert!(line.as_str().chars().count() <= 512);
        assert!(!line.as_str().contains(char::is_control));
    }
    if let Some((class, subject, detail)) = answer.enhanced {
        assert!(u16::from(class) == answer.code / 100 && subject < 1000 && detail < 1000);
    }
}

/// Handed on, it is one reply that says the same, in lines that a client reads.
fn hand_on(answer: Answer) {
    let reply = answer.clone().into_reply();
    for utf8 in [true, false] {
        let mut written = Vec::new();
        reply.write(&mut written, utf8);
        assert!(utf8 || written.is_ascii());
        let (again, error) = answers(std::iter::once(&*written));
        assert_eq!((again.len(), error), (1, None), "{written:?}");
        assert_eq!((again[0].code, again[0].lines.len()), (answer.code, answer.lines.len()));
        assert_eq!(again[0].enhanced, reply.enhanced());
        for line in model::lines(&written) {
            assert!(
                line.len() + 2 <= 512.min(REPLY_LINE_OCTETS_MAX),
                "{} octets in a line",
                line.len()
            );
        }
    }
}
