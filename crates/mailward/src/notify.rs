//! What systemd is told of the daemon's life (sd_notify(3)): a datagram to the socket that `NOTIFY_SOCKET` names.
//! Without that variable nothing is said, and nothing here ever fails the daemon.

use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The supervisor's ear.
#[derive(Debug, Default)]
pub struct Supervisor {
    ear: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// What the environment says.
    pub fn from_environment() -> Supervisor {
        let text = |name| std::env::var(name).ok();
        let ear = text("NOTIFY_SOCKET").and_then(|name| match ear(&name) {
            Ok(ear) => Some(ear),
            Err(error) => {
                tracing::warn!(%error, name, "the supervisor will not be told anything");
                None
            }
        });
        let is_ours = text("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(std::process::id()));
        let watchdog = text("WATCHDOG_USEC").filter(|_| is_ours && ear.is_some());
        Supervisor {
            ear,
            watchdog: watchdog
                .and_then(|text| text.parse().ok())
                .filter(|us| *us > 0)
                .map(Duration::from_micros),
        }
    }

    /// How often it wants to hear that we live: half of the time after which it would kill us.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|time| time / 2)
    }

    /// Everything is open.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// The configuration is being read; [`Supervisor::ready`] ends it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let us = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={us}"));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// We live.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, text: &str) {
        let Some((socket, address)) = &self.ear else {
            return;
        };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
            tracing::warn!(%error, text, "the supervisor could not be told");
        }
    }
}

/// A path, or, after `@`, a name in Linux' own space.
fn ear(name: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A supervisor that hangs must not hang us.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}
