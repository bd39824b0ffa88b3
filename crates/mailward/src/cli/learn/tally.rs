//! What came of all, and how it is told.

use super::lesson::{Answered, Counts};
use crate::cli::{Trouble, harmless, harmless_json, say};
use judge::reputation::Opened;
use mail::{Line, MailboxId};
use serde::Serialize;
use std::collections::HashMap;

/// Of more names than these the first ones are counted.
const NAMES_MAX: usize = 1000;
/// So many names of hosts are shown.
const NAMES_SHOWN: usize = 3;
/// If fewer messages than one in so many have results, a hint says what to do.
const FEW: u64 = 10;

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub counts: Counts,
    pub unreadable: u64,
    pub contradictory: u64,
    pub twice: u64,
    pub no_date: u64,
    pub automatic: u64,
    history_days: u32,
    seen: Seen,
}

/// What the headers of mail that came had.
#[derive(Debug, Default)]
struct Seen {
    messages: u64,
    /// Trusted hosts wrote a Received field, or results; or results stand where they may be forged.
    with_border: u64,
    with_results: u64,
    with_results_beneath: u64,
    /// How often each host wrote the topmost Received field, and each name results.
    hosts: HashMap<Line, u64>,
    authserv_ids: HashMap<Line, u64>,
}

/// The summary as JSON.
#[derive(Serialize)]
struct Summary<'a> {
    mailbox: Option<&'a MailboxId>,
    dry_run: bool,
    #[serde(flatten)]
    counts: &'a Counts,
    contradictory: u64,
    twice: u64,
    no_date: u64,
    automatic: u64,
    unreadable: u64,
    messages: u64,
    with_trusted_received: u64,
    with_trusted_results: u64,
    with_results_beneath: u64,
    received_by: Vec<(&'a str, u64)>,
    authserv_ids: Vec<(&'a str, u64)>,
}

impl Tally {
    pub fn add(&mut self, answered: &Answered) {
        self.counts.add(&answered.counts);
        self.history_days = answered.history_days;
    }

    pub fn see(&mut self, opened: &Opened) {
        let seen = &mut self.seen;
        seen.messages += 1;
        seen.with_border += u64::from(opened.has_border);
        seen.with_results += u64::from(opened.has_results);
        seen.with_results_beneath += u64::from(opened.has_results_beneath && !opened.has_results);
        count(&mut seen.hosts, &opened.top_by);
        count(&mut seen.authserv_ids, &opened.authserv_ids);
    }

    /// The summary, on standard output.
    pub fn tell(&self, mailbox: Option<&MailboxId>, is_dry: bool, is_json: bool) -> Result<(), Trouble> {
        if is_json {
            let summary = self.summary(mailbox, is_dry);
            let json = serde_json::to_string(&summary).map_err(Trouble::new)?;
            say(harmless_json(&json));
            return Ok(());
        }
        let mailbox = mailbox.map(ToString::to_string).unwrap_or_default();
        for line in self.lines(&mailbox, is_dry) {
            say(line);
        }
        Ok(())
    }

    fn summary<'a>(&'a self, mailbox: Option<&'a MailboxId>, dry_run: bool) -> Summary<'a> {
        let seen = &self.seen;
        Summary {
            mailbox,
            dry_run,
            counts: &self.counts,
            contradictory: self.contradictory,
            twice: self.twice,
            no_date: self.no_date,
            automatic: self.automatic,
            unreadable: self.unreadable,
            messages: seen.messages,
            with_trusted_received: seen.with_border,
            with_trusted_results: seen.with_results,
            with_results_beneath: seen.with_results_beneath,
            received_by: most(&seen.hosts),
            authserv_ids: most(&seen.authserv_ids),
        }
    }

    fn lines(&self, mailbox: &str, is_dry: bool) -> Vec<String> {
        let Counts {
            junk,
            not_junk,
            addresses,
            known,
            known_addresses,
            said_before,
            too_old,
            not_by_owner,
        } = self.counts;
        let learnt = if is_dry { "would be learnt" } else { "learnt" };
        let mut lines = vec![
            format!(
                "{mailbox}: {learnt}: {junk} junk, {not_junk} not junk, {} written to",
                counted(addresses, "address", "addresses")
            ),
            format!(
                "known before: {}, {}",
                counted(known, "message", "messages"),
                counted(known_addresses, "address", "addresses")
            ),
        ];
        let skipped: Vec<String> = [
            (said_before, "of which a person said something already".to_owned()),
            (
                self.contradictory,
                "that are said to be both junk and not junk".to_owned(),
            ),
            (self.twice, "that lie there twice".to_owned()),
            (self.no_date, "without a date".to_owned()),
            (too_old, format!("older than {} days", self.history_days)),
            (self.automatic, "sent by programs or to lists".to_owned()),
            (not_by_owner, "not sent by the owner".to_owned()),
            (self.unreadable, "that could not be read".to_owned()),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        if !skipped.is_empty() {
            lines.push(format!("skipped: {}", skipped.join(", ")));
        }
        lines.extend(self.seen.lines());
        lines
    }
}

impl Seen {
    /// How much was proven, and where that is little, what may help.
    fn lines(&self) -> Vec<String> {
        let Seen {
            messages,
            with_border,
            with_results,
            with_results_beneath,
            hosts,
            authserv_ids,
        } = self;
        if *messages == 0 {
            return Vec::new();
        }
        let mut lines = vec![format!(
            "of {} {with_border} came through a trusted host, {with_results} have its Authentication-Results",
            counted(*messages, "message", "messages")
        )];
        if with_results_beneath > with_results {
            lines.push(format!(
                "hint: {with_results_beneath} have such results beneath its Received field, where anybody could have written \
                 them; if that host takes out what others write in its name, name it again: `--trust-beneath HOST`"
            ));
        } else if with_results.saturating_mul(FEW) <= *messages {
            // Where the servers that took the mail are known, only those who judged it are missing.
            let is_unknown = with_border.saturating_mul(FEW) <= *messages;
            let hosts = if is_unknown { most(hosts) } else { Vec::new() };
            let proven = if is_unknown { "nothing" } else { "only the address" };
            let mut seen: Vec<String> = Vec::new();
            for (what, names) in [("Received by", hosts), ("results of", most(authserv_ids))] {
                let names: Vec<String> = names
                    .iter()
                    .map(|(name, count)| format!("{} ({count})", harmless(name)))
                    .collect();
                if !names.is_empty() {
                    seen.push(format!("{what} {}", names.join(", ")));
                }
            }
            lines.push(match seen.is_empty() {
                true => format!("most have no results of any server, so of their senders {proven} is proven"),
                false => format!(
                    "hint: if another server took or judged your mail before, name it: `--trust HOST`; there are: {}",
                    seen.join("; ")
                ),
            });
        }
        lines
    }
}

fn count<'a>(names: &mut HashMap<Line, u64>, found: impl IntoIterator<Item = &'a Line>) {
    for name in found {
        if let Some(count) = names.get_mut(name) {
            *count += 1;
        } else if names.len() < NAMES_MAX {
            names.insert(name.clone(), 1);
        }
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The most frequent ones, in an order that is always the same.
fn most(names: &HashMap<Line, u64>) -> Vec<(&str, u64)> {
    let mut all: Vec<(&str, u64)> = names.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    all.truncate(NAMES_SHOWN);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use judge::reputation::{Letter, Trust};
    use mail::Message;

    fn seen(tally: &mut Tally, header: &str, times: usize) {
        let mut trust = Trust::default();
        trust.host("mx.site.example").unwrap();
        for _ in 0..times {
            tally.see(&Letter::open(
                &Message::parse(format!("{header}\n\n").as_bytes()),
                &trust,
            ));
        }
    }

    #[test]
    fn a_summary_names_what_was_skipped_and_what_may_help() {
        let mut tally = Tally {
            no_date: 2,
            history_days: 1100,
            ..Tally::default()
        };
        tally.counts.junk = 7;
        tally.counts.too_old = 1;
        seen(
            &mut tally,
            "Received: from a by mx.old.example; x\nAuthentication-Results: old.example; none",
            8,
        );
        assert_eq!(
            tally.lines("ann@example.com", true).join("\n"),
            "ann@example.com: would be learnt: 7 junk, 0 not junk, 0 addresses written to\n\
             known before: 0 messages, 0 addresses\n\
             skipped: 2 without a date, 1 older than 1100 days\n\
             of 8 messages 0 came through a trusted host, 0 have its Authentication-Results\n\
             hint: if another server took or judged your mail before, name it: `--trust HOST`; there are: Received by \
             mx.old.example (8); results of old.example (8)"
        );
        let beneath =
            "Received: from a ([192.0.2.1]) by mx.site.example; x\nAuthentication-Results: mx.site.example; none";
        seen(&mut tally, beneath, 9);
        let lines = tally.lines("", false);
        assert!(
            lines[4].starts_with("hint: 9 have such results beneath its Received field"),
            "{lines:?}"
        );
        let above =
            "Authentication-Results: mx.site.example; none\nReceived: from a ([192.0.2.1]) by mx.site.example; x";
        seen(&mut tally, above, 99);
        assert_eq!(tally.lines("", false).len(), 4);
        assert!(Tally::default().lines("", false).len() == 2);
    }

    #[test]
    fn of_any_number_of_names_a_few_are_kept() {
        let mut names = HashMap::new();
        for n in 0..NAMES_MAX + 500 {
            count(&mut names, [&Line::from(format!("n{n}")), &Line::literal("n1")]);
        }
        assert_eq!(names.len(), NAMES_MAX);
        assert_eq!(most(&names)[0], ("n1", NAMES_MAX as u64 + 501));
        assert_eq!(most(&names).len(), NAMES_SHOWN);
    }
}
