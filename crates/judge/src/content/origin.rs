//! Where a message came from, as it says itself: Received fields, identifiers, signatures, and what should agree.

use super::sink::{Sink, magnitude};
use super::words::shape;
use crate::auth::org::PublicSuffixes;
use mail::{Domain, Message, received};
use std::net::IpAddr;

/// Received fields that are looked at, from the top.
const HOPS_MAX: usize = 8;

/// A host's name and its organization's, with the kind of place where it was found.
pub(super) fn host(place: &str, name: &str, sink: &mut Sink) {
    let name = name.trim_matches(|c: char| !c.is_alphanumeric());
    if let Ok(address) = name.parse::<IpAddr>() {
        return networks(place, address, sink);
    }
    let Some(domain) = Domain::parse(name).ok().filter(|domain| domain.as_str().contains('.')) else {
        return sink.shape(place, &["host ", &shape(name, 16)].concat());
    };
    sink.word(place, &["@", domain.as_str()].concat());
    let organization = PublicSuffixes::BuiltIn.organizational(&domain);
    sink.word(place, &["@@", organization.as_str()].concat());
    sink.word(place, &["@.", domain.last_label()].concat());
}

/// An address by its networks.
fn networks(place: &str, address: IpAddr, sink: &mut Sink) {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            sink.word(place, &format!("{a}.{b}.{c}"));
            sink.word(place, &format!("{a}.{b}"));
            sink.word(place, &format!("{a}"));
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            sink.word(place, &format!("{a:x}:{b:x}:{c:x}:{d:x}"));
            sink.word(place, &format!("{a:x}:{b:x}:{c:x}"));
            sink.word(place, &format!("{a:x}:{b:x}"));
        }
    }
}

/// Reads what a message says of its way. Told is which organization its author says to be of.
pub(super) fn read(message: &Message<'_>, sink: &mut Sink) -> Option<Domain> {
    let fields = message.fields();
    let text = |name: &str| {
        let value = message.first(name).map(|field| field.value());
        value.map(|value| String::from_utf8_lossy(&value).into_owned())
    };
    let from = text("From").map(|from| address_domain(&from));
    let author = organization(from.as_deref().unwrap_or_default());
    let hops = fields.iter().filter(|field| field.is("Received"));
    sink.shape("hops", &magnitude(hops.clone().count()));
    for field in hops.take(HOPS_MAX) {
        hop(&field.value(), author.as_ref(), sink);
    }
    let id = text("Message-ID");
    if let Some(id) = &id {
        identifier(id, from.as_deref().unwrap_or_default(), sink);
    }
    for name in ["In-Reply-To", "References"] {
        if let Some(value) = text(name) {
            let ids = value.split('<').skip(1);
            sink.shape(name, &magnitude(ids.clone().count()));
            ids.take(8).for_each(|id| host(name, &address_domain(id), sink));
        }
    }
    agreement(&text, from.as_deref().unwrap_or_default(), sink);
    if let Some(ip) = text("X-Originating-IP") {
        host("x-originating-ip", &ip, sink);
    }
    if let Some(date) = text("Date") {
        // The build, and the zone; the date itself would tell when the message came.
        let date = date.trim();
        let zone: String = date
            .split_ascii_whitespace()
            .skip(5)
            .take(2)
            .collect::<Vec<_>>()
            .join(" ");
        sink.shape("date", &shape(date, 24));
        sink.shape("zone", &zone.chars().take(24).collect::<String>());
    }
    for field in fields
        .iter()
        .filter(|field| field.is("DKIM-Signature") || field.is("DomainKey-Signature"))
        .take(4)
    {
        signature(&String::from_utf8_lossy(&field.value()), sink);
    }
    author
}

/// One Received field: who the client said it was, and who it was found to be.
fn hop(value: &[u8], author: Option<&Domain>, sink: &mut Sink) {
    let Some(hop) = received::parse(value) else { return };
    let helo = hop.helo.as_ref().and_then(|name| organization(name.as_str()));
    let found = hop.reverse_name.as_ref().and_then(|name| organization(name.as_str()));
    let agrees = match &found {
        None => "none",
        found if *found == helo => "as it says",
        _ => "other than it says",
    };
    let whose = match author {
        Some(author) if [&helo, &found].into_iter().flatten().any(|name| name == author) => "of the author",
        _ => "of others",
    };
    sink.shape("client's names", &[agrees, ", ", whose].concat());
    if let Some(helo) = &hop.helo {
        host("helo", helo.as_str(), sink);
        sink.shape("helo", &shape(helo.as_str(), 16));
    }
    if let Some(name) = &hop.reverse_name {
        host("reverse name", name.as_str(), sink);
        sink.shape("reverse name", &shape(name.as_str(), 24));
    } else {
        sink.shape("reverse name", "none");
    }
    if let Some(address) = hop.address {
        networks("client", address, sink);
    }
    if let Some(by) = &hop.by {
        host("by", by.as_str(), sink);
    }
    if let Some(protocol) = &hop.protocol {
        sink.shape("protocol", protocol.as_str());
    }
    let kinds = [
        hop.has_from,
        hop.helo.is_some(),
        hop.reverse_name.is_some(),
        hop.address.is_some(),
    ];
    sink.shape("hop", &format!("{kinds:?}"));
}

/// What stands behind the last `@`, up to what cannot belong to a name; in lower case.
fn address_domain(text: &str) -> String {
    let behind = text.rsplit_once('@').map_or("", |(_, behind)| behind);
    let name = behind
        .trim_start()
        .split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '-'));
    name.take(1).collect::<String>().to_lowercase()
}

fn organization(name: &str) -> Option<Domain> {
    Domain::parse(name)
        .ok()
        .map(|domain| PublicSuffixes::BuiltIn.organizational(&domain))
}

fn identifier(id: &str, from: &str, sink: &mut Sink) {
    let id = id.trim().trim_matches(['<', '>']);
    let domain = address_domain(id);
    let local = id.rsplit_once('@').map_or(id, |(local, _)| local);
    host("message-id", &domain, sink);
    sink.shape("message-id", &shape(local, 24));
    sink.shape("message-id length", &magnitude(local.len()));
    let agrees = organization(&domain).is_some_and(|domain| Some(domain) == organization(from));
    sink.shape("message-id", if agrees { "of the author" } else { "of others" });
}

/// Which of the addresses belong to one organization.
fn agreement(text: &impl Fn(&str) -> Option<String>, from: &str, sink: &mut Sink) {
    let from = organization(from);
    for name in ["Return-Path", "Reply-To", "Sender", "To"] {
        let domain = text(name).map(|value| organization(&address_domain(&value)));
        let said = match domain {
            None => "missing",
            Some(None) => "no domain",
            Some(domain) if domain == from => "as from",
            Some(_) => "other than from",
        };
        sink.shape(name, said);
    }
}

/// Who signed, and how.
fn signature(value: &str, sink: &mut Sink) {
    for tag in value.split(';').take(20) {
        let Some((name, value)) = tag.split_once('=') else {
            continue;
        };
        let value: String = value.split_ascii_whitespace().collect();
        match name.trim() {
            "d" => host("signed by", &value, sink),
            "s" => sink.word("selector", &value.to_lowercase()),
            "a" => sink.shape("signature", &value),
            "c" => sink.shape("canonicalization", &value),
            _ => {}
        }
    }
}
