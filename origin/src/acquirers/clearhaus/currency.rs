//! The currencies that Clearhaus takes, with its own decimals.
//!
//! Its table is not ISO 4217's (króna have had none there since 2023-04, some codes are gone), so it is kept here whole
//! and not taken from the amounts' own.

const NO_DECIMALS: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
const THREE_DECIMALS: &str = "BHD IQD JOD KWD LYD OMR TND";
/// BGN is gone since 2026, HRK since 2023.
const TWO_DECIMALS: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD \
    CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR \
    ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD \
    NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SYP SZL THB TJS \
    TMT TOP TRY TTD TWD TZS UAH USD UYU UZS WST XCD YER ZAR ZMW ZWG";

/// Decimals of a currency; `None`: Clearhaus does not take it.
pub(super) fn exponent(code: &str) -> Option<u8> {
    [(NO_DECIMALS, 0), (THREE_DECIMALS, 3), (TWO_DECIMALS, 2)]
        .into_iter()
        .find_map(|(codes, exponent)| codes.split_ascii_whitespace().any(|known| known == code).then_some(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_table() {
        for (code, decimals) in [("ISK", 0), ("JPY", 0), ("XPF", 0), ("KWD", 3), ("TND", 3), ("EUR", 2), ("ZWG", 2)] {
            assert_eq!(exponent(code), Some(decimals), "{code}");
        }
        for code in ["BGN", "HRK", "XXX", "eur", "EU", ""] {
            assert_eq!(exponent(code), None, "{code}");
        }
        let all: Vec<&str> =
            [NO_DECIMALS, THREE_DECIMALS, TWO_DECIMALS].into_iter().flat_map(str::split_ascii_whitespace).collect();
        let once: std::collections::HashSet<&&str> = all.iter().collect();
        assert_eq!(once.len(), all.len());
    }
}
