//! The author (RFC 5322 §3.6.2): whom the From field names, and the one domain that DMARC asks.

use mail::{Domain, Line};
use serde::{Deserialize, Serialize};

/// What the From fields of a message say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Author {
    /// Exactly one From field, all of whose addresses are of one domain: the first address (lower-cased domain, local
    /// part as written), its domain.
    One {
        /// The first address, `local-part@domain`.
        address: Line,
        /// Its domain, as A-labels.
        domain: Domain,
    },
    /// No From field, or one without an address.
    None,
    /// Several From fields, or addresses of several domains: RFC 7489 §6.6.1, RFC 9989 §11.5. The distinct domains in
    /// their order, at most ten.
    Several(Vec<Domain>),
    /// Something that no address can be read from.
    Unreadable(Line),
}
