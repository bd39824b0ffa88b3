//! `mailward why`: what was decided on a message, why, and whether today's program would decide the same.

use super::desk::{Caller, Desk, Out};
use super::{Trouble, explain, harmless, harmless_json};
use clap::Args;
use judge::reason::{Effect, Reason};
use judge::verdict::{Disposition, Verdict, conclude};
use mail::Line;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::time::Duration;
use store::{Judged, MailwardId, Outcome, Reader, RecipientRecord, Stored, Summary};

/// How many lines the list of the last messages has.
const RECENT: usize = 20;
/// How many lines are read for one that is shown, so that a busy minute is sorted too.
const FETCHED_FOR_ONE_SHOWN: usize = 50;
/// The same for somebody who may see only the mail of one mailbox.
const FETCHED_FOR_ONE_OWNED: usize = 1000;

/// How often, and after what time, an outcome that is missing is looked for again: together some times as long as the
/// store takes its time with outcomes.
const OUTCOME_LOOKS: u32 = 10;
const OUTCOME_WAIT: Duration = Duration::from_millis(50);

/// What is said of a message without an outcome.
const NOT_RECORDED: &str = "not recorded: the gateway is at work on the message, or was stopped while it was";

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(super) struct Options {
    /// The id in the reply, the log or the X-Mailward-Id field; without it, the last messages are listed
    id: Option<String>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(desk: &Desk, options: &Options, out: &mut Out<'_>) -> Result<u8, Trouble> {
    let text = match &options.id {
        None => recent(desk, options.json)?,
        Some(id) => one(desk, id, options.json)?,
    };
    out.text.write_all(text.as_bytes())?;
    Ok(0)
}

fn one(desk: &Desk, id: &str, json: bool) -> Result<String, Trouble> {
    let nothing = || {
        Trouble::hint(
            format!("no record of this id: `{id}`"),
            "records are kept for `[store] keep_days`; `mailward why` alone lists the last ones",
        )
    };
    let id: MailwardId = id.parse().map_err(|_| {
        Trouble::hint(
            format!("not an id: `{id}`"),
            "ids have twelve letters and digits; `mailward why` alone lists the last ones",
        )
    })?;
    let reader = desk.reader()?;
    let stored = desk.wait(find(&reader, id))?.ok_or_else(nothing)?;
    // Of mail for others, not even that it is there.
    let shown = Shown::to(desk, &stored).ok_or_else(nothing)?;
    if json { one_json(&shown) } else { Ok(one_text(&shown)) }
}

/// The record of an id. The gateway writes the outcome a moment after its answer; whoever asks at once waits for it.
pub(super) async fn find(reader: &Reader, id: MailwardId) -> Result<Option<Stored>, Trouble> {
    let mut found = reader.find(id).await.map_err(Trouble::new)?;
    for _ in 0..OUTCOME_LOOKS {
        if found.as_ref().is_none_or(|stored| stored.ending.is_some()) {
            break;
        }
        tokio::time::sleep(OUTCOME_WAIT).await;
        found = reader.find(id).await.map_err(Trouble::new)?;
    }
    Ok(found)
}

/// A record as far as somebody may see it.
struct Shown<'a> {
    stored: &'a Stored,
    /// The numbers of the recipients; never none, unless the record has none.
    recipients: Vec<usize>,
}

impl<'a> Shown<'a> {
    fn to(desk: &Desk, stored: &'a Stored) -> Option<Shown<'a>> {
        let all = stored.record.recipients.iter().enumerate();
        let recipients: Vec<usize> = all
            .filter(|(_, recipient)| desk.may_see(&recipient.facts.mailbox))
            .map(|(n, _)| n)
            .collect();
        let shown = Shown { stored, recipients };
        (!shown.recipients.is_empty() || *desk.caller() == Caller::Operator).then_some(shown)
    }

    /// The answer stands for all recipients, and may name one of them.
    fn ending(&self) -> Option<&store::Ending> {
        let is_whole = self.recipients.len() == self.stored.record.recipients.len();
        self.stored.ending.as_ref().filter(|_| is_whole)
    }

    /// Each recipient with its number, and what today's program decides on the stored facts under the stored policy.
    fn each(&self) -> impl Iterator<Item = (usize, &RecipientRecord, Verdict)> {
        let record = &self.stored.record;
        self.recipients.iter().filter_map(|&n| {
            let recipient = record.recipients.get(n)?;
            let again = conclude(&record.facts, &recipient.facts, recipient.policy.policy());
            Some((n, recipient, again))
        })
    }
}

fn one_text(shown: &Shown<'_>) -> String {
    let stored = shown.stored;
    let record = &stored.record;
    let mut out = format!("message {}\n", record.id);
    explain::message(&mut out, &record.facts);
    match shown.ending() {
        Some(ending) => explain::line(
            &mut out,
            "answer",
            format_args!("{} (after {} ms)", ending.reply, ending.took_ms),
        ),
        None if stored.ending.is_some() => explain::line(&mut out, "answer", "one for all its recipients"),
        None => explain::line(&mut out, "answer", NOT_RECORDED),
    }
    for (n, recipient, again) in shown.each() {
        out.push('\n');
        explain::recipient(&mut out, &recipient.facts);
        let (became, code) = (
            stored.outcome(n),
            stored.ending.as_ref().map(|ending| ending.reply.code()),
        );
        explain::line(
            &mut out,
            "outcome",
            outcome(became, &recipient.verdict.disposition, code),
        );
        let is_foiled = !matches!(became, Outcome::Delivered { .. } | Outcome::Unknown);
        explain::verdict(&mut out, &recipient.verdict, is_foiled);
        if again == recipient.verdict {
            explain::line(&mut out, "replay", "judged again by this version: the same");
        } else {
            explain::line(
                &mut out,
                "replay",
                format_args!(
                    "version {} decided so; this version ({}) decides otherwise:",
                    record.code_version,
                    env!("CARGO_PKG_VERSION")
                ),
            );
            explain::verdict(&mut out, &again, is_foiled);
        }
    }
    out
}

/// What became of a message for one recipient, in a word or a few. `code` is what the sender was answered for all.
fn word(outcome: &Outcome, disposition: &Disposition, code: Option<u16>) -> &'static str {
    let is_refused = code.is_some_and(|code| code / 100 == 5);
    match (outcome, disposition) {
        (Outcome::Delivered { .. }, Disposition::Tag) => "tagged",
        (Outcome::Delivered { .. }, Disposition::File(_)) => "filed",
        (Outcome::Delivered { .. }, _) => "delivered",
        (Outcome::Held { next_hop: Some(_), .. }, _) => "refused by the next hop",
        (Outcome::Held { .. }, Disposition::Reject(_)) if is_refused => "refused",
        (Outcome::Held { .. }, Disposition::Discard) => "discarded",
        (Outcome::Held { .. }, _) => "held",
        (Outcome::Refused, _) => "refused",
        (Outcome::Deferred { .. }, _) => "deferred",
        (Outcome::Unknown, _) => "not recorded",
    }
}

/// The same in full, with the next hop's words.
fn outcome(outcome: &Outcome, disposition: &Disposition, code: Option<u16>) -> String {
    let word = word(outcome, disposition, code);
    match outcome {
        Outcome::Delivered { reply } => format!("{word}; {reply}"),
        Outcome::Held {
            quarantine,
            next_hop: Some(said),
        } => format!("{word}: {said}; kept in the quarantine as {quarantine}"),
        Outcome::Held { quarantine, .. } => format!("{word}: kept in the quarantine as {quarantine}"),
        Outcome::Refused => format!("{word}; no copy was kept"),
        Outcome::Deferred { why, quarantine, .. } => {
            let copy = quarantine
                .as_ref()
                .map(|copy| format!("; a copy in the quarantine: {copy}"));
            let said = unsaid(outcome).map(|said| format!("; the next hop: {said}"));
            format!("{word}: {why}{}{}", said.unwrap_or_default(), copy.unwrap_or_default())
        }
        Outcome::Unknown => NOT_RECORDED.into(),
    }
}

/// The next hop's words, where what the sender was told does not hold them.
fn unsaid(outcome: &Outcome) -> Option<&Line> {
    match outcome {
        Outcome::Deferred { why, next_hop, .. } => {
            next_hop.as_ref().filter(|said| !why.as_str().contains(said.as_str()))
        }
        _ => None,
    }
}

#[derive(Serialize)]
struct OneJson<'a> {
    id: String,
    code_version: &'a str,
    facts: &'a judge::evidence::MessageFacts,
    reply: Option<String>,
    took_ms: Option<u32>,
    recipients: Vec<RecipientJson<'a>>,
}

#[derive(Serialize)]
struct RecipientJson<'a> {
    facts: &'a judge::evidence::RecipientFacts,
    verdict: &'a Verdict,
    /// Reasons, in sentences.
    sentences: Vec<String>,
    /// What was only noted, in sentences.
    evidence: Vec<String>,
    policy: &'a judge::policy::Policy,
    policy_digest: String,
    outcome: &'a Outcome,
    /// The same for people.
    outcome_text: String,
    next_hop: Option<&'a Line>,
    replay: Verdict,
    replay_is_same: bool,
}

fn one_json(shown: &Shown<'_>) -> Result<String, Trouble> {
    let stored = shown.stored;
    let record = &stored.record;
    let code = stored.ending.as_ref().map(|ending| ending.reply.code());
    let sentences = |verdict: &Verdict, wanted: fn(&&Reason) -> bool| {
        let reasons = verdict.reasons.iter().filter(wanted);
        reasons.map(|reason| reason.sentence()).collect()
    };
    let recipients = shown.each().map(|(n, recipient, replay)| RecipientJson {
        facts: &recipient.facts,
        verdict: &recipient.verdict,
        sentences: sentences(&recipient.verdict, |reason| reason.effect != Effect::Evidence),
        evidence: sentences(&recipient.verdict, |reason| reason.effect == Effect::Evidence),
        policy: recipient.policy.policy(),
        policy_digest: recipient.policy.digest().to_string(),
        outcome: stored.outcome(n),
        outcome_text: outcome(stored.outcome(n), &recipient.verdict.disposition, code),
        next_hop: stored.outcome(n).next_hop(),
        replay_is_same: replay == recipient.verdict,
        replay,
    });
    let json = OneJson {
        id: record.id.to_string(),
        code_version: &record.code_version,
        facts: &record.facts,
        reply: shown.ending().map(|ending| ending.reply.to_string()),
        took_ms: shown.ending().map(|ending| ending.took_ms),
        recipients: recipients.collect(),
    };
    let text = serde_json::to_string_pretty(&json).map_err(Trouble::new)?;
    Ok(harmless_json(&text) + "\n")
}

fn recent(desk: &Desk, json: bool) -> Result<String, Trouble> {
    let fetched = match desk.caller() {
        Caller::Operator => RECENT * FETCHED_FOR_ONE_SHOWN,
        Caller::Owner(_) => RECENT * FETCHED_FOR_ONE_OWNED,
    };
    let reader = desk.reader()?;
    let mut summaries = Vec::new();
    for summary in desk.wait(reader.recent(fetched)).map_err(Trouble::new)? {
        let is_seen = match &summary.judged {
            Some(judged) => desk.may_see_address(&judged.recipient)?,
            None => *desk.caller() == Caller::Operator,
        };
        if is_seen {
            summaries.push(summary);
        }
    }
    // Ids tell the minute; within one, the records do.
    summaries.sort_by_key(|summary| std::cmp::Reverse(summary.received_s));
    summaries.truncate(RECENT);
    let mut out = String::new();
    if summaries.is_empty() && !json {
        out.push_str("no message was judged yet\n");
    }
    for summary in &summaries {
        if json {
            let _ = writeln!(out, "{}", harmless_json(&summary_json(summary).to_string()));
        } else {
            summary_text(&mut out, summary);
        }
    }
    Ok(out)
}

fn summary_text(out: &mut String, summary: &Summary) {
    let time = jiff::Timestamp::from_second(summary.received_s)
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::system());
    let _ = write!(out, "{}  {}  ", time.strftime("%d %b %H:%M:%S"), summary.id);
    match &summary.judged {
        None => out.push_str("(written by another version)\n"),
        Some(judged) => {
            let (from, to) = (harmless(&judged.reverse_path), harmless(&judged.recipient));
            // Who had the last word: the next hop, or what was decided here.
            let why = match &judged.outcome {
                Outcome::Held {
                    next_hop: Some(said), ..
                } => format!("refused by the next hop: {said}"),
                Outcome::Deferred {
                    why, next_hop: Some(_), ..
                } => match unsaid(&judged.outcome) {
                    Some(said) => format!("{why}; the next hop: {said}"),
                    None => why.to_string(),
                },
                Outcome::Deferred { why, .. } if judged.reason.is_none() => why.to_string(),
                _ => judged.reason.as_ref().map(Line::to_string).unwrap_or_default(),
            };
            let word = match &judged.outcome {
                Outcome::Held { next_hop: Some(_), .. } => "refused",
                _ => judged_word(judged),
            };
            let mut line = format!("{word:<9}  <{from}> to <{to}>  {why}");
            if !judged.evidence.is_empty() {
                let texts: Vec<&str> = judged.evidence.iter().map(Line::as_str).collect();
                let _ = write!(line, "  (evidence: {})", texts.join("; "));
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
}

fn judged_word(judged: &Judged) -> &'static str {
    let code = judged.reply.as_ref().map(mail::Reply::code);
    word(&judged.outcome, &judged.disposition, code)
}

fn summary_json(summary: &Summary) -> serde_json::Value {
    let judged = summary.judged.as_ref();
    serde_json::json!({
        "id": summary.id.to_string(),
        "received_s": summary.received_s,
        "from": judged.map(|j| j.reverse_path.to_string()),
        "recipient": judged.map(|j| j.recipient.to_string()),
        "disposition": judged.map(|j| j.disposition.word()),
        "outcome": judged.map(judged_word),
        "next_hop": judged.and_then(|j| j.outcome.next_hop()).map(Line::as_str),
        "reason": judged.and_then(|j| j.reason.as_ref()).map(|r| r.as_str()),
        "evidence": judged.map(|j| j.evidence.iter().map(Line::as_str).collect::<Vec<_>>()),
    })
}
