//! The parts of a message (RFC 2045, 2046), as a flat list in the order in which they stand.
//!
//! Reading is lenient, because what a mail program shows of broken mail must be judged too: a multipart whose boundary
//! never comes is text, an encoding that breaks off is decoded as far as it goes, a charset that nobody knows is
//! guessed. Where mail readers differ, [`parts`] has what most of them find, and behind it what only others find.
//! Nothing is decoded before it is asked for, but messages and multiparts that are encoded as a whole.
//!
//! One pass for each reading, no recursion: multiparts and attached messages are levels on a stack of [`DEPTH_MAX`];
//! deeper ones are leaves. At most [`PARTS_MAX`] parts are told, and as many that only some readers find: of more those
//! that show nothing and those that are there twice go first, then those in the middle. The whole says so
//! ([`Part::is_cut`]).
//!
//! - `walk`: how parts are found. `reading`: in what readers differ. `list`: which parts are kept.
//! - `parameters`: what stands behind the first word of Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2231).
//! - `uuencoded`: files within a text. `transfer`: base64, quoted-printable and uuencode. `charset`: text in its charset.
//! - `words`: encoded words in headers (RFC 2047). `calendar`: what an invitation says (RFC 5545).

mod calendar;
mod charset;
mod list;
mod parameters;
mod reading;
#[cfg(test)]
mod tests;
mod transfer;
mod uuencoded;
mod walk;
mod words;

use crate::html::shorten;
use crate::message::{Field, Message};
pub use calendar::Calendar;
use list::List;
use parameters::{Parameters, is_token};
use reading::Reading;
use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};
use walk::{Budget, walk};
pub use words::{decode_words, readable};

/// Levels of nesting that are looked into: as many as Dovecot does.
pub const DEPTH_MAX: usize = 100;
/// Parts that are told, and as many again that only some readers find. Dovecot tells as many apart.
pub const PARTS_MAX: usize = 10_000;
/// So much of an address is kept behind its host.
const ADDRESS_OCTETS_MAX: usize = 2_000;
/// Media types, file names and charsets are cut to so many characters.
const NAME_CHARS_MAX: usize = 255;

/// One part: a multipart (which has nothing of its own), an attached message's header, or a leaf.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// 0 for the message itself.
    pub depth: usize,
    /// In lower case: `text/plain` where nothing or nonsense is said.
    pub media: String,
    /// As said; in lower case.
    pub charset: Option<String>,
    /// How the octets were made fit for transport.
    pub encoding: Encoding,
    /// Whether it asks to be shown apart (Content-Disposition: attachment).
    pub is_attachment: bool,
    /// What it would be called as a file, decoded.
    pub name: Option<String>,
    /// What addresses in it that name no host are relative to (RFC 2557 §4.2, and Content-Base of RFC 2110).
    pub base: Option<String>,
    /// Most mail readers do not find it, or not so; but some do.
    pub is_other: bool,
    /// It belongs to an attached message: what a person reports or a server bounces.
    pub is_foreign: bool,
    /// Of the whole: it has parts that are not told, more or deeper ones than anybody has.
    pub is_cut: bool,
    /// Content-Type may have a name that differs from the one of Content-Disposition.
    second_name: Option<String>,
    /// Of a multipart whose delimiters were not found.
    boundary: Option<Vec<u8>>,
    body: Cow<'a, [u8]>,
}

/// A content transfer encoding (RFC 2045 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// 7bit, 8bit, binary; or none that is known.
    Identity,
    /// RFC 2045 §6.8.
    Base64,
    /// RFC 2045 §6.7.
    QuotedPrintable,
    /// `x-uuencode` and its other names.
    Uuencode,
}

/// As what a mail reader takes a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Other parts stand in it.
    Container,
    /// Text, and a multipart whose parts cannot be told apart.
    Plain,
    /// HTML and XHTML, for Gmail also AMP.
    Page,
    /// SVG: a picture that may have links and programs in it.
    Drawing,
    /// An invitation: see [`Calendar`].
    Calendar,
    /// Anything else.
    Other,
}

impl<'a> Part<'a> {
    /// Whether other parts stand in it rather than content.
    pub fn is_container(&self) -> bool {
        self.body.is_empty() && (self.media.starts_with("multipart/") || self.is_message())
    }

    /// The octets as they came.
    pub fn raw(&self) -> &[u8] {
        &self.body
    }

    /// The octets as they were before they were made fit for transport.
    pub fn octets(&self) -> Cow<'_, [u8]> {
        match self.encoding {
            Encoding::Identity => Cow::Borrowed(&self.body),
            Encoding::Base64 => Cow::Owned(transfer::base64(&self.body)),
            Encoding::QuotedPrintable => Cow::Owned(transfer::quoted_printable(&self.body)),
            Encoding::Uuencode => Cow::Owned(transfer::uuencode(&self.body)),
        }
    }

    /// The text, whatever its charset.
    pub fn text(&self) -> String {
        charset::decode(self.charset.as_deref().unwrap_or_default(), &self.octets()).into_owned()
    }

    /// As what a reader takes it, by its type and by what it is called.
    pub fn form(&self) -> Form {
        match self.media.as_str() {
            _ if self.is_container() => Form::Container,
            "text/calendar" | "text/x-vcalendar" | "application/ics" => Form::Calendar,
            "image/svg+xml" | "image/svg" => Form::Drawing,
            "text/html" | "application/xhtml+xml" | "text/x-amp-html" => Form::Page,
            _ if self.is_called_page() => Form::Page,
            _ if self.is_named(".svg") => Form::Drawing,
            _ if self.is_named(".ics") => Form::Calendar,
            media if media.starts_with("text/") || media.starts_with("multipart/") => Form::Plain,
            _ => Form::Other,
        }
    }

    /// Whether readers show it without being asked to. Invitations are, however they are attached.
    pub fn is_shown(&self) -> bool {
        let is_page = matches!(
            self.media.as_str(),
            "application/xhtml+xml" | "image/svg+xml" | "image/svg"
        );
        match self.form() {
            Form::Container | Form::Other => false,
            Form::Calendar => true,
            Form::Plain => !self.is_attachment,
            Form::Page | Form::Drawing => !self.is_attachment && (is_page || self.media.starts_with("text/")),
        }
    }

    /// Whether its name is that of a page, which a browser opens.
    pub fn is_called_page(&self) -> bool {
        let endings = [".html", ".htm", ".shtml", ".xhtml", ".xht"];
        endings.into_iter().any(|ending| self.is_named(ending))
    }

    /// Whether its name ends so, in any case; blanks and dots behind the ending are none to whoever opens it.
    pub fn is_named(&self, ending: &str) -> bool {
        [&self.name, &self.second_name].into_iter().flatten().any(|name| {
            let name = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace() || c.is_control());
            let start = name.len().checked_sub(ending.len());
            start
                .and_then(|at| name.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(ending))
        })
    }

    /// RFC 2046 §5.2.1, RFC 6532 §3.7.
    fn is_message(&self) -> bool {
        matches!(
            self.media.as_str(),
            "message/rfc822" | "message/global" | "message/news"
        )
    }

    /// Whether a body is encoded as its field says. A message is not, if its first line is a header field.
    fn is_encoded(&self, body: &[u8]) -> bool {
        let first_line = body.split(|&b| b == b'\n').next().unwrap_or_default();
        self.encoding != Encoding::Identity
            && (self.encoding == Encoding::QuotedPrintable || !first_line.contains(&b':'))
    }

    /// Whether other parts will be found in it once it is decoded.
    fn holds_encoded(&self) -> bool {
        let holds = self.boundary.is_some() || self.is_message();
        holds && self.depth < DEPTH_MAX && !self.body.is_empty() && self.encoding != Encoding::Identity
    }

    /// What makes two parts of different readings the same one: the octets, by their place where they were not decoded,
    /// and all that decides how they are shown.
    fn key(&self) -> impl Hash + '_ {
        let (place, octets) = match &self.body {
            Cow::Borrowed(octets) => (Some((octets.as_ptr() as usize, octets.len())), None),
            Cow::Owned(octets) => (None, Some(octets)),
        };
        let charset = self.charset.as_deref();
        let shown = (self.form(), self.is_shown(), self.is_attachment, self.is_foreign);
        (place, octets, charset, &self.base, self.encoding, shown)
    }

    /// The same, keeping its octets itself.
    fn into_owned(self) -> Part<'static> {
        Part {
            body: Cow::Owned(self.body.into_owned()),
            ..self
        }
    }

    /// Reads what the fields of a part say.
    fn read(fields: &[Field<'a>], is_in_digest: bool, reading: Reading, doubts: &mut Reading) -> Part<'a> {
        let kind = Parameters::parse(&value(fields, "Content-Type", reading, doubts), reading, doubts);
        let disposition = value(fields, "Content-Disposition", reading, doubts);
        let disposition = Parameters::parse(&disposition, reading, doubts);
        let encoding = value(fields, "Content-Transfer-Encoding", reading, doubts);
        let encoding = Parameters::parse(&encoding, reading, doubts).first;
        // RFC 2046 §5.1.5.
        let default = if is_in_digest { "message/rfc822" } else { "text/plain" };
        let media = media(&kind.first).unwrap_or_else(|| default.to_owned());
        let bases = ["Content-Base", "Content-Location"].map(|name| value(fields, name, reading, doubts));
        let base = bases.into_iter().find(|base| !base.is_empty());
        let boundary = match media.starts_with("multipart/") {
            true => kind.octets("boundary", doubts),
            false => None,
        };
        let names = [disposition.text("filename", doubts), kind.text("name", doubts)];
        let [name, second_name] = match names {
            [None, second] => [second, None],
            both => both,
        };
        Part {
            depth: 0,
            media,
            charset: kind.text("charset", doubts).map(|name| name.to_ascii_lowercase()),
            encoding: encoding_of(&encoding),
            is_attachment: first_token(&disposition.first).eq_ignore_ascii_case(b"attachment"),
            name,
            base: base.map(|base| address(&base)),
            is_other: false,
            is_foreign: false,
            is_cut: false,
            second_name,
            boundary: boundary
                .map(|text| text.trim_ascii_end().to_vec())
                .filter(|text| !text.is_empty()),
            body: Cow::Borrowed(&[]),
        }
    }
}

/// A field's value; of several the first, or the last.
fn value<'a>(fields: &[Field<'a>], name: &str, reading: Reading, doubts: &mut Reading) -> Cow<'a, [u8]> {
    let mut found = fields.iter().filter(|field| field.is(name)).map(Field::value);
    let first = found.next().unwrap_or_default();
    match found.next_back() {
        None => first,
        Some(last) => {
            doubts.note(Reading::LAST_FIELD, first != last);
            if reading.has(Reading::LAST_FIELD) { last } else { first }
        }
    }
}

/// The address in a Content-Location: one that is folded has blanks in it, which are none (RFC 2557 §4.4.2).
fn address(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let text: String = text.split_whitespace().collect();
    shorten(text.trim_matches(['<', '>', '"']), ADDRESS_OCTETS_MAX).into_owned()
}

/// `type/subtype` in lower case; what stands behind, as some programs write it, is no part of it. RFC 2046 §5.1.3: a
/// multipart of a sort that nobody knows is a mixed one.
fn media(first: &[u8]) -> Option<String> {
    let slash = memchr::memchr(b'/', first).unwrap_or(first.len());
    let (kind, sort) = first.split_at_checked(slash)?;
    let kind = kind.trim_ascii().rsplit(u8::is_ascii_whitespace).next()?;
    let sort = match first_token(sort.get(1..).unwrap_or_default()) {
        b"" if kind.eq_ignore_ascii_case(b"multipart") => b"mixed",
        sort => sort,
    };
    if kind.is_empty() || sort.is_empty() {
        return None;
    }
    let mut media = [kind, b"/", sort].concat().to_ascii_lowercase();
    media.retain(|octet| !octet.is_ascii_control());
    Some(cut_name(&String::from_utf8_lossy(&media)))
}

fn encoding_of(value: &[u8]) -> Encoding {
    let mut words = value.trim_ascii().split(|b| b.is_ascii_whitespace() || *b == b';');
    match words.next().unwrap_or_default().to_ascii_lowercase().as_slice() {
        b"base64" => Encoding::Base64,
        b"quoted-printable" => Encoding::QuotedPrintable,
        b"x-uuencode" | b"x-uue" | b"uuencode" | b"uue" => Encoding::Uuencode,
        _ => Encoding::Identity,
    }
}

/// The word at the start.
fn first_token(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii_start();
    let end = value.iter().position(|b| !is_token(*b)).unwrap_or(value.len());
    value.get(..end).unwrap_or_default()
}

/// A name of bounded length. The middle goes, since what counts stands at the ends.
fn cut_name(name: &str) -> String {
    let chars = name.chars().count();
    if chars <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    let half = NAME_CHARS_MAX / 2;
    name.chars().take(half).chain(name.chars().skip(chars - half)).collect()
}

/// The parts of a message, the whole first: as most mail readers find them, and behind these what only others find,
/// with [`Part::is_other`]. Of what one reader finds the order is that of the message.
pub fn parts<'a>(message: &Message<'a>) -> Vec<Part<'a>> {
    let mut doubts = Reading::default();
    let mut budget = Budget::first(message.octets().len());
    let mut parts = walk(message, Reading::default(), &mut budget, &mut doubts);
    let mut others = List::default();
    let mut is_cut = budget.is_cut;
    if doubts != Reading::default() {
        is_cut |= find_others(message, &parts, doubts, &mut others);
    }
    if memchr::memchr(0, message.octets()).is_some() {
        is_cut |= find_without_nul(message, &parts, &mut others);
    }
    let texts = parts.iter().chain(others.iter());
    let files: Vec<Part<'a>> = texts.flat_map(uuencoded::files).collect();
    files.into_iter().for_each(|file| others.push(file));
    let others = others.into_parts(&mut budget);
    is_cut |= budget.is_cut;
    parts.extend(others.into_iter().map(|part| Part { is_other: true, ..part }));
    if let Some(whole) = parts.first_mut() {
        whole.is_cut = is_cut;
    }
    parts
}

/// What is found in a message whose NUL octets are lost on the way (RFC 5321 §4.5.2 has none; servers drop them, and so do
/// readers); whether something of it was left out.
fn find_without_nul<'a>(message: &Message<'a>, parts: &[Part<'a>], others: &mut List<'a>) -> bool {
    let octets: Vec<u8> = message.octets().iter().copied().filter(|octet| *octet != 0).collect();
    let hasher = RandomState::new();
    let key =
        |part: &Part<'_>| hasher.hash_one((part.raw(), &part.charset, part.encoding, part.form(), part.is_shown()));
    let seen: HashSet<u64> = parts.iter().map(key).collect();
    let found = self::parts(&Message::parse(&octets));
    let is_cut = found.first().is_some_and(|whole| whole.is_cut);
    let is_new = |part: &Part<'_>| !matches!(part.form(), Form::Container | Form::Other) && !seen.contains(&key(part));
    let new = found.into_iter().filter(is_new);
    new.for_each(|part| others.push(part.into_owned()));
    is_cut
}

/// What only some readers find; whether something of it was left out.
fn find_others<'a>(message: &Message<'a>, parts: &[Part<'a>], mut doubts: Reading, others: &mut List<'a>) -> bool {
    let hasher = RandomState::new();
    let mut seen: HashSet<u64> = parts.iter().map(|part| hasher.hash_one(part.key())).collect();
    let mut budget = Budget::others();
    for reading in Reading::others() {
        if !doubts.has(reading) || budget.steps == 0 {
            continue;
        }
        let found = walk(message, reading, &mut budget, &mut doubts);
        // The source of a multipart whose parts were found says nothing new.
        let is_new = |part: &Part<'_>| {
            !part.body.is_empty() && part.boundary.is_none() && seen.insert(hasher.hash_one(part.key()))
        };
        found.into_iter().filter(is_new).for_each(|part| others.push(part));
    }
    budget.is_cut
}
