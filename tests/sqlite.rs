//! Tokens and clients in a file of SQLite: what outlives the process, what two processes see of each other, and files that are not ours.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

#[path = "sqlite/clients.rs"]
mod clients;
mod support;

use client_credentials::store::{MemoryClientStore, SqliteError, SqliteTokenStore};
use client_credentials::{
    AuthorizationServer, Claims, Inserted, Record, RecordValue, Scope, Timestamp, TokenRecord, TokenStore,
};
use rusqlite::Connection;
use serde_json::json;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::{fs, thread};
use support::durable::*;
use support::*;

/// A folder that goes when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("client-credentials-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("tokens.db")
    }

    fn open(&self) -> SqliteTokenStore {
        SqliteTokenStore::open(self.file()).unwrap()
    }

    /// A server as one process has it.
    fn server(&self, issuer: &str, clock: &TestClock) -> AuthorizationServer<MemoryClientStore, SqliteTokenStore> {
        node(issuer, clock, self.open())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
// req: ST-001, ST-005, ST-013, ST-016
fn a_token_outlives_the_process_and_its_end_is_seen_by_all() {
    let (folder, clock) = (Folder::new(), TestClock::at(NOW));
    let issued = token(&folder.server(ISSUER, &clock), &Sent::form(ASK)).text("access_token");
    let (one, two) = (folder.server(ISSUER, &clock), folder.server(ISSUER, &clock));
    let told = introspect(&one, &about(&issued)).json();
    assert_eq!((&told["active"], &told["scope"], &told["iat"]), (&json!(true), &json!("read"), &json!(NOW)));
    let other = folder.server("https://other.example.com", &clock);
    assert_eq!(
        introspect(&other, &about(&issued)).json(),
        json!({ "active": false }),
        "another issuer in the same file"
    );
    for name in fs::read_dir(&folder.0).unwrap() {
        let octets = fs::read(name.unwrap().path()).unwrap();
        assert!(!octets.windows(issued.len()).any(|window| window == issued.as_bytes()), "the token stands in a file");
    }
    assert_eq!(revoke(&one, &about(&issued)).status, 200);
    assert_eq!(introspect(&two, &about(&issued)).json(), json!({ "active": false }));
    drop((one, two, other));
    assert_eq!(introspect(&folder.server(ISSUER, &clock), &about(&issued)).json(), json!({ "active": false }));
}

#[test]
// req: ST-006, ST-007
fn of_many_inserts_by_two_processes_one_wins_and_the_others_leave_nothing() {
    let folder = Folder::new();
    let stores = [folder.open(), folder.open()];
    one_insert_wins(&stores, 64, &one_time(1, 0, NOW + 60), |number| one_time(2, number, NOW + 60));
}

#[test]
// req: ST-011, ST-012
fn what_is_past_leaves_with_later_writes_and_what_lives_stays() {
    let folder = Folder::new();
    let store = folder.open();
    let insert = |first: u8, count: u64, until: u64, now: u64| {
        for number in 0..count {
            let record = one_time(first, number, until);
            assert_eq!(run(store.insert(&[record], Timestamp::from_secs(now))).unwrap(), Inserted::All);
        }
    };
    insert(1, 100, NOW + 10, NOW);
    insert(2, 20, NOW + 11, NOW);
    insert(3, 50, NOW + 60, NOW + 10);
    let rows: Vec<(i64, i64)> = Connection::open(folder.file())
        .and_then(|file| {
            let mut select = file.prepare("SELECT expires_at / 1000, count(*) FROM records GROUP BY 1 ORDER BY 1")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
        .unwrap();
    let until = |seconds: u64| (NOW + seconds) as i64;
    assert_eq!(rows, [(until(11), 20), (until(60), 50)]);
    // What ended may be used again, though nothing removed it.
    insert(2, 20, NOW + 60, NOW + 11);
}

#[test]
// req: ST-011, ST-012
fn all_that_is_past_leaves_when_it_is_asked_to() {
    let folder = Folder::new();
    let store = folder.open();
    for (first, count, until) in [(1, 200, NOW + 10), (2, 30, NOW + 11)] {
        for number in 0..count {
            let record = one_time(first, number, until);
            assert_eq!(run(store.insert(&[record], Timestamp::from_secs(NOW))).unwrap(), Inserted::All);
        }
    }
    // More than one step looks at.
    Connection::open(folder.file())
        .unwrap()
        .execute_batch(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
             INSERT INTO records SELECT randomblob(32), {}, '\"one_time\"' FROM n",
            (NOW + 10) * 1000
        ))
        .unwrap();
    assert_eq!(run(store.remove_expired(Timestamp::from_secs(NOW + 9))).unwrap(), 0);
    assert_eq!(run(store.remove_expired(Timestamp::from_secs(NOW + 10))).unwrap(), 2700);
    assert_eq!(run(store.remove_expired(Timestamp::from_secs(NOW + 11))).unwrap(), 30);
}

#[test]
// req: ST-009, ST-010
fn a_file_that_another_process_holds_is_an_error_and_no_more() {
    let (folder, clock) = (Folder::new(), TestClock::at(NOW));
    let server = folder.server(ISSUER, &clock);
    let before = token(&server, &Sent::form(ASK)).text("access_token");
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = token(&server, &Sent::form(ASK));
    assert_eq!(refused.outcome(), (503, "temporarily_unavailable".into()));
    assert_eq!(refused.header("Retry-After"), Some("1"));
    assert_eq!(introspect(&server, &about(&before)).json()["active"], true, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(token(&server, &Sent::form(ASK)).status, 200);
    let rows: i64 = other.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2, "nothing of what was refused");
}

#[test]
// req: ST-009
fn a_record_that_cannot_be_read_is_no_token() {
    let (folder, clock) = (Folder::new(), TestClock::at(NOW));
    let server = folder.server(ISSUER, &clock);
    let issued = token(&server, &Sent::form(ASK)).text("access_token");
    let other = Connection::open(folder.file()).unwrap();
    assert_eq!(other.execute("UPDATE records SET value = '{}'", []).unwrap(), 1);
    assert_eq!(introspect(&server, &about(&issued)).status, 503);
    assert_eq!(token(&server, &Sent::form(ASK)).status, 200);
}

#[test]
// req: ST-015
fn a_file_of_a_later_version_or_another_program_is_left_alone() {
    let folder = Folder::new();
    drop(folder.open());
    drop(folder.open()); // as it is
    let change = |sql: &str| Connection::open(folder.file()).unwrap().execute_batch(sql).unwrap();
    change("PRAGMA user_version = 3");
    let newer = SqliteTokenStore::open(folder.file()).unwrap_err();
    assert!(matches!(newer, SqliteError::Newer { found: 3, known: 2 }), "{newer}");
    change("PRAGMA user_version = 2; PRAGMA application_id = 7");
    assert!(matches!(SqliteTokenStore::open(folder.file()), Err(SqliteError::Foreign)));

    let theirs = folder.0.join("theirs.db");
    Connection::open(&theirs).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    let before = fs::read(&theirs).unwrap();
    assert!(matches!(SqliteTokenStore::open(&theirs), Err(SqliteError::Foreign)));
    assert_eq!(fs::read(&theirs).unwrap(), before);

    let text = folder.0.join("text");
    fs::write(
        &text,
        "no database, but a text that is longer than the hundred octets of the header of a file of SQLite's. "
            .repeat(9),
    )
    .unwrap();
    for path in [text, folder.0.clone(), folder.0.join("no").join("such"), PathBuf::new()] {
        assert!(matches!(SqliteTokenStore::open(&path), Err(SqliteError::Open(_))), "{path:?}");
    }
}

#[cfg(unix)]
#[test]
fn others_cannot_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let store = folder.open();
    let _ = run(store.insert(&[one_time(1, 1, NOW)], Timestamp::from_secs(NOW - 1))).unwrap();
    for entry in fs::read_dir(&folder.0).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.file_name());
    }
}

#[test]
fn who_stops_waiting_leaves_all_or_nothing() {
    let folder = Folder::new();
    let store = folder.open();
    let now = Timestamp::from_secs(NOW);
    for number in 0..50 {
        let records = [one_time(1, number, NOW + 60), one_time(2, number, NOW + 60)];
        {
            let mut insert = std::pin::pin!(store.insert(&records, now));
            let _ = insert.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        }
        // Behind it in the queue.
        assert_eq!(run(store.insert(&[one_time(3, number, NOW + 60)], now)).unwrap(), Inserted::All);
        let found = records.map(|record| run(store.get(&record.key)).unwrap().is_some());
        assert_eq!(found[0], found[1], "{number}");
    }
}

#[test]
fn the_log_begins_anew() {
    let folder = Folder::new();
    let store = folder.open();
    let mut claims = Claims::default();
    claims.insert("long", "x".repeat(20_000)).unwrap();
    let now = Timestamp::from_secs(NOW);
    let mut token = TokenRecord::new("c".parse().unwrap(), Scope::parse("read").unwrap(), now);
    token.claims = claims;
    let mut log = folder.file().into_os_string();
    log.push("-wal");
    // How often it began: the fourth number of its head.
    let beginning = || {
        let mut head = [0; 16];
        fs::File::open(&log).unwrap().read_exact(&mut head).unwrap();
        head[12..].to_vec()
    };
    assert_eq!(run(store.insert(&[one_time(0, 0, NOW + 60)], now)).unwrap(), Inserted::All);
    let first = beginning();
    for part in 0..20 {
        let long = (50 * part..50 * (part + 1)).map(|number| {
            let Record { key, expires_at, .. } = one_time(1, number, NOW + 60);
            Record::new(key, expires_at, RecordValue::AccessToken(token.clone()))
        });
        assert_eq!(run(store.insert(&long.collect::<Vec<_>>(), now)).unwrap(), Inserted::All);
    }
    for number in 0.. {
        if beginning() != first {
            break;
        }
        assert_eq!(run(store.insert(&[one_time(2, number, NOW + 60)], now)).unwrap(), Inserted::All);
    }
}

#[cfg(feature = "conformance")]
#[test]
// req: ST-004, ST-006, ST-007, ST-012
fn it_keeps_every_promise() {
    use client_credentials::store::conformance;
    let folders = std::sync::Mutex::new(Vec::new());
    let open = || {
        let folder = Folder::new();
        let store = folder.open();
        folders.lock().unwrap().push(folder);
        store
    };
    run(conformance::token_store(async || open()));
    conformance::token_store_on_threads(async || open());
}

#[test]
// req: ST-015
fn processes_that_start_at_once_agree_on_the_schema() {
    for _ in 0..10 {
        let folder = Folder::new();
        let all_start = Barrier::new(8);
        thread::scope(|scope| {
            for number in 0..8 {
                let (folder, all_start) = (&folder, &all_start);
                scope.spawn(move || {
                    all_start.wait();
                    let store = folder.open();
                    let record = one_time(1, number, NOW + 60);
                    assert_eq!(run(store.insert(&[record], Timestamp::from_secs(NOW))).unwrap(), Inserted::All);
                });
            }
        });
    }
}
