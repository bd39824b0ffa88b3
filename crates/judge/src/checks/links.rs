//! `checks/links`: what the links of a message show and where they lead.

use super::origin::known;
use super::{Group, Opinion};
use crate::evidence::{Fact, Origin};
use crate::links::{Friends, LinkSettings, Links};
use mail::ReversePath;

/// What links weigh together must stay below the threshold. Who answers for the message is asked only where that
/// decides.
pub fn deceit(links: &Fact<Links>, origin: &Origin, path: &ReversePath, settings: &LinkSettings) -> Opinion {
    let links = match known(links, Group::Links) {
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
