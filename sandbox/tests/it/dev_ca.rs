//! The development CA in real TLS handshakes, in memory.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use scanvault_sandbox::{
    common::ids::Ids,
    dev_ca::{DevCa, generate},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

/// Whether a client that trusts `trusted` accepts the server of `served` under `name`.
async fn handshake(trusted: &DevCa, served: &DevCa, name: &str) -> Result<(), String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificates(&trusted.ca).remove(0)).unwrap();
    let client = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let key = PrivateKeyDer::from_pem_slice(served.server_key.as_bytes()).unwrap();
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(certificates(&served.server), key).unwrap();
    let (near, far) = tokio::io::duplex(16 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let (accepted, connected) = tokio::join!(
        TlsAcceptor::from(Arc::new(server)).accept(far),
        TlsConnector::from(Arc::new(client)).connect(name, near),
    );
    drop(accepted);
    connected.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn names_of_this_machine_are_trusted_and_no_others() {
    let names = ["pay.test".to_owned(), "192.0.2.7".to_owned(), "localhost".to_owned()];
    let made = generate(&names, &[], now(), &mut Ids::seeded([1; 32])).unwrap();
    for name in ["localhost", "127.0.0.1", "::1", "pay.test", "192.0.2.7"] {
        assert_eq!(handshake(&made, &made, name).await, Ok(()), "{name}");
    }
    for name in ["example.test", "127.0.0.2"] {
        assert!(handshake(&made, &made, name).await.unwrap_err().contains("not valid for name"), "{name}");
    }
}

#[tokio::test]
async fn another_ca_and_another_time_are_not_trusted() {
    let made = generate(&[], &[], now(), &mut Ids::seeded([1; 32])).unwrap();
    let other = generate(&[], &[], now(), &mut Ids::seeded([2; 32])).unwrap();
    assert!(handshake(&other, &made, "localhost").await.unwrap_err().contains("UnknownIssuer"));
    let day = 86_400;
    let old = generate(&[], &[], now() - 91 * day, &mut Ids::seeded([1; 32])).unwrap();
    assert!(handshake(&old, &old, "localhost").await.unwrap_err().contains("xpired"), "90 days are over");
    let nearly = generate(&[], &[], now() - 89 * day, &mut Ids::seeded([1; 32])).unwrap();
    assert_eq!(handshake(&nearly, &nearly, "localhost").await, Ok(()));
    let future = generate(&[], &[], now() + day, &mut Ids::seeded([1; 32])).unwrap();
    let refusal = handshake(&future, &future, "localhost").await.unwrap_err();
    assert!(refusal.contains("not valid yet"), "{refusal}");
}

#[test]
fn names_that_are_none_are_refused() {
    assert!(generate(&["bücher.test".to_owned()], &[], now(), &mut Ids::seeded([1; 32])).is_err());
}

#[tokio::test]
async fn a_client_is_no_server() {
    let made = generate(&[], &["alice".to_owned()], now(), &mut Ids::seeded([1; 32])).unwrap();
    let [alice] = made.clients.as_slice() else { panic!("one client") };
    let (server, server_key) = (alice.certificate.clone(), alice.key.clone());
    let other = generate(&[], &[], now(), &mut Ids::seeded([2; 32])).unwrap();
    let served = DevCa { server, server_key, ..other };
    assert!(handshake(&made, &served, "localhost").await.is_err());
    assert!(served.clients.is_empty());
}

#[test]
fn names_of_clients_are_names_of_files() {
    for name in ["", "ca", "server", "../alice", "a.b", "Alice", &"a".repeat(65)] {
        assert!(generate(&[], &[name.to_owned()], now(), &mut Ids::seeded([1; 32])).is_err(), "{name}");
    }
}
