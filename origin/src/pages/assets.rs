//! The page's script and style, by name. They are part of the program: what is served fits what serves it.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use scanvault_protocol::Problem;
use sha2::{Digest, Sha256};

use crate::hex;
use crate::web::{ApiError, Call};

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// A file of `assets/`, as it is served.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    text: &'static str,
}

/// A file named once, for the address and for the compiler.
macro_rules! assets {
    ($media_type:expr; $($name:literal),+ $(,)?) => {
        [$(Asset { name: $name, media_type: $media_type, text: include_str!(concat!("assets/", $name)) }),+]
    };
}

const STYLES: &[Asset] = &assets![STYLE; "pay.css"];

/// Each is a module; pay.js is the one that the page names.
const SCRIPTS: &[Asset] = &assets![SCRIPT;
    "attempt.js", "back.js", "browser.js", "fields.js", "frames.js", "languages.js", "pay.js", "poll.js", "seal.js",
    "text-da.js", "text-de.js", "text-en.js", "text-fr.js", "text-no.js", "text-sv.js", "typed.js", "view.js", "wire.js",
];

/// `GET /pluto/public/assets/{asset}`.
///
/// # Errors
/// 404 for any other name.
pub fn asset(call: &Call) -> Result<Response, ApiError> {
    let asset = find(&call.parameter).ok_or(Problem::NotFound)?;
    let mut response = Response::new(Body::from(asset.text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    // Short: page and script must not drift apart over a release.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", digest(asset.text))) {
        headers.insert(ETAG, etag);
    }
    Ok(response)
}

fn find(name: &str) -> Option<&'static Asset> {
    STYLES.iter().chain(SCRIPTS).find(|asset| asset.name == name)
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    hex::encode(digest.get(..12).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that is imported and not served stops the whole page.
    #[test]
    fn every_module_that_is_imported_is_served() {
        let mut seen = 0;
        for script in SCRIPTS {
            for part in script.text.split("from \"./").skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(find(name).is_some(), "{} imports {name}", script.name);
                seen += 1;
            }
        }
        assert!(seen >= 12, "{seen} imports");
        for language in ["da", "de", "en", "fr", "no", "sv"] {
            assert!(find(&format!("text-{language}.js")).is_some());
        }
        let page = include_str!("assets/pay.html");
        for part in page.split("/pluto/public/assets/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(find(name).is_some(), "the page names {name}");
        }
    }

    #[test]
    fn names_are_given_once_and_others_are_unknown() {
        let mut names: Vec<_> = STYLES.iter().chain(SCRIPTS).map(|asset| asset.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for name in ["", "pay.html", "../mod.rs", "PAY.JS", "pay.js/"] {
            assert!(find(name).is_none(), "{name}");
        }
        assert_eq!(digest("a").len(), 24);
        assert_ne!(digest("a"), digest("b"));
    }
}
