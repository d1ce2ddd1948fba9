//! The ways to the acquirers: what was certainly not sent, and how long is waited.

use std::time::{Duration, Instant};

use scanvault_origin::acquirers::clearhaus::Clearhaus;
use scanvault_origin::acquirers::nets::Nets;
use scanvault_origin::acquirers::{self, Acquirer, Decline, Outcome, Party, Series, Transport};
use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::{Fault, Order};
use scanvault_sandbox::nets::Tls;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::nets::certificates;
use super::{Card, Told, approved, clearhaus, declined, dkk, http, nets, opened, order, request, told};

const KEY: &str = include_str!("../../../origin/vectors/test-signing-key.pem");

async fn asked(acquirer: Box<dyn Acquirer>, transport: Transport) -> Outcome {
    let credentials = match acquirer.name() {
        "clearhaus" => json!({"apiKey": "a", "signingKeyId": "b", "signingKeyPem": KEY}),
        _ => json!({"merchantId": "1", "terminalId": "1", "category": "5732", "name": "A", "street": "B", "city": "C",
            "postcode": "D", "country": "DNK"}),
    };
    let card = Card::new("4571123412341234", "123");
    let party = Party { acquirer, transport };
    acquirers::ask(&party, &opened(&credentials.to_string()), &request(1, dkk(1000), card.authorise(Series::None)))
        .await
}

fn is_certainly_not_sent(outcome: &Outcome) -> bool {
    declined(outcome) == (Decline::Unreachable, None)
}

/// A port where nobody listens.
async fn nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn where_nobody_is_nothing_was_sent() {
    let port = nobody().await;
    let ca = certificates(2).ca;
    let client = http(&format!("https://127.0.0.1:{port}"));
    assert!(is_certainly_not_sent(&asked(Box::new(Clearhaus), client).await));
    let address = format!("localhost:{port}");
    assert!(is_certainly_not_sent(&asked(Box::new(Nets), Transport::framed(&address, ca.as_bytes()).unwrap()).await));
    assert!(is_certainly_not_sent(&asked(Box::new(Nets), Transport::framed_plain(&address).unwrap()).await));
    // A connector with the other's transport.
    let client = http(&format!("https://127.0.0.1:{port}"));
    assert!(is_certainly_not_sent(&asked(Box::new(Nets), client).await));
}

#[tokio::test]
async fn a_stranger_s_certificate_ends_it_before_anything_is_sent() {
    let theirs = certificates(5);
    let stranger = || Some(Tls::from_pem(theirs.server.as_bytes(), theirs.server_key.as_bytes()).unwrap());
    let ours = certificates(6).ca;
    let card = Card::new("4571123412341234", "123");
    let authorise = || request(1, dkk(1000), card.authorise(Series::None));
    let sim =
        nets::Sim::serving("localhost", stranger(), |address| Transport::framed(&address, ours.as_bytes()).unwrap())
            .await;
    assert!(is_certainly_not_sent(&sim.ask(&authorise()).await));
    // The right CA, and a name that the certificate does not have.
    let trusting = |address: String| Transport::framed(&address, theirs.ca.as_bytes()).unwrap();
    let sim_elsewhere = nets::Sim::serving("127.0.0.2", stranger(), trusting).await;
    assert!(is_certainly_not_sent(&sim_elsewhere.ask(&authorise()).await));
    approved(nets::Sim::serving("localhost", stranger(), trusting).await.ask(&authorise()).await);
    // Without TLS where TLS is spoken: the message was written, and nobody can read it; that is not for us to know.
    let plain = nets::Sim::serving("localhost", stranger(), |address| Transport::framed_plain(&address).unwrap()).await;
    assert_eq!(told(&plain.ask(&authorise()).await), Told::Unknown);
    assert_eq!((sim.booked().len(), plain.booked().len()), (0, 0));
}

/// Takes what comes and answers with these bytes, then closes.
async fn answering(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut taken = vec![0; 4096];
        let _ = stream.read(&mut taken).await;
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await;
    });
    address
}

#[tokio::test]
async fn answers_that_are_none_are_unknown() {
    for bytes in [vec![], vec![0], vec![0, 0], vec![0, 1], vec![0, 40, 1, 2], vec![255, 255], vec![b'x'; 70_000]] {
        let transport = Transport::framed_plain(&answering(bytes.clone()).await).unwrap();
        assert_eq!(told(&asked(Box::new(Nets), transport).await), Told::Unknown, "{} bytes", bytes.len());
    }
    let long = format!("HTTP/1.1 201 Created\r\nconnection: close\r\n\r\n{}", "x".repeat(70_000)).into_bytes();
    for bytes in [vec![], b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n{}".to_vec(), long] {
        let address = answering(bytes).await;
        let transport = http(&format!("http://{address}"));
        assert_eq!(told(&asked(Box::new(Clearhaus), transport).await), Told::Unknown);
    }
}

/// Sixteen seconds, once for both: the longest that a third party is waited for.
#[tokio::test]
async fn silence_is_waited_for_so_long_and_no_longer() {
    let (gateway, bank) = (clearhaus::Sim::start().await, nets::Sim::start().await);
    for faults in [&gateway.faults, &bank.faults] {
        faults.order(Order { delay_ms: 0, ..order(Kind::Authorization, Fault::Timeout) });
    }
    let (visa, dankort) = (Card::new("4111111111111111", "987"), Card::new("4571123412341234", "123"));
    let timed = async |asked: &mut (dyn Future<Output = Outcome> + Unpin)| {
        let started = Instant::now();
        (told(&asked.await), started.elapsed())
    };
    let (first, second) =
        (request(1, dkk(1000), visa.authorise(Series::None)), request(1, dkk(1000), dankort.authorise(Series::None)));
    let (mut first, mut second) = (Box::pin(gateway.ask(&first)), Box::pin(bank.ask(&second)));
    let (first, second) = tokio::join!(timed(&mut first), timed(&mut second));
    for (told, waited) in [first, second] {
        assert_eq!(told, Told::Unknown);
        assert!((Duration::from_secs(15)..Duration::from_secs(22)).contains(&waited), "{waited:?}");
    }
    // Both were booked: that is why nobody may say that they were not.
    assert_eq!(gateway.booked(), [(Kind::Authorization, 1000)]);
    assert_eq!(bank.booked(), [(Kind::Authorization, 1000)]);
}
