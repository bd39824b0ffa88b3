//! Where accepted mail goes, as operators write it: `smtp:HOST:PORT`, `lmtp:HOST:PORT`, `lmtp:/SOCKET`,
//! `maildir:/DIR/{domain}/{local}` or `bsmtp:/PROGRAM ARGUMENTS`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The server, directory or program that takes accepted mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// A mail server that speaks SMTP: `smtp:HOST:PORT`; an IPv6 address stands in brackets.
    Smtp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A server that speaks LMTP (RFC 2033) over TCP: `lmtp:HOST:PORT`.
    Lmtp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A server that speaks LMTP on a Unix socket: `lmtp:/SOCKET`.
    LmtpSocket(PathBuf),
    /// One Maildir for each mailbox. `{domain}` and `{local}` stand for the mailbox's parts.
    Maildir(MaildirTemplate),
    /// A program that reads an SMTP session from its standard input: `bsmtp:/PROGRAM ARGUMENTS`.
    Bsmtp(Program),
}

/// A path with `{domain}` and `{local}` in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MaildirTemplate(String);

/// A program and its arguments, divided at blanks. No shell reads them, so there are no quotes and no variables: who
/// needs an argument with a blank in it writes a script.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Program {
    words: Vec<String>,
}

/// Why a text is no next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextHopError {
    /// The part before the first colon is none of ours.
    Scheme(String),
    /// No port, or one outside of 1..=65535.
    Port {
        /// The part before the first colon.
        scheme: &'static str,
        /// What should have been a host and a port.
        rest: String,
    },
    /// Nothing where the host should be.
    Host {
        /// The part before the first colon.
        scheme: &'static str,
    },
    /// The Maildir's path is not absolute.
    Relative(String),
    /// The Maildir's path lacks `{local}`, so all mail would fall into one box.
    NoLocal(String),
    /// The program's path is not absolute: which program that is would depend on where the daemon was started.
    RelativeProgram(String),
    /// Only the main configuration may name this one.
    MainConfigOnly(String),
}

impl FromStr for NextHop {
    type Err = NextHopError;

    fn from_str(text: &str) -> Result<NextHop, NextHopError> {
        let (scheme, rest) = text.split_once(':').ok_or_else(|| NextHopError::Scheme(text.into()))?;
        match scheme {
            "smtp" => server("smtp", rest).map(|(host, port)| NextHop::Smtp { host, port }),
            "lmtp" if rest.starts_with('/') => Ok(NextHop::LmtpSocket(rest.into())),
            "lmtp" => server("lmtp", rest).map(|(host, port)| NextHop::Lmtp { host, port }),
            "maildir" => {
                if !rest.starts_with('/') {
                    return Err(NextHopError::Relative(rest.into()));
                }
                if !rest.contains("{local}") {
                    return Err(NextHopError::NoLocal(rest.into()));
                }
                Ok(NextHop::Maildir(MaildirTemplate(rest.into())))
            }
            "bsmtp" => {
                let words: Vec<String> = rest.split_ascii_whitespace().map(String::from).collect();
                match words.first() {
                    Some(path) if path.starts_with('/') => Ok(NextHop::Bsmtp(Program { words })),
                    _ => Err(NextHopError::RelativeProgram(rest.trim().into())),
                }
            }
            _ => Err(NextHopError::Scheme(scheme.into())),
        }
    }
}

/// `HOST:PORT`, an IPv6 address in brackets.
fn server(scheme: &'static str, rest: &str) -> Result<(String, u16), NextHopError> {
    let no_port = || NextHopError::Port {
        scheme,
        rest: rest.into(),
    };
    let (host, port) = rest.rsplit_once(':').ok_or_else(no_port)?;
    let port: u16 = port.parse().ok().filter(|&p| p > 0).ok_or_else(no_port)?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || host.contains(['/', ' ']) {
        return Err(NextHopError::Host { scheme });
    }
    Ok((host.into(), port))
}

impl MaildirTemplate {
    /// As the operator wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Program {
    /// The program's file.
    pub fn path(&self) -> &Path {
        Path::new(self.words.first().map_or("", String::as_str))
    }

    /// Its arguments.
    pub fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextHop::Smtp { host, port } if host.contains(':') => write!(f, "smtp:[{host}]:{port}"),
            NextHop::Smtp { host, port } => write!(f, "smtp:{host}:{port}"),
            NextHop::Lmtp { host, port } if host.contains(':') => write!(f, "lmtp:[{host}]:{port}"),
            NextHop::Lmtp { host, port } => write!(f, "lmtp:{host}:{port}"),
            NextHop::LmtpSocket(path) => write!(f, "lmtp:{}", path.display()),
            NextHop::Maildir(MaildirTemplate(path)) => write!(f, "maildir:{path}"),
            NextHop::Bsmtp(program) => write!(f, "bsmtp:{program}"),
        }
    }
}

impl fmt::Display for NextHopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextHopError::Scheme(text) => write!(f, "not a next hop: `{text}`"),
            NextHopError::Port { rest, .. } => write!(f, "the next hop has no port: `{rest}`"),
            NextHopError::Host { .. } => write!(f, "the next hop has no host"),
            NextHopError::Relative(path) => write!(f, "the Maildir's path does not begin with `/`: `{path}`"),
            NextHopError::NoLocal(path) => write!(f, "the Maildir's path lacks `{{local}}`: `{path}`"),
            NextHopError::RelativeProgram(path) => write!(f, "the program's path does not begin with `/`: `{path}`"),
            NextHopError::MainConfigOnly(text) => write!(f, "only the main configuration may run programs: `{text}`"),
        }
    }
}

impl NextHopError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            NextHopError::Scheme(_) => {
                "write `smtp:HOST:PORT`, `lmtp:HOST:PORT`, `lmtp:/SOCKET` or `maildir:/DIR/{domain}/{local}`".into()
            }
            NextHopError::Port { scheme: "lmtp", rest } if rest.is_empty() || rest.contains('/') => {
                "write `lmtp:HOST:PORT` or `lmtp:/SOCKET`".into()
            }
            // RFC 2033 §5: LMTP must not be served on port 25; 24 is the usual one.
            NextHopError::Port { scheme: "lmtp", rest } => format!("write `lmtp:{}:24`", rest.trim_end_matches(':')),
            NextHopError::Port { scheme, rest } => format!("write `{scheme}:{}:25`", rest.trim_end_matches(':')),
            NextHopError::Host { scheme: "lmtp" } => "write `lmtp:127.0.0.1:24` or `lmtp:/SOCKET`".into(),
            NextHopError::Host { scheme } => format!("write `{scheme}:127.0.0.1:25`"),
            NextHopError::Relative(_) => "write the whole path, as in `maildir:/var/mail/{domain}/{local}`".into(),
            NextHopError::NoLocal(path) => format!("write `maildir:{}/{{local}}`", path.trim_end_matches('/')),
            NextHopError::RelativeProgram(_) => "write the whole path, as in `bsmtp:/usr/sbin/rsmtp -bS`".into(),
            NextHopError::MainConfigOnly(_) => "set `[deliver] to` in the main configuration".into(),
        }
    }
}

impl std::error::Error for NextHopError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_hops_read_back_as_they_are_written() {
        for text in [
            "smtp:127.0.0.1:25",
            "smtp:mx.example:2525",
            "smtp:[::1]:25",
            "lmtp:mx.example:24",
            "lmtp:[::1]:24",
            "lmtp:/run/dovecot/lmtp",
            "maildir:/var/mail/{domain}/{local}",
            "bsmtp:/usr/sbin/rsmtp -bS",
        ] {
            assert_eq!(text.parse::<NextHop>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_fault_has_a_hint_that_is_right() {
        for text in [
            "mx.example",
            "smtp:mx.example",
            "smtp::25",
            "smtp:mx.example:0",
            "maildir:mail/{local}",
            "lmtp:mx.example",
            "lmtp:",
            "lmtp::24",
            "lmtp:run/dovecot/lmtp",
            "maildir:/var/mail",
            "bsmtp:rsmtp -bS",
            "bsmtp:",
            "bsmtp: ",
        ] {
            let error = text.parse::<NextHop>().unwrap_err();
            assert!(!error.hint().is_empty() && !error.to_string().is_empty());
        }
        assert_eq!(
            "smtp:mx.example".parse::<NextHop>().unwrap_err().hint(),
            "write `smtp:mx.example:25`"
        );
        assert_eq!(
            "lmtp:mx.example".parse::<NextHop>().unwrap_err().hint(),
            "write `lmtp:mx.example:24`"
        );
    }

    #[test]
    fn a_programs_arguments_are_divided_at_blanks_and_nothing_else() {
        let hop = "bsmtp: /usr/bin/x  -a\t'b c' $HOME;id ".parse::<NextHop>().unwrap();
        let NextHop::Bsmtp(program) = &hop else {
            panic!("{hop:?}");
        };
        assert_eq!(program.path(), Path::new("/usr/bin/x"));
        assert_eq!(program.arguments(), ["-a", "'b", "c'", "$HOME;id"]);
        assert_eq!(hop.to_string(), "bsmtp:/usr/bin/x -a 'b c' $HOME;id");
    }
}
