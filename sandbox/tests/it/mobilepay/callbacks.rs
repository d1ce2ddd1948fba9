//! Card passthrough: the provider is asked, and what its answer does.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use scanvault_sandbox::{
    common::{ids::Ids, out::Caller},
    dev_ca::{DevCa, generate},
    mobilepay::Options,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::{CLIENT_SECRET, Merchant, Sim, passthrough};
use crate::{browser, support::send};

async fn start() -> (Sim, Merchant) {
    (Sim::start().await, Merchant::start().await)
}

#[tokio::test]
async fn a_card_is_handed_over_and_reserved() {
    let (sim, merchant) = start().await;
    merchant.will_answer(200, &json!({"status": "RESERVE", "networkTransactionReference": "123456789"}));
    let landing = sim.created(&passthrough("order-0001", 1000, &merchant)).await;
    assert_eq!(sim.press(&landing, "approve").await.status, 303);
    assert_eq!(sim.state("order-0001").await, "AUTHORIZED");
    let [call] = &merchant.received()[..] else { panic!("one call") };
    assert_eq!(call.path, "/card?x=1");
    assert!(call.verified(CLIENT_SECRET));
    assert!(!call.verified("another"));
    assert_eq!(call.headers["x-ms-date"], "Sat, 21 Nov 2026 12:00:00 GMT");
    let body = call.json();
    assert_eq!(body["pspReference"], "ours-order-0001");
    assert_eq!(body["merchantSerialNumber"], "123456");
    assert_eq!(body["amount"], json!({"currency": "DKK", "value": 1000}));
    let card = &body["cardInfo"];
    assert_eq!((&card["cardDataType"], &card["cardType"]), (&json!("TOKEN"), &json!("VISA-DEBIT")));
    assert_eq!(card["networkToken"]["number"], "4895370013193500");
    assert_eq!(card["networkToken"]["cryptogram"], "AlhlvxmN2ZKuAAESNFZ4GoABFA==");
    assert_eq!(card["networkToken"]["eci"], "7");
    let entry = &sim.book.entries()[1];
    assert_eq!(entry.network_transaction_reference.as_deref(), Some("123456789"));
    assert!(!json!(sim.book.entries()).to_string().contains("4895370013193500"), "no numbers in the book");
    assert_eq!(sim.press(&landing, "approve").await.status, 200);
    assert_eq!(merchant.received().len(), 1, "paid is paid");
}

#[tokio::test]
async fn the_amount_chooses_the_token() {
    let (sim, merchant) = start().await;
    for (at, (amount, number, card_type)) in [
        (2200, "5226603115488031", "MC-DEBIT"),
        (3200, "4111111111111111", "VISA-DEBIT"),
        (4400, "4895370012792682", "VISA-DEBIT"),
        (5100, "4268270087302871", "VISA-DEBIT"),
        (5200, "5413330089010442", "MC-DEBIT"),
    ]
    .into_iter()
    .enumerate()
    {
        let landing = sim.created(&passthrough(&format!("order-000{at}"), amount, &merchant)).await;
        merchant.will_answer(200, &json!({"status": "RESERVE"}));
        assert_eq!(sim.press(&landing, "approve").await.status, 303);
        let card = merchant.received()[at].json()["cardInfo"].clone();
        assert_eq!((&card["networkToken"]["number"], &card["cardType"]), (&json!(number), &json!(card_type)));
    }
    let landing = sim.created(&passthrough("order-0008", 3100, &merchant)).await;
    assert!(sim.press(&landing, "approve").await.text().contains("not eligible"));
    let mut picky = passthrough("order-0009", 5200, &merchant);
    picky["cardPassthrough"]["allowedCardTypes"] = json!(["VISA_DEBIT"]);
    let landing = sim.created(&picky).await;
    assert!(sim.press(&landing, "approve").await.text().contains("not accepted"));
    assert_eq!(merchant.received().len(), 5);
}

#[tokio::test]
async fn refusals_leave_it_open_and_silence_ends_it() {
    let (sim, merchant) = start().await;
    let landing = sim.created(&passthrough("order-0001", 1000, &merchant)).await;
    merchant.will_answer(200, &json!({"status": "FAIL", "errorCode": 300, "errorMessage": "Refused by <Issuer>"}));
    assert!(sim.press(&landing, "approve").await.text().contains("Refused by &lt;Issuer&gt;"));
    assert_eq!(sim.state("order-0001").await, "CREATED");
    merchant.will_answer(200, &json!({"status": "RESERVE"}));
    assert_eq!(sim.press(&landing, "approve").await.status, 303);
    let attempts: Vec<_> =
        merchant.received().iter().map(|call| call.json()["authorizationAttemptId"].clone()).collect();
    assert_ne!(attempts[0], attempts[1]);

    for (at, (status, body)) in
        [(500, json!({"status": "RESERVE"})), (200, json!("RESERVE")), (200, json!({"status": "MAYBE"}))]
            .iter()
            .enumerate()
    {
        let reference = format!("order-01{at:02}");
        let landing = sim.created(&passthrough(&reference, 1000, &merchant)).await;
        merchant.will_answer(*status, body);
        assert!(sim.press(&landing, "approve").await.text().contains("did not answer"));
        assert_eq!(sim.state(&reference).await, "ABORTED");
    }
    assert_eq!(sim.moved(), [("AUTHORIZED".to_owned(), 1000)]);
}

/// A listener with a certificate of `ca` that takes any request for a reservation.
async fn tls_merchant(ca: &DevCa) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let chain = CertificateDer::pem_slice_iter(ca.server.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(ca.server_key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 16 * 1024]).await;
            let body = r#"{"status":"RESERVE"}"#;
            let answer =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn a_listener_with_a_development_certificate() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let ca = generate(&[], &[], now, &mut Ids::seeded([7; 32])).unwrap();
    let file = std::env::temp_dir().join(format!("scanvault-callback-ca-{}.pem", std::process::id()));
    std::fs::write(&file, &ca.ca).unwrap();
    let (address, merchant) = (tls_merchant(&ca).await, Merchant::start().await);
    for (trusted, state) in [(Some(file.as_path()), "AUTHORIZED"), (None, "ABORTED")] {
        let sim = Sim::calling(Options::default(), Arc::default(), Caller::new(trusted).unwrap()).await;
        let mut body = passthrough("order-0001", 1000, &merchant);
        body["cardPassthrough"]["cardCallbackUrl"] = json!(format!("https://{address}/card"));
        let landing = sim.created(&body).await;
        sim.press(&landing, "approve").await;
        assert_eq!(sim.state("order-0001").await, state);
    }
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn sixty_four_presses_and_one_callback() {
    let (sim, merchant) = start().await;
    let sim = Arc::new(sim);
    sim.order(r#"{"match":{"kind":"callback"},"fault":"delay","delay_ms":300}"#).await;
    merchant.will_answer(200, &json!({"status": "RESERVE"}));
    let landing = sim.created(&passthrough("order-0001", 1000, &merchant)).await;
    let press = || {
        let (sim, landing) = (sim.clone(), landing.clone());
        tokio::spawn(async move { sim.press(&landing, "approve").await.status })
    };
    let presses: Vec<_> = (0..64).map(|_| press()).collect();
    let mut back = 0;
    for press in presses {
        back += u32::from(press.await.unwrap() == 303);
    }
    assert_eq!((back, merchant.received().len()), (1, 1));
    assert_eq!(sim.moved(), [("AUTHORIZED".to_owned(), 1000)]);
}

#[tokio::test]
async fn soft_declines() {
    let (sim, merchant) = start().await;
    let soft = json!({"status": "SOFT_DECLINE", "softDeclineUrl": "https://vault.example/3ds/1"});
    let landing = sim.created(&passthrough("order-0001", 1000, &merchant)).await;
    merchant.will_answer(200, &soft);
    let answer = sim.press(&landing, "approve").await;
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "https://vault.example/3ds/1"));
    let first = merchant.received()[0].json();
    let completed = first["softDeclineCompletedRedirectUrl"].as_str().unwrap();
    let path = browser::path(completed, sim.server.address);
    let wrong = format!("{landing}/soft-decline/x");
    assert!(send(sim.server.address, "GET", &wrong, &[], b"").await.unwrap().text().contains("no such attempt"));

    merchant.will_answer(200, &json!({"status": "RESERVE"}));
    assert_eq!(send(sim.server.address, "GET", &path, &[], b"").await.unwrap().status, 303);
    let second = merchant.received()[1].json();
    assert_eq!(second["authorizationAttemptId"], first["authorizationAttemptId"]);
    let cryptogram = |body: &serde_json::Value| body["cardInfo"]["networkToken"]["cryptogram"].clone();
    assert_ne!(cryptogram(&second), cryptogram(&first), "fresh");
    assert_eq!(sim.state("order-0001").await, "AUTHORIZED");
    assert_eq!(send(sim.server.address, "GET", &path, &[], b"").await.unwrap().status, 200);
    assert_eq!(merchant.received().len(), 2, "once");

    let landing = sim.created(&passthrough("order-0002", 1000, &merchant)).await;
    merchant.will_answer(200, &soft);
    merchant.will_answer(200, &soft);
    sim.press(&landing, "approve").await;
    let body = merchant.received()[2].json();
    let path = browser::path(body["softDeclineCompletedRedirectUrl"].as_str().unwrap(), sim.server.address);
    send(sim.server.address, "GET", &path, &[], b"").await.unwrap();
    assert_eq!(sim.state("order-0002").await, "ABORTED", "a second time it is no answer");
}

#[tokio::test]
async fn the_older_shape() {
    let merchant = Merchant::start().await;
    let sim = Sim::with(Options { flat_callbacks: true, ..Options::default() }, Arc::default()).await;
    let landing = sim.created(&passthrough("order-0001", 1000, &merchant)).await;
    merchant.will_answer(200, &json!({"status": "RESERVE"}));
    assert_eq!(sim.press(&landing, "approve").await.status, 303);
    let body = merchant.received()[0].json();
    assert_eq!((&body["paymentInstrument"], &body["cardType"]), (&json!("TOKEN"), &json!("VISA-DEBIT")));
    assert!(body["networkToken"]["number"].is_string() && body.get("cardInfo").is_none());
}

#[tokio::test]
async fn faults_of_the_callback() {
    let (sim, merchant) = start().await;
    let press = async |reference: &str, order: &str| {
        sim.order(order).await;
        let landing = sim.created(&passthrough(reference, 1000, &merchant)).await;
        sim.press(&landing, "approve").await;
        sim.state(reference).await
    };
    let reserve = json!({"status": "RESERVE"});
    assert_eq!(press("order-0001", r#"{"match":{"kind":"callback"},"fault":"drop_before"}"#).await, "ABORTED");
    assert_eq!(merchant.received().len(), 0);
    merchant.will_answer(200, &reserve);
    assert_eq!(press("order-0002", r#"{"match":{"kind":"callback"},"fault":"drop_after"}"#).await, "ABORTED");
    assert_eq!(merchant.received().len(), 1, "the provider has reserved, MobilePay does not know");
    merchant.will_answer(200, &reserve);
    merchant.will_answer(200, &reserve);
    let duplicate = r#"{"match":{"kind":"callback","amount":1000},"fault":"duplicate"}"#;
    assert_eq!(press("order-0003", duplicate).await, "AUTHORIZED");
    let received = merchant.received();
    assert_eq!((received.len(), &received[1].body), (3, &received[2].body));
    merchant.will_answer(401, &json!({}));
    assert_eq!(press("order-0004", r#"{"match":{"kind":"callback"},"fault":"500"}"#).await, "ABORTED");
    assert!(!merchant.received()[3].verified(CLIENT_SECRET));
    merchant.will_answer(400, &json!({}));
    assert_eq!(press("order-0005", r#"{"match":{"kind":"callback"},"fault":"garbage"}"#).await, "ABORTED");
    let garbage = merchant.received()[4].clone();
    assert!(garbage.verified(CLIENT_SECRET) && serde_json::from_str::<serde_json::Value>(&garbage.body).is_err());
    merchant.will_answer(200, &reserve);
    let started = Instant::now();
    assert_eq!(
        press("order-0006", r#"{"match":{"kind":"callback"},"fault":"delay","delay_ms":60}"#).await,
        "AUTHORIZED"
    );
    assert!(started.elapsed().as_millis() >= 60);
    assert_eq!(press("order-0007", r#"{"match":{"kind":"callback"},"fault":"timeout"}"#).await, "ABORTED");
}
