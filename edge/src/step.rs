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
    outcomes: Vec<Outcome>,
}

impl Task {
    /// A task that has not begun.
    #[must_use]
    pub fn new(future: impl Future<Output = JsValue> + 'static) -> Self {
        Self { future: Box::pin(future), promises: Vec::new().into_iter(), outcomes: Vec::new() }
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
    /// The next promise to wait for; `undefined` when those are all.
    pub fn take(&mut self) -> JsValue {
        self.promises.next().unwrap_or(JsValue::UNDEFINED)
    }

    /// Says what became of one, by its place in the order.
    pub fn settle(&mut self, at: usize, holds: bool, value: JsValue) {
        if let Some(outcome) = self.outcomes.get(at) {
            outcome.set(Some(if holds { Ok(value) } else { Err(value) }));
        }
    }

    /// One step more, once all are settled. `undefined` while it is not over.
    ///
    /// # Errors
    /// It waits for nothing, so that nobody would ever go on with it.
    pub fn resume(&mut self) -> Result<JsValue, JsValue> {
        let step = self.future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let (promises, outcomes): (Vec<_>, Vec<_>) = BEGUN.take().into_iter().unzip();
        match step {
            Poll::Ready(outcome) => Ok(outcome),
            Poll::Pending if outcomes.is_empty() => Err(JsValue::NULL),
            Poll::Pending => {
                (self.promises, self.outcomes) = (promises.into_iter(), outcomes);
                Ok(JsValue::UNDEFINED)
            }
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
        for (holds, value) in [(true, KEPT), (false, BROKEN)] {
            assert_eq!(task.resume(), Ok(JsValue::UNDEFINED));
            assert_eq!((task.take(), task.take()), (JsValue::NULL, JsValue::UNDEFINED));
            task.settle(0, holds, value);
        }
        assert_eq!(task.resume(), Ok(KEPT));
    }

    #[test]
    fn several_promises_at_once_keep_their_order() {
        let mut task = Task::new(async {
            let (mut one, mut two) = (settled(JsValue::NULL), settled(JsValue::NULL));
            let both = core::future::poll_fn(|context| {
                let first = Pin::new(&mut one).poll(context);
                let second = Pin::new(&mut two).poll(context);
                match (first, second) {
                    (Poll::Ready(first), Poll::Ready(second)) => Poll::Ready((first, second)),
                    _ => Poll::Pending,
                }
            });
            if both.await == (Err(BROKEN), Ok(KEPT)) { KEPT } else { BROKEN }
        });
        assert_eq!(task.resume(), Ok(JsValue::UNDEFINED));
        assert_eq!((task.take(), task.take(), task.take()), (JsValue::NULL, JsValue::NULL, JsValue::UNDEFINED));
        task.settle(0, false, BROKEN);
        task.settle(1, true, KEPT);
        task.settle(2, true, KEPT);
        assert_eq!(task.resume(), Ok(KEPT));
    }

    #[test]
    fn a_task_that_waits_for_nothing_is_said_to_be_stuck() {
        assert!(Task::new(core::future::pending()).start().is_err());
    }
}
