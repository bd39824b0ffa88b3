//! Whether a whitelist entry that goes by the reverse-path counts: the name must not be disproven by SPF.
//!
//! Whoever knows one whitelisted address can write it in MAIL FROM. So an entry by name counts only where the name's owner
//! does not say that this client may not send with it, unless the entry's file says `forged = "pass"`. Entries by the
//! client's address or by recipient go by no name.

use super::is_by_name;
use crate::auth::spf::SpfResult;
use crate::evidence::{Fact, MessageFacts, RecipientFacts};
use crate::lists::WhitelistHit;
use mail::Line;

/// What SPF makes of the name of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NameProof {
    /// Nobody disproves it, or the entry goes by no name.
    Holds,
    /// Nobody asked yet. Until then the entry counts.
    Open,
    /// RFC 7208 §2.6.4, §2.6.5: the owner says that the client may not, or probably may not, send with it.
    Disproven(SpfResult),
    /// RFC 7208 §2.6.6: DNS trouble; why.
    Trouble(Line),
}

/// What SPF says of the name by which `hit` goes. Where it was skipped, or DNS is not asked at all, nobody disproves it.
pub(super) fn name_proof(hit: &WhitelistHit, recipient: &RecipientFacts, message: &MessageFacts) -> NameProof {
    if !recipient.whitelist_needs_spf || !is_by_name(Some(hit)) || recipient.passes_forged {
        return NameProof::Holds;
    }
    let spf = match &message.origin.spf_mail_from {
        Fact::Found(spf) => spf,
        Fact::NotAsked => return NameProof::Open,
        Fact::Skipped(_) | Fact::Unavailable(_) => return NameProof::Holds,
    };
    match spf.result {
        SpfResult::Fail | SpfResult::SoftFail => NameProof::Disproven(spf.result),
        SpfResult::TempError => NameProof::Trouble(spf.explanation.clone()),
        SpfResult::None | SpfResult::Neutral | SpfResult::Pass | SpfResult::PermError => NameProof::Holds,
    }
}
