//! What one party gives and another must take: messages of 3-D Secure and network tokens, at Clearhaus.

use serde_json::Value;

use crate::{browser::encode, mobilepay, support::Sim, threedsecure};

fn card(number: &str, field: &str, message: &Value) -> String {
    format!(
        "amount=2050&currency=DKK&ip=1.1.1.1&card[csc]=987&card[pan]={number}&card[expire_month]=06&\
         card[expire_year]=2030&card[3dsecure][v2][{field}]={}",
        encode(&message.to_string())
    )
}

#[tokio::test]
async fn authentications_are_authorized_verbatim() {
    let (clearhaus, server) = (Sim::start().await, threedsecure::Sim::start().await);
    for (number, status, code) in
        [("4000100511112003", "Y", 20000), ("4000100511110123", "A", 20000), ("4000100511110113", "N", 40310)]
    {
        let ares = server.auth(number).await;
        assert_eq!(ares["transStatus"], status);
        let answer = clearhaus.post("/authorizations", &card(number, "ares", &ares)).await;
        assert_eq!(answer.json()["status"]["code"], code, "{}", answer.text());
    }
    for (number, code) in [("4000100911112070", 20000), ("4000101011111071", 40310)] {
        let ares = server.auth(number).await;
        let answer = clearhaus.post("/authorizations", &card(number, "ares", &ares)).await;
        assert_eq!(answer.json()["status"]["code"], 40300, "the challenge comes first");
        server.challenge(&ares).await;
        let rreq = server.postauth(ares["threeDSServerTransID"].as_str().unwrap()).await.json();
        let answer = clearhaus.post("/authorizations", &card(number, "rreq", &rreq)).await;
        assert_eq!(answer.json()["status"]["code"], code, "{}", answer.text());
    }
}

/// All but the token whose published expiry (05/25) is over.
#[tokio::test]
async fn network_tokens_are_authorized() {
    let (clearhaus, mobilepay) = (Sim::start().await, mobilepay::Sim::start().await);
    for (at, amount) in [1000_u64, 3200, 4200, 4300, 4400, 5100, 5200].into_iter().enumerate() {
        let token = mobilepay.network_token(&format!("order-{at:04}"), amount).await;
        let text = |name: &str| encode(token[name].as_str().unwrap());
        // Clearhaus wants Visa's eci in two digits, and takes no 06: Mastercard's stays away.
        let eci = match token["tokenType"].as_str().unwrap() {
            "VISA" => format!("&token[eci]={:0>2}", token["eci"].as_str().unwrap()),
            _ => String::new(),
        };
        let body = format!(
            "amount={amount}&currency=DKK&ip=1.1.1.1&token[tan]={}&token[expire_month]={}&token[expire_year]={}&\
             token[tav]={}{eci}",
            text("number"),
            text("expiryMonth"),
            text("expiryYear"),
            text("cryptogram"),
        );
        let answer = clearhaus.post("/authorizations", &body).await;
        assert_eq!(answer.json()["status"]["code"], 20000, "{amount} {token} {}", answer.text());
    }
}
