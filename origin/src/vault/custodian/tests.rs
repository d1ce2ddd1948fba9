use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;

use super::*;
use crate::vault::secret::Key32;
use crate::vault::share::{SetId, Share};

fn share() -> ShareText {
    Share::new(SetId([1; 16]), 0, 2, Key32::from_array([7; 32])).unwrap().to_text()
}

/// RFC 4251 §5: a string is its length and its bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    [u32::try_from(bytes.len()).unwrap().to_be_bytes().as_slice(), bytes].concat()
}

fn armor(label: &str, bytes: &[u8]) -> String {
    let lines: Vec<_> = STANDARD.encode(bytes).as_bytes().chunks(70).map(|line| line.to_vec()).collect();
    let body = String::from_utf8(lines.join(&b'\n')).unwrap();
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// An OpenSSH key pair (PROTOCOL.key), as ssh-keygen writes it: private file and public line.
fn ssh_ed25519(seed: [u8; 32], cipher: &str) -> (String, String) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let public = pair.public_key().as_ref();
    let blob = [string(b"ssh-ed25519"), string(public)].concat();
    let secret = [seed.as_slice(), public].concat();
    let mut private = [vec![7; 8], blob.clone(), string(&secret), string(b"comment")].concat();
    private.extend((1..=8).take((8 - private.len() % 8) % 8));
    let kdf = if cipher == "none" {
        [string(b"none"), string(b"")]
    } else {
        [string(b"bcrypt"), string(&[string(&[1; 16]), vec![0, 0, 0, 16]].concat())]
    };
    private.resize(private.len().next_multiple_of(16), 0);
    if cipher == "none" {
        private.truncate(8 + blob.len() + 68 + 11);
        private.extend((1..=8).take((8 - private.len() % 8) % 8));
    }
    let file = [b"openssh-key-v1\0".to_vec(), string(cipher.as_bytes()), kdf.concat(), vec![0, 0, 0, 1], string(&blob)];
    let file = [file.concat(), string(&private)].concat();
    (armor("OPENSSH PRIVATE KEY", &file), format!("ssh-ed25519 {} a comment", STANDARD.encode(blob)))
}

fn ssh_rsa() -> (String, String) {
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let key = rsa::RsaPrivateKey::from_pkcs8_der(der.as_ref()).unwrap();
    // RFC 4251 §5 mpint: the modulus has its high bit set, so a zero goes before it.
    let modulus = [vec![0], key.n().to_bytes_be()].concat();
    let blob = [string(b"ssh-rsa"), string(&key.e().to_bytes_be()), string(&modulus)].concat();
    let file = key.to_pkcs1_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    (file.to_string(), format!("ssh-rsa {}", STANDARD.encode(blob)))
}

#[test]
fn age_identity_there_and_back() {
    let (identity, custodian) = generate_identity();
    assert!(custodian.to_string().starts_with("age1"));
    assert_eq!(Custodian::parse(&format!(" {custodian}\n")).unwrap().to_string(), custodian.to_string());
    let file = custodian.encrypt(&share()).unwrap();
    assert!(file.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n") && !file.contains("svshare1"));
    assert_eq!(*decrypt(&identity, file.as_bytes()).unwrap(), share().expose());
    // Two encryptions of one share do not look alike.
    assert_ne!(file, custodian.encrypt(&share()).unwrap());

    let (other, _) = generate_identity();
    assert_eq!(decrypt(&other, file.as_bytes()), Err(CustodianError::Decrypt));
    // One of several identities in a file is enough.
    let both = format!("{}{}", *other, *identity);
    assert!(decrypt(&both, file.as_bytes()).is_ok());
}

#[test]
fn ssh_keys_there_and_back() {
    for (file, line) in [ssh_ed25519([5; 32], "none"), ssh_rsa()] {
        let custodian = Custodian::parse(&line).unwrap();
        let encrypted = custodian.encrypt(&share()).unwrap();
        assert_eq!(*decrypt(&file, encrypted.as_bytes()).unwrap(), share().expose(), "{custodian}");
        let (other, _) = ssh_ed25519([6; 32], "none");
        assert_eq!(decrypt(&other, encrypted.as_bytes()), Err(CustodianError::Decrypt));
    }
}

/// An operator may paste anything that has the form of a key; encrypting to it must not end the process.
#[test]
fn rsa_keys_that_no_tool_makes_are_refused_or_encrypted_to_without_a_panic() {
    let line = |exponent: &[u8], modulus: &[u8]| {
        let modulus = [&[0], modulus].concat();
        let blob = [string(b"ssh-rsa"), string(exponent), string(&modulus)].concat();
        format!("ssh-rsa {}", STANDARD.encode(blob))
    };
    let mut taken = 0;
    for exponent in [[0].as_slice(), &[1], &[2], &[3], &[1, 0, 1], &[0x7f; 5], &[0x7f; 200]] {
        for last in [0, 1, 2, 0xff] {
            for length in [128, 255, 256, 512, 1024] {
                let mut modulus = vec![0xff; length];
                modulus[length - 1] = last;
                if let Ok(custodian) = Custodian::parse(&line(exponent, &modulus)) {
                    assert!(length >= 256);
                    taken += usize::from(custodian.encrypt(&share()).is_ok());
                }
            }
        }
    }
    assert!(taken > 0);
}

#[test]
fn a_passphrase_is_named_as_the_obstacle() {
    let (file, line) = ssh_ed25519([5; 32], "aes256-ctr");
    let encrypted = Custodian::parse(&line).unwrap().encrypt(&share()).unwrap();
    assert_eq!(decrypt(&file, encrypted.as_bytes()), Err(CustodianError::PassphraseProtected));
}

#[test]
fn fingerprints_are_16_digits_and_do_not_depend_on_the_comment() {
    let (_, line) = ssh_ed25519([5; 32], "none");
    let bare = line.strip_suffix(" a comment").unwrap();
    let fingerprint = Custodian::parse(&line).unwrap().fingerprint();
    assert_eq!(fingerprint, Custodian::parse(bare).unwrap().fingerprint());
    assert_eq!(fingerprint, hex::encode(&Sha256::digest(bare))[..16]);
    assert_ne!(fingerprint, generate_identity().1.fingerprint());
}

#[test]
fn what_is_no_recipient_is_refused() {
    let (identity, custodian) = generate_identity();
    let secret = identity.lines().last().unwrap().to_owned();
    let two = format!("{custodian}\n{custodian}");
    let mut typo = custodian.to_string();
    typo.replace_range(10..11, if typo.as_bytes()[10] == b'q' { "p" } else { "q" });
    let long = format!("ssh-ed25519 {}", "A".repeat(5000));
    for bad in ["", "age1", &typo, &two, &secret, "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAA", &long] {
        assert_eq!(Custodian::parse(bad).unwrap_err(), CustodianError::Recipient, "{bad}");
    }
}

#[test]
fn what_is_no_identity_or_was_changed_is_refused() {
    let (identity, custodian) = generate_identity();
    let file = custodian.encrypt(&share()).unwrap();
    for bad in
        ["", "# only a comment\n", "hello", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", &custodian.to_string()]
    {
        assert_eq!(decrypt(bad, file.as_bytes()), Err(CustodianError::Identity), "{bad}");
    }
    for cut in [0, 10, 60, file.len() / 2, file.len() - 40] {
        assert_eq!(decrypt(&identity, &file.as_bytes()[..cut]), Err(CustodianError::Decrypt), "{cut}");
    }
    let body = file.find('\n').unwrap() + 1;
    for at in (body..file.len() - 40).step_by(7) {
        let mut changed = file.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(decrypt(&identity, &changed), Err(CustodianError::Decrypt), "{at}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(text in ".{0,120}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Custodian::parse(&text);
        let _ = Custodian::parse(&format!("ssh-ed25519 {text}"));
        let _ = Custodian::parse(&format!("age1{text}"));
        prop_assert!(decrypt(&text, &bytes).is_err());
        let file = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{text}");
        prop_assert!(decrypt(&file, &bytes).is_err());
    }
}
