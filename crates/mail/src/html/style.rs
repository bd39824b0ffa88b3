//! How text looks in an open element, as far as it decides whether it is seen (CSS 2.2 §6.4, §8 to §14).
//!
//! Text is hidden only where that is sure: whatever is not understood shows it. What pages play with is understood as
//! browsers do it: of a property the last declaration holds, `!important` first; comments and escapes; `visibility` and
//! `font-size` of an inner element end those of an outer one, `display` and `opacity` do not.

use super::colour::{Paint, Rgb, is_alike, paint, paint_of_attribute};
use super::names::*;
use super::sheet::{Rule, Sheet};
use super::tokens::{Attribute, Tag};
use std::borrow::Cow;

/// Declarations of one element that are looked at. In one that has more, nothing is sure.
const DECLARATIONS_MAX: usize = 256;
/// Elements whose own looks browsers choose.
const CONTROLS: Set = set(&[
    BUTTON, TEXTAREA, MARK, METER, PROGRESS, DIALOG, OPTION, OPTGROUP, OBJECT, APPLET,
]);
/// Elements that have a style of which they say nothing.
const STYLED: Set = CONTROLS.or(set(&[SELECT, TABLE]));
const WHITE: Rgb = [255; 3];
const BLACK: Rgb = [0; 3];

/// Whether text is seen, and its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Nothing in it is shown, whatever it says itself.
    is_off: bool,
    /// It is cut off at the edge of what is around.
    is_cut: bool,
    is_invisible: bool,
    is_tiny: bool,
    colour: Paint,
    background: Paint,
    /// Its colours are not the only ones: shadows and the like.
    is_painted_over: bool,
    /// Nothing is known of what stands in it.
    is_unsure: bool,
}

impl Default for Look {
    /// Black on white.
    fn default() -> Look {
        Look {
            is_off: false,
            is_cut: false,
            is_invisible: false,
            is_tiny: false,
            colour: Paint::Colour(BLACK),
            background: Paint::Colour(WHITE),
            is_painted_over: false,
            is_unsure: false,
        }
    }
}

impl Look {
    /// What is shown for certain.
    pub fn shown(self) -> Look {
        Look {
            is_unsure: true,
            background: Paint::Unknown,
            ..Look::default()
        }
    }

    /// Other parts of the page may lie over it, or behind it.
    pub fn covered(self) -> Look {
        Look {
            is_painted_over: true,
            ..self
        }
    }

    /// Whether nobody sees text that looks so.
    pub fn is_hidden(&self) -> bool {
        let has_no_contrast = match (self.colour, self.background) {
            (Paint::Colour(colour), Paint::Colour(background)) => is_alike(colour, background),
            (Paint::Clear, _) => true,
            _ => false,
        };
        self.is_off
            || self.is_cut
            || self.is_invisible
            || (self.is_tiny || has_no_contrast) && !self.is_painted_over && !self.is_unsure
    }

    /// The look within an element of this style.
    pub fn with(self, style: &Style) -> Look {
        let mut look = self;
        look.is_off |= style.is_off && !self.is_unsure;
        if style.is_unsure || self.is_unsure {
            let is_off = look.is_off;
            return Look { is_off, ..look.shown() };
        }
        look.is_painted_over |= style.is_painted_over;
        // What is placed elsewhere is not cut off here.
        look.is_cut = look.is_cut && !style.is_moved || style.cuts;
        look.is_invisible = style.is_invisible.unwrap_or(look.is_invisible);
        look.is_tiny = style.is_tiny.unwrap_or(look.is_tiny && !style.is_table);
        match style.colour {
            // Without a doctype a table has the colour of the page.
            None if style.is_table && look.colour != Paint::Colour(BLACK) => look.colour = Paint::Unknown,
            None | Some(Paint::Inherited) => {}
            Some(paint) => look.colour = paint,
        }
        match style.background {
            None | Some(Paint::Clear) => {}
            Some(Paint::Inherited) => look.background = Paint::Unknown,
            Some(paint) => look.background = paint,
        }
        look
    }
}

/// What an element says of its look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Style {
    is_unsure: bool,
    is_off: bool,
    cuts: bool,
    is_moved: bool,
    is_painted_over: bool,
    is_table: bool,
    is_invisible: Option<bool>,
    is_tiny: Option<bool>,
    colour: Option<Paint>,
    background: Option<Paint>,
    /// It, or what it stands on, may lie over other parts of the page, or make them larger.
    pub moves_page: bool,
}

impl Style {
    /// That of an element of which nothing is known.
    pub fn unsure() -> Style {
        Style {
            is_unsure: true,
            ..Style::default()
        }
    }

    /// That of an element whose colours alone are not known.
    pub fn colourless() -> Style {
        Style {
            colour: Some(Paint::Unknown),
            background: Some(Paint::Unknown),
            ..Style::default()
        }
    }

    /// What is sure of an element that may not be there: it hides nothing, and its colours are not known unless they are
    /// those of a page without it.
    pub fn if_kept(&self) -> Style {
        let unless = |paint: Option<Paint>, usual: Rgb| match paint {
            Some(Paint::Colour(colour)) if is_alike(colour, usual) => paint,
            Some(Paint::Clear) if usual == WHITE => None,
            Some(_) => Some(Paint::Unknown),
            None => None,
        };
        Style {
            colour: unless(self.colour, BLACK),
            background: unless(self.background, WHITE),
            is_unsure: self.is_unsure,
            is_painted_over: self.is_painted_over,
            moves_page: self.moves_page,
            ..Style::default()
        }
    }

    /// Its background is not known.
    pub fn blur(&mut self) {
        self.background = Some(Paint::Unknown);
    }

    /// The style of an element of HTML, or of SVG and MathML.
    pub fn of(tag: &Tag, is_html: bool, sheet: &Sheet) -> Style {
        let name = tag.name();
        let rule = sheet.of(tag);
        if is_html && tag.is_bare() && rule == Rule::default() && !name.is_in(STYLED) {
            return Style::default();
        }
        let text = tag.get(Attribute::Style);
        // Before there is a body, what stands in a `noscript` stands behind it.
        let is_unknown = name == NOSCRIPT && text.is_some();
        if rule.is_important || is_unknown || is_html && name == SELECT {
            return Style {
                moves_page: rule.is_important,
                ..Style::unsure()
            };
        }
        let declared = match text.map(Declared::read) {
            Some(Some(declared)) => declared,
            Some(None) => return Style::unsure(),
            None => Declared::default(),
        };
        let mut style = declared.style(name);
        style.is_table = is_html && name == TABLE;
        if is_html {
            style.add_attributes(tag, name);
        } else {
            // Text of a picture is filled, not coloured.
            style.colour = Some(Paint::Unknown);
        }
        style.cuts &= !rule.is_matched && !rule.resizes;
        if rule.is_matched {
            style.is_tiny = style.is_tiny.or(Some(false));
            style.is_invisible = style.is_invisible.or(Some(false));
            style.colour = style.colour.or(Some(Paint::Unknown));
            style.background = style.background.or(Some(Paint::Unknown));
        }
        style
    }

    /// What attributes and the browser's own style say, where the element's does not. `hidden` says nothing: webmails keep
    /// the attributes that they know, and some do not know it.
    fn add_attributes(&mut self, tag: &Tag, name: Name) {
        let get = |attribute| tag.get(attribute);
        let own_colour = match name {
            FONT => get(Attribute::Color).map(paint_of_attribute),
            BODY => get(Attribute::Text).map(paint_of_attribute),
            // Links have the colour of links.
            A if tag.has(Attribute::Href) => Some(Paint::Unknown),
            _ => None,
        };
        self.colour = self.colour.or(own_colour);
        let own_background = match get(Attribute::BgColor) {
            _ if tag.has(Attribute::Background) => Some(Paint::Unknown),
            Some(value) if name.is_in(const { set(&[BODY, TABLE, THEAD, TBODY, TFOOT, TR, TD, TH, MARQUEE]) }) => {
                Some(paint_of_attribute(value))
            }
            Some(_) => Some(Paint::Unknown),
            None => None,
        };
        self.background = self.background.or(own_background);
        if name == FONT && tag.has(Attribute::Size) {
            self.is_tiny = self.is_tiny.or(Some(false));
        }
        if name.is_in(CONTROLS) {
            self.is_tiny = self.is_tiny.or(Some(false));
            self.colour = self.colour.or(Some(Paint::Unknown));
            self.background = self.background.or(Some(Paint::Unknown));
        }
    }
}

/// What holds of one property so far.
#[derive(Debug, Clone, Copy)]
struct Said<T> {
    value: Option<T>,
    is_important: bool,
}

impl<T> Default for Said<T> {
    fn default() -> Said<T> {
        Said {
            value: None,
            is_important: false,
        }
    }
}

impl<T> Said<T> {
    fn say(&mut self, value: T, is_important: bool) {
        if is_important || !self.is_important {
            self.value = Some(value);
            self.is_important = is_important;
        }
    }

    fn is_said(&self) -> bool {
        self.value.is_some()
    }
}

/// The declarations of one element, of each property the one that holds.
#[derive(Debug, Default)]
struct Declared {
    /// `none`
    display: Said<bool>,
    is_block: bool,
    /// `hidden`
    visibility: Said<bool>,
    /// None at all.
    opacity: Said<bool>,
    /// Too small to be read.
    font: Said<bool>,
    colour: Said<Paint>,
    background: Said<Paint>,
    has_picture: bool,
    /// What is past its edge is cut off.
    overflow: Said<bool>,
    /// `height`, `max-height`, `width`, `max-width`: nothing.
    sizes: [Said<bool>; 4],
    has_room: bool,
    is_moved: bool,
    is_painted_over: bool,
    moves_page: bool,
}

impl Declared {
    /// Reads the value of a `style`, or nothing if it is not all understood.
    fn read(text: &str) -> Option<Declared> {
        let text = plain(text)?;
        let mut declared = Declared::default();
        for (count, declaration) in Declarations(&text).enumerate() {
            if count >= DECLARATIONS_MAX {
                return None;
            }
            let Some((name, value)) = declaration.split_once(':') else {
                continue;
            };
            let (name, value) = (name.trim_matches(is_space), value.trim_matches(is_space));
            let (value, is_important) = match value.rsplit_once('!') {
                Some((value, mark)) if mark.trim_matches(is_space) == "important" => {
                    (value.trim_matches(is_space), true)
                }
                // Such a one is none.
                Some(_) => continue,
                None => (value, false),
            };
            if value.is_empty() {
                continue;
            }
            declared.declare(name, value, is_important)?;
        }
        Some(declared)
    }

    /// One declaration. Nothing if it makes all others unsure.
    fn declare(&mut self, name: &str, value: &str, is_important: bool) -> Option<()> {
        match name {
            "all" => return None,
            "display" => {
                self.display.say(value == "none", is_important);
                self.is_block = matches!(value, "block" | "inline-block");
            }
            "visibility" => self
                .visibility
                .say(matches!(value, "hidden" | "collapse"), is_important),
            "opacity" => self.opacity.say(is_nothing(value), is_important),
            "font-size" => self.font.say(is_nothing(value) || value == "1px", is_important),
            "font" => self.font.say(false, is_important),
            "color" => self.colour.say(paint(value), is_important),
            "background-color" => self.background.say(paint(value), is_important),
            "background" => self.background.say(background(value), is_important),
            "background-image" => self.has_picture |= value != "none",
            "overflow" => self.overflow.say(matches!(value, "hidden" | "clip"), is_important),
            "height" => self.say_size(0, value, is_important),
            "max-height" => self.say_size(1, value, is_important),
            "width" => self.say_size(2, value, is_important),
            "max-width" => self.say_size(3, value, is_important),
            "position" => {
                let is_placed = !matches!(value, "static" | "relative");
                self.is_moved |= is_placed;
                self.moves_page |= is_placed;
            }
            "transform" | "zoom" | "translate" | "scale" | "rotate" | "filter" | "mix-blend-mode" => {
                self.is_painted_over = true;
                self.moves_page = true;
            }
            "text-shadow" | "box-shadow" | "background-clip" | "-webkit-background-clip" => self.is_painted_over = true,
            _ if name.starts_with("overflow-") => self.overflow.say(false, is_important),
            _ if name.starts_with("min-") || name.starts_with("padding") => self.has_room |= !is_nothing(value),
            _ if name.starts_with("margin") => self.moves_page |= value.contains('-'),
            _ if name.starts_with("-webkit-text-") && name != "-webkit-text-size-adjust" => self.is_painted_over = true,
            _ if name.contains("animation") => return None,
            _ => {}
        }
        Some(())
    }

    fn say_size(&mut self, which: usize, value: &str, is_important: bool) {
        if let Some(size) = self.sizes.get_mut(which) {
            size.say(is_nothing(value), is_important);
        }
    }

    fn style(&self, name: Name) -> Style {
        let is = |said: Said<bool>| said.value == Some(true);
        let is_block =
            self.is_block || !self.display.is_said() && (name == P || name.is_in(BLOCKS) || name.is_in(HEADINGS));
        let has_no_size = self.sizes.into_iter().any(is);
        let background = match self.background.value {
            _ if self.has_picture => Some(Paint::Unknown),
            background => background,
        };
        Style {
            is_unsure: false,
            is_off: is(self.display) || is(self.opacity),
            cuts: is_block && has_no_size && is(self.overflow) && !self.has_room && !self.is_moved,
            is_moved: self.is_moved,
            is_painted_over: self.is_painted_over,
            is_table: false,
            is_invisible: self.visibility.value,
            is_tiny: self.font.value,
            colour: self.colour.value,
            background,
            moves_page: self.moves_page,
        }
    }
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

/// `0`, `0px`, `0.0em`, `0%`.
fn is_nothing(value: &str) -> bool {
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    number.parse::<f32>() == Ok(0.0)
}

/// The shorthand: a colour among other things.
fn background(value: &str) -> Paint {
    const OTHERS: [&str; 22] = [
        "none",
        "repeat",
        "no-repeat",
        "repeat-x",
        "repeat-y",
        "space",
        "round",
        "scroll",
        "fixed",
        "local",
        "top",
        "bottom",
        "left",
        "right",
        "center",
        "/",
        "auto",
        "cover",
        "contain",
        "border-box",
        "padding-box",
        "content-box",
    ];
    let mut found = Paint::Clear;
    // A function is one word, whatever blanks stand in it.
    let mut depth = 0_usize;
    let words = value.split(|c: char| {
        depth = match c {
            '(' => depth + 1,
            ')' => depth.saturating_sub(1),
            _ => depth,
        };
        depth == 0 && is_space(c)
    });
    for word in words.filter(|word| !word.is_empty()) {
        let is_length = word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+'));
        if OTHERS.contains(&word) || is_length {
            continue;
        }
        found = match (found, paint(word)) {
            (Paint::Clear, paint) => paint,
            _ => return Paint::Unknown,
        };
    }
    found
}

/// A style in lower case, comments and escapes gone. Nothing if it has what would break it open: brackets that do not fit,
/// texts over several lines. Texts are cut out, so that only declarations are left.
fn plain(text: &str) -> Option<Cow<'_, str>> {
    let is_odd = |b: u8| {
        matches!(
            b,
            b'\\' | b'"' | b'\'' | b'/' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'@' | b'<'
        )
    };
    if !text.bytes().any(is_odd) {
        return Some(match text.bytes().any(|b| b.is_ascii_uppercase()) {
            true => Cow::Owned(text.to_ascii_lowercase()),
            false => Cow::Borrowed(text),
        });
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut depth = 0_usize;
    while let Some(c) = rest.next() {
        match c {
            '\\' => out.push(escaped(&mut rest)?),
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                skip_comment(&mut rest);
                out.push(' ');
            }
            '"' | '\'' => {
                skip_text(&mut rest, c)?;
                out.push('"');
            }
            '(' if out.ends_with("url") => {
                skip_url(&mut rest)?;
                out.push_str("()");
            }
            '(' => {
                depth += 1;
                out.push(c);
            }
            ')' => {
                depth = depth.checked_sub(1)?;
                out.push(c);
            }
            '[' | ']' | '{' | '}' | '@' | '<' => return None,
            ';' if depth > 0 => return None,
            c => out.push(c.to_ascii_lowercase()),
        }
    }
    (depth == 0).then_some(Cow::Owned(out))
}

pub(super) type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// What an escape stands for, behind its `\` (CSS Syntax 3 §4.3.7). What would mean something else unescaped is no letter.
fn escaped(rest: &mut Chars<'_>) -> Option<char> {
    let first = rest.next()?;
    let Some(mut code) = first.to_digit(16) else {
        return Some(if first.is_alphanumeric() || first == '-' {
            first.to_ascii_lowercase()
        } else {
            '\u{fffd}'
        });
    };
    for _ in 1..6 {
        let Some(digit) = rest.peek().and_then(|c| c.to_digit(16)) else {
            break;
        };
        code = code * 16 + digit;
        rest.next();
    }
    rest.next_if(|c| is_space(*c));
    let c = char::from_u32(code).unwrap_or('\u{fffd}').to_ascii_lowercase();
    Some(if c.is_alphanumeric() || c == '-' { c } else { '\u{fffd}' })
}

/// Goes on behind a comment. Nothing if it does not end.
pub(super) fn skip_comment(rest: &mut Chars<'_>) -> Option<()> {
    let mut last = ' ';
    for c in rest.by_ref() {
        if last == '*' && c == '/' {
            return Some(());
        }
        last = c;
    }
    None
}

/// Goes on behind a text in quotes.
pub(super) fn skip_text(rest: &mut Chars<'_>, quote: char) -> Option<()> {
    loop {
        match rest.next()? {
            '\\' => drop(rest.next()),
            '\n' | '\r' | '\x0c' => return None,
            c if c == quote => return Some(()),
            _ => {}
        }
    }
}

/// Goes on behind the address of a `url(`.
pub(super) fn skip_url(rest: &mut Chars<'_>) -> Option<()> {
    while rest.next_if(|c| is_space(*c)).is_some() {}
    if let Some(quote) = rest.next_if(|c| matches!(c, '"' | '\'')) {
        skip_text(rest, quote)?;
        while rest.next_if(|c| is_space(*c)).is_some() {}
        return rest.next_if_eq(&')').map(drop);
    }
    loop {
        match rest.next()? {
            '\\' => drop(rest.next()),
            ')' => return Some(()),
            _ => {}
        }
    }
}

/// Declarations of a style in which texts and comments are gone: what stands between `;`.
struct Declarations<'a>(&'a str);

impl<'a> Iterator for Declarations<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (first, rest) = self.0.split_once(';').unwrap_or((self.0, ""));
        self.0 = rest;
        Some(first)
    }
}
