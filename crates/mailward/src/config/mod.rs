//! The configuration: what an operator may write, what it means, and what is said when it is wrong.
//!
//! Every key stands once, in `keys.rs`, with its text for people, how it is read and how it is printed; so
//! documentation, reading and printing cannot differ. All faults of a file are reported at once, each with file, line
//! and, where there is one, the nearest right word. [`Config::print`] reads back as the same configuration.

mod keys;
mod operation;
mod read;

pub use keys::documentation;
pub use operation::{Control, Metrics, Process};
pub use read::Fault;
pub(crate) use read::nearest;

use crate::domains::Defaults;
use crate::judgement::FilterField;
use crate::relay::next_hop::NextHop;
use crate::virus::ClamdAddress;
use ipnet::IpNet;
use mail::smtp::data::BareLf;
use mail::smtp::nul::Nul;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[paths]`.
    pub paths: Paths,
    /// `[smtp]`.
    pub smtp: Smtp,
    /// `[tls]`.
    pub tls: TlsSettings,
    /// `[relay] to`: takes mail from `relay_networks`.
    pub relay: Option<NextHop>,
    /// `[relay] speaks_for`: domains whose addresses `relay_networks` may speak for.
    pub speaks_for: Vec<mail::Domain>,
    /// `[deliver] to`: takes accepted mail; a domain's `deliver` file overrides it.
    pub deliver: NextHop,
    /// `[limits]`.
    pub limits: Limits,
    /// `[policy]`.
    pub policy: PolicyDefaults,
    /// `[dns]`.
    pub dns: DnsSettings,
    /// `[auth]`.
    pub auth: AuthSettings,
    /// `[clamav]`.
    pub clamav: ClamavSettings,
    /// `[store]`.
    pub store: StoreSettings,
    /// `[quarantine]`.
    pub quarantine: QuarantineSettings,
    /// `[reputation]`.
    pub reputation: ReputationSettings,
    /// `[junk]`.
    pub junk: JunkSettings,
    /// `[log]`.
    pub log: Log,
    /// `[process]`.
    pub process: Process,
    /// `[control]`.
    pub control: Control,
    /// `[metrics]`.
    pub metrics: Metrics,
}

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// One directory for each domain.
    pub domains: PathBuf,
    /// The quarantine.
    pub spam: PathBuf,
    /// The daemon's own memory.
    pub state: PathBuf,
    /// One file for each client address that no domain takes mail from.
    pub blacklist_d: PathBuf,
}

/// The SMTP listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Listeners that are not plain: implicit TLS, PROXY.
    pub listeners: Vec<Listener>,
    /// Clients that may say for whom they speak (XCLIENT).
    pub trusted: Vec<IpNet>,
    /// Milliseconds for which the greeting is held back, to see who speaks first.
    pub greet_delay_ms: u64,
    /// The name in greeting, Received and Maildir names.
    pub hostname: String,
    /// Clients whose mail passes unjudged to `[relay] to`.
    pub relay_networks: Vec<IpNet>,
    /// The domain of a bare `postmaster`.
    pub default_domain: Option<mail::Domain>,
    /// Fields that filters write, which are taken out of strangers' mail.
    pub filter_fields: Vec<FilterField>,
    /// What becomes of messages by DATA with a bare LF.
    pub bare_lf: BareLf,
    /// What becomes of messages by BDAT with a bare CR or LF.
    pub bdat_bare_lf: BareLf,
    /// What becomes of messages with a NUL.
    pub nul: Nul,
}

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// How connections become encrypted.
    pub tls: ListenerTls,
    /// Each connection begins with a PROXY header, from a load balancer; who speaks without one is turned away.
    pub proxy: bool,
}

/// How connections of a listener become encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerTls {
    /// STARTTLS is offered.
    Starttls,
    /// From the first octet (RFC 8314).
    Implicit,
    /// Not at all.
    Off,
}

impl Smtp {
    /// Whether a client is one of `relay_networks`.
    pub fn is_relayed(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.relay_networks.iter().any(|network| network.contains(&client))
    }

    /// All listeners: those of `listen` offer STARTTLS.
    pub fn all_listeners(&self) -> Vec<Listener> {
        let plain = |&address: &SocketAddr| Listener {
            address,
            tls: ListenerTls::Starttls,
            proxy: false,
        };
        self.listen
            .iter()
            .map(plain)
            .chain(self.listeners.iter().cloned())
            .collect()
    }
}

/// TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// PEM file of our certificate and its chain; `None` is a self-signed one in the state directory.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key; `None` is the certificate's file.
    pub key: Option<PathBuf>,
    /// Whether mail to next hops by SMTP, and by LMTP over TCP, is encrypted.
    pub next_hop_tls: NextHopTls,
    /// Certificates that `next_hop_tls = "verify"` trusts beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// How STARTTLS is used towards next hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NextHopTls {
    /// Where it is offered, whatever the certificate; without it otherwise.
    #[default]
    Offer,
    /// Always, and the certificate must be good for the host's name.
    Verify,
    /// Never.
    Off,
}

/// What bounds the daemon. Sizes in octets, times in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One-minute load average, truncated, at which new connections are turned away; 0 is off.
    pub load: u32,
    /// Connections in all.
    pub connections: u32,
    /// Connections of one client network (/24, /64).
    pub connections_per_client: u32,
    /// Commands of one connection.
    pub commands: u32,
    /// Recipients of one message.
    pub recipients: u32,
    /// Unrecognised commands of one connection.
    pub unrecognized_commands: u32,
    /// Refused commands of one connection.
    pub errors: u32,
    /// Octets of one message.
    pub message_size: u64,
    /// Octets of one line of a message.
    pub text_line_length: u64,
    /// Octets of all messages that are being received.
    pub body_memory: u64,
    /// Time for one command, and between two reads of a message.
    pub command_timeout_s: u64,
    /// Time for one connection.
    pub session_timeout_s: u64,
    /// Octets a second below which a message's transfer is given up, after a minute; 0 is off.
    pub transfer_rate_min: u64,
    /// Time in which running messages may end after a stop was asked for.
    pub drain_s: u64,
    /// Time for the answer to a message, from its last octet on.
    pub answer_s: u64,
    /// Connections to one next hop.
    pub next_hop_connections: u32,
    /// Time for connecting to a next hop.
    pub next_hop_connect_s: u64,
    /// Time for each reply of a next hop.
    pub next_hop_reply_s: u64,
    /// Octets of the quarantine.
    pub quarantine_size: u64,
    /// Octets of one domain in the quarantine.
    pub quarantine_domain_size: u64,
    /// Octets from one client network in the quarantine.
    pub quarantine_client_size: u64,
    /// Octets that stay free on the quarantine's file system.
    pub quarantine_free: u64,
}

/// Server-wide switches of the judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDefaults {
    /// Judge and record as if, then let pass.
    pub shadow: bool,
    /// Whether any whitelist entry lets mail for unknown users pass; otherwise only `whitelisted/recipients` does.
    pub whitelist_unknown_users: bool,
    /// Checks that `checks/all` switches on beside those of the original.
    pub all_adds: Vec<String>,
}

/// Whom we ask for names, and how patiently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// Whether anything is asked at all.
    pub enabled: bool,
    /// Name servers; empty means the system's.
    pub servers: Vec<SocketAddr>,
    /// They validate, and the way to them is safe, so that the AD bit is believed (RFC 4035 §3.2.3).
    pub trust_ad: bool,
    /// Time for one query, with all tries.
    pub timeout_ms: u64,
    /// Time for all queries of one message.
    pub message_s: u64,
    /// Queries of one message.
    pub message_queries: u32,
    /// Answers that are remembered.
    pub cache_entries: u64,
}

/// How the proofs of a message's origin are made and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSettings {
    /// Our name in Authentication-Results (RFC 8601 §2.5); `None` is `[smtp] hostname`.
    pub authserv_id: Option<mail::Domain>,
    /// A public suffix list; `None` is the one built in.
    pub public_suffix_file: Option<PathBuf>,
    /// Whose ARC results may mend a broken DMARC.
    pub trusted_sealers: Vec<mail::Domain>,
}

/// The virus scanner, for domains with the check `clamav`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClamavSettings {
    /// Where clamd listens.
    pub address: ClamdAddress,
    /// Octets past which a message is not scanned.
    pub size_max: u64,
    /// Time for one scan.
    pub timeout_s: u64,
}

impl Config {
    /// What goes into the policy of each domain.
    pub fn domain_defaults(&self) -> Defaults {
        Defaults {
            shadow: self.policy.shadow,
            whitelist_unknown_users: self.policy.whitelist_unknown_users,
            all_adds: self.policy.all_adds.clone(),
            trusted_sealers: self.auth.trusted_sealers.clone(),
        }
    }

    /// Our name in Authentication-Results.
    pub fn authserv_id(&self) -> &str {
        self.auth
            .authserv_id
            .as_ref()
            .map_or(&self.smtp.hostname, |id| id.as_str())
    }
}

/// The context store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// `sqlite:FILE`; `STATE` in it stands for `[paths] state`.
    pub url: String,
    /// Days for which deliveries are remembered.
    pub keep_days: u32,
    /// Days for which labels, history and correspondents are remembered.
    pub history_days: u32,
    /// Octets past which the oldest are forgotten earlier.
    pub size_max: u64,
}

/// What mailboxes remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReputationSettings {
    /// Whether a mailbox that knows nothing of a sender hears what others here say, as a mild signal.
    pub shared: bool,
}

/// The content filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JunkSettings {
    /// Whether a mailbox hears what words mean to others.
    pub shared: bool,
    /// Octets of the mailboxes' models in memory.
    pub memory: u64,
}

/// The quarantine's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineSettings {
    /// Copies of a mailbox that reputation keeps.
    pub rejects_max: u32,
    /// Days for which they are kept.
    pub rejects_days: u32,
    /// Number days from 0, as the original program did, instead of from 1, as its documentation says.
    pub zero_based_days: bool,
}

impl Default for QuarantineSettings {
    fn default() -> QuarantineSettings {
        QuarantineSettings {
            // As in the reference.
            rejects_max: 1000,
            rejects_days: 14,
            zero_based_days: false,
        }
    }
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// What is logged.
    pub level: LogLevel,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Faults of our own.
    Error,
    /// And trouble with what we depend on.
    Warn,
    /// And each message. The default.
    Info,
    /// And each check.
    Debug,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

impl Default for Limits {
    /// Each value says why in `keys.rs`, where people read it.
    fn default() -> Limits {
        Limits {
            load: 0,
            connections: 1000,
            connections_per_client: 50,
            commands: 10_000,
            recipients: 100,
            unrecognized_commands: 3,
            errors: 20,
            message_size: 50 * MIB,
            text_line_length: 64 * KIB,
            body_memory: 512 * MIB,
            command_timeout_s: 300,
            session_timeout_s: 3600,
            transfer_rate_min: 100,
            drain_s: 30,
            answer_s: 300,
            next_hop_connections: 20,
            next_hop_connect_s: 10,
            next_hop_reply_s: 300,
            quarantine_size: 10 * GIB,
            quarantine_domain_size: 2 * GIB,
            quarantine_client_size: 256 * MIB,
            quarantine_free: 256 * MIB,
        }
    }
}

impl Default for Smtp {
    fn default() -> Smtp {
        Smtp {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 2525))],
            listeners: Vec::new(),
            trusted: Vec::new(),
            greet_delay_ms: 0,
            hostname: system_hostname(),
            relay_networks: Vec::new(),
            default_domain: None,
            filter_fields: FilterField::usual(),
            bare_lf: BareLf::Refuse,
            bdat_bare_lf: BareLf::Normalize,
            nul: Nul::Replace,
        }
    }
}

impl Default for Config {
    /// What holds for keys that a configuration file leaves out.
    fn default() -> Config {
        Config {
            paths: Paths {
                domains: "/srv".into(),
                spam: "/spam".into(),
                state: "/var/lib/mailward".into(),
                blacklist_d: "/etc/blacklist.d".into(),
            },
            smtp: Smtp::default(),
            tls: TlsSettings::default(),
            relay: None,
            speaks_for: Vec::new(),
            deliver: NextHop::Smtp {
                host: "127.0.0.1".into(),
                port: 25,
            },
            limits: Limits::default(),
            policy: PolicyDefaults {
                shadow: false,
                whitelist_unknown_users: true,
                all_adds: Vec::new(),
            },
            dns: DnsSettings {
                enabled: true,
                servers: Vec::new(),
                trust_ad: false,
                timeout_ms: 5000,
                message_s: 20,
                message_queries: 150,
                cache_entries: 50_000,
            },
            auth: AuthSettings {
                authserv_id: None,
                public_suffix_file: None,
                trusted_sealers: Vec::new(),
            },
            clamav: ClamavSettings {
                address: ClamdAddress::Unix("/run/clamav/clamd.ctl".into()),
                size_max: 25 * MIB,
                timeout_s: 60,
            },
            store: StoreSettings {
                url: "sqlite:STATE/mailward.db".into(),
                keep_days: 365,
                history_days: 1100,
                size_max: 2 * GIB,
            },
            reputation: ReputationSettings { shared: true },
            junk: JunkSettings {
                shared: true,
                memory: 64 * MIB,
            },
            quarantine: QuarantineSettings::default(),
            log: Log {
                format: LogFormat::Text,
                level: LogLevel::Info,
            },
            process: Process::default(),
            control: Control::default(),
            metrics: Metrics::default(),
        }
    }
}

impl Config {
    /// Reads a file. All its faults at once.
    pub fn load(path: &Path) -> Result<Config, Vec<Fault>> {
        let text = std::fs::read_to_string(path).map_err(|error| vec![Fault::unreadable(path, &error)])?;
        Config::parse(path, &text)
    }

    /// Reads a text; `path` is named in faults.
    pub fn parse(path: &Path, text: &str) -> Result<Config, Vec<Fault>> {
        read::read(path, text)
    }

    /// What holds without a configuration file: everything below `root`, mail into Maildirs.
    pub fn first_run(root: &Path) -> Config {
        let maildir = format!("maildir:{}/mail/{{domain}}/{{local}}", root.display());
        let config = Config::default();
        Config {
            paths: Paths {
                domains: root.join("domains"),
                spam: root.join("spam"),
                state: root.join("state"),
                blacklist_d: root.join("blacklist.d"),
            },
            deliver: maildir.parse().unwrap_or(config.deliver),
            ..config
        }
    }

    /// The whole configuration with a comment above each key. It reads back equal.
    pub fn print(&self) -> String {
        keys::print(self)
    }

    /// Whether a next hop is one of our own doors, so that mail would come back to us for ever. A name is not looked up,
    /// but for `localhost`.
    pub fn is_ourselves(&self, hop: &NextHop) -> bool {
        let (NextHop::Smtp { host, port } | NextHop::Lmtp { host, port }) = hop else {
            return false;
        };
        let doors = self.smtp.all_listeners().into_iter().map(|listener| listener.address);
        let mut doors = doors.filter(|door| door.port() == *port);
        match host.parse::<IpAddr>() {
            Ok(ip) => doors.any(|door| answers(door.ip().to_canonical(), ip.to_canonical())),
            Err(_) if host.trim_end_matches('.').eq_ignore_ascii_case("localhost") => {
                doors.any(|door| door.ip().is_unspecified() || door.ip().to_canonical().is_loopback())
            }
            Err(_) => false,
        }
    }

    /// The store's file.
    pub fn store_path(&self) -> PathBuf {
        let file = self.store.url.strip_prefix("sqlite:").unwrap_or(&self.store.url);
        match file.strip_prefix("STATE/") {
            Some(name) => self.paths.state.join(name),
            None => PathBuf::from(file),
        }
    }
}

/// Whether a door at `door` answers who connects to `ip`: at the same address, or at all of this machine, of which
/// loopback's are known.
fn answers(door: IpAddr, ip: IpAddr) -> bool {
    // Whoever connects to the unspecified address reaches loopback.
    let is_local = ip.is_loopback() || ip.is_unspecified();
    match (door, ip) {
        _ if door == ip => true,
        (IpAddr::V4(door), IpAddr::V4(_)) => {
            door.is_unspecified() && is_local || door.is_loopback() && ip.is_unspecified()
        }
        // A door of all IPv6 addresses is one of all IPv4 addresses too.
        (IpAddr::V6(door), _) => {
            door.is_unspecified() && is_local || door.is_loopback() && ip.is_unspecified() && ip.is_ipv6()
        }
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    }
}

/// The system's name where it is a domain name, as RFC 5321 §2.3.5 wants it; `localhost` otherwise.
fn system_hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    mail::Domain::parse(&name).map_or_else(|_| "localhost".into(), String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_hop_at_one_of_our_doors_is_ourselves() {
        let is_ourselves = |door: &str, hop: &str| {
            let mut config = Config::default();
            config.smtp.listen = vec!["192.0.2.9:2525".parse().unwrap(), door.parse().unwrap()];
            config.is_ourselves(&hop.parse().unwrap())
        };
        for (door, hop) in [
            ("127.0.0.1:25", "smtp:127.0.0.1:25"),
            ("127.0.0.1:25", "smtp:localhost:25"),
            ("127.0.0.1:25", "smtp:0.0.0.0:25"),
            ("127.0.0.1:25", "smtp:[::ffff:127.0.0.1]:25"),
            ("[::1]:25", "smtp:[::1]:25"),
            ("[::1]:25", "smtp:LocalHost.:25"),
            ("[::1]:25", "smtp:[::]:25"),
            ("0.0.0.0:25", "smtp:127.0.0.1:25"),
            ("0.0.0.0:25", "smtp:127.1.2.3:25"),
            ("0.0.0.0:25", "smtp:localhost:25"),
            ("[::]:25", "smtp:127.0.0.1:25"),
            ("[::]:25", "smtp:[::1]:25"),
            ("192.0.2.1:25", "smtp:192.0.2.1:25"),
            ("192.0.2.1:25", "smtp:192.0.2.9:2525"),
        ] {
            assert!(is_ourselves(door, hop), "{door} {hop}");
        }
        for (door, hop) in [
            ("127.0.0.1:25", "smtp:127.0.0.1:26"),
            ("127.0.0.1:25", "smtp:127.0.0.2:25"),
            ("127.0.0.1:25", "smtp:[::1]:25"),
            ("127.0.0.1:25", "smtp:mx.example:25"),
            ("0.0.0.0:25", "smtp:[::1]:25"),
            ("0.0.0.0:25", "smtp:192.0.2.1:25"),
            ("[::1]:25", "smtp:127.0.0.1:25"),
            ("192.0.2.1:25", "smtp:localhost:25"),
            ("192.0.2.1:25", "smtp:127.0.0.1:25"),
            ("127.0.0.1:25", "maildir:/var/mail/{local}"),
        ] {
            assert!(!is_ourselves(door, hop), "{door} {hop}");
        }
    }
}
