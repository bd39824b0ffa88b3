//! What tags open and close in HTML, mode by mode (WHATWG HTML §13.2.6.4).

use super::super::names::*;
use super::super::style::Style;
use super::super::tokens::{Attribute, Tag};
use super::{Element, Mode, Space, Tree};
use html5gum::State;

impl Tree {
    pub(super) fn start_html(&mut self, tag: &Tag, name: Name, style: Style) -> Option<State> {
        if self.has_frames {
            return (name == NOFRAMES).then(|| self.push_raw(name, style, State::RawText));
        }
        if self.is_in_select() {
            let is_raw = const { set(&[TITLE, STYLE, XMP, IFRAME, NOEMBED, NOFRAMES, PLAINTEXT, SVG, MATH]) };
            self.select_matters |= name.is_in(is_raw);
            if self.is_select_old && !self.start_in_old_select(name) {
                return None;
            }
        }
        if !self.is_taken_by_template(name) {
            return None;
        }
        let is_hidden_input = name == INPUT
            && tag
                .get(Attribute::Type)
                .is_some_and(|kind| kind.eq_ignore_ascii_case("hidden"));
        if name.is_in(NO_FRAMES) && !is_hidden_input {
            self.may_have_frames = false;
        }
        if name != COL && name != TEMPLATE {
            self.leave_colgroup();
        }
        if name.is_in(TABLE_PARTS) {
            self.start_of_table(name, style);
            return None;
        }
        match name {
            HTML | BODY | HEAD | FRAME => {}
            FRAMESET => {
                if self.may_have_frames && !self.is_in_template() {
                    self.pop_to(0);
                    self.has_frames = true;
                }
            }
            TITLE | TEXTAREA => return Some(self.push_raw(name, style, State::RcData)),
            STYLE | IFRAME | NOEMBED | NOFRAMES => return Some(self.push_raw(name, style, State::RawText)),
            SCRIPT => return Some(self.push_raw(name, style, State::ScriptData)),
            XMP => {
                self.close_paragraph();
                self.reconstruct();
                return Some(self.push_raw(name, style, State::RawText));
            }
            PLAINTEXT => {
                self.close_paragraph();
                return Some(self.push_raw(name, style, State::PlainText));
            }
            SVG | MATH => {
                self.reconstruct();
                let space = if name == SVG { Space::Svg } else { Space::MathMl };
                self.push_foreign(tag, space, style);
            }
            _ => self.start_in_body(name, style),
        }
        None
    }

    /// Whether a template that stands here takes a start tag.
    fn is_taken_by_template(&mut self, name: Name) -> bool {
        let is_of_any = name.is_in(
            const {
                set(&[
                    BASE, BASEFONT, BGSOUND, LINK, META, NOFRAMES, SCRIPT, STYLE, TEMPLATE, TITLE,
                ])
            },
        );
        match self.open.back_mut() {
            Some(template) if template.is(TEMPLATE) && name != HTML => match template.is_of_columns {
                Some(true) => name == COL || name == TEMPLATE,
                None if !is_of_any => {
                    template.is_of_columns = Some(name == COL);
                    true
                }
                _ => true,
            },
            _ => true,
        }
    }

    fn push_raw(&mut self, name: Name, style: Style, state: State) -> State {
        self.push(name, style);
        state
    }

    fn start_in_body(&mut self, name: Name, style: Style) {
        match name {
            FORM => return self.start_form(style),
            TEMPLATE => self.mark(),
            APPLET | MARQUEE | OBJECT => {
                self.reconstruct();
                self.mark();
            }
            BUTTON => {
                if let Some(at) = self.in_usual_scope(const { set(&[BUTTON]) }) {
                    self.pop_to(at);
                }
                self.reconstruct();
            }
            SELECT | INPUT | OPTION | OPTGROUP | HR => {
                if self.start_of_select(name) {
                    return;
                }
            }
            A => {
                if self.listed(A).is_some() {
                    self.end_formatting(A);
                }
                return self.push_formatting(name, style);
            }
            NOBR => {
                self.reconstruct();
                if self.in_usual_scope(const { set(&[NOBR]) }).is_some() {
                    self.end_formatting(NOBR);
                }
                return self.push_formatting(name, style);
            }
            LI => self.close_items(const { set(&[LI]) }),
            DD | DT => self.close_items(const { set(&[DD, DT]) }),
            RB | RTC if self.in_usual_scope(const { set(&[RUBY]) }).is_some() => self.close_implied(Name::default()),
            RP | RT if self.in_usual_scope(const { set(&[RUBY]) }).is_some() => self.close_implied(RTC),
            BASE | BASEFONT | BGSOUND | LINK | META | PARAM | SOURCE | TRACK | NOSCRIPT => {}
            _ if name.is_in(FORMATTING) => return self.push_formatting(name, style),
            _ if name.is_in(HEADINGS) => {
                self.close_paragraph();
                if self.open.back().is_some_and(|element| element.is_in(HEADINGS)) {
                    self.pop();
                }
            }
            _ if name.is_in(BLOCKS) => self.close_paragraph(),
            P => self.close_paragraph(),
            _ => self.reconstruct(),
        }
        if !name.is_in(VOID) {
            self.push(name, style);
        }
    }

    /// What `<select>` and its options close. True if the tag opens nothing itself.
    fn start_of_select(&mut self, name: Name) -> bool {
        let select = self.in_usual_scope(const { set(&[SELECT]) });
        let is_option = self.open.back().is_some_and(|element| element.is(OPTION));
        match name {
            SELECT | INPUT => {
                if let Some(at) = select {
                    self.pop_to(at);
                    if name == SELECT {
                        return true;
                    }
                }
            }
            OPTION if select.is_some() => self.close_implied(OPTGROUP),
            OPTGROUP if select.is_some() => self.close_implied(Name::default()),
            OPTION | OPTGROUP if is_option => self.pop(),
            HR => {
                self.close_paragraph();
                if select.is_some() {
                    self.close_implied(Name::default());
                }
                return true;
            }
            _ => {}
        }
        self.reconstruct();
        false
    }

    /// In a select as it was until 2025 most tags are nothing. True if this one goes on.
    fn start_in_old_select(&mut self, name: Name) -> bool {
        match name {
            OPTION | OPTGROUP | SELECT | SCRIPT | TEMPLATE | HR => true,
            INPUT | KEYGEN | TEXTAREA => {
                self.end_select();
                true
            }
            _ if name.is_in(TABLE_PARTS) && self.mode() != Mode::Body => {
                self.end_select();
                true
            }
            _ => false,
        }
    }

    fn end_select(&mut self) {
        if let Some(at) = self.open.iter().rposition(|element| element.is(SELECT)) {
            self.pop_to(at);
        }
    }

    fn start_form(&mut self, style: Style) {
        if self.is_form_open && !self.is_in_template() {
            return;
        }
        let is_in_table = matches!(self.mode(), Mode::Table | Mode::TableBody | Mode::Row);
        self.is_form_open |= !self.is_in_template();
        // A form that begins between the cells of a table holds nothing.
        if !is_in_table {
            self.close_paragraph();
            self.push(FORM, style);
        }
    }

    /// An item ends the one before.
    fn close_items(&mut self, items: Set) {
        let ends = |element: &Element| element.is_special() && !element.is_in(const { set(&[ADDRESS, DIV, P]) });
        if let Some(at) = self.in_scope(|element| element.is_in(items), ends) {
            self.pop_to(at);
        }
        self.close_paragraph();
    }

    // Tables.

    fn mode(&self) -> Mode {
        for element in self.open.iter().rev().filter(|element| element.space == Space::Html) {
            return match element.name {
                TD | TH => Mode::Cell,
                TR => Mode::Row,
                TBODY | THEAD | TFOOT => Mode::TableBody,
                CAPTION => Mode::Caption,
                TABLE | COLGROUP => Mode::Table,
                TEMPLATE => Mode::Body,
                _ => continue,
            };
        }
        Mode::Body
    }

    pub(super) fn leave_colgroup(&mut self) {
        if self.open.back().is_some_and(|element| element.is(COLGROUP)) {
            self.pop();
        }
    }

    /// Closes what stands in the innermost of some elements.
    fn clear_to(&mut self, context: Set) {
        let keeps = |element: &Element| element.is_in(context) || element.is(TEMPLATE);
        while self.open.back().is_some_and(|element| !keeps(element)) {
            self.pop();
        }
    }

    /// A part of a table. Each turn of the loop closes a level of the table that is open.
    fn start_of_table(&mut self, name: Name, style: Style) {
        let levels = const { set(&[TBODY, TFOOT, THEAD]) };
        loop {
            match self.mode() {
                Mode::Body => return self.start_table(name, style),
                Mode::Cell | Mode::Caption if name == TABLE => return self.start_table(name, style),
                Mode::Cell => self.close(const { set(&[TD, TH]) }, true),
                Mode::Caption => self.close(const { set(&[CAPTION]) }, true),
                Mode::Row if name == TD || name == TH => {
                    self.clear_to(const { set(&[TR]) });
                    self.push(name, style);
                    return self.mark();
                }
                Mode::Row => self.close(const { set(&[TR]) }, false),
                Mode::TableBody if name == TR => {
                    self.clear_to(levels);
                    return self.push(TR, style);
                }
                Mode::TableBody if name == TD || name == TH => {
                    self.clear_to(levels);
                    self.push(TR, Style::default());
                }
                Mode::TableBody => self.close(levels, false),
                Mode::Table if name == TABLE => self.close(const { set(&[TABLE]) }, false),
                Mode::Table if name == COL => return self.clear_to(const { set(&[TABLE, COLGROUP]) }),
                Mode::Table => {
                    self.clear_to(const { set(&[TABLE]) });
                    if name == CAPTION {
                        self.mark();
                    }
                    if name == CAPTION || name == COLGROUP || name.is_in(levels) {
                        return self.push(name, style);
                    }
                    self.push(TBODY, Style::default());
                }
            }
        }
    }

    /// A table where none is open; its parts are nothing there.
    fn start_table(&mut self, name: Name, mut style: Style) {
        if name != TABLE {
            return;
        }
        // A page without a doctype has the table within the paragraph, another one behind it.
        if self
            .in_scope(
                |element| element.is(P),
                |element| element.is(BUTTON) || element.ends_scope(),
            )
            .is_some()
        {
            self.close_paragraph();
            style = Style::unsure();
        }
        self.push(TABLE, style);
    }

    /// Closes the innermost of some parts of a table, and all in it.
    fn close(&mut self, parts: Set, has_mark: bool) {
        let at = self.open.iter().rposition(|element| element.is_in(parts));
        self.pop_to(at.unwrap_or_default());
        if has_mark {
            self.clear_to_mark();
        }
    }

    // End tags.

    pub(super) fn end_html(&mut self, name: Name) {
        if self.has_frames && name != NOFRAMES {
            return;
        }
        if self.is_select_old && self.is_in_select() && !self.end_in_old_select(name) {
            return;
        }
        if name != COL && name != TEMPLATE {
            self.leave_colgroup();
        }
        match name {
            HTML | BODY | HEAD => {}
            // As if it were a start tag.
            BR => {
                self.may_have_frames = false;
                self.reconstruct();
            }
            TEMPLATE => {
                if let Some(at) = self.open.iter().rposition(|element| element.is(TEMPLATE)) {
                    self.pop_to(at);
                    self.clear_to_mark();
                }
            }
            P => self.close_paragraph(),
            LI => {
                let ends = |element: &Element| element.is_in(const { set(&[OL, UL]) }) || element.ends_scope();
                self.end_at(self.in_scope(|element| element.is(LI), ends));
            }
            FORM if !self.is_in_template() => self.end_form(),
            APPLET | MARQUEE | OBJECT => {
                if let Some(at) = self.in_usual_scope(name.alone()) {
                    self.pop_to(at);
                    self.clear_to_mark();
                }
            }
            _ if name.is_in(TABLE_PARTS) => self.end_of_table(name),
            _ if name.is_in(HEADINGS) => self.end_at(self.in_usual_scope(HEADINGS)),
            DD | DT | FORM | BUTTON | SELECT => self.end_at(self.in_usual_scope(name.alone())),
            _ if name.is_in(BLOCKS) => self.end_at(self.in_usual_scope(name.alone())),
            _ if name.is_in(FORMATTING) => self.end_formatting(name),
            _ => self.end_other(name),
        }
    }

    fn end_at(&mut self, at: Option<usize>) {
        if let Some(at) = at {
            self.pop_to(at);
        }
    }

    fn end_in_old_select(&mut self, name: Name) -> bool {
        if name.is_in(TABLE_PARTS) && self.in_table_scope(name.alone()).is_some() {
            self.end_select();
            return true;
        }
        name.is_in(const { set(&[OPTION, OPTGROUP, SELECT, TEMPLATE, SCRIPT]) })
    }

    fn end_form(&mut self) {
        if !std::mem::take(&mut self.is_form_open) {
            return;
        }
        let Some(at) = self.in_usual_scope(const { set(&[FORM]) }) else {
            return;
        };
        self.close_implied(Name::default());
        // What is open within the form stays so.
        self.open.remove(at);
        self.look_again(at);
    }

    /// A part of a table ends, if it is of the innermost table.
    fn end_of_table(&mut self, name: Name) {
        let Some(at) = self.in_table_scope(name.alone()) else {
            return;
        };
        let has_mark = |element: &Element| element.is_in(const { set(&[TD, TH, CAPTION]) });
        let is_cell_open = self.open.range(at..).any(has_mark);
        if name == COL || name == COLGROUP && self.mode() != Mode::Table {
            return;
        }
        self.pop_to(at);
        if is_cell_open {
            self.clear_to_mark();
        }
    }

    /// Any other end tag closes what has its name, unless something special is open in it.
    pub(super) fn end_other(&mut self, name: Name) {
        let ends = |element: &Element| element.space == Space::Html && element.is_special();
        if let Some(at) = self.in_scope(|element| element.is(name), ends) {
            self.pop_to(at);
        }
    }
}
