//! QR images, which the edge answers by itself. They load while every origin is down or sealed.

use std::rc::Rc;

use scanvault_protocol::Problem;
use scanvault_qr::request::{ImageRequest, Refusal as ImageRefusal, Settings};

use crate::halves::Halves;
use crate::reply::{Body, Head, HeaderList, Refusal, Reply};

/// A week, and another month while a newer one is fetched: an image never changes, a renderer seldom does.
const IMAGE_CACHE_CONTROL: &str = "public, max-age=604800, stale-while-revalidate=2592000";

/// As many images are kept, here and on the runtime's side; larger ones are not: 2 MiB at most, usually a tenth of it.
const MAX_IMAGES: usize = 256;
/// The longest body that is kept.
pub const MAX_KEPT_BYTES: usize = 8 * 1024;

/// Longer targets than any that we make are answered, and not kept.
const MAX_KEPT_TARGET_BYTES: usize = 256;

/// What is known of images, by path and query as they were sent. Drawing costs two fifths of a whole request.
#[derive(Debug)]
pub struct Images(Halves<String, Known>);

impl Default for Images {
    fn default() -> Self {
        Self(Halves::new(MAX_IMAGES))
    }
}

#[derive(Clone, Debug)]
struct Known {
    etag: String,
    file_name: String,
    /// Not for who has it already, nor when it is large.
    drawn: Option<Drawn>,
}

#[derive(Clone, Debug)]
struct Drawn {
    content_type: &'static str,
    bytes: Rc<[u8]>,
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
    let target = [path, "?", query.unwrap_or_default()].concat();
    if let Some(known) = images.0.get(&target)
        && let Some(reply) = known.reply(if_none_match)
    {
        return Ok(reply);
    }
    let refused = |refusal: ImageRefusal| match refusal {
        ImageRefusal::UnknownType => Problem::NotFound.into(),
        rule => Refusal::because(Problem::BadRequest, rule.text()),
    };
    let (_, name) = path.split_once("/public/").ok_or(Problem::NotFound)?;
    let request = ImageRequest::parse(name, query.unwrap_or_default()).map_err(refused)?;
    let mut known = Known { etag: request.etag(settings), file_name: request.file_name(), drawn: None };
    let reply = match known.reply(if_none_match) {
        Some(unchanged) => {
            // A tag can be made up of an image that does not exist; of that there is nothing unchanged.
            request.check(settings).map_err(refused)?;
            unchanged
        }
        None => {
            let image = request.render(settings).map_err(refused)?;
            let drawn = Drawn { content_type: image.content_type, bytes: image.bytes.into() };
            let reply = known.whole(&drawn);
            known.drawn = Some(drawn).filter(|drawn| drawn.bytes.len() <= MAX_KEPT_BYTES);
            reply
        }
    };
    if target.len() <= MAX_KEPT_TARGET_BYTES {
        images.0.put(target, known);
    }
    Ok(reply)
}

impl Known {
    /// The answer, `None` when the image has to be drawn first.
    fn reply<S>(&self, if_none_match: Option<&str>) -> Option<Reply<S>> {
        if if_none_match.is_some_and(|list| matches_etag(list, &self.etag)) {
            return Some(Reply { head: Head::new(304, self.headers()), body: Body::Empty });
        }
        self.drawn.as_ref().map(|drawn| self.whole(drawn))
    }

    fn whole<S>(&self, drawn: &Drawn) -> Reply<S> {
        let mut headers = self.headers();
        headers.push(("content-type", drawn.content_type.into()));
        headers.push(("content-disposition", ["inline; filename=\"", &self.file_name, "\""].concat().into()));
        Reply { head: Head::new(200, headers), body: Body::Shared(Rc::clone(&drawn.bytes)) }
    }

    /// RFC 9110 §15.4.5: a 304 repeats the validators and caching headers of the 200.
    fn headers(&self) -> HeaderList {
        let mut headers = HeaderList::with_capacity(16);
        headers.extend([
            ("etag", self.etag.clone().into()),
            ("cache-control", IMAGE_CACHE_CONTROL.into()),
            ("access-control-allow-origin", "*".into()),
            ("cross-origin-resource-policy", "cross-origin".into()),
            ("x-robots-tag", "noindex".into()),
        ]);
        headers
    }
}

/// `If-None-Match` (RFC 9110 §13.1.2): `*`, or a list in which weak tags count like strong ones. Our tags hold no comma.
#[must_use]
pub fn matches_etag(list: &str, etag: &str) -> bool {
    list.trim() == "*" || list.split(',').any(|candidate| strong(candidate) == strong(etag))
}

fn strong(tag: &str) -> &str {
    tag.trim().trim_start_matches("W/")
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
            let Body::Shared(bytes) = &reply.body else { panic!("{path}") };
            assert!(bytes.starts_with(start), "{path}");
        }
    }

    #[test]
    fn an_image_that_was_drawn_is_kept_as_it_is() {
        let mut images = Images::default();
        let mut drawn = |path: &str, query: Option<&str>| {
            let Body::Shared(bytes) = image::<()>(path, query, None, &settings(), &mut images).unwrap().body else {
                panic!("{path}")
            };
            (bytes, images.0.len())
        };
        let (png, _) = drawn("/pluto/public/qr/0123456789", None);
        let (again, kept) = drawn("/pluto/public/qr/0123456789", None);
        assert!(Rc::ptr_eq(&png, &again) && kept == 1);
        assert_eq!(drawn("/pluto/public/qr/0123456789.png", None), (png.clone(), 2));
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
    fn what_is_kept_is_bounded_and_leaves_long_targets_out() {
        let mut images = Images::default();
        let mut kept = |query: &str| {
            image::<()>("/pluto/public/qr/0123456789", Some(query), None, &settings(), &mut images).unwrap();
            images.0.len()
        };
        assert_eq!(kept(&format!("x={}", "x".repeat(MAX_KEPT_TARGET_BYTES))), 0);
        assert!((0..2 * MAX_IMAGES).all(|at| kept(&format!("x={at}")) <= MAX_IMAGES));
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
        // Who has it comes first here, and then somebody who has not.
        let mut images = Images::default();
        let mut status =
            |list: Option<&str>| image::<()>(path, None, list, &settings(), &mut images).unwrap().head.status;
        assert_eq!([Some(etag.as_str()), None, Some("*"), Some("\"x\"")].map(&mut status), [304, 200, 304, 200]);
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
