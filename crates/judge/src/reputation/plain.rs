//! A history in memory: a plain list that each question looks through from end to end. For cases from a file, and as
//! what other histories are compared with.

use super::history::{Correspondent, History, HistoryRow, HistoryUnavailable, Identity, Scope, Votes};
use super::sender::Sender;
use crate::resolver::BoxFuture;
use mail::{Domain, Line, MailboxId};
use std::collections::HashMap;
use std::future::ready;

/// What is remembered, in no order.
#[derive(Debug, Clone, Default)]
pub struct PlainHistory {
    labelled: Vec<(MailboxId, Vec<Identity>, HistoryRow)>,
    sent: Vec<(MailboxId, Correspondent, i64)>,
}

impl PlainHistory {
    /// Nothing is remembered.
    pub fn new() -> PlainHistory {
        PlainHistory::default()
    }

    /// A message of `sender` was labelled. It came at `received_s` seconds since 1970; of those that came at one time
    /// the one with the highest `number` is the newest.
    pub fn label(&mut self, mailbox: &MailboxId, sender: &Sender, received_s: i64, number: u64, is_junk: bool) {
        let author = sender.author.as_ref();
        let row = HistoryRow {
            received_s,
            number,
            is_junk,
            author_local: author.map_or_else(Line::default, |author| author.local.clone()),
        };
        self.labelled.push((mailbox.clone(), sender.identities(), row));
    }

    /// The owner of a mailbox wrote to `local@domain`, at `sent_s` seconds since 1970.
    pub fn send(&mut self, mailbox: &MailboxId, local: &Line, domain: &Domain, organization: &Domain, sent_s: i64) {
        let address = Correspondent::Address {
            local: local.clone(),
            domain: domain.clone(),
        };
        let wider = [
            Correspondent::Domain(domain.clone()),
            Correspondent::Organization(organization.clone()),
        ];
        let all = [address].into_iter().chain(wider);
        self.sent.extend(all.map(|whom| (mailbox.clone(), whom, sent_s)));
    }
}

impl History for PlainHistory {
    fn newest<'a>(
        &'a self,
        mailbox: &'a MailboxId,
        identity: &'a Identity,
        since_s: i64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<HistoryRow>, HistoryUnavailable>> {
        let fits = self.labelled.iter().filter(|(of, identities, row)| {
            of == mailbox && identities.contains(identity) && row.received_s >= since_s
        });
        let mut rows: Vec<HistoryRow> = fits.map(|(_, _, row)| row.clone()).collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.received_s, row.number)));
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Box::pin(ready(Ok(rows)))
    }

    fn wrote_to<'a>(
        &'a self,
        mailbox: &'a MailboxId,
        correspondent: &'a Correspondent,
        since_s: i64,
    ) -> BoxFuture<'a, Result<bool, HistoryUnavailable>> {
        let fits = |(of, whom, sent_s): &(MailboxId, Correspondent, i64)| {
            of == mailbox && whom == correspondent && *sent_s >= since_s
        };
        Box::pin(ready(Ok(self.sent.iter().any(fits))))
    }

    fn votes<'a>(
        &'a self,
        scope: &'a Scope,
        identity: &'a Identity,
        since_s: i64,
    ) -> BoxFuture<'a, Result<Votes, HistoryUnavailable>> {
        let is_within = |mailbox: &MailboxId| match scope {
            Scope::Domain(domain) => mailbox.domain() == domain,
            Scope::Server => true,
        };
        let mut newest: HashMap<&MailboxId, &HistoryRow> = HashMap::new();
        for (mailbox, identities, row) in &self.labelled {
            if is_within(mailbox) && identity.is_shared() && identities.contains(identity) {
                let kept = newest.entry(mailbox).or_insert(row);
                if (row.received_s, row.number) >= (kept.received_s, kept.number) {
                    *kept = row;
                }
            }
        }
        let mut votes = Votes::default();
        for row in newest.values().filter(|row| row.received_s >= since_s) {
            match row.is_junk {
                true => votes.junk = votes.junk.saturating_add(1),
                false => votes.not_junk = votes.not_junk.saturating_add(1),
            }
        }
        Box::pin(ready(Ok(votes)))
    }
}
