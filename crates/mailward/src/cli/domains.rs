//! `mailward domains`: which domains are ours, what of them is missing, and that what is missing is gone for good.

use super::Trouble;
use super::desk::{Desk, Out};
use crate::domains::{Found, Roll, UsersSeen};
use clap::{Args, Subcommand};
use mail::Domain;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// List the domains, and what is missing since when
    List,
    /// A missing domain is gone for good: refuse its mail now, instead of deferring it for 24 hours
    Forget {
        /// The domain
        domain: String,
        /// Not the domain, but its users: refuse mail for unknown ones again
        #[arg(long)]
        users: bool,
    },
}

impl Options {
    /// Whether its work goes on when nobody reads of it any more.
    pub(super) fn is_ended_unread(&self) -> bool {
        matches!(self.action, Action::Forget { .. })
    }
}

pub(super) fn run(desk: &Desk, options: &Options, out: &mut Out<'_>) -> Result<u8, Trouble> {
    match &options.action {
        Action::List => list(desk, out),
        Action::Forget { domain, users } => {
            let domain = Domain::parse(domain).map_err(|error| Trouble::new(format!("{error}: `{domain}`")))?;
            forget(desk, &domain, *users)?;
            let users = if *users { "the users of " } else { "" };
            writeln!(out.text, "forgotten: {users}{domain}")?;
            Ok(0)
        }
    }
}

fn list(desk: &Desk, out: &mut Out<'_>) -> Result<u8, Trouble> {
    let missing = desk.missing()?;
    let names = desk.domains()?.names();
    for name in &names {
        writeln!(out.text, "{name}")?;
    }
    for missing in &missing {
        writeln!(out.text, "{missing}")?;
        writeln!(out.errors, "hint: {}", missing.hint())?;
    }
    if names.is_empty() {
        writeln!(
            out.errors,
            "no domain in {}: all mail is deferred",
            desk.config().paths.domains.display()
        )?;
    }
    Ok(0)
}

fn forget(desk: &Desk, domain: &Domain, users: bool) -> Result<(), Trouble> {
    let now_s = jiff::Timestamp::now().as_second();
    let domains = desk.domains()?;
    let alone;
    let roll = match desk.roll()? {
        Some(roll) => roll,
        None => {
            alone = Roll::open(&desk.config().paths.state, domains, now_s)
                .map_err(|error| Trouble::hint(&error, error.hint()))?;
            &alone
        }
    };
    match (domains.find(domain), users) {
        (Found::Local(_), false) => {
            return Err(Trouble::hint(
                format!("{domain} is not missing"),
                "remove its directory first; or mean `--users`",
            ));
        }
        (Found::Local(view), true) => {
            let users = view.users_seen();
            if users != UsersSeen::Some {
                roll.present(domain, &users, now_s);
            }
        }
        (Found::NotLocal | Found::NoDomains, false) => drop(roll.absent(domain, false, now_s)),
        (Found::Dangling { .. }, false) => drop(roll.absent(domain, true, now_s)),
        (Found::Unreadable { path, why }, _) => return Err(Trouble::new(format!("{}: {why}", path.display()))),
        (_, true) => {}
    }
    match roll.forget(domain, users) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble::hint(
            format!("nothing of {domain} is missing"),
            "`mailward domains list` tells what is",
        )),
        Err(error) => Err(Trouble::new(format!("the list of domains cannot be written: {error}"))),
    }
}
