//! Who really sent a message, as far as that can be proven: the results of all proofs together.

use crate::auth::arc::Arc;
use crate::auth::author::Author;
use crate::auth::dkim::Dkim;
use crate::auth::dmarc::Dmarc;
use crate::auth::iprev::{Iprev, IprevResult};
use crate::auth::spf::Spf;
use crate::fact::Fact;
use crate::resolver::Security;
use mail::{Domain, Line};
use serde::{Deserialize, Serialize};

/// Who really sent it, as far as that can be proven.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The client's reverse name.
    pub iprev: Fact<Iprev>,
    /// SPF of the HELO name.
    pub spf_helo: Fact<Spf>,
    /// SPF of the reverse-path; of a null one that of `postmaster` at the HELO name (RFC 7208 §2.4).
    pub spf_mail_from: Fact<Spf>,
    /// All signatures.
    pub dkim: Fact<Vec<Dkim>>,
    /// What those say who passed it on.
    pub arc: Fact<Arc>,
    /// Whom the From field names.
    pub author: Fact<Author>,
    /// What the author domain's owner says and wishes.
    pub dmarc: Fact<Dmarc>,
    /// Where mail to the reverse-path's domain goes.
    pub mx: Fact<MxFact>,
}

/// Where mail to a domain goes, and whether its zone is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MxFact {
    /// The domain.
    pub domain: Domain,
    /// Whether it takes mail at all.
    pub exchange: MxExchange,
    /// How far that is proven.
    pub security: Security,
}

/// Whether a domain takes mail at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MxExchange {
    /// It has mail exchangers.
    Named,
    /// It has none; its address serves (RFC 5321 §5.1), or nothing does.
    None,
    /// It says that it takes no mail (RFC 7505).
    Null,
    /// No such domain.
    NoDomain,
}

impl Origin {
    /// Nothing can be had, for one reason.
    pub fn unavailable(why: &Line) -> Origin {
        Origin {
            iprev: Fact::Unavailable(why.clone()),
            spf_helo: Fact::Unavailable(why.clone()),
            spf_mail_from: Fact::Unavailable(why.clone()),
            dkim: Fact::Unavailable(why.clone()),
            arc: Fact::Unavailable(why.clone()),
            author: Fact::NotAsked,
            dmarc: Fact::Unavailable(why.clone()),
            mx: Fact::Unavailable(why.clone()),
        }
    }

    /// Whether nobody asked yet.
    pub fn is_open(&self) -> bool {
        self.spf_mail_from.is_open()
    }

    /// The name by which lists know the client: the proven one; `unknown`, as in the original, for one that certainly
    /// has none; `None` where nobody could say.
    pub fn listed_name(&self) -> Option<Domain> {
        let iprev = self.iprev.found()?;
        match iprev.result {
            IprevResult::Pass => iprev.name.clone(),
            IprevResult::Fail | IprevResult::PermError => Domain::parse("unknown").ok(),
            IprevResult::TempError => None,
        }
    }
}
