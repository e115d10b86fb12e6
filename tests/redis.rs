//! Tokens in Redis and in a Redis Cluster: what nodes see of each other, what outlives a kill, and servers that are away, full, of
//! another role, or not fit.
#![cfg(feature = "redis")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test panics where it fails"
)]

mod support;

use client_credentials::store::{MemoryClientStore, RedisError, RedisTokenStore};
use client_credentials::{
    AuthorizationServer, ClientId, Inserted, Record, RecordKey, RecordValue, Scope, StoreError, Timestamp, TokenRecord,
    TokenStore,
};
use serde_json::json;
use std::collections::HashMap;
use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::{env, fs, thread};
use support::durable::{ASK, ISSUER, about, one_insert_wins};
use support::servers::Private;
use support::*;
use tokio::runtime::Runtime;

/// What `tests/servers` starts each node of a cluster with.
const NODE: [&str; 4] = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];

/// Where the connections live; the tests call the store from threads of their own.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

fn connect(url: &str) -> RedisTokenStore {
    RUNTIME.block_on(RedisTokenStore::connect(url)).unwrap()
}

/// The server that all tests share, which none of them breaks.
fn shared() -> String {
    env::var("CLIENT_CREDENTIALS_REDIS").expect("CLIENT_CREDENTIALS_REDIS names no server")
}

fn shared_cluster() -> String {
    env::var("CLIENT_CREDENTIALS_REDIS_CLUSTER").expect("CLIENT_CREDENTIALS_REDIS_CLUSTER names no cluster")
}

/// A server of a test's own, which it may break.
fn own_server(settings: &[&str]) -> Private {
    Private::start("redis", settings)
}

fn own_cluster() -> Private {
    Private::start("cluster", &[])
}

/// One node of a cluster.
fn node_of(cluster: &Private, number: u8) -> Node {
    let folder = cluster.folder.join(number.to_string());
    let port = fs::read_to_string(folder.join("port")).unwrap();
    Node { url: format!("redis://127.0.0.1:{}", port.trim()), folder }
}

struct Node {
    folder: PathBuf,
    url: String,
}

fn command<A: redis::FromRedisValue>(url: &str, line: &str) -> A {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = command.arg(word));
    command.query(&mut redis::Client::open(url).unwrap().get_connection().unwrap()).unwrap()
}

type Server = AuthorizationServer<MemoryClientStore, RedisTokenStore>;

/// A server as one node has it.
fn node(url: &str, issuer: &str, clock: &TestClock) -> Server {
    durable::node(issuer, clock, connect(url))
}

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

/// A key that no other test uses.
fn key() -> RecordKey {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut octets = [0; 32];
    let start = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    octets[..8].copy_from_slice(&start.to_be_bytes());
    octets[8..16].copy_from_slice(&u64::from(std::process::id()).to_be_bytes());
    octets[16..24].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    RecordKey::from_bytes(octets)
}

fn one_time(until: u64) -> Record {
    Record::new(key(), Timestamp::from_secs(until), RecordValue::OneTime)
}

fn token_record(until: u64) -> Record {
    let token = TokenRecord::new("c".parse::<ClientId>().unwrap(), Scope::parse("read").unwrap(), now());
    Record::new(key(), Timestamp::from_secs(until), RecordValue::AccessToken(token))
}

fn insert(store: &RedisTokenStore, records: &[Record]) -> Result<Inserted, StoreError> {
    run(store.insert(records, now()))
}

/// Asks until it is done again.
fn comes_back<A>(ask: impl FnMut() -> Option<A>) -> A {
    let mut ask = ask;
    for _ in 0..1000 {
        if let Some(answer) = ask() {
            return answer;
        }
        thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it does not come back");
}

// The contract.

#[cfg(feature = "conformance")]
#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-004, ST-006, ST-007, ST-012
fn a_server_keeps_every_promise() {
    keeps_every_promise(&shared());
}

#[cfg(feature = "conformance")]
#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-004, ST-006, ST-007, ST-012
fn a_cluster_keeps_every_promise() {
    keeps_every_promise(&shared_cluster());
}

#[cfg(feature = "conformance")]
fn keeps_every_promise(url: &str) {
    use client_credentials::store::conformance;
    let store = connect(url);
    RUNTIME.block_on(conformance::token_store(async || RedisTokenStore::connect(url).await.unwrap()));
    run(conformance::token_store(async || &store));
    conformance::token_store_on_threads(async || &store);
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-006, ST-007
fn of_many_inserts_by_two_nodes_one_wins_and_the_others_leave_nothing() {
    for url in [shared(), shared_cluster()] {
        let stores = [connect(&url), connect(&url)];
        one_insert_wins(&stores, 300, &one_time(NOW + 60), |_| token_record(NOW + 60));
    }
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-012
fn the_first_key_is_named_also_where_one_stands_twice() {
    for url in [shared(), shared_cluster()] {
        let store = connect(&url);
        let [a, b, c] = [(); 3].map(|()| one_time(NOW + 60));
        assert_eq!(insert(&store, std::slice::from_ref(&a)).unwrap(), Inserted::All);
        let twice = [b.clone(), c.clone(), a.clone(), b.clone()];
        assert_eq!(insert(&store, &twice).unwrap(), Inserted::Exists(a.key));
        let twice = [b.clone(), c.clone(), b.clone(), a.clone()];
        assert_eq!(insert(&store, &twice).unwrap(), Inserted::Exists(b.key));
        assert_eq!(insert(&store, &[b, c]).unwrap(), Inserted::All, "nothing was left");
    }
}

#[test]
#[ignore = "needs Redis: run tests/run"]
fn who_stops_waiting_leaves_all_or_nothing() {
    for url in [shared(), shared_cluster()] {
        let store = connect(&url);
        for polls in 0..60 {
            let records = [one_time(NOW + 60), token_record(NOW + 60)];
            {
                let mut insert = std::pin::pin!(store.insert(&records, now()));
                for _ in 0..=polls {
                    if insert.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready() {
                        break;
                    }
                }
            }
            // Behind it.
            let again = insert(&store, &[records[0].clone(), one_time(NOW + 60)]).unwrap();
            let found = run(store.get(&records[1].key)).unwrap().is_some();
            assert_eq!(found, again == Inserted::Exists(records[0].key), "{polls}");
        }
    }
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-011
fn lives_of_any_length_are_kept_and_what_is_past_leaves() {
    for url in [shared(), shared_cluster()] {
        let store = connect(&url);
        let endless = Record::new(key(), Timestamp::from_millis(u64::MAX), RecordValue::OneTime);
        let (past, short) = (one_time(NOW - 90), one_time(NOW - 59));
        for record in [&endless, &past, &short] {
            assert_eq!(insert(&store, std::slice::from_ref(record)).unwrap(), Inserted::All);
        }
        let [endless_too, past_too] =
            [&endless, &past].map(|record| Record::new(key(), record.expires_at, RecordValue::OneTime));
        assert_eq!(insert(&store, &[endless_too.clone(), past_too]).unwrap(), Inserted::All);
        assert_eq!(insert(&store, std::slice::from_ref(&endless)).unwrap(), Inserted::Exists(endless.key));
        let far = Timestamp::from_millis(i64::MAX as u64);
        assert!(run(store.get(&endless_too.key)).unwrap().is_some_and(|record| record.expires_at == far));
        comes_back(|| run(store.get(&short.key)).unwrap().is_none().then_some(()));
        comes_back(|| run(store.get(&past.key)).unwrap().is_none().then_some(()));
    }
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-011
fn redis_forgets_what_is_past() {
    let own = own_server(&[]);
    let store = connect(&own.url);
    for _ in 0..100 {
        assert_eq!(insert(&store, &[one_time(NOW - 59), token_record(NOW - 59)]).unwrap(), Inserted::All);
    }
    let lives = one_time(NOW + 600);
    assert_eq!(insert(&store, std::slice::from_ref(&lives)).unwrap(), Inserted::All);
    comes_back(|| (command::<u64>(&own.url, "DBSIZE") == 1).then_some(()));
    assert_eq!(run(store.get(&lives.key)).unwrap(), Some(lives));
}

// Tokens through a server.

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-001, ST-005, ST-013, ST-016
fn a_token_outlives_redis_and_its_end_is_seen_by_all() {
    let settings = ["--appendonly", "yes", "--appendfsync", "always", "--rdbcompression", "no"];
    let (own, clock) = (own_server(&settings), TestClock::at(NOW));
    let [one, two] = [(); 2].map(|()| node(&own.url, ISSUER, &clock));
    let issued = token(&one, &Sent::form(ASK)).text("access_token");
    let told = introspect(&two, &about(&issued)).json();
    assert_eq!((&told["active"], &told["scope"], &told["iat"]), (&json!(true), &json!("read"), &json!(NOW)));
    let other = node(&own.url, "https://other.example.com", &clock);
    assert_eq!(introspect(&other, &about(&issued)).json(), json!({ "active": false }), "another issuer in this Redis");

    command::<()>(&own.url, "SAVE");
    let dump = files(&own.folder).concat();
    let holds = |text: &str| dump.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("ccgrant:") && holds("issued_at") && !holds(&issued));

    own.kill();
    own.restart();
    let active = |server| {
        let told = introspect(server, &about(&issued));
        (told.status == 200).then(|| told.json()["active"].as_bool().unwrap())
    };
    assert!([&one, &two].map(|server| comes_back(|| active(server))).iter().all(|active| *active));
    assert_eq!(revoke(&one, &about(&issued)).status, 200);
    assert_eq!(active(&two), Some(false));
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![fs::read(path).unwrap()] }).collect()
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-017
fn a_thousand_requests_at_once_get_tokens_of_their_own() {
    for url in [shared(), shared_cluster()] {
        let (server, issued) = (node(&url, ISSUER, &TestClock::at(NOW)), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        issued.lock().unwrap().push(token(&server, &Sent::form(ASK)).text("access_token"));
                    }
                });
            }
        });
        let mut issued = issued.into_inner().unwrap();
        issued.sort_unstable();
        issued.dedup();
        assert_eq!(issued.len(), 1000);
        assert!(issued.iter().all(|token| introspect(&server, &about(token)).json()["active"] == true));
    }
}

#[test]
#[ignore = "needs Redis: run tests/run"]
fn an_issue_is_one_command() {
    let own = own_server(&[]);
    let server = node(&own.url, ISSUER, &TestClock::at(NOW));
    let store = connect(&own.url);
    let calls = || {
        let told: String = command(&own.url, "INFO commandstats");
        let calls = told.lines().filter_map(|line| {
            let (name, told) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), told.split(',').next()?.parse::<u64>().unwrap()))
        });
        let mut calls = calls.collect::<HashMap<_, _>>();
        calls.retain(|name, _| ["get", "set", "eval", "evalsha", "del", "script|load"].contains(&&**name));
        calls
    };
    let count = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, calls)| ((*name).to_owned(), *calls)).collect();
    command::<()>(&own.url, "CONFIG RESETSTAT");
    for _ in 0..10 {
        assert_eq!(token(&server, &Sent::form(ASK)).status, 200);
    }
    assert_eq!(calls(), count(&[("set", 10)]));

    let _ = insert(&store, &[one_time(NOW + 60), one_time(NOW + 60)]).unwrap(); // brings the script
    command::<()>(&own.url, "CONFIG RESETSTAT");
    for _ in 0..10 {
        assert_eq!(insert(&store, &[one_time(NOW + 60), token_record(NOW + 60)]).unwrap(), Inserted::All);
    }
    assert_eq!(calls(), count(&[("evalsha", 10), ("get", 20), ("set", 20)]), "what the script does counts as well");
    command::<()>(&own.url, "SCRIPT FLUSH");
    assert_eq!(insert(&store, &[one_time(NOW + 60), token_record(NOW + 60)]).unwrap(), Inserted::All);
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-009
fn a_record_that_cannot_be_read_is_no_token() {
    let own = own_server(&[]);
    let server = node(&own.url, ISSUER, &TestClock::at(NOW));
    let issued = token(&server, &Sent::form(ASK)).text("access_token");
    let name: Vec<String> = command(&own.url, "KEYS *");
    let mut connection = redis::Client::open(&*own.url).unwrap().get_connection().unwrap();
    for value in ["", "{}", "1767229200000", "1767229200000 {}", "-1 \"one_time\"", "\u{fffd}"] {
        redis::cmd("SET").arg(&name[0]).arg(value).exec(&mut connection).unwrap();
        assert_eq!(introspect(&server, &about(&issued)).status, 503, "{value}");
    }
    command::<()>(&own.url, &format!("DEL {}", name[0]));
    command::<()>(&own.url, &format!("LPUSH {} 1", name[0]));
    assert_eq!(introspect(&server, &about(&issued)).status, 503);
    assert_eq!(token(&server, &Sent::form(ASK)).status, 200);
}

// Servers that break.

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-005, ST-010
fn a_killed_redis_that_logs_always_forgets_nothing_acknowledged() {
    // With `everysec` it may: where the disk is busy, Redis answers up to two seconds before it writes.
    let settings = ["--appendonly", "yes", "--appendfsync", "always"];
    let own = own_server(&settings);
    let store = connect(&own.url);
    let acknowledged = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let records = [one_time(NOW + 600), token_record(NOW + 600)];
                    match RUNTIME.block_on(store.insert(&records, now())) {
                        Ok(inserted) => assert_eq!(inserted, Inserted::All),
                        Err(_) => break,
                    }
                    acknowledged.lock().unwrap().push(records);
                }
            });
        }
        comes_back(|| (acknowledged.lock().unwrap().len() > 500).then_some(()));
        own.kill();
    });
    own.restart();
    comes_back(|| run(store.get(&key())).ok());
    for record in acknowledged.into_inner().unwrap().iter().flatten() {
        assert_eq!(run(store.get(&record.key)).unwrap().as_ref(), Some(record));
    }
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-009, ST-010
fn a_redis_that_is_away_is_an_error_until_it_is_back() {
    let own = own_server(&[]);
    let server = node(&own.url, ISSUER, &TestClock::at(NOW));
    let before = token(&server, &Sent::form(ASK)).text("access_token");
    for _ in 0..3 {
        own.kill();
        for _ in 0..3 {
            let refused = token(&server, &Sent::form(ASK));
            assert_eq!(refused.outcome(), (503, "temporarily_unavailable".into()));
            assert_eq!(refused.header("Retry-After"), Some("1"));
            assert_eq!(introspect(&server, &about(&before)).status, 503);
        }
        own.restart();
        let issued = comes_back(|| Some(token(&server, &Sent::form(ASK))).filter(|answer| answer.status == 200));
        assert_eq!(introspect(&server, &about(&issued.text("access_token"))).json()["active"], true);
    }
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-009
fn cut_connections_come_back() {
    let own = own_server(&[]);
    let store = connect(&own.url);
    for _ in 0..20 {
        let inserted = comes_back(|| insert(&store, &[one_time(NOW + 60), token_record(NOW + 60)]).ok());
        assert_eq!(inserted, Inserted::All);
        command::<u64>(&own.url, "CLIENT KILL TYPE normal");
    }
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-009, ST-010
fn a_full_redis_is_an_error_and_keeps_nothing() {
    let own = own_server(&[]);
    let (server, store) = (node(&own.url, ISSUER, &TestClock::at(NOW)), connect(&own.url));
    let before = token(&server, &Sent::form(ASK)).text("access_token");
    command::<()>(&own.url, "CONFIG SET maxmemory 1");
    assert_eq!(token(&server, &Sent::form(ASK)).outcome(), (503, "temporarily_unavailable".into()));
    let error = insert(&store, &[one_time(NOW + 60), token_record(NOW + 60)]).unwrap_err();
    assert!(error.to_string().contains("OOM"), "{error}");
    assert_eq!(introspect(&server, &about(&before)).json()["active"], true, "reading goes on");
    assert_eq!(revoke(&server, &about(&before)).status, 200);
    assert_eq!(command::<u64>(&own.url, "DBSIZE"), 0, "nothing of what was refused");
    command::<()>(&own.url, "CONFIG SET maxmemory 0");
    assert_eq!(token(&server, &Sent::form(ASK)).status, 200);
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-009, ST-010
fn a_replica_is_an_error_until_it_is_a_master() {
    let own = own_server(&[]);
    let server = node(&own.url, ISSUER, &TestClock::at(NOW));
    assert_eq!(token(&server, &Sent::form(ASK)).status, 200);
    command::<()>(&own.url, "REPLICAOF 127.0.0.1 1");
    assert_eq!(token(&server, &Sent::form(ASK)).outcome(), (503, "temporarily_unavailable".into()));
    command::<()>(&own.url, "REPLICAOF NO ONE");
    assert_eq!(token(&server, &Sent::form(ASK)).status, 200);
    assert_eq!(command::<u64>(&own.url, "DBSIZE"), 2);
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-009
fn another_master_behind_the_same_name_is_found() {
    let (old, new) = (own_server(&[]), own_server(&[]));
    let name = Name::of(&old.url);
    let store = connect(&name.url);
    let record = one_time(NOW + 60);
    assert_eq!(insert(&store, &[one_time(NOW + 60)]).unwrap(), Inserted::All);
    // The connection to what was the master stands.
    command::<()>(&old.url, "REPLICAOF 127.0.0.1 1");
    name.point_to(&new.url);
    assert!(insert(&store, std::slice::from_ref(&record)).unwrap_err().to_string().contains("ReadOnly"));
    assert_eq!(comes_back(|| insert(&store, std::slice::from_ref(&record)).ok()), Inserted::All);
    assert_eq!(command::<u64>(&new.url, "DBSIZE"), 1);
}

/// A name that leads to one server, and later to another one.
struct Name {
    url: String,
    target: Arc<Mutex<String>>,
}

impl Name {
    fn of(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = format!("redis://{}", listener.local_addr().unwrap());
        let target = Arc::new(Mutex::new(url.to_owned()));
        let leads_to = Arc::clone(&target);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let address = leads_to.lock().unwrap().trim_start_matches("redis://").to_owned();
                let Ok(far) = TcpStream::connect(address) else { continue };
                for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                    thread::spawn(move || {
                        let _ = copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { url: own, target }
    }

    fn point_to(&self, url: &str) {
        url.clone_into(&mut self.target.lock().unwrap());
    }
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-009
fn a_redis_that_says_nothing_holds_up_nobody_for_long_and_no_crowd() {
    let own = own_server(&[]);
    let store = Arc::new(connect(&own.url));
    own.signal("STOP");
    let calls = (0..5000).map(|_| {
        let store = Arc::clone(&store);
        RUNTIME.spawn(async move { store.get(&key()).await.unwrap_err().to_string() })
    });
    let calls = calls.collect::<Vec<_>>();
    let mut errors = HashMap::<_, usize>::new();
    for call in calls {
        *errors.entry(RUNTIME.block_on(call).unwrap()).or_default() += 1;
    }
    own.signal("CONT");
    assert!(errors["4096 calls wait for Redis"] <= 904, "{errors:?}");
    assert!(errors["Redis does not answer within 2 seconds"] >= 4096, "{errors:?}");
    assert_eq!(comes_back(|| insert(&store, &[one_time(NOW + 60)]).ok()), Inserted::All);
}

// Servers that are not fit.

#[test]
#[ignore = "needs Redis: run tests/run"]
fn a_redis_that_drops_what_lives_is_refused() {
    let own = own_server(&["--maxmemory-policy", "volatile-lru"]);
    let refused = RUNTIME.block_on(RedisTokenStore::connect(&own.url)).unwrap_err();
    assert!(matches!(&refused, RedisError::Evicts { policy } if policy == "volatile-lru"), "{refused}");
    command::<()>(&own.url, "CONFIG SET maxmemory-policy noeviction");
    connect(&own.url);

    let cluster = own_cluster();
    command::<()>(&node_of(&cluster, 3).url, "CONFIG SET maxmemory-policy allkeys-random");
    let refused = RUNTIME.block_on(RedisTokenStore::connect(&cluster.url)).unwrap_err();
    assert!(matches!(&refused, RedisError::Evicts { policy } if policy == "allkeys-random"), "{refused}");
}

#[test]
#[ignore = "needs Redis: run tests/run"]
fn no_password_is_repeated_and_a_user_without_info_is_served() {
    let own = own_server(&[]);
    command::<()>(&own.url, "ACL SETUSER issuer on >hunter2 ~ccgrant:* +get +set +del +evalsha +eval");
    let of = |user: &str| own.url.replace("redis://", &format!("redis://{user}@"));
    let store = connect(&of("issuer:hunter2"));
    assert_eq!(insert(&store, &[one_time(NOW + 60), token_record(NOW + 60)]).unwrap(), Inserted::All);
    assert!(format!("{store:?}").starts_with("RedisTokenStore(127.0.0.1:"), "{store:?}");

    let errors = [
        RUNTIME.block_on(RedisTokenStore::connect(&of("issuer:hunter3"))).unwrap_err(),
        RUNTIME.block_on(RedisTokenStore::connect("redis://issuer:hunter3@127.0.0.1:1")).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, RedisError::Connect(_)));
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
}

#[test]
// req: ST-014
fn urls_of_others_are_refused_by_a_message_that_does_not_repeat_them() {
    for url in ["", "mongodb://u:hunter2@x", "redis://u:hunter2@", "redis://u:hunter2@x/hunter2", "redis:hunter2"] {
        let error = RUNTIME.block_on(RedisTokenStore::connect(url)).unwrap_err();
        assert!(matches!(error, RedisError::Url), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
    for url in ["rediss://u:hunter2@x", "valkeys://u:hunter2@x/0"] {
        let error = RUNTIME.block_on(RedisTokenStore::connect(url)).unwrap_err();
        assert!(matches!(error, RedisError::Tls), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
    assert!(matches!(run(RedisTokenStore::connect("redis://127.0.0.1:1")), Err(RedisError::NoRuntime)));
}

#[test]
#[ignore = "needs Redis: run tests/run"]
fn a_socket_of_the_machine_is_a_way_too() {
    let socket = env::temp_dir().join(format!("client-credentials-redis-{}.sock", std::process::id()));
    let own = own_server(&["--unixsocket", socket.to_str().unwrap()]);
    let store = connect(&format!("unix://{}", socket.display()));
    assert_eq!(insert(&store, &[one_time(NOW + 60), token_record(NOW + 60)]).unwrap(), Inserted::All);
    drop(own);
    fs::remove_file(socket).unwrap();
}

// A cluster that breaks.

/// Address, port, identifier, and more.
type SlotNode = (String, u16, String, redis::Value);

/// The node that has this key.
fn home(cluster: &Private, key: &RecordKey) -> u8 {
    let slot: u64 = command(&cluster.url, &format!("CLUSTER KEYSLOT ccgrant:{key}"));
    let slots: Vec<(u64, u64, SlotNode)> = command(&cluster.url, "CLUSTER SLOTS");
    let (_, _, (_, port, ..)) = slots.into_iter().find(|(from, to, _)| (*from..=*to).contains(&slot)).unwrap();
    (1..=3).find(|number| node_of(cluster, *number).url.ends_with(&port.to_string())).unwrap()
}

/// Makes records until one lies on this node.
fn at(cluster: &Private, number: u8, make: impl Fn() -> Record) -> Record {
    std::iter::repeat_with(make).find(|record| home(cluster, &record.key) == number).unwrap()
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-009, ST-010
fn where_a_node_dies_between_two_steps_no_token_is_left() {
    let cluster = own_cluster();
    for number in 1..=3 {
        command::<()>(&node_of(&cluster, number).url, "CONFIG SET cluster-require-full-coverage no");
        command::<()>(&node_of(&cluster, number).url, "CONFIG SET appendonly yes");
    }
    let store = connect(&cluster.url);
    let spent = at(&cluster, 1, || one_time(NOW + 600));
    let lost = at(&cluster, 2, || token_record(NOW + 600));
    let other = at(&cluster, 2, || one_time(NOW + 600));
    let dead = node_of(&cluster, 2);
    servers::run(&["stop", dead.folder.to_str().unwrap()]);
    // The token comes last, whatever the order of the records.
    assert!(insert(&store, &[lost.clone(), spent.clone()]).is_err());
    assert!(insert(&store, &[lost.clone(), other.clone()]).is_err());
    assert_eq!(comes_back(|| run(store.get(&spent.key)).ok()), Some(spent.clone()), "it stays spent");
    servers::run(&[&["redis", dead.folder.to_str().unwrap(), "--appendonly", "yes"], &NODE[..]].concat());
    assert_eq!(comes_back(|| run(store.get(&lost.key)).ok()), None);
    let again = token_record(NOW + 600);
    assert_eq!(insert(&store, &[again.clone(), spent.clone()]).unwrap(), Inserted::Exists(spent.key));
    assert_eq!(run(store.get(&again.key)).unwrap(), None);
    assert_eq!(insert(&store, &[other, again]).unwrap(), Inserted::All, "what no step reached is unused");
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-009, ST-010
fn a_slot_without_a_node_fails_closed_and_one_that_moves_is_followed() {
    let cluster = own_cluster();
    for number in 1..=3 {
        command::<()>(&node_of(&cluster, number).url, "CONFIG SET cluster-require-full-coverage no");
    }
    let store = connect(&cluster.url);
    let [from, to] = [node_of(&cluster, 2), node_of(&cluster, 3)];
    let spent = at(&cluster, 1, || one_time(NOW + 600));
    let token = at(&cluster, 2, || token_record(NOW + 600));
    let slot: u64 = command(&cluster.url, &format!("CLUSTER KEYSLOT ccgrant:{}", token.key));
    command::<()>(&from.url, &format!("CLUSTER DELSLOTS {slot}"));
    assert!(insert(&store, &[spent.clone(), token.clone()]).is_err());
    assert_eq!(run(store.get(&spent.key)).unwrap(), Some(spent));
    command::<()>(&from.url, &format!("CLUSTER ADDSLOTS {slot}"));
    assert_eq!(comes_back(|| run(store.get(&token.key)).ok()), None);

    let id = |node: &Node| command::<String>(&node.url, "CLUSTER MYID");
    command::<()>(&to.url, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", id(&from)));
    command::<()>(&from.url, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", id(&to)));
    let fresh = at(&cluster, 1, || one_time(NOW + 600));
    let records = [fresh, token];
    assert_eq!(comes_back(|| insert(&store, &records).ok()), Inserted::All);
    assert_eq!(command::<u64>(&to.url, &format!("CLUSTER COUNTKEYSINSLOT {slot}")), 1, "it is where the slot goes");
    for node in [&to, &from] {
        command::<()>(&node.url, &format!("CLUSTER SETSLOT {slot} NODE {}", id(&to)));
    }
    assert_eq!(comes_back(|| run(store.get(&records[1].key)).ok()).as_ref(), Some(&records[1]));
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-009
fn a_cluster_comes_back() {
    let cluster = own_cluster();
    let store = connect(&cluster.url);
    let (stopped, record) = (node_of(&cluster, 2), at(&cluster, 2, || one_time(NOW + 60)));
    servers::signal(&stopped.folder, "STOP");
    assert!(insert(&store, &[record]).is_err());
    servers::signal(&stopped.folder, "CONT");
    assert_eq!(comes_back(|| insert(&store, &[one_time(NOW + 60), token_record(NOW + 60)]).ok()), Inserted::All);

    // The node that was named is one of many.
    cluster.kill();
    assert!(insert(&store, &[one_time(NOW + 60)]).is_err());
    for number in [2, 3, 1] {
        servers::run(&[&["redis", node_of(&cluster, number).folder.to_str().unwrap()], &NODE[..]].concat());
    }
    assert_eq!(comes_back(|| insert(&store, &[one_time(NOW + 60), token_record(NOW + 60)]).ok()), Inserted::All);
}

#[test]
#[ignore = "needs Redis: run tests/run"]
// req: ST-005, ST-009
fn a_replica_of_a_cluster_that_takes_over_is_followed() {
    let cluster = own_cluster();
    let folder = cluster.folder.join("4");
    servers::run(&[&["redis", folder.to_str().unwrap()], &NODE[..]].concat());
    let [first, master, replica] = [1, 2, 4].map(|number| node_of(&cluster, number));
    let port = |node: &Node| node.url.rsplit(':').next().unwrap().to_owned();
    command::<()>(&replica.url, &format!("CLUSTER MEET 127.0.0.1 {}", port(&first)));
    let id: String = command(&master.url, "CLUSTER MYID");
    comes_back(|| command::<String>(&replica.url, "CLUSTER NODES").contains(&id).then_some(()));
    command::<()>(&replica.url, &format!("CLUSTER REPLICATE {id}"));
    let told = |node: &Node, what: &str| command::<String>(&node.url, "INFO replication").contains(what).then_some(());
    comes_back(|| told(&replica, "master_link_status:up"));

    let store = connect(&cluster.url);
    let mut fresh = (0..100).map(|_| at(&cluster, 2, || one_time(NOW + 600))).collect::<Vec<_>>();
    // A value whose insert failed may be spent.
    let mut insert_fresh = || {
        comes_back(|| {
            let record = fresh.pop().unwrap();
            let inserted = insert(&store, &[record.clone(), token_record(NOW + 600)]).ok()?;
            assert_eq!(inserted, Inserted::All);
            Some(record)
        })
    };
    let before = insert_fresh();
    command::<()>(&replica.url, "CLUSTER FAILOVER");
    comes_back(|| told(&master, "role:slave"));
    let between = insert_fresh();
    assert_eq!(insert(&store, std::slice::from_ref(&before)).unwrap(), Inserted::Exists(before.key));
    comes_back(|| told(&master, "master_link_status:up"));
    let replicated = |node: &Node| {
        let told: String = command(&node.url, "INFO replication");
        told.lines().find_map(|line| line.strip_prefix("master_repl_offset:")).unwrap().to_owned()
    };
    comes_back(|| (replicated(&master) == replicated(&replica)).then_some(()));
    servers::run(&["stop", folder.to_str().unwrap()]);
    comes_back(|| told(&master, "role:master"));
    insert_fresh();
    for spent in [before, between] {
        let again = comes_back(|| insert(&store, std::slice::from_ref(&spent)).ok());
        assert_eq!(again, Inserted::Exists(spent.key));
    }
}
