//! Work that is done in groups: one worker takes all that wait, does it at once, and answers each.
//!
//! While one group is under way the next one gathers, so that groups grow with the load. Where several came together lately
//! they are waited for a moment; a lone caller loses nothing. Whoever goes away cancels nothing: what was handed in is done.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

/// The largest group.
pub const MAX_GROUP: usize = 64;
/// More that wait than this are turned away: at the slowest disk still well under the edge's patience.
const MAX_WAITING: usize = 1024;

/// Turns that are given to others in any case; on an idle process they take no time.
const TURNS: usize = 2;
/// How long the members of earlier groups are waited for: shorter than a group takes. Shorter than a timer can be, too, so
/// that the worker gives its turn away over and over instead.
const LONGEST_GATHER: Duration = Duration::from_micros(400);

/// Hands jobs to a worker of its own and brings their results back, each to who asked.
pub struct Batcher<J, R> {
    queue: mpsc::Sender<Waiting<J, R>>,
}

struct Waiting<J, R> {
    job: J,
    answer: oneshot::Sender<R>,
}

/// Why a job has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// It was not taken: too many wait.
    #[error("too many wait already")]
    Full,
    /// The worker has stopped. Whether the job was done is unknown.
    #[error("the worker has stopped")]
    Gone,
}

impl<J: Send + 'static, R: Send + 'static> Batcher<J, R> {
    /// Starts the worker. `work` answers a group's jobs in their order. `running` is held until the last one is done, so
    /// that a process that stops can wait for it.
    pub fn start<W, F>(running: Option<mpsc::Sender<()>>, work: W) -> Self
    where
        W: Fn(Vec<J>) -> F + Send + 'static,
        F: Future<Output = Vec<R>> + Send + 'static,
    {
        let (queue, mut waiting) = mpsc::channel::<Waiting<J, R>>(MAX_WAITING);
        tokio::spawn(async move {
            let _running = running;
            let mut group = Vec::with_capacity(MAX_GROUP);
            let mut expected = 1;
            while waiting.recv_many(&mut group, MAX_GROUP).await > 0 {
                gather(&mut waiting, &mut group, expected).await;
                // Who was answered comes again soon, or not at all: then a few groups later nobody is waited for.
                expected = group.len().max(expected.saturating_sub(expected.div_ceil(4)));
                let (jobs, answers): (Vec<J>, Vec<_>) = group.drain(..).map(|one| (one.job, one.answer)).unzip();
                for (answer, result) in answers.into_iter().zip(work(jobs).await) {
                    // Who went away hears nothing.
                    let _ = answer.send(result);
                }
            }
        });
        Self { queue }
    }

    /// Waits for the result of a job.
    ///
    /// # Errors
    /// See [`BatchError`].
    pub async fn submit(&self, job: J) -> Result<R, BatchError> {
        let (answer, result) = oneshot::channel();
        self.queue.try_send(Waiting { job, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => BatchError::Full,
            mpsc::error::TrySendError::Closed(_) => BatchError::Gone,
        })?;
        result.await.map_err(|_| BatchError::Gone)
    }
}

/// Lets those run that are ready to: they may have a job for this group. Where groups were larger lately, their members
/// are on their way again: they are waited for, but only so long. A group costs as much as many jobs.
async fn gather<T>(waiting: &mut mpsc::Receiver<T>, group: &mut Vec<T>, expected: usize) {
    let started = Instant::now();
    for turn in 0.. {
        tokio::task::yield_now().await;
        while group.len() < MAX_GROUP {
            let Ok(one) = waiting.try_recv() else { break };
            group.push(one);
        }
        let is_awaited = group.len() < expected.min(MAX_GROUP) && started.elapsed() < LONGEST_GATHER;
        if turn >= TURNS && !is_awaited {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    type Gated = Batcher<u32, (u32, usize)>;

    /// A batcher whose worker waits for a permit before each group, and answers with the group's size.
    fn gated() -> (Arc<Gated>, Arc<Semaphore>, Arc<AtomicUsize>) {
        let (gate, done) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (at_gate, counter) = (Arc::clone(&gate), Arc::clone(&done));
        let batcher = Batcher::start(None, move |jobs: Vec<u32>| {
            let (gate, counter) = (Arc::clone(&at_gate), Arc::clone(&counter));
            async move {
                gate.acquire().await.unwrap().forget();
                counter.fetch_add(jobs.len(), Ordering::SeqCst);
                let size = jobs.len();
                jobs.into_iter().map(|job| (job, size)).collect()
            }
        });
        (Arc::new(batcher), gate, done)
    }

    #[tokio::test]
    async fn all_that_wait_are_one_group_and_each_gets_its_own_answer() {
        let (batcher, gate, _) = gated();
        let calls: Vec<_> = (0..100_u32)
            .map(|job| {
                let batcher = Arc::clone(&batcher);
                tokio::spawn(async move { batcher.submit(job).await.unwrap() })
            })
            .collect();
        gate.add_permits(10);
        let mut sizes = Vec::new();
        for (job, call) in (0..).zip(calls) {
            let (answered, size) = call.await.unwrap();
            assert_eq!(answered, job);
            sizes.push(size);
        }
        assert!(sizes.iter().all(|size| *size <= MAX_GROUP) && sizes.contains(&MAX_GROUP), "{sizes:?}");
    }

    #[tokio::test]
    async fn whoever_goes_away_cancels_nothing() {
        let (batcher, gate, done) = gated();
        let leaver = tokio::spawn({
            let batcher = Arc::clone(&batcher);
            async move { batcher.submit(1).await }
        });
        tokio::task::yield_now().await;
        leaver.abort();
        let _ = leaver.await;
        gate.add_permits(2);
        batcher.submit(2).await.unwrap();
        assert_eq!(done.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let (batcher, gate, _) = gated();
        let mut calls = Vec::new();
        // The worker holds one group at the gate, the queue takes no more than it says.
        for _ in 0..MAX_WAITING + MAX_GROUP + 1 {
            let batcher = Arc::clone(&batcher);
            calls.push(tokio::spawn(async move { batcher.submit(0).await }));
            tokio::task::yield_now().await;
        }
        gate.add_permits(1000);
        let mut full = 0;
        for call in calls {
            full += usize::from(call.await.unwrap() == Err(BatchError::Full));
        }
        assert!(full >= 1, "nobody was turned away");
    }

    #[tokio::test]
    async fn a_stopped_worker_is_said() {
        let batcher: Batcher<u32, u32> = Batcher::start(None, |_| async { Vec::new() });
        assert_eq!(batcher.submit(1).await, Err(BatchError::Gone));
    }
}
