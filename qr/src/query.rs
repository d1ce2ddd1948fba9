//! The query of an image request, and how its values are spelled.

use crate::frame::Paint;
use crate::request::{Format, Payload, Refusal};
use crate::version::{Ecc, Level};

/// The known names of a query, not yet checked.
#[derive(Default)]
pub(crate) struct Query<'a> {
    pub(crate) size: Option<&'a str>,
    pub(crate) margin: Option<&'a str>,
    pub(crate) ecc: Option<&'a str>,
    pub(crate) payload: Option<&'a str>,
    pub(crate) color_code: Option<&'a str>,
    pub(crate) plain: Option<&'a str>,
    pub(crate) format: Option<&'a str>,
}

impl<'a> Query<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let field = match name {
                "size" => &mut query.size,
                "margin" => &mut query.margin,
                "ecc" => &mut query.ecc,
                "payload" => &mut query.payload,
                "colorCode" => &mut query.color_code,
                "plain" => &mut query.plain,
                "format" => &mut query.format,
                _ => continue,
            };
            if field.replace(value).is_some() {
                return Err(Refusal::Repeated);
            }
        }
        Ok(query)
    }
}

pub(crate) fn format(suffix: Option<&str>, name: Option<&str>) -> Result<Format, Refusal> {
    match (suffix, name) {
        (None | Some("png"), None | Some("png")) => Ok(Format::Png),
        (Some("svg"), None | Some("svg")) | (None, Some("svg")) => Ok(Format::Svg),
        (None | Some("png"), Some("datauri")) => Ok(Format::DataUri),
        _ => Err(Refusal::Format),
    }
}

/// Decimal digits only: no sign, no space, nothing encoded.
pub(crate) fn whole(text: &str, least: u32, most: u32) -> Option<u32> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let value = digits.then(|| text.parse().ok())??;
    (least..=most).contains(&value).then_some(value)
}

pub(crate) fn ecc(text: &str) -> Option<Ecc> {
    let level = match text {
        "L" | "l" => Level::L,
        "M" | "m" => Level::M,
        "Q" | "q" => Level::Q,
        "H" | "h" => Level::H,
        "auto" => return Some(Ecc::Auto),
        _ => return None,
    };
    Some(Ecc::Fixed(level))
}

pub(crate) fn payload(text: &str) -> Result<Payload, Refusal> {
    match text {
        "url" => Ok(Payload::Url),
        "code" => Ok(Payload::Code),
        "emv" => Ok(Payload::Emv),
        _ => Err(Refusal::Payload),
    }
}

pub(crate) fn paint(text: &str) -> Result<Paint, Refusal> {
    match text {
        "0" => Ok(Paint::Orange),
        "1" => Ok(Paint::Line),
        "2" => Ok(Paint::Grey),
        "3" => Ok(Paint::Black),
        _ => Err(Refusal::ColorCode),
    }
}
