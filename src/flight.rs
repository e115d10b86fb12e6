//! Work that one task at a time does while others wait for what comes of it; needs no runtime.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What the task in the lead left for those that wait: an outcome, or half the work.
pub(crate) struct Flight<T>(Mutex<State<T>>);

struct State<T> {
    left: Option<T>,
    is_led: bool,
    /// By the number of the one that waits.
    waiting: BTreeMap<u64, Waker>,
    last: u64,
}

impl<T> Flight<T> {
    /// Waits for the lead. Nobody has it by turns: whoever comes first once it is free.
    pub(crate) fn lead(&self) -> impl Future<Output = Lead<'_, T>> {
        Waiting { flight: self, number: None }
    }

    /// The lead, unless another task has it.
    #[cfg(any(feature = "jwt", test))]
    pub(crate) fn try_lead(&self) -> Option<Lead<'_, T>> {
        let mut state = self.state();
        if std::mem::replace(&mut state.is_led, true) {
            return None;
        }
        Some(Lead { flight: self, left: state.left.take() })
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self(Mutex::new(State { left: None, is_led: false, waiting: BTreeMap::new(), last: 0 }))
    }
}

/// The lead of a flight, until it is dropped: what stands in it then is found by the next.
pub(crate) struct Lead<'a, T> {
    flight: &'a Flight<T>,
    left: Option<T>,
}

impl<T> Deref for Lead<'_, T> {
    type Target = Option<T>;
    fn deref(&self) -> &Option<T> {
        &self.left
    }
}

impl<T> DerefMut for Lead<'_, T> {
    fn deref_mut(&mut self) -> &mut Option<T> {
        &mut self.left
    }
}

impl<T> Drop for Lead<'_, T> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.flight.state();
            state.left = self.left.take();
            state.is_led = false;
            std::mem::take(&mut state.waiting)
        };
        // All of them: one alone might be gone before it runs, and the others would wait for ever.
        waiting.into_values().for_each(Waker::wake);
    }
}

struct Waiting<'a, T> {
    flight: &'a Flight<T>,
    number: Option<u64>,
}

impl<'a, T> Future for Waiting<'a, T> {
    type Output = Lead<'a, T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Lead<'a, T>> {
        let flight = self.flight;
        let mut state = flight.state();
        if !std::mem::replace(&mut state.is_led, true) {
            return Poll::Ready(Lead { flight, left: state.left.take() });
        }
        let number = *self.number.get_or_insert_with(|| {
            state.last += 1;
            state.last
        });
        state.waiting.insert(number, context.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let own = self.number.and_then(|number| self.flight.state().waiting.remove(&number));
        drop(own); // after the lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_the_leader_leaves_is_found_by_the_next() {
        let flight = Flight::default();
        let mut lead = flight.try_lead().unwrap();
        assert!(lead.is_none() && flight.try_lead().is_none());
        *lead = Some(1);
        drop(lead);
        assert_eq!(flight.try_lead().unwrap().take(), Some(1));
        assert_eq!(*flight.try_lead().unwrap(), None);
    }

    #[test]
    fn all_are_woken_and_the_first_that_comes_leads() {
        let flight = Flight::<()>::default();
        let bells: [Arc<Bell>; 3] = std::array::from_fn(|_| Arc::default());
        let wakers = bells.clone().map(Waker::from);
        let mut contexts = wakers.each_ref().map(Context::from_waker);
        let rung = || bells.each_ref().map(|bell| bell.0.load(Ordering::SeqCst));

        let lead = flight.try_lead().unwrap();
        let (mut a, mut b, mut c) = (pin!(flight.lead()), pin!(flight.lead()), Box::pin(flight.lead()));
        for _ in 0..3 {
            assert!(a.as_mut().poll(&mut contexts[0]).is_pending());
            assert!(b.as_mut().poll(&mut contexts[1]).is_pending());
            assert!(c.as_mut().poll(&mut contexts[2]).is_pending());
        }
        assert_eq!(flight.state().waiting.len(), 3);
        drop(c);
        assert_eq!(flight.state().waiting.len(), 2, "who is gone is not remembered");
        drop(lead);
        assert_eq!(rung(), [1, 1, 0]);
        let Poll::Ready(lead) = b.as_mut().poll(&mut contexts[1]) else { panic!("nobody has the lead") };
        assert!(a.as_mut().poll(&mut contexts[0]).is_pending());
        drop(lead);
        assert_eq!(rung(), [2, 1, 0]);
        assert!(a.as_mut().poll(&mut contexts[0]).is_ready());
    }

    #[test]
    fn a_panic_of_the_leader_frees_the_lead() {
        let flight = Flight::<u8>::default();
        let leader = std::panic::AssertUnwindSafe(|| {
            let _lead = flight.try_lead().unwrap();
            panic!("of the leader");
        });
        assert!(std::panic::catch_unwind(leader).is_err());
        assert!(flight.try_lead().is_some());
    }

    #[test]
    fn one_leads_at_a_time_on_threads() {
        let flight = Flight::<u64>::default();
        let count = || async {
            for _ in 0..500 {
                let mut lead = flight.lead().await;
                let before = lead.take().unwrap_or_default();
                thread::yield_now();
                *lead = Some(before + 1);
            }
        };
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| runtime().block_on(count()));
            }
        });
        assert_eq!(*flight.try_lead().unwrap(), Some(2000));
    }
}
