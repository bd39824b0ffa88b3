//! What a message shows and how it is made, as features that a learner counts.
//!
//! A feature is a number: the hash of a few words of text. What is read is what a person would see, and what a sender
//! cannot easily vary; what other filters said of the message, dates, and what a delivery added is not (`headers` has the
//! list of fields that are read). The same octets give the same features on every machine, in every version that says
//! the same [`VERSION`].
//!
//! Time and memory are bounded by the octets that are given, and by [`FEATURES_MAX`].
//!
//! - `headers`: header fields. `origin`: Received fields, identifiers, signatures.
//! - `body`: text, pages, links, attachments, the tree of parts.
//! - `words`: text cut into words, normalised.
//! - `sink`: where features are collected, with their names if somebody asks for reasons.

mod body;
mod headers;
mod origin;
mod sink;
#[cfg(test)]
mod tests;
mod words;

use mail::{Message, mime};
use sink::Sink;
use std::collections::HashMap;

/// Features of another version are other numbers; a model is of one version only.
pub const VERSION: u32 = 1;
/// A feature's slot is a number of so many bits.
pub const SLOT_BITS: u32 = 20;
/// More features than this are not looked at.
pub const FEATURES_MAX: usize = 20_000;

/// What a message is made of: each feature once, in order of their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features(Box<[Feature]>);

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
pub type Names = HashMap<Feature, String>;

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
    let message = Message::parse(octets);
    let parts = mime::parts(&message);
    headers::read(&message, &mut sink);
    origin::read(&message, &mut sink);
    body::read(&parts, &mut sink);
    sink.finish()
}
