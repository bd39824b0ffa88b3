//! `mailward serve`: the daemon.

use super::control::server::Socket;
use super::daemon::Daemon;
use super::parts::{Part, Parts};
use super::sockets::Sockets;
use super::{FIRST_RUN_ROOT, Trouble, ask, load, say};
use crate::config::{Config, Listener, ListenerTls};
use crate::front::smtp::{Door, Stop};
use crate::front::tls::Tls;
use crate::gateway::Gateway;
use crate::notify::Supervisor;
use crate::process::{self, Identity};
use crate::relay::next_hop::NextHop;
use crate::{front, metrics, observe};
use clap::Args;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep};

/// The state's directory: its group may go through it to the control socket, and see nothing else.
const STATE_MODE: u32 = 0o710;
/// The quarantine's root.
const SPAM_MODE: u32 = 0o750;
/// How long work on the disk that a stop did not let end may still take; what was answered does not depend on it.
const LAST_WORK: Duration = Duration::from_secs(2);
/// How long connections that are cut may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Only these parts of the daemon, with commas: smtp, quarantine, metrics, control
    #[arg(long, value_name = "PARTS")]
    only: Option<String>,
}

/// What is there when root was given up.
struct Start<'a> {
    config: Config,
    path: Option<&'a Path>,
    parts: Parts,
    sockets: Sockets,
    supervisor: Supervisor,
    is_first: bool,
}

pub(super) fn run(path: Option<&Path>, options: &Options) -> Result<ExitCode, Trouble> {
    let parts = Parts::parse(options.only.as_deref())?;
    let config = load(path)?;
    // First of all, while there is one thread: it takes what systemd says out of the environment.
    let sockets = Sockets::open(&config, &parts)?;
    let _log = observe::init(&config.log)?;
    process::raise_file_limit();
    // Not before there are listeners: a start that comes to nothing leaves nothing.
    let is_first = path.is_none() && prepare_first_run(&config)?;
    become_user(&config)?;
    let start = Start {
        config,
        path,
        parts,
        sockets,
        supervisor: Supervisor::from_environment(),
        is_first,
    };
    // Work begins here: what it may do is settled.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::new(format!("cannot start: {error}")))?;
    let served = runtime.block_on(serve(start));
    runtime.shutdown_timeout(LAST_WORK);
    served.map(|()| ExitCode::SUCCESS)
}

/// Makes the directories that are missing, and gives up root and core files.
fn become_user(config: &Config) -> Result<(), Trouble> {
    let wrong = |error: process::IdentityError| Trouble::Said(error.to_string(), error.hint());
    let identity = Identity::of(&config.process).map_err(wrong)?;
    let places = [
        (&config.paths.state, STATE_MODE, "state"),
        (&config.paths.spam, SPAM_MODE, "spam"),
    ];
    for (path, mode, key) in places {
        process::make_dir(path, mode, identity.as_ref()).map_err(|error| {
            Trouble::hint(
                format!("cannot make {}: {error}", path.display()),
                format!("set `[paths] {key}` to a directory that can be written"),
            )
        })?;
    }
    if !config.process.core_dumps {
        process::forbid_core_files();
    }
    match &identity {
        Some(identity) => {
            identity.assume().map_err(wrong)?;
            for (path, ..) in places {
                identity.check_writable(path).map_err(wrong)?;
            }
        }
        None if process::is_root() => {
            tracing::warn!("running as root, which only ports below 1024 need; set `[process] user`");
        }
        None => {}
    }
    if config.process.core_dumps {
        process::allow_core_files();
    }
    Ok(())
}

/// Makes what a first run needs; whether it was not there before.
fn prepare_first_run(config: &Config) -> Result<bool, Trouble> {
    let make = |path: &Path| {
        std::fs::create_dir_all(path).map_err(|error| Trouble::new(format!("cannot make {}: {error}", path.display())))
    };
    make(&config.paths.blacklist_d)?;
    make(Path::new(FIRST_RUN_ROOT).join("mail").as_path())?;
    let domains = &config.paths.domains;
    if domains.is_dir() {
        return Ok(false);
    }
    // It gets its name when it is whole, so that whoever finds it finds the first domain in it.
    let new = domains.with_extension("new");
    let domain = new.join("example.com");
    make(&domain.join("users/valid"))?;
    make(&domain.join("checks"))?;
    for file in ["users/valid/*", "checks/recommended"] {
        std::fs::write(domain.join(file), "").map_err(|error| Trouble::new(format!("cannot write {file}: {error}")))?;
    }
    std::fs::rename(&new, domains)
        .map_err(|error| Trouble::new(format!("cannot make {}: {error}", domains.display())))?;
    Ok(true)
}

async fn serve(start: Start<'_>) -> Result<(), Trouble> {
    let Start {
        config,
        path,
        parts,
        sockets,
        supervisor,
        is_first,
    } = start;
    let drain = Duration::from_secs(config.limits.drain_s);
    let socket = ask::socket(&config);
    let daemon = Arc::new(Daemon::open(config.clone(), path, parts)?);
    let (stop, stopped) = watch::channel(Stop::No);
    let mut doors = Vec::new();
    let mut open = Vec::new();
    if let Some(gateway) = daemon.gateway() {
        for door in mail_doors(&config, sockets.smtp)? {
            open.push((door.listener.local_addr()?, part_of(&door.kind)));
            doors.push(tokio::spawn(front::smtp::listen(
                door,
                gateway.clone(),
                stopped.clone(),
            )));
        }
    }
    for listener in sockets.metrics {
        let listener = TcpListener::from_std(listener)?;
        open.push((listener.local_addr()?, "metrics".to_owned()));
        let counting = daemon.clone();
        let page = Arc::new(move || counting.exposition());
        doors.push(tokio::spawn(metrics::http::listen(listener, page, stopped.clone())));
    }
    if daemon.parts().has(Part::Control) {
        let socket = Socket::bind(&socket)?;
        doors.push(tokio::spawn(socket.serve(daemon.clone(), stopped.clone(), drain)));
    }
    let duties = [
        tokio::spawn(daemon.clone().housekeeping()),
        tokio::spawn(daemon.clone().counting_votes()),
        tokio::spawn(daemon.clone().keeping_roll()),
    ];
    let mut signals = Signals::take()?;
    announce(&config, &daemon, &open, is_first);
    let supervisor = Arc::new(supervisor);
    let heart = watchdog(&supervisor);
    supervisor.ready();
    signals.obey(&daemon, &supervisor).await;
    tracing::info!("stopping; a second signal stops at once");
    supervisor.stopping();
    let _ = stop.send(Stop::Drain);
    tokio::select! {
        () = end_of(&daemon, doors) => {}
        () = signals.stop() => tracing::warn!("stopping at once"),
    }
    duties.iter().for_each(JoinHandle::abort);
    if let Some(gateway) = daemon.gateway() {
        farewell(gateway, &stop).await;
        close(gateway).await;
    }
    if let Some(heart) = heart {
        heart.abort();
    }
    tracing::info!("stopped");
    Ok(())
}

/// Writes what is kept in memory only.
async fn close(gateway: &Gateway) {
    gateway.doors().end_spells();
    if let Err(error) = gateway.roll().save() {
        tracing::error!(%error, "the list of domains cannot be written");
    }
    if let Err(error) = gateway.store().close().await {
        tracing::error!(%error, "the store was not closed well; the next start mends it");
    }
}

/// The doors for mail, all with one certificate.
fn mail_doors(config: &Config, listeners: Vec<(std::net::TcpListener, Listener)>) -> Result<Vec<Door>, Trouble> {
    let (tls, is_made) = Tls::open(config).map_err(|error| {
        Trouble::hint(
            &error,
            "set `[tls] certificate` and `key` to PEM files that belong together",
        )
    })?;
    if is_made {
        tracing::info!("a self-signed certificate was made for STARTTLS; `[tls] certificate` names a better one");
    }
    let door = |(listener, kind)| {
        let listener = TcpListener::from_std(listener)?;
        let tls = tls.clone();
        Ok(Door { listener, kind, tls })
    };
    listeners.into_iter().map(door).collect()
}

/// `smtp`, and what is special about the door.
fn part_of(kind: &Listener) -> String {
    let tls = if kind.tls == ListenerTls::Implicit { ", TLS" } else { "" };
    let proxy = if kind.proxy { ", PROXY" } else { "" };
    format!("smtp{tls}{proxy}")
}

/// Tells the supervisor that tasks still run, for as long as they do.
fn watchdog(supervisor: &Arc<Supervisor>) -> Option<JoinHandle<()>> {
    let mut beat = interval(supervisor.watchdog()?);
    let supervisor = supervisor.clone();
    Some(tokio::spawn(async move {
        loop {
            beat.tick().await;
            supervisor.alive();
        }
    }))
}

/// What listens where, where things are, and what to try next. The test rigs and supervisors wait for these lines
/// through a pipe; nobody needs to.
fn announce(config: &Config, daemon: &Daemon, open: &[(SocketAddr, String)], is_first: bool) {
    say(format_args!(
        "mailward {} is up ({})",
        env!("CARGO_PKG_VERSION"),
        daemon.parts()
    ));
    for (address, part) in open {
        say(format_args!("listening on {address} ({part})"));
    }
    if daemon.parts().has(Part::Control) {
        let socket = ask::socket(config);
        say(format_args!("control     {}  (`mailward status`)", socket.display()));
    }
    say(format_args!(
        "domains     {}  (plain files decide; a change counts from the next message on)",
        config.paths.domains.display()
    ));
    say(format_args!("mail        {}", config.deliver));
    say(format_args!(
        "quarantine  {}  (what was refused or held; `mailward quarantine list`)",
        config.paths.spam.display()
    ));
    say(format_args!(
        "records     {}  (`mailward why ID`)",
        config.store_path().display()
    ));
    let door = open.first().filter(|(_, part)| part.starts_with("smtp"));
    if let (true, Some((address, _)), NextHop::Maildir(_)) = (is_first, door, &config.deliver) {
        say(format_args!(
            "
Try it:  swaks --server {address} --to ann@example.com --from bob@sender.example --helo mx.sender.example
         The message lands in {FIRST_RUN_ROOT}/mail/example.com/_others_/new/, the box of all who have none.
Then:    touch {FIRST_RUN_ROOT}/domains/example.com/users/valid/ann   to give Ann a box of her own,
         and send it with `--header 'From: |x'` to see it refused and kept."
        ));
    }
}

/// What other processes tell us. Taken before anybody hears that we are up: until then a signal ends us as it is.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn take() -> Result<Signals, Trouble> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the signal to stop; reloads at each SIGHUP, on a thread that may wait for the disk.
    async fn obey(&mut self, daemon: &Arc<Daemon>, supervisor: &Supervisor) {
        loop {
            tokio::select! {
                () = stop(&mut self.interrupt, &mut self.terminate) => return,
                _ = self.hangup.recv() => {}
            }
            supervisor.reloading();
            let daemon = daemon.clone();
            let reloading = tokio::task::spawn_blocking(move || reload(&daemon));
            tokio::select! {
                () = self.stop() => return,
                done = reloading => if let Err(error) = done {
                    tracing::error!(%error, "the configuration is not reloaded");
                }
            }
            supervisor.ready();
        }
    }

    /// Waits for the signal to stop.
    async fn stop(&mut self) {
        stop(&mut self.interrupt, &mut self.terminate).await;
    }
}

async fn stop(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// A reload that nobody waits for: its trouble goes to the log.
fn reload(daemon: &Daemon) {
    match daemon.reload() {
        Ok(_) => {}
        Err(Trouble::Config(faults)) => {
            for fault in faults {
                tracing::error!(%fault, "the configuration is not reloaded");
            }
        }
        Err(trouble) => tracing::error!(error = trouble.text(), "the configuration is not reloaded"),
    }
}

/// Waits until nobody is let in any more and running messages have ended, for as long as the configuration allows.
async fn end_of(daemon: &Daemon, doors: Vec<JoinHandle<()>>) {
    let end = Instant::now() + Duration::from_secs(daemon.runtime().config.limits.drain_s);
    for door in doors {
        let _ = door.await;
    }
    while daemon.connections().is_some_and(|count| count > 0) && Instant::now() < end {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Tells connections that are still open that they are cut.
async fn farewell(gateway: &Gateway, stop: &watch::Sender<Stop>) {
    let cut = gateway.doors().count();
    if cut == 0 {
        return;
    }
    tracing::warn!(cut, "connections are cut; their senders will try again");
    let _ = stop.send(Stop::Now);
    let end = Instant::now() + LAST_WORDS;
    while gateway.doors().count() > 0 && Instant::now() < end {
        sleep(Duration::from_millis(20)).await;
    }
}
