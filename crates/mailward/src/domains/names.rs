//! Names as operators write them, made comparable with names from messages.
//!
//! Each name of a directory is normalised as the value that it is compared with is, once, when the directory is read:
//! addresses of clients to their canonical text, domains to lower-cased A-labels, addresses and local parts folded.
//! A name that cannot be normalised can match nothing; it is left out and [`super::audit`] reports it. So are what
//! editors leave behind and hidden files.

use mail::{Address, Domain, LocalPart};
use std::ffi::OsStr;
use std::net::IpAddr;

/// What the names of a directory stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sort {
    /// Addresses of clients.
    Ip,
    /// Whole host or mail domains.
    Domain,
    /// Last labels.
    Tld,
    /// Reverse-paths.
    Sender,
    /// Local parts of recipients, and users.
    Local,
    /// Servers that pass on mail: addresses, hosts with all below them, and, led by a dot, all below a name.
    Forwarder,
}

/// Why a name stands for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameFault {
    /// Hidden, or what an editor left behind.
    Leftover,
    /// Not UTF-8.
    Text,
    /// Not of its sort.
    Sort(Sort),
}

/// The lists of `blacklisted/`, in the order in which they are asked.
pub(super) const BLACKLISTED: [(&str, Sort); 5] = [
    ("ips", Sort::Ip),
    ("hosts", Sort::Domain),
    ("senders", Sort::Sender),
    ("domains", Sort::Domain),
    ("tld", Sort::Tld),
];

/// The lists of `whitelisted/`, in the order in which they are asked.
pub(super) const WHITELISTED: [(&str, Sort); 4] = [
    ("ips", Sort::Ip),
    ("senders", Sort::Sender),
    ("domains", Sort::Domain),
    ("recipients", Sort::Local),
];

/// The directory of forwarders.
pub(super) const FORWARDERS: &str = "forwarders";
/// The directory of mailing lists that may write here.
pub(super) const LISTS: &str = "lists";

impl Sort {
    /// The name as it is compared.
    pub(super) fn normalise(self, name: &OsStr) -> Result<Box<str>, NameFault> {
        let name = self.plain(name)?;
        let normal = match self {
            Sort::Ip => name.parse::<IpAddr>().ok().map(|ip| ip.to_canonical().to_string()),
            Sort::Domain => Domain::parse(name).ok().map(String::from),
            Sort::Tld => Domain::parse(name)
                .ok()
                .map(String::from)
                .filter(|label| !label.contains('.')),
            Sort::Sender if name.contains('@') => Address::parse(name).ok().map(|address| address.folded()),
            Sort::Sender | Sort::Local => fold_local(name),
            Sort::Forwarder => forwarder(name),
        };
        normal.map(String::into_boxed_str).ok_or(NameFault::Sort(self))
    }

    /// What is expected, for messages.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Sort::Ip => "an IP address",
            Sort::Domain => "a domain",
            Sort::Tld => "one last label, like `example`",
            Sort::Sender => "a mail address",
            Sort::Local => "the part of an address before the `@`",
            Sort::Forwarder => "an IP address, a host, or what hosts end in (`.example.com`)",
        }
    }

    /// As [`plain`] has it; but a forwarder's name may be led by a dot, if it has another, as no leftover does.
    pub(super) fn plain(self, name: &OsStr) -> Result<&str, NameFault> {
        match name.to_str().and_then(|name| name.strip_prefix('.')) {
            Some(rest) if self == Sort::Forwarder && rest.contains('.') => {
                plain(OsStr::new(rest))?;
                name.to_str().ok_or(NameFault::Text)
            }
            _ => plain(name),
        }
    }
}

/// The last label alone is nobody's name: it would be everybody's.
fn forwarder(name: &str) -> Option<String> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Some(ip.to_canonical().to_string());
    }
    let (dot, rest) = match name.strip_prefix('.') {
        Some(rest) => (".", rest),
        None => ("", name),
    };
    let domain = Domain::parse(rest).ok()?;
    let is_number = domain.last_label().bytes().all(|octet| octet.is_ascii_digit());
    (domain.as_str().contains('.') && !is_number).then(|| format!("{dot}{domain}"))
}

/// A name that an operator wrote on purpose, as text. Names led by a dot, and names that end in `~` or `.swp`, are
/// not: they count nowhere below a domain. This costs users whose names are of that kind, and saves operators from
/// `helo~` switching on what they just removed.
pub(super) fn plain(name: &OsStr) -> Result<&str, NameFault> {
    let octets = name.as_encoded_bytes();
    if octets.starts_with(b".") || octets.ends_with(b"~") || octets.ends_with(b".swp") {
        return Err(NameFault::Leftover);
    }
    name.to_str().ok_or(NameFault::Text)
}

/// Folds a user's name exactly as [`LocalPart::folded`] does. A file's name has no quotes: `a b` stands for `"a b"`.
fn fold_local(name: &str) -> Option<String> {
    let local = LocalPart::parse(name).or_else(|_| {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        LocalPart::parse(&format!("\"{escaped}\""))
    });
    local.ok().map(|local| local.folded().into_owned())
}

/// A folded local part without its extension, if it has one: `ann` of `ann+x`. As in [`mail::MailboxId`], nothing
/// stands before the `+` of `+x`.
pub(super) fn base(folded: &str) -> Option<&str> {
    folded
        .split_once('+')
        .map(|(base, _)| base)
        .filter(|base| !base.is_empty())
}

/// The nearest of `known`, where one is near enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|right| {
            // `blacklist` for `blacklisted`: the beginning of a word is nearer than its letters say.
            let is_beginning = lower.len() >= 4 && (right.starts_with(&lower) || lower.starts_with(right));
            let distance = if is_beginning {
                1
            } else {
                strsim::damerau_levenshtein(&lower, right)
            };
            (distance, right)
        })
        .filter(|(distance, right)| *distance <= 2.min(right.chars().count() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, right)| right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(sort: Sort, name: &str) -> Option<String> {
        sort.normalise(OsStr::new(name)).ok().map(String::from)
    }

    #[test]
    fn each_sort_has_one_spelling() {
        for (sort, name, expected) in [
            (Sort::Ip, "::FFFF:192.0.2.1", "192.0.2.1"),
            (Sort::Ip, "2001:0DB8:0:0::1", "2001:db8::1"),
            (Sort::Domain, "MX.Example.", "mx.example"),
            (Sort::Domain, "bücher.example", "xn--bcher-kva.example"),
            (Sort::Tld, "Example", "example"),
            (Sort::Sender, "Ann@Bücher.Example", "ann@xn--bcher-kva.example"),
            (Sort::Sender, "Root", "root"),
            (Sort::Local, "Ann+X", "ann+x"),
            (Sort::Local, "A b", "a b"),
            (Sort::Local, "a\"b", "a\"b"),
            (Sort::Forwarder, "2001:0DB8::1", "2001:db8::1"),
            (Sort::Forwarder, "Iki.fi.", "iki.fi"),
            (Sort::Forwarder, ".Bücher.Example", ".xn--bcher-kva.example"),
        ] {
            assert_eq!(normal(sort, name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_can_match_nothing_is_left_out() {
        for (sort, name) in [
            (Sort::Ip, "192.0.2.0-24"),
            (Sort::Ip, "192.0.2"),
            (Sort::Domain, "*.example"),
            (Sort::Domain, "_global_"),
            (Sort::Tld, "co.example"),
            (Sort::Sender, "@example"),
            (Sort::Local, "a\tb"),
            (Sort::Forwarder, "example"),
            (Sort::Forwarder, ".example"),
            (Sort::Forwarder, "*.iki.fi"),
            (Sort::Forwarder, "..iki.fi"),
            (Sort::Forwarder, "192.0.2"),
        ] {
            assert_eq!(normal(sort, name), None, "{name}");
        }
        for name in [".gitkeep", "helo~", "ann.swp", ".ann.swp"] {
            assert_eq!(
                Sort::Local.normalise(OsStr::new(name)),
                Err(NameFault::Leftover),
                "{name}"
            );
        }
        for name in [".gitkeep", ".DS_Store", ".iki.fi~", ".iki.fi.swp", "iki.fi~"] {
            let normal = Sort::Forwarder.normalise(OsStr::new(name));
            assert_eq!(normal, Err(NameFault::Leftover), "{name}");
        }
    }

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["helo", "date", "blacklisted", "users"];
        for (name, right) in [
            ("hello", "helo"),
            ("blacklist", "blacklisted"),
            ("Users", "users"),
            ("user", "users"),
        ] {
            assert_eq!(nearest(name, known), Some(right), "{name}");
        }
        assert_eq!(nearest("greylisting", known), None);
    }
}
