//! For tests: names that answer, keys, and a signer that shares no code with the verifier.

use crate::{BodyHashes, Sealed, arc, dkim};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256};
use data_encoding::BASE64;
use judge::auth::arc::Arc;
use judge::auth::dkim::Dkim;
use judge::resolver::{Answer, BoxFuture, Kind, Name, Outcome, Question, Record, Resolver, Security, Trouble};
use mail::Message;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// When all messages come.
pub const NOW_S: i64 = 1_700_000_000;

/// Names and what is answered; for others that there is no such name.
#[derive(Default)]
pub struct Zone {
    answers: HashMap<Name, Outcome>,
    pub asked: AtomicUsize,
}

impl Zone {
    pub fn with(mut self, name: &str, texts: &[&str]) -> Zone {
        let records = texts.iter().map(|text| Record::Txt(text.as_bytes().into()));
        let outcome = Outcome::Records(records.collect());
        self.answers.insert(Name::parse(name).unwrap(), outcome);
        self
    }

    pub fn with_trouble(mut self, name: &str, trouble: Trouble) -> Zone {
        self.answers
            .insert(Name::parse(name).unwrap(), Outcome::Unavailable(trouble));
        self
    }

    /// With the keys of selectors `rsa` and `ed` of a domain.
    pub fn with_keys(self, domain: &str) -> Zone {
        self.with(&format!("rsa._domainkey.{domain}"), &[&rsa_record()])
            .with(&format!("ed._domainkey.{domain}"), &[&ed25519_record()])
    }
}

impl Resolver for Zone {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        assert_eq!(question.kind, Kind::Txt);
        self.asked.fetch_add(1, Ordering::Relaxed);
        let outcome = self.answers.get(&question.name).cloned().unwrap_or(Outcome::NoName);
        let security = Security::Secure;
        Box::pin(std::future::ready(Answer { outcome, security }))
    }
}

static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
/// The first test vector of RFC 8032 §7.1, which RFC 8463 §A uses too; the fuzz target `dkim_message` knows its key.
static ED25519: LazyLock<Ed25519KeyPair> = LazyLock::new(|| {
    let seed = b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let seed = data_encoding::HEXLOWER.decode(seed).unwrap();
    Ed25519KeyPair::from_seed_unchecked(&seed).unwrap()
});

pub fn rsa_record() -> String {
    let key = RSA.public_key().as_der().unwrap();
    format!("v=DKIM1; k=rsa; p={}", BASE64.encode(key.as_ref()))
}

/// The same as bare `RSAPublicKey`.
pub fn rsa_record_bare() -> String {
    format!("p={}", BASE64.encode(RSA.public_key().as_ref()))
}

pub fn ed25519_record() -> String {
    format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(ED25519.public_key().as_ref()))
}

/// How a message shall be signed.
#[derive(Debug, Clone)]
pub struct Signing {
    pub domain: String,
    /// `rsa` or `ed`.
    pub selector: String,
    /// `c=`, both parts.
    pub forms: (bool, bool),
    pub names: String,
    /// Other tags, each with its semicolon.
    pub others: String,
    /// `l=`.
    pub length: Option<usize>,
}

impl Default for Signing {
    fn default() -> Signing {
        Signing {
            domain: "news.example".to_owned(),
            selector: "rsa".to_owned(),
            forms: (true, true),
            names: "From:To:Subject".to_owned(),
            others: String::new(),
            length: None,
        }
    }
}

/// Whether `true` is relaxed.
fn form(is_relaxed: bool) -> &'static str {
    if is_relaxed { "relaxed" } else { "simple" }
}

fn squeezed(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            ' ' | '\t' if out.ends_with(' ') => {}
            ' ' | '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The canonical field without its line end. `field` has none either.
pub fn canonical_field(field: &str, is_relaxed: bool) -> String {
    if !is_relaxed {
        return field.to_owned();
    }
    let (name, value) = field.split_once(':').unwrap();
    let value = squeezed(&value.replace("\r\n", ""));
    format!("{}:{}", name.trim_end().to_ascii_lowercase(), value.trim_matches(' '))
}

pub fn canonical_body(body: &str, is_relaxed: bool) -> String {
    let relax = |line: &str| {
        if is_relaxed {
            squeezed(line).trim_end_matches(' ').to_owned()
        } else {
            line.to_owned()
        }
    };
    let mut lines: Vec<String> = body.split("\r\n").map(relax).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    match lines.is_empty() {
        true if is_relaxed => String::new(),
        _ => lines.join("\r\n") + "\r\n",
    }
}

/// The fields of a header, each without its last line end.
fn fields(header: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in header.split_terminator("\r\n") {
        match found.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => *last += &format!("\r\n{line}"),
            _ => found.push(line.to_owned()),
        }
    }
    found
}

pub fn sign_octets(selector: &str, data: &str) -> String {
    let mut signature;
    match selector {
        "rsa" => {
            signature = vec![0; RSA.public_modulus_len()];
            RSA.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data.as_bytes(), &mut signature)
                .unwrap();
        }
        _ => {
            signature = ED25519
                .sign(digest(&SHA256, data.as_bytes()).as_ref())
                .as_ref()
                .to_vec()
        }
    }
    BASE64.encode(&signature)
}

/// A field that signs: `name: first h=...; bh=...; b=...`.
pub fn signature_field(name: &str, first: &str, message: &str, signing: &Signing) -> String {
    let (header, body) = message.split_once("\r\n\r\n").unwrap();
    let mut data = String::new();
    let mut left = fields(header);
    for name in signing.names.split(':').map(str::trim) {
        let is_it = |field: &String| field.split(':').next().unwrap().trim_end().eq_ignore_ascii_case(name);
        if let Some(at) = left.iter().rposition(is_it) {
            data += &(canonical_field(&left.remove(at), signing.forms.0) + "\r\n");
        }
    }
    let body = canonical_body(body, signing.forms.1);
    let signed = &body.as_bytes()[..signing.length.unwrap_or(body.len()).min(body.len())];
    let algorithm = if signing.selector == "rsa" { "rsa" } else { "ed25519" };
    let field = format!(
        "{name}: {first}a={algorithm}-sha256; c={}/{};\r\n d={}; s={};{}{}\r\n\th={};\r\n bh={}; b=",
        form(signing.forms.0),
        form(signing.forms.1),
        signing.domain,
        signing.selector,
        signing.others,
        signing.length.map(|length| format!(" l={length};")).unwrap_or_default(),
        signing.names,
        BASE64.encode(digest(&SHA256, signed).as_ref()),
    );
    data += &canonical_field(&field, signing.forms.0);
    field + &sign_octets(&signing.selector, &data)
}

/// The message with a DKIM-Signature on top.
pub fn sign(message: &str, signing: &Signing) -> String {
    format!(
        "{}\r\n{message}",
        signature_field("DKIM-Signature", "v=1; ", message, signing)
    )
}

/// The message with an ARC set on top; `others` go into the seal.
pub fn seal(message: &str, instance: usize, validation: &str, results: &str, signing: &Signing) -> String {
    let first = format!("i={instance}; ");
    let results = format!("ARC-Authentication-Results: i={instance}; {results}");
    let signature = signature_field("ARC-Message-Signature", &first, message, signing);
    let header = format!(
        "{signature}\r\n{results}\r\n{}",
        message.split_once("\r\n\r\n").unwrap().0
    );
    let all = fields(&header);
    let mut data = String::new();
    let seal = format!(
        "ARC-Seal: i={instance}; a={}-sha256; cv={validation};{} d={}; s={}; b=",
        if signing.selector == "rsa" { "rsa" } else { "ed25519" },
        signing.others,
        signing.domain,
        signing.selector
    );
    for instance in 1..=instance {
        for name in ["ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"] {
            let start = format!("{name}: i={instance};");
            for field in all.iter().filter(|field| field.starts_with(&start)) {
                data += &(canonical_field(field, true) + "\r\n");
            }
        }
    }
    data += &canonical_field(&seal, true);
    format!(
        "{seal}{}\r\n{signature}\r\n{results}\r\n{message}",
        sign_octets(&signing.selector, &data)
    )
}

fn hashes(sealed: &Sealed<'_>, message: &Message<'_>) -> BodyHashes {
    let mut hasher = sealed.hasher();
    hasher.update(message.body());
    hasher.finish()
}

pub fn verify(message: &[u8], zone: &Zone) -> Vec<Dkim> {
    let message = Message::parse(message);
    let sealed = Sealed::read(&message);
    let bodies = hashes(&sealed, &message);
    pollster::block_on(dkim::verify(&sealed, &bodies, NOW_S, zone))
}

pub fn verify_arc(message: &[u8], zone: &Zone) -> Arc {
    let message = Message::parse(message);
    let sealed = Sealed::read(&message);
    let bodies = hashes(&sealed, &message);
    pollster::block_on(arc::verify(&sealed, &bodies, NOW_S, zone))
}
