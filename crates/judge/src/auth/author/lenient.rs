//! What can still be said of a From field that cannot be read.
//!
//! Real programs write `'ann@x.example' <ann@x.example>`, `Ann <<ann@x.example>>` or `ann@x.example; bob@x.example`.
//! Each reader makes something else of these; but whatever it shows as an address stands behind an `@`, and every `@` of
//! the field is looked at here, wherever it stands: in phrases, comments, quoted strings and brackets. Where the same
//! domain stands behind all of them, DMARC is asked about the domain that is shown, however it was read. Where there are
//! others (`carl@other.example via List <list@list.example>`), DMARC is asked about each. That is all that is needed, for
//! the domain is all that DMARC proves. An `@` that stands alone in a name (`Bob @ Sender <bob@sender.example>`) is no part
//! of an address: what follows it has no dot, and nobody owns such a domain.
//!
//! So nothing is read where an address could stand without its `@`, or another domain behind one: encoded words, escapes,
//! letters that look like an `@`, an `@` with something missing at its side, a domain that may go on behind a comment, and
//! what is not closed.

use super::{Author, has_control, is_word};
use mail::limits::{DOMAIN_OCTETS_MAX, LOCAL_PART_OCTETS_MAX};
use mail::{Domain, Line};

/// Of a field with more addresses than these nothing is read.
const ADDRESSES_MAX: usize = 20;
/// Nor of one with more domains: each costs a walk through the DNS.
const DOMAINS_MAX: usize = 4;
/// Full-width and small: programs that normalise text (NFKC) take them for an `@`.
const LOOK_ALIKES: [char; 2] = ['\u{ff20}', '\u{fe6b}'];

/// An address as it stands in a field.
struct Spotted<'a> {
    local: &'a str,
    domain: Domain,
    /// What programs that drop white space read instead, where words follow.
    joined: Option<Domain>,
    is_in_brackets: bool,
    /// Within a comment or a quoted string.
    is_enclosed: bool,
    /// White space, or nothing, stands at one side of the `@`: only some programs take it for an address.
    is_loose: bool,
}

/// The author by a field's value: one, if all that looks like an address has one domain; else the domains of all. The address
/// is one outside of comments and quoted strings, and in angle brackets, if there is such a one, for a free provider vouches
/// for that and not for the words around it; otherwise the first.
pub(super) fn read(value: &[u8]) -> Option<Author> {
    let text = std::str::from_utf8(value).ok()?;
    if has_control(value) || text.contains(['\\', LOOK_ALIKES[0], LOOK_ALIKES[1]]) || text.contains("=?") {
        return None;
    }
    let enclosures = enclosures(text).filter(|enclosures| enclosures.len() <= ADDRESSES_MAX)?;
    if has_loose_dot(text) {
        return None;
    }
    let mut found: Vec<Spotted<'_>> = Vec::new();
    let mut domains: Vec<Domain> = Vec::new();
    for ((at, _), is_enclosed) in text.match_indices('@').zip(enclosures) {
        if is_alone(text, at) {
            continue;
        }
        let spotted = spot(text, at, is_enclosed)?;
        for domain in [Some(&spotted.domain), spotted.joined.as_ref()].into_iter().flatten() {
            if !domains.contains(domain) {
                domains.push(domain.clone());
            }
        }
        found.push(spotted);
    }
    found.retain(|spotted| !spotted.is_loose);
    if domains.len() > 1 {
        return (domains.len() <= DOMAINS_MAX && !found.is_empty()).then_some(Author::Disputed(domains));
    }
    let is_open = found.iter().any(|spotted| !spotted.is_enclosed);
    found.retain(|spotted| spotted.is_enclosed != is_open);
    let mut in_brackets = found.iter().filter(|spotted| spotted.is_in_brackets);
    let author = match in_brackets.next() {
        Some(author) if in_brackets.any(|other| other.local != author.local) => return None,
        Some(author) => author,
        None => found.first()?,
    };
    let address = format!("{}@{}", author.local, author.domain);
    Some(Author::One {
        address: Line::clean(address.as_bytes(), LOCAL_PART_OCTETS_MAX + 1 + DOMAIN_OCTETS_MAX),
        domain: author.domain.clone(),
    })
}

/// Whether the `@` at an offset stands in a name: white space or nothing is at one of its sides, and up to the next special
/// character no dot follows but one at the end (`Bob @ Sender Inc. <bob@sender.example>`).
fn is_alone(text: &str, at: usize) -> bool {
    let (before, behind) = (
        text.get(..at).unwrap_or_default(),
        text.get(at + 1..).unwrap_or_default(),
    );
    let is_apart = before.is_empty()
        || before.ends_with(|c| is_space(c) || matches!(c, '<' | '(' | ',' | ';'))
        || behind.starts_with(is_space);
    let end = behind.find(|c| !is_space(c) && !is_of_word(c)).unwrap_or(behind.len());
    let (words, rest) = behind.split_at_checked(end).unwrap_or_default();
    let words = words.trim_end_matches(is_space);
    let has_dot = words.strip_suffix('.').unwrap_or(words).contains('.');
    is_apart && !has_dot && (rest.is_empty() || rest.starts_with(['<', ',', ';', ')']))
}

/// The address around the `@` at an offset.
fn spot(text: &str, at: usize, is_enclosed: bool) -> Option<Spotted<'_>> {
    let (before, behind) = (text.get(..at)?, text.get(at + 1..)?);
    let is_loose = before.ends_with(is_space) || behind.starts_with(is_space);
    let (before, behind) = (before.trim_end_matches(is_space), behind.trim_start_matches(is_space));
    let local = before.trim_end_matches(is_of_word);
    let (before, local) = before.split_at_checked(local.len())?;
    // An apostrophe within a name is one, in front of it it is a quote.
    let bare = local.trim_start_matches('\'');
    if bare.is_empty() || bare.len() > LOCAL_PART_OCTETS_MAX || bare.contains(['[', ']']) {
        return None;
    }
    let end = behind.find(|c| !is_of_domain(c)).unwrap_or(behind.len());
    let (domain, behind) = behind.split_at_checked(end)?;
    if domain.ends_with('.') {
        return None;
    }
    let joined = match ends(behind) {
        true => None,
        false => Some(joined(domain, behind)?),
    };
    // Behind a comment or a quoted string it is only a part of a local part.
    if before.ends_with(')') || before.ends_with('"') && !behind.starts_with('"') {
        return None;
    }
    Some(Spotted {
        local: bare,
        domain: Domain::parse(domain).ok()?,
        joined: joined.and_then(|domain| Domain::parse(&domain).ok()),
        is_in_brackets: before.trim_end().ends_with('<'),
        is_enclosed,
        is_loose,
    })
}

/// A domain and the words behind it, without the white space between; nothing where something else follows at once.
fn joined(domain: &str, behind: &str) -> Option<String> {
    let end = behind.find(|c| !is_space(c) && !is_of_word(c)).unwrap_or(behind.len());
    let words = behind.get(..end).filter(|words| words.starts_with(is_space))?;
    let is_more = words.chars().any(|c| !is_space(c));
    let whole = domain.chars().chain(words.chars().filter(|c| !is_space(*c)));
    is_more.then(|| whole.take_while(|c| is_of_domain(*c)).collect())
}

/// Whether a domain cannot go on with what follows it: programs that drop white space and comments would read on.
fn ends(behind: &str) -> bool {
    let closed = behind.trim_start_matches(['\'', '"', '>', ')']);
    if closed.len() < behind.len() {
        return closed
            .chars()
            .next()
            .is_none_or(|c| is_space(c) || matches!(c, ',' | ';' | '<' | '('));
    }
    if behind.starts_with(|c| !is_space(c) && !matches!(c, ',' | ';' | '<')) {
        return false;
    }
    let mut depth = 0_usize;
    for c in behind.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 || is_space(c) => {}
            _ => return !is_of_word(c),
        }
    }
    true
}

/// Whether each `@`, and at most one too many, stands in a comment or a quoted string; nothing if one
/// of those does not end. There are no escapes.
fn enclosures(text: &str) -> Option<Vec<bool>> {
    let (mut depth, mut is_quoted) = (0_usize, false);
    let mut found = Vec::new();
    for c in text.chars() {
        match c {
            '"' if depth == 0 => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth = depth.checked_sub(1)?,
            '@' if found.len() <= ADDRESSES_MAX => found.push(depth > 0 || is_quoted),
            _ => {}
        }
    }
    (depth == 0 && !is_quoted).then_some(found)
}

/// A dot that follows no word: it could continue a domain that ended before.
fn has_loose_dot(text: &str) -> bool {
    let mut before = ' ';
    text.chars().any(|c| {
        let is_loose = c == '.' && !is_of_word(before);
        before = c;
        is_loose
    })
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Also dots.
fn is_of_word(c: char) -> bool {
    c == '.' || u8::try_from(c).map_or(true, is_word)
}

fn is_of_domain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || !c.is_ascii()
}
