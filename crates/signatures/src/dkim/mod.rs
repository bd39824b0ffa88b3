//! DKIM (RFC 6376, RFC 8301, RFC 8463): whose signatures verify?
//!
//! A message is read with [`Sealed`](crate::Sealed), its body is hashed on the way in, and [`verify`] asks for the keys.
//! DomainKeys, which DKIM replaced, is not verified.
//!
//! - `tags`: lists of tags. `signature`: what a signature says of itself. `key`: key records.
//! - `canonical`: canonical forms. `header`: which fields are signed. `body`: hashes of a body in one pass.
//! - `crypto`: hashes and keys. `verify`: all of it together.

mod body;
mod canonical;
mod crypto;
mod header;
mod key;
mod signature;
mod tags;
#[cfg(test)]
mod tests;
mod verify;

pub use body::{BodyHasher, BodyHashes};
pub use verify::verify;

pub(crate) use canonical::Canonicalization;
pub(crate) use crypto::Sha256;
pub(crate) use header::HeaderIndex;
pub(crate) use key::Keys;
pub(crate) use signature::{Coverage, Refusal, Signature, require, tags as field_tags};
pub(crate) use tags::{number, shown};
pub(crate) use verify::{Reading, check_authors, check_body, check_header, check_length, tell_apart};
