//! How deep JSON of a client may be nested, looked at before anything parses it.
//!
//! The parser has a limit of its own (128, by recursion), which it does not apply to what it skips or keeps as text. This
//! one holds for all of a body, costs one pass, and makes the answer to a body of brackets the same on every path.

/// The most arrays and objects inside one another. The deepest body that is documented has four.
pub const MAX_JSON_DEPTH: usize = 16;

/// Whether a text is nested no deeper than that. What is no JSON is the parser's to refuse.
#[must_use]
pub fn is_shallow(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_JSON_DEPTH {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn sixteen_are_taken_and_seventeen_are_not() {
        assert!(is_shallow(nested(16).as_bytes()) && !is_shallow(nested(17).as_bytes()));
        assert!(!is_shallow("{\"a\":".repeat(60_000).as_bytes()));
        assert!(is_shallow("[],".repeat(1000).as_bytes()), "beside one another is not inside");
    }

    #[test]
    fn text_does_not_count() {
        let brackets = "[{".repeat(50);
        for text in
            [format!("[\"{brackets}\"]"), format!("{{\"\\\"{brackets}\":1}}"), format!("\"\\\\\\\"{brackets}\"")]
        {
            assert!(is_shallow(text.as_bytes()), "{text}");
        }
        assert!(!is_shallow(format!("[\"\\\\\",{brackets}").as_bytes()));
    }

    proptest! {
        #[test]
        fn it_counts_as_the_parser_does(value in "[\\[\\]{}\",:\\\\a1]{0,80}") {
            fn depth(value: &serde_json::Value) -> usize {
                match value {
                    serde_json::Value::Array(of) => 1 + of.iter().map(depth).max().unwrap_or(0),
                    serde_json::Value::Object(of) => 1 + of.values().map(depth).max().unwrap_or(0),
                    _ => 0,
                }
            }
            for text in [value.clone(), format!("{}{value}{}", "[".repeat(12), "]".repeat(12))] {
                if let Ok(parsed) = serde_json::from_str::<serde_json::Value>(&text) {
                    prop_assert_eq!(is_shallow(text.as_bytes()), depth(&parsed) <= MAX_JSON_DEPTH, "{}", text);
                }
            }
        }
    }
}
