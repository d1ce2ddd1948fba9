//! Where a webhook may go: https on port 443 to a public address, checked again at each connection.
//!
//! The check sits in the resolver that the client connects through, so the address that was checked is the one that is
//! used: a name that changes its mind between check and use (DNS rebinding) gains nothing. Addresses written as
//! numbers do not pass a resolver and are checked on their own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// An address of a receiver, checked in form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

/// Why an address is refused; the text is for whoever set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not an absolute address without credentials or fragment.
    #[error("the webhook address is not a plain absolute address")]
    Malformed,
    /// Not https on port 443.
    #[error("the webhook address must be https on port 443")]
    NotHttps,
    /// An address inside some network.
    #[error("the webhook address must be public")]
    NotPublic,
}

impl Target {
    /// Checks an address. `allow_local` is a development flag: http, any port and loopback are taken too.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn parse(text: &str, allow_local: bool) -> Result<Self, TargetError> {
        let url = reqwest::Url::parse(text).map_err(|_| TargetError::Malformed)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|_| plain && text.len() <= 512).ok_or(TargetError::Malformed)?;
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let is_local = literal.map_or(host == "localhost", |address| address.is_loopback());
        if allow_local && is_local && matches!(url.scheme(), "http" | "https") {
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

/// Resolves names to public addresses only.
pub struct PublicOnly {
    /// Development: loopback is taken too.
    pub allow_local: bool,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_local = self.allow_local;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<SocketAddr> = found
                .filter(|address| is_public(address.ip()) || (allow_local && address.ip().is_loopback()))
                .collect();
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

/// ::ffff:a.b.c.d, ::a.b.c.d, NAT64 (64:ff9b::/96 and its local-use prefix) and 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0 | 1, _, _, _, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
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
            "[2002:7f00:1::]",
            "[2001:db8::1]",
            "[ff02::1]",
            "2130706433",
            "0x7f.1",
            "localhost",
            "[::127.0.0.1]",
        ] {
            let url = format!("https://{host}/hook");
            assert_eq!(Target::parse(&url, false), Err(TargetError::NotPublic), "{url}");
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
            assert_eq!(Target::parse(url, false), Err(error), "{url}");
        }
        for url in ["https://merchant.example/hook?a=1", "https://93.184.216.34/", "https://[2606:4700::1111]/"] {
            assert!(Target::parse(url, false).is_ok(), "{url}");
        }
        assert!(Target::parse("http://127.0.0.1:9000/hook", true).is_ok());
        assert_eq!(Target::parse("https://10.0.0.1/", true), Err(TargetError::NotPublic));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_at_the_connection() {
        let resolve = |allow_local| PublicOnly { allow_local }.resolve("localhost".parse().unwrap());
        assert!(resolve(false).await.is_err());
        assert!(resolve(true).await.is_ok());
    }
}
