//! Which elements a page's style sheets may change. What they make of them is not asked: of such an element nothing is
//! sure but what its own style says, and not even that where a sheet has `!important`.
//!
//! Sheets are looked for in the octets, before the page is read, since one at its end holds from the beginning. What
//! only looks like one makes less sure, never more.

use super::style::{skip_comment, skip_text, skip_url};
use super::tokens::{Attribute, Tag};
use memchr::memchr_iter;
use std::collections::HashMap;

/// Selectors that are remembered. Of a sheet with more all is believed possible.
const SELECTORS_MAX: usize = 4096;

/// What sheets may do to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rule {
    pub is_matched: bool,
    /// What the element says itself does not hold.
    pub is_important: bool,
    /// It may be larger than the element says.
    pub resizes: bool,
}

impl Rule {
    fn and(self, other: Rule) -> Rule {
        Rule {
            is_matched: self.is_matched || other.is_matched,
            is_important: self.is_important || other.is_important,
            resizes: self.resizes || other.resizes,
        }
    }
}

/// All sheets of a page together.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// By the letter of the selector's kind and its name: `.class`, `#id`, or the name of an element.
    rules: HashMap<String, Rule>,
    all: Rule,
    /// Elements may lie over others.
    pub moves_page: bool,
}

const ANYTHING: Rule = Rule {
    is_matched: true,
    is_important: true,
    resizes: true,
};

impl Sheet {
    /// Reads what stands in `<style>`.
    pub fn of_page(html: &str) -> Sheet {
        let mut sheet = Sheet::default();
        let octets = html.as_bytes();
        let mut behind = 0;
        for at in memchr_iter(b'<', octets) {
            let is_style = octets
                .get(at + 1..at + 6)
                .is_some_and(|name| name.eq_ignore_ascii_case(b"style"));
            if at < behind || !is_style {
                continue;
            }
            let rest = html.get(at + 6..).unwrap_or_default();
            // The tag's own end; a `>` in an attribute makes part of it text, which is no selector that is understood.
            let rest = rest.split_once('>').map_or("", |(_, rest)| rest);
            let end = end_of_style(rest.as_bytes());
            behind = html.len() - rest.len() + end;
            sheet.add(rest.get(..end).unwrap_or_default());
        }
        sheet
    }

    /// Whatever a sheet outside of the page may say, which few programs load.
    pub fn add_foreign(&mut self) {
        self.all.is_matched = true;
        self.all.resizes = true;
    }

    /// What may be done to an element.
    pub fn of(&self, tag: &Tag) -> Rule {
        let mut rule = self.all;
        if self.rules.is_empty() {
            return rule;
        }
        let mut key = String::new();
        let mut look_up = |kind: &str, name: &str| {
            key.clear();
            key.push_str(kind);
            key.push_str(name);
            key.make_ascii_lowercase();
            rule = rule.and(self.rules.get(&key).copied().unwrap_or_default());
        };
        look_up("", std::str::from_utf8(tag.text()).unwrap_or_default());
        if let Some(id) = tag.get(Attribute::Id) {
            look_up("#", id);
        }
        for class in tag.get(Attribute::Class).unwrap_or_default().split_ascii_whitespace() {
            look_up(".", class);
        }
        rule
    }

    fn add(&mut self, css: &str) {
        let css = css.to_ascii_lowercase().replace("<!--", " ").replace("-->", " ");
        // Markup, references and escapes may be read in more than one way, and a file may hold anything.
        let is_odd = css.contains(['<', '&', '\\']) || css.contains("@import");
        let Some(css) = plain(&css).filter(|_| !is_odd) else {
            self.all = ANYTHING;
            return;
        };
        self.moves_page |= ["absolute", "fixed", "sticky", "transform", "zoom", ":-", ": -"]
            .iter()
            .any(|word| css.contains(word));
        let mut rest = css.as_str();
        while let Some((prelude, behind)) = rest.split_once('{') {
            let prelude = prelude.trim_start_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '}' | ';'));
            const GROUPS: [&str; 6] = [
                "@media",
                "@supports",
                "@layer",
                "@container",
                "@document",
                "@-moz-document",
            ];
            if GROUPS.iter().any(|group| prelude.starts_with(group)) {
                rest = behind;
                continue;
            }
            let (block, behind) = behind.split_once('}').unwrap_or((behind, ""));
            rest = behind;
            if block.contains('{') {
                self.all = ANYTHING;
            }
            let rule = rule_of(block);
            if rule == Rule::default() || prelude.starts_with("@font-face") {
                continue;
            }
            if prelude.contains(['@', '(', '[']) {
                self.all = self.all.and(rule);
            } else {
                prelude.split(',').for_each(|selector| self.select(selector, rule));
            }
        }
    }

    /// A selector, by its last part.
    fn select(&mut self, selector: &str, rule: Rule) {
        let part = selector
            .trim()
            .rsplit([' ', '\t', '\n', '\r', '>', '+', '~'])
            .next()
            .unwrap_or_default();
        // `a:hover`, `p::before`: whatever they are, they are no more than these elements.
        let part = part.split(':').next().unwrap_or_default();
        let kinds = ['.', '#'];
        let key = match part.find(kinds) {
            Some(at) => {
                let behind = part.get(at + 1..).unwrap_or_default();
                let end = behind.find(kinds).map_or(part.len(), |end| at + 1 + end);
                part.get(at..end).unwrap_or_default()
            }
            None => part,
        };
        let is_plain = key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'#') || !b.is_ascii());
        if !is_plain || key.is_empty() || self.rules.len() >= SELECTORS_MAX {
            self.all = self.all.and(rule);
            return;
        }
        let known = self.rules.entry(key.to_owned()).or_default();
        *known = known.and(rule);
    }
}

fn end_of_style(octets: &[u8]) -> usize {
    memchr_iter(b'<', octets)
        .find(|at| {
            octets
                .get(at + 1..at + 7)
                .is_some_and(|end| end.eq_ignore_ascii_case(b"/style"))
        })
        .unwrap_or(octets.len())
}

/// A sheet without comments and texts, or nothing if one does not end.
fn plain(css: &str) -> Option<String> {
    let mut out = String::with_capacity(css.len());
    let mut rest = css.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                skip_comment(&mut rest)?;
                out.push(' ');
            }
            '"' | '\'' => {
                skip_text(&mut rest, c)?;
                out.push('x');
            }
            '(' if out.ends_with("url") => {
                skip_url(&mut rest)?;
                out.push_str("()");
            }
            c => out.push(c),
        }
    }
    Some(out)
}

/// What a block does to whether text is seen.
fn rule_of(block: &str) -> Rule {
    const LOOKS: [&str; 12] = [
        "background",
        "color",
        "display",
        "visibility",
        "opacity",
        "font",
        "font-size",
        "all",
        "filter",
        "fill",
        "content-visibility",
        "mix-blend-mode",
    ];
    const STARTS: [&str; 3] = ["background-", "-webkit-text-fill", "text-shadow"];
    const SIZES: [&str; 6] = ["width", "height", "overflow", "position", "clip", "padding"];
    let mut rule = Rule::default();
    for declaration in block.split(';') {
        let Some((name, value)) = declaration.split_once(':') else {
            continue;
        };
        let name = name.trim();
        // What moves outdoes everything.
        let is_moving = name.contains("animation");
        let looks = is_moving || LOOKS.contains(&name) || STARTS.iter().any(|start| name.starts_with(start));
        let resizes = SIZES.iter().any(|part| name.contains(part));
        rule.is_matched |= looks;
        rule.resizes |= resizes;
        rule.is_important |= is_moving || (looks || resizes) && value.contains('!');
    }
    rule
}
