//! What the server says of itself, in one place. Verdicts on recipients and messages come from the gateway.

use super::command::{CommandError, Verb};
use super::data::DataFault;
use super::xclient::{XclientAttributes, XclientError};
use crate::reply::Reply;
use crate::text::Line;

/// Longest keyword of ours with its value, in characters.
const OWN_CHARS_MAX: usize = 300;

fn own(code: u16, enhanced: (u8, u16, u16), text: &'static str) -> Reply {
    Reply::new(code, enhanced, Line::literal(text))
}

fn with(code: u16, enhanced: (u8, u16, u16), text: String) -> Reply {
    Reply::new(code, enhanced, Line::clean(text.as_bytes(), OWN_CHARS_MAX))
}

pub(super) fn greeting(hostname: &Line) -> Reply {
    let text = format!("{hostname} ESMTP");
    Reply::bare(220, vec![Line::clean(text.as_bytes(), OWN_CHARS_MAX)])
}

pub(super) fn helo(hostname: &Line) -> Reply {
    Reply::bare(250, vec![hostname.clone()])
}

/// What EHLO lists besides that which is always offered.
pub(super) struct Offers {
    pub size_octets_max: u64,
    pub recipients_max: usize,
    pub tls: bool,
    pub xclient: bool,
}

/// RFC 5321 §4.1.1.1; the keywords of RFC 2920, 1870, 6152, 6531, 2034, 3030, 9422, 3207 and XCLIENT. Of the limits of
/// RFC 9422 there is the one that a session has: on recipients, not on messages.
pub(super) fn ehlo(hostname: &Line, offers: &Offers) -> Reply {
    let own = |text: String| Line::clean(text.as_bytes(), OWN_CHARS_MAX);
    let mut lines = vec![
        hostname.clone(),
        Line::literal("PIPELINING"),
        own(format!("SIZE {}", offers.size_octets_max)),
        Line::literal("8BITMIME"),
        Line::literal("SMTPUTF8"),
        Line::literal("ENHANCEDSTATUSCODES"),
        Line::literal("CHUNKING"),
        own(format!("LIMITS RCPTMAX={}", offers.recipients_max)),
    ];
    if offers.tls {
        lines.push(Line::literal("STARTTLS"));
    }
    if offers.xclient {
        lines.push(Line::literal(XclientAttributes::KEYWORD));
    }
    Reply::bare(250, lines)
}

/// RFC 3207 §4.
pub(super) fn start_tls() -> Reply {
    own(220, (2, 0, 0), "Ready to start TLS")
}

pub(super) fn tls_active() -> Reply {
    own(503, (5, 5, 1), "TLS is active already")
}

/// RFC 3030 §2.
pub(super) fn chunk_taken(octets: u64) -> Reply {
    with(250, (2, 0, 0), format!("{octets} octets received"))
}

pub(super) fn bdat_needs_ehlo() -> Reply {
    own(503, (5, 5, 1), "BDAT needs EHLO")
}

/// RFC 3030 §2: DATA and BDAT do not mix, and the envelope is complete once the message has begun.
pub(super) fn chunks_begun() -> Reply {
    own(503, (5, 5, 1), "Message has begun, send BDAT or RSET")
}

/// Departs from RFC 5321 §3.8, which wants 421 before closing: the command will never be right.
pub(super) fn bdat_syntax() -> Reply {
    own(501, (5, 5, 4), "Syntax: BDAT octets [LAST], closing connection")
}

pub(super) fn xclient_in_transaction() -> Reply {
    own(503, (5, 5, 1), "XCLIENT is not allowed within a transaction")
}

pub(super) fn xclient_denied() -> Reply {
    own(550, (5, 7, 0), "XCLIENT is not permitted")
}

pub(super) fn mail_taken() -> Reply {
    own(250, (2, 1, 0), "Sender ok")
}

pub(super) fn reset() -> Reply {
    own(250, (2, 0, 0), "Reset")
}

pub(super) fn noop() -> Reply {
    own(250, (2, 0, 0), "OK")
}

/// RFC 5321 §3.5.3: what a server says that does not verify.
pub(super) fn vrfy() -> Reply {
    own(252, (2, 5, 0), "Cannot verify, but will take mail")
}

pub(super) fn expn() -> Reply {
    own(502, (5, 5, 1), "EXPN is not available")
}

pub(super) fn help() -> Reply {
    own(214, (2, 0, 0), "See RFC 5321")
}

pub(super) fn bye() -> Reply {
    own(221, (2, 0, 0), "Bye")
}

pub(super) fn send_message() -> Reply {
    Reply::bare(354, vec![Line::literal("End data with <CRLF>.<CRLF>")])
}

pub(super) fn greet_first() -> Reply {
    own(503, (5, 5, 1), "Send EHLO or HELO first")
}

pub(super) fn mail_first() -> Reply {
    own(503, (5, 5, 1), "Send MAIL first")
}

pub(super) fn rcpt_first() -> Reply {
    own(503, (5, 5, 1), "Send RCPT first")
}

pub(super) fn mail_again() -> Reply {
    own(503, (5, 5, 1), "A sender was given already")
}

/// RFC 5321 §3.3: every RCPT was refused.
pub(super) fn no_recipients() -> Reply {
    own(554, (5, 5, 1), "No valid recipients")
}

/// RFC 5321 §4.5.3.1.10: the client sends the rest in another transaction.
pub(super) fn too_many_recipients() -> Reply {
    own(452, (4, 5, 3), "Too many recipients")
}

/// RFC 1870 §6.1.
pub(super) fn too_large(size_octets_max: u64) -> Reply {
    let text = format!("Message is larger than {size_octets_max} octets");
    with(552, (5, 3, 4), text)
}

/// What is said at once, without waiting for octets that will never end.
pub(super) fn chunk_too_large(size_octets_max: u64) -> Reply {
    let text = format!("Message is larger than {size_octets_max} octets, closing connection");
    with(552, (5, 3, 4), text)
}

pub(super) fn too_many_commands() -> Reply {
    own(421, (4, 7, 0), "Too many commands, closing connection")
}

pub(super) fn too_many_errors() -> Reply {
    own(421, (4, 7, 0), "Too many errors, closing connection")
}

/// RFC 5321 §3.8, §4.5.3.2.
pub(super) fn timed_out() -> Reply {
    own(421, (4, 4, 2), "Timeout, closing connection")
}

/// RFC 5321 §3.8.
pub(super) fn shutting_down() -> Reply {
    own(421, (4, 3, 2), "Server is going down, try again later")
}

/// RFC 7504: this host takes none of what such a client wants.
pub(super) fn not_smtp() -> Reply {
    own(521, (5, 5, 1), "This is an SMTP server, closing connection")
}

pub(super) fn unrecognized() -> Reply {
    own(500, (5, 5, 2), "Unrecognized command")
}

macro_rules! last_unrecognized_texts {
    ($($n:literal)*) => {
        [$(concat!(
            "Closing connection. ", $n,
            " unrecognized commands.  Perhaps you should read RFC 2821?"
        )),*]
    };
}

/// A [`Line`] made at run time has no two blanks in a row, and this text has: so it stands here for each number that
/// is a sensible limit. Past them it has one blank.
const LAST_UNRECOGNIZED: [&str; 21] = last_unrecognized_texts!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20);

/// Departs from RFC 2034 §4: without an enhanced code, because the text is known to peers as it stands.
pub(super) fn last_unrecognized(count: u32) -> Reply {
    let known = usize::try_from(count).ok();
    let line = match known.and_then(|n| LAST_UNRECOGNIZED.get(n)) {
        Some(text) => Line::literal(text),
        None => {
            let text = format!("Closing connection. {count} unrecognized commands. Perhaps you should read RFC 2821?");
            Line::clean(text.as_bytes(), OWN_CHARS_MAX)
        }
    };
    Reply::bare(521, vec![line])
}

/// Codes after RFC 5321 §4.2.2 and §4.3.2, RFC 3463, RFC 5248 and, for a path outside of ASCII, RFC 6531 §3.5.
pub(super) fn command_refused(error: &CommandError) -> Reply {
    match error {
        CommandError::LineTooLong => own(500, (5, 5, 2), "Line too long"),
        CommandError::ControlOctet(b'\r' | b'\n') => own(500, (5, 5, 2), "Bare CR or LF; lines end in CRLF"),
        CommandError::ControlOctet(_) => own(500, (5, 5, 2), "Control character in command"),
        CommandError::NoVerb => own(500, (5, 5, 2), "No command"),
        CommandError::UnknownVerb | CommandError::Http => unrecognized(),
        CommandError::Argument(verb) => own(501, (5, 5, 4), syntax(*verb)),
        CommandError::ArgumentUnexpected(_) => own(501, (5, 5, 4), "No argument allowed"),
        CommandError::Path { verb: Verb::Mail, why } => with(553, (5, 1, 7), format!("Bad sender address: {why}")),
        CommandError::Path { why, .. } => with(553, (5, 1, 3), format!("Bad recipient address: {why}")),
        CommandError::RecipientHost(host) => with(550, (5, 7, 1), format!("Relay attempt for {host}")),
        CommandError::PathNeedsSmtputf8 => own(553, (5, 6, 7), "Address is not ASCII, SMTPUTF8 is needed"),
        CommandError::UnknownParameter(name) => with(555, (5, 5, 4), format!("Parameter not supported: {name}")),
        CommandError::ParameterValue(name) => with(501, (5, 5, 4), format!("Bad value of parameter: {name}")),
        CommandError::Xclient(XclientError::Syntax) => own(501, (5, 5, 4), syntax(Verb::Xclient)),
        CommandError::Xclient(XclientError::UnknownAttribute) => own(501, (5, 5, 4), "Attribute not supported"),
        CommandError::Xclient(XclientError::Repeated) => own(501, (5, 5, 4), "Attribute given twice"),
        CommandError::Xclient(XclientError::Value) => own(501, (5, 5, 4), "Bad value of attribute"),
        CommandError::ParameterWithoutEsmtp => own(555, (5, 5, 4), "Parameters need EHLO"),
    }
}

fn syntax(verb: Verb) -> &'static str {
    match verb {
        Verb::Ehlo => "Syntax: EHLO hostname",
        Verb::Helo => "Syntax: HELO hostname",
        Verb::Mail => "Syntax: MAIL FROM:<address>",
        Verb::Rcpt => "Syntax: RCPT TO:<address>",
        Verb::Xclient => "Syntax: XCLIENT attribute=value",
        _ => "Bad argument",
    }
}

pub(super) fn message_refused(fault: DataFault, size_octets_max: u64) -> Reply {
    match fault {
        DataFault::Nul => nul(),
        DataFault::LineTooLong => own(554, (5, 6, 0), "Message has too long a line"),
        DataFault::TooLarge => too_large(size_octets_max),
        DataFault::BareLineBreak => own(554, (5, 5, 2), "Bare CR or LF in message; lines end in CRLF"),
    }
}

/// RFC 5322 §2.3: a message has no NUL.
pub fn nul() -> Reply {
    own(554, (5, 6, 0), "Message has NUL octets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_unrecognized_command_is_answered_word_for_word() {
        assert_eq!(
            last_unrecognized(3).to_string(),
            "521 Closing connection. 3 unrecognized commands.  Perhaps you should read RFC 2821?"
        );
        assert!(last_unrecognized(21).to_string().contains(". 21 unrec"));
        for (n, text) in LAST_UNRECOGNIZED.iter().enumerate() {
            assert!(text.contains(&format!(" {n} ")));
        }
    }
}
