//! What the files of a domain's checks say beside their [`Rule`](crate::rule::Rule): lists of domains, limits, thresholds.

use crate::greylist::GreylistTimes;
use crate::junk::JunkRules;
use crate::links::LinkSettings;
use crate::rates::RateLimits;
use crate::rule::{Action, Folder};
use mail::Domain;
use serde::{Deserialize, Serialize};

/// The keys of all checks. Stored with the policy, so a key that is added has a default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckSettings {
    /// `confirmed` in `checks/rdns`, `rdns4` or `rdns6`: the name must lead back to the client.
    pub rdns_confirmed: bool,
    /// `domains` in `checks/dkim`: domains that always sign; exact. `None` is the list of first labels of the
    /// original (`amazon`, `paypal`, ...).
    pub dkim_domains: Option<Vec<Domain>>,
    /// `domains` in `checks/tls`: those that always encrypt, and all below them. `None` is every domain.
    pub tls_domains: Option<Vec<Domain>>,
    /// `quarantine` in `checks/dmarc`: what follows where the owner asks for suspicion only.
    pub dmarc_quarantine: DmarcQuarantine,
    /// `trusted_sealers` in `checks/dmarc`: whose ARC results may mend a failure, beside the server's.
    pub dmarc_sealers: Vec<Domain>,
    /// Keys of `checks/rate`: how much one network may send.
    pub rate_limits: RateLimits,
    /// Keys of `checks/greylisting`: how long strangers wait.
    pub greylist_times: GreylistTimes,
    /// Keys of `checks/junk`: from which probabilities on a message is junk.
    pub junk_rules: JunkRules,
    /// Keys of `checks/links`: from what weight on, and which hosts.
    pub link_settings: LinkSettings,
}

/// What follows where a domain's owner asks to treat what fails DMARC with suspicion (`p=quarantine`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcQuarantine {
    /// This. Filing it as junk by default.
    Act(Action),
    /// It is kept as evidence.
    Nothing,
}

impl Default for DmarcQuarantine {
    fn default() -> DmarcQuarantine {
        DmarcQuarantine::Act(Action::File(Folder::junk()))
    }
}
