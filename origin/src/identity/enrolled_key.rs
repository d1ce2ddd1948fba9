//! The RSA key that an account logs in with, as an operator hands it in: base64 of a DER SubjectPublicKeyInfo
//! (RFC 5280 §4.1.2.7), the output of the reference's second openssl line.
//!
//! Checked is what a careless or broken generator gets wrong. A modulus of two large, far-off primes that somebody else
//! chose cannot be told from a good one; that the account holds the private half, its first login shows.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPublicKey};
use sha2::{Digest, Sha256};

use crate::hex;

/// The one size: ciphertexts of others would tell who is enrolled with what.
const MODULUS_BITS: usize = 4096;
const EXPONENT: u32 = 65_537;
/// A factor below this is found in a millisecond.
const TRIAL_LIMIT: u32 = 1 << 16;
/// Steps of Fermat's method: enough for primes that agree in their upper half and a few bits more.
const FERMAT_STEPS: u32 = 100;
/// Twice what a key of this size takes; a certificate is let in this far to be told what it is.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// A key that may be enrolled.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolledKey {
    der: Vec<u8>,
}

/// Why a key is not enrolled, said so that it helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// Nobody but its owner may have it: it is worthless from now on.
    #[error(
        "this is a private key: it must never leave its owner. Make a new pair, and send only the base64 of the public key"
    )]
    Private,
    /// Of the two files of the first openssl line, the one that was meant is inside of this.
    #[error(
        "this is a certificate; what is needed is the key in it: openssl x509 -in FILE -pubkey -noout | openssl pkey -pubin -outform DER | base64 -w0"
    )]
    Certificate,
    /// With its lines of dashes.
    #[error("send the base64 alone, without the lines that begin with -----")]
    Armoured,
    /// `BEGIN RSA PUBLIC KEY`: the inner structure only.
    #[error(
        "this is a bare PKCS#1 public key; what is needed is its SubjectPublicKeyInfo: openssl rsa -RSAPublicKey_in -in FILE -outform DER -pubout | base64 -w0"
    )]
    Pkcs1,
    /// Not base64, or of no such structure, or with something behind it.
    #[error("this is not the base64 of a DER SubjectPublicKeyInfo of an RSA key")]
    Malformed,
    /// Any other size.
    #[error("the key must have 4096 bits")]
    Size,
    /// Any other exponent.
    #[error("the key's exponent must be 65537")]
    Exponent,
    /// Divisible by something small.
    #[error("the key's modulus has a small factor: it was not made of two primes")]
    SmallFactor,
    /// Fermat's method finds the primes.
    #[error("the key's primes are too close to each other: anybody can find them. Make another one")]
    ClosePrimes,
}

impl EnrolledKey {
    /// Reads and checks a key.
    ///
    /// # Errors
    /// See [`KeyRefused`].
    pub fn parse(text: &str) -> Result<Self, KeyRefused> {
        let der = decode(text)?;
        let key = RsaPublicKey::from_public_key_der(&der).map_err(|_| what_else(&der))?;
        // One key has one form: what follows it, or stands in it otherwise, is refused.
        let again = key.to_public_key_der().map_err(|_| KeyRefused::Malformed)?;
        if again.as_bytes() != der {
            return Err(KeyRefused::Malformed);
        }
        check(key.n(), key.e())?;
        Ok(Self { der })
    }

    /// The DER, to be stored.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for EnrolledKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolledKey({})", fingerprint(&self.der))
    }
}

/// SHA-256 of a DER, in groups that two people can read to each other.
#[must_use]
pub fn fingerprint(der: &[u8]) -> String {
    let digits = hex::encode(&Sha256::digest(der));
    let groups: Vec<&str> = (0..digits.len()).step_by(4).filter_map(|at| digits.get(at..at + 4)).collect();
    groups.join(" ")
}

fn decode(text: &str) -> Result<Vec<u8>, KeyRefused> {
    // A private key first: what it needs to hear comes before what is wrong with its form.
    for (mark, what) in [
        ("PRIVATE KEY", KeyRefused::Private),
        ("CERTIFICATE", KeyRefused::Certificate),
        ("-----", KeyRefused::Armoured),
    ] {
        if text.contains(mark) {
            return Err(what);
        }
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(KeyRefused::Malformed);
    }
    let joined: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(joined).map_err(|_| KeyRefused::Malformed)
}

/// What a DER is that is no public key in its SubjectPublicKeyInfo.
fn what_else(der: &[u8]) -> KeyRefused {
    use rsa::RsaPrivateKey;
    use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey};
    use rsa::pkcs8::{DecodePrivateKey, PrivateKeyInfo, SubjectPublicKeyInfoRef};
    let is_private = PrivateKeyInfo::try_from(der).is_ok()
        || RsaPrivateKey::from_pkcs8_der(der).is_ok()
        || RsaPrivateKey::from_pkcs1_der(der).is_ok();
    if is_private {
        return KeyRefused::Private;
    }
    if RsaPublicKey::from_pkcs1_der(der).is_ok() {
        return KeyRefused::Pkcs1;
    }
    if let Ok(info) = SubjectPublicKeyInfoRef::try_from(der) {
        // The library takes no modulus above 4096 bits, and no exponent that is even or small.
        let bits = info.subject_public_key.raw_bytes();
        return match rsa::pkcs1::RsaPublicKey::try_from(bits) {
            Ok(key) if BigUint::from_bytes_be(key.modulus.as_bytes()).bits() == MODULUS_BITS => KeyRefused::Exponent,
            Ok(_) => KeyRefused::Size,
            Err(_) => KeyRefused::Malformed,
        };
    }
    // SEQUENCE { SEQUENCE { [0] version …: a TBSCertificate.
    let is_certificate = matches!(der, [0x30, 0x82, _, _, 0x30, 0x82, _, _, 0xa0, 0x03, ..]);
    if is_certificate { KeyRefused::Certificate } else { KeyRefused::Malformed }
}

fn check(modulus: &BigUint, exponent: &BigUint) -> Result<(), KeyRefused> {
    if modulus.bits() != MODULUS_BITS {
        return Err(KeyRefused::Size);
    }
    if *exponent != BigUint::from(EXPONENT) {
        return Err(KeyRefused::Exponent);
    }
    let zero = BigUint::from(0_u8);
    // Every odd number in place of the primes: a composite one divides only after its factors did.
    if std::iter::once(2).chain((3..TRIAL_LIMIT).step_by(2)).any(|small| modulus % small == zero) {
        return Err(KeyRefused::SmallFactor);
    }
    if has_close_factors(modulus) { Err(KeyRefused::ClosePrimes) } else { Ok(()) }
}

/// Fermat: an odd number is a² − b², and close factors have a small b.
fn has_close_factors(modulus: &BigUint) -> bool {
    let mut middle = modulus.sqrt();
    if &middle * &middle < *modulus {
        middle += 1_u8;
    }
    for _ in 0..FERMAT_STEPS {
        let rest = &middle * &middle - modulus;
        let root = rest.sqrt();
        if &root * &root == rest {
            return true;
        }
        middle += 1_u8;
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../vectors/login.json")).unwrap()
    }

    fn text<'a>(vectors: &'a Value, path: &str) -> &'a str {
        vectors.pointer(path).unwrap().as_str().unwrap()
    }

    fn spki_of(modulus: BigUint) -> String {
        let key = RsaPublicKey::new_unchecked(modulus, BigUint::from(EXPONENT));
        STANDARD.encode(key.to_public_key_der().unwrap().as_bytes())
    }

    #[test]
    fn what_the_references_openssl_lines_give_is_enrolled() {
        let vectors = vectors();
        let reference = text(&vectors, "/reference/public");
        assert_eq!(reference.len(), 736);
        let key = EnrolledKey::parse(reference).unwrap();
        assert_eq!(STANDARD.encode(key.as_der()), reference);
        for path in ["/client/spki", "/gateway/spki"] {
            EnrolledKey::parse(text(&vectors, path)).unwrap();
        }
        // As `base64` without -w0 gives it, and with the line's end.
        let wrapped =
            reference.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>();
        assert_eq!(EnrolledKey::parse(&format!("{}\n", wrapped.join("\n"))).unwrap(), key);
        assert_eq!(fingerprint(key.as_der()).len(), 64 + 15);
    }

    #[test]
    fn whatever_else_is_refused_with_its_reason() {
        let vectors = vectors();
        let client = text(&vectors, "/client/pkcs8");
        let body = |pem: &str| pem.lines().filter(|line| !line.starts_with("---")).collect::<String>();
        let good = text(&vectors, "/client/spki");
        let mut trailing = STANDARD.decode(good).unwrap();
        let pkcs1 = STANDARD.encode(trailing.get(24..).unwrap());
        trailing.push(0);
        let cases = [
            (text(&vectors, "/refused/2048 bits").to_owned(), KeyRefused::Size),
            (text(&vectors, "/refused/3072 bits").to_owned(), KeyRefused::Size),
            (text(&vectors, "/refused/e = 3").to_owned(), KeyRefused::Exponent),
            (text(&vectors, "/refused/close primes").to_owned(), KeyRefused::ClosePrimes),
            (client.to_owned(), KeyRefused::Private),
            (body(client), KeyRefused::Private),
            (text(&vectors, "/client/pkcs1").to_owned(), KeyRefused::Private),
            (body(text(&vectors, "/client/pkcs1")), KeyRefused::Private),
            (text(&vectors, "/reference/certificate").to_owned(), KeyRefused::Certificate),
            (body(text(&vectors, "/reference/certificate")), KeyRefused::Certificate),
            (format!("-----BEGIN PUBLIC KEY-----\n{good}\n-----END PUBLIC KEY-----"), KeyRefused::Armoured),
            (pkcs1, KeyRefused::Pkcs1),
            (STANDARD.encode(trailing), KeyRefused::Malformed),
            (good.get(..good.len() - 4).unwrap().to_owned(), KeyRefused::Malformed),
            (String::new(), KeyRefused::Malformed),
            ("!".into(), KeyRefused::Malformed),
            ("A".repeat(MAX_TEXT_BYTES + 4), KeyRefused::Malformed),
        ];
        for (at, (text, why)) in cases.into_iter().enumerate() {
            assert_eq!(EnrolledKey::parse(&text), Err(why), "{at}: {}", text.get(..40.min(text.len())).unwrap());
        }
    }

    #[test]
    fn a_modulus_that_is_no_product_of_two_primes_is_refused() {
        let top = BigUint::from(1_u8) << 4095;
        let multiple = |factor: u32| (&top / factor + 1_u8) * factor;
        for factor in [3_u32, 5, 65_521] {
            let mut modulus = multiple(factor);
            if &modulus % 2_u8 == BigUint::from(0_u8) {
                modulus += factor;
            }
            assert_eq!(EnrolledKey::parse(&spki_of(modulus)), Err(KeyRefused::SmallFactor), "{factor}");
        }
        assert!(EnrolledKey::parse(&spki_of(top.clone())).is_err(), "even");
        // (2^2048 - 1)² has 4096 bits, and 2^2048 - 1 has small factors; Fermat alone sees the square too.
        let side = (BigUint::from(1_u8) << 2048) - 1_u8;
        assert!(has_close_factors(&(&side * &side)));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}", der in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(EnrolledKey::parse(&text).is_err());
            prop_assert!(EnrolledKey::parse(&STANDARD.encode(der)).is_err());
        }

        #[test]
        fn one_changed_byte_gives_another_key_or_none(at in 0_usize..550, with in 1_u8..) {
            let vectors = vectors();
            let good = STANDARD.decode(text(&vectors, "/client/spki")).unwrap();
            let mut changed = good.clone();
            changed[at] ^= with;
            if let Ok(key) = EnrolledKey::parse(&STANDARD.encode(&changed)) {
                prop_assert_eq!(key.as_der(), &changed[..]);
                prop_assert!(key.as_der() != &good[..]);
            }
        }
    }
}
