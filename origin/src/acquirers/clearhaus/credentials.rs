//! A merchant's credentials at Clearhaus, and the signature that they make.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::acquirers::AcquirerError;
use crate::hex;

/// A merchant's credentials, kept as one vault record.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The merchant account's API key.
    pub api_key: String,
    /// The API key of the signing account.
    pub signing_key_id: String,
    /// RSA private key, PKCS#8 PEM.
    pub signing_key_pem: String,
}

impl Credentials {
    /// Reads the record.
    pub(super) fn parse(json: &[u8]) -> Result<Self, AcquirerError> {
        serde_json::from_slice(json).map_err(|_| AcquirerError::Credentials("not our JSON"))
    }

    /// Checks that a call could be made with them.
    ///
    /// # Errors
    /// [`AcquirerError::Credentials`].
    pub fn check(&self) -> Result<(), AcquirerError> {
        let is_token =
            |text: &str| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if !is_token(&self.api_key) || !is_token(&self.signing_key_id) {
            return Err(AcquirerError::Credentials("API key or signing key id"));
        }
        self.key_pair().map(|_| ())
    }

    fn key_pair(&self) -> Result<RsaKeyPair, AcquirerError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(self.signing_key_pem.as_bytes())
            .map_err(|_| AcquirerError::Credentials("the signing key is not PKCS#8 PEM"))?;
        RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|_| AcquirerError::Credentials("the signing key is not RSA of at least 2048 bits"))
    }
}

/// Credentials with their key read. It lives as long as the opened record and no longer, so that a sealed vault leaves
/// none behind; the library wipes the key when it is freed.
pub(super) struct Signer {
    credentials: Credentials,
    key: RsaKeyPair,
}

impl Signer {
    /// Reads the record.
    pub(super) fn read(json: &[u8]) -> Result<Self, AcquirerError> {
        let credentials = Credentials::parse(json)?;
        let key = credentials.key_pair()?;
        Ok(Self { credentials, key })
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// `RS256-hex`: PKCS#1 v1.5 with SHA-256 over the exact bytes that are sent, in lower-case hex.
    pub(super) fn sign(&self, body: &[u8]) -> Result<String, AcquirerError> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature)
            .map_err(|_| AcquirerError::Credentials("the signing key does not sign"))?;
        Ok(hex::encode(&signature))
    }
}
