//! What a page shows (HTML as found in mail): visible text, hidden text, and where its links lead.
//!
//! This is no parser of documents: a page is a run of texts and tags, and a short stack remembers which open tags hide
//! what stands in them (`display:none`, no size, the colour of the background). Tags are read as browsers read them as far
//! as senders play with it: comments that never end, tags without an end, attributes without quotes.
//!
//! One pass, no recursion, and no more than [`OPEN_MAX`] open tags are remembered, so nesting costs nothing. What comes out
//! is never longer than what went in.

mod entities;
mod scan;
mod style;
#[cfg(test)]
mod tests;

use scan::{Piece, Scan, Tag};
use style::Look;

/// Open tags that are remembered; what stands in deeper ones looks as what is around.
pub const OPEN_MAX: usize = 256;
/// Links that are told of.
pub const LINKS_MAX: usize = 1_000;
/// What a link shows is cut to so many octets, and so is a target.
const SHOWN_OCTETS_MAX: usize = 200;
const TARGET_OCTETS_MAX: usize = 2_000;
/// A tag closes one that is so far out at most.
const CLOSES_ACROSS_MAX: usize = 32;

/// What a page shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// What a person reads: blocks on lines of their own, `alt` of images included.
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
}

/// A place that a page names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// What for.
    pub kind: LinkKind,
    /// The address, entities decoded.
    pub target: String,
    /// The text that is shown for it.
    pub shown: String,
}

/// What a link is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
        let mut reader = Reader {
            page: Page::default(),
            open: Vec::new(),
            anchor: None,
        };
        reader.page.text.reserve(html.len() / 2);
        for piece in Scan::new(html) {
            match piece {
                Piece::Text(text) => reader.text(text),
                Piece::Open(tag) => reader.opened(&tag),
                Piece::Close(name) => reader.closed(name),
            }
        }
        reader.end_anchor();
        reader.page
    }
}

/// A tag that is open.
struct Open {
    name: u64,
    look: Look,
}

struct Reader {
    page: Page,
    open: Vec<Open>,
    /// The link that is open, and where its text begins.
    anchor: Option<(usize, usize)>,
}

impl Reader {
    fn look(&self) -> Look {
        self.open.last().map_or_else(Look::default, |open| open.look)
    }

    fn out(&mut self) -> &mut String {
        match self.look().is_hidden() {
            true => &mut self.page.hidden,
            false => &mut self.page.text,
        }
    }

    fn text(&mut self, text: &str) {
        let out = self.out();
        entities::decode_into(out, text);
    }

    fn opened(&mut self, tag: &Tag<'_>) {
        let name = key(tag.name);
        self.remember(tag.name);
        if is_block(tag.name) {
            self.out().push('\n');
        }
        self.link(tag);
        if is_void(tag.name) || tag.is_empty {
            return;
        }
        let mut look = self.look();
        for (name, value) in tag.attributes() {
            look.apply(name, value);
        }
        if matches!(tag.name, b"title" | b"textarea" | b"noscript") {
            look.hide();
        }
        if self.open.len() < OPEN_MAX {
            self.open.push(Open { name, look });
        }
    }

    fn closed(&mut self, name: &[u8]) {
        if name.eq_ignore_ascii_case(b"a") {
            self.end_anchor();
        }
        let key = key(name);
        let near = self.open.iter().rev().take(CLOSES_ACROSS_MAX);
        if let Some(up) = near.enumerate().find_map(|(up, open)| (open.name == key).then_some(up)) {
            self.open.truncate(self.open.len() - up - 1);
        }
        if is_block(name) {
            self.out().push('\n');
        }
    }

    /// Notes the name of a tag, unless it was there before.
    fn remember(&mut self, name: &[u8]) {
        const NAMES_MAX: usize = 64;
        let is_known = |tag: &String| tag.as_bytes().eq_ignore_ascii_case(name);
        if self.page.tags.len() < NAMES_MAX && name.len() <= 16 && !self.page.tags.iter().any(is_known) {
            self.page.tags.push(String::from_utf8_lossy(name).to_ascii_lowercase());
        }
    }

    fn link(&mut self, tag: &Tag<'_>) {
        if is(tag.name, b"meta") {
            return self.refresh(tag);
        }
        let (kind, wanted): (_, &[&[u8]]) = match tag.name {
            name if is(name, b"a") || is(name, b"area") => (LinkKind::Anchor, &[b"href"]),
            name if is(name, b"img") => (LinkKind::Image, &[b"src"]),
            name if is(name, b"form") => (LinkKind::Form, &[b"action"]),
            name if is(name, b"input") || is(name, b"button") => (LinkKind::Form, &[b"formaction"]),
            name if is(name, b"body") || is(name, b"table") || is(name, b"td") => (LinkKind::Image, &[b"background"]),
            name if is(name, b"link") || is(name, b"base") => (LinkKind::Other, &[b"href"]),
            name if is(name, b"iframe") || is(name, b"script") || is(name, b"frame") => (LinkKind::Other, &[b"src"]),
            _ => return,
        };
        let mut target = None;
        for (name, value) in tag.attributes() {
            if wanted.iter().any(|wanted| is(name, wanted)) && target.is_none() {
                let mut text = String::new();
                entities::decode_into(&mut text, cut(value, TARGET_OCTETS_MAX));
                target = Some(text);
            } else if is(name, b"alt") && kind == LinkKind::Image {
                let out = self.out();
                out.push(' ');
                entities::decode_into(out, value);
                out.push(' ');
            } else if is(name, b"type") && is(value.as_bytes(), b"password") {
                self.page.asks_password = true;
            }
        }
        if is(tag.name, b"base") && self.page.base.is_none() {
            self.page.base.clone_from(&target);
        }
        if kind == LinkKind::Anchor {
            self.end_anchor();
        }
        let Some(target) = target.filter(|_| self.page.links.len() < LINKS_MAX) else {
            return;
        };
        if kind == LinkKind::Anchor {
            self.anchor = Some((self.page.links.len(), self.page.text.len()));
        }
        let shown = String::new();
        self.page.links.push(Link { kind, target, shown });
    }

    /// A page that leads on by itself: `content="0; url=https://..."`.
    fn refresh(&mut self, tag: &Tag<'_>) {
        let value = |wanted: &[u8]| {
            let mut attributes = tag.attributes();
            attributes.find_map(|(name, value)| is(name, wanted).then_some(value))
        };
        if !value(b"http-equiv").is_some_and(|what| is(what.trim().as_bytes(), b"refresh")) {
            return;
        }
        let Some((_, address)) = value(b"content").and_then(|content| content.split_once(['=', ';'])) else {
            return;
        };
        let address = address.trim_start();
        let address = match address.get(..4).filter(|start| is(start.as_bytes(), b"url=")) {
            Some(start) => address.get(start.len()..).unwrap_or_default(),
            None => address,
        };
        let mut target = String::new();
        entities::decode_into(
            &mut target,
            cut(address.trim_matches(['\'', ' ', '"']), TARGET_OCTETS_MAX),
        );
        if self.page.links.len() < LINKS_MAX && !target.is_empty() {
            let shown = String::new();
            let kind = LinkKind::Other;
            self.page.links.push(Link { kind, target, shown });
        }
    }

    fn end_anchor(&mut self) {
        let Some((index, start)) = self.anchor.take() else {
            return;
        };
        let shown = self.page.text.get(start..).unwrap_or_default();
        let shown = cut(shown.trim(), SHOWN_OCTETS_MAX).to_owned();
        if let Some(link) = self.page.links.get_mut(index) {
            link.shown = shown;
        }
    }
}

fn is(name: &[u8], wanted: &[u8]) -> bool {
    name.eq_ignore_ascii_case(wanted)
}

/// At most so many octets, whole characters only.
fn cut(text: &str, octets_max: usize) -> &str {
    text.get(..text.floor_char_boundary(octets_max)).unwrap_or(text)
}

/// A tag's name as a number: names that differ within eight letters differ, longer ones are none that hide.
fn key(name: &[u8]) -> u64 {
    let fold = |key: u64, octet: &u8| key << 8 | u64::from(octet.to_ascii_lowercase());
    name.iter().take(8).fold(0, fold)
}

/// Tags that part what stands before them from what stands behind.
fn is_block(name: &[u8]) -> bool {
    const BLOCKS: [&[u8]; 24] = [
        b"p",
        b"br",
        b"div",
        b"td",
        b"th",
        b"tr",
        b"table",
        b"li",
        b"ul",
        b"ol",
        b"h1",
        b"h2",
        b"h3",
        b"h4",
        b"h5",
        b"h6",
        b"hr",
        b"blockquote",
        b"pre",
        b"center",
        b"body",
        b"title",
        b"option",
        b"dd",
    ];
    BLOCKS.iter().any(|block| is(name, block))
}

/// Tags that never have an end tag.
fn is_void(name: &[u8]) -> bool {
    const VOID: [&[u8]; 10] = [
        b"br", b"img", b"hr", b"input", b"meta", b"link", b"base", b"area", b"col", b"wbr",
    ];
    VOID.iter().any(|void| is(name, void))
}
