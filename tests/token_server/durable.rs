//! Stores that outlive the process: tokens are there whatever ends it, and several processes share one store.

use crate::assertions::{Signer, client, jwks, with_assertion};
use crate::harness::*;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

const CLIENT: (&str, &str) = ("durable", "q8-Durable-Client");

/// A server on that store.
fn config_on(store: &str) -> String {
    format!(
        "issuer = \"https://as.example.com\"\nstore = {store:?}\n[[clients]]\nclient_id = {:?}\nclient_secret = {:?}\n\
         token_endpoint_auth_method = [\"client_secret_basic\", \"client_secret_post\"]\ngrant_types = [\"client_credentials\"]\n\
         scope = \"read\"\ndefault_scope = \"read\"\n",
        CLIENT.0, CLIENT.1
    )
}

/// A server on the file in that folder.
fn config(folder: &Folder) -> String {
    config_on(&format!("sqlite:{}", folder.0.join("tokens.db").display()))
}

/// Runs each of these on each store.
macro_rules! on_each_store {
    ($($name:ident),*) => {
        mod sqlite {$(
            #[test]
            fn $name() {
                let folder = crate::harness::Folder::new();
                super::$name(&super::config(&folder));
            }
        )*}
        #[cfg(feature = "postgres")]
        mod postgres {$(
            #[test]
            #[ignore = "needs PostgreSQL: run tests/run"]
            fn $name() {
                super::$name(&super::config_on(&super::url("CLIENT_CREDENTIALS_POSTGRES")));
            }
        )*}
        #[cfg(feature = "redis")]
        mod redis {$(
            #[test]
            #[ignore = "needs Redis: run tests/run"]
            fn $name() {
                super::$name(&super::config_on(&super::url("CLIENT_CREDENTIALS_REDIS")));
            }
        )*}
        #[cfg(feature = "redis")]
        mod redis_cluster {$(
            #[test]
            #[ignore = "needs Redis: run tests/run"]
            fn $name() {
                super::$name(&super::config_on(&super::url("CLIENT_CREDENTIALS_REDIS_CLUSTER")));
            }
        )*}
    };
}
on_each_store!(
    a_token_is_there_after_a_restart_and_a_revocation_as_well,
    what_was_acknowledged_survives_being_killed,
    two_servers_sell_one_token_for_one_assertion
);

/// The URL of a server that `tests/run` has started.
fn url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run tests/run"))
}

fn ask(server: &Server) -> Answer {
    server.post(TOKEN, CLIENT, GRANT)
}

fn is_active(server: &Server, token: &str) -> bool {
    server.introspect(CLIENT, token)["active"] == true
}

// req: ST-001, ST-005, ST-013
fn a_token_is_there_after_a_restart_and_a_revocation_as_well(config: &str) {
    let (one, two) = (Server::start(config), Server::start(config));
    let (kept, revoked) = (ask(&one).token(), ask(&one).token());
    assert!(is_active(&two, &kept) && is_active(&two, &revoked));
    assert_eq!(two.post(REVOKE, CLIENT, &format!("token={revoked}")).status, 200);
    assert!(is_active(&one, &kept) && !is_active(&one, &revoked));
    one.finish();
    two.finish();
    let again = Server::start(config);
    assert!(is_active(&again, &kept) && !is_active(&again, &revoked));
    again.finish();
}

// req: ST-005, ST-009
fn what_was_acknowledged_survives_being_killed(config: &str) {
    let mut kept = Vec::new();
    for _ in 0..3 {
        let server = Server::start(config);
        assert!(kept.iter().all(|token: &String| is_active(&server, token)));
        let acknowledged = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // Until there is nobody any more.
                    while let Some(token) = try_to_ask(&server) {
                        let count = {
                            let mut acknowledged = acknowledged.lock().unwrap();
                            acknowledged.push(token);
                            acknowledged.len()
                        };
                        if count == 100 {
                            server.signal("KILL");
                        }
                    }
                });
            }
        });
        let acknowledged = acknowledged.into_inner().unwrap();
        assert!(acknowledged.len() >= 100);
        kept.extend(acknowledged);
    }
    let server = Server::start(config);
    let lost = kept.iter().filter(|token| !is_active(&server, token)).count();
    assert_eq!(lost, 0, "of {}", kept.len());
    server.finish();
}

/// A token, unless the server is gone.
fn try_to_ask(server: &Server) -> Option<String> {
    let mut connection = Connection::over(TcpStream::connect(server.address).ok()?);
    let form = format!("{GRANT}&client_id={}&client_secret={}", CLIENT.0, CLIENT.1);
    connection.send(&Request::post(TOKEN, form).octets());
    Some(connection.answer(false)?.token())
}

// req: ST-006, ST-007
fn two_servers_sell_one_token_for_one_assertion(config: &str) {
    let signer = Signer::new("a");
    let config = format!("{config}{}", client("signer", &format!("jwks = '{}'", jwks(&[&signer]))));
    let servers = [Server::start(&config), Server::start(&config)];
    let assertion = signer.assertion("signer", "https://as.example.com", &format!("once {}", std::process::id()));
    let request = Request::post(TOKEN, with_assertion(GRANT, &assertion));
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..300 {
            let (servers, request, outcomes) = (&servers, &request, &outcomes);
            scope.spawn(move || {
                let answer = servers[number % 2].send(request);
                outcomes.lock().unwrap().push(answer.outcome());
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    assert_eq!(outcomes.iter().filter(|(status, _)| *status == 200).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|(status, error)| *status == 200 || (*status, &**error) == (401, "invalid_client")));
    servers.into_iter().for_each(Server::finish);
}

// req: ST-009, ST-010
#[test]
fn a_full_disk_is_a_503_until_there_is_room() {
    let folder = Folder::new();
    // A file of at most some hundred kilobytes, for whoever does not ask for more.
    let server = Server::start_after("trap '' XFSZ; ulimit -S -f 600;", &config(&folder));
    let mut kept = Vec::new();
    let refused = loop {
        assert!(kept.len() < 20_000, "the disk does not get full");
        let answer = ask_unchecked(&server);
        if answer.status != 200 {
            break answer;
        }
        kept.push(answer.token());
    };
    assert_eq!(refused.outcome(), (503, "temporarily_unavailable".into()));
    assert!(refused.header("retry-after").is_some());
    assert!(kept.iter().rev().take(50).all(|token| is_active(&server, token)), "what is there can be read");
    let more = Command::new("prlimit").args([&format!("--pid={}", server.pid()), "--fsize=unlimited"]).status();
    assert!(more.unwrap().success());
    kept.push(ask(&server).token());
    server.finish();
    let again = Server::start(&config(&folder));
    assert!(kept.iter().rev().take(50).all(|token| is_active(&again, token)));
    again.finish();
}

/// An answer that may be a 503.
fn ask_unchecked(server: &Server) -> Answer {
    let form = format!("{GRANT}&client_id={}&client_secret={}", CLIENT.0, CLIENT.1);
    let mut connection = Connection::open(server.address);
    connection.send(&Request::post(TOKEN, form).octets());
    connection.answer(false).unwrap()
}

// req: ST-014, ST-015
#[test]
fn what_is_wrong_with_the_store_is_named() {
    let folder = Folder::new();
    Server::start(&config(&folder)).finish();
    let ended = run(Some(config(&folder).replace("issuer", "# issuer").as_bytes()), &["--check"]);
    assert_eq!(
        (ended.code, ended.lines.iter().filter(|line| line.contains("issuer: ")).count()),
        (Some(2), 1),
        "{:?}",
        ended.lines
    );
    std::fs::write(folder.0.join("tokens.db"), "no database, but a text that is long enough to be one ".repeat(40))
        .unwrap();
    for config in [config(&folder), config(&folder).replace("tokens.db", "no/such/tokens.db")] {
        let ended = run(Some(config.as_bytes()), &[]);
        let named = ended.lines.iter().filter(|line| line.contains("store: cannot be opened: ")).count();
        assert_eq!((ended.code, named), (Some(2), 1), "{:?}", ended.lines);
    }
}
