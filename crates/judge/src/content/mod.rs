//! What a message shows and how it is made, as features that a learner counts.
//!
//! A feature is a number: the hash of a few words of text. What is read is what a person would see, and what a sender
//! cannot easily vary; what other filters said of the message, dates, and what a delivery added is not (`headers` has the
//! list of fields that are read). The same octets give the same features on every machine; in versions that say the same
//! [`VERSION`] but for those that were added.
//!
//! Only the first [`OCTETS_MAX`] octets are looked at, and at most [`FEATURES_MAX`] features are told; nothing is unpacked
//! but base64, quoted-printable and uuencode, which never grow. So time and memory are bounded whatever a message is.
//!
//! - `headers`: header fields. `origin`: Received fields, identifiers, signatures.
//! - `body`: text, pages, links, attachments, the tree of parts.
//! - `words`: text cut into words, normalised.
//! - `sink`: where features are collected, with their names if somebody asks for reasons. `name`: these names.

mod body;
mod headers;
mod name;
mod origin;
mod sink;
#[cfg(test)]
mod tests;
mod words;

use data_encoding::BASE64;
use mail::{Message, mime};
pub use name::Name;
use serde::{Deserialize, Serialize};
use sink::Sink;
use std::collections::HashMap;

/// Features of another version are other numbers; a model is of one version only, and lessons of another are lost to it.
/// So it changes where a number comes to mean something else, and not where features are added.
pub const VERSION: u32 = 2;
/// A feature's slot is a number of so many bits.
pub const SLOT_BITS: u32 = 20;
/// What stands behind so many octets of a message is not looked at.
pub const OCTETS_MAX: usize = 256 * 1024;
/// More features than this are not looked at.
pub const FEATURES_MAX: usize = 20_000;

/// What a message is made of: each feature once, in order of their numbers.
///
/// In JSON it is text: the octets of [`Features::to_octets`] in base64.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Features(Box<[Feature]>);

impl From<Features> for String {
    fn from(features: Features) -> String {
        BASE64.encode(&features.to_octets())
    }
}

impl TryFrom<String> for Features {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Features, &'static str> {
        let octets = BASE64.decode(text.as_bytes()).map_err(|_| "not base64")?;
        Features::from_octets(&octets).ok_or("not the features of a message")
    }
}

/// One feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feature(u32);

/// What a feature is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A word that a person sees, or one of a header.
    Word = 0,
    /// How the message is made.
    Shape = 1,
    /// Two words that stand side by side.
    Pair = 2,
    /// Two words with one between.
    Apart = 3,
}

/// Words for features, in which reasons are told.
pub type Names = HashMap<Feature, Name>;

impl Feature {
    fn new(kind: Kind, hash: u64) -> Feature {
        let slot = hash >> (64 - SLOT_BITS);
        Feature((kind as u32) << SLOT_BITS | u32::try_from(slot).unwrap_or_default())
    }

    /// Its number, which is below 2^22; words and shapes are those below 2^21.
    pub(crate) fn number(self) -> usize {
        usize::try_from(self.0).unwrap_or_default()
    }

    /// The feature of a number.
    pub(crate) fn of_number(number: usize) -> Feature {
        Feature(u32::try_from(number).unwrap_or_default())
    }

    /// Which slot of a table it belongs to.
    pub fn slot(self) -> usize {
        usize::try_from(self.0 & ((1 << SLOT_BITS) - 1)).unwrap_or_default()
    }

    /// What it is made of.
    pub fn kind(self) -> Kind {
        match self.0 >> SLOT_BITS {
            0 => Kind::Word,
            1 => Kind::Shape,
            2 => Kind::Pair,
            _ => Kind::Apart,
        }
    }
}

impl Features {
    /// Reads a message, or its beginning.
    pub fn read(octets: &[u8]) -> Features {
        extract(octets, Sink::new()).0
    }

    /// The same, with words for features. This is slower, and for those messages only whose verdict is to be told.
    pub fn read_named(octets: &[u8]) -> (Features, Names) {
        extract(octets, Sink::with_names())
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = Feature> + '_ {
        self.0.iter().copied()
    }

    /// As octets to be stored: the distance of each from the one before, seven bits an octet, the lowest first, and a
    /// high bit where more follow. A usual message takes about two octets for each feature.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(2 * self.0.len());
        let mut before = 0;
        for feature in &self.0 {
            let mut distance = feature.0.wrapping_sub(before);
            before = feature.0;
            while distance > 0x7f {
                octets.push(distance as u8 | 0x80);
                distance >>= 7;
            }
            octets.push(distance as u8);
        }
        octets
    }

    /// What [`Features::to_octets`] made; `None` for anything else.
    pub fn from_octets(octets: &[u8]) -> Option<Features> {
        let (mut features, mut before, mut rest) = (Vec::with_capacity(octets.len() / 2), None, octets);
        while !rest.is_empty() {
            let distance = take_number(&mut rest)?;
            let number = match before {
                None => distance,
                Some(before) => distance.checked_add(before).filter(|number| *number > before)?,
            };
            if number >> (SLOT_BITS + 2) != 0 || features.len() == FEATURES_MAX {
                return None;
            }
            features.push(Feature(number));
            before = Some(number);
        }
        Some(Features(features.into_boxed_slice()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A number of seven bits an octet, as short as it can be written.
fn take_number(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for place in 0..5 {
        let (octet, after) = rest.split_first()?;
        *rest = after;
        let bits = u32::from(octet & 0x7f);
        number |= bits
            .checked_shl(7 * place)
            .filter(|moved| moved >> (7 * place) == bits)?;
        if octet & 0x80 == 0 {
            return (bits != 0 || place == 0).then_some(number);
        }
    }
    None
}

fn extract(octets: &[u8], mut sink: Sink) -> (Features, Names) {
    let message = Message::parse(octets.get(..OCTETS_MAX).unwrap_or(octets));
    let parts = mime::parts(&message);
    headers::read(&message, &mut sink);
    let author = origin::read(&message, &mut sink);
    body::read(&parts, author.as_ref(), &mut sink);
    sink.finish()
}
