//! Sends one request again and again over connections that are kept alive, on one thread, and times the answers.
//!
//! ```text
//! load ADDRESS CONNECTIONS SECONDS EXPECTED [RATE] <REQUEST
//! ```
//!
//! Without a rate each connection asks again as soon as it has its answer (a closed loop). With one, requests are due at even
//! distances whether or not the answers come (an open loop), the first connection that is free takes the next, and its latency
//! counts from when it was due: a server that stalls is charged for all that had to wait. Then the thread never sleeps, so as
//! to send in time; `late` says how long after it was due a request was sent though a connection was free.
//!
//! An answer is good with status 200, a Content-Length, and EXPECTED in its body; anything else ends the run with an error.
//! The first tenth of the time is left out. Prints `name=value` pairs, times in microseconds.

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// For an answer, after the last request was due.
const PATIENCE: Duration = Duration::from_secs(5);

struct Arguments {
    address: SocketAddr,
    connections: usize,
    time: Duration,
    expected: String,
    rate: Option<f64>,
}

fn arguments() -> Option<Arguments> {
    let mut words = std::env::args().skip(1);
    Some(Arguments {
        address: words.next()?.parse().ok()?,
        connections: words.next()?.parse().ok()?,
        time: Duration::try_from_secs_f64(words.next()?.parse().ok()?).ok()?,
        expected: words.next()?,
        rate: words
            .next()
            .map(|rate| rate.parse().ok().filter(|rate| *rate > 0.0))
            .map_or(Some(None), |rate| rate.map(Some))?,
    })
}

fn main() -> io::Result<()> {
    let Some(arguments) = arguments() else {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "usage: load ADDRESS CONNECTIONS SECONDS EXPECTED [RATE] <REQUEST",
        ));
    };
    let mut request = Vec::new();
    io::stdin().read_to_end(&mut request)?;
    let mut run = Run::new(&arguments, request)?;
    run.go()?;
    run.tell();
    Ok(())
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// When the request was due that is being answered.
    due: Option<Instant>,
}

struct Run<'a> {
    asked: &'a Arguments,
    request: Vec<u8>,
    poll: Poll,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    /// Latencies of what was due in the measured part, and lateness of what found a connection free.
    latencies: Vec<Duration>,
    late: Vec<Duration>,
    /// The measured part.
    from: Instant,
    until: Instant,
    /// Answers that came in the measured part.
    answered: u64,
}

impl<'a> Run<'a> {
    fn new(asked: &'a Arguments, request: Vec<u8>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let connect = |at| Connection::open(asked.address, &poll, at);
        let connections = (0..asked.connections).map(connect).collect::<io::Result<_>>()?;
        let start = Instant::now();
        Ok(Self {
            asked,
            request,
            poll,
            connections,
            idle: (0..asked.connections).collect(),
            latencies: Vec::with_capacity(1 << 20),
            late: Vec::new(),
            from: start + asked.time / 10,
            until: start + asked.time,
            answered: 0,
        })
    }

    fn go(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let interval = self.asked.rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        let start = Instant::now();
        let (mut sent, mut found_none) = (0_u64, false);
        loop {
            let mut now = Instant::now();
            while !self.idle.is_empty() {
                // The distance from the start, not from the last one: errors of rounding do not add up.
                let due = interval.map_or(now, |interval| {
                    start + Duration::from_nanos((interval.as_nanos() as f64 * sent as f64) as u64)
                });
                if due > now || due >= self.until {
                    break;
                }
                let Some(at) = self.idle.pop() else { break };
                if interval.is_some() && !found_none && due >= self.from {
                    self.late.push(now - due);
                }
                self.send(at, due)?;
                sent += 1;
                now = Instant::now();
            }
            found_none = self.idle.is_empty();
            if now >= self.until && self.idle.len() == self.connections.len() {
                return Ok(());
            }
            if now >= self.until + PATIENCE {
                return Err(Error::new(ErrorKind::TimedOut, "an answer did not come"));
            }
            let sleep = if interval.is_some() { Duration::ZERO } else { Duration::from_millis(100) };
            self.poll.poll(&mut events, Some(sleep))?;
            for event in &events {
                self.receive(event.token().0)?;
            }
        }
    }

    fn send(&mut self, at: usize, due: Instant) -> io::Result<()> {
        let connection = &mut self.connections[at];
        connection.due = Some(due);
        // So short a request fits into an empty buffer of the system.
        match connection.stream.write(&self.request)? {
            written if written == self.request.len() => Ok(()),
            _ => Err(Error::new(ErrorKind::WriteZero, "a request was not sent at once")),
        }
    }

    fn receive(&mut self, at: usize) -> io::Result<()> {
        let connection = &mut self.connections[at];
        let mut octets = [0; 4096];
        let read = match connection.stream.read(&mut octets) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        match connection.due {
            None if read == 0 => return self.reopen(at),
            None => return Err(Error::other("more than one answer came")),
            Some(_) if read == 0 => return Err(ErrorKind::UnexpectedEof.into()),
            Some(_) => connection.received.extend_from_slice(&octets[..read]),
        }
        let Some(stays) = judge(&connection.received, &self.asked.expected)? else { return Ok(()) };
        let due = connection.due.take();
        connection.received.clear();
        let now = Instant::now();
        if (self.from..self.until).contains(&now) {
            self.answered += 1;
        }
        if let Some(due) = due.filter(|due| *due >= self.from) {
            self.latencies.push(now - due);
        }
        if !stays {
            return self.reopen(at);
        }
        self.idle.push(at);
        Ok(())
    }

    /// A new connection in the place of one that the server has ended.
    fn reopen(&mut self, at: usize) -> io::Result<()> {
        self.idle.retain(|idle| *idle != at);
        self.connections[at] = Connection::open(self.asked.address, &self.poll, at)?;
        self.idle.push(at);
        Ok(())
    }

    fn tell(&mut self) {
        let rate = self.answered as f64 / (self.until - self.from).as_secs_f64();
        self.latencies.sort_unstable();
        self.late.sort_unstable();
        let [p50, p99, p999, longest] = [0.5, 0.99, 0.999, 1.0].map(|part| quantile(&self.latencies, part));
        let late = quantile(&self.late, 0.99);
        println!("rate={rate:.0} p50={p50:.1} p99={p99:.1} p999={p999:.1} longest={longest:.1} late={late:.1}");
    }
}

impl Connection {
    fn open(address: SocketAddr, poll: &Poll, at: usize) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(at), Interest::READABLE)?;
        Ok(Self { stream, received: Vec::with_capacity(4096), due: None })
    }
}

/// Whether the connection stays after this answer; nothing where the answer is not complete, an error where it is not good.
fn judge(received: &[u8], expected: &str) -> io::Result<Option<bool>> {
    let bad = || Error::new(ErrorKind::InvalidData, format!("a bad answer: {}", String::from_utf8_lossy(received)));
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&received[..end]).map_err(|_| bad())?;
    let body = &received[end + 4..];
    let mut lines = head.split("\r\n");
    if lines.next().and_then(|line| line.split(' ').nth(1)) != Some("200") {
        return Err(bad());
    }
    let (mut length, mut stays) = (None, true);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            stays = !value.trim().eq_ignore_ascii_case("close");
        }
    }
    let length = length.ok_or_else(bad)?;
    if body.len() < length {
        return Ok(None);
    }
    if body.len() > length || !body.windows(expected.len()).any(|part| part == expected.as_bytes()) {
        return Err(bad());
    }
    Ok(Some(stays))
}

fn quantile(sorted: &[Duration], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}
