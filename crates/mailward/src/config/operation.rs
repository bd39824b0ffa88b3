//! What an operator sets about the daemon as a process: who it runs as, who may ask it, who may count its work.

use mail::Domain;
use std::net::SocketAddr;

/// The process. Changes only with a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// Whom it becomes once its listeners are open; only root can.
    pub user: Option<String>,
    /// The group instead of the user's own.
    pub group: Option<String>,
    /// Whether a crash may write a core file. Not by default: it would hold mail and keys.
    pub core_dumps: bool,
}

/// The control socket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    /// The domain whose local parts are the logins of this machine; `None`: only root and the daemon's user may ask.
    pub user_domain: Option<Domain>,
}

/// The listener for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics {
    /// Addresses to listen on; none by default.
    pub listen: Vec<SocketAddr>,
    /// Whether they may be other than loopback. Not by default: whoever can connect can read.
    pub public: bool,
}
