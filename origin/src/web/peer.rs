//! Who is at the other end of an admin connection, as the kernel or the TLS handshake says.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

const UID: &str = "uid:";
const CERTIFICATE: &str = "cert:sha256:";

/// The other side of a connection. Its text form, `uid:1000` or `cert:sha256:<64 hex>`, is that of the operators file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The user's number at the other end of a Unix socket (SO_PEERCRED).
    Uid(u32),
    /// SHA-256 of the client certificate's DER. The handshake has proved that the peer holds its key.
    Certificate([u8; 32]),
}

/// Why a text names no peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Neither of the two forms.
    #[error("an identity is uid:NUMBER or cert:sha256:HEX")]
    Kind,
    /// Not a user's number: 0 to 4294967294, without sign or leading zeros.
    #[error("a user is a number from 0 to 4294967294")]
    Uid,
    /// Not a hash.
    #[error("a certificate is 64 lower-case hexadecimal digits")]
    Certificate,
}

impl Peer {
    /// The holder of a client certificate.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Self {
        Self::Certificate(Sha256::digest(der).into())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "{UID}{uid}"),
            Self::Certificate(hash) => {
                f.write_str(CERTIFICATE)?;
                hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// One text for each peer: what reads differently is a different peer, or none.
impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        if let Some(digits) = text.strip_prefix(UID) {
            let uid = digits.parse().ok().filter(|uid: &u32| *uid != NO_USER && uid.to_string() == digits);
            return uid.map(Self::Uid).ok_or(PeerError::Uid);
        }
        let digits = text.strip_prefix(CERTIFICATE).ok_or(PeerError::Kind)?;
        hash(digits).map(Self::Certificate).ok_or(PeerError::Certificate)
    }
}

/// -1: what system calls take for "leave it as it is". No user has it.
const NO_USER: u32 = u32::MAX;

fn hash(digits: &str) -> Option<[u8; 32]> {
    let digit = |symbol: u8| match symbol {
        b'0'..=b'9' => Some(symbol - b'0'),
        b'a'..=b'f' => Some(symbol - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["uid:0", "uid:1000", "uid:4294967294", &format!("cert:sha256:{}", "0f".repeat(32))] {
            assert_eq!(text.parse::<Peer>().unwrap().to_string(), text);
        }
        // FIPS 180-4's own example: SHA-256 of "abc".
        let abc = "cert:sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Peer::of_certificate(b"abc").to_string(), abc);
    }

    #[test]
    fn what_is_none_is_refused_for_what_it_is() {
        for text in ["", "1000", "UID:1", "gid:1", "cert:", "cert:sha1:00", " uid:1"] {
            assert_eq!(text.parse::<Peer>(), Err(PeerError::Kind), "{text}");
        }
        for text in ["uid:", "uid:-1", "uid:+1", "uid:01", "uid:1 ", "uid:4294967295", "uid:4294967296", "uid:root"] {
            assert_eq!(text.parse::<Peer>(), Err(PeerError::Uid), "{text}");
        }
        for digits in
            ["", "00", &"0f".repeat(31), &"0f".repeat(33), &"0F".repeat(32), &"0g".repeat(32), &"é".repeat(32)]
        {
            assert_eq!(format!("cert:sha256:{digits}").parse::<Peer>(), Err(PeerError::Certificate), "{digits}");
        }
    }
}
