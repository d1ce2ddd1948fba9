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

use crate::clock;

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
        let step = self.step().map_err(|Stuck| JsValue::NULL)?;
        Ok(step.unwrap_or_else(|| self.into()))
    }

    fn step(&mut self) -> Result<Option<JsValue>, Stuck> {
        let step = self.future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let (promises, outcomes): (Vec<_>, Vec<_>) = BEGUN.take().into_iter().unzip();
        self.open += outcomes.len();
        self.outcomes.extend(outcomes);
        self.promises = promises.into_iter();
        match step {
            Poll::Ready(outcome) => Ok(Some(outcome)),
            Poll::Pending if self.open == 0 => Err(Stuck),
            Poll::Pending => Ok(None),
        }
    }
}

/// It waits for nothing, so that nobody would ever go on with it.
#[derive(Debug, PartialEq, Eq)]
struct Stuck;

#[wasm_bindgen]
impl Task {
    /// The next promise to wait for, in the order of their places, from 0; `undefined` when those are all.
    pub fn take(&mut self) -> Option<JsValue> {
        self.promises.next()
    }

    /// Says what became of one, once, by its place.
    pub fn settle(&mut self, place: usize, holds: bool, value: JsValue) {
        if let Some(outcome) = self.outcomes.get(place) {
            self.open = self.open.saturating_sub(1);
            outcome.set(Some(if holds { Ok(value) } else { Err(value) }));
        }
    }

    /// One step more, when something was settled, at this time. `undefined` while it is not over.
    ///
    /// # Errors
    /// It waits for nothing, so that nobody would ever go on with it.
    pub fn resume(&mut self, now_ms: f64) -> Result<Option<JsValue>, JsValue> {
        clock::set(now_ms);
        self.step().map_err(|Stuck| JsValue::NULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Without a runtime values can be made and dropped, not compared.
    const SOME: JsValue = JsValue::NULL;

    fn task(future: impl Future<Output = Vec<bool>> + 'static) -> (Task, Rc<RefCell<Vec<bool>>>) {
        let came = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&came);
        let task = Task::new(async move {
            *told.borrow_mut() = future.await;
            SOME
        });
        (task, came)
    }

    fn is_over(task: &mut Task) -> bool {
        task.step().unwrap().is_some()
    }

    fn taken(task: &mut Task) -> usize {
        core::iter::from_fn(|| task.take()).count()
    }

    #[test]
    fn what_waits_for_nothing_is_over_at_once() {
        let (mut task, came) = task(async { vec![true] });
        assert!(is_over(&mut task));
        assert_eq!(*came.borrow(), [true]);
    }

    #[test]
    fn a_task_goes_on_with_what_became_of_its_promise() {
        let (mut task, came) = task(async { vec![settled(SOME).await.is_ok(), settled(SOME).await.is_ok()] });
        for (place, holds) in [(0, true), (1, false)] {
            assert!(!is_over(&mut task));
            assert_eq!(taken(&mut task), 1);
            task.settle(place, holds, SOME);
        }
        assert!(is_over(&mut task));
        assert_eq!(*came.borrow(), [true, false]);
    }

    #[test]
    fn several_promises_at_once_are_settled_one_by_one() {
        let (mut task, came) = task(async {
            let mut open = vec![settled(SOME), settled(SOME)];
            let mut came = Vec::new();
            core::future::poll_fn(|context| {
                open.retain_mut(|one| match Pin::new(one).poll(context) {
                    Poll::Ready(outcome) => {
                        came.push(outcome.is_ok());
                        false
                    }
                    Poll::Pending => true,
                });
                if open.is_empty() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            came
        });
        assert!(!is_over(&mut task));
        assert_eq!(taken(&mut task), 2);
        task.settle(1, true, SOME);
        assert!(!is_over(&mut task));
        assert_eq!(taken(&mut task), 0);
        task.settle(0, false, SOME);
        task.settle(2, true, SOME);
        assert!(is_over(&mut task));
        assert_eq!(*came.borrow(), [true, false]);
    }

    #[test]
    fn a_task_that_waits_for_nothing_is_said_to_be_stuck() {
        assert!(matches!(Task::new(core::future::pending()).step(), Err(Stuck)));
    }
}
