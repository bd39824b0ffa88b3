//! Entries and messages for people and for programs.
//!
//! Tables are cut to the width of a terminal, so that an entry is one line of it, and not at all for programs. A stored message is foreign octets: shown
//! to a person, everything that a terminal would obey or hide is written as an escape; only [`Form::Raw`] gives the
//! octets themselves.

use super::entry::{Entry, State};
use super::expire::{Expired, Expiry};
use super::read::Listing;
use jiff::tz::TimeZone;
use mail::Line;
use std::fmt::Write as _;
use std::io::{self, Read, Write};

/// How wide a table is made where a terminal does not say, in columns.
pub const COLUMNS: usize = 100;
/// No text column gets narrower than this, however narrow the terminal.
const TEXT_COLUMNS_MIN: usize = 8;
/// Longest escape of one character, `\u{10ffff}`.
const ESCAPE_CHARS_MAX: usize = 10;
/// How much of a message is in memory at once, in octets.
const CHUNK_OCTETS: usize = 64 * 1024;

/// How a message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// For a terminal.
    #[default]
    Safe,
    /// The stored octets.
    Raw,
}

/// A table of entries: date, time, id, from, to, reason, subject. It is at most `columns` wide; without a terminal nothing of it
/// is cut. Times are local to `tz`.
pub fn list(listing: &Listing, tz: &TimeZone, columns: Option<usize>) -> String {
    if listing.entries.is_empty() {
        return footer(listing, "no entries\n".into());
    }
    let head = ["DATE", "TIME", "ID", "", "FROM", "TO", "REASON", "SUBJECT"].map(str::to_owned);
    let rows: Vec<[String; 8]> = std::iter::once(head)
        .chain(listing.entries.iter().map(|entry| row(entry, tz)))
        .collect();
    let mut widths: [usize; 8] = std::array::from_fn(|n| {
        rows.iter()
            .map(|row| row[n].chars().map(width).sum())
            .max()
            .unwrap_or(0)
    });
    fit(&mut widths, columns.unwrap_or(COLUMNS));
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (text, wide) in row.iter().zip(widths).filter(|(_, wide)| *wide > 0) {
            let (text, used) = match columns {
                Some(_) => cut(text, wide),
                None => (text.clone(), text.chars().map(width).sum()),
            };
            let _ = write!(line, "{text}{:1$}", "", wide.saturating_sub(used) + 2);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    footer(listing, out)
}

fn row(entry: &Entry, tz: &TimeZone) -> [String; 8] {
    let time = entry.time.map(|time| time.to_zoned(tz.clone()));
    let told = |form| time.as_ref().map(|time| time.strftime(form).to_string());
    let mark = match entry.state {
        State::Held => "",
        State::Released => "R",
        State::MetadataOnly => "M",
    };
    [
        // Entries of the original program may have no time, only the directory of their day.
        told("%Y-%m-%d").unwrap_or_else(|| format!("day {}", entry.day)),
        told("%H:%M").unwrap_or_default(),
        entry.id.to_string(),
        mark.to_owned(),
        entry.from.to_string(),
        entry.recipient.to_string(),
        entry.reason.to_string(),
        entry.subject.to_string(),
    ]
}

fn footer(listing: &Listing, mut out: String) -> String {
    let has = |state| listing.entries.iter().any(|entry| entry.state == state);
    if has(State::Released) {
        out.push_str("R: released\n");
    }
    if has(State::MetadataOnly) {
        out.push_str("M: only metadata were kept\n");
    }
    if listing.more {
        let _ = writeln!(out, "there are more than these {}", listing.entries.len());
    }
    if listing.damaged > 0 {
        let _ = writeln!(out, "damaged index lines, passed over: {}", listing.damaged);
    }
    out
}

/// Narrows the four text columns until all fit: each keeps what it needs up to its share, and what one leaves goes
/// to the others, the addresses first: a cut address says less than a cut subject.
fn fit(widths: &mut [usize; 8], columns: usize) {
    let (fixed, texts) = widths.split_at_mut(4);
    let taken: usize = fixed.iter().filter(|wide| **wide > 0).map(|wide| wide + 2).sum();
    let room = columns.saturating_sub(taken + 2 * (texts.len() - 1));
    let need: Vec<usize> = texts.to_vec();
    // Hundredths of the room for from, to, reason and subject.
    for ((wide, need), share) in texts.iter_mut().zip(&need).zip([23, 23, 26, 28]) {
        *wide = (*need).min((room * share / 100).max(TEXT_COLUMNS_MIN));
    }
    let mut left = room.saturating_sub(texts.iter().sum());
    for (wide, need) in texts.iter_mut().zip(&need) {
        let more = left.min(need - *wide);
        *wide += more;
        left -= more;
    }
}

/// The text cut to `columns`, with `…` where something is missing, and the columns that it takes.
fn cut(text: &str, columns: usize) -> (String, usize) {
    let whole: usize = text.chars().map(width).sum();
    if whole <= columns {
        return (text.to_owned(), whole);
    }
    let (mut out, mut used) = (String::new(), 0);
    for c in text.chars() {
        if used + width(c) + 1 > columns {
            break;
        }
        out.push(c);
        used += width(c);
    }
    out.push('…');
    (out, used + 1)
}

/// Columns that a terminal uses for a character; roughly Unicode's East Asian Width, which junk mail is full of.
fn width(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' => 2,
        '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1f64f}' => 2,
        '\u{1f680}'..='\u{1f6ff}' | '\u{1f900}'..='\u{1f9ff}' | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// All that is known of an entry, a line each.
pub fn entry(entry: &Entry, tz: &TimeZone) -> String {
    let time = entry
        .time
        .map(|time| time.to_zoned(tz.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string());
    let stands = entry.reference().map(|reference| reference.to_string());
    let state = match entry.state {
        State::Held => "held",
        State::Released => "released",
        State::MetadataOnly => "only metadata were kept",
    };
    let size = format!("{} octets", entry.size);
    let evidence: Vec<&str> = entry.evidence.iter().map(Line::as_str).collect();
    let text = |line: &Option<Line>| line.as_ref().map(ToString::to_string).unwrap_or_default();
    let fields: [(&str, &str); 17] = [
        ("id", entry.id.as_str()),
        ("time", &time.unwrap_or_default()),
        ("file", &stands.unwrap_or_default()),
        ("state", state),
        ("outcome", &outcome(entry)),
        ("disposition", entry.disposition.as_str()),
        ("reason", entry.reason.as_str()),
        ("evidence", &evidence.join("; ")),
        ("check", &text(&entry.plugin)),
        ("from", entry.from.as_str()),
        ("to", entry.recipient.as_str()),
        ("client", entry.ip.as_str()),
        ("host", entry.host.as_str()),
        ("helo", entry.helo.as_str()),
        ("subject", entry.subject.as_str()),
        ("message-id", &text(&entry.message_id)),
        ("size", &size),
    ];
    let mut out = String::new();
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "{name:<12} {value}");
    }
    out
}

/// What became of the message, where the next hop had the last word.
fn outcome(entry: &Entry) -> String {
    let refused = |words| format!("refused by the next hop: {words}");
    entry.next_hop.as_ref().map(refused).unwrap_or_default()
}

/// An entry as one line of JSON, without a line end.
pub fn json(entry: &Entry) -> String {
    // Texts and numbers only: this cannot fail.
    serde_json::to_string(entry).unwrap_or_default()
}

/// What an expiry removed, a line for each day; and, whether asked for or not, what stood in its way.
pub fn expired(expired: &Expired, how: Expiry, verbose: bool) -> String {
    let mut out = String::new();
    let did = if how.dry_run { "would remove" } else { "removed" };
    for day in expired.days.iter().filter(|_| verbose || how.dry_run) {
        let _ = writeln!(
            out,
            "{did} {} (directory {}): {} messages, {} octets",
            day.date, day.name, day.messages, day.octets
        );
    }
    for path in expired.kept.iter().filter(|_| verbose) {
        let _ = writeln!(
            out,
            "kept, because it holds other files too: {}",
            Line::from(path.display().to_string())
        );
    }
    for trouble in &expired.troubles {
        let _ = writeln!(out, "{}", Line::from(trouble.to_string()));
    }
    out
}

/// The same for programs: one JSON object a line, for each day, each directory that stays and each trouble.
pub fn expired_json(expired: &Expired, how: Expiry) -> String {
    let days = expired.days.iter().map(|day| {
        serde_json::json!({
            "day": day.name.as_str(),
            "date": day.date.to_string(),
            "messages": day.messages,
            "octets": day.octets,
            "removed": !how.dry_run,
        })
    });
    let kept = expired
        .kept
        .iter()
        .map(|path| serde_json::json!({ "kept": path.to_string_lossy() }));
    let troubles = expired
        .troubles
        .iter()
        .map(|trouble| serde_json::json!({ "trouble": Line::from(trouble.to_string()).as_str() }));
    days.chain(kept)
        .chain(troubles)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Copies a stored message to `to`. Memory is bounded whatever the message's size and lines.
pub fn message(mut from: impl Read, form: Form, to: &mut impl Write) -> io::Result<()> {
    if form == Form::Raw {
        return io::copy(&mut from, to).map(drop);
    }
    let mut held = Vec::with_capacity(CHUNK_OCTETS);
    loop {
        let read = from
            .by_ref()
            .take((CHUNK_OCTETS - held.len()) as u64)
            .read_to_end(&mut held)?;
        let end = if read == 0 { held.len() } else { whole_characters(&held) };
        to.write_all(escape(&held[..end]).as_bytes())?;
        held.drain(..end);
        if read == 0 {
            return Ok(());
        }
    }
}

/// How many octets to take so that no character and no line end is cut: at most three are left, or a CR.
fn whole_characters(octets: &[u8]) -> usize {
    let tail = octets.len().saturating_sub(3);
    let starts = |b: u8| b >= 0xc0 || b == b'\r';
    match octets[tail..].iter().rposition(|b| starts(*b)) {
        Some(at) if octets[tail + at] == b'\r' && tail + at + 1 < octets.len() => octets.len(),
        Some(at) if std::str::from_utf8(&octets[tail + at..]).is_ok() && octets[tail + at] != b'\r' => octets.len(),
        Some(at) => tail + at,
        None => octets.len(),
    }
}

/// Line ends and tabs stay; CR before LF goes; every other control character, invalid octet, or character that hides
/// or reorders text is written as an escape. A backslash of the message stays one: this is to be read, not parsed.
fn escape(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len() + octets.len() / 16);
    for chunk in octets.utf8_chunks() {
        let mut chars = chunk.valid().chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\n' | '\t' => out.push(c),
                '\r' if chars.peek() == Some(&'\n') => {}
                c if c.is_control() => out.extend(c.escape_default()),
                c if c.is_ascii() || c.is_alphanumeric() => out.push(c),
                // `Line` knows which characters hide or reorder text; white space outside of ASCII is cleaned away.
                c => match Line::clean(c.encode_utf8(&mut [0; 4]).as_bytes(), ESCAPE_CHARS_MAX).as_str() {
                    "" => out.push(' '),
                    shown => out.push_str(shown),
                },
            }
        }
        for octet in chunk.invalid() {
            let _ = write!(out, "\\x{octet:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{copy, noon, zone};
    use super::super::{DayName, FileName, entry::Record};
    use super::*;
    use proptest::prelude::*;

    fn sample(subject: &str, filename: Option<&str>) -> Entry {
        let copy = copy();
        let name = filename.map(|name| FileName::parse(name).unwrap());
        let record = Record {
            subject: subject.into(),
            ..copy.record(name.as_ref(), &noon("2025-07-31"))
        };
        record.into_entry(&DayName::parse("212").unwrap(), copy.domain).unwrap()
    }

    const NAME: &str = "1.P3M2Q4.mx.example.com";

    #[test]
    fn a_listing_is_a_table_cut_to_the_width() {
        let mut released = sample("Hello", Some(NAME));
        released.state = State::Released;
        let listing = Listing {
            entries: vec![
                sample(&"You have won, answer at once ".repeat(4), Some(NAME)),
                released,
                sample("中文", None),
            ],
            damaged: 2,
            more: true,
        };
        insta::assert_snapshot!(list(&listing, &zone(), Some(100)), @"
        DATE        TIME   ID         FROM             TO               REASON             SUBJECT
        2025-07-31  12:00  7QK2M9     <Bob@b.example>  Ann@Example.com  HELO should be q…  You have won, an…
        2025-07-31  12:00  7QK2M9  R  <Bob@b.example>  Ann@Example.com  HELO should be q…  Hello
        2025-07-31  12:00  7QK2M9  M  <Bob@b.example>  Ann@Example.com  HELO should be q…  中文
        R: released
        M: only metadata were kept
        there are more than these 3
        damaged index lines, passed over: 2
        ");
        for line in list(&listing, &zone(), Some(72)).lines() {
            assert!(line.chars().map(width).sum::<usize>() <= 72, "{line}");
        }
        assert_eq!(list(&Listing::default(), &zone(), Some(100)), "no entries\n");
    }

    /// `quarantine list | grep ann@example.com` found nothing, since the address was cut.
    #[test]
    fn a_listing_for_programs_is_not_cut() {
        let subject = "You have won, answer at once ".repeat(40);
        let mut dateless = sample("Hello", Some(NAME));
        dateless.time = None;
        let listing = Listing {
            entries: vec![sample(&subject, Some(NAME)), dateless],
            ..Listing::default()
        };
        let table = list(&listing, &zone(), None);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].starts_with("2025-07-31  12:00  7QK2M9"), "{table}");
        assert!(
            lines[1].ends_with(subject.trim_end()) && lines[1].contains("HELO should be qualified"),
            "{table}"
        );
        assert!(
            lines[2].starts_with("day 212 ") && lines[2].ends_with("qualified  Hello"),
            "{table}"
        );
    }

    #[test]
    fn an_entry_is_shown_with_all_that_is_known() {
        insta::assert_snapshot!(entry(&sample("Hello", Some(NAME)), &zone()), @"
        id           7QK2M9
        time         2025-07-31 12:00:00 +02:00
        file         212/example.com/1.P3M2Q4.mx.example.com
        state        held
        disposition  reject
        reason       HELO should be qualified
        check        checks/helo
        from         <Bob@b.example>
        to           Ann@Example.com
        client       192.0.2.1
        host         client.b.example
        helo         b.example
        subject      Hello
        size         29 octets
        ");
        insta::assert_snapshot!(json(&sample("Hello", Some(NAME))), @r#"{"id":"7QK2M9","day":"212","domain":"example.com","filename":"1.P3M2Q4.mx.example.com","state":"held","time":"2025-07-31T10:00:00Z","from":"<Bob@b.example>","recipient":"Ann@Example.com","ip":"192.0.2.1","host":"client.b.example","helo":"b.example","reason":"HELO should be qualified","plugin":"checks/helo","subject":"Hello","message-id":null,"disposition":"reject","size":29}"#);
    }

    #[test]
    fn a_terminal_gets_nothing_to_obey() {
        let shown = |octets: &[u8]| {
            let mut out = Vec::new();
            message(octets, Form::Safe, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(b"a\r\nb\tc\n"), "a\nb\tc\n");
        assert_eq!(shown(b"\x1b[31m\x07\0\r.\x7f"), "\\u{1b}[31m\\u{7}\\u{0}\\r.\\u{7f}");
        assert_eq!(shown("a\u{202e}b\u{9b}c\u{a0}ä…".as_bytes()), "a\\u{202e}b\\u{9b}c ä…");
        assert_eq!(shown(b"\xff\xc3"), "\\xff\\xc3");
        let mut raw = Vec::new();
        message(&b"\x1b\xff\r\n"[..], Form::Raw, &mut raw).unwrap();
        assert_eq!(raw, b"\x1b\xff\r\n");
    }

    #[test]
    fn characters_across_the_boundary_of_a_chunk_are_whole() {
        for before in CHUNK_OCTETS - 5..CHUNK_OCTETS + 1 {
            for text in ["ä", "中", "😀", "\r\n", "\r", "\u{202e}"] {
                let mut out = Vec::new();
                let octets = format!("{}{text}z", "x".repeat(before));
                message(octets.as_bytes(), Form::Safe, &mut out).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), escape(octets.as_bytes()));
            }
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_shown_without_control_characters(octets in proptest::collection::vec(any::<u8>(), 0..500)) {
            let mut out = Vec::new();
            message(&octets[..], Form::Safe, &mut out).unwrap();
            let shown = String::from_utf8(out).unwrap();
            prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
            prop_assert_eq!(shown, escape(&octets));
        }

        #[test]
        fn a_cut_text_is_never_wider(text in "\\PC{0,40}", columns in 1_usize..30) {
            let (shown, used) = cut(&text, columns);
            prop_assert!(used <= columns);
            prop_assert_eq!(shown.chars().map(width).sum::<usize>(), used);
        }
    }
}
