//! Time as an argument, and its two text forms. Whole seconds are enough for card gateways.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Where a simulator reads the time: the system, or a value that a test moves.
#[derive(Clone)]
pub enum Clock {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    pub fn manual(unix: i64) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(unix)))
    }

    /// Unix seconds.
    pub fn now(&self) -> i64 {
        match self {
            // A clock before 1970 or after the year 292 billion is a broken machine; 0 shows it.
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0)),
            Self::Manual(unix) => unix.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock; the system's clock cannot be moved and stays.
    pub fn advance(&self, seconds: i64) {
        if let Self::Manual(unix) = self {
            unix.fetch_add(seconds, Ordering::SeqCst);
        }
    }
}

/// `2018-07-09T12:58:56+00:00`, the form of Clearhaus' `processed_at` (RFC 3339 §5.6).
pub fn rfc3339(unix: i64) -> String {
    let (year, month, day) = civil(unix.div_euclid(86_400));
    let second = unix.rem_euclid(86_400);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}+00:00", second / 3600, second / 60 % 60, second % 60)
}

/// Reads back what [`rfc3339`] wrote; nothing else.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let seconds = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let unix = days(year, month, day) * 86_400 + seconds;
    // Writing it again proves separators, ranges and the zone in one go.
    (rfc3339(unix) == text).then_some(unix)
}

/// `Thu, 30 Mar 2023 08:38:32 GMT` (RFC 9110 §5.6.7).
pub fn http_date(unix: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    // 1970-01-01 was a Thursday.
    let weekday = usize::try_from(days.rem_euclid(7)).ok().and_then(|at| DAYS.get(at)).unwrap_or(&"");
    let month = usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).unwrap_or(&"");
    format!("{weekday}, {day:02} {month} {year:04} {:02}:{:02}:{:02} GMT", second / 3600, second / 60 % 60, second % 60)
}

/// Year and month in UTC: a card is good until its expiry month has ended.
pub fn year_month(unix: i64) -> (i64, i64) {
    let (year, month, _) = civil(unix.div_euclid(86_400));
    (year, month)
}

/// Days since 1970-01-01 to a date of the proleptic Gregorian calendar, counting years from March
/// so that the leap day is the last one of a year.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00+00:00"),
            (951_782_399, "2000-02-28T23:59:59+00:00"),
            (951_782_400, "2000-02-29T00:00:00+00:00"),
            (1_531_141_136, "2018-07-09T12:58:56+00:00"),
            (4_107_542_400, "2100-03-01T00:00:00+00:00"),
        ] {
            assert_eq!(rfc3339(unix), text);
            assert_eq!(parse_rfc3339(text), Some(unix));
        }
    }

    #[test]
    fn other_forms_are_not_read() {
        for text in [
            "",
            "2018-07-09T12:58:56Z",
            "2018-13-09T12:58:56+00:00",
            "2018-02-30T12:58:56+00:00",
            "2018-07-09T24:00:00+00:00",
            "2018-07-09 12:58:56+00:00",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn dates_of_http() {
        for (unix, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (1_680_165_512, "Thu, 30 Mar 2023 08:38:32 GMT"),
            (1_795_262_400, "Sat, 21 Nov 2026 12:00:00 GMT"),
        ] {
            assert_eq!(http_date(unix), text);
        }
    }

    #[test]
    fn months_end_in_utc() {
        assert_eq!(year_month(1_704_067_199), (2023, 12));
        assert_eq!(year_month(1_704_067_200), (2024, 1));
    }

    proptest::proptest! {
        #[test]
        fn round_trip(unix in 0_i64..253_402_300_800) {
            proptest::prop_assert_eq!(parse_rfc3339(&rfc3339(unix)), Some(unix));
        }
    }
}
