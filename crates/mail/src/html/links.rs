//! Where a page leads: which links are kept of very many, and how much of each.

use super::{LINKS_MAX, Link, LinkKind};
use crate::text::is_ignorable;
use std::borrow::Cow;
use std::collections::HashSet;

/// What a link shows is cut to so many octets.
const SHOWN_OCTETS_MAX: usize = 200;
/// So much of a target is kept behind its host.
const TARGET_OCTETS_MAX: usize = 2_000;
/// So much of a login is kept.
const LOGIN_OCTETS_MAX: usize = 500;

impl Link {
    pub(super) fn new(kind: LinkKind, target: &str) -> Link {
        Link {
            kind,
            target: shorten(target, TARGET_OCTETS_MAX).into_owned(),
            shown: String::new(),
        }
    }
}

/// Leaves room for new links: those that are there twice go, then those that show nothing, then those in the middle; not
/// those at `places`, which are told where they stand now. Whether some are gone that show something.
pub(super) fn thin(links: &mut Vec<Link>, places: &mut [&mut usize]) -> bool {
    let mut seen = HashSet::new();
    let mut is_kept: Vec<bool> = links.iter().map(|link| seen.insert(link)).collect();
    for place in places.iter() {
        is_kept.get_mut(**place).into_iter().for_each(|kept| *kept = true);
    }
    let count = |is_kept: &[bool]| is_kept.iter().filter(|kept| **kept).count();
    if count(&is_kept) > LINKS_MAX / 2 {
        for (at, (link, kept)) in links.iter().zip(&mut is_kept).enumerate() {
            let has_picture = || links.get(at + 1).is_some_and(|next| next.kind == LinkKind::Image);
            let is_open = || places.iter().any(|place| **place == at);
            if link.kind == LinkKind::Anchor && link.shown.is_empty() && !has_picture() && !is_open() {
                *kept = false;
            }
        }
    }
    let mut surplus = count(&is_kept).saturating_sub(LINKS_MAX / 4 * 3);
    let is_cut = surplus > 0;
    for (at, kept) in is_kept.iter_mut().enumerate().skip(LINKS_MAX / 2) {
        if surplus > 0 && *kept && !places.iter().any(|place| **place == at) {
            *kept = false;
            surplus -= 1;
        }
    }
    for place in places.iter_mut() {
        **place = count(is_kept.get(..**place).unwrap_or_default());
    }
    let mut kept = is_kept.into_iter();
    links.retain(|_| kept.next() == Some(true));
    is_cut
}

/// Adds to what a link shows: characters that are seen, blanks as one, until there is no room.
pub(super) fn add_shown(shown: &mut String, text: &str) {
    for c in text.chars().filter(|c| !is_ignorable(*c)) {
        if c.is_whitespace() && (shown.is_empty() || shown.ends_with(char::is_whitespace)) {
            continue;
        }
        if shown.len() + c.len_utf8() > SHOWN_OCTETS_MAX {
            return;
        }
        shown.push(c);
    }
}

/// What a link shows.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    add_shown(&mut shown, text);
    shown.truncate(shown.trim_end().len());
    shown
}

/// An address that may be long, with at most so many octets behind its host. What browsers pass over in front of the host
/// goes first (URL standard, §4.4): blanks and control characters around, tabs and line ends within, slashes past two; of
/// a login the beginning is left. The host is never cut.
pub fn shorten(address: &str, octets_max: usize) -> Cow<'_, str> {
    if address.len() <= octets_max {
        return Cow::Borrowed(address);
    }
    let is_nothing = |c: char| matches!(c, '\t' | '\n' | '\r');
    let plain = address.trim_matches(|c| c <= ' ').replace(is_nothing, "");
    let (scheme, rest) = split_scheme(&plain);
    let authority = rest.trim_start_matches(['/', '\\']);
    let slashes = rest.get(..(rest.len() - authority.len()).min(2)).unwrap_or_default();
    let is_web = ["http:", "https:", "ftp:"]
        .iter()
        .any(|web| scheme.eq_ignore_ascii_case(web));
    let has_host = is_web || scheme.is_empty() && slashes.len() == 2;
    if !has_host {
        return Cow::Owned(cut(&plain, octets_max).to_owned());
    }
    let end = authority.find(['/', '\\', '?', '#']).unwrap_or(authority.len());
    let (authority, behind) = authority.split_at_checked(end).unwrap_or((authority, ""));
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (cut(login, LOGIN_OCTETS_MAX), ["@", host].concat()),
        None => ("", authority.to_owned()),
    };
    Cow::Owned([scheme, slashes, login, &host, cut(behind, octets_max)].concat())
}

/// The scheme with its colon (RFC 3986 §3.1), and the rest.
fn split_scheme(address: &str) -> (&str, &str) {
    let end = address.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'));
    end.filter(|end| address.get(*end..).is_some_and(|rest| rest.starts_with(':')))
        .and_then(|end| address.split_at_checked(end + 1))
        .unwrap_or(("", address))
}

/// At most so many octets, whole characters only.
pub(super) fn cut(text: &str, octets_max: usize) -> &str {
    text.get(..text.floor_char_boundary(octets_max)).unwrap_or(text)
}
