//! Messages of the archive as they would come over SMTP, and names that answer from a table.

use crate::{BodyHashes, Sealed, arc, dkim};
use judge::auth::arc::Arc;
use judge::auth::dkim::Dkim;
use judge::resolver::{Answer, BoxFuture, Kind, Name, Outcome, Question, Record, Resolver, Security, Trouble};
use mail::Message;
use std::collections::HashMap;
use std::path::Path;

/// The octets of a file, with CRLF at the end of each line: archives keep what SMTP never carries.
pub fn read_crlf(path: &Path) -> Vec<u8> {
    let octets = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    crlf(&octets)
}

/// The same of octets.
pub fn crlf(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 40);
    for (at, &octet) in octets.iter().enumerate() {
        if octet == b'\n' && (at == 0 || octets[at - 1] != b'\r') {
            out.push(b'\r');
        }
        out.push(octet);
    }
    out
}

/// The names of all files in a directory, sorted.
pub fn file_names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let files = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file());
    let mut names: Vec<String> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Texts by name; there are no other names.
#[derive(Default)]
pub struct Table(HashMap<Name, Outcome>);

impl Table {
    pub fn with(mut self, name: &str, text: &str) -> Table {
        let records = [Record::Txt(text.as_bytes().into())];
        self.0
            .insert(Name::parse(name).unwrap(), Outcome::Records(records.into()));
        self
    }

    pub fn with_trouble(mut self, name: &str, trouble: Trouble) -> Table {
        self.0.insert(Name::parse(name).unwrap(), Outcome::Unavailable(trouble));
        self
    }
}

impl Resolver for Table {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        assert_eq!(question.kind, Kind::Txt);
        let outcome = self.0.get(&question.name).cloned().unwrap_or(Outcome::NoName);
        let security = Security::Unknown;
        Box::pin(std::future::ready(Answer { outcome, security }))
    }
}

/// Reads a message, and its body in pieces of seven octets.
fn read<T>(octets: &[u8], work: impl FnOnce(&Sealed<'_>, &BodyHashes) -> T) -> T {
    let message = Message::parse(octets);
    let sealed = Sealed::read(&message);
    let mut hasher = sealed.hasher();
    message.body().chunks(7).for_each(|piece| hasher.update(piece));
    work(&sealed, &hasher.finish())
}

pub fn verify_dkim(octets: &[u8], now_s: i64, table: &Table) -> Vec<Dkim> {
    read(octets, |sealed, bodies| {
        pollster::block_on(dkim::verify(sealed, bodies, now_s, table))
    })
}

pub fn verify_arc(octets: &[u8], now_s: i64, table: &Table) -> Arc {
    read(octets, |sealed, bodies| {
        pollster::block_on(arc::verify(sealed, bodies, now_s, table))
    })
}

/// The words of the results, from the top: `pass fail`; `none` without signatures.
pub fn words(found: &[Dkim]) -> String {
    match found {
        [] => "none".to_owned(),
        found => found
            .iter()
            .map(|found| found.result.word())
            .collect::<Vec<_>>()
            .join(" "),
    }
}
