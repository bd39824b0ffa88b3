//! One domain as it was at one moment.

use super::census::{MissedUser, UsersSeen};
use super::lists::ListCache;
use super::names::{FORWARDERS, LISTS};
use super::routing::{self, DeliverError};
use super::tree::{Listing, Tree, Unreadable};
use super::users::Users;
use super::{Defaults, Fault, checks, zones};
use crate::client::Client;
use crate::relay::next_hop::NextHop;
use judge::auth::dkim::DkimResult;
use judge::auth::spf::{Spf, SpfResult};
use judge::dnsbl::Zone;
use judge::evidence::{ForwarderHit, ListHit, ListProof, MessageFacts, RecipientFacts, UserStanding};
use judge::lists::{Blacklist, BlacklistHit, Forwarders, Names, Probe, Whitelist, WhitelistHit};
use judge::policy::Policy;
use mail::{Address, Domain, Line, LocalPart, MailboxId, ReversePath};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use store::{SealedPolicy, StoreError};

/// The Maildir of all recipients that share one box.
const OTHERS: &str = "_others_";
/// Longest name that common file systems take, in octets.
const BOX_NAME_OCTETS_MAX: usize = 255;

/// What `/srv/D` said of the domain at the last change; never changes itself. Cheap to share.
#[derive(Debug)]
pub struct DomainView {
    name: Domain,
    parts: Parts,
    everywhere: Arc<Everywhere>,
    /// That of the parts, with the zones.
    policy: Arc<Policy>,
    zones: Arc<Vec<Zone>>,
    forwarders: Forwarders,
    sealed: OnceLock<SealedPolicy>,
}

/// The name of a mailbox as a component of a path: not empty, no `/`, no control character, not led by a dot, at most
/// 255 octets. Made only from names that the operator wrote; a recipient that is listed nowhere never has one of its
/// own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BoxName(Box<str>);

/// The lists that hold for all domains.
#[derive(Debug, Default)]
pub(super) struct Everywhere {
    pub(super) blacklist: Blacklist,
    pub(super) whitelist: Whitelist,
    pub(super) ips: Arc<Names>,
    pub(super) zones: Arc<Vec<Zone>>,
    /// `None` without such a directory.
    pub(super) forwarders: Option<Arc<Names>>,
    pub(super) lists: Arc<Names>,
}

/// All that a domain's directory says. Cloned with each change, so each field is shared.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    users: Users,
    policy: Arc<Policy>,
    blacklist: Blacklist,
    whitelist: Whitelist,
    owners: Arc<HashMap<Box<str>, MailboxId>>,
    /// Mailboxes that `owners` leads to.
    owned: Arc<HashSet<MailboxId>>,
    next_hop: Arc<Option<Result<NextHop, DeliverError>>>,
    /// `None` without such a file.
    zones: Option<Arc<Vec<Zone>>>,
    /// `None` without such a directory.
    forwarders: Option<Arc<Names>>,
    lists: Arc<Names>,
}

/// A domain's directory, being read.
pub(super) struct Site<'a> {
    pub(super) tree: &'a mut Tree,
    pub(super) lists: &'a mut ListCache,
    pub(super) top: &'a Path,
    pub(super) listing: &'a Listing,
    /// What is wrong in the files that are read.
    pub(super) faults: &'a mut Vec<(PathBuf, Fault)>,
}

impl DomainView {
    pub(super) fn new(name: Domain, parts: Parts, everywhere: Arc<Everywhere>) -> DomainView {
        let zones = zones::together(parts.zones.as_ref(), &everywhere.zones);
        let policy = match zones.is_empty() {
            true => Arc::clone(&parts.policy),
            false => Arc::new(Policy {
                zones: Vec::clone(&zones),
                ..Policy::clone(&parts.policy)
            }),
        };
        DomainView {
            name,
            policy,
            zones,
            forwarders: Forwarders::new(parts.forwarders.clone(), everywhere.forwarders.clone()),
            parts,
            everywhere,
            sealed: OnceLock::new(),
        }
    }

    /// The domain.
    pub fn name(&self) -> &Domain {
        &self.name
    }

    /// What `checks/`, `shadow` and `zones` say. The same `Arc` as before where nothing of it changed and no lists are asked.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The policy as it is recorded with each verdict.
    pub fn sealed_policy(&self) -> Result<SealedPolicy, StoreError> {
        if let Some(sealed) = self.sealed.get() {
            return Ok(sealed.clone());
        }
        let sealed = SealedPolicy::new(Policy::clone(&self.policy))?;
        Ok(self.sealed.get_or_init(|| sealed).clone())
    }

    /// Whether `users/` accepts mail for `local` from `client`. `ann+x` is listed if `ann+x` or `ann` is.
    pub fn user(&self, local: &LocalPart, client: IpAddr) -> UserStanding {
        self.parts.users.standing(local, client)
    }

    /// Whether `users/valid/` names `local` itself, neither by its name without extension nor by the wildcard.
    pub fn names_user(&self, local: &LocalPart) -> bool {
        self.parts.users.names_valid(&local.folded())
    }

    /// How `users/` stands as a whole.
    pub fn users_seen(&self) -> UsersSeen {
        self.parts.users.seen()
    }

    /// What of `users/` may be missing that says something of `local`: it names nobody, or the entry that would decide is a
    /// link to nothing. Trouble only where [`Roll`](super::Roll) knows that it is.
    pub fn missed_user(&self, local: &LocalPart) -> Option<MissedUser> {
        self.parts.users.missed(local)
    }

    /// Whose box mail for `local` belongs to: the owner that `mailboxes/` names, for `ann+x` then that of `ann`; else
    /// the user's own, if listed; else the one box that all others share. So nothing that a stranger can invent
    /// makes a mailbox.
    pub fn mailbox(&self, local: &LocalPart) -> MailboxId {
        let Parts { users, owners, .. } = &self.parts;
        let folded = local.folded();
        let owner = owners
            .get(&*folded)
            .or_else(|| super::names::base(&folded).and_then(|base| owners.get(base)));
        match owner {
            Some(owner) => owner.clone(),
            None if users.lists(&folded) => MailboxId::new(local, &self.name),
            None => MailboxId::others(&self.name),
        }
    }

    /// The path component of one of this domain's mailboxes: of a listed user, of an owner that `mailboxes/` names
    /// (who may be of another domain), or of the shared box. `None` for any other, and for a name that is no harmless
    /// component.
    pub fn box_name(&self, mailbox: &MailboxId) -> Option<BoxName> {
        let Parts { users, owned, .. } = &self.parts;
        let is_own = *mailbox.domain() == self.name;
        if is_own && mailbox.is_others() {
            return Some(BoxName(OTHERS.into()));
        }
        (owned.contains(mailbox) || is_own && users.has_box(mailbox.local()))
            .then(|| BoxName::parse(mailbox.local()))
            .flatten()
    }

    /// What the file `deliver` says; `None` without one, so that the server's next hop serves. A file that names none
    /// is an error: mail waits, rather than going where the operator did not want it.
    pub fn next_hop(&self) -> Option<&Result<NextHop, DeliverError>> {
        Option::as_ref(&self.parts.next_hop)
    }

    /// The first entry of the domain's blacklists, of those of `_global_`, or of the addresses blacklisted everywhere,
    /// that fits.
    pub fn blacklisted(&self, probe: &Probe<'_>) -> Option<BlacklistHit> {
        let Everywhere { blacklist, ips, .. } = &*self.everywhere;
        BlacklistHit::find(&self.parts.blacklist, blacklist, ips, probe)
    }

    /// The first entry of the domain's whitelists, or of those of `_global_`, that fits. `recipients/` knows no
    /// extensions: `ann` does not whitelist `ann+x`.
    pub fn whitelisted(&self, local: &LocalPart, probe: &Probe<'_>) -> Option<WhitelistHit> {
        WhitelistHit::find(
            &self.parts.whitelist,
            &self.everywhere.whitelist,
            &local.folded(),
            probe,
        )
    }

    /// Whether a whitelist entry counts even where DMARC or SPF shows its name to be forged: its file says `forged = "pass"`.
    pub fn passes_forged(&self, hit: &WhitelistHit) -> bool {
        self.parts.whitelist.passes_forged(hit) || self.everywhere.whitelist.passes_forged(hit)
    }

    /// The DNS lists that are asked: the lines of `zones`, then those of `_global_/zones` whose zones it does not name.
    /// Without a file `zones` of the domain's own, none.
    pub fn zones(&self) -> &Arc<Vec<Zone>> {
        &self.zones
    }

    /// The servers that pass on mail to this domain's users: of `forwarders/` and of `_global_/forwarders/`.
    pub fn forwarders(&self) -> &Forwarders {
        &self.forwarders
    }

    /// What is known at RCPT of a recipient in this domain, for mail from `client`: the user, the mailbox, and what the
    /// lists say. Nothing is asked yet.
    pub fn recipient(&self, address: Address, client: &Client, reverse_path: &ReversePath) -> RecipientFacts {
        let probe = Probe {
            client: client.listed_address(),
            reverse_name: None,
            reverse_path,
        };
        let local = address.local();
        let whitelisted = self.whitelisted(local, &probe);
        let (mailbox, user) = (self.mailbox(local), self.user(local, probe.client));
        RecipientFacts {
            blacklisted: self.blacklisted(&probe),
            has_host_blacklist: self.parts.blacklist.has_hosts() || self.everywhere.blacklist.has_hosts(),
            passes_forged: whitelisted.as_ref().is_some_and(|hit| self.passes_forged(hit)),
            whitelist_needs_spf: matches!(whitelisted, Some(WhitelistHit::Sender(_) | WhitelistHit::Domain(_))),
            whitelisted,
            ..RecipientFacts::unasked(address, mailbox, user)
        }
    }

    /// What the lists say of a recipient's message, by what is known of its origin.
    pub fn look_up(&self, recipient: &mut RecipientFacts, client: &Client, message: &MessageFacts) {
        let name = message.origin.listed_name();
        let address = client.listed_address();
        recipient.blacklisted = self.blacklisted(&Probe {
            client: address,
            reverse_name: name.as_ref(),
            reverse_path: &message.reverse_path,
        });
        recipient.forwarder = self.forwarder(address, message);
        recipient.listed = self.mailing_list(message);
    }

    /// By what the client is known to forward mail for this domain's users.
    fn forwarder(&self, client: IpAddr, facts: &MessageFacts) -> Option<ForwarderHit> {
        let forwarders = self.forwarders();
        let hit = |name: &str, is_proven| ForwarderHit {
            name: Line::reason(name.as_bytes()),
            is_proven,
        };
        if forwarders.matches_ip(client) {
            return Some(hit(&client.to_string(), true));
        }
        let name = facts.origin.iprev.found().and_then(|iprev| iprev.name.as_ref());
        if let Some(name) = name.filter(|name| forwarders.matches_name(name.as_str())) {
            return Some(hit(name.as_str(), true));
        }
        // Who has another name, and proves it, is not whom it says in HELO. Anybody can say one, so its owner must vouch.
        let helo = facts.helo.as_str();
        let vouches = |spf: &Spf| spf.result == SpfResult::Pass;
        let is_vouched_for = name.is_none() && facts.origin.spf_helo.found().is_some_and(vouches);
        (is_vouched_for && forwarders.matches_name(helo)).then(|| hit(helo, false))
    }

    /// A mailing list that may write here and vouches for the message.
    fn mailing_list(&self, facts: &MessageFacts) -> Option<ListHit> {
        let origin = &facts.origin;
        let hit = |domain: &Domain, proof| {
            let domain = domain.clone();
            self.allows_list(&domain).then_some(ListHit { domain, proof })
        };
        let signatures = origin.dkim.found().into_iter().flatten();
        let passing = signatures.filter(|signature| signature.result == DkimResult::Pass);
        let mut signers = passing.filter_map(|signature| signature.domain.as_ref());
        let passes = origin
            .spf_mail_from
            .found()
            .is_some_and(|spf| spf.result == SpfResult::Pass);
        // Of a null reverse-path SPF speaks of the HELO name.
        let path = facts.reverse_path.domain().filter(|_| passes);
        signers
            .find_map(|domain| hit(domain, ListProof::Dkim))
            .or_else(|| hit(path?, ListProof::Spf))
    }

    /// Whether a mailing list of that domain may write here: `lists/` or `_global_/lists/` names it. Exact.
    pub fn allows_list(&self, domain: &Domain) -> bool {
        let name = domain.as_str();
        self.parts.lists.contains(name) || self.everywhere.lists.contains(name)
    }

    pub(super) fn everywhere(&self) -> &Arc<Everywhere> {
        &self.everywhere
    }
}

impl BoxName {
    /// The component.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `_others_` is the shared box and nobody else's.
    pub(super) fn parse(name: &str) -> Option<BoxName> {
        let is_harmless = !name.is_empty()
            && name.len() <= BOX_NAME_OCTETS_MAX
            && !name.starts_with('.')
            && !name.contains(|c: char| c == '/' || c.is_control())
            && name != OTHERS;
        is_harmless.then(|| BoxName(name.into()))
    }
}

impl Parts {
    /// Reads again what may have changed: `touched` holds the names below the domain's directory at which something
    /// did, `None` means all.
    pub(super) fn renewed(
        mut self,
        mut site: Site<'_>,
        defaults: &Defaults,
        touched: Option<&HashSet<&OsStr>>,
    ) -> Result<Parts, Unreadable> {
        let changed = |name: &str| touched.is_none_or(|touched| touched.contains(OsStr::new(name)));
        if changed("users") {
            self.users = Users::read(site.tree, site.top, Some(&self.users))?;
        }
        if changed("checks") || changed("shadow") {
            self.read_policy(&mut site, defaults)?;
        }
        if changed("blacklisted") {
            self.blacklist = site.lists.blacklist(site.tree, site.top)?;
        }
        if changed("whitelisted") {
            self.whitelist = site.lists.whitelist(site.tree, site.top)?;
        }
        if changed("mailboxes") {
            let (owners, faults) = routing::owners(site.tree, site.top)?;
            site.faults.extend(faults);
            self.owned = Arc::new(owners.values().cloned().collect());
            self.owners = Arc::new(owners);
        }
        if changed("deliver") {
            self.read_next_hop(&mut site)?;
        }
        if changed(zones::ZONES) {
            let (found, faults) = zones::read(site.tree, site.top)?;
            site.faults.extend(faults);
            self.zones = found;
        }
        if changed(FORWARDERS) {
            self.forwarders = site.lists.forwarders(site.tree, site.top)?;
        }
        if changed(LISTS) {
            self.lists = site.lists.allowed(site.tree, site.top)?;
        }
        Ok(self)
    }

    /// An unchanged policy keeps its `Arc`, by which others may have stored its digest.
    fn read_policy(&mut self, site: &mut Site<'_>, defaults: &Defaults) -> Result<(), Unreadable> {
        let (checks, faults) = checks::read(site.tree, site.top, &defaults.all_adds)?;
        site.faults.extend(faults);
        let has_shadow = match site.listing.entry("shadow") {
            Some(entry) => site.tree.kind(site.top, entry)?.is_some(),
            None => false,
        };
        let policy = Policy {
            shadow: defaults.shadow || has_shadow,
            whitelist_unknown_users: defaults.whitelist_unknown_users,
            checks,
            zones: Vec::new(),
            trusted_sealers: defaults.trusted_sealers.clone(),
        };
        if *self.policy != policy {
            self.policy = Arc::new(policy);
        }
        Ok(())
    }

    fn read_next_hop(&mut self, site: &mut Site<'_>) -> Result<(), Unreadable> {
        let text = match site.listing.has("deliver") {
            true => site.tree.text(site.top, OsStr::new("deliver"))?,
            false => None,
        };
        // Without its file the domain's mail would go where the operator did not want it.
        if text.is_none() && site.tree.dangles(site.top, "deliver")? {
            return Err(Unreadable::dangling(&site.top.join("deliver")));
        }
        let next_hop = text.map(|text| routing::next_hop(&text));
        if let Some(Err(error)) = &next_hop {
            let fault = Fault::error(error.to_string()).hint(error.hint());
            site.faults.push((site.top.join("deliver"), fault));
        }
        self.next_hop = Arc::new(next_hop);
        Ok(())
    }
}
