//! Header fields: the words in them, which there are and in which order.

use super::sink::{Sink, magnitude};
use super::words::{self, shape};
use mail::mime::decode_words;
use mail::{Field, Message};

/// How a field is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Words of text.
    Text,
    /// Addresses, with names beside them.
    Addresses,
    /// The whole value counts, and its words.
    Value,
    /// That it is there, and how it is built.
    Shape,
    /// That it is there; what it says is read elsewhere, or not at all.
    Presence,
    /// Not even that it is there: others' verdicts, and what is added where mail is delivered or kept.
    Never,
}

/// The fields whose values are read. Of others it counts that they are there, unless [`is_foreign`].
const FIELDS: [(&str, How); 64] = [
    ("subject", How::Text),
    ("thread-topic", How::Text),
    ("organization", How::Text),
    ("comments", How::Text),
    ("keywords", How::Text),
    ("from", How::Addresses),
    ("to", How::Addresses),
    ("cc", How::Addresses),
    ("reply-to", How::Addresses),
    ("sender", How::Addresses),
    ("return-path", How::Addresses),
    ("errors-to", How::Addresses),
    ("disposition-notification-to", How::Addresses),
    ("return-receipt-to", How::Addresses),
    ("mail-followup-to", How::Addresses),
    ("x-sender", How::Addresses),
    ("resent-from", How::Addresses),
    ("x-complaints-to", How::Addresses),
    ("x-beenthere", How::Addresses),
    ("list-post", How::Addresses),
    ("list-id", How::Text),
    ("list-unsubscribe", How::Addresses),
    ("list-help", How::Addresses),
    ("list-subscribe", How::Addresses),
    ("mailing-list", How::Text),
    ("list-unsubscribe-post", How::Value),
    ("user-agent", How::Value),
    ("x-mailer", How::Value),
    ("x-newsreader", How::Value),
    ("mime-version", How::Value),
    ("content-type", How::Value),
    ("content-transfer-encoding", How::Value),
    ("content-disposition", How::Value),
    ("content-language", How::Value),
    ("accept-language", How::Value),
    ("x-accept-language", How::Value),
    ("precedence", How::Value),
    ("priority", How::Value),
    ("x-priority", How::Value),
    ("x-msmail-priority", How::Value),
    ("importance", How::Value),
    ("sensitivity", How::Value),
    ("x-mimeole", How::Value),
    ("auto-submitted", How::Value),
    ("x-auto-response-suppress", How::Value),
    ("x-mailman-version", How::Value),
    ("feedback-id", How::Text),
    ("x-php-originating-script", How::Text),
    ("thread-index", How::Shape),
    ("date", How::Presence),
    ("received", How::Presence),
    ("message-id", How::Presence),
    ("in-reply-to", How::Presence),
    ("references", How::Presence),
    ("dkim-signature", How::Presence),
    ("domainkey-signature", How::Presence),
    ("x-originating-ip", How::Presence),
    ("delivered-to", How::Never),
    ("status", How::Never),
    ("content-length", How::Never),
    ("lines", How::Never),
    ("received-spf", How::Never),
    ("authentication-results", How::Never),
    ("dkim-filter", How::Never),
];

/// Parts of names of fields that other filters, gateways or mailboxes write.
const FOREIGN: [&str; 34] = [
    "spam",
    "virus",
    "antiv",
    "scan",
    "barracuda",
    "forefront",
    "exchange",
    "microsoft-anti",
    "mailward",
    "x-reject",
    "x-rcpt",
    "x-localpart",
    "envelope",
    "original-to",
    "ironport",
    "proofpoint",
    "mimecast",
    "bogosity",
    "dspam",
    "crm114",
    "score",
    "scl",
    "greylist",
    "spf",
    "dmarc",
    "x-uid",
    "x-status",
    "x-keywords",
    "x-mozilla",
    "x-imap",
    "auth",
    "quarantine",
    "junk",
    "x-gm-",
];

/// Whether a field tells of what became of the message after it was sent.
fn is_foreign(name: &str) -> bool {
    name.starts_with("arc-") || FOREIGN.iter().any(|part| name.contains(part))
}

fn how(name: &str) -> How {
    match FIELDS.iter().find(|(known, _)| *known == name) {
        Some((_, how)) => *how,
        None if is_foreign(name) => How::Never,
        None => How::Presence,
    }
}

/// Reads all fields.
pub(super) fn read(message: &Message<'_>, sink: &mut Sink) {
    /// Fields past this number add nothing.
    const FIELDS_MAX: usize = 200;
    let mut last = String::new();
    for field in message.fields().iter().take(FIELDS_MAX) {
        let raw = String::from_utf8_lossy(field.name());
        let name = raw.to_ascii_lowercase();
        let how = how(&name);
        if how == How::Never {
            continue;
        }
        sink.shape("header", &raw);
        if last != name {
            sink.shape("order", &[&last, ">", &name].concat());
            last.clone_from(&name);
        }
        value(&name, how, field, sink);
    }
    sink.shape("order", &[&last, ">"].concat());
}

fn value(name: &str, how: How, field: &Field<'_>, sink: &mut Sink) {
    /// A longer value is cut.
    const VALUE_OCTETS_MAX: usize = 4096;
    if matches!(how, How::Presence | How::Never) {
        return;
    }
    let octets = field.value();
    let text = decode_words(octets.get(..VALUE_OCTETS_MAX).unwrap_or(&octets));
    match how {
        How::Text => {
            sink.break_off();
            words::each(&text, |word| sink.running(name, word));
            sink.break_off();
            if name == "subject" {
                subject(&octets, &text, sink);
            }
        }
        How::Addresses => addresses(name, &text, sink),
        How::Value => {
            let value: String = text.chars().take(100).collect();
            sink.shape(name, &without_boundary(&value));
            words::each(&text, |word| sink.word(name, word));
        }
        _ => sink.shape(name, &shape(&text, 24)),
    }
}

/// A boundary is made anew for each message: its build counts.
fn without_boundary(value: &str) -> String {
    match value.to_ascii_lowercase().find("boundary=") {
        Some(at) => {
            let (before, boundary) = value.split_at_checked(at + 9).unwrap_or((value, ""));
            [before, &shape(boundary, 24)].concat()
        }
        None => value.to_owned(),
    }
}

fn subject(octets: &[u8], text: &str, sink: &mut Sink) {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let capitals = text.chars().filter(|c| c.is_uppercase()).count();
    if letters > 4 && capitals * 10 > letters * 8 {
        sink.shape("subject", "capitals");
    }
    if octets.starts_with(b"=?") {
        let charset: String = String::from_utf8_lossy(octets)
            .chars()
            .skip(2)
            .take_while(|c| *c != '?')
            .collect();
        sink.shape("subject charset", &charset.to_ascii_lowercase());
    } else if !octets.is_ascii() {
        sink.shape("subject", "raw octets");
    }
    if text.contains("   ") {
        sink.shape("subject", "gap");
    }
    sink.shape("subject length", &magnitude(text.chars().count()));
}

/// Names and addresses of a field that has them; the address's domain, and its organization, count by themselves.
fn addresses(name: &str, text: &str, sink: &mut Sink) {
    /// Addresses past this number add nothing.
    const ADDRESSES_MAX: usize = 20;
    let mut count = 0;
    for piece in text.split(',').take(ADDRESSES_MAX) {
        count += 1;
        let (shown, address) = match piece.rsplit_once('<') {
            Some((shown, rest)) => (shown, rest.split('>').next().unwrap_or_default()),
            None => ("", piece.trim()),
        };
        words::each(shown, |word| sink.word(name, word));
        let address = address.trim().to_lowercase();
        if address.is_empty() {
            sink.shape(name, "empty");
            continue;
        }
        sink.word(name, &address);
        let Some((local, domain)) = address.rsplit_once('@') else {
            words::each(&address, |word| sink.word(name, word));
            continue;
        };
        words::each(local, |word| sink.word(name, word));
        super::origin::host(name, domain, sink);
        sink.shape(name, &["local ", &shape(local, 16)].concat());
        let dress = if shown.trim().starts_with('"') {
            "quoted"
        } else if shown.is_empty() {
            "bare"
        } else {
            "named"
        };
        sink.shape(name, dress);
    }
    sink.shape(name, &["count ", &magnitude(count)].concat());
}
