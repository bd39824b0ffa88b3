//! What a way in knows of a message, and what it gets back.

use super::foreign::{Sieve, recorded};
use super::headers::{HeaderChange, OwnNames, kept_octets, removals, removals_by};
use super::{FactSources, Names, WithoutNames};
use crate::body::{Body, Spool};
use crate::client::Client;
use crate::domains::DomainView;
use crate::filter::Filters;
use judge::auth::org::PublicSuffixes;
use judge::checks::Check;
use judge::content::{Features, Names as FeatureNames};
use judge::evidence::{ContentFacts, Fact, Group, MessageFacts, Needs, RecipientFacts, TlsFacts};
use judge::policy::Policy;
use judge::verdict::Verdict;
use mail::smtp::conduct::Conduct;
use mail::{Field, Line, Message, ReversePath};
use std::sync::{Arc, OnceLock};
use store::{SealedPolicy, Store, StoreError};

/// A message, or only its envelope, as a way in knows it.
pub struct Incoming<'a> {
    /// Seconds since 1970, when it came.
    pub received_s: i64,
    /// Who sent it here.
    pub client: Client,
    /// The name claimed in HELO or EHLO.
    pub helo: Line,
    /// What MAIL FROM carried.
    pub reverse_path: ReversePath,
    /// How the connection was encrypted, as far as it is known.
    pub tls: Option<TlsFacts>,
    /// It certainly came without encryption.
    pub is_plaintext: bool,
    /// As whom the client had logged in.
    pub login: Option<Line>,
    /// How the client kept to the order of the SMTP dialogue; the default is that nothing was noticed.
    pub conduct: Conduct,
    /// The id that this gateway gave the message when it came before, where its `X-Mailward-Id` is sealed.
    pub passed_before: Option<Line>,
    /// The message; `None` where only an envelope is judged.
    pub content: Option<Content<'a>>,
    /// For whom it is; each gets a verdict of its own.
    pub recipients: Vec<Recipient>,
}

/// The message itself.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// Its header and what of its body is in memory.
    pub message: &'a Message<'a>,
    /// All of it.
    pub body: &'a Arc<Body>,
}

/// One recipient, and by whose rules it is judged.
#[derive(Debug)]
pub struct Recipient {
    /// What is known of it; grows while it is judged.
    pub facts: RecipientFacts,
    /// Its domain, whose lists are asked; `None` where nobody's are.
    pub domain: Option<Arc<DomainView>>,
    /// The rules.
    pub policy: Arc<Policy>,
}

impl Recipient {
    /// A recipient of one of our domains.
    pub fn of(facts: RecipientFacts, domain: Arc<DomainView>) -> Recipient {
        Recipient {
            facts,
            policy: Arc::clone(domain.policy()),
            domain: Some(domain),
        }
    }

    /// What the domain's lists say, now that more is known of the client.
    pub(super) fn look_up(&mut self, client: &Client, message: &MessageFacts) {
        if let Some(domain) = &self.domain {
            domain.look_up(&mut self.facts, client, message);
        }
    }
}

/// A message that was judged.
pub struct Judged {
    /// What was found out.
    pub facts: MessageFacts,
    /// One verdict for each recipient, in their order.
    pub recipients: Vec<JudgedRecipient>,
    /// The fields that are taken out of its header. What is added to a copy, [`super::headers::additions`] says.
    pub removals: Vec<HeaderChange>,
    /// What the message is made of, where one of its recipients may label it later.
    pub features: Option<Features>,
}

/// One recipient of a message that was judged.
#[derive(Debug)]
pub struct JudgedRecipient {
    /// What was found out.
    pub facts: RecipientFacts,
    /// Its domain.
    pub domain: Option<Arc<DomainView>>,
    /// The rules it was judged by.
    pub policy: Arc<Policy>,
    /// What becomes of the message.
    pub verdict: Verdict,
}

impl JudgedRecipient {
    /// The rules as they are recorded with the verdict.
    ///
    /// # Errors
    /// If they cannot be put into words, which is a fault of ours.
    pub fn stored_policy(&self) -> Result<SealedPolicy, StoreError> {
        match &self.domain {
            Some(domain) => domain.sealed_policy(),
            None => SealedPolicy::new(Policy::clone(&self.policy)),
        }
    }
}

impl<'a> Incoming<'a> {
    /// What is known at first, and what is asked about.
    pub(super) fn begin(self, sources: FactSources<'a>, own: &OwnNames) -> (Subject<'a>, MessageFacts, Vec<Recipient>) {
        let Incoming {
            received_s,
            client,
            helo,
            reverse_path,
            tls,
            is_plaintext,
            login,
            conduct,
            passed_before,
            content,
            mut recipients,
        } = self;
        let removals = content.map_or_else(Vec::new, |content| removals(content.message, own, &client));
        let facts = MessageFacts {
            tls,
            login,
            conduct,
            passed_before,
            content: content.as_ref().map(|content| content.facts(&removals)),
            virus: match sources.scanner {
                true => Fact::NotAsked,
                false => Fact::Skipped(Line::literal("the virus scanner is not asked")),
            },
            ..MessageFacts::unasked(received_s, client.address, helo, reverse_path)
        };
        let left_open = match (sources.names, sources.without_names) {
            (None, WithoutNames::LeftOpen) => Needs::of(Group::Origin)
                .or(Needs::of(Group::ReverseName))
                .or(Needs::of(Group::Zones)),
            (None, WithoutNames::Unavailable) | (Some(_), _) => Needs::default(),
        };
        if sources.memory.is_none() && left_open.has(Group::Origin) {
            // History is asked by who sent it, which stays open: without it nobody is known.
            for Recipient { facts, .. } in &mut recipients {
                facts.standing = Fact::Skipped(Line::literal("no history is asked"));
            }
        }
        let subject = Subject {
            client,
            content,
            names: sources.names,
            left_open,
            memory: sources.memory,
            filters: sources.filters,
            is_plaintext,
            features: OnceLock::new(),
            feature_names: OnceLock::new(),
        };
        (subject, facts, recipients)
    }
}

/// Why nothing is asked of the content.
pub(super) const NO_CONTENT: &str = "only the envelope is judged";

impl Content<'_> {
    /// The head of a large message tells almost all; only whether the body is blank needs the rest.
    fn facts(&self, removals: &[HeaderChange]) -> ContentFacts {
        let octets = kept_octets(self.message, removals, self.body.octets());
        let mut facts = ContentFacts::gather(self.message, octets);
        facts.body_is_blank &= self.body.tail.as_ref().is_none_or(Spool::is_blank);
        facts
    }
}

/// One message that is asked about.
pub(super) struct Subject<'a> {
    pub client: Client,
    pub content: Option<Content<'a>>,
    /// Who answers questions about names.
    pub names: Option<Names<'a>>,
    /// What nobody asks.
    pub left_open: Needs,
    /// What is remembered of correspondents, and where it is counted how often they come.
    pub memory: Option<&'a Store>,
    /// What mailboxes learned of content.
    pub filters: Option<&'a Filters>,
    /// It certainly came without encryption.
    pub is_plaintext: bool,
    features: OnceLock<Features>,
    /// The same in words, once somebody asked.
    pub feature_names: OnceLock<FeatureNames>,
}

impl Subject<'_> {
    /// What the content is made of, as far as its first octets tell.
    pub fn features(&self, content: &Content<'_>) -> &Features {
        self.features.get_or_init(|| Features::read(&content.body.head))
    }

    /// What comes of it. What a message is made of is worth keeping where somebody may label it later: a user whose
    /// domain asks the content filter.
    ///
    /// What of its header goes is known now that it is known what was proven; it was read before, and is recorded.
    pub fn judged(
        self,
        mut facts: MessageFacts,
        recipients: Vec<JudgedRecipient>,
        own: &OwnNames,
        suffixes: &PublicSuffixes,
    ) -> Judged {
        let may_label =
            |one: &JudgedRecipient| one.facts.user.is_accepted() && one.policy.checks.rules.has(Check::Junk);
        let is_learnable = self.filters.is_some() && recipients.iter().any(may_label);
        if let Some(content) = self.content.filter(|_| is_learnable) {
            self.features(&content);
        }
        let removals = self.content.map_or_else(Vec::new, |content| {
            let sieve = Sieve::new(own, &self.client).proven(content.message, &facts.origin, suffixes);
            facts.removed = recorded(removed(content.message, &sieve));
            removals_by(&sieve, content.message)
        });
        Judged {
            facts,
            recipients,
            removals,
            features: self.features.into_inner().filter(|_| is_learnable),
        }
    }
}

fn removed<'a>(message: &'a Message<'a>, sieve: &Sieve<'_>) -> impl Iterator<Item = &'a Field<'a>> {
    let fields = message.fields().iter().enumerate();
    let removed = fields.filter(|(place, field)| sieve.removes(*place, field));
    removed.map(|(_, field)| field)
}
