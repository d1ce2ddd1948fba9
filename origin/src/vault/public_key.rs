//! Recipients that `age` would stumble over, refused before it sees them or before it uses them.
//!
//! - An SSH key with an integer of zero bytes makes its parser panic, which would end the process.
//! - Keys of small order make the agreed secret known to everybody: to an X25519 one `age` panics
//!   when it encrypts, to an Ed25519 one it encrypts under a key that anybody can compute.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The y coordinates of the points of small order on edwards25519, little-endian, without the sign
/// bit: orders 4, 1, 8, 8, 2, then p and p + 1, which are 0 and 1 again (RFC 7748 §6.1, RFC 8032 §5.1.3).
const SMALL_ORDER_Y: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// An SSH public key line without its comment, if it is of the form that `age` reads safely
/// (RFC 4253 §6.6, RFC 8709 §4): one key, nothing after it.
pub(super) fn ssh_line(text: &str) -> Option<String> {
    let mut words = text.split_ascii_whitespace();
    let (kind, blob) = (words.next()?, words.next()?.trim_end_matches('='));
    let bytes = STANDARD_NO_PAD.decode(blob).ok()?;
    let mut rest = bytes.as_slice();
    let named = ssh_string(&mut rest)? == kind.as_bytes();
    let sound = match kind {
        "ssh-ed25519" => ssh_string(&mut rest)?.len() == 32,
        "ssh-rsa" => is_positive(ssh_string(&mut rest)?) && is_positive(ssh_string(&mut rest)?),
        _ => false,
    };
    (named && sound && rest.is_empty()).then(|| format!("{kind} {blob}"))
}

/// RFC 4251 §5: u32 length, then so many bytes.
fn ssh_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (field, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(field)
}

/// RFC 4251 §5 mpint: canonical, above zero.
const fn is_positive(mpint: &[u8]) -> bool {
    match mpint {
        [0, second, ..] => *second >= 0x80,
        [first, ..] => *first != 0 && *first < 0x80,
        [] => false,
    }
}

/// Whether a recipient, in the form in which `age` displays it, is of small order. What cannot be
/// taken apart counts as weak: better to refuse a custodian than to hand a share to everybody.
pub(super) fn is_weak(recipient: &str) -> bool {
    match recipient.split_once(' ') {
        None => x25519_of(recipient).is_none_or(|u| x25519_is_weak(&u)),
        Some(("ssh-ed25519", blob)) => ed25519_of(blob).is_none_or(|y| ed25519_is_weak(&y)),
        // age has refused RSA keys under 2048 bits.
        Some((kind, _)) => kind != "ssh-rsa",
    }
}

/// AWS-LC answers an error when the agreed secret is all zero (RFC 7748 §6.1).
fn x25519_is_weak(u: &[u8; 32]) -> bool {
    use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};

    let Ok(any) = PrivateKey::generate(&X25519) else {
        return true;
    };
    agree(&any, UnparsedPublicKey::new(&X25519, u), (), |_| Ok(())).is_err()
}

fn ed25519_is_weak(encoded: &[u8; 32]) -> bool {
    let mut y = *encoded;
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    SMALL_ORDER_Y.contains(&super::hex::encode(&y).as_str())
}

/// The data of a Bech32 text (BIP 173) whose checksum `age` has verified.
fn x25519_of(recipient: &str) -> Option<[u8; 32]> {
    const ALPHABET: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let symbols = recipient.strip_prefix("age1")?;
    let data = symbols.get(..symbols.len().checked_sub(6)?)?;
    let mut bytes = Vec::with_capacity(32);
    let (mut buffer, mut bits) = (0_u32, 0);
    for symbol in data.chars() {
        buffer = (buffer << 5 | u32::try_from(ALPHABET.find(symbol)?).ok()?) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits & 0xff) as u8);
        }
    }
    bytes.try_into().ok()
}

/// RFC 8709 §4: the key is the last string of the blob.
fn ed25519_of(blob: &str) -> Option<[u8; 32]> {
    let bytes = STANDARD_NO_PAD.decode(blob.trim_end_matches('=')).ok()?;
    bytes.last_chunk::<32>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::custodian::{Custodian, CustodianError, generate_identity};
    use crate::vault::testing::decode_hex;

    /// BIP 173, for making recipients that no tool makes.
    fn bech32(bytes: &[u8]) -> String {
        const ALPHABET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
        let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
        let mut data: Vec<u8> =
            bits.chunks(5).map(|five| (0..5).fold(0, |v, at| v << 1 | five.get(at).unwrap_or(&0))).collect();
        let expanded = b"age".iter().map(|c| c >> 5).chain([0]).chain(b"age".iter().map(|c| c & 31));
        let values: Vec<u8> = expanded.chain(data.iter().copied()).chain([0; 6]).collect();
        let generator = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3_u32];
        let checksum = values.iter().fold(1_u32, |sum, value| {
            let carried = (0..5).filter(|at| sum >> 25 >> at & 1 == 1).fold(0, |x, at| x ^ generator[at]);
            (sum & 0x01ff_ffff) << 5 ^ u32::from(*value) ^ carried
        }) ^ 1;
        data.extend((0..6).map(|at| (checksum >> (5 * (5 - at)) & 31) as u8));
        format!("age1{}", data.iter().map(|value| char::from(ALPHABET[usize::from(*value)])).collect::<String>())
    }

    fn ssh(key: &[u8]) -> String {
        let blob = [&[0, 0, 0, 11], b"ssh-ed25519".as_slice(), &[0, 0, 0, 32], key].concat();
        format!("ssh-ed25519 {}", STANDARD_NO_PAD.encode(blob))
    }

    #[test]
    fn x25519_keys_of_small_order_are_refused_though_age_takes_them() {
        // u = 0, 1, p − 1, and the two of order 8.
        for u in [
            SMALL_ORDER_Y[0],
            SMALL_ORDER_Y[1],
            SMALL_ORDER_Y[4],
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        ] {
            let recipient = bech32(&decode_hex(u));
            assert!(recipient.parse::<age::x25519::Recipient>().is_ok());
            assert_eq!(Custodian::parse(&recipient).unwrap_err(), CustodianError::WeakKey, "{u}");
        }
    }

    #[test]
    fn ed25519_keys_of_small_order_are_refused_with_either_sign() {
        let mut taken_by_age = 0;
        for y in SMALL_ORDER_Y {
            for sign in [0, 0x80] {
                let mut key = decode_hex(y);
                key[31] |= sign;
                let line = ssh(&key);
                taken_by_age += usize::from(line.parse::<age::ssh::Recipient>().is_ok());
                assert!(Custodian::parse(&line).is_err(), "{y}");
                assert!(is_weak(&line));
            }
        }
        assert!(taken_by_age > 0, "the check would be needless");
    }

    #[test]
    fn integers_of_zero_bytes_and_trailing_bytes_are_refused() {
        let field = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let line = |parts: &[&[u8]]| {
            let blob: Vec<u8> = parts.iter().flat_map(|part| field(part)).collect();
            format!("ssh-rsa {}", STANDARD_NO_PAD.encode(blob))
        };
        let modulus = [[0, 0xff].as_slice(), &[0xff; 255]].concat();
        assert!(ssh_line(&line(&[b"ssh-rsa", &[1, 0, 1], &modulus])).is_some());
        for integer in [[].as_slice(), &[0], &[0, 0], &[0, 1], &[0x80], &[0; 300]] {
            assert!(ssh_line(&line(&[b"ssh-rsa", integer, &modulus])).is_none(), "{integer:?}");
            assert!(ssh_line(&line(&[b"ssh-rsa", &[3], integer])).is_none(), "{integer:?}");
        }
        for parts in [
            [b"ssh-rsa".as_slice(), &[3], &modulus, &[]].as_slice(),
            &[b"ssh-rsa", &[3]],
            &[b"ssh-ed25519", &[3], &modulus],
            &[],
        ] {
            assert!(ssh_line(&line(parts)).is_none());
        }
    }

    #[test]
    fn good_keys_pass_and_come_apart_rightly() {
        for _ in 0..20 {
            let (_, custodian) = generate_identity();
            let u = x25519_of(&custodian.to_string()).unwrap();
            assert_eq!(bech32(&u), custodian.to_string());
            assert!(Custodian::parse(&custodian.to_string()).is_ok());
        }
        // RFC 8032 §7.1, test 1.
        let key = decode_hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert!(Custodian::parse(&ssh(&key)).is_ok());
    }
}
