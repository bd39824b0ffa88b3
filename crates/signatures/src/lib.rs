//! The verification of signatures: DKIM and ARC, with keys and hashes, and who sent a message by all proofs together.
//!
//! What comes out are facts of [`judge`]; how they are decided upon is no business of this crate, and the library of
//! cryptography none of `judge`'s. Nothing here touches a disk, a clock or chance, and DNS only through the trait
//! [`Resolver`](judge::resolver::Resolver).
//!
//! - [`Sealed`]: the signatures of both, read before the body comes; [`BodyHasher`]: the body, as it comes.
//! - [`dkim`]: whose signatures verify? [`arc`]: what do those say who passed it on?
//! - [`gather`]: all proofs of one message at once, SPF and DMARC among them.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod arc;
pub mod dkim;
#[cfg(test)]
mod fixture;
pub mod gather;
mod sealed;
#[cfg(test)]
mod vectors;

pub use dkim::{BodyHasher, BodyHashes};
pub use sealed::Sealed;
