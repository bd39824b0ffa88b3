//! Host names whose letters look like other ones (UTS 39).
//!
//! Names of one script are what people of that script write, and `xn--` is how they travel: nothing is held against
//! them. What deceives are Latin letters among those of a script that looks like it, and names of such a script only
//! that could be Latin through and through, below an ending that is Latin.

use mail::Domain;

/// How a name looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// ASCII only.
    Plain,
    /// It has other letters, and no reason to doubt them.
    International,
    /// All letters of a label look like Latin ones and are not.
    Alike,
    /// Scripts that look alike stand in one label.
    Mixed,
}

/// Scripts whose letters look like those of others in this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Cherokee,
    /// Any other: it looks like none of them.
    Other,
}

/// How a name looks, and how it is written.
pub(super) fn look(domain: &Domain) -> (Look, String) {
    if !domain.as_str().contains("xn--") {
        return (Look::Plain, domain.as_str().to_owned());
    }
    let (written, _) = idna::domain_to_unicode(domain.as_str());
    let is_latin_ending = written.rsplit('.').next().is_some_and(|ending| ending.is_ascii());
    let look = written
        .split('.')
        .map(|label| look_of_label(label, is_latin_ending))
        .max();
    (look.unwrap_or(Look::Plain), written)
}

fn look_of_label(label: &str, is_latin_ending: bool) -> Look {
    if label.is_ascii() {
        return Look::Plain;
    }
    let mut seen = None;
    let mut all_twins = true;
    for c in label.chars().filter(|c| c.is_alphabetic()) {
        all_twins &= latin_twin(c);
        match (script(c), seen) {
            (Script::Other, _) => {}
            (script, None) => seen = Some(script),
            (script, Some(before)) if script != before => return Look::Mixed,
            _ => {}
        }
    }
    let is_alike = all_twins && is_latin_ending && seen.is_some_and(|script| script != Script::Latin);
    if is_alike { Look::Alike } else { Look::International }
}

fn script(c: char) -> Script {
    match c {
        'a'..='z'
        | 'A'..='Z'
        | '\u{aa}'
        | '\u{ba}'
        | '\u{c0}'..='\u{24f}'
        | '\u{250}'..='\u{2af}'
        | '\u{1d00}'..='\u{1d25}'
        | '\u{1e00}'..='\u{1eff}'
        | '\u{2c60}'..='\u{2c7f}'
        | '\u{a720}'..='\u{a7ff}' => Script::Latin,
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Script::Greek,
        '\u{400}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{2de0}'..='\u{2dff}' | '\u{a640}'..='\u{a69f}' => {
            Script::Cyrillic
        }
        '\u{530}'..='\u{58f}' => Script::Armenian,
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => Script::Cherokee,
        _ => Script::Other,
    }
}

/// Whether a letter could be taken for a Latin one.
fn latin_twin(c: char) -> bool {
    c.is_ascii() || "асеорхуіјѕԁһԛԝӏгкпвьαορενικτυχωսոօցհո".contains(c)
}
