//! `application/x-www-form-urlencoded` with nested names: `card[pan]=4111…`. Brackets may be literal
//! or percent-encoded, both mean nesting. Stricter than a browser's parser on purpose: what two
//! parsers could read in two ways is refused, so that a client's bug shows in development.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

/// Deepest documented name is `series[previous][mastercard][type]`: four parts.
const MAX_PARTS: usize = 8;
const MAX_PAIRS: usize = 200;

/// The decoded pairs by name (`card[3dsecure][v2][ares]`). It holds card numbers: no `Debug`.
#[derive(Default)]
pub(crate) struct Form(BTreeMap<String, Zeroizing<String>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    #[error("malformed percent-encoding")]
    Escape,
    #[error("not UTF-8")]
    Utf8,
    #[error("malformed parameter name")]
    Name,
    #[error("parameter given twice")]
    Twice,
    #[error("parameter is a value and a dictionary")]
    Conflict,
    #[error("too many parameters")]
    TooMany,
}

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, FormError> {
        let mut form = Self::default();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            check_name(&name)?;
            if form.0.insert(name.to_string(), value).is_some() {
                return Err(FormError::Twice);
            }
        }
        if form.0.len() > MAX_PAIRS {
            return Err(FormError::TooMany);
        }
        match form.0.keys().any(|name| form.has(name)) {
            true => Err(FormError::Conflict),
            false => Ok(form),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str())
    }

    /// Whether anything is inside the dictionary `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        let inside = format!("{name}[");
        self.0.range(inside.clone()..).next().is_some_and(|(key, _)| key.starts_with(&inside))
    }
}

/// `+` is a space, `%XX` a byte.
fn decode(text: &[u8]) -> Result<Zeroizing<String>, FormError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
                let (high, low) = (digit().ok_or(FormError::Escape)?, digit().ok_or(FormError::Escape)?);
                u8::try_from(high << 4 | low).map_err(|_| FormError::Escape)?
            }
            other => *other,
        });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| FormError::Utf8)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// `name` or `name[part][part]…`, no part empty, no bracket anywhere else.
fn check_name(name: &str) -> Result<(), FormError> {
    let (first, rest) = name.split_at(name.find('[').unwrap_or(name.len()));
    let inner = match rest {
        "" => None,
        rest => Some(rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or(FormError::Name)?),
    };
    let parts = || std::iter::once(first).chain(inner.into_iter().flat_map(|inner| inner.split("][")));
    match parts().count() <= MAX_PARTS && parts().all(|part| !part.is_empty() && !part.contains(['[', ']'])) {
        true => Ok(()),
        false => Err(FormError::Name),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(body: &str) -> Option<FormError> {
        Form::parse(body.as_bytes()).err()
    }

    #[test]
    fn literal_and_encoded_brackets_are_the_same() {
        for body in ["card[pan]=4111+1&a=%26%3D", "card%5Bpan%5D=4111%201&a=%26%3d", "&card%5bpan]=4111+1&&a=&=&"] {
            let Ok(form) = Form::parse(body.as_bytes()) else {
                assert_eq!(body, "&card%5bpan]=4111+1&&a=&=&", "the empty name is malformed");
                continue;
            };
            assert_eq!(form.get("card[pan]"), Some("4111 1"));
            assert_eq!(form.get("a"), Some("&="));
            assert_eq!(form.get("card"), None);
            assert!(form.has("card") && !form.has("car") && !form.has("card[pan]") && !form.has("a"));
        }
    }

    #[test]
    fn deep_names() {
        let form = Form::parse(b"card[3dsecure][v2][raw][eci]=05&card[pan]=1").ok().unwrap();
        assert_eq!(form.get("card[3dsecure][v2][raw][eci]"), Some("05"));
        assert!(form.has("card[3dsecure]") && form.has("card[3dsecure][v2]") && !form.has("card[3dsecure][v1]"));
    }

    #[test]
    fn doubtful_bodies_are_refused() {
        for (body, expected) in [
            ("a=%4", FormError::Escape),
            ("a=%4g", FormError::Escape),
            ("a=%+1", FormError::Escape),
            ("a=%", FormError::Escape),
            ("a=%FF", FormError::Utf8),
            ("=1", FormError::Name),
            ("a[]=1", FormError::Name),
            ("a[b=1", FormError::Name),
            ("a]=1", FormError::Name),
            ("a[b]c=1", FormError::Name),
            ("a[b]c[d]=1", FormError::Name),
            ("a[[b]]=1", FormError::Name),
            ("[a]=1", FormError::Name),
            ("a[1][2][3][4][5][6][7][8]=1", FormError::Name),
            ("a=1&a=2", FormError::Twice),
            ("card[pan]=1&card%5Bpan%5D=1", FormError::Twice),
            ("card=1&card[pan]=2", FormError::Conflict),
            ("a[b][c]=1&a[b]=2", FormError::Conflict),
        ] {
            assert_eq!(error(body), Some(expected), "{body}");
        }
        let many: String = (0..=MAX_PAIRS).map(|at| format!("p{at}=1&")).collect();
        assert_eq!(error(&many), Some(FormError::TooMany));
        assert_eq!(error(""), None);
    }

    fn encode(text: &str, keep_brackets: bool) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || keep_brackets && b"[]".contains(&byte);
        text.bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    }

    proptest! {
        #[test]
        fn never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Form::parse(&body);
        }

        #[test]
        fn never_panics_near_the_grammar(body in r"[a-c\[\]=&%0-9F+]{0,60}") {
            let _ = Form::parse(body.as_bytes());
        }

        #[test]
        fn round_trip(
            pairs in prop::collection::btree_map(r"[a-z]{1,4}\{[a-z0-9]{1,3}\}(\{[a-z]{1,3}\}){0,3}", ".{0,20}", 0..12),
            literal in any::<bool>(),
        ) {
            let pairs: BTreeMap<String, String> =
                pairs.into_iter().map(|(name, value)| (name.replace('{', "[").replace('}', "]"), value)).collect();
            // A name that is a dictionary of another one is a conflict; the grammar above can make those.
            prop_assume!(!pairs.keys().any(|name| pairs.keys().any(|other| other.starts_with(&format!("{name}[")))));
            let body: Vec<String> = pairs
                .iter()
                .map(|(name, value)| format!("{}={}", encode(name, literal), encode(value, false)))
                .collect();
            let form = Form::parse(body.join("&").as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(form.0.len(), pairs.len());
            for (name, value) in &pairs {
                prop_assert_eq!(form.get(name), Some(value.as_str()));
            }
        }
    }
}
