//! The pay page as text: one typed struct in, escaped HTML out. Pure, so that what a merchant
//! writes into a name or a description is proven harmless here and nowhere else.

use std::borrow::Cow;

const TEMPLATE: &str = include_str!("assets/pay.html");

/// Everything the pay page shows. `render` is the only way to HTML.
pub struct PayPage<'a> {
    pub language: Language,
    pub code: &'a str,
    pub content: Content<'a>,
}

/// Texts live in pay.js, in one table per language; the server only names the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
}

pub enum Content<'a> {
    /// No such code: served with 404, shows no merchant.
    UnknownCode,
    Order(Order<'a>, State<'a>),
}

/// What is to be paid. Empty texts are left out of the page.
pub struct Order<'a> {
    pub merchant: &'a str,
    pub description: &'a str,
    pub reference: &'a str,
    /// In minor units; `None`: the payer types it.
    pub amount_minor: Option<u64>,
    pub currency: &'a str,
    /// ISO 4217 exponent of the currency.
    pub exponent: u8,
}

/// The state the page opens in. The script alone makes `paying` and `declined`.
pub enum State<'a> {
    Ready(Attempt<'a>),
    Paid,
    Expired,
    /// Somebody else is paying this code now.
    BusyElsewhere,
    /// The vault is sealed: no key to encrypt the card to.
    BusySealed,
}

/// What lets one payment be made from one page view.
pub struct Attempt<'a> {
    pub id: &'a str,
    /// Unix seconds.
    pub expires: u64,
    /// The public page key as JWK text, with its `kid`.
    pub key: &'a str,
}

impl PayPage<'_> {
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
            "language" => self.language.tag().into(),
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
            Content::UnknownCode => None,
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
            Content::UnknownCode | Content::Order(_, State::Expired) => "expired",
            Content::Order(_, State::Ready(_)) => "ready",
            Content::Order(_, State::Paid) => "paid",
            Content::Order(_, State::BusyElsewhere | State::BusySealed) => "busy",
        }
    }

    /// Names the panel to show; pay.css and pay.js know the same words.
    fn reason(&self) -> &'static str {
        match &self.content {
            Content::UnknownCode => "unknown-code",
            Content::Order(_, State::Ready(_)) => "",
            Content::Order(_, State::Paid) => "paid",
            Content::Order(_, State::Expired) => "expired",
            Content::Order(_, State::BusyElsewhere) => "elsewhere",
            Content::Order(_, State::BusySealed) => "sealed",
        }
    }
}

impl Language {
    fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
        }
    }
}

impl Order<'_> {
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
mod tests {
    use super::*;

    const KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"eA","y":"eQ","kid":"page-1"}"#;

    const HOSTILE: &[&str] = &[
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' autofocus onfocus='alert(1)",
        "</title><script>alert(1)</script>",
        "</bdi></main><iframe srcdoc=x>",
        "<!-- --><svg/onload=alert(1)>",
        "&lt;script&gt;",
        "{{code}}{{key}}",
        "{{",
        "}}",
        "\u{0}<\u{0}script>",
        "javascript:alert(1)",
    ];

    #[test]
    fn every_placeholder_is_filled_and_every_state_says_its_name() {
        for (state, reason, status) in [
            (ready(), "", "ready"),
            (State::Paid, "paid", "paid"),
            (State::Expired, "expired", "expired"),
            (State::BusyElsewhere, "elsewhere", "busy"),
            (State::BusySealed, "sealed", "busy"),
        ] {
            let html = page(order(), state).render();
            assert!(!html.contains("{{") && !html.contains("}}"));
            assert!(
                html.contains(&format!(r#"<main data-state="{status}" data-reason="{reason}" data-code="0123456789""#))
            );
        }
    }

    #[test]
    fn the_template_names_only_what_is_filled() {
        let page = page(order(), ready());
        let mut seen = 0;
        for piece in pieces(TEMPLATE) {
            if let Piece::Name(name) = piece {
                seen += 1;
                assert!(page.value(name).is_some(), "nobody fills {{{{{name}}}}}");
            }
        }
        assert_eq!(seen, TEMPLATE.matches("{{").count());
        assert!(seen >= 18);
        assert!(page.value("no-such-name").is_none());
    }

    /// Every value sits in element text or between double quotes: nowhere else is the escaping enough.
    #[test]
    fn placeholders_stand_only_where_the_escaping_holds() {
        let mut before = String::new();
        for piece in pieces(TEMPLATE) {
            match piece {
                Piece::Text(text) => before.push_str(text),
                Piece::Name(name) => {
                    let tag = before.rfind('<').map_or("", |at| &before[at..]);
                    let in_tag = !tag.contains('>');
                    let quoted = tag.matches('"').count() % 2 == 1;
                    assert!(!in_tag || quoted || name.ends_with("_hidden"), "{name}");
                    assert!(!in_tag || !(tag.ends_with("href=\"") || tag.ends_with("src=\"")), "{name}");
                    before.push('v');
                }
            }
        }
    }

    #[test]
    fn hostile_texts_add_no_markup() {
        let plain = marks(&page(order(), ready()).render());
        for hostile in HOSTILE {
            let order =
                Order { merchant: hostile, description: hostile, reference: hostile, currency: hostile, ..order() };
            let attempt = Attempt { id: hostile, expires: 1, key: hostile };
            let page = PayPage {
                language: Language::English,
                code: hostile,
                content: Content::Order(order, State::Ready(attempt)),
            };
            let html = page.render();
            assert_eq!(marks(&html), plain, "{hostile}");
            assert!(!html.contains('\u{0}'));
        }
    }

    #[test]
    fn a_hostile_code_adds_no_markup_to_the_unknown_page() {
        let unknown = |code| PayPage { language: Language::English, code, content: Content::UnknownCode }.render();
        let html = unknown("0123456789");
        assert!(html.contains(r#"data-state="expired" data-reason="unknown-code""#));
        assert!(html.contains(r#"aria-labelledby="merchant" hidden>"#));
        for hostile in HOSTILE {
            assert_eq!(marks(&unknown(hostile)), marks(&html), "{hostile}");
        }
    }

    #[test]
    fn values_come_back_unchanged_when_unescaped() {
        let order = Order { merchant: "Søn & Co <\"'>", ..order() };
        let html = page(order, ready()).render();
        assert!(html.contains(r#"data-merchant="Søn &amp; Co &lt;&quot;&#39;&gt;""#));
        assert!(html.contains("<title>Pay Søn &amp; Co &lt;&quot;&#39;&gt;</title>"));
        assert!(html.contains(&format!("data-key=\"{}\"", KEY.replace('"', "&quot;"))));
        assert!(html.contains(r#"data-attempt="att-1""#) && html.contains(r#"data-attempt-expires="1700000000""#));
    }

    #[test]
    fn a_value_is_never_read_as_a_template() {
        let order = Order { merchant: "{{key}}", ..order() };
        let html = page(order, ready()).render();
        assert!(html.contains("<bdi>{{key}}</bdi>"));
    }

    #[test]
    fn direction_controls_become_spaces() {
        let order = Order { merchant: "Shop\u{202e}RAZ\u{2066}!", ..order() };
        assert!(page(order, ready()).render().contains("<bdi>Shop RAZ !</bdi>"));
    }

    #[test]
    fn amounts_follow_the_exponent() {
        let text = |minor, exponent| Order { amount_minor: minor, exponent, ..order() }.amount_text();
        assert_eq!(text(Some(1000), 2), "10.00 ZAR");
        assert_eq!(text(Some(5), 2), "0.05 ZAR");
        assert_eq!(text(Some(0), 2), "0.00 ZAR");
        assert_eq!(text(Some(500), 0), "500 ZAR");
        assert_eq!(text(Some(1234), 3), "1.234 ZAR");
        assert_eq!(text(Some(999_999_999), 2), "9999999.99 ZAR");
        assert_eq!(text(Some(u64::MAX), 2), "184467440737095516.15 ZAR");
        assert_eq!(text(None, 2), "");
    }

    #[test]
    fn the_payer_types_the_amount_when_none_is_given() {
        let html = page(Order { amount_minor: None, ..order() }, ready()).render();
        assert!(html.contains(r#"data-amount-minor="" data-currency="ZAR" data-exponent="2""#));
        assert!(html.contains(r#"<p class="total"></p>"#));
        let html = page(order(), ready()).render();
        assert!(html.contains(r#"data-amount-minor="1000""#) && html.contains("disabled>Pay 10.00 ZAR</button>"));
    }

    #[test]
    fn empty_texts_hide_their_rows() {
        let html = page(Order { description: "", ..order() }, ready()).render();
        assert!(html.contains(r#"<div hidden><dt data-text="what">"#));
        assert!(html.contains(r#"<div ><dt data-text="reference">"#));
    }

    #[test]
    fn only_a_ready_page_carries_a_key_and_an_attempt() {
        for state in [State::Paid, State::Expired, State::BusyElsewhere, State::BusySealed] {
            let html = page(order(), state).render();
            assert!(html.contains(r#"data-attempt="""#) && html.contains(r#"data-key="""#));
        }
    }

    /// The content security policy forbids inline script and style; the page must not contain any.
    #[test]
    fn nothing_inline_and_nothing_foreign() {
        let html = page(order(), ready()).render();
        for forbidden in ["<style", " style=", " onclick=", " onload=", "https://", "//cdn", "name=\"number\""] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        assert_eq!(html.matches("<script").count(), 1);
        assert!(html.contains(r#"<script type="module" src="/pluto/public/assets/pay.js"></script>"#));
    }

    fn page<'a>(order: Order<'a>, state: State<'a>) -> PayPage<'a> {
        PayPage { language: Language::English, code: "0123456789", content: Content::Order(order, state) }
    }

    fn order() -> Order<'static> {
        Order {
            merchant: "Demo Shop",
            description: "Coffee",
            reference: "order-7",
            amount_minor: Some(1000),
            currency: "ZAR",
            exponent: 2,
        }
    }

    fn ready() -> State<'static> {
        State::Ready(Attempt { id: "att-1", expires: 1_700_000_000, key: KEY })
    }

    /// What markup is made of; equal counts mean that no value added any.
    fn marks(html: &str) -> [usize; 4] {
        ['<', '>', '"', '\''].map(|mark| html.matches(mark).count())
    }
}
