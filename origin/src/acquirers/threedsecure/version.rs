//! Which version of the protocol is spoken: the newest of ours that the scheme's directory and the bank both know.

use serde::Deserialize;

/// A version that we speak. 2.3.1 would change the forms of fields (arrays, other names); it is not spoken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 2.1.0.
    V210,
    /// 2.2.0.
    V220,
}

/// Newest first.
const OURS: [Version; 2] = [Version::V220, Version::V210];

impl Version {
    /// As it is written in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V210 => "2.1.0",
            Self::V220 => "2.2.0",
        }
    }

    /// One of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        OURS.into_iter().find(|version| version.as_str() == text)
    }

    /// The newest of ours within all ranges.
    #[must_use]
    pub fn choose(ranges: &[Range]) -> Option<Self> {
        OURS.into_iter().find(|version| ranges.iter().all(|range| range.has(*version)))
    }
}

/// From and to, both included. An end that is not told or not readable does not limit: a version that is not taken is
/// answered with an error, and then nothing is authorised on it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Range {
    /// The oldest.
    pub start: Option<String>,
    /// The newest.
    pub end: Option<String>,
}

impl Range {
    fn has(&self, version: Version) -> bool {
        let wanted = numbers(version.as_str());
        let bound = |text: &Option<String>| text.as_deref().and_then(numbers);
        bound(&self.start).is_none_or(|start| wanted >= Some(start))
            && bound(&self.end).is_none_or(|end| wanted <= Some(end))
    }
}

fn numbers(text: &str) -> Option<[u16; 3]> {
    let mut parts = text.split('.').map(|part| part.parse::<u16>().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: &str) -> Range {
        Range { start: Some(start.to_owned()), end: Some(end.to_owned()) }
    }

    #[test]
    fn the_newest_that_both_know() {
        for (scheme, bank, chosen) in [
            (("2.1.0", "2.3.1"), ("2.1.0", "2.3.1"), Some(Version::V220)),
            (("2.2.0", "2.3.1"), ("2.2.0", "2.2.0"), Some(Version::V220)),
            (("2.1.0", "2.3.1"), ("2.1.0", "2.1.0"), Some(Version::V210)),
            (("2.1.0", "2.1.0"), ("2.1.0", "2.2.0"), Some(Version::V210)),
            (("2.3.1", "2.3.1"), ("2.3.1", "2.3.1"), None),
            (("2.1.0", "2.1.0"), ("2.2.0", "2.3.1"), None),
            (("1.0.2", "2.10.0"), ("2.1.0", "2.2.0"), Some(Version::V220)),
            (("1.0.2", "2.1.9"), ("2.1.0", "2.2.0"), Some(Version::V210)),
        ] {
            let ranges = [range(scheme.0, scheme.1), range(bank.0, bank.1)];
            assert_eq!(Version::choose(&ranges), chosen, "{scheme:?} {bank:?}");
        }
    }

    #[test]
    fn an_end_that_is_not_readable_does_not_limit() {
        assert_eq!(Version::choose(&[]), Some(Version::V220));
        assert_eq!(Version::choose(&[Range::default()]), Some(Version::V220));
        assert_eq!(Version::choose(&[range("soon", "2.1.0")]), Some(Version::V210));
        assert_eq!(Version::choose(&[range("2.1.0.0", "2.2.x")]), Some(Version::V220));
    }

    #[test]
    fn only_ours_are_read() {
        for version in OURS {
            assert_eq!(Version::parse(version.as_str()), Some(version));
        }
        for text in ["", "2.3.1", "2.2", "2.2.0 ", "1.0.2"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
