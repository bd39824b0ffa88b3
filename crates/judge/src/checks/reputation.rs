//! `checks/reputation`: what the mailbox's own history says of whoever wrote.

use super::{Evidence, Opinion};
use crate::evidence::{Fact, Group};
use crate::reputation::{Repute, Standing, Votes};
use mail::Line;

/// Rows of the table about somebody whose name was proven before and is not now: what they find is the real one's.
const ROWS_OF_THE_REAL_ONE: [u8; 3] = [2, 5, 8];

/// A conclusive bad standing fails; any other that says something is told. It rests on proven names, so the origin must
/// be known first.
pub fn bad_standing(known: &Evidence<'_>) -> Opinion {
    let origin = &known.message.origin;
    let standing = match &known.recipient.standing {
        Fact::Found(standing) => standing,
        Fact::NotAsked if origin.is_open() => return Opinion::Open(Group::Origin),
        Fact::NotAsked => return Opinion::Open(Group::Standing),
        Fact::Skipped(_) => return Opinion::Passes,
        Fact::Unavailable(why) => return Opinion::Trouble(why.clone()),
    };
    let Some(repute) = standing.verdict else {
        return of_others(standing);
    };
    let last = standing.walk.last();
    let asked = last.map_or("", |step| step.asked.as_str());
    let is_about_another = last.is_some_and(|step| ROWS_OF_THE_REAL_ONE.contains(&step.row));
    let kind = match (repute, standing.is_conclusive) {
        (Repute::Junk, true) => "this mailbox knows the sender for junk",
        // The real one may have sent nothing but welcome mail.
        (Repute::Junk, false) if is_about_another => "this is not proven, and this mailbox knows the real sender",
        (Repute::Junk, false) => "this mailbox has seen junk of the sender",
        (Repute::NotJunk, true) => "this mailbox knows the sender and welcomes him",
        (Repute::NotJunk, false) => "this mailbox has seen welcome mail of the sender",
    };
    let text = Line::reason(format!("{kind}: {asked} ({})", standing.method).as_bytes());
    match (repute, standing.is_conclusive) {
        (Repute::Junk, true) => Opinion::Fails(text),
        _ => Opinion::Excused(text),
    }
}

/// What other mailboxes say is told, and nothing follows from it.
fn of_others(standing: &Standing) -> Opinion {
    let Some(shared) = &standing.shared else {
        return Opinion::Passes;
    };
    let what = match shared.verdict {
        Some(Repute::Junk) => "other mailboxes have seen junk of the sender",
        Some(Repute::NotJunk) => "other mailboxes have seen welcome mail of the sender",
        None => return Opinion::Passes,
    };
    let Votes { junk, not_junk } = shared.votes;
    let all = junk.saturating_add(not_junk);
    Opinion::Excused(Line::reason(
        format!("{what}: {} ({junk} of {all} say junk)", shared.asked).as_bytes(),
    ))
}

/// Whether the mailbox knows the sender and welcomes him, for certain.
pub fn is_known(standing: &Fact<Standing>) -> bool {
    standing.found().is_some_and(Standing::is_welcome)
}
