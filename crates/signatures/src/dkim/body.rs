//! The hashes of a body: all that the signatures of a message ask for, in one pass.

use super::canonical::{BodyForm, Canonicalization};
use super::crypto::Sha256;

/// Hashes a body that comes in pieces. It keeps nothing of the body.
#[must_use]
pub struct BodyHasher {
    forms: Vec<Form>,
}

/// One canonical form, and the lengths that are asked of it.
struct Form {
    form: Canonicalization,
    canonical: BodyForm,
    /// Octets of the canonical body so far.
    octets: u64,
    hashes: Vec<(Option<u64>, Sha256)>,
}

/// What the hashes came to.
#[derive(Debug, Clone)]
pub struct BodyHashes(Vec<BodyHash>);

#[derive(Debug, Clone)]
pub(crate) struct BodyHash {
    form: Canonicalization,
    length: Option<u64>,
    pub hash: Vec<u8>,
    /// Octets of the whole canonical body.
    pub octets: u64,
}

impl BodyHasher {
    /// For so many different pairs of form and length (`l=`).
    pub(crate) fn new(wanted: impl Iterator<Item = (Canonicalization, Option<u64>)>) -> BodyHasher {
        let mut forms: Vec<Form> = Vec::new();
        for (form, length) in wanted {
            let at = forms.iter().position(|other| other.form == form).unwrap_or_else(|| {
                forms.push(Form {
                    form,
                    canonical: BodyForm::new(form),
                    octets: 0,
                    hashes: Vec::new(),
                });
                forms.len() - 1
            });
            if let Some(found) = forms.get_mut(at)
                && !found.hashes.iter().any(|(other, _)| *other == length)
            {
                found.hashes.push((length, Sha256::new()));
            }
        }
        BodyHasher { forms }
    }

    /// Takes the next octets of the body, as received: behind the blank line, lines with CRLF. A piece may end anywhere.
    pub fn update(&mut self, octets: &[u8]) {
        for form in &mut self.forms {
            let (hashes, count) = (&mut form.hashes, &mut form.octets);
            form.canonical.update(octets, &mut |piece| hash(hashes, count, piece));
        }
    }

    /// The body is over.
    pub fn finish(mut self) -> BodyHashes {
        for form in &mut self.forms {
            let (hashes, count) = (&mut form.hashes, &mut form.octets);
            form.canonical.finish(&mut |piece| hash(hashes, count, piece));
        }
        let of_form = |form: Form| {
            let (name, octets) = (form.form, form.octets);
            form.hashes.into_iter().map(move |(length, hash)| BodyHash {
                form: name,
                length,
                hash: hash.finish().octets().to_vec(),
                octets,
            })
        };
        BodyHashes(self.forms.into_iter().flat_map(of_form).collect())
    }
}

/// Feeds each hash as far as its length goes.
fn hash(hashes: &mut [(Option<u64>, Sha256)], count: &mut u64, piece: &[u8]) {
    for (length, hash) in hashes {
        let left = length.map_or(u64::MAX, |length| length.saturating_sub(*count));
        let end = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        hash.update(piece.get(..end).unwrap_or_default());
    }
    *count = count.saturating_add(piece.len() as u64);
}

impl BodyHashes {
    /// `None` if the hasher that made this did not know of it.
    pub(crate) fn find(&self, form: Canonicalization, length: Option<u64>) -> Option<&BodyHash> {
        self.0.iter().find(|hash| hash.form == form && hash.length == length)
    }
}
