//! Reasons in words, as far as they are not a check's.

use crate::auth::spf::SpfResult;
use crate::evidence::{ListHit, ListProof, MessageFacts, UserStanding};
use crate::lists::{BlacklistHit, WhitelistHit};
use mail::Line;

pub(super) fn user_reason(user: UserStanding, address: &mail::Address, message: &MessageFacts) -> Option<Line> {
    let local = address.local().folded();
    let text = match user {
        UserStanding::Valid | UserStanding::Anyone => return None,
        UserStanding::Invalid | UserStanding::Unknown => {
            format!("Mail for {local} not accepted at {}", address.host())
        }
        UserStanding::NotFromClient => {
            format!("Mail for {local} not accepted from {}", message.client)
        }
    };
    Some(Line::reason(text.as_bytes()))
}

pub(super) fn blacklist_text(hit: &BlacklistHit) -> Line {
    let text = match hit {
        BlacklistHit::Ip(ip) => format!("IP address {ip} locally blacklisted"),
        BlacklistHit::Host(host) => format!("Hostname {host} locally blacklisted"),
        BlacklistHit::Sender(sender) => format!("Mail not accepted, sender {sender}."),
        BlacklistHit::Domain(domain) => format!("Mail not accepted, domain {domain}."),
        BlacklistHit::Tld(tld) => format!("Blacklisted TLD: {tld}"),
    };
    Line::reason(text.as_bytes())
}

pub(super) fn list_text(hit: &ListHit) -> Line {
    let proof = match hit.proof {
        ListProof::Dkim => "its signature verifies",
        ListProof::Spf => "SPF proves its reverse-path",
    };
    Line::reason(format!("The list {} may write to this domain, and {proof}", hit.domain).as_bytes())
}

pub(super) fn whitelist_text(hit: &WhitelistHit) -> Line {
    let text = match hit {
        WhitelistHit::Ip(ip) => format!("IP address {ip} locally whitelisted"),
        WhitelistHit::Sender(sender) => format!("Sender {sender} locally whitelisted"),
        WhitelistHit::Domain(domain) => format!("Domain {domain} locally whitelisted"),
        WhitelistHit::Recipient(local) => format!("Recipient {local} accepts all mail"),
    };
    Line::reason(text.as_bytes())
}

/// An entry that does not count, for its name is disproven.
pub(super) fn disproven_text(hit: &WhitelistHit, result: SpfResult) -> Line {
    Line::reason(format!("{}, but SPF says {result} for this client", whitelist_text(hit)).as_bytes())
}

/// What the sender is told where SPF cannot say whether an entry counts.
pub(super) fn trouble_text() -> Line {
    Line::literal("SPF of the sender cannot be checked now, please try again later")
}
