//! What `MemoryTokenStore` takes for each live token, and whether growing or expiry ever makes somebody wait.
//!
//! ```text
//! cargo bench --bench memory
//! ROWS=10000000 cargo bench --bench memory   # one million tokens by default
//! ```
//!
//! Octets are those that the allocator has handed out, so everything counts: keys, records, room that is not used yet. A pause is the
//! longest time of one call; on a machine that does other things, the system's own pauses are among them, so the bench names as well
//! how many calls took more than a millisecond. The floor is an insert into one `HashMap` of the same key and no lock.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;

use client_credentials::store::{Capacity, MemoryTokenStore};
use client_credentials::{
    ClientId, Inserted, Record, RecordKey, RecordValue, Scope, Timestamp, TokenRecord, TokenStore,
};
use harness::{Table, ready, sizes};
use std::collections::HashMap;
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const LIFE: u64 = 3600;

fn main() {
    let columns = "tokens octets insert_ns ratio get_ns longest_ms over_1_ms expiry_ns threads_2";
    let mut table = Table::new("memory", "", columns);
    sizes(1000, 1000).into_iter().for_each(|tokens| table.row(grow(tokens)));
}

/// One row of the table.
fn grow(tokens: u64) -> [String; 9] {
    let (mut store, mut times) = (store(), Times::default());
    let grown = allocation_counter::measure(|| times = fill(&store, 0..tokens, LIFE));
    let octets = grown.bytes_current as f64 / tokens as f64;
    let get = Instant::now();
    let looks = tokens.min(1_000_000);
    for number in 0..looks {
        assert!(ready(black_box(&store).get(&key(number * 7919 % tokens))).unwrap().is_some());
    }
    let get = nanos(get.elapsed(), looks);

    let mut bare = HashMap::new();
    let start = Instant::now();
    for number in 0..tokens {
        black_box(bare.insert(*key(number).as_bytes(), [number; 4]));
    }
    let floor = nanos(start.elapsed(), tokens);
    drop(bare);

    // As many again, when the first have ended.
    let again = fill_at(&store, tokens..2 * tokens, LIFE, Timestamp::from_secs(NOW.as_secs() + LIFE));
    let start = Instant::now();
    let forgotten = store.remove_expired(Timestamp::from_secs(u64::MAX / 1000));
    let expiry = nanos(start.elapsed(), forgotten as u64);

    store = self::store();
    let half = tokens / 2;
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| fill(&store, 0..half, LIFE));
        scope.spawn(|| fill(&store, half..tokens, LIFE));
    });
    let both = nanos(start.elapsed(), tokens);
    let each = nanos(times.whole, tokens);
    let longest = times.longest.max(again.longest).as_secs_f64() * 1e3;
    [
        tokens.to_string(),
        format!("{octets:.0}"),
        format!("{each:.0}"),
        format!("{:.2}", each / floor),
        format!("{get:.0}"),
        format!("{longest:.2}"),
        (times.long + again.long).to_string(),
        format!("{expiry:.0}"),
        format!("{:.2}", each / both),
    ]
}

fn store() -> MemoryTokenStore {
    MemoryTokenStore::with_capacity(Capacity::default().with_tokens(100_000_000))
}

#[derive(Default)]
struct Times {
    whole: Duration,
    longest: Duration,
    /// Calls of more than a millisecond.
    long: usize,
}

fn fill(store: &MemoryTokenStore, numbers: std::ops::Range<u64>, life: u64) -> Times {
    fill_at(store, numbers, life, NOW)
}

fn fill_at(store: &MemoryTokenStore, numbers: std::ops::Range<u64>, life: u64, now: Timestamp) -> Times {
    let (client_id, scope): (ClientId, _) = ("myClient".parse().unwrap(), Scope::parse("read write").unwrap());
    let start = Instant::now();
    let mut times = Times::default();
    let mut before = start;
    for number in numbers {
        let token = TokenRecord::new(client_id.clone(), scope.clone(), now);
        let end = Timestamp::from_secs(now.as_secs() + life);
        let record = Record::new(key(number), end, RecordValue::AccessToken(token));
        assert_eq!(ready(store.insert(std::slice::from_ref(&record), now)).unwrap(), Inserted::All);
        let after = Instant::now();
        times.longest = times.longest.max(after - before);
        times.long += usize::from(after - before > Duration::from_millis(1));
        before = after;
    }
    Times { whole: start.elapsed(), ..times }
}

/// As good as a digest, and quicker made.
fn key(number: u64) -> RecordKey {
    let mut octets = [0; 32];
    for (at, part) in octets.chunks_mut(8).enumerate() {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17 * at as u32) ^ number;
        part.copy_from_slice(&mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes());
    }
    RecordKey::from_bytes(octets)
}

fn nanos(time: Duration, count: u64) -> f64 {
    time.as_nanos() as f64 / count.max(1) as f64
}
