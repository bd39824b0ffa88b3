//! Texts and links of a page, put together from its tokens.

use super::links::{add_shown, shown, thin};
use super::names::*;
use super::sheet::Sheet;
use super::style::{Look, Style};
use super::tokens::{self, Attribute, Sink, Tag};
use super::tree::{Space, Tree};
use super::{DEPTH_MAX, LINKS_MAX, Link, LinkKind, Page};
use html5gum::State;
use std::borrow::Cow;

/// How a page is read. What only its end tells makes another reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reading {
    /// Elements may lie over others.
    pub moves_page: bool,
    /// A `<body>` behind its own content may say what colours that has.
    pub has_late_canvas: bool,
    /// A style sheet is loaded.
    pub has_foreign_sheet: bool,
    /// `<select>` takes options only. Of what was found: it matters.
    pub is_select_old: bool,
}

/// Links that are open around the one that is.
const OUTER_MAX: usize = 16;

/// A link that is open.
struct Anchor {
    /// Its element in the tree; 0 for one of SVG, MathML or Outlook, which ends at the next tag of a link.
    element: u32,
    /// Which.
    link: usize,
    /// Where its text begins.
    from: usize,
    /// What Outlook shows for it, up to where, if that is something else.
    other: Option<(String, usize)>,
    marks: usize,
}

impl Anchor {
    /// What is shown up to here is noted for Outlook, and something that only Outlook shows.
    fn add_other(&mut self, text: &str, also: &str) {
        let (shown, at) = self.other.get_or_insert_with(|| (String::new(), self.from));
        for part in [text.get(*at..).unwrap_or_default(), also] {
            add_shown(shown, part);
        }
        *at = text.len();
    }
}

pub(super) struct Reader<'a> {
    page: Page,
    /// What only some programs show.
    other: String,
    tree: Tree,
    sheet: &'a Sheet,
    reading: Reading,
    found: Reading,
    /// The link that is open, and that which only Outlook knows.
    anchor: Option<Anchor>,
    outlook: Option<Anchor>,
    /// Links around it, the innermost last: cells and the like hold links of their own.
    outer: Vec<Anchor>,
    /// The form that is open, and its button whose text stands here.
    form: Option<usize>,
    button: Option<Anchor>,
    /// In a page within a page: it ended a link that is open around it.
    ends_outer: bool,
    depth: usize,
    /// Which names of tags were there, a bit for each that means something.
    seen: u128,
}

impl<'a> Reader<'a> {
    /// Reads a page, and tells how it should have been read.
    pub fn read(html: &str, sheet: &'a Sheet, reading: Reading) -> (Page, Reading) {
        let mut root = Look::default();
        if reading.has_late_canvas {
            root = root.with(&Style::colourless());
        }
        if reading.moves_page {
            root = root.covered();
        }
        let mut reader = Reader::new(sheet, reading, root, 0);
        reader.page.text.reserve(html.len() / 2);
        tokens::read(html, &mut reader);
        while reader.anchor.is_some() {
            reader.end_anchor();
        }
        reader.end_outlook();
        reader.end_button();
        reader.found.is_select_old = reader.tree.select_matters;
        if !reader.other.is_empty() {
            reader.page.text.push('\n');
            reader.page.text.push_str(&reader.other);
        }
        (reader.page, reader.found)
    }

    fn new(sheet: &'a Sheet, reading: Reading, root: Look, depth: usize) -> Reader<'a> {
        Reader {
            page: Page::default(),
            other: String::new(),
            tree: Tree::new(root, reading.is_select_old),
            sheet,
            reading,
            found: reading,
            anchor: None,
            outlook: None,
            outer: Vec::new(),
            form: None,
            button: None,
            ends_outer: false,
            depth,
            seen: 0,
        }
    }

    fn out(&mut self, look: Look) -> &mut String {
        match look.is_hidden() || self.tree.is_in_template() {
            true => &mut self.page.hidden,
            false => &mut self.page.text,
        }
    }

    /// Reads a page within the page, which only some programs show.
    fn within(&mut self, html: &str) {
        if self.depth >= DEPTH_MAX || html.trim().is_empty() {
            return;
        }
        let mut inner = Reader::new(self.sheet, self.reading, Look::default().shown(), self.depth + 1);
        tokens::read(html, &mut inner);
        let inner_anchor = inner.anchor.take().or(inner.outlook.take());
        let shown = inner.page.text;
        if inner.ends_outer {
            self.end_outlook();
        }
        for anchor in [&mut self.anchor, &mut self.outlook, &mut self.button]
            .into_iter()
            .flatten()
        {
            anchor.add_other(&self.page.text, &shown);
        }
        let first = self.page.links.len();
        self.page.links.extend(inner.page.links);
        self.page.is_cut |= inner.page.is_cut;
        if let Some(mut anchor) = inner_anchor {
            anchor.add_other(&shown, "");
            self.end_outlook();
            self.outlook = Some(Anchor {
                element: 0,
                link: first + anchor.link,
                from: self.page.text.len(),
                other: anchor.other.map(|(text, _)| (text, self.page.text.len())),
                marks: 0,
            });
        }
        self.make_room();
        for text in [shown, inner.other] {
            if !text.trim().is_empty() {
                self.other.push('\n');
                self.other.push_str(&text);
            }
        }
        self.page.hidden.push_str(&inner.page.hidden);
        self.page.asks_password |= inner.page.asks_password;
        self.page.base = self.page.base.take().or(inner.page.base);
        self.found.moves_page |= inner.found.moves_page;
        for tag in inner.page.tags {
            self.remember(tag.as_bytes());
        }
    }

    /// What `<html>` and `<body>` say of the page, if they come before it; otherwise it is read again. Webmails put a page
    /// into one of their own, and some leave out what these say.
    fn canvas(&mut self, style: &Style) {
        let style = style.if_kept();
        if style == Style::default() || self.reading.has_late_canvas || self.depth > 0 {
            return;
        }
        let is_blank = |text: &str| text.trim().is_empty();
        if self.tree.is_empty() && is_blank(&self.page.text) && is_blank(&self.page.hidden) {
            self.tree.set_root(self.tree.root().with(&style));
        } else {
            self.found.has_late_canvas = true;
        }
    }

    /// Notes the name of a tag, unless it was there before.
    fn remember(&mut self, name: &[u8]) {
        const NAMES_MAX: usize = 64;
        const NAME_OCTETS_MAX: usize = 16;
        let is_known = |tag: &String| tag.as_bytes() == name;
        if self.page.tags.len() < NAMES_MAX && name.len() <= NAME_OCTETS_MAX && !self.page.tags.iter().any(is_known) {
            self.page.tags.push(String::from_utf8_lossy(name).into_owned());
        }
    }

    fn push_link(&mut self, kind: LinkKind, target: &str) -> usize {
        self.make_room();
        self.page.links.push(Link::new(kind, target));
        self.page.links.len() - 1
    }

    /// There shall be room for another link.
    fn make_room(&mut self) {
        if self.page.links.len() < LINKS_MAX {
            return;
        }
        let anchors = [&mut self.anchor, &mut self.outlook, &mut self.button]
            .into_iter()
            .flatten();
        let anchors = anchors.chain(&mut self.outer);
        let mut places: Vec<&mut usize> = anchors.map(|anchor| &mut anchor.link).chain(&mut self.form).collect();
        self.page.is_cut |= thin(&mut self.page.links, &mut places);
    }

    fn begin_anchor(&self, link: usize) -> Anchor {
        Anchor {
            element: 0,
            link,
            from: self.page.text.len(),
            other: None,
            marks: self.tree.marks(),
        }
    }

    /// What a start tag leads to.
    fn links(&mut self, tag: &Tag, name: Name, is_foreign: bool) {
        if is_foreign || name == MATH {
            return self.foreign_links(tag, name);
        }
        let (kind, attributes): (_, &[Attribute]) = match name {
            A | AREA => (LinkKind::Anchor, &[Attribute::Href]),
            IMG | IMAGE => (LinkKind::Image, &[Attribute::Src]),
            FORM => (LinkKind::Form, &[Attribute::Action]),
            INPUT | BUTTON => (LinkKind::Form, &[Attribute::FormAction]),
            BODY | TABLE | TR | TD | TH => (LinkKind::Image, &[Attribute::Background]),
            LINK | BASE => (LinkKind::Other, &[Attribute::Href]),
            IFRAME | SCRIPT | FRAME | EMBED => (LinkKind::Other, &[Attribute::Src]),
            OBJECT => (LinkKind::Other, &[Attribute::Data]),
            META => return self.refresh(tag),
            _ if tag.text().starts_with(b"v:") => return self.vml(tag),
            _ => return,
        };
        let target = attributes.iter().find_map(|attribute| tag.get(*attribute));
        if name == BASE && self.page.base.is_none() {
            self.page.base = target.map(|target| Link::new(LinkKind::Other, target).target);
        }
        let link = target.map(|target| self.push_link(kind, target));
        match name {
            A => self.anchor = link.map(|link| self.begin_anchor(link)),
            FORM if link.is_some() => self.form = link,
            INPUT | BUTTON => self.submit(tag, name, link),
            _ => {}
        }
    }

    /// A button that sends a form: what stands on it is shown for where that goes.
    fn submit(&mut self, tag: &Tag, name: Name, own: Option<usize>) {
        let kind = tag.get(Attribute::Type).unwrap_or_default();
        let is = |wanted: &str| kind.eq_ignore_ascii_case(wanted);
        let (is_button, sends) = match name {
            BUTTON => (true, !is("button") && !is("reset")),
            _ => (false, is("submit") || is("image")),
        };
        self.end_button();
        let Some(link) = own.or(self.form).filter(|_| sends) else {
            return;
        };
        if is_button {
            self.button = Some(self.begin_anchor(link));
        } else if let Some(text) = tag.get(Attribute::Value).or(tag.get(Attribute::Alt)) {
            self.add_label(link, shown(text));
        }
    }

    fn end_button(&mut self) {
        let Some(mut button) = self.button.take() else { return };
        let text = shown(self.page.text.get(button.from..).unwrap_or_default());
        if button.other.is_some() {
            button.add_other(&self.page.text, "");
        }
        let other = button
            .other
            .map(|(text, _)| shown(&text))
            .filter(|other| *other != text);
        self.add_label(button.link, text);
        self.add_label(button.link, other.unwrap_or_default());
    }

    /// A form may have several buttons.
    fn add_label(&mut self, link: usize, text: String) {
        let Some(form) = self.page.links.get_mut(link).filter(|_| !text.is_empty()) else {
            return;
        };
        if form.shown.is_empty() {
            form.shown = text;
        } else if form.shown != text {
            let (kind, target) = (form.kind, form.target.clone());
            let at = self.push_link(kind, &target);
            if let Some(form) = self.page.links.get_mut(at) {
                form.shown = text;
            }
        }
    }

    /// What is said beside links.
    fn extras(&mut self, tag: &Tag, name: Name, style: &Style) {
        let is = |attribute, wanted: &str| {
            tag.get(attribute)
                .is_some_and(|value| value.eq_ignore_ascii_case(wanted))
        };
        match name {
            INPUT if is(Attribute::Type, "password") => self.page.asks_password = true,
            INPUT if is(Attribute::Type, "image") => {
                if let Some(target) = tag.get(Attribute::Src) {
                    self.push_link(LinkKind::Image, target);
                }
            }
            IFRAME => {
                if let Some(html) = tag.get(Attribute::SrcDoc) {
                    self.within(html);
                }
            }
            LINK => {
                let rel = tag.get(Attribute::Rel).unwrap_or_default().to_ascii_lowercase();
                self.found.has_foreign_sheet |= rel.contains("stylesheet") && self.depth == 0;
            }
            _ => {}
        }
        if let Some(text) = tag.get(Attribute::Alt)
            && (name == IMG || name == IMAGE || name == INPUT || name == AREA)
        {
            let look = self.tree.look().with(style);
            let out = self.out(look);
            out.push(' ');
            out.push_str(text);
            out.push(' ');
        }
    }

    /// Pictures and links of SVG, and of MathML, where any element may lead somewhere.
    fn foreign_links(&mut self, tag: &Tag, name: Name) {
        let Some(target) = tag.get(Attribute::Href).or(tag.get(Attribute::XlinkHref)) else {
            return;
        };
        let is_math = name == MATH || self.tree.current().is_some_and(|(_, space)| space == Space::MathMl);
        if name == IMAGE {
            self.push_link(LinkKind::Image, target);
        } else if name == A || is_math {
            let is_within = self.set_aside();
            let link = self.push_link(LinkKind::Anchor, target);
            self.anchor = Some(self.begin_anchor(link));
            let before = if is_within { self.outer.pop() } else { None };
            match before {
                Some(before) if before.element == 0 => self.end(before),
                before => self.keep_around(before),
            }
        }
    }

    /// Shapes of Outlook: with an address they are buttons, with a picture they show it.
    fn vml(&mut self, tag: &Tag) {
        if let Some(target) = tag.get(Attribute::Href) {
            self.end_outlook();
            let link = self.push_link(LinkKind::Anchor, target);
            self.outlook = Some(self.begin_anchor(link));
        }
        if let Some(target) = tag.get(Attribute::Src) {
            self.push_link(LinkKind::Image, target);
        }
    }

    /// A page that leads on by itself: `content="0; url=https://..."`.
    fn refresh(&mut self, tag: &Tag) {
        let what = tag.get(Attribute::HttpEquiv).unwrap_or_default();
        let content = tag.get(Attribute::Content).unwrap_or_default();
        if !what.trim().eq_ignore_ascii_case("refresh") {
            return;
        }
        let is_space = |c: char| c.is_ascii_whitespace();
        let is_time = |c: char| c.is_ascii_digit() || c == '.' || c.is_ascii_whitespace();
        let address = content
            .trim_start_matches(is_time)
            .trim_start_matches([';', ','])
            .trim_start_matches(is_space);
        let named = address
            .split_at_checked(3)
            .filter(|(start, _)| start.eq_ignore_ascii_case("url"));
        let named = named.and_then(|(_, rest)| rest.trim_start_matches(is_space).strip_prefix('='));
        let address = named.map_or(address, |rest| rest.trim_start_matches(is_space));
        let quote = address.chars().next().filter(|c| matches!(c, '"' | '\''));
        let address = match quote {
            Some(quote) => address.split(quote).nth(1).unwrap_or_default(),
            None => address.trim_end(),
        };
        if !address.is_empty() {
            self.push_link(LinkKind::Other, address);
        }
    }

    fn end_anchor(&mut self) {
        if let Some(anchor) = self.anchor.take() {
            self.end(anchor);
            self.anchor = self.outer.pop();
        }
    }

    /// Another link begins; whether one is open, which is the last of those around from now on.
    fn set_aside(&mut self) -> bool {
        let before = self.anchor.take();
        let is_within = before.is_some();
        self.outer.extend(before);
        is_within
    }

    /// A link begins within another, which goes on around it.
    fn keep_around(&mut self, before: Option<Anchor>) {
        let Some(before) = before else { return };
        match &self.anchor {
            None => self.anchor = Some(before),
            Some(_) if self.outer.len() < OUTER_MAX => self.outer.push(before),
            Some(_) => self.end(before),
        }
    }

    /// A link has begun in the tree; the one that was open may go on around it, or have ended.
    fn begin_in_tree(&mut self, before: Option<Anchor>) {
        let element = self.tree.newest();
        if let Some(anchor) = &mut self.anchor {
            anchor.element = element;
        }
        match before {
            Some(before) if before.element == 0 || !self.tree.holds(before.element) => self.end(before),
            before => self.keep_around(before),
        }
        self.ends_outer = true;
    }

    fn end_outlook(&mut self) {
        if let Some(anchor) = self.outlook.take() {
            self.end(anchor);
        }
    }

    /// A link ends. If Outlook shows something else for it, it is told of twice.
    fn end(&mut self, mut anchor: Anchor) {
        let text = self.page.text.get(anchor.from..).unwrap_or_default();
        let shown = shown(text);
        if anchor.other.is_some() {
            anchor.add_other(&self.page.text, "");
        }
        let other = anchor.other.map(|(text, _)| self::shown(&text));
        let Some(link) = self.page.links.get_mut(anchor.link) else {
            return;
        };
        let (kind, target) = (link.kind, link.target.clone());
        match other.filter(|other| *other != shown && !other.is_empty()) {
            Some(other) if shown.is_empty() => link.shown = other,
            Some(other) => {
                link.shown = shown;
                let at = self.push_link(kind, &target);
                if let Some(link) = self.page.links.get_mut(at) {
                    link.shown = other;
                }
            }
            None => link.shown = shown,
        }
    }

    /// Links end with their elements; those that have none do not reach out of their cell.
    fn end_left_anchors(&mut self) {
        let marks = self.tree.fewest_marks();
        while let Some(anchor) = &self.anchor {
            let is_open = match anchor.element {
                0 => anchor.marks <= marks,
                element => self.tree.holds(element),
            };
            if is_open {
                return;
            }
            self.end_anchor();
        }
    }
}

impl Sink for Reader<'_> {
    fn text(&mut self, text: &str) {
        let current = self.tree.current();
        match current {
            Some((SCRIPT | STYLE, _)) => return,
            Some((IFRAME | NOEMBED | NOFRAMES, Space::Html)) => return self.within(text),
            // Settings of Office, in conditional comments.
            _ if self.depth > 0 && self.tree.has_open(XML) => return,
            _ => {}
        }
        let is_foreign = self.tree.is_text_foreign();
        let text = match text.contains('\0') {
            true => Cow::Owned(text.replace('\0', if is_foreign { "\u{fffd}" } else { "" })),
            false => Cow::Borrowed(text),
        };
        let is_blank = text.bytes().all(|b| b.is_ascii_whitespace());
        self.tree.text(is_blank);
        if matches!(current, Some((TITLE, Space::Html))) {
            return self.page.hidden.push_str(&text);
        }
        let look = self.tree.look();
        self.out(look).push_str(&text);
    }

    fn start(&mut self, tag: &Tag) -> Option<State> {
        let name = tag.name();
        let bit = name.number().map_or(0, |number| 1 << number);
        if bit == 0 || self.seen & bit == 0 {
            self.seen |= bit;
            self.remember(tag.text());
        }
        let is_foreign = self.tree.stays_foreign(tag);
        let style = Style::of(tag, !is_foreign && name != SVG && name != MATH, self.sheet);
        if name == COL || name == COLGROUP {
            if style != Style::default() {
                self.tree.colour_table();
            }
        } else if name == HTML || name == BODY {
            self.canvas(&style);
        }
        self.found.moves_page |= style.moves_page;
        if name.is_in(PARTING) {
            let look = self.tree.look();
            self.out(look).push('\n');
        }
        let is_link = name == A && !is_foreign;
        let is_within = is_link && self.set_aside();
        self.links(tag, name, is_foreign || name == MATH);
        self.extras(tag, name, &style);
        let state = self.tree.start(tag, style);
        if is_link {
            let before = if is_within { self.outer.pop() } else { None };
            self.begin_in_tree(before);
        }
        self.end_left_anchors();
        state
    }

    fn end(&mut self, tag: &Tag) {
        let name = tag.name();
        if name == A {
            if self.anchor.is_none() {
                self.ends_outer = true;
            }
            if self.anchor.as_ref().is_some_and(|anchor| anchor.element == 0) {
                self.end_anchor();
            }
        } else if name == BUTTON {
            self.end_button();
        } else if name == FORM {
            self.end_button();
            self.form = None;
        } else if tag.text().starts_with(b"v:") {
            self.end_outlook();
        }
        self.tree.end(name);
        self.end_left_anchors();
        if name.is_in(PARTING) {
            let look = self.tree.look();
            self.out(look).push('\n');
        }
    }

    fn comment(&mut self, text: &str, is_open: bool) {
        if let Some(inside) = conditional(text) {
            self.within(inside);
        } else if is_open {
            // Programs differ in what they show of a comment that never ends.
            self.within(text.split_once('>').map_or("", |(_, rest)| rest));
        }
    }

    fn is_in_foreign_content(&self) -> bool {
        self.tree.is_in_foreign_content()
    }
}

/// What stands in `<!--[if mso]> ... <![endif]-->`, whatever the condition.
fn conditional(comment: &str) -> Option<&str> {
    let rest = comment.trim_start();
    let is_if = rest.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("[if"));
    let (_, inside) = rest.split_once(']').filter(|_| is_if)?;
    let inside = inside.trim_start().strip_prefix('>')?;
    Some(inside.strip_suffix("<![endif]").unwrap_or(inside))
}
