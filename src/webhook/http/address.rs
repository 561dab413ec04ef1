//! What kind of place an address is: the public internet, a private network, this machine, or
//! somewhere no webhook ever goes.
//!
//! From the IANA registries of special-purpose addresses, RFC 6890 and its updates. An IPv6 address
//! that only carries an IPv4 one is judged by what it carries, and whatever neither registry nor
//! the global unicast block knows is reserved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::webhook) enum Class {
    Public,
    /// RFC 1918, RFC 6598 (behind a carrier's NAT, used by overlay networks too) and RFC 4193.
    Private,
    Loopback,
    /// Refused whatever the options say; why.
    Never(&'static str),
}

const METADATA: &str =
    "it is a cloud's metadata or platform service, which gives credentials to whoever asks";
const LINK_LOCAL: &str = "it is link-local, where clouds keep their metadata services";
const DOCUMENTATION: &str = "it is reserved for documentation";
const RESERVED: &str = "it is reserved";
const MULTICAST: &str = "it is multicast";
const UNSPECIFIED: &str = "it is unspecified, which systems take for loopback";

/// The first that holds the address counts, so single addresses come before the networks around
/// them.
const V4: [([u8; 4], u32, Class); 19] = [
    ([100, 100, 100, 200], 32, Class::Never(METADATA)),
    ([168, 63, 129, 16], 32, Class::Never(METADATA)),
    ([192, 0, 0, 192], 32, Class::Never(METADATA)),
    (
        [255, 255, 255, 255],
        32,
        Class::Never("it is the broadcast address"),
    ),
    ([0, 0, 0, 0], 8, Class::Never(UNSPECIFIED)),
    ([10, 0, 0, 0], 8, Class::Private),
    ([100, 64, 0, 0], 10, Class::Private),
    ([127, 0, 0, 0], 8, Class::Loopback),
    ([169, 254, 0, 0], 16, Class::Never(LINK_LOCAL)),
    ([172, 16, 0, 0], 12, Class::Private),
    ([192, 0, 0, 0], 24, Class::Never(RESERVED)),
    ([192, 0, 2, 0], 24, Class::Never(DOCUMENTATION)),
    ([192, 88, 99, 0], 24, Class::Never(RESERVED)),
    ([192, 168, 0, 0], 16, Class::Private),
    (
        [198, 18, 0, 0],
        15,
        Class::Never("it is reserved for benchmarks"),
    ),
    ([198, 51, 100, 0], 24, Class::Never(DOCUMENTATION)),
    ([203, 0, 113, 0], 24, Class::Never(DOCUMENTATION)),
    ([224, 0, 0, 0], 4, Class::Never(MULTICAST)),
    ([240, 0, 0, 0], 4, Class::Never(RESERVED)),
];

const V6: [([u16; 8], u32, Class); 12] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, Class::Never(UNSPECIFIED)),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Class::Loopback),
    // EC2 keeps its metadata, DNS, time and pod identity services in here, Google Cloud its
    // metadata at the next one.
    (
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0],
        32,
        Class::Never(METADATA),
    ),
    (
        [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254],
        128,
        Class::Never(METADATA),
    ),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Class::Private),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Class::Never(LINK_LOCAL)),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Class::Never(MULTICAST)),
    // Teredo, benchmarks, overlay identifiers.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Class::Never(RESERVED)),
    (
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0],
        32,
        Class::Never(DOCUMENTATION),
    ),
    (
        [0x3fff, 0, 0, 0, 0, 0, 0, 0],
        20,
        Class::Never(DOCUMENTATION),
    ),
    ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Class::Public),
    // The rest, site-local addresses among it.
    ([0, 0, 0, 0, 0, 0, 0, 0], 0, Class::Never(RESERVED)),
];

/// The kind of `address`, after [`unwrapped`].
pub(in crate::webhook) fn classify(address: IpAddr) -> Class {
    match unwrapped(address) {
        IpAddr::V4(address) => {
            let within = |(network, prefix, _): &&([u8; 4], u32, Class)| {
                (address.to_bits() ^ u32::from_be_bytes(*network)).leading_zeros() >= *prefix
            };
            V4.iter().find(within).map_or(Class::Public, |row| row.2)
        }
        IpAddr::V6(address) => {
            let within = |(network, prefix, _): &&([u16; 8], u32, Class)| {
                (address.to_bits() ^ Ipv6Addr::from(*network).to_bits()).leading_zeros() >= *prefix
            };
            V6.iter()
                .find(within)
                .map_or(Class::Never(RESERVED), |row| row.2)
        }
    }
}

/// The IPv4 address within an IPv6 one that is mapped (`::ffff:a.b.c.d`), translated
/// (`::ffff:0:a.b.c.d`), compatible (`::a.b.c.d`), 6to4 (`2002::/16`) or NAT64 (`64:ff9b::/96`);
/// any other address as it is.
pub(in crate::webhook) fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let low = |high: u16, low: u16| {
        IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0xffff, a, b]
        | [0, 0, 0, 0, 0xffff, 0, a, b]
        | [0, 0, 0, 0, 0, 0, a, b] => low(a, b),
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => low(a, b),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn class(text: &str) -> Class {
        classify(text.parse().unwrap())
    }

    #[test]
    fn each_special_block_is_known_at_both_ends() {
        for (first, last, private) in [
            ("10.0.0.0", "10.255.255.255", true),
            ("172.16.0.0", "172.31.255.255", true),
            ("192.168.0.0", "192.168.255.255", true),
            ("100.64.0.0", "100.127.255.255", true),
            ("fc00::", "fdff:ffff::1", true),
            ("0.0.0.0", "0.255.255.255", false),
            ("169.254.0.0", "169.254.255.255", false),
            ("192.0.2.0", "192.0.2.255", false),
            ("198.18.0.0", "198.19.255.255", false),
            ("224.0.0.0", "239.255.255.255", false),
            ("240.0.0.0", "255.255.255.255", false),
            ("fe80::1", "febf::1", false),
            ("fec0::1", "feff::1", false),
            ("ff02::1", "ffff::1", false),
            ("2001:db8::", "2001:db8:ffff::", false),
            ("2001::", "2001:1ff:ffff::", false),
            ("100::", "100::ffff", false),
            ("64:ff9b:1::", "64:ff9b:1:ffff::", false),
            ("5f00::", "5f00:ffff::", false),
        ] {
            for address in [first, last] {
                let found = class(address);
                assert_eq!(
                    (found == Class::Private, matches!(found, Class::Never(_))),
                    (private, !private),
                    "{address}: {found:?}"
                );
            }
        }
        for address in ["127.0.0.1", "127.255.255.254", "::1"] {
            assert_eq!(class(address), Class::Loopback, "{address}");
        }
    }

    #[test]
    fn metadata_services_are_never_reached() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert!(matches!(class(address), Class::Never(_)), "{address}");
        }
    }

    #[test]
    fn neighbours_of_the_special_blocks_are_public() {
        for address in [
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "1.1.1.1",
            "2606:4700::1111",
            "2001:200::1",
            "3ffe::1",
        ] {
            assert_eq!(class(address), Class::Public, "{address}");
        }
    }

    proptest! {
        #[test]
        fn an_address_in_disguise_is_what_it_carries(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let [a, b] = [(bits >> 16) as u16, bits as u16];
            let shown = classify(v4.into());
            for disguise in [
                v4.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, a, b),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
            ] {
                prop_assert_eq!(classify(disguise.into()), shown);
            }
            if bits > 1 {
                prop_assert_eq!(classify(Ipv6Addr::new(0, 0, 0, 0, 0, 0, a, b).into()), shown);
            }
        }
    }
}
