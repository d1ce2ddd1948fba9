//! What the host of the edge says of a connection: `request.cf`, which no client can set.
//!
//! Cloudflare fills it with what it knows, the TLS version among it; a plain workerd with `clientIp`, the other end of
//! the connection, as long as its configuration names no `cfBlobHeader` (seen in workerd 1.20260426).

use core::net::{IpAddr, SocketAddr};

/// The address in workerd's `clientIp`, which has the port behind it: `192.0.2.7:1234`, `[2001:db8::7]:1234`.
#[must_use]
pub fn peer_address(client_ip: &str) -> Option<String> {
    let address = client_ip.parse::<SocketAddr>().map(|socket| socket.ip()).or_else(|_| client_ip.parse::<IpAddr>());
    address.ok().map(|address| address.to_canonical().to_string())
}

/// Whether `tlsVersion` is one that nobody should speak any more (RFC 8996). What is no version that we know, such as
/// none at all or a later one, is not: there the host's own setting decides.
#[must_use]
pub fn is_outdated_tls(version: &str) -> bool {
    version.starts_with("SSL") || matches!(version, "TLSv1" | "TLSv1.0" | "TLSv1.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_has_one_spelling() {
        for (client_ip, address) in [
            ("192.0.2.7:1234", Some("192.0.2.7")),
            ("192.0.2.7", Some("192.0.2.7")),
            ("[::ffff:192.0.2.7]:1234", Some("192.0.2.7")),
            ("[2001:db8::7]:1234", Some("2001:db8::7")),
            ("2001:DB8:0::7", Some("2001:db8::7")),
            ("", None),
            ("unix:/run/edge", None),
            ("192.0.2.7:1234, 10.0.0.1", None),
            ("192.0.2.7:99999", None),
        ] {
            assert_eq!(peer_address(client_ip).as_deref(), address, "{client_ip}");
        }
    }

    #[test]
    fn versions_below_1_2_are_outdated() {
        for version in ["SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1"] {
            assert!(is_outdated_tls(version), "{version}");
        }
        for version in ["TLSv1.2", "TLSv1.3", "TLSv1.4", "TLSv2", "QUIC", "", "None"] {
            assert!(!is_outdated_tls(version), "{version}");
        }
    }
}
