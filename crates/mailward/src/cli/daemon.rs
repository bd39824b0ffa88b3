//! One process of the daemon: what its parts share, whichever of them it runs.

use super::parts::{Part, Parts};
use super::{Trouble, load};
use crate::config::Config;
use crate::domains::{Census, Roll};
use crate::gateway::{Gateway, Runtime, Seal};
use crate::metrics::{Door, METRICS, Readings, exposition};
use crate::quarantine::Expiry;
use crate::relay::Relays;
use jiff::Zoned;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use store::{OpenError, Store};
use tokio::time::interval;

/// A store that has been emptied of records has no more of them soon after.
const FEW_RECORDS: usize = 1000;
/// How often what mailboxes say of words is counted, if anything was learned;
const VOTES: Duration = Duration::from_secs(60);
/// and no sooner than after so many times what it took.
const VOTES_SHARE: u32 = 50;
/// How often old records and old quarantine days are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);
/// How often the store's size is looked at, so that a flood of mail between two hours does not fill the disk.
const STORE_SIZE: Duration = Duration::from_secs(180);
/// How often idle connections are.
const IDLE_CONNECTIONS: Duration = Duration::from_secs(30);
/// How often it is looked which domains there are;
const CENSUS: Duration = Duration::from_secs(10);
/// and no sooner than after so many times what it took.
const CENSUS_SHARE: u32 = 50;
/// The pause after their list could not be written.
const ROLL_RETRY: Duration = Duration::from_secs(5);
/// How long a start waits for whoever writes to the store, and how often it tries.
const STORE_WAIT: Duration = Duration::from_secs(5);
const STORE_PAUSE: Duration = Duration::from_millis(10);
const DAY_S: i64 = 24 * 3600;

/// A process of the daemon.
pub(super) struct Daemon {
    core: Core,
    parts: Parts,
    config_path: Option<PathBuf>,
    /// One reload at a time, so that what was read last is what holds.
    reloading: Mutex<()>,
    started: Instant,
    started_s: i64,
}

enum Core {
    /// With the door for mail.
    Gateway(Arc<Gateway>),
    /// Without: no store is open for writing.
    Rest {
        runtime: RwLock<Arc<Runtime>>,
        relays: Relays,
    },
}

impl Daemon {
    /// Opens what the parts need.
    pub(super) fn open(config: Config, config_path: Option<&Path>, parts: Parts) -> Result<Daemon, Trouble> {
        let state = config.paths.state.clone();
        let store_path = config.store_path();
        let core = if parts.has(Part::Smtp) {
            let seal = Seal::load(&state)
                .map_err(|error| Trouble::new(format!("cannot read the key in {}: {error}", state.display())))?;
            let store = open_store(&store_path).map_err(|error| Trouble::store(&store_path, &error))?;
            let runtime = open(config, None)?;
            let roll = Roll::open(&state, &runtime.domains, jiff::Timestamp::now().as_second())
                .map_err(|error| Trouble::hint(&error, error.hint()))?;
            Core::Gateway(Arc::new(Gateway::new(runtime, store, seal, roll)))
        } else {
            Core::Rest {
                runtime: RwLock::new(Arc::new(open(config, None)?)),
                relays: Relays::default(),
            }
        };
        Ok(Daemon {
            core,
            parts,
            config_path: config_path.map(Path::to_owned),
            reloading: Mutex::new(()),
            started: Instant::now(),
            started_s: jiff::Timestamp::now().as_second(),
        })
    }

    /// What holds now.
    pub(super) fn runtime(&self) -> Arc<Runtime> {
        match &self.core {
            Core::Gateway(gateway) => gateway.runtime(),
            Core::Rest { runtime, .. } => runtime.read().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    pub(super) fn relays(&self) -> &Relays {
        match &self.core {
            Core::Gateway(gateway) => gateway.relays(),
            Core::Rest { relays, .. } => relays,
        }
    }

    /// The gateway, where this process runs the door.
    pub(super) fn gateway(&self) -> Option<&Arc<Gateway>> {
        match &self.core {
            Core::Gateway(gateway) => Some(gateway),
            Core::Rest { .. } => None,
        }
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Seconds since 1970.
    pub(super) fn started_s(&self) -> i64 {
        self.started_s
    }

    /// SMTP connections now, where this process runs the door.
    pub(super) fn connections(&self) -> Option<u32> {
        self.gateway().map(|gateway| gateway.doors().count())
    }

    /// The text for Prometheus.
    pub(super) fn exposition(&self) -> String {
        let runtime = self.runtime();
        let readings = Readings {
            door: self.gateway().map(|gateway| Door {
                connections: gateway.doors().count(),
                body_octets: gateway.doors().body_octets(),
                store_queued: gateway.store().queued(),
            }),
            quarantine_octets: runtime.quarantine.used_octets(),
            notes_unwritten: runtime.quarantine.notes_unwritten(),
            domains_disk_accesses: runtime.domains.disk_accesses(),
            dns: runtime.judgement.dns().map(|dns| dns.stats()),
            zones_off: runtime.judgement.zones().switched_off().len(),
            started_s: self.started_s,
        };
        exposition(&METRICS, &readings)
    }

    /// Reads the configuration again. If anything is wrong with it, what holds goes on holding. Gives what changed
    /// and needs a restart.
    pub(super) fn reload(&self) -> Result<Vec<String>, Trouble> {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let config = load(self.config_path.as_deref())?;
        let old = self.runtime();
        let is_kept = config.smtp.all_listeners() != old.config.smtp.all_listeners()
            || config.tls != old.config.tls
            || config.store_path() != old.config.store_path()
            || config.log != old.config.log
            || config.process != old.config.process
            || config.metrics != old.config.metrics;
        let runtime = open(config, Some(&old))?;
        match &self.core {
            Core::Gateway(gateway) => gateway.reload(runtime),
            Core::Rest { runtime: held, .. } => {
                *held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(runtime);
            }
        }
        tracing::info!("configuration reloaded");
        let text = "`[smtp]` listeners, `[tls]`, `[store] url`, `[paths] state`, `[log]`, `[process]` and `[metrics]` change only with a restart";
        if is_kept {
            tracing::warn!("{text}");
        }
        Ok(if is_kept { vec![text.to_owned()] } else { Vec::new() })
    }

    /// Counts from time to time what mailboxes say of words; runs until it is dropped.
    pub(super) async fn counting_votes(self: Arc<Daemon>) {
        let Some(gateway) = self.gateway() else { return };
        let memory = gateway.runtime().config.junk.memory;
        if let Err(error) = gateway.filters().catch_up(memory).await {
            tracing::warn!(%error, "what was labelled without a daemon will be learned when the mailbox gets mail");
        }
        loop {
            let begun = tokio::time::Instant::now();
            let counted = match gateway.runtime().config.junk.shared {
                true => gateway.filters().count_votes().await,
                false => Ok(false),
            };
            match counted {
                Ok(true) => tracing::debug!(took = ?begun.elapsed(), "what mailboxes say of words was counted"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "what mailboxes say of words could not be counted"),
            }
            tokio::time::sleep(VOTES.max(begun.elapsed() * VOTES_SHARE)).await;
        }
    }

    /// Looks from time to time which domains there are, and writes what changed; runs until it is dropped.
    pub(super) async fn keeping_roll(self: Arc<Daemon>) {
        let Some(gateway) = self.gateway().cloned() else { return };
        let mut pause = CENSUS;
        loop {
            let is_time = tokio::select! {
                () = tokio::time::sleep(pause) => true,
                () = gateway.roll().changed() => false,
            };
            let begun = Instant::now();
            let keeping = gateway.clone();
            let kept = tokio::task::spawn_blocking(move || keep_roll(&keeping, is_time)).await;
            if let Err(error) = kept.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                tracing::error!(%error, "the list of domains cannot be written");
                tokio::time::sleep(ROLL_RETRY).await;
            }
            pause = CENSUS.max(begun.elapsed() * CENSUS_SHARE);
        }
    }

    /// Lets go of what is past its time; runs until it is dropped.
    pub(super) async fn housekeeping(self: Arc<Daemon>) {
        let mut hourly = interval(HOUSEKEEPING);
        let mut sizing = interval(STORE_SIZE);
        let mut often = interval(IDLE_CONNECTIONS);
        loop {
            tokio::select! {
                _ = often.tick() => self.relays().close_idle(),
                _ = sizing.tick() => {
                    if let Some(gateway) = self.gateway() {
                        keep_to_size(gateway).await;
                    }
                }
                _ = hourly.tick() => {
                    if let Some(gateway) = self.gateway()
                        && self.trusts_clock().await
                        && is_housekeeper(gateway).await
                    {
                        expire_records(gateway).await;
                        gateway.expire_kept(&gateway.runtime(), jiff::Timestamp::now().as_second()).await;
                    }
                    self.keep_quarantine().await;
                }
            }
        }
    }

    /// Whether the clock is where the last expiry left it to be. One that is far ahead would make everything old.
    async fn trusts_clock(&self) -> bool {
        let quarantine = self.runtime().quarantine.clone();
        match tokio::task::spawn_blocking(move || quarantine.trusts_clock(&Zoned::now())).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, hint = error.hint(), "no records, labels or copies are forgotten");
                false
            }
            Err(error) => {
                tracing::error!(%error, "no records, labels or copies are forgotten");
                false
            }
        }
    }

    /// Expires the quarantine; where another process does that, only counts what is left.
    async fn keep_quarantine(&self) {
        let quarantine = self.runtime().quarantine.clone();
        let is_ours = self.parts.has(Part::Quarantine);
        let work = move || {
            if !is_ours {
                return quarantine.recount().map_err(|trouble| trouble.to_string());
            }
            let removed = quarantine
                .expire(&Zoned::now(), Expiry::default())
                .map_err(|error| error.to_string())?;
            if !removed.days.is_empty() {
                tracing::info!(days = removed.days.len(), "old quarantine days expired");
            }
            for trouble in removed.troubles {
                tracing::warn!(%trouble, "a part of the quarantine was not expired");
            }
            Ok(())
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error, "the quarantine was not expired"),
            Err(error) => tracing::error!(%error, "the quarantine was not expired"),
        }
    }
}

/// Opens the store; waits a while for a command that writes into it because no daemon answered it.
fn open_store(path: &Path) -> Result<Store, OpenError> {
    let begun = Instant::now();
    loop {
        match Store::open(path) {
            Err(OpenError::InUse) if begun.elapsed() < STORE_WAIT => std::thread::sleep(STORE_PAUSE),
            done => return done,
        }
    }
}

fn open(config: Config, before: Option<&Runtime>) -> Result<Runtime, Trouble> {
    Runtime::open(config, before).map_err(|(message, hint)| Trouble::Said(message, hint))
}

/// Writes the list of domains, after a look at the tree if it is time.
fn keep_roll(gateway: &Gateway, is_time: bool) -> std::io::Result<()> {
    if is_time {
        let (runtime, roll, now_s) = (gateway.runtime(), gateway.roll(), jiff::Timestamp::now().as_second());
        let mut census = runtime.domains.census();
        if census.as_ref().is_none_or(Census::is_empty) || !roll.missing(now_s).is_empty() {
            // No watch tells of a file system that is mounted over what is there.
            runtime.domains.reload();
            census = runtime.domains.census();
        }
        if let Some(census) = census {
            roll.take(&census, now_s);
        }
    }
    gateway.roll().save()
}

/// Whether it is this gateway that forgets what is past its time in the store. Of several that share one, one is.
async fn is_housekeeper(gateway: &Gateway) -> bool {
    let now_s = jiff::Timestamp::now().as_second();
    let until_s = now_s.saturating_add(2 * HOUSEKEEPING.as_secs().cast_signed());
    let lease = gateway.store().lease("housekeeping", gateway.name(), now_s, until_s);
    match lease.await {
        Ok(granted) => granted.is_some(),
        Err(error) => {
            tracing::warn!(%error, "old records stay");
            false
        }
    }
}

async fn expire_records(gateway: &Gateway) {
    let settings = gateway.runtime().config.store.clone();
    let before = |days: u32| jiff::Timestamp::now().as_second() - i64::from(days) * DAY_S;
    match gateway.store().expire(before(settings.keep_days)).await {
        Ok(0) => {}
        Ok(records) => tracing::info!(records, "old records expired"),
        Err(error) => tracing::warn!(%error, "old records stay"),
    }
    match gateway.store().expire_history(before(settings.history_days)).await {
        Ok(0) => {}
        Ok(labels) => {
            tracing::info!(labels, "old history expired");
            if let Err(error) = gateway
                .filters()
                .forget_expired(gateway.runtime().config.junk.memory)
                .await
            {
                tracing::warn!(%error, "what expired labels said is unlearned when the mailbox gets mail");
            }
        }
        Err(error) => tracing::warn!(%error, "old history stays"),
    }
    let now_s = jiff::Timestamp::now().as_second();
    if let Err(error) = gateway.store().expire_greylist(now_s).await {
        tracing::warn!(%error, "old entries of the greylist stay");
    }
}

/// Lets go of the oldest records while the store is too large.
async fn keep_to_size(gateway: &Gateway) {
    let size_max = gateway.runtime().config.store.size_max;
    match gateway.store().expire_to_size(size_max).await {
        Ok(0) => {}
        Ok(records) => {
            tracing::warn!(
                records,
                size_max,
                hint = "raise `[store] size_max`, or lower `keep_days`",
                "records were forgotten before their time, because the store was full"
            );
            // Lessons go only when no record is left; some may have come since.
            let left = gateway.store().reader().recent(FEW_RECORDS).await;
            if left.is_ok_and(|left| left.len() < FEW_RECORDS) {
                gateway.filters().unload().await;
            }
        }
        Err(error) => tracing::warn!(%error, "the store's size is not kept"),
    }
}
