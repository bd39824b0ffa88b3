//! Which elements are open, as tree construction has it (WHATWG HTML §13.2.6), without a tree.
//!
//! What a tag means depends on what is open: `<title>` hides markup in HTML and not in SVG, `<p>` closes another, text in
//! a table stands before it, a formatting element that was closed by mistake goes on. Scripting is off. So what is kept
//! is the stack of open elements with their looks, and the list of formatting elements.
//!
//! All is bounded: past [`OPEN_MAX`] open elements the outermost is forgotten, and so is the oldest formatting element
//! past [`FORMATTING_MAX`]; from then on nothing is said to be hidden. A token costs no more than one walk over the stack.

mod insert;

use super::OPEN_MAX;
use super::names::*;
use super::style::{Look, Style};
use super::tokens::{Attribute, Tag};
use html5gum::State;
use std::collections::VecDeque;

/// Formatting elements that are remembered.
const FORMATTING_MAX: usize = 24;
/// The same with the marks that cells and the like put between them.
const LIST_MAX: usize = 320;
/// Like ones that go on behind what closed them: "Noah's Ark".
const ALIKE_MAX: usize = 3;
/// The adoption agency takes a formatting element out of so many blocks.
const ADOPTED_MAX: usize = 8;
/// Elements that a page may make the walks over the stack and the list pass, and so many more for each token; mail that people
/// write passes twenty a token.
const PASSED_MAX: usize = 2_000_000;
const PASSED_PER_TOKEN: usize = 40;
/// What is remembered from then on.
const OPEN_MAX_THEN: usize = 16;
const FORMATTING_MAX_THEN: usize = 2;
const LIST_MAX_THEN: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Html,
    Svg,
    MathMl,
}

struct Element {
    name: Name,
    space: Space,
    /// HTML may stand in this element of SVG or MathML.
    takes_html: bool,
    /// Text of HTML may stand in this element of MathML.
    takes_text: bool,
    style: Style,
    look: Look,
    /// The number of its formatting element, or 0.
    formatting: u32,
    /// Of a template: whether it is one of columns, which takes nothing else. Its first tag decides.
    is_of_columns: Option<bool>,
}

impl Element {
    fn is(&self, name: Name) -> bool {
        self.name == name && self.space == Space::Html
    }

    fn is_in(&self, set: Set) -> bool {
        self.space == Space::Html && self.name.is_in(set)
    }

    fn is_special(&self) -> bool {
        match self.space {
            Space::Html => self.name.is_in(SPECIAL),
            Space::Svg => self.takes_html,
            Space::MathMl => self.takes_text || self.name == ANNOTATION_XML,
        }
    }

    fn ends_scope(&self) -> bool {
        match self.space {
            Space::Html => self.name.is_in(SCOPE),
            Space::Svg | Space::MathMl => self.is_special(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Listed {
    /// A cell or the like begins: what is before goes on behind it only.
    Mark,
    Formatting {
        name: Name,
        style: Style,
        number: u32,
        is_open: bool,
    },
}

/// The part of a table that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Body,
    Table,
    TableBody,
    Row,
    Cell,
    Caption,
}

pub(super) struct Tree {
    open: VecDeque<Element>,
    list: Vec<Listed>,
    numbers: u32,
    marks: usize,
    fewest_marks: usize,
    templates: usize,
    selects: usize,
    /// What stands outside of all elements.
    root: Look,
    is_form_open: bool,
    may_have_frames: bool,
    has_frames: bool,
    /// More was open than is remembered.
    is_unsure: bool,
    /// How much more the walks may pass.
    passes_left: usize,
    /// Formatting elements up to this number may have been forgotten.
    forgotten: u32,
    open_max: usize,
    formatting_max: usize,
    list_max: usize,
    /// `<select>` takes no other tags than options, as in programs until 2025.
    is_select_old: bool,
    /// It would have mattered whether it does.
    pub select_matters: bool,
}

impl Tree {
    pub fn new(root: Look, is_select_old: bool) -> Tree {
        Tree {
            open: VecDeque::new(),
            list: Vec::new(),
            numbers: 0,
            marks: 0,
            fewest_marks: 0,
            templates: 0,
            selects: 0,
            root,
            is_form_open: false,
            may_have_frames: true,
            has_frames: false,
            is_unsure: false,
            passes_left: PASSED_MAX,
            forgotten: 0,
            open_max: OPEN_MAX,
            formatting_max: FORMATTING_MAX,
            list_max: LIST_MAX,
            is_select_old,
            select_matters: false,
        }
    }

    /// The innermost open element.
    pub fn current(&self) -> Option<(Name, Space)> {
        self.open.back().map(|element| (element.name, element.space))
    }

    pub fn is_in_foreign_content(&self) -> bool {
        self.current().is_some_and(|(_, space)| space != Space::Html)
    }

    /// Whether text here is of SVG or MathML, not of a page within them.
    pub fn is_text_foreign(&self) -> bool {
        let is_foreign = |element: &Element| element.space != Space::Html && !element.takes_html && !element.takes_text;
        self.open.back().is_some_and(is_foreign)
    }

    pub fn is_in_template(&self) -> bool {
        self.templates > 0
    }

    pub fn is_in_select(&self) -> bool {
        self.selects > 0
    }

    /// Whether an element of this name is open.
    pub fn has_open(&self, name: Name) -> bool {
        self.open.iter().any(|element| element.name == name)
    }

    /// The formatting element that was opened last, as a number that no other has.
    pub fn newest(&self) -> u32 {
        self.numbers
    }

    /// Whether a link is open, or goes on behind what closed it. One that was forgotten because too much is open is held to be,
    /// up to the next tag of a link.
    pub fn holds(&self, number: u32) -> bool {
        number <= self.forgotten
            || self.is_listed(number)
            || self.open.iter().any(|element| element.formatting == number)
    }

    /// How many marks are open: a link does not reach out of its cell.
    pub fn marks(&self) -> usize {
        self.marks
    }

    /// The fewest that were open since this was asked last: a cell that begins ends the one before.
    pub fn fewest_marks(&mut self) -> usize {
        std::mem::replace(&mut self.fewest_marks, self.marks)
    }

    fn close_mark(&mut self) {
        self.marks = self.marks.saturating_sub(1);
        self.fewest_marks = self.fewest_marks.min(self.marks);
    }

    /// Nothing but the root is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The look of the root, and of all that has none of its own, from now on.
    pub fn set_root(&mut self, root: Look) {
        self.root = root;
    }

    pub fn root(&self) -> Look {
        self.root
    }

    /// The colours around a table's content are not known: a column has one.
    pub fn colour_table(&mut self) {
        let table = self.open.iter().rposition(|element| element.is(TABLE));
        let Some(table) = table else { return };
        for element in self.open.iter_mut().skip(table) {
            element.style.blur();
        }
        self.look_again(table);
    }

    /// How text looks that stands here.
    pub fn look(&self) -> Look {
        let look = self.look_of_parent(self.open.len(), false);
        if self.is_unsure { look.shown() } else { look }
    }

    /// The look of what stands around an element at a place of the stack. What may not stand in a table is put before it.
    fn look_of_parent(&self, at: usize, is_of_table: bool) -> Look {
        let Some(parent) = at.checked_sub(1).and_then(|at| self.open.get(at)) else {
            return self.root;
        };
        if is_of_table || !parent.is_in(TABLE_LIKE) {
            return parent.look;
        }
        let before = self.open.range(..at).rposition(|element| element.is(TABLE));
        let before = before.and_then(|table| table.checked_sub(1));
        before
            .and_then(|at| self.open.get(at))
            .map_or(self.root, |element| element.look)
    }

    /// The looks from a place on, after something in between has gone.
    fn look_again(&mut self, from: usize) {
        for at in from..self.open.len() {
            let Some((name, style)) = self.open.get(at).map(|element| (element.name, element.style)) else {
                return;
            };
            let look = self.look_of_parent(at, is_of_table(name)).with(&style);
            if let Some(element) = self.open.get_mut(at) {
                element.look = look;
            }
        }
    }

    /// A token comes, for which the stack and the list may be walked over. A page that is made to be costly by that is
    /// remembered less of, and from then on nothing is said to be hidden.
    fn pass(&mut self) {
        let cost = self.open.len() + self.list.len();
        self.passes_left = (self.passes_left + PASSED_PER_TOKEN).saturating_sub(cost);
        if self.passes_left > 0 || self.open_max == OPEN_MAX_THEN {
            return;
        }
        self.is_unsure = true;
        self.forgotten = self.numbers;
        self.open_max = OPEN_MAX_THEN;
        self.formatting_max = FORMATTING_MAX_THEN;
        self.list_max = LIST_MAX_THEN;
        let too_many = self.open.len().saturating_sub(OPEN_MAX_THEN);
        for _ in 0..too_many {
            if let Some(element) = self.open.pop_front() {
                self.gone(&element);
            }
        }
        self.list.clear();
        self.marks = 0;
        self.fewest_marks = 0;
    }

    /// Text is here. Whether it is only blank says much to browsers.
    pub fn text(&mut self, is_blank: bool) {
        self.pass();
        if is_blank {
            return;
        }
        self.may_have_frames = false;
        self.leave_colgroup();
        let takes = |element: &Element| match element.space {
            // Nothing else stands in these.
            Space::Html => !element.name.is_in(const { set(&[TEXTAREA, TITLE, XMP]) }),
            Space::Svg | Space::MathMl => element.takes_html || element.takes_text,
        };
        if self.open.back().is_none_or(takes) {
            self.reconstruct();
        }
    }

    /// A start tag. The answer is how the tokenizer goes on.
    pub fn start(&mut self, tag: &Tag, style: Style) -> Option<State> {
        self.pass();
        let name = tag.name();
        if name == A {
            self.forgotten = 0;
        }
        if self.stays_foreign(tag) {
            self.start_foreign(tag, style);
            return None;
        }
        if self.is_foreign(name) {
            self.break_out();
        }
        self.start_html(tag, name, style)
    }

    /// An end tag.
    pub fn end(&mut self, name: Name) {
        self.pass();
        if name == A {
            self.forgotten = 0;
        }
        if !self.is_in_foreign_content() {
            return self.end_html(name);
        }
        if name == P || name == BR {
            self.break_out();
            return self.end_html(name);
        }
        for at in (0..self.open.len()).rev() {
            match self.open.get(at) {
                Some(element) if element.space == Space::Html => return self.end_html(name),
                Some(element) if element.name == name => return self.pop_to(at),
                _ => {}
            }
        }
    }

    // Foreign content (§13.2.6.5).

    /// Whether a start tag is one of SVG or MathML here.
    pub fn stays_foreign(&self, tag: &Tag) -> bool {
        let has_font = || {
            [Attribute::Color, Attribute::Face, Attribute::Size]
                .into_iter()
                .any(|attribute| tag.has(attribute))
        };
        let name = tag.name();
        self.is_foreign(name) && !name.is_in(BREAKOUT) && !(name == FONT && has_font())
    }

    fn is_foreign(&self, name: Name) -> bool {
        let Some(element) = self.open.back() else { return false };
        match element.space {
            Space::Html => false,
            _ if element.takes_html => false,
            Space::MathMl if element.takes_text => name == MGLYPH || name == MALIGNMARK,
            Space::MathMl if element.name == ANNOTATION_XML => name != SVG,
            Space::MathMl | Space::Svg => true,
        }
    }

    fn start_foreign(&mut self, tag: &Tag, style: Style) {
        let space = self.current().map_or(Space::Html, |(_, space)| space);
        self.push_foreign(tag, space, style);
    }

    fn push_foreign(&mut self, tag: &Tag, space: Space, style: Style) {
        if tag.is_self_closing {
            return;
        }
        let name = tag.name();
        let is_page = |encoding: &str| {
            ["text/html", "application/xhtml+xml"]
                .iter()
                .any(|page| encoding.eq_ignore_ascii_case(page))
        };
        let takes_html = match space {
            Space::Svg => name.is_in(const { set(&[FOREIGN_OBJECT, DESC, TITLE]) }),
            Space::MathMl => name == ANNOTATION_XML && tag.get(Attribute::Encoding).is_some_and(is_page),
            Space::Html => false,
        };
        let takes_text = space == Space::MathMl && name.is_in(const { set(&[MI, MO, MN, MS, MTEXT]) });
        // Programs differ in what leads out of annotations that hold a page.
        self.is_unsure |= takes_html && space == Space::MathMl;
        self.push_element(name, space, style);
        if let Some(element) = self.open.back_mut() {
            element.takes_html = takes_html;
            element.takes_text = takes_text;
            // Shapes may lie behind what stands in a picture.
            element.look = element.look.covered();
        }
    }

    fn break_out(&mut self) {
        let is_left = |element: &Element| element.space != Space::Html && !element.takes_html && !element.takes_text;
        while self.open.back().is_some_and(is_left) {
            self.pop();
        }
    }

    // The stack.

    fn push(&mut self, name: Name, style: Style) {
        self.push_element(name, Space::Html, style);
    }

    fn push_element(&mut self, name: Name, space: Space, style: Style) {
        if self.open.len() >= self.open_max {
            self.is_unsure = true;
            if let Some(element) = self.open.pop_front() {
                self.forgotten = self.forgotten.max(element.formatting);
                self.gone(&element);
            }
        }
        let look = self.look_of_parent(self.open.len(), is_of_table(name)).with(&style);
        if space == Space::Html {
            self.templates += usize::from(name == TEMPLATE);
            self.selects += usize::from(name == SELECT);
        }
        self.open.push_back(Element {
            name,
            space,
            takes_html: false,
            takes_text: false,
            style,
            look,
            formatting: 0,
            is_of_columns: None,
        });
    }

    fn pop(&mut self) {
        if let Some(element) = self.open.pop_back() {
            self.gone(&element);
        }
    }

    /// Closes the element at a place, and all in it.
    fn pop_to(&mut self, at: usize) {
        while self.open.len() > at {
            self.pop();
        }
    }

    /// An element is no longer open.
    fn gone(&mut self, element: &Element) {
        if element.is(TEMPLATE) {
            self.templates = self.templates.saturating_sub(1);
        } else if element.is(SELECT) {
            self.selects = self.selects.saturating_sub(1);
        }
        if element.formatting == 0 {
            return;
        }
        for listed in self.list.iter_mut().rev() {
            if let Listed::Formatting { number, is_open, .. } = listed
                && *number == element.formatting
            {
                *is_open = false;
                return;
            }
        }
    }

    /// Where the innermost of some elements stands, if nothing on the way to it ends the scope.
    fn in_scope(&self, is_wanted: impl Fn(&Element) -> bool, ends: impl Fn(&Element) -> bool) -> Option<usize> {
        for (at, element) in self.open.iter().enumerate().rev() {
            if is_wanted(element) {
                return Some(at);
            }
            if ends(element) {
                return None;
            }
        }
        None
    }

    fn in_usual_scope(&self, wanted: Set) -> Option<usize> {
        self.in_scope(|element| element.is_in(wanted), Element::ends_scope)
    }

    fn in_table_scope(&self, wanted: Set) -> Option<usize> {
        self.in_scope(
            |element| element.is_in(wanted),
            |element| element.is_in(const { set(&[HTML, TABLE, TEMPLATE]) }),
        )
    }

    fn close_paragraph(&mut self) {
        if let Some(at) = self.in_scope(
            |element| element.is(P),
            |element| element.is(BUTTON) || element.ends_scope(),
        ) {
            self.pop_to(at);
        }
    }

    /// Closes what needs no end tag.
    fn close_implied(&mut self, but: Name) {
        while self
            .open
            .back()
            .is_some_and(|element| element.is_in(IMPLIED) && element.name != but)
        {
            self.pop();
        }
    }

    // Formatting elements (§13.2.4.3).

    fn mark(&mut self) {
        self.marks += 1;
        self.list_add(Listed::Mark);
    }

    fn list_add(&mut self, listed: Listed) {
        if self.list.len() >= self.list_max {
            self.is_unsure = true;
            match self.list.remove(0) {
                Listed::Mark => self.close_mark(),
                Listed::Formatting { number, .. } => self.forgotten = self.forgotten.max(number),
            }
        }
        self.list.push(listed);
    }

    fn clear_to_mark(&mut self) {
        while let Some(listed) = self.list.pop() {
            if matches!(listed, Listed::Mark) {
                self.close_mark();
                return;
            }
        }
    }

    /// Where the list goes on behind its last mark.
    fn list_start(&self) -> usize {
        let mark = self.list.iter().rposition(|listed| matches!(listed, Listed::Mark));
        mark.map_or(0, |at| at + 1)
    }

    fn listed(&self, wanted: Name) -> Option<usize> {
        let start = self.list_start();
        let is = |listed: &Listed| matches!(listed, Listed::Formatting { name, .. } if *name == wanted);
        self.list
            .get(start..)
            .unwrap_or_default()
            .iter()
            .rposition(is)
            .map(|at| start + at)
    }

    /// Opens a formatting element.
    fn push_formatting(&mut self, name: Name, style: Style) {
        self.reconstruct();
        let start = self.list_start();
        let behind = self.list.get(start..).unwrap_or_default();
        let is_alike = |listed: &&Listed| matches!(listed, Listed::Formatting { name: other, style: others, .. } if *other == name && *others == style);
        if behind.iter().filter(is_alike).count() >= ALIKE_MAX
            && let Some(at) = behind.iter().position(|listed| is_alike(&listed))
        {
            self.list.remove(start + at);
        } else if behind.len() >= self.formatting_max {
            self.is_unsure = true;
            if let Listed::Formatting { number, .. } = self.list.remove(start) {
                self.forgotten = self.forgotten.max(number);
            }
        }
        self.numbers = self.numbers.wrapping_add(1).max(1);
        self.list_add(Listed::Formatting {
            name,
            style,
            number: self.numbers,
            is_open: true,
        });
        self.push(name, style);
        if let Some(element) = self.open.back_mut() {
            element.formatting = self.numbers;
        }
    }

    /// Opens formatting elements again that were closed by mistake.
    fn reconstruct(&mut self) {
        let is_closed = |listed: &Listed| matches!(listed, Listed::Formatting { is_open: false, .. });
        let closed = self.list.iter().rev().take_while(|listed| is_closed(listed)).count();
        for at in self.list.len() - closed..self.list.len() {
            let Some(Listed::Formatting {
                name,
                style,
                number,
                is_open,
            }) = self.list.get_mut(at)
            else {
                return;
            };
            let (name, style, number) = (*name, *style, *number);
            *is_open = true;
            self.push(name, style);
            if let Some(element) = self.open.back_mut() {
                element.formatting = number;
            }
        }
    }

    /// The end tag of a formatting element: what the adoption agency (§13.2.6.4.7) leaves open. Blocks stay open, and
    /// the formatting element is gone from around them.
    fn end_formatting(&mut self, name: Name) {
        if let Some(element) = self.open.back()
            && element.is(name)
            && !self.is_listed(element.formatting)
        {
            return self.pop();
        }
        let Some(listed) = self.listed(name) else {
            return self.end_other(name);
        };
        let Some(Listed::Formatting { number, is_open, .. }) = self.list.get(listed).copied() else {
            return;
        };
        let at = self.open.iter().rposition(|element| element.formatting == number);
        let Some(at) = at.filter(|_| is_open) else {
            self.list.remove(listed);
            return;
        };
        if self.open.range(at + 1..).any(Element::ends_scope) {
            return;
        }
        self.list.remove(listed);
        let specials = self.open.range(at + 1..).filter(|element| element.is_special()).count();
        let Some(last) = self.open.range(at + 1..).rposition(Element::is_special) else {
            return self.pop_to(at);
        };
        self.pop_to(at + 1 + last + 1);
        let mut formatting = 0;
        let mut place = 0;
        self.open.retain(|element| {
            place += 1;
            formatting += usize::from(place > at + 1 && element.formatting != 0);
            place <= at || element.is_special() || element.formatting != 0 && element.formatting != number
        });
        // Past these the standard leaves some open that are closed here, or the other way round.
        self.is_unsure |= specials > ADOPTED_MAX || formatting > ALIKE_MAX;
        if specials > ADOPTED_MAX {
            // It goes on in the innermost block.
            let style = Style::default();
            self.list_add(Listed::Formatting {
                name,
                style,
                number,
                is_open: false,
            });
        }
        self.look_again(at);
    }

    fn is_listed(&self, wanted: u32) -> bool {
        let is = |listed: &Listed| matches!(listed, Listed::Formatting { number, .. } if *number == wanted);
        wanted != 0 && self.list.iter().rev().any(is)
    }
}

/// Whether an element stands in a table as one of its own.
fn is_of_table(name: Name) -> bool {
    name.is_in(TABLE_PARTS) || name.is_in(const { set(&[TEMPLATE, SCRIPT, STYLE, FORM]) })
}
