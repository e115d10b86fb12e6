//! What the benches share: cases that run in turns in one process, each compared with its floor in the same round.
#![allow(dead_code, unreachable_pub, reason = "each bench uses a part of it")]

use client_credentials::{Inserted, Record, RecordKey, StoreError, Timestamp, TokenStore};
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
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

/// Runs all cases in turns, and prints of each the median, the ratio to its floor with the spread from 10 to 90 %, and the
/// allocations a call.
pub fn measure(cases: &mut [Case<'_>]) {
    // `cargo bench` passes `--bench`; without it (as a test) one short round shows that everything still runs.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { 41 } else { 1 };
    for round in 0..rounds + 3 {
        for case in &mut *cases {
            let time = per_call(&mut *case.run);
            (case.reset)();
            if round >= 3 || rounds == 1 {
                case.times.push(time);
            }
        }
    }
    println!("{:<34} {:>9} {:>9} {:>15} {:>12}", "", "median ns", "× floor", "(spread)", "allocations");
    let floors: Vec<Vec<f64>> = cases.iter().map(|case| cases[case.floor].times.clone()).collect();
    for (case, floor) in cases.iter_mut().zip(floors) {
        let ratios = sorted(case.times.iter().zip(floor).map(|(time, floor)| time / floor).collect());
        let (low, high) = (ratios[ratios.len() / 10], ratios[ratios.len() * 9 / 10]);
        let spread = format!("{low:.2} – {high:.2}");
        let (time, ratio) = (median(sorted(case.times.clone())), median(ratios));
        println!("{:<34} {time:>9.0} {ratio:>9.2} {spread:>15} {:>12.2}", case.name, allocations(&mut *case.run));
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: Vec<f64>) -> f64 {
    sorted[sorted.len() / 2]
}

/// Nanoseconds a call, over twenty milliseconds of calls.
fn per_call(case: &mut dyn FnMut()) -> f64 {
    let (start, mut calls) = (Instant::now(), 0_u32);
    while start.elapsed() < Duration::from_millis(20) {
        for _ in 0..50 {
            case();
        }
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

/// A store that believes everything and keeps nothing, so that one assertion or proof serves all calls.
#[derive(Default)]
pub struct Believing;

impl TokenStore for Believing {
    async fn insert(&self, records: &[Record], _: Timestamp) -> Result<Inserted, StoreError> {
        black_box(records);
        Ok(Inserted::All)
    }
    async fn get(&self, _: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }
    async fn remove(&self, _: &RecordKey) -> Result<bool, StoreError> {
        Ok(false)
    }
}
