//! The tokens of a page, as html5gum finds them (WHATWG HTML §13.2.5), handed on as they come.
//!
//! Of a tag only the attributes that a page is read for are kept, each as it stands first; so a tag with a million
//! attributes costs no more than its octets.

use super::names::Name;
use html5gum::{Emitter, Error, Reader, State, Tokenizer};
use memchr::{memchr, memchr2, memchr3};
use std::cell::Cell;
use std::convert::Infallible;

/// Attributes that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    Action,
    Alt,
    Background,
    BgColor,
    Class,
    Color,
    Content,
    Data,
    Encoding,
    Face,
    FormAction,
    Height,
    Href,
    HttpEquiv,
    Id,
    Rel,
    Size,
    Src,
    SrcDoc,
    Style,
    Text,
    Type,
    Value,
    XlinkHref,
}

impl Attribute {
    const COUNT: usize = Attribute::XlinkHref as usize + 1;

    fn named(name: &[u8]) -> Option<Attribute> {
        Some(match name {
            b"action" => Attribute::Action,
            b"alt" => Attribute::Alt,
            b"background" => Attribute::Background,
            b"bgcolor" => Attribute::BgColor,
            b"class" => Attribute::Class,
            b"color" => Attribute::Color,
            b"content" => Attribute::Content,
            b"data" => Attribute::Data,
            b"encoding" => Attribute::Encoding,
            b"face" => Attribute::Face,
            b"formaction" => Attribute::FormAction,
            b"height" => Attribute::Height,
            b"href" => Attribute::Href,
            b"http-equiv" => Attribute::HttpEquiv,
            b"id" => Attribute::Id,
            b"rel" => Attribute::Rel,
            b"size" => Attribute::Size,
            b"src" => Attribute::Src,
            b"srcdoc" => Attribute::SrcDoc,
            b"style" => Attribute::Style,
            b"text" => Attribute::Text,
            b"type" => Attribute::Type,
            b"value" => Attribute::Value,
            b"xlink:href" => Attribute::XlinkHref,
            _ => return None,
        })
    }
}

/// A start tag.
#[derive(Debug, Default)]
pub(super) struct Tag {
    /// Lower case.
    text: Vec<u8>,
    name: Name,
    /// `<x/>`, which means something in foreign content only.
    pub is_self_closing: bool,
    /// Which attributes are there, a bit for each, and where their values stand.
    present: u32,
    found: [(usize, usize); Attribute::COUNT],
    values: Vec<u8>,
}

impl Tag {
    /// Its name as it stands, in lower case.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    pub fn name(&self) -> Name {
        self.name
    }

    /// The value of an attribute, character references decoded.
    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        if !self.has(attribute) {
            return None;
        }
        let (from, to) = *self.found.get(attribute as usize)?;
        let value = self.values.get(from..to)?;
        // A page is a `str`, and html5gum cuts it only between characters.
        Some(std::str::from_utf8(value).unwrap_or_default())
    }

    pub fn has(&self, attribute: Attribute) -> bool {
        self.present >> attribute as u32 & 1 == 1
    }

    /// Whether it has none of the attributes that mean something.
    pub fn is_bare(&self) -> bool {
        self.present == 0
    }

    /// An attribute is there, without a value so far.
    fn begin(&mut self, attribute: Attribute) {
        self.present |= 1 << attribute as u32;
        if let Some(found) = self.found.get_mut(attribute as usize) {
            *found = (self.values.len(), self.values.len());
        }
    }

    /// More of the value of the attribute that stands last.
    fn add(&mut self, attribute: Attribute, text: &[u8]) {
        self.values.extend_from_slice(text);
        if let Some((_, to)) = self.found.get_mut(attribute as usize) {
            *to = self.values.len();
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.is_self_closing = false;
        self.present = 0;
        self.values.clear();
    }
}

/// Who reads the tokens.
pub(super) trait Sink {
    /// Characters that stand together, `\0` among them.
    fn text(&mut self, text: &str);
    /// The answer is how the tokenizer goes on: as the tree would tell it to.
    fn start(&mut self, tag: &Tag) -> Option<State>;
    /// An end tag: its attributes mean nothing.
    fn end(&mut self, tag: &Tag);
    /// Also whatever else the standard takes for a comment: `<![if !mso]>`.
    /// `is_open` if the page ends before it does.
    fn comment(&mut self, text: &str, is_open: bool);
    /// Whether `<![CDATA[` begins what it says.
    fn is_in_foreign_content(&self) -> bool;
}

/// Reads a page to its end.
pub(super) fn read<S: Sink>(html: &str, sink: &mut S) {
    read_from(html, sink, State::Data, None);
}

/// Reads the rest of a page, in the state that a start tag left behind.
pub(super) fn read_from<S: Sink>(html: &str, sink: &mut S, state: State, last_start: Option<&str>) {
    let is_at_end = Cell::new(false);
    let octets = Octets {
        rest: html.as_bytes(),
        is_at_end: &is_at_end,
    };
    let mut tokens = Tokens::new(sink, &is_at_end);
    tokens.set_last_start_tag(last_start.map(str::as_bytes));
    let mut tokenizer = Tokenizer::new_with_emitter(octets, tokens);
    tokenizer.set_state(state);
    // A page in memory is read without fail.
    let Ok(()) = tokenizer.finish();
}

/// A page in memory, which tells when it has come to its end.
struct Octets<'a> {
    rest: &'a [u8],
    is_at_end: &'a Cell<bool>,
}

impl<'a> Octets<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(octets)?;
        self.rest = rest;
        Some(taken)
    }
}

impl Reader for Octets<'_> {
    type Error = Infallible;

    fn read_byte(&mut self) -> Result<Option<u8>, Infallible> {
        let first = self.take(1).and_then(|taken| taken.first().copied());
        if first.is_none() {
            self.is_at_end.set(true);
        }
        Ok(first)
    }

    fn try_read_string(&mut self, wanted: &[u8], is_case_sensitive: bool) -> Result<bool, Infallible> {
        let is_there = self
            .rest
            .get(..wanted.len())
            .is_some_and(|start| match is_case_sensitive {
                true => start == wanted,
                false => start.eq_ignore_ascii_case(wanted),
            });
        if is_there {
            self.take(wanted.len());
        }
        Ok(is_there)
    }

    fn read_until<'b>(&'b mut self, needles: &[u8], _: &'b mut [u8; 4]) -> Result<Option<&'b [u8]>, Infallible> {
        if self.rest.is_empty() {
            self.is_at_end.set(true);
            return Ok(None);
        }
        let window = self.rest.get(..WINDOW).unwrap_or(self.rest);
        let at = find_any(needles, window).unwrap_or(window.len());
        Ok(self.take(at.max(1)))
    }
}

/// So far is looked ahead at one time: were it to the next `<` of all, a page of short lines would cost its square.
const WINDOW: usize = 512;

/// Where the first of some octets stands. There are long runs without any, and very short ones.
fn find_any(needles: &[u8], octets: &[u8]) -> Option<usize> {
    const NEAR: usize = 16;
    let near = octets.get(..NEAR).unwrap_or(octets);
    if let Some(at) = near.iter().position(|octet| needles.contains(octet)) {
        return Some(at);
    }
    let far = octets.get(near.len()..)?;
    // At most twice three octets are looked for at one time, the second time up to where one of the first stands.
    let (first, others) = needles.split_at_checked(3).unwrap_or((needles, &[]));
    let found = |needles: &[u8], octets: &[u8]| match *needles {
        [a] => memchr(a, octets),
        [a, b] => memchr2(a, b, octets),
        [a, b, c] => memchr3(a, b, c, octets),
        _ => octets.iter().position(|octet| needles.contains(octet)),
    };
    let at = found(first, far);
    let before = at.and_then(|at| far.get(..at)).unwrap_or(far);
    let at = match others {
        [] => at,
        others => found(others, before).or(at),
    };
    at.map(|at| near.len() + at)
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Now {
    #[default]
    Start,
    End,
}

/// Where the octets of an attribute go.
#[derive(Debug, Default, Clone, Copy)]
enum Reading {
    #[default]
    Nothing,
    Name,
    Value(Attribute),
    Ignored,
}

/// Puts tokens together for a [`Sink`].
pub(super) struct Tokens<'a, S> {
    sink: &'a mut S,
    text: Vec<u8>,
    comment: Vec<u8>,
    tag: Tag,
    now: Now,
    reading: Reading,
    attribute: Vec<u8>,
    last_start: Vec<u8>,
    is_at_end: &'a Cell<bool>,
}

/// Of an attribute's name so much is kept; all that mean something are shorter.
const ATTRIBUTE_OCTETS_MAX: usize = 16;

impl<'a, S: Sink> Tokens<'a, S> {
    fn new(sink: &'a mut S, is_at_end: &'a Cell<bool>) -> Tokens<'a, S> {
        Tokens {
            sink,
            text: Vec::new(),
            comment: Vec::new(),
            tag: Tag::default(),
            now: Now::Start,
            reading: Reading::Nothing,
            attribute: Vec::new(),
            last_start: Vec::new(),
            is_at_end,
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.sink.text(&String::from_utf8_lossy(&self.text));
            self.text.clear();
        }
    }

    /// The name of an attribute is complete.
    fn begin_value(&mut self) {
        if !matches!(self.reading, Reading::Name) {
            return;
        }
        let attribute = match self.now {
            Now::Start => Attribute::named(&self.attribute),
            Now::End => None,
        };
        self.reading = match attribute {
            Some(attribute) if !self.tag.has(attribute) => {
                self.tag.begin(attribute);
                Reading::Value(attribute)
            }
            _ => Reading::Ignored,
        };
    }
}

impl<S: Sink> Emitter for Tokens<'_, S> {
    type Token = Infallible;

    fn set_last_start_tag(&mut self, name: Option<&[u8]>) {
        self.last_start.clear();
        self.last_start.extend(name.unwrap_or_default());
    }

    fn emit_eof(&mut self) {
        self.flush();
    }

    fn emit_error(&mut self, _: Error) {}

    fn should_emit_errors(&mut self) -> bool {
        false
    }

    fn pop_token(&mut self) -> Option<Infallible> {
        None
    }

    fn emit_string(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    fn init_start_tag(&mut self) {
        self.tag.clear();
        self.now = Now::Start;
        self.reading = Reading::Nothing;
    }

    fn init_end_tag(&mut self) {
        self.tag.clear();
        self.now = Now::End;
        self.reading = Reading::Nothing;
    }

    fn init_comment(&mut self) {
        self.comment.clear();
    }

    fn emit_current_tag(&mut self) -> Option<State> {
        self.begin_value();
        self.reading = Reading::Nothing;
        self.flush();
        self.tag.name = Name::of(&self.tag.text);
        match self.now {
            Now::Start => {
                self.last_start.clone_from(&self.tag.text);
                self.sink.start(&self.tag)
            }
            Now::End => {
                self.sink.end(&self.tag);
                None
            }
        }
    }

    fn emit_current_comment(&mut self) {
        self.flush();
        self.sink
            .comment(&String::from_utf8_lossy(&self.comment), self.is_at_end.get());
    }

    fn emit_current_doctype(&mut self) {}

    fn set_self_closing(&mut self) {
        self.tag.is_self_closing = true;
    }

    fn set_force_quirks(&mut self) {}

    fn push_tag_name(&mut self, text: &[u8]) {
        self.tag.text.extend_from_slice(text);
    }

    fn push_comment(&mut self, text: &[u8]) {
        self.comment.extend_from_slice(text);
    }

    fn push_doctype_name(&mut self, _: &[u8]) {}

    fn init_doctype(&mut self) {}

    fn init_attribute(&mut self) {
        self.begin_value();
        self.attribute.clear();
        self.reading = Reading::Name;
    }

    fn push_attribute_name(&mut self, text: &[u8]) {
        // What is cut has another name than any that means something, and shall keep it.
        let room = (ATTRIBUTE_OCTETS_MAX + 1).saturating_sub(self.attribute.len());
        self.attribute.extend(text.iter().take(room));
    }

    fn push_attribute_value(&mut self, text: &[u8]) {
        self.begin_value();
        if let Reading::Value(attribute) = self.reading {
            self.tag.add(attribute, text);
        }
    }

    fn set_doctype_public_identifier(&mut self, _: &[u8]) {}

    fn set_doctype_system_identifier(&mut self, _: &[u8]) {}

    fn push_doctype_public_identifier(&mut self, _: &[u8]) {}

    fn push_doctype_system_identifier(&mut self, _: &[u8]) {}

    fn current_is_appropriate_end_tag_token(&mut self) -> bool {
        self.now == Now::End && !self.last_start.is_empty() && self.last_start == self.tag.text
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&mut self) -> bool {
        self.sink.is_in_foreign_content()
    }
}
