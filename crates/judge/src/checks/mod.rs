//! The plain checks: each a function of what it needs, giving its [`Opinion`].
//!
//! None of them asks a network: what must be asked for is a fact, and a check whose fact nobody asked for says which
//! [`Group`] it needs. The texts are those of the original (`ms-lite`), which operators search their logs for.

mod content;
mod helo;
mod junk;
mod links;
mod origin;
mod protocol;
mod reputation;
mod sender;
mod strangers;

pub use origin::{DmarcOpinion, ZonesOpinion};
pub(crate) use reputation::is_known;

use crate::evidence::{ContentFacts, ForwarderHit, MessageFacts, RecipientFacts};
use crate::policy::{Checks, Policy, Rule};
use mail::Line;
use serde::{Deserialize, Serialize};

/// What a check says of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Opinion {
    /// Nothing against it, or the check is switched off.
    #[default]
    Passes,
    /// It fails, for this reason.
    Fails(Line),
    /// It would fail, but something speaks for it.
    Excused(Line),
    /// It passes, and yet there is something to tell.
    Mentions(Line),
    /// Nobody could say.
    Trouble(Line),
    /// These facts must be asked for first.
    Open(Group),
}

/// Facts that are asked for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// [`MessageFacts::origin`].
    Origin,
    /// [`RecipientFacts::zones`].
    Zones,
    /// [`MessageFacts::virus`].
    Virus,
    /// [`RecipientFacts::standing`].
    Standing,
    /// [`RecipientFacts::rates`].
    Rates,
    /// [`RecipientFacts::greylist`].
    Greylist,
    /// [`RecipientFacts::junk`].
    Junk,
    /// [`MessageFacts::links`].
    Links,
}

/// A plain check that is built, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The reverse-path has a domain with a dot.
    Sender,
    /// The HELO name is one that a mail host of the Internet has.
    Helo,
    /// The client kept to the order of speech.
    Protocol,
    /// There is a Date field.
    Date,
    /// No moderation request of a mailing list manager.
    Mailman,
    /// The From field holds addresses.
    Address,
    /// No mailer that only junk uses.
    Mailers,
    /// There is a body.
    EmptyBody,
    /// A signature is there, where the domain always signs.
    Dkim,
    /// No DNS list of the file `zones` names it.
    Dnsbl,
    /// The client has a reverse name.
    Rdns,
    /// An IPv4 client has a reverse name.
    Rdns4,
    /// An IPv6 client has a reverse name.
    Rdns6,
    /// Where there are signatures, one verifies.
    DkimCheck,
    /// The reverse-path's domain does not forbid the client.
    Spf,
    /// Mail of domains that always encrypt is encrypted.
    Tls,
    /// No virus.
    Clamav,
    /// The author domain's owner vouches for it.
    Dmarc,
    /// Not too much from one network.
    Rate,
    /// The mailbox does not know the sender for junk.
    Reputation,
    /// Nothing speaks against a sender of whom the mailbox knows little.
    Strangers,
    /// A stranger has come again.
    Greylisting,
    /// Its content is not that of junk.
    Junk,
    /// Links show where they lead.
    Links,
}

impl Check {
    /// The name of its file below `checks/`.
    pub fn name(self) -> &'static str {
        match self {
            Check::Sender => "sender",
            Check::Helo => "helo",
            Check::Protocol => "protocol",
            Check::Date => "date",
            Check::Mailman => "mailman",
            Check::Address => "address",
            Check::Mailers => "mailers",
            Check::EmptyBody => "empty_body",
            Check::Dkim => "dkim",
            Check::Dnsbl => "dnsbl",
            Check::Rdns => "rdns",
            Check::Rdns4 => "rdns4",
            Check::Rdns6 => "rdns6",
            Check::DkimCheck => "dkim_check",
            Check::Spf => "spf",
            Check::Tls => "tls",
            Check::Clamav => "clamav",
            Check::Dmarc => "dmarc",
            Check::Rate => "rate",
            Check::Reputation => "reputation",
            Check::Strangers => "strangers",
            Check::Greylisting => "greylisting",
            Check::Junk => "junk",
            Check::Links => "links",
        }
    }
}

/// The opinion of every check that is switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    pub(crate) sender: Opinion,
    pub(crate) zones: ZonesOpinion,
    pub(crate) helo: Opinion,
    pub(crate) rdns: Opinion,
    pub(crate) protocol: Opinion,
    pub(crate) date: Opinion,
    pub(crate) mailman: Opinion,
    pub(crate) address: Opinion,
    pub(crate) mailers: Opinion,
    pub(crate) empty_body: Opinion,
    pub(crate) dkim: Opinion,
    pub(crate) dkim_check: Opinion,
    pub(crate) spf: Opinion,
    pub(crate) tls: Opinion,
    pub(crate) rate: Opinion,
    pub(crate) clamav: Opinion,
    pub(crate) dmarc: DmarcOpinion,
    pub(crate) reputation: Opinion,
    pub(crate) strangers: Opinion,
    pub(crate) greylisting: Opinion,
    pub(crate) junk: Opinion,
    pub(crate) links: Opinion,
}

impl From<Option<Line>> for Opinion {
    fn from(fault: Option<Line>) -> Opinion {
        fault.map_or(Opinion::Passes, Opinion::Fails)
    }
}

/// Asks a check if it is switched on.
fn ask<T: Into<Opinion>>(rule: Option<&Rule>, check: impl FnOnce() -> T) -> Opinion {
    rule.map_or(Opinion::Passes, |_| check().into())
}

/// Which check asks for a reverse name, and by which rule: a file for the client's kind of address outranks `rdns`.
pub(crate) fn rdns_rule(client: std::net::IpAddr, checks: &Checks) -> (Check, Option<&Rule>) {
    let (check, own) = match client.to_canonical() {
        std::net::IpAddr::V4(_) => (Check::Rdns4, &checks.rdns4),
        std::net::IpAddr::V6(_) => (Check::Rdns6, &checks.rdns6),
    };
    match own {
        Some(rule) => (check, Some(rule)),
        None => (Check::Rdns, checks.rdns.as_ref()),
    }
}

/// Asks every check that is switched on. They are cheap, and the reasons of all of them are worth showing.
pub fn run(facts: &MessageFacts, recipient: &RecipientFacts, policy: &Policy) -> Answers {
    let MessageFacts {
        received_s,
        client,
        helo,
        reverse_path,
        tls,
        login: _,
        conduct,
        content,
        origin,
        virus,
        links,
    } = facts;
    let checks = &policy.checks;
    let forwarder = recipient.forwarder.as_ref();
    let Content {
        date,
        mailman,
        address,
        mailers,
        empty_body,
        dkim,
    } = Content::run(facts, content, checks);
    Answers {
        sender: ask(checks.sender.as_ref(), || sender::bogus(reverse_path)),
        zones: origin::zones(&policy.zones, &recipient.zones, origin),
        helo: ask(checks.helo.as_ref(), || helo::fault(helo, *client)),
        rdns: ask(rdns_rule(*client, checks).1, || {
            origin::no_reverse_name(*client, &origin.iprev, checks.rdns_confirmed)
        }),
        protocol: ask(checks.protocol.as_ref(), || protocol::fault(*conduct)),
        date,
        mailman,
        address,
        mailers,
        empty_body,
        dkim,
        dkim_check: ask(checks.dkim_check.as_ref(), || origin::no_valid_signature(&origin.dkim)),
        spf: ask(checks.spf.as_ref(), || {
            origin::spf_failure(reverse_path, origin, forwarder)
        }),
        tls: ask(checks.tls.as_ref(), || {
            origin::plaintext(reverse_path, tls.as_ref(), checks.tls_domains.as_deref())
        }),
        rate: ask(checks.rate.as_ref(), || {
            strangers::too_much(&recipient.rates, content.size_octets, &checks.rate_limits)
        }),
        clamav: ask(checks.clamav.as_ref(), || origin::virus(virus)),
        dmarc: dmarc(facts, forwarder, policy),
        reputation: ask(checks.reputation.as_ref(), || {
            reputation::bad_standing(&recipient.standing, origin)
        }),
        strangers: ask(checks.strangers.as_ref(), || {
            strangers::suspicion(reverse_path, &recipient.standing, origin, forwarder)
        }),
        greylisting: ask(checks.greylisting.as_ref(), || {
            let must_wait = strangers::must_wait(&recipient.greylist, *received_s, &checks.greylist_times);
            strangers::unless_known(&recipient.standing, origin, forwarder, must_wait)
        }),
        junk: ask(checks.junk.as_ref(), || {
            junk::content(recipient, origin, &checks.junk_rules)
        }),
        links: ask(checks.links.as_ref(), || {
            links::deceit(links, origin, reverse_path, &checks.link_settings)
        }),
    }
}

fn dmarc(facts: &MessageFacts, forwarder: Option<&ForwarderHit>, policy: &Policy) -> DmarcOpinion {
    let checks = &policy.checks;
    match &checks.dmarc {
        Some(_) => origin::dmarc_failure(
            &facts.reverse_path,
            &facts.origin,
            forwarder,
            policy.trusted_sealers.iter().chain(&checks.dmarc_sealers).cloned(),
        ),
        None => DmarcOpinion::of(Opinion::Passes),
    }
}

/// What the checks of header and body say.
struct Content {
    date: Opinion,
    mailman: Opinion,
    address: Opinion,
    mailers: Opinion,
    empty_body: Opinion,
    dkim: Opinion,
}

impl Content {
    fn run(facts: &MessageFacts, content: &ContentFacts, checks: &Checks) -> Content {
        let ContentFacts {
            size_octets: _,
            message_id: _,
            subject: _,
            asks_moderation,
            has_date,
            author,
            mailer,
            is_junk_mailer,
            has_signature,
            body_is_blank,
        } = content;
        Content {
            date: ask(checks.date.as_ref(), || content::no_date(*has_date)),
            mailman: ask(checks.mailman.as_ref(), || {
                content::moderation_request(*asks_moderation)
            }),
            address: ask(checks.address.as_ref(), || content::bogus_author(author)),
            mailers: ask(checks.mailers.as_ref(), || {
                content::bad_mailer(*is_junk_mailer, mailer.as_ref())
            }),
            empty_body: ask(checks.empty_body.as_ref(), || content::blank_body(*body_is_blank)),
            dkim: ask(checks.dkim.as_ref(), || {
                sender::unsigned(&facts.reverse_path, *has_signature, checks.dkim_domains.as_deref())
            }),
        }
    }
}
