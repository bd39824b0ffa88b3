//! Greylisting: a stranger is asked to come again a little later. Who sends mail for a living does; who throws it at
//! everybody once does not.
//!
//! The spirit of RFC 6647: only strangers wait; whoever proves a domain is known by it, whichever of its servers comes
//! back, and everybody else by network and reverse-path.

use crate::reputation::Sender;
use mail::{Domain, Line, ReversePath};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How long a stranger must wait, and how long he is remembered. Seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GreylistTimes {
    /// Whoever comes again before this, after his first try, still waits.
    pub delay_s: u32,
    /// Whoever comes again after this begins anew.
    pub window_s: u32,
    /// Whoever passed is not asked again for this long; each message prolongs it.
    pub lifetime_s: u32,
}

/// RFC 6647 §4.2 has waits from one minute to an hour, and senders retry for days.
impl Default for GreylistTimes {
    fn default() -> GreylistTimes {
        GreylistTimes {
            delay_s: 5 * 60,
            window_s: 2 * 24 * 60 * 60,
            lifetime_s: 35 * 24 * 60 * 60,
        }
    }
}

/// By what a stranger is known when he comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stranger {
    /// A domain that SPF or DKIM proves.
    Domain(Domain),
    /// The second of the client's three networks, and the reverse-path.
    Network {
        /// Masked.
        network: IpAddr,
        /// Lower-cased; empty for a null one.
        reverse_path: Line,
    },
}

/// What is remembered of a stranger, with this try. Seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GreylistFact {
    /// Who he is.
    pub stranger: Stranger,
    /// His first try.
    pub first_s: i64,
    /// How many there were.
    pub tries: u32,
    /// Whether he passed before, or passes now.
    pub has_passed: bool,
}

impl Stranger {
    /// Who wrote now. `None` where neither a domain is proven nor the client's address is known: then nobody can be
    /// told from others.
    pub fn of(sender: &Sender, reverse_path: &ReversePath) -> Option<Stranger> {
        let author = sender.author.as_ref().filter(|author| author.is_validated);
        let path = sender.reverse_path.as_ref().filter(|path| path.is_validated);
        let helo = sender
            .helo
            .as_ref()
            .filter(|helo| helo.is_validated && reverse_path.is_null());
        let proven = author
            .map(|author| &author.organization)
            .or(path.map(|path| &path.domain))
            .or(sender.dkim.first())
            .or(helo.map(|helo| &helo.domain));
        if let Some(domain) = proven {
            return Some(Stranger::Domain(domain.clone()));
        }
        let [_, network, _] = sender.networks;
        Some(Stranger::Network {
            network: network?,
            reverse_path: Line::reason(reverse_path.folded().as_bytes()),
        })
    }
}

impl GreylistTimes {
    /// For how many seconds more a stranger must wait whose first try was at `first_s`; 0 if he passes. A clock that was
    /// set back keeps nobody waiting who has come again.
    pub fn left_s(&self, first_s: i64, tries: u32, now_s: i64) -> u64 {
        let waited_s = now_s.saturating_sub(first_s);
        if waited_s < 0 && tries > 1 {
            return 0;
        }
        let waited_s = u64::try_from(waited_s).unwrap_or(0);
        u64::from(self.delay_s).saturating_sub(waited_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reputation::{AuthorClaim, HeloClaim, ReversePathClaim, networks};
    use mail::Address;
    use proptest::prelude::*;

    #[test]
    fn whoever_comes_again_after_the_delay_passes() {
        let times = GreylistTimes {
            delay_s: 300,
            ..GreylistTimes::default()
        };
        for (first_s, tries, now_s, left_s) in [
            (1000, 1, 1000, 300),
            (1000, 2, 1299, 1),
            (1000, 2, 1300, 0),
            (1000, 9, 9000, 0),
            // The clock was set back.
            (1000, 2, 10, 0),
            (1000, 1, 10, 300),
        ] {
            assert_eq!(times.left_s(first_s, tries, now_s), left_s, "{first_s} {tries} {now_s}");
        }
        let at_once = GreylistTimes { delay_s: 0, ..times };
        assert_eq!(at_once.left_s(1000, 1, 1000), 0);
    }

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn a_proven_domain_comes_before_network_and_reverse_path() {
        let path = ReversePath::Address(Address::parse("Bounce@List.example").unwrap());
        let mut sender = Sender {
            author: Some(AuthorClaim {
                local: Line::literal("ann"),
                written: Line::literal("Ann"),
                domain: domain("mail.shop.example"),
                organization: domain("shop.example"),
                is_validated: true,
            }),
            reverse_path: Some(ReversePathClaim {
                local: Line::literal("bounce"),
                domain: domain("list.example"),
                is_validated: true,
            }),
            helo: Some(HeloClaim {
                domain: domain("mx.list.example"),
                is_validated: true,
            }),
            dkim: vec![domain("sign.example")],
            networks: networks("192.0.2.77".parse().unwrap()).map(Some),
        };
        let of = |sender: &Sender, path| Stranger::of(sender, path);
        let proven = |name| Some(Stranger::Domain(domain(name)));
        assert_eq!(of(&sender, &path), proven("shop.example"));
        sender.author = None;
        assert_eq!(of(&sender, &path), proven("list.example"));
        sender.reverse_path = None;
        assert_eq!(of(&sender, &path), proven("sign.example"));
        sender.dkim.clear();
        // A HELO name vouches for a notification only: anybody has one.
        assert_eq!(of(&sender, &ReversePath::Null), proven("mx.list.example"));
        let by_network = Some(Stranger::Network {
            network: "192.0.2.64".parse().unwrap(),
            reverse_path: Line::literal("bounce@list.example"),
        });
        assert_eq!(of(&sender, &path), by_network);
        sender.networks = [None; 3];
        assert_eq!(of(&sender, &path), None);
    }

    proptest! {
        #[test]
        fn no_clock_keeps_anybody_waiting_longer_than_the_delay(first_s: i64, tries: u32, now_s: i64, delay_s: u32) {
            let times = GreylistTimes { delay_s, ..GreylistTimes::default() };
            prop_assert!(times.left_s(first_s, tries, now_s) <= u64::from(delay_s));
        }
    }
}
