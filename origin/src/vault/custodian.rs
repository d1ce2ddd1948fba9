//! Shares leave only encrypted to their custodian: age recipients (`age1…`) and SSH keys.
//!
//! The `age` crate draws its file keys and ephemeral keys from the operating system itself.

use std::fmt;
use std::io::Read as _;
use std::str::FromStr as _;

use age::armor::ArmoredReader;
use age::secrecy::ExposeSecret as _;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::hex;
use super::public_key;
use super::share::ShareText;

/// More plaintext than any share has; a file that holds more is no share file.
const MAX_PLAINTEXT: u64 = 4096;
const MAX_RECIPIENT: usize = 4096;

/// A custodian's public key.
#[derive(Clone)]
pub struct Custodian(Recipient);

#[derive(Clone)]
enum Recipient {
    X25519(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum CustodianError {
    #[error("a recipient is age1…, ssh-ed25519 … or ssh-rsa …, on one line")]
    Recipient,
    #[error("the RSA key of the recipient is shorter than 2048 bits or too long")]
    RsaSize,
    #[error("the recipient's public key is one to which anybody could decrypt")]
    WeakKey,
    #[error("the share could not be encrypted")]
    Encrypt,
    #[error("this is no identity file: an age identity or an OpenSSH private key")]
    Identity,
    #[error(
        "the SSH key is protected by a passphrase; make an unprotected copy with ssh-keygen -p on the custodian's machine"
    )]
    PassphraseProtected,
    #[error("this kind of SSH key cannot decrypt")]
    UnsupportedKey,
    #[error("the file is not encrypted to this identity, or was changed")]
    Decrypt,
}

impl Custodian {
    /// Parses one recipient; a comment after an SSH key is dropped.
    pub fn parse(text: &str) -> Result<Self, CustodianError> {
        let text = text.trim();
        if text.len() > MAX_RECIPIENT || text.contains(['\n', '\r']) {
            return Err(CustodianError::Recipient);
        }
        let custodian = Self(parse_recipient(text)?);
        if public_key::is_weak(&custodian.to_string()) {
            return Err(CustodianError::WeakKey);
        }
        Ok(custodian)
    }

    /// For reading out loud: first 16 hexadecimal digits of SHA-256 of the recipient as [`Display`](fmt::Display) gives it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut digits = hex::encode(&Sha256::digest(self.to_string()));
        digits.truncate(16);
        digits
    }

    /// The share as an armored age file that only this custodian opens.
    pub fn encrypt(&self, share: &ShareText) -> Result<String, CustodianError> {
        let text = share.expose().as_bytes();
        match &self.0 {
            Recipient::X25519(recipient) => age::encrypt_and_armor(recipient, text),
            Recipient::Ssh(recipient) => age::encrypt_and_armor(recipient, text),
        }
        .map_err(|_| CustodianError::Encrypt)
    }
}

/// Without a comment: `age1…`, or the type and the key.
impl fmt::Display for Custodian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Recipient::X25519(recipient) => recipient.fmt(f),
            Recipient::Ssh(recipient) => recipient.fmt(f),
        }
    }
}

impl fmt::Debug for Custodian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Custodian({self})")
    }
}

/// A fresh X25519 identity file, and its recipient.
#[must_use]
pub fn generate_identity() -> (Zeroizing<String>, Custodian) {
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public();
    let secret = identity.to_string();
    let mut file = Zeroizing::new(String::with_capacity(256));
    file.push_str("# public key: ");
    file.push_str(&recipient.to_string());
    file.push('\n');
    file.push_str(secret.expose_secret());
    file.push('\n');
    (file, Custodian(Recipient::X25519(recipient)))
}

/// Decrypts a share file (armored or not) with an identity file, on the custodian's machine.
pub fn decrypt(identity_file: &str, encrypted: &[u8]) -> Result<Zeroizing<String>, CustodianError> {
    let identities = parse_identities(identity_file)?;
    let decryptor = age::Decryptor::new_buffered(ArmoredReader::new(encrypted)).map_err(|_| CustodianError::Decrypt)?;
    let reader = decryptor
        .decrypt(identities.iter().map(|identity| identity.as_ref() as &dyn age::Identity))
        .map_err(|_| CustodianError::Decrypt)?;
    let mut text = Zeroizing::new(String::with_capacity(4096));
    reader.take(MAX_PLAINTEXT).read_to_string(&mut text).map_err(|_| CustodianError::Decrypt)?;
    Ok(text)
}

fn parse_recipient(text: &str) -> Result<Recipient, CustodianError> {
    use age::ssh::ParseRecipientKeyError::{RsaModulusTooLarge, RsaModulusTooSmall};

    if !text.starts_with("ssh-") {
        let recipient = age::x25519::Recipient::from_str(text);
        return recipient.map(Recipient::X25519).map_err(|_| CustodianError::Recipient);
    }
    let line = public_key::ssh_line(text).ok_or(CustodianError::Recipient)?;
    age::ssh::Recipient::from_str(&line).map(Recipient::Ssh).map_err(|error| match error {
        RsaModulusTooSmall | RsaModulusTooLarge => CustodianError::RsaSize,
        _ => CustodianError::Recipient,
    })
}

fn parse_identities(file: &str) -> Result<Vec<Box<dyn age::Identity + Send + Sync>>, CustodianError> {
    if !file.trim_start().starts_with("-----BEGIN") {
        let identities = age::IdentityFile::from_buffer(file.as_bytes())
            .map_err(|_| CustodianError::Identity)?
            .into_identities()
            .map_err(|_| CustodianError::Identity)?;
        return if identities.is_empty() { Err(CustodianError::Identity) } else { Ok(identities) };
    }
    match age::ssh::Identity::from_buffer(file.trim_start().as_bytes(), None) {
        Ok(identity @ age::ssh::Identity::Unencrypted(_)) => Ok(vec![Box::new(identity)]),
        Ok(
            age::ssh::Identity::Encrypted(_)
            | age::ssh::Identity::Unsupported(
                age::ssh::UnsupportedKey::EncryptedPem | age::ssh::UnsupportedKey::EncryptedSsh(_),
            ),
        ) => Err(CustodianError::PassphraseProtected),
        Ok(age::ssh::Identity::Unsupported(_)) => Err(CustodianError::UnsupportedKey),
        Err(_) => Err(CustodianError::Identity),
    }
}

#[cfg(test)]
mod tests;
