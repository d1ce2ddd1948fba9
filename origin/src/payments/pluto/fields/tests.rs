use super::*;
use crate::payments::request::DEFAULT_TTL_MS;

const NOW: i64 = 1_790_000_000_000;

fn zar() -> Currency {
    "ZAR".parse().unwrap()
}

fn parse(json: &str) -> Result<NewRequest, ApiError> {
    let body: CreateBody<'_> = serde_json::from_str(json).map_err(|_| ApiError::new(Problem::BadRequest))?;
    body.parse(zar())
}

fn edit(json: &str) -> Result<Edit, ApiError> {
    let body: EditBody<'_> = serde_json::from_str(json).map_err(|_| ApiError::new(Problem::BadRequest))?;
    body.parse()
}

#[test]
fn the_documents_example_is_taken() {
    let request = parse(r#"{"merchantReference":"auth-demo","amount":10.00}"#).unwrap();
    assert_eq!((request.amount.minor(), request.use_once), (1000, true));
    assert_eq!(request.expires_at_ms(NOW), NOW + DEFAULT_TTL_MS);
}

#[test]
fn an_open_amount_makes_a_reusable_code_unless_told_otherwise() {
    assert!(!parse(r#"{"merchantReference":"a","amount":0}"#).unwrap().use_once);
    assert!(parse(r#"{"merchantReference":"a","amount":0,"useOnce":true}"#).unwrap().use_once);
    assert_eq!(parse(r#"{"merchantReference":"a","amount":0,"expiryDate":0}"#).unwrap().expires_at_ms(NOW), 0);
}

#[test]
fn equal_after_parsing_is_equal() {
    let one = parse(r#"{"merchantReference":"a","amount":10.00}"#).unwrap();
    assert_eq!(one, parse(r#"{ "amount" : 10, "useOnce": true, "merchantReference": "\u0061" }"#).unwrap());
    assert_ne!(one, parse(r#"{"merchantReference":"a","amount":10.01}"#).unwrap());
    for other in ["\"reserveQR\":true", "\"mcc\":\"5812\"", "\"requestPartialPayment\":true", "\"basketItems\":[]"] {
        let other = parse(&format!("{{\"merchantReference\":\"a\",\"amount\":10,{other}}}")).unwrap();
        assert_ne!(one.asked(), other.asked());
    }
}

#[test]
fn every_field_of_the_reference_is_kept() {
    let request = parse(
        r#"{"merchantReference":"a","amount":12.345,"expiryDate":1747242000000,"useOnce":false,"shortDescription":"Tea",
            "productURL":"https://shop.example/tea","requestPartialPayment":true,"reserveQR":true,"requestTip":true,
            "basketItems":[{"name":"Tea, \"green\" ","price":12.30}],"subMerchantName":"Tea Room","terminalId":"T-1",
            "merchantCategoryCode":"0742"}"#,
    )
    .unwrap();
    assert_eq!(
        (request.amount.minor(), request.asked_expiry_ms, request.use_once),
        (1234, Some(1_747_242_000_000), false)
    );
    assert_eq!(request.product_url.as_deref(), Some("https://shop.example/tea"));
    assert!(request.is_partial);
    let extras = Extras {
        reserve_qr: Some(true),
        request_tip: Some(true),
        basket_items: Some(r#"[{"name":"Tea, \"green\" ","price":12.30}]"#.into()),
        sub_merchant_name: Some("Tea Room".into()),
        terminal_id: Some("T-1".into()),
        mcc: Some("0742".into()),
    };
    assert_eq!(request.extras, extras);
}

#[test]
fn bad_fields_are_refused() {
    for json in [
        r#"{"amount":1}"#,
        r#"{"merchantReference":"a"}"#,
        r#"{"merchantReference":"","amount":1}"#,
        r#"{"merchantReference":" a","amount":1}"#,
        r#"{"merchantReference":"a\nb","amount":1}"#,
        r#"{"merchantReference":"a","amount":1,"limitBasket":"x"}"#,
        r#"{"merchantReference":"a","amount":1,"limitBasket":[]}"#,
        r#"{"merchantReference":"a","amount":1,"amount":2}"#,
        r#"{"merchantReference":"a","amount":1,"expiryDate":-1}"#,
        r#"{"merchantReference":"a","amount":1,"expiryDate":-2}"#,
        r#"{"merchantReference":"a","amount":1,"productUrl":"javascript:alert(1)"}"#,
        r#"{"merchantReference":"a","amount":1,"productUrl":"http://a","productURL":"http://b"}"#,
        r#"{"merchantReference":"a","amount":1,"basketItems":{}}"#,
        r#"{"merchantReference":"a","amount":1,"basketItems":[1]}"#,
        r#"{"merchantReference":"a","amount":1,"mcc":"581"}"#,
        r#"{"merchantReference":"a","amount":1,"mcc":5812}"#,
        r#"{"merchantReference":"a","amount":1,"terminalId":"a b"}"#,
        r#"{"merchantReference":"a","amount":1,"tipFixed":true}"#,
        r#"{"merchantReference":"a","amount":1,"reserveQR":"yes"}"#,
        r#"{"merchantReference":7,"amount":1}"#,
        r#"[]"#,
    ] {
        assert_eq!(parse(json).map_err(|error| error.problem()), Err(Problem::BadRequest), "{json}");
    }
    for json in [
        r#"{"merchantReference":"a","amount":"1"}"#,
        r#"{"merchantReference":"a","amount":1e1}"#,
        r#"{"merchantReference":"a","amount":null}"#,
        r#"{"merchantReference":"a","amount":-1}"#,
    ] {
        assert_eq!(parse(json).map_err(|error| error.problem()), Err(Problem::InvalidAmount), "{json}");
    }
    assert!(parse(&format!(r#"{{"merchantReference":"{}","amount":1}}"#, "a".repeat(46))).is_err());
    let items = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    for (count, is_taken) in [(100, true), (101, false)] {
        let json = format!(r#"{{"merchantReference":"a","amount":1,"basketItems":{}}}"#, items(count));
        assert_eq!(parse(&json).is_ok(), is_taken, "{count}");
    }
}

#[test]
fn an_edit_says_what_stays_what_goes_and_what_cannot_be_changed() {
    assert_eq!(edit("{}").unwrap(), Edit::default());
    assert_eq!(edit(r#"{"shortDescription":null,"mcc":null}"#).unwrap(), Edit::default());
    let change = edit(r#"{"shortDescription":"","mcc":"5812","expiryDate":0,"merchantReference":"b"}"#).unwrap();
    assert_eq!((change.short_description, change.mcc), (Some(String::new()), Some("5812".into())));
    assert_eq!((change.expiry_ms, change.merchant_reference.as_deref()), (Some(0), Some("b")));
    for json in [
        r#"{"amount":1}"#,
        r#"{"useOnce":false}"#,
        r#"{"reserveQR":false}"#,
        r#"{"merchantReference":""}"#,
        r#"{"expiryDate":-1}"#,
        r#"{"codeState":"Available"}"#,
        r#"{"shortDescription":" "}"#,
    ] {
        assert_eq!(edit(json).map_err(|error| error.problem()), Err(Problem::BadRequest), "{json}");
    }
}

proptest::proptest! {
    #[test]
    fn json_without_white_space_says_the_same(text in "\\PC{0,20}", number in 0.0_f64..1e6) {
        let json = serde_json::json!([{"a b": text, "n": number, "deep": [[], {}, " \" "]}]);
        let pretty = serde_json::to_string_pretty(&json).unwrap();
        let short = without_white_space(&pretty);
        proptest::prop_assert_eq!(&short, &json.to_string());
    }
}
