//! What the page shows of a payment request beside its amount: the rows of a payment link, its language, and where the
//! payer goes afterwards. Billing and shipping are never shown: a code is ten digits, and its page is open to whoever
//! guesses them. For the same reason no phone number is filled in from there.

use serde::Deserialize;

use super::template::{Item, Language};
use crate::money::{Amount, Currency};

/// Read tolerantly: a page that shows less is better than none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What is paid for; all of it or nothing.
    pub items: Vec<Item>,
    /// What the page speaks.
    pub language: Option<Language>,
    /// Where the payer goes after the payment.
    pub return_url: Option<String>,
}

/// The names that `/v1/new` takes, as they are kept in `payment_requests.details`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Kept {
    items: Vec<KeptItem>,
    language: Option<String>,
    successurl: Option<String>,
}

#[derive(Deserialize)]
struct KeptItem {
    name: Option<String>,
    sku: Option<String>,
    quantity: Option<u64>,
    total: String,
}

impl Shown {
    /// Of the column, for a request in this currency.
    #[must_use]
    pub fn of(details: &str, currency: Currency) -> Self {
        let kept: Kept = serde_json::from_str(details).unwrap_or_default();
        let items: Option<Vec<Item>> = kept.items.into_iter().map(|item| row(item, currency)).collect();
        Self {
            items: items.unwrap_or_default(),
            language: kept.language.as_deref().and_then(Language::of_tag),
            return_url: kept.successurl.filter(|url| url.starts_with("https://") || url.starts_with("http://")),
        }
    }
}

/// `None` for a total that is none, or in another currency: rows that do not add up are not shown.
fn row(item: KeptItem, currency: Currency) -> Option<Item> {
    let (decimal, of) = item.total.split_once(' ')?;
    let total = Amount::parse(decimal, currency).ok().filter(|_| of == currency.as_str())?;
    let name = item.name.or(item.sku).filter(|name| !name.is_empty()).unwrap_or_else(|| "–".to_owned());
    Some(Item { name, quantity: item.quantity.unwrap_or(1), total_minor: total.minor() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(details: &str) -> Shown {
        Shown::of(details, "DKK".parse().unwrap())
    }

    #[test]
    fn rows_language_and_the_way_back_are_read() {
        let found = shown(
            r#"{"items":[{"name":"Søm","quantity":3,"sku":"7","total":"199.98 DKK"},{"sku":"fragt","total":"0 DKK"},
                {"total":"1 DKK"}],"language":"da","successurl":"https://shop.example/tak","billing":{"phone":"1"}}"#,
        );
        let rows: Vec<_> = found.items.iter().map(|i| (i.name.as_str(), i.quantity, i.total_minor)).collect();
        assert_eq!(rows, [("Søm", 3, 19998), ("fragt", 1, 0), ("–", 1, 100)]);
        assert_eq!(found.language, Some(Language::Danish));
        assert_eq!(found.return_url.as_deref(), Some("https://shop.example/tak"));
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        for details in ["", "{}", "null", "[]", r#"{"items":7}"#, r#"{"language":"xx"}"#] {
            assert_eq!(shown(details), Shown::default(), "{details}");
        }
        for total in ["199.98", "x DKK", "1 SEK", "-1 DKK", ""] {
            let details = format!(r#"{{"items":[{{"name":"a","total":"1 DKK"}},{{"name":"b","total":"{total}"}}]}}"#);
            assert_eq!(shown(&details).items, [], "{total}");
        }
        assert_eq!(shown(r#"{"successurl":"javascript:alert(1)"}"#).return_url, None);
    }
}
