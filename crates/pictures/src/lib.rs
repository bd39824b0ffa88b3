//! What pictures say: octets of strangers in, the texts of QR codes out.
//!
//! Decoders of others are at work here, so this crate knows nothing of mail, asks nobody, and opens no file: whatever a
//! picture makes of them, it can have no more than their time and memory, which are bounded.
//!
//! - `image`: pictures, decoded. `qr`: codes in them.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod image;
mod qr;
#[cfg(test)]
mod tests;

use image::Gray;

/// What the QR codes of a picture say; nothing of what is no PNG, JPEG or GIF, is too large, or is broken.
///
/// The pixels that are decoded are taken from those that are left, and there are never more. One that breaks off costs
/// as much as a whole one, and what is not decoded costs nothing.
pub fn qr_codes(octets: &[u8], pixels_left: &mut usize) -> Vec<String> {
    Gray::decode(octets, pixels_left).map_or(Vec::new(), |gray| qr::read(&gray))
}
