//! The proxies that are trusted, and what a request says through them of the client.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use super::forwarded::Header;
use crate::error::{Error, Result};

/// The proxies whose headers are believed, and which headers these are.
#[derive(Clone, Debug)]
pub(crate) struct Proxies {
    networks: Vec<IpNet>,
    header: Header,
}

impl Default for Proxies {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            header: Header::X,
        }
    }
}

impl Proxies {
    /// These addresses and networks, such as `10.0.0.0/8`.
    pub(crate) fn trust<T: AsRef<str>>(
        self,
        networks: impl IntoIterator<Item = T>,
    ) -> Result<Self> {
        let parse = |text: T| {
            let text = text.as_ref();
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| {
                    let problem = format!(
                        "{text:?} is not an address or a network such as 10.0.0.1, 10.0.0.0/8 or \
                         fd00::/8"
                    );
                    Error::invalid("trusted_proxies", problem)
                })
        };
        let networks = networks.into_iter().map(parse).collect::<Result<_>>()?;
        Ok(Self { networks, ..self })
    }

    /// Reads `Forwarded` instead of `X-Forwarded-…`.
    pub(crate) fn by_standard(self) -> Self {
        Self {
            header: Header::Standard,
            ..self
        }
    }

    /// Whether this is the address of a trusted proxy.
    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Goes back from the peer through the proxies, as far as each is trusted. An address that
    /// can't be read ends the way: the addresses before it are unknown.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        for hop in self.header.hops(headers) {
            let Some(address) = hop.filter(|_| self.trusts(client)) else {
                break;
            };
            client = address;
        }
        client
    }

    /// The scheme that the peer was asked with, if the peer is a trusted proxy and says so.
    #[cfg(any(feature = "tower", feature = "console"))]
    pub(crate) fn scheme<'a>(
        &self,
        peer: Option<IpAddr>,
        headers: &'a HeaderMap,
    ) -> Option<&'a str> {
        self.header
            .scheme(headers)
            .filter(|_| peer.is_some_and(|peer| self.trusts(peer)))
    }

    /// The host that the peer was asked for, if the peer is a trusted proxy and says so.
    pub(crate) fn host<'a>(&self, peer: Option<IpAddr>, headers: &'a HeaderMap) -> Option<&'a str> {
        self.header
            .host(headers)
            .filter(|_| peer.is_some_and(|peer| self.trusts(peer)))
    }
}
