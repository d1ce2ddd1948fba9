//! QR images, which the edge answers by itself. They load while every origin is down or sealed.

use scanvault_protocol::Problem;
use scanvault_qr::request::{ImageRequest, Refusal as ImageRefusal, Settings};

use crate::halves::Halves;
use crate::reply::{Body, Head, HeaderList, Refusal, Reply};

/// A week, and another month while a newer one is fetched: an image never changes, a renderer seldom does.
const IMAGE_CACHE_CONTROL: &str = "public, max-age=604800, stale-while-revalidate=2592000";

/// As many images are kept; larger ones are not: 2 MiB at most, usually a tenth of it.
const MAX_IMAGES: usize = 256;
const MAX_KEPT_BYTES: usize = 8 * 1024;

/// What was drawn, by its ETag, which covers all that it was drawn of. Drawing costs a third of a whole request.
#[derive(Debug)]
pub struct Images(Halves<String, Drawn>);

impl Default for Images {
    fn default() -> Self {
        Self(Halves::new(MAX_IMAGES))
    }
}

#[derive(Clone, Debug)]
struct Drawn {
    content_type: &'static str,
    bytes: Vec<u8>,
}

/// The image of a canonical path such as `/pluto/public/qr/0123456789.svg`.
///
/// A code carries no check digit and is not looked up: an unknown one gives an image too.
///
/// # Errors
/// [`Problem::BadRequest`] with the rule that the request breaks, [`Problem::NotFound`] for an unknown type.
pub fn image<S>(
    path: &str,
    query: Option<&str>,
    if_none_match: Option<&str>,
    settings: &Settings,
    images: &mut Images,
) -> Result<Reply<S>, Refusal> {
    let refused = |refusal: ImageRefusal| match refusal {
        ImageRefusal::UnknownType => Problem::NotFound.into(),
        rule => Refusal::because(Problem::BadRequest, rule.text()),
    };
    let (_, name) = path.split_once("/public/").ok_or(Problem::NotFound)?;
    let request = ImageRequest::parse(name, query.unwrap_or_default()).map_err(refused)?;
    let etag = request.etag(settings);
    let is_known = if_none_match.is_some_and(|list| matches_etag(list, &etag));
    // RFC 9110 §15.4.5: a 304 repeats the validators and caching headers of the 200.
    let mut headers: HeaderList = vec![
        ("etag", etag.clone().into()),
        ("cache-control", IMAGE_CACHE_CONTROL.into()),
        ("access-control-allow-origin", "*".into()),
        ("cross-origin-resource-policy", "cross-origin".into()),
        ("x-robots-tag", "noindex".into()),
    ];
    if is_known {
        return Ok(Reply { head: Head::new(304, headers), body: Body::Empty });
    }
    let known = images.0.get(&etag).cloned();
    let image = match known {
        Some(known) => known,
        None => {
            let image = request.render(settings).map_err(refused)?;
            let drawn = Drawn { content_type: image.content_type, bytes: image.bytes };
            if drawn.bytes.len() <= MAX_KEPT_BYTES {
                images.0.put(etag, drawn.clone());
            }
            drawn
        }
    };
    headers.push(("content-type", image.content_type.into()));
    headers.push(("content-length", image.bytes.len().to_string().into()));
    headers.push(("content-disposition", format!("inline; filename=\"{}\"", request.file_name()).into()));
    Ok(Reply { head: Head::new(200, headers), body: Body::Bytes(image.bytes) })
}

/// `If-None-Match` (RFC 9110 §13.1.2): `*`, or a list in which weak tags count like strong ones. Our tags hold no comma.
#[must_use]
pub fn matches_etag(list: &str, etag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    list.trim() == "*" || list.split(',').any(|candidate| strong(candidate) == strong(etag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanvault_qr::emv::Merchant;

    fn settings() -> Settings {
        Settings::new("https://pay.example", Merchant::new("ZA", "710", "Shop", "Paarl").unwrap()).unwrap()
    }

    fn ask(path: &str, query: Option<&str>, if_none_match: Option<&str>) -> Result<Reply<()>, Refusal> {
        image(path, query, if_none_match, &settings(), &mut Images::default())
    }

    fn value(reply: &Reply<()>, name: &str) -> Option<String> {
        reply.head.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone().into_owned())
    }

    #[test]
    fn images_have_the_headers_of_a_public_cacheable_image() {
        for (path, media_type, start) in [
            ("/pluto/public/qr/0123456789", "image/png", &b"\x89PNG"[..]),
            ("/public/stpqr/0123456789.png", "image/png", b"\x89PNG"),
            ("/pluto/public/zimswitch/0123456789.svg", "image/svg+xml; charset=utf-8", b"<svg"),
        ] {
            let reply = ask(path, None, None).unwrap();
            assert_eq!(reply.head.status, 200, "{path}");
            assert_eq!(value(&reply, "content-type").as_deref(), Some(media_type));
            assert_eq!(value(&reply, "cache-control").as_deref(), Some(IMAGE_CACHE_CONTROL));
            assert_eq!(value(&reply, "access-control-allow-origin").as_deref(), Some("*"));
            let Body::Bytes(bytes) = &reply.body else { panic!("{path}") };
            assert!(bytes.starts_with(start), "{path}");
            assert_eq!(value(&reply, "content-length"), Some(bytes.len().to_string()));
        }
    }

    #[test]
    fn an_image_that_was_drawn_is_kept_as_it_is() {
        let mut images = Images::default();
        let mut drawn = |path: &str, query: Option<&str>| {
            let Body::Bytes(bytes) = image::<()>(path, query, None, &settings(), &mut images).unwrap().body else {
                panic!("{path}")
            };
            (bytes, images.0.len())
        };
        let (png, kept) = drawn("/pluto/public/qr/0123456789", None);
        assert_eq!((drawn("/pluto/public/qr/0123456789.png", None), kept), ((png.clone(), 1), 1));
        for (path, query) in [
            ("/pluto/public/qr/0123456789.svg", None),
            ("/pluto/public/qr/0123456788", None),
            ("/pluto/public/qr/0123456789", Some("size=300")),
        ] {
            let other = drawn(path, query).0;
            assert_ne!(other, png, "{path} {query:?}");
            assert_eq!(other, drawn(path, query).0, "{path} {query:?}");
        }
    }

    #[test]
    fn an_image_that_the_client_has_is_not_drawn_again() {
        let path = "/pluto/public/qr/0123456789";
        let etag = value(&ask(path, None, None).unwrap(), "etag").unwrap();
        for list in [etag.clone(), format!("\"x\", {etag}"), format!("W/{etag}"), "*".into()] {
            let reply = ask(path, Some("cachebuster=1"), Some(&list)).unwrap();
            assert_eq!((reply.head.status, &reply.body), (304, &Body::Empty), "{list}");
            assert_eq!(value(&reply, "etag"), Some(etag.clone()));
            assert_eq!(value(&reply, "cache-control").as_deref(), Some(IMAGE_CACHE_CONTROL));
        }
        assert_eq!(ask(path, None, Some("\"x\"")).unwrap().head.status, 200);
        assert_eq!(ask(path, Some("size=512"), Some(&etag)).unwrap().head.status, 200);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_the_rule() {
        for (path, query) in [
            ("/pluto/public/qr/012345678", None),
            ("/pluto/public/qr/0123456789.gif", None),
            ("/pluto/public/qr/0123456789", Some("size=63")),
            ("/pluto/public/qr/0123456789", Some("size=99999")),
            ("/pluto/public/qr/0123456789", Some("size=100&size=200")),
        ] {
            let refusal = ask(path, query, None).map(|_| ()).unwrap_err();
            let Refusal::Problem { problem, detail, .. } = refusal else { panic!("{path}") };
            assert_eq!(problem, Problem::BadRequest, "{path} {query:?}");
            assert!(detail.is_some());
        }
    }
}
