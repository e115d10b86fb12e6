//! Heads, framing and connections: what is no HTTP, what is too much of it, and senders that stop.

use crate::harness::*;
use crate::hostile::*;

/// 431 and 414, by the example where the request could be read and by the parser where not.
// req: SE-011
#[test]
fn heads_beyond_the_limits() {
    let server = Server::start(CONFIG);
    let plain = Request::post(TOKEN, FORM);
    let target = |length| Request::post(format!("{TOKEN}?x={}", "a".repeat(length)), FORM);
    let field = |length| plain.clone().header("X-Padding", "a".repeat(length));
    let fields = |count| (0..count).fold(plain.clone(), |request, at| request.header(&format!("X-{at}"), "a"));
    for request in [target(8000), field(30_000), fields(90)] {
        assert_eq!(outcome(&server, &request).0, 200, "within the limits");
    }
    for request in [target(8200), target(40_000)] {
        assert_eq!(outcome(&server, &request), invalid_request(414));
    }
    assert_eq!(outcome(&server, &field(33_000)), invalid_request(431));
    assert_eq!(outcome(&server, &fields(200)), by_the_parser(431));
    for request in [field(1 << 20), target(1 << 20)] {
        assert_eq!(outcome(&server, &request), by_the_parser(431));
    }
    server.finish();
}

/// RFC 9112 §6.1 and §6.3: what can be read in two ways is refused, or is the last message of its connection.
#[test]
fn framing_that_can_be_argued_about() {
    let server = Server::start(CONFIG);
    let plain = Request::post(TOKEN, FORM).without("Connection");
    let length = FORM.len();
    let framed = |fields: &[(&str, &str)], body: Vec<u8>| {
        let bare = Request { body, ..plain.clone() };
        fields.iter().fold(bare, |request, (name, value)| request.header(name, value)).octets()
    };
    let (right, form, chunks) = (length.to_string(), FORM.as_bytes().to_vec(), chunked(&[FORM]));
    // A second request behind each, which must never be answered as one.
    let behind = Request::post(TOKEN, FORM).octets();
    let followed = |octets: Vec<u8>| [octets, behind.clone()].concat();

    for fields in [
        [("Content-Length", "3"), ("Content-Length", right.as_str())],
        [("Content-Length", right.as_str()), ("Content-Length", "3")],
        [("Content-Length", &format!("{right}, {right}")), ("X", "y")],
        [("Content-Length", &format!("+{right}")), ("X", "y")],
        [("Content-Length", "-1"), ("X", "y")],
        [("Content-Length", "0x10"), ("X", "y")],
        [("Content-Length", ""), ("X", "y")],
        [("Content-Length", "99999999999999999999999"), ("X", "y")],
        [("Content-Length", right.as_str()), ("X-Folded", "a\r\n b")],
        [("Content-Length", right.as_str()), ("X-Space ", "a")],
        [("Content-Length", right.as_str()), ("X-Null", "a\0b")],
        [("Content-Length", right.as_str()), ("X-Return", "a\rb")],
        [("Content-Length", right.as_str()), ("", "a")],
    ] {
        let answer = answer_to(&server, &followed(framed(&fields, form.clone())));
        assert!(answer.status == 400 && answer.closes(), "{fields:?}: {answer:?}");
    }
    for coding in ["identity", "xchunked", "chunked, identity", "chunked, gzip", "", "\u{b}chunked"] {
        let answer = answer_to(&server, &followed(framed(&[("Transfer-Encoding", coding)], chunks.clone())));
        assert!(answer.status == 400 && answer.closes(), "{coding:?}: {answer:?}");
    }
    // Both: the chunks count, and the connection ends (RFC 9112 §6.1), so that nothing behind is read as a request.
    for fields in [
        [("Content-Length", right.as_str()), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked"), ("Content-Length", right.as_str())],
        [("Transfer-Encoding", "chunked"), ("Content-Length", "0")],
    ] {
        let answer = answer_to(&server, &followed(framed(&fields, chunks.clone())));
        assert!([200, 400].contains(&answer.status) && answer.closes(), "{fields:?}: {answer:?}");
    }
    for body in [
        "zz\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "3 abc\r\n0\r\n\r\n",
    ] {
        let octets = followed(framed(&[("Transfer-Encoding", "chunked")], body.into()));
        let answer = answer_to(&server, &octets);
        assert!(answer.status == 400 && answer.closes(), "{body:?}: {answer:?}");
    }
    server.finish();
}

#[test]
fn what_stands_behind_chunks_is_not_answered() {
    let server = Server::start(CONFIG);
    let behind = Request::post(TOKEN, FORM).octets();
    let (begin, end) = FORM.split_at(7);
    for body in [
        chunked(&[FORM]),
        chunked(&[begin, end]),
        format!("{:x};name=value\r\n{FORM}\r\n0\r\nAuthorization: Basic eDp5\r\nX-Trailer: 1\r\n\r\n", FORM.len())
            .into(),
    ] {
        let octets = [chunked_request(body).octets(), behind.clone()].concat();
        let answer = answer_to(&server, &octets);
        answer.token();
        assert!(answer.closes());
    }
    assert_eq!(server.log().matches("outcome=issued").count(), 6, "one each, and one after each");
    server.finish();
}

/// RFC 9112 §6.1: a transfer coding that the server does not undo.
#[test]
fn a_transfer_coding_beside_chunked_is_refused() {
    let server = Server::start(CONFIG);
    let request = Request::post(TOKEN, chunked(&[FORM])).header("Transfer-Encoding", "gzip, chunked");
    assert!([400, 501].contains(&outcome(&server, &request).0));
    server.finish();
}

/// RFC 9112 §3.2: exactly one Host.
#[test]
fn a_request_without_host_or_with_two_is_refused() {
    let server = Server::start(CONFIG);
    let plain = Request::post(TOKEN, FORM);
    assert_eq!(outcome(&server, &plain.clone().without("Host")).0, 400);
    assert_eq!(outcome(&server, &plain.header("Host", "evil.example.com")).0, 400);
    server.finish();
}

/// The limits of the example are those of HTTP/1.1.
#[test]
fn http_2_is_not_spoken_by_accident() {
    let server = Server::start(CONFIG);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let answers = server.raw(preface);
    assert!(answers.iter().all(|answer| answer.status == 400 || answer.status == 505), "{answers:?}");
    server.finish();
}

// req: MD-022
#[test]
fn targets_versions_and_hosts() {
    let server = Server::start(CONFIG);
    let request = |target: &str| Request::post(target, FORM);
    for target in ["http://evil.example.com/oauth2/access_token", "https://127.0.0.1/oauth2/access_token?trace=1"] {
        assert_eq!(outcome(&server, &request(target)).0, 200, "{target}");
    }
    let absolute =
        server.send(&Request::get(format!("http://evil.example.com{WELL_KNOWN}")).header("Forwarded", "host=evil"));
    assert!(!String::from_utf8_lossy(&absolute.body).contains("evil"));
    assert_eq!(absolute.json()["issuer"], server.origin());
    for (method, target) in [("OPTIONS", "*"), ("CONNECT", "evil.example.com:443"), ("GET", "*"), ("POST", "*")] {
        let answer = answer_to(&server, &Request::new(method, target).octets());
        assert!([400, 404].contains(&answer.status), "{method} {target}: {answer:?}");
    }
    for host in ["", "evil.example.com", "127.0.0.1:1", "a b", "\u{fc}"] {
        let answer = answer_to(&server, &request(TOKEN).without("Host").header("Host", host).octets());
        assert!([200, 400].contains(&answer.status), "{host}: {answer:?}");
    }
    let octets = String::from_utf8(request(TOKEN).octets()).unwrap();
    let old = answer_to(&server, octets.replace("HTTP/1.1", "HTTP/1.0").as_bytes());
    assert_eq!(old.status, 200);
    for broken in [
        octets.replace("HTTP/1.1", "HTTP/3.0"),
        octets.replace("HTTP/1.1", "HTTP/1.1 x"),
        octets.replace(" HTTP/1.1", ""),
        octets.replace("POST ", "P\u{f6}ST "),
        octets.replace("POST ", ""),
        octets.replace(TOKEN, "oauth2/access_token"),
        octets.replace(TOKEN, "/oauth2/access token"),
        octets.replace(TOKEN, "/oauth2/\0"),
        format!("\0{octets}"),
        "\r\n".repeat(40) + "x\r\n\r\n",
        "GET /\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}\0\u{2}\u{1}\0\u{1}\0\u{3}\u{3}\r\n\r\n".into(),
    ] {
        let answer = answer_to(&server, broken.as_bytes());
        assert!([400, 404].contains(&answer.status), "{broken:?}: {answer:?}");
    }
    server.finish();
}

#[test]
fn expectations_and_pipelines() {
    let server = Server::start(CONFIG);
    let expecting = Request::post(TOKEN, FORM).header("Expect", "100-continue").octets();
    let (head, body) = expecting.split_at(expecting.len() - FORM.len());
    let mut patient = Connection::open(server.address);
    patient.send(head);
    assert_eq!(patient.answer(false).unwrap().status, 100, "asked for the body");
    patient.send(body);
    patient.answer(false).unwrap().token();
    let statuses: Vec<u16> = server.raw(&expecting).iter().map(|answer| answer.status).collect();
    assert!(statuses == [100, 200] || statuses == [200], "{statuses:?}");

    // Several requests at once: an answer for each, in their order, a refused one among them.
    let kept = |form: &str| Request::post(TOKEN, form).without("Connection").octets();
    let refused = kept(&FORM.replace("myClient", "nobody"));
    let pipeline = [kept(FORM), refused, kept("x"), Request::post(TOKEN, FORM).octets(), kept(FORM)].concat();
    let mut connection = Connection::open(server.address);
    connection.send(&pipeline);
    let mut statuses = Vec::new();
    while let Some(answer) = connection.answer(false) {
        server.check(&answer);
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 401, 400, 200], "nothing after Connection: close");

    // A hundred on one connection.
    let mut connection = Connection::open(server.address);
    for _ in 0..100 {
        connection.send(&kept(FORM));
        connection.answer(false).unwrap().token();
    }
    server.finish();
}

/// Heads and bodies that never come to an end: the sender goes, or a hundred of them stay.
#[test]
fn senders_that_stop_in_the_middle() {
    let server = Server::start(CONFIG);
    let octets = Request::post(TOKEN, FORM).octets();
    let mut waiting = Vec::new();
    for cut in (0..octets.len()).step_by(octets.len() / 50) {
        for stays in [false, true] {
            let mut connection = Connection::open(server.address);
            connection.send(&octets[..cut]);
            if stays {
                waiting.push((cut, connection));
            }
        }
    }
    server.basic(TOKEN, MINE, GRANT).token();
    // Whoever sends the rest after all is served.
    for (cut, mut connection) in waiting {
        connection.send(&octets[cut..]);
        connection.answer(false).unwrap().token();
    }
    let mut drip = Connection::open(server.address);
    for octet in &octets {
        drip.send(std::slice::from_ref(octet));
    }
    drip.answer(false).unwrap().token();
    server.finish();
}
