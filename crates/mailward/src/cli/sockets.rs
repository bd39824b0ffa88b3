//! The listeners, opened before root is given up: by ourselves, or taken from systemd (sd_listen_fds(3)).
//!
//! What an address is for stands in the configuration alone. A socket that systemd passes takes the place of the one
//! that we would have opened at the same address; one for which no address is configured is a mistake, and said.

use super::Trouble;
use super::parts::{Part, Parts};
use crate::config::{Config, Listener};
use listenfd::ListenFd;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Connections that wait to be accepted; the system has a limit of its own.
const BACKLOG: i32 = 1024;

/// All listeners of this process; they do not block.
pub(super) struct Sockets {
    pub smtp: Vec<(TcpListener, Listener)>,
    pub metrics: Vec<TcpListener>,
}

impl Sockets {
    /// Opens those that the parts need.
    pub(super) fn open(config: &Config, parts: &Parts) -> Result<Sockets, Trouble> {
        let mut passed = passed()?;
        let mut open = |part, key: &'static str, all: &[SocketAddr]| {
            let addresses = all.iter().filter(|_| parts.has(part));
            addresses
                .map(|address| match take(&mut passed, address) {
                    Some(listener) => Ok(listener),
                    None => bind(address, all).map_err(|error| cannot_listen(key, address, &error)),
                })
                .collect::<Result<Vec<_>, Trouble>>()
        };
        let kinds = config.smtp.all_listeners();
        let doors: Vec<SocketAddr> = kinds.iter().map(|kind| kind.address).collect();
        let smtp = open(Part::Smtp, "[smtp] listen", &doors)?;
        let sockets = Sockets {
            smtp: smtp.into_iter().zip(kinds).collect(),
            metrics: open(Part::Metrics, "[metrics] listen", &config.metrics.listen)?,
        };
        match passed.first() {
            None => Ok(sockets),
            Some((address, _)) => Err(Trouble::hint(
                format!("systemd passed a socket that nothing is configured for: {address}"),
                format!(
                    "add \"{address}\" to `[smtp] listen` or `[metrics] listen`, or take it out of the socket unit"
                ),
            )),
        }
    }
}

/// What systemd passed, by address.
fn passed() -> Result<Vec<(SocketAddr, TcpListener)>, Trouble> {
    let mut given = ListenFd::from_env();
    let mut passed = Vec::new();
    for n in 0..given.len() {
        let listener = given
            .take_tcp_listener(n)
            .and_then(|listener| listener.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok((listener.local_addr()?, listener))
            })
            .map_err(|error| {
                Trouble::hint(
                    format!("systemd passed something that is no TCP listener: {error}"),
                    "let the socket unit have `ListenStream=` with addresses, and `Accept=no`",
                )
            })?;
        passed.push(listener);
    }
    Ok(passed)
}

fn take(passed: &mut Vec<(SocketAddr, TcpListener)>, address: &SocketAddr) -> Option<TcpListener> {
    let place = passed.iter().position(|(other, _)| other == address)?;
    Some(passed.swap_remove(place).1)
}

/// `[::]` takes IPv4 as well, except beside `0.0.0.0` of the same port, which it would get in the way of.
fn bind(address: &SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
    let twin = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    if address.is_ipv6() && address.ip().is_unspecified() && all.contains(&twin) {
        socket.set_only_v6(true)?;
    }
    // A restart need not wait until the connections of the time before are forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&(*address).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn cannot_listen(key: &str, address: &SocketAddr, error: &io::Error) -> Trouble {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => format!("another program listens there; stop it, or set `{key}`"),
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root (see `[process] user`) or the capability to bind them".to_owned()
        }
        _ => format!("set `{key}` to an address of this machine"),
    };
    Trouble::hint(format!("cannot listen on {address}: {error}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_of_one_port_can_be_listened_on() {
        let free = bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), &[]).unwrap();
        let port = free.local_addr().unwrap().port();
        let all: [SocketAddr; 2] = [
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)),
        ];
        assert!(bind(&all[1], &all).is_ok());
        assert_eq!(bind(&all[1], &all[1..]).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
