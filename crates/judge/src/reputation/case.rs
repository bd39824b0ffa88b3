//! Cases for the decision table, as a file holds them: what is remembered, who writes now, and what shall follow.
//!
//! Values are compared as they stand in the case; the gateway lower-cases local parts before they come here. An empty
//! text is an absent value, but for local parts, which may be empty.

use super::history::HistoryUnavailable;
use super::history::Repute;
use super::plain::PlainHistory;
use super::sender::{AuthorClaim, HeloClaim, ReversePathClaim, Sender, networks};
use super::standing::{Method, Standing};
use super::table::standing;
use crate::auth::org::PublicSuffixes;
use mail::{Domain, Line, MailboxId};
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// A case is played at this time, so that the times of its messages are their ages with a minus.
const NOW_S: i64 = 0;

/// Keys that mean nothing here, by name.
type Unknown = BTreeMap<String, IgnoredAny>;

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(expecting = "a case")]
pub struct Case {
    /// By what people call it.
    pub id: Line,
    /// What it is about.
    #[serde(default)]
    pub title: Line,
    #[serde(default)]
    history: Vec<Message>,
    #[serde(default)]
    sent: Vec<Sent>,
    message: Message,
    expect: Outcome,
    #[serde(default)]
    recommended: Option<Outcome>,
    // For people, and for other programs.
    #[serde(default, rename = "note")]
    _note: IgnoredAny,
    #[serde(default, rename = "source")]
    _source: IgnoredAny,
    #[serde(default, rename = "verified")]
    _verified: IgnoredAny,
    #[serde(default, rename = "seed_expect")]
    _seed_expect: IgnoredAny,
    #[serde(flatten)]
    unknown: Unknown,
}

/// What the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "what shall follow")]
pub struct Outcome {
    /// Junk, or not; `None` without a verdict. Must be said, if only by `null`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub junk: Option<bool>,
    /// Whether it decides by itself.
    pub conclusive: bool,
    /// Which memory decided.
    pub method: Method,
}

/// A message of the past, or the new one.
#[derive(Debug, Clone, Deserialize)]
#[serde(expecting = "a message")]
struct Message {
    #[serde(deserialize_with = "mailbox")]
    mailbox: MailboxId,
    age_seconds: i64,
    #[serde(default)]
    junk: bool,
    #[serde(default)]
    notjunk: bool,
    #[serde(default)]
    expunged: bool,
    #[serde(default)]
    msg_from_localpart: Line,
    #[serde(default, deserialize_with = "domain")]
    msg_from_domain: Option<Domain>,
    #[serde(default, deserialize_with = "domain")]
    msg_from_org_domain: Option<Domain>,
    #[serde(default)]
    msg_from_validated: bool,
    #[serde(default)]
    mail_from_localpart: Line,
    #[serde(default, deserialize_with = "domain")]
    mail_from_domain: Option<Domain>,
    #[serde(default)]
    mail_from_validated: bool,
    #[serde(default, deserialize_with = "domain")]
    ehlo_domain: Option<Domain>,
    #[serde(default)]
    ehlo_validated: bool,
    #[serde(default)]
    dkim_domains: Vec<Domain>,
    #[serde(default, deserialize_with = "address")]
    remote_ip: Option<IpAddr>,
    #[serde(default, deserialize_with = "mask")]
    ip1: Option<Mask>,
    #[serde(default, deserialize_with = "mask")]
    ip2: Option<Mask>,
    #[serde(default, deserialize_with = "mask")]
    ip3: Option<Mask>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// A masked address, or an empty text for none; one that is left out is made of the address.
#[derive(Debug, Clone, Copy)]
struct Mask(Option<IpAddr>);

/// Whom the owner wrote to, from whichever mailbox.
#[derive(Debug, Clone, Deserialize)]
#[serde(expecting = "a message that was sent")]
struct Sent {
    age_seconds: i64,
    localpart: Line,
    domain: Domain,
    #[serde(default, deserialize_with = "domain")]
    org_domain: Option<Domain>,
    #[serde(flatten)]
    unknown: Unknown,
}

impl Case {
    /// What shall follow: what is recommended, where that differs from what the original does.
    pub fn expected(&self) -> Outcome {
        self.recommended.unwrap_or(self.expect)
    }

    /// What the original does, where something else is recommended.
    pub fn original(&self) -> Option<Outcome> {
        self.recommended.map(|_| self.expect)
    }

    /// Keys that mean nothing here, each once; most likely mistyped.
    pub fn unknown_keys(&self) -> Vec<Line> {
        let messages = self.history.iter().chain([&self.message]);
        let all = [&self.unknown].into_iter();
        let all = all.chain(messages.map(|message| &message.unknown));
        let all = all.chain(self.sent.iter().map(|sent| &sent.unknown));
        let mut keys: Vec<&str> = all.flat_map(BTreeMap::keys).map(String::as_str).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(|key| Line::reason(key.as_bytes())).collect()
    }

    /// Asks the table. The times in the walk are ages with a minus.
    ///
    /// # Errors
    /// None: this history is always there.
    pub async fn play(&self) -> Result<Standing, HistoryUnavailable> {
        let mailbox = &self.message.mailbox;
        let mut history = PlainHistory::new();
        for (message, number) in self.history.iter().zip(0_u64..) {
            // Junk outweighs: a message with both marks is junk.
            if (message.junk || message.notjunk) && !message.expunged {
                let received_s = NOW_S.saturating_sub(message.age_seconds);
                history.label(&message.mailbox, &message.sender(), received_s, number, message.junk);
            }
        }
        for sent in &self.sent {
            let organization = organization(sent.org_domain.as_ref(), &sent.domain);
            let sent_s = NOW_S.saturating_sub(sent.age_seconds);
            history.send(mailbox, &sent.localpart, &sent.domain, &organization, sent_s);
        }
        standing(&self.message.sender(), mailbox, &history, NOW_S).await
    }
}

impl Message {
    fn sender(&self) -> Sender {
        let mut dkim: Vec<Domain> = Vec::new();
        for domain in &self.dkim_domains {
            if !dkim.contains(domain) {
                dkim.push(domain.clone());
            }
        }
        let [narrow, wider, widest] = match self.remote_ip {
            Some(client) => networks(client).map(Some),
            None => [None; 3],
        };
        let mask = |given: Option<Mask>, made| given.map_or(made, |given| given.0);
        Sender {
            author: self.msg_from_domain.as_ref().map(|domain| AuthorClaim {
                local: self.msg_from_localpart.clone(),
                written: self.msg_from_localpart.clone(),
                domain: domain.clone(),
                organization: organization(self.msg_from_org_domain.as_ref(), domain),
                is_validated: self.msg_from_validated,
            }),
            reverse_path: self.mail_from_domain.as_ref().map(|domain| ReversePathClaim {
                local: self.mail_from_localpart.clone(),
                domain: domain.clone(),
                is_validated: self.mail_from_validated,
            }),
            helo: self.ehlo_domain.as_ref().map(|domain| HeloClaim {
                domain: domain.clone(),
                is_validated: self.ehlo_validated,
            }),
            dkim,
            networks: [mask(self.ip1, narrow), mask(self.ip2, wider), mask(self.ip3, widest)],
        }
    }
}

fn organization(given: Option<&Domain>, domain: &Domain) -> Domain {
    given.map_or_else(|| PublicSuffixes::BuiltIn.organizational(domain), Domain::clone)
}

impl From<&Standing> for Outcome {
    fn from(standing: &Standing) -> Outcome {
        Outcome {
            junk: standing.verdict.map(|repute| repute == Repute::Junk),
            conclusive: standing.is_conclusive,
            method: standing.method,
        }
    }
}

/// `not junk, conclusive (msgfromfull)`
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.junk.map(|is_junk| match is_junk {
            true => Repute::Junk,
            false => Repute::NotJunk,
        });
        let answer = super::standing::in_words(verdict, self.conclusive);
        write!(f, "{answer} ({})", self.method)
    }
}

fn mailbox<'de, D: Deserializer<'de>>(from: D) -> Result<MailboxId, D::Error> {
    let number = i64::deserialize(from)?;
    MailboxId::try_from(format!("{number}@replay.invalid")).map_err(Error::custom)
}

/// Nothing, for an empty text.
fn domain<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Domain>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = Domain::parse(&text).map_err(|error| Error::custom(about(&error, &text)));
    parsed.map(Some)
}

/// Nothing, for an empty text.
fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<IpAddr>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse().map_err(|error| Error::custom(about(&error, &text)));
    parsed.map(Some)
}

fn mask<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Mask>, D::Error> {
    address(from).map(|address| Some(Mask(address)))
}

fn about(error: &dyn fmt::Display, text: &str) -> String {
    format!("{error}: `{}`", Line::reason(text.as_bytes()))
}
