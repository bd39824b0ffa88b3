//! Domain names as the gateway compares them: lower-cased A-labels without a final dot.

use crate::limits::{DOMAIN_OCTETS_MAX, LABEL_OCTETS_MAX};
use std::fmt;
use std::net::IpAddr;

/// A host or mail domain (RFC 5321 §4.1.2), normalised: `Example.COM.`, `EXAMPLE.com` and the U-label form
/// (RFC 5890) of a name are equal to its lower-cased A-label form.
///
/// A value of this type is harmless as a path component: it has letters, digits, `-`, `_` and `.` only, never
/// begins with `.`, `_` or `-`, and is never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(Box<str>);

/// Why a text is no domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DomainError {
    /// Nothing there.
    Empty,
    /// More than 253 octets, or a label of more than 63.
    TooLong,
    /// A character or label form that no host name has.
    Syntax,
}

impl Domain {
    /// Parses and normalises a name. One final dot is dropped (an absolute name equals the relative one).
    pub fn parse(text: &str) -> Result<Domain, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        // A U-label of n characters never has an A-label shorter than n / 4 octets; this bounds the work of IDNA.
        if text.len() > 4 * DOMAIN_OCTETS_MAX {
            return Err(DomainError::TooLong);
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| DomainError::Syntax)?
        };
        check_host_name(&ascii)?;
        Ok(Domain(ascii.into_boxed_str()))
    }

    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last label: `com` of `example.com`.
    pub fn last_label(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or(&self.0)
    }
}

/// RFC 1123 §2.1 with one leniency: `_` within a name, which real reverse names and envelopes carry.
/// A name led by `_` is never a domain (it would collide with `_global_` and its like).
fn check_host_name(name: &str) -> Result<(), DomainError> {
    if name.len() > DOMAIN_OCTETS_MAX {
        return Err(DomainError::TooLong);
    }
    if name.starts_with('_') {
        return Err(DomainError::Syntax);
    }
    // What stands before an octet: a name begins as behind a dot, and must not end there.
    let mut before = b'.';
    let mut label_octets = 0;
    for octet in name.bytes().chain([b'.']) {
        match octet {
            b'.' if matches!(before, b'.' | b'-') => return Err(DomainError::Syntax),
            b'.' => label_octets = 0,
            b'-' if before == b'.' => return Err(DomainError::Syntax),
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => label_octets += 1,
            _ => return Err(DomainError::Syntax),
        }
        if label_octets > LABEL_OCTETS_MAX {
            return Err(DomainError::TooLong);
        }
        before = octet;
    }
    Ok(())
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Domain {
    type Error = DomainError;
    fn try_from(text: String) -> Result<Self, DomainError> {
        Domain::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> String {
        domain.0.into()
    }
}

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DomainError::Empty => "the domain is empty",
            DomainError::TooLong => "the domain is too long",
            DomainError::Syntax => "the domain is not a host name",
        })
    }
}

impl std::error::Error for DomainError {}

/// One spelling for each address: an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) is the IPv4 address.
pub fn canonical_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_name_are_equal() {
        let name = Domain::parse("example.com").unwrap();
        for spelling in ["Example.COM", "example.com.", "EXAMPLE.com."] {
            assert_eq!(Domain::parse(spelling).unwrap(), name);
        }
        assert_eq!(
            Domain::parse("bücher.example").unwrap().as_str(),
            "xn--bcher-kva.example"
        );
        assert_eq!(
            Domain::parse("BÜCHER.example").unwrap(),
            Domain::parse("xn--bcher-kva.example").unwrap()
        );
    }

    #[test]
    fn names_that_could_leave_a_directory_are_refused() {
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a/b",
            "../x",
            "a\0b",
            "_global_",
            "_x.example",
            "-a.example",
            "a b",
            "a..",
            "*",
        ] {
            assert!(Domain::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Domain::parse(&"a.".repeat(200)), Err(DomainError::TooLong));
        assert_eq!(
            Domain::parse(&format!("{}.example", "a".repeat(64))),
            Err(DomainError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn parsing_is_stable_and_harmless(text in "\\PC{0,300}") {
            if let Ok(domain) = Domain::parse(&text) {
                prop_assert_eq!(&Domain::parse(domain.as_str()).unwrap(), &domain);
                prop_assert!(!domain.as_str().contains('/') && !domain.as_str().starts_with(['.', '_', '-']));
            }
        }
    }
}
