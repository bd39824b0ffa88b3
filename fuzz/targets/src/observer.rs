//! A reader of the wire: it has the octets of the client and the replies, and finds by the standards which of the
//! octets were messages. The session must have handed over those messages, and no others.
//!
//! It does not know whether a command was right; the replies say so. Each command has one reply, a message one more,
//! and the last refused command a second one, by which the session closes.

use crate::model::{self, Bounds};
use mail::limits::{CHUNK_OCTETS_READ_MAX, COMMAND_OCTETS_MAX};
use mail::smtp::replay::Record;
use mail::smtp::server::{Expects, Settings, Transaction};

/// Reads the wire to its end.
pub fn observe(inputs: &[&[u8]], record: &Record, settings: &Settings) {
    let mut observer = Observer {
        bounds: Bounds {
            size: settings.size_max,
            line: settings.text_line_max,
        },
        replies: replies(&record.output).into_iter(),
        messages: record.messages.iter(),
        greeted: false,
        recipients: None,
        reads_message: false,
        has_begun: false,
        chunks: Some(Vec::new()),
    };
    assert!(observer.reply().starts_with("220 "), "no greeting");
    let mut rest = Vec::new();
    let mut is_open = true;
    for input in inputs.iter().take_while(|_| record.expects != Expects::Greeting) {
        rest.extend_from_slice(input);
        is_open = is_open && observer.read(&mut rest);
    }
    assert_eq!(record.expects == Expects::Close, !is_open);
    let unread: Vec<&str> = observer.replies.collect();
    assert!(unread.is_empty(), "replies to nothing: {unread:?}");
    assert!(observer.messages.next().is_none(), "a message that is not on the wire");
}

/// The last line of each reply.
fn replies(output: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(output).expect("replies are text");
    assert!(text.ends_with("\r\n"), "half a reply");
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    for line in &lines {
        assert!(line.len() <= 510 && !line.contains(char::is_control), "{line:?}");
        let (digits, mark) = (&line.as_bytes()[..3], line.as_bytes()[3]);
        assert!(
            digits.iter().all(u8::is_ascii_digit) && matches!(mark, b' ' | b'-'),
            "{line:?}"
        );
    }
    lines.into_iter().filter(|line| line.as_bytes()[3] == b' ').collect()
}

struct Observer<'a> {
    bounds: Bounds,
    replies: std::vec::IntoIter<&'a str>,
    /// What was handed over and was not seen on the wire yet.
    messages: std::slice::Iter<'a, (Transaction, Vec<u8>)>,
    /// EHLO or HELO was said to this server, by this client, in this state of encryption.
    greeted: bool,
    /// The recipients of the transaction, if there is one.
    recipients: Option<usize>,
    /// 354 was said, and the end has not come.
    reads_message: bool,
    /// A chunk of this transaction was accepted.
    has_begun: bool,
    /// The octets of the chunks so far; `None` once one was refused.
    chunks: Option<Vec<u8>>,
}

/// What a step comes to.
enum Step {
    /// So many octets belong together.
    Taken(usize),
    /// They go on in the next input.
    Incomplete,
    /// TLS begins: what else has arrived is thrown away.
    Tls,
    /// The session has closed.
    Closed,
}

impl<'a> Observer<'a> {
    /// Reads what can be read, and leaves the rest; whether the session is open then.
    fn read(&mut self, rest: &mut Vec<u8>) -> bool {
        loop {
            match self.step(rest) {
                Step::Taken(octets) => drop(rest.drain(..octets)),
                Step::Incomplete => return true,
                Step::Tls => {
                    rest.clear();
                    return true;
                }
                Step::Closed => return false,
            }
            // Behind the last refused command.
            if self.next_is("421 4.7.0 Too many errors, ") {
                self.replies.next();
                return false;
            }
        }
    }

    fn next_is(&self, begin: &str) -> bool {
        let next = self.replies.as_slice().first();
        next.is_some_and(|next| next.starts_with(begin))
    }

    fn reply(&mut self) -> &'a str {
        self.replies.next().expect("a command gets its reply")
    }

    fn step(&mut self, rest: &[u8]) -> Step {
        if self.reads_message {
            return self.message(rest);
        }
        let Some(end) = model::find(rest, b"\r\n") else {
            return Step::Incomplete;
        };
        let line = &rest[..end];
        let too_many = self.next_is("421 4.7.0 Too many commands, ");
        if let (Some((octets, is_last)), false) = (bdat(line), too_many) {
            if octets as u64 > CHUNK_OCTETS_READ_MAX {
                assert!(
                    self.reply().starts_with("552 "),
                    "what is never carried is answered at once"
                );
                return Step::Closed;
            }
            return match rest[end + 2..].get(..octets) {
                Some(chunk) => {
                    self.chunk(chunk, is_last);
                    Step::Taken(end + 2 + octets)
                }
                None => Step::Incomplete,
            };
        }
        let reply = self.reply();
        let verb = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let verb = String::from_utf8_lossy(verb).to_ascii_uppercase();
        match (verb.as_str(), &reply[..3]) {
            (_, "221" | "421" | "521") => return Step::Closed,
            // How long the chunk is cannot be known.
            ("BDAT", "501") => return Step::Closed,
            ("DATA", "354") => self.reads_message = true,
            (_, "354") => panic!("{reply:?}"),
            ("STARTTLS", "220") => {
                self.envelope(false, None);
                return Step::Tls;
            }
            ("XCLIENT", "220") => self.envelope(false, None),
            ("EHLO" | "HELO", "250") => self.envelope(true, None),
            ("RSET", "250") => self.envelope(self.greeted, None),
            ("MAIL", "250") => {
                assert!(self.greeted && self.recipients.is_none(), "MAIL out of order");
                self.envelope(true, Some(0));
            }
            ("RCPT" | "DATA", "503") if reply.contains("Message has begun") => assert!(self.has_begun, "{reply:?}"),
            ("RCPT", "250") => *self.recipients.as_mut().expect("RCPT within a transaction") += 1,
            _ => {}
        }
        Step::Taken(end + 2)
    }

    /// The transaction is over, or another one begins.
    fn envelope(&mut self, greeted: bool, recipients: Option<usize>) {
        self.greeted = greeted;
        self.recipients = recipients;
        self.has_begun = false;
        self.chunks = Some(Vec::new());
    }

    /// The message behind DATA. A good one was handed over.
    fn message(&mut self, rest: &[u8]) -> Step {
        let Some((verdict, octets)) = model::by_data(rest, self.bounds) else {
            return Step::Incomplete;
        };
        self.reads_message = false;
        let reply = self.reply();
        match verdict {
            Ok(text) => self.handed_over(&text, reply),
            Err(_) => assert!(reply.starts_with("55"), "{reply:?}"),
        }
        self.recipients = None;
        Step::Taken(octets)
    }

    fn handed_over(&mut self, text: &[u8], reply: &str) {
        assert!(is_verdict(reply), "{reply:?}");
        let (transaction, body) = self.messages.next().expect("a good message is handed over");
        assert_eq!(body, text);
        assert_eq!(Some(transaction.recipients.len()), self.recipients.take());
    }

    /// A chunk. The last one completes a message if it is answered as one; then all were accepted.
    fn chunk(&mut self, chunk: &[u8], is_last: bool) {
        let reply = self.reply();
        if is_last && is_verdict(reply) {
            self.has_begun = false;
            let mut octets = self.chunks.replace(Vec::new()).expect("no chunk was refused");
            octets.extend_from_slice(chunk);
            let text = model::by_bdat(&octets, self.bounds).expect("a good message");
            return self.handed_over(&text, reply);
        }
        match &mut self.chunks {
            _ if is_last => self.envelope(self.greeted, None),
            Some(octets) if reply.starts_with("250 ") => {
                octets.extend_from_slice(chunk);
                self.has_begun = true;
            }
            chunks => {
                assert!(reply.starts_with('5'), "{reply:?}");
                *chunks = None;
                self.recipients = None;
                self.has_begun = false;
            }
        }
    }
}

/// What the gateway of the replay says of a message.
fn is_verdict(reply: &str) -> bool {
    reply == "250 2.0.0 Queued" || reply.starts_with("550 5.7.1 Zur")
}

/// RFC 3030 §2: the octets of the chunk, and whether it is the last.
fn bdat(line: &[u8]) -> Option<(usize, bool)> {
    let text = std::str::from_utf8(line).ok()?;
    if text.contains(|c: char| c.is_ascii_control() && c != '\t') || line.len() + 2 > COMMAND_OCTETS_MAX {
        return None;
    }
    let words: Vec<&str> = text.trim_ascii_end().split([' ', '\t']).collect();
    let (verb, arguments) = words.split_first()?;
    let arguments: Vec<&&str> = arguments.iter().filter(|word| !word.is_empty()).collect();
    let (octets, is_last) = match arguments[..] {
        [octets] => (octets, false),
        [octets, last] if last.eq_ignore_ascii_case("LAST") => (octets, true),
        _ => return None,
    };
    let digits = octets.bytes().all(|b| b.is_ascii_digit());
    (verb.eq_ignore_ascii_case("BDAT") && digits).then(|| (octets.parse().unwrap_or(usize::MAX), is_last))
}
