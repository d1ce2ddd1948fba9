//! Field 47: tags of two characters, two digits of length, the value.

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field 47 is not a list of tags")]
pub struct TlvError;

/// The tags in their order.
///
/// # Errors
/// When the text ends inside a tag or a length is no number.
pub fn tags(text: &str) -> Result<Vec<(&str, &str)>, TlvError> {
    let (mut rest, mut found) = (text, Vec::new());
    while !rest.is_empty() {
        let (tag, after) = rest.split_at_checked(2).ok_or(TlvError)?;
        let (length, after) = after.split_at_checked(2).ok_or(TlvError)?;
        if !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(TlvError);
        }
        let (value, after) = after.split_at_checked(length.parse().map_err(|_| TlvError)?).ok_or(TlvError)?;
        found.push((tag, value));
        rest = after;
    }
    Ok(found)
}

/// Appends a tag.
///
/// # Errors
/// When the tag is not two characters or the value is longer than 99.
pub fn write_tag(to: &mut String, tag: &str, value: &str) -> Result<(), TlvError> {
    if tag.len() != 2 || value.len() > 99 || !tag.is_ascii() || !value.is_ascii() {
        return Err(TlvError);
    }
    to.push_str(&format!("{tag}{:02}{value}", value.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_tags() {
        assert_eq!(tags("V503123"), Ok(vec![("V5", "123")]));
        assert_eq!(tags("7R108844101001V!0223"), Ok(vec![("7R", "8844101001"), ("V!", "23")]));
        assert_eq!(tags(""), Ok(vec![]));
        for bad in ["V", "V5", "V50", "V503", "V50312", "V5x3123", "V5+1x", "ø503123"] {
            assert_eq!(tags(bad), Err(TlvError), "{bad}");
        }
        assert_eq!(write_tag(&mut String::new(), "V", "1"), Err(TlvError));
    }

    proptest! {
        #[test]
        fn there_and_back(list in proptest::collection::vec(("[ -~]{2}", "[ -~]{0,99}"), 0..9)) {
            let mut text = String::new();
            for (tag, value) in &list {
                write_tag(&mut text, tag, value).unwrap();
            }
            let expected: Vec<(&str, &str)> = list.iter().map(|(tag, value)| (tag.as_str(), value.as_str())).collect();
            prop_assert_eq!(tags(&text), Ok(expected));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = tags(&text);
        }
    }
}
