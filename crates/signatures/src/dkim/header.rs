//! Which fields of a header a signature speaks of (RFC 6376 §5.4.2): for each name in `h=` the lowest field of that name
//! that is not taken yet, or none.

use super::canonical::Canonicalization;
use super::crypto::Sha256;
use mail::{Field, Message};
use std::cmp::Ordering;

/// The fields of a header by name, so that a list of many names and a header of many fields cost no more than both.
#[derive(Debug, Default)]
pub(crate) struct HeaderIndex<'a> {
    /// In order of name, those of one name from the bottom of the header; with the place in the header.
    fields: Vec<(Field<'a>, usize)>,
}

impl<'a> HeaderIndex<'a> {
    pub fn new(message: &Message<'a>) -> HeaderIndex<'a> {
        let places = message.fields().iter().copied().zip(0..);
        let mut fields: Vec<(Field<'a>, usize)> = places.collect();
        fields.sort_unstable_by(|(a, at_a), (b, at_b)| compare(a.name(), b.name()).then(at_b.cmp(at_a)));
        HeaderIndex { fields }
    }

    /// Hashes the fields that `names` speak of, in that order. The field at the place `own` is the signature itself, of
    /// which `names` never speak (RFC 6376 §3.5, `h=`).
    pub fn hash(&self, names: &[&[u8]], own: usize, form: Canonicalization, hash: &mut Sha256) {
        let mut scratch = Vec::with_capacity(1024);
        self.each(names, own, |field, _| {
            scratch.clear();
            form.field(field, &mut scratch);
            hash.update(&scratch);
        });
    }

    /// The places in the header of the fields that `names` speak of, as [`HeaderIndex::hash`] does.
    pub fn places(&self, names: &[&[u8]], own: usize) -> Vec<usize> {
        let mut places = Vec::new();
        self.each(names, own, |_, place| places.push(place));
        places
    }

    fn each(&self, names: &[&[u8]], own: usize, mut see: impl FnMut(&Field<'a>, usize)) {
        // How many fields of a name are taken, at the place of the first of that name.
        let mut taken = vec![0_usize; self.fields.len()];
        for name in names {
            let start = self
                .fields
                .partition_point(|(field, _)| compare(field.name(), name).is_lt());
            let Some(taken) = taken.get_mut(start) else { continue };
            let mut next = || {
                let found = self.fields.get(start + *taken)?;
                let is_same = compare(found.0.name(), name).is_eq();
                *taken += usize::from(is_same);
                is_same.then_some(found)
            };
            let found = match next() {
                Some((_, place)) if *place == own => next(),
                found => found,
            };
            // §5.4: a name without a field says that there is none; it adds nothing.
            if let Some((field, place)) = found {
                see(field, *place);
            }
        }
    }
}

/// As names are compared: in any case.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    a.iter()
        .map(u8::to_ascii_lowercase)
        .cmp(b.iter().map(u8::to_ascii_lowercase))
}
