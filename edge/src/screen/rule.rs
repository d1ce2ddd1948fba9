//! The rules of the screen by name, and what is done with a request that breaks one.
//!
//! Some are **structural**: a request that breaks one cannot be forwarded so that everybody behind us reads it as we did, or
//! would be signed with two meanings. Those are always enforced. The others are **policy**: the request is plain enough,
//! but larger or stranger than anything that our interfaces ask for. Where `SCREEN` is `monitor`, those are only
//! reported, up to a bound that holds always; the origin judges the request again by the same table of routes, so what
//! is let through here is not thereby taken.

use crate::reply::Refusal;

/// What is done about policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is reported: for a new installation, until its log says that nobody rightful would be refused.
    Monitor,
}

/// A rule of the screen. The client is told the problem; the log is told which rule it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Structural: the address has no host and path of ours.
    Address,
    /// Structural: a path with a second spelling could be routed here in one way and there in another.
    PathForm,
    /// Structural: the origin's limit is the same, and no path of ours is near it.
    PathLength,
    /// Structural: the runtime would spell such a query anew after it was signed.
    QueryForm,
    /// Structural: the same limit at the origin.
    QueryLength,
    /// Policy: a name that the row does not know.
    QueryName,
    /// Policy, up to what the origin's listener takes.
    HeaderCount,
    /// Policy, up to what the origin's listener takes.
    HeaderBytes,
    /// Policy: nobody reads them.
    CookieBytes,
    /// Structural: the signature covers text that is one line of visible characters.
    HeaderForm,
    /// Structural: whose length is not a number, or is two numbers, ends where each reader thinks.
    LengthForm,
    /// Structural: the coding is not forwarded, so the origin would read other bytes than were meant.
    ContentCoding,
    /// Structural: a body where none belongs is how a request hides in another one.
    BodyWhereNoneIsTaken,
    /// Policy: the origin is told the media type and judges it.
    MediaType,
    /// Policy, up to the largest body of any row.
    BodyBytes,
}

impl Rule {
    /// As the log says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::PathForm => "path-form",
            Self::PathLength => "path-length",
            Self::QueryForm => "query-form",
            Self::QueryLength => "query-length",
            Self::QueryName => "query-name",
            Self::HeaderCount => "header-count",
            Self::HeaderBytes => "header-bytes",
            Self::CookieBytes => "cookie-bytes",
            Self::HeaderForm => "header-form",
            Self::LengthForm => "length-form",
            Self::ContentCoding => "content-coding",
            Self::BodyWhereNoneIsTaken => "no-body",
            Self::MediaType => "media-type",
            Self::BodyBytes => "body-bytes",
        }
    }
}

/// The screen at work on one request.
#[derive(Debug, Default)]
pub struct Screening {
    mode: Mode,
    would_refuse: Vec<&'static str>,
}

impl Screening {
    /// At the beginning of a request.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self { mode, would_refuse: Vec::new() }
    }

    /// What is done about policy.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The names of the rules that would have refused this request.
    #[must_use]
    pub fn would_refuse(&self) -> &[&'static str] {
        &self.would_refuse
    }

    /// Judges by a rule that is policy; the refusal says which.
    ///
    /// # Errors
    /// The refusal, where it is enforced.
    pub fn policy(&mut self, holds: bool, refusal: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
        if holds {
            return Ok(());
        }
        let refusal = refusal();
        match self.mode {
            Mode::Enforce => Err(refusal),
            Mode::Monitor => {
                self.would_refuse.push(refusal.rule());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use scanvault_protocol::Problem;

    use super::*;

    #[test]
    fn policy_is_enforced_or_reported() {
        let refusal = || Refusal::from(Problem::BadRequest).by(Rule::QueryName);
        let mut enforcing = Screening::default();
        assert_eq!((enforcing.policy(true, refusal), enforcing.policy(false, refusal)), (Ok(()), Err(refusal())));
        assert!(enforcing.would_refuse().is_empty());
        let mut monitoring = Screening::new(Mode::Monitor);
        assert_eq!((monitoring.policy(true, refusal), monitoring.policy(false, refusal)), (Ok(()), Ok(())));
        assert_eq!(monitoring.would_refuse(), ["query-name"]);
    }

    #[test]
    fn a_rule_is_named_in_the_log_and_not_to_the_client() {
        let refusal = Refusal::from(Problem::HeadersTooLarge).by(Rule::CookieBytes);
        assert_eq!(refusal.for_log().rule, "cookie-bytes");
        let reply = refusal.into_reply::<()>(scanvault_protocol::route::Dialect::Problem, "ab", false);
        let crate::reply::Body::Bytes(body) = reply.body else { panic!() };
        assert!(!String::from_utf8(body).unwrap().contains("cookie"));
    }
}
