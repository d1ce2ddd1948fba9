//! The public image endpoint: `{type}/{code}[.png|.svg]` and its query, as a typed request.
//!
//! What is out of bounds is refused, never clamped: a printed code must be what was asked for.
//! Query names that are unknown are ignored; they do not change the image nor its `ETag`.

use crate::emv;
use crate::frame::{Layout, Paint, Shape, Style};
use crate::matrix::{Matrix, Plan};
use crate::query::{Query, ecc, format, paint, payload, whole};
use crate::svg::svg;
use crate::version::{Ecc, Level};

pub use crate::code::Code;
pub use crate::settings::{PublicUrlError, Settings};

/// Changes whenever the bytes of any image change, so that caches let go of the old ones.
const RENDERER: &str = "q1";

/// An image that was asked for, within all bounds that need no rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageRequest {
    kind: Kind,
    code: Code,
    format: Format,
    size: u32,
    margin: u32,
    ecc: Ecc,
    payload: Payload,
    /// `None`: no frame.
    paint: Option<Paint>,
}

/// Which picture: the `type` of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The symbol alone.
    Qr,
    /// In a frame, with the digits.
    Stpqr,
    /// In another frame, with the digits.
    Zimswitch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Png,
    Svg,
    /// The PNG as a `data:` URI in plain text.
    DataUri,
}

/// What the symbol carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The address of the pay page, for any phone's camera.
    Url,
    /// The ten digits.
    Code,
    /// An EMVCo merchant-presented payload.
    Emv,
}

/// Why there is no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    UnknownType,
    Code,
    Format,
    Size,
    Margin,
    Ecc,
    Payload,
    ColorCode,
    /// A known name occurs twice.
    Repeated,
    /// Fewer than two pixels per module.
    TooSmall,
}

/// A finished image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
}

impl Refusal {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> u16 {
        if self == Self::UnknownType { 404 } else { 400 }
    }

    /// For the client; says nothing but the rule.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::UnknownType => "unknown image type",
            Self::Code => "code must be ten digits",
            Self::Format => "format must be png, svg or datauri, and agree with the suffix",
            Self::Size => "size must be 64 to 2048",
            Self::Margin => "margin must be 4 to 16",
            Self::Ecc => "ecc must be L, M, Q, H or auto",
            Self::Payload => "payload must be url, code or emv",
            Self::ColorCode => "colorCode must be 0 to 3",
            Self::Repeated => "a parameter is given twice",
            Self::TooSmall => "size is too small for this code and margin",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Refusal {}

impl ImageRequest {
    /// `path` is what follows `/public/`; `query` what follows `?`, empty without one.
    ///
    /// # Errors
    /// The first rule that the request breaks.
    pub fn parse(path: &str, query: &str) -> Result<Self, Refusal> {
        let (kind, name) = path.split_once('/').ok_or(Refusal::UnknownType)?;
        let kind = match kind {
            "qr" => Kind::Qr,
            "stpqr" => Kind::Stpqr,
            "zimswitch" => Kind::Zimswitch,
            _ => return Err(Refusal::UnknownType),
        };
        let (code, suffix) = match name.split_once('.') {
            None => (name, None),
            Some((code, suffix)) => (code, Some(suffix)),
        };
        let code = Code::parse(code).ok_or(Refusal::Code)?;
        let query = Query::parse(query)?;
        Ok(Self {
            kind,
            code,
            format: format(suffix, query.format)?,
            size: query.size.map_or(Ok(400), |text| whole(text, 64, 2048).ok_or(Refusal::Size))?,
            margin: query.margin.map_or(Ok(4), |text| whole(text, 4, 16).ok_or(Refusal::Margin))?,
            ecc: query.ecc.map_or(Ok(Ecc::Auto), |text| ecc(text).ok_or(Refusal::Ecc))?,
            payload: query.payload.map_or(Ok(Payload::Url), payload)?,
            // A colour is checked even where nothing is painted with it.
            paint: query
                .color_code
                .map_or(Ok(Paint::Orange), paint)
                .map(|paint| (kind != Kind::Qr && query.plain.is_none()).then_some(paint))?,
        })
    }

    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// For `Content-Disposition`.
    #[must_use]
    pub fn file_name(&self) -> String {
        let suffix = match self.format {
            Format::Png => "png",
            Format::Svg => "svg",
            Format::DataUri => "txt",
        };
        format!("{}.{suffix}", self.code)
    }

    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self.format {
            Format::Png => "image/png",
            Format::Svg => "image/svg+xml; charset=utf-8",
            Format::DataUri => "text/plain; charset=utf-8",
        }
    }

    /// A strong entity tag, quotes included: known before anything is rendered.
    #[must_use]
    pub fn etag(&self, settings: &Settings) -> String {
        let kind = match self.kind {
            Kind::Qr => "qr",
            Kind::Stpqr => "stpqr",
            Kind::Zimswitch => "zimswitch",
        };
        let ecc = match self.ecc {
            Ecc::Auto => "auto",
            Ecc::Fixed(Level::L) => "l",
            Ecc::Fixed(Level::M) => "m",
            Ecc::Fixed(Level::Q) => "q",
            Ecc::Fixed(Level::H) => "h",
        };
        let payload = match self.payload {
            Payload::Url => format!("url-{:016x}", settings.prefix_hash),
            Payload::Code => "code".to_owned(),
            Payload::Emv => format!("emv-{:016x}", settings.merchant_hash),
        };
        let frame = match self.paint {
            None => "plain",
            Some(Paint::Orange) => "0",
            Some(Paint::Line) => "1",
            Some(Paint::Grey) => "2",
            Some(Paint::Black) => "3",
        };
        let format = match self.format {
            Format::Png => "png",
            Format::Svg => "svg",
            Format::DataUri => "datauri",
        };
        let Self { code, size, margin, .. } = self;
        format!("\"{RENDERER}.{kind}.{code}.{size}.{margin}.{ecc}.{payload}.{frame}.{format}\"")
    }

    /// Whether it can be drawn; nothing is.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn check(&self, settings: &Settings) -> Result<(), Refusal> {
        let payload = self.payload(settings);
        let plan = Plan::new(payload.as_bytes(), self.ecc).map_err(|_| Refusal::TooSmall)?;
        self.layout(plan.version().size()).map(drop)
    }

    /// Draws the image.
    ///
    /// # Errors
    /// [`Refusal::TooSmall`] when a module would have fewer than two pixels.
    pub fn render(&self, settings: &Settings) -> Result<Image, Refusal> {
        // Settings bound the payload far below the largest symbol.
        let matrix = Matrix::encode(self.payload(settings).as_bytes(), self.ecc).map_err(|_| Refusal::TooSmall)?;
        let layout = self.layout(matrix.size())?;
        let bytes = match self.format {
            Format::Png => layout.png(&matrix, self.code.as_str()),
            Format::Svg => svg(&layout, self.margin, &matrix, self.code.as_str()).into_bytes(),
            Format::DataUri => data_uri(&layout.png(&matrix, self.code.as_str())),
        };
        Ok(Image { content_type: self.content_type(), bytes })
    }

    fn payload(&self, settings: &Settings) -> String {
        match self.payload {
            Payload::Url => settings.code_url(self.code),
            Payload::Code => self.code.to_string(),
            Payload::Emv => emv::payload(self.code, &settings.merchant),
        }
    }

    /// Where everything goes for a symbol of so many modules.
    fn layout(&self, modules: u32) -> Result<Layout, Refusal> {
        let shape = if self.kind == Kind::Zimswitch { Shape::Bars } else { Shape::Ring };
        let style = self.paint.map(|paint| Style { shape, paint });
        Layout::new(modules, self.margin, self.size, style).ok_or(Refusal::TooSmall)
    }
}

/// RFC 2397 with base64 (RFC 4648 §4).
fn data_uri(png: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = b"data:image/png;base64,".to_vec();
    for group in png.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) as usize & 63;
            let letter = ALPHABET.get(index).copied().unwrap_or(b'=');
            out.push(if place <= group.len() { letter } else { b'=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings() -> Settings {
        let merchant = emv::Merchant::new("ZA", "710", "Corner Shop", "Cape Town").unwrap();
        Settings::new("https://pay.example", merchant).unwrap()
    }

    fn parse(path: &str, query: &str) -> Result<ImageRequest, Refusal> {
        ImageRequest::parse(path, query)
    }

    #[test]
    fn defaults_and_everything_spelled_out_are_the_same() {
        let short = parse("stpqr/0123456789", "").unwrap();
        let long = "size=400&margin=4&ecc=auto&payload=url&colorCode=0&format=png";
        assert_eq!(parse("stpqr/0123456789.png", long), Ok(short));
        assert_eq!(parse("stpqr/0123456789", "utm_source=x&&=&size%5b%5d=1&PLAIN"), Ok(short));
        assert_eq!(short.etag(&settings()).split_once("url-").unwrap().0, "\"q1.stpqr.0123456789.400.4.auto.");
        assert!(short.etag(&settings()).ends_with(".0.png\""));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let cases = [
            ("qr", "", Refusal::UnknownType),
            ("QR/0123456789", "", Refusal::UnknownType),
            ("qr2/0123456789", "", Refusal::UnknownType),
            ("qr/012345678", "", Refusal::Code),
            ("qr/0123456789/", "", Refusal::Code),
            ("qr/0123456789.gif", "", Refusal::Format),
            ("qr/0123456789.svg", "format=png", Refusal::Format),
            ("qr/0123456789.svg", "format=datauri", Refusal::Format),
            ("qr/0123456789.png.svg", "", Refusal::Format),
            ("qr/0123456789", "size=63", Refusal::Size),
            ("qr/0123456789", "size=2049", Refusal::Size),
            ("qr/0123456789", "size=+400", Refusal::Size),
            ("qr/0123456789", "size=", Refusal::Size),
            ("qr/0123456789", "size=00400", Refusal::Size),
            ("qr/0123456789", "margin=3", Refusal::Margin),
            ("qr/0123456789", "margin=17", Refusal::Margin),
            ("qr/0123456789", "ecc=X", Refusal::Ecc),
            ("qr/0123456789", "payload=text", Refusal::Payload),
            ("qr/0123456789", "colorCode=4", Refusal::ColorCode),
            ("qr/0123456789", "size=300&size=300", Refusal::Repeated),
        ];
        for (path, query, refusal) in cases {
            assert_eq!(parse(path, query), Err(refusal), "{path}?{query}");
            assert_eq!(refusal.status(), if refusal == Refusal::UnknownType { 404 } else { 400 });
        }
        // 25 + 8 modules at 64 pixels: one pixel each.
        let small = parse("qr/0123456789", "size=64").unwrap();
        assert_eq!(small.render(&settings()), Err(Refusal::TooSmall));
        assert!(parse("qr/0123456789", "size=66").unwrap().render(&settings()).is_ok());
    }

    #[test]
    fn tags_change_with_what_the_image_depends_on_and_with_nothing_else() {
        let merchant = |name| emv::Merchant::new("ZA", "710", name, "Paarl").unwrap();
        let one = Settings::new("https://a.example", merchant("A")).unwrap();
        let two = Settings::new("https://b.example", merchant("A")).unwrap();
        let three = Settings::new("https://a.example", merchant("B")).unwrap();
        let tag = |query, settings| parse("qr/0123456789", query).unwrap().etag(settings);
        assert_ne!(tag("", &one), tag("", &two));
        assert_eq!(tag("", &one), tag("", &three));
        assert_eq!(tag("payload=code", &one), tag("payload=code", &two));
        assert_eq!(tag("payload=emv", &one), tag("payload=emv", &two));
        assert_ne!(tag("payload=emv", &one), tag("payload=emv", &three));
        // A plain symbol has no colour.
        assert_eq!(tag("colorCode=1", &one), tag("colorCode=2", &one));
        let mut tags: Vec<_> = ["", "size=300", "margin=5", "ecc=H", "payload=code", "format=svg"]
            .into_iter()
            .map(|query| tag(query, &one))
            .collect();
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 6);
    }

    /// Where a row changes, so must [`RENDERER`]: caches hold an image for a week by its tag.
    #[test]
    fn the_bytes_are_those_of_this_renderer() {
        let drawn = [
            ("qr/0123456789", ""),
            ("qr/0123456789", "size=1024&format=svg"),
            ("qr/9876543210", "payload=code&ecc=L&margin=8"),
            ("qr/9876543210", "payload=emv&ecc=Q&size=300"),
            ("stpqr/0123456789", "colorCode=1"),
            ("stpqr/0123456789", "format=svg"),
            ("zimswitch/0123456789", "colorCode=3&size=600"),
            ("zimswitch/0123456789", "format=datauri"),
        ]
        .map(|(path, query)| {
            let bytes = parse(path, query).unwrap().render(&settings()).unwrap().bytes;
            let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
            (bytes.len(), bytes.iter().fold(0xCBF2_9CE4_8422_2325_u64, fold))
        });
        let expected = [
            (481, 3_408_839_885_931_968_927),
            (1257, 17_451_987_399_529_984_658),
            (436, 10_846_636_767_106_379_201),
            (745, 2_318_807_868_626_836_131),
            (741, 10_659_672_112_714_268_377),
            (1988, 3_811_087_947_038_390_077),
            (971, 1_917_503_135_607_242_329),
            (1230, 13_790_921_531_918_074_524),
        ];
        assert_eq!((RENDERER, drawn), ("q1", expected));
    }

    #[test]
    fn base64_vectors_of_the_rfc() {
        let encoded = |text: &str| String::from_utf8(data_uri(text.as_bytes())).unwrap();
        for (text, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encoded(text), format!("data:image/png;base64,{expected}"));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_parsing_panic(path in "(qr/|stpqr/)?\\PC{0,20}", query in "((size|margin|ecc|plain|[&=])?\\PC{0,4}){0,8}") {
            let _ = parse(&path, &query);
        }

        #[test]
        fn whatever_is_accepted_is_drawn_or_too_small(
            kind in "qr|stpqr|zimswitch", code in "[0-9]{10}", size in 64_u32..=2048, margin in 4_u32..=16,
            ecc in "L|M|Q|H|auto", payload in "url|code|emv", colour in 0..4, rest in "|&plain|&format=svg|&format=datauri",
        ) {
            let query = format!("size={size}&margin={margin}&ecc={ecc}&payload={payload}&colorCode={colour}{rest}");
            let request = parse(&format!("{kind}/{code}"), &query).unwrap();
            prop_assert_eq!(request.check(&settings()), request.render(&settings()).map(drop));
            match request.render(&settings()) {
                Ok(image) => prop_assert_eq!(image.content_type, request.content_type()),
                // The widest: version 9 at H is 53 modules; with frame and text under 2 × 110 pixels.
                Err(refusal) => prop_assert!(refusal == Refusal::TooSmall && size < 220, "{} {}", size, query),
            }
            let tag = request.etag(&settings());
            prop_assert!(tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"\".-".contains(&b)));
        }
    }
}
