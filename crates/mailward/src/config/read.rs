//! Reading a configuration file: all faults at once, each with its line and the nearest right word.

use super::Config;
use super::keys::{KEYS, Key, Wrong};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// One fault of a configuration file, or of a file in the domains' tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Fault {
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => {
                Some("run `mailward serve` without `--config` to try it out, or write the file".into())
            }
            _ => None,
        };
        Fault {
            path: path.into(),
            line: None,
            message: format!("cannot read the configuration: {error}"),
            hint,
        }
    }
}

/// `error: FILE:LINE: message`, then `hint: ...` on a line of its own.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    config: Config,
    faults: Vec<Fault>,
}

pub(super) fn read(path: &Path, text: &str) -> Result<Config, Vec<Fault>> {
    let mut reader = Reader {
        path,
        text,
        config: Config::default(),
        faults: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reader.fault(error.span().unwrap_or(0..0), error.message().to_owned(), None);
    }
    // What follows a broken line is often misread; more faults would only confuse.
    if reader.faults.is_empty() {
        reader.sections(table.get_ref());
        reader.whole();
    }
    if reader.faults.is_empty() {
        return Ok(reader.config);
    }
    reader.faults.sort_by_key(|fault| fault.line);
    Err(reader.faults)
}

impl Reader<'_> {
    fn fault(&mut self, span: Range<usize>, message: String, hint: Option<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        self.faults.push(Fault {
            path: self.path.into(),
            line: Some(line),
            message,
            hint,
        });
    }

    fn sections(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let keys: Vec<&Key> = KEYS.iter().filter(|key| key.section == name.get_ref()).collect();
            if keys.is_empty() {
                let hint = nearest(name.get_ref(), KEYS.iter().map(|key| key.section))
                    .map(|word| format!("did you mean `[{word}]`?"));
                self.fault(name.span(), format!("unknown section: `[{}]`", name.get_ref()), hint);
                continue;
            }
            match value.get_ref() {
                DeValue::Table(section) => self.section(name.get_ref(), &keys, section),
                _ => self.fault(
                    value.span(),
                    format!("`{0}` is a section: write `[{0}]`", name.get_ref()),
                    None,
                ),
            }
        }
    }

    fn section(&mut self, section: &str, keys: &[&Key], table: &DeTable<'_>) {
        for (name, value) in table {
            let Some(key) = keys.iter().find(|key| key.name == name.get_ref()) else {
                let hint = nearest(name.get_ref(), keys.iter().map(|key| key.name))
                    .map(|word| format!("did you mean `{word}`?"));
                self.fault(
                    name.span(),
                    format!("unknown key in `[{section}]`: `{}`", name.get_ref()),
                    hint,
                );
                continue;
            };
            if let Err(Wrong { message, hint }) = (key.set)(&mut self.config, value.get_ref()) {
                self.fault(value.span(), format!("`{}`: {message}", key.name), hint);
            }
        }
    }

    /// What no single key can tell.
    fn whole(&mut self) {
        self.operation();
        let Config {
            smtp, relay, deliver, ..
        } = &self.config;
        let mut faults = Vec::new();
        if !smtp.relay_networks.is_empty() && relay.is_none() {
            faults.push((
                "`[smtp] relay_networks` is set, but not where their mail goes".into(),
                "set `[relay] to = \"smtp:HOST:PORT\"`".into(),
            ));
        }
        if smtp.all_listeners().is_empty() {
            faults.push((
                "`[smtp] listen` is empty: there is no door".into(),
                "write `listen = [\"127.0.0.1:2525\"]`".into(),
            ));
        }
        let hops = [("[deliver] to", Some(deliver)), ("[relay] to", relay.as_ref())];
        for (key, hop) in hops {
            if let Some(hop) = hop.filter(|hop| self.config.is_ourselves(hop)) {
                faults.push((
                    format!("`{key}` leads back to `[smtp] listen`, so mail would go in circles: `{hop}`"),
                    "name the mail server behind the gateway, at another address or port".into(),
                ));
            }
        }
        let fault = |(message, hint)| Fault {
            path: self.path.into(),
            line: None,
            message,
            hint: Some(hint),
        };
        self.faults.extend(faults.into_iter().map(fault));
    }

    /// The same, of the daemon as a process.
    fn operation(&mut self) {
        let mut fault = |message: String, hint: &str| {
            self.faults.push(Fault {
                path: self.path.into(),
                line: None,
                message,
                hint: Some(hint.into()),
            });
        };
        let Config { process, metrics, .. } = &self.config;
        if process.group.is_some() && process.user.is_none() {
            fault(
                "`[process] group` is set, but not the user".into(),
                "set `[process] user` too",
            );
        }
        for address in metrics.listen.iter().filter(|_| !metrics.public) {
            if !address.ip().to_canonical().is_loopback() {
                fault(
                    format!("`[metrics] listen`: others than this machine could read there: `{address}`"),
                    "listen on 127.0.0.1 or ::1, or set `[metrics] public = true`",
                );
            }
        }
    }
}

/// The known word that differs least, if it is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|k| (strsim::damerau_levenshtein(&word.to_lowercase(), k), k))
        .filter(|(distance, k)| *distance <= 1 + k.len().max(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> String {
        let faults = Config::parse(Path::new("mailward.toml"), text).unwrap_err();
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn all_faults_are_reported_at_once_with_line_and_nearest_word() {
        let text = "[smpt]\n[smtp]\nlisten = \"x\"\nhostnam = \"a\"\n[deliver]\nto = \"smtp:mx.example\"\n[limits]\nload = -1\nmessage_size = \"50 MB\"\n";
        insta::assert_snapshot!(faults(text), @r#"
        error: mailward.toml:1: unknown section: `[smpt]`
        hint: did you mean `[smtp]`?
        error: mailward.toml:3: `listen`: a list is wanted: ["127.0.0.1:2525"]
        error: mailward.toml:4: unknown key in `[smtp]`: `hostnam`
        hint: did you mean `hostname`?
        error: mailward.toml:6: `to`: the next hop has no port: `mx.example`
        hint: write `smtp:mx.example:25`
        error: mailward.toml:8: `load`: the number is negative or too large
        error: mailward.toml:9: `message_size`: not a size: `50 MB`
        hint: write `"50 MiB"`, or a number of octets
        "#);
    }

    #[test]
    fn a_broken_line_is_named() {
        insta::assert_snapshot!(faults("[smtp]\nlisten = \n"), @"error: mailward.toml:2: string values must be quoted, expected literal string");
        insta::assert_snapshot!(faults("[smtp]\nrelay_networks = [\"10.0.0.0/8\"]\n"), @r#"
        error: mailward.toml: `[smtp] relay_networks` is set, but not where their mail goes
        hint: set `[relay] to = "smtp:HOST:PORT"`
        "#);
    }

    #[test]
    fn what_would_go_in_circles_or_is_too_small_is_refused() {
        insta::assert_snapshot!(faults("[smtp]\nlisten = [\"0.0.0.0:25\"]\n[relay]\nto = \"smtp:localhost:25\"\n"), @r"
        error: mailward.toml: `[deliver] to` leads back to `[smtp] listen`, so mail would go in circles: `smtp:127.0.0.1:25`
        hint: name the mail server behind the gateway, at another address or port
        error: mailward.toml: `[relay] to` leads back to `[smtp] listen`, so mail would go in circles: `smtp:localhost:25`
        hint: name the mail server behind the gateway, at another address or port
        ");
        insta::assert_snapshot!(faults("[relay]\nto = \"maildir:/var/mail/{local}\"\n"), @r"
        error: mailward.toml:2: `to`: mail is relayed to a mail server, never into Maildirs: `maildir:/var/mail/{local}`
        hint: write `smtp:HOST:PORT`
        ");
        insta::assert_snapshot!(faults("[limits]\nmessage_size = 65535\ntext_line_length = 999\n"), @r#"
        error: mailward.toml:2: `message_size`: too small: 65535 octets
        hint: write "64 KiB" or more
        error: mailward.toml:3: `text_line_length`: too small: 999 octets
        hint: write 1000 or more
        "#);
        let least =
            "[limits]\nmessage_size = 65536\nbody_memory = 65536\ntext_line_length = 1000\nquarantine_size = 0\n";
        assert!(Config::parse(Path::new("x"), least).is_ok());
    }

    #[test]
    fn metrics_stay_on_loopback_unless_they_are_said_to_be_public() {
        let read = |text: &str| Config::parse(Path::new("x"), text);
        let fault = |text: &str| read(text).unwrap_err()[0].to_string();
        insta::assert_snapshot!(fault("[metrics]\nlisten = [\"127.0.0.1:9125\", \"0.0.0.0:9125\"]"), @r"
        error: x: `[metrics] listen`: others than this machine could read there: `0.0.0.0:9125`
        hint: listen on 127.0.0.1 or ::1, or set `[metrics] public = true`
        ");
        assert!(read("[metrics]\nlisten = [\"[::1]:9125\", \"[::ffff:127.0.0.1]:9125\"]").is_ok());
        assert!(read("[metrics]\nlisten = [\"0.0.0.0:9125\"]\npublic = true").is_ok());
        insta::assert_snapshot!(fault("[process]\ngroup = \"mail\""), @r"
        error: x: `[process] group` is set, but not the user
        hint: set `[process] user` too
        ");
    }

    #[test]
    fn the_printed_configuration_reads_back_equal() {
        for config in [Config::default(), Config::first_run(Path::new("/data"))] {
            let printed = config.print();
            assert_eq!(Config::parse(Path::new("x"), &printed).unwrap(), config, "{printed}");
        }
        let text = "[smtp]\nrelay_networks = [\"10.0.0.0/8\", \"::1\"]\ndefault_domain = \"example.com\"\n[relay]\nto = \"lmtp:/run/dovecot/lmtp\"\n[deliver]\nto = \"bsmtp:/usr/sbin/rsmtp -bS\"\n[log]\nformat = \"json\"\n[process]\nuser = \"mailward\"\ngroup = \"mail\"\ncore_dumps = true\n[control]\nuser_domain = \"example.com\"\n[metrics]\nlisten = [\"0.0.0.0:9125\"]\npublic = true\n";
        let more = "[[smtp.listener]]\naddress = \"[::1]:465\"\ntls = \"implicit\"\n[[smtp.listener]]\naddress = \"127.0.0.1:26\"\nproxy = true\n[tls]\ncertificate = \"/etc/x.pem\"\nnext_hop_tls = \"verify\"\nca_file = \"/etc/ca.pem\"\n";
        let config = Config::parse(Path::new("x"), &format!("{text}{more}")).unwrap();
        assert_eq!(config.smtp.all_listeners().len(), 3);
        assert_eq!(Config::parse(Path::new("x"), &config.print()).unwrap(), config);
    }
}
