//! The header block of a message that we relay: what a judgement adds and takes out ([`crate::judgement::headers`]), and what
//! only whoever relays writes, the Received field (RFC 5321 §4.4) and `X-Mailward-Id`.

use super::Envelope;
use crate::judgement::headers::{HeaderChange, Mark, OwnNames, additions};
use jiff::Zoned;
use judge::evidence::MessageFacts;
use mail::{Address, Line, Message};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use store::MailwardId;

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

    /// The id of a message that came through this gateway before: of the first `X-Mailward-Id` that is sealed.
    pub fn id_of(&self, message: &Message<'_>) -> Option<Line> {
        let mut ids = message.fields().iter().filter(|field| field.is("X-Mailward-Id"));
        ids.find_map(|field| {
            let value = field.value();
            let (id, mac) = std::str::from_utf8(&value).ok()?.split_once(' ')?;
            let id: MailwardId = id.parse().ok()?;
            (self.mac(&id) == mac.trim()).then(|| Line::from(id.to_string()))
        })
    }
}

/// What all copies of a message share.
pub struct Trace<'a> {
    /// Who sent it.
    pub envelope: &'a Envelope,
    /// What was found out.
    pub facts: &'a MessageFacts,
    /// Its id.
    pub id: MailwardId,
    /// The id's MAC.
    pub mac: String,
    /// By which names we are known.
    pub own: &'a OwnNames,
    /// When it came.
    pub now: &'a Zoned,
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
        let (mut top, mut bottom) = (String::with_capacity(640), String::with_capacity(320));
        let is_utf8 = trace.envelope.smtputf8();
        for change in additions(trace.facts, trace.own, recipients, mark, is_utf8) {
            match change {
                HeaderChange::Prepend(field) => top.push_str(field.as_str()),
                HeaderChange::Append(field) => bottom.push_str(field.as_str()),
                HeaderChange::Remove(_) => {}
            }
        }
        received(trace, recipients, &mut top);
        bottom.push_str("\r\n");
        Frame { top, bottom }
    }

    /// The whole header block.
    pub fn around(&self, fields: &[u8]) -> Vec<u8> {
        [self.top.as_bytes(), fields, self.bottom.as_bytes()].concat()
    }
}

/// The trace field, and the id below it.
fn received(trace: &Trace<'_>, recipients: &[&Address], out: &mut String) {
    let Trace {
        envelope,
        facts: _,
        id,
        mac,
        own,
        now,
    } = trace;
    let hostname = &own.hostname;
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
