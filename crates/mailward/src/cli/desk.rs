//! What a command works with, whoever runs it: opened by the command itself, or lent by the daemon to somebody who
//! asks at its socket. So the same code answers both.
//!
//! Whoever is neither root nor the daemon's own user sees the mail of one mailbox and nothing else: commands ask
//! [`Desk::may_see`] of each message that they show or release.

use super::daemon::Daemon;
use super::{Trouble, ask};
use crate::config::Config;
use crate::domains::{Domains, Found, Missing, Roll, Roots};
use crate::gateway::{Runtime, Seal};
use crate::judgement::Judgement;
use crate::quarantine::{Entry, Quarantine};
use crate::relay::Relays;
use mail::{Address, Line, LocalPart, MailboxId};
use std::cell::OnceCell;
use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;
use store::{Reader, Store};

/// What a command works with.
pub(super) struct Desk {
    source: Source,
    caller: Caller,
    tokio: tokio::runtime::Handle,
}

enum Source {
    Daemon(Arc<Daemon>, Arc<Runtime>),
    Alone(Box<Alone>),
}

/// What a command opens for itself, each thing when it is first needed.
struct Alone {
    config: Config,
    domains: OnceCell<Domains>,
    store: OnceCell<Store>,
    judgement: OnceCell<Judgement>,
    relays: Relays,
    _tokio: tokio::runtime::Runtime,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// Root, the daemon's user, or whoever can open the files.
    Operator,
    /// A user of the machine, who may ask about this mailbox.
    Owner(MailboxId),
}

/// Where a command writes.
pub(super) struct Out<'a> {
    /// What was asked for.
    pub text: &'a mut dyn Write,
    /// What went wrong beside it.
    pub errors: &'a mut dyn Write,
    /// How wide a table may be; nothing where it goes to a program.
    pub columns: Option<usize>,
}

impl Desk {
    /// Without a daemon.
    pub(super) fn alone(config: Config) -> Result<Desk, Trouble> {
        // One worker, so that the command's own thread can wait for what it drives.
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        Ok(Desk {
            tokio: tokio.handle().clone(),
            caller: Caller::Operator,
            source: Source::Alone(Box::new(Alone {
                config,
                domains: OnceCell::new(),
                store: OnceCell::new(),
                judgement: OnceCell::new(),
                relays: Relays::default(),
                _tokio: tokio,
            })),
        })
    }

    /// In the daemon, on a thread that may block.
    pub(super) fn lent(daemon: Arc<Daemon>, caller: Caller, tokio: tokio::runtime::Handle) -> Desk {
        let runtime = daemon.runtime();
        Desk {
            source: Source::Daemon(daemon, runtime),
            caller,
            tokio,
        }
    }

    pub(super) fn config(&self) -> &Config {
        match &self.source {
            Source::Daemon(_, runtime) => &runtime.config,
            Source::Alone(alone) => &alone.config,
        }
    }

    /// The daemon, for what only it knows.
    pub(super) fn daemon(&self) -> Result<&Daemon, Trouble> {
        match &self.source {
            Source::Daemon(daemon, _) => Ok(daemon),
            Source::Alone(alone) => Err(Trouble::hint(
                format!("no daemon answers at {}", ask::socket(&alone.config).display()),
                "start `mailward serve` with the same configuration, and with the part `control`",
            )),
        }
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(super) fn quarantine(&self) -> Result<Arc<Quarantine>, Trouble> {
        let config = match &self.source {
            Source::Daemon(_, runtime) => return Ok(runtime.quarantine.clone()),
            Source::Alone(alone) => &alone.config,
        };
        if !config.paths.spam.is_dir() {
            return Err(Trouble::hint(
                format!("no quarantine at {}", config.paths.spam.display()),
                "set `[paths] spam`, or start `mailward serve` once",
            ));
        }
        Quarantine::open_to_read(config.paths.spam.clone(), config.quarantine.zero_based_days)
            .map(Arc::new)
            .map_err(Trouble::new)
    }

    pub(super) fn domains(&self) -> Result<&Domains, Trouble> {
        let alone = match &self.source {
            Source::Daemon(_, runtime) => return Ok(&runtime.domains),
            Source::Alone(alone) => alone,
        };
        if let Some(domains) = alone.domains.get() {
            return Ok(domains);
        }
        let paths = &alone.config.paths;
        let roots = Roots {
            domains: paths.domains.clone(),
            blacklist_d: paths.blacklist_d.clone(),
        };
        let domains = Domains::open(roots, alone.config.domain_defaults())
            .map_err(|error| Trouble::hint(&error, error.hint()))?;
        Ok(alone.domains.get_or_init(|| domains))
    }

    /// The store, opened for this question: any number of processes may read beside the one that writes.
    pub(super) fn reader(&self) -> Result<Reader, Trouble> {
        let path = self.config().store_path();
        Store::open_read_only(&path).map_err(|error| Trouble::store(&path, &error))
    }

    /// The store, to write into: the daemon's, or opened for this command while no daemon has it.
    pub(super) fn store(&self) -> Result<&Store, Trouble> {
        let alone = match &self.source {
            Source::Daemon(daemon, _) => {
                let gateway = daemon.gateway().ok_or_else(|| {
                    Trouble::hint(
                        "this process has no store to write into",
                        "ask the process that runs the part `smtp`",
                    )
                });
                return gateway.map(|gateway| gateway.store());
            }
            Source::Alone(alone) => alone,
        };
        if let Some(store) = alone.store.get() {
            return Ok(store);
        }
        let path = alone.config.store_path();
        if !path.exists() {
            return Err(Trouble::store(&path, &store::OpenError::Missing));
        }
        let store = Store::open(&path).map_err(|error| Trouble::store(&path, &error))?;
        Ok(alone.store.get_or_init(|| store))
    }

    /// Has the daemon's content filters learn what labels of a mailbox say. Without a daemon they learn it when one
    /// starts.
    pub(super) fn teach(&self, mailbox: &MailboxId) {
        let Source::Daemon(daemon, runtime) = &self.source else {
            return;
        };
        if let Some(gateway) = daemon.gateway()
            && let Err(error) = self.wait(gateway.filters().learn(mailbox, runtime.config.junk.memory))
        {
            tracing::warn!(%mailbox, %error, "a label was kept, and will be learned when the mailbox gets mail");
        }
    }

    /// What knows organizations; it asks no DNS here.
    pub(super) fn judgement(&self) -> Result<&Judgement, Trouble> {
        let alone = match &self.source {
            Source::Daemon(_, runtime) => return Ok(&runtime.judgement),
            Source::Alone(alone) => alone,
        };
        if let Some(judgement) = alone.judgement.get() {
            return Ok(judgement);
        }
        let mut config = alone.config.clone();
        config.dns.enabled = false;
        let judgement = Judgement::open(&config, None).map_err(|(error, hint)| Trouble::Said(error, hint))?;
        Ok(alone.judgement.get_or_init(|| judgement))
    }

    /// The key with which ids are sealed.
    pub(super) fn seal(&self) -> Result<Seal, Trouble> {
        let state = &self.config().paths.state;
        Seal::load(state).map_err(|error| Trouble::new(format!("cannot read the key in {}: {error}", state.display())))
    }

    /// The daemon's list of domains; `None` in a desk without a daemon.
    pub(super) fn roll(&self) -> Result<Option<&Roll>, Trouble> {
        match &self.source {
            Source::Daemon(daemon, _) => daemon.gateway().map(|gateway| Some(gateway.roll())).ok_or_else(|| {
                Trouble::hint(
                    "this process does not have the list of domains",
                    "ask the process that runs the part `smtp`",
                )
            }),
            Source::Alone(_) => Ok(None),
        }
    }

    /// What of the domains is missing now, by the list and the tree.
    pub(super) fn missing(&self) -> Result<Vec<Missing>, Trouble> {
        let now_s = jiff::Timestamp::now().as_second();
        let domains = self.domains()?;
        if let Source::Daemon(daemon, _) = &self.source
            && let Some(gateway) = daemon.gateway()
        {
            if let Some(census) = domains.census() {
                gateway.roll().take(&census, now_s);
            }
            return Ok(gateway.roll().missing(now_s));
        }
        Roll::look(&self.config().paths.state, domains, now_s).map_err(|error| Trouble::hint(&error, error.hint()))
    }

    /// Whose box mail for an address belongs to, if any of ours.
    pub(super) fn own_mailbox(&self, address: &Address) -> Result<Option<MailboxId>, Trouble> {
        Ok(mailbox(self.domains()?, address))
    }

    /// Whose box mail for an address belongs to, where its domain is ours.
    pub(super) fn mailbox_of(&self, text: &str) -> Result<MailboxId, Trouble> {
        let address = Address::parse(text).map_err(|error| Trouble::new(format!("{error}: `{text}`")))?;
        mailbox(self.domains()?, &address).ok_or_else(|| {
            Trouble::hint(
                format!("no domain of ours: `{text}`"),
                "a domain is ours if it has a directory below `[paths] domains`",
            )
        })
    }

    pub(super) fn relays(&self) -> &Relays {
        match &self.source {
            Source::Daemon(daemon, _) => daemon.relays(),
            Source::Alone(alone) => &alone.relays,
        }
    }

    /// Waits for a future, on this thread.
    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.tokio.block_on(future)
    }

    /// Whether the caller may know of mail for this mailbox.
    pub(super) fn may_see(&self, mailbox: &MailboxId) -> bool {
        match &self.caller {
            Caller::Operator => true,
            Caller::Owner(own) => own == mailbox,
        }
    }

    /// The same by address, as the domains' files have it now.
    pub(super) fn may_see_address(&self, address: &Address) -> Result<bool, Trouble> {
        if self.caller == Caller::Operator {
            return Ok(true);
        }
        let mailbox = mailbox(self.domains()?, address);
        Ok(mailbox.is_some_and(|mailbox| self.may_see(&mailbox)))
    }

    /// The same of an entry in the quarantine. One whose recipient cannot be read is the operator's alone.
    pub(super) fn may_see_entry(&self, entry: &Entry) -> Result<bool, Trouble> {
        match &entry.address {
            Some(address) => self.may_see_address(address),
            None => Ok(self.caller == Caller::Operator),
        }
    }
}

/// Whose box mail for an address belongs to; `None` where its domain is not ours or cannot be read.
fn mailbox(domains: &Domains, address: &Address) -> Option<MailboxId> {
    match domains.find(address.domain()?) {
        Found::Local(view) => Some(view.mailbox(address.local())),
        Found::NotLocal | Found::NoDomains | Found::Dangling { .. } | Found::Unreadable { .. } => None,
    }
}

impl Caller {
    /// Who it is, as it is kept with what they say.
    pub(super) fn name(&self) -> Line {
        match self {
            Caller::Operator => Line::literal("operator"),
            Caller::Owner(mailbox) => Line::reason(mailbox.to_string().as_bytes()),
        }
    }

    /// Who a process of user `uid` is to a daemon that runs as `own_uid`. Looks the login up, which may block.
    pub(super) fn of(uid: u32, own_uid: u32, runtime: &Runtime) -> Result<Caller, Trouble> {
        if uid == 0 || uid == own_uid {
            return Ok(Caller::Operator);
        }
        let Some(domain) = &runtime.config.control.user_domain else {
            return Err(Trouble::hint(
                format!("only root and the daemon's user may ask, not user {uid}"),
                "to let users ask about their own mail, set `[control] user_domain`",
            ));
        };
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
        let Ok(Some(user)) = user else {
            return Err(Trouble::new(format!("no login has the user id {uid}")));
        };
        let nobodys = || Trouble::new(format!("no mailbox of {domain} belongs to the login `{}`", user.name));
        let local = LocalPart::parse(&user.name).map_err(|_| nobodys())?;
        // A login `ann+x` must not have Ann's box.
        if user.name.contains('+') {
            return Err(nobodys());
        }
        let Found::Local(view) = runtime.domains.find(domain) else {
            return Err(nobodys());
        };
        match view.mailbox(&local) {
            // All who are not listed share it.
            shared if shared.is_others() => Err(nobodys()),
            mailbox => Ok(Caller::Owner(mailbox)),
        }
    }
}

impl Out<'_> {
    /// Whether anybody still reads; to be asked in the course of long work.
    pub(super) fn is_wanted(&mut self) -> io::Result<()> {
        self.text.flush()
    }
}
