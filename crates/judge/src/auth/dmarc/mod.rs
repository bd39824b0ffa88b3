//! DMARC (RFC 9989, which replaces RFC 7489): does the author domain's owner vouch for the message, and what does he
//! wish if not?
//!
//! The standard is that of 2026; what owners published by RFC 7489 is honoured where the two differ: organizational
//! domains come from the public suffix list unless a record says `psd=y` or `psd=n`, and `pct` counts.
//!
//! - `record`: one record. `walk`: records at a domain and above it. `alignment`: who is of the author's organization.
//! - [`mended_by`]: a failure that forwarding explains.

mod alignment;
mod record;
#[cfg(test)]
mod tests;
mod walk;

use super::arc::{Arc, ArcResult};
use super::author::Author;
use super::dkim::{Dkim, DkimResult};
use super::org::PublicSuffixes;
use super::spf::{Spf, SpfResult};
use crate::resolver::{Name, Resolver, Security};
use alignment::{Alignment, Identities};
use mail::{Domain, Line};
use serde::{Deserialize, Serialize};
use std::fmt;
use walk::{Found, Walker};

/// A name in the DNS has at most 253 octets.
const NAME_CHARS_MAX: usize = 253;

/// RFC 8601 §2.7, RFC 7489 §11.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcResult {
    /// No record, or no one author domain to ask.
    None,
    /// An aligned SPF or DKIM result passes.
    Pass,
    /// None does.
    Fail,
    /// DNS trouble; may be otherwise later.
    TempError,
    /// The record is wrong.
    PermError,
}

/// What a domain's owner wishes for mail that fails (RFC 9989 §4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// Nothing.
    None,
    /// To be treated with suspicion.
    Quarantine,
    /// To be refused.
    Reject,
}

/// What DMARC says of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dmarc {
    /// The result.
    pub result: DmarcResult,
    /// The author domain, where there is exactly one.
    pub author: Option<Domain>,
    /// The author domain's organizational domain.
    pub organization: Option<Domain>,
    /// Where the record stands, `_dmarc.example.com`; empty without one.
    pub record_at: Line,
    /// What the record asks for in this case, before testing mode and sampling are taken into account.
    pub published: Wish,
    /// What it comes to: one step milder in testing mode (`t=y`) or for a message that `pct` leaves out.
    pub wish: Wish,
    /// Domains whose aligned DKIM signature passes.
    pub aligned_dkim: Vec<Domain>,
    /// The domain whose aligned SPF result passes.
    pub aligned_spf: Option<Domain>,
    /// Why this result; a sentence without a full stop.
    pub why: Line,
    /// How far the record is proven.
    pub security: Security,
}

/// What DMARC judges by.
pub struct Evidence<'a> {
    /// Whom the From field names.
    pub author: &'a Author,
    /// Of MAIL FROM.
    pub spf: &'a Spf,
    /// The domain that SPF was asked for: that of the reverse-path, or of HELO for a null one (RFC 7208 §2.4).
    pub spf_domain: Option<&'a Domain>,
    /// All signatures.
    pub dkim: &'a [Dkim],
    /// 0 to 99, from the message's digest: which share of `pct` it falls in.
    pub lot: u8,
}

/// Asks for the author domain's record, and whether an identity that is proven is aligned with it (RFC 9989 §5.3).
///
/// RFC 7489 §6.6.1, RFC 9989 §5.3.1: without an author there is nothing to ask (`None`). Of several authors, or one that
/// nobody can read, nothing is asked either, since the sender would choose which domain is asked (RFC 9989 §11.5); they are
/// a `PermError`, and the check decides. Where programs read different authors, each is asked about, and the worst counts.
///
/// RFC 9989 §5.3.6: where DNS trouble leaves the record or the alignment open, or an aligned identity could have passed
/// but for trouble, the result is `TempError` and the wish is none.
pub async fn evaluate(evidence: &Evidence<'_>, suffixes: &PublicSuffixes, resolver: &dyn Resolver) -> Dmarc {
    match evidence.author {
        Author::One { domain, .. } => of_one(domain, evidence, suffixes, resolver).await,
        Author::None => without(DmarcResult::None, "the From field names no author"),
        Author::Unreadable(why) => without(DmarcResult::PermError, why.as_str()),
        Author::Several(domains) => {
            let names: Vec<&str> = domains.iter().map(Domain::as_str).collect();
            let why = format!("the message has several authors: {}", names.join(", "));
            without(DmarcResult::PermError, &why)
        }
        Author::Disputed(domains) => {
            let mut worst = without(DmarcResult::Pass, "");
            for domain in domains {
                let dmarc = of_one(domain, evidence, suffixes, resolver).await;
                if worst.author.is_none() || gravity(&dmarc) > gravity(&worst) {
                    worst = dmarc;
                }
            }
            let names: Vec<&str> = domains.iter().map(Domain::as_str).collect();
            let why = format!("programs read an author of {}; {}", names.join(" or "), worst.why);
            worst.why = Line::reason(why.as_bytes());
            worst
        }
    }
}

/// How much a result says against a message: what its owner asks for, and then what is not known.
fn gravity(dmarc: &Dmarc) -> (Wish, u8) {
    let (wish, rank) = match dmarc.result {
        DmarcResult::Fail => (dmarc.wish, 4),
        DmarcResult::TempError => (dmarc.published, 3),
        DmarcResult::PermError => (Wish::None, 2),
        DmarcResult::None => (Wish::None, 1),
        DmarcResult::Pass => (Wish::None, 0),
    };
    (wish, rank)
}

/// Who mends a DMARC failure: the sealer of a set that says that the message passed when it came to him.
///
/// The chain must be whole, and from the newest set down to that one every sealer must be trusted (be one of `trusted` or
/// stand below one). An untrusted newer sealer could have put a chain of trusted ones on another text: each seal covers
/// the older sets, but only the newest signature covers the text (RFC 8617 §5.2, §9.4).
///
/// A set says so by `dmarc=pass` for the author domain, or by `dkim=pass` or `spf=pass` for a domain within its
/// organization.
pub fn mended_by<'a>(dmarc: &Dmarc, arc: &'a Arc, trusted: &[Domain]) -> Option<&'a Domain> {
    let author = dmarc.author.as_ref()?;
    if dmarc.result != DmarcResult::Fail || arc.result != ArcResult::Pass {
        return None;
    }
    let organization = dmarc.organization.as_ref().unwrap_or(author);
    for set in arc.sets.iter().rev() {
        let is_trusted = |sealer: &&Domain| trusted.iter().any(|by| is_within(sealer, by));
        let sealer = set.sealer.as_ref().filter(is_trusted)?;
        let is_aligned = |domain: &Domain| is_within(domain, organization);
        if set.dmarc_pass.as_ref() == Some(author)
            || set.dkim_pass.iter().any(is_aligned)
            || set.spf_pass.as_ref().is_some_and(is_aligned)
        {
            return Some(sealer);
        }
    }
    None
}

fn is_within(domain: &Domain, above: &Domain) -> bool {
    Name::from(domain).is_within(&Name::from(above))
}

fn without(result: DmarcResult, why: &str) -> Dmarc {
    Dmarc {
        result,
        author: None,
        organization: None,
        record_at: Line::default(),
        published: Wish::None,
        wish: Wish::None,
        aligned_dkim: Vec::new(),
        aligned_spf: None,
        why: Line::reason(why.as_bytes()),
        security: Security::Unknown,
    }
}

async fn of_one(author: &Domain, evidence: &Evidence<'_>, suffixes: &PublicSuffixes, resolver: &dyn Resolver) -> Dmarc {
    let mut walker = Walker::new(resolver);
    let walk = walker.walk(author).await;
    let no_record = |result, why: String| Dmarc {
        author: Some(author.clone()),
        organization: walk.organization(suffixes).ok(),
        security: walk.security,
        ..without(result, &why)
    };
    let found = match walk.policy(suffixes) {
        Ok(Some(found)) => found,
        Ok(None) => return no_record(DmarcResult::None, format!("there is no DMARC record for {author}")),
        Err((at, trouble)) => {
            let why = format!("{trouble}: the record at _dmarc.{at}");
            return Dmarc {
                published: walk.at_worst(suffixes),
                ..no_record(DmarcResult::TempError, why)
            };
        }
    };
    let Some(policies) = found.record.policies else {
        // RFC 9989 §4.10.1: no DMARC processing.
        let why = format!("the record at _dmarc.{} has no `p` that can be read", found.at);
        return no_record(DmarcResult::None, why);
    };
    let mut alignment = Alignment::new(&walk, &found.record, suffixes, walker);
    let identities = alignment.identities(evidence).await;
    let mut judged = Judged::of(&identities, evidence);
    let mut published = match found.at == author.as_str() {
        true => ("p", policies.own),
        false => ("sp", policies.below),
    };
    // Whether the author domain exists is asked only where it matters.
    let may_be_missing = found.at != author.as_str() && walk.start_may_be_missing;
    if may_be_missing && judged.result == DmarcResult::Fail && policies.absent != policies.below {
        match alignment.walker.is_missing(author).await {
            Ok(true) => published = ("np", policies.absent),
            Ok(false) => {}
            Err(trouble) => {
                judged.result = DmarcResult::TempError;
                judged.why = format!("{trouble}: whether {author} exists");
            }
        }
    }
    let wish = match judged.result {
        DmarcResult::TempError => Wish::None,
        _ => found.record.applied(published.1, evidence.lot),
    };
    let why = format!("{}; {}", asked(found, published, wish, judged.result), judged.why);
    Dmarc {
        result: judged.result,
        record_at: Line::clean(format!("_dmarc.{}", found.at).as_bytes(), NAME_CHARS_MAX),
        published: published.1,
        wish,
        aligned_dkim: identities.dkim,
        aligned_spf: identities.spf,
        security: found.security,
        ..no_record(judged.result, why)
    }
}

/// What the record asks, as a part of a sentence.
fn asked(found: &Found, (tag, published): (&str, Wish), wish: Wish, result: DmarcResult) -> String {
    let at = &found.at;
    let softened = match result == DmarcResult::Fail && wish != published {
        true if found.record.is_testing => ", which is being tested",
        true => ", but not for this share of mail",
        false => "",
    };
    format!("_dmarc.{at} asks for {tag}={published}{softened}")
}

/// The result, and its part of the sentence.
struct Judged {
    result: DmarcResult,
    why: String,
}

impl Judged {
    fn of(identities: &Identities, evidence: &Evidence<'_>) -> Judged {
        let (result, why) = match (identities.dkim.first(), &identities.spf, &identities.open) {
            (Some(dkim), Some(spf), _) => (
                DmarcResult::Pass,
                format!("DKIM of {dkim} and SPF of {spf} are aligned"),
            ),
            (Some(dkim), None, _) => (DmarcResult::Pass, format!("DKIM of {dkim} is aligned")),
            (None, Some(spf), _) => (DmarcResult::Pass, format!("SPF of {spf} is aligned")),
            (None, None, Some(open)) => (DmarcResult::TempError, open.clone()),
            (None, None, None) => (DmarcResult::Fail, unaligned(evidence)),
        };
        Judged { result, why }
    }
}

/// Why no identity counts.
fn unaligned(evidence: &Evidence<'_>) -> String {
    let passing = evidence.dkim.iter().filter(|dkim| dkim.result == DkimResult::Pass);
    let dkim = match (passing.filter_map(|dkim| dkim.domain.as_ref()).next(), evidence.dkim) {
        (Some(domain), _) => format!("DKIM of {domain} is not aligned"),
        (None, []) => "there is no DKIM signature".to_owned(),
        (None, _) => "no DKIM signature passes".to_owned(),
    };
    match (evidence.spf.result, evidence.spf_domain) {
        (SpfResult::Pass, Some(domain)) => format!("{dkim}, SPF of {domain} is not aligned"),
        (result, _) => format!("{dkim}, SPF says {result}"),
    }
}

impl DmarcResult {
    /// The word of RFC 8601 §2.7.
    pub fn word(self) -> &'static str {
        match self {
            DmarcResult::None => "none",
            DmarcResult::Pass => "pass",
            DmarcResult::Fail => "fail",
            DmarcResult::TempError => "temperror",
            DmarcResult::PermError => "permerror",
        }
    }
}

impl Wish {
    /// The word of RFC 9989 §4.7.
    pub fn word(self) -> &'static str {
        match self {
            Wish::None => "none",
            Wish::Quarantine => "quarantine",
            Wish::Reject => "reject",
        }
    }
}

impl fmt::Display for DmarcResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
