//! Unix time as a date in UTC, for the places that need one: a card's expiry, the reference's date text, the
//! audit as operators read it.

use std::fmt;

/// A date and time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    /// Year of the Gregorian calendar.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    millis_of_day: u64,
}

impl Utc {
    /// From Unix milliseconds; the civil-from-days algorithm over 400-year eras that begin in March.
    #[must_use]
    pub fn from_unix_ms(at_ms: u64) -> Self {
        let days = at_ms / 86_400_000 + 719_468; // since 0000-03-01
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153; // 0 = March
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        Self {
            year: u16::try_from(year).unwrap_or(u16::MAX),
            month: u8::try_from(month).unwrap_or(12),
            day: u8::try_from(day).unwrap_or(31),
            millis_of_day: at_ms % 86_400_000,
        }
    }

    /// Reads the one form of an HTTP date that is still sent (RFC 9110 §5.6.7, IMF-fixdate), as Unix seconds; `None` for
    /// every other text. The name of the weekday is not looked at.
    #[must_use]
    pub fn secs_of_http_date(text: &str) -> Option<u64> {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (_, rest) = text.split_once(", ")?;
        let mut words = rest.split(' ');
        let (day, month, year) = (words.next()?, words.next()?, words.next()?);
        let (time, zone) = (words.next()?, words.next()?);
        let mut parts = time.split(':');
        let (hours, minutes, secs) = (parts.next()?, parts.next()?, parts.next()?);
        if zone != "GMT" || words.next().is_some() || parts.next().is_some() {
            return None;
        }
        let number = |text: &str, max: u64| {
            let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u64>().ok().filter(|value| is_number && *value <= max)
        };
        let month = MONTHS.iter().position(|name| *name == month)? + 1;
        let day_secs = Self::parse_day(&format!("{year}-{month:02}-{day}"))? / 1000;
        // A leap second counts as the one after it.
        Some(day_secs + number(hours, 23)? * 3600 + number(minutes, 59)? * 60 + number(secs, 60)?)
    }

    /// The first moment of a day written `YYYY-MM-DD`, in Unix milliseconds; `None` where there is no such day.
    #[must_use]
    pub fn parse_day(text: &str) -> Option<u64> {
        let mut parts = text.split('-');
        let mut number = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?;
            part.parse::<u64>().ok()
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        if parts.next().is_some() || year < 1970 || !(1..=12).contains(&month) {
            return None;
        }
        // Days from civil, the inverse of `from_unix_ms`: years begin in March.
        let year_of_march = if month > 2 { year } else { year - 1 };
        let shifted = if month > 2 { month - 3 } else { month + 9 };
        let (era, year_of_era) = (year_of_march / 400, year_of_march % 400);
        let day_of_year = (153 * shifted + 2) / 5 + day.checked_sub(1)?;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let at_ms = (era * 146_097 + day_of_era).checked_sub(719_468)? * 86_400_000;
        let found = Self::from_unix_ms(at_ms);
        let same = u64::from(found.year) == year && u64::from(found.month) == month && u64::from(found.day) == day;
        same.then_some(at_ms)
    }

    /// `YYYY-MM-DD HH:MM:SS:mmm`, as the reference's queries have it.
    #[must_use]
    pub fn to_reference_text(self) -> String {
        let (secs, millis) = (self.millis_of_day / 1000, self.millis_of_day % 1000);
        let (hours, minutes, secs) = (secs / 3600, secs / 60 % 60, secs % 60);
        let Self { year, month, day, .. } = self;
        format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{secs:02}:{millis:03}")
    }
}

/// RFC 3339, as operators read it: `YYYY-MM-DDTHH:MM:SS.mmmZ`.
impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_reference_text();
        let (rest, millis) = text.rsplit_once(':').unwrap_or((&text, "000"));
        write!(f, "{}.{millis}Z", rest.replacen(' ', "T", 1))
    }
}

/// The last second of a month (UTC), in Unix seconds; `None`: there is no such month.
///
/// Howard Hinnant's `days_from_civil`, for years after 1970.
#[must_use]
pub fn end_of_month_secs(year: u16, month: u8) -> Option<i64> {
    if year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    let (year, month) = if month == 12 { (i64::from(year) + 1, 1) } else { (i64::from(year), i64::from(month) + 1) };
    let march_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (march_year / 400, march_year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(days * 86_400 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_end_where_they_do() {
        // `date -u -d 2030-12-31T23:59:59 +%s` and so on.
        for (year, month, secs) in
            [(2030, 12, 1_924_991_999), (2024, 2, 1_709_251_199), (2026, 1, 1_769_903_999), (1970, 1, 2_678_399)]
        {
            assert_eq!(end_of_month_secs(year, month), Some(secs), "{year}-{month}");
            let end = Utc::from_unix_ms(u64::try_from(secs).unwrap() * 1000);
            assert_eq!((end.year, end.month), (year, month));
        }
        assert_eq!(
            (end_of_month_secs(2030, 0), end_of_month_secs(2030, 13), end_of_month_secs(1969, 1)),
            (None, None, None)
        );
    }

    #[test]
    fn meets_dates_from_elsewhere() {
        // date -u -d @N '+%F %T'
        for (secs, text) in [
            (0_u64, "1970-01-01 00:00:00:000"),
            (951_782_399, "2000-02-28 23:59:59:000"),
            (951_868_799, "2000-02-29 23:59:59:000"),
            (1_709_164_800, "2024-02-29 00:00:00:000"),
            (1_795_298_400, "2026-11-21 22:00:00:000"),
            (4_107_542_400, "2100-03-01 00:00:00:000"),
        ] {
            assert_eq!(Utc::from_unix_ms(secs * 1000).to_reference_text(), text);
            let rfc_3339 = format!("{}T{}.007Z", &text[..10], &text[11..19]);
            assert_eq!(Utc::from_unix_ms(secs * 1000 + 7).to_string(), rfc_3339);
        }
    }

    #[test]
    fn http_dates_are_read_and_nothing_like_them() {
        // date -u -d @N '+%a, %d %b %Y %T GMT'
        for (secs, text) in [
            (0_u64, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (1_680_165_512, "Thu, 30 Mar 2023 08:38:32 GMT"),
            (1_795_298_400, "Sat, 21 Nov 2026 22:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(Utc::secs_of_http_date(text), Some(secs), "{text}");
        }
        for text in [
            "",
            "Thu, 30 Mar 2023 08:38:32",
            "Thu, 30 Mar 2023 08:38:32 UTC",
            "Thu, 30 Mar 2023 08:38:32 GMT ",
            "Thu, 30 Mar 2023 8:38:32 GMT",
            "Thu, 30 Mar 2023 08:38 GMT",
            "Thu, 30 mar 2023 08:38:32 GMT",
            "Thu, 00 Mar 2023 08:38:32 GMT",
            "Thu, 30 Mar 1969 08:38:32 GMT",
            "Thu, 30 Mar 2023 24:38:32 GMT",
            "Thu, +3 Mar 2023 08:38:32 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "2023-03-30T08:38:32Z",
        ] {
            assert_eq!(Utc::secs_of_http_date(text), None, "{text}");
        }
    }
}
