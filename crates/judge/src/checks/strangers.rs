//! `checks/rate`, `checks/strangers` and `checks/greylisting`: what surrounds reputation. Whom a mailbox knows and
//! welcomes, the last two leave alone.

use super::origin::known;
use super::reputation::is_known;
use super::{Evidence, Opinion};
use crate::auth::dmarc::DmarcResult;
use crate::auth::iprev::IprevResult;
use crate::auth::spf::SpfResult;
use crate::evidence::{Fact, ForwarderHit, Group, Origin};
use crate::reputation::Method;
use mail::{Line, ReversePath};

/// The original's words.
const GREYLISTED: &str = "Greylisting in effect - please try again later";

/// `checks/rate`: not too much mail for this mailbox from one network.
pub fn too_much(evidence: &Evidence<'_>) -> Opinion {
    let octets = evidence
        .message
        .content
        .as_ref()
        .map_or(0, |content| content.size_octets);
    match known(&evidence.recipient.rates, Group::Rates) {
        Ok(rates) => evidence.settings.rate_limits.passed(rates, octets).into(),
        Err(opinion) => opinion,
    }
}

/// `checks/strangers`: of a sender about whom at most networks and signing domains are known, SPF must not say that the
/// client may not send for it; and where junk is known of them, the client's reverse name must lead back to it.
pub fn suspicion(evidence: &Evidence<'_>) -> Opinion {
    let (path, origin) = (&evidence.message.reverse_path, &evidence.message.origin);
    let forwarder = evidence.recipient.forwarder.as_ref();
    let standing = match &evidence.recipient.standing {
        // Those who forward mail send for everybody's domain.
        _ if is_forwarder(forwarder) => return Opinion::Passes,
        Fact::Found(standing) => standing,
        Fact::NotAsked => return ask_first(origin),
        // Whoever makes DNS fail on purpose is no friend for it; a friend comes again when it works.
        Fact::Skipped(_) if is_in_trouble(origin) => {
            return spf_failure(path, origin, "it could not be proven who sent it").into();
        }
        // Nobody is taken for a stranger because the store is down.
        Fact::Skipped(_) | Fact::Unavailable(_) => return Opinion::Passes,
    };
    if standing.is_welcome() || !is_little(standing.method) {
        return Opinion::Passes;
    }
    if let Some(fault) = spf_failure(path, origin, "this mailbox does not know the sender") {
        return Opinion::Fails(fault);
    }
    let has_no_name = origin
        .iprev
        .found()
        .is_some_and(|iprev| matches!(iprev.result, IprevResult::Fail | IprevResult::PermError));
    match has_no_name && standing.is_junk_known() {
        true => Opinion::Fails(Line::reason(
            format!(
                "the client has no confirmed reverse name, and junk is known of it ({})",
                match &standing.shared {
                    Some(shared) => shared.asked.to_string(),
                    None => standing.method.to_string(),
                }
            )
            .as_bytes(),
        )),
        false => Opinion::Passes,
    }
}

/// That SPF says that the client may not send for the reverse-path, unless the author's own domain signed: then it tells
/// only that the message came by another way.
fn spf_failure(path: &ReversePath, origin: &Origin, besides: &str) -> Option<Line> {
    let is_signed = origin.dmarc.found().is_some_and(|dmarc| !dmarc.aligned_dkim.is_empty());
    let spf = origin.spf_mail_from.found()?;
    if is_signed || !matches!(spf.result, SpfResult::Fail | SpfResult::SoftFail) {
        return None;
    }
    let who = match path.is_null() {
        true => spf.domain.to_string(),
        false => path.folded(),
    };
    let text = format!("SPF {} for {who}, and {besides}", spf.result);
    Some(Line::reason(text.as_bytes()))
}

fn is_in_trouble(origin: &Origin) -> bool {
    origin
        .dmarc
        .found()
        .is_some_and(|dmarc| dmarc.result == DmarcResult::TempError)
}

/// `checks/greylisting`: whether a stranger must still wait. Nobody does whom the mailbox knows and welcomes, and no
/// forwarder.
pub fn must_wait(evidence: &Evidence<'_>) -> Opinion {
    match &evidence.recipient.standing {
        _ if is_forwarder(evidence.recipient.forwarder.as_ref()) => return Opinion::Passes,
        Fact::NotAsked => return ask_first(&evidence.message.origin),
        standing if is_known(standing) => return Opinion::Passes,
        Fact::Found(_) | Fact::Skipped(_) | Fact::Unavailable(_) => {}
    }
    let fact = match known(&evidence.recipient.greylist, Group::Greylist) {
        Ok(fact) => fact,
        Err(opinion) => return opinion,
    };
    let (now_s, times) = (evidence.message.received_s, &evidence.settings.greylist_times);
    match fact.has_passed || times.left_s(fact.first_s, fact.tries, now_s) == 0 {
        true => Opinion::Passes,
        false => Opinion::Fails(Line::literal(GREYLISTED)),
    }
}

/// A standing rests on proven names, so the origin comes first.
fn ask_first(origin: &Origin) -> Opinion {
    Opinion::Open(match origin.is_open() {
        true => Group::Origin,
        false => Group::Standing,
    })
}

fn is_forwarder(forwarder: Option<&ForwarderHit>) -> bool {
    forwarder.is_some_and(|hit| hit.is_proven)
}

/// Whether nothing is known of the author.
fn is_little(method: Method) -> bool {
    matches!(
        method,
        Method::DkimSpf | Method::Ip1 | Method::Ip2 | Method::Ip3 | Method::None
    )
}
