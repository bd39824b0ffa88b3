//! `mailward scan`: judges messages that lie somewhere, by the code that judges at the door.

use super::{Trouble, complain, explain, harmless, harmless_json, load};
use crate::body::Body;
use crate::client::Client;
use crate::config::Config;
use crate::domains::{DomainView, Domains, Found, Roots};
use crate::gateway::unfit;
use crate::judgement::headers::as_it_came;
use crate::judgement::{Content, FactSources, Incoming, JudgedRecipient, Judgement, Names, Recipient, WithoutNames};
use clap::Args;
use jiff::Zoned;
use judge::checks::{Check, InAll};
use judge::evidence::{MessageFacts, RecipientFacts, UserStanding};
use judge::policy::{Checks, Policy, Rules};
use judge::verdict::{Disposition, Rejection, Verdict};
use judge::zone::ZoneFile;
use mail::smtp::conduct::Conduct;
use mail::{Address, Line, MailboxId, Message, ReversePath};
use std::collections::BTreeMap;
use std::io::{BufWriter, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

pub(super) mod sources;

use sources::{Found as FoundMessage, Sources};

/// How many messages pass between two lines of progress.
const PROGRESS_EVERY: u64 = 500;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Message files, mboxes, Maildirs or folders of messages; `-` or nothing is standard input
    paths: Vec<PathBuf>,
    /// Judge as if this address had connected
    #[arg(long, value_name = "IP")]
    client_ip: Option<IpAddr>,
    /// Judge as if it had called itself so; without it the check `helo` is not asked
    #[arg(long, value_name = "NAME")]
    helo: Option<String>,
    /// Judge as if MAIL FROM had carried this; `<>` is a notification. Default: the message's Return-Path
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Judge for this recipient, by its domain's files; without it by `checks/all` and no lists
    #[arg(long, value_name = "ADDRESS")]
    rcpt: Option<String>,
    /// Answer DNS from this zone file; the virus scanner is asked as at the door
    #[arg(long, value_name = "FILE", conflicts_with = "online")]
    dns: Option<PathBuf>,
    /// Ask DNS and the virus scanner, as at the door
    #[arg(long)]
    online: bool,
    /// Judge as if it had come at this time: seconds since 1970. Default: now
    #[arg(long, value_name = "SECONDS")]
    time: Option<i64>,
    /// One JSON object a message
    #[arg(long)]
    json: bool,
}

/// By what all messages are judged.
struct Bench {
    client: Client,
    helo: Line,
    from: Option<ReversePath>,
    address: Address,
    domain: Option<Arc<DomainView>>,
    policy: Arc<Policy>,
    received_s: i64,
    runtime: tokio::runtime::Runtime,
    judgement: Judgement,
    dns: Dns,
}

/// Who answers questions about names.
enum Dns {
    Nobody,
    File(ZoneFile),
    Online,
}

pub(super) fn run(config: Option<&Path>, options: &Options) -> Result<ExitCode, Trouble> {
    let config = load(config)?;
    let bench = Bench::new(&config, options)?;
    let mut sources = Sources::new(&options.paths, config.limits.message_size)?;
    let mut report = Report::new(options.json, sources.is_single());
    let mut out = BufWriter::new(std::io::stdout().lock());
    while let Some(found) = sources.next_message() {
        match found {
            Ok(FoundMessage { name, octets, is_cut }) => {
                let judged = if is_cut {
                    too_large(&config)
                } else {
                    bench.judge(octets)
                };
                report.add(&mut out, &name, &judged)?;
            }
            Err(trouble) => report.trouble(&trouble),
        }
    }
    report.end(&mut out)?;
    out.flush()?;
    Ok(report.exit_code())
}

/// One message, judged.
struct Judged {
    facts: Option<MessageFacts>,
    recipient: Option<RecipientFacts>,
    verdict: Verdict,
    /// Refused before any verdict: what the sender would be told.
    unfit: Option<String>,
}

fn too_large(config: &Config) -> Judged {
    let text = format!(
        "552 5.3.4 larger than `[limits] message_size` ({} octets)",
        config.limits.message_size
    );
    Judged::unfit(text)
}

impl Judged {
    fn unfit(text: String) -> Judged {
        let verdict = Verdict {
            disposition: Disposition::Reject(Rejection::Policy),
            reasons: Vec::new(),
        };
        Judged {
            facts: None,
            recipient: None,
            verdict,
            unfit: Some(text),
        }
    }

    /// What was judged for the one recipient there is; `has_domain` says whether it is one of ours.
    fn of(judged: crate::judgement::Judged, has_domain: bool) -> Judged {
        let mut recipients = judged.recipients.into_iter();
        let Some(JudgedRecipient { facts, verdict, .. }) = recipients.next() else {
            return Judged::unfit("there is no recipient".into());
        };
        Judged {
            facts: Some(judged.facts),
            recipient: has_domain.then_some(facts),
            verdict,
            unfit: None,
        }
    }

    fn reason(&self) -> String {
        let reason = self.verdict.decisive().map(|reason| reason.text.to_string());
        self.unfit.clone().or(reason).unwrap_or_default()
    }
}

impl Bench {
    fn new(config: &Config, options: &Options) -> Result<Bench, Trouble> {
        let from = options.from.as_deref().map(|text| {
            let inside = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or(text);
            ReversePath::parse(inside).map_err(|error| Trouble::new(format!("--from: {error}: `{text}`")))
        });
        let (address, domain) = recipient(config, options.rcpt.as_deref())?;
        let dns = match (&options.dns, options.online) {
            (Some(path), _) => Dns::File(zone_file(path)?),
            (None, true) => Dns::Online,
            (None, false) => Dns::Nobody,
        };
        let mut config = config.clone();
        config.dns.enabled &= options.online;
        let judgement = Judgement::open(&config, None).map_err(|(error, hint)| Trouble::Said(error, hint))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Trouble::new)?;
        let mut policy = domain
            .as_ref()
            .map_or_else(checks_all, |view| Policy::clone(view.policy()));
        if options.helo.is_none() {
            policy.checks.rules.set(Check::Helo, None);
        }
        Ok(Bench {
            client: client(options.client_ip, &config),
            helo: Line::clean(
                options.helo.as_deref().unwrap_or("unknown").as_bytes(),
                mail::limits::HELO_OCTETS_MAX,
            ),
            from: from.transpose()?,
            address,
            domain,
            policy: Arc::new(policy),
            received_s: options.time.unwrap_or_else(|| Zoned::now().timestamp().as_second()),
            runtime,
            judgement,
            dns,
        })
    }

    fn judge(&self, octets: Vec<u8>) -> Judged {
        // Signatures are of messages as they came over the line; files may have lost the CR.
        let octets = match self.dns {
            Dns::Nobody => octets,
            Dns::File(_) | Dns::Online => with_crlf(octets),
        };
        let message = Message::parse(&octets);
        let reverse_path = self.from.clone().unwrap_or_else(|| return_path(&message));
        let came = as_it_came(&message, self.judgement.own_names(), &self.client);
        let octets = came.unwrap_or_else(|| octets.clone());
        let body = Arc::new(Body::from(octets));
        let message = Message::parse(&body.head);
        if let Some((_, reply)) = unfit(&message) {
            return Judged::unfit(reply.to_string());
        }
        let client = self.client;
        let incoming = Incoming {
            received_s: self.received_s,
            client,
            helo: self.helo.clone(),
            recipients: vec![self.recipient(&client, &reverse_path)],
            reverse_path,
            tls: None,
            is_plaintext: false,
            login: None,
            conduct: Conduct::default(),
            passed_before: None,
            content: Some(Content {
                message: &message,
                body: &body,
            }),
        };
        let judged = self.judgement.judge(incoming, self.sources());
        Judged::of(self.runtime.block_on(judged), self.domain.is_some())
    }

    /// Nothing is remembered of senders here. Without DNS the message alone speaks.
    fn sources(&self) -> FactSources<'_> {
        let (names, scanner) = match &self.dns {
            Dns::Nobody => (None, false),
            Dns::File(zone) => (Some(Names::File(zone)), true),
            Dns::Online => (self.judgement.dns().map(Names::Network), true),
        };
        let without_names = match &self.dns {
            Dns::Nobody => WithoutNames::LeftOpen,
            Dns::File(_) | Dns::Online => WithoutNames::Unavailable,
        };
        FactSources {
            names,
            without_names,
            memory: None,
            filters: None,
            scanner,
        }
    }

    fn recipient(&self, client: &Client, reverse_path: &ReversePath) -> Recipient {
        let (address, policy) = (self.address.clone(), Arc::clone(&self.policy));
        let facts = match &self.domain {
            Some(domain) => domain.recipient(address, client, reverse_path),
            None => {
                let mailbox = MailboxId::new(address.local(), address.domain().unwrap_or(&nowhere()));
                RecipientFacts::unasked(address, mailbox, UserStanding::Anyone)
            }
        };
        Recipient {
            facts,
            domain: self.domain.clone(),
            policy,
        }
    }
}

/// The client that the command line names. Nothing is asked about one that nobody named.
fn client(address: Option<IpAddr>, config: &Config) -> Client {
    match address {
        Some(address) => Client {
            is_relayed: config.smtp.is_relayed(address),
            ..Client::at(address)
        },
        None => Client {
            address: Ipv4Addr::LOCALHOST.into(),
            is_unknown: true,
            is_relayed: false,
        },
    }
}

/// Every bare LF becomes CRLF, unless the first line ends in CRLF.
fn with_crlf(octets: Vec<u8>) -> Vec<u8> {
    let first = memchr::memchr(b'\n', &octets);
    if first.is_none_or(|at| at > 0 && octets[at - 1] == b'\r') {
        return octets;
    }
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 32);
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(text) if !text.ends_with(b"\r") => {
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            _ => out.extend_from_slice(line),
        }
    }
    out
}

fn zone_file(path: &Path) -> Result<ZoneFile, Trouble> {
    let text = std::fs::read_to_string(path).map_err(|error| Trouble::new(format!("{}: {error}", path.display())))?;
    ZoneFile::parse(&text).map_err(|error| Trouble::new(format!("{}: {error}", path.display())))
}

/// The recipient to judge for, and its domain's files; a stand-in where none is asked for.
fn recipient(config: &Config, rcpt: Option<&str>) -> Result<(Address, Option<Arc<DomainView>>), Trouble> {
    let Some(text) = rcpt else {
        let address = Address::parse("anyone@nowhere.invalid").map_err(Trouble::new)?;
        return Ok((address, None));
    };
    let address = Address::parse(text).map_err(|error| Trouble::new(format!("--rcpt: {error}: `{text}`")))?;
    let roots = Roots {
        domains: config.paths.domains.clone(),
        blacklist_d: config.paths.blacklist_d.clone(),
    };
    let domains =
        Domains::open(roots, config.domain_defaults()).map_err(|error| Trouble::hint(&error, error.hint()))?;
    let domain = address
        .domain()
        .ok_or_else(|| Trouble::new(format!("--rcpt: no domain: `{text}`")))?;
    match domains.find(domain) {
        Found::Local(view) => Ok((address, Some(view))),
        Found::Dangling { path } => Err(Trouble::new(format!("{}: the link leads nowhere", path.display()))),
        Found::NotLocal | Found::NoDomains => Err(Trouble::hint(
            format!("{domain} is none of our domains: at the door this is a relay attempt (550 5.7.1)"),
            format!("make the directory {}/{domain}", config.paths.domains.display()),
        )),
        Found::Unreadable { path, why } => Err(Trouble::new(format!("{}: {why}", path.display()))),
    }
}

fn nowhere() -> mail::Domain {
    // Cannot fail; and if it could, any domain would do, because nothing is looked up for it.
    mail::Domain::parse("nowhere.invalid").unwrap_or_else(|_| unreachable!("a literal that is a domain"))
}

/// What `checks/all` implies.
fn checks_all() -> Policy {
    let checks = Checks {
        rules: Rules::of_set(|check| check.spec().in_all == InAll::Always),
        ..Checks::default()
    };
    Policy {
        checks,
        ..Policy::default()
    }
}

/// The reverse-path that the last server wrote into the message.
fn return_path(message: &Message<'_>) -> ReversePath {
    let field = message
        .first("Return-Path")
        .map(|field| String::from_utf8_lossy(&field.value()).into_owned());
    let text = field.unwrap_or_default();
    let inside = text.trim().trim_start_matches('<').trim_end_matches('>');
    ReversePath::parse(inside).unwrap_or(ReversePath::Null)
}

/// What is said to the person who asked.
struct Report {
    json: bool,
    single: bool,
    progress: bool,
    started: Instant,
    total: u64,
    accepted: u64,
    troubles: u64,
    by_disposition: BTreeMap<&'static str, u64>,
    by_source: BTreeMap<String, u64>,
}

impl Report {
    fn new(json: bool, single: bool) -> Report {
        Report {
            json,
            single,
            progress: std::io::stderr().is_terminal() && !std::io::stdout().is_terminal(),
            started: Instant::now(),
            total: 0,
            accepted: 0,
            troubles: 0,
            by_disposition: BTreeMap::new(),
            by_source: BTreeMap::new(),
        }
    }

    fn add(&mut self, out: &mut impl Write, name: &str, judged: &Judged) -> std::io::Result<()> {
        self.total += 1;
        self.accepted += u64::from(judged.verdict.disposition.is_delivered());
        *self
            .by_disposition
            .entry(judged.verdict.disposition.word())
            .or_default() += 1;
        if let Some(reason) = judged.verdict.decisive() {
            *self.by_source.entry(reason.source.to_string()).or_default() += 1;
        }
        if self.json {
            writeln!(out, "{}", harmless_json(&json(name, judged).to_string()))?;
        } else if self.single {
            out.write_all(whole(name, judged).as_bytes())?;
        } else {
            writeln!(
                out,
                "{:<7}  {}  {}",
                judged.verdict.disposition.word(),
                harmless(name),
                harmless(judged.reason())
            )?;
        }
        if self.progress && self.total.is_multiple_of(PROGRESS_EVERY) {
            let refused = self.total - self.accepted;
            // Nobody has to watch.
            let _ = write!(std::io::stderr(), "\r{} messages, {refused} not accepted ", self.total);
        }
        Ok(())
    }

    fn trouble(&mut self, trouble: &str) {
        self.troubles += 1;
        complain(format_args!("error: {}", harmless(trouble)));
    }

    fn end(&self, out: &mut impl Write) -> std::io::Result<()> {
        if self.progress && self.total >= PROGRESS_EVERY {
            complain("");
        }
        if self.json || self.single {
            return Ok(());
        }
        let parts: Vec<String> = self
            .by_disposition
            .iter()
            .map(|(word, n)| format!("{n} {word}"))
            .collect();
        writeln!(
            out,
            "\n{} messages in {:.2} s: {}",
            self.total,
            self.started.elapsed().as_secs_f64(),
            parts.join(", ")
        )?;
        let widest = self.by_source.values().copied().max().unwrap_or(1);
        for (source, n) in &self.by_source {
            // A bar of at most forty characters says more than the number.
            let bar = "#".repeat((40 * n).div_ceil(widest) as usize);
            writeln!(out, "  {source:<24} {n:>7}  {bar}")?;
        }
        Ok(())
    }

    fn exit_code(&self) -> ExitCode {
        match (self.troubles, self.total - self.accepted) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(1),
            _ => ExitCode::from(2),
        }
    }
}

/// One message, in full.
fn whole(name: &str, judged: &Judged) -> String {
    let mut out = format!("{}\n", harmless(name));
    if let Some(unfit) = &judged.unfit {
        explain::line(&mut out, "verdict", "refused whoever it is for");
        explain::line(&mut out, "because", unfit);
        return out;
    }
    if let Some(facts) = &judged.facts {
        explain::message(&mut out, facts);
    }
    match &judged.recipient {
        Some(recipient) => explain::recipient(&mut out, recipient),
        None => explain::line(
            &mut out,
            "to",
            "anyone, by `checks/all`; `--rcpt` judges by a domain's own files",
        ),
    }
    explain::verdict(&mut out, &judged.verdict, false);
    out
}

fn json(name: &str, judged: &Judged) -> serde_json::Value {
    serde_json::json!({
        "message": name,
        "disposition": judged.verdict.disposition.word(),
        "reason": judged.reason(),
        "verdict": judged.verdict,
        "facts": judged.facts,
        "recipient": judged.recipient,
    })
}
