//! Whether one egress grants no more than another.

use ipnet::IpNet;

use super::{Class, Egress, HostPattern, classify, is_localhost};

impl Egress {
    /// Whether all that `other` grants is granted here as well.
    ///
    /// A host name that is granted may be an address of a private network, so it takes more than
    /// `public`; a network is public only if it is one address, for what else lies in a larger one
    /// is not looked up.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        (self.public || !other.public)
            && (self.private || !other.private)
            && (self.loopback || !other.loopback)
            && other
                .networks
                .iter()
                .all(|network| self.covers_network(network))
            && other.hosts.iter().all(|host| self.covers_host(host))
    }

    fn covers_network(&self, network: &IpNet) -> bool {
        // Networks are aligned, so one that begins and ends in a special network is a part of it.
        let by_class = match (classify(network.network()), classify(network.broadcast())) {
            (Class::Private, Class::Private) => self.private,
            (Class::Loopback, Class::Loopback) => self.loopback,
            (Class::Public, Class::Public) => {
                self.public && network.prefix_len() == network.max_prefix_len()
            }
            _ => false,
        };
        by_class
            || self
                .networks
                .iter()
                .any(|granted| granted.contains(network))
    }

    fn covers_host(&self, host: &HostPattern) -> bool {
        let by_class = if is_localhost(&host.name) {
            self.loopback
        } else {
            self.private
        };
        let below = |granted: &HostPattern| {
            let rest = host.name.strip_suffix(granted.name.as_str());
            granted.below
                && rest.is_some_and(|rest| rest.ends_with('.') || rest.is_empty() && host.below)
        };
        by_class
            || self
                .hosts
                .iter()
                .any(|granted| granted == host || below(granted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_covered_than_is_granted() {
        let egress = |words: &str| Egress::parse(words.split(' ')).unwrap();
        for (granted, asked) in [
            ("public", "public"),
            ("public", "8.8.8.8"),
            (
                "private",
                "public private 10.2.0.0/16 10.0.0.0/8 fd00::/8 db.internal",
            ),
            ("loopback", "loopback 127.0.0.1 ::1 localhost *.localhost"),
            ("10.0.0.0/8", "10.2.0.0/16 10.1.2.3"),
            ("*.internal", "a.internal *.a.internal *.internal"),
            ("a.internal", "a.internal"),
        ] {
            assert!(egress(granted).covers(&egress(asked)), "{granted}: {asked}");
        }
        for (granted, asked) in [
            ("public", "private"),
            ("public", "loopback"),
            ("public", "10.0.0.1"),
            ("public", "8.0.0.0/5"),
            ("public", "0.0.0.0/0"),
            ("public", "::/0"),
            ("public", "hooks.example.com"),
            ("public", "localhost"),
            ("private", "loopback"),
            ("private", "10.0.0.0/7"),
            ("private", "localhost"),
            ("loopback", "public"),
            ("loopback", "10.0.0.1"),
            ("10.2.0.0/16", "10.0.0.0/8"),
            ("10.2.0.0/16", "public"),
            ("*.internal", "internal"),
            ("a.internal", "b.internal"),
            ("a.internal", "*.a.internal"),
            ("*.internal", "ainternal"),
        ] {
            assert!(
                !egress(granted).covers(&egress(asked)),
                "{granted}: {asked}"
            );
        }
    }
}
