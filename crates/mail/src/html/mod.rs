//! What a page shows (HTML as found in mail): visible text, hidden text, and where its links lead.
//!
//! A page is read as browsers and the mail programs that are made of them read it: tokens by html5gum, to the letter of
//! the standard, told by `tree` what they mean where they stand; scripts do not run. Text is hidden only where that is
//! sure ([`style`]). Where programs differ, both readings count: what stands in conditional comments (Outlook for
//! Windows), in `<noframes>` and the like, and in a `<select>` as it was until 2025 is shown as well.
//!
//! One pass over the page, two if what stands late in it changes what came before. No recursion but into a page within a
//! page, [`DEPTH_MAX`] deep; no more than [`OPEN_MAX`] open elements are remembered, so nesting costs nothing.
//!
//! - `tokens`: what html5gum finds. `names`: those of tags. `tree`: which elements are open.
//! - `style`, `colour`, `sheet`: what is not to be seen.
//! - `reader`: texts and links, put together. `links`: which links are kept.

mod colour;
#[cfg(test)]
mod html5lib;
mod links;
mod names;
mod reader;
mod sheet;
mod style;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;

pub use links::shorten;
use reader::{Reader, Reading};
use sheet::Sheet;
use std::collections::HashSet;

/// Open elements that are remembered. Past them nothing is said to be hidden any more.
pub const OPEN_MAX: usize = 256;
/// Links that are told of: of more those that are there twice or show nothing go first, then those in the middle.
pub const LINKS_MAX: usize = 10_000;
/// Pages within pages that are read: those of frames and of conditional comments.
const DEPTH_MAX: usize = 2;

/// What a page shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// What a person reads: blocks on lines of their own, `alt` of images included; behind it what only some programs
    /// show.
    pub text: String,
    /// What is there, but not to be seen.
    pub hidden: String,
    /// Where it leads, in order.
    pub links: Vec<Link>,
    /// Names of tags, each once, in the order of their first use.
    pub tags: Vec<String>,
    /// What addresses without a host are relative to.
    pub base: Option<String>,
    /// It has a field for a password.
    pub asks_password: bool,
    /// It has links that are not told of, more than anybody has.
    pub is_cut: bool,
}

/// A place that a page names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Link {
    /// What for.
    pub kind: LinkKind,
    /// The address, character references decoded.
    pub target: String,
    /// The text that is shown for it.
    pub shown: String,
}

/// What a link is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// It is followed by a click.
    #[default]
    Anchor,
    /// It is loaded when the page is shown.
    Image,
    /// What is typed goes there.
    Form,
    /// Anything else: a frame, a style, a script.
    Other,
}

impl Page {
    /// Reads a page.
    pub fn read(html: &str) -> Page {
        let mut sheet = Sheet::of_page(html);
        let mut reading = Reading {
            moves_page: sheet.moves_page,
            ..Reading::default()
        };
        let (mut page, mut found) = Reader::read(html, &sheet, reading);
        let is_more = |found: &Reading| found.moves_page || found.has_late_canvas || found.has_foreign_sheet;
        if found != reading && is_more(&found) {
            reading = found;
            reading.is_select_old = false;
            if reading.has_foreign_sheet {
                sheet.add_foreign();
            }
            (page, found) = Reader::read(html, &sheet, reading);
        }
        if found.is_select_old {
            reading.is_select_old = true;
            page.add(Reader::read(html, &sheet, reading).0);
        }
        page
    }

    /// Adds what another reading of the same page shows.
    fn add(&mut self, other: Page) {
        if other.text != self.text {
            self.text.push('\n');
            self.text.push_str(&other.text);
        }
        let known: HashSet<Link> = self.links.iter().cloned().collect();
        let new = other.links.into_iter().filter(|link| !known.contains(link));
        self.links.extend(new);
        self.is_cut |= other.is_cut;
        if self.links.len() > LINKS_MAX {
            self.is_cut |= links::thin(&mut self.links, &mut []);
        }
        self.asks_password |= other.asks_password;
    }
}
