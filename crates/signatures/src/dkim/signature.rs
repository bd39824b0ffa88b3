//! What a signature says of itself (RFC 6376 §3.5), and what is wrong with it before any key is asked for (§6.1.1).
//!
//! Which word a failure has (RFC 8601 §2.7.1), where RFC 6376 only knows PERMFAIL: `neutral` is what has errors of
//! syntax or cannot be processed here (another version, algorithm or canonical form), `permerror` what can be read but
//! can never be right, `fail` what was tried and did not stand, `policy` what we do not accept although it may verify.

use super::canonical::{Canonicalization, parse_pair, value_start};
use super::tags::{TagError, Tags, base64, colon_list, number, quoted_printable, shown};
use judge::auth::dkim::DkimResult;
use judge::resolver::Name;
use mail::Domain;
use mail::Field;
use std::ops::Range;

/// More names in `h=` than any mail needs.
const NAMES_MAX: usize = 1000;
/// SHA-256.
const HASH_OCTETS: usize = 32;
/// RFC 6008 §4: at least so many characters of `b=` tell signatures apart.
pub(crate) const START_OCTETS: usize = 8;

/// Why a signature does not pass, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub result: DkimResult,
    /// A sentence's second half: "the body was changed after it was signed".
    pub why: String,
}

/// How it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// RFC 6376 §3.3.2.
    RsaSha256,
    /// RFC 8463.
    Ed25519Sha256,
}

/// What DKIM-Signature, ARC-Message-Signature and ARC-Seal have in common.
#[derive(Debug)]
pub(crate) struct Signature<'a> {
    pub field: Field<'a>,
    /// Where the field stands in the header, from the top.
    pub place: usize,
    /// Where the value of `b=` stands in the field.
    pub blank: Range<usize>,
    pub algorithm: Algorithm,
    pub octets: Vec<u8>,
    pub domain: Domain,
    /// `selector._domainkey.domain`.
    pub key_name: Name,
    /// `t=`.
    pub signed_s: Option<u64>,
}

/// What a signature speaks of; a seal has no such thing.
#[derive(Debug)]
pub(crate) struct Coverage<'a> {
    pub header: Canonicalization,
    pub body: Canonicalization,
    /// `h=`.
    pub names: Vec<&'a [u8]>,
    /// `bh=`.
    pub body_hash: Vec<u8>,
    /// `l=`: so many octets of the canonical body.
    pub length: Option<u64>,
    /// `x=`.
    expires_s: Option<u64>,
}

impl Refusal {
    pub fn new(result: DkimResult, why: impl Into<String>) -> Refusal {
        Refusal {
            result,
            why: why.into(),
        }
    }

    pub fn neutral(why: impl Into<String>) -> Refusal {
        Refusal::new(DkimResult::Neutral, why)
    }

    pub fn permanent(why: impl Into<String>) -> Refusal {
        Refusal::new(DkimResult::PermError, why)
    }
}

impl From<TagError> for Refusal {
    fn from(error: TagError) -> Refusal {
        match error {
            TagError::Syntax(text) => Refusal::neutral(format!("`{text}` in it is no tag")),
            TagError::Twice(name) => Refusal::permanent(format!("its tag {name}= is there twice")),
            TagError::TooMany => Refusal::neutral("it has too many tags"),
        }
    }
}

/// The tags of a field.
pub(crate) fn tags<'a>(field: &Field<'a>) -> Result<Tags<'a>, TagError> {
    Tags::parse(field.raw().get(value_start(field)..).unwrap_or_default())
}

/// RFC 6376 §6.1.1: tags that must be there.
pub(crate) fn require(tags: &Tags<'_>, names: &[&str]) -> Result<(), Refusal> {
    match names.iter().find(|name| tags.get(name).is_none()) {
        Some(name) => Err(Refusal::permanent(format!("its tag {name}= is missing"))),
        None => Ok(()),
    }
}

impl<'a> Signature<'a> {
    /// Reads what all kinds have; `a`, `b`, `d` and `s` must be there.
    pub fn read(field: Field<'a>, place: usize, tags: &Tags<'a>) -> Result<Signature<'a>, Refusal> {
        let algorithm = algorithm(tags.value("a").unwrap_or_default())?;
        let domain = domain(tags).ok_or_else(|| Refusal::neutral("its d= is no domain name"))?;
        let key_name = selector(tags)
            .and_then(|selector| Name::from(&domain).below(&format!("{selector}._domainkey")))
            .ok_or_else(|| Refusal::neutral("its s= is no selector"))?;
        let value = tags
            .get("b")
            .ok_or_else(|| Refusal::permanent("its tag b= is missing"))?;
        let octets = base64(value.value).filter(|octets| !octets.is_empty());
        let octets = octets.ok_or_else(|| Refusal::neutral("its b= is no base64"))?;
        let start = value_start(&field);
        Ok(Signature {
            field,
            place,
            blank: start + value.span.start..start + value.span.end,
            algorithm,
            octets,
            domain,
            key_name,
            signed_s: time(tags, "t")?,
        })
    }
}

impl<'a> Coverage<'a> {
    /// Reads what is signed; `bh` and `h` must be there.
    pub fn read(tags: &Tags<'a>) -> Result<Coverage<'a>, Refusal> {
        let (header, body) =
            parse_pair(tags.value("c")).ok_or_else(|| Refusal::neutral("its c= is no canonical form that we know"))?;
        let body_hash = tags.value("bh").and_then(base64);
        let body_hash = body_hash.filter(|hash| hash.len() == HASH_OCTETS);
        let length = match tags.value("l") {
            Some(text) => Some(number(text).ok_or_else(|| Refusal::neutral("its l= is no number"))?),
            None => None,
        };
        let (signed_s, expires_s) = (time(tags, "t")?, time(tags, "x")?);
        // RFC 6376 §3.5, `x=`.
        if signed_s
            .zip(expires_s)
            .is_some_and(|(signed, expires)| expires <= signed)
        {
            return Err(Refusal::permanent("it expires before it was made (x= is not after t=)"));
        }
        let list = tags.value("h").unwrap_or_default();
        let names: Vec<&[u8]> = colon_list(list).take(NAMES_MAX + 1).collect();
        if names.len() > NAMES_MAX {
            return Err(Refusal::permanent(format!("its h= names more than {NAMES_MAX} fields")));
        }
        Ok(Coverage {
            header,
            body,
            names,
            body_hash: body_hash.ok_or_else(|| Refusal::neutral("its bh= is no hash of SHA-256"))?,
            length,
            expires_s,
        })
    }

    /// RFC 6376 §3.5, `x=`: an expired signature MUST NOT be considered valid. That is tried and did not stand: `fail`.
    /// A date of signing that lies ahead is let be, as §3.5 allows (`t=`: Implementations MAY consider it invalid), since
    /// clocks differ.
    pub fn check_expiry(&self, now_s: i64) -> Result<(), Refusal> {
        let now_s = u64::try_from(now_s).unwrap_or_default();
        match self.expires_s {
            Some(expires) if expires < now_s => {
                let ago = now_s - expires;
                let why = format!("it expired {ago} seconds before the message came (x={expires})");
                Err(Refusal::new(DkimResult::Fail, why))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// RFC 6376 §5.4, §6.1.1: From must be signed.
    pub fn check_from(&self) -> Result<(), Refusal> {
        match self.count("From") {
            0 => Err(Refusal::permanent("it does not sign From (h=)")),
            _ => Ok(()),
        }
    }

    /// How often `h=` names a field.
    pub fn count(&self, name: &str) -> usize {
        let is_it = |found: &&&[u8]| found.eq_ignore_ascii_case(name.as_bytes());
        self.names.iter().filter(is_it).count()
    }
}

fn algorithm(text: &[u8]) -> Result<Algorithm, Refusal> {
    match text {
        b"rsa-sha256" => Ok(Algorithm::RsaSha256),
        b"ed25519-sha256" => Ok(Algorithm::Ed25519Sha256),
        // RFC 8301 §3.1: "have permanently failed evaluation". They are not acceptable anywhere, so it is no policy of
        // ours, and no later attempt will do better: permerror (RFC 8601 §2.7.1).
        b"rsa-sha1" => Err(Refusal::permanent("rsa-sha1 proves nothing any more (RFC 8301)")),
        other => Err(Refusal::neutral(format!(
            "its algorithm is unknown: `{}`",
            shown(other)
        ))),
    }
}

fn time(tags: &Tags<'_>, name: &str) -> Result<Option<u64>, Refusal> {
    match tags.value(name) {
        Some(text) => match number(text) {
            Some(time) => Ok(Some(time)),
            None => Err(Refusal::neutral(format!("its {name}= is no time"))),
        },
        None => Ok(None),
    }
}

/// `d=`: at least two labels (RFC 6376 §3.5).
pub(crate) fn domain(tags: &Tags<'_>) -> Option<Domain> {
    parse_domain(tags.value("d")?)
}

fn parse_domain(text: &[u8]) -> Option<Domain> {
    let domain = Domain::parse(std::str::from_utf8(text).ok()?).ok()?;
    domain.as_str().contains('.').then_some(domain)
}

/// `s=`, as a part of a name; U-labels (RFC 8616 §4) become A-labels.
fn selector(tags: &Tags<'_>) -> Option<String> {
    let text = std::str::from_utf8(tags.value("s")?).ok()?;
    if text.is_ascii() {
        return Some(text.to_owned());
    }
    Some(Domain::parse(text).ok()?.as_str().to_owned())
}

/// `i=` (RFC 6376 §3.5): the text, and the domain in it.
pub(crate) fn identity(tags: &Tags<'_>) -> Option<(Vec<u8>, Option<Domain>)> {
    let value = tags.value("i")?;
    let Some(text) = quoted_printable(value) else {
        return Some((value.to_vec(), None));
    };
    let at = text.iter().rposition(|&octet| octet == b'@');
    let domain = at.and_then(|at| parse_domain(text.get(at + 1..)?));
    Some((text, domain))
}
