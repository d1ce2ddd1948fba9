//! The authentication request of a browser payment, as version 2.1.0 or 2.2.0 has it.

use serde::Serialize;
use zeroize::Zeroizing;

use super::browser::Browser;
use super::codes;
use super::credentials::Credentials;
use super::version::Version;
use crate::acquirers::AcquirerError;
use crate::calendar::Utc;
use crate::money::Amount;
use crate::vault::{CardExpiry, CardholderName, Pan};

/// Longer than the longest request: growing would leave a copy of the number behind.
const CAPACITY: usize = 12 * 1024;
const HOLDER: std::ops::RangeInclusive<usize> = 2..=45;

/// What is to be paid, and by whom.
#[derive(Clone, Copy)]
pub struct Purchase<'a> {
    /// The card's number.
    pub pan: &'a Pan,
    /// Its expiry.
    pub expiry: &'a CardExpiry,
    /// The name on it.
    pub holder: Option<&'a CardholderName>,
    /// How much.
    pub amount: Amount,
    /// A card is kept and nothing charged.
    pub is_verification: bool,
    /// The bank is to ask in any case: it has said so, or later charges rest on this answer.
    pub wants_challenge: bool,
    /// Unix milliseconds.
    pub at_ms: u64,
    /// The payer's address.
    pub payer_address: &'a str,
}

/// Who asks.
#[derive(Clone, Copy)]
pub struct Merchant<'a> {
    /// The stored record.
    pub credentials: &'a Credentials,
    /// The acquirer's number at the card's scheme.
    pub acquirer_bin: &'a str,
    /// Where the challenge's page posts to.
    pub notification_url: &'a str,
}

/// Whether the bank's method page has been seen: `threeDSCompInd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// It has called back.
    Done,
    /// It has not, in ten seconds.
    NotDone,
    /// There is none.
    None,
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "Y",
            Self::NotDone => "N",
            Self::None => "U",
        }
    }
}

/// The body of `/auth`.
///
/// # Errors
/// [`AcquirerError::Field`] for a currency without a number.
pub fn encode(
    id: &str,
    version: Version,
    method: Method,
    merchant: &Merchant<'_>,
    purchase: &Purchase<'_>,
    browser: &Browser,
) -> Result<Zeroizing<Vec<u8>>, AcquirerError> {
    let Merchant { credentials, acquirer_bin, notification_url } = *merchant;
    let currency = purchase.amount.currency();
    let holder = purchase.holder.and_then(|name| ascii_name(name.expose()));
    let expiry = Zeroizing::new(format!("{:02}{:02}", purchase.expiry.year() % 100, purchase.expiry.month()));
    let request = Request {
        message_type: "AReq",
        message_version: version.as_str(),
        message_category: if purchase.is_verification { "02" } else { "01" },
        device_channel: "02",
        id,
        acct_number: purchase.pan.expose(),
        card_expiry_date: &expiry,
        cardholder_name: holder.as_ref().map(|name| name.as_str()),
        acquirer_bin,
        acquirer_merchant_id: &credentials.acquirer_merchant_id,
        mcc: &credentials.mcc,
        merchant_country_code: &credentials.merchant_country_code,
        merchant_name: &credentials.merchant_name,
        notification_url,
        requestor_url: &credentials.requestor_url,
        requestor_authentication_ind: if purchase.is_verification { "04" } else { "01" },
        requestor_challenge_ind: (purchase.wants_challenge || purchase.is_verification).then_some("04"),
        comp_ind: method.as_str(),
        purchase_amount: purchase.amount.minor().to_string(),
        purchase_currency: codes::currency(currency).ok_or(AcquirerError::Field("currency"))?,
        purchase_exponent: currency.exponent().to_string(),
        purchase_date: date(purchase.at_ms),
        // Goods or services; a card that is only kept is none.
        trans_type: (!purchase.is_verification).then_some("01"),
        browser_accept_header: &browser.accept,
        browser_user_agent: &browser.user_agent,
        browser_ip: Some(purchase.payer_address).filter(|text| text.parse::<std::net::IpAddr>().is_ok()),
        browser_language: &browser.language,
        browser_javascript_enabled: (version >= Version::V220).then_some(true),
        browser_java_enabled: browser.java_enabled,
        browser_color_depth: &browser.color_depth,
        browser_screen_height: &browser.screen_height,
        browser_screen_width: &browser.screen_width,
        browser_tz: &browser.zone,
    };
    let mut body = Zeroizing::new(Vec::with_capacity(CAPACITY));
    serde_json::to_writer(&mut *body, &request).map_err(|_| AcquirerError::Field("request"))?;
    Ok(body)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    message_type: &'static str,
    message_version: &'static str,
    message_category: &'static str,
    device_channel: &'static str,
    #[serde(rename = "threeDSServerTransID")]
    id: &'a str,
    acct_number: &'a str,
    card_expiry_date: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cardholder_name: Option<&'a str>,
    #[serde(rename = "acquirerBIN")]
    acquirer_bin: &'a str,
    #[serde(rename = "acquirerMerchantID")]
    acquirer_merchant_id: &'a str,
    mcc: &'a str,
    merchant_country_code: &'a str,
    merchant_name: &'a str,
    #[serde(rename = "notificationURL")]
    notification_url: &'a str,
    #[serde(rename = "threeDSRequestorURL")]
    requestor_url: &'a str,
    #[serde(rename = "threeDSRequestorAuthenticationInd")]
    requestor_authentication_ind: &'static str,
    #[serde(rename = "threeDSRequestorChallengeInd", skip_serializing_if = "Option::is_none")]
    requestor_challenge_ind: Option<&'static str>,
    #[serde(rename = "threeDSCompInd")]
    comp_ind: &'static str,
    purchase_amount: String,
    purchase_currency: &'static str,
    purchase_exponent: String,
    purchase_date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trans_type: Option<&'static str>,
    browser_accept_header: &'a str,
    browser_user_agent: &'a str,
    #[serde(rename = "browserIP", skip_serializing_if = "Option::is_none")]
    browser_ip: Option<&'a str>,
    browser_language: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    browser_javascript_enabled: Option<bool>,
    browser_java_enabled: bool,
    browser_color_depth: &'a str,
    browser_screen_height: &'a str,
    browser_screen_width: &'a str,
    #[serde(rename = "browserTZ")]
    browser_tz: &'a str,
}

/// `yyyymmddhhmmss`, UTC.
fn date(at_ms: u64) -> String {
    let digits = Utc::from_unix_ms(at_ms).to_reference_text();
    digits.chars().filter(char::is_ascii_digit).take(14).collect()
}

/// The versions that we speak take ASCII only. Letters of western Europe are written without their marks; a name of which
/// too little is left is not told.
fn ascii_name(name: &str) -> Option<Zeroizing<String>> {
    let mut kept = Zeroizing::new(String::with_capacity(4 * name.len()));
    for c in name.chars() {
        match c {
            ' '..='~' => kept.push(c),
            'À'..='Ã' | 'Å' => kept.push('A'),
            'à'..='ã' | 'å' => kept.push('a'),
            'Ä' | 'Æ' => kept.push_str("AE"),
            'ä' | 'æ' => kept.push_str("ae"),
            'Ç' => kept.push('C'),
            'ç' => kept.push('c'),
            'È'..='Ë' => kept.push('E'),
            'è'..='ë' => kept.push('e'),
            'Ì'..='Ï' => kept.push('I'),
            'ì'..='ï' => kept.push('i'),
            'Ñ' => kept.push('N'),
            'ñ' => kept.push('n'),
            'Ò'..='Õ' => kept.push('O'),
            'ò'..='õ' => kept.push('o'),
            'Ö' | 'Ø' => kept.push_str("OE"),
            'ö' | 'ø' => kept.push_str("oe"),
            'Ù'..='Û' => kept.push('U'),
            'ù'..='û' => kept.push('u'),
            'Ü' => kept.push_str("UE"),
            'ü' => kept.push_str("ue"),
            'ß' => kept.push_str("ss"),
            _ => {}
        }
    }
    kept.truncate(*HOLDER.end());
    HOLDER.contains(&kept.trim().len()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn browser() -> Browser {
        let json = r#"{"language":"da-DK","colorDepth":30,"screenHeight":900,"screenWidth":1440,"timeZoneMinutes":-60,
            "userAgent":"test","accept":"*/*","windowSize":"03"}"#;
        Browser::of(&serde_json::from_str(json).unwrap())
    }

    fn request(version: Version, method: Method, change: impl FnOnce(&mut Purchase<'_>)) -> Value {
        let credentials = Credentials::parse(&super::super::credentials::tests::example().to_string().into_bytes());
        let credentials = credentials.unwrap();
        let (pan, expiry) = (Pan::parse("4000100511112003").unwrap(), CardExpiry::parse("0931").unwrap());
        let holder = CardholderName::parse("Søren Ågård").unwrap();
        let mut purchase = Purchase {
            pan: &pan,
            expiry: &expiry,
            holder: holder.as_ref(),
            amount: Amount::from_minor(2050, "AUD".parse().unwrap()).unwrap(),
            is_verification: false,
            wants_challenge: false,
            at_ms: 1_795_298_400_123,
            payer_address: "203.0.113.7",
        };
        change(&mut purchase);
        let notification_url = "https://pay.example/pluto/public/3ds/challenge/7";
        let merchant = Merchant { credentials: &credentials, acquirer_bin: "438309", notification_url };
        let id = "3f1ed47a-2edc-4b0e-a4cf-bdb0f65d48c6";
        let body = encode(id, version, method, &merchant, &purchase, &browser()).unwrap();
        assert!(body.len() < CAPACITY && body.capacity() == CAPACITY);
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn a_whole_request() {
        let expected = json!({
            "messageType": "AReq", "messageVersion": "2.2.0", "messageCategory": "01", "deviceChannel": "02",
            "threeDSServerTransID": "3f1ed47a-2edc-4b0e-a4cf-bdb0f65d48c6", "acctNumber": "4000100511112003",
            "cardExpiryDate": "3109", "cardholderName": "Soeren Agard", "acquirerBIN": "438309",
            "acquirerMerchantID": "000000003000001", "mcc": "5411", "merchantCountryCode": "040",
            "merchantName": "Corner Shop", "notificationURL": "https://pay.example/pluto/public/3ds/challenge/7",
            "threeDSRequestorURL": "https://shop.example", "threeDSRequestorAuthenticationInd": "01",
            "threeDSCompInd": "Y", "purchaseAmount": "2050", "purchaseCurrency": "036", "purchaseExponent": "2",
            "purchaseDate": "20261121220000", "transType": "01", "browserAcceptHeader": "*/*",
            "browserUserAgent": "test", "browserIP": "203.0.113.7", "browserLanguage": "da-DK",
            "browserJavascriptEnabled": true, "browserJavaEnabled": false, "browserColorDepth": "24",
            "browserScreenHeight": "900", "browserScreenWidth": "1440", "browserTZ": "-60",
        });
        assert_eq!(request(Version::V220, Method::Done, |_| ()), expected);
    }

    #[test]
    fn what_differs() {
        let old = request(Version::V210, Method::NotDone, |_| ());
        assert_eq!((&old["messageVersion"], &old["threeDSCompInd"]), (&json!("2.1.0"), &json!("N")));
        assert_eq!(old.get("browserJavascriptEnabled"), None, "2.1 has no such field");
        let kept = request(Version::V220, Method::None, |purchase| purchase.is_verification = true);
        assert_eq!((&kept["messageCategory"], &kept["threeDSCompInd"]), (&json!("02"), &json!("U")));
        assert_eq!(kept["threeDSRequestorAuthenticationInd"], "04");
        assert_eq!((&kept["threeDSRequestorChallengeInd"], kept.get("transType")), (&json!("04"), None));
        let asked = request(Version::V220, Method::None, |purchase| purchase.wants_challenge = true);
        assert_eq!((&asked["threeDSRequestorChallengeInd"], &asked["messageCategory"]), (&json!("04"), &json!("01")));
        let nowhere = request(Version::V220, Method::None, |purchase| {
            (purchase.payer_address, purchase.holder) = ("unknown", None);
        });
        assert_eq!((nowhere.get("browserIP"), nowhere.get("cardholderName")), (None, None));
        let yen = request(Version::V220, Method::None, |purchase| {
            purchase.amount = Amount::from_minor(500, "JPY".parse().unwrap()).unwrap();
        });
        assert_eq!((&yen["purchaseExponent"], &yen["purchaseAmount"]), (&json!("0"), &json!("500")));
    }

    #[test]
    fn names_are_ascii() {
        let name = |text: &str| ascii_name(text).map(|name| name.to_string());
        assert_eq!(name("José Núñez").as_deref(), Some("Jose Nunez"));
        assert_eq!(name("Jürgen Groß").as_deref(), Some("Juergen Gross"));
        assert_eq!(name("Ærø Öst").as_deref(), Some("AEroe OEst"));
        assert_eq!(name("Иван"), None);
        assert_eq!(name("Ж A").as_deref(), None, "one letter is no name");
        assert_eq!(name(&"ß".repeat(45)).map(|name| name.len()), Some(45));
    }
}
