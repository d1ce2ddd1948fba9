//! TLS of the TCP listeners: ECDHE with AEAD, ECDSA certificates only. 1.2 and 1.3 on the public one, with client
//! certificates when a CA is named; 1.3 with client certificates on the admin one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SignatureAlgorithm};

use super::peer::Peer;

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
    /// Operators are known by their certificates.
    #[error("a listener for operators needs the CA of their certificates")]
    NoClientCa,
}

/// Who a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Edges and internal systems: TLS 1.2 and 1.3. They sign every request, so a certificate of theirs is optional.
    Signing,
    /// Operators: TLS 1.3, never without a certificate, a connection for each request.
    Operators,
    /// Third parties that call back: TLS 1.2 and 1.3, no certificate, a connection for each request. They sign.
    Providers,
}

/// Where a listener's TLS comes from.
#[derive(Clone, Debug)]
pub struct Files {
    /// The chain, the listener's own certificate first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Only clients with a certificate of this CA come in.
    pub client_ca: Option<PathBuf>,
}

/// The TLS of a listener, which can be read again while it listens.
///
/// A connection keeps what it was made with: a CA that is taken away keeps nobody out who is in already.
pub struct Tls {
    clients: Clients,
    files: Files,
    live: RwLock<Live>,
}

#[derive(Clone)]
struct Live {
    config: Arc<ServerConfig>,
    certificate: Peer,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn read(clients: Clients, files: Files) -> Result<Self, TlsError> {
        let live = RwLock::new(Live::read(clients, &files)?);
        Ok(Self { clients, files, live })
    }

    /// Reads the files again, for connections from now on. After an error nothing has changed.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let live = Live::read(self.clients, &self.files)?;
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
        Ok(())
    }

    /// Who the listener is for.
    #[must_use]
    pub fn clients(&self) -> Clients {
        self.clients
    }

    /// Where it was read from.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// What a new connection is made with.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.live().config
    }

    /// The certificate that is shown, for logs: its SHA-256.
    #[must_use]
    pub fn certificate(&self) -> Peer {
        self.live().certificate
    }

    fn live(&self) -> Live {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Live {
    fn read(clients: Clients, files: &Files) -> Result<Self, TlsError> {
        let identity = Identity::read(&files.certificate, &files.key)?;
        let certificate = Peer::of_certificate(identity.chain.first().ok_or(rustls::Error::NoCertificatesPresented)?);
        let provider = Arc::new(provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = match clients {
            Clients::Signing | Clients::Providers => {
                builder.with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            }
            Clients::Operators => builder.with_protocol_versions(&[&rustls::version::TLS13])?,
        };
        let builder = match (&files.client_ca, clients) {
            (Some(ca), _) => builder.with_client_cert_verifier(verifier(ca, provider)?),
            (None, Clients::Signing | Clients::Providers) => builder.with_no_client_auth(),
            (None, Clients::Operators) => return Err(TlsError::NoClientCa),
        };
        let mut config = builder.with_single_cert(identity.chain, identity.key)?;
        config.ignore_client_order = true;
        config.max_early_data_size = 0; // 0-RTT can be replayed
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if files.client_ca.is_some() {
            // Nothing is resumed: every connection proves its key anew, to the CA that is trusted now.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Self { config: Arc::new(config), certificate })
    }
}

/// Takes certificates of this CA. One that names what it is for must name client authentication.
///
/// Revocation lists are not looked at. An operator who is struck off the list of operators is out; an edge is out without
/// its link key.
fn verifier(ca: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(ca)? {
        roots.add(root)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| TlsError::ClientCa(ca.to_owned(), error))
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
