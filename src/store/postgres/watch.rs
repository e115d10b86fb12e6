//! Changes of clients, as PostgreSQL tells them to who listens.

use crate::store::runtime::Runtime;
use deadpool_postgres::tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use deadpool_postgres::tokio_postgres::{AsyncMessage, Config, Socket};
use futures_util::stream::{self, StreamExt};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long to wait before connecting anew: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// How long it may take to connect, and then until the listening has begun: a server may accept and say nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens for changes of clients until it is dropped.
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "postgres")))]
#[derive(Debug)]
#[must_use = "the listening ends when this is dropped"]
pub struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn watch<T>(
    runtime: &Runtime,
    config: Config,
    tls: T,
    issuer: Arc<str>,
    changed: impl Fn(Option<&str>) + Send + Sync + 'static,
) -> Watching
where
    T: MakeTlsConnect<Socket> + Clone + Send + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    Watching(runtime.spawn(async move {
        let [first, longest] = PAUSES;
        let mut pause = first;
        loop {
            let mut heard = false;
            let _ = listen(&config, tls.clone(), &mut |payload| {
                heard = true;
                tell(payload, &issuer, &changed);
            })
            .await;
            pause = if heard { first } else { (2 * pause).min(longest) };
            tokio::time::sleep(pause).await;
        }
    }))
}

/// Hands over each payload until the connection is lost; an empty one first, when nothing can be missed any more.
async fn listen<T>(config: &Config, tls: T, heard: &mut impl FnMut(&str)) -> Result<(), Box<dyn Error + Send + Sync>>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, mut connection) = timeout(PATIENCE, config.connect(tls)).await??;
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    let begin = timeout(PATIENCE, client.batch_execute("LISTEN client_credentials_clients"));
    let mut begin = std::pin::pin!(begin);
    let mut begun = false;
    loop {
        let message = tokio::select! {
            done = &mut begin, if !begun => {
                done??;
                begun = true;
                heard("");
                continue;
            }
            message = messages.next() => message,
        };
        match message {
            Some(Ok(AsyncMessage::Notification(note))) if note.channel() == "client_credentials_clients" => {
                heard(note.payload());
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Ok(()),
        }
    }
}

/// A payload is issuer and client_id as a list; anything else may be any client.
fn tell(payload: &str, issuer: &str, changed: &impl Fn(Option<&str>)) {
    match serde_json::from_str::<[String; 2]>(payload) {
        Ok([own, client_id]) if own == issuer => changed(Some(&client_id)),
        Ok(_) => {}
        Err(_) => changed(None),
    }
}
