//! RCPT: who the message is for, answered from memory.

use super::{Gateway, Runtime};
use crate::client::Client;
use crate::config::Config;
use crate::domains::{DomainView, Domains, Found, Roll};
use crate::judgement::{Content, Incoming, Recipient};
use crate::relay::next_hop::NextHop;
use judge::evidence::{MessageFacts, TlsFacts};
use mail::smtp::client::Origin;
use mail::smtp::command::{Dialect, MailParams};
use mail::smtp::conduct::Conduct;
use mail::smtp::refusal::Refusal;
use mail::smtp::server::Transaction;
use mail::smtp::xclient::XclientAttributes;
use mail::{Address, Domain, ForwardPath, Line, Reply, ReversePath};
use std::net::IpAddr;
use std::sync::Arc;

/// Who speaks, and with which rights. They follow the address that PROXY or XCLIENT named, never the proxy's own.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The client's address.
    pub client: IpAddr,
    /// Nobody said who the client is: `client` is who speaks for it. What is allowed to that one is not allowed to it.
    is_unknown: bool,
    /// It is one of `relay_networks`.
    pub is_relayed: bool,
    /// The peer that is connected may say for whom it speaks (`trusted`).
    pub is_trusted: bool,
    /// How the connection is encrypted.
    pub tls: Option<TlsFacts>,
    /// What a trusted proxy said that the client said in its greeting.
    hello: Option<Line>,
    dialect: Option<Dialect>,
    login: Option<Line>,
}

impl Guest {
    /// A client that speaks for itself.
    pub fn new(client: IpAddr, config: &Config) -> Guest {
        let client = client.to_canonical();
        Guest {
            is_relayed: config.smtp.is_relayed(client),
            is_trusted: config.smtp.trusted.iter().any(|network| network.contains(&client)),
            ..Guest::stranger(client)
        }
    }

    /// A client that nobody named, without any rights; `proxy` speaks for it.
    pub fn unknown(proxy: IpAddr) -> Guest {
        Guest {
            is_unknown: true,
            ..Guest::stranger(proxy)
        }
    }

    fn stranger(client: IpAddr) -> Guest {
        Guest {
            client: client.to_canonical(),
            is_unknown: false,
            is_relayed: false,
            is_trusted: false,
            tls: None,
            hello: None,
            dialect: None,
            login: None,
        }
    }

    /// What a trusted proxy said that the client said in its greeting.
    pub fn hello(&self) -> Option<&Line> {
        self.hello.as_ref()
    }

    /// Becomes whom a trusted proxy speaks for. What it did not say stays as it was.
    pub fn apply(&mut self, attributes: &XclientAttributes, config: &Config) {
        if let Some(addr) = &attributes.addr {
            let named = addr.known().map(|&ip| Guest::new(ip, config));
            // A client without an address has no rights, and keeps the proxy's for want of another.
            let named = named.unwrap_or_else(|| Guest::unknown(self.client));
            (self.client, self.is_unknown, self.is_relayed) = (named.client, named.is_unknown, named.is_relayed);
            // The connection that is encrypted is the proxy's.
            self.tls = None;
        }
        if let Some(hello) = &attributes.helo {
            self.hello = hello.known().cloned();
        }
        if let Some(login) = &attributes.login {
            self.login = login.known().cloned();
        }
        self.dialect = attributes.proto.or(self.dialect);
    }
}

/// Sender and recipients of one message, as far as they were accepted.
#[derive(Debug)]
pub struct Envelope {
    guest: Guest,
    helo: Line,
    dialect: Dialect,
    reverse_path: ReversePath,
    params: MailParams,
    conduct: Conduct,
    recipients: Vec<Recipient>,
    foreign: Vec<Address>,
    hop: Option<NextHop>,
}

impl Envelope {
    /// An envelope without recipients.
    pub fn new(guest: Guest) -> Envelope {
        Envelope {
            guest,
            helo: Line::default(),
            dialect: Dialect::Smtp,
            reverse_path: ReversePath::Null,
            params: MailParams::default(),
            conduct: Conduct::default(),
            recipients: Vec::new(),
            foreign: Vec::new(),
            hop: None,
        }
    }

    /// Takes over what the session knows of the sender. The first recipient of a transaction makes the envelope forget
    /// those of one that was dropped.
    pub fn begin(&mut self, transaction: &Transaction) {
        if transaction.recipients.is_empty() {
            self.recipients.clear();
            self.foreign.clear();
            self.hop = None;
        }
        let Guest { hello, dialect, .. } = &self.guest;
        self.helo = hello.clone().unwrap_or_else(|| transaction.hello.name.clone());
        self.dialect = dialect.unwrap_or(transaction.hello.dialect);
        self.reverse_path.clone_from(&transaction.reverse_path);
        self.params = transaction.params;
        self.conduct = transaction.conduct;
    }

    /// The envelope as it is, leaving one without recipients.
    pub fn take(&mut self) -> Envelope {
        let empty = Envelope::new(self.guest.clone());
        std::mem::replace(self, empty)
    }

    /// Who connected.
    pub fn client(&self) -> IpAddr {
        self.guest.client
    }

    /// Whether the client is one of `relay_networks`.
    pub fn is_relayed(&self) -> bool {
        self.guest.is_relayed
    }

    /// How the connection is encrypted.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.guest.tls.as_ref()
    }

    /// Whether the client certainly sent without encryption. Of a client that a trusted proxy speaks for nobody knows.
    pub fn is_plaintext(&self) -> bool {
        self.guest.tls.is_none() && !self.guest.is_trusted && !self.guest.is_unknown
    }

    /// As whom the client had logged in, if a trusted proxy said so.
    pub fn login(&self) -> Option<&Line> {
        self.guest.login.as_ref()
    }

    /// How the client kept to the order of speech.
    pub fn conduct(&self) -> Conduct {
        self.conduct
    }

    /// The HELO name.
    pub fn helo(&self) -> &Line {
        &self.helo
    }

    /// The client, as a next hop is told of it.
    pub fn origin(&self) -> Origin<'_> {
        Origin {
            addr: (!self.guest.is_unknown).then_some(self.guest.client),
            name: None,
            helo: self.helo.as_str(),
            esmtp: self.is_esmtp(),
            login: self.login().map(Line::as_str),
        }
    }

    /// What MAIL FROM carried.
    pub fn reverse_path(&self) -> &ReversePath {
        &self.reverse_path
    }

    /// The sender declared 8-bit content.
    pub fn body_8bit(&self) -> bool {
        self.params.body8bit
    }

    /// The sender asked for SMTPUTF8.
    pub fn smtputf8(&self) -> bool {
        self.params.smtputf8
    }

    /// The client said EHLO.
    pub fn is_esmtp(&self) -> bool {
        self.dialect == Dialect::Esmtp
    }

    /// Recipients in local domains.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// What of it a judgement needs; the recipients go with it.
    pub fn incoming<'a>(&mut self, received_s: i64, content: Content<'a>) -> Incoming<'a> {
        Incoming {
            received_s,
            client: self.judged_client(),
            helo: self.helo.clone(),
            reverse_path: self.reverse_path.clone(),
            tls: self.guest.tls.clone(),
            is_plaintext: self.is_plaintext(),
            login: self.guest.login.clone(),
            conduct: self.conduct,
            passed_before: None,
            content: Some(content),
            recipients: std::mem::take(&mut self.recipients),
        }
    }

    /// What is known of a message of which nothing is asked.
    pub fn facts(&self, received_s: i64) -> MessageFacts {
        MessageFacts::unasked(
            received_s,
            self.guest.client,
            self.helo.clone(),
            self.reverse_path.clone(),
        )
    }

    /// The client, as a judgement knows it.
    pub fn judged_client(&self) -> Client {
        Client {
            address: self.guest.client,
            is_unknown: self.guest.is_unknown,
            is_relayed: self.guest.is_relayed,
        }
    }

    /// Recipients of relayed mail.
    pub fn foreign(&self) -> &[Address] {
        &self.foreign
    }

    /// Where all of them are reached.
    pub fn hop(&self) -> Option<&NextHop> {
        self.hop.as_ref()
    }
}

/// Why a recipient is not taken, and the reply.
type No = (Refusal, Reply);

fn no(why: Refusal, code: u16, enhanced: (u8, u16, u16), text: String) -> No {
    (why, Reply::new(code, enhanced, Line::reason(text.as_bytes())))
}

impl Gateway {
    /// Answers RCPT; a positive answer has added the recipient.
    ///
    /// # Errors
    /// Why it is not added, and the reply.
    pub fn recipient(&self, runtime: &Runtime, envelope: &mut Envelope, path: &ForwardPath) -> Result<Reply, No> {
        add(runtime, &self.roll, envelope, path)?;
        let text = Line::reason(format!("<{path}>, recipient ok").as_bytes());
        Ok(Reply::new(250, (2, 1, 5), text))
    }
}

fn add(runtime: &Runtime, roll: &Roll, envelope: &mut Envelope, path: &ForwardPath) -> Result<(), No> {
    let address = qualified(path, runtime.config.smtp.default_domain.as_ref())?;
    if envelope.is_relayed() {
        if address.local().names_route()
            && let Some(domain) = address.domain()
            && let Found::Local(view) = look_up(&runtime.domains, domain)
        {
            without_route(&view, &address)?;
        }
        if !envelope.foreign.iter().any(|other| other.exact() == address.exact()) {
            envelope.foreign.push(address);
        }
        envelope.hop.clone_from(&runtime.config.relay);
        return Ok(());
    }
    let Some(domain) = address.domain() else {
        let text = format!("Relay attempt for {}", address.host());
        return Err(no(Refusal::Relay, 550, (5, 7, 1), text));
    };
    let view = ours(runtime, roll, &address, domain)?;
    without_route(&view, &address)?;
    let hop = next_hop(runtime, &view)?;
    if envelope.hop.as_ref().is_some_and(|other| *other != hop) {
        let text = "This domain's mail goes elsewhere, please send it in another transaction".to_owned();
        return Err(no(Refusal::OtherNextHop, 452, (4, 5, 3), text));
    }
    let facts = view.recipient(address, &envelope.judged_client(), &envelope.reverse_path);
    let recipient = Recipient::of(facts, view);
    if !envelope
        .recipients
        .iter()
        .any(|r| r.facts.address.folded() == recipient.facts.address.folded())
    {
        envelope.recipients.push(recipient);
    }
    envelope.hop = Some(hop);
    Ok(())
}

/// The recipient's domain, if it is one of ours. What is missing that was there a moment ago makes mail wait: 550 would
/// bounce it for good, because of a file system that is not mounted or a directory on its way.
fn ours(runtime: &Runtime, roll: &Roll, address: &Address, domain: &Domain) -> Result<Arc<DomainView>, No> {
    let now_s = jiff::Timestamp::now().as_second();
    let is_trouble = match look_up(&runtime.domains, domain) {
        Found::Local(view) => {
            let missed = match roll.present(domain, &view.users_seen(), now_s) {
                true => view.missed_user(address.local()),
                false => None,
            };
            if !missed.is_some_and(|missed| roll.misses(domain, &missed, now_s)) {
                return Ok(view);
            }
            true
        }
        Found::NotLocal => roll.absent(domain, false, now_s),
        Found::Dangling { .. } => roll.absent(domain, true, now_s),
        Found::NoDomains => {
            roll.turned_away(&runtime.config.paths.domains);
            true
        }
        // What cannot be read was logged when it was tried, once.
        Found::Unreadable { .. } => true,
    };
    Err(match is_trouble {
        true => {
            let text = format!("{domain} cannot be looked up now, please try again later");
            no(Refusal::DomainUnavailable, 451, (4, 3, 5), text)
        }
        false => no(Refusal::Relay, 550, (5, 7, 1), format!("Relay attempt for {domain}")),
    })
}

/// A local part that a server behind us might take for a way to another host (`user%elsewhere@ours`) is refused,
/// whatever stands there: the pair would be an open relay. Unless the operator has a user of exactly this name.
fn without_route(view: &DomainView, address: &Address) -> Result<(), No> {
    if address.local().names_route() && !view.names_user(address.local()) {
        let text = "Relay attempt: the local part names a route, and no user here".to_owned();
        return Err(no(Refusal::Relay, 550, (5, 7, 1), text));
    }
    Ok(())
}

/// From memory, mostly. Where something changed the disk is asked, and this thread's other connections go on elsewhere.
fn look_up(domains: &Domains, domain: &Domain) -> Found {
    if domains.is_fresh(domain) {
        return domains.find(domain);
    }
    tokio::task::block_in_place(|| domains.find(domain))
}

/// RFC 5321 §4.1.1.3: `postmaster` without a domain is valid wherever a domain is the default.
fn qualified(path: &ForwardPath, default_domain: Option<&Domain>) -> Result<Address, No> {
    match path {
        ForwardPath::Address(address) => Ok(plain(address)),
        ForwardPath::Postmaster => default_domain
            .and_then(|domain| Address::parse(&format!("postmaster@{domain}")).ok())
            .ok_or_else(|| {
                let text = "postmaster of which domain?".into();
                no(Refusal::UnknownRecipient, 550, (5, 1, 1), text)
            }),
    }
}

/// The address as it was written, unless its domain is written in a way that not every next hop understands: with a
/// final dot, or as U-labels.
fn plain(address: &Address) -> Address {
    let written = address.as_str();
    let domain = written.rsplit('@').next().unwrap_or(written);
    if domain.is_ascii() && !domain.ends_with('.') {
        return address.clone();
    }
    Address::parse(&address.exact()).unwrap_or_else(|_| address.clone())
}

fn next_hop(runtime: &Runtime, view: &DomainView) -> Result<NextHop, No> {
    match view.next_hop() {
        None => Ok(runtime.config.deliver.clone()),
        Some(Ok(hop)) if runtime.config.is_ourselves(hop) => {
            tracing::error!(domain = %view.name(), %hop, "the domain's `deliver` file leads back to us; its mail is deferred");
            Err(no_delivery(view))
        }
        Some(Ok(hop)) => Ok(hop.clone()),
        // Why was logged when the file was read.
        Some(Err(_)) => Err(no_delivery(view)),
    }
}

fn no_delivery(view: &DomainView) -> No {
    let text = format!(
        "mail for {} cannot be delivered now, please try again later",
        view.name()
    );
    no(Refusal::DomainUnavailable, 451, (4, 3, 5), text)
}
