//! `checks/helo`: is the HELO name one that a mail host of the Internet has (RFC 5321 §4.1.1.1)?

use mail::{Host, Line};
use std::net::IpAddr;

/// Top-level names that are never public: RFC 6762 §3 and app. G, RFC 6761, RFC 8375's cousins in use.
const LOCAL_SUFFIXES: [&str; 4] = [".lan", ".localdomain", ".local", ".internal"];

/// The first fault of the name. An address literal (RFC 5321 §4.1.3) is legal if it is the client's own address.
pub fn fault(helo: &Line, client: IpAddr) -> Option<Line> {
    let name = helo.as_str();
    if name.starts_with('[') {
        return match Host::parse(name) {
            Ok(Host::Literal(ip)) if ip == client.to_canonical() => None,
            _ => Some(Line::literal("HELO should not be an IP address")),
        };
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_lowercase();
    Some(Line::literal(if name.contains('_') {
        "Invalid character in HELO: _"
    } else if !name.contains('.') {
        "HELO should be qualified"
    } else if is_dotted_digits(&name) {
        "HELO should not be an IP address"
    } else if LOCAL_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        "HELO should not have a local domain"
    } else {
        return None;
    }))
}

/// Four groups of digits, whatever their value: `999.1.2.3` is no name either.
fn is_dotted_digits(name: &str) -> bool {
    let digits = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    name.split('.').count() == 4 && name.split('.').all(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &'static str) -> Option<String> {
        fault(&Line::literal(name), "192.0.2.1".parse().unwrap()).map(|line| line.to_string())
    }

    #[test]
    fn each_fault_has_its_reason() {
        for (name, reason) in [
            ("mx_1.example.com", "Invalid character in HELO: _"),
            ("localhost", "HELO should be qualified"),
            ("localhost.", "HELO should be qualified"),
            ("1.2.3.4", "HELO should not be an IP address"),
            ("999.1.2.3", "HELO should not be an IP address"),
            ("[192.0.2.2]", "HELO should not be an IP address"),
            ("[nonsense]", "HELO should not be an IP address"),
            ("host.lan", "HELO should not have a local domain"),
            ("Host.LOCAL", "HELO should not have a local domain"),
            ("x.localdomain.", "HELO should not have a local domain"),
            ("x.internal", "HELO should not have a local domain"),
        ] {
            assert_eq!(ask(name).as_deref(), Some(reason), "{name}");
        }
    }

    #[test]
    fn good_names_and_the_clients_own_address_pass() {
        for name in [
            "mx.example.com",
            "mx.example.com.",
            "1.2.3",
            "1.2.3.4.example.com",
            "[192.0.2.1]",
            "[IPv6:::ffff:192.0.2.1]",
            "lan.example",
        ] {
            assert_eq!(ask(name), None, "{name}");
        }
    }
}
