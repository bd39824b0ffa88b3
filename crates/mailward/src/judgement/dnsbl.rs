//! DNS lists.

use super::incoming::{Recipient, Subject};
use super::{Judgement, no_dns};
use judge::auth::author::Author;
use judge::dnsbl::{Target, Zone, ZoneFact};
use judge::evidence::{Fact, MessageFacts};
use mail::Domain;
use std::borrow::Cow;

impl Judgement {
    /// What the domain's DNS lists say.
    pub(super) async fn listings(
        &self,
        subject: &Subject<'_>,
        facts: &MessageFacts,
        recipient: &Recipient,
    ) -> Fact<Vec<ZoneFact>> {
        let Some(names) = subject.names else {
            return Fact::Unavailable(no_dns());
        };
        let zones = askable(&recipient.policy.zones, subject.client.is_unknown);
        let domains = domains_of(facts);
        // Whether a list works serves all messages, so it is no part of what this one may ask.
        let (resolver, tester) = (
            names.within(self.times.wishes, Some(facts.client)),
            names.within(self.times.wishes, None),
        );
        let listings = self
            .zones
            .look_up_all(&zones, facts.client, &domains, &*resolver, &*tester);
        Fact::Found(listings.await)
    }
}

/// The lists that can be asked: none of addresses where a proxy could not say who the client is, for the proxy's own
/// address may stand in some.
fn askable(zones: &[Zone], is_client_unknown: bool) -> Cow<'_, [Zone]> {
    if !is_client_unknown {
        return Cow::Borrowed(zones);
    }
    let of_domains = zones.iter().filter(|zone| zone.target == Target::Domain);
    Cow::Owned(of_domains.cloned().collect())
}

/// The domains that lists of domains are asked about: the sender's and the author's, of whom there may be several readings.
fn domains_of(facts: &MessageFacts) -> Vec<Domain> {
    let authors = facts.origin.author.found().map_or(&[][..], |author| match author {
        Author::One { domain, .. } => std::slice::from_ref(domain),
        Author::Disputed(domains) => domains,
        Author::None | Author::Several(_) | Author::Unreadable(_) => &[],
    });
    let mut domains: Vec<Domain> = facts
        .reverse_path
        .domain()
        .into_iter()
        .chain(authors)
        .cloned()
        .collect();
    domains.dedup();
    domains
}
