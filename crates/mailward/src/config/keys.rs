//! Every key of the configuration: its text for people, how it is read, how it is printed.

use super::{Config, Listener, ListenerTls, LogFormat, LogLevel, NextHopTls};
use crate::judgement::FilterField;
use crate::relay::next_hop::{NextHop, NextHopError};
use crate::virus::ClamdAddress;
use judge::checks::{Check, InAll};
use mail::smtp::data::BareLf;
use mail::smtp::nul::Nul;
use std::fmt::Write;
use std::path::PathBuf;
use toml::de::DeValue;

/// RFC 5321 §4.5.3.1.7: every server takes messages of 64 K octets.
const MESSAGE_SIZE_MIN: u64 = 64 << 10;
/// RFC 5321 §4.5.3.1.6: every server takes lines of 1,000 octets.
const TEXT_LINE_MIN: u64 = 1000;

/// Room for the last few hundred messages: less explains nothing.
const STORE_SIZE_MIN: u64 = 1 << 20;
/// One model.
const JUNK_MEMORY_MIN: u64 = 1 << 20;

/// One key.
pub(super) struct Key {
    pub section: &'static str,
    pub name: &'static str,
    /// For people; printed above the key.
    pub doc: &'static str,
    pub set: fn(&mut Config, &DeValue<'_>) -> Result<(), Wrong>,
    /// As it stands in a file; `None` leaves the key out.
    pub get: fn(&Config) -> Option<String>,
}

/// Why a value does not fit.
pub(super) struct Wrong {
    pub message: String,
    pub hint: Option<String>,
}

fn wrong(message: impl Into<String>) -> Wrong {
    Wrong {
        message: message.into(),
        hint: None,
    }
}

impl From<NextHopError> for Wrong {
    fn from(error: NextHopError) -> Wrong {
        Wrong {
            message: error.to_string(),
            hint: Some(error.hint()),
        }
    }
}

fn text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, Wrong> {
    value.as_str().ok_or_else(|| {
        wrong(format!(
            "a text in quotes is wanted, this is of type {}",
            value.type_str()
        ))
    })
}

fn boolean(value: &DeValue<'_>) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| wrong("`true` or `false` is wanted"))
}

fn number(value: &DeValue<'_>) -> Result<u64, Wrong> {
    let digits = value.as_integer().ok_or_else(|| wrong("a whole number is wanted"))?;
    u64::from_str_radix(digits.as_str(), digits.radix()).map_err(|_| wrong("the number is negative or too large"))
}

/// A count; `min` keeps out what would stop the daemon from working at all.
fn count(value: &DeValue<'_>, min: u32) -> Result<u32, Wrong> {
    let number = number(value)?;
    u32::try_from(number)
        .ok()
        .filter(|&n| n >= min)
        .ok_or_else(|| wrong(format!("a number from {min} to {} is wanted", u32::MAX)))
}

const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Octets: a number, or a text like `"50 MiB"`.
fn size(value: &DeValue<'_>) -> Result<u64, Wrong> {
    let Some(text) = value.as_str() else {
        return number(value);
    };
    let hint = || Wrong {
        message: format!("not a size: `{text}`"),
        hint: Some("write `\"50 MiB\"`, or a number of octets".into()),
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text.get(digits.len()..).unwrap_or("").trim();
    let factor = match UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => 1,
        None => return Err(hint()),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(hint)
}

/// Octets, and so many at least.
fn size_from(value: &DeValue<'_>, min: u64) -> Result<u64, Wrong> {
    let octets = size(value)?;
    if octets >= min {
        return Ok(octets);
    }
    let least = print_size(min).unwrap_or_default();
    Err(Wrong {
        message: format!("too small: {octets} octets"),
        hint: Some(format!("write {least} or more")),
    })
}

fn print_size(octets: u64) -> Option<String> {
    let unit = UNITS
        .iter()
        .rev()
        .find(|(_, factor)| octets > 0 && octets.is_multiple_of(*factor));
    Some(unit.map_or_else(
        || octets.to_string(),
        |(name, factor)| quote(&format!("{} {name}", octets / factor)),
    ))
}

fn path(value: &DeValue<'_>) -> Result<PathBuf, Wrong> {
    let text = text(value)?;
    if text.is_empty() {
        Err(wrong("the path is empty"))
    } else {
        Ok(PathBuf::from(text))
    }
}

fn list<T>(value: &DeValue<'_>, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Wrong> {
    let items = value
        .as_array()
        .ok_or_else(|| wrong(format!("a list is wanted: [\"{what}\"]")))?;
    items
        .iter()
        .map(|item| {
            let text = text(item.get_ref())?;
            read(text).ok_or_else(|| Wrong {
                message: format!("not one of its kind: `{text}`"),
                hint: Some(format!("write `\"{what}\"`")),
            })
        })
        .collect()
}

/// A TOML basic string.
fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn print_list<T: ToString>(items: &[T]) -> Option<String> {
    let items: Vec<_> = items.iter().map(|item| quote(&item.to_string())).collect();
    Some(format!("[{}]", items.join(", ")))
}

fn word<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Result<T, Wrong> {
    let text = text(value)?;
    let known = words
        .iter()
        .map(|(w, _)| format!("`{w}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let found = words.iter().find(|(w, _)| *w == text).map(|(_, v)| *v);
    found.ok_or_else(|| Wrong {
        message: format!("not one of {known}: `{text}`"),
        hint: None,
    })
}

const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];

const BARE_LF: &[(&str, BareLf)] = &[("refuse", BareLf::Refuse), ("normalize", BareLf::Normalize)];

const NUL: &[(&str, Nul)] = &[("replace", Nul::Replace), ("refuse", Nul::Refuse)];

const NEXT_HOP_TLS: &[(&str, NextHopTls)] = &[
    ("offer", NextHopTls::Offer),
    ("verify", NextHopTls::Verify),
    ("off", NextHopTls::Off),
];

fn print_word<T: PartialEq>(words: &[(&str, T)], value: &T) -> Option<String> {
    words.iter().find(|(_, v)| v == value).map(|(w, _)| quote(w))
}

fn host_name(value: &DeValue<'_>) -> Result<mail::Domain, Wrong> {
    let text = text(value)?;
    mail::Domain::parse(text).map_err(|error| wrong(format!("{error}: `{text}`")))
}

/// A check that `checks/all` may switch on beside those of the original.
fn addition(text: &str) -> Option<String> {
    let check = Check::by_name(text)?;
    (check.spec().in_all == InAll::IfAdded).then(|| text.to_owned())
}

fn clamd_address(value: &DeValue<'_>) -> Result<ClamdAddress, Wrong> {
    let text = text(value)?;
    text.parse().map_err(|error| Wrong {
        message: format!("{error}: `{text}`"),
        hint: Some("write `\"unix:/run/clamav/clamd.ctl\"` or `\"tcp:127.0.0.1:3310\"`".into()),
    })
}

/// A user or group of the system.
fn name(value: &DeValue<'_>) -> Result<String, Wrong> {
    match text(value)? {
        "" => Err(wrong("the name is empty")),
        name if name.contains('\0') => Err(wrong("no name has this character: `\\0`")),
        name => Ok(name.to_owned()),
    }
}

fn print_name(name: &Option<String>) -> Option<String> {
    name.as_deref().map(quote)
}

/// A key that is one field: how to read it, how to print it.
macro_rules! key {
    ($section:literal . $name:literal, $($field:ident).+, $read:expr, $print:expr, $doc:literal) => {
        Key {
            section: $section,
            name: $name,
            doc: $doc,
            set: |config, value| {
                config.$($field).+ = $read(value)?;
                Ok(())
            },
            get: |config| $print(&config.$($field).+),
        }
    };
}

/// A limit, whose field has the key's name.
macro_rules! limit {
    ($name:ident, size, $doc:literal) => {
        Key {
            section: "limits",
            name: stringify!($name),
            doc: $doc,
            set: |config, value| {
                config.limits.$name = size(value)?;
                Ok(())
            },
            get: |config| print_size(config.limits.$name),
        }
    };
    ($name:ident, size >= $min:expr, $doc:literal) => {
        Key {
            section: "limits",
            name: stringify!($name),
            doc: $doc,
            set: |config, value| {
                config.limits.$name = size_from(value, $min)?;
                Ok(())
            },
            get: |config| print_size(config.limits.$name),
        }
    };
    ($name:ident, seconds, $doc:literal) => {
        Key {
            section: "limits",
            name: stringify!($name),
            doc: $doc,
            set: |config, value| {
                config.limits.$name = u64::from(count(value, 1)?);
                Ok(())
            },
            get: |config| Some(config.limits.$name.to_string()),
        }
    };
    ($name:ident, $min:literal, $doc:literal) => {
        Key {
            section: "limits",
            name: stringify!($name),
            doc: $doc,
            set: |config, value| {
                config.limits.$name = count(value, $min)?;
                Ok(())
            },
            get: |config| Some(config.limits.$name.to_string()),
        }
    };
}

fn print_path(path: &std::path::Path) -> Option<String> {
    Some(quote(&path.to_string_lossy()))
}

/// In the order in which they are printed.
pub(super) const KEYS: &[Key] = &[
    key!("paths"."domains", paths.domains, path, print_path, "One directory for each domain; plain files in it decide."),
    key!("paths"."spam", paths.spam, path, print_path, "The quarantine: what was refused or held, by day and domain."),
    key!("paths"."state", paths.state, path, print_path, "The daemon's own memory: store and keys."),
    key!("paths"."blacklist_d", paths.blacklist_d, path, print_path, "One file for each client address that no domain takes mail from."),
    key!("smtp"."listen", smtp.listen, |v| list(v, "127.0.0.1:2525", |t| t.parse().ok()), |l: &Vec<_>| print_list(l), "Addresses to listen on. Loopback by default: open the door when the rest is right."),
    key!("smtp"."listener", smtp.listeners, listeners, print_listeners, "More listeners, as `[[smtp.listener]]` tables: `address`, `tls` (`\"starttls\"`, `\"implicit\"`, `\"off\"`), and `proxy = true` where a load balancer speaks the PROXY protocol."),
    key!("smtp"."trusted", smtp.trusted, |v| list(v, "192.0.2.1", network), |l: &Vec<_>| print_list(l), "Clients that may say for whom they speak (XCLIENT). Nobody by default."),
    key!("smtp"."greet_delay_ms", smtp.greet_delay_ms, |v| count(v, 0).map(u64::from), |n: &u64| Some(n.to_string()), "Milliseconds for which the greeting is held back. Clients that speak before it fail the check `protocol`."),
    key!("smtp"."hostname", smtp.hostname, |v| host_name(v).map(String::from), |h: &String| Some(quote(h)), "The name in greeting and Received fields. Default: the system's."),
    key!("smtp"."relay_networks", smtp.relay_networks, |v| list(v, "192.0.2.0/24", network), |l: &Vec<_>| print_list(l), "Clients whose mail passes unjudged to `[relay] to`."),
    key!("smtp"."default_domain", smtp.default_domain, |v| host_name(v).map(Some), |d: &Option<mail::Domain>| d.as_ref().map(|d| quote(d.as_str())), "The domain that a bare `postmaster` belongs to. Without it such mail is refused."),
    key!("smtp"."filter_fields", smtp.filter_fields, |v| list(v, "X-Spam-*", FilterField::parse), |l: &Vec<_>| print_list(l), "Header fields of filters, which are taken out of mail from anybody but `relay_networks`, because filters behind us would believe them. `NAME`, or `NAME*` for all that begin so; one that the author's verified signature covers stays, unless the entry says behind a colon why it goes."),
    key!("smtp"."bare_lf", smtp.bare_lf, |v| word(v, BARE_LF), |b| print_word(BARE_LF, b), "A message by DATA in which an LF stands without a CR. `refuse`: 554, since others may take it for the end of a message that it is not. `normalize`: it is taken, each such LF as the end of a line; nothing but CRLF, dot, CRLF ends it. A CR without LF is refused in any case."),
    key!("smtp"."bdat_bare_lf", smtp.bdat_bare_lf, |v| word(v, BARE_LF), |b| print_word(BARE_LF, b), "The same by BDAT, where the octets are counted and nothing can be taken for an end. A CR without LF becomes a space."),
    key!("smtp"."nul", smtp.nul, |v| word(v, NUL), |n| print_word(NUL, n), "A message with NUL octets, which no standard allows and programs read differently. `replace`: it is taken, with a space for each; where a signature that verifies would break by it, it is refused. `refuse`: 554, with a copy."),
    key!(
        "tls"."certificate",
        tls.certificate,
        |v| path(v).map(Some),
        |p: &Option<PathBuf>| p.as_deref().and_then(print_path),
        "PEM file of our certificate and its chain. Without it a self-signed one is made below `[paths] state`, which is enough for senders. A changed file is taken up by itself."
    ),
    key!(
        "tls"."key",
        tls.key,
        |v| path(v).map(Some),
        |p: &Option<PathBuf>| p.as_deref().and_then(print_path),
        "PEM file of the certificate's key. Without it the key is in the certificate's file."
    ),
    key!("tls"."next_hop_tls", tls.next_hop_tls, |v| word(v, NEXT_HOP_TLS), |t| print_word(NEXT_HOP_TLS, t), "STARTTLS towards next hops. `offer`: where they offer it, whatever their certificate, and in plaintext where it fails. `verify`: always, and the certificate must be valid for the host; otherwise the mail waits. `off`: never. Unix sockets and programs need none."),
    key!("tls"."ca_file", tls.ca_file, |v| path(v).map(Some), |p: &Option<PathBuf>| p.as_deref().and_then(print_path), "PEM file of certificates that `verify` trusts beside the system's."),
    key!("relay"."to", relay, |v| relay_hop(v).map(Some), |r: &Option<NextHop>| r.as_ref().map(|r| quote(&r.to_string())), "Where mail from `relay_networks` goes, written as in `[deliver] to`."),
    key!("relay"."speaks_for", speaks_for, |v| list(v, "example.com", |t| mail::Domain::parse(t).ok()), |l: &Vec<_>| print_list(l), "Domains whose addresses `relay_networks` may speak for, because they let nobody send under another's. To whom such an address writes is remembered: answers are welcome. Without it only a login that a trusted proxy names (XCLIENT) counts, for its own address."),
    key!("deliver"."to", deliver, next_hop, |d: &NextHop| Some(quote(&d.to_string())), "Where accepted mail goes: `smtp:HOST:PORT`, `lmtp:HOST:PORT`, `lmtp:/SOCKET`, `maildir:/DIR/{domain}/{local}`, or `bsmtp:/PROGRAM ARGUMENTS`, which is run for each message without a shell, its arguments divided at blanks. A file `deliver` in a domain's directory overrides it, but cannot name a program."),
    limit!(
        load,
        0,
        "New connections are turned away (421) while the one-minute load average, truncated, is at or above this. 0 is off."
    ),
    limit!(connections, 1, "Connections in all."),
    limit!(
        connections_per_client,
        1,
        "Connections of one client network (/24 of IPv4, /64 of IPv6)."
    ),
    limit!(
        commands,
        10,
        "Commands of one connection. Large senders send many messages over one."
    ),
    limit!(
        recipients,
        1,
        "Recipients of one message (RFC 5321 §4.5.3.1.8 asks for at least 100); more get 452."
    ),
    limit!(
        unrecognized_commands,
        1,
        "The n-th unrecognised command ends the connection."
    ),
    limit!(
        errors,
        1,
        "So many commands of one connection may be refused; the next refused one ends it."
    ),
    limit!(
        message_size,
        size >= MESSAGE_SIZE_MIN,
        "Octets of one message, at least 64 KiB (RFC 5321 §4.5.3.1.7); larger messages are refused (552)."
    ),
    limit!(
        text_line_length,
        size >= TEXT_LINE_MIN,
        "Octets of one line of a message. RFC 5321 §4.5.3.1.6 says 1,000, which is the least here; longer ones are common."
    ),
    limit!(
        body_memory,
        size,
        "Octets of memory for all messages that are being received at one time; past it messages get 452. What is past the first 256 KiB of a message lies in a file without a name below `[paths] state`."
    ),
    limit!(
        command_timeout_s,
        seconds,
        "Seconds for one command, and between two reads of a message (RFC 5321 §4.5.3.2 asks for 300)."
    ),
    limit!(session_timeout_s, seconds, "Seconds for one connection."),
    Key {
        section: "limits",
        name: "transfer_rate_min",
        doc: "Octets a second below which a message's transfer is given up after its first minute. 0 is off.",
        set: |config, value| {
            config.limits.transfer_rate_min = number(value)?;
            Ok(())
        },
        get: |config| Some(config.limits.transfer_rate_min.to_string()),
    },
    limit!(
        drain_s,
        seconds,
        "Seconds in which running messages may end after a stop was asked for."
    ),
    limit!(
        answer_s,
        seconds,
        "Seconds for the answer to a message, from its last octet on. Senders wait for 600 at least (RFC 5321 §4.5.3.2.6); who has gone comes again, and the message would come twice."
    ),
    limit!(
        next_hop_connections,
        1,
        "Connections to one next hop, or programs that run for it at one time."
    ),
    limit!(next_hop_connect_s, seconds, "Seconds for connecting to a next hop."),
    limit!(
        next_hop_reply_s,
        seconds,
        "Seconds for each reply of a next hop, or for one run of its program. The sender waits as long."
    ),
    limit!(
        quarantine_size,
        size,
        "Octets of the quarantine. Past it, mail that content refused gets 452, and of mail for unknown users only the index line is kept. 0 keeps nothing at all."
    ),
    limit!(quarantine_domain_size, size, "Octets of one domain in the quarantine."),
    limit!(
        quarantine_client_size,
        size,
        "Octets from one client network in the quarantine."
    ),
    limit!(
        quarantine_free,
        size,
        "Octets that stay free on the quarantine's file system."
    ),
    key!("policy"."shadow", policy.shadow, boolean, |b: &bool| Some(b.to_string()), "Judge and record as if, then let pass. Unknown users are refused all the same."),
    key!("policy"."whitelist_unknown_users", policy.whitelist_unknown_users, boolean, |b: &bool| Some(b.to_string()), "Whether a whitelisted sender may write to unknown users. If not, only `whitelisted/recipients` lets such mail pass."),
    key!("policy"."all_adds", policy.all_adds, |v| list(v, "rdns", addition), |l: &Vec<_>| print_list(l), "Checks that `checks/all` switches on beside those of the original: `rdns`, `rdns4`, `rdns6`, `clamav`."),
    key!("dns"."enabled", dns.enabled, boolean, |b: &bool| Some(b.to_string()), "Whether DNS is asked at all. Without it nobody's origin is proven, and checks that need it are passed over."),
    key!("dns"."servers", dns.servers, |v| list(v, "127.0.0.1:53", |t| t.parse().ok()), |l: &Vec<_>| print_list(l), "Name servers that resolve for us. Default: the system's."),
    key!("dns"."trust_ad", dns.trust_ad, boolean, |b: &bool| Some(b.to_string()), "The servers validate DNSSEC and nobody can change what they say on its way (they run on this machine), so what they mark as authentic is believed."),
    key!("dns"."timeout_ms", dns.timeout_ms, |v| count(v, 1).map(u64::from), |n: &u64| Some(n.to_string()), "Milliseconds for one query, with all tries."),
    key!("dns"."message_s", dns.message_s, |v| count(v, 1).map(u64::from), |n: &u64| Some(n.to_string()), "Seconds for the proofs of one message, which are asked at the same time. RFC 7208 §4.6.4 asks for at least 20 for SPF. As long again is for what DMARC asks behind them."),
    key!("dns"."message_queries", dns.message_queries, |v| count(v, 10), |n: &u32| Some(n.to_string()), "Queries for each proof of one message (SPF of the HELO name, SPF of the sender, DKIM, ARC, DMARC), remembered answers among them. Each has its own, so that a costly one takes nothing from another."),
    key!("dns"."cache_entries", dns.cache_entries, |v| count(v, 100).map(u64::from), |n: &u64| Some(n.to_string()), "Answers that are remembered, about 300 octets each."),
    key!("auth"."authserv_id", auth.authserv_id, |v| host_name(v).map(Some), |d: &Option<mail::Domain>| d.as_ref().map(|d| quote(d.as_str())), "Our name in Authentication-Results fields (RFC 8601 §2.5). Default: `[smtp] hostname`. Fields of this name that come with a message are removed."),
    key!("auth"."public_suffix_file", auth.public_suffix_file, |v| path(v).map(Some), |p: &Option<PathBuf>| p.as_deref().and_then(print_path), "A public suffix list (publicsuffix.org). Default: the one built in."),
    key!("auth"."trusted_sealers", auth.trusted_sealers, |v| list(v, "list.example", |t| mail::Domain::parse(t).ok()), |l: &Vec<_>| print_list(l), "Domains that pass mail on and are believed when their ARC seal says that it passed DMARC before. With all below them. `trusted_sealers` in a domain's `checks/dmarc` adds to it."),
    key!("clamav"."address", clamav.address, clamd_address, |a: &ClamdAddress| Some(quote(&a.to_string())), "Where clamd listens: `unix:/PATH` or `tcp:HOST:PORT`. Asked for domains with `checks/clamav`."),
    key!("clamav"."size_max", clamav.size_max, size, |n: &u64| print_size(*n), "Octets past which a message is not scanned. clamd has a limit of its own (`StreamMaxLength`)."),
    key!("clamav"."timeout_s", clamav.timeout_s, |v| count(v, 1).map(u64::from), |n: &u64| Some(n.to_string()), "Seconds for one scan."),
    key!("store"."url", store.url, store_url, |u: &String| Some(quote(u)), "The store: `sqlite:FILE`; STATE stands for `[paths] state`."),
    key!("store"."keep_days", store.keep_days, |v| count(v, 1), |n: &u32| Some(n.to_string()), "Days for which deliveries are remembered."),
    key!("store"."history_days", store.history_days, |v| count(v, 1), |n: &u32| Some(n.to_string()), "Days for which labels, what they say of senders, and whom a mailbox's owner wrote to are remembered. Reputation asks for three years at most."),
    key!("store"."size_max", store.size_max, |v| size_from(v, STORE_SIZE_MIN), |n: &u64| print_size(*n), "Octets of the store, at least 1 MiB, its write-ahead log aside; past it the oldest deliveries are forgotten before their time. A few kibibytes for each message: the proofs of its origin, and what each recipient's mailbox remembered. Freed space is used again, but the file does not shrink."),
    key!("reputation"."shared", reputation.shared, boolean, |b: &bool| Some(b.to_string()), "Whether a mailbox that knows nothing of a sender hears what other mailboxes of its domain, or of the server, say of its proven names and its address: three of them at least, as a mild signal, never more."),
    key!("junk"."shared", junk.shared, boolean, |b: &bool| Some(b.to_string()), "Whether a mailbox that learned little hears what words mean to other mailboxes of its domain, and of the server: words that three of them know at least. Nobody's words leave their mailbox but as hashes with a key."),
    key!("junk"."memory", junk.memory, |v| size_from(v, JUNK_MEMORY_MIN), |n: &u64| print_size(*n), "Octets of the models of mailboxes in memory, at least 1 MiB, which is one of them. Models of mailboxes that got no mail for the longest time are let go, and loaded again when mail comes. Beside them all mailboxes together have 17 MiB at most."),
    key!("quarantine"."rejects_max", quarantine.rejects_max, |v| count(v, 1), |n: &u32| Some(n.to_string()), "Messages of one mailbox that `reputation`, `strangers`, `greylisting`, `junk` and `links` keep; past it the oldest goes."),
    key!("quarantine"."rejects_days", quarantine.rejects_days, |v| count(v, 1), |n: &u32| Some(n.to_string()), "Days for which these are kept; nothing in the quarantine is kept for more than 34. One that the sender gets through after all goes at once."),
    key!("quarantine"."zero_based_days", quarantine.zero_based_days, boolean, |b: &bool| Some(b.to_string()), "Number the days of the year from 0 instead of from 1."),
    key!("log"."format", log.format, |v| word(v, FORMATS), |f| print_word(FORMATS, f), "`text` or `json`."),
    key!("log"."level", log.level, |v| word(v, LEVELS), |l| print_word(LEVELS, l), "`error`, `warn`, `info` or `debug`."),
    key!("process"."user", process.user, |v| name(v).map(Some), print_name, "Whom the daemon becomes once its listeners are open, when root starts it."),
    key!("process"."group", process.group, |v| name(v).map(Some), print_name, "The group it becomes; without it the user's own."),
    key!("process"."core_dumps", process.core_dumps, boolean, |b: &bool| Some(b.to_string()), "Whether a crash may write a core file, which would hold mail and keys."),
    key!("control"."user_domain", control.user_domain, |v| host_name(v).map(Some), |d: &Option<mail::Domain>| d.as_ref().map(|d| quote(d.as_str())), "The domain whose users are the logins of this machine: through `STATE/control.sock` login `ann` sees and releases the mail of `ann@` this domain. Without it only root and the daemon's user may ask."),
    key!("metrics"."listen", metrics.listen, |v| list(v, "127.0.0.1:9125", |t| t.parse().ok()), |l: &Vec<_>| print_list(l), "Addresses that serve `GET /metrics` as Prometheus text. None: off."),
    key!("metrics"."public", metrics.public, boolean, |b: &bool| Some(b.to_string()), "Whether those addresses may be other than loopback. Whoever can connect can read."),
];

const LISTENER_TLS: &[(&str, ListenerTls)] = &[
    ("starttls", ListenerTls::Starttls),
    ("implicit", ListenerTls::Implicit),
    ("off", ListenerTls::Off),
];

fn listeners(value: &DeValue<'_>) -> Result<Vec<Listener>, Wrong> {
    let tables = value
        .as_array()
        .ok_or_else(|| wrong("write `[[smtp.listener]]`, and its keys below"))?;
    tables.iter().map(|table| listener(table.get_ref())).collect()
}

fn listener(value: &DeValue<'_>) -> Result<Listener, Wrong> {
    let table = value
        .as_table()
        .ok_or_else(|| wrong("write `[[smtp.listener]]`, and its keys below"))?;
    let mut address = None;
    let (mut tls, mut proxy) = (ListenerTls::Starttls, false);
    for (key, value) in table {
        match &**key.get_ref() {
            "address" => {
                let text = text(value.get_ref())?;
                address = Some(
                    text.parse()
                        .map_err(|_| wrong(format!("not an address with a port: `{text}`")))?,
                );
            }
            "tls" => tls = word(value.get_ref(), LISTENER_TLS)?,
            "proxy" => proxy = boolean(value.get_ref())?,
            other => {
                let near = super::read::nearest(other, ["address", "tls", "proxy"].into_iter());
                let hint = near.map(|word| format!("did you mean `{word}`?"));
                return Err(Wrong {
                    message: format!("unknown key: `{other}`"),
                    hint,
                });
            }
        }
    }
    let address = address.ok_or_else(|| wrong("a listener has no `address`"))?;
    Ok(Listener { address, tls, proxy })
}

fn print_listeners(listeners: &[Listener]) -> Option<String> {
    let print = |listener: &Listener| {
        let tls = print_word(LISTENER_TLS, &listener.tls).unwrap_or_default();
        let address = quote(&listener.address.to_string());
        format!("{{ address = {address}, tls = {tls}, proxy = {} }}", listener.proxy)
    };
    Some(format!(
        "[{}]",
        listeners.iter().map(print).collect::<Vec<_>>().join(", ")
    ))
}

fn network(text: &str) -> Option<ipnet::IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from))
}

fn next_hop(value: &DeValue<'_>) -> Result<NextHop, Wrong> {
    Ok(text(value)?.parse::<NextHop>()?)
}

/// A Maildir is of one of our mailboxes, which the recipients of relayed mail do not have.
fn relay_hop(value: &DeValue<'_>) -> Result<NextHop, Wrong> {
    match next_hop(value)? {
        hop @ NextHop::Maildir(_) => Err(Wrong {
            message: format!("mail is relayed to a mail server, never into Maildirs: `{hop}`"),
            hint: Some("write `smtp:HOST:PORT`".into()),
        }),
        hop => Ok(hop),
    }
}

fn store_url(value: &DeValue<'_>) -> Result<String, Wrong> {
    let text = text(value)?;
    match text.strip_prefix("sqlite:") {
        Some(file) if !file.is_empty() => Ok(text.to_owned()),
        _ => Err(Wrong {
            message: format!("not a store: `{text}`"),
            hint: Some("write `sqlite:STATE/mailward.db`".into()),
        }),
    }
}

/// The configuration as a file, each key under its text.
pub(super) fn print(config: &Config) -> String {
    let mut out = String::new();
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            let _ = writeln!(out, "{}[{section}]", if out.is_empty() { "" } else { "\n" });
        }
        let _ = writeln!(out, "# {}", key.doc);
        match (key.get)(config) {
            Some(value) => {
                let _ = writeln!(out, "{} = {value}", key.name);
            }
            None => {
                let _ = writeln!(out, "# {} =", key.name);
            }
        }
    }
    out
}

/// A Markdown table of all keys, their defaults and texts; the documentation is tested against it.
pub fn documentation() -> String {
    let mut out = String::from("| key | default | meaning |\n|---|---|---|\n");
    for key in KEYS {
        // The one that depends on the machine says so in its text.
        let depends = key.name == "hostname";
        let default = if depends { None } else { (key.get)(&Config::default()) };
        let default = default.map_or("-".into(), |value| format!("`{value}`"));
        let _ = writeln!(
            out,
            "| `[{}] {}` | {default} | {} |",
            key.section,
            key.name,
            key.doc.replace('|', "\\|")
        );
    }
    out
}
