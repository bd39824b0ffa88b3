//! Verifying signatures (RFC 6376 §6.1).

use super::body::BodyHashes;
use super::crypto::Sha256;
use super::header::HeaderIndex;
use super::key::{Key, Keys};
use super::signature::{self, Coverage, Refusal, START_OCTETS, Signature};
use super::tags::{Tags, shown, trim, without_fws};
use crate::Sealed;
use judge::auth::dkim::{Dkim, DkimResult};
use judge::resolver::{Resolver, Security};
use mail::Field;
use mail::{Domain, Line};

/// One DKIM-Signature field as read.
pub(crate) struct Reading<'a> {
    /// What is told of it, whatever comes out; the result is not known yet.
    told: Dkim,
    /// `b=` without white space, as far as it may be told.
    text: Vec<u8>,
    pub signature: Result<DkimSignature<'a>, Refusal>,
}

/// A DKIM-Signature that can be verified.
pub(crate) struct DkimSignature<'a> {
    pub common: Signature<'a>,
    pub coverage: Coverage<'a>,
    /// The domain of `i=`, if there is one.
    identity: Option<Domain>,
}

impl<'a> Reading<'a> {
    /// Reads a field; `place` is where it stands in the header.
    pub fn new(field: Field<'a>, place: usize) -> Reading<'a> {
        let tags = signature::tags(&field);
        let value = |name: &str| tags.as_ref().ok().and_then(|tags| tags.value(name)).unwrap_or_default();
        let identity = tags.as_ref().ok().and_then(signature::identity);
        let mut text = without_fws(value("b"));
        text.truncate(8 * START_OCTETS);
        let told = Dkim {
            result: DkimResult::Neutral,
            domain: tags.as_ref().ok().and_then(signature::domain),
            selector: Line::reason(value("s")),
            identity: identity.as_ref().map(|(text, _)| Line::reason(text)),
            algorithm: Line::reason(value("a")),
            key_bits: None,
            start: Line::default(),
            is_testing: false,
            why: Line::default(),
            security: Security::Unknown,
        };
        let signature = tags
            .map_err(Refusal::from)
            .and_then(|tags| DkimSignature::read(field, place, &tags, identity));
        Reading { told, text, signature }
    }

    /// One that is not looked into.
    pub fn refuse(&mut self, why: Refusal) {
        self.signature = Err(why);
    }
}

/// RFC 6008 §4: gives each signature as many characters of its `b=` as tell it from the others, eight at least.
pub(crate) fn tell_apart(readings: &mut [Reading<'_>]) {
    for at in 0..readings.len() {
        let Some(own) = readings.get(at) else { return };
        let shared = |other: &Reading<'_>| other.text.iter().zip(&own.text).take_while(|(a, b)| a == b).count();
        let others = readings.iter().filter(|other| other.text != own.text);
        let longest = others.map(shared).max().unwrap_or_default();
        let start = own.text.get(..START_OCTETS.max(longest + 1)).unwrap_or(&own.text);
        let start = Line::reason(start);
        if let Some(own) = readings.get_mut(at) {
            own.told.start = start;
        }
    }
}

impl<'a> DkimSignature<'a> {
    /// RFC 6376 §6.1.1.
    fn read(
        field: Field<'a>,
        place: usize,
        tags: &Tags<'a>,
        identity: Option<(Vec<u8>, Option<Domain>)>,
    ) -> Result<DkimSignature<'a>, Refusal> {
        signature::require(tags, &["v", "a", "b", "bh", "d", "h", "s"])?;
        let version = tags.value("v").unwrap_or_default();
        if version != b"1" {
            return Err(Refusal::neutral(format!(
                "it is of another version: v={}",
                shown(version)
            )));
        }
        // §3.5, `q=`: methods that are not known are passed over.
        let methods = tags.value("q").unwrap_or(b"dns/txt");
        if !methods
            .split(|&octet| octet == b':')
            .any(|method| trim(method) == b"dns/txt")
        {
            return Err(Refusal::neutral("its q= knows no way to the key that we know"));
        }
        let common = Signature::read(field, place, tags)?;
        let coverage = Coverage::read(tags)?;
        coverage.check_from()?;
        let identity = match identity {
            None => None,
            Some((_, None)) => return Err(Refusal::neutral("its i= is no identity")),
            Some((_, Some(domain))) if is_within(&domain, &common.domain) => Some(domain),
            Some((_, Some(domain))) => {
                let domain = shown(domain.as_str().as_bytes());
                return Err(Refusal::permanent(format!("its i= is of another domain, {domain}")));
            }
        };
        Ok(DkimSignature {
            common,
            coverage,
            identity,
        })
    }
}

fn is_within(inner: &Domain, outer: &Domain) -> bool {
    let rest = inner.as_str().strip_suffix(outer.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Verifies the signatures of a message: one result for each, from the top of the header; empty for a message without.
///
/// `bodies` comes from [`Sealed::hasher`] of the same message. `now_s` is Unix time, when the message was received. Each
/// key is asked for once, all at the same time.
pub async fn verify(sealed: &Sealed<'_>, bodies: &BodyHashes, now_s: i64, resolver: &dyn Resolver) -> Vec<Dkim> {
    let mut names = Vec::new();
    for signature in sealed
        .signatures
        .iter()
        .filter_map(|reading| reading.signature.as_ref().ok())
    {
        if signature.coverage.check_expiry(now_s).is_ok() {
            names.push(signature.common.key_name.clone());
        }
    }
    let keys = Keys::fetch(names, resolver).await;
    let judge = |reading: &Reading<'_>| {
        let mut told = reading.told.clone();
        let found = match &reading.signature {
            Ok(signature) => judge(
                signature,
                &mut told,
                &Asked {
                    sealed,
                    bodies,
                    now_s,
                    keys: &keys,
                },
            ),
            Err(why) => Err(why.clone()),
        };
        let (result, why) = match found {
            Ok(why) => (DkimResult::Pass, why),
            Err(refusal) => (refusal.result, refusal.why),
        };
        told.result = result;
        told.why = Line::reason(format!("{}: {why}", subject(&told)).as_bytes());
        told
    };
    sealed.signatures.iter().map(judge).collect()
}

struct Asked<'a> {
    sealed: &'a Sealed<'a>,
    bodies: &'a BodyHashes,
    now_s: i64,
    keys: &'a Keys,
}

/// `signature of news.example, selector s1`.
fn subject(told: &Dkim) -> String {
    match &told.domain {
        Some(domain) => {
            let selector = shown(told.selector.as_str().as_bytes());
            format!(
                "signature of {}, selector {selector}",
                shown(domain.as_str().as_bytes())
            )
        }
        None => "signature of nobody".to_owned(),
    }
}

/// What stands where it passes: the end of a sentence.
fn judge(signature: &DkimSignature<'_>, told: &mut Dkim, asked: &Asked<'_>) -> Result<String, Refusal> {
    let common = &signature.common;
    signature.coverage.check_expiry(asked.now_s)?;
    if let Some(answer) = asked.keys.answer(&common.key_name) {
        told.security = answer.security;
    }
    let key = asked.keys.find(&common.key_name, common.algorithm)?;
    (told.key_bits, told.is_testing) = (key.public.bits(), key.is_testing);
    // RFC 6376 §3.6.1, `t=s`.
    if key.is_strict
        && signature
            .identity
            .as_ref()
            .is_some_and(|domain| *domain != common.domain)
    {
        return Err(Refusal::permanent(
            "its i= is of a subdomain, which the key record forbids (t=s)",
        ));
    }
    let octets = check_body(&signature.coverage, asked.bodies)?;
    check_header(common, &signature.coverage, &key, &asked.sealed.index)?;
    check_length(&signature.coverage, octets)?;
    check_authors(&signature.coverage, asked.sealed.froms)?;
    let at = shown(common.key_name.as_str().as_bytes());
    let mut why = format!("verifies with the {} at {at}", key.kind());
    let now_s = u64::try_from(asked.now_s).unwrap_or_default();
    if let Some(ahead) = common
        .signed_s
        .and_then(|signed| signed.checked_sub(now_s))
        .filter(|&ahead| ahead > 0)
    {
        why.push_str(&format!(", dated {ahead} seconds ahead"));
    }
    Ok(why)
}

/// RFC 6376 §6.1.3, step 3, which comes first here since it needs no key. Says how many octets the canonical body has.
pub(crate) fn check_body(coverage: &Coverage<'_>, bodies: &BodyHashes) -> Result<u64, Refusal> {
    let Some(found) = bodies.find(coverage.body, coverage.length) else {
        return Err(Refusal::neutral("the body was not hashed for it"));
    };
    // §3.5, `l=`: it must not be greater than the body; so something was taken away.
    if let Some(length) = coverage.length.filter(|&length| length > found.octets) {
        let why = format!("it signs {length} octets of the body, which has only {}", found.octets);
        return Err(Refusal::new(DkimResult::Fail, why));
    }
    if found.hash != coverage.body_hash {
        let why = "the body was changed after it was signed";
        return Err(Refusal::new(DkimResult::Fail, why));
    }
    Ok(found.octets)
}

/// RFC 6376 §3.7, §6.1.3 step 4.
pub(crate) fn check_header(
    common: &Signature<'_>,
    coverage: &Coverage<'_>,
    key: &Key,
    index: &HeaderIndex<'_>,
) -> Result<(), Refusal> {
    key.check_size()?;
    let mut hash = Sha256::new();
    index.hash(&coverage.names, common.place, coverage.header, &mut hash);
    let mut own = Vec::with_capacity(common.field.raw().len());
    coverage
        .header
        .signature_field(&common.field, common.blank.clone(), &mut own);
    hash.update(&own);
    if key.public.has_signed(&hash.finish(), &common.octets) {
        return Ok(());
    }
    let at = shown(common.key_name.as_str().as_bytes());
    let why = format!(
        "the header was changed after it was signed, or not signed with the {} at {at}",
        key.kind()
    );
    Err(Refusal::new(DkimResult::Fail, why))
}

/// RFC 6376 §8.2: what follows the signed part of a body could be anybody's. It verifies and is not accepted.
pub(crate) fn check_length(coverage: &Coverage<'_>, octets: u64) -> Result<(), Refusal> {
    match coverage.length {
        Some(length) if length < octets => {
            let why = format!("only the first {length} of {octets} octets of the body are signed (l=)");
            Err(Refusal::new(DkimResult::Policy, why))
        }
        Some(_) | None => Ok(()),
    }
}

/// RFC 6376 §8.15: of several From fields the one that is shown may be the one that is not signed.
pub(crate) fn check_authors(coverage: &Coverage<'_>, froms: usize) -> Result<(), Refusal> {
    if froms < 2 || coverage.count("From") >= froms {
        return Ok(());
    }
    let why = format!("there are {froms} From fields, and not all of them are signed");
    Err(Refusal::new(DkimResult::Policy, why))
}
