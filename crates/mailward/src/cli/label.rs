//! `mailward label`: what a person says of messages that came; and `mailward sent`: whom a mailbox's owner wrote to.
//!
//! A message is named by its id, or shown as it lies in a file, a Maildir, an mbox or on standard input; the field
//! `X-Mailward-Id` in it says which one it is, and its seal that the gateway wrote that.

use super::ask::{self, Ask};
use super::desk::{Desk, Out};
use super::scan::sources::{Found, Sources};
use super::{Trouble, complain, harmless, load};
use clap::{Args, ValueEnum};
use judge::evidence::RecipientFacts;
use mail::{Address, Line, MailboxId, Message};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use store::{Label, LabelRequest, Labelled, MailwardId, Said, Stored};

/// Messages of one question to the daemon: its lines are bounded.
const AT_ONCE: usize = 200;
/// How often a label is put behind one that was said of the same message meanwhile.
const TRIES_MAX: usize = 3;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// What they are
    what: What,
    /// Ids, or message files, Maildirs, mboxes or folders of messages; `-` or nothing is standard input
    messages: Vec<String>,
    /// Whose mail, where a message came for several
    #[arg(long, value_name = "ADDRESS")]
    mailbox: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// They are junk
    Junk,
    /// They are welcome
    Notjunk,
    /// As if nobody had ever said anything of them
    Forget,
}

/// What the daemon is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LabelAsk {
    what: What,
    mailbox: Option<String>,
    messages: Vec<Named>,
}

/// One message.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Named {
    /// Its file, or its id.
    name: String,
    id: String,
    /// As it stands in the message behind the id; none where a person named the id.
    seal: Option<String>,
}

/// Finds the messages, and has them labelled.
pub(super) fn run(config: Option<&Path>, options: &Options) -> Result<ExitCode, Trouble> {
    let (mut named, mut failed) = (Vec::new(), false);
    let is_id = |text: &str| text.parse::<MailwardId>().is_ok() && !Path::new(text).exists();
    let (ids, paths): (Vec<&String>, Vec<&String>) = options.messages.iter().partition(|text| is_id(text));
    named.extend(ids.iter().map(|id| Named {
        name: (*id).clone(),
        id: (*id).clone(),
        seal: None,
    }));
    if !paths.is_empty() || ids.is_empty() {
        if let Some(lost) = paths.iter().find(|text| **text != "-" && !Path::new(text).exists()) {
            return Err(Trouble::hint(
                format!("neither an id nor a file: `{lost}`"),
                "an id has 12 characters, as in `X-Mailward-Id` and in `mailward why`",
            ));
        }
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        let mut sources = Sources::new(&paths, load(config)?.limits.message_size)?;
        while let Some(found) = sources.next_message() {
            match found.and_then(sealed_id) {
                Ok(one) => named.push(one),
                Err(trouble) => {
                    failed = true;
                    complain(format_args!("error: {}", harmless(trouble)));
                }
            }
        }
    }
    for messages in named.chunks(AT_ONCE) {
        let ask = LabelAsk {
            what: options.what,
            mailbox: options.mailbox.clone(),
            messages: messages.to_vec(),
        };
        failed |= ask::run(config, Ask::Label(ask))? != ExitCode::SUCCESS;
    }
    Ok(ExitCode::from(u8::from(failed)))
}

/// What the message says of itself.
fn sealed_id(found: Found) -> Result<Named, String> {
    match sealed(&Message::parse(&found.octets)) {
        Some((id, seal)) => Ok(Named {
            name: found.name,
            id,
            seal: Some(seal),
        }),
        None => Err(format!(
            "{}: no X-Mailward-Id field, so it did not come through the gateway",
            found.name
        )),
    }
}

/// The id that a message shows, and what shall prove it.
pub(super) fn sealed(message: &Message<'_>) -> Option<(String, String)> {
    let value = message.first("X-Mailward-Id")?.value();
    let (id, seal) = std::str::from_utf8(&value).ok()?.split_once(' ')?;
    Some((id.to_owned(), seal.trim().to_owned()))
}

impl LabelAsk {
    /// Labels; 1 if some of them could not be.
    pub(super) fn answer(&self, desk: &Desk, out: &mut Out<'_>) -> Result<u8, Trouble> {
        let mailbox = match &self.mailbox {
            Some(text) => Some(desk.mailbox_of(text)?),
            None => None,
        };
        let mut failed = false;
        let mut labelled = BTreeSet::new();
        for named in &self.messages {
            match self.label(desk, named, mailbox.as_ref(), &mut labelled) {
                Ok(done) => writeln!(out.text, "{}", harmless(done))?,
                Err(trouble) => {
                    failed = true;
                    writeln!(out.errors, "error: {}: {}", harmless(&named.name), harmless(trouble))?;
                }
            }
        }
        labelled.iter().for_each(|mailbox| desk.teach(mailbox));
        Ok(u8::from(failed))
    }

    /// `labelled_of` gets the mailboxes of which something was said.
    fn label(
        &self,
        desk: &Desk,
        named: &Named,
        mailbox: Option<&MailboxId>,
        labelled_of: &mut BTreeSet<MailboxId>,
    ) -> Result<String, String> {
        let id = id_of(desk, named)?;
        let nothing = "no record of this id for a mailbox of yours; records are kept for `[store] keep_days`";
        let stored = desk
            .wait(desk.reader().map_err(|t| t.text())?.find(id))
            .map_err(|error| error.to_string())?;
        let stored = stored.ok_or(nothing)?;
        let facts = one_recipient(desk, &stored, mailbox)?.ok_or(nothing)?;
        let store = desk.store().map_err(|t| t.text())?;
        let mut at_s = jiff::Timestamp::now().as_second();
        let mut labelled = Labelled::Holds;
        for _ in 0..TRIES_MAX {
            let request = request(desk, &stored, facts, id, self.said(desk, at_s))?;
            labelled = desk.wait(store.label(request)).map_err(|error| error.to_string())?;
            // Who speaks now speaks last, though clocks may say that it was the same second, or even before.
            match &labelled {
                Labelled::Holds => break,
                Labelled::Outranked(said) => at_s = said.at_s.saturating_add(1),
            }
        }
        let word = match self.what {
            What::Junk => "junk",
            What::Notjunk => "not junk",
            What::Forget => "forgotten",
        };
        labelled_of.insert(facts.mailbox.clone());
        match labelled {
            Labelled::Holds => Ok(format!("{id} for {}: {word}", facts.mailbox)),
            Labelled::Outranked(said) => Err(format!(
                "for {} it stays what was said of it later, at {} by {}",
                facts.mailbox,
                jiff::Timestamp::from_second(said.at_s).unwrap_or_default(),
                said.source
            )),
        }
    }

    fn said(&self, desk: &Desk, at_s: i64) -> Said {
        Said {
            label: match self.what {
                What::Junk => Some(Label::Junk),
                What::Notjunk => Some(Label::NotJunk),
                What::Forget => None,
            },
            at_s,
            source: Line::literal("command"),
            by: desk.caller().name(),
        }
    }
}

/// A saying of a delivery that was recorded, with the identities that were recorded then.
pub(super) fn request(
    desk: &Desk,
    stored: &Stored,
    facts: &RecipientFacts,
    id: MailwardId,
    said: Said,
) -> Result<LabelRequest, String> {
    let sender = desk
        .judgement()
        .map_err(|t| t.text())?
        .sender(&stored.record.facts, facts);
    Ok(LabelRequest {
        mailbox: facts.mailbox.clone(),
        id,
        said,
        received_s: stored.record.facts.received_s,
        author_local: sender
            .author
            .as_ref()
            .map_or_else(Line::default, |author| author.local.clone()),
        identities: sender.identities(),
        features: None,
    })
}

/// The id, if the message that shows it was sealed by this gateway.
fn id_of(desk: &Desk, named: &Named) -> Result<MailwardId, String> {
    let id: MailwardId = named.id.parse().map_err(|_| format!("not an id: `{}`", named.id))?;
    if let Some(seal) = &named.seal
        && desk.seal().map_err(|trouble| trouble.text())?.mac(&id) != *seal
    {
        return Err("its X-Mailward-Id is not sealed by this gateway".into());
    }
    Ok(id)
}

/// The one recipient that is meant.
pub(super) fn one_recipient<'a>(
    desk: &Desk,
    stored: &'a Stored,
    mailbox: Option<&MailboxId>,
) -> Result<Option<&'a RecipientFacts>, String> {
    let all = stored.record.recipients.iter().map(|recipient| &recipient.facts);
    let mut meant = all.filter(|facts| desk.may_see(&facts.mailbox) && mailbox.is_none_or(|m| *m == facts.mailbox));
    let first = meant.next();
    match first {
        Some(first) if meant.any(|other| other.mailbox != first.mailbox) => {
            Err("it came for several mailboxes: say which with `--mailbox`".into())
        }
        first => Ok(first),
    }
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(super) struct SentOptions {
    /// Whose mail it was
    mailbox: String,
    /// To whom
    #[arg(required = true)]
    recipients: Vec<String>,
}

/// Remembers to whom a mailbox's owner wrote.
pub(super) fn sent(desk: &Desk, options: &SentOptions, out: &mut Out<'_>) -> Result<u8, Trouble> {
    let mailbox = desk.mailbox_of(&options.mailbox)?;
    if !desk.may_see(&mailbox) {
        return Err(Trouble::new(format!("{mailbox} is not your mailbox")));
    }
    let (judgement, at_s) = (desk.judgement()?, jiff::Timestamp::now().as_second());
    let (mut all, mut failed) = (Vec::new(), false);
    for text in &options.recipients {
        let address = Address::parse(text).map_err(|error| Trouble::new(format!("{error}: `{text}`")))?;
        match judgement.sent_to(&mailbox, &address, at_s) {
            Some(sent) => all.push(sent),
            None => {
                failed = true;
                writeln!(out.errors, "error: no domain: `{}`", harmless(text))?;
            }
        }
    }
    let count = all.len();
    desk.wait(desk.store()?.sent(all)).map_err(Trouble::new)?;
    let noun = if count == 1 { "address" } else { "addresses" };
    writeln!(out.text, "{mailbox} wrote to {count} {noun}")?;
    Ok(u8::from(failed))
}
