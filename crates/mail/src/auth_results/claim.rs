//! Fields that speak in our name: Authentication-Results, those of ARC, and Received-SPF.

use super::read::{head, instance};
use super::token::{Cursor, is_blank};
use crate::domain::Domain;

/// Whether the value of an Authentication-Results field claims to be of `ours`, so that it must be removed: RFC 8601 §5.
///
/// Where the authserv-id can be read, it is compared as a domain: in any case, in any spelling of an internationalized
/// name, with or without quotes or a final dot. Where it cannot, another program might still read our name out of it;
/// so then it is enough that `ours` occurs where the authserv-id stands, also after comments, white space, quotes and
/// backslashes are taken away. Parts in front that are empty hide nothing behind them: a program that looks for the first
/// word would read on.
pub fn claims_authserv_id(value: &[u8], ours: &str) -> bool {
    let ours = normal(ours.as_bytes());
    if ours.is_empty() {
        return false;
    }
    let mut rest = Some(value);
    while let Some(part) = rest {
        if claims(part, &ours) {
            return true;
        }
        rest = behind_empty_part(part);
    }
    false
}

/// The same of the value of an ARC-Authentication-Results field (RFC 8617 §4.1.1), whose authserv-id stands behind the
/// instance. Where that cannot be read, any part is taken for the authserv-id.
pub fn claims_arc_authserv_id(value: &[u8], ours: &str) -> bool {
    match instance(value) {
        Ok((_, rest)) => claims_authserv_id(rest.rest(), ours),
        Err(_) => value.split(|&b| b == b';').any(|part| claims_authserv_id(part, ours)),
    }
}

/// Whether the value of a Received-SPF field (RFC 7208 §9.1) names our host, in any spelling: as its `receiver`, in the
/// comment, where many write it, or anywhere else, because what does not speak in our name has no reason to name us.
pub fn names_receiver(value: &[u8], ours: &str) -> bool {
    let ours = normal(ours.as_bytes());
    if ours.is_empty() {
        return false;
    }
    let text = value.to_ascii_lowercase();
    let is_ours = |word: &[u8]| domain(word).is_some_and(|name| name == ours);
    // In ASCII a name has one spelling; in other letters it has many.
    let is_spelled_otherwise = || {
        let bare: Vec<u8> = text.iter().copied().filter(|b| !matches!(b, b'"' | b'\\')).collect();
        let ends_word = |b: &u8| is_blank(*b) || b";=:,@()<>[]".contains(b);
        bare.split(ends_word).any(is_ours)
    };
    occurs_squeezed(ours.as_bytes(), &text) || !text.is_ascii() && is_spelled_otherwise()
}

/// `ours` is in its one spelling, and not empty.
fn claims(value: &[u8], ours: &str) -> bool {
    if let Ok((id, _)) = head(&mut Cursor::new(value))
        && let Some(id) = domain(&id)
    {
        return id == ours;
    }
    occurs_squeezed(ours.as_bytes(), &id_part(value).to_ascii_lowercase())
}

/// What stands behind a first part that is empty but for comments and empty quoted strings; `None` where it is not.
fn behind_empty_part(value: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::new(value);
    loop {
        cursor.skip_cfws().ok()?;
        match cursor.peek() {
            Some(b'"') if cursor.quoted().ok()?.trim_ascii().is_empty() => {}
            _ => return cursor.take(b';').then(|| cursor.rest()),
        }
    }
}

/// Whether `ours` occurs in lower-cased text as it is, or once what a lenient program may pass over is taken away.
fn occurs_squeezed(ours: &[u8], text: &[u8]) -> bool {
    occurs(ours, text) || occurs(ours, &squeezed(text, false)) || occurs(ours, &squeezed(text, true))
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
