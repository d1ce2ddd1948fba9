//! The provider listener itself: what it lets in, and what it does not, over real TLS.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::clock::http_date;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{CLIENT_SECRET, Shop, exchange};
use crate::on_both;
use crate::world::World;

/// A call as MobilePay would make it, or not quite.
#[derive(Clone)]
struct Call {
    method: &'static str,
    path: String,
    /// What is signed; what is sent may be something else.
    signed_path: String,
    signed_host: String,
    body: String,
    sent_body: Option<String>,
    secret: &'static str,
    /// Unix seconds.
    at: i64,
}

impl Call {
    fn post(shop: &Shop, path: &str, body: &str) -> Self {
        Self {
            method: "POST",
            path: path.to_owned(),
            signed_path: path.to_owned(),
            signed_host: shop.provider.to_string(),
            body: body.to_owned(),
            sent_body: None,
            secret: CLIENT_SECRET,
            at: i64::try_from(shop.world.clock_ms() / 1000).unwrap(),
        }
    }

    async fn send(&self, shop: &Shop) -> (u16, String) {
        let digest = STANDARD.encode(Sha256::digest(&self.body));
        let date = http_date(self.at);
        let text = format!("POST\n{}\n{date};{};{digest}", self.signed_path, self.signed_host);
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap().chain_update(text).finalize();
        let authorization = format!(
            "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={}",
            STANDARD.encode(mac.into_bytes())
        );
        let body = self.sent_body.as_ref().unwrap_or(&self.body);
        let request = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\nx-ms-date: {date}\r\nx-ms-content-sha256: {digest}\r\n\
             authorization: {authorization}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.method,
            self.path,
            shop.provider,
            body.len(),
        );
        exchange(connect(shop).await, &request).await
    }
}

async fn connect(shop: &Shop) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let ca: Vec<_> = CertificateDer::pem_slice_iter(shop.ca.ca.as_bytes()).collect::<Result<_, _>>().unwrap();
    roots.add(ca[0].clone()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(shop.provider).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// What MobilePay hands over for a payment.
fn callback(reference: &str, attempt: &str, value: u64) -> String {
    json!({
        "pspReference": reference,
        "authorizationAttemptId": attempt,
        "merchantSerialNumber": super::MSN,
        "amount": {"currency": "DKK", "value": value},
        "cardInfo": {
            "maskedCardNumber": "48953700XXXX3500", "cardType": "VISA-DEBIT", "cardDataType": "TOKEN",
            "networkToken": {"number": "4895370013193500", "cryptogram": "AlhlvxmN2ZKuAAESNFZ4GoABFA==",
                "expiryMonth": "03", "expiryYear": "2030", "tokenType": "VISA", "eci": "7"},
        },
    })
    .to_string()
}

async fn reference(shop: &Shop, id: i64) -> String {
    use sqlx::Row;
    let statement = "SELECT reference FROM wallet_payments WHERE transaction_id = $1";
    sqlx::query(statement).bind(id).fetch_one(shop.world.app.db.read()).await.unwrap().get(0)
}

on_both! {
    async fn only_the_provider_is_heard(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("hmac", "10.00").await;
        let reference = reference(&shop, sent.id).await;
        let path = format!("/mobilepay/card/{reference}");
        let right = Call::post(&shop, &path, &callback(&reference, "attempt-1", 1000));
        let wrong = [
            Call { secret: "another", ..right.clone() },
            Call { secret: "", ..right.clone() },
            Call { signed_path: format!("{path}x"), ..right.clone() },
            Call { signed_host: "callbacks.example".to_owned(), ..right.clone() },
            Call { sent_body: Some(callback(&reference, "attempt-2", 1000)), ..right.clone() },
            Call { at: right.at - 301, ..right.clone() },
            Call { at: right.at + 302, ..right.clone() },
            // Another payment's path, rightly signed: unknown, and told like any other stranger.
            Call::post(&shop, "/mobilepay/card/sv-9-00000000000000000000", &callback(&reference, "attempt-1", 1000)),
        ];
        for (at, call) in wrong.into_iter().enumerate() {
            assert_eq!(call.send(&shop).await, (401, String::new()), "{at}");
        }
        // Signed, and not what was asked for: refused, and nothing is charged.
        for (at, body) in [
            callback(&reference, "attempt-1", 1001),
            callback("another", "attempt-1", 1000),
            callback(&reference, "attempt-1", 1000).replace("\"123456\"", "\"654321\""),
            callback(&reference, "attempt-1", 1000).replace("DKK", "NOK"),
        ].into_iter().enumerate() {
            let (status, answer) = Call::post(&shop, &path, &body).send(&shop).await;
            assert!(status == 200 && answer.contains(r#""status":"FAIL""#), "{at}: {answer}");
        }
        let (status, _) = Call::post(&shop, &path, "{}").send(&shop).await;
        assert_eq!(status, 400);
        assert_eq!(shop.acquired(sent.id), []);
        let (status, answer) = right.send(&shop).await;
        assert_eq!(status, 200);
        assert!(answer.contains(r#""status":"RESERVE""#), "{answer}");
        assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000)]);
    }

    async fn the_same_callback_is_answered_the_same_and_another_is_refused(world: World) {
        let mut shop = Shop::open(world).await;
        let sent = shop.sent("replay", "10.00").await;
        let reference = reference(&shop, sent.id).await;
        let path = format!("/mobilepay/card/{reference}");
        let first = Call::post(&shop, &path, &callback(&reference, "attempt-1", 1000));
        let answer = first.send(&shop).await;
        assert_eq!(answer.0, 200);
        // Replayed within its time, and by a process that knows only the rows.
        assert_eq!(first.send(&shop).await, answer);
        shop.restart().await;
        assert_eq!(first.send(&shop).await, answer);
        let (status, other) = Call::post(&shop, &path, &callback(&reference, "attempt-2", 1000)).send(&shop).await;
        assert!(status == 200 && other.contains(r#""status":"FAIL""#), "{other}");
        // And out of its time it is not even looked at.
        shop.wait(301_000);
        assert_eq!(first.send(&shop).await.0, 401);
        assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000)]);
        // MobilePay knows nothing of it, for nobody approved there: given back when its time is over.
        shop.wait(7 * 60_000);
        shop.work_for(2, 30_000).await;
        assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000), (Kind::Void, 1000)]);
        shop.assert_books_agree().await;
    }

    async fn sixteen_copies_at_once_are_one(world: World) {
        let shop = Arc::new(Shop::open(world).await);
        let sent = shop.sent("copies", "10.00").await;
        let reference = reference(&shop, sent.id).await;
        let call = Call::post(&shop, &format!("/mobilepay/card/{reference}"), &callback(&reference, "attempt-1", 1000));
        let copies: Vec<_> = (0..16)
            .map(|_| {
                let (shop, call) = (Arc::clone(&shop), call.clone());
                tokio::spawn(async move { call.send(&shop).await })
            })
            .collect();
        for copy in copies {
            let (status, answer) = copy.await.unwrap();
            assert!(status == 200 && answer.contains(r#""status":"RESERVE""#), "{status} {answer}");
        }
        assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000)]);
    }

    async fn strangers_who_let_their_bodies_wait_keep_nobody_out(world: World) {
        let shop = Arc::new(Shop::open(world).await);
        let sent = shop.sent("crowd", "10.00").await;
        let reference = reference(&shop, sent.id).await;
        let head = format!(
            "POST /mobilepay/card/{reference} HTTP/1.1\r\nhost: {}\r\ncontent-length: 2\r\n\r\n{{",
            shop.provider
        );
        let strangers: Vec<_> = (0..160)
            .map(|_| {
                let (shop, head) = (Arc::clone(&shop), head.clone());
                tokio::spawn(async move {
                    let mut stream = connect(&shop).await;
                    stream.write_all(head.as_bytes()).await.unwrap();
                    stream
                })
            })
            .collect();
        let mut held = Vec::new();
        for stranger in strangers {
            held.push(stranger.await.unwrap());
        }
        let path = format!("/mobilepay/card/{reference}");
        let call = Call::post(&shop, &path, &callback(&reference, "attempt-1", 1000));
        // One with a wrong signature first: by its answer the listener has been at all that came before.
        let wrong = Call { secret: "another", ..call.clone() };
        assert_eq!(wrong.send(&shop).await.0, 401);
        let (status, answer) = call.send(&shop).await;
        assert!(status == 200 && answer.contains(r#""status":"RESERVE""#), "{status} {answer}");
        drop(held);
    }

    async fn a_card_of_another_kind_is_refused_and_the_payment_ends(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("dankort", "10.00").await;
        let reference = reference(&shop, sent.id).await;
        let body = callback(&reference, "attempt-1", 1000).replace("VISA-DEBIT", "DANKORT");
        let call = Call::post(&shop, &format!("/mobilepay/card/{reference}"), &body);
        let (status, answer) = call.send(&shop).await;
        assert_eq!((status, answer.as_str()), (200, r#"{"status":"FAIL","errorCode":88,"errorMessage":"Card type not accepted"}"#));
        assert_eq!(call.send(&shop).await.1, answer);
        assert_eq!(shop.state(&sent).await["reason"], "scheme");
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
    }

    async fn nothing_else_is_there(world: World) {
        let shop = Shop::open(world).await;
        for path in ["/", "/Q/0123456789", "/pluto/code/create", "/v1/new", "/metrics", "/mobilepay/card/", "/mobilepay/card/a?b=c"] {
            assert_eq!(Call::post(&shop, path, "{}").send(&shop).await.0, 404, "{path}");
        }
        let get = Call { method: "GET", ..Call::post(&shop, "/mobilepay/card/sv-1-00000000000000000000", "") };
        assert_eq!(get.send(&shop).await.0, 404);
        let long = "x".repeat(16 * 1024 + 1);
        let call = Call::post(&shop, "/mobilepay/card/sv-1-00000000000000000000", &long);
        assert_eq!(call.send(&shop).await.0, 413);
        assert_eq!(Call::post(&shop, "/mobilepay/webhooks/merchant-25", "{}").send(&shop).await.0, 401, "none is registered");
        assert_eq!(Call::post(&shop, "/mobilepay/webhooks/merchant-99", "{}").send(&shop).await.0, 401);
        shop.world.admin("POST", "/vault/seal", &json!({})).await;
        assert_eq!(Call::post(&shop, "/mobilepay/card/sv-1-00000000000000000000", "{}").send(&shop).await.0, 503);
        assert_eq!(Call::post(&shop, "/mobilepay/webhooks/merchant-25", "{}").send(&shop).await.0, 503);
    }
}
