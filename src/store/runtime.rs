//! Tokio's runtime for the drivers that need it, whatever thread and executor a store is used on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use tokio::runtime::{Handle, TryCurrentError};

/// The runtime that a store was made in.
#[derive(Clone)]
pub(super) struct Runtime(Handle);

impl Runtime {
    pub(super) fn current() -> Result<Self, TryCurrentError> {
        Handle::try_current().map(Self)
    }

    /// Polls a future inside the runtime: timers and sockets are looked for there.
    pub(super) async fn inside<A>(&self, future: impl Future<Output = A>) -> A {
        let mut future = pin!(future);
        poll_fn(|context| {
            let _entered = self.0.enter();
            future.as_mut().poll(context)
        })
        .await
    }

    /// Runs a future to its end, whoever waits for it.
    pub(super) fn spawn<A: Send + 'static>(
        &self,
        future: impl Future<Output = A> + Send + 'static,
    ) -> tokio::task::JoinHandle<A> {
        self.0.spawn(future)
    }
}
