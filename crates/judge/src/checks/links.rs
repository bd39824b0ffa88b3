//! `checks/links`: what the links of a message show and where they lead.

use super::origin::known;
use super::{Evidence, Opinion};
use crate::evidence::Group;
use crate::links::Friends;

/// What links weigh together must stay below the threshold. Who answers for the message is asked only where that
/// decides.
pub fn deceit(evidence: &Evidence<'_>) -> Opinion {
    let (origin, path) = (&evidence.message.origin, &evidence.message.reverse_path);
    let settings = &evidence.settings.link_settings;
    let links = match known(&evidence.message.links, Group::Links) {
        Ok(links) => links,
        Err(opinion) => return opinion,
    };
    let fails = |friends: &Friends| links.weigh(friends, settings) >= settings.threshold;
    let is_failure = match (fails(&Friends::All), fails(&Friends::Nobody)) {
        (least, most) if least == most => most,
        _ if origin.is_open() => return Opinion::Open(Group::Origin),
        _ => fails(&Friends::of(origin, path)),
    };
    match links.told(settings) {
        Some(text) if is_failure => Opinion::Fails(text),
        Some(text) => Opinion::Mentions(text),
        None => Opinion::Passes,
    }
}
