//! `checks/reputation`: what the mailbox's own history says of whoever wrote.

use super::{Group, Opinion};
use crate::evidence::{Fact, Origin};
use crate::reputation::{Repute, Standing};
use mail::Line;

/// A conclusive bad standing fails; any other that says something is told. It rests on proven names, so the origin must
/// be known first.
pub fn bad_standing(standing: &Fact<Standing>, origin: &Origin) -> Opinion {
    let standing = match standing {
        Fact::Found(standing) => standing,
        Fact::NotAsked if origin.is_open() => return Opinion::Open(Group::Origin),
        Fact::NotAsked => return Opinion::Open(Group::Standing),
        Fact::Skipped(_) => return Opinion::Passes,
        Fact::Unavailable(why) => return Opinion::Trouble(why.clone()),
    };
    let Some(repute) = standing.verdict else {
        return Opinion::Passes;
    };
    let asked = standing.walk.last().map_or("", |step| step.asked.as_str());
    let kind = match (repute, standing.is_conclusive) {
        (Repute::Junk, true) => "this mailbox knows the sender for junk",
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

/// Whether the mailbox knows the sender and welcomes him, for certain.
pub fn is_known(standing: &Fact<Standing>) -> bool {
    let is_good = |standing: &Standing| standing.is_conclusive && standing.verdict == Some(Repute::NotJunk);
    standing.found().is_some_and(is_good)
}
