//! What the signs of a message's links weigh, under what an operator says and what is proven of the sender.
//!
//! A link that shows one address and leads to another is what phishing lives on, and what every newsletter does whose
//! sender counts clicks. So it weighs little by itself; it weighs much where the target is one that no counter of clicks
//! has: a bare address, letters that only look like others. Each sign counts once in a message, at its gravest.

use super::{Finding, Links, Place, Sign};
use crate::auth::author::Author;
use crate::auth::dkim::DkimResult;
use crate::auth::dmarc::DmarcResult;
use crate::auth::spf::SpfResult;
use crate::origin::Origin;
use mail::{Domain, Line, REASON_CHARS_MAX, ReversePath};
use serde::{Deserialize, Serialize};

/// From this weight on a message is refused, unless the operator says otherwise.
pub const THRESHOLD: u32 = 10;

/// What an operator says of links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkSettings {
    /// From this weight on the check fails.
    pub threshold: u32,
    /// Shorteners beside those that are generally known; names below them count, too.
    pub shorteners: Vec<Domain>,
    /// Hosts whose links are never held against a message, and all below them.
    pub ignore: Vec<Domain>,
}

impl Default for LinkSettings {
    fn default() -> LinkSettings {
        LinkSettings {
            threshold: THRESHOLD,
            shorteners: Vec::new(),
            ignore: Vec::new(),
        }
    }
}

/// Who answers for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Friends {
    /// Whoever a link leads to: the best that proofs could come to.
    All,
    /// Nobody: the worst.
    Nobody,
    /// These.
    Known {
        /// The visible author's domain; several where programs show different ones.
        authors: Vec<Domain>,
        /// Those that are proven. A link that shows somebody else and leads to one of these is their counter of clicks.
        proven: Vec<Domain>,
        /// Whether proofs could be had.
        is_asked: bool,
        /// Whether the visible author's own domain is among them: DMARC passes, or would with a record.
        is_author_proven: bool,
    },
}

impl Friends {
    /// Proven is who signed, and by SPF the reverse-path's domain.
    pub fn of(origin: &Origin, reverse_path: &ReversePath) -> Friends {
        let authors = match origin.author.found() {
            Some(Author::One { domain, .. }) => vec![domain.clone()],
            Some(Author::Disputed(domains)) => domains.clone(),
            _ => Vec::new(),
        };
        let signatures = origin.dkim.found().into_iter().flatten();
        let signers = signatures
            .filter(|signature| signature.result == DkimResult::Pass)
            .filter_map(|signature| signature.domain.as_ref());
        let spf = origin.spf_mail_from.found().map(|spf| spf.result);
        let path = reverse_path.domain().filter(|_| spf == Some(SpfResult::Pass));
        let is_author_proven = origin.dmarc.found().is_some_and(|dmarc| match dmarc.result {
            DmarcResult::Pass => true,
            DmarcResult::None => !dmarc.aligned_dkim.is_empty() || dmarc.aligned_spf.is_some(),
            _ => false,
        });
        let dmarc = origin.dmarc.found().map(|dmarc| dmarc.result);
        // Where DNS was in trouble nobody is held to have failed.
        let is_asked = origin.dkim.found().is_some()
            && matches!(dmarc, Some(DmarcResult::None | DmarcResult::Fail | DmarcResult::Pass))
            && !matches!(spf, None | Some(SpfResult::TempError));
        Friends::Known {
            authors,
            proven: signers.chain(path).cloned().collect(),
            is_asked,
            is_author_proven,
        }
    }

    /// Whether an organization is one of theirs.
    fn has(&self, organization: &Domain) -> bool {
        match self {
            Friends::All => true,
            Friends::Nobody => false,
            Friends::Known { authors, proven, .. } => {
                let author = authors.first().filter(|_| authors.len() == 1);
                author
                    .into_iter()
                    .chain(proven)
                    .any(|friend| is_below(friend, organization))
            }
        }
    }

    /// Nobody answers for it.
    fn are_none(&self) -> bool {
        match self {
            Friends::All => false,
            Friends::Nobody => true,
            Friends::Known { proven, is_asked, .. } => *is_asked && proven.is_empty(),
        }
    }

    /// The author is who the message says, as far as can be said.
    fn have_author(&self) -> bool {
        match self {
            Friends::All => true,
            Friends::Nobody => false,
            Friends::Known {
                is_asked,
                is_author_proven,
                ..
            } => *is_author_proven || !is_asked,
        }
    }

    /// An organization is the visible author's, and nothing proves that it wrote this.
    fn lacks(&self, organization: &Domain) -> bool {
        match self {
            Friends::All => false,
            Friends::Nobody => true,
            Friends::Known {
                authors,
                proven,
                is_asked,
                ..
            } => {
                let is_author = authors.iter().any(|author| is_below(author, organization));
                *is_asked && is_author && !proven.iter().any(|proven| is_below(proven, organization))
            }
        }
    }
}

/// Whether a name is another one or stands below it.
fn is_below(name: &Domain, above: &Domain) -> bool {
    super::is_below(name.as_str(), above.as_str())
}

impl Links {
    /// What was found weighs so much together, each sign once and at its gravest.
    pub fn weigh(&self, friends: &Friends, settings: &LinkSettings) -> u32 {
        let mut heaviest: Vec<(Sign, u32)> = Vec::new();
        for finding in self.findings.iter().filter(|finding| !settings.ignores(finding)) {
            for (sign, weight) in signs(finding, friends, settings) {
                match heaviest.iter_mut().find(|(known, _)| *known == sign) {
                    Some((_, known)) => *known = weight.max(*known),
                    None => heaviest.push((sign, weight)),
                }
            }
        }
        let has_shortener = heaviest.iter().any(|(sign, _)| *sign == Sign::Shortener);
        if !has_shortener && self.named_shortener(settings).is_some() {
            heaviest.push((Sign::Shortener, weight(Sign::Shortener, Place::Page)));
        }
        heaviest.iter().map(|(_, weight)| weight).sum()
    }

    /// All that may weigh anything in one line, the gravest first, whoever answers for the message; nothing if there is
    /// nothing.
    pub fn told(&self, settings: &LinkSettings) -> Option<Line> {
        let findings = self.findings.iter().filter(|finding| !settings.ignores(finding));
        let mut told: Vec<(u32, &str)> = findings
            .map(|finding| (gravity(finding), finding.text.as_str()))
            .filter(|(weight, _)| *weight > 0)
            .collect();
        told.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let named = self
            .named_shortener(settings)
            .map(|host| format!("leads to {host} (a shortener)"));
        let texts: Vec<&str> = told.into_iter().map(|(_, text)| text).chain(named.as_deref()).collect();
        (!texts.is_empty()).then(|| Line::clean(texts.join("; ").as_bytes(), REASON_CHARS_MAX))
    }

    /// A host that only the operator calls a shortener.
    fn named_shortener(&self, settings: &LinkSettings) -> Option<&Domain> {
        let is_named = |host: &&Domain| settings.shorteners.iter().any(|name| is_below(host, name));
        let is_ignored = |host: &Domain| settings.ignore.iter().any(|name| is_below(host, name));
        self.hosts.iter().filter(is_named).find(|host| !is_ignored(host))
    }
}

impl LinkSettings {
    fn ignores(&self, finding: &Finding) -> bool {
        let is_its = |host: &Domain| self.ignore.iter().any(|ignored| is_below(host, ignored));
        finding.host.as_ref().is_some_and(is_its)
    }
}

/// What each sign of a finding weighs.
fn signs(finding: &Finding, friends: &Friends, settings: &LinkSettings) -> Vec<(Sign, u32)> {
    let is_shortener = |host: &Domain| settings.shorteners.iter().any(|name| is_below(host, name));
    let mut signs = finding.signs.clone();
    if finding.host.as_ref().is_some_and(is_shortener) && !signs.contains(&Sign::Shortener) {
        signs.push(Sign::Shortener);
    }
    let is_friend = finding
        .organization
        .as_ref()
        .is_some_and(|organization| friends.has(organization));
    let shows = signs
        .iter()
        .any(|sign| matches!(sign, Sign::ShowsAddress | Sign::ShowsName));
    let pretends = || finding.shown.as_ref().is_some_and(|shown| friends.lacks(shown));
    let weigh = |sign: Sign| match sign {
        Sign::ShowsAddress | Sign::ShowsName if is_friend => 0,
        Sign::ShowsAddress if pretends() => weight(sign, finding.place) + PRETENDS,
        Sign::LoginLikeHost if finding.login.as_ref().is_some_and(|login| friends.lacks(login)) => {
            weight(Sign::LoginAsHost, finding.place)
        }
        Sign::LoginLikeHost if is_friend => 0,
        Sign::Password | Sign::Unpacks if finding.place == Place::Attachment && friends.have_author() => {
            weight(sign, finding.place) - SEALED
        }
        Sign::Address if finding.place != Place::Text && friends.are_none() => {
            weight(sign, finding.place) + NOBODY_ANSWERS
        }
        sign if shows && !is_friend => weight(sign, finding.place) + beside_deceit(sign),
        sign => weight(sign, finding.place),
    };
    signs.into_iter().map(|sign| (sign, weigh(sign))).collect()
}

/// What it weighs less that an attached page of a proven author asks for a password or unpacks itself: so do the encrypted
/// messages of banks and insurers, which have a form, too. Together they weigh 5.
const SEALED: u32 = 2;
/// What it weighs more that a link shows the visible author's own address, whom nothing proves.
const PRETENDS: u32 = 4;
/// What it weighs more that a link leads to a bare address, where neither a signature nor SPF proves any domain.
const NOBODY_ANSWERS: u32 = 3;

/// What a sign weighs by itself.
fn weight(sign: Sign, place: Place) -> u32 {
    let is_seen = place == Place::Text;
    match sign {
        Sign::MixedScripts | Sign::ObscuredScript | Sign::Data => 10,
        Sign::ObscuredAddress | Sign::LoginAsHost if !is_seen => 10,
        Sign::ObscuredAddress | Sign::LoginAsHost => 5,
        Sign::LoginLikeHost if !is_seen => 4,
        Sign::LoginLikeHost => 2,
        Sign::Alike => 6,
        Sign::Address => {
            if is_seen {
                0
            } else {
                7
            }
        }
        Sign::Password => 5,
        Sign::ShowsAddress | Sign::Unpacks => 3,
        Sign::ShowsName | Sign::Redirects | Sign::Shortener | Sign::QrCode | Sign::Script | Sign::Form => 1,
        Sign::Unread => 1,
        Sign::PrivateAddress | Sign::International => 0,
    }
}

/// What it weighs more where the same link shows an address of somebody else.
fn beside_deceit(sign: Sign) -> u32 {
    match sign {
        Sign::Address | Sign::Alike => 3,
        Sign::Shortener | Sign::International => 3,
        Sign::Redirects => 1,
        _ => 0,
    }
}

/// How much a finding may weigh, whoever the sender is.
pub(super) fn gravity(finding: &Finding) -> u32 {
    let weighed = signs(finding, &Friends::Nobody, &LinkSettings::default());
    weighed.into_iter().map(|(_, weight)| weight).sum()
}
