//! What we write into a message's header, and what only we may write.
//!
//! On top: what was proven (Authentication-Results, Received-SPF), Received (RFC 5321 §4.4) and `X-Mailward-Id`. At the end of the header block, in the order of the original:
//! `X-HELO`, `X-REMOTE-IP`, ... and the verdict. Fields of these names that come with a message are taken out, for
//! they would be believed.

use super::Envelope;
use crate::config::Config;
use jiff::Zoned;
use mail::auth_results::claims_authserv_id;
use mail::{Address, Domain, Field, Line, Message, ReversePath};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use store::MailwardId;

/// Fields that only we may write; `*` at the end stands for any rest.
const OURS: &[&str] = &[
    "X-HELO",
    "X-REMOTE-IP",
    "X-REMOTE-HOST",
    "X-MAIL-FROM",
    "X-RCPT-TO",
    "X-DOMAIN",
    "X-LOCALPART",
    "X-DKIM-RESULT",
    "X-REJECT-*",
    "X-MS.com-Virus",
    "X-Mailward-*",
    "X-Spam-Flag",
];

/// The key with which ids are sealed, so that nobody else can make one.
pub struct Seal([u8; 32]);

impl Seal {
    /// Reads the key, or makes it at the first start. An empty file is what a crash left of a first start: it sealed
    /// nothing yet.
    pub fn load(state: &Path) -> io::Result<Seal> {
        let path = state.join("seal.key");
        match std::fs::read(&path) {
            Ok(octets) if octets.is_empty() => Seal::make(state, &path),
            Ok(octets) => octets.try_into().map(Seal).map_err(|_| {
                let text = format!(
                    "{} is not a key of 32 octets; remove it to have a new one made",
                    path.display()
                );
                io::Error::new(io::ErrorKind::InvalidData, text)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Seal::make(state, &path),
            Err(error) => Err(error),
        }
    }

    /// Makes a key (mode 0600). It gets its name when it is whole, so a crash leaves no half of one.
    fn make(state: &Path, path: &Path) -> io::Result<Seal> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let new = state.join("seal.key.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&key)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        File::open(state)?.sync_all()?;
        Ok(Seal(key))
    }

    /// The MAC of an id: 80 bits in hexadecimal.
    pub fn mac(&self, id: &MailwardId) -> String {
        let hash = blake3::keyed_hash(&self.0, id.to_string().as_bytes());
        hash.to_hex()[..20].to_owned()
    }
}

/// Whether a field of this name is ours alone.
pub fn is_ours(name: &[u8]) -> bool {
    OURS.iter().any(|ours| match ours.strip_suffix('*') {
        Some(stem) => name
            .get(..stem.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(stem.as_bytes())),
        None => name.eq_ignore_ascii_case(ours.as_bytes()),
    })
}

/// What all copies of a message share.
pub struct Trace<'a> {
    /// Who sent it.
    pub envelope: &'a Envelope,
    /// Its id.
    pub id: MailwardId,
    /// The id's MAC.
    pub mac: String,
    /// Our own name.
    pub hostname: &'a str,
    /// When it came.
    pub now: &'a Zoned,
    /// What was proven of its origin, as whole fields.
    pub proofs: String,
    /// The client's proven name, or `Unknown`.
    pub remote_host: Line,
    /// `X-DKIM-RESULT`.
    pub dkim_word: Option<&'static str>,
    /// The virus that was found in it.
    pub virus: Option<Line>,
}

/// What one copy is marked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    None,
    /// `X-Mailward-Verdict` and `X-Spam-Flag`, and a folder's name for Sieve.
    Junk {
        /// Why.
        reasons: Line,
        /// `X-Mailward-Folder`.
        folder: Option<String>,
    },
    /// `X-REJECT-REASON` and `X-REJECT-PLUGIN`: a copy for the quarantine.
    Kept {
        /// Why.
        reason: Line,
        /// Which component says so.
        plugin: String,
    },
}

/// What one copy has around the fields that came with the message.
pub struct Frame {
    /// Above them.
    pub top: String,
    /// Below them, with the blank line.
    pub bottom: String,
}

impl Frame {
    /// Frames one copy. `recipients` are those that get it: only when there is one is it named, since the others would
    /// see it.
    pub fn new(trace: &Trace<'_>, recipients: &[&Address], mark: &Mark) -> Frame {
        let (mut above, mut below) = (String::with_capacity(320), String::with_capacity(320));
        top(trace, recipients, &mut above);
        bottom(trace, recipients, mark, &mut below);
        below.push_str("\r\n");
        Frame {
            top: above,
            bottom: below,
        }
    }

    /// The whole header block.
    pub fn around(&self, fields: &[u8]) -> Vec<u8> {
        [self.top.as_bytes(), fields, self.bottom.as_bytes()].concat()
    }
}

/// Whether a field that came with a message is taken out of it, for only we may write it: among them Authentication-Results
/// that claim to be ours (RFC 8601 §5), and Received-SPF that names our host.
pub fn is_removed(field: &Field<'_>, config: &Config) -> bool {
    is_ours(field.name())
        || field.is("Authentication-Results") && claims_authserv_id(&field.value(), config.authserv_id())
        || field.is("Received-SPF") && names(&field.value(), &config.smtp.hostname)
}

/// Octets of the fields that are taken out.
pub fn removed_octets(message: &Message<'_>, config: &Config) -> u64 {
    let removed = message.fields().iter().filter(|field| is_removed(field, config));
    removed.map(|field| field.raw().len() as u64).sum()
}

/// The fields that came with the message and stay.
pub fn kept_fields(message: &Message<'_>, config: &Config) -> Vec<u8> {
    let mut fields = Vec::with_capacity(message.fields().iter().map(|field| field.raw().len()).sum());
    for field in message.fields().iter().filter(|field| !is_removed(field, config)) {
        fields.extend_from_slice(field.raw());
        if !field.raw().ends_with(b"\n") {
            fields.extend_from_slice(b"\r\n");
        }
    }
    fields
}

/// A message that this gateway delivered, as it came: without what delivery put on top of it and what only we may write.
/// `None` for any other message: our Received field must name the id of the `X-Mailward-Id` below it.
pub fn as_it_came(message: &Message<'_>, config: &Config) -> Option<Vec<u8>> {
    let fields = message.fields();
    let last = fields.iter().position(|field| field.is("X-Mailward-Id"))?;
    let (top, rest) = fields.split_at_checked(last + 1)?;
    let value = top.last()?.value().into_owned();
    let id = value.split(|octet| *octet == b' ').next().filter(|id| !id.is_empty())?;
    let ours = [b"by ", config.smtp.hostname.as_bytes(), b" with "].concat();
    let named = [b" id ", id].concat();
    let has = |value: &[u8], text: &[u8]| memchr::memmem::find(value, text).is_some();
    let is_ours = |field: &&Field<'_>| {
        let value = field.value();
        field.is("Received") && has(&value, &ours) && has(&value, &named)
    };
    top.iter().find(is_ours)?;
    let kept = rest.iter().filter(|field| !is_removed(field, config));
    let fields: Vec<&[u8]> = kept.map(Field::raw).collect();
    Some([&fields.concat(), b"\r\n".as_slice(), message.body()].concat())
}

/// Whether a name of ours occurs in foreign text, in any case.
fn names(text: &[u8], ours: &str) -> bool {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    !ours.is_empty() && text.contains(&ours.to_ascii_lowercase())
}

fn top(trace: &Trace<'_>, recipients: &[&Address], out: &mut String) {
    let Trace {
        envelope,
        id,
        mac,
        hostname,
        now,
        proofs,
        remote_host: _,
        dkim_word: _,
        virus: _,
    } = trace;
    out.push_str(proofs);
    // RFC 3848, RFC 6531 §4.3.
    let with = match (envelope.smtputf8(), envelope.is_esmtp(), envelope.tls().is_some()) {
        (true, _, true) => "UTF8SMTPS",
        (true, _, false) => "UTF8SMTP",
        (false, true, true) => "ESMTPS",
        (false, true, false) => "ESMTP",
        (false, false, _) => "SMTP",
    };
    let helo = token(envelope.helo());
    let _ = write!(
        out,
        "Received: from {helo} ({})\r\n\tby {hostname} with {with} id {id}",
        literal(envelope.client())
    );
    if let Some(tls) = envelope.tls() {
        let _ = write!(out, "\r\n\t({} with {})", tls.version, tls.cipher);
    }
    if let [only] = recipients {
        let _ = write!(out, "\r\n\tfor <{only}>");
    }
    let date = now.strftime("%a, %d %b %Y %H:%M:%S %z");
    let _ = write!(out, ";\r\n\t{date}\r\nX-Mailward-Id: {id} {mac}\r\n");
}

fn bottom(trace: &Trace<'_>, recipients: &[&Address], mark: &Mark, out: &mut String) {
    let envelope = trace.envelope;
    // Only a message that came by SMTPUTF8 may have octets outside of ASCII in its header (RFC 6532).
    let text = |line: &Line| {
        if envelope.smtputf8() {
            line.to_string()
        } else {
            line.to_ascii().into_owned()
        }
    };
    let _ = write!(
        out,
        "X-HELO: {}\r\nX-REMOTE-IP: {}\r\nX-REMOTE-HOST: {}\r\n",
        text(envelope.helo()),
        envelope.client(),
        trace.remote_host
    );
    let _ = write!(out, "X-MAIL-FROM: {}\r\n", bracketed(envelope.reverse_path()));
    if let [only] = recipients {
        let _ = write!(out, "X-RCPT-TO: <{}>\r\n", only.folded());
    }
    if let Some(domain) = common_domain(recipients) {
        let _ = write!(out, "X-DOMAIN: {domain}\r\n");
    }
    if let [only] = recipients {
        let _ = write!(out, "X-LOCALPART: {}\r\n", only.local().folded());
    }
    if let Some(word) = trace.dkim_word {
        let _ = write!(out, "X-DKIM-RESULT: {word}\r\n");
    }
    if let Some(virus) = &trace.virus {
        let _ = write!(out, "X-MS.com-Virus: {}\r\n", text(virus));
    }
    match mark {
        Mark::None => {}
        Mark::Junk { reasons, folder } => {
            let _ = write!(
                out,
                "X-Mailward-Verdict: junk; {}\r\nX-Spam-Flag: YES\r\n",
                text(reasons)
            );
            if let Some(folder) = folder {
                let _ = write!(out, "X-Mailward-Folder: {folder}\r\n");
            }
        }
        Mark::Kept { reason, plugin } => {
            let _ = write!(out, "X-REJECT-REASON: {reason}\r\nX-REJECT-PLUGIN: {plugin}\r\n");
        }
    }
}

/// `<path>`, as it was written.
pub fn bracketed(path: &ReversePath) -> Line {
    Line::clean(format!("<{path}>").as_bytes(), 600)
}

/// A HELO name as part of a structured field: no blanks and no comment characters.
fn token(helo: &Line) -> String {
    let name: String = helo
        .as_str()
        .chars()
        .filter(|c| !c.is_whitespace() && !"();<>,\\\"".contains(*c))
        .take(255)
        .collect();
    if name.is_empty() { "unknown".into() } else { name }
}

/// RFC 5321 §4.1.3.
fn literal(client: IpAddr) -> String {
    match client {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

fn common_domain<'a>(recipients: &[&'a Address]) -> Option<&'a Domain> {
    let first = recipients.first()?.domain()?;
    recipients.iter().all(|r| r.domain() == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_only_we_may_write_are_known_in_any_case() {
        for name in [
            "x-helo",
            "X-Reject-Reason",
            "X-MAILWARD-ANYTHING",
            "X-Spam-Flag",
            "x-reject-",
        ] {
            assert!(is_ours(name.as_bytes()), "{name}");
        }
        for name in ["X-Mailer", "X-Spam-Status", "Received", "X-Reject", "X-HELO2"] {
            assert!(!is_ours(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_seal_is_made_once_and_kept() {
        let state = tempfile::tempdir().unwrap();
        let id = MailwardId::new(1_800_000_000, 7);
        let first = Seal::load(state.path()).unwrap().mac(&id);
        assert_eq!(Seal::load(state.path()).unwrap().mac(&id), first);
        assert_ne!(
            Seal::load(state.path())
                .unwrap()
                .mac(&MailwardId::new(1_800_000_000, 8)),
            first
        );
    }

    #[test]
    fn what_speaks_in_our_name_goes_and_what_others_found_stays() {
        let mut config = Config::default();
        config.smtp.hostname = "mx.example.com".into();
        config.auth.authserv_id = mail::Domain::parse("id.example").ok();
        let text = "Authentication-Results: id.example; spf=pass\r\n\
                    Received-SPF: pass (x) receiver=MX.example.com; identity=mailfrom\r\n\
                    Received-SPF: pass (x) receiver=relay.other.example\r\n\
                    Authentication-Results: mx.example.com; spf=pass\r\n\
                    X-DKIM-RESULT: pass\r\n\r\n";
        let kept = String::from_utf8(kept_fields(&Message::parse(text.as_bytes()), &config)).unwrap();
        assert_eq!(
            kept,
            "Received-SPF: pass (x) receiver=relay.other.example\r\n\
             Authentication-Results: mx.example.com; spf=pass\r\n"
        );
    }
}
