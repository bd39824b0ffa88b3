//! The system's name servers, as resolv.conf(5) names them. Read once, at the start.
//!
//! Of the file only the lines `nameserver` count: our names are absolute, so there is nothing to search in.

use super::limits::SERVERS_MAX;
use std::net::{IpAddr, SocketAddr};

/// Where the file is.
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";
/// RFC 1035 §4.2.
const PORT: u16 = 53;

/// The servers that the file names, the first few. Lines that are none, and addresses with a zone (`fe80::1%eth0`), are
/// passed over.
pub(super) fn servers(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let ip: IpAddr = match (words.next(), words.next()) {
            (Some("nameserver"), Some(ip)) => ip.parse().ok()?,
            _ => return None,
        };
        Some(SocketAddr::new(ip, PORT))
    };
    text.lines().filter_map(address).take(SERVERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_name_servers_count() {
        let text = "# nameserver 192.0.2.9\n; nameserver 192.0.2.9\nsearch site.example\noptions edns0 trust-ad\n\
            nameserver 192.0.2.1\n\tnameserver\t2001:db8::1 # local\nnameserver fe80::1%eth0\nnameserver\n\
            nameserver one.example\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n";
        let expected = ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"];
        assert_eq!(servers(text), expected.map(|server| server.parse().unwrap()));
        assert_eq!(servers(""), []);
    }
}
