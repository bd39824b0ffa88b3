//! Blacklists and whitelists: which entry, if any, speaks of a message. And [`Forwarders`], whose mail is other people's.
//!
//! Names are looked up in sets that were read beforehand; nothing from a message is ever made part of a path.
//! An empty name matches nothing.

use mail::{Domain, Line, ReversePath};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

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

impl Blacklist {
    /// Whether it names hosts, so that the client's reverse name matters.
    pub fn has_hosts(&self) -> bool {
        !self.hosts.is_empty() || !self.tld.is_empty()
    }
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
    /// Reverse-paths and domains that count even where DMARC or SPF shows them to be forged.
    pub forged: Arc<Names>,
}

/// Servers that pass on mail to our users which was sent to them elsewhere: what a client's address and name say against
/// a message, they say of the forwarder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Forwarders {
    own: Arc<Names>,
    global: Arc<Names>,
}

/// Who counts as a forwarder where no operator named any: as in the original program.
const USUAL_FORWARDERS: [&str; 1] = [".iki.fi"];

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

impl Whitelist {
    /// Whether the entry that fits counts even where DMARC or SPF shows its name to be forged. One that goes by no sender's
    /// name cannot be forged.
    pub fn passes_forged(&self, hit: &WhitelistHit) -> bool {
        match hit {
            WhitelistHit::Ip(_) | WhitelistHit::Recipient(_) => true,
            WhitelistHit::Sender(sender) => {
                let domain = sender.as_str().rsplit('@').next().unwrap_or_default();
                self.forged.contains(sender.as_str()) || self.forged.contains(domain)
            }
            WhitelistHit::Domain(domain) => self.forged.contains(domain.as_str()),
        }
    }
}

impl WhitelistHit {
    /// Asks the domain's own list and the global one, kind by kind. `local` is the recipient's local part,
    /// lower-cased.
    pub fn find(own: &Whitelist, global: &Whitelist, local: &str, probe: &Probe<'_>) -> Option<WhitelistHit> {
        let listed =
            |own: &Names, global: &Names, name: &str| !name.is_empty() && (own.contains(name) || global.contains(name));
        // First, because the others do not count for everything: a sender's name may be forged, and the operator may
        // want unknown users to have no mail but by an entry of theirs.
        if listed(&own.recipients, &global.recipients, local) {
            return Some(WhitelistHit::Recipient(Line::reason(local.as_bytes())));
        }
        let ip = probe.client.to_canonical();
        if listed(&own.ips, &global.ips, &ip.to_string()) {
            return Some(WhitelistHit::Ip(ip));
        }
        let sender = probe.reverse_path.folded();
        if listed(&own.senders, &global.senders, &sender) {
            return Some(WhitelistHit::Sender(Line::reason(sender.as_bytes())));
        }
        let domain = probe.reverse_path.domain()?;
        listed(&own.domains, &global.domains, domain.as_str()).then(|| WhitelistHit::Domain(domain.clone()))
    }
}

impl Forwarders {
    /// From `forwarders/` of a domain and of `_global_`; `None` where there is no such directory. Entries are addresses
    /// in their canonical text form, `name` for a host and all below it, and `.name` for all below it only, lower-cased,
    /// as A-labels. An empty directory names nobody; where there is neither, those of the original program count.
    pub fn new(own: Option<Arc<Names>>, global: Option<Arc<Names>>) -> Forwarders {
        static USUAL: LazyLock<Arc<Names>> = LazyLock::new(|| Arc::new(USUAL_FORWARDERS.map(Box::from).into()));
        Forwarders {
            global: match (&own, global) {
                (None, None) => USUAL.clone(),
                (_, global) => global.unwrap_or_default(),
            },
            own: own.unwrap_or_default(),
        }
    }

    /// Whether a HELO name or a reverse name, however written, is that of a forwarder. Anybody can claim either; whether
    /// it is proven is for the caller to know.
    pub fn matches_name(&self, helo_or_reverse_name: &str) -> bool {
        let Ok(name) = Domain::parse(helo_or_reverse_name) else {
            return false;
        };
        // An address that is given as a name must not meet the addresses of the list.
        if name.last_label().bytes().all(|octet| octet.is_ascii_digit()) {
            return false;
        }
        let name = name.as_str();
        let has = |entry: &str| self.own.contains(entry) || self.global.contains(entry);
        let is_below = |at: usize| {
            let (Some(suffix), Some(parent)) = (name.get(at..), name.get(at + 1..)) else {
                return false;
            };
            has(suffix) || has(parent)
        };
        has(name) || name.match_indices('.').any(|(at, _)| is_below(at))
    }

    /// Whether a client's address is that of a forwarder.
    pub fn matches_ip(&self, client: IpAddr) -> bool {
        let client = client.to_canonical().to_string();
        self.own.contains(&*client) || self.global.contains(&*client)
    }
}

impl Default for Forwarders {
    fn default() -> Forwarders {
        Forwarders::new(None, None)
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
    #[test]
    fn forwarders_are_known_by_whole_labels() {
        let list = names(&["f.example", ".g.example", "192.0.2.1", "2001:db8::1"]);
        for forwarders in [
            Forwarders::new(Some(list.clone()), None),
            Forwarders::new(None, Some(list)),
        ] {
            for name in ["f.example", "MX.F.Example.", "a.b.f.example", "mx.g.example"] {
                assert!(forwarders.matches_name(name), "{name}");
            }
            for name in [
                "g.example",
                "badf.example",
                "f.example.org",
                "example",
                "",
                ".",
                "[192.0.2.1]",
                "192.0.2.1",
            ] {
                assert!(!forwarders.matches_name(name), "{name}");
            }
            assert!(!forwarders.matches_name("x.192.0.2.1") && !forwarders.matches_name("mx.iki.fi"));
            let matches = |ip: &str| forwarders.matches_ip(ip.parse().unwrap());
            assert!(matches("192.0.2.1") && matches("::ffff:192.0.2.1") && matches("2001:DB8::1"));
            assert!(!matches("192.0.2.2"));
        }
    }

    #[test]
    fn where_nobody_named_forwarders_those_of_the_original_count() {
        let usual = Forwarders::default();
        assert!(usual.matches_name("mail.IKI.fi") && !usual.matches_name("iki.fi"));
        let nobody = Forwarders::new(Some(names(&[])), None);
        assert!(!nobody.matches_name("mail.iki.fi"));
        let both = Forwarders::new(Some(names(&["f.example"])), Some(names(&["g.example"])));
        assert!(both.matches_name("f.example") && both.matches_name("g.example"));
    }
}
