//! Clients in the file: what an operator does, what each process sees of it, and rows that are not ours.

use super::*;
use client_credentials::store::{Added, ClientRegistry, RegistryError, SqliteClientStore, StoreError};
use client_credentials::{Client, ClientStore, Scope};
use std::error::Error;
use std::time::Duration;

impl Folder {
    fn clients(&self, issuer: &str) -> SqliteClientStore {
        SqliteClientStore::open(self.file(), issuer).unwrap()
    }

    /// A server whose clients are in the file too.
    fn full_server(&self, clock: &TestClock) -> AuthorizationServer<SqliteClientStore, SqliteTokenStore> {
        let tokens = self.open();
        let server = AuthorizationServer::new(config(json!({ "issuer": ISSUER })), tokens.clients(ISSUER), tokens);
        server.unwrap().with_clock(clock.clone())
    }

    fn change(&self, sql: &str) {
        Connection::open(self.file()).unwrap().execute_batch(sql).unwrap();
    }
}

/// A client that asks by post.
fn named(client_id: &str) -> Client {
    client(json!({
        "client_id": client_id, "token_endpoint_auth_method": "client_secret_post", "scope": "read", "default_scope": "read",
        "grant_types": ["client_credentials"],
    }))
}

fn many(count: usize) -> Vec<Client> {
    (0..count).map(|number| named(&format!("client {number}"))).collect()
}

fn asks(secret: &str) -> Sent {
    Sent::form(format!("grant_type=client_credentials&client_id=reports&client_secret={secret}"))
}

fn asks_about(token: &str, secret: &str) -> Sent {
    Sent::form(format!("token={token}&client_id=reports&client_secret={secret}"))
}

fn ids(clients: &[Arc<Client>]) -> Vec<&str> {
    clients.iter().map(|client| client.client_id.as_str()).collect()
}

#[cfg(feature = "conformance")]
#[test]
fn it_keeps_every_promise_of_clients() {
    use client_credentials::store::conformance;
    let folders = std::sync::Mutex::new(Vec::new());
    let open = || {
        let folder = Folder::new();
        let store = SqliteClientStore::open(folder.file(), registrations(ISSUER)).unwrap();
        folders.lock().unwrap().push(folder);
        store
    };
    run(conformance::client_store(async |clients: Vec<Client>| {
        let store = open();
        assert_eq!(store.add(&clients).await.unwrap(), Added::All);
        store
    }));
    run(conformance::client_registry(async || open()));
}

#[test]
// req: ST-005, ST-013, ST-016
fn a_client_outlives_the_process_and_a_change_is_seen_by_all() {
    let (folder, clock) = (Folder::new(), TestClock::at(NOW));
    let secret = run(folder.clients(ISSUER).register(named("reports"))).unwrap();
    let secret = secret.expose();
    let (one, two) = (folder.full_server(&clock), folder.full_server(&clock));
    let issued = token(&one, &asks(secret)).text("access_token");
    let is_active = |server| introspect(server, &asks_about(&issued, secret)).json()["active"] == true;
    assert!(is_active(&one) && is_active(&two));

    run(one.clients().disable("reports")).unwrap();
    assert_eq!(token(&two, &asks(secret)).outcome(), (401, "invalid_client".into()));
    run(two.clients().enable("reports")).unwrap();
    assert!(is_active(&one));

    run(two.clients().end_tokens("reports", Timestamp::from_secs(NOW))).unwrap();
    assert!(!is_active(&one) && !is_active(&two), "the tokens ended with one write");
    clock.advance(1);
    let later = token(&one, &asks(secret)).text("access_token");
    assert_eq!(introspect(&two, &asks_about(&later, secret)).json()["active"], true);

    assert!(run(one.clients().delete("reports")).unwrap());
    assert!(!run(two.clients().delete("reports")).unwrap());
    assert_eq!(token(&two, &asks(secret)).outcome(), (401, "invalid_client".into()));
    assert!(run(folder.clients("https://other.example.com").client("reports")).unwrap().is_none());
}

#[test]
// req: ST-016
fn the_clients_of_two_issuers_are_kept_apart() {
    let folder = Folder::new();
    let tokens = folder.open();
    let [one, two] = [ISSUER, "https://other.example.com"].map(|issuer| tokens.clients(issuer));
    assert_eq!(run(one.add(&[named("reports")])).unwrap(), Added::All);
    assert_eq!(run(two.add(&[named("reports"), named("b")])).unwrap(), Added::All);
    run(one.change("reports", |client| client.client_name = Some("one".into()))).unwrap();
    assert_eq!(run(two.client("reports")).unwrap().unwrap().client_name, None);
    assert!(run(one.delete("reports")).unwrap());
    assert_eq!(
        (ids(&run(one.page(None, 9)).unwrap()), ids(&run(two.page(None, 9)).unwrap())),
        (vec![], vec!["b", "reports"])
    );
}

#[test]
fn two_secrets_stand_while_they_overlap() {
    let (folder, clock) = (Folder::new(), TestClock::at(NOW));
    let server = folder.full_server(&clock);
    let clients = folder.clients(ISSUER);
    let first = run(clients.register(named("reports"))).unwrap();
    let rotate = || run(clients.rotate_secret("reports", Duration::from_secs(60), Timestamp::from_secs(NOW)));
    let second = rotate().unwrap();
    let outcomes = || [&first, &second].map(|secret| token(&server, &asks(secret.expose())).status);
    assert_eq!(outcomes(), [200, 200]);
    clock.advance(60);
    assert_eq!(outcomes(), [401, 200]);
    assert!(matches!(
        run(clients.rotate_secret("nobody", Duration::ZERO, Timestamp::from_secs(NOW))),
        Err(RegistryError::Unknown)
    ));
}

#[test]
fn changes_at_once_by_two_processes_all_take_effect() {
    let folder = Folder::new();
    let stores = [folder.clients(ISSUER), folder.clients(ISSUER)];
    assert_eq!(run(stores[0].add(&[named("reports")])).unwrap(), Added::All);
    thread::scope(|scope| {
        for number in 0..8 {
            let store = stores[number % 2].clone();
            scope.spawn(move || {
                for turn in 0..5 {
                    let add = |client: &mut Client| client.grant_types.push(format!("urn:{number}:{turn}"));
                    while let Err(error) = run(store.change("reports", add)) {
                        assert!(matches!(error, RegistryError::Contended), "{error}");
                    }
                }
            });
        }
    });
    let mut kept = run(stores[0].client("reports")).unwrap().unwrap().grant_types.clone();
    kept.sort_unstable();
    kept.dedup();
    assert_eq!(kept.len(), 1 + 40);
}

#[test]
fn a_revision_is_never_had_again() {
    let folder = Folder::new();
    let store = folder.clients(ISSUER);
    let mut had = Vec::new();
    for turn in 0..3 {
        assert_eq!(run(store.add(&[named("reports")])).unwrap(), Added::All);
        let before = run(store.registered("reports")).unwrap().unwrap();
        assert!(run(store.replace(&before.client, before.revision)).unwrap());
        let after = run(store.registered("reports")).unwrap().unwrap();
        had.extend([before.revision, after.revision]);
        assert!(run(store.delete("reports")).unwrap());
        for old in &had {
            assert!(!run(store.replace(&before.client, *old)).unwrap(), "{turn}: there is none");
        }
        assert_eq!(run(store.add(&[named("reports")])).unwrap(), Added::All);
        for old in &had {
            assert!(!run(store.replace(&before.client, *old)).unwrap(), "{turn}: another one");
        }
        assert!(run(store.delete("reports")).unwrap());
    }
    had.sort_unstable();
    had.dedup();
    assert_eq!(had.len(), 6);
}

#[test]
fn all_are_added_or_none() {
    let folder = Folder::new();
    let (store, other) = (folder.clients(ISSUER), folder.clients(ISSUER));
    let mut clients = many(10_000);
    assert_eq!(run(store.add(&[named("client 7000")])).unwrap(), Added::All);
    let taken = |name: &str| Added::Taken(name.parse().unwrap());
    assert_eq!(run(store.add(&clients)).unwrap(), taken("client 7000"));
    assert_eq!(ids(&run(other.page(None, 9)).unwrap()), ["client 7000"]);
    assert!(run(store.delete("client 7000")).unwrap());
    clients.push(named("client 9"));
    assert_eq!(run(store.add(&clients)).unwrap(), taken("client 9"), "it stands twice");
    assert!(run(other.page(None, 9)).unwrap().is_empty());
    clients.pop();
    assert_eq!(run(store.add(&clients)).unwrap(), Added::All);
    assert_eq!(run(other.page(None, usize::MAX)).unwrap().len(), 10_000);
    assert_eq!(run(store.add(&[])).unwrap(), Added::All);
    assert_eq!(run(store.add(&[named("a"), named("b"), named("client 1")])).unwrap(), taken("client 1"));
    assert!(run(other.client("a")).unwrap().is_none());
}

#[test]
fn pages_show_each_client_once_in_the_order_of_octets() {
    let folder = Folder::new();
    let store = folder.clients(ISSUER);
    let mut all = many(1000);
    all.extend(["é", "Z", "a", "ß", "🦀", "client", "CLIENT 1", "ｚ", "%", "_"].map(named));
    assert_eq!(run(store.add(&all)).unwrap(), Added::All);
    let mut expected: Vec<&str> = all.iter().map(|client| client.client_id.as_str()).collect();
    expected.sort_unstable();
    for limit in [1, 7, 505, 1010, 1011, usize::MAX] {
        let mut seen: Vec<Arc<Client>> = Vec::new();
        loop {
            let page = run(store.page(seen.last().map(|client| client.client_id.as_str()), limit)).unwrap();
            assert!(page.len() <= limit);
            let is_last = page.len() < limit;
            seen.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(ids(&seen), expected, "{limit}");
    }
    assert!(run(store.page(None, 0)).unwrap().is_empty());
    assert!(run(store.page(Some("🦀🦀"), 9)).unwrap().is_empty());
}

#[test]
// req: ST-009
fn a_registration_that_cannot_be_read_is_an_error_for_that_client_alone() {
    let folder = Folder::new();
    let store = folder.clients(ISSUER);
    assert_eq!(run(store.add(&["a", "b", "c", "d"].map(named))).unwrap(), Added::All);
    folder.change(
        r#"UPDATE clients SET registration = '{"client_secret": "a very secret one", ]' WHERE client_id = 'b';
           UPDATE clients SET registration = (SELECT registration FROM clients WHERE client_id = 'a') WHERE client_id = 'c';"#,
    );
    for client_id in ["b", "c"] {
        let failed: [StoreError; 3] = [
            run(store.client(client_id)).unwrap_err(),
            run(store.registered(client_id)).map(drop).unwrap_err(),
            run(store.page((client_id == "c").then_some("b"), 9)).unwrap_err(),
        ];
        for error in failed {
            let text = format!("{error} {error:?} {:?}", error.source());
            assert!(text.contains(&format!("{client_id:?}")) && !text.contains("secret"), "{text}");
        }
        assert!(matches!(run(store.disable(client_id)), Err(RegistryError::Store(_))));
    }
    assert_eq!(ids(&run(store.page(None, 1)).unwrap()), ["a"]);
    assert_eq!(ids(&run(store.page(Some("c"), 9)).unwrap()), ["d"], "beyond them");
    assert!(run(store.delete("b")).unwrap() && run(store.delete("c")).unwrap());
    assert_eq!(ids(&run(store.page(None, 9)).unwrap()), ["a", "d"]);
}

#[test]
// req: ST-009
fn a_client_that_cannot_be_kept_leaves_the_others_out() {
    let folder = Folder::new();
    let store = folder.clients(ISSUER);
    let faulty = client(json!({ "client_id": "b", "scope": 7 }));
    assert!(run(store.add(&[named("a"), faulty.clone()])).is_err());
    assert!(run(store.page(None, 9)).unwrap().is_empty());
    assert!(matches!(run(store.register(faulty)), Err(RegistryError::Faulty(_))));

    run(store.register(named("a"))).unwrap();
    assert!(matches!(run(store.register(named("a"))), Err(RegistryError::Taken(_))));
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(run(store.disable("a")), Err(RegistryError::Store(_))), "another process holds the file");
    assert!(!run(store.client("a")).unwrap().unwrap().disabled);
    other.execute_batch("ROLLBACK").unwrap();
    run(store.change("a", |client| client.scope = Scope::parse("read write").ok())).unwrap();
    assert_eq!(run(store.client("a")).unwrap().unwrap().scope.as_ref().unwrap().as_str(), "read write");
}

#[test]
// req: ST-015
fn a_file_of_the_first_version_keeps_its_records() {
    let (folder, clock) = (Folder::new(), TestClock::at(NOW));
    let issued = token(&folder.server(ISSUER, &clock), &Sent::form(ASK)).text("access_token");
    folder.change("DROP TABLE clients; PRAGMA user_version = 1");
    // What stands in the way of the migration ends it.
    folder.change("CREATE TABLE clients (name)");
    assert!(matches!(SqliteTokenStore::open(folder.file()), Err(SqliteError::Open(_))));
    let version =
        || Connection::open(folder.file()).unwrap().pragma_query_value(None, "user_version", |row| row.get(0));
    assert_eq!(version(), Ok(1));
    folder.change("DROP TABLE clients");
    assert_eq!(introspect(&folder.server(ISSUER, &clock), &about(&issued)).json()["active"], true);
    assert_eq!(version(), Ok(2));
    assert_eq!(run(folder.clients(ISSUER).add(&[named("reports")])).unwrap(), Added::All);
}

#[test]
fn no_debug_form_says_more_than_the_file_and_the_issuer() {
    let folder = Folder::new();
    let store = folder.clients(ISSUER);
    run(store.register(named("reports"))).unwrap();
    let text = format!("{store:?} {:?}", folder.open());
    assert!(text.contains(ISSUER) && text.contains("tokens.db") && !text.contains("reports"), "{text}");
}
