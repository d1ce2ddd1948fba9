//! TLS of the TCP listeners: ECDHE with AEAD, ECDSA certificates only. 1.2 and 1.3 on the public one; 1.3 with client
//! certificates on the admin one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SignatureAlgorithm};

/// Why the listener cannot have TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds no PEM of the right kind.
    #[error("{0}: {1}")]
    File(PathBuf, rustls::pki_types::pem::Error),
    /// The key and certificate do not fit, or are of a kind that we do not serve.
    #[error("certificate: {0}")]
    Rustls(#[from] rustls::Error),
    /// TLS 1.3 suites do not name the certificate's type: an RSA certificate would be served without a word.
    #[error("the certificate's key must be ECDSA")]
    NotEcdsa,
    /// Without a CA nobody could come in.
    #[error("{0}: {1}")]
    ClientCa(PathBuf, VerifierBuilderError),
}

/// For the public listener: reads certificate chain and key.
///
/// # Errors
/// See [`TlsError`].
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let identity = Identity::read(certificate, key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?;
    Ok(Arc::new(narrowed(config)))
}

/// For the admin listener: TLS 1.3 only, and only for clients with a certificate of this CA. A certificate that names
/// what it is for must name client authentication. Nothing is resumed: every connection proves its key anew.
///
/// Revocation lists are not looked at: who may come in is a list of certificates, and a certificate that is struck off it
/// is out.
///
/// # Errors
/// See [`TlsError`].
pub fn admin_server_config(certificate: &Path, key: &Path, client_ca: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let identity = Identity::read(certificate, key)?;
    let provider = Arc::new(provider());
    let mut roots = RootCertStore::empty();
    for root in certificates(client_ca)? {
        roots.add(root)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| TlsError::ClientCa(client_ca.to_owned(), error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(narrowed(config)))
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File(key.to_owned(), error))?;
        let signer = provider().key_provider.load_private_key(key.clone_key())?;
        if signer.algorithm() != SignatureAlgorithm::ECDSA {
            return Err(TlsError::NotEcdsa);
        }
        Ok(Self { chain, key })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| TlsError::File(path.to_owned(), error))
}

fn narrowed(mut config: ServerConfig) -> ServerConfig {
    config.ignore_client_order = true;
    config.max_early_data_size = 0; // 0-RTT can be replayed
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}
