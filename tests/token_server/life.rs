//! Start, stop, and the one line on stdout.

use crate::harness::*;
use std::net::TcpListener;
use std::{thread, time::Duration};

const CONFIG: &str = r#"
scopes = ["write"]
[[clients]]
client_id = "myClient"
client_secret = "s-PzT4qkX0v2Jm"
grant_types = ["client_credentials"]
scope = "write"
default_scope = "write"
"#;
const CLIENT: (&str, &str) = ("myClient", "s-PzT4qkX0v2Jm");

/// The demo listens on a port that something else may hold, so it is only judged here.
#[test]
fn the_demo_is_a_valid_configuration() {
    let run = run(None, &["--check"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    assert_eq!(run.lines, ["the configuration is valid"]);
}

/// `finish` finds nothing more on stdout.
// req: HT-013
#[test]
fn each_server_prints_its_own_address_and_no_more() {
    let (one, other) = (Server::start(CONFIG), Server::start(CONFIG));
    assert!(one.address.port() != 0 && one.address.port() != other.address.port());
    for server in [one, other] {
        server.basic(TOKEN, CLIENT, GRANT).token();
        server.finish();
    }
}

/// An idle connection does not hold the server up, one that has sent half a request gets its answer.
fn stops_on(signal: &str) {
    let mut server = Server::start(CONFIG);
    let request = Request::post(TOKEN, GRANT).basic(CLIENT.0, CLIENT.1).without("Connection").octets();
    let mut idle: Vec<Connection> = (0..3).map(|_| Connection::open(server.address)).collect();
    for connection in &mut idle {
        connection.send(&request);
        server.check(&connection.answer(false).unwrap());
    }
    let mut running = Connection::open(server.address);
    let (begun, rest) = request.split_at(request.len() - 5);
    // The answer to the first request shows that the server is reading the second.
    running.send(&[&request, begun].concat());
    assert_eq!(running.answer(false).unwrap().status, 200);

    server.signal(signal);
    while !server.log().contains("stopping") {
        thread::sleep(Duration::from_millis(5));
    }
    for connection in &mut idle {
        assert!(connection.answer(false).is_none(), "an idle connection is closed");
    }
    running.send(rest);
    let answer = running.answer(false).unwrap();
    server.check(&answer);
    answer.token();
    assert!(running.answer(false).is_none(), "and so is one that has been served");
    server.ended();
}

#[test]
fn sigterm_lets_a_running_request_finish_and_closes_idle_connections() {
    stops_on("TERM");
}

#[test]
fn sigint_does_the_same() {
    stops_on("INT");
}

// req: HT-013
#[test]
fn a_port_in_use_is_an_error_and_no_listening_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!("listen = {:?}\n{CONFIG}", taken.local_addr().unwrap().to_string());
    let run = run(Some(config.as_bytes()), &[]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.lines[0].starts_with("error: "), "{:?}", run.lines);
}

#[test]
fn health_is_told_without_credentials() {
    let server = Server::start(CONFIG);
    let answer = server.send(&Request::get("/healthz"));
    assert_eq!((answer.status, answer.body.as_slice()), (200, br#"{"status":"ok"}"#.as_slice()));
    let answer = server.send(&Request::new("HEAD", "/healthz"));
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(server.send(&Request::post("/healthz", GRANT)).status, 404);
    server.finish();
}
