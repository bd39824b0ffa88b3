//! Which parts are kept of a message that has very many.
//!
//! Mail readers show the last part of some multiparts and all of others. So those go first that show nothing: the empty
//! ones, and those that are there already.

use super::walk::Budget;
use super::{PARTS_MAX, Part};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// So many parts are kept, whatever they are.
const FEW: usize = 500;

/// Parts in their order, [`PARTS_MAX`] at most.
#[derive(Default)]
pub(super) struct List<'a> {
    parts: Vec<Part<'a>>,
    hasher: RandomState,
    /// What those show that came behind the first [`FEW`].
    seen: HashSet<u64>,
    is_cut: bool,
}

impl<'a> List<'a> {
    /// Parts that show nothing are left out from here on.
    fn is_long(&self) -> bool {
        self.parts.len() >= FEW
    }

    pub fn push(&mut self, part: Part<'a>) {
        if self.is_long() && !part.is_container() && !self.is_new(&part) {
            return;
        }
        if self.parts.len() == PARTS_MAX {
            // The first half stays, and of the second one what came last.
            self.parts.drain(PARTS_MAX / 2..PARTS_MAX / 4 * 3);
            self.is_cut = true;
        }
        self.parts.push(part);
    }

    fn is_new(&mut self, part: &Part<'_>) -> bool {
        let body = part.raw().trim_ascii();
        let told = (
            body,
            &part.media,
            &part.charset,
            part.encoding,
            &part.name,
            part.is_attachment,
        );
        !body.is_empty() && self.seen.insert(self.hasher.hash_one(told))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Part<'a>> {
        self.parts.iter()
    }

    /// The parts; a budget is told if there were more.
    pub fn into_parts(self, budget: &mut Budget) -> Vec<Part<'a>> {
        budget.is_cut |= self.is_cut;
        self.parts
    }
}
