//! A server that pushes one frame again and again, to see what a client makes of it.
//!
//! `loadserver WINDOW RATE SECONDS` pushes for so many seconds: with a `WINDOW` each link has so
//! many pushes unacknowledged at any time, otherwise `RATE` pushes a second go round all links.
//! A thread blocks on each link, so an ack costs two system calls for as many as came together.
//!
//! ```text
//! stdin  ─▶ the text of the push, one line     stdout ─▶ the port
//!        ─▶ an empty line: begin                      ─▶ what was seen, as JSON
//!        ─▶ its end: close the links and leave
//! ```
//!
//! The `mid` of a push is the time at which it was made, in nanoseconds since the epoch as 16
//! hexadecimal digits; its ack brings that back. Requests are answered at once.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, str, thread};

use serde_json::{json, Value};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What stands in the `mid` of the text that is given.
const BLANK: &str = "0000000000000000";

/// Acks of each link that are read in full; of the others only the time counts.
const CHECKED: u64 = 64;

/// The headers that an ack has to bring back.
const ECHO: [&str; 5] = ["mid", "sid", "app-key", "ua", "dt"];

/// A close frame with code 1000.
const CLOSE: [u8; 4] = [0x88, 2, 3, 232];

/// How long acks may take after the last push.
const PATIENCE: Duration = Duration::from_secs(30);

/// A clock that never goes back and tells the time that Python's `time.time_ns` does.
struct Clock {
    started: Instant,
    epoch: u64,
}

impl Clock {
    fn new() -> Clock {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Clock {
            started: Instant::now(),
            epoch: epoch.map_or(0, |since| since.as_nanos() as u64),
        }
    }

    fn now(&self) -> u64 {
        self.epoch + self.started.elapsed().as_nanos() as u64
    }
}

/// What happened on a link; times in nanoseconds.
#[derive(Default)]
struct Tally {
    pushed: u64,
    acked: u64,
    /// The times of all pushes without those of all acks: nothing, when each has its own.
    balance: u64,
    faults: u64,
    /// From each push to its ack.
    times: Vec<u64>,
    last_ack: u64,
    beats: u64,
    last_beat: u64,
    /// The longest time between two heartbeats.
    silence: u64,
}

struct Link {
    writer: Mutex<TcpStream>,
    tally: Mutex<Tally>,
}

impl Link {
    /// A link that cannot be written to has gone, which shows in the acks that are missing.
    fn write(&self, data: &[u8]) {
        if let Ok(mut writer) = self.writer.lock() {
            let _ = writer.write_all(data);
        }
    }

    fn tally<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        change(&mut self.tally.lock().expect("no thread panics with a tally"))
    }
}

struct Server {
    clock: Clock,
    /// The push as a WebSocket frame, and where its time stands.
    frame: Vec<u8>,
    place: usize,
    /// What its ack has to be but for the `mid`.
    ack: Value,
    window: u64,
    /// When the last push is made.
    until: Mutex<u64>,
    links: Mutex<Vec<Arc<Link>>>,
}

impl Server {
    fn new(text: &str, window: u64) -> Server {
        let push: Value = serde_json::from_str(text).expect("the push is JSON");
        let headers = ECHO.iter().filter_map(|name| {
            let value = push["headers"].get(*name)?;
            Some(((*name).to_owned(), value.clone()))
        });
        let headers: serde_json::Map<String, Value> = headers.collect();
        let frame = message(text.as_bytes());
        let place = find(&frame, BLANK.as_bytes()).expect("the push has a blank mid");
        Server {
            clock: Clock::new(),
            frame,
            place,
            ack: json!({"code": 200, "headers": headers}),
            window,
            until: Mutex::new(0),
            links: Mutex::default(),
        }
    }

    fn links(&self) -> Vec<Arc<Link>> {
        self.links.lock().expect("no thread panics here").clone()
    }

    fn until(&self) -> u64 {
        *self.until.lock().expect("no thread panics here")
    }

    /// Makes so many pushes and writes them in one go.
    fn push(&self, link: &Link, count: u64) {
        let mut data = Vec::with_capacity(count as usize * self.frame.len());
        let now = self.clock.now();
        for time in now..now + count {
            let place = data.len() + self.place;
            data.extend_from_slice(&self.frame);
            data[place..place + BLANK.len()].copy_from_slice(format!("{time:016x}").as_bytes());
            link.tally(|tally| {
                tally.pushed += 1;
                tally.balance = tally.balance.wrapping_add(time);
            });
        }
        link.write(&data);
    }

    /// Pushes to all links in turn, `rate` times a second; a late push is followed by the next.
    fn pace(&self, rate: f64, count: u32) {
        let (links, started) = (self.links(), Instant::now());
        for number in 0..count {
            let due = Duration::from_secs_f64(f64::from(number) / rate);
            thread::sleep(due.saturating_sub(started.elapsed()));
            self.push(&links[number as usize % links.len()], 1);
        }
    }

    /// Reads a link to its end.
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let link = Arc::new(Link {
            writer: Mutex::new(stream.try_clone()?),
            tally: Mutex::default(),
        });
        let (mut buffer, mut filled) = (vec![0; 32 << 10], 0);
        link.write(shake_hands(&mut stream)?.as_bytes());
        loop {
            match stream.read(&mut buffer[filled..])? {
                0 => return Ok(()),
                count => filled += count,
            }
            let (now, mut read, mut acks) = (self.clock.now(), 0, 0);
            while let Some((opcode, from, to)) = unmask(&mut buffer[read..filled]) {
                let text = &buffer[read + from..read + to];
                match opcode {
                    1 | 2 if find(text, br#""lwp""#).is_none() => {
                        self.acked(&link, text, now);
                        acks += 1;
                    }
                    1 | 2 => self.answer(&link, text, now),
                    8 => {
                        link.write(&CLOSE);
                        return stream.shutdown(Shutdown::Both);
                    }
                    _ => {}
                }
                read += to;
            }
            buffer.copy_within(read..filled, 0);
            filled -= read;
            if acks > 0 && self.window > 0 && now < self.until() {
                self.push(&link, acks);
            }
        }
    }

    fn acked(&self, link: &Link, text: &[u8], now: u64) {
        let mid = mid(text);
        let time = mid
            .get(..BLANK.len())
            .and_then(|time| u64::from_str_radix(time, 16).ok());
        link.tally(|tally| {
            tally.acked += 1;
            tally.last_ack = now;
            let time = time.unwrap_or_default();
            tally.balance = tally.balance.wrapping_sub(time);
            tally.times.push(now.saturating_sub(time));
            if tally.acked <= CHECKED {
                let mut expected = self.ack.clone();
                expected["headers"]["mid"] = json!(mid);
                let right = serde_json::from_slice::<Value>(text).is_ok_and(|ack| ack == expected);
                tally.faults += u64::from(!right);
            }
        });
    }

    fn answer(&self, link: &Arc<Link>, text: &[u8], now: u64) {
        if find(text, b"\"/reg\"").is_some() {
            let mut links = self.links.lock().expect("no thread panics here");
            links.push(link.clone());
        } else {
            link.tally(|tally| tally.beat(now));
        }
        let mid = mid(text);
        let answer = format!(
            r#"{{"code":200,"headers":{{"mid":"{mid}","sid":"synthetic-sid-0001"}},"body":{{}}}}"#
        );
        link.write(&message(answer.as_bytes()));
    }

    /// Waits until every push has its ack, and tells what was seen since `begun`.
    fn report(&self, begun: u64) -> Value {
        let mut sum = Tally::default();
        let patience = self.until() + PATIENCE.as_nanos() as u64;
        for link in self.links() {
            while link.tally(|tally| tally.acked < tally.pushed) && self.clock.now() < patience {
                thread::sleep(Duration::from_millis(1));
            }
            let now = self.clock.now();
            link.tally(|tally| sum.add(tally, now));
        }
        sum.times.sort_unstable();
        let share = |part: usize| match sum.times.len() {
            0 => 0.0,
            count => seconds(sum.times[(count * part / 100).min(count - 1)]),
        };
        json!({
            "pushed": sum.pushed,
            "acked": sum.acked,
            "faults": sum.faults + u64::from(sum.balance != 0),
            "seconds": seconds(sum.last_ack.saturating_sub(begun)),
            "p50": share(50),
            "p99": share(99),
            "beats": sum.beats,
            "silence": seconds(sum.silence),
        })
    }
}

impl Tally {
    fn beat(&mut self, now: u64) {
        if self.last_beat > 0 {
            self.beats += 1;
            self.silence = self.silence.max(now - self.last_beat);
        }
        self.last_beat = now;
    }

    /// Adds another link's at `now`: it has been silent since its last heartbeat.
    fn add(&mut self, other: &mut Tally, now: u64) {
        let silence = match other.last_beat {
            0 => 0,
            last => now.saturating_sub(last),
        };
        self.pushed += other.pushed;
        self.acked += other.acked;
        self.faults += other.faults;
        self.balance = self.balance.wrapping_add(other.balance);
        self.times.append(&mut other.times);
        self.last_ack = self.last_ack.max(other.last_ack);
        self.beats += other.beats;
        self.silence = self.silence.max(other.silence).max(silence);
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, what)
}

/// The `mid` of a frame, wherever spaces stand; nothing if there is none.
fn mid(text: &[u8]) -> &str {
    let after = find(text, br#""mid""#).map_or(&[][..], |place| &text[place + 5..]);
    let value = after.split(|byte| *byte == b'"').nth(1);
    str::from_utf8(value.unwrap_or_default()).unwrap_or_default()
}

/// A text message as a server sends it.
fn message(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        length @ 0..=125 => frame.push(length as u8),
        length => {
            frame.push(126);
            let length = u16::try_from(length).expect("no push is so long");
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend_from_slice(text);
    frame
}

/// Unmasks a whole frame of a client in its place: opcode, begin and end of its payload.
fn unmask(data: &mut [u8]) -> Option<(u8, usize, usize)> {
    let (opcode, short) = (data.first()? & 15, data.get(1)? & 127);
    let (length, head) = match short {
        126 => {
            let length = data.get(2..4)?.try_into().ok()?;
            (usize::from(u16::from_be_bytes(length)), 4)
        }
        // An ack is never so long; the link ends when the buffer is full.
        127 => return None,
        short => (usize::from(short), 2),
    };
    let (from, to) = (head + 4, head + 4 + length);
    let mask: [u8; 4] = data.get(head..from)?.try_into().ok()?;
    let (words, rest) = data.get_mut(from..to)?.as_chunks_mut();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    Some((opcode, from, to))
}

/// Reads the request for a WebSocket and makes the answer.
fn shake_hands(stream: &mut TcpStream) -> io::Result<String> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request);
    let key = request.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then_some(value.trim())
    });
    let key = key.ok_or(ErrorKind::InvalidData)?;
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    ))
}

fn main() -> io::Result<()> {
    let arguments: Vec<f64> = env::args().skip(1).flat_map(|text| text.parse()).collect();
    let [window, rate, duration] = arguments[..] else {
        panic!("loadserver WINDOW RATE SECONDS");
    };
    let mut lines = io::stdin().lock().lines();
    let push = lines.next().expect("a push comes first")?;
    let server = Arc::new(Server::new(&push, window as u64));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let accepting = server.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = accepting.clone();
            let thread = thread::Builder::new().stack_size(256 << 10);
            thread
                .spawn(move || server.serve(stream))
                .expect("there is room for a thread");
        }
    });
    lines.next().transpose()?;
    let begun = server.clock.now();
    *server.until.lock().expect("no thread panics here") = begun + (duration * 1e9) as u64;
    if server.window > 0 {
        for link in server.links() {
            server.push(&link, server.window);
        }
    } else {
        server.pace(rate, (rate * duration) as u32);
    }
    thread::sleep(Duration::from_nanos(
        server.until().saturating_sub(server.clock.now()),
    ));
    println!("{}", server.report(begun));
    lines.next().transpose()?;
    for link in server.links() {
        link.write(&CLOSE);
        let writer = link.writer.lock().expect("no thread panics here");
        let _ = writer.shutdown(Shutdown::Write);
    }
    Ok(())
}
