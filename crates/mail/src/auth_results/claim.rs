//! Fields that speak in our name.

use super::read::head;
use super::token::{Cursor, is_blank};
use crate::domain::Domain;

/// Whether the value of an Authentication-Results field claims to be of `ours`, so that it must be removed: RFC 8601 §5.
///
/// Where the authserv-id can be read, it is compared as a domain: in any case, in any spelling of an internationalized
/// name, with or without quotes or a final dot. Where it cannot, another program might still read our name out of it;
/// so then it is enough that `ours` occurs where the authserv-id stands, also after comments, white space, quotes and
/// backslashes are taken away.
pub fn claims_authserv_id(value: &[u8], ours: &str) -> bool {
    let ours = normal(ours.as_bytes());
    if ours.is_empty() {
        return false;
    }
    if let Ok((id, _)) = head(&mut Cursor::new(value))
        && let Some(id) = domain(&id)
    {
        return id == ours;
    }
    let part = id_part(value).to_ascii_lowercase();
    let ours = ours.as_bytes();
    occurs(ours, &part) || occurs(ours, &squeezed(&part, false)) || occurs(ours, &squeezed(&part, true))
}

/// A domain in its one spelling; any other text in lower case.
fn normal(id: &[u8]) -> String {
    domain(id).unwrap_or_else(|| String::from_utf8_lossy(id.trim_ascii()).to_lowercase())
}

fn domain(id: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(id.trim_ascii()).ok()?;
    Domain::parse(text).ok().map(String::from)
}

fn occurs(ours: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(text, ours).is_some()
}

/// What stands before the first semicolon outside of comments and quoted strings. All of it, where one of them is not
/// closed, because then programs differ on where it ends.
fn id_part(value: &[u8]) -> &[u8] {
    let mut cursor = Cursor::new(value);
    loop {
        cursor.take_while(|b| !matches!(b, b';' | b'"' | b'('));
        let is_open = match cursor.peek() {
            None => return value,
            Some(b';') => return value.get(..value.len() - cursor.rest().len()).unwrap_or(value),
            Some(b'"') => cursor.quoted().is_err(),
            Some(_) => cursor.skip_cfws().is_err(),
        };
        if is_open {
            return value;
        }
    }
}

/// Without what a lenient program may pass over. Comments go as a whole, or only their parentheses.
fn squeezed(part: &[u8], with_comments: bool) -> Vec<u8> {
    let mut depth = 0_usize;
    let mut kept = Vec::with_capacity(part.len());
    for &octet in part {
        match octet {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'"' | b'\\' => {}
            octet if is_blank(octet) || octet.is_ascii_control() => {}
            octet if depth == 0 || with_comments => kept.push(octet),
            _ => {}
        }
    }
    kept
}
