//! What an installation puts into its codes: its public address and its EMV merchant data.

use crate::code::Code;
use crate::emv::Merchant;

/// Checked once, at start-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Ends in `/Q/`, upper-cased where that changes nothing that is case-sensitive.
    prefix: String,
    pub(crate) merchant: Merchant,
    pub(crate) prefix_hash: u64,
    pub(crate) merchant_hash: u64,
}

/// The public address is not `http(s)://host[:port][/path]` of at most 200 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicUrlError;

impl std::fmt::Display for PublicUrlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the public URL must be http(s)://host[:port][/path], at most 200 characters")
    }
}

impl std::error::Error for PublicUrlError {}

impl Settings {
    /// # Errors
    /// [`PublicUrlError`] for anything but a plain http or https address.
    pub fn new(public_url: &str, merchant: Merchant) -> Result<Self, PublicUrlError> {
        let prefix = prefix(public_url).ok_or(PublicUrlError)?;
        let prefix_hash = fnv1a([prefix.as_str()]);
        let merchant_hash = fnv1a(merchant.fields());
        Ok(Self {
            prefix,
            merchant,
            prefix_hash,
            merchant_hash,
        })
    }

    /// Where a phone's camera goes: the pay page of a code, in its shortest form as a symbol.
    #[must_use]
    pub fn code_url(&self, code: Code) -> String {
        format!("{}{code}", self.prefix)
    }
}

/// Scheme and host may be written in any case (RFC 3986 §6.2.2.1), a path may not. Upper case is
/// worth a version or two: the alphanumeric mode has no lower-case letters.
fn prefix(public_url: &str) -> Option<String> {
    let base = public_url.trim_end_matches('/');
    let (scheme, rest) = base.split_once("://")?;
    let is_http = ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    let path = rest.get(host.len()..)?;
    // No user information, query or fragment, and nothing that would have to be escaped.
    let plain = rest
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&b));
    if !is_http || !plain || base.len() > 200 || host.contains('%') || host.starts_with(':') {
        return None;
    }
    let case_free = !path.bytes().any(|b| b.is_ascii_lowercase());
    Some(if case_free {
        format!("{}/Q/", base.to_ascii_uppercase())
    } else {
        format!("{base}/Q/")
    })
}

/// FNV-1a over the parts and their ends: changes of settings change ETags; no secret is in it.
fn fnv1a<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = parts
        .into_iter()
        .flat_map(|part| part.bytes().chain([0xFF]));
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(public_url: &str) -> Result<String, PublicUrlError> {
        let merchant = Merchant::new("ZA", "710", "Shop", "Paarl").unwrap();
        let settings = Settings::new(public_url, merchant)?;
        Ok(settings.code_url(Code::parse("0123456789").unwrap()))
    }

    #[test]
    fn upper_case_only_where_case_means_nothing() {
        let cases = [
            ("https://pay.example", "HTTPS://PAY.EXAMPLE/Q/0123456789"),
            ("https://pay.example/", "HTTPS://PAY.EXAMPLE/Q/0123456789"),
            (
                "http://127.0.0.1:8787",
                "HTTP://127.0.0.1:8787/Q/0123456789",
            ),
            (
                "https://pay.example/7/A",
                "HTTPS://PAY.EXAMPLE/7/A/Q/0123456789",
            ),
            (
                "https://pay.example/shop",
                "https://pay.example/shop/Q/0123456789",
            ),
            (
                "https://pay.example/A%2f",
                "https://pay.example/A%2f/Q/0123456789",
            ),
        ];
        for (public_url, expected) in cases {
            assert_eq!(url(public_url).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn addresses_that_are_not_plain_are_refused() {
        let long = format!("https://{}.example", "a".repeat(200));
        for bad in [
            "",
            "pay.example",
            "ftp://pay.example",
            "https://",
            "https:///x",
            "https://:443",
            "https://user@pay.example",
            "https://pay.example?x",
            "https://pay.example/#x",
            "https://pay example",
            "https://pay.exämple",
            "https://pay%2eexample",
            &long,
        ] {
            assert_eq!(url(bad), Err(PublicUrlError), "{bad}");
        }
    }
}
