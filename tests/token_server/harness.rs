//! The server as a child process, and an HTTP/1.1 client over a bare socket that can send any octets.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// How long anything may take before the test gives up; nothing here measures time.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const TOKEN: &str = "/oauth2/access_token";
pub(crate) const INTROSPECT: &str = "/oauth2/introspect";
pub(crate) const REVOKE: &str = "/oauth2/token/revoke";
pub(crate) const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";
pub(crate) const GRANT: &str = "grant_type=client_credentials";

/// The example, built once, where cargo put this test.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| example("token_server"))
}

/// Builds an example.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap(); // TARGET/PROFILE/deps/token_server-HASH
    let profile = test.parent().and_then(Path::parent).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--quiet", "--all-features", "--example", name, "--target-dir"]);
    cargo.arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    profile.join("examples").join(name)
}

/// A folder that goes when the test is over.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("token_server-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    folder: Folder,
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    /// What must not stand in its log.
    secrets: Mutex<BTreeSet<String>>,
}

impl Server {
    /// Starts one on a free port and waits until it listens.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_after("", config)
    }

    /// The same after some commands of a shell, which set limits for it.
    pub(crate) fn start_after(commands: &str, config: &str) -> Self {
        let folder = Folder::new();
        let file = folder.0.join("config.toml");
        fs::write(&file, format!("listen = \"127.0.0.1:0\"\n{config}")).unwrap();
        let log = fs::File::create(folder.0.join("stderr")).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", &format!("{commands} exec \"$0\" \"$@\"")])
            .arg(program())
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let origin = line.strip_prefix("listening on ").and_then(|rest| rest.strip_suffix('\n')).unwrap_or_default();
        let (scheme, address) = match origin.strip_prefix("https://") {
            Some(address) => ("https", Some(address)),
            None => ("http", origin.strip_prefix("http://")),
        };
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            let log = fs::read_to_string(folder.0.join("stderr"));
            let _ = child.kill();
            panic!("no listening line, but {line:?}; stderr: {log:?}");
        };
        // Quoted values of keys such as client_secret and client_secrets.
        let secrets =
            config.lines().filter_map(|line| line.trim_start().strip_prefix("client_secret")?.split_once('='));
        let quoted = secrets.flat_map(|(_, value)| value.split('"').skip(1).step_by(2));
        let secrets = quoted.filter(|text| text.len() >= 12).map(str::to_owned).collect();
        Self { child, stdout, folder, address, scheme, secrets: Mutex::new(secrets) }
    }

    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// What it wrote to stderr so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.0.join("stderr")).unwrap()).into_owned()
    }

    /// Adds a text that must not stand in the log.
    pub(crate) fn secret(&self, text: &str) {
        if text.len() >= 8 {
            self.secrets.lock().unwrap().insert(text.to_owned());
        }
    }

    /// Sends a well-formed request on a connection of its own.
    pub(crate) fn send(&self, request: &Request) -> Answer {
        self.send_over(Connection::open(self.address), request)
    }

    /// The same on a connection that is there.
    pub(crate) fn send_over(&self, mut connection: Connection, request: &Request) -> Answer {
        self.note(request);
        connection.send(&request.octets());
        let answer = connection.answer(request.method == "HEAD").expect("the connection was dropped without an answer");
        self.check(&answer);
        answer
    }

    /// Sends octets as they are, and reads the answers until the server closes or has no more to say.
    pub(crate) fn raw(&self, octets: &[u8]) -> Vec<Answer> {
        let mut connection = Connection::open(self.address);
        connection.send(octets);
        let mut answers = Vec::new();
        while let Some(answer) = connection.answer(false) {
            self.check(&answer);
            let more = answer.status == 100 || answer.closes() || !connection.buffer.is_empty();
            answers.push(answer);
            if !more {
                break;
            }
        }
        answers
    }

    /// A form by POST with the credentials in it.
    pub(crate) fn post(&self, path: &str, client: (&str, &str), form: &str) -> Answer {
        let credentials = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", client.0)
            .append_pair("client_secret", client.1)
            .finish();
        self.send(&Request::post(path, format!("{form}&{credentials}")))
    }

    /// A form by POST with the credentials in the header.
    pub(crate) fn basic(&self, path: &str, client: (&str, &str), form: &str) -> Answer {
        self.send(&Request::post(path, form).basic(client.0, client.1))
    }

    /// The JSON that introspection tells `client` of a token.
    pub(crate) fn introspect(&self, client: (&str, &str), token: &str) -> Value {
        let answer = self.basic(INTROSPECT, client, &format!("token={token}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Remembers what of a request must not be logged.
    fn note(&self, request: &Request) {
        for (name, value) in &request.headers {
            if name.eq_ignore_ascii_case("authorization") {
                let value = String::from_utf8_lossy(value);
                let credentials = value.split_once(' ').map_or(&*value, |(_, credentials)| credentials);
                self.secret(credentials);
                let pair = STANDARD.decode(credentials).ok().and_then(|pair| String::from_utf8(pair).ok());
                if let Some((_, secret)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
                    self.secret(secret);
                }
            }
        }
        for (name, value) in form_urlencoded::parse(&request.body) {
            if ["client_secret", "token", "client_assertion"].contains(&&*name) {
                self.secret(&value);
            }
        }
    }

    /// What holds for every answer: no failure of the server's, JSON that must not be cached, and no header that input could have made.
    pub(crate) fn check(&self, answer: &Answer) {
        assert!(answer.status < 500 || answer.status == 501, "{answer:?}");
        if answer.status == 100 {
            return;
        }
        for (name, _) in &answer.headers {
            const KNOWN: [&str; 10] = [
                "content-type",
                "cache-control",
                "pragma",
                "content-length",
                "connection",
                "date",
                "www-authenticate",
                "allow",
                "retry-after",
                "dpop-nonce",
            ];
            assert!(KNOWN.contains(&name.as_str()), "{name} in {answer:?}");
        }
        if answer.is_the_parsers() {
            return;
        }
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        // Published keys alone may be kept.
        let keys = answer.status == 200 && answer.body.starts_with(br#"{"keys":[{"#);
        let cache = if keys { (Some("public, max-age=300"), None) } else { (Some("no-store"), Some("no-cache")) };
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), cache, "{answer:?}");
        assert_eq!(answer.status == 401, answer.header("www-authenticate").is_some(), "{answer:?}");
        if answer.body.is_empty() {
            return; // to a HEAD
        }
        let json = answer.json();
        if answer.status >= 400 {
            let members: Vec<&String> = json.as_object().unwrap().keys().collect();
            assert_eq!(members, ["error", "error_description"], "{answer:?}");
            let allowed = |c: char| matches!(c, '\x20'..='\x21' | '\x23'..='\x5B' | '\x5D'..='\x7E');
            for text in [answer.error(), answer.text("error_description")] {
                assert!(!text.is_empty() && text.chars().all(allowed), "{answer:?}");
            }
        }
        if let Some(token) = json["access_token"].as_str() {
            self.secret(token);
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid();
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the server does not end; its log: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it: exit code 0, nothing but the one line on stdout, nothing secret on stderr.
    pub(crate) fn finish(mut self) {
        self.signal("TERM");
        self.ended();
    }

    /// The same for a server that has its signal already.
    pub(crate) fn ended(&mut self) {
        assert_eq!(self.wait().code(), Some(0), "{}", self.log());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "more than one line on stdout");
        let log = self.log();
        assert!(log.contains("Z stopping\n"), "{log}");
        for secret in self.secrets.lock().unwrap().iter() {
            assert!(!log.contains(secret.as_str()), "{secret:?} stands in the log: {log}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run of the program that ends by itself.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    /// stderr without the times at the start of its lines.
    pub(crate) lines: Vec<String>,
}

/// Runs the program with a configuration to its end.
pub(crate) fn run(config: Option<&[u8]>, arguments: &[&str]) -> Run {
    let folder = Folder::new();
    let mut command = Command::new(program());
    if let Some(config) = config {
        let file = folder.0.join("config.toml");
        fs::write(&file, config).unwrap();
        command.arg("--config").arg(file);
    }
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines = stderr.lines().map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest).to_owned()).collect();
    Run { code: output.status.code(), stdout: String::from_utf8(output.stdout).unwrap(), lines }
}

/// A request that is well-formed unless a test says otherwise.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Vec::new(), body: Vec::new() }
            .header("Host", "as.example.com")
            .header("Connection", "close")
    }

    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// A form.
    pub(crate) fn post(target: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", target) }
            .header("Content-Type", "application/x-www-form-urlencoded")
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self
    }

    /// Basic credentials, form-encoded as RFC 6749 §2.3.1 wants them.
    pub(crate) fn basic(self, id: &str, secret: &str) -> Self {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        self.basic_raw(&encode(id), &encode(secret))
    }

    /// Basic credentials as they are.
    pub(crate) fn basic_raw(self, id: &str, secret: &str) -> Self {
        self.header("Authorization", format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut octets = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let framed = self.headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
        });
        let length = (!framed && !self.body.is_empty())
            .then(|| ("Content-Length".to_owned(), self.body.len().to_string().into_bytes()));
        for (name, value) in self.headers.iter().chain(&length) {
            octets.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        octets.extend([b"\r\n", self.body.as_slice()].concat());
        octets
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
    pub(crate) fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_default().to_owned()
    }
    /// The member `error`; empty for a success.
    pub(crate) fn error(&self) -> String {
        self.text("error")
    }
    /// Status and error together, for short assertions.
    pub(crate) fn outcome(&self) -> (u16, String) {
        (self.status, self.error())
    }
    /// The access token of a 200.
    pub(crate) fn token(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        let token = self.text("access_token");
        assert!(!token.is_empty(), "{self:?}");
        token
    }
    /// Whether it is the last one of its connection.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
    /// Whether the HTTP library answered by itself, to what is no HTTP or over its limits: a bare status line.
    pub(crate) fn is_the_parsers(&self) -> bool {
        self.body.is_empty() && self.closes() && [400, 414, 431].contains(&self.status) && self.headers.len() == 3
    }
}

/// What goes to the server: a socket, or what is made of one.
pub(crate) trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// A socket to the server.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::over(Self::socket(address))
    }

    pub(crate) fn socket(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A connection over a stream of another kind.
    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new() }
    }

    /// Sends octets; a server that answers before it has read them all may close, so that is no failure here.
    pub(crate) fn send(&mut self, octets: &[u8]) {
        if let Err(error) = self.stream.write_all(octets) {
            assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        }
    }

    /// Reads more; `false` at the end.
    fn fill(&mut self) -> bool {
        let mut octets = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut octets) {
                Ok(0) => return false,
                Ok(length) => {
                    self.buffer.extend_from_slice(&octets[..length]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("no answer in time: {error}"),
            }
        }
    }

    /// The next answer; `None` when the server has closed the connection.
    pub(crate) fn answer(&mut self, to_head: bool) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if !self.fill() {
                assert!(self.buffer.is_empty(), "half an answer: {:?}", String::from_utf8_lossy(&self.buffer));
                return None;
            }
        };
        let rest = self.buffer.split_off(end + 4);
        let head = String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        if !to_head && status != 100 {
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            while self.buffer.len() < length {
                assert!(self.fill(), "the body of an answer was cut");
            }
            let rest = self.buffer.split_off(length);
            answer.body = std::mem::replace(&mut self.buffer, rest);
        }
        Some(answer)
    }
}
