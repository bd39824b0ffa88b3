//! Where the scanner listens, as operators write it: `unix:/SOCKET` or `tcp:HOST:PORT`; both also without the scheme.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where clamd listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ClamdAddress {
    /// A Unix socket, by its absolute path.
    Unix(PathBuf),
    /// A name or address, without brackets, and a port.
    Tcp(String, u16),
}

/// Why a text names no scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClamdAddressError {
    /// The socket's path is not absolute: which socket that is would depend on where the daemon was started.
    Relative(String),
    /// No port, or one outside of 1..=65535.
    Port(String),
    /// Nothing where the host should be, or what no host is called.
    Host(String),
}

impl FromStr for ClamdAddress {
    type Err = ClamdAddressError;

    fn from_str(text: &str) -> Result<ClamdAddress, ClamdAddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(ClamdAddress::Unix(path.into())),
                false => Err(ClamdAddressError::Relative(path.into())),
            };
        }
        if text.starts_with('/') {
            return Ok(ClamdAddress::Unix(text.into()));
        }
        let server = text.strip_prefix("tcp:").unwrap_or(text);
        let no_port = || ClamdAddressError::Port(server.into());
        let (written, port) = server.rsplit_once(':').ok_or_else(no_port)?;
        let inside = written.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = inside.unwrap_or(written);
        // `::1` has no port, and looks as if it had.
        let is_bare_ipv6 = inside.is_none() && host.contains(':');
        if host.is_empty() || is_bare_ipv6 || host.contains(['/', '[', ']']) || host.contains(char::is_whitespace) {
            return Err(ClamdAddressError::Host(server.into()));
        }
        let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(no_port)?;
        Ok(ClamdAddress::Tcp(host.into(), port))
    }
}

/// The form that reads back.
impl fmt::Display for ClamdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClamdAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            ClamdAddress::Tcp(host, port) if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            ClamdAddress::Tcp(host, port) => write!(f, "tcp:{host}:{port}"),
        }
    }
}

impl ClamdAddressError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            ClamdAddressError::Relative(_) => "write the whole path, `unix:/run/clamav/clamd.ctl`".into(),
            ClamdAddressError::Port(host) if !host.is_empty() && !host.contains(':') => {
                format!("write `tcp:{host}:3310`, or `unix:/run/clamav/clamd.ctl`")
            }
            ClamdAddressError::Port(_) => "write `tcp:127.0.0.1:3310`, or `unix:/run/clamav/clamd.ctl`".into(),
            ClamdAddressError::Host(_) => "write `tcp:127.0.0.1:3310`, or `tcp:[::1]:3310` for IPv6".into(),
        }
    }
}

impl fmt::Display for ClamdAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClamdAddressError::Relative(path) => write!(f, "the scanner's socket is no absolute path: `{path}`"),
            ClamdAddressError::Port(server) => write!(f, "the scanner has no port: `{server}`"),
            ClamdAddressError::Host(server) => write!(f, "the scanner has no host: `{server}`"),
        }
    }
}

impl std::error::Error for ClamdAddressError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_with_and_without_their_scheme() {
        for (text, shown) in [
            ("unix:/run/clamav/clamd.ctl", "unix:/run/clamav/clamd.ctl"),
            ("/run/clamav/clamd.ctl", "unix:/run/clamav/clamd.ctl"),
            ("tcp:clamd.example:3310", "tcp:clamd.example:3310"),
            ("clamd.example:3310", "tcp:clamd.example:3310"),
            ("127.0.0.1:1", "tcp:127.0.0.1:1"),
            ("[2001:db8::1]:3310", "tcp:[2001:db8::1]:3310"),
        ] {
            assert_eq!(text.parse::<ClamdAddress>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_said_with_the_next_step() {
        for (text, message, hint) in [
            (
                "unix:run/clamd",
                "the scanner's socket is no absolute path: `run/clamd`",
                "unix:/run/clamav/clamd.ctl",
            ),
            ("", "the scanner has no port: ``", "tcp:127.0.0.1:3310"),
            (
                "clamd.example",
                "the scanner has no port: `clamd.example`",
                "tcp:clamd.example:3310",
            ),
            (
                "clamd.example:0",
                "the scanner has no port: `clamd.example:0`",
                "tcp:127.0.0.1:3310",
            ),
            (
                "tcp:a:65536",
                "the scanner has no port: `a:65536`",
                "tcp:127.0.0.1:3310",
            ),
            (":3310", "the scanner has no host: `:3310`", "tcp:127.0.0.1:3310"),
            ("::1:3310", "the scanner has no host: `::1:3310`", "tcp:[::1]:3310"),
            (
                "run/clamd:1",
                "the scanner has no host: `run/clamd:1`",
                "tcp:127.0.0.1:3310",
            ),
        ] {
            let error = text.parse::<ClamdAddress>().unwrap_err();
            assert_eq!(error.to_string(), message, "{text}");
            assert!(error.hint().contains(hint), "{text}: {}", error.hint());
        }
    }

    proptest! {
        #[test]
        fn any_address_reads_back_as_it_is_shown(text in "(unix:|tcp:)?(/|\\[)?[a-z0-9.:\\]]{0,12}(:[0-9]{1,5})?|\\PC{0,20}") {
            if let Ok(address) = text.parse::<ClamdAddress>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
    }
}
