//! What stands in the parts: text, pages, links, attachments; and how the parts are put together.

use super::origin::host;
use super::sink::{Sink, magnitude};
use super::words::{self, shape};
use crate::auth::org::PublicSuffixes;
use crate::links::Links;
use mail::Domain;
use mail::html::{Link, LinkKind, Page};
use mail::mime::{Calendar, Form, Part};
use std::collections::BTreeSet;

/// Text past this is not looked at, in all parts together.
const TEXT_OCTETS_MAX: usize = 16 * 1024;
/// Links past this number add nothing.
const LINKS_MAX: usize = 100;
/// Parts past this number add nothing.
const PARTS_MAX: usize = 50;

/// Reads all parts of a message whose author is of an organization.
pub(super) fn read(parts: &[Part<'_>], author: Option<&Domain>, sink: &mut Sink) {
    let mut tree = String::new();
    let mut room = TEXT_OCTETS_MAX;
    let (others, parts): (Vec<&Part<'_>>, Vec<&Part<'_>>) = parts.iter().partition(|part| part.is_other);
    for part in parts.into_iter().take(PARTS_MAX) {
        tree.push_str(&format!("{}{};", part.depth, part.media));
        sink.shape("part", &part.media);
        sink.shape("part", &format!("{} {:?}", part.media, part.encoding));
        if let Some(charset) = &part.charset {
            sink.shape("charset", charset);
        }
        if let Some(name) = &part.name {
            attachment(name, part, sink);
        }
        if part.is_container() {
            continue;
        }
        if part.is_shown() {
            sink.break_off();
            text(part, author, &mut room, sink);
        } else {
            sink.shape(
                "size",
                &format!("{} {}", part.media, magnitude(part.raw().len() / 1024)),
            );
        }
    }
    sink.shape("parts", &tree);
    // How the message is made is told of what most readers find; what a few find has words, too, and room of its own, so
    // that the others cannot fill it.
    room = TEXT_OCTETS_MAX;
    for part in others.into_iter().filter(|part| part.is_shown()).take(PARTS_MAX) {
        sink.break_off();
        text(part, author, &mut room, sink);
    }
}

/// A file's name: its words, its ending, and both endings of `invoice.pdf.exe`.
fn attachment(name: &str, part: &Part<'_>, sink: &mut Sink) {
    let lower = name.to_lowercase();
    words::each(&lower, |word| sink.word("file", word));
    if let Some((rest, ending)) = lower.rsplit_once('.') {
        sink.word("file", &[".", ending].concat());
        sink.shape("file", &[ending, " as ", &part.media].concat());
        if let Some((_, before)) = rest.rsplit_once('.').filter(|(_, before)| before.len() <= 4) {
            sink.word("file", &[".", before, ".", ending].concat());
        }
    }
    sink.shape("file", &shape(name, 20));
}

fn text(part: &Part<'_>, author: Option<&Domain>, room: &mut usize, sink: &mut Sink) {
    if *room == 0 {
        return;
    }
    let text = part.text();
    let kept = text.get(..text.floor_char_boundary(4 * *room)).unwrap_or(&text);
    match part.form() {
        Form::Page | Form::Drawing => page(kept, author, room, sink),
        Form::Calendar => {
            let calendar = Calendar::read(kept);
            plain(&calendar.text, room, sink);
            if !calendar.page.is_empty() {
                page(&calendar.page, author, room, sink);
            }
        }
        Form::Container | Form::Plain | Form::Other => plain(kept, room, sink),
    }
}

fn page(html: &str, author: Option<&Domain>, room: &mut usize, sink: &mut Sink) {
    let page = Page::read(html);
    for tag in &page.tags {
        sink.shape("tag", tag);
    }
    let share = page.text.trim().len() * 8 / html.len().max(1);
    sink.shape("page", &format!("text {share}/8 of {}", magnitude(html.len() / 256)));
    if !page.hidden.trim().is_empty() {
        sink.shape("page", "hides text");
        let hidden = take(&page.hidden, room);
        words::each(hidden, |word| sink.word("hidden", word));
    }
    let images = page.links.iter().filter(|link| link.kind == LinkKind::Image).count();
    sink.shape("images", &magnitude(images));
    sink.shape("links", &magnitude(page.links.len() - images));
    link_hosts(&page.links, author, sink);
    for found in page.links.iter().take(LINKS_MAX) {
        link(found, sink);
    }
    for sign in Links::signs_of_page(&page) {
        sink.shape("link sign", sign.name());
    }
    plain(&page.text, room, sink);
}

/// To how many organizations links lead, and whether one of them is the author's: a newsletter's links lead home.
fn link_hosts(links: &[Link], author: Option<&Domain>, sink: &mut Sink) {
    let hosts = links.iter().take(LINKS_MAX).filter_map(|link| host_of(&link.target));
    let domains = hosts.filter_map(|host| Domain::parse(host).ok());
    let organizations: BTreeSet<String> = domains
        .map(|domain| PublicSuffixes::BuiltIn.organizational(&domain).as_str().to_owned())
        .collect();
    let whose = match author {
        _ if organizations.is_empty() => "of nobody",
        Some(author) if organizations.contains(author.as_str()) => "of the author",
        _ => "of others",
    };
    sink.shape("link hosts", whose);
    sink.shape("link hosts", &[&magnitude(organizations.len()), " ", whose].concat());
}

/// As much of a text as there is room for.
fn take<'a>(text: &'a str, room: &mut usize) -> &'a str {
    let kept = text.get(..text.floor_char_boundary(*room)).unwrap_or(text);
    *room -= kept.len();
    kept
}

fn plain(text: &str, room: &mut usize, sink: &mut Sink) {
    let text = take(text, room);
    sink.shape("text", &magnitude(text.len() / 64));
    manner(text, sink);
    let mut rest = text;
    let mut links = 0;
    while let Some(at) = next_address(rest).filter(|_| links < LINKS_MAX) {
        links += 1;
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        words::each(before, |word| sink.running("", word));
        let end = from
            .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | ')' | ']'))
            .unwrap_or(from.len());
        let (target, after) = from.split_at_checked(end).unwrap_or((from, ""));
        address("link", target, sink);
        sink.running("", "\u{fffd}link");
        rest = after;
    }
    words::each(rest, |word| sink.running("", word));
}

/// How a text is written: whether it answers, where its lines end, and how loud it is.
fn manner(text: &str, sink: &mut Sink) {
    let share = |part: usize, all: usize, of: usize| format!("{}/{of}", part * of / all.max(1));
    let lines = Lines::count(text);
    sink.shape("quoted lines", &share(lines.quoted, lines.all, 8));
    sink.shape("blank lines", &share(lines.blank, lines.all, 8));
    sink.shape("longest line", &magnitude(lines.longest));
    let signature = if lines.is_signed { "is there" } else { "is missing" };
    sink.shape("signature line", signature);

    let octets = Octets::count(text);
    sink.shape("capitals", &share(octets.capitals, octets.letters, 16));
    sink.shape("digits", &share(octets.digits, text.len(), 16));
    sink.shape("octets past ASCII", &share(octets.past_ascii, text.len(), 8));
    sink.shape("exclamation marks", &magnitude(octets.exclamation_marks));
}

/// How the lines of a text are.
#[derive(Default)]
struct Lines {
    all: usize,
    quoted: usize,
    blank: usize,
    /// Octets of the longest.
    longest: usize,
    is_signed: bool,
}

impl Lines {
    fn count(text: &str) -> Lines {
        let mut lines = Lines::default();
        for line in text.lines() {
            let begins_with = line.trim_start().bytes().next();
            lines.all += 1;
            lines.quoted += usize::from(begins_with == Some(b'>'));
            lines.blank += usize::from(begins_with.is_none());
            lines.longest = lines.longest.max(line.len());
            lines.is_signed |= line == "-- ";
        }
        lines
    }
}

/// How many octets of a text are of which kind.
#[derive(Default)]
struct Octets {
    letters: usize,
    capitals: usize,
    digits: usize,
    past_ascii: usize,
    exclamation_marks: usize,
}

impl Octets {
    fn count(text: &str) -> Octets {
        let mut counted = Octets::default();
        for octet in text.bytes() {
            counted.letters += usize::from(octet.is_ascii_alphabetic());
            counted.capitals += usize::from(octet.is_ascii_uppercase());
            counted.digits += usize::from(octet.is_ascii_digit());
            counted.past_ascii += usize::from(!octet.is_ascii());
            counted.exclamation_marks += usize::from(octet == b'!');
        }
        counted
    }
}

/// Where the next `http://`, `https://` or `www.` begins.
fn next_address(text: &str) -> Option<usize> {
    let scheme = memchr::memmem::find(text.as_bytes(), b"://").and_then(|at| {
        let before = text.get(..at)?;
        let word = before.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        (word.len() < at).then_some(word.len())
    });
    let www = memchr::memmem::find(text.as_bytes(), b"www.");
    [scheme, www].into_iter().flatten().min()
}

fn link(link: &Link, sink: &mut Sink) {
    let place = match link.kind {
        LinkKind::Anchor => "link",
        LinkKind::Image => "image",
        LinkKind::Form => "form",
        LinkKind::Other => "other",
    };
    let shows = host_of(&link.shown).filter(|name| name.contains('.') && !name.contains(' '));
    if let (Some(shown), Some(target)) = (shows, host_of(&link.target)) {
        let same = shown
            .trim_start_matches("www.")
            .eq_ignore_ascii_case(target.trim_start_matches("www."));
        sink.shape("link shows", if same { "its host" } else { "another host" });
    }
    address(place, &link.target, sink);
}

/// The host of an address, without login and port.
fn host_of(address: &str) -> Option<&str> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let name = host.split(':').next()?.trim();
    (!name.is_empty()).then_some(name)
}

/// An address: its scheme, its host, the words and the build of its path.
fn address(place: &str, target: &str, sink: &mut Sink) {
    let target = target.trim();
    let scheme = target.split_once(':').map_or("", |(scheme, _)| scheme);
    let scheme = scheme
        .get(..scheme.floor_char_boundary(10))
        .unwrap_or_default()
        .to_ascii_lowercase();
    sink.shape("scheme", &[place, " ", &scheme].concat());
    if matches!(scheme.as_str(), "mailto" | "cid" | "data" | "javascript") {
        if scheme == "mailto" {
            address_of_mail(place, target, sink);
        }
        return;
    }
    let Some(name) = host_of(target) else { return };
    host(place, name, sink);
    let path = target.split_once("://").map_or(target, |(_, rest)| rest);
    let Some((authority, path)) = path.split_once('/') else {
        return;
    };
    if authority.contains('@') {
        sink.shape(place, "login");
    }
    if authority.contains(':') {
        sink.shape(place, "port");
    }
    sink.shape(place, &["path ", &shape(path, 24)].concat());
    words::each(path.get(..path.floor_char_boundary(200)).unwrap_or(path), |word| {
        sink.word(place, word)
    });
}

fn address_of_mail(place: &str, target: &str, sink: &mut Sink) {
    let address = target
        .get(7..)
        .unwrap_or_default()
        .split('?')
        .next()
        .unwrap_or_default();
    sink.word(place, &address.to_lowercase());
    if let Some((_, domain)) = address.rsplit_once('@') {
        host(place, domain, sink);
    }
}
