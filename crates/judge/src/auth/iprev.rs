//! The client's reverse name, confirmed forward (RFC 8601 §2.7.3, §3): a name counts only if it leads back to the
//! address, because whoever holds an address can write any name behind it.

use crate::resolver::{Answer, Kind, Name, Outcome, Question, Resolver, Security};
use futures_util::future::join_all;
use mail::{Domain, Line};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// RFC 7208 §4.6.4 looks at ten; more names behind one address are a mistake or an attack.
const NAMES_MAX: usize = 10;

/// RFC 8601 §2.7.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IprevResult {
    /// A name leads back to the address.
    Pass,
    /// There are names, but none leads back.
    Fail,
    /// DNS trouble; may be otherwise later.
    TempError,
    /// There is no name.
    PermError,
}

/// What the reverse zone says of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iprev {
    /// The result.
    pub result: IprevResult,
    /// The name that is proven: the first in the alphabet of those that lead back.
    pub name: Option<Domain>,
    /// A name that is claimed and not proven, where none is.
    pub claimed: Option<Line>,
    /// Why this result; a sentence without a full stop.
    pub why: Line,
    /// How far both ways are proven.
    pub security: Security,
}

/// Looks up a client's names and what they lead to.
pub async fn check(client: IpAddr, resolver: &dyn Resolver) -> Iprev {
    let client = client.to_canonical();
    let reverse = ask(resolver, Name::reverse(client), Kind::Ptr).await;
    match &reverse.outcome {
        Outcome::Unavailable(trouble) => none(IprevResult::TempError, trouble.line(), &reverse),
        Outcome::NoRecords | Outcome::NoName => none(
            IprevResult::PermError,
            Line::reason(format!("{client} has no reverse name").as_bytes()),
            &reverse,
        ),
        Outcome::Records(_) => confirm(client, &reverse, resolver).await,
    }
}

async fn confirm(client: IpAddr, reverse: &Answer, resolver: &dyn Resolver) -> Iprev {
    // Servers change the order; the same facts shall give the same verdict.
    let mut names: Vec<&Name> = reverse.names().collect();
    names.sort();
    names.dedup();
    names.truncate(NAMES_MAX);
    let kind = if client.is_ipv4() { Kind::A } else { Kind::Aaaa };
    let answers = join_all(names.iter().map(|&name| ask(resolver, name.clone(), kind))).await;
    let mut proven = names.iter().zip(&answers).filter_map(|(name, answer)| {
        let leads_back = answer.addresses().any(|ip| ip.to_canonical() == client);
        leads_back.then(|| name.to_domain().map(|domain| (domain, answer.security)))?
    });
    if let Some((domain, security)) = proven.next() {
        let why = format!("{client} is called {domain}, which leads back to it");
        return Iprev {
            result: IprevResult::Pass,
            name: Some(domain),
            claimed: None,
            why: Line::reason(why.as_bytes()),
            security: security.and(reverse.security),
        };
    }
    let claimed = names.first().map(|name| Line::reason(name.as_str().as_bytes()));
    let trouble = answers.iter().find_map(Answer::trouble);
    let text = match (trouble, &claimed) {
        (Some(trouble), _) => trouble.text().to_owned(),
        (None, Some(name)) => format!("{client} is called {name}, which does not lead back to it"),
        (None, None) => format!("{client} has no reverse name"),
    };
    Iprev {
        result: if trouble.is_some() {
            IprevResult::TempError
        } else {
            IprevResult::Fail
        },
        name: None,
        claimed,
        why: Line::reason(text.as_bytes()),
        security: reverse.security,
    }
}

fn ask(resolver: &dyn Resolver, name: Name, kind: Kind) -> crate::resolver::BoxFuture<'_, Answer> {
    resolver.ask(Question { name, kind })
}

fn none(result: IprevResult, why: Line, reverse: &Answer) -> Iprev {
    Iprev {
        result,
        name: None,
        claimed: None,
        why,
        security: reverse.security,
    }
}

impl IprevResult {
    /// The word of RFC 8601 §2.7.3.
    pub fn word(self) -> &'static str {
        match self {
            IprevResult::Pass => "pass",
            IprevResult::Fail => "fail",
            IprevResult::TempError => "temperror",
            IprevResult::PermError => "permerror",
        }
    }
}

impl fmt::Display for IprevResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
