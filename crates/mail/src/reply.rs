//! SMTP replies (RFC 5321 §4.2) with enhanced status codes (RFC 3463). Only this file makes reply octets.

use crate::text::Line;
use std::fmt;

/// RFC 5321 §4.5.3.1.5, with codes and CRLF. Foreign text is cut there, because a client may read no further.
const LINE_OCTETS_MAX: usize = 512;

/// How much of a reply is kept in one line, in characters.
const ONE_LINE_CHARS_MAX: usize = 2000;

/// What the first digit of a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// 2xx.
    Positive,
    /// 3xx.
    Intermediate,
    /// 4xx: try again later.
    Transient,
    /// 5xx: do not try again.
    Permanent,
}

/// One reply of one or more lines.
///
/// The text of each line is a [`Line`], so no reply can hold a line break that a peer chose.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reply {
    code: u16,
    enhanced: Option<(u8, u16, u16)>,
    lines: Vec<Line>,
}

impl Reply {
    /// A reply of one line. `code` outside of 200..=599 becomes 451, so that no octets leave that are not a reply.
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: Line) -> Reply {
        let code = if (200..600).contains(&code) { code } else { 451 };
        Reply {
            code,
            enhanced: Some(enhanced),
            lines: vec![text],
        }
    }

    /// A reply without an enhanced status code: greeting, EHLO, HELO, 354 (RFC 2034 §4).
    pub fn bare(code: u16, lines: Vec<Line>) -> Reply {
        let code = if (200..600).contains(&code) { code } else { 451 };
        Reply {
            code,
            enhanced: None,
            lines,
        }
    }

    /// What a next hop answered, passed on. Its own enhanced code, where it has one, stays.
    pub fn passed_on(code: u16, enhanced: Option<(u8, u16, u16)>, lines: Vec<Line>) -> Reply {
        let code = if (200..600).contains(&code) { code } else { 451 };
        let class = (code / 100) as u8;
        let enhanced = enhanced
            .filter(|e| e.0 == class)
            .or(if class == 3 { None } else { Some((class, 0, 0)) });
        Reply { code, enhanced, lines }
    }

    /// The three digits.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, if the reply carries one.
    pub fn enhanced(&self) -> Option<(u8, u16, u16)> {
        self.enhanced
    }

    /// What the first digit says.
    pub fn severity(&self) -> Severity {
        match self.code / 100 {
            2 => Severity::Positive,
            3 => Severity::Intermediate,
            4 => Severity::Transient,
            _ => Severity::Permanent,
        }
    }

    /// The first line's text, without the codes.
    pub fn text(&self) -> &str {
        self.lines.first().map_or("", Line::as_str)
    }

    /// The text of each line, without the codes.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// All of it in one line, with the codes once, for logs and records.
    pub fn one_line(&self) -> Line {
        let mut text = self.code.to_string();
        if let Some((class, subject, detail)) = self.enhanced {
            text.push_str(&format!(" {class}.{subject}.{detail}"));
        }
        for line in &self.lines {
            text.push(' ');
            text.push_str(line.as_str());
        }
        Line::clean(text.as_bytes(), ONE_LINE_CHARS_MAX)
    }

    /// Appends the octets that go to the peer. Without `utf8` (RFC 6531 §3.7.4.2) they are ASCII.
    pub fn write(&self, out: &mut Vec<u8>, utf8: bool) {
        let last = self.lines.len().saturating_sub(1);
        if self.lines.is_empty() {
            self.write_line(out, true, &Line::default(), utf8);
        }
        for (n, line) in self.lines.iter().enumerate() {
            self.write_line(out, n == last, line, utf8);
        }
    }

    fn write_line(&self, out: &mut Vec<u8>, last: bool, line: &Line, utf8: bool) {
        let enhanced = self
            .enhanced
            .map(|(class, subject, detail)| format!("{class}.{subject}.{detail} "));
        let codes = format!(
            "{}{}{}",
            self.code,
            if last { ' ' } else { '-' },
            enhanced.unwrap_or_default()
        );
        let text = if utf8 { line.as_str().into() } else { line.to_ascii() };
        let room = LINE_OCTETS_MAX.saturating_sub(codes.len() + 2);
        let (kept, _) = text.split_at(text.floor_char_boundary(room));
        out.extend_from_slice(codes.as_bytes());
        out.extend_from_slice(kept.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// As on the wire, without the final line end.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut octets = Vec::new();
        self.write(&mut octets, true);
        f.write_str(String::from_utf8_lossy(&octets).trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_on_the_wire_has_both_codes_and_one_line_end() {
        let reply = Reply::new(550, (5, 7, 1), Line::reason("bäd\r\n250 ok".as_bytes()));
        let mut octets = Vec::new();
        reply.write(&mut octets, false);
        assert_eq!(octets, b"550 5.7.1 b?d 250 ok\r\n");
        assert_eq!(reply.severity(), Severity::Permanent);
    }

    /// A next hop's text of 512 characters went on with codes in front of it, so past what a client has to read.
    #[test]
    fn a_line_has_512_octets_at_most_and_is_cut_between_characters() {
        for (text, kept) in [("a".repeat(600), 500), ("ü".repeat(600), 500), ("aü".repeat(300), 499)] {
            let reply = Reply::passed_on(550, None, vec![Line::clean(text.as_bytes(), 1000)]);
            let mut octets = Vec::new();
            reply.write(&mut octets, true);
            assert_eq!(octets, format!("550 5.0.0 {}\r\n", &text[..kept]).as_bytes());
        }
    }

    #[test]
    fn several_lines_are_joined_by_hyphens() {
        let reply = Reply::bare(250, vec![Line::literal("mx.example"), Line::literal("PIPELINING")]);
        assert_eq!(reply.to_string(), "250-mx.example\r\n250 PIPELINING");
        assert_eq!(reply.one_line().as_str(), "250 mx.example PIPELINING");
        let reply = Reply::passed_on(
            550,
            Some((5, 7, 1)),
            vec![Line::literal("rule 7"), Line::literal("see a")],
        );
        assert_eq!(reply.one_line().as_str(), "550 5.7.1 rule 7 see a");
    }

    #[test]
    fn a_passed_on_code_is_always_a_reply_code() {
        assert_eq!(Reply::passed_on(999, None, vec![]).to_string(), "451 4.0.0");
        assert_eq!(
            Reply::passed_on(550, Some((2, 0, 0)), vec![Line::literal("no")]).to_string(),
            "550 5.0.0 no"
        );
    }
}
