//! What mailboxes tell each other: of some identities, who has labelled the newest message how. Keyed hashes only, so that
//! the rows show neither whom nor who.

use crate::keys::IdentityKey;
use judge::reputation::Scope;

/// Votes that one question looks at.
pub(crate) const VOTERS_MAX: u32 = 1000;

/// The key of the hashes: chance, made once with the store.
pub(crate) type Secret = [u8; 32];

/// One identity within one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SharedKey(pub(crate) [u8; 16]);

impl SharedKey {
    pub(crate) fn of(secret: &Secret, scope: &Scope, identity: IdentityKey) -> SharedKey {
        let mut hasher = blake3::Hasher::new_keyed(secret);
        // A domain is never empty.
        let scope = match scope {
            Scope::Domain(domain) => domain.as_str(),
            Scope::Server => "",
        };
        hasher.update(&identity.0).update(scope.as_bytes());
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        SharedKey(key)
    }
}

/// Who votes: a mailbox, hashed.
pub(crate) fn voter(secret: &Secret, mailbox: &str) -> [u8; 8] {
    let mut voter = [0; 8];
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(b"voter").update(mailbox.as_bytes());
    hasher.finalize_xof().fill(&mut voter);
    voter
}

/// The scopes that a mailbox has a vote in: its domain, by the part of its name behind the last `@`, and the server.
pub(crate) fn scopes(mailbox: &str) -> Vec<Scope> {
    let domain = mailbox
        .rsplit_once('@')
        .and_then(|(_, domain)| mail::Domain::parse(domain).ok());
    domain.map(Scope::Domain).into_iter().chain([Scope::Server]).collect()
}
