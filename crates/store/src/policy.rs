//! Policies as they are stored: once each, under a digest of their text.

use crate::error::StoreError;
use judge::policy::Policy;
use std::fmt;
use std::sync::Arc;

/// Names a policy: the first 16 octets of BLAKE3 over its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyDigest(pub(crate) [u8; 16]);

/// A policy with the text under which it is stored. Made when a domain's rules are read, then shared by all its
/// messages: a copy costs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPolicy(Arc<Sealed>);

#[derive(Debug, PartialEq, Eq)]
struct Sealed {
    digest: PolicyDigest,
    text: String,
    policy: Policy,
}

impl SealedPolicy {
    /// Seals a policy. Fails only if it cannot be put into words, which is a fault of ours.
    pub fn new(policy: Policy) -> Result<SealedPolicy, StoreError> {
        let text = serde_json::to_string(&policy).map_err(|e| StoreError::Unwritable(e.to_string()))?;
        let mut digest = [0; 16];
        blake3::Hasher::new()
            .update(text.as_bytes())
            .finalize_xof()
            .fill(&mut digest);
        let digest = PolicyDigest(digest);
        Ok(SealedPolicy(Arc::new(Sealed { digest, text, policy })))
    }

    /// Takes up a stored policy. It keeps the digest and text of the version that wrote it.
    pub(crate) fn read(digest: PolicyDigest, text: String) -> Result<SealedPolicy, serde_json::Error> {
        let policy = serde_json::from_str(&text)?;
        Ok(SealedPolicy(Arc::new(Sealed { digest, text, policy })))
    }

    /// Its name.
    pub fn digest(&self) -> PolicyDigest {
        self.0.digest
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// As stored: JSON.
    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }
}

/// Hexadecimal digits.
impl fmt::Display for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_policies_have_one_digest_and_others_another() {
        let seal = |shadow| {
            SealedPolicy::new(Policy {
                shadow,
                ..Policy::default()
            })
            .unwrap()
        };
        assert_eq!(seal(true), seal(true));
        assert_ne!(seal(true).digest(), seal(false).digest());
        assert_eq!(seal(true).digest().to_string().len(), 32);
    }

    #[test]
    fn a_policy_of_an_older_version_keeps_its_digest() {
        let old = SealedPolicy::read(PolicyDigest([7; 16]), "{}".to_owned()).unwrap();
        assert_eq!(old.digest(), PolicyDigest([7; 16]));
        assert_eq!(old.policy(), &Policy::default());
    }
}
