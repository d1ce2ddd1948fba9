//! Clearhaus' transaction gateway: form-encoded POST, Basic with the API key, RSA signature over the raw body.
//!
//! The gateway has neither an idempotency key nor a look-up: a call without an answer is unknown for good and never
//! sent again. Facts: Clearhaus gateway documentation (authorizations, captures, voids, status codes).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{
    Acquirer, AcquirerError, Answer, Approval, Authorisation, Call, Capabilities, Decline, Instrument, Outcome,
    Refusal, Request, Resolution, Unanswered, Wire, WireRequest,
};
use crate::money::Currency;

/// The connector; it has no state.
#[derive(Debug)]
pub struct Clearhaus;

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

    /// `RS256-hex`: PKCS#1 v1.5 with SHA-256 over the exact bytes that are sent, in lower-case hex.
    fn sign(&self, body: &[u8]) -> Result<String, AcquirerError> {
        let key = self.key_pair()?;
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature)
            .map_err(|_| AcquirerError::Credentials("the signing key does not sign"))?;
        Ok(signature.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl Acquirer for Clearhaus {
    fn name(&self) -> &'static str {
        "clearhaus"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            partial_captures: true,
            partial_refunds: true,
            voids_captured: false,
            network_tokens: true,
            series: true,
            needs_card: false,
            unanswered: Unanswered {
                capture: Resolution::Operator,
                refund: Resolution::Operator,
                void: Resolution::Operator,
            },
        }
    }

    fn exponent(&self, currency: Currency) -> Option<u8> {
        Some(currency.exponent())
    }

    fn check_credentials(&self, credentials: &[u8]) -> Result<(), AcquirerError> {
        parse_credentials(credentials)?.check()
    }

    fn check(&self, request: &Request<'_>) -> Result<(), AcquirerError> {
        form(request).map(|_| ())
    }

    fn encode(&self, credentials: &[u8], request: &Request<'_>) -> Result<Wire, AcquirerError> {
        let credentials = parse_credentials(credentials)?;
        let (path, form) = form(request)?;
        let body = form.into_body();
        let signature = format!("{} RS256-hex {}", credentials.signing_key_id, credentials.sign(&body)?);
        let basic = Zeroizing::new(format!("{}:", credentials.api_key));
        Ok(Wire::Post(WireRequest {
            path,
            headers: vec![
                ("authorization", Zeroizing::new(format!("Basic {}", STANDARD.encode(basic.as_bytes())))),
                ("signature", Zeroizing::new(signature)),
                ("content-type", Zeroizing::new("application/x-www-form-urlencoded".to_owned())),
            ],
            body,
        }))
    }

    /// The body's `status.code` decides, with 2xx and 400 alike; any other status says nothing about what was booked,
    /// except 401 and 404, which are answered before anything is looked at.
    fn decode(&self, _request: &Request<'_>, answer: &Answer) -> Outcome {
        let unknown = |why| Outcome::Unknown { why, state: None };
        match answer.status {
            200 | 201 | 400 => {}
            401 => return Outcome::Declined(Decline::Credentials.into()),
            404 => return Outcome::Declined(Decline::Configuration.into()),
            _ => return unknown("the acquirer answered with an error"),
        }
        let Ok(answer) = serde_json::from_slice::<Body>(&answer.body) else {
            return unknown("the acquirer's answer was not readable");
        };
        let code = answer.status.code;
        match code {
            20000 => Outcome::Approved(Approval {
                state: answer.id.filter(|id| checked_id(id).is_ok()),
                ..Approval::default()
            }),
            40000..=49999 => Outcome::Declined(Refusal { reason: decline(code), code: Some(code.to_string()) }),
            _ => unknown("the acquirer reported an error of its own"),
        }
    }
}

fn parse_credentials(json: &[u8]) -> Result<Credentials, AcquirerError> {
    serde_json::from_slice(json).map_err(|_| AcquirerError::Credentials("not our JSON"))
}

#[derive(Deserialize)]
struct Body {
    id: Option<String>,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    code: u32,
}

/// The documented table. An unknown 4xxxx is a decline; everything outside of 2xxxx and 4xxxx is unknown.
fn decline(code: u32) -> Decline {
    match code {
        40110 | 40190 => Decline::InvalidCard,
        40111 => Decline::UnsupportedScheme,
        40120 => Decline::InvalidCsc,
        40130 | 40135 => Decline::Expired,
        40200 => Decline::Rule,
        40300 | 40310 | 40416 => Decline::ThreeDSecure,
        40400 => Decline::Technical,
        40411 | 40412 | 40414 | 40420 => Decline::Restricted,
        40413 => Decline::InsufficientFunds,
        40415 => Decline::AmountLimit,
        40000 | 40140 | 40150 => Decline::Configuration,
        _ => Decline::DoNotHonour,
    }
}

/// A call's path and form.
fn form(request: &Request<'_>) -> Result<(String, Form), AcquirerError> {
    let amount = || Form::new().with("amount", &request.amount.minor().to_string());
    Ok(match &request.call {
        Call::Authorise(authorisation) => ("/authorizations".to_owned(), authorisation_form(request, authorisation)?),
        Call::Capture { state, .. } => (format!("/authorizations/{}/captures", checked_id(state)?), amount()),
        Call::Refund { state, .. } => (format!("/authorizations/{}/refunds", checked_id(state)?), amount()),
        Call::Void { state, .. } => (format!("/authorizations/{}/voids", checked_id(state)?), Form::new()),
        Call::Credit { .. } => return Err(AcquirerError::NotOffered),
    })
}

fn authorisation_form(request: &Request<'_>, authorisation: &Authorisation<'_>) -> Result<Form, AcquirerError> {
    let Request { amount, reference, .. } = request;
    let Authorisation { instrument, payer_address, .. } = authorisation;
    let Instrument::Card { pan, expiry, csc: Some(csc) } = instrument else { return Err(AcquirerError::NotOffered) };
    if amount.minor() > 999_999_999 {
        return Err(AcquirerError::Field("amount"));
    }
    let is_reference = (1..=30).contains(&reference.len()) && reference.bytes().all(|b| (b' '..=b'~').contains(&b));
    if !is_reference {
        return Err(AcquirerError::Field("reference"));
    }
    if csc.expose().len() != 3 {
        return Err(AcquirerError::Field("security code"));
    }
    let mut form = Form::new()
        .with("amount", &amount.minor().to_string())
        .with("currency", amount.currency().as_str())
        .with("reference", reference)
        .with("card[pan]", pan.expose())
        .with("card[expire_month]", &format!("{:02}", expiry.month()))
        .with("card[expire_year]", &format!("{:04}", expiry.year()))
        .with("card[csc]", csc.expose());
    if let Some(address) = payer_address.filter(|text| text.parse::<std::net::IpAddr>().is_ok()) {
        form = form.with("ip", address);
    }
    Ok(form)
}

/// The gateway's ids are UUIDs; what goes into a path is checked all the same.
fn checked_id(id: &str) -> Result<&str, AcquirerError> {
    let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if is_id { Ok(id) } else { Err(AcquirerError::Field("authorisation id")) }
}

/// A form body in a buffer that is wiped; grown once, so that no old copy is left behind by a reallocation.
struct Form(Zeroizing<Vec<u8>>);

impl Form {
    fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(1024)))
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        self.push_encoded(name);
        self.0.push(b'=');
        self.push_encoded(value);
        self
    }

    fn into_body(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// application/x-www-form-urlencoded; brackets stay literal, as in the gateway's own vector.
    fn push_encoded(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'[' | b']' => self.0.push(byte),
                _ => self.0.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rsa::pkcs1::DecodeRsaPrivateKey;
    use rsa::pkcs1v15::SigningKey;
    use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
    use rsa::sha2::Sha256;
    use rsa::signature::{SignatureEncoding, Signer};

    use super::*;

    /// A development key, made for this test with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`.
    const KEY_PEM: &str = include_str!("../../vectors/test-signing-key.pem");

    fn credentials() -> Vec<u8> {
        let credentials = Credentials {
            api_key: "7d1f5e0c-0000-4000-8000-000000000001".into(),
            signing_key_id: "7d1f5e0c-0000-4000-8000-000000000002".into(),
            signing_key_pem: KEY_PEM.into(),
        };
        credentials.check().unwrap();
        serde_json::to_vec(&credentials).unwrap()
    }

    #[test]
    fn the_published_vector_holds_for_the_form_and_the_signature() {
        // The vector's key has 512 bits, which the production signer refuses; the `rsa` crate signs it here, and the next
        // test proves that both sign alike.
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../../vectors/clearhaus-signature.json")).unwrap();
        let body = Form::new()
            .with("amount", "2050")
            .with("currency", "EUR")
            .with("ip", "1.1.1.1")
            .with("card[pan]", "4111111111111111")
            .with("card[expire_month]", "06")
            .with("card[expire_year]", "2022")
            .with("card[csc]", "123")
            .into_body();
        assert_eq!(std::str::from_utf8(&body).unwrap(), vector["body"].as_str().unwrap());
        let der = STANDARD.decode(vector["keyPkcs1"].as_str().unwrap()).unwrap();
        let key = rsa::RsaPrivateKey::from_pkcs1_der(&der).unwrap();
        let signature = SigningKey::<Sha256>::new(key).sign(&body).to_bytes();
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, vector["signature"].as_str().unwrap());
    }

    #[test]
    fn the_production_signer_equals_the_second_implementation() {
        let credentials: Credentials = serde_json::from_slice(&credentials()).unwrap();
        let key = rsa::RsaPrivateKey::from_pkcs8_pem(KEY_PEM).unwrap();
        assert!(key.to_pkcs8_pem(LineEnding::LF).is_ok());
        for body in [&b""[..], b"amount=1", b"\x00\xff"] {
            let expected = SigningKey::<Sha256>::new(key.clone()).sign(body).to_bytes();
            let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(credentials.sign(body).unwrap(), expected);
        }
    }

    fn void(state: &str) -> Request<'_> {
        let amount = crate::money::Amount::from_minor(1000, "DKK".parse().unwrap()).unwrap();
        let call = Call::Void { state, card: None };
        Request { reference: "sv-1", act: 2, asked_at_ms: 0, amount, text_on_statement: None, call }
    }

    fn decoded(status: u16, body: &[u8]) -> Outcome {
        Clearhaus.decode(&void("a"), &Answer { status, body: bytes::Bytes::copy_from_slice(body) })
    }

    #[test]
    fn every_documented_status_has_its_outcome() {
        let of = |status: u16, code: u32| {
            decoded(
                status,
                format!(r#"{{"id":"84412a34-fa29-4369-a098-0165a80e8fda","status":{{"code":{code}}}}}"#).as_bytes(),
            )
        };
        let state = Some("84412a34-fa29-4369-a098-0165a80e8fda".into());
        let approved = Outcome::Approved(Approval { state, ..Approval::default() });
        assert_eq!((of(201, 20000), of(200, 20000)), (approved.clone(), approved));
        for (code, reason) in [
            (40000, Decline::Configuration),
            (40110, Decline::InvalidCard),
            (40111, Decline::UnsupportedScheme),
            (40120, Decline::InvalidCsc),
            (40130, Decline::Expired),
            (40135, Decline::Expired),
            (40140, Decline::Configuration),
            (40150, Decline::Configuration),
            (40200, Decline::Rule),
            (40300, Decline::ThreeDSecure),
            (40310, Decline::ThreeDSecure),
            (40400, Decline::Technical),
            (40410, Decline::DoNotHonour),
            (40411, Decline::Restricted),
            (40412, Decline::Restricted),
            (40413, Decline::InsufficientFunds),
            (40414, Decline::Restricted),
            (40415, Decline::AmountLimit),
            (40416, Decline::ThreeDSecure),
            (40420, Decline::Restricted),
            (42900, Decline::DoNotHonour),
        ] {
            let refusal = Outcome::Declined(Refusal { reason, code: Some(code.to_string()) });
            assert_eq!(of(201, code), refusal, "{code}");
            assert_eq!(of(400, code), refusal, "{code}");
        }
        assert!(matches!(of(201, 50000), Outcome::Unknown { .. }));
        assert!(matches!(of(500, 20000), Outcome::Unknown { .. }));
        assert!(matches!(of(302, 20000), Outcome::Unknown { .. }));
        for garbage in [&b""[..], b"{}", b"<html>", b"{\"status\":{}}", b"{\"status\":{\"code\":\"20000\"}}", b"\xff"] {
            assert!(matches!(decoded(201, garbage), Outcome::Unknown { .. }), "{garbage:?}");
        }
    }

    #[test]
    fn ids_cannot_leave_their_path() {
        for id in ["", "../credits", "a/b", "a?b", "a b", "%2e"] {
            assert!(matches!(Clearhaus.encode(&credentials(), &void(id)), Err(AcquirerError::Field(_))), "{id}");
        }
    }
}
