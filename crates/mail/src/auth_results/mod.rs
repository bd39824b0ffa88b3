//! Authentication-Results (RFC 8601): what was proven of a message, as a header field.
//!
//! - [`AuthResults`] writes ours: folded, and with nothing foreign in it that could be read as something else.
//! - [`parse`] and [`parse_arc`] read those of others, leniently, within limits.
//! - [`claims_authserv_id`], [`claims_arc_authserv_id`] and [`names_receiver`] find those that speak in our name, also where
//!   they cannot be read.

mod claim;
mod read;
#[cfg(test)]
mod tests;
mod token;
mod write;

pub use claim::{claims_arc_authserv_id, claims_authserv_id, names_receiver};
pub use read::{ParsedResult, ParsedResults, Property, arc_instance, parse, parse_arc};
pub use token::AuthResultsError;
pub use write::{AuthResults, Encoding, Finding};

/// More results than this in one field are a mistake or an attack; the field is not read.
pub const RESULTS_MAX: usize = 100;
/// More properties than this in one result are a mistake or an attack; the field is not read.
pub const PROPERTIES_MAX: usize = 20;
/// A property's value is not longer than this. A cut one would be another name, so longer ones are not read, nor
/// written. A whole RSA-4096 signature as `header.b` fits.
pub const VALUE_OCTETS_MAX: usize = 700;
