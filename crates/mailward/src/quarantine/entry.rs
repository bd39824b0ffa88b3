//! One entry of the quarantine: what the gateway gives, the two index lines it becomes, and what is read back.
//!
//! A line of `index.json` is one JSON object with the keys of the original program (`from`, `ip`, `host`, `helo`,
//! `reason`, `subject`, `recipient`, `filename`, `message-id`) and ours (`id`, `size`, `time`, `disposition`,
//! `plugin`, `next_hop`, `evidence`). A line of `index` is sender, recipient, subject and file name, with tabs between.
//!
//! Whatever a sender wrote gives exactly one line in each: line breaks and control characters are removed (a tab,
//! which mostly stands where a header was folded, becomes a blank), and long values are cut. Characters that reorder or hide
//! text are escaped, in `index.json` as JSON has it (`\u202e`), so that what is read back is what was written, and in `index`
//! as in a [`Line`] (`\u{202e}`). What is read back is foreign text all the same, so it is shown only as [`Line`].

use super::name::{DayName, FileName, Reference};
use crate::body::Spool;
use jiff::{Timestamp, Zoned};
use mail::{Address, Domain, Line, ReversePath, is_invisible};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::net::IpAddr;

/// Longest value of an index line, in octets. Addresses are shorter by their type.
const VALUE_OCTETS_MAX: usize = 2_000;
/// Longest index line that is read, in octets; longer ones are skipped as damaged. Ours stay far below.
pub(super) const LINE_OCTETS_MAX: usize = 64 * 1024;
/// What the first line of a stored file says before the recipient.
pub(super) const RECIPIENT_FIELD: &str = "Recipient: ";

/// One copy of a message for one recipient, as the gateway gives it.
#[derive(Debug, Clone)]
pub struct Copy<'a> {
    /// Mailward's id of the message.
    pub id: &'a str,
    /// The recipient, in the case in which it was given.
    pub recipient: &'a Address,
    /// The recipient's domain; the copy stands below it.
    pub domain: &'a Domain,
    /// Who connected.
    pub client: IpAddr,
    /// The client's reverse name; empty if it has none.
    pub host: &'a str,
    /// The name claimed in HELO or EHLO.
    pub helo: &'a Line,
    /// What MAIL FROM carried.
    pub reverse_path: &'a ReversePath,
    /// Why the message is here.
    pub reason: &'a Line,
    /// The next hop's refusal, whole, where that is why.
    pub next_hop: Option<&'a Line>,
    /// What spoke against it and did not decide.
    pub evidence: &'a [Line],
    /// The check that gave the reason.
    pub plugin: Option<&'a str>,
    /// The Subject, as received.
    pub subject: Option<&'a [u8]>,
    /// The Message-ID, as received.
    pub message_id: Option<&'a [u8]>,
    /// What became of the message: `reject`, `hold`, `discard`.
    pub disposition: &'a str,
    /// The finished header and the body, in as many pieces as the caller has.
    pub message: &'a [&'a [u8]],
    /// What comes behind them.
    pub tail: Option<&'a Spool>,
}

/// Where a copy stands that is on stable storage. [`super::Quarantine::withdraw`] takes it back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a copy that nothing knows of can neither be released nor withdrawn"]
pub struct Held {
    pub(super) id: String,
    pub(super) day: DayName,
    pub(super) domain: Domain,
    pub(super) file: FileName,
    pub(super) client: IpAddr,
    pub(super) file_octets: u64,
}

/// What became of the file of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits.
    Held,
    /// It was delivered after all, and stays until it expires.
    Released,
    /// There never was one: only metadata were kept.
    MetadataOnly,
}

/// One entry, read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Mailward's id of the message; empty in entries of the original program.
    pub id: Line,
    /// The day directory.
    #[serde(serialize_with = "as_text")]
    pub day: DayName,
    /// The recipient's domain.
    pub domain: Domain,
    /// The message file, unless only metadata were kept.
    #[serde(serialize_with = "as_option")]
    pub filename: Option<FileName>,
    /// What became of the file.
    pub state: State,
    /// When it was kept.
    #[serde(serialize_with = "as_option")]
    pub time: Option<Timestamp>,
    /// The reverse-path with angle brackets, to be shown.
    pub from: Line,
    /// The recipient, to be shown.
    pub recipient: Line,
    /// Who connected.
    pub ip: Line,
    /// The client's reverse name; empty if it had none.
    pub host: Line,
    /// The name claimed in HELO or EHLO.
    pub helo: Line,
    /// Why the message is here.
    pub reason: Line,
    /// The next hop's refusal, whole, where that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<Line>,
    /// What spoke against it and did not decide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Line>,
    /// The check that gave the reason.
    pub plugin: Option<Line>,
    /// The Subject, decoded (RFC 2047); empty if there was none.
    pub subject: Line,
    /// The Message-ID.
    #[serde(rename = "message-id")]
    pub message_id: Option<Line>,
    /// What became of the message; empty in entries of the original program.
    pub disposition: Line,
    /// Octets of the message, without the line that names the recipient.
    pub size: u64,
    /// The reverse-path, if it reads back as one.
    #[serde(skip)]
    pub reverse_path: Option<ReversePath>,
    /// The recipient, if it reads back as one.
    #[serde(skip)]
    pub address: Option<Address>,
}

fn as_text<S: serde::Serializer>(value: &DayName, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn as_option<S: serde::Serializer>(value: &Option<impl std::fmt::Display>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

/// A line of `index.json` as it is written and read. All keys may be absent when it is read, so that lines of the
/// original program are entries too.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub from: String,
    pub ip: String,
    pub host: String,
    pub helo: String,
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    pub subject: String,
    pub recipient: String,
    pub filename: String,
    #[serde(rename = "message-id", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    pub id: String,
    pub size: u64,
    pub time: String,
    pub disposition: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
}

impl Copy<'_> {
    /// Octets of the message.
    pub fn octets(&self) -> u64 {
        let pieces: u64 = self.message.iter().map(|piece| piece.len() as u64).sum();
        pieces + self.tail.map_or(0, Spool::octets)
    }

    /// The first line of the stored file: `Recipient: ADDRESS` and CRLF, as the lines of the message end.
    pub(super) fn first_line(&self) -> String {
        format!("{RECIPIENT_FIELD}{}\r\n", value(self.recipient.as_str().as_bytes()))
    }

    /// What the index shall say; `file` is absent where only metadata are kept.
    pub(super) fn record(&self, file: Option<&FileName>, now: &Zoned) -> Record {
        Record {
            from: value(format!("<{}>", self.reverse_path).as_bytes()),
            ip: self.client.to_canonical().to_string(),
            host: value(self.host.as_bytes()),
            helo: value(self.helo.as_str().as_bytes()),
            reason: value(self.reason.as_str().as_bytes()),
            next_hop: self.next_hop.map(|words| value(words.as_str().as_bytes())),
            evidence: self
                .evidence
                .iter()
                .map(|text| value(text.as_str().as_bytes()))
                .collect(),
            subject: subject(self.subject.unwrap_or_default()),
            recipient: value(self.recipient.as_str().as_bytes()),
            filename: file.map(ToString::to_string).unwrap_or_default(),
            message_id: self.message_id.map(value),
            id: value(self.id.as_bytes()),
            size: self.octets(),
            time: now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
            disposition: value(self.disposition.as_bytes()),
            plugin: self.plugin.map(|plugin| value(plugin.as_bytes())),
        }
    }
}

/// A value for an index: no line breaks, no control characters, blanks for tabs, ends trimmed, and cut to
/// [`VALUE_OCTETS_MAX`]. Otherwise as it is: an address must read back as itself.
fn value(octets: &[u8]) -> String {
    let octets = octets.trim_ascii();
    let octets = octets.get(..VALUE_OCTETS_MAX).unwrap_or(octets);
    let text: String = String::from_utf8_lossy(octets)
        .chars()
        .filter_map(|c| match c {
            '\t' => Some(' '),
            c if c.is_control() => None,
            c => Some(c),
        })
        .collect();
    text.trim().to_owned()
}

/// With an escape for each character that reorders or hides text.
fn visible(text: &str, escape: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_invisible(c) {
            true => escape(c, &mut out),
            false => out.push(c),
        }
    }
    out
}

/// The Subject as it stands in the header, as the original program writes it. Octets of an old charset without encoded words
/// would be lost in JSON, so they are decoded.
fn subject(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(_) => value(octets),
        Err(_) => value(mail::mime::decode_words(octets).as_bytes()),
    }
}

impl Record {
    /// The line of `index.json`, with its line end.
    pub fn json_line(&self) -> Vec<u8> {
        // Strings and integers only: this cannot fail, and an empty line would be skipped by every reader.
        let line = serde_json::to_string(self).unwrap_or_default();
        // Outside of strings JSON is ASCII. RFC 8259 §7: what is past 16 bits is written as its two surrogates.
        let escape = |c: char, out: &mut String| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        };
        let mut line = visible(&line, escape).into_bytes();
        line.push(b'\n');
        line
    }

    /// The line of `index`, with its line end.
    pub fn text_line(&self) -> Vec<u8> {
        let Record {
            from,
            recipient,
            subject,
            filename,
            ..
        } = self;
        let line = format!("{from}\t{recipient}\t{subject}\t{filename}\n");
        visible(&line, |c, out| out.extend(c.escape_unicode())).into_bytes()
    }

    /// Reads a line of `index.json`; `None` if it is damaged. That a line is an object and names its recipient is
    /// all that lines of every age have in common.
    pub fn parse(line: &[u8]) -> Option<Record> {
        let record: Record = line.starts_with(b"{").then(|| serde_json::from_slice(line).ok())??;
        (!record.recipient.is_empty()).then_some(record)
    }

    /// Octets of the stored file. The file is not looked at: its size follows from what the index says.
    pub fn file_octets(&self) -> u64 {
        file_octets(self.size, &self.recipient)
    }

    /// The entry. `None` if the file's name is none of ours; whether the file is there, the caller finds out.
    pub fn into_entry(self, day: &DayName, domain: &Domain) -> Option<Entry> {
        let filename = match self.filename.as_str() {
            "" => None,
            name => Some(FileName::parse(name)?),
        };
        let bare = self.from.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
        let seconds = || Timestamp::from_second(filename.as_ref()?.seconds()?).ok();
        Some(Entry {
            reverse_path: bare.and_then(|text| ReversePath::parse(text).ok()),
            address: Address::parse(&self.recipient).ok(),
            time: self.time.parse().ok().or_else(seconds),
            state: if filename.is_some() {
                State::Held
            } else {
                State::MetadataOnly
            },
            day: day.clone(),
            domain: domain.clone(),
            filename,
            id: self.id.into(),
            from: self.from.into(),
            recipient: self.recipient.into(),
            ip: self.ip.into(),
            host: self.host.into(),
            helo: self.helo.into(),
            reason: self.reason.into(),
            next_hop: self.next_hop.map(Line::from),
            evidence: self.evidence.into_iter().map(Line::from).collect(),
            plugin: self.plugin.map(Line::from),
            subject: mail::mime::readable(self.subject.as_bytes(), VALUE_OCTETS_MAX),
            message_id: self.message_id.map(Line::from),
            disposition: self.disposition.into(),
            size: self.size,
        })
    }
}

/// Octets of a stored file: the message, and the line that names the recipient.
pub(super) fn file_octets(message: u64, recipient: &str) -> u64 {
    message.saturating_add((RECIPIENT_FIELD.len() + recipient.len() + 2) as u64)
}

impl Entry {
    /// `DAY/DOMAIN/FILENAME`, unless only metadata were kept.
    pub fn reference(&self) -> Option<Reference> {
        Some(Reference::Path {
            day: self.day.clone(),
            domain: self.domain.clone(),
            file: self.filename.clone()?,
        })
    }

    /// Whether `folded`, which is in lower case, is a part of any text of the entry, in any case.
    pub(super) fn has_text(&self, folded: &str) -> bool {
        let name = self.filename.as_ref().map_or("", FileName::as_str);
        let plugin = self.plugin.as_ref().map_or("", Line::as_str);
        let message_id = self.message_id.as_ref().map_or("", Line::as_str);
        let next_hop = self.next_hop.as_ref().map_or("", Line::as_str);
        let Entry {
            id,
            from,
            recipient,
            ip,
            host,
            helo,
            reason,
            subject,
            disposition,
            ..
        } = self;
        [id, from, recipient, ip, host, helo, reason, subject, disposition]
            .into_iter()
            .map(Line::as_str)
            .chain([name, plugin, message_id, next_hop])
            .any(|text| text.to_lowercase().contains(folded))
    }
}

impl Held {
    /// Mailward's id of the message.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `DAY/DOMAIN/FILENAME`.
    pub fn reference(&self) -> Reference {
        Reference::Path {
            day: self.day.clone(),
            domain: self.domain.clone(),
            file: self.file.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{copy, noon};
    use super::*;
    use proptest::prelude::*;

    fn entry(record: Record) -> Option<Entry> {
        record.into_entry(&DayName::parse("212").unwrap(), &Domain::parse("example.com").unwrap())
    }

    #[test]
    fn an_index_line_has_the_keys_of_the_original_and_ours() {
        let name = FileName::parse("1.P3M2Q4.mx.example.com").unwrap();
        let mut copy = copy();
        copy.message_id = Some(b"<1@b.example>");
        let line = String::from_utf8(copy.record(Some(&name), &noon("2025-07-31")).json_line()).unwrap();
        assert_eq!(
            line,
            "{\"from\":\"<Bob@b.example>\",\"ip\":\"192.0.2.1\",\"host\":\"client.b.example\",\"helo\":\"b.example\",\
             \"reason\":\"HELO should be qualified\",\"subject\":\"Hello\",\"recipient\":\"Ann@Example.com\",\
             \"filename\":\"1.P3M2Q4.mx.example.com\",\"message-id\":\"<1@b.example>\",\"id\":\"7QK2M9\",\"size\":29,\
             \"time\":\"2025-07-31T12:00:00.000+02:00\",\"disposition\":\"reject\",\"plugin\":\"checks/helo\"}\n"
        );
        copy.message_id = None;
        assert!(
            !String::from_utf8(copy.record(None, &noon("2025-07-31")).json_line())
                .unwrap()
                .contains("message-id")
        );
    }

    #[test]
    fn the_plain_index_has_four_columns() {
        let name = FileName::parse("1.P3M2Q4.mx.example.com").unwrap();
        let mut copy = copy();
        copy.subject = Some(b" a\r\n\tb\tc ");
        assert_eq!(
            copy.record(Some(&name), &noon("2025-07-31")).text_line(),
            b"<Bob@b.example>\tAnn@Example.com\ta b c\t1.P3M2Q4.mx.example.com\n"
        );
    }

    /// A subject with a direction override stood in both indexes as it came, and whoever looked at one with `less` or in an
    /// editor saw other text than there was.
    #[test]
    fn what_reorders_or_hides_text_is_escaped_in_both_indexes() {
        let hidden =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{e0041}";
        let subject = format!("fdp.{hidden}exe");
        let path = ReversePath::parse("a\u{202e}b@b.example").unwrap();
        let mut copy = copy();
        copy.subject = Some(subject.as_bytes());
        copy.reverse_path = &path;
        let record = copy.record(None, &noon("2025-07-31"));
        let (json, text) = (record.json_line(), record.text_line());
        for line in [&json, &text] {
            let line = std::str::from_utf8(line).unwrap();
            assert!(!line.chars().any(is_invisible), "{line:?}");
        }
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains("<a\\u{202e}b@b.example>") && text.contains("fdp.\\u{61c}\\u{200e}"),
            "{text}"
        );
        let json = String::from_utf8(json).unwrap();
        assert!(
            json.contains("a\\u202eb@b.example") && json.contains("\\u2069\\udb40\\udc41exe"),
            "{json}"
        );
        let read = Record::parse(json.as_bytes()).unwrap();
        assert_eq!((&read, read.subject.as_str()), (&record, subject.as_str()));
        assert_eq!(entry(read).unwrap().reverse_path, Some(path.clone()));
    }

    #[test]
    fn lines_of_the_original_program_are_entries() {
        let line = br#"{"from":"<>","ip":"192.0.2.1","host":"unknown","helo":"x","reason":"Empty body","subject":"s","recipient":"a@example.com","filename":"1436000000.P3M2Q4.mx.example.com"}"#;
        let entry = entry(Record::parse(line).unwrap()).unwrap();
        assert_eq!(entry.reverse_path, Some(ReversePath::Null));
        assert_eq!(entry.time.unwrap().as_second(), 1_436_000_000);
    }

    #[test]
    fn a_file_name_that_leads_elsewhere_is_no_entry() {
        for filename in ["../../etc/passwd", "/etc/passwd", "a/b", ".."] {
            let record = Record {
                filename: filename.into(),
                ..Record::default()
            };
            assert_eq!(entry(record), None, "{filename}");
        }
    }

    #[test]
    fn the_null_reverse_path_and_an_unqualified_one_read_back() {
        for text in ["", "bob", "\"a b\"@b.example"] {
            let path = ReversePath::parse(text).unwrap();
            let mut copy = copy();
            copy.reverse_path = &path;
            let line = copy.record(None, &noon("2025-07-31")).json_line();
            assert_eq!(
                entry(Record::parse(&line).unwrap()).unwrap().reverse_path,
                Some(path.clone())
            );
        }
    }

    proptest! {
        #[test]
        fn any_octets_give_one_line_in_each_index_that_reads_back(
            subject in prop_oneof![proptest::collection::vec(any::<u8>(), 0..3000),
                "[\\u{ad}\\u{61c}\\u{202e}\\u{e0001}a\"]{0,1000}".prop_map(String::into_bytes)],
            id in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'\t'), Just(b'"'), any::<u8>()], 0..80),
            host in "[\\x00-\\x7fä\u{2028}\u{202e}]{0,40}",
        ) {
            let mut copy = copy();
            copy.subject = Some(&subject);
            copy.message_id = Some(&id);
            copy.host = &host;
            let record = copy.record(FileName::parse("1.P3M2Q4.mx.example.com").as_ref(), &noon("2025-07-31"));
            let (json, text) = (record.json_line(), record.text_line());
            for line in [&json, &text] {
                prop_assert!(line.len() <= LINE_OCTETS_MAX);
                let (end, inside) = line.split_last().unwrap();
                prop_assert_eq!(*end, b'\n');
                prop_assert!(!std::str::from_utf8(inside).unwrap().chars().any(|c| c.is_control() && c != '\t' || is_invisible(c)));
            }
            prop_assert_eq!(text.iter().filter(|b| **b == b'\t').count(), 3);
            prop_assert_eq!(&Record::parse(&json).unwrap(), &record);
            let shown = entry(record).unwrap();
            prop_assert_eq!(shown.recipient.as_str(), "Ann@Example.com");
            let hidden = |c: char| c.is_control() || c == '\u{202e}';
            prop_assert!(![&shown.subject, &shown.host].iter().any(|line| line.as_str().contains(hidden)));
        }
    }
}
