//! An insert into a Redis Cluster, where no step reaches over two nodes.

use super::link::{Connection, Link, NoAnswer, PATIENCE};
use super::{Entry, Script, expiry, milliseconds};
use crate::clock::Timestamp;
use crate::random::{RandomSource, SystemRandom};
use crate::store::StoreError;
use crate::token::{Inserted, Record, RecordKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use redis::RedisResult;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// Deletes a record that still is as this insert wrote it.
static TAKE_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")
});

/// Inserts of this process that have a key in common come one after the other, so that none meets another one halfway.
pub(super) struct Turns(Vec<Mutex<()>>);

impl Turns {
    const PLACES: u16 = 1024;

    async fn take(&self, entries: &[Entry]) -> Vec<MutexGuard<'_, ()>> {
        let place = |entry: &Entry| {
            let [first, second, ..] = *entry.key.as_bytes();
            usize::from(u16::from_be_bytes([first, second]) % Self::PLACES)
        };
        let places = entries.iter().map(place).collect::<BTreeSet<_>>();
        let mut taken = Vec::with_capacity(places.len());
        for turn in places.into_iter().filter_map(|place| self.0.get(place)) {
            taken.push(turn.lock().await);
        }
        taken
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self((0..Self::PLACES).map(|_| Mutex::default()).collect())
    }
}

pub(super) async fn insert(
    link: &Arc<Link>,
    turns: &Arc<Turns>,
    records: &[Record],
    now: Timestamp,
) -> Result<Inserted, StoreError> {
    let mark = mark()?;
    let entries = records.iter().map(|record| Entry::of(record, now, &mark)).collect::<Result<Vec<_>, _>>()?;
    match entries.as_slice() {
        [] => return Ok(Inserted::All),
        [entry] => {
            let standing = link.call(async |connection| entry.put(connection, now).await).await?;
            return Ok(standing.map_or(Inserted::All, Inserted::Exists));
        }
        _ => {}
    }
    let permit = link.enter()?;
    let (own_link, own_turns) = (Arc::clone(link), Arc::clone(turns));
    // Who stops waiting does not stop it halfway.
    let task = link.runtime().spawn(async move {
        let _permit = permit;
        let turns = timeout(PATIENCE, own_turns.take(&entries)).await;
        let _turns = turns.map_err(|_| StoreError::new(NoAnswer))?;
        write(&own_link, &entries, now).await
    });
    match link.runtime().inside(async { timeout(PATIENCE, task).await }).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(ended)) => Err(StoreError::new(ended)),
        Err(_) => Err(StoreError::new(NoAnswer)),
    }
}

/// What tells the records of one insert from those of any other. The driver tries again where an answer was lost, and has to know then
/// what is its own.
fn mark() -> Result<String, StoreError> {
    let mut octets = [0; 9];
    SystemRandom.fill(&mut octets).map_err(StoreError::new)?;
    Ok(format!(".{}", URL_SAFE_NO_PAD.encode(octets)))
}

async fn write(link: &Link, entries: &[Entry], now: Timestamp) -> Result<Inserted, StoreError> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = entries.iter().find(|entry| !seen.insert(entry.key)) {
        let before = entries.iter().take(seen.len());
        return Ok(Inserted::Exists(first_standing(link, before, now).await?.unwrap_or(twice.key)));
    }
    let mut written = Vec::new();
    let refused = match link.within(PATIENCE, async |connection| go(connection, entries, now, &mut written).await).await
    {
        Ok(None) => return Ok(Inserted::All),
        Ok(Some(key)) => Ok(key),
        Err(error) => {
            written = entries.iter().filter(|entry| !entry.one_time).collect(); // what may be used once stays spent
            Err(error)
        }
    };
    let _ = link.within(PATIENCE, async |connection| take_back(connection, &written).await).await;
    let refused = refused?;
    let own = written.iter().map(|entry| entry.key).collect::<BTreeSet<_>>();
    let before = entries.iter().take_while(|entry| entry.key != refused).filter(|entry| !own.contains(&entry.key));
    Ok(Inserted::Exists(first_standing(link, before, now).await?.unwrap_or(refused)))
}

/// One record after the other, tokens last: the key that forbids them, if there is one, and what was written before it.
async fn go<'a>(
    connection: &mut Connection,
    entries: &'a [Entry],
    now: Timestamp,
    written: &mut Vec<&'a Entry>,
) -> RedisResult<Option<RecordKey>> {
    let mut order = entries.iter().collect::<Vec<_>>();
    order.sort_unstable_by_key(|entry| (!entry.one_time, entry.key));
    for entry in order {
        if let Some(standing) = entry.put(connection, now).await? {
            return Ok(Some(standing));
        }
        written.push(entry);
    }
    Ok(None)
}

async fn first_standing(
    link: &Link,
    entries: impl Iterator<Item = &Entry>,
    now: Timestamp,
) -> Result<Option<RecordKey>, StoreError> {
    for entry in entries {
        let value = link.within(PATIENCE, async |connection| connection.get(&entry.name).await).await?;
        if value.is_some_and(|value| expiry(&value).is_none_or(|end| end > milliseconds(now))) {
            return Ok(Some(entry.key));
        }
    }
    Ok(None)
}

/// As much as can be.
async fn take_back(connection: &mut Connection, entries: &[&Entry]) -> RedisResult<()> {
    let mut outcome = Ok(());
    for entry in entries {
        outcome = TAKE_BACK.run(connection, &[&entry.name], &[&entry.value]).await.map(drop).and(outcome);
    }
    outcome
}
