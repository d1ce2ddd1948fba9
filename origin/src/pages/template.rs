//! The pay page as text: one typed struct in, escaped HTML out. Pure, so that what a merchant
//! writes into a name or a description is proven harmless here and nowhere else.

use std::borrow::Cow;

use serde::Serialize;

const TEMPLATE: &str = include_str!("assets/pay.html");

/// Everything the pay page shows. `render` is the only way to HTML.
pub struct PayPage<'a> {
    /// The code of the address.
    pub code: &'a str,
    /// What the page is about.
    pub content: Content<'a>,
}

/// The languages of the page. Its texts are the script's, one table per language: what the server sends is English, and
/// names the language that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Danish.
    Danish,
    /// Swedish.
    Swedish,
    /// Norwegian, bokmål.
    Norwegian,
    /// German.
    German,
    /// French.
    French,
}

/// What a page is about.
pub enum Content<'a> {
    /// No such code: served with 404, shows no merchant.
    UnknownCode,
    /// The merchant takes no payments now; shows nothing of them.
    Suspended,
    /// A payment request.
    Order(Order<'a>, State<'a>),
}

/// What is to be paid. Empty texts are left out of the page.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The merchant's name.
    pub merchant: &'a str,
    /// What it is for.
    pub description: &'a str,
    /// The merchant's number for it.
    pub reference: &'a str,
    /// In minor units; `None`: the payer types it.
    pub amount_minor: Option<u64>,
    /// Three letters.
    pub currency: &'a str,
    /// ISO 4217 exponent of the currency.
    pub exponent: u8,
    /// The rows of a payment link.
    pub items: &'a [Item],
    /// What the request asks for; without it the payer's browser decides.
    pub language: Option<Language>,
    /// How the page may be used.
    pub choices: Choices,
}

/// What the merchant lets the payer do.
#[derive(Clone, Copy, Default)]
pub struct Choices {
    /// Pay less than the whole amount.
    pub partial: bool,
    /// Pay with MobilePay.
    pub mobilepay: bool,
    /// Keep the card for later charges by this merchant; where nothing else is asked for, the amount is zero.
    pub keeps_card: bool,
    /// Be taken back to the shop without a click, once it is paid.
    pub follow: bool,
}

/// A row of what is paid.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// What it is.
    pub name: String,
    /// How many.
    pub quantity: u64,
    /// Of the row, in minor units.
    pub total_minor: u64,
}

/// The state the page opens in. The script alone makes `paying` and `declined`.
pub enum State<'a> {
    /// It can be paid.
    Ready(Attempt<'a>),
    /// Somebody has paid it: who opens the page need not be who paid.
    Paid,
    /// Its time is over, or the merchant took it back.
    Expired,
    /// The merchant stopped it for a while.
    Blocked,
    /// Somebody else is paying this code now.
    BusyElsewhere,
    /// The vault is sealed: no key to encrypt the card to.
    BusySealed,
}

/// What lets one payment be made from one page view.
pub struct Attempt<'a> {
    /// Signed, and taken once.
    pub id: &'a str,
    /// Unix seconds.
    pub expires: u64,
    /// The public page key as JWK text, with its `kid`.
    pub key: &'a str,
}

impl PayPage<'_> {
    /// The page.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = String::with_capacity(TEMPLATE.len() + 2048);
        for piece in pieces(TEMPLATE) {
            match piece {
                Piece::Text(text) => page.push_str(text),
                // A name that nobody fills renders as nothing; a test holds the template against `value`.
                Piece::Name(name) => push_escaped(&mut page, &self.value(name).unwrap_or_default()),
            }
        }
        page
    }

    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        let order = self.order();
        let attempt = self.attempt();
        Some(match name {
            "language" => Language::English.tag().into(),
            "asked_language" => order.and_then(|o| o.language).map_or("", Language::tag).into(),
            "items" => order.map_or(String::new(), Order::items_json).into(),
            "partial" => yes(order.is_some_and(|o| o.choices.partial)),
            "wallet" => order.filter(|o| o.choices.mobilepay).map_or("", |_| "mobilepay").into(),
            "keeps" => yes(order.is_some_and(|o| o.choices.keeps_card)),
            "follow" => yes(order.is_some_and(|o| o.choices.follow)),
            "title" => order.map_or("Payment".into(), |o| format!("Pay {}", o.merchant).into()),
            "state" => self.state_name().into(),
            "reason" => self.reason().into(),
            "code" => self.code.into(),
            "attempt" => attempt.map_or("", |a| a.id).into(),
            "attempt_expires" => attempt.map_or(String::new(), |a| a.expires.to_string()).into(),
            "key" => attempt.map_or("", |a| a.key).into(),
            "merchant" => order.map_or("", |o| o.merchant).into(),
            "description" => order.map_or("", |o| o.description).into(),
            "reference" => order.map_or("", |o| o.reference).into(),
            "currency" => order.map_or("", |o| o.currency).into(),
            "exponent" => order.map_or(String::new(), |o| o.exponent.to_string()).into(),
            "amount_minor" => order.and_then(|o| o.amount_minor).map_or(String::new(), |m| m.to_string()).into(),
            "amount" => order.map_or(String::new(), Order::amount_text).into(),
            "summary_hidden" => hidden(order.is_none()),
            "description_hidden" => hidden(order.is_none_or(|o| o.description.is_empty())),
            "reference_hidden" => hidden(order.is_none_or(|o| o.reference.is_empty())),
            _ => return None,
        })
    }

    fn order(&self) -> Option<&Order<'_>> {
        match &self.content {
            Content::Order(order, _) => Some(order),
            Content::UnknownCode | Content::Suspended => None,
        }
    }

    fn attempt(&self) -> Option<&Attempt<'_>> {
        match &self.content {
            Content::Order(_, State::Ready(attempt)) => Some(attempt),
            _ => None,
        }
    }

    fn state_name(&self) -> &'static str {
        match &self.content {
            Content::UnknownCode | Content::Suspended | Content::Order(_, State::Expired | State::Blocked) => "expired",
            Content::Order(_, State::Ready(_)) => "ready",
            Content::Order(_, State::Paid) => "paid",
            Content::Order(_, State::BusyElsewhere | State::BusySealed) => "busy",
        }
    }

    /// Names the panel to show; pay.css and pay.js know the same words.
    fn reason(&self) -> &'static str {
        match &self.content {
            Content::UnknownCode => "unknown-code",
            Content::Suspended => "suspended",
            Content::Order(_, State::Ready(_)) => "",
            Content::Order(_, State::Paid) => "already",
            Content::Order(_, State::Blocked) => "blocked",
            Content::Order(_, State::Expired) => "expired",
            Content::Order(_, State::BusyElsewhere) => "elsewhere",
            Content::Order(_, State::BusySealed) => "sealed",
        }
    }
}

impl Language {
    const ALL: [Self; 6] = [Self::English, Self::Danish, Self::Swedish, Self::Norwegian, Self::German, Self::French];

    /// The language of a two-letter tag; `None` for any that the page does not speak.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(tag))
    }

    /// As `/v1` and the script spell it.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Danish => "da",
            Self::Swedish => "sv",
            Self::Norwegian => "no",
            Self::German => "de",
            Self::French => "fr",
        }
    }
}

impl Order<'_> {
    /// For the script, which writes the rows in the page's language.
    fn items_json(&self) -> String {
        if self.items.is_empty() {
            return String::new();
        }
        serde_json::to_string(self.items).unwrap_or_default()
    }

    /// `10.00 ZAR`, `500 JPY`, or nothing when the payer types the amount.
    fn amount_text(&self) -> String {
        let Some(minor) = self.amount_minor else {
            return String::new();
        };
        let exponent = usize::from(self.exponent);
        if exponent == 0 {
            return format!("{minor} {}", self.currency);
        }
        // At least one digit stands before the point: 5 minor units are 0.05, not .05.
        let digits = format!("{minor:0>width$}", width = exponent + 1);
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        format!("{whole}.{fraction} {}", self.currency)
    }
}

fn yes(yes: bool) -> Cow<'static, str> {
    if yes { "yes".into() } else { "".into() }
}

fn hidden(yes: bool) -> Cow<'static, str> {
    if yes { "hidden".into() } else { "".into() }
}

enum Piece<'t> {
    Text(&'t str),
    Name(&'t str),
}

/// Cuts the template in one pass, so that a value that contains `{{code}}` stays text.
fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut parts = template.split("{{");
    let head = parts.next().map(Piece::Text);
    head.into_iter().chain(parts.flat_map(|part| match part.split_once("}}") {
        Some((name, text)) => [Piece::Name(name), Piece::Text(text)],
        None => [Piece::Text("{{"), Piece::Text(part)],
    }))
}

/// Escapes for element text and for quoted attributes alike, the only two places of the template.
fn push_escaped(page: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            c if c.is_control() || is_direction_control(c) => page.push(' '),
            c => page.push(c),
        }
    }
}

/// Unicode's direction controls (UAX #9) could make an amount or a name read differently from what it is.
fn is_direction_control(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
