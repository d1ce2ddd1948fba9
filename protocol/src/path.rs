//! One canonical form of a path; whatever has a second spelling is refused before it is routed.

use crate::Problem;

/// The longest path, and the longest path with its query, in bytes.
pub const MAX_PATH_BYTES: usize = 512;
/// The longest query in bytes: a login challenge is 684 characters of base64, up to 2 KiB percent-encoded.
pub const MAX_QUERY_BYTES: usize = 4096;

/// Checks a raw path: absolute, unreserved characters and `:` only (RFC 3986 §2.3), no empty, `.` or `..` segment.
///
/// No path of ours needs percent-encoding, so `%` is refused as a whole: no encoded slash, no NUL, no double encoding.
///
/// # Errors
/// [`Problem::UriTooLong`] or [`Problem::BadPath`].
pub fn check(path: &str) -> Result<(), Problem> {
    if path.len() > MAX_PATH_BYTES {
        return Err(Problem::UriTooLong);
    }
    let Some(rest) = path.strip_prefix('/') else { return Err(Problem::BadPath) };
    let segment_is_plain = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b':'))
    };
    if rest.is_empty() || rest.split('/').all(segment_is_plain) { Ok(()) } else { Err(Problem::BadPath) }
}

/// Checks a raw query: bounded, visible ASCII, no fragment.
///
/// # Errors
/// [`Problem::UriTooLong`] or [`Problem::BadPath`].
pub fn check_query(query: &str) -> Result<(), Problem> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(Problem::UriTooLong);
    }
    if query.bytes().all(|b| b.is_ascii_graphic() && b != b'#') { Ok(()) } else { Err(Problem::BadPath) }
}

/// The names in a query, as they are spelled.
pub fn query_names(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_spellings_are_refused() {
        for path in [
            "",
            "code",
            "//code",
            "/code//1",
            "/code/",
            "/./code",
            "/code/..",
            "/code/%2e",
            "/code%2f1",
            "/code/%00",
            "/code/a b",
            "/code/\u{e9}",
            "/code/a;b",
            "/code\\1",
            "/code/a?b",
            "/code/a#b",
        ] {
            assert_eq!(check(path), Err(Problem::BadPath), "{path:?}");
        }
        for path in ["/", "/pluto/code/create", "/v1/transactions/25:81/capture", "/Q/0123456789", "/a/...", "/a/b.png"]
        {
            assert_eq!(check(path), Ok(()), "{path}");
        }
        assert_eq!(check(&format!("/{}", "a".repeat(512))), Err(Problem::UriTooLong));
    }

    #[test]
    fn queries_are_bounded_and_printable() {
        assert_eq!(check_query("a=1&b"), Ok(()));
        assert_eq!(check_query("a=\u{7f}"), Err(Problem::BadPath));
        assert_eq!(check_query(&"a".repeat(4097)), Err(Problem::UriTooLong));
        assert_eq!(query_names("a=1&&b&c=d=e").collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
