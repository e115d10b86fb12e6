//! Several futures at once, without a runtime: in one task, on threads, or not to their end.

use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Polls all of them in the caller's task until the last has ended; the outcomes are in their order.
pub(super) async fn in_one_task<A: Send>(futures: impl IntoIterator<Item = impl Future<Output = A> + Send>) -> Vec<A> {
    let mut running: Vec<(Pin<Box<_>>, Option<A>)> =
        futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        for (future, outcome) in running.iter_mut().filter(|(_, outcome)| outcome.is_none()) {
            if let Poll::Ready(ended) = future.as_mut().poll(context) {
                *outcome = Some(ended);
            }
        }
        if running.iter().all(|(_, outcome)| outcome.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, outcome)| outcome).collect()
}

/// Runs each on a thread of its own, all from the same moment on; the outcomes are in their order.
pub(super) fn on_threads<A: Send>(futures: Vec<impl Future<Output = A> + Send>) -> Vec<A> {
    let start = Barrier::new(futures.len());
    thread::scope(|scope| {
        let start = &start;
        let run = |future| {
            scope.spawn(move || {
                start.wait();
                block_on(future)
            })
        };
        let threads: Vec<_> = futures.into_iter().map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// Runs a future on this thread, which sleeps while there is nothing to do.
pub(super) fn block_on<A>(future: impl Future<Output = A>) -> A {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}

/// Drops a future after so many polls, as a server does whose client has gone; says whether it had ended before.
pub(super) async fn give_up<A>(future: impl Future<Output = A>, after: usize) -> bool {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if polls >= after => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
