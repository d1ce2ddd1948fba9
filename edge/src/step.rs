//! Futures that JavaScript goes on with: what waits for nothing is over in one call, with no promise at all.
//!
//! The entry holds a [`Task`], waits for what it waits for, and calls it again. So every way into this module comes from
//! a frame of the entry, which sees a trap (a panic) and can answer; and a task whose request was given up is collected
//! with the object that holds it.

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

type Outcome = Rc<Cell<Option<Result<JsValue, JsValue>>>>;

thread_local! {
    /// What the task that is just being polled has begun to wait for.
    static BEGUN: RefCell<Vec<(JsValue, Outcome)>> = const { RefCell::new(Vec::new()) };
}

/// What becomes of a JavaScript promise.
pub struct Settled {
    /// Until it has been handed over.
    promise: Option<JsValue>,
    outcome: Outcome,
}

/// Waits for a promise. Anything else counts as one that was kept.
#[must_use]
pub fn settled(promise: JsValue) -> Settled {
    Settled { promise: Some(promise), outcome: Outcome::default() }
}

impl Future for Settled {
    type Output = Result<JsValue, JsValue>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.outcome.take() {
            return Poll::Ready(outcome);
        }
        if let Some(promise) = self.promise.take() {
            let outcome = Rc::clone(&self.outcome);
            BEGUN.with_borrow_mut(|begun| begun.push((promise, outcome)));
        }
        Poll::Pending
    }
}

/// A future that is not over yet.
#[wasm_bindgen]
pub struct Task {
    future: Pin<Box<dyn Future<Output = JsValue>>>,
    /// Promises that the entry has still to take, in order.
    promises: std::vec::IntoIter<JsValue>,
    /// All that it waited for, by place.
    outcomes: Vec<Outcome>,
    /// How many of them are not settled.
    open: usize,
}

impl Task {
    /// A task that has not begun.
    #[must_use]
    pub fn new(future: impl Future<Output = JsValue> + 'static) -> Self {
        Self { future: Box::pin(future), promises: Vec::new().into_iter(), outcomes: Vec::new(), open: 0 }
    }

    /// Its first step: what came of it, or the task to go on with.
    ///
    /// # Errors
    /// See [`Task::resume`].
    pub fn start(mut self) -> Result<JsValue, JsValue> {
        let outcome = self.resume()?;
        Ok(if outcome.is_undefined() { self.into() } else { outcome })
    }
}

#[wasm_bindgen]
impl Task {
    /// The next promise to wait for, in the order of their places, from 0; `undefined` when those are all.
    pub fn take(&mut self) -> JsValue {
        self.promises.next().unwrap_or(JsValue::UNDEFINED)
    }

    /// Says what became of one, once, by its place.
    pub fn settle(&mut self, place: usize, holds: bool, value: JsValue) {
        if let Some(outcome) = self.outcomes.get(place) {
            self.open = self.open.saturating_sub(1);
            outcome.set(Some(if holds { Ok(value) } else { Err(value) }));
        }
    }

    /// One step more, when something was settled. `undefined` while it is not over.
    ///
    /// # Errors
    /// It waits for nothing, so that nobody would ever go on with it.
    pub fn resume(&mut self) -> Result<JsValue, JsValue> {
        let step = self.future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let (promises, outcomes): (Vec<_>, Vec<_>) = BEGUN.take().into_iter().unzip();
        self.open += outcomes.len();
        self.outcomes.extend(outcomes);
        self.promises = promises.into_iter();
        match step {
            Poll::Ready(outcome) => Ok(outcome),
            Poll::Pending if self.open == 0 => Err(JsValue::NULL),
            Poll::Pending => Ok(JsValue::UNDEFINED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Without a runtime there are no values but the constant ones.
    const KEPT: JsValue = JsValue::TRUE;
    const BROKEN: JsValue = JsValue::FALSE;

    #[test]
    fn what_waits_for_nothing_is_over_at_once() {
        assert_eq!(Task::new(async { KEPT }).start(), Ok(KEPT));
    }

    #[test]
    fn a_task_goes_on_with_what_became_of_its_promise() {
        let mut task = Task::new(async {
            let first = settled(JsValue::NULL).await;
            let second = settled(JsValue::NULL).await;
            if (first, second) == (Ok(KEPT), Err(BROKEN)) { KEPT } else { BROKEN }
        });
        for (place, holds, value) in [(0, true, KEPT), (1, false, BROKEN)] {
            assert_eq!(task.resume(), Ok(JsValue::UNDEFINED));
            assert_eq!((task.take(), task.take()), (JsValue::NULL, JsValue::UNDEFINED));
            task.settle(place, holds, value);
        }
        assert_eq!(task.resume(), Ok(KEPT));
    }

    #[test]
    fn several_promises_at_once_are_settled_one_by_one() {
        let mut task = Task::new(async {
            let mut open = vec![settled(JsValue::NULL), settled(JsValue::NULL)];
            let mut came = Vec::new();
            core::future::poll_fn(|context| {
                open.retain_mut(|one| match Pin::new(one).poll(context) {
                    Poll::Ready(outcome) => {
                        came.push(outcome);
                        false
                    }
                    Poll::Pending => true,
                });
                if open.is_empty() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            if came == [Ok(KEPT), Err(BROKEN)] { KEPT } else { BROKEN }
        });
        assert_eq!(task.resume(), Ok(JsValue::UNDEFINED));
        assert_eq!((task.take(), task.take(), task.take()), (JsValue::NULL, JsValue::NULL, JsValue::UNDEFINED));
        task.settle(1, true, KEPT);
        assert_eq!((task.resume(), task.take()), (Ok(JsValue::UNDEFINED), JsValue::UNDEFINED));
        task.settle(0, false, BROKEN);
        task.settle(2, true, KEPT);
        assert_eq!(task.resume(), Ok(KEPT));
    }

    #[test]
    fn a_task_that_waits_for_nothing_is_said_to_be_stuck() {
        assert!(Task::new(core::future::pending()).start().is_err());
    }
}
