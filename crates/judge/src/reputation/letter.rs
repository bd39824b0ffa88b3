//! What a message that came before the gateway did tells of its sender: read off the fields that trusted hosts wrote.
//!
//! Fields stand newest first. So whatever a trusted host wrote stands above all that came with the message, and the walk
//! from the top ends at the first Received field that somebody else wrote, or whose client was somebody else: below it
//! everything may be the sender's invention. Nothing is asked of DNS, for keys and records of those days are gone.
//!
//! The host that hands a message to the mailbox (LMTP, POP3) is passed over, because nobody outside speaks so to a mail
//! server. A HELO name is no proof that a client is one of ours, since anybody can say it; its address is, or its name
//! by reverse lookup.

use super::sender::{AuthorClaim, HeloClaim, ReversePathClaim, Sender, line, networks};
use crate::auth::author::{self, Author};
use crate::auth::org::PublicSuffixes;
use mail::auth_results::{self, ParsedResult};
use mail::received::{self, Received};
use mail::{Address, Domain, Field, Line, Message, ReversePath};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Of more signatures than these only the first ones count; so many questions about signing domains are never asked.
const DKIM_MAX: usize = 10;
/// Fields with results that are read of one message; hosts of ours write a few.
const RESULT_FIELDS_MAX: usize = 50;
/// The longest author's address that is taken from another process, in octets: more than [`author::read`] gives.
const AUTHOR_OCTETS_MAX: usize = 4096;

/// Under which names hosts of ours wrote fields.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    names: Vec<Name>,
    beneath: Vec<Name>,
    addresses: Vec<IpAddr>,
}

/// A host's name, as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Exact(String),
    /// All names below this one: `*.example.com`.
    Below(Domain),
}

/// The claims that trusted hosts wrote down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Whom the From field names.
    pub author: Author,
    /// DMARC passed for that author's domain.
    pub passes_dmarc: bool,
    /// What MAIL FROM carried.
    pub reverse_path: Option<Address>,
    /// The domain for which SPF passed, by MAIL FROM.
    pub spf_mail_from: Option<Domain>,
    /// SPF passed for that reverse-path.
    pub is_path_proven: bool,
    /// What the client called itself.
    pub helo: Option<Domain>,
    /// SPF passed for that name.
    pub is_helo_proven: bool,
    /// Domains with a signature that verified, each once, in their order.
    pub dkim: Vec<Domain>,
    /// The client outside of the trusted hosts.
    pub client: Option<IpAddr>,
}

/// A letter, and what else its header told.
#[derive(Debug, Clone)]
pub struct Opened {
    /// What is learnt.
    pub letter: Letter,
    /// Texts of dates: of the topmost Received field that a trusted host wrote,
    pub trusted_date: Option<Line>,
    /// of the topmost one, whoever wrote it,
    pub top_date: Option<Line>,
    /// and of the Date field, which is the sender's.
    pub written_date: Option<Line>,
    /// A trusted host wrote a Received field.
    pub has_border: bool,
    /// Place of the first field below the last that a trusted host wrote: there begins what came from outside.
    pub outside: usize,
    /// A trusted host wrote results.
    pub has_results: bool,
    /// Results in a trusted name stand beneath the Received field of the last trusted host, where they may be forged.
    pub has_results_beneath: bool,
    /// Who wrote the topmost Received field.
    pub top_by: Option<Line>,
    /// In whose names results stand about there, whether or not they are true.
    pub authserv_ids: Vec<Line>,
}

impl Trust {
    /// Trusts a name, `*.` with one for all below it, or the address of a host that passes mail on to one of ours.
    /// `None` where the text is none of these.
    pub fn host(&mut self, text: &str) -> Option<()> {
        if let Ok(address) = text.parse::<IpAddr>() {
            self.addresses.push(address.to_canonical());
            return Some(());
        }
        self.names.push(Name::parse(text)?);
        Some(())
    }

    /// Trusts a name whose host writes its results beneath its Received field, and takes out those of others in its name.
    pub fn host_with_results_beneath(&mut self, text: &str) -> Option<()> {
        let name = Name::parse(text)?;
        self.names.push(name.clone());
        self.beneath.push(name);
        Some(())
    }

    fn knows(&self, name: &Line) -> bool {
        self.names.iter().any(|known| known.is(name))
    }

    /// Whether the client was a host of ours, by what the host that wrote the field found out itself.
    fn is_inside(&self, received: &Received) -> bool {
        match received.address {
            Some(address) => {
                let has_name = received.reverse_name.as_ref().is_some_and(|name| self.knows(name));
                is_private(address) || self.addresses.contains(&address) || has_name
            }
            None => is_hand_over(received),
        }
    }
}

impl Name {
    fn parse(text: &str) -> Option<Name> {
        match text.strip_prefix("*.") {
            Some(above) => Domain::parse(above).ok().map(Name::Below),
            None => Domain::parse(text).ok().map(|name| Name::Exact(String::from(name))),
        }
    }

    fn is(&self, written: &Line) -> bool {
        let Ok(domain) = Domain::parse(written.as_str()) else {
            return false;
        };
        match self {
            Name::Exact(name) => name == domain.as_str(),
            Name::Below(above) => {
                let stem = domain.as_str().strip_suffix(above.as_str());
                stem.is_some_and(|stem| stem.ends_with('.'))
            }
        }
    }
}

impl Letter {
    /// Reads a message.
    pub fn open(message: &Message<'_>, trust: &Trust) -> Opened {
        let fields = message.fields();
        let walk = Walk::of(fields, trust);
        let mut opened = Opened {
            letter: Letter {
                author: author::read(message),
                passes_dmarc: false,
                reverse_path: walk.reverse_path(fields).and_then(|path| path.address().cloned()),
                spf_mail_from: None,
                is_path_proven: false,
                helo: walk.border().and_then(|border| domain(border.helo.as_ref()?)),
                is_helo_proven: false,
                dkim: Vec::new(),
                client: walk.border().and_then(|border| border.address),
            },
            trusted_date: walk.first.as_ref().map(|first| first.date.clone()),
            top_date: walk.top.as_ref().map(|top| top.date.clone()),
            written_date: message.first("Date").map(|field| Line::reason(&field.value())),
            has_border: walk.border.is_some(),
            outside: walk.border.as_ref().map_or(0, |(at, _)| at + 1),
            has_results: false,
            has_results_beneath: false,
            top_by: walk.top.as_ref().and_then(|top| top.by.clone()),
            authserv_ids: Vec::new(),
        };
        opened.read_results(fields, &walk, trust);
        opened
    }

    /// Whether no part of it is larger than [`Letter::open`] makes it: for what comes from another process.
    pub fn is_bounded(&self) -> bool {
        let is_short = match &self.author {
            Author::One { address, .. } => address.as_str().len() <= AUTHOR_OCTETS_MAX,
            Author::None | Author::Several(_) | Author::Unreadable(_) | Author::Disputed(_) => true,
        };
        is_short && self.dkim.len() <= DKIM_MAX
    }

    /// Whom reputation is told about, as [`Sender::of`] gives it of mail that comes.
    pub fn sender(&self, suffixes: &PublicSuffixes) -> Sender {
        let author = match &self.author {
            Author::One { address, domain } => Some(AuthorClaim::new(address, domain, suffixes, |organization| {
                let mut proven = self.dkim.iter().chain(&self.spf_mail_from);
                self.passes_dmarc || proven.any(|domain| suffixes.organizational(domain) == *organization)
            })),
            Author::None | Author::Several(_) | Author::Unreadable(_) | Author::Disputed(_) => None,
        };
        let reverse_path = self.reverse_path.as_ref().and_then(|path| {
            Some(ReversePathClaim {
                local: line(&path.local().folded()),
                domain: path.domain()?.clone(),
                is_validated: self.is_path_proven,
            })
        });
        let client = self.client.filter(|client| !is_private(*client));
        Sender {
            author,
            reverse_path,
            helo: self.helo.clone().map(|domain| HeloClaim {
                domain,
                is_validated: self.is_helo_proven,
            }),
            dkim: self.dkim.clone(),
            networks: client.map_or([None; 3], |client| networks(client).map(Some)),
        }
    }

    fn take(&mut self, result: &ParsedResult, is_notification: bool) {
        if result.result.as_str() != "pass" {
            return;
        }
        match result.method.as_str() {
            "dkim" => {
                let signer = result.property("header", "d").and_then(domain);
                // RFC 8601 §2.7.1: a host may name the signer by `header.i`, `local@domain`, alone.
                let signer = signer.or_else(|| after_at(result.property("header", "i")?));
                if let Some(signer) = signer
                    && self.dkim.len() < DKIM_MAX
                    && !self.dkim.contains(&signer)
                {
                    self.dkim.push(signer);
                }
            }
            "spf" => {
                if let Some(value) = result.property("smtp", "mailfrom") {
                    self.take_spf(value, is_notification);
                }
                let helo = result.property("smtp", "helo").and_then(domain);
                self.is_helo_proven |= helo.is_some() && helo == self.helo;
            }
            "dmarc" => {
                let from = result.property("header", "from").and_then(after_at);
                self.passes_dmarc |=
                    matches!(&self.author, Author::One { domain, .. } if from.as_ref() == Some(domain));
            }
            _ => {}
        }
    }

    /// SPF passed for MAIL FROM, of which some hosts write the domain only. Where fields of several hosts say so, the one
    /// that the message came to first saw what the sender said.
    fn take_spf(&mut self, value: &Line, is_notification: bool) {
        let bare = value.as_str().trim_start_matches('<').trim_end_matches('>');
        let address = Address::parse(bare).ok().filter(|address| address.domain().is_some());
        let proven = match &address {
            Some(address) => address.domain().cloned(),
            None => after_at(&Line::from(bare.to_owned())),
        };
        let Some(proven) = proven else { return };
        match address {
            // It has no reverse-path; SPF asked about its host (RFC 7208 §2.4).
            _ if is_notification => {}
            Some(address) => {
                self.reverse_path = Some(address);
                self.is_path_proven = true;
            }
            None => {
                let path = self.reverse_path.as_ref().and_then(Address::domain);
                self.is_path_proven = path == Some(&proven);
            }
        }
        self.spf_mail_from = Some(proven);
    }
}

impl Opened {
    fn read_results(&mut self, fields: &[Field<'_>], walk: &Walk, trust: &Trust) {
        let is_notification = walk.reverse_path(fields) == Some(ReversePath::Null);
        let is_results = |(_, field): &(usize, &Field<'_>)| field.is("Authentication-Results");
        let near = fields.iter().enumerate().take(walk.end).filter(is_results);
        for (at, field) in near.take(RESULT_FIELDS_MAX) {
            let Ok(results) = auth_results::parse(&field.value()) else {
                continue;
            };
            let id = &results.authserv_id;
            if !self.authserv_ids.contains(id) {
                self.authserv_ids.push(id.clone());
            }
            let Some((border, _)) = walk.border else { continue };
            if !trust.knows(id) {
                continue;
            }
            if at > border && !trust.beneath.iter().any(|name| name.is(id)) {
                self.has_results_beneath = true;
                continue;
            }
            self.has_results = true;
            for result in &results.results {
                self.letter.take(result, is_notification);
            }
        }
    }
}

/// What a walk down the Received fields found.
struct Walk {
    /// The last field that a trusted host wrote, and its place among all fields.
    border: Option<(usize, Received)>,
    /// The topmost field, and the topmost that a trusted host wrote.
    top: Option<Received>,
    first: Option<Received>,
    /// Place of the next Received field behind the border; without a border, behind the topmost one.
    end: usize,
    /// What stands above this place was not written by the sender.
    above: usize,
}

impl Walk {
    fn of(fields: &[Field<'_>], trust: &Trust) -> Walk {
        let mut places = fields.iter().enumerate().filter(|(_, field)| field.is("Received"));
        let mut walk = Walk {
            border: None,
            top: None,
            first: None,
            end: fields.len(),
            above: fields.len(),
        };
        let mut is_walking = true;
        let mut is_first = true;
        for (at, field) in &mut places {
            if is_first {
                walk.above = at;
            }
            if !is_walking {
                walk.end = at;
                break;
            }
            let received = received::parse(&field.value());
            if std::mem::take(&mut is_first) {
                walk.top.clone_from(&received);
            }
            is_walking = received.is_some_and(|received| walk.step(at, received, trust));
        }
        walk
    }

    /// Whether the walk goes on below this field.
    fn step(&mut self, at: usize, received: Received, trust: &Trust) -> bool {
        if received.is_note() {
            return true;
        }
        if !received
            .by
            .as_ref()
            .is_some_and(|by| trust.knows(by) || self.is_filter(by))
        {
            return self.border.is_none() && is_hand_over(&received);
        }
        let goes_on = trust.is_inside(&received);
        if self.first.is_none() {
            self.first = Some(received.clone());
        }
        self.above = at;
        self.border = Some((at, received));
        goes_on
    }

    /// A program beside a trusted host, to which it gives its mail and gets it back from, calls its host so.
    fn is_filter(&self, by: &Line) -> bool {
        let came_from_itself = self
            .border()
            .and_then(|border| border.address)
            .is_some_and(|ip| ip.is_loopback());
        came_from_itself && by.as_str().eq_ignore_ascii_case("localhost")
    }

    fn border(&self) -> Option<&Received> {
        self.border.as_ref().map(|(_, received)| received)
    }

    /// RFC 5321 §4.4: whoever delivers puts it on top.
    fn reverse_path(&self, fields: &[Field<'_>]) -> Option<ReversePath> {
        let field = fields.iter().take(self.above).find(|field| field.is("Return-Path"))?;
        let value = field.value();
        let text = std::str::from_utf8(&value).ok()?;
        ReversePath::parse(text.trim().strip_prefix('<')?.strip_suffix('>')?).ok()
    }
}

/// Given to a mailbox, or fetched from one: no client from outside speaks these to a mail server (RFC 2033 §5). Google's
/// hosts, which name themselves by address, write no `from` among themselves.
fn is_hand_over(received: &Received) -> bool {
    let protocol = received.protocol.as_ref().map_or("", Line::as_str);
    let by = received.by.as_ref().map_or("", Line::as_str);
    if !received.has_from && by.parse::<IpAddr>().is_ok() {
        return true;
    }
    matches!(
        protocol,
        "LMTP" | "LMTPS" | "LMTPA" | "LMTPSA" | "POP3" | "POP3S" | "IMAP" | "IMAPS"
    )
}

/// Addresses that say nothing outside of a network.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

fn domain(text: &Line) -> Option<Domain> {
    Domain::parse(text.as_str()).ok()
}

/// The domain of an address, or a domain alone.
fn after_at(text: &Line) -> Option<Domain> {
    let name = text.as_str().rsplit('@').next()?;
    Domain::parse(name).ok()
}
