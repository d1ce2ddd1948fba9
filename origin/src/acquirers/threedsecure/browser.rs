//! What the bank is told of the payer's browser, cut to what the protocol takes: a field out of its form would have the
//! whole payment refused, and none of this decides anything of ours.

use serde::{Deserialize, Serialize};

/// The depths that exist for the protocol. Real screens have others (30): rounded down.
const COLOR_DEPTHS: [u8; 8] = [1, 4, 8, 15, 16, 24, 32, 48];
const MAX_PIXELS: i64 = 999_999;
/// The zones of the world lie between UTC-12 and UTC+14.
const MAX_ZONE_MINUTES: i64 = 14 * 60;
const MAX_HEADER: usize = 2048;
const MAX_LANGUAGE: usize = 8;
/// What is sent where the page told nothing; the field is required.
const NOT_TOLD: &str = "unknown";

/// As the page posts it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PostedBrowser {
    /// `navigator.language`.
    pub language: String,
    /// `screen.colorDepth`.
    pub color_depth: i64,
    /// `screen.height`.
    pub screen_height: i64,
    /// `screen.width`.
    pub screen_width: i64,
    /// `Date.getTimezoneOffset`: minutes from local time to UTC.
    pub time_zone_minutes: i64,
    /// Always false: no browser runs Java any more.
    pub java_enabled: bool,
    /// `navigator.userAgent`.
    pub user_agent: String,
    /// What the browser accepts.
    pub accept: String,
    /// How large the page can show a challenge, `01` to `05`.
    pub window_size: String,
}

/// Within the protocol's bounds.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Browser {
    /// A language tag of at most eight characters.
    pub language: String,
    /// One of the protocol's.
    pub color_depth: String,
    /// Pixels.
    pub screen_height: String,
    /// Pixels.
    pub screen_width: String,
    /// Minutes, with a sign where it is negative.
    pub zone: String,
    /// Whether it runs Java.
    pub java_enabled: bool,
    /// Printable ASCII.
    pub user_agent: String,
    /// Printable ASCII.
    pub accept: String,
    /// 01 250×400, 02 390×400, 03 500×600, 04 600×400, 05 all of the window.
    pub window_size: String,
}

impl Browser {
    /// From what the page told, or from nothing.
    #[must_use]
    pub fn of(posted: &PostedBrowser) -> Self {
        let depth = COLOR_DEPTHS.into_iter().rev().find(|depth| i64::from(*depth) <= posted.color_depth);
        let sizes = ["01", "02", "03", "04", "05"];
        let size = sizes.into_iter().find(|size| *size == posted.window_size);
        Self {
            language: language(&posted.language),
            // Nothing told: what nearly every screen has.
            color_depth: if posted.color_depth == 0 { 24 } else { depth.unwrap_or(1) }.to_string(),
            screen_height: posted.screen_height.clamp(0, MAX_PIXELS).to_string(),
            screen_width: posted.screen_width.clamp(0, MAX_PIXELS).to_string(),
            zone: posted.time_zone_minutes.clamp(-MAX_ZONE_MINUTES, MAX_ZONE_MINUTES).to_string(),
            java_enabled: posted.java_enabled,
            user_agent: header(&posted.user_agent, NOT_TOLD),
            accept: header(&posted.accept, "*/*"),
            window_size: size.unwrap_or("05").to_owned(),
        }
    }
}

/// The longest run of whole subtags that fits.
fn language(tag: &str) -> String {
    let is_subtag = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let mut kept = String::new();
    for part in tag.split('-').take_while(is_subtag) {
        let separator = usize::from(!kept.is_empty());
        if kept.len() + separator + part.len() > MAX_LANGUAGE {
            break;
        }
        if separator == 1 {
            kept.push('-');
        }
        kept.push_str(part);
    }
    if kept.is_empty() { "en".to_owned() } else { kept }
}

fn header(text: &str, otherwise: &str) -> String {
    let kept: String = text.chars().filter(|c| matches!(c, ' '..='~')).take(MAX_HEADER).collect();
    if kept.trim().is_empty() { otherwise.to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn depth(given: i64) -> String {
        Browser::of(&PostedBrowser { color_depth: given, ..PostedBrowser::default() }).color_depth
    }

    fn tongue(given: &str) -> String {
        Browser::of(&PostedBrowser { language: given.to_owned(), ..PostedBrowser::default() }).language
    }

    #[test]
    fn depths_are_rounded_down() {
        for (given, taken) in
            [(24, "24"), (30, "24"), (32, "32"), (36, "32"), (48, "48"), (64, "48"), (2, "1"), (-5, "1"), (0, "24")]
        {
            assert_eq!(depth(given), taken, "{given}");
        }
    }

    #[test]
    fn languages_keep_whole_subtags() {
        for (given, taken) in [
            ("da-DK", "da-DK"),
            ("en", "en"),
            ("zh-Hant-TW", "zh-Hant"),
            ("sr-Latn-RS", "sr-Latn"),
            ("ca-ES-valencia", "ca-ES"),
            ("", "en"),
            ("verylonglanguage", "en"),
            ("de_DE", "en"),
            ("fr-", "fr"),
            ("<b>", "en"),
        ] {
            assert_eq!(tongue(given), taken, "{given}");
        }
    }

    #[test]
    fn what_the_page_sends_is_read() {
        let json = r#"{"language":"da-DK","colorDepth":30,"screenHeight":900,"screenWidth":1440,"timeZoneMinutes":-60,
            "javaEnabled":false,"userAgent":"Mozilla/5.0 (Ø)","accept":"*/*","windowSize":"03"}"#;
        let read = Browser::of(&serde_json::from_str(json).unwrap());
        let expected = Browser {
            language: "da-DK".to_owned(),
            color_depth: "24".to_owned(),
            screen_height: "900".to_owned(),
            screen_width: "1440".to_owned(),
            zone: "-60".to_owned(),
            java_enabled: false,
            user_agent: "Mozilla/5.0 ()".to_owned(),
            accept: "*/*".to_owned(),
            window_size: "03".to_owned(),
        };
        assert_eq!(read, expected);
        assert!(serde_json::from_str::<PostedBrowser>(r#"{"plugins":[]}"#).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_posted_is_within_the_bounds(
            texts in proptest::collection::vec("\\PC{0,40}", 4),
            numbers in proptest::collection::vec(any::<i64>(), 4),
        ) {
            let posted = PostedBrowser {
                language: texts[0].clone(),
                color_depth: numbers[0],
                screen_height: numbers[1],
                screen_width: numbers[2],
                time_zone_minutes: numbers[3],
                java_enabled: false,
                user_agent: texts[1].repeat(100),
                accept: texts[2].clone(),
                window_size: texts[3].clone(),
            };
            let read = Browser::of(&posted);
            prop_assert!((1..=8).contains(&read.language.len()));
            prop_assert!(["1", "4", "8", "15", "16", "24", "32", "48"].contains(&read.color_depth.as_str()));
            for pixels in [&read.screen_height, &read.screen_width] {
                prop_assert!((1..=6).contains(&pixels.len()) && pixels.bytes().all(|byte| byte.is_ascii_digit()));
            }
            let zone = read.zone.strip_prefix('-').unwrap_or(&read.zone);
            prop_assert!((1..=4).contains(&zone.len()) && zone.bytes().all(|byte| byte.is_ascii_digit()));
            for header in [&read.user_agent, &read.accept] {
                prop_assert!((1..=2048).contains(&header.len()) && header.is_ascii());
            }
            prop_assert!(["01", "02", "03", "04", "05"].contains(&read.window_size.as_str()));
        }
    }
}
