//! Who really sent it: each module proves one thing, and says in a sentence what it rests on.
//!
//! Trouble is a result, not an error: each of these has a word for it (RFC 8601 §2.7).
//!
//! - [`iprev`]: the client's reverse name, confirmed forward.
//! - [`spf`]: may this client send with this HELO name, with this reverse-path?
//! - [`dkim`]: whose signatures verify? [`arc`]: what do those say who passed it on? Of both only what is found stands
//!   here; the crate `signatures` finds it, and asks all proofs of one message at once.
//! - [`author`]: the one domain that the From field names.
//! - [`org`]: which names belong to one organization.
//! - [`dmarc`]: does the author domain's owner vouch for it, and what does he wish otherwise?

pub mod arc;
pub mod author;
pub mod dkim;
pub mod dmarc;
pub mod iprev;
pub mod org;
pub mod spf;
