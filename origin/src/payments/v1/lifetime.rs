//! How long a payment link is good: `1h`, `30d`, `2d 12h 30m`, or as Go's library writes it, `24h0m0s`.

/// Where the merchant says nothing.
pub(super) const DEFAULT_SECS: u64 = 3_600;
/// The longest there is.
pub(super) const MAX_SECS: u64 = 30 * 86_400;

/// Reads a lifetime, in seconds; more than the longest is the longest. `None`: it is none, or nothing.
#[must_use]
pub(super) fn parse(text: &str) -> Option<u64> {
    let (mut secs, mut digits) = (0_u64, String::new());
    for symbol in text.chars() {
        match symbol {
            '0'..='9' if digits.len() < 9 => digits.push(symbol),
            ' ' if digits.is_empty() => {}
            'd' | 'h' | 'm' | 's' => {
                let unit = match symbol {
                    'd' => 86_400,
                    'h' => 3_600,
                    'm' => 60,
                    _ => 1,
                };
                secs = secs.saturating_add(digits.parse::<u64>().ok()?.saturating_mul(unit));
                digits.clear();
            }
            _ => return None,
        }
    }
    (digits.is_empty() && secs > 0).then_some(secs.min(MAX_SECS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_hours_and_minutes_alone_and_together() {
        for (text, secs) in [
            ("1h", 3_600),
            ("30d", MAX_SECS),
            ("90m", 5_400),
            ("2d 12h 30m", 217_800),
            ("2d12h30m", 217_800),
            ("24h0m0s", 86_400),
            ("31d", MAX_SECS),
            ("999999999d", MAX_SECS),
            (" 1h ", 3_600),
        ] {
            assert_eq!(parse(text), Some(secs), "{text}");
        }
        for text in ["", "1", "h", "1w", "-1h", "1.5h", "1 h", "0h", "0s", "1h30", "9999999999h", "1H", "1h,2m"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(days in 0_u64..30, hours in 0_u64..24, minutes in 0_u64..60) {
            let secs = days * 86_400 + hours * 3_600 + minutes * 60;
            let expected = (secs > 0).then_some(secs);
            prop_assert_eq!(parse(&format!("{days}d {hours}h {minutes}m")), expected);
            prop_assert_eq!(parse(&format!("{}h{minutes}m0s", days * 24 + hours)), expected);
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
