//! Where an address leads, read as browsers read it.
//!
//! The reading is the URL standard's, by the crate `url`: white space within, backslashes, `login@`, percent-encoded,
//! full-width and mixed-case hosts, and IPv4 addresses as one number, in octal or in hexadecimal. Mail programs add that
//! `www.` needs no scheme.

use crate::auth::org::PublicSuffixes;
use mail::html::shorten;
use mail::{Domain, is_ignorable};
use std::net::IpAddr;
use url::{Host, ParseError, Url};

/// An address is looked at so far behind its host.
const OCTETS_MAX: usize = 2_000;
/// Addresses within an address that are told apart.
const INNER_MAX: usize = 8;
/// How often an address is decoded in search for others in it.
const DECODINGS_MAX: usize = 3;

/// What an address leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A page of the web.
    Web(Web),
    /// A program (`javascript:`); whether its scheme was written so that readers miss it.
    Script { is_obscured: bool },
    /// A page that stands in the address (`data:text/html`).
    Data,
    /// Mail, a telephone, a part of the message, a place on the page, or nothing at all.
    Other,
}

/// A page of the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Web {
    pub host: WebHost,
    /// A login stands before the host.
    pub login: Option<Login>,
    /// Hosts of the addresses that stand in its path, query or fragment.
    pub inner: Vec<Domain>,
}

/// Who serves a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WebHost {
    /// A name, as browsers ask DNS for it.
    Name(Domain),
    /// An address; whether it was written in another way than people do.
    Address { ip: IpAddr, is_obscured: bool },
}

/// What stands before the `@` of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// It looks like a host, which it is not.
    Host {
        /// That host.
        name: Domain,
        /// It can be taken for nothing else. Otherwise it may be the name of a person (`wei.li`, `jean.it`).
        is_certain: bool,
    },
    /// Anything else.
    Plain,
}

impl Target {
    /// Reads an address; one without a host leads where `base` does.
    pub fn read(text: &str, base: Option<&Url>) -> Target {
        let text = &*shorten(text, OCTETS_MAX);
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(ParseError::RelativeUrlWithoutBase) => match without_scheme(text) {
                Some(url) => url,
                // How the base is written is not this address' fault.
                None => match base.and_then(|base| base.join(text).ok()) {
                    Some(url) => return web(&url, url.as_str()).map_or(Target::Other, Target::Web),
                    None => return Target::Other,
                },
            },
            Err(_) => return Target::Other,
        };
        match url.scheme() {
            "http" | "https" | "ftp" => web(&url, text).map_or(Target::Other, Target::Web),
            scheme @ ("javascript" | "vbscript" | "jscript" | "livescript") => Target::Script {
                is_obscured: !starts_plainly(text, scheme),
            },
            "data" if is_active(url.path()) => Target::Data,
            _ => Target::Other,
        }
    }
}

/// An address that has a host and no scheme.
fn without_scheme(text: &str) -> Option<Url> {
    let start = text.trim_start();
    if start.get(..4).is_some_and(|www| www.eq_ignore_ascii_case("www.")) {
        return Url::parse(&["http://", start].concat()).ok();
    }
    if start.starts_with("//") || start.starts_with("\\\\") {
        return Url::parse(&["http:", start].concat()).ok();
    }
    None
}

/// Whether a data address holds something that runs or asks.
fn is_active(path: &str) -> bool {
    let media = path.split([',', ';']).next().unwrap_or_default().trim();
    let is = |wanted: &str| media.eq_ignore_ascii_case(wanted);
    is("text/html") || is("image/svg+xml") || is("application/xhtml+xml") || is("text/xml") || is("text/javascript")
}

fn starts_plainly(text: &str, scheme: &str) -> bool {
    let start = text.trim().get(..scheme.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

fn web(url: &Url, text: &str) -> Option<Web> {
    let host = match url.host()? {
        Host::Domain(name) => WebHost::Name(host_name(name)?),
        Host::Ipv4(ip) => WebHost::Address {
            ip: ip.into(),
            is_obscured: !text.contains(&ip.to_string()) && !is_short(text),
        },
        Host::Ipv6(ip) => WebHost::Address {
            ip: mail::canonical_ip(ip.into()),
            is_obscured: false,
        },
    };
    let has_login = !url.username().is_empty() || url.password().is_some();
    Some(Web {
        host,
        login: has_login.then(|| login(url)),
        inner: inner(url),
    })
}

/// `http://4.1.2/`: the number of a version that some program took for a link.
fn is_short(text: &str) -> bool {
    let behind = text.split_once("//").map_or("", |(_, behind)| behind);
    let end = behind.find(|c: char| !c.is_ascii_digit() && c != '.');
    let host = behind.get(..end.unwrap_or(behind.len())).unwrap_or_default();
    let is_plain = |part: &str| part == "0" || (1..=3).contains(&part.len()) && !part.starts_with('0');
    let parts = host.trim_end_matches('.').split('.');
    parts.clone().count() > 1 && parts.clone().all(is_plain)
}

/// The name, or what of it a name can be: browsers ask for names with `_` in front, too.
fn host_name(name: &str) -> Option<Domain> {
    let mut name = name.trim_end_matches('.');
    loop {
        match Domain::parse(name) {
            Ok(domain) => return Some(domain),
            Err(_) => name = name.split_once('.')?.1,
        }
    }
}

fn login(url: &Url) -> Login {
    let whole = decode(url.username());
    let name = whole.split(['/', ':', '?', '#']).next().unwrap_or_default();
    let is_port = |word: &str| !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_digit());
    let is_whole_address = name.len() < whole.len() || url.password().is_some_and(is_port);
    match Domain::parse(name) {
        Ok(name) if is_named_host(&name) => Login::Host {
            is_certain: is_whole_address || is_nobodys_name(&name),
            name,
        },
        _ => Login::Plain,
    }
}

/// Endings of hosts that no person is called by, as many are called like a country's (`.li`, `.it`, `.me`).
const NOBODYS_ENDINGS: [&str; 9] = ["com", "net", "org", "edu", "gov", "mil", "info", "biz", "bank"];

/// Whether a host cannot be the login name of a person, whatever they are called.
fn is_nobodys_name(host: &Domain) -> bool {
    let name = host.as_str();
    let ending = name.rsplit('.').next().unwrap_or_default();
    let suffix = psl::suffix(name.as_bytes());
    name.starts_with("www.")
        || NOBODYS_ENDINGS.contains(&ending)
        || suffix.is_some_and(|suffix| suffix.as_bytes().contains(&b'.'))
}

/// Hosts of addresses within an address, in order.
fn inner(url: &Url) -> Vec<Domain> {
    let mut rest = [
        url.path(),
        "?",
        url.query().unwrap_or_default(),
        "#",
        url.fragment().unwrap_or_default(),
    ]
    .concat();
    let mut found = Vec::new();
    for _ in 0..=DECODINGS_MAX {
        found = hosts_in(&rest);
        if !rest.contains('%') {
            break;
        }
        rest = decode(&rest);
    }
    found
}

fn hosts_in(text: &str) -> Vec<Domain> {
    let lower = text.to_ascii_lowercase();
    let mut found = Vec::new();
    for (at, _) in lower.match_indices("http") {
        let from = lower.get(at..).unwrap_or_default();
        let behind = from.strip_prefix("https").or_else(|| from.strip_prefix("http"));
        // A path loses one of two slashes on some servers.
        let Some(rest) = behind.and_then(|rest| rest.strip_prefix(":/")) else {
            continue;
        };
        let rest = rest.trim_start_matches(['/', '\\']);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'));
        let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if let Ok(domain) = Domain::parse(name)
            && name.contains('.')
        {
            found.push(domain);
        }
        if found.len() >= INNER_MAX {
            break;
        }
    }
    found
}

/// Percent-decoded once; what is then no text has replacement characters.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let number = after
            .get(..2)
            .filter(|digits| first == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match number {
            Some(octet) => {
                out.push(octet);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What a link's text says of where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub host: Domain,
    /// It is a whole address (`https://a.example`, `www.a.example`), not just a name, which may be that of a shop.
    pub is_address: bool,
}

impl Shown {
    /// Reads the text of a link: the first address in it, or else a name that is all of it.
    pub fn read(text: &str) -> Option<Shown> {
        let visible: String = text.chars().filter(|c| !is_ignorable(*c)).collect();
        let mut words = visible.split_whitespace();
        let address = words.clone().find_map(|word| {
            let word = word.trim_start_matches(['(', '<', '[', '"', '\'', '«', '“']);
            let is_address = starts_with(word, "http://") || starts_with(word, "https://") || starts_with(word, "www.");
            is_address.then_some(word)
        });
        if let Some(word) = address {
            let Target::Web(web) = Target::read(word.trim_end_matches(['.', ',', ')', '>', ']', '"']), None) else {
                return None;
            };
            return match web.host {
                WebHost::Name(host) if is_named_host(&host) => Some(Shown { host, is_address: true }),
                WebHost::Name(_) | WebHost::Address { .. } => None,
            };
        }
        let (word, None) = (words.next()?, words.next()) else {
            return None;
        };
        let name = word
            .split(['/', '?', ':'])
            .next()?
            .trim_matches(['.', ',', '(', ')', '"']);
        let host = Domain::parse(name).ok().filter(is_named_host)?;
        Some(Shown {
            host,
            is_address: false,
        })
    }
}

/// A name that the public suffix list knows the end of, so that it is no file name or a number.
fn is_named_host(domain: &Domain) -> bool {
    let known = psl::suffix(domain.as_str().as_bytes());
    domain.as_str().contains('.')
        && known.is_some_and(|suffix| suffix.is_known())
        && !PublicSuffixes::BuiltIn.is_public_suffix(domain)
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// Where the next `http://`, `https://`, `ftp://` or `www.` of a text begins, and where it ends.
pub(super) fn next_in_text(text: &str) -> Option<(usize, usize)> {
    let octets = text.as_bytes();
    let scheme = memchr::memmem::find(octets, b"://").and_then(|at| {
        let before = text.get(..at)?;
        let word = before.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        Some(word.len())
    });
    let www = memchr::memmem::find(octets, b"www.");
    let start = [scheme, www].into_iter().flatten().min()?;
    let from = text.get(start..)?;
    let end = from
        .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | ')' | ']' | '}' | '|'))
        .unwrap_or(from.len());
    // Nothing is behind it: go on behind the sign.
    Some((start, start + end.max(1)))
}
