//! `scanvault login`: the whole Bearer flow as a client does it, against the public address. Made to be copied.
//!
//! It trusts the gateway by its public key, which came on another way: whoever cannot open our challenge is not answered.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::Args;
use reqwest::{Certificate, Client, RequestBuilder, Url, redirect};
use rustls::pki_types::pem::{PemObject, SectionKind};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::identity::key_text;
use super::input;
use super::output::{Failure, Output};
use crate::vault::login::{CHALLENGE_BYTES, CIPHERTEXT_BYTES};
use crate::vault::{Entropy, SystemEntropy};

const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Flags of `scanvault login`. Secrets are in files, never on the command line.
#[derive(Args)]
pub(super) struct Login {
    /// The gateway's public address, such as <https://pay.example>.
    #[arg(long)]
    url: String,
    /// The account, such as merchant-25.
    #[arg(long)]
    identity: String,
    /// The account's private key: PEM, PKCS#8 or PKCS#1.
    #[arg(long)]
    private_key: PathBuf,
    /// File with the login's password; - is standard input.
    #[arg(long)]
    password_file: PathBuf,
    /// The gateway's public key: base64 of its DER, or @FILE with that.
    #[arg(long)]
    server_key: String,
    /// A CA to trust beside the usual ones, PEM.
    #[arg(long)]
    ca: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginBody<'a> {
    identity: &'a str,
    password: &'a str,
    base64_encoded_challenge_hash: String,
    base64_encoded_challenge_response: Zeroizing<String>,
}

pub(super) async fn run(login: &Login, output: &Output) -> Result<(), Failure> {
    if !keeps_to_itself(&login.url) {
        return Err(Failure::Usage("--url is an https:// address: anybody could read the session on another".into()));
    }
    let own_key = private_key(&login.private_key)?;
    let server_key = server_key(&login.server_key)?;
    let password = input::read(&login.password_file, MAX_SECRET_FILE_BYTES)?;
    let client = client(login.ca.as_deref())?;
    let base = login.url.trim_end_matches('/');

    let mut secret = Zeroizing::new([0; CHALLENGE_BYTES]);
    SystemEntropy::new().fill(&mut *secret).map_err(|error| Failure::Refused(error.to_string()))?;
    let ours = encrypt(&server_key, &*secret)?;
    // The URL-safe alphabet: nothing of it has to be percent-encoded.
    let query = format!("identity={}&clientChallenge={}", encoded(&login.identity), URL_SAFE_NO_PAD.encode(ours));
    let asked = client.get(format!("{base}/authentication/login-challenges?{query}"));
    let answer = send(asked, base).await?;
    let field = |name: &str| STANDARD.decode(answer.get(name).and_then(Value::as_str).unwrap_or_default());
    let unreadable = |_| Failure::Refused("the answer to the challenge is not readable".into());
    let proof = field("base64EncodedClientChallengeResponse").map_err(unreadable)?;
    if !bool::from(Sha256::digest(*secret).as_slice().ct_eq(&proof)) {
        let text = "whoever answered does not hold the private half of --server-key: nothing was sent to them";
        return Err(Failure::Refused(text.into()));
    }

    let theirs = field("base64EncodedChallenge").map_err(unreadable)?;
    let opened = open(&own_key, &theirs)?;
    let body = LoginBody {
        identity: &login.identity,
        password: password.trim(),
        base64_encoded_challenge_hash: STANDARD.encode(Sha256::digest(&theirs)),
        base64_encoded_challenge_response: Zeroizing::new(STANDARD.encode(Sha256::digest(&*opened))),
    };
    let json = serde_json::to_vec(&body).map_err(|error| Failure::Refused(error.to_string()))?;
    let sent = client.post(format!("{base}/authentication/login")).header("content-type", "application/json");
    let session = send(sent.body(json), base).await?;
    if output.json {
        output.object(&session);
        return Ok(());
    }
    let text = |name: &str| session.get(name).and_then(Value::as_str).unwrap_or_default();
    output.note(&format!("session {} until {}", text("sessionId"), text("expires")));
    output.text(&format!("{}: {}", text("headerName"), text("headerValue")));
    Ok(())
}

fn encrypt(key: &OaepPublicEncryptingKey, text: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut room = vec![0; key.ciphertext_size()];
    let sealed = key.encrypt(&OAEP_SHA1_MGF1SHA1, text, &mut room, None);
    let length = sealed.map_err(|_| Failure::Usage("--server-key encrypts nothing".into()))?.len();
    room.truncate(length);
    Ok(room)
}

/// The gateway sends a number to whoever it does not know, too. Nothing but 64 bytes is hashed and sent back.
fn open(key: &OaepPrivateDecryptingKey, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut room = Zeroizing::new(vec![0; key.min_output_size()]);
    let opened = key.decrypt(&OAEP_SHA1_MGF1SHA1, challenge, &mut room, None).map_or(0, |text| text.len());
    if opened != CHALLENGE_BYTES {
        let text = "the gateway's challenge does not open with --private-key: is this identity enrolled with that key?";
        return Err(Failure::Refused(text.into()));
    }
    room.truncate(opened);
    Ok(room)
}

fn server_key(argument: &str) -> Result<OaepPublicEncryptingKey, Failure> {
    let wrong = || Failure::Usage("--server-key is the base64 of the gateway's 4096-bit public key, DER".into());
    let der = STANDARD.decode(key_text(argument)?.split_ascii_whitespace().collect::<String>()).map_err(|_| wrong())?;
    let key = PublicEncryptingKey::from_der(&der).ok().and_then(|key| OaepPublicEncryptingKey::new(key).ok());
    key.filter(|key| key.ciphertext_size() == CIPHERTEXT_BYTES).ok_or_else(wrong)
}

fn private_key(path: &Path) -> Result<OaepPrivateDecryptingKey, Failure> {
    parse_private_key(&input::read(path, MAX_SECRET_FILE_BYTES)?).ok_or_else(|| {
        Failure::Usage(format!("{}: no RSA private key in PEM, PKCS#8 or PKCS#1, without a password", path.display()))
    })
}

/// AWS-LC reads PKCS#8 only; the other form is wrapped into it (RFC 5208 §5, RFC 8017 §A.1.2).
fn parse_private_key(pem: &str) -> Option<OaepPrivateDecryptingKey> {
    use rsa::pkcs1::DecodeRsaPrivateKey;
    use rsa::pkcs8::EncodePrivateKey;
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes());
    let (kind, der) =
        sections.flatten().find(|(kind, _)| matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey))?;
    let der = Zeroizing::new(der);
    let key = match kind {
        SectionKind::PrivateKey => PrivateDecryptingKey::from_pkcs8(&der).ok()?,
        _ => {
            let pkcs8 = rsa::RsaPrivateKey::from_pkcs1_der(&der).ok()?.to_pkcs8_der().ok()?;
            PrivateDecryptingKey::from_pkcs8(pkcs8.as_bytes()).ok()?
        }
    };
    OaepPrivateDecryptingKey::new(key).ok()
}

fn client(ca: Option<&Path>) -> Result<Client, Failure> {
    let mut roots = Vec::new();
    if let Some(path) = ca {
        let wrong = |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", path.display()));
        let pem = fs::read(path).map_err(|error| wrong(&error))?;
        roots = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
    }
    let client = Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none());
    let client = client.tls_certs_merge(roots).user_agent("scanvault").build();
    client.map_err(|error| Failure::Usage(super::client::with_causes(&error)))
}

/// Over TLS; or within this machine, as the demo's edge is. Redirects are not followed, so it stays so.
fn keeps_to_itself(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

async fn send(request: RequestBuilder, base: &str) -> Result<Value, Failure> {
    let unreachable = |error: reqwest::Error| {
        let text = super::client::with_causes(&error.without_url());
        Failure::Unreachable(format!("{base}: {text}"))
    };
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Failure::Refused("the answer is too long".into()));
        }
        body.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        return Err(Failure::Refused(super::client::reason(&body, status)));
    }
    serde_json::from_slice(&body).map_err(|error| Failure::Refused(format!("the answer is not readable: {error}")))
}

/// RFC 3986 §2.3: what is not unreserved is percent-encoded.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../vectors/login.json")).unwrap()
    }

    #[test]
    fn a_session_is_not_sent_over_a_network_in_clear() {
        for url in [
            "https://pay.example",
            "https://127.0.0.1:1",
            "http://127.0.0.1:8787",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert!(keeps_to_itself(url), "{url}");
        }
        for url in [
            "http://pay.example",
            "http://127.0.0.1.example",
            "http://127.0.0.1@pay.example",
            "ftp://localhost",
            "x",
            "",
        ] {
            assert!(!keeps_to_itself(url), "{url}");
        }
    }

    #[test]
    fn what_openssl_and_python_encrypt_is_opened_with_either_form_of_the_key() {
        let vectors = vectors();
        for form in ["pkcs8", "pkcs1"] {
            let key = parse_private_key(vectors["client"][form].as_str().unwrap()).unwrap();
            for vector in vectors["to_client"].as_array().unwrap() {
                let challenge = STANDARD.decode(vector["ciphertext"].as_str().unwrap()).unwrap();
                let opened = open(&key, &challenge).unwrap();
                assert_eq!(STANDARD.encode(&*opened), vector["plaintext"], "{form} {}", vector["by"]);
            }
            let foreign = STANDARD.decode(vectors["to_gateway"][0]["ciphertext"].as_str().unwrap()).unwrap();
            assert!(matches!(open(&key, &foreign), Err(Failure::Refused(_))));
        }
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        let vectors = vectors();
        for pem in [vectors["reference"]["certificate"].as_str().unwrap(), "", "-----BEGIN PRIVATE KEY-----"] {
            assert!(parse_private_key(pem).is_none());
        }
        assert!(server_key(vectors["gateway"]["spki"].as_str().unwrap()).is_ok());
        for text in [vectors["refused"]["2048 bits"].as_str().unwrap(), "AAAA", "", "@/nowhere"] {
            assert!(matches!(server_key(text), Err(Failure::Usage(_))), "{text}");
        }
    }

    #[test]
    fn an_identity_is_one_value_of_the_query() {
        assert_eq!(encoded("merchant-25"), "merchant-25");
        assert_eq!(encoded("a b&c=ä"), "a%20b%26c%3D%C3%A4");
    }
}
