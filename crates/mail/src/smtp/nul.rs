//! NUL octets in a message (RFC 5322 §2.3, §4 has none), and where they stood.
//!
//! Programs behind us differ in what they make of one: some end the line at it, some leave it out, and whoever leaves it out
//! reads `CRLF NUL . CRLF` as the end of the message. So what is given out holds a space for each, and never one octet less.
//! Where they stood is kept, because a signature of the message speaks of what was sent.

use memchr::memchr;

/// So many places are kept, each of one NUL or several in a row. A text with more is no text.
const PLACES_MAX: usize = 4096;

/// What becomes of a message with a NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nul {
    /// It is refused.
    Refuse,
    /// It is taken, with a space in the place of each.
    #[default]
    Replace,
}

/// Where NULs stood in a message. Small where there were none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nuls(Option<Box<Places>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Places {
    /// Where each begins and ends, in octets of the message; in order, with others between.
    kept: Vec<(u64, u64)>,
    /// There were more.
    is_cut: bool,
}

impl Nuls {
    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether all of them are known: there were not too many.
    pub fn are_all_known(&self) -> bool {
        self.0.as_ref().is_none_or(|places| !places.is_cut)
    }

    /// Puts the NULs back into a piece of the message that begins at its octet `from`.
    pub fn restore(&self, from: u64, piece: &mut [u8]) {
        let Some(places) = &self.0 else { return };
        let end = from.saturating_add(piece.len() as u64);
        let first = places.kept.partition_point(|(_, end)| *end <= from);
        let behind = places.kept.get(first..).unwrap_or_default();
        for (start, stop) in behind.iter().take_while(|(start, _)| *start < end) {
            let within = |at: u64| usize::try_from(at.clamp(from, end).saturating_sub(from)).unwrap_or(usize::MAX);
            if let Some(nuls) = piece.get_mut(within(*start)..within(*stop)) {
                nuls.fill(0);
            }
        }
    }

    /// Replaces the NULs of the next piece, which begins at the octet `from`. Whether there were some.
    pub(super) fn replace(&mut self, from: u64, piece: &mut [u8]) -> bool {
        let mut rest = 0;
        let mut next = |piece: &mut [u8]| {
            let tail = piece.get_mut(rest..)?;
            let at = memchr(0, tail)?;
            *tail.get_mut(at)? = b' ';
            let found = rest.saturating_add(at);
            rest = found.saturating_add(1);
            Some(found)
        };
        let mut has_nul = false;
        while let Some(at) = next(piece) {
            let places = self.0.get_or_insert_default();
            places.note(from.saturating_add(at as u64));
            has_nul = true;
        }
        has_nul
    }
}

impl Places {
    fn note(&mut self, at: u64) {
        let next = at.saturating_add(1);
        let is_full = self.kept.len() == PLACES_MAX;
        match self.kept.last_mut() {
            Some((_, end)) if *end == at && !self.is_cut => *end = next,
            _ if is_full => self.is_cut = true,
            _ => self.kept.push((at, next)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn past_their_number_places_are_not_kept_and_that_is_known() {
        let mut nuls = Nuls::default();
        let mut text = b"\0a".repeat(PLACES_MAX);
        assert!(nuls.replace(0, &mut text) && nuls.are_all_known());
        let mut more = b"a\0\0".to_vec();
        assert!(nuls.replace(text.len() as u64, &mut more) && !nuls.are_all_known());
        assert_eq!((more, nuls.0.unwrap().kept.len()), (b"a  ".to_vec(), PLACES_MAX));
    }

    proptest! {
        #[test]
        fn what_is_replaced_can_be_put_back_in_pieces_of_any_size(
            text in proptest::collection::vec(prop_oneof![Just(0u8), Just(b' '), Just(b'a')], 0..80),
            taken in 1usize..20, given in 1usize..20,
        ) {
            let (mut nuls, mut clean) = (Nuls::default(), Vec::new());
            for piece in text.chunks(taken) {
                let mut piece = piece.to_vec();
                let had = piece.contains(&0);
                prop_assert_eq!(nuls.replace(clean.len() as u64, &mut piece), had);
                clean.extend(piece);
            }
            prop_assert!(!clean.contains(&0) && clean.len() == text.len());
            prop_assert_eq!(nuls.is_empty(), clean == text);
            for (at, piece) in clean.chunks_mut(given).enumerate() {
                nuls.restore((at * given) as u64, piece);
            }
            prop_assert_eq!(clean, text);
        }
    }
}
