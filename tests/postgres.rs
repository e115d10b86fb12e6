//! Tokens and clients in PostgreSQL: what nodes see of each other, what one round trip is, and what happens when the database is ill.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test panics where it fails")]

mod support;

use client_credentials::store::{
    Added, CachedClientStore, ClientRegistry, MemoryClientStore, PostgresClientStore, PostgresError, PostgresTokenStore,
};
use client_credentials::{AuthorizationServer, Client, ClientStore, Inserted, Record, Scope, Timestamp, TokenStore};
use deadpool_postgres::tokio_postgres::{self, NoTls};
use serde_json::json;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use support::durable::*;
use support::servers::Private;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

const POSTGRES: &str = "CLIENT_CREDENTIALS_POSTGRES";

/// A connection of the test's own.
async fn sql(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A database of the test's own on the server that `tests/run` has started.
async fn database() -> String {
    database_with("").await
}

async fn database_with(options: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let server = servers::url(POSTGRES);
    let name = format!("t_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let command = format!("CREATE DATABASE {name} TEMPLATE template0 {options}");
    sql(&server).await.batch_execute(&command).await.unwrap();
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

async fn tokens(url: &str) -> PostgresTokenStore {
    PostgresTokenStore::connect(url).await.unwrap()
}

type Node = AuthorizationServer<MemoryClientStore, PostgresTokenStore>;

/// Runs what the support has for tests without a runtime.
fn wait<A>(ask: impl FnOnce() -> A) -> A {
    tokio::task::block_in_place(ask)
}

fn issue(node: &Node) -> Answer {
    wait(|| token(node, &Sent::form(ASK)))
}

fn is_active(node: &Node, token: &str) -> bool {
    wait(|| introspect(node, &about(token))).json()["active"] == true
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

/// Asks again until it is so. Nothing is measured: a test that waits for what never comes is stopped from outside.
async fn until<F: Future<Output = bool>>(mut is_so: impl FnMut() -> F) {
    while !is_so().await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-001, ST-005, ST-013, ST-016
async fn a_token_outlives_the_node_and_its_end_is_seen_by_all() {
    let (url, clock) = (database().await, TestClock::at(NOW));
    let issued = issue(&node(ISSUER, &clock, tokens(&url).await)).text("access_token");
    let (one, two) = (node(ISSUER, &clock, tokens(&url).await), node(ISSUER, &clock, tokens(&url).await));
    let told = wait(|| introspect(&one, &about(&issued))).json();
    assert_eq!((&told["active"], &told["scope"], &told["iat"]), (&json!(true), &json!("read"), &json!(NOW)));
    assert!(!is_active(&node("https://other.example.com", &clock, tokens(&url).await), &issued), "another issuer");
    let dump = sql(&url).await.query("SELECT r::text FROM client_credentials.records r", &[]).await.unwrap();
    assert!(!dump.is_empty() && dump.iter().all(|row| !row.get::<_, String>(0).contains(&issued)));
    assert_eq!(wait(|| revoke(&one, &about(&issued))).status, 200);
    assert!(!is_active(&two, &issued));
}

#[cfg(feature = "conformance")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-004, ST-006, ST-007, ST-012
async fn it_keeps_every_promise() {
    use client_credentials::store::conformance;
    let url = database().await;
    let shared = tokens(&url).await;
    conformance::token_store(async || shared.clone()).await;
    wait(|| conformance::token_store_on_threads(async || shared.clone()));
    let next = AtomicUsize::new(0);
    let registry = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        shared.clients(registrations(&format!("https://as.example.com/{number}")))
    };
    let with = async |registered: Vec<Client>| {
        let clients = registry();
        assert_eq!(clients.add(&registered).await.unwrap(), Added::All);
        clients
    };
    conformance::client_store(with).await;
    conformance::client_registry(async || registry()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-006, ST-007
async fn of_many_inserts_by_two_nodes_one_wins_and_the_others_leave_nothing() {
    let url = database().await;
    let stores = [tokens(&url).await, tokens(&url).await];
    wait(|| one_insert_wins(&stores, 300, &one_time(1, 0, NOW + 60), |number| one_time(2, number, NOW + 60)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
async fn the_first_of_several_keys_that_stand_is_named() {
    let url = database().await;
    let store = tokens(&url).await;
    let [a, b, c, d] = [4, 3, 2, 1].map(|number| one_time(number, 0, NOW + 60));
    let insert = async |records: &[&Record], now| {
        store.insert(&records.iter().map(|record| (*record).clone()).collect::<Vec<_>>(), at(now)).await.unwrap()
    };
    assert_eq!(insert(&[&a, &b], NOW).await, Inserted::All);
    assert_eq!(insert(&[&c, &b, &a], NOW).await, Inserted::Exists(b.key));
    assert_eq!(insert(&[&c, &d, &c, &a], NOW).await, Inserted::Exists(c.key));
    assert_eq!(insert(&[&c, &d], NOW + 60).await, Inserted::All, "nothing was left");
    assert_eq!(insert(&[&d, &d], NOW + 60).await, Inserted::Exists(d.key));
    assert_eq!(insert(&[&b, &a], NOW + 60).await, Inserted::All, "those have ended");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-011, ST-012
async fn what_is_past_leaves_by_itself_and_what_lives_stays() {
    let url = database().await;
    let (store, count) = (tokens(&url).await, sql(&url).await);
    let rows = async || {
        count.query_one("SELECT count(*) FROM client_credentials.records", &[]).await.unwrap().get::<_, i64>(0)
    };
    let fill = "INSERT INTO client_credentials.records
        SELECT sha256(n::text::bytea), $1::bigint * 1000, '\"one_time\"' FROM generate_series($2::bigint, $3::bigint) n";
    count.execute(fill, &[&((NOW + 10) as i64), &1_i64, &5000_i64]).await.unwrap();
    count.execute(fill, &[&((NOW + 11) as i64), &5001_i64, &5020_i64]).await.unwrap();
    assert_eq!(store.remove_expired(at(NOW + 69)).await.unwrap(), 0, "a minute for nodes whose clocks differ");
    let now = at(NOW + 70);
    for number in 0..1024 {
        assert_eq!(store.insert(&[one_time(9, number, NOW + 100)], now).await.unwrap(), Inserted::All);
    }
    until(async || rows().await == 20 + 1024).await;
    assert_eq!(store.remove_expired(at(NOW + 71)).await.unwrap(), 20);
}

/// How many statements the database was sent, but for those that count them.
async fn calls(counted: &tokio_postgres::Client) -> i64 {
    let all = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query NOT LIKE '%pg_stat%'";
    counted.query_one(all, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
async fn an_issue_is_one_statement() {
    let (url, clock) = (database().await, TestClock::at(NOW));
    let counted = sql(&url).await;
    counted.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await.unwrap();
    let server = node(ISSUER, &clock, tokens(&url).await);
    assert_eq!(issue(&server).status, 200); // prepares
    let before = calls(&counted).await;
    for _ in 0..20 {
        assert_eq!(issue(&server).status, 200);
    }
    assert_eq!(calls(&counted).await - before, 20);
    let before = calls(&counted).await;
    let records = [one_time(1, 1, NOW + 60), one_time(1, 2, NOW + 60)];
    assert_eq!(server.tokens().insert(&records, at(NOW)).await.unwrap(), Inserted::All);
    // The call, and what its function does at the server itself.
    let tracked = counted.query_one("SHOW pg_stat_statements.track", &[]).await.unwrap().get::<_, String>(0);
    assert_eq!((tracked.as_str(), calls(&counted).await - before), ("top", 1));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-015
async fn nodes_that_start_at_once_agree_on_the_schema_and_a_later_one_is_refused() {
    let url = database().await;
    let nodes = (0..8).map(|number| {
        let url = url.clone();
        tokio::spawn(async move {
            let store = tokens(&url).await;
            assert_eq!(store.insert(&[one_time(1, number, NOW + 60)], at(NOW)).await.unwrap(), Inserted::All);
        })
    });
    for node in nodes.collect::<Vec<_>>() {
        node.await.unwrap();
    }
    let change = sql(&url).await;
    change.batch_execute("UPDATE client_credentials.schema SET version = version + 1").await.unwrap();
    let newer = PostgresTokenStore::connect(&url).await.unwrap_err();
    assert!(matches!(newer, PostgresError::Newer { found: 2, known: 1 }), "{newer}");
    let newer = PostgresClientStore::connect(&url, ISSUER).await.unwrap_err();
    assert!(matches!(newer, PostgresError::Newer { .. }), "{newer}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-014, ST-015
async fn a_database_that_cannot_serve_is_refused_and_no_password_told() {
    let url = database_with("ENCODING 'SQL_ASCII' LOCALE 'C'").await;
    assert!(
        matches!(PostgresTokenStore::connect(&url).await, Err(PostgresError::Encoding(found)) if found == "SQL_ASCII")
    );

    let url = database().await;
    let change = sql(&url).await;
    let role = format!("limited_{}", std::process::id());
    change.batch_execute(&format!("CREATE ROLE {role} LOGIN")).await.unwrap();
    let limited = url.replace("//postgres@", &format!("//{role}:the-password@"));
    let refused = PostgresTokenStore::connect(&limited).await.unwrap_err().to_string();
    assert!(refused.contains("permission denied") && !refused.contains("the-password"), "{refused}");
    change.batch_execute(&format!("CREATE SCHEMA client_credentials AUTHORIZATION {role}")).await.unwrap();
    assert_eq!(tokens(&limited).await.insert(&[one_time(1, 1, NOW + 1)], at(NOW)).await.unwrap(), Inserted::All);

    let nobody = PostgresTokenStore::connect("postgres://u:the-password@127.0.0.1:1/db").await.unwrap_err().to_string();
    assert_eq!(nobody.matches("error connecting to server").count(), 1, "{nobody}");
    for (bad, is_url) in [
        ("postgres://u:the-password@127.0.0.1:1/db", true),
        ("postgres://u:the-password@127.0.0.1:1/db?sslmode=require", true),
        ("postgres://u:the-password@/db?what=else", false),
        ("postgres://u:the-password@127.0.0.1:port/db", false),
        ("mysql://u:the-password@127.0.0.1/db", false),
        ("", false),
    ] {
        let error = PostgresTokenStore::connect(bad).await.unwrap_err();
        assert_eq!(!matches!(error, PostgresError::Url), is_url, "{bad}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("the-password"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-009, ST-010
async fn connections_that_are_cut_are_made_anew() {
    let (url, clock) = (database().await, TestClock::at(NOW));
    let server = node(ISSUER, &clock, tokens(&url).await);
    let before = issue(&server).text("access_token");
    let cut = sql(&url).await;
    for _ in 0..5 {
        let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        cut.batch_execute(all).await.unwrap();
        // The node may learn of it by the next call.
        let answer = issue(&server);
        assert!([200, 503].contains(&answer.status));
        until(async || issue(&server).status == 200).await;
        assert!(is_active(&server, &before));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-009, ST-010
async fn a_database_that_only_reads_is_a_503_until_it_writes() {
    let (url, clock) = (database().await, TestClock::at(NOW));
    let name = url.rsplit_once('/').unwrap().1;
    let server = node(ISSUER, &clock, tokens(&url).await);
    let before = issue(&server).text("access_token");
    let change = sql(&url).await;
    let set = async |value: &str| {
        change
            .batch_execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}"))
            .await
            .unwrap();
        let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        change.batch_execute(all).await.unwrap();
    };
    set("on").await;
    until(async || issue(&server).outcome() == (503, "temporarily_unavailable".into())).await;
    let refused = issue(&server);
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    until(async || wait(|| introspect(&server, &about(&before))).status == 200).await;
    assert!(is_active(&server, &before), "reading goes on");
    // As after a failover: the node's connections stay where they are, and are left for new ones.
    let writes = format!("ALTER DATABASE {name} SET default_transaction_read_only = off");
    change.batch_execute(&writes).await.unwrap();
    until(async || issue(&server).status == 200).await;
    assert_eq!(issue(&server).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-005, ST-009, ST-010
async fn what_was_acknowledged_survives_the_death_of_the_database() {
    let (database, clock) = (Private::start("postgres", &[]), TestClock::at(NOW));
    let server = Arc::new(node(ISSUER, &clock, tokens(&database.url).await));
    let mut kept = Vec::new();
    for _ in 0..2 {
        let (told, mut heard) = mpsc::unbounded_channel();
        let callers = (0..8).map(|_| {
            let (server, told) = (Arc::clone(&server), told.clone());
            tokio::spawn(async move {
                loop {
                    let answer = issue(&server);
                    match answer.status {
                        200 => told.send(answer.text("access_token")).unwrap(),
                        other => return assert_eq!((other, answer.header("Retry-After")), (503, Some("1"))),
                    }
                }
            })
        });
        let callers: Vec<_> = callers.collect();
        for _ in 0..100 {
            kept.push(heard.recv().await.unwrap());
        }
        database.kill();
        drop(told);
        for caller in callers {
            caller.await.unwrap();
        }
        while let Some(token) = heard.recv().await {
            kept.push(token);
        }
        assert_eq!(issue(&server).status, 503);
        database.restart();
        until(async || issue(&server).status == 200).await;
        let lost = kept.iter().filter(|token| !is_active(&server, token)).count();
        assert_eq!(lost, 0, "of {}", kept.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-005, ST-009
async fn a_failover_is_followed_and_loses_nothing_that_a_synchronous_standby_has() {
    let (first, clock) = (Private::start("postgres", &[]), TestClock::at(NOW));
    let second = Private::start("standby", &[&first.url]);
    let change = sql(&first.url).await;
    change.batch_execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await.unwrap();
    change.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    until(async || {
        change.query("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'", &[]).await.unwrap().len() == 1
    })
    .await;
    let hosts = [&first.url, &second.url].map(|url| url.split(['@', '/']).nth(3).unwrap());
    let url = format!("postgres://postgres@{}/postgres?target_session_attrs=read-write", hosts.join(","));
    let server = node(ISSUER, &clock, tokens(&url).await);
    let kept: Vec<String> = (0..50).map(|_| issue(&server).text("access_token")).collect();
    first.kill();
    assert_eq!(issue(&server).status, 503, "the standby only reads");
    let change = sql(&second.url).await;
    for command in ["SELECT pg_promote()", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"] {
        change.batch_execute(command).await.unwrap();
    }
    until(async || issue(&server).status == 200).await;
    assert!(kept.iter().all(|token| is_active(&server, token)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-009
async fn a_database_that_hangs_is_a_503_and_no_longer() {
    let (database, clock) = (Private::start("postgres", &[]), TestClock::at(NOW));
    let server = node(ISSUER, &clock, tokens(&database.url).await);
    let before = issue(&server).text("access_token");
    database.signal("STOP");
    let stopped = issue(&server).status;
    let read = wait(|| introspect(&server, &about(&before))).status;
    database.signal("CONT");
    assert_eq!((stopped, read), (503, 503));
    until(async || issue(&server).status == 200).await;
    assert!(is_active(&server, &before));
}

/// A way to a database that, while it is silent, lets a connection be made and swallows all later answers.
struct Relay {
    url: String,
    is_silent: Arc<AtomicBool>,
}

impl Relay {
    async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = url.split(['@', '/']).nth(3).unwrap().to_owned();
        let (url, is_silent) = (url.replace(&host, &listener.local_addr().unwrap().to_string()), Arc::default());
        let silent = Arc::clone(&is_silent);
        tokio::spawn(async move {
            loop {
                let (near, far) = (listener.accept().await.unwrap().0, TcpStream::connect(&host).await.unwrap());
                let silent: Arc<AtomicBool> = Arc::clone(&silent);
                tokio::spawn(async move {
                    let ((mut near, mut to_near), (mut far, mut to_far)) = (near.into_split(), far.into_split());
                    let back = async {
                        let (mut octets, mut is_made) = ([0; 8192], false);
                        while let Ok(length @ 1..) = far.read(&mut octets).await {
                            if is_made && silent.load(Ordering::SeqCst) {
                                continue;
                            }
                            to_near.write_all(&octets[..length]).await.unwrap();
                            is_made |= octets[..length].ends_with(b"Z\0\0\0\x05I"); // ready for a query
                        }
                    };
                    tokio::select! { _ = tokio::io::copy(&mut near, &mut to_far) => (), () = back => () }
                });
            }
        });
        Self { url, is_silent }
    }

    fn be_silent(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-009, ST-010, ST-015
async fn a_database_that_takes_connections_and_says_no_more_holds_up_nobody() {
    let (relay, clock) = (Relay::to(&database().await).await, TestClock::at(NOW));
    let server = node(ISSUER, &clock, tokens(&relay.url).await);
    relay.be_silent(true);
    assert_eq!(issue(&server).status, 503, "on a connection that was there");
    assert_eq!(issue(&server).status, 503, "on a new one");
    assert!(PostgresTokenStore::connect(&relay.url).await.is_err(), "nor does it keep a node at its start");
    relay.be_silent(false);
    until(async || issue(&server).status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
async fn who_listens_to_silence_begins_anew() {
    let url = database().await;
    let (relay, look) = (Relay::to(&url).await, sql(&url).await);
    let clients = PostgresClientStore::connect(&relay.url, ISSUER).await.unwrap();
    relay.be_silent(true);
    let (told, mut heard) = mpsc::unbounded_channel();
    let _watching = clients.watch(&relay.url, move |changed| told.send(changed.map(str::to_owned)).unwrap()).unwrap();
    let listening = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    until(async || !look.query(listening, &[]).await.unwrap().is_empty()).await;
    relay.be_silent(false);
    assert_eq!(heard.recv().await.unwrap(), None, "it begins");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-009, ST-010
async fn of_several_hosts_one_that_is_gone_leaves_time_for_the_next() {
    let gone = TcpSocket::new_v4().unwrap();
    gone.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = gone.listen(0).unwrap();
    let address = gone.local_addr().unwrap();
    let _queue = TcpStream::connect(address).await.unwrap(); // is full: who comes next hears nothing
    for options in ["target_session_attrs=read-write", "connect_timeout=10"] {
        let url = database().await.replace('@', &format!("@{address},")) + "?" + options;
        assert_eq!(tokens(&url).await.insert(&[one_time(1, 1, NOW + 1)], at(NOW)).await.unwrap(), Inserted::All);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-009, ST-010
async fn commits_that_wait_for_a_standby_use_up_no_connections() {
    let (database, clock) = (Private::start("postgres", &[]), TestClock::at(NOW));
    let (server, change) = (node(ISSUER, &clock, tokens(&database.url).await), sql(&database.url).await);
    let standby = async |command: &str| {
        change.batch_execute(command).await.unwrap();
        change.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        // Each call has a look at the settings first.
        change.batch_execute("SELECT 1").await.unwrap();
    };
    standby("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    until(async || issue(&server).outcome() == (503, "temporarily_unavailable".into())).await;
    let waiting = "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    until(async || change.query(waiting, &[]).await.unwrap().is_empty()).await;
    standby("ALTER SYSTEM RESET synchronous_standby_names").await;
    until(async || issue(&server).status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-009, ST-010
async fn a_full_disk_is_a_503_until_there_is_room() {
    // Files of at most 24 MB: enough for the log, not for the table.
    let (database, clock) = (Private::start_after("ulimit -f 24576;", "postgres", &[]), TestClock::at(NOW));
    let server = node(ISSUER, &clock, tokens(&database.url).await);
    let before = issue(&server).text("access_token");
    let fill = sql(&database.url).await;
    for (octets, rows) in [(1000, 1000), (100, 100), (1, 1)] {
        let rows = format!(
            "INSERT INTO client_credentials.records
             SELECT sha256(random()::text::bytea), 0, repeat('x', {octets}) FROM generate_series(1, {rows})"
        );
        while fill.batch_execute(&rows).await.is_ok() {}
    }
    let refused = loop {
        let answer = issue(&server);
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(refused.outcome(), (503, "temporarily_unavailable".into()));
    assert!(is_active(&server, &before), "what is there can be read");
    assert!(server.tokens().remove_expired(at(NOW)).await.unwrap() > 0);
    fill.batch_execute("VACUUM client_credentials.records").await.unwrap();
    until(async || issue(&server).status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
// req: ST-010
async fn who_stops_waiting_leaves_all_or_nothing() {
    let url = database().await;
    let (store, look) = (tokens(&url).await, sql(&url).await);
    for number in 0..50 {
        let records = [one_time(1, number, NOW + 60), one_time(2, number, NOW + 60)];
        {
            let mut insert = std::pin::pin!(store.insert(&records, at(NOW)));
            for _ in 0..number {
                std::future::poll_fn(|context| {
                    let _ = insert.as_mut().poll(context);
                    std::task::Poll::Ready(())
                })
                .await;
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(store.insert(&[one_time(3, number, NOW + 60)], at(NOW)).await.unwrap(), Inserted::All);
        let keys = records.each_ref().map(|record| record.key.as_bytes().as_slice());
        let both = "SELECT count(*) FROM client_credentials.records WHERE key IN ($1, $2)"; // at one moment
        let found: i64 = look.query_one(both, &[&keys[0], &keys[1]]).await.unwrap().get(0);
        assert!([0, 2].contains(&found), "{number}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
async fn every_node_hears_of_changed_clients() {
    let url = database().await;
    let clients = PostgresClientStore::connect(&url, ISSUER).await.unwrap();
    let other = PostgresClientStore::connect(&url, "https://other.example.com").await.unwrap();
    let (told, mut heard) = mpsc::unbounded_channel();
    let watching = clients.watch(&url, move |changed| told.send(changed.map(str::to_owned)).unwrap()).unwrap();
    assert_eq!(heard.recv().await.unwrap(), None, "it begins");
    let registered = |client_id: &str| Client::new(client_id.parse().unwrap());
    other.register(registered("of another issuer")).await.unwrap();
    clients.register(registered("größe \"'")).await.unwrap();
    clients.disable("größe \"'").await.unwrap();
    assert!(clients.delete("größe \"'").await.unwrap());
    for _ in 0..3 {
        assert_eq!(heard.recv().await.unwrap().as_deref(), Some("größe \"'"));
    }
    let change = sql(&url).await;
    // Whoever asked for either name may have kept an answer.
    clients.register(registered("old")).await.unwrap();
    change
        .batch_execute("UPDATE client_credentials.clients SET client_id = 'new' WHERE client_id = 'old'")
        .await
        .unwrap();
    for client_id in ["old", "new", "old"] {
        assert_eq!(heard.recv().await.unwrap().as_deref(), Some(client_id));
    }
    change
        .batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        .await
        .unwrap();
    assert_eq!(heard.recv().await.unwrap(), None, "it begins anew");
    clients.register(registered("later")).await.unwrap();
    assert_eq!(heard.recv().await.unwrap().as_deref(), Some("later"));
    change.batch_execute("TRUNCATE client_credentials.clients").await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), None);
    drop(watching);
    assert_eq!(heard.recv().await, None, "and ends");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
async fn functions_of_others_in_the_search_path_are_not_called() {
    let url = database().await;
    let clients = PostgresClientStore::connect(&url, ISSUER).await.unwrap();
    // Up to PostgreSQL 14 every role may make them; they match better than the system's own.
    let others =
        [("nextval(text)", "bigint"), ("json_build_array(text, text)", "json"), ("pg_notify(text, text)", "void")];
    for (function, answer) in others {
        let make = format!(
            "CREATE FUNCTION public.{function} RETURNS {answer} LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$"
        );
        sql(&url).await.batch_execute(&make).await.unwrap();
    }
    clients.register(Client::new("c".parse().unwrap())).await.unwrap();
    clients.disable("c").await.unwrap();
    assert!(clients.delete("c").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
async fn a_node_that_caches_clients_hears_of_a_change_on_another_and_asks_nothing_else() {
    let (url, clock) = (database().await, TestClock::at(NOW));
    let (administration, tokens) = (PostgresClientStore::connect(&url, ISSUER).await.unwrap(), tokens(&url).await);
    let mut registered = Client::new("c".parse().unwrap());
    registered.scope = Some(Scope::parse("read").unwrap());
    registered.token_endpoint_auth_method = vec!["client_secret_post".into()];
    let secret = administration.register(registered).await.unwrap();

    let cache = Arc::new(CachedClientStore::new(tokens.clients(ISSUER)));
    let (told, mut heard) = (Arc::clone(&cache), mpsc::unbounded_channel());
    let watching = administration.watch(&url, move |changed| {
        match changed {
            Some(client_id) => told.invalidate(client_id),
            None => told.invalidate_all(),
        }
        heard.0.send(()).unwrap();
    });
    let _watching = watching.unwrap();
    heard.1.recv().await.unwrap();
    let server = AuthorizationServer::new(config(json!({})), cache, tokens).unwrap().with_clock(clock);
    let ask = |secret: &str| {
        let form = format!("grant_type=client_credentials&client_id=c&client_secret={secret}&scope=read");
        wait(|| token(&server, &Sent::form(form))).status
    };
    assert_eq!(ask(secret.expose()), 200);

    let counted = sql(&url).await;
    counted.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await.unwrap();
    let (before, mut kinds) = (calls(&counted).await, 0);
    for _ in 0..20 {
        kinds += usize::from(ask(secret.expose()) == 200);
    }
    assert_eq!((kinds, calls(&counted).await - before), (20, 20), "one insert each");

    let second = administration.rotate_secret("c", std::time::Duration::ZERO, at(NOW)).await.unwrap();
    heard.1.recv().await.unwrap();
    assert_eq!((ask(secret.expose()), ask(second.expose())), (401, 200));
    administration.disable("c").await.unwrap();
    heard.1.recv().await.unwrap();
    assert_eq!(ask(second.expose()), 401);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
async fn changes_of_one_client_at_once_all_take_effect() {
    let url = database().await;
    let clients = PostgresClientStore::connect(&url, ISSUER).await.unwrap();
    clients.register(Client::new("c".parse().unwrap())).await.unwrap();
    let changes = (0..8).map(|number| {
        let clients = clients.clone();
        tokio::spawn(async move {
            let add = |client: &mut Client| client.grant_types.push(format!("urn:{number}"));
            clients.change("c", add).await.unwrap();
        })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap();
    }
    let found = clients.client("c").await.unwrap().unwrap();
    assert_eq!(found.grant_types.len(), 1 + 8, "{:?}", found.grant_types);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run tests/run"]
async fn ten_thousand_clients_are_added_together_or_not_at_all() {
    let url = database().await;
    let clients = PostgresClientStore::connect(&url, ISSUER).await.unwrap();
    let mut many: Vec<Client> =
        (0..10_000).map(|number| Client::new(format!("c{number:05}").parse().unwrap())).collect();
    clients.register(Client::new("c09999".parse().unwrap())).await.unwrap();
    let taken = clients.add(&many).await.unwrap();
    assert_eq!(taken, Added::Taken("c09999".parse().unwrap()));
    assert_eq!(clients.page(None, usize::MAX).await.unwrap().len(), 1);
    many.pop();
    assert_eq!(clients.add(&many).await.unwrap(), Added::All);
    let (mut seen, mut after) = (0, None);
    loop {
        let page = clients.page(after.as_deref(), 999).await.unwrap();
        seen += page.len();
        let Some(last) = page.last() else { break };
        after = Some(last.client_id.as_str().to_owned());
    }
    assert_eq!(seen, 10_000);
}
