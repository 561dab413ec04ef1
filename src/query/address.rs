//! Networks of addresses: an address is found in whatever way a line spells it.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::{
    entry::address,
    error::{Error, Result},
};

/// The prefix of the IPv6 network whose addresses are IPv4 ones, `::ffff:0:0/96`.
const MAPPED: u8 = 96;
/// How many bits the addresses of a network may differ in to be listed one by one.
const FEW: u8 = 4;
/// The beginning of every IPv6 address.
const V6: &str = "[0-9A-Fa-f]{0,4}:";

/// Reads an address or a network, and gives an IPv4 one for an IPv4-mapped one.
pub(super) fn parse(text: &str) -> Result<IpNet> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let network = address.or_else(|_| text.parse::<IpNet>());
    let problem = format!(
        "{text:?} must be an address like 192.0.2.1 or 2001:db8::1, or a network like 192.0.2.0/24"
    );
    let network = network.map_err(|_| Error::invalid("ip_address", problem))?;
    Ok(canonical(network).trunc())
}

fn canonical(network: IpNet) -> IpNet {
    let mapped = |network: IpNet| {
        let len = network.prefix_len().checked_sub(MAPPED)?;
        match network.addr() {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Ipv4Net::new(address.to_ipv4_mapped()?, len).ok(),
        }
    };
    mapped(network).map_or(network, IpNet::V4)
}

/// The network's text: that of the address, if it has only one.
pub(super) fn text(network: &IpNet) -> String {
    if is_single(network) {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

fn is_single(network: &IpNet) -> bool {
    network.prefix_len() == network.max_prefix_len()
}

/// All addresses of the networks, as texts; `None` if there are many.
pub(super) fn all(networks: &[IpNet]) -> Option<Vec<Vec<u8>>> {
    let bits = |net: &IpNet| net.max_prefix_len() - net.prefix_len();
    if networks.iter().any(|net| bits(net) > FEW) {
        return None;
    }
    let addresses = networks.iter().map(|net| net.subnets(net.max_prefix_len()));
    let addresses = addresses.flat_map(|addresses| addresses.into_iter().flatten());
    Some(addresses.map(|one| text(&one).into_bytes()).collect())
}

/// Whether a text of a line spells an address in one of the networks.
pub(super) fn is_in(networks: &[IpNet], text: &[u8]) -> bool {
    address::parse(text).is_some_and(|address| networks.iter().any(|net| net.contains(&address)))
}

/// A pattern for the beginning of every text that spells an address in the network.
pub(super) fn pattern(network: &IpNet) -> String {
    let IpNet::V4(net) = network else {
        return V6.to_owned();
    };
    // The text of an IPv4 address; or an IPv6 one, which may be IPv4-mapped.
    format!(
        "{}|{V6}",
        beginning(net.addr(), net.prefix_len()).replace('.', "\\.")
    )
}

/// The text that addresses with these first bits have in common.
fn beginning(address: Ipv4Addr, bits: u8) -> String {
    let whole = usize::from(bits / 8);
    let octets = address.octets();
    let texts = octets.iter().take(whole).map(u8::to_string);
    let mut text = texts.collect::<Vec<_>>().join(".");
    match whole {
        0 => {}
        4 => text.push('"'),
        _ => text.push('.'),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_one_text() {
        for (given, canonical) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:DB8::1/32", "2001:db8::/32"),
            ("::FFFF:C000:0201", "192.0.2.1"),
            ("::ffff:192.0.2.1/120", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text(&parse(given).unwrap()), canonical, "{given}");
        }
        for wrong in [
            "localhost",
            "192.0.2",
            "192.0.2.1/33",
            "192.0.2.1:80",
            "fe80::1%eth0",
            "1.2.3.4/",
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(
                error.starts_with("ip_address: ") && error.contains("2001:db8::1"),
                "{error}"
            );
        }
    }
    #[test]
    fn the_addresses_of_a_small_network_are_listed() {
        let texts = |text: &str| {
            let all = all(&[parse(text).unwrap()])?;
            Some(
                all.into_iter()
                    .map(|text| String::from_utf8(text).unwrap())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(texts("192.0.2.1"), Some(vec!["192.0.2.1".to_owned()]));
        assert_eq!(texts("192.0.2.9/31").unwrap(), ["192.0.2.8", "192.0.2.9"]);
        assert_eq!(
            texts("2001:db8::/127").unwrap(),
            ["2001:db8::", "2001:db8::1"]
        );
        assert_eq!(texts("192.0.2.0/28").unwrap().len(), 16);
        assert_eq!(texts("192.0.2.0/27"), None);
        assert_eq!(texts("0.0.0.0/0"), None);
    }

    #[test]
    fn an_address_is_found_in_whatever_way_it_was_stored() {
        for (stored, asked, found) in [
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::FFFF:C000:201", "192.0.2.1", true),
            ("0:0:0:0:0:ffff:c000:0201", "192.0.2.0/24", true),
            ("2001:DB8::1", "2001:db8::1", true),
            ("2001:db8::1", "2001:0DB8:0:0::1", true),
            ("2001:0db8:0000::0001", "2001:db8::/32", true),
            ("2001:db8::1", "2001:db8::2", false),
            ("::1", "::/0", true),
            ("::1", "0.0.0.0/0", false),
            ("192.0.2.1", "192.0.2.0/31", true),
            ("192.0.2.1", "192.0.2.2/31", false),
            ("192.0.2.10", "192.0.2.1", false),
            ("localhost", "0.0.0.0/0", false),
        ] {
            let network = parse(asked).unwrap();
            assert_eq!(
                is_in(&[network], stored.as_bytes()),
                found,
                "{asked} in {stored}"
            );
            let pattern = regex::Regex::new(&format!("^(?:{})", pattern(&network))).unwrap();
            let begins = pattern.is_match(&format!("{stored}\""));
            assert!(begins || !found, "{pattern} misses {stored}");
        }
    }
}
