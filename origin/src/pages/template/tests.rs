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
        (State::Paid, "already", "paid"),
        (State::Expired, "expired", "expired"),
        (State::Blocked, "blocked", "expired"),
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
    let items = [Item { name: String::new(), quantity: 1, total_minor: 1 }];
    let plain = marks(&page(Order { items: &items, ..order() }, ready()).render());
    for hostile in HOSTILE {
        let items = [Item { name: (*hostile).to_owned(), quantity: 1, total_minor: 1 }];
        let order = Order {
            merchant: hostile,
            description: hostile,
            reference: hostile,
            currency: hostile,
            items: &items,
            ..order()
        };
        let attempt = Attempt { id: hostile, expires: 1, key: hostile };
        let page = PayPage { code: hostile, content: Content::Order(order, State::Ready(attempt)) };
        let html = page.render();
        assert_eq!(marks(&html), plain, "{hostile}");
        assert!(!html.contains('\u{0}'));
    }
}

#[test]
fn a_hostile_code_adds_no_markup_to_the_unknown_page() {
    let unknown = |code| PayPage { code, content: Content::UnknownCode }.render();
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
    assert!(html.contains(r#"<p class="total" id="total"></p>"#));
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
    for state in [State::Paid, State::Expired, State::Blocked, State::BusyElsewhere, State::BusySealed] {
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
    PayPage { code: "0123456789", content: Content::Order(order, state) }
}

fn order() -> Order<'static> {
    Order {
        merchant: "Demo Shop",
        description: "Coffee",
        reference: "order-7",
        amount_minor: Some(1000),
        currency: "ZAR",
        exponent: 2,
        items: &[],
        language: None,
        choices: Choices::default(),
    }
}

fn ready() -> State<'static> {
    State::Ready(Attempt { id: "att-1", expires: 1_700_000_000, key: KEY })
}

/// What markup is made of; equal counts mean that no value added any.
fn marks(html: &str) -> [usize; 4] {
    ['<', '>', '"', '\''].map(|mark| html.matches(mark).count())
}

#[test]
fn what_a_merchant_lets_the_payer_do_is_said_in_words() {
    let html = page(order(), ready()).render();
    assert!(
        html.contains(r#"data-language="" data-partial="" data-wallet="" data-keeps="" data-follow="" data-items="""#)
    );
    let items = [Item { name: "Søn \"<b>\"".to_owned(), quantity: 2, total_minor: 700 }];
    let choices = Choices { partial: true, mobilepay: true, keeps_card: true, follow: true };
    let html = page(Order { items: &items, language: Some(Language::Norwegian), choices, ..order() }, ready()).render();
    assert!(html.contains(
        r#"data-language="no" data-partial="yes" data-wallet="mobilepay" data-keeps="yes" data-follow="yes""#
    ));
    let json = r#"[{"name":"Søn \"<b>\"","quantity":2,"totalMinor":700}]"#;
    let escaped = json.replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
    assert!(html.contains(&format!("data-items=\"{escaped}\"")));
}

#[test]
fn a_suspended_merchant_shows_nothing() {
    let html = PayPage { code: "0123456789", content: Content::Suspended }.render();
    assert!(html.contains(r#"data-state="expired" data-reason="suspended""#));
    assert!(html.contains(r#"aria-labelledby="merchant" hidden>"#) && html.contains("<title>Payment</title>"));
}

#[test]
fn languages_are_those_of_the_interface() {
    for tag in ["en", "da", "sv", "no", "de", "fr"] {
        assert_eq!(Language::of_tag(tag).map(Language::tag), Some(tag));
    }
    assert_eq!(Language::of_tag("DA"), Some(Language::Danish));
    assert_eq!(Language::of_tag("fi"), None);
    assert_eq!(Language::of_tag(""), None);
}
