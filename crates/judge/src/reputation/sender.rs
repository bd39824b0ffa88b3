//! Who wrote now: every name by which a message can be known again, and which of them are proven.

use super::history::Identity;
use crate::auth::author::Author;
use crate::auth::dkim::DkimResult;
use crate::auth::dmarc::DmarcResult;
use crate::auth::iprev::IprevResult;
use crate::auth::org::PublicSuffixes;
use crate::auth::spf::{Spf, SpfResult};
use crate::fact::Fact;
use crate::origin::Origin;
use mail::{Address, Domain, Line, LocalPart, ReversePath};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A local part has 64 octets at most; lower-casing and escapes make it longer, but nothing is cut of it.
const LOCAL_CHARS_MAX: usize = 1000;
/// Bits of an address that the three masks keep, from the narrowest on.
const BITS_IPV4: [u32; 3] = [32, 26, 21];
const BITS_IPV6: [u32; 3] = [64, 48, 32];

/// Whom reputation is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sender {
    /// Whom the From field names. `None` where it does not name exactly one domain.
    pub author: Option<AuthorClaim>,
    /// What MAIL FROM carried. `None` for a notification, and for what has no domain.
    pub reverse_path: Option<ReversePathClaim>,
    /// What HELO said. `None` where that is no domain.
    pub helo: Option<HeloClaim>,
    /// Domains with a signature that verifies, each once, in the order of the header: whoever signed last stands first.
    pub dkim: Vec<Domain>,
    /// The client's address under the three masks, the narrowest first.
    pub networks: [Option<IpAddr>; 3],
}

/// The author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorClaim {
    /// Local part, lower-cased: how history knows it.
    pub local: Line,
    /// Local part without quotes, in its own case: how those are known to whom the owner wrote.
    pub written: Line,
    /// The domain.
    pub domain: Domain,
    /// Its organizational domain, by the list of public suffixes.
    pub organization: Domain,
    /// SPF or DKIM passes for a domain of that organization.
    pub is_validated: bool,
}

/// The reverse-path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReversePathClaim {
    /// Local part, lower-cased.
    pub local: Line,
    /// The domain.
    pub domain: Domain,
    /// SPF passes for it.
    pub is_validated: bool,
}

/// The HELO name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeloClaim {
    /// The name.
    pub domain: Domain,
    /// SPF passes for it.
    pub is_validated: bool,
}

/// What is known of who sent a message.
#[derive(Debug, Clone, Copy)]
pub struct SenderEvidence<'a> {
    /// Who connected.
    pub client: IpAddr,
    /// The HELO name, as written.
    pub helo: &'a str,
    /// What MAIL FROM carried.
    pub reverse_path: &'a ReversePath,
    /// What was proven.
    pub origin: &'a Origin,
}

impl Sender {
    /// Reads it off the facts. What was not asked, or could not be had, is not proven.
    ///
    /// Of mail that somebody forwards nothing is kept that is the forwarder's own, so that it neither judges nor burdens
    /// him: not his address, HELO name and reverse-path, nor signatures of the organization that his proven reverse name
    /// or his HELO name belongs to. The author stays what he is.
    ///
    /// Where nobody could say who the client is, its address is that of who speaks for it, and is left out.
    pub fn of(facts: &SenderEvidence<'_>, suffixes: &PublicSuffixes, forwarder: bool) -> Sender {
        let author = author(facts, suffixes);
        let mut dkim = passing_domains(facts);
        if forwarder {
            let own = forwarder_organizations(facts, suffixes);
            dkim.retain(|domain| !own.contains(&suffixes.organizational(domain)));
            return Sender {
                author,
                dkim,
                ..Sender::default()
            };
        }
        let origin = facts.origin;
        let is_client_unknown =
            matches!(origin.iprev, Fact::Skipped(_)) || matches!(origin.spf_mail_from, Fact::Skipped(_));
        Sender {
            author,
            reverse_path: reverse_path(facts),
            helo: Domain::parse(facts.helo).ok().map(|domain| HeloClaim {
                domain,
                is_validated: passes(&origin.spf_helo),
            }),
            dkim,
            networks: match is_client_unknown {
                true => [None; 3],
                false => networks(facts.client).map(Some),
            },
        }
    }

    /// All under which a message of this sender is filed once it is labelled.
    pub fn identities(&self) -> Vec<Identity> {
        let mut all = Vec::new();
        if let Some(author) = &self.author {
            let validated = author.is_validated;
            all.extend([
                author.address(validated),
                author.of_domain(validated),
                author.of_organization(validated),
            ]);
        }
        all.extend(self.dkim.iter().cloned().map(Identity::Dkim));
        if let Some(path) = &self.reverse_path {
            all.extend([path.address(), Identity::ReversePathDomain(path.domain.clone())]);
        }
        all.extend(self.helo.as_ref().map(|helo| Identity::Helo(helo.domain.clone())));
        let masked = self.networks.iter().zip(1_u8..);
        all.extend(masked.filter_map(|(address, width)| address.map(|address| Identity::Network { width, address })));
        all
    }
}

impl AuthorClaim {
    /// Of what stands in a From field; `is_validated` says whether somebody proved to be that organization.
    pub(super) fn new(
        address: &Line,
        domain: &Domain,
        suffixes: &PublicSuffixes,
        is_validated: impl FnOnce(&Domain) -> bool,
    ) -> AuthorClaim {
        // The grammar of the From field has more local parts than that of an envelope.
        let parsed = Address::parse(address.as_str()).ok();
        let before = || address.as_str().rsplit_once('@').map_or("", |(local, _)| local);
        let written = parsed
            .as_ref()
            .map_or_else(before, |address| address.local().as_str())
            .to_owned();
        let folded = parsed.as_ref().map(|address| address.local().folded().into_owned());
        let organization = suffixes.organizational(domain);
        AuthorClaim {
            local: line(&folded.unwrap_or_else(|| written.to_lowercase())),
            written: line(&written),
            domain: domain.clone(),
            is_validated: is_validated(&organization),
            organization,
        }
    }

    /// The address, among proven or unproven ones.
    pub(super) fn address(&self, validated: bool) -> Identity {
        Identity::Author {
            local: self.local.clone(),
            domain: self.domain.clone(),
            validated,
        }
    }

    /// The domain, likewise.
    pub(super) fn of_domain(&self, validated: bool) -> Identity {
        Identity::AuthorDomain {
            domain: self.domain.clone(),
            validated,
        }
    }

    /// The organizational domain, likewise.
    pub(super) fn of_organization(&self, validated: bool) -> Identity {
        Identity::AuthorOrganization {
            domain: self.organization.clone(),
            validated,
        }
    }
}

impl ReversePathClaim {
    /// The address.
    pub(super) fn address(&self) -> Identity {
        Identity::ReversePath {
            local: self.local.clone(),
            domain: self.domain.clone(),
        }
    }
}

/// An address under three masks, the narrowest first: /32, /26 and /21 of IPv4; /64, /48 and /32 of IPv6. An
/// IPv4-mapped address is the IPv4 address.
pub fn networks(client: IpAddr) -> [IpAddr; 3] {
    match client.to_canonical() {
        IpAddr::V4(ip) => BITS_IPV4.map(|bits| {
            let mask = u32::MAX.checked_shl(u32::BITS - bits).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }),
        IpAddr::V6(ip) => BITS_IPV6.map(|bits| {
            let mask = u128::MAX.checked_shl(u128::BITS - bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }),
    }
}

/// How many bits of `address` the mask of a [`Identity::Network`] keeps.
pub(crate) fn mask_bits(address: IpAddr, width: u8) -> u32 {
    let bits = match address {
        IpAddr::V4(_) => BITS_IPV4,
        IpAddr::V6(_) => BITS_IPV6,
    };
    let found = usize::from(width).checked_sub(1).and_then(|place| bits.get(place));
    found.copied().unwrap_or(0)
}

/// A local part as history keeps it.
pub(super) fn line(text: &str) -> Line {
    Line::clean(text.as_bytes(), LOCAL_CHARS_MAX)
}

fn passes(spf: &Fact<Spf>) -> bool {
    spf.found().is_some_and(|spf| spf.result == SpfResult::Pass)
}

fn author(facts: &SenderEvidence<'_>, suffixes: &PublicSuffixes) -> Option<AuthorClaim> {
    let Author::One { address, domain } = facts.origin.author.found()? else {
        return None;
    };
    Some(AuthorClaim::new(address, domain, suffixes, |organization| {
        is_aligned(facts, organization, suffixes)
    }))
}

/// Whether SPF or DKIM proves the author's organization. Strict or relaxed, and whether or not there is a DMARC record,
/// are all alike: what its owner wishes is another check's matter.
fn is_aligned(facts: &SenderEvidence<'_>, organization: &Domain, suffixes: &PublicSuffixes) -> bool {
    let origin = facts.origin;
    let is_within = |domain: &Domain| suffixes.organizational(domain) == *organization;
    let by_dmarc = || {
        let dmarc = origin.dmarc.found();
        dmarc.is_some_and(|dmarc| dmarc.result == DmarcResult::Pass)
    };
    let by_dkim = || passing_domains(facts).iter().any(is_within);
    let by_spf = || passes(&origin.spf_mail_from) && spf_domain(facts).as_ref().is_some_and(is_within);
    by_dmarc() || by_dkim() || by_spf()
}

/// Whom SPF was asked about: RFC 7208 §2.4 has a null reverse-path stand for the HELO name.
fn spf_domain(facts: &SenderEvidence<'_>) -> Option<Domain> {
    if facts.reverse_path.is_null() {
        return Domain::parse(facts.helo).ok();
    }
    facts.reverse_path.domain().cloned()
}

fn passing_domains(facts: &SenderEvidence<'_>) -> Vec<Domain> {
    let mut domains = Vec::new();
    for signature in facts.origin.dkim.found().into_iter().flatten() {
        if let (DkimResult::Pass, Some(domain)) = (signature.result, &signature.domain)
            && !domains.contains(domain)
        {
            domains.push(domain.clone());
        }
    }
    domains
}

fn reverse_path(facts: &SenderEvidence<'_>) -> Option<ReversePathClaim> {
    let address = facts.reverse_path.address()?;
    let local: &LocalPart = address.local();
    Some(ReversePathClaim {
        local: line(&local.folded()),
        domain: address.domain()?.clone(),
        is_validated: passes(&facts.origin.spf_mail_from),
    })
}

fn forwarder_organizations(facts: &SenderEvidence<'_>, suffixes: &PublicSuffixes) -> Vec<Domain> {
    let iprev = facts.origin.iprev.found();
    let proven = iprev.filter(|iprev| iprev.result == IprevResult::Pass);
    let reverse_name = proven.and_then(|iprev| iprev.name.clone());
    let helo = Domain::parse(facts.helo).ok();
    let names = reverse_name.into_iter().chain(helo);
    names.map(|name| suffixes.organizational(&name)).collect()
}
