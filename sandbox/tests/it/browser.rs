//! As much of a browser as the parties' pages need: it reads forms and posts them.

use std::net::SocketAddr;

use crate::support::{Answer, send};

/// A form of a page: where it goes, its hidden fields, and its buttons' values.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) buttons: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
    }

    /// The body of its post, with one button pressed.
    pub(crate) fn body(&self, button: Option<&str>) -> String {
        let pressed = self.buttons.iter().filter(|(_, value)| Some(value.as_str()) == button);
        self.fields
            .iter()
            .chain(pressed)
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect::<Vec<_>>()
            .join("&")
    }
}

pub(crate) fn forms(page: &Answer) -> Vec<Form> {
    assert!(page.headers["content-type"].starts_with("text/html"), "{}", page.text());
    let text = page.text();
    let forms = text.split("<form ").skip(1).map(|form| form.split("</form>").next().unwrap().to_owned());
    forms
        .map(|form| {
            let named = |tag: &str| -> Vec<(String, String)> {
                let tags = form.split(tag).skip(1).map(|rest| rest.split('>').next().unwrap().to_owned());
                tags.filter_map(|tag| Some((attribute(&tag, "name")?, attribute(&tag, "value")?))).collect()
            };
            Form { action: attribute(&form, "action").unwrap(), fields: named("<input "), buttons: named("<button ") }
        })
        .collect()
}

pub(crate) fn form(page: &Answer) -> Form {
    let mut all = forms(page);
    assert_eq!(all.len(), 1, "{}", page.text());
    all.remove(0)
}

pub(crate) async fn post(address: SocketAddr, path: &str, body: &str) -> Answer {
    try_post(address, path, body).await.expect("an answer")
}

pub(crate) async fn try_post(address: SocketAddr, path: &str, body: &str) -> Option<Answer> {
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    send(address, "POST", path, &kind, body.as_bytes()).await
}

/// The path of a URL of this server.
pub(crate) fn path(url: &str, address: SocketAddr) -> String {
    url.strip_prefix(&format!("http://{address}")).expect("a page of this server").to_owned()
}

pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
    Some(
        value
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&"),
    )
}
