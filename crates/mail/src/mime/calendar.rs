//! What an invitation says (iCalendar, RFC 5545): the texts that mail readers show of it, and the addresses in it.
//!
//! Only lines with text for people are read, one by one; what stands around them (events, alarms, zones) does not matter.

use super::transfer;

/// The properties that are shown.
const SHOWN: [&str; 10] = [
    "SUMMARY",
    "DESCRIPTION",
    "LOCATION",
    "COMMENT",
    "CONTACT",
    "URL",
    "ATTACH",
    "CONFERENCE",
    "STYLED-DESCRIPTION",
    "X-ALT-DESC",
];

/// The texts of an invitation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    /// Each on a line of its own, or on several.
    pub text: String,
    /// Those that are HTML.
    pub page: String,
}

impl Calendar {
    /// Reads an invitation.
    pub fn read(text: &str) -> Calendar {
        let mut calendar = Calendar::default();
        // RFC 5545 §3.1: a line that begins with a blank goes on with the one before.
        let mut line = String::new();
        for next in text.split('\n') {
            let next = next.strip_suffix('\r').unwrap_or(next);
            match next.strip_prefix([' ', '\t']) {
                Some(more) => line.push_str(more),
                None => {
                    calendar.line(&line);
                    line.clear();
                    line.push_str(next);
                }
            }
        }
        calendar.line(&line);
        calendar
    }

    /// One property: `DESCRIPTION;LANGUAGE=en:Text`.
    fn line(&mut self, line: &str) {
        let mut is_quoted = false;
        let is_colon = |c: char| {
            is_quoted ^= c == '"';
            c == ':' && !is_quoted
        };
        let Some((before, value)) = line.find(is_colon).and_then(|at| line.split_at_checked(at)) else {
            return;
        };
        let value = value.get(1..).unwrap_or_default();
        let (name, parameters) = before.split_once(';').unwrap_or((before, ""));
        let name = name.trim();
        let is_conference = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-"))
            && value.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http"));
        if !is_conference && !SHOWN.iter().any(|shown| name.eq_ignore_ascii_case(shown)) {
            return;
        }
        let parameters = parameters.to_ascii_lowercase();
        let out = match parameters.contains("text/html") || name.eq_ignore_ascii_case("X-ALT-DESC") {
            true => &mut self.page,
            false => &mut self.text,
        };
        // As vCalendar 1.0 has it.
        let value = match parameters.contains("quoted-printable") {
            true => String::from_utf8_lossy(&transfer::quoted_printable(value.as_bytes())).into_owned(),
            false => value.to_owned(),
        };
        unescape(&value, out);
        out.push('\n');
    }
}

/// RFC 5545 §3.3.11.
fn unescape(value: &str, out: &mut String) {
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                other => out.extend(other),
            },
            c => out.push(c),
        }
    }
}
