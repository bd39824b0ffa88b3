//! `mailward quarantine`: what was refused or held, and how to have it back.

use super::desk::{Desk, Out};
use super::{Trouble, harmless, why};
use crate::body::{Body, Content};
use crate::domains::Found;
use crate::gateway::released;
use crate::metrics::METRICS;
use crate::quarantine::print::{self, Form};
use crate::quarantine::{Days, Entry, Expired, Expiry, Filter, Quarantine, ReadError, Reference, State};
use crate::relay::{Deadline, Delivery, Destination, Parcel};
use clap::{Args, Subcommand};
use jiff::Zoned;
use mail::{Address, Domain, MailboxId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use store::{MailwardId, Outcome};

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// List what is there, newest first
    List(Which),
    /// Show a message, its control characters made harmless
    Show {
        /// An id, or DAY/DOMAIN/FILENAME
        message: String,
        /// The octets as they are stored
        #[arg(long)]
        raw: bool,
        /// What the index says of it, as JSON
        #[arg(long, conflicts_with = "raw")]
        json: bool,
    },
    /// List what has a text in its index line: sender, recipient, subject, reason, ...
    Search {
        /// The text, in any case
        text: String,
        #[command(flatten)]
        which: Which,
    },
    /// Deliver messages after all; they are not judged again
    Release {
        /// Ids, or DAY/DOMAIN/FILENAME
        #[arg(required = true)]
        messages: Vec<String>,
        /// Also what was released before
        #[arg(long)]
        again: bool,
        /// One JSON object for each message
        #[arg(long)]
        json: bool,
    },
    /// Remove what is older than 34 days
    Expire {
        /// Name what is removed
        #[arg(long)]
        verbose: bool,
        /// Remove nothing, only name it
        #[arg(long)]
        dry_run: bool,
        /// The clock is right, although the last expiry was very long ago
        #[arg(long)]
        force: bool,
        /// One JSON object for each day, and for each thing in its way
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
struct Which {
    /// Only the last DAYS days, today among them
    #[arg(long, value_name = "DAYS")]
    days: Option<u16>,
    /// Only this recipient domain
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Only this recipient
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = Filter::LIMIT)]
    limit: usize,
    /// One JSON object an entry
    #[arg(long)]
    json: bool,
}

impl Options {
    /// Whether a user of the machine may ask this of their own mail.
    pub(super) fn is_for_owners(&self) -> bool {
        !matches!(self.action, Action::Expire { .. })
    }

    /// Whether the work goes on when nobody reads of it any more.
    pub(super) fn is_ended_unread(&self) -> bool {
        matches!(self.action, Action::Release { .. } | Action::Expire { .. })
    }
}

pub(super) fn run(desk: &Desk, options: &Options, out: &mut Out<'_>) -> Result<u8, Trouble> {
    let counter = Counter {
        desk,
        quarantine: &*desk.quarantine()?,
        now: Zoned::now(),
    };
    match &options.action {
        Action::List(which) => counter.list(None, which, out),
        Action::Search { text, which } => counter.list(Some(text), which, out),
        Action::Show { message, raw, json } => counter.show(message, *raw, *json, out),
        Action::Release { messages, again, json } => counter.release(messages, *again, *json, out),
        Action::Expire {
            verbose,
            dry_run,
            force,
            json,
        } => {
            let how = Expiry {
                dry_run: *dry_run,
                force: *force,
            };
            let expired = counter.expire(how)?;
            let text = match json {
                true => print::expired_json(&expired, how),
                false => print::expired(&expired, how, *verbose),
            };
            out.text.write_all(text.as_bytes())?;
            Ok(if expired.troubles.is_empty() { 0 } else { 2 })
        }
    }
}

/// Where held mail is handed out.
struct Counter<'a> {
    desk: &'a Desk,
    quarantine: &'a Quarantine,
    now: Zoned,
}

impl Counter<'_> {
    fn list(&self, text: Option<&str>, which: &Which, out: &mut Out<'_>) -> Result<u8, Trouble> {
        let filter = which.filter()?;
        // Where it cannot be told whose mail it is, it is not shown.
        let is_seen = |entry: &Entry| self.desk.may_see_entry(entry).unwrap_or(false);
        let listing = self
            .quarantine
            .list_where(text, &filter, &self.now, is_seen)
            .map_err(Trouble::new)?;
        if which.json {
            for entry in &listing.entries {
                writeln!(out.text, "{}", print::json(entry))?;
            }
        } else {
            let table = print::list(&listing, self.now.time_zone(), out.columns);
            out.text.write_all(table.as_bytes())?;
        }
        Ok(0)
    }

    /// The entries that a text names; never none.
    fn find(&self, text: &str) -> Result<Vec<Entry>, Trouble> {
        let hint = "`mailward quarantine list` shows the ids";
        let reference = Reference::parse(text).map_err(|error| Trouble::hint(format!("{error}: `{text}`"), hint))?;
        let mut found = self.quarantine.find(&reference, &self.now).map_err(Trouble::new)?;
        if let Reference::Id(id) = &reference {
            self.add_earlier(id, &mut found)?;
        }
        let mut seen = Vec::new();
        for entry in found {
            if self.desk.may_see_entry(&entry)? {
                seen.push(entry);
            }
        }
        if seen.is_empty() {
            return Err(Trouble::hint(
                format!("nothing of that name is in the quarantine: `{text}`"),
                hint,
            ));
        }
        Ok(seen)
    }

    /// A message that came again has the copy of an earlier try, which stands under the id of that one; its record says
    /// where.
    fn add_earlier(&self, id: &str, found: &mut Vec<Entry>) -> Result<(), Trouble> {
        // Where there is no store, nothing is known to have come twice.
        let (Ok(id), Ok(reader)) = (id.parse::<MailwardId>(), self.desk.reader()) else {
            return Ok(());
        };
        let Some(stored) = self.desk.wait(why::find(&reader, id))? else {
            return Ok(());
        };
        for n in 0..stored.record.recipients.len() {
            let place = match stored.outcome(n) {
                Outcome::Held { quarantine, .. }
                | Outcome::Deferred {
                    quarantine: Some(quarantine),
                    ..
                } => quarantine,
                _ => continue,
            };
            let Ok(reference) = Reference::parse(place) else {
                continue;
            };
            if found.iter().all(|entry| entry.reference().as_ref() != Some(&reference)) {
                found.extend(self.quarantine.find(&reference, &self.now).map_err(Trouble::new)?);
            }
        }
        Ok(())
    }

    fn show(&self, text: &str, raw: bool, json: bool, out: &mut Out<'_>) -> Result<u8, Trouble> {
        for entry in self.find(text)? {
            if json {
                writeln!(out.text, "{}", print::json(&entry))?;
                continue;
            }
            let file = self.quarantine.open_message(&entry);
            if raw {
                print::message(file.map_err(Trouble::new)?, Form::Raw, &mut out.text)?;
                continue;
            }
            let text = print::entry(&entry, self.now.time_zone());
            out.text.write_all(text.as_bytes())?;
            match file {
                Ok(file) => print::message(file, Form::Safe, &mut out.text)?,
                Err(error @ ReadError::MetadataOnly) => writeln!(out.text, "\n{error}")?,
                Err(error) => return Err(Trouble::new(error)),
            }
        }
        Ok(0)
    }

    fn release(&self, names: &[String], again: bool, json: bool, out: &mut Out<'_>) -> Result<u8, Trouble> {
        // Before anything is delivered.
        self.desk.domains()?;
        let mut exit = 0;
        for name in names {
            for entry in self.find(name)? {
                let released = if entry.state == State::Released && !again {
                    Released::Before
                } else {
                    // Whoever asked the daemon may have gone away; what is not yet delivered then stays.
                    out.is_wanted()?;
                    let delivery = self.deliver(&entry);
                    self.desk.wait(delivery).map_or_else(Released::Not, Released::Delivered)
                };
                if let Released::Not(_) = released {
                    exit = 1;
                }
                match json {
                    true => writeln!(out.text, "{}", released.json(&entry))?,
                    false => released.tell(name, &entry, out)?,
                }
            }
        }
        Ok(exit)
    }

    fn expire(&self, how: Expiry) -> Result<Expired, Trouble> {
        self.quarantine
            .expire(&self.now, how)
            .map_err(|error| match error.hint() {
                Some(hint) => Trouble::hint(&error, hint),
                None => Trouble::new(&error),
            })
    }

    async fn deliver(&self, entry: &Entry) -> Result<String, String> {
        let config = self.desk.config();
        let domains = self.desk.domains().map_err(|trouble| trouble.text())?;
        let released = self.quarantine.release(entry).map_err(|error| error.to_string())?;
        let view = match released.recipient.domain().map(|domain| domains.find(domain)) {
            Some(Found::Local(view)) => Some(view),
            // Mail of `relay_networks` that the next hop refused.
            Some(Found::NotLocal) | None => None,
            Some(Found::NoDomains) => return Err("there is no domain now; their directories are missing".into()),
            Some(Found::Dangling { path }) => return Err(format!("{}: the link leads nowhere", path.display())),
            Some(Found::Unreadable { path, why }) => return Err(format!("{}: {why}", path.display())),
        };
        let hop = match view.as_ref().and_then(|view| view.next_hop()) {
            Some(Ok(hop)) => hop,
            Some(Err(error)) => return Err(error.to_string()),
            None if view.is_none() => config.relay.as_ref().ok_or("its domain is none of ours any more")?,
            None => &config.deliver,
        };
        let mailbox = view.as_ref().map(|view| view.mailbox(released.recipient.local()));
        let name = view
            .as_ref()
            .zip(mailbox.as_ref())
            .and_then(|(view, mailbox)| view.box_name(mailbox));
        let to = Destination {
            address: &released.recipient,
            maildir: mailbox.as_ref().map(|mailbox| mailbox.domain()).zip(name.as_ref()),
            folder: None,
        };
        let is_ascii = released.octets.is_ascii();
        let content = Arc::new(Content::new(Vec::new(), Arc::new(Body::from(released.octets)), 0));
        let parcel = Parcel {
            reverse_path: &released.reverse_path,
            recipients: &[to],
            // The client is long gone; the next hop hears of us.
            origin: None,
            content: &content,
            deadline: Deadline::within(tokio::time::Instant::now(), Duration::from_secs(config.limits.answer_s)),
            body_8bit: !is_ascii,
            smtputf8: !released.recipient.as_str().is_ascii() || !released.reverse_path.to_string().is_ascii(),
        };
        let mut deliveries = self.desk.relays().deliver(hop, parcel, config).await;
        METRICS.hops.delivered(hop, &deliveries);
        match deliveries.pop() {
            Some(Delivery::Taken(_, said)) => {
                // First, because the sender may be on its way.
                if let (Some(mailbox), Some(reference)) = (&mailbox, entry.reference()) {
                    self.spare_sender(mailbox, &reference).await;
                }
                self.quarantine
                    .mark_released(entry)
                    .map_err(|error| format!("delivered, but not marked as released: {error}"))?;
                Ok(said.to_string())
            }
            Some(Delivery::Refused(reply)) => Err(format!("the next hop refuses it: {}", reply.one_line())),
            Some(Delivery::Later(why)) => Err(format!("{why}; it stays in the quarantine")),
            None => Err("no answer".into()),
        }
    }
}

impl Counter<'_> {
    /// Whose message was deferred will come again, and shall find it delivered.
    async fn spare_sender(&self, mailbox: &MailboxId, reference: &Reference) {
        let now_s = self.now.timestamp().as_second();
        let told = match self.desk.store() {
            Ok(store) => released(store, mailbox, reference, now_s)
                .await
                .map_err(|error| error.to_string()),
            // Without a store nobody was deferred; but the one who has it may be another process.
            Err(_) if !self.desk.config().store_path().exists() => Ok(()),
            Err(trouble) => Err(trouble.text()),
        };
        if let Err(error) = told {
            tracing::warn!(%mailbox, error, "if the sender of a released message comes again, it is delivered twice");
        }
    }
}

/// What became of one message.
enum Released {
    /// The next hop's words.
    Delivered(String),
    Before,
    /// Why not.
    Not(String),
}

impl Released {
    fn json(&self, entry: &Entry) -> serde_json::Value {
        let (word, said) = match self {
            Released::Delivered(said) => ("delivered", Some(said)),
            Released::Before => ("released before", None),
            Released::Not(why) => ("not delivered", Some(why)),
        };
        let reference = entry.reference().map(|reference| reference.to_string());
        serde_json::json!({
            "id": entry.id, "reference": reference, "recipient": entry.recipient, "outcome": word, "said": said,
        })
    }

    fn tell(&self, name: &str, entry: &Entry, out: &mut Out<'_>) -> std::io::Result<()> {
        let to = &entry.recipient;
        match self {
            Released::Delivered(said) => {
                let text = format_args!("{name} delivered to {to} ({said})");
                writeln!(out.text, "{}", harmless(text))
            }
            Released::Before => {
                let text = format_args!("{name} for {to} was released before; `--again` delivers it once more");
                writeln!(out.text, "{}", harmless(text))
            }
            Released::Not(why) => {
                let text = format_args!("error: {name} for {to} was not delivered: {why}");
                writeln!(out.errors, "{}", harmless(text))
            }
        }
    }
}

impl Which {
    fn filter(&self) -> Result<Filter, Trouble> {
        let domain = |text: &String| Domain::parse(text).map_err(|e| Trouble::new(format!("--domain: {e}: `{text}`")));
        let address = |text: &String| Address::parse(text).map_err(|e| Trouble::new(format!("--to: {e}: `{text}`")));
        Ok(Filter {
            days: self.days.map_or(Days::All, Days::Last),
            domain: self.domain.as_ref().map(domain).transpose()?,
            recipient: self.to.as_ref().map(address).transpose()?,
            limit: self.limit,
        })
    }
}
