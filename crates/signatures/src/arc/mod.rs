//! ARC (RFC 8617): what do those say who passed the message on?
//!
//! - `chain`: the sets of a header, each field in its place. `results`: what a set says that passed.
//! - `verify`: whether the chain stands.

mod chain;
mod results;
#[cfg(test)]
mod tests;
mod verify;

pub use verify::verify;

pub(crate) use chain::Chain;
