//! What the benches share: cases that run in turns in one process, each compared with its floor in the same round.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each bench uses a part of it")]

pub mod opaque;
mod table;

pub use table::{RATES, Spread, Table, is_measured, push_rates, sizes};

use client_credentials::store::MemoryTokenStore;
use client_credentials::{Inserted, Record, RecordKey, RecordValue, StoreError, Timestamp, TokenStore};
use std::cell::RefCell;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// One thing that is measured, and the place of the floor that it is compared with.
pub struct Case<'a> {
    pub name: String,
    pub floor: usize,
    pub run: Box<dyn FnMut() + 'a>,
    /// Runs between rounds, unmeasured.
    pub reset: Box<dyn FnMut() + 'a>,
    pub times: Vec<f64>,
}

pub fn case<'a>(name: impl Into<String>, floor: usize, run: impl FnMut() + 'a) -> Case<'a> {
    Case { name: name.into(), floor, run: Box::new(run), reset: Box::new(|| ()), times: Vec::new() }
}

/// A case whose calls change what is `kept`, until `reset` makes it anew what it was.
pub fn keeping<'a, K: 'a>(
    name: impl Into<String>,
    floor: usize,
    kept: K,
    run: impl Fn(&mut K) + 'a,
    reset: impl Fn(&mut K) + 'a,
) -> Case<'a> {
    let kept = Rc::new(RefCell::new(kept));
    let same = Rc::clone(&kept);
    Case {
        reset: Box::new(move || reset(&mut same.borrow_mut())),
        ..case(name, floor, move || run(&mut kept.borrow_mut()))
    }
}

/// Runs all cases in turns, and tells in the table `name` of each the median, the ratio to its floor with the spread from 10 to
/// 90 %, and the allocations a call.
pub fn measure(name: &str, cases: &mut [Case<'_>]) {
    let rounds = if is_measured() { 41 } else { 1 };
    for round in 0..rounds + 3 {
        for case in &mut *cases {
            let time = per_call(&mut *case.run);
            (case.reset)();
            if round >= 3 || rounds == 1 {
                case.times.push(time);
            }
        }
    }
    let mut table = Table::new(name, "", "case floor median_ns ratio low high allocations");
    let floors: Vec<(String, Vec<f64>)> =
        cases.iter().map(|case| (cases[case.floor].name.clone(), cases[case.floor].times.clone())).collect();
    for (case, (floor, bare)) in cases.iter_mut().zip(floors) {
        let ratio = Spread::of(case.times.iter().zip(bare).map(|(own, bare)| own / bare));
        let median = format!("{:.0}", Spread::of(case.times.iter().copied()).median);
        let allocations = format!("{:.2}", allocations(&mut *case.run));
        table.row([case.name.clone(), floor, median].into_iter().chain(ratio.cells()).chain([allocations]));
    }
}

/// Nanoseconds a call, over twenty milliseconds of calls. Counting allocations would cost most where there are many.
pub fn per_call(case: &mut dyn FnMut()) -> f64 {
    let (start, mut calls) = (Instant::now(), 0_u32);
    while start.elapsed() < Duration::from_millis(20) {
        allocation_counter::opt_out(|| (0..50).for_each(|_| case()));
        calls += 50;
    }
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

/// Allocations a call; a fraction is the growth of a map.
fn allocations(case: &mut dyn FnMut()) -> f64 {
    let counted = allocation_counter::measure(|| (0..1000).for_each(|_| case()));
    counted.count_total as f64 / 1000.0
}

/// The stores in memory never wait.
pub fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a store in memory waited"),
    }
}

/// A store that keeps tokens and believes of all else that it is new, so that one assertion or proof serves all calls.
#[derive(Default)]
pub struct Believing(pub MemoryTokenStore);

impl TokenStore for Believing {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        for tokens in records.split(|record| !matches!(record.value, RecordValue::AccessToken(_))) {
            let inserted = self.0.insert(tokens, now).await?;
            if inserted != Inserted::All {
                return Ok(inserted);
            }
        }
        Ok(Inserted::All)
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.0.get(key).await
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.0.remove(key).await
    }
}
