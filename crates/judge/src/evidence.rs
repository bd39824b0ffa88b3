//! What is known: [`MessageFacts`] of the message, shared by all its recipients, and [`RecipientFacts`] of each
//! recipient's mailbox. Both are small, hold no message text beyond a few bounded lines, and are stored with the
//! verdict, so that it can be explained and replayed.

pub use crate::fact::Fact;
pub use crate::origin::{MxExchange, MxFact, Origin};

use crate::dnsbl::ZoneFact;
use crate::greylist::GreylistFact;
use crate::junk::JunkFact;
use crate::links::Links;
use crate::lists::{BlacklistHit, WhitelistHit};
use crate::rates::{Rate, RateNetwork};
use crate::reputation::{SenderEvidence, Standing};
use crate::virus::VirusScan;
use mail::smtp::conduct::Conduct;
use mail::{Address, Domain, Line, MailboxId, Message, ReversePath};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::IpAddr;

/// Longest header value that is kept as evidence, in characters.
const VALUE_CHARS_MAX: usize = 500;

/// What is known of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageFacts {
    /// Seconds since 1970, when the last octet arrived.
    pub received_s: i64,
    /// Who connected.
    pub client: IpAddr,
    /// The name claimed in HELO or EHLO, as written.
    pub helo: Line,
    /// What MAIL FROM carried.
    pub reverse_path: ReversePath,
    /// How the connection was encrypted; `None` if it was not.
    #[serde(default)]
    pub tls: Option<TlsFacts>,
    /// As whom the client had logged in, if a trusted proxy said so.
    #[serde(default)]
    pub login: Option<Line>,
    /// How the client kept to the order of speech.
    #[serde(default)]
    pub conduct: Conduct,
    /// The id of an earlier passage through this gateway, by an `X-Mailward-Id` with our seal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_before: Option<Line>,
    /// The first of the fields that came with it and were taken out, since they claimed to be ours or a filter's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Line>,
    /// What the header and body say; `None` where only an envelope is judged.
    pub content: Option<ContentFacts>,
    /// Who really sent it.
    #[serde(default)]
    pub origin: Origin,
    /// What the virus scanner says.
    #[serde(default)]
    pub virus: Fact<VirusScan>,
    /// What its links show and where they lead.
    #[serde(default)]
    pub links: Fact<Links>,
}

impl MessageFacts {
    /// A message of which nothing is asked yet: only its envelope is known.
    pub fn unasked(received_s: i64, client: IpAddr, helo: Line, reverse_path: ReversePath) -> MessageFacts {
        MessageFacts {
            received_s,
            client,
            helo,
            reverse_path,
            tls: None,
            login: None,
            conduct: Conduct::default(),
            passed_before: None,
            removed: Vec::new(),
            content: None,
            origin: Origin::default(),
            virus: Fact::NotAsked,
            links: Fact::NotAsked,
        }
    }

    /// What of it tells who sent it.
    pub fn sender_evidence(&self) -> SenderEvidence<'_> {
        SenderEvidence {
            client: self.client,
            helo: self.helo.as_str(),
            reverse_path: &self.reverse_path,
            origin: &self.origin,
        }
    }

    /// The first Message-ID field; empty without one.
    pub fn message_id(&self) -> &str {
        let content = self.content.as_ref();
        content
            .and_then(|content| content.message_id.as_ref())
            .map_or("", Line::as_str)
    }

    /// Octets of the message; 0 where only an envelope is judged.
    pub fn octets(&self) -> u64 {
        self.content.as_ref().map_or(0, |content| content.size_octets)
    }
}

/// Facts that are asked for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The client's reverse name: [`Origin::iprev`].
    ReverseName,
    /// [`MessageFacts::origin`], the reverse name included.
    Origin,
    /// [`RecipientFacts::zones`].
    Zones,
    /// [`MessageFacts::virus`].
    Virus,
    /// [`RecipientFacts::standing`].
    Standing,
    /// [`RecipientFacts::rates`].
    Rates,
    /// [`RecipientFacts::greylist`].
    Greylist,
    /// [`RecipientFacts::junk`].
    Junk,
    /// [`MessageFacts::links`].
    Links,
}

/// Groups of facts that a verdict needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs(u16);

impl Needs {
    /// One group.
    pub const fn of(group: Group) -> Needs {
        Needs(1 << group as u16)
    }

    /// What either needs.
    pub const fn or(self, other: Needs) -> Needs {
        Needs(self.0 | other.0)
    }

    /// What it needs beside `other`.
    pub const fn without(self, other: Needs) -> Needs {
        Needs(self.0 & !other.0)
    }

    /// Adds a group.
    pub fn add(&mut self, group: Group) {
        *self = self.or(Needs::of(group));
    }

    /// Whether a group is needed.
    pub fn has(self, group: Group) -> bool {
        self.0 & Needs::of(group).0 != 0
    }

    /// Whether nothing is needed.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What is known of an encrypted connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// As in Received fields: `TLS1.3`.
    pub version: Line,
    /// The cipher suite's registered name.
    pub cipher: Line,
    /// The name that the client asked for (RFC 6066 §3).
    pub sni: Option<Line>,
}

/// What the header and body of a message say, as far as the plain checks need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentFacts {
    /// Octets of the message as received.
    pub size_octets: u64,
    /// First Message-ID field.
    pub message_id: Option<Line>,
    /// First Subject field.
    pub subject: Option<Line>,
    /// The subject is that of a list manager who asks for moderation. Of the whole field, of which `subject` may hold a
    /// part only.
    #[serde(default)]
    pub asks_moderation: bool,
    /// First Date field is there and not empty.
    pub has_date: bool,
    /// First From field.
    pub author: AuthorField,
    /// First X-Mailer field.
    pub mailer: Option<Line>,
    /// The mailer is one that only junk was seen from. Of the whole field.
    #[serde(default)]
    pub is_junk_mailer: bool,
    /// A DKIM-Signature or DomainKey-Signature field is there; not that it verifies.
    pub has_signature: bool,
    /// The body has nothing but white space.
    pub body_is_blank: bool,
}

/// What the plain checks need of the first From field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorField {
    /// No such field, or an empty one.
    Missing,
    /// A term begins with a character that no address begins with.
    BogusInitial(Line),
    /// A term has `@@`.
    TwoAts(Line),
    /// Nothing to say against it; its text.
    Plain(Line),
}

/// What is known of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientFacts {
    /// The address as given in RCPT TO; a bare `postmaster` has the default domain added.
    pub address: Address,
    /// The mailbox it belongs to.
    pub mailbox: MailboxId,
    /// What `users/` says.
    pub user: UserStanding,
    /// First blacklist entry that fits.
    pub blacklisted: Option<BlacklistHit>,
    /// Blacklists name hosts, so that once the client's reverse name is known there may be an entry that fits.
    #[serde(default)]
    pub has_host_blacklist: bool,
    /// First whitelist entry that fits.
    pub whitelisted: Option<WhitelistHit>,
    /// It counts even where DMARC or SPF shows its name to be forged.
    #[serde(default)]
    pub passes_forged: bool,
    /// It goes by the reverse-path, and counts only where SPF does not disprove that. False in verdicts of versions that
    /// did not ask.
    #[serde(default)]
    pub whitelist_needs_spf: bool,
    /// The client is one that forwards mail for this domain's users.
    #[serde(default)]
    pub forwarder: Option<ForwarderHit>,
    /// What the domain's DNS lists say, in the order of its file `zones`.
    #[serde(default)]
    pub zones: Fact<Vec<ZoneFact>>,
    /// A list that may write to this domain, and vouches for the message.
    #[serde(default)]
    pub listed: Option<ListHit>,
    /// What the mailbox got before from the networks that the client is in.
    #[serde(default)]
    pub rates: Fact<Vec<(RateNetwork, Rate)>>,
    /// What the mailbox's own history says of the sender.
    #[serde(default)]
    pub standing: Fact<Standing>,
    /// How often a stranger has come.
    #[serde(default)]
    pub greylist: Fact<GreylistFact>,
    /// What the content filter says, by what this mailbox and others learned.
    #[serde(default)]
    pub junk: Fact<JunkFact>,
}

impl RecipientFacts {
    /// A recipient of whom nothing is asked yet, and whom no list names.
    pub fn unasked(address: Address, mailbox: MailboxId, user: UserStanding) -> RecipientFacts {
        RecipientFacts {
            address,
            mailbox,
            user,
            blacklisted: None,
            has_host_blacklist: false,
            whitelisted: None,
            passes_forged: false,
            whitelist_needs_spf: false,
            forwarder: None,
            zones: Fact::NotAsked,
            listed: None,
            rates: Fact::NotAsked,
            standing: Fact::NotAsked,
            greylist: Fact::NotAsked,
            junk: Fact::NotAsked,
        }
    }
}

/// A mailing list that `lists/` of the recipient's domain names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListHit {
    /// The list's domain.
    pub domain: Domain,
    /// By what it vouches for the message.
    pub proof: ListProof,
}

/// By what a list vouches for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListProof {
    /// Its signature verifies.
    Dkim,
    /// SPF proves its reverse-path.
    Spf,
}

/// By what a forwarder is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwarderHit {
    /// The name or address that stands in the list.
    pub name: Line,
    /// By its address or its proven reverse name; not by a HELO name, which only SPF may speak for.
    pub is_proven: bool,
}

/// What `users/valid` and `users/invalid` of a domain say of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserStanding {
    /// Listed as valid, and the client may write to it.
    Valid,
    /// Not listed, but the domain accepts anyone.
    Anyone,
    /// Listed as invalid.
    Invalid,
    /// Listed nowhere.
    Unknown,
    /// Valid, but not for this client's address.
    NotFromClient,
}

impl UserStanding {
    /// Whether mail is accepted for the recipient.
    pub fn is_accepted(self) -> bool {
        matches!(self, UserStanding::Valid | UserStanding::Anyone)
    }
}

impl ContentFacts {
    /// Reads the facts off a message of `size_octets`.
    pub fn gather(message: &Message<'_>, size_octets: u64) -> ContentFacts {
        let line = |name: &str| {
            message
                .first(name)
                .map(|field| Line::clean(&field.value(), VALUE_CHARS_MAX))
                .filter(|l| !l.as_str().is_empty())
        };
        // The whole field is looked at, however long.
        let folded = |name: &str| {
            let value = message.first(name).map(|field| field.value()).unwrap_or_default();
            Line::clean(&value, value.len()).as_str().to_lowercase()
        };
        ContentFacts {
            size_octets,
            message_id: line("Message-ID"),
            subject: message
                .first("Subject")
                .map(|field| mail::mime::readable(&field.value(), VALUE_CHARS_MAX))
                .filter(|subject| !subject.as_str().is_empty()),
            asks_moderation: asks_moderation(&folded("Subject")),
            has_date: message.first("Date").is_some_and(|field| !field.value().is_empty()),
            author: author(message),
            mailer: line("X-Mailer"),
            is_junk_mailer: is_junk_mailer(&folded("X-Mailer")),
            has_signature: message
                .fields()
                .iter()
                .any(|f| f.is("DKIM-Signature") || f.is("DomainKey-Signature")),
            body_is_blank: message.body().iter().all(u8::is_ascii_whitespace),
        }
    }
}

/// The whole field is looked at, however long; only what is found is kept.
fn author(message: &Message<'_>) -> AuthorField {
    let value = message.first("From").map(|field| field.value()).unwrap_or_default();
    if value.is_empty() {
        return AuthorField::Missing;
    }
    for term in terms(&value) {
        let mut term = term.trim_ascii();
        if let Some(inside) = term.strip_suffix(b">")
            && let Some(open) = inside.iter().rposition(|&b| b == b'<')
        {
            term = inside.get(open + 1..).unwrap_or_default();
        }
        let kept = || Line::reason(&term.to_ascii_lowercase());
        if matches!(term.first(), Some(b'-' | b'|' | b'_' | b'!')) {
            return AuthorField::BogusInitial(kept());
        }
        if term.windows(2).any(|pair| pair == b"@@") {
            return AuthorField::TwoAts(kept());
        }
    }
    AuthorField::Plain(Line::clean(&value, VALUE_CHARS_MAX))
}

/// The terms of a From field, parted at its commas. Quoted strings, comments and encoded words (RFC 5322 §3.2.2, §3.2.4,
/// RFC 2047 §2) part nothing, and are left out: they are names for people. Where one of them never ends, programs differ in
/// what they read, so every comma parts, and nothing is left out.
fn terms(value: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut terms = vec![Vec::new()];
    let mut rest = value;
    while let Some((&first, behind)) = rest.split_first() {
        let passed = match first {
            b'"' => end_of_quote(behind).map(|end| end + 1),
            b'(' => end_of_comment(behind).map(|end| end + 1),
            b'=' => Some(end_of_encoded_word(rest).unwrap_or(0)),
            _ => Some(0),
        };
        let Some(passed) = passed else {
            return value.split(|&b| b == b',').map(Cow::Borrowed).collect();
        };
        rest = match (passed, first) {
            (0, b',') => {
                terms.push(Vec::new());
                behind
            }
            (0, other) => {
                terms.last_mut().into_iter().for_each(|term| term.push(other));
                behind
            }
            (passed, _) => rest.get(passed..).unwrap_or_default(),
        };
    }
    terms.into_iter().map(Cow::Owned).collect()
}

/// How many octets a quoted string has behind its first quote.
fn end_of_quote(octets: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    let closes = |octet: &u8| {
        let is_end = *octet == b'"' && !is_escaped;
        is_escaped = *octet == b'\\' && !is_escaped;
        is_end
    };
    octets.iter().position(closes).map(|at| at + 1)
}

/// The same of a comment, and of those in it.
fn end_of_comment(octets: &[u8]) -> Option<usize> {
    let (mut depth, mut is_escaped) = (1_usize, false);
    let closes = |octet: &u8| {
        match octet {
            _ if is_escaped => {}
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        is_escaped = *octet == b'\\' && !is_escaped;
        depth == 0
    };
    octets.iter().position(closes).map(|at| at + 1)
}

/// The same of `=?charset?Q?text?=`, from its first octet on.
fn end_of_encoded_word(octets: &[u8]) -> Option<usize> {
    let end = octets.iter().position(u8::is_ascii_whitespace).unwrap_or(octets.len());
    let word = octets.get(..end)?;
    let (mut marks, is_mark) = (word.iter().enumerate(), |(_, octet): &(usize, &u8)| **octet == b'?');
    let mut mark = || marks.by_ref().find(is_mark).map(|(at, _)| at);
    let (start, _, _, last) = (mark()?, mark()?, mark()?, mark()?);
    (start == 1 && word.get(last + 1) == Some(&b'=')).then_some(last + 2)
}

/// Whether a lower-cased subject is that of a list manager that asks somebody to moderate a post, or reminds of it.
fn asks_moderation(subject: &str) -> bool {
    let held_post = subject.match_indices(" post from ").any(|(at, found)| {
        let rest = subject.get(at + found.len()..).unwrap_or("");
        rest.split_once(' ')
            .is_some_and(|(who, rest)| !who.is_empty() && rest.starts_with("requires approval"))
    });
    held_post || subject.contains("moderator request(s) waiting") && subject.contains("logcheck")
}

/// Whether a lower-cased mailer is one that only junk was seen from.
fn is_junk_mailer(mailer: &str) -> bool {
    mailer.contains("the bat") || mailer == "globomail"
}

/// A message and a recipient of whom nothing is asked yet, for tests of single checks.
#[cfg(test)]
pub(crate) fn unasked() -> (MessageFacts, RecipientFacts) {
    let message = MessageFacts::unasked(
        0,
        IpAddr::from([192, 0, 2, 1]),
        Line::literal("mx.sender.example"),
        ReversePath::Null,
    );
    let address = Address::parse("bob@our.example").unwrap();
    let mailbox = MailboxId::try_from("bob@our.example".to_owned()).unwrap();
    (message, RecipientFacts::unasked(address, mailbox, UserStanding::Valid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(text: &str) -> ContentFacts {
        ContentFacts::gather(&Message::parse(text.as_bytes()), text.len() as u64)
    }

    #[test]
    fn a_blank_body_has_white_space_only() {
        assert!(gather("A: b\r\n\r\n").body_is_blank);
        assert!(gather("A: b\r\n\r\n \r\n\t\r\n").body_is_blank);
        assert!(gather("A: b\r\n").body_is_blank);
        assert!(!gather("A: b\r\n\r\nx\r\n").body_is_blank);
    }

    #[test]
    fn every_term_of_from_is_looked_at() {
        let author = |v: &str| gather(&format!("From: {v}\r\n\r\n")).author;
        assert_eq!(author(""), AuthorField::Missing);
        assert_eq!(
            author("a@b.example, -C@d.example"),
            AuthorField::BogusInitial(Line::literal("-c@d.example"))
        );
        assert_eq!(
            author("Bob <a@@b.example>"),
            AuthorField::TwoAts(Line::literal("a@@b.example"))
        );
        assert!(matches!(author("Bob <bob@b.example>"), AuthorField::Plain(_)));
        // Commas and signs in names for people are no terms: wanted mail was refused for them.
        for name in [
            "\"Doe, -Sales-, Bob\" <bob@b.example>",
            "\"News, | Shop, \\\"_daily\" <bob@b.example>",
            "bob@b.example (Bob, -Sales- (_x, !y), Ltd)",
            "=?utf-8?Q?Bob,_-Sales-,_Ltd?= <bob@b.example>",
            "\"a @@ b, c\" <bob@b.example>",
        ] {
            assert!(matches!(author(name), AuthorField::Plain(_)), "{name}");
        }
        // What is behind them counts, and where one never ends programs differ, so all of it counts.
        for (name, term) in [
            ("\"Doe, x\" <bob@b.example>, -c@d.example", "-c@d.example"),
            ("\"Doe, -c@d.example", "-c@d.example"),
            ("(Doe, -c@d.example", "-c@d.example"),
            ("=?utf-8?Q?Bob, -c@d.example", "-c@d.example"),
            ("\"x\" -c@d.example", "-c@d.example"),
        ] {
            assert_eq!(
                author(name),
                AuthorField::BogusInitial(Line::reason(term.as_bytes())),
                "{name}"
            );
        }
        let hidden = "a@b.example, ".repeat(10_000) + "|x";
        assert_eq!(author(&hidden), AuthorField::BogusInitial(Line::literal("|x")));
    }

    #[test]
    fn moderation_requests_are_known_by_their_subject() {
        let asks = |subject: &str| gather(&format!("Subject: {subject}\r\n\r\n")).asks_moderation;
        for subject in [
            "Dev-list post from bob@b.example requires approval",
            "5 logcheck moderator request(s) waiting",
            "X POST FROM y REQUIRES APPROVAL now",
            "Dev-list post\r\n\tfrom bob@b.example requires approval",
        ] {
            assert!(asks(subject), "{subject}");
        }
        for subject in [
            "post from bob requires approval",
            "a post from bob smith requires approval",
            "5 moderator request(s) waiting",
            "hello",
            "",
        ] {
            assert!(!asks(subject), "{subject}");
        }
    }

    #[test]
    fn mailers_are_compared_in_any_case() {
        let is_junk = |mailer: &str| gather(&format!("X-Mailer: {mailer}\r\n\r\n")).is_junk_mailer;
        assert!(is_junk("The Bat! 1.0") && is_junk("GloboMail"));
        assert!(!is_junk("GloboMail 2") && !is_junk(""));
    }

    #[test]
    fn what_stands_behind_a_long_beginning_counts() {
        // Only what is kept of a field was looked at, so 500 characters in front hid the rest.
        let long = "é ".repeat(5000);
        let facts = gather(&format!(
            "Subject: {long} post from x requires approval\r\nX-Mailer: {long} The Bat!\r\n\r\n"
        ));
        assert!(facts.asks_moderation && facts.is_junk_mailer);
        assert!(
            facts
                .subject
                .is_some_and(|kept| kept.as_str().chars().count() <= VALUE_CHARS_MAX)
        );
        assert!(
            facts
                .mailer
                .is_some_and(|kept| kept.as_str().chars().count() <= VALUE_CHARS_MAX)
        );
    }

    #[test]
    fn the_subject_is_what_people_read() {
        let subject = |octets: &[u8]| {
            let message = [b"Subject: ", octets, b"\r\n\r\n"].concat();
            let facts = ContentFacts::gather(&Message::parse(&message), 0);
            facts.subject.map(|line| line.to_string()).unwrap_or_default()
        };
        assert_eq!(subject(b"=?utf-8?B?R3LDvMOfZQ==?="), "Gr\u{fc}\u{df}e");
        assert_eq!(subject(b"Gr\xfc\xdfe"), "Gr\u{fc}\u{df}e");
        // What is encoded is no less foreign.
        assert_eq!(subject(b"=?utf-8?Q?a=0D=0Ab=1B[31m=E2=80=AEc?="), "a b [31m\\u{202e}c");
    }

    #[test]
    fn an_absent_or_empty_field_is_none() {
        let facts = gather("Subject:\r\nDate: \r\n\r\n");
        assert_eq!((facts.subject, facts.has_date, facts.mailer), (None, false, None));
    }
}
