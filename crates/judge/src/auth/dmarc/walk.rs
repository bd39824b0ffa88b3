//! The tree walk (RFC 9989 §4.10): records at a domain and above it, at most eight questions.

use super::Wish;
use super::record::{Psd, Record};
use crate::auth::org::{PublicSuffixes, last_labels};
use crate::resolver::{Kind, Name, Outcome, Question, Resolver, Security, Trouble};
use mail::Domain;
use std::collections::HashMap;

/// RFC 9989 §4.10: a name with eight labels or more is cut to seven after the first question, so that there are at most
/// eight of them.
const LABELS_ABOVE_MAX: usize = 7;

/// Walks trees, and asks no name twice.
pub(super) struct Walker<'a> {
    resolver: &'a dyn Resolver,
    known: HashMap<String, Looked>,
}

/// What is at one name.
#[derive(Clone, Copy)]
struct Looked {
    record: Option<Record>,
    /// There is no such name as `_dmarc.` this; so this may be missing too.
    is_no_name: bool,
    trouble: Option<Trouble>,
    security: Security,
}

/// What a walk found.
pub(super) struct Walk {
    /// Where it began.
    pub start: Domain,
    /// The records, from the longest name to the shortest. Only the last can say `psd=y` or `psd=n`.
    pub found: Vec<Found>,
    /// Where it could not go on, and why.
    pub trouble: Option<(String, Trouble)>,
    /// The start has no `_dmarc` below it, so it may itself be missing.
    pub start_may_be_missing: bool,
    /// How far all answers are proven.
    pub security: Security,
}

/// A record.
#[derive(Clone)]
pub(super) struct Found {
    /// The name that it is about, without `_dmarc`.
    pub at: String,
    pub record: Record,
    /// How far it is proven.
    pub security: Security,
}

impl<'a> Walker<'a> {
    pub(super) fn new(resolver: &'a dyn Resolver) -> Walker<'a> {
        Walker {
            resolver,
            known: HashMap::new(),
        }
    }

    /// Asks at `start` and above until a record says `psd=y` or `psd=n`.
    pub(super) async fn walk(&mut self, start: &Domain) -> Walk {
        let mut walk = Walk {
            start: start.clone(),
            found: Vec::new(),
            trouble: None,
            start_may_be_missing: false,
            security: Security::Secure,
        };
        for name in targets(start.as_str()) {
            let looked = self.look(name).await;
            walk.security = walk.security.and(looked.security);
            // What is above may still say what the owner wishes.
            if let Some(trouble) = looked.trouble {
                walk.trouble.get_or_insert((name.to_owned(), trouble));
                continue;
            }
            if name == start.as_str() {
                walk.start_may_be_missing = looked.is_no_name;
            }
            if let Some(record) = looked.record {
                walk.found.push(Found {
                    at: name.to_owned(),
                    record,
                    security: looked.security,
                });
                if record.psd != Psd::Unknown {
                    return walk;
                }
            }
        }
        walk
    }

    /// Whether a name is known not to exist: RFC 9989 §3.2.13, RFC 8020.
    pub(super) async fn is_missing(&self, domain: &Domain) -> Result<bool, Trouble> {
        let question = Question {
            name: Name::from(domain),
            kind: Kind::A,
        };
        match self.resolver.ask(question).await.outcome {
            Outcome::NoName => Ok(true),
            Outcome::Records(_) | Outcome::NoRecords => Ok(false),
            Outcome::Unavailable(trouble) => Err(trouble),
        }
    }

    async fn look(&mut self, name: &str) -> Looked {
        if let Some(looked) = self.known.get(name) {
            return *looked;
        }
        let looked = match Name::parse(&format!("_dmarc.{name}")) {
            Ok(at) => self.ask(at).await,
            // Too long to have a record.
            Err(_) => Looked {
                record: None,
                is_no_name: true,
                trouble: None,
                security: Security::Unknown,
            },
        };
        self.known.insert(name.to_owned(), looked);
        looked
    }

    async fn ask(&self, name: Name) -> Looked {
        let answer = self.resolver.ask(Question { name, kind: Kind::Txt }).await;
        let mut records = answer.texts().filter_map(Record::parse);
        // RFC 9989 §4.10: of several records none counts.
        let record = records.next().filter(|_| records.next().is_none());
        Looked {
            record,
            is_no_name: answer.outcome == Outcome::NoName,
            trouble: answer.trouble(),
            security: answer.security,
        }
    }
}

impl Walk {
    /// The record that applies (RFC 9989 §4.10.1): of the domain itself, of its organization, or of its public suffix if
    /// that says `psd=y`. `Err` where trouble on the way leaves it open.
    pub(super) fn policy(&self, suffixes: &PublicSuffixes) -> Result<Option<&Found>, (&str, Trouble)> {
        if let Some(own) = self.found.first().filter(|found| found.at == self.start.as_str()) {
            return Ok(Some(own));
        }
        let organization = self.organization(suffixes)?;
        let Some(last) = self.found.last() else {
            return Ok(None);
        };
        let at_organization = self.found.iter().find(|found| found.at == organization.as_str());
        Ok(match last.record.psd {
            Psd::Yes | Psd::No => at_organization.or(Some(last)),
            // RFC 9989 §4.10.2 takes the shortest name with a record for the organization. So does this within the
            // organization that the public suffix list knows; a name above that is a public suffix.
            Psd::Unknown => {
                let is_within = |found: &&Found| found.at.len() >= organization.as_str().len();
                self.found.iter().rev().find(is_within)
            }
        })
    }

    /// What the owner wishes at worst, where trouble leaves open which record applies: by those that were found within the
    /// organization that the public suffix list knows.
    pub(super) fn at_worst(&self, suffixes: &PublicSuffixes) -> Wish {
        let organization = suffixes.organizational(&self.start);
        let within = self
            .found
            .iter()
            .filter(|found| found.at.len() >= organization.as_str().len());
        let wishes = within
            .filter_map(|found| found.record.policies)
            .map(|policies| policies.below);
        wishes.max().unwrap_or(Wish::None)
    }

    /// The organizational domain: RFC 9989 §4.10.2 where a record says `psd=y` or `psd=n`.
    ///
    /// Departs from RFC 9989 §4.10.2 otherwise: what is asked is not which name above has a record, but the public suffix
    /// list (RFC 7489 §3.2). Those who publish records by RFC 7489 rely on it: a subdomain without a record above it would
    /// not be aligned with its own organization.
    pub(super) fn organization(&self, suffixes: &PublicSuffixes) -> Result<Domain, (&str, Trouble)> {
        if let Some((name, trouble)) = &self.trouble {
            return Err((name, *trouble));
        }
        let start = self.start.as_str();
        let last = self.found.last().map(|found| (found.at.as_str(), found.record.psd));
        let name = match last {
            Some((at, Psd::No)) => Some(at),
            Some((at, Psd::Yes)) if at == start => Some(at),
            Some((at, Psd::Yes)) => last_labels(start, at.split('.').count() + 1),
            Some((_, Psd::Unknown)) | None => None,
        };
        let domain = name.and_then(|name| Domain::parse(name).ok());
        Ok(domain.unwrap_or_else(|| suffixes.organizational(&self.start)))
    }
}

/// The names that are asked about, from the longest to the shortest.
fn targets(start: &str) -> impl Iterator<Item = &str> {
    let above = start.split('.').count().saturating_sub(1).min(LABELS_ABOVE_MAX);
    let names = (1..=above).rev().filter_map(move |labels| last_labels(start, labels));
    std::iter::once(start).chain(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_asked_eight_times() {
        let found: Vec<_> = targets("a.b.c.d.e.f.g.h.i.j.mail.example.com").collect();
        assert_eq!(
            found,
            [
                "a.b.c.d.e.f.g.h.i.j.mail.example.com",
                "g.h.i.j.mail.example.com",
                "h.i.j.mail.example.com",
                "i.j.mail.example.com",
                "j.mail.example.com",
                "mail.example.com",
                "example.com",
                "com",
            ]
        );
        let of_eight: Vec<_> = targets("a.b.c.d.e.f.g.h").collect();
        assert_eq!((of_eight.len(), of_eight[1]), (8, "b.c.d.e.f.g.h"));
        assert_eq!(targets("com").collect::<Vec<_>>(), ["com"]);
    }
}
