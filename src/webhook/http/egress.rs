//! Where a webhook may be: a list of grants, checked on the URL when it is set and on every
//! address at the moment of connecting.
//!
//! Only granted destinations are reached. Link-local, metadata, multicast, unspecified and reserved
//! addresses are refused even if granted. A refusal says what was refused, why, and which option
//! allows it, if any does.

#[cfg(any(feature = "server", test))]
mod covers;

use crate::webhook::http::address::{Class, classify, unwrapped};
use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use url::{Host, Url};

use crate::error::{Error, Result};

/// The destinations that may be reached. The default is the public internet.
///
/// Written as a list of `public`, `private` (private networks, and the public internet with them),
/// `loopback`, addresses, networks (`10.2.0.0/16`), host names, and host names with all below them
/// (`*.internal.example`). A list replaces the default: with only a network in it, only that
/// network is reached. A granted host name may resolve to public and private addresses; to loopback
/// only if it is `localhost`, so that whoever controls the DNS of a granted name gains nothing on
/// this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Egress {
    public: bool,
    private: bool,
    loopback: bool,
    networks: Vec<IpNet>,
    hosts: Vec<HostPattern>,
}

/// A host name, lower case and without the dot at the end; `below` means all names that end in it,
/// and not itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostPattern {
    name: String,
    below: bool,
}

/// A place that is not to be reached. Its text is for the administrator: it holds nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    what: String,
    why: String,
    remedy: String,
}

impl Default for Egress {
    fn default() -> Self {
        Self {
            public: true,
            private: false,
            loopback: false,
            networks: Vec::new(),
            hosts: Vec::new(),
        }
    }
}

impl Egress {
    /// From the words of a configuration; [`Error::Invalid`] names the word that is none.
    pub(crate) fn parse<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut egress = Self {
            public: false,
            ..Self::default()
        };
        let mut empty = true;
        for word in words {
            egress.grant(word.as_ref().trim())?;
            empty = false;
        }
        if empty {
            return Err(Error::invalid(
                "egress",
                "an empty list reaches nothing; leave it out, or write public",
            ));
        }
        Ok(egress)
    }

    fn grant(&mut self, word: &str) -> Result<()> {
        match word {
            "public" => self.public = true,
            "private" => (self.public, self.private) = (true, true),
            "loopback" => self.loopback = true,
            _ => {
                let network = word
                    .parse::<IpNet>()
                    .ok()
                    .or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from));
                let (name, below) = word
                    .strip_prefix("*.")
                    .map_or((word, false), |name| (name, true));
                match (network, Host::parse(name)) {
                    (Some(network), _) => self.grant_network(word, network)?,
                    (None, Ok(Host::Ipv4(address))) if !below => {
                        self.grant_network(word, IpAddr::V4(address).into())?
                    }
                    (None, Ok(Host::Ipv6(address))) if !below => {
                        self.grant_network(word, IpAddr::V6(address).into())?
                    }
                    (None, Ok(Host::Domain(name))) if !name.contains('*') => {
                        self.hosts.push(HostPattern {
                            name: bare(&name).to_owned(),
                            below,
                        });
                    }
                    _ => {
                        let problem = format!(
                            "{word:?} is none of public, private, loopback, an address, a network \
                             such as 10.2.0.0/16, a host name without scheme and port, or \
                             *.name"
                        );
                        return Err(Error::invalid("egress", problem));
                    }
                }
            }
        }
        Ok(())
    }

    fn grant_network(&mut self, word: &str, network: IpNet) -> Result<()> {
        if let (Class::Never(why), true) = (
            classify(network.addr()),
            network.prefix_len() == network.max_prefix_len(),
        ) {
            return Err(Error::invalid(
                "egress",
                format!("{word} can't be allowed: {why}"),
            ));
        }
        self.networks.push(network.trunc());
        Ok(())
    }

    /// Whether a delivery to `url` may be tried. A name can still turn out to be an address that is
    /// refused when connecting.
    pub(crate) fn check_url(&self, url: &Url, allow_http: bool) -> Result<(), Refused> {
        match url.scheme() {
            "https" => {}
            "http" if allow_http => {}
            "http" => {
                let why = "what it says could be read and changed on the way";
                return Err(Refused::new(
                    "plain http",
                    why,
                    "use https, or set allow_http for this webhook",
                ));
            }
            other => {
                return Err(Refused::new(
                    format!("the scheme {other}"),
                    "webhooks go over HTTP",
                    "use https",
                ));
            }
        }
        if !url.username().is_empty() || url.password().is_some() {
            let why = "a name and password in a URL end up in logs";
            return Err(Refused::new(
                "a URL with user information",
                why,
                "put the credentials into a header of the webhook",
            ));
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_address(None, address.into()),
            Some(Host::Ipv6(address)) => self.check_address(None, address.into()),
            Some(Host::Domain(name)) => self.check_name(name),
            None => Err(Refused::new(
                "a URL without a host",
                "there is nothing to connect to",
                "",
            )),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), Refused> {
        let by_network = !self.networks.is_empty();
        let (class, by_address) = match is_localhost(name) {
            true => (Class::Loopback, self.loopback || by_network),
            false => (Class::Public, self.public || self.loopback || by_network),
        };
        if by_address || self.names(name) {
            Ok(())
        } else {
            Err(self.not_granted(name.to_owned(), name, class))
        }
    }

    /// Whether `address`, to which `name` resolved if it was not written itself, may be connected
    /// to.
    pub(crate) fn check_address(&self, name: Option<&str>, address: IpAddr) -> Result<(), Refused> {
        let class = classify(address);
        let what = name.map_or_else(
            || address.to_string(),
            |name| format!("{name}, which is {address} here,"),
        );
        let granted = match class {
            Class::Never(why) => return Err(Refused::new(what, why, "")),
            Class::Public => self.public,
            Class::Private => self.private,
            Class::Loopback => self.loopback,
        };
        let listed = || {
            self.networks
                .iter()
                .any(|network| network.contains(&address) || network.contains(&unwrapped(address)))
        };
        let name = name.filter(|name| class != Class::Loopback || is_localhost(name));
        if granted || listed() || name.is_some_and(|name| self.names(name)) {
            return Ok(());
        }
        Err(self.not_granted(what, name.unwrap_or(&address.to_string()), class))
    }

    fn names(&self, name: &str) -> bool {
        let matches = |host: &HostPattern| {
            let rest = bare(name).strip_suffix(host.name.as_str());
            rest.is_some_and(|rest| {
                if host.below {
                    rest.len() > 1 && rest.ends_with('.')
                } else {
                    rest.is_empty()
                }
            })
        };
        self.hosts.iter().any(matches)
    }

    fn not_granted(&self, what: String, short: &str, class: Class) -> Refused {
        let (why, word) = match class {
            Class::Private => ("it is in a private network", "private"),
            Class::Loopback => ("it is this machine itself", "loopback"),
            _ => ("the webhook may only reach what its egress lists", "public"),
        };
        Refused::new(
            what,
            format!("{why} (egress is {self})"),
            format!("to allow it, add {word:?} or {short:?} to the webhook's egress"),
        )
    }
}

/// RFC 6761: these names are this machine.
fn is_localhost(name: &str) -> bool {
    bare(name) == "localhost" || bare(name).ends_with(".localhost")
}

/// Without the dot that ends a fully qualified name.
fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl fmt::Display for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (self.public && !self.private, "public"),
            (self.private, "private"),
            (self.loopback, "loopback"),
        ];
        let mut all: Vec<String> = words
            .iter()
            .filter(|word| word.0)
            .map(|word| word.1.to_owned())
            .collect();
        all.extend(self.networks.iter().map(ToString::to_string));
        all.extend(
            self.hosts
                .iter()
                .map(|host| format!("{}{}", if host.below { "*." } else { "" }, host.name)),
        );
        f.write_str(&all.join(", "))
    }
}

impl Refused {
    fn new(what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.into(),
            remedy: remedy.into(),
        }
    }

    /// For where the URL was given. No `From`: a second one for [`Error`] would make `?` ambiguous
    /// elsewhere.
    pub(crate) fn into_error(self) -> Error {
        Error::invalid("url", self.to_string())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is refused: {}", self.what, self.why)?;
        if self.remedy.is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", self.remedy)
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
#[path = "egress_tests.rs"]
mod tests;
