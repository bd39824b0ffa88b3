//! Names and texts: commands, addresses, domains, lines.

use crate::Input;
use mail::limits::{COMMAND_OCTETS_MAX, DOMAIN_OCTETS_MAX, LABEL_OCTETS_MAX, LOCAL_PART_OCTETS_MAX};
use mail::smtp::client::{Extensions, SizeOffer, write_mail, write_rcpt};
use mail::smtp::command::{Command, MailParams};
use mail::{Address, Domain, ForwardPath, Host, Line, LocalPart, MailboxId, ReversePath};

/// Any line is a command or refused; an envelope that is passed on is read as it was meant.
pub fn command(octets: &[u8]) {
    match Command::parse(octets) {
        Ok(Command::Mail { path, params }) => {
            let line = mail_line(&path, params);
            let utf8 = params.smtputf8 || !path.to_string().is_ascii();
            let params = MailParams {
                smtputf8: utf8,
                ..params
            };
            assert_eq!(Command::parse(&line), Ok(Command::Mail { path, params }));
        }
        Ok(Command::Rcpt { path }) => check_rcpt(&path),
        Ok(Command::Hello(hello)) => {
            assert!(!hello.name.as_str().is_empty());
            assert_eq!(Line::from(hello.name.as_str().to_owned()), hello.name);
        }
        Ok(_) => assert!(!octets.iter().any(|b| b.is_ascii_control() && *b != b'\t')),
        Err(_) => {}
    }
}

const OFFERED: Extensions = Extensions {
    pipelining: true,
    size: SizeOffer::Unlimited,
    body8bit: true,
    smtputf8: true,
    starttls: false,
    xclient: mail::smtp::client::XclientOffer {
        name: false,
        addr: false,
        helo: false,
        proto: false,
        login: false,
    },
};

/// The command without its CRLF.
fn mail_line(path: &ReversePath, params: MailParams) -> Vec<u8> {
    let mut line = Vec::new();
    write_mail(path, params, OFFERED, &mut line).expect("all is offered");
    command_line(line)
}

fn command_line(mut line: Vec<u8>) -> Vec<u8> {
    assert!(line.len() <= COMMAND_OCTETS_MAX && line.ends_with(b"\r\n"));
    line.truncate(line.len() - 2);
    assert!(!line.iter().any(u8::is_ascii_control), "a control octet was sent");
    line
}

fn check_rcpt(path: &ForwardPath) {
    let mut line = Vec::new();
    write_rcpt(path, OFFERED, &mut line).expect("all is offered");
    let path = path.clone();
    assert_eq!(Command::parse(&command_line(line)), Ok(Command::Rcpt { path }));
}

/// What was parsed is written so that it is read back equal: for storing, for the next hop, as a mailbox.
pub fn address(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Ok(address) = Address::parse(text) {
        check_address(&address);
    }
    if let Ok(local) = LocalPart::parse(text) {
        check_local(&local);
    }
    if let Ok(host) = Host::parse(text) {
        assert_eq!(Host::parse(&host.to_string()), Ok(host));
    }
    if let Ok(path) = ReversePath::parse(text) {
        assert_eq!(ReversePath::try_from(String::from(path.clone())), Ok(path.clone()));
        let params = MailParams {
            smtputf8: true,
            ..MailParams::default()
        };
        let line = mail_line(&path, params);
        assert_eq!(Command::parse(&line), Ok(Command::Mail { path, params }));
    }
    if let Ok(path) = ForwardPath::parse(text) {
        check_rcpt(&path);
    }
    if let Ok(mailbox) = MailboxId::try_from(text.to_owned()) {
        assert_eq!(MailboxId::try_from(mailbox.to_string()), Ok(mailbox));
    }
}

fn check_address(address: &Address) {
    assert_eq!(Address::parse(&address.to_string()).as_ref(), Ok(address));
    let rebuilt = format!("{}@{}", address.local(), address.host());
    let again = Address::parse(&rebuilt).expect("parts make a whole");
    assert_eq!((again.local(), again.host()), (address.local(), address.host()));
    assert_eq!(again.folded(), address.folded());
    assert_eq!(again.exact(), address.exact());
    assert_eq!(
        address.folded(),
        format!("{}@{}", address.local().folded(), address.host())
    );
    check_local(address.local());
    if let Some(domain) = address.domain() {
        check_domain(domain);
        let mailbox = MailboxId::new(address.local(), domain);
        assert_eq!(MailboxId::try_from(mailbox.to_string()), Ok(mailbox.clone()));
        assert_eq!(mailbox.domain(), domain);
    }
}

fn check_local(local: &LocalPart) {
    assert!((1..=LOCAL_PART_OCTETS_MAX).contains(&local.as_str().len()));
    assert!(!local.as_str().contains(char::is_control));
    assert_eq!(LocalPart::parse(&local.to_string()).as_ref(), Ok(local));
    assert_eq!(local.folded(), local.as_str().to_lowercase());
}

/// A domain is normal, harmless as a component of a path, and equal in all its spellings.
pub fn domain(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let Ok(domain) = Domain::parse(text) else { return };
    check_domain(&domain);
    assert_eq!(Domain::parse(&format!("{domain}.")).as_ref(), Ok(&domain));
    assert_eq!(
        Domain::parse(&domain.as_str().to_ascii_uppercase()).as_ref(),
        Ok(&domain)
    );
    if text.is_ascii() {
        assert!(
            text.eq_ignore_ascii_case(domain.as_str())
                || text[..text.len() - 1].eq_ignore_ascii_case(&domain.to_string())
        );
    }
    if let Some((_, parent)) = domain.as_str().split_once('.')
        && let Ok(parent) = Domain::parse(parent)
    {
        assert_eq!(parent.last_label(), domain.last_label());
    }
}

fn check_domain(domain: &Domain) {
    let name = domain.as_str();
    assert_eq!(Domain::parse(name).as_ref(), Ok(domain));
    assert!((1..=DOMAIN_OCTETS_MAX).contains(&name.len()));
    assert!(
        name.split('.')
            .all(|label| (1..=LABEL_OCTETS_MAX).contains(&label.len()))
    );
    assert!(!name.starts_with(['_', '.', '-']));
    let harmless = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    assert!(name.bytes().all(harmless));
}

/// Any octets are one harmless line of bounded length, which stays as it is when it is cleaned again.
pub fn line(octets: &[u8]) {
    let mut input = Input(octets);
    let chars_max = input.number();
    let text = input.rest();
    let line = Line::clean(text, chars_max);
    assert!(
        line.as_str().chars().count() <= chars_max,
        "{} characters",
        line.as_str().chars().count()
    );
    assert!(
        !line
            .as_str()
            .contains(|c: char| c.is_control() || (c.is_whitespace() && c != ' '))
    );
    assert!(!line.as_str().contains("  ") && line.as_str().trim() == line.as_str());
    let hidden =
        |c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    assert!(!line.as_str().contains(hidden));
    assert_eq!(Line::from(line.as_str().to_owned()), line);
    assert_eq!(Line::clean(line.as_str().as_bytes(), chars_max), line);
    assert!(line.to_ascii().is_ascii());
    assert_eq!(line.to_ascii().chars().count(), line.as_str().chars().count());
}
