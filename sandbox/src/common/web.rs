//! Pieces of pages and of base64url that the parties with a browser's part share.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{
    Engine as _,
    prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};

/// base64url (RFC 4648 §5), with `=` at its end or without.
pub(crate) fn base64url(bytes: &[u8], padded: bool) -> String {
    if padded { BASE64_URL_SAFE.encode(bytes) } else { BASE64_URL_SAFE_NO_PAD.encode(bytes) }
}

/// Reads it without padding only.
pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// Text for an element or a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// `<input type="hidden">`.
pub(crate) fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value))
}

/// A plain page; `body` is HTML.
pub(crate) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\
         <body><h1>{title}</h1>{body}</body></html>",
        title = escape(title)
    );
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], html)
        .into_response()
}

/// A form that a browser posts by itself; without a script its button does.
pub(crate) fn auto_post(title: &str, action: &str, fields: &[(&str, &str)]) -> Response {
    let body =
        format!("{}<script>document.forms[document.forms.length - 1].submit()</script>", form(action, None, fields));
    page(StatusCode::OK, title, &body)
}

/// A form with hidden fields and a button.
pub(crate) fn form(action: &str, target: Option<&str>, fields: &[(&str, &str)]) -> String {
    let inputs: String = fields.iter().map(|(name, value)| hidden(name, value)).collect();
    let target = target.map(|name| format!(" target=\"{}\"", escape(name))).unwrap_or_default();
    format!(
        "<form method=\"post\" action=\"{}\"{target}>{inputs}<button type=\"submit\">Continue</button></form>",
        escape(action)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_both_ways() {
        assert_eq!(base64url(b"\xfb\xff", false), "-_8");
        assert_eq!(base64url(b"\xfb\xff", true), "-_8=");
        assert_eq!(from_base64url("-_8").as_deref(), Some(&b"\xfb\xff"[..]));
        assert_eq!(from_base64url("-_8="), None, "padded");
        assert_eq!(from_base64url("+/8"), None);
    }

    #[test]
    fn nothing_escapes_an_attribute() {
        assert_eq!(
            hidden("a", "\"><b>'&"),
            "<input type=\"hidden\" name=\"a\" value=\"&quot;&gt;&lt;b&gt;&#39;&amp;\">"
        );
    }
}
