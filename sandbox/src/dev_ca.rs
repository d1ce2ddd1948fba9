//! The development CA: one throw-away authority per directory, a server certificate for this machine and client
//! certificates on demand, in the shape that rustls, BoringSSL (workerd), OpenSSL (curl, Node) all accept.

use std::{fs, io, path::Path, time::Duration};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use zeroize::Zeroizing;

use crate::common::{
    files::{write_private, write_public},
    ids::Ids,
};

const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const DAY: u64 = 86_400;
const CA_DAYS: u64 = 365;
const LEAF_DAYS: u64 = 90;
/// Valid from an hour ago, for clocks of containers that run behind.
const BACKDATED: u64 = 3600;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("file: {0}")]
    Io(#[from] io::Error),
    #[error("a client's name is 1 to 64 of a-z, 0-9, underscore, hyphen, and neither ca nor server")]
    ClientName,
}

/// PEM texts; the keys are wiped when dropped.
pub struct DevCa {
    pub ca: String,
    pub ca_key: Zeroizing<String>,
    /// The server's certificate, then the CA's.
    pub server: String,
    pub server_key: Zeroizing<String>,
    pub clients: Vec<Client>,
}

/// Who shows a certificate to a server.
pub struct Client {
    pub name: String,
    pub certificate: String,
    pub key: Zeroizing<String>,
}

/// Makes `ca.pem`, `ca.key`, `server.pem`, `server.key` anew, and `NAME.pem`, `NAME.key` for each client; what was there
/// is replaced.
pub fn create(dir: &Path, names: &[String], clients: &[String], now: u64) -> Result<(), Error> {
    let made = generate(names, clients, now, &mut Ids::from_system())?;
    fs::create_dir_all(dir)?;
    for client in &made.clients {
        write_private(&dir.join(format!("{}.key", client.name)), client.key.as_bytes())?;
        write_public(&dir.join(format!("{}.pem", client.name)), client.certificate.as_bytes())?;
    }
    write_private(&dir.join("ca.key"), made.ca_key.as_bytes())?;
    write_private(&dir.join("server.key"), made.server_key.as_bytes())?;
    write_public(&dir.join("server.pem"), made.server.as_bytes())?;
    write_public(&dir.join("ca.pem"), made.ca.as_bytes())?;
    Ok(())
}

/// `names` are added to localhost's: DNS names or addresses.
pub fn generate(names: &[String], clients: &[String], now: u64, ids: &mut Ids) -> Result<DevCa, Error> {
    let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let ca_params = ca_params(now, ids)?;
    let ca = ca_params.self_signed(&ca_key)?;
    let server_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let issuer = Issuer::from_params(&ca_params, &ca_key);
    let server = server(names, now, &server_key, &issuer)?;
    Ok(DevCa {
        clients: clients.iter().map(|name| client(name, now, &issuer)).collect::<Result<_, _>>()?,
        server: format!("{}{}", server.pem(), ca.pem()),
        ca: ca.pem(),
        ca_key: Zeroizing::new(ca_key.serialize_pem()),
        server_key: Zeroizing::new(server_key.serialize_pem()),
    })
}

fn ca_params(now: u64, ids: &mut Ids) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    // A name of its own for each CA: trust stores look issuers up by name and would mix them up.
    params.distinguished_name = name(&format!("Scanvault development CA {}", ids.text(b"0123456789abcdef", 8)));
    // RFC 5280 §4.2.1.9: critical for a CA (rcgen always writes it so); it may sign leaves only.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, now, CA_DAYS);
    Ok(params)
}

fn server(names: &[String], now: u64, key: &KeyPair, issuer: &Issuer<'_, &KeyPair>) -> Result<Certificate, Error> {
    let mut all: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    all.extend(names.iter().filter(|name| !NAMES.contains(&name.as_str())).cloned());
    let mut params = CertificateParams::new(all)?;
    params.distinguished_name = name("Scanvault development server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // OpenSSL's strict mode (Python's default) wants the key identifiers of RFC 5280 §4.2.1.1.
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, now, LEAF_DAYS);
    Ok(params.signed_by(key, issuer)?)
}

fn client(text: &str, now: u64, issuer: &Issuer<'_, &KeyPair>) -> Result<Client, Error> {
    let is_name = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if !is_name || matches!(text, "ca" | "server") {
        return Err(Error::ClientName); // it becomes the name of a file
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = name(text);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, now, LEAF_DAYS);
    let certificate = params.signed_by(&key, issuer)?.pem();
    Ok(Client { name: text.to_owned(), certificate, key: Zeroizing::new(key.serialize_pem()) })
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn validity(params: &mut CertificateParams, now: u64, days: u64) {
    let start = now.saturating_sub(BACKDATED);
    params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(start);
    // RFC 5280 §4.1.2.5: both ends are included.
    params.not_after = params.not_before + Duration::from_secs(days * DAY - 1);
}
