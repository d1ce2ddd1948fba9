//! Where a webhook or a ping may go: https on port 443 to a public address, checked again at each connection.
//!
//! The check sits in the resolver that the client connects through, so the address that was checked is the one that is
//! used: a name that changes its mind between check and use (DNS rebinding) gains nothing. Addresses written as
//! numbers do not pass a resolver and are checked on their own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

const MAX_URL_BYTES: usize = 512;

/// An address of a receiver, checked in form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

/// Why an address is refused; the text is for whoever set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not an absolute address without credentials or fragment.
    #[error("the address of a receiver is a plain absolute address of at most 512 bytes")]
    Malformed,
    /// Not https on port 443.
    #[error("the address of a receiver must be https on port 443")]
    NotHttps,
    /// An address inside some network.
    #[error("the address of a receiver must be public")]
    NotPublic,
}

/// What is let through besides public addresses: nothing in production, where the configuration refuses all of it.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    local: bool,
    allowed: Vec<Allowed>,
}

/// A host that may be private, by name or by address; http and any port are taken for it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Whatever it leads to.
    Name(String),
    /// As a number in the receiver's address, or as what a name leads to.
    Address(IpAddr),
}

/// Neither a name nor an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is a name or an address, without scheme and port")]
pub struct NotAHost;

impl FromStr for Allowed {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.trim_matches(['[', ']']).parse() {
            return Ok(Self::Address(address));
        }
        let name = text.to_ascii_lowercase();
        let is_name = (1..=253).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        if is_name { Ok(Self::Name(name)) } else { Err(NotAHost) }
    }
}

impl Rules {
    /// Public addresses, and with `local` loopback, and these.
    #[must_use]
    pub fn new(local: bool, allowed: Vec<Allowed>) -> Self {
        Self { local, allowed }
    }

    fn excepts_host(&self, host: &str, literal: Option<IpAddr>) -> bool {
        match literal {
            Some(address) => self.excepts_address(address),
            None => self.excepts_name(host) || (self.local && host == "localhost"),
        }
    }

    fn excepts_name(&self, name: &str) -> bool {
        self.allowed.iter().any(|allowed| matches!(allowed, Allowed::Name(known) if known.eq_ignore_ascii_case(name)))
    }

    fn excepts_address(&self, address: IpAddr) -> bool {
        (self.local && address.is_loopback()) || self.allowed.contains(&Allowed::Address(address))
    }
}

impl Target {
    /// Checks an address.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn parse(text: &str, rules: &Rules) -> Result<Self, TargetError> {
        let url = reqwest::Url::parse(text).map_err(|_| TargetError::Malformed)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|_| plain && text.len() <= MAX_URL_BYTES).ok_or(TargetError::Malformed)?;
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        if rules.excepts_host(host, literal) && matches!(url.scheme(), "http" | "https") {
            return Ok(Self(url.into()));
        }
        if url.scheme() != "https" || url.port().is_some() {
            return Err(TargetError::NotHttps);
        }
        if literal.is_some_and(|address| !is_public(address)) || host == "localhost" {
            return Err(TargetError::NotPublic);
        }
        Ok(Self(url.into()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Finds the addresses of a name.
pub trait Lookup: Send + Sync {
    /// All of them, whatever they are.
    fn lookup(&self, name: String) -> LookupFuture;
}

/// Addresses, in a while.
pub type LookupFuture = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// The machine's own resolver.
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> LookupFuture {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Resolves names to addresses that the rules let through. The client connects to these and to no other.
pub struct Checked {
    /// What is let through.
    pub rules: Rules,
    /// Who is asked.
    pub lookup: Arc<dyn Lookup>,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, found) = (self.rules.clone(), self.lookup.lookup(name.as_str().to_owned()));
        Box::pin(async move {
            let is_excepted = rules.excepts_name(name.as_str());
            let is_usable = |ip: &IpAddr| is_excepted || is_public(*ip) || rules.excepts_address(*ip);
            let usable: Vec<SocketAddr> =
                found.await?.into_iter().filter(is_usable).map(|ip| SocketAddr::new(ip, 0)).collect();
            if usable.is_empty() {
                return Err(io::Error::other("the name leads to no public address").into());
            }
            let addresses: Addrs = Box::new(usable.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether an address is on the public internet, after undoing the ways to wrap a v4 address into a v6 one.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => embedded_v4(v6).map_or_else(|| is_public_v6(v6), is_public_v4),
    }
}

/// The IANA special-purpose registry: what is not globally reachable.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local() // 169.254/16, where clouds keep their metadata
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // 2000::/3 is what is given out; within it, documentation, ORCHID and benchmarking are not reachable.
    (first & 0xe000) == 0x2000
        && !(first == 0x2001 && (second == 0x0db8 || second < 0x0200))
        && !(first == 0x3fff && second < 0x1000)
}

/// ::ffff:a.b.c.d, ::a.b.c.d, NAT64 (64:ff9b::/96) and 6to4. Not NAT64's prefix for local use, 64:ff9b:1::/48: where the
/// v4 address stands in it is the local network's choice, and none of it is public.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn addresses_inside_networks_are_refused() {
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::a00:1]",
            "[64:ff9b:1:a9fe:a9:fe00:808:808]", // 169.254.169.254 under a /48 (RFC 6052 §2.2), 8.8.8.8 under a /96
            "[64:ff9b::1:0:808:808]",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "[2002:7f00:1::]",
            "[2001:db8::1]",
            "[ff02::1]",
            "2130706433",
            "0x7f.1",
            "localhost",
            "[::127.0.0.1]",
        ] {
            let url = format!("https://{host}/hook");
            assert_eq!(Target::parse(&url, &Rules::default()), Err(TargetError::NotPublic), "{url}");
        }
    }

    #[test]
    fn only_https_on_443_to_a_public_address() {
        for (url, error) in [
            ("http://merchant.example/hook", TargetError::NotHttps),
            ("https://merchant.example:8443/hook", TargetError::NotHttps),
            ("ftp://merchant.example/", TargetError::NotHttps),
            ("https://user@merchant.example/", TargetError::Malformed),
            ("https://merchant.example/#a", TargetError::Malformed),
            ("/hook", TargetError::Malformed),
        ] {
            assert_eq!(Target::parse(url, &Rules::default()), Err(error), "{url}");
        }
        for url in ["https://merchant.example/hook?a=1", "https://93.184.216.34/", "https://[2606:4700::1111]/"] {
            assert!(Target::parse(url, &Rules::default()).is_ok(), "{url}");
        }
        let local = Rules::new(true, Vec::new());
        assert!(Target::parse("http://127.0.0.1:9000/hook", &local).is_ok());
        assert_eq!(Target::parse("https://10.0.0.1/", &local), Err(TargetError::NotPublic));
    }

    #[test]
    fn what_is_allowed_by_name_or_address_may_be_private() {
        let rules = |list: &str| Rules::new(false, list.split(',').map(|host| host.parse().unwrap()).collect());
        let all = rules("shop.internal,10.0.0.7,[fd00::7]");
        for url in [
            "http://shop.internal:8080/hook",
            "https://SHOP.internal/",
            "http://10.0.0.7:81/",
            "https://[fd00::7]/hook",
        ] {
            assert!(Target::parse(url, &all).is_ok(), "{url}");
        }
        for (url, error) in [
            ("http://other.internal/", TargetError::NotHttps),
            ("http://a.shop.internal/", TargetError::NotHttps),
            ("https://10.0.0.8/", TargetError::NotPublic),
            ("http://127.0.0.1/", TargetError::NotHttps),
            ("ftp://shop.internal/", TargetError::NotHttps),
            ("http://user@shop.internal/", TargetError::Malformed),
        ] {
            assert_eq!(Target::parse(url, &all), Err(error), "{url}");
        }
        for bad in ["", "https://shop.internal", "shop.internal:8080", "10.0.0.0/8", "a b"] {
            assert_eq!(bad.parse::<Allowed>(), Err(NotAHost), "{bad}");
        }
    }

    /// Answers with one list after the other, the last one again and again.
    struct Changing(Vec<Vec<&'static str>>, AtomicUsize);

    impl Lookup for Changing {
        fn lookup(&self, _: String) -> LookupFuture {
            let turn = self.1.fetch_add(1, Ordering::SeqCst).min(self.0.len() - 1);
            let found = self.0[turn].iter().map(|ip| ip.parse().unwrap()).collect();
            Box::pin(async move { Ok(found) })
        }
    }

    async fn resolved(checked: &Checked, name: &str) -> Option<Vec<IpAddr>> {
        let found = checked.resolve(name.parse().unwrap()).await.ok()?;
        Some(found.map(|address| address.ip()).collect())
    }

    fn ips(list: &[&str]) -> Option<Vec<IpAddr>> {
        Some(list.iter().map(|ip| ip.parse().unwrap()).collect())
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_at_the_connection() {
        let lists = vec![
            vec!["93.184.216.34"],
            vec!["127.0.0.1"],
            vec!["10.0.0.1", "93.184.216.34", "::ffff:10.0.0.1"],
            vec!["169.254.169.254", "fd00:ec2::254"],
            vec![],
        ];
        let checked = Checked { rules: Rules::default(), lookup: Arc::new(Changing(lists, AtomicUsize::new(0))) };
        let name = "merchant.example";
        assert_eq!(resolved(&checked, name).await, ips(&["93.184.216.34"]));
        assert_eq!(resolved(&checked, name).await, None, "it changed its mind");
        assert_eq!(resolved(&checked, name).await, ips(&["93.184.216.34"]), "only what is public is used");
        assert_eq!(resolved(&checked, name).await, None);
        assert_eq!(resolved(&checked, name).await, None);
    }

    #[tokio::test]
    async fn the_exceptions_hold_for_what_they_name() {
        let lookup: Arc<dyn Lookup> = Arc::new(Changing(vec![vec!["127.0.0.1", "10.0.0.7"]], AtomicUsize::new(0)));
        let checked = |rules| Checked { rules, lookup: Arc::clone(&lookup) };
        let local = checked(Rules::new(true, Vec::new()));
        assert_eq!(resolved(&local, "anything.example").await, ips(&["127.0.0.1"]));
        let address = checked(Rules::new(false, vec![Allowed::Address("10.0.0.7".parse().unwrap())]));
        assert_eq!(resolved(&address, "anything.example").await, ips(&["10.0.0.7"]));
        let name = checked(Rules::new(false, vec![Allowed::Name("shop.internal".into())]));
        assert_eq!(resolved(&name, "shop.internal").await, ips(&["127.0.0.1", "10.0.0.7"]));
        assert_eq!(resolved(&name, "other.internal").await, None);
    }
}
