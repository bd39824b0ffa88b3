//! The parts of a message, beside what two other readers of MIME find in it: the crates mailparse and mail-parser.

use mail::Message;
use mail::mime::{Encoding, Form, Part, parts};
use mail_parser::{MessageParser, MimeHeaders, PartType};
use mailparse::ParsedMail;

/// The peers go down a level of the stack for each level of nesting, so they are given no more.
const OCTETS_MAX: usize = 4096;

/// A text that somebody finds, and whether it is HTML.
struct Text {
    is_page: bool,
    text: String,
}

/// Each line of text that one of the peers finds in a leaf is found by ours too, and in a page if it is one of a page.
///
/// What is decided otherwise:
/// - Only lines of printable ASCII are compared. The peers know nothing of marks of UTF-16, UTF-7 and others; see
///   `testdata/mime`.
/// - Where a peer cannot decode, it shows the source, and so it does with encodings that it does not know. Readers decode
///   (RFC 2045 §6.8: what is no letter is passed over), so the source of a part is enough.
/// - The source of a multipart or a message that a peer does not open has delimiters and fields in it, which nobody reads;
///   of an encoded one only pages are compared. The last character of a line may be bits that are no whole octet.
/// - mailparse leaves octets past ASCII out of quoted-printable.
/// - mailparse knows no quotes around a semicolon, and takes an empty boundary for one.
/// - A line that is no field ends the header of the message: there the gateway writes a blank line, so that nobody behind
///   it reads on. What is behind is not compared.
/// - mail-parser takes `Content- Type`, `C ontent-Type` and `Content,Type` for fields of content; RFC 5322 §2.2 allows no
///   blank within a name.
/// - Where a message ends in its header, mail-parser takes a folded line of Content-Type for its text; it belongs to the field
///   (RFC 5322 §2.2.3).
/// - mail-parser loses a blank behind UTF-7 (RFC 2152 takes away `-` only).
/// - mail-parser panics at some nested messages in base64; what it would have found is not known.
/// - mail-parser finds delimiters within a line. RFC 2046 §5.1.1 wants them at its beginning, and so do all others.
pub fn mime_peers(octets: &[u8]) {
    let octets = octets.get(..OCTETS_MAX).unwrap_or(octets);
    let message = Message::parse(octets);
    if !is_comparable(octets, &message) {
        return;
    }
    let parts = parts(&message);
    let has_opened = parts
        .iter()
        .any(|part| part.is_container() && part.encoding != Encoding::Identity);
    let ours = ours(&parts);
    for (peer, texts) in [
        ("mailparse", mailparse_texts(octets)),
        ("mail-parser", mail_parser_texts(octets)),
    ] {
        for theirs in texts
            .iter()
            .filter(|text| text.is_page || !has_opened && !is_source(text))
        {
            let lines = theirs.text.lines().map(str::trim).filter(|line| says_something(line));
            for line in lines.filter(|line| !is_folded_at_end(octets, line)) {
                let finds = |our: &Text, line: &str| our.is_page >= theirs.is_page && our.text.contains(line);
                let is_found = |line: &str| ours.iter().any(|our| finds(our, line));
                assert!(
                    is_found(line) || is_found(&line[..line.len() - 1]),
                    "{peer} finds {line:?}"
                );
            }
        }
    }
}

/// Whether the peers read a message by the same rules.
fn is_comparable(octets: &[u8], message: &Message<'_>) -> bool {
    let header = &octets[..octets.len() - message.body().len()];
    let is_ended = header.ends_with(b"\n\n") || header.ends_with(b"\n\r\n");
    let has_utf_7 = octets.contains(&b'+') && octets.windows(3).any(|word| word.eq_ignore_ascii_case(b"utf"));
    let is_quoted = octets.to_ascii_lowercase().windows(6).any(|word| word == b"quoted");
    let is_odd = |line: &[u8]| {
        let name = line.split(|&b| b == b':').next().unwrap_or_default().trim_ascii();
        let is_letter = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
        let mut letters = name.to_ascii_lowercase();
        letters.retain(is_letter);
        line.contains(&b':') && letters.starts_with(b"cont") && letters.len() < name.len()
    };
    is_ended
        && !has_utf_7
        && !octets
            .split(|&b| b == b'\n')
            .any(|line| is_odd(line) || !is_plain(line, is_quoted))
}

/// Whether a line has nothing in it that no RFC allows and each reader takes as it likes: octets that are no text in a
/// field, `=` and `%` before what is no number, stars in names where none belong, quotes that are not closed, quotes and
/// backslashes in an encoding, fields behind a delimiter.
fn is_plain(line: &[u8], is_quoted: bool) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let has = |octet: u8| line.contains(&octet);
    let follows = |sign: u8, is_right: fn(&[u8]) -> bool| {
        let mut places = line.iter().enumerate().filter(|(_, b)| **b == sign);
        places.all(|(at, _)| is_right(&line[at + 1..]))
    };
    let is_field = has(b':') || has(b';');
    // A field or the rest of one, rather than a line of text with a colon in it.
    let name = line.split(|&b| b == b':').next().unwrap_or_default();
    let is_named = is_field
        && (line.starts_with(b" ")
            || line.starts_with(b"\t")
            || has(b':') && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'));
    let is_printable = line.iter().all(|b| matches!(b, b' '..=b'~' | b'\t'));
    let is_number = |behind: &[u8]| behind.len() >= 2 && behind[..2].iter().all(u8::is_ascii_hexdigit);
    let is_number_or_end =
        |behind: &[u8]| is_end(behind) || behind.len() >= 2 && behind[..2].iter().all(u8::is_ascii_hexdigit);
    let is_cut = |piece: &[u8]| piece.iter().filter(|b| **b == b'"').count() % 2 == 1;
    let is_encoding = line.to_ascii_lowercase().windows(9).any(|word| word == b"encoding:");
    let is_coded = !has(b' ') && has(b'=');
    !has(b'\r')
        && (is_printable || !is_field && !has(b'='))
        && (!is_quoted || is_named && !has(b'<') || follows(b'=', is_number_or_end))
        && !(is_coded && !is_field && !has(b'<') && (!line.ends_with(b"=") || !line.len().is_multiple_of(4)))
        && follows(b'%', is_number)
        && follows(b'*', |behind| {
            behind.first().is_some_and(|b| b.is_ascii_digit() || b"*=".contains(b))
        })
        && !line
            .windows(2)
            .any(|pair| pair[1] == b'*' && !pair[0].is_ascii_alphanumeric())
        && line.iter().filter(|b| **b == b'\'').count() <= 2
        && !(is_field && line.split(|&b| b == b';').any(is_cut))
        && !(is_encoding && (has(b'"') || has(b'\\')))
        && !(line.starts_with(b"--") && is_field)
}

/// Whether it is a folded line behind the last blank line.
fn is_folded_at_end(octets: &[u8], wanted: &str) -> bool {
    let lines: Vec<&[u8]> = octets.trim_ascii_end().split(|&b| b == b'\n').collect();
    let behind = lines
        .rsplit(|line| line.trim_ascii().is_empty())
        .next()
        .unwrap_or_default();
    let mut folded = behind.iter().filter(|line| matches!(line.first(), Some(b' ' | b'\t')));
    folded.any(|line| line.trim_ascii() == wanted.as_bytes())
}

/// Nothing but `=` follows.
fn is_end(behind: &[u8]) -> bool {
    behind.iter().all(|b| *b == b'=')
}

/// Whether a text has delimiters in it.
fn is_source(text: &Text) -> bool {
    text.text.lines().any(|line| line.starts_with("--"))
}

/// Whether a line is text that can be compared, rather than a delimiter or a field.
fn says_something(line: &str) -> bool {
    let is_field = line
        .split_once(':')
        .map(|(name, _)| name.trim_end())
        .is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()));
    // Base64 that was not decoded.
    let is_coded = !line.contains([' ', '<']) && line.contains(|c: char| c.is_ascii_uppercase() || c == '=');
    !line.is_empty()
        && !is_coded
        && !is_field
        && !line.starts_with("--")
        && line.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// The text of each leaf, its octets, and these as they came.
fn ours(parts: &[Part<'_>]) -> Vec<Text> {
    let leaves = parts.iter().filter(|part| !part.is_container());
    let text = |part: &Part<'_>| Text {
        is_page: part.form() == Form::Page,
        text: [
            part.text(),
            String::from_utf8_lossy(&part.octets()).into_owned(),
            String::from_utf8_lossy(part.raw()).into_owned(),
            String::from_utf8_lossy(&part.octets()).replace(|c: char| !c.is_ascii() || c.is_control() && c != '\n', ""),
        ]
        .join("\n"),
    };
    leaves.map(text).collect()
}

fn mailparse_texts(octets: &[u8]) -> Vec<Text> {
    let Ok(mail) = mailparse::parse_mail(octets) else {
        return Vec::new();
    };
    let is_type = |line: &&[u8]| line.contains(&b'"') && line.contains(&b';');
    let is_cut = |line: &[u8]| {
        line.split(|&b| b == b';')
            .any(|piece| piece.iter().filter(|b| **b == b'"').count() % 2 == 1)
    };
    if octets.split(|&b| b == b'\n').filter(is_type).any(is_cut) {
        return Vec::new();
    }
    let (mut texts, mut open): (_, Vec<&ParsedMail<'_>>) = (Vec::new(), vec![&mail]);
    while let Some(part) = open.pop() {
        open.extend(&part.subparts);
        let media = &part.ctype.mimetype;
        if part.ctype.params.get("boundary").is_some_and(String::is_empty) {
            return Vec::new();
        }
        if part.subparts.is_empty() && media.starts_with("text/") {
            texts.extend(part.get_body().map(|text| Text {
                is_page: media == "text/html",
                text,
            }));
        }
    }
    texts
}

/// What a peer makes of it; nothing, if it panics. That is its own affair, and no finding here: libFuzzer would end at the
/// panic's message, so there is none.
fn undisturbed<T>(peer: impl FnOnce() -> Option<T>) -> Option<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(peer));
    std::panic::set_hook(hook);
    made.ok().flatten()
}

fn mail_parser_texts(octets: &[u8]) -> Vec<Text> {
    let Some(message) = undisturbed(|| MessageParser::default().parse(octets)) else {
        return Vec::new();
    };
    let (mut texts, mut open) = (Vec::new(), vec![&message]);
    while let Some(message) = open.pop() {
        let mut kinds = message.parts.iter().filter_map(|part| part.content_type());
        if kinds.any(|kind| has_delimiter_in_line(octets, kind.attribute("boundary").unwrap_or_default())) {
            return Vec::new();
        }
        for part in &message.parts {
            let (is_page, text) = match &part.body {
                PartType::Text(text) => (false, text),
                PartType::Html(text) => (true, text),
                PartType::Message(message) => {
                    open.push(message);
                    continue;
                }
                PartType::Binary(_) | PartType::InlineBinary(_) | PartType::Multipart(_) => continue,
            };
            let text = text.clone().into_owned();
            texts.push(Text { is_page, text });
        }
    }
    texts
}

fn has_delimiter_in_line(octets: &[u8], boundary: &str) -> bool {
    let delimiter = format!("--{boundary}");
    let mut places = octets.windows(delimiter.len()).enumerate().skip(1);
    !boundary.is_empty() && places.any(|(at, found)| found == delimiter.as_bytes() && octets[at - 1] != b'\n')
}
