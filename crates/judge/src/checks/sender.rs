//! `checks/sender` and `checks/dkim`: what the reverse-path alone says, and whether its domain's mail should be signed.

use super::Evidence;
use mail::{Domain, Host, Line, ReversePath};

/// First labels of domains that sign all their mail, as the original had them. They also match foreign domains
/// (`gmail.attacker.example`); `domains` in the check's file replaces them by whole domains.
const SIGNING_LABELS: &[&str] = &[
    "amazon",
    "apple",
    "bankofamerica",
    "bofa",
    "ebay",
    "facebookemail",
    "gmail",
    "googlemail",
    "groupon",
    "itunes",
    "linkedin",
    "netflix",
    "paypal",
    "priceline",
    "quickbooks",
    "twitter",
    "yahoo",
];

/// A reverse-path that is no address of the Internet: no domain, or one without a dot.
pub fn bogus(path: &ReversePath) -> Option<Line> {
    let is_bogus = match path {
        ReversePath::Null => false,
        ReversePath::Unqualified(_) => true,
        ReversePath::Address(address) => match address.host() {
            Host::Domain(domain) => !domain.as_str().contains('.'),
            Host::Literal(_) => false,
        },
    };
    is_bogus.then(|| Line::reason(format!("Sender seems bogus: {}", path.folded()).as_bytes()))
}

/// Mail without a signature from a domain that always signs. Presence only.
pub fn unsigned(known: &Evidence<'_>) -> Option<Line> {
    let has_signature = known.message.content.as_ref()?.has_signature;
    missing_signature(
        &known.message.reverse_path,
        has_signature,
        known.settings.dkim_domains.as_deref(),
    )
}

fn missing_signature(path: &ReversePath, has_signature: bool, domains: Option<&[Domain]>) -> Option<Line> {
    let domain = path.domain()?;
    let expected = match domains {
        Some(domains) => domains.contains(domain),
        None => domain
            .as_str()
            .split_once('.')
            .is_some_and(|(label, _)| SIGNING_LABELS.contains(&label)),
    };
    (expected && !has_signature)
        .then(|| Line::reason(format!("Missing DKIM signature on mail from {}", path.folded()).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ReversePath {
        ReversePath::parse(text).unwrap()
    }

    #[test]
    fn a_sender_without_a_dot_in_its_domain_is_bogus() {
        for text in ["foo@bar", "A.B@host", "foo"] {
            assert_eq!(
                bogus(&path(text)).unwrap().as_str(),
                format!("Sender seems bogus: {}", text.to_lowercase())
            );
        }
        for text in ["", "a@b.example", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]"] {
            assert_eq!(bogus(&path(text)), None, "{text}");
        }
    }

    #[test]
    fn domains_that_always_sign_are_known_by_label_or_by_list() {
        for text in ["a@gmail.com", "a@ebay.co.uk", "a@gmail.attacker.example", "a@Yahoo.com"] {
            assert!(missing_signature(&path(text), false, None).is_some(), "{text}");
            assert!(missing_signature(&path(text), true, None).is_none(), "{text}");
        }
        for text in ["a@mail.paypal.com", "a@notgmail.com", "a@gmail", ""] {
            assert_eq!(missing_signature(&path(text), false, None), None, "{text}");
        }
        let list = [Domain::parse("bank.example").unwrap()];
        assert!(missing_signature(&path("a@bank.example"), false, Some(&list)).is_some());
        assert_eq!(missing_signature(&path("a@gmail.com"), false, Some(&list)), None);
    }
}
