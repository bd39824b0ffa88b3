//! Who sent a message here, as far as anybody said.

use std::net::{IpAddr, Ipv4Addr};

/// Who sent a message here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// Nobody said who the client is, and the address is that of a proxy that speaks for it.
    pub is_unknown: bool,
    /// It is one of `relay_networks`.
    pub is_relayed: bool,
}

impl Client {
    /// A client with this address, which is none of `relay_networks`.
    pub fn at(address: IpAddr) -> Client {
        Client {
            address: address.to_canonical(),
            is_unknown: false,
            is_relayed: false,
        }
    }

    /// The address by which lists know the client: where a proxy could not say who it is, one that stands in no list, for
    /// the proxy's own may stand in some.
    pub fn listed_address(&self) -> IpAddr {
        match self.is_unknown {
            true => Ipv4Addr::UNSPECIFIED.into(),
            false => self.address,
        }
    }
}
