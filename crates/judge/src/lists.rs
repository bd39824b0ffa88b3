//! Blacklists and whitelists: which entry, if any, speaks of a message.
//!
//! Names are looked up in sets that were read beforehand; nothing from a message is ever made part of a path.
//! An empty name matches nothing.

use mail::{Domain, Line, ReversePath};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

/// The entries of one list directory, normalised: addresses in their canonical text form, all else lower-cased,
/// domains as A-labels.
pub type Names = HashSet<Box<str>>;

/// `blacklisted/` of a domain or of `_global_`.
#[derive(Debug, Clone, Default)]
pub struct Blacklist {
    /// Client addresses.
    pub ips: Arc<Names>,
    /// Whole reverse names of clients.
    pub hosts: Arc<Names>,
    /// Reverse-paths.
    pub senders: Arc<Names>,
    /// Domains of reverse-paths; exact, not their sub-domains.
    pub domains: Arc<Names>,
    /// Last labels of reverse names of clients.
    pub tld: Arc<Names>,
}

/// `whitelisted/` of a domain or of `_global_`.
#[derive(Debug, Clone, Default)]
pub struct Whitelist {
    /// Client addresses.
    pub ips: Arc<Names>,
    /// Reverse-paths.
    pub senders: Arc<Names>,
    /// Domains of reverse-paths; exact.
    pub domains: Arc<Names>,
    /// Local parts of recipients.
    pub recipients: Arc<Names>,
}

/// What the lists are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    /// Who connected.
    pub client: IpAddr,
    /// The client's reverse name, where one is known and proven.
    pub reverse_name: Option<&'a Domain>,
    /// What MAIL FROM carried.
    pub reverse_path: &'a ReversePath,
}

/// The first blacklist entry that fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlacklistHit {
    /// `ips/`, or the server-wide directory of blacklisted addresses.
    Ip(IpAddr),
    /// `hosts/`.
    Host(Domain),
    /// `senders/`: the reverse-path, lower-cased.
    Sender(Line),
    /// `domains/`.
    Domain(Domain),
    /// `tld/`: the last label.
    Tld(Line),
}

/// The first whitelist entry that fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhitelistHit {
    /// `ips/`.
    Ip(IpAddr),
    /// `senders/`: the reverse-path, lower-cased.
    Sender(Line),
    /// `domains/`.
    Domain(Domain),
    /// `recipients/`: the local part, lower-cased.
    Recipient(Line),
}

impl BlacklistHit {
    /// Asks the domain's own list and the global one, kind by kind; `everywhere` are addresses blacklisted for all
    /// domains.
    pub fn find(own: &Blacklist, global: &Blacklist, everywhere: &Names, probe: &Probe<'_>) -> Option<BlacklistHit> {
        let ip = probe.client.to_canonical();
        let ip_text = ip.to_string();
        if [&*own.ips, &*global.ips, everywhere]
            .iter()
            .any(|names| names.contains(&*ip_text))
        {
            return Some(BlacklistHit::Ip(ip));
        }
        let listed =
            |own: &Names, global: &Names, name: &str| !name.is_empty() && (own.contains(name) || global.contains(name));
        if let Some(host) = probe.reverse_name
            && listed(&own.hosts, &global.hosts, host.as_str())
        {
            return Some(BlacklistHit::Host(host.clone()));
        }
        let sender = probe.reverse_path.folded();
        if listed(&own.senders, &global.senders, &sender) {
            return Some(BlacklistHit::Sender(Line::reason(sender.as_bytes())));
        }
        if let Some(domain) = probe.reverse_path.domain()
            && listed(&own.domains, &global.domains, domain.as_str())
        {
            return Some(BlacklistHit::Domain(domain.clone()));
        }
        let tld = probe.reverse_name.map_or("", Domain::last_label);
        listed(&own.tld, &global.tld, tld).then(|| BlacklistHit::Tld(Line::reason(tld.as_bytes())))
    }
}

impl WhitelistHit {
    /// Asks the domain's own list and the global one, kind by kind. `local` is the recipient's local part,
    /// lower-cased.
    pub fn find(own: &Whitelist, global: &Whitelist, local: &str, probe: &Probe<'_>) -> Option<WhitelistHit> {
        let listed =
            |own: &Names, global: &Names, name: &str| !name.is_empty() && (own.contains(name) || global.contains(name));
        let ip = probe.client.to_canonical();
        if listed(&own.ips, &global.ips, &ip.to_string()) {
            return Some(WhitelistHit::Ip(ip));
        }
        let sender = probe.reverse_path.folded();
        if listed(&own.senders, &global.senders, &sender) {
            return Some(WhitelistHit::Sender(Line::reason(sender.as_bytes())));
        }
        if let Some(domain) = probe.reverse_path.domain()
            && listed(&own.domains, &global.domains, domain.as_str())
        {
            return Some(WhitelistHit::Domain(domain.clone()));
        }
        listed(&own.recipients, &global.recipients, local)
            .then(|| WhitelistHit::Recipient(Line::reason(local.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Arc<Names> {
        Arc::new(all.iter().map(|&n| n.into()).collect())
    }

    fn probe<'a>(path: &'a ReversePath, host: Option<&'a Domain>) -> Probe<'a> {
        Probe {
            client: "::ffff:192.0.2.1".parse().unwrap(),
            reverse_name: host,
            reverse_path: path,
        }
    }

    #[test]
    fn an_empty_name_matches_nothing() {
        let all = Blacklist {
            hosts: names(&[""]),
            senders: names(&[""]),
            domains: names(&[""]),
            tld: names(&[""]),
            ips: names(&[""]),
        };
        let hit = BlacklistHit::find(&all, &all, &names(&[""]), &probe(&ReversePath::Null, None));
        assert_eq!(hit, None);
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address_on_every_list() {
        let own = Blacklist {
            ips: names(&["192.0.2.1"]),
            ..Default::default()
        };
        let none = Blacklist::default();
        let ip = "192.0.2.1".parse().unwrap();
        assert_eq!(
            BlacklistHit::find(&own, &none, &names(&[]), &probe(&ReversePath::Null, None)),
            Some(BlacklistHit::Ip(ip))
        );
        assert_eq!(
            BlacklistHit::find(&none, &own, &names(&[]), &probe(&ReversePath::Null, None)),
            Some(BlacklistHit::Ip(ip))
        );
        let everywhere = BlacklistHit::find(&none, &none, &names(&["192.0.2.1"]), &probe(&ReversePath::Null, None));
        assert_eq!(everywhere, Some(BlacklistHit::Ip(ip)));
    }

    #[test]
    fn the_first_kind_in_order_gives_the_reason() {
        let path = ReversePath::parse("Bob@Sender.Example").unwrap();
        let host = Domain::parse("mx.sender.example").unwrap();
        let mut own = Blacklist {
            tld: names(&["example"]),
            ..Default::default()
        };
        let none = Blacklist::default();
        let find = |own: &Blacklist| BlacklistHit::find(own, &none, &names(&[]), &probe(&path, Some(&host)));
        assert_eq!(find(&own), Some(BlacklistHit::Tld(Line::literal("example"))));
        own.domains = names(&["sender.example"]);
        assert_eq!(
            find(&own),
            Some(BlacklistHit::Domain(Domain::parse("sender.example").unwrap()))
        );
        own.senders = names(&["bob@sender.example"]);
        assert_eq!(
            find(&own),
            Some(BlacklistHit::Sender(Line::literal("bob@sender.example")))
        );
        own.hosts = names(&["mx.sender.example"]);
        assert_eq!(find(&own), Some(BlacklistHit::Host(host.clone())));
    }

    #[test]
    fn whitelisted_domains_are_exact() {
        let own = Whitelist {
            domains: names(&["sender.example"]),
            recipients: names(&["ann"]),
            ..Default::default()
        };
        let none = Whitelist::default();
        let path = |t| ReversePath::parse(t).unwrap();
        let find = |p: &ReversePath, local| WhitelistHit::find(&own, &none, local, &probe(p, None));
        assert!(find(&path("a@sender.example"), "x").is_some());
        assert_eq!(find(&path("a@mail.sender.example"), "x"), None);
        assert_eq!(
            find(&ReversePath::Null, "ann"),
            Some(WhitelistHit::Recipient(Line::literal("ann")))
        );
    }
}
