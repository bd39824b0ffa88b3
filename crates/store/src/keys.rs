//! By what history is looked up: identities and correspondents as keys of sixteen octets.
//!
//! A key is the first half of BLAKE3 over kind and value, each part with its length before it. Equal values have equal
//! keys, and nobody can make two different ones that have (a second preimage of 128 bits), so comparing keys is
//! comparing values. The texts stand with the labels; history has ten rows for each of them, and stays a third of the
//! size without.

use judge::reputation::{Correspondent, Identity};
use mail::Domain;
use std::net::IpAddr;

/// An identity, as the key of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IdentityKey(pub(crate) [u8; 16]);

/// A correspondent, as the key of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CorrespondentKey(pub(crate) [u8; 16]);

impl IdentityKey {
    pub(crate) fn of(identity: &Identity) -> IdentityKey {
        let validated = |yes: &bool| [u8::from(*yes)];
        IdentityKey(match identity {
            Identity::Author {
                local,
                domain,
                validated: v,
            } => key(1, &[&validated(v), local.as_str().as_bytes(), octets(domain)]),
            Identity::AuthorDomain { domain, validated: v } => key(2, &[&validated(v), octets(domain)]),
            Identity::AuthorOrganization { domain, validated: v } => key(3, &[&validated(v), octets(domain)]),
            Identity::Dkim(domain) => key(4, &[octets(domain)]),
            Identity::ReversePath { local, domain } => key(5, &[local.as_str().as_bytes(), octets(domain)]),
            Identity::ReversePathDomain(domain) => key(6, &[octets(domain)]),
            Identity::Helo(domain) => key(7, &[octets(domain)]),
            Identity::Network { width, address } => match address {
                IpAddr::V4(v4) => key(8, &[&[*width], &v4.octets()]),
                IpAddr::V6(v6) => key(8, &[&[*width], &v6.octets()]),
            },
        })
    }
}

impl CorrespondentKey {
    pub(crate) fn of(correspondent: &Correspondent) -> CorrespondentKey {
        match correspondent {
            Correspondent::Address { local, domain } => CorrespondentKey::address(local.as_str(), domain.as_str()),
            Correspondent::Domain(domain) => CorrespondentKey::domain(domain.as_str()),
            Correspondent::Organization(domain) => CorrespondentKey::organization(domain.as_str()),
        }
    }

    pub(crate) fn address(local: &str, domain: &str) -> CorrespondentKey {
        CorrespondentKey(key(1, &[local.as_bytes(), domain.as_bytes()]))
    }

    pub(crate) fn domain(domain: &str) -> CorrespondentKey {
        CorrespondentKey(key(2, &[domain.as_bytes()]))
    }

    pub(crate) fn organization(domain: &str) -> CorrespondentKey {
        CorrespondentKey(key(3, &[domain.as_bytes()]))
    }
}

fn octets(domain: &Domain) -> &[u8] {
    domain.as_str().as_bytes()
}

/// Sixteen octets for a kind and its parts; each part with its length before it, so that they do not run together.
pub(crate) fn key(kind: u8, parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Line;
    use std::collections::HashSet;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn different_identities_have_different_keys() {
        let (a, b) = (domain("a.example"), domain("b.example"));
        let mut all = Vec::new();
        for validated in [false, true] {
            for domain in [a.clone(), b.clone()] {
                for local in ["", "a", "ab", "a.example"] {
                    let (local, domain) = (Line::literal(local), domain.clone());
                    all.push(Identity::Author {
                        local,
                        domain,
                        validated,
                    });
                }
                let d = domain.clone();
                all.push(Identity::AuthorDomain { domain: d, validated });
                all.push(Identity::AuthorOrganization { domain, validated });
            }
        }
        for domain in [a, b] {
            all.push(Identity::Dkim(domain.clone()));
            all.push(Identity::ReversePathDomain(domain.clone()));
            all.push(Identity::Helo(domain.clone()));
            let local = Line::literal("a");
            all.push(Identity::ReversePath { local, domain });
        }
        for address in ["192.0.2.0", "2001:db8::", "::ffff:192.0.2.0"] {
            for width in 1..=3 {
                let address = address.parse().unwrap();
                all.push(Identity::Network { width, address });
            }
        }
        let keys: HashSet<_> = all.iter().map(IdentityKey::of).collect();
        assert_eq!(keys.len(), all.len());
    }

    /// Keys are stored, so they must never change.
    #[test]
    fn keys_are_what_they_always_were() {
        let hex = |key: [u8; 16]| key.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
        let author = Identity::Author {
            local: Line::literal("ann"),
            domain: domain("shop.example"),
            validated: true,
        };
        let network = Identity::Network {
            width: 3,
            address: "192.0.0.0".parse().unwrap(),
        };
        let to = Correspondent::Address {
            local: Line::literal("Ann"),
            domain: domain("shop.example"),
        };
        let keys = [
            IdentityKey::of(&author).0,
            IdentityKey::of(&network).0,
            CorrespondentKey::of(&to).0,
        ];
        assert_eq!(keys.map(hex), KNOWN_KEYS);
    }

    const KNOWN_KEYS: [&str; 3] = [
        "a487ce38fd3ac10b3d89caa83ccc5910",
        "875ff256382222be3812c43bfea7d21a",
        "53f57cc614da7324589ebb0329b90fab",
    ];
}
