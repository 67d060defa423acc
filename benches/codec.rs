//! The Rust half against other crates: `cargo bench --no-default-features`.
//!
//! Rivals take turns: in every round each runs one lap, and what is printed is the median
//! over the rounds of our time divided by a rival's. Every rival's answer is checked first.

use std::collections::{HashSet, VecDeque};
use std::hint::black_box;
use std::time::{Duration, Instant};

use base64::prelude::{Engine, BASE64_STANDARD};
use xyfast::dedup::{Dedup, Key};
use xyfast::msgpack::{json, Options, Value, Writer};

/// So short that few laps are interrupted, also on a busy machine.
const LAP: Duration = Duration::from_micros(200);
const ROUNDS: usize = 301;

type Rival<'a> = (&'a str, Box<dyn FnMut() + 'a>);

fn rival<'a, T>(name: &'a str, mut run: impl FnMut() -> T + 'a) -> Rival<'a> {
    (name, Box::new(move || drop(black_box(run()))))
}

/// Times the rivals in turns; the first is ours.
fn race(what: &str, mut rivals: Vec<Rival<'_>>) {
    let calls: Vec<u32> = rivals.iter_mut().map(|(_, run)| calls(run)).collect();
    let mut rounds = vec![Vec::with_capacity(ROUNDS); rivals.len()];
    for round in 0..ROUNDS {
        for turn in 0..rivals.len() {
            let index = (round + turn) % rivals.len();
            let seconds = lap(&mut rivals[index].1, calls[index]).as_secs_f64();
            rounds[index].push(seconds / f64::from(calls[index]));
        }
    }
    let ours = &rounds[0];
    let time = median(ours.clone()) * 1e9;
    let ratios: String = (1..rivals.len())
        .map(|index| {
            let ratios = ours.iter().zip(&rounds[index]).map(|(us, them)| us / them);
            format!("  {:.2} of {}", median(ratios.collect()), rivals[index].0)
        })
        .collect();
    println!("{what:32} {time:>12.0} ns{ratios}");
}

fn lap(run: &mut dyn FnMut(), calls: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        run();
    }
    start.elapsed()
}

/// Returns how many calls fill a lap.
fn calls(run: &mut dyn FnMut()) -> u32 {
    let mut calls = 1;
    while lap(run, calls) < LAP {
        calls *= 2;
    }
    calls
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the payload of a name in the vectors, as MessagePack.
fn payload(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/decrypt.json");
    let text = std::fs::read_to_string(path).expect("the vectors are there");
    let vectors: serde_json::Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let found = vectors["vectors"].as_array().into_iter().flatten();
    let vector = found.into_iter().find(|v| v["name"] == name);
    let base64 = vector.and_then(|v| v["payload"].as_str());
    BASE64_STANDARD
        .decode(base64.expect("the vector is there"))
        .expect("base64")
}

fn packed(value: &Value<'_>) -> Vec<u8> {
    let mut writer = Writer::new();
    value.pack(&mut writer).expect("short enough");
    writer.into_bytes()
}

fn corpora() -> Vec<(&'static str, Vec<u8>)> {
    let ints = (0..1000).map(|i| Value::Int(i % 128)).collect();
    let times = (0..1000)
        .map(|i| Value::Int(1_767_225_600_000 + i))
        .collect();
    let floats = (0..1000).map(|i| Value::Float(f64::from(i) / 7.0));
    vec![
        ("chat message", payload("kind/chat-text")),
        ("trade card", payload("kind/trade-paid")),
        ("1000 small ints", packed(&Value::List(ints))),
        ("1000 times", packed(&Value::List(times))),
        ("1000 floats", packed(&Value::List(floats.collect()))),
        ("1000 ASCII str of 64", words("abcdefgh", 8)),
        ("1000 Han str of 64", words("在吗还有货可以便", 8)),
    ]
}

fn words(part: &str, times: usize) -> Vec<u8> {
    let word = part.repeat(times);
    let list = Value::List(vec![Value::Str(&word); 1000]);
    packed(&list)
}

fn msgpack(name: &str, data: &[u8]) {
    let ours = || Value::unpack(data).expect("one value");
    let borrowed = || rmpv::decode::read_value_ref(&mut &data[..]).expect("one value");
    let owned = || rmpv::decode::read_value(&mut &data[..]).expect("one value");
    let serde = || rmp_serde::from_slice::<serde_json::Value>(data);
    let mut rivals = vec![
        rival("ours", ours),
        rival("rmpv::ValueRef", borrowed),
        rival("rmpv::Value", owned),
    ];
    // A serde_json::Value has no integer keys.
    if serde().is_ok() {
        rivals.push(rival("rmp-serde, serde_json::Value", serde));
    }
    race(&format!("read {name}"), rivals);

    let (tree, theirs) = (ours(), owned());
    let write = || {
        let mut out = Vec::new();
        rmpv::encode::write_value(&mut out, &theirs).expect("a Vec takes everything");
        out
    };
    assert_eq!(
        owned(),
        rmpv::decode::read_value(&mut &write()[..]).expect("one value")
    );
    assert_eq!(Value::unpack(&packed(&tree)).expect("one value"), tree);
    let rivals = vec![rival("ours", || packed(&tree)), rival("rmpv", write)];
    race(&format!("write {name}"), rivals);

    let ours = || json::to_json(data, Options::PAYLOAD).expect("one value");
    let theirs = || serde_json::to_string(&owned()).expect("JSON has it all");
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(parse(&ours()), parse(&theirs()));
    let rivals = vec![rival("ours", ours), rival("rmpv+serde_json", theirs)];
    race(&format!("JSON of {name}"), rivals);
}

fn base64(len: usize) {
    let data: Vec<u8> = (0..len * 3 / 4).map(|i| (i * 31 % 251) as u8).collect();
    let text = BASE64_STANDARD.encode(&data);
    let decode = xyfast::base64::decode;
    let forgiving = xyfast::base64::decode_forgiving;
    assert_eq!(decode(text.as_bytes()).as_ref(), Ok(&data));
    assert_eq!(forgiving(text.as_bytes()).as_ref(), Ok(&data));
    assert_eq!(xyfast::base64::encode(&data), text);
    let strict = rival("ours", || decode(text.as_bytes()));
    let theirs = || rival("base64", || BASE64_STANDARD.decode(&text));
    race(&format!("base64 decode {len} B"), vec![strict, theirs()]);
    let ours = rival("ours", || forgiving(text.as_bytes()));
    race(&format!("base64 forgiving {len} B"), vec![ours, theirs()]);
    let ours = rival("ours", || xyfast::base64::encode(&data));
    let theirs = rival("base64", || BASE64_STANDARD.encode(&data));
    race(&format!("base64 encode {len} B"), vec![ours, theirs]);
}

/// The set of ids as one would write it in a minute; it keeps no times.
struct Plain {
    len: usize,
    known: HashSet<[u8; 32]>,
    queue: VecDeque<[u8; 32]>,
}

impl Plain {
    fn seen(&mut self, id: [u8; 32]) -> bool {
        if !self.known.insert(id) {
            return true;
        }
        self.queue.push_back(id);
        if self.queue.len() > self.len {
            if let Some(oldest) = self.queue.pop_front() {
                self.known.remove(&oldest);
            }
        }
        false
    }
}

/// Ids for ever, one in five of them a repeat of one that a set of `len` still knows.
fn ids(len: usize) -> impl FnMut() -> [u8; 32] {
    let (mut made, mut calls) = (0_u128, 0_u128);
    let spell = |number: u128| {
        let digits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let mut id = [0; 32];
        for (index, byte) in id.iter_mut().enumerate() {
            *byte = b'0' + ((digits >> (4 * index)) as u8 & 15) % 10;
        }
        id
    };
    move || {
        calls += 1;
        if calls % 5 == 0 {
            return spell(made.saturating_sub(calls * 7919 % (len as u128 / 2)));
        }
        made += 1;
        spell(made)
    }
}

fn dedup(len: usize) {
    let (mut ours, key) = (Dedup::new(len, 3600.0), Key::random());
    let mut seen = |id: &[u8]| ours.seen(key.digest(id), 1.0);
    let mut plain = Plain {
        len,
        known: HashSet::new(),
        queue: VecDeque::new(),
    };
    let (mut next, mut other) = (ids(len), ids(len));
    for _ in 0..2 * len {
        assert_eq!(seen(&next()), Ok(plain.seen(other())));
    }
    let rivals = vec![
        rival("ours", || seen(&next())),
        rival("HashSet and VecDeque", || plain.seen(other())),
    ];
    race(&format!("dedup of {len}"), rivals);
}

fn main() {
    for (name, data) in corpora() {
        msgpack(name, &data);
    }
    [400, 2_000, 10_000, 1_000_000].into_iter().for_each(base64);
    [10_000, 1_000_000].into_iter().for_each(dedup);
}
