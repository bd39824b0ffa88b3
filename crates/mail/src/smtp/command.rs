//! The grammar of SMTP commands (RFC 5321 §4.1).
//!
//! [`Command::parse`] reads one line and knows nothing of the lines before it; whether a command may come now is the
//! session's to say. Lenient where real clients are sloppy and nothing is lost by it: verbs in any case, a blank behind
//! the colon, no angle brackets, white space at the end. Never lenient with octets that no command holds.

use super::bdat::Chunk;
use super::xclient::{XclientAttributes, XclientError};
use crate::address::{AddressError, ForwardPath, ReversePath};
use crate::limits::HELO_OCTETS_MAX;
use crate::text::Line;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO or HELO.
    Hello(Hello),
    /// MAIL FROM.
    Mail {
        /// The reverse-path.
        path: ReversePath,
        /// What stands behind it.
        params: MailParams,
    },
    /// RCPT TO. No parameter of RCPT is known (RFC 3461 is not offered).
    Rcpt {
        /// The forward-path.
        path: ForwardPath,
    },
    /// DATA.
    Data,
    /// BDAT (RFC 3030).
    Bdat(Chunk),
    /// STARTTLS (RFC 3207).
    StartTls,
    /// XCLIENT.
    Xclient(Box<XclientAttributes>),
    /// RSET.
    Rset,
    /// NOOP, with or without text.
    Noop,
    /// VRFY; its argument is not looked at.
    Vrfy,
    /// EXPN; its argument is not looked at.
    Expn,
    /// HELP, with or without a topic.
    Help,
    /// QUIT.
    Quit,
}

/// How a client greets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The name as claimed. It is judged later, so it may be any printable text.
    pub name: Line,
    /// Which greeting it used.
    pub dialect: Dialect,
}

/// RFC 5321 §4.1.1.1: EHLO opens the extended protocol, HELO the plain one, which has no parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// HELO.
    Smtp,
    /// EHLO.
    Esmtp,
}

/// The parameters of MAIL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailParams {
    /// `SIZE=`: the octets the client means to send (RFC 1870 §6).
    pub size: Option<u64>,
    /// `BODY=8BITMIME` (RFC 6152).
    pub body8bit: bool,
    /// `SMTPUTF8` (RFC 6531 §3.4).
    pub smtputf8: bool,
}

/// The verbs that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// EHLO.
    Ehlo,
    /// HELO.
    Helo,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// BDAT.
    Bdat,
    /// STARTTLS.
    StartTls,
    /// XCLIENT.
    Xclient,
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// QUIT.
    Quit,
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// Longer than [`crate::limits::COMMAND_OCTETS_MAX`].
    LineTooLong,
    /// An octet that no command holds, a bare CR or LF among them (RFC 5321 §2.3.8).
    ControlOctet(u8),
    /// Nothing, or a blank, where the verb should be.
    NoVerb,
    /// A verb that no standard we follow knows.
    UnknownVerb,
    /// A method of HTTP where the verb should be: a browser or a web service was turned on us.
    Http,
    /// The command needs an argument, or one of another form.
    Argument(Verb),
    /// The command has no argument, but one was given.
    ArgumentUnexpected(Verb),
    /// The path is no mail address.
    Path {
        /// MAIL or RCPT.
        verb: Verb,
        /// What is wrong with it.
        why: AddressError,
    },
    /// What stands behind the `@` of a recipient is no domain, such as `_global_`: so it is none of ours, and mail for
    /// it is a relay attempt.
    RecipientHost(Line),
    /// The path is not ASCII, and SMTPUTF8 was not asked for (RFC 6531 §3.5).
    PathNeedsSmtputf8,
    /// A parameter that was not offered.
    UnknownParameter(Line),
    /// A known parameter, but with a wrong value, without one, or twice.
    ParameterValue(Line),
    /// A parameter from a client that greeted with HELO (RFC 5321 §4.1.1.1).
    ParameterWithoutEsmtp,
    /// XCLIENT with attributes that are none.
    Xclient(XclientError),
}

const VERBS: [(&str, Verb); 14] = [
    ("EHLO", Verb::Ehlo),
    ("HELO", Verb::Helo),
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("BDAT", Verb::Bdat),
    ("STARTTLS", Verb::StartTls),
    ("XCLIENT", Verb::Xclient),
    ("RSET", Verb::Rset),
    ("NOOP", Verb::Noop),
    ("VRFY", Verb::Vrfy),
    ("EXPN", Verb::Expn),
    ("HELP", Verb::Help),
    ("QUIT", Verb::Quit),
];

/// RFC 9110 §9, PATCH (RFC 5789), and what a client of HTTP/2 says first (RFC 9113 §3.4).
const HTTP_METHODS: [&str; 10] = [
    "GET", "POST", "CONNECT", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PRI",
];

impl Command {
    /// Parses one line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Command, CommandError> {
        let control = |b: &&u8| b.is_ascii_control() && **b != b'\t';
        if let Some(&octet) = line.iter().find(control) {
            return Err(CommandError::ControlOctet(octet));
        }
        let (verb, args) = split_word(line.trim_ascii_end());
        let verb = Verb::parse(verb)?;
        match verb {
            Verb::Ehlo => hello(verb, args, Dialect::Esmtp),
            Verb::Helo => hello(verb, args, Dialect::Smtp),
            Verb::Mail => mail(args),
            Verb::Rcpt => rcpt(args),
            Verb::Data => alone(verb, args, Command::Data),
            Verb::Bdat => bdat(args),
            // RFC 3207 §4: no parameters.
            Verb::StartTls => alone(verb, args, Command::StartTls),
            Verb::Xclient => XclientAttributes::parse(args)
                .map(|attributes| Command::Xclient(Box::new(attributes)))
                .map_err(CommandError::Xclient),
            Verb::Rset => alone(verb, args, Command::Rset),
            Verb::Quit => alone(verb, args, Command::Quit),
            Verb::Noop => Ok(Command::Noop),
            Verb::Vrfy => Ok(Command::Vrfy),
            Verb::Expn => Ok(Command::Expn),
            Verb::Help => Ok(Command::Help),
        }
    }
}

impl Verb {
    fn parse(word: &[u8]) -> Result<Verb, CommandError> {
        if word.is_empty() {
            return Err(CommandError::NoVerb);
        }
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match VERBS.iter().find(|(name, _)| is(name)) {
            Some((_, verb)) => Ok(*verb),
            None if HTTP_METHODS.iter().any(|name| is(name)) => Err(CommandError::Http),
            None => Err(CommandError::UnknownVerb),
        }
    }
}

/// The verb that a line begins with, whatever is wrong with the rest.
pub(super) fn verb(line: &[u8]) -> Option<Verb> {
    Verb::parse(split_word(line).0).ok()
}

/// What a line of MAIL or RCPT has for a path, however wrong: for logs.
pub(super) fn path_as_written(line: &[u8]) -> &[u8] {
    let args = split_word(line).1;
    let colon = args.iter().position(|&b| b == b':');
    colon.and_then(|at| args.get(at + 1..)).unwrap_or(args).trim_ascii()
}

/// The first word, and what follows it without the blanks between.
fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(u8::is_ascii_whitespace);
    let (word, rest) = text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, &[]));
    (word, rest.trim_ascii_start())
}

fn alone(verb: Verb, args: &[u8], command: Command) -> Result<Command, CommandError> {
    if args.is_empty() {
        Ok(command)
    } else {
        Err(CommandError::ArgumentUnexpected(verb))
    }
}

/// Departs from RFC 5321 §4.1.1.1: any printable text is taken as the name, because its form is evidence.
fn hello(verb: Verb, args: &[u8], dialect: Dialect) -> Result<Command, CommandError> {
    if args.len() > HELO_OCTETS_MAX {
        return Err(CommandError::Argument(verb));
    }
    let name = Line::clean(args, HELO_OCTETS_MAX);
    if name.as_str().is_empty() {
        return Err(CommandError::Argument(verb));
    }
    Ok(Command::Hello(Hello { name, dialect }))
}

fn mail(args: &[u8]) -> Result<Command, CommandError> {
    let (path, rest) = path_after(b"FROM:", args).ok_or(CommandError::Argument(Verb::Mail))?;
    let params = MailParams::parse(rest)?;
    if !params.smtputf8 && !path.is_ascii() {
        return Err(CommandError::PathNeedsSmtputf8);
    }
    let path = std::str::from_utf8(path)
        .map_err(|_| AddressError::Syntax)
        .and_then(ReversePath::parse)
        .map_err(|why| CommandError::Path { verb: Verb::Mail, why })?;
    Ok(Command::Mail { path, params })
}

fn rcpt(args: &[u8]) -> Result<Command, CommandError> {
    let (path, rest) = path_after(b"TO:", args).ok_or(CommandError::Argument(Verb::Rcpt))?;
    if !rest.is_empty() {
        let (keyword, _) = keyword_and_value(split_word(rest).0);
        return Err(CommandError::UnknownParameter(Line::reason(keyword)));
    }
    let parsed = std::str::from_utf8(path)
        .map_err(|_| AddressError::Syntax)
        .and_then(ForwardPath::parse);
    let path = parsed.map_err(|why| match why {
        AddressError::Host => CommandError::RecipientHost(Line::reason(host(path))),
        why => CommandError::Path { verb: Verb::Rcpt, why },
    })?;
    Ok(Command::Rcpt { path })
}

/// What stands behind the last `@`.
fn host(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'@').next().unwrap_or(path)
}

/// The path behind `FROM:` or `TO:` without its angle brackets, and the parameters.
///
/// Departs from RFC 5321 §4.1.2: blanks before the path and a path without brackets are taken, because real clients
/// send both.
fn path_after<'a>(keyword: &[u8], args: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (found, rest) = args.split_at_checked(keyword.len())?;
    if !found.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let (path, params) = match rest.split_first() {
        None => return None,
        Some((b'<', inside)) => {
            let end = position_unquoted(inside, |b| b == b'>')?;
            (inside.get(..end)?, inside.get(end + 1..)?)
        }
        Some(_) => {
            let end = position_unquoted(rest, |b| b.is_ascii_whitespace());
            rest.split_at_checked(end.unwrap_or(rest.len()))?
        }
    };
    let apart = params.first().is_none_or(u8::is_ascii_whitespace);
    apart.then_some((path, params.trim_ascii_start()))
}

/// The first octet that `wanted` names outside of a quoted-string.
fn position_unquoted(text: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.iter().position(|&b| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match b {
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        !quoted && wanted(b)
    })
}

/// `keyword[=value]` (RFC 5321 §4.1.2, `esmtp-param`).
fn keyword_and_value(word: &[u8]) -> (&[u8], Option<&[u8]>) {
    match word.iter().position(|&b| b == b'=') {
        Some(at) => (word.get(..at).unwrap_or(word), word.get(at + 1..)),
        None => (word, None),
    }
}

impl MailParams {
    fn parse(text: &[u8]) -> Result<MailParams, CommandError> {
        let (mut params, mut rest) = (MailParams::default(), text);
        let mut body_given = false;
        while !rest.is_empty() {
            let (word, after) = split_word(rest);
            rest = after;
            let (keyword, value) = keyword_and_value(word);
            let wrong = || CommandError::ParameterValue(Line::reason(keyword));
            match keyword.to_ascii_uppercase().as_slice() {
                b"SIZE" if params.size.is_none() => {
                    params.size = Some(value.and_then(size).ok_or_else(wrong)?);
                }
                b"BODY" if !std::mem::replace(&mut body_given, true) => {
                    params.body8bit = value.and_then(is_8bit).ok_or_else(wrong)?;
                }
                b"SMTPUTF8" if !params.smtputf8 && value.is_none() => params.smtputf8 = true,
                b"SIZE" | b"BODY" | b"SMTPUTF8" => return Err(wrong()),
                _ => return Err(CommandError::UnknownParameter(Line::reason(keyword))),
            }
        }
        Ok(params)
    }
}

/// RFC 3030 §2: `BDAT octets [LAST]`. What is past a `u64` is more than any connection lives to carry.
fn bdat(args: &[u8]) -> Result<Command, CommandError> {
    let (octets, rest) = split_word(args);
    let octets = decimal(octets).ok_or(CommandError::Argument(Verb::Bdat))?;
    let is_last = rest.eq_ignore_ascii_case(b"LAST");
    if !is_last && !rest.is_empty() {
        return Err(CommandError::Argument(Verb::Bdat));
    }
    Ok(Command::Bdat(Chunk { octets, is_last }))
}

/// RFC 1870 §6: one to twenty digits. What is past a `u64` is past any limit too.
fn size(value: &[u8]) -> Option<u64> {
    if value.len() > 20 {
        return None;
    }
    decimal(value)
}

/// Digits, and nothing else; the greatest `u64` stands for all that are past it.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |n: u64, digit| {
        n.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0')))
    }))
}

/// RFC 6152 §2. BINARYMIME (RFC 3030 §3) is not offered: what it allows, DATA could not carry to a next hop.
fn is_8bit(value: &[u8]) -> Option<bool> {
    if value.eq_ignore_ascii_case(b"8BITMIME") {
        Some(true)
    } else {
        value.eq_ignore_ascii_case(b"7BIT").then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mail_of(line: &str) -> (String, MailParams) {
        match Command::parse(line.as_bytes()) {
            Ok(Command::Mail { path, params }) => (path.to_string(), params),
            other => panic!("{line:?}: {other:?}"),
        }
    }

    fn error_of(line: &[u8]) -> CommandError {
        Command::parse(line).expect_err(&String::from_utf8_lossy(line))
    }

    #[test]
    fn verbs_come_in_any_case_and_with_blanks_behind() {
        assert_eq!(Command::parse(b"quit"), Ok(Command::Quit));
        assert_eq!(Command::parse(b"Data \t "), Ok(Command::Data));
        assert_eq!(Command::parse(b"NOOP what ever"), Ok(Command::Noop));
        assert_eq!(Command::parse(b"help MAIL"), Ok(Command::Help));
    }

    #[test]
    fn paths_are_read_as_real_clients_write_them() {
        for line in [
            "MAIL FROM:<a@b.example>",
            "mail from: <a@b.example>",
            "MAIL  From:\t<a@b.example>  ",
            "MAIL FROM:a@b.example",
            "MAIL FROM: a@b.example SIZE=1",
            "MAIL FROM:<@relay.example:a@b.example>",
        ] {
            assert_eq!(mail_of(line).0, "a@b.example", "{line}");
        }
        assert_eq!(mail_of("MAIL FROM:<>").0, "");
        assert_eq!(
            mail_of(r#"MAIL FROM:<"a> \" b"@c.example>"#).0,
            r#""a> \" b"@c.example"#
        );
    }

    #[test]
    fn parameters_of_mail_are_read() {
        let (_, params) = mail_of("MAIL FROM:<a@b.example> size=12 Body=8bitmime  SMTPUTF8");
        assert_eq!(
            params,
            MailParams {
                size: Some(12),
                body8bit: true,
                smtputf8: true
            }
        );
        assert_eq!(mail_of("MAIL FROM:<> BODY=7BIT").1, MailParams::default());
        let (_, params) = mail_of("MAIL FROM:<> SIZE=99999999999999999999");
        assert_eq!(params.size, Some(u64::MAX));
    }

    #[test]
    fn wrong_parameters_are_told_apart_from_unknown_ones() {
        for word in [
            "SIZE",
            "SIZE=",
            "SIZE=x",
            "SIZE=-1",
            "SIZE=123456789012345678901",
            "SIZE=1 SIZE=1",
            "BODY",
            "BODY=BINARYMIME",
            "BODY=7BIT BODY=7BIT",
            "SMTPUTF8=1",
            "SMTPUTF8 SMTPUTF8",
        ] {
            let line = format!("MAIL FROM:<a@b.example> {word}");
            assert!(
                matches!(error_of(line.as_bytes()), CommandError::ParameterValue(_)),
                "{line}"
            );
        }
        for line in [
            "MAIL FROM:<> RET=FULL",
            "MAIL FROM:<> =",
            "RCPT TO:<a@b.example> NOTIFY=NEVER",
            "RCPT TO:<a@b.example> x",
        ] {
            assert!(
                matches!(error_of(line.as_bytes()), CommandError::UnknownParameter(_)),
                "{line}"
            );
        }
    }

    #[test]
    fn arguments_of_another_form_are_refused() {
        for line in [
            "MAIL",
            "MAIL a@b.example",
            "MAIL FROM",
            "MAIL FROM:",
            "MAIL FROM: ",
            "MAIL FROM:<a@b",
            "MAIL FROM:<a@b.example>SIZE=1",
            "MAIL TO:<a@b.example>",
            "MAIL FROM:<\"a@b.example>",
        ] {
            assert_eq!(error_of(line.as_bytes()), CommandError::Argument(Verb::Mail), "{line}");
        }
        for line in ["RCPT", "RCPT TO:", "RCPT FROM:<a@b.example>", "RCPT TO:<a@b.example>>"] {
            assert_eq!(error_of(line.as_bytes()), CommandError::Argument(Verb::Rcpt), "{line}");
        }
        assert_eq!(error_of(b"EHLO"), CommandError::Argument(Verb::Ehlo));
        assert_eq!(error_of(b"HELO \t "), CommandError::Argument(Verb::Helo));
        let long = [b"HELO ".to_vec(), vec![b'a'; HELO_OCTETS_MAX + 1]].concat();
        assert_eq!(error_of(&long), CommandError::Argument(Verb::Helo));
        for (line, verb) in [("DATA x", Verb::Data), ("RSET x", Verb::Rset), ("QUIT x", Verb::Quit)] {
            assert_eq!(error_of(line.as_bytes()), CommandError::ArgumentUnexpected(verb));
        }
    }

    #[test]
    fn a_chunk_has_a_length_and_may_be_the_last() {
        for (line, octets, is_last) in [
            ("BDAT 0", 0, false),
            ("bdat  86 last ", 86, true),
            ("BDAT 0012\tLAST", 12, true),
            ("BDAT 18446744073709551615", u64::MAX, false),
            ("BDAT 18446744073709551616 LAST", u64::MAX, true),
            ("BDAT 99999999999999999999999999999999", u64::MAX, false),
        ] {
            let chunk = Chunk { octets, is_last };
            assert_eq!(Command::parse(line.as_bytes()), Ok(Command::Bdat(chunk)), "{line}");
        }
        for line in [
            "BDAT",
            "BDAT LAST",
            "BDAT -1",
            "BDAT +1",
            "BDAT 0x5",
            "BDAT 1.5",
            "BDAT 5 LAS",
            "BDAT 5 6",
            "BDAT 5LAST",
            "BDAT 5 LAST LAST",
        ] {
            assert_eq!(error_of(line.as_bytes()), CommandError::Argument(Verb::Bdat), "{line}");
        }
    }

    #[test]
    fn starttls_has_no_argument_and_xclient_has_some() {
        assert_eq!(Command::parse(b"starttls "), Ok(Command::StartTls));
        let error = CommandError::ArgumentUnexpected(Verb::StartTls);
        assert_eq!(error_of(b"STARTTLS now"), error);
        assert!(matches!(
            Command::parse(b"xclient ADDR=192.0.2.1"),
            Ok(Command::Xclient(_))
        ));
        assert_eq!(error_of(b"XCLIENT"), CommandError::Xclient(XclientError::Syntax));
    }

    #[test]
    fn a_path_outside_of_ascii_needs_smtputf8() {
        let line = "MAIL FROM:<jürgen@b.example>";
        assert_eq!(error_of(line.as_bytes()), CommandError::PathNeedsSmtputf8);
        assert_eq!(mail_of(&format!("{line} SMTPUTF8")).0, "jürgen@b.example");
        assert_eq!(
            error_of(b"MAIL FROM:<\xff@b.example> SMTPUTF8"),
            CommandError::Path {
                verb: Verb::Mail,
                why: AddressError::Syntax
            }
        );
    }

    #[test]
    fn a_greeting_keeps_whatever_name_is_claimed() {
        for name in ["mx_1", "[192.0.2.1]", "-", "two words", "münchen.example"] {
            match Command::parse(format!("helo {name}").as_bytes()) {
                Ok(Command::Hello(hello)) => assert_eq!(hello.name.as_str(), name),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_command_is_told_apart() {
        assert_eq!(error_of(b""), CommandError::NoVerb);
        assert_eq!(error_of(b" QUIT"), CommandError::NoVerb);
        assert_eq!(error_of(b"MAILFROM:<>"), CommandError::UnknownVerb);
        assert_eq!(error_of("EHLÖ x".as_bytes()), CommandError::UnknownVerb);
        assert_eq!(error_of(b"GET / HTTP/1.1"), CommandError::Http);
        assert_eq!(error_of(b"NOOP\nQUIT"), CommandError::ControlOctet(b'\n'));
        assert_eq!(error_of(b"NOOP \0"), CommandError::ControlOctet(0));
        assert_eq!(error_of(b"HELO a\rb"), CommandError::ControlOctet(b'\r'));
    }

    proptest! {
        #[test]
        fn any_line_is_parsed_or_refused(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Command::parse(&line);
        }

        #[test]
        fn any_argument_is_parsed_or_refused(
            verb in proptest::sample::select(&["MAIL FROM:", "RCPT TO:", "HELO ", "EHLO "][..]),
            text in "[<>\"\\\\ @a.:=\\t\u{e9}-]{0,30}",
        ) {
            if let Ok(Command::Hello(hello)) = Command::parse(format!("{verb}{text}").as_bytes()) {
                prop_assert!(!hello.name.as_str().is_empty());
            }
        }
    }
}
