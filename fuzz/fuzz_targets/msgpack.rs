//! Any bytes are a value or an error, and all sinks agree which: the tree, the JSON text,
//! picked fields and the scan; a value that is written is read again; memory stays a small
//! multiple of the input.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xyfast::error::{DecodeError, Reason};
use xyfast::msgpack::json::to_json;
use xyfast::msgpack::pick::{pick, Paths};
use xyfast::msgpack::scan::{Limits, Scan};
use xyfast::msgpack::{read, Options, Tree, Value, Writer, DEFAULT_DEPTH};

#[path = "../memory.rs"]
mod memory;
#[path = "../../tests/rust/naive.rs"]
mod naive;

use memory::most_memory;

/// Names that the dictionary has as keys too.
const PATHS: [&str; 8] = [
    "1",
    "1.1",
    "1.10.reminderContent",
    "2",
    "a",
    "null",
    "-1",
    "3.a",
];

fuzz_target!(|data: &[u8]| {
    let shallow = Options {
        max_depth: 4,
        ..Options::STANDARD
    };
    for options in [Options::STANDARD, Options::PAYLOAD, shallow] {
        tree(data, options);
    }
    text(data);
    fields(data);
    end(data);
    again(data);
});

/// No sink takes more than this for a byte of input, nor more than `LITTLE` beside it.
const MOST: usize = 256;
const LITTLE: usize = 64 * 1024;

fn bounded<R>(data: &[u8], work: impl FnOnce() -> R) -> R {
    let (answer, most) = most_memory(work);
    assert!(
        most <= LITTLE + MOST * data.len(),
        "{most} for {}",
        data.len()
    );
    answer
}

/// Equality that takes a NaN for the same NaN.
fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    a == b || format!("{a:?}") == format!("{b:?}")
}

fn tree(data: &[u8], options: Options) {
    let fast = bounded(data, || read(data, options, &mut Tree));
    match (fast, naive::read(data, options)) {
        (Ok((fast, end)), Ok((slow, slow_end))) => {
            assert!(same(&fast, &slow), "{fast:?} {slow:?}");
            assert_eq!(end, slow_end);
        }
        (fast, slow) => {
            let fault = |error: DecodeError| (error.reason.word(), error.offset);
            assert_eq!(fast.err().map(fault), slow.err());
        }
    }
}

fn text(data: &[u8]) {
    let tree = read(data, Options::PAYLOAD, &mut Tree);
    match bounded(data, || to_json(data, Options::PAYLOAD)) {
        Err(error) if error.reason == Reason::BytesKey => assert!(tree.is_ok()),
        text => assert_eq!(text.err(), tree.err()),
    }
}

fn fields(data: &[u8]) {
    let paths = Paths::new(PATHS);
    let found = bounded(data, || pick(data, &paths, &mut Tree));
    match (read(data, Options::PAYLOAD, &mut Tree), found) {
        (Ok((tree, _)), Some(found)) => {
            for (found, path) in found.iter().zip(PATHS) {
                match (found, naive::follow(&tree, path)) {
                    (Some(found), Some(expected)) => assert!(same(found, expected), "{path}"),
                    (found, expected) => assert_eq!(found.as_ref(), expected, "{path}"),
                }
            }
        }
        (Ok((tree, _)), None) => assert!(!matches!(tree, Value::Map(_)) || !naive::is_plain(&tree)),
        // What is not picked is not checked.
        (Err(error), Some(_)) => assert_eq!(error.reason.word(), "utf8"),
        (Err(_), None) => {}
    }
}

fn end(data: &[u8]) {
    let whole = bounded(data, || {
        Scan::new(DEFAULT_DEPTH).advance(data, &Limits::NONE)
    });
    match (whole, read(data, Options::STANDARD, &mut Tree)) {
        (Ok(Some(end)), Ok((_, read_end))) => assert_eq!(end, read_end),
        // What is inside a value does not concern the scan.
        (Ok(Some(end)), Err(error)) => assert!(error.offset < end),
        (Ok(None), Err(_)) => {}
        (Err(error), Err(first)) => assert!(first.offset <= error.offset),
        (found, read) => panic!("{found:?} {read:?}"),
    }
    let mut scan = Scan::new(DEFAULT_DEPTH);
    let step = data.len() / 7 + 1;
    let mut ends = (0..data.len()).step_by(step).chain([data.len()]);
    let found = ends.find_map(|end| scan.advance(&data[..end], &Limits::NONE).transpose());
    assert_eq!(found.transpose(), whole);
}

fn again(data: &[u8]) {
    let Ok((value, _)) = read(data, Options::STANDARD, &mut Tree) else {
        return;
    };
    let packed = |value: &Value<'_>| {
        let mut writer = Writer::new();
        value.pack(&mut writer).expect("no longer than the input");
        writer.into_bytes()
    };
    let once = packed(&value);
    let read_again = Value::unpack(&once).expect("what was written is read");
    assert!(same(&read_again, &value), "{value:?}");
    assert_eq!(packed(&read_again), once);
}
