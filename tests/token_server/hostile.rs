//! Hostile senders: whatever arrives, there is an answer that is no 5xx, and the next client gets its token.

use crate::harness::*;

pub(crate) const CONFIG: &str = r#"
scopes = ["read"]
[[clients]]
client_id = "myClient"
client_secret = "h2-Secret-Of-Mine"
grant_types = ["client_credentials"]
scope = "read"
default_scope = "read"
token_endpoint_auth_method = ["client_secret_basic", "client_secret_post"]
"#;
pub(crate) const MINE: (&str, &str) = ("myClient", "h2-Secret-Of-Mine");
/// A request that would be granted.
pub(crate) const FORM: &str = "grant_type=client_credentials&client_id=myClient&client_secret=h2-Secret-Of-Mine";

pub(crate) fn invalid_request(status: u16) -> (u16, String) {
    (status, "invalid_request".into())
}

/// The one answer to octets that are sent as they are; after it the server still issues tokens.
pub(crate) fn answer_to(server: &Server, octets: &[u8]) -> Answer {
    let shown = String::from_utf8_lossy(&octets[..octets.len().min(400)]).into_owned();
    let mut answers = server.raw(octets);
    assert_eq!(answers.len(), 1, "{shown}: {answers:?}");
    server.basic(TOKEN, MINE, GRANT).token();
    answers.remove(0)
}

pub(crate) fn outcome(server: &Server, request: &Request) -> (u16, String) {
    let answer = answer_to(server, &request.octets());
    if answer.is_the_parsers() { (answer.status, "by the parser".into()) } else { answer.outcome() }
}

pub(crate) fn by_the_parser(status: u16) -> (u16, String) {
    (status, "by the parser".into())
}

/// One chunk for each part, and the last one.
pub(crate) fn chunked(parts: &[&str]) -> Vec<u8> {
    let chunks: String = parts.iter().map(|part| format!("{:x}\r\n{part}\r\n", part.len())).collect();
    format!("{chunks}0\r\n\r\n").into_bytes()
}

pub(crate) fn chunked_request(body: Vec<u8>) -> Request {
    Request::post(TOKEN, body).header("Transfer-Encoding", "chunked").without("Connection")
}

/// A form of this many octets.
fn form_of(length: usize) -> String {
    format!("{FORM}&x={}", "a".repeat(length - FORM.len() - 3))
}

const MAX_BODY: usize = 64 * 1024;

// req: HT-007
#[test]
fn bodies_up_to_the_limit_and_beyond() {
    let server = Server::start(CONFIG);
    answer_to(&server, &Request::post(TOKEN, form_of(MAX_BODY)).octets()).token();
    answer_to(&server, &chunked_request(chunked(&[&form_of(MAX_BODY)])).octets()).token();
    for length in [MAX_BODY + 1, 10 * MAX_BODY, 1 << 20, 5 << 20] {
        let request = Request::post(TOKEN, form_of(length));
        assert_eq!(outcome(&server, &request), invalid_request(413), "{length}");
        assert_eq!(outcome(&server, &request.without("Connection")), invalid_request(413), "{length}, kept alive");
        let chunks = chunked_request(chunked(&[&form_of(length)]));
        assert_eq!(outcome(&server, &chunks), invalid_request(413), "{length}, in chunks");
    }
    for path in [INTROSPECT, REVOKE] {
        let request = Request::post(path, form_of(MAX_BODY + 1)).basic(MINE.0, MINE.1);
        assert_eq!(outcome(&server, &request), invalid_request(413), "{path}");
    }
    let small = chunked(&["a"; 5000]);
    assert_eq!(outcome(&server, &chunked_request(small)), invalid_request(400), "many small chunks");
    server.finish();
}

// req: HT-003, HT-004, HT-005, HT-006, HT-008, HT-010, TR-023
#[test]
fn media_types_and_encodings() {
    let server = Server::start(CONFIG);
    let typed =
        |media_type: &[u8]| Request::post(TOKEN, FORM).without("Content-Type").header("Content-Type", media_type);
    for media_type in [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-URLencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=utf-8;boundary=x",
    ] {
        assert_eq!(outcome(&server, &typed(media_type.as_bytes())).0, 200, "{media_type}");
    }
    for media_type in [
        b"application/json".as_slice(),
        b"multipart/form-data; boundary=x",
        b"text/plain",
        b"application/x-www-form-urlencodedx",
        b"application/x-www-form-urlencoded, text/plain",
        b"x; application/x-www-form-urlencoded",
        b"*/*",
        b"",
        b"application/x-www-form-urlencoded\xff",
    ] {
        assert_eq!(outcome(&server, &typed(media_type)), invalid_request(400), "{media_type:?}");
    }
    let plain = Request::post(TOKEN, FORM);
    assert_eq!(outcome(&server, &plain.clone().without("Content-Type")), invalid_request(400));
    let twice = plain.clone().header("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(outcome(&server, &twice), invalid_request(400));
    for encoding in ["gzip", "deflate", "br", "identity", ""] {
        let encoded = plain.clone().header("Content-Encoding", encoding);
        assert_eq!(outcome(&server, &encoded), invalid_request(400), "{encoding}");
    }
    let json = Request::post(TOKEN, r#"{"grant_type":"client_credentials"}"#).without("Content-Type");
    assert_eq!(outcome(&server, &json.clone().header("Content-Type", "application/json")), invalid_request(400));
    let get = Request { method: "GET", ..Request::post(TOKEN, "scope=%zz") };
    assert_eq!(outcome(&server, &get), invalid_request(405), "the method comes first");
    assert_eq!(outcome(&server, &Request::post(TOKEN, "")), invalid_request(400), "no body at all");
    server.finish();
}

// req: TR-017, TR-018, TR-031, HT-009, ER-015
#[test]
fn forms_that_are_none() {
    let server = Server::start(CONFIG);
    let many: String = (0..300).map(|at| format!("&p{at}=1")).collect();
    let deep = format!("&authorization_details={}", "[".repeat(20_000));
    let long = format!("&{}=1", "n".repeat(129));
    let bodies: [&[u8]; 12] = [
        &[FORM.as_bytes(), many.as_bytes()].concat(),
        &[FORM.as_bytes(), long.as_bytes()].concat(),
        &[FORM.as_bytes(), b"&x=%"].concat(),
        &[FORM.as_bytes(), b"&x=%4"].concat(),
        &[FORM.as_bytes(), b"&x=%zz"].concat(),
        &[FORM.as_bytes(), b"&x=%ff%fe"].concat(),
        &[FORM.as_bytes(), b"&x=\xff\xfe"].concat(),
        &[FORM.as_bytes(), b"&x=%ed%a0%80"].concat(),
        &[FORM.as_bytes(), b"&grant_type=client_credentials"].concat(),
        &[FORM.as_bytes(), b"&client_secret="].concat(),
        &(0..=255).collect::<Vec<u8>>(),
        &[0; 1000],
    ];
    for body in bodies {
        let request = Request::post(TOKEN, body);
        assert_eq!(outcome(&server, &request), invalid_request(400), "{}", String::from_utf8_lossy(body));
    }
    let details = (400, "invalid_authorization_details".to_owned());
    assert_eq!(outcome(&server, &Request::post(TOKEN, format!("{FORM}{deep}"))), details);

    // Control characters in a value that is looked at: refused by what they are in, and no header shows them.
    let client = |id: &str, secret: &str| format!("{GRANT}&client_id={id}&client_secret={secret}");
    let unknown = (401, "invalid_client".to_owned());
    for escape in ["%00", "%0D%0A", "%0A", "%1B%5B31m", "%7F", "%C2%85", "%E2%80%A8", "\r\nX-Forged: 1\r\n\r\n", "\0"] {
        for body in [
            client(&format!("my{escape}Client"), "h2-Whatever-Secret"),
            client(&format!("myClient{escape}"), MINE.1),
            client(MINE.0, &format!("{}{escape}", MINE.1)),
        ] {
            assert_eq!(outcome(&server, &Request::post(TOKEN, body)), unknown, "{escape:?}");
        }
        let scope = Request::post(TOKEN, format!("{FORM}&scope=read{escape}"));
        assert_eq!(outcome(&server, &scope), (400, "invalid_scope".into()), "{escape:?}");
        let resource = Request::post(TOKEN, format!("{FORM}&resource=https://a{escape}"));
        assert_eq!(outcome(&server, &resource), (400, "invalid_target".into()), "{escape:?}");
        let grant = Request::post(TOKEN, format!("grant_type=client_credentials{escape}"));
        assert_eq!(outcome(&server, &grant), (400, "unsupported_grant_type".into()), "{escape:?}");
        let unheard = Request::post(TOKEN, format!("{FORM}&x={escape}"));
        assert_eq!(outcome(&server, &unheard).0, 200, "{escape:?} in a parameter that nobody reads");
    }
    server.finish();
}

// req: CA-009, CA-018, CA-033, CA-034, CA-040, SE-010
#[test]
fn credentials_of_all_kinds() {
    let server = Server::start(CONFIG);
    let with = |value: &[u8]| Request::post(TOKEN, GRANT).header("Authorization", value);
    for value in [
        b"".as_slice(),
        b"Basic",
        b"Basic ",
        b"Basic !!!!",
        b"Basic bXlDbGllbnQ",
        b"Basic bXlDbGllbnQ6eA==trailing",
        b"Basic /////w==",
        b"Basic bm9jb2xvbg==",
        b"Basic AAA6AAAA",
        b"\xff\xfe",
        b"=",
    ] {
        assert_eq!(outcome(&server, &with(value)), invalid_request(400), "{}", String::from_utf8_lossy(value));
    }
    assert_eq!(outcome(&server, &with(&[b"Basic ".as_slice(), &[b'A'; 9000]].concat())), invalid_request(400));
    for value in ["Bearer h2-Some-Bearer-Token", "Digest username=\"myClient\"", "Negotiate YII="] {
        assert_eq!(outcome(&server, &with(value.as_bytes())), (401, "invalid_client".into()), "{value}");
    }
    let basic = Request::post(TOKEN, GRANT).basic(MINE.0, MINE.1);
    assert_eq!(outcome(&server, &basic.clone().basic(MINE.0, MINE.1)), invalid_request(400), "two of the same");
    let both = Request::post(TOKEN, FORM).basic(MINE.0, MINE.1);
    assert_eq!(outcome(&server, &both), invalid_request(400), "two mechanisms");
    for (id, secret) in [
        ("' OR 1=1 --", "h2-Sql-Injection"),
        ("*", "h2-Any-Pattern"),
        ("../myClient", MINE.1),
        ("myClient ", MINE.1),
        ("", MINE.1),
    ] {
        let refused = server.basic(TOKEN, (id, secret), GRANT);
        assert_eq!(refused.outcome(), (401, "invalid_client".into()), "{id:?}");
    }
    let long = "s".repeat(60_000);
    for (id, secret) in
        [(MINE.0, long.as_str()), (&long, MINE.1), (MINE.0, &format!("{}x", MINE.1)), (MINE.0, "h2-Secret")]
    {
        assert_eq!(server.post(TOKEN, (id, secret), GRANT).outcome(), (401, "invalid_client".into()));
    }
    server.finish();
}

/// Text of a request stands in the log only where it is escaped, and never at the start of a line.
// req: SE-019
#[test]
fn no_line_of_the_log_is_forged() {
    let server = Server::start(CONFIG);
    let marker = "FORGED-h2";
    for start in ["\r\n", "\n", "\r", "\u{1b}[2K\r", "\u{85}", "\u{2028}", "\0", "\"\n", "\\\n", "\u{202e}"] {
        let forged = format!("myClient{start}{marker} outcome=issued");
        for path in [TOKEN, INTROSPECT, REVOKE] {
            let form = format!("{GRANT}&token=x");
            assert_eq!(server.post(path, (&forged, "h2-Secret-Guess"), &form).status, 401, "{start:?}");
            let malformed = start.chars().any(char::is_control);
            let status = if malformed { 400 } else { 401 };
            assert_eq!(server.basic(path, (&forged, "h2-Secret-Guess"), &form).status, status, "{start:?}");
        }
        let encoded: String = form_urlencoded::byte_serialize(forged.as_bytes()).collect();
        for name in ["scope", "resource", "grant_type", "client_assertion", &encoded] {
            server.send(&Request::post(TOKEN, format!("{FORM}&{name}={encoded}")));
            server.send(&Request::post(format!("{TOKEN}?{name}={encoded}"), FORM));
        }
        let path: String = forged.bytes().map(|octet| format!("%{octet:02X}")).collect();
        server.send(&Request::post(format!("/oauth2/realms/root/realms/{path}/access_token"), FORM));
    }
    let log = server.log();
    assert!(log.contains(&format!("client_id=\"myClient\\r\\n{marker} outcome=issued\"")), "{log}");
    for line in log.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{b}', '\u{c}']) {
        assert!(!line.trim_start().starts_with(marker), "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    assert!(!log.contains(['\u{1b}', '\u{85}', '\u{2028}', '\u{202e}', '\0']), "raw control characters in the log");
    server.finish();
}

/// A long claimed client_id is cut in the log.
// req: SE-011
#[test]
fn the_log_does_not_grow_with_what_is_sent() {
    let server = Server::start(CONFIG);
    for _ in 0..20 {
        assert_eq!(server.post(TOKEN, (&"i".repeat(60_000), "h2-Secret-Guess"), GRANT).status, 401);
    }
    let longest = server.log().lines().map(str::len).max().unwrap();
    assert!(longest < 1000, "{longest}");
    server.finish();
}

/// No answer repeats anything of a request: not in its head, not in its body.
// req: ER-004, HT-009
#[test]
fn nothing_is_reflected() {
    let server = Server::start(CONFIG);
    let marker = "zqReflected7";
    let shows = |answer: &Answer| {
        answer.headers.iter().any(|(name, value)| name.contains(&marker.to_lowercase()) || value.contains(marker))
            || String::from_utf8_lossy(&answer.body).contains(marker)
    };
    let parameters = [
        "grant_type",
        "scope",
        "client_id",
        "client_secret",
        "resource",
        "audience",
        "token",
        "token_type_hint",
        "client_assertion",
        "client_assertion_type",
        "authorization_details",
        "callback",
        marker,
    ];
    let value = format!("{marker}%0D%0AX-{marker}:1<script>");
    for path in [TOKEN, INTROSPECT, REVOKE, "/oauth2/nowhere"] {
        for name in parameters {
            let others = format!("{GRANT}&token=x").replace(&format!("{name}="), "ignored=");
            for request in [
                Request::post(path, format!("{others}&{name}={value}")).basic(MINE.0, MINE.1),
                Request::post(path, format!("{others}&{name}={value}")),
                Request::post(format!("{path}?{name}={value}"), others.as_str()).basic(MINE.0, MINE.1),
            ] {
                let answer = server.send(&request);
                assert!(!shows(&answer), "{name} at {path}: {answer:?}");
            }
        }
        for name in [
            "Authorization",
            "Accept",
            "Accept-Language",
            "Host",
            "Origin",
            "Cookie",
            "DPoP",
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Request-Id",
            "User-Agent",
            "Content-Type",
            "Content-Encoding",
            marker,
        ] {
            let value = format!("{marker}-of-a-header");
            let request = Request::post(path, format!("{FORM}&token=x")).without(name).header(name, value);
            let answer = server.send(&request);
            assert!(!shows(&answer), "{name} at {path}: {answer:?}");
        }
        let answer = server.send(&Request { method: marker, ..Request::post(path, FORM) });
        assert!(!shows(&answer), "the method at {path}: {answer:?}");
    }
    for path in
        [format!("/{marker}"), format!("/oauth2/realms/root/realms/{marker}/access_token"), format!("{TOKEN}/{marker}")]
    {
        assert!(!shows(&server.send(&Request::post(&path, FORM))), "{path}");
    }
    server.finish();
}

/// Headers by which a proxy could speak of certificates and addresses mean nothing here.
#[test]
fn headers_of_proxies_are_not_believed() {
    let server = Server::start(CONFIG);
    let claims = ["Client-Cert", "X-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "SSL-Client-Verify"];
    let request = Request::post(TOKEN, format!("{GRANT}&client_id=myClient")).header("X-Forwarded-For", "192.0.2.77");
    let request = claims.iter().fold(request, |request, name| request.header(name, ":TUlJQg==:"));
    assert_eq!(outcome(&server, &request), (401, "invalid_client".into()));
    assert!(!server.log().contains("192.0.2.77"));
    server.finish();
}
