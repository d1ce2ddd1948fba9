//! The state of authorizations: what may still be captured, refunded, voided. It is a fold over the
//! book's entries, so the book of an earlier run restores it.

use std::collections::HashMap;

use super::status::{Code, Refusal, refuse};
use crate::common::{
    book::{Entry, Kind, Series},
    clock::parse_rfc3339,
};

const DAY: i64 = 86_400;
/// Documented limits, "… days old or older".
const CAPTURE_DAYS: i64 = 180;
const REFUND_DAYS: i64 = 365;
const VOID_DAYS: i64 = 30;

#[derive(Default)]
pub(super) struct Ledger(HashMap<String, Authorization>);

/// One authorization, approved or not.
pub(super) struct Authorization {
    pub(super) status: u32,
    pub(super) amount: u64,
    pub(super) currency: String,
    pub(super) reference: Option<String>,
    pub pan_last4: String,
    pub(super) series: Option<Series>,
    pub(super) captured: u64,
    pub(super) refunded: u64,
    pub(super) voided: bool,
    created: i64,
    last_capture: i64,
}

impl Ledger {
    pub(super) fn get(&self, id: &str) -> Option<&Authorization> {
        self.0.get(id)
    }

    /// Takes over what the book says has happened.
    pub(super) fn apply(&mut self, entry: &Entry) {
        let at = parse_rfc3339(&entry.processed_at).unwrap_or(0);
        if entry.kind == Kind::Authorization {
            self.0.insert(entry.id.clone(), Authorization::opened(entry, at));
            return;
        }
        let authorization = entry.authorization.as_ref().and_then(|id| self.0.get_mut(id));
        let Some(authorization) = authorization.filter(|_| entry.booked) else {
            return;
        };
        match entry.kind {
            Kind::Capture => {
                authorization.captured += entry.amount;
                authorization.last_capture = at;
            }
            Kind::Refund => authorization.refunded += entry.amount,
            Kind::Void => authorization.voided = true,
            _ => {}
        }
    }
}

impl Authorization {
    /// What can still be captured. A refund does not give it back.
    pub(super) const fn remaining(&self) -> u64 {
        if self.voided { 0 } else { self.amount.saturating_sub(self.captured) }
    }

    pub(super) const fn refundable(&self) -> u64 {
        self.captured.saturating_sub(self.refunded)
    }

    /// The amount to capture; all that remains when none is named.
    pub(super) fn capture(&self, amount: Option<u64>, now: i64) -> Result<u64, Refusal> {
        self.must_be_approved()?;
        if self.voided {
            return refuse(Code::INPUT, "authorization is voided");
        }
        if now - self.created >= CAPTURE_DAYS * DAY {
            return refuse(Code::INPUT, "authorization is too old to be captured");
        }
        within(amount, self.remaining(), "amount exceeds what remains of the authorization")
    }

    pub(super) fn refund(&self, amount: Option<u64>, now: i64) -> Result<u64, Refusal> {
        self.must_be_approved()?;
        if self.captured > 0 && now - self.last_capture >= REFUND_DAYS * DAY {
            return refuse(Code::INPUT, "last capture is too old to be refunded");
        }
        within(amount, self.refundable(), "amount exceeds what was captured and not refunded")
    }

    /// The amount that is released: the whole, or what was not captured.
    pub(super) fn void(&self, now: i64) -> Result<u64, Refusal> {
        // Documented since 2024-10: after a Clearhaus error the outcome upstream is uncertain, so it can be voided.
        if self.status != Code::CLEARHAUS_ERROR.0 {
            self.must_be_approved()?;
        }
        if self.voided {
            return refuse(Code::INPUT, "authorization is already voided");
        }
        if now - self.created >= VOID_DAYS * DAY {
            return refuse(Code::INPUT, "authorization is too old to be voided");
        }
        match self.remaining() {
            0 if self.amount > 0 => refuse(Code::INPUT, "authorization is fully captured"),
            released => Ok(released),
        }
    }

    fn opened(entry: &Entry, at: i64) -> Self {
        Self {
            status: entry.status,
            amount: entry.amount,
            currency: entry.currency.clone(),
            reference: entry.reference.clone(),
            pan_last4: entry.pan_last4.clone(),
            series: entry.series.clone(),
            captured: 0,
            refunded: 0,
            voided: false,
            created: at,
            last_capture: at,
        }
    }

    fn must_be_approved(&self) -> Result<(), Refusal> {
        match Code(self.status) {
            Code::APPROVED => Ok(()),
            _ => refuse(Code::INPUT, "authorization is not approved"),
        }
    }
}

fn within(amount: Option<u64>, limit: u64, message: &str) -> Result<u64, Refusal> {
    match amount.unwrap_or(limit) {
        amount if amount > 0 && amount <= limit => Ok(amount),
        _ => refuse(Code::INPUT, message),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::common::clock::rfc3339;

    const START: i64 = 1_800_000_000;

    fn entry(kind: Kind, amount: u64, status: u32, at: i64) -> Entry {
        Entry {
            id: "a".to_owned(),
            kind,
            authorization: Some("a".to_owned()),
            amount,
            currency: "ZAR".to_owned(),
            reference: None,
            status,
            booked: status == 20000,
            processed_at: rfc3339(at),
            pan_last4: "1111".to_owned(),
            series: None,
        }
    }

    fn ledger(entries: &[Entry]) -> Ledger {
        entries.iter().fold(Ledger::default(), |mut ledger, entry| {
            ledger.apply(entry);
            ledger
        })
    }

    fn opened(amount: u64) -> Ledger {
        ledger(&[entry(Kind::Authorization, amount, 20000, START)])
    }

    fn message<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
        let refusal = result.unwrap_err();
        assert_eq!(refusal.code, Code::INPUT);
        refusal.message
    }

    #[test]
    fn the_certification_s_steps() {
        let mut ledger = opened(1000);
        for (kind, amount) in [(Kind::Capture, 500), (Kind::Refund, 500), (Kind::Capture, 500)] {
            let authorization = ledger.get("a").unwrap();
            let allowed = match kind {
                Kind::Capture => authorization.capture(Some(amount), START),
                _ => authorization.refund(Some(amount), START),
            };
            assert_eq!(allowed, Ok(amount));
            ledger.apply(&entry(kind, amount, 20000, START));
        }
        let authorization = ledger.get("a").unwrap();
        assert_eq!(message(authorization.capture(Some(1), START)), "amount exceeds what remains of the authorization");
        assert_eq!(message(authorization.capture(None, START)), "amount exceeds what remains of the authorization");
        assert_eq!(authorization.refund(None, START), Ok(500));
        assert_eq!(message(authorization.void(START)), "authorization is fully captured");
    }

    #[test]
    fn ages() {
        let authorization = |captured_at| {
            ledger(&[entry(Kind::Authorization, 1000, 20000, START), entry(Kind::Capture, 1, 20000, captured_at)])
        };
        let at = |days: i64| START + days * DAY;
        let ledger = authorization(at(10));
        let authorization = ledger.get("a").unwrap();
        assert_eq!(authorization.capture(None, at(180) - 1), Ok(999));
        assert_eq!(message(authorization.capture(None, at(180))), "authorization is too old to be captured");
        assert_eq!(authorization.refund(None, at(375) - 1), Ok(1));
        assert_eq!(message(authorization.refund(None, at(375))), "last capture is too old to be refunded");
        assert_eq!(authorization.void(at(30) - 1), Ok(999));
        assert_eq!(message(authorization.void(at(30))), "authorization is too old to be voided");
    }

    #[test]
    fn voids() {
        let mut ledger = opened(1000);
        assert_eq!(ledger.get("a").unwrap().void(START), Ok(1000));
        ledger.apply(&entry(Kind::Void, 1000, 20000, START));
        let authorization = ledger.get("a").unwrap();
        assert_eq!(message(authorization.void(START)), "authorization is already voided");
        assert_eq!(message(authorization.capture(Some(1), START)), "authorization is voided");
        assert_eq!(message(authorization.refund(None, START)), "amount exceeds what was captured and not refunded");
        assert_eq!(opened(0).get("a").unwrap().void(START), Ok(0), "a verification can be voided");
    }

    #[test]
    fn only_approved_authorizations_move() {
        let declined = ledger(&[entry(Kind::Authorization, 1000, 40413, START)]);
        let declined = declined.get("a").unwrap();
        for result in [declined.capture(None, START), declined.refund(None, START), declined.void(START)] {
            assert_eq!(message(result), "authorization is not approved");
        }
        let uncertain = ledger(&[entry(Kind::Authorization, 1000, 50000, START)]);
        let uncertain = uncertain.get("a").unwrap();
        assert_eq!(uncertain.void(START), Ok(1000));
        assert_eq!(message(uncertain.capture(None, START)), "authorization is not approved");
    }

    proptest! {
        /// Whatever is asked in whatever order: captured never above authorised, refunded never
        /// above captured, nothing captured after a void.
        #[test]
        fn limits_hold(
            authorized in 0_u64..2000,
            steps in prop::collection::vec((0_u8..3, prop::option::of(0_u64..1500), 0_i64..40), 0..40),
        ) {
            let mut ledger = opened(authorized);
            let (mut now, mut captured, mut refunded, mut captured_at_void) = (START, 0, 0, None);
            for (step, amount, days) in steps {
                now += days * DAY;
                let authorization = ledger.get("a").unwrap();
                let (kind, allowed) = match step {
                    0 => (Kind::Capture, authorization.capture(amount, now)),
                    1 => (Kind::Refund, authorization.refund(amount, now)),
                    _ => (Kind::Void, authorization.void(now)),
                };
                let Ok(allowed) = allowed else { continue };
                match kind {
                    Kind::Capture => captured += allowed,
                    Kind::Refund => refunded += allowed,
                    _ => {
                        prop_assert!(captured_at_void.is_none(), "voided twice");
                        captured_at_void = Some(captured);
                    }
                }
                ledger.apply(&entry(kind, allowed, 20000, now));
                prop_assert!(captured <= authorized && refunded <= captured);
                prop_assert!(captured_at_void.is_none_or(|at_void| at_void == captured));
                let authorization = ledger.get("a").unwrap();
                prop_assert_eq!((authorization.captured, authorization.refunded), (captured, refunded));
            }
        }
    }
}
