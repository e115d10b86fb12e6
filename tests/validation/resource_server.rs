//! The example `resource_server` in front of the example `token_server`, both as processes of their own.

use crate::harness::{self, Answer, Connection, Folder, REVOKE, Request, Server, TOKEN};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

const CLIENT: (&str, &str) = ("myClient", "w8-Calls-Reports");
const OPAQUE: (&str, &str) = ("opaque", "w8-Opaque-Reports");

struct ResourceServer {
    child: Child,
    address: SocketAddr,
    folder: Folder,
}

impl ResourceServer {
    fn start(issuer: &str) -> Self {
        let folder = Folder::new();
        let log = fs::File::create(folder.0.join("stderr")).unwrap();
        let mut child = Command::new(harness::example("resource_server"))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--issuer",
                issuer,
                "--audience",
                "https://api.example.com",
                "--client-id",
                "reports",
            ])
            .env("CLIENT_SECRET", "w8-Is-Reports")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            panic!("no listening line, but {line:?}; stderr: {:?}", fs::read_to_string(folder.0.join("stderr")));
        };
        Self { child, address, folder }
    }

    /// What it wrote to stderr so far.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.0.join("stderr")).unwrap()
    }

    fn send(&self, method: &'static str, target: &str, authorization: Option<String>) -> Answer {
        let mut request = Request::new(method, target);
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        let mut connection = Connection::open(self.address);
        connection.send(&request.octets());
        connection.answer(false).unwrap()
    }

    fn ask(&self, method: &'static str, token: &str) -> Answer {
        self.send(method, "/reports", Some(format!("Bearer {token}")))
    }
}

impl Drop for ResourceServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config() -> String {
    let client = |(id, secret): (&str, &str), more: &str| {
        format!(
            "[[clients]]\nclient_id = {id:?}\nclient_secret = {secret:?}\ngrant_types = [\"client_credentials\"]\n\
             scope = \"read write\"\ndefault_scope = \"read\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n{more}\n"
        )
    };
    format!(
        "resources = [\"https://api.example.com\", \"https://other.example.com\"]\n\
         default_resources = [\"https://api.example.com\"]\nsigning_keys = [\"{}/tests/keys/ec-p256-pkcs8.pem\"]\n{}{}{}",
        env!("CARGO_MANIFEST_DIR"),
        client(CLIENT, "access_token_format = \"jwt\""),
        client(OPAQUE, ""),
        client(("reports", "w8-Is-Reports"), "audience = [\"https://api.example.com\"]"),
    )
}

/// Status, and what the challenge says of it.
fn refusal(answer: &Answer) -> (u16, &str) {
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    let challenge = answer.header("www-authenticate").unwrap();
    let rest = challenge.strip_prefix("Bearer realm=\"https://api.example.com\"").unwrap();
    (answer.status, rest.split("error=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default())
}

// req: JW-022, JW-025, JW-026, JW-027, JW-029, FA-014
#[test]
fn the_examples_understand_each_other() {
    let issuer = Server::start(&config());
    let reports = ResourceServer::start(&issuer.origin());
    let obtain = |client, scope: &str| issuer.post(TOKEN, client, &format!("{}&{scope}", harness::GRANT)).token();

    for client in [CLIENT, OPAQUE] {
        let token = obtain(client, "scope=read");
        assert_eq!(token.matches('.').count(), if client == CLIENT { 2 } else { 0 });
        let read = reports.ask("GET", &token);
        assert_eq!((read.status, &*read.body), (200, format!("no reports for {} yet\n", client.0).as_bytes()));
        let write = reports.ask("POST", &token);
        assert_eq!(refusal(&write), (403, "insufficient_scope"));
        assert!(write.header("www-authenticate").unwrap().ends_with(", scope=\"write\""));
        assert_eq!(reports.ask("POST", &obtain(client, "scope=read+write")).status, 200);

        let elsewhere = obtain(client, "scope=read&resource=https://other.example.com");
        assert_eq!(refusal(&reports.ask("GET", &elsewhere)), (401, "invalid_token"));
        let mut tampered = token.clone().into_bytes();
        let at = tampered.len() - 10;
        tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(refusal(&reports.ask("GET", &String::from_utf8(tampered).unwrap())), (401, "invalid_token"));
        assert_eq!(refusal(&reports.send("GET", &format!("/reports?access_token={token}"), None)), (401, ""));
        assert_eq!(refusal(&reports.ask("GET", &format!("{token} {token}"))), (400, "invalid_request"));

        let log = reports.log();
        assert!(log.contains("refused: insufficient_scope: "), "{log}");
        assert!(token.split('.').filter(|part| part.len() > 8).all(|part| !log.contains(part)), "{log}");

        // A revoked opaque token is refused at once; a JWT that is checked locally lives to its end, as documented.
        assert_eq!(issuer.post(REVOKE, client, &format!("token={token}")).status, 200);
        let after = reports.ask("GET", &token);
        if client == OPAQUE {
            assert_eq!(refusal(&after), (401, "invalid_token"));
        } else {
            assert_eq!(after.status, 200);
        }
    }

    // Without the issuer the keys are still there, and nobody tells about an opaque token.
    let (signed, opaque) = (obtain(CLIENT, "scope=read"), obtain(OPAQUE, "scope=read"));
    issuer.finish();
    assert_eq!(reports.ask("GET", &signed).status, 200);
    let unknown = reports.ask("GET", &opaque);
    assert_eq!(
        (unknown.status, unknown.header("www-authenticate"), unknown.header("retry-after")),
        (503, None, Some("1"))
    );
}
