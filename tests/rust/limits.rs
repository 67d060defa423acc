//! Depth, false lengths and memory.

use std::thread;

use proptest::prelude::*;
use xyfast::error::{DecodeError, Reason};
use xyfast::msgpack::json::to_json;
use xyfast::msgpack::pick::{pick, Paths};
use xyfast::msgpack::{read, Options, Scalar, Sink, Tree, Value};

use crate::generate::wild;

const DEPTH: usize = 512;

/// Runs `test` on a thread with a small stack.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(512 * 1024);
    thread.spawn(test).unwrap().join().unwrap();
}

/// Maps, lists and both by turns, `depth` deep, with a 1 inside.
fn nests(depth: usize) -> [Vec<u8>; 3] {
    let map: &[u8] = &[0x81, 0x01];
    let list: &[u8] = &[0x91];
    let nest = |levels: [&[u8]; 2]| {
        let mut data: Vec<u8> = (0..depth).flat_map(|i| levels[i % 2]).copied().collect();
        data.push(1);
        data
    };
    [nest([map, map]), nest([list, list]), nest([map, list])]
}

#[test]
fn every_sink_takes_512_levels_and_no_more() {
    on_a_small_stack(|| {
        let paths = ["9", "1.1.1.1", "1.1.1.2"].map(|path| Paths::new([path]));
        let picked = |data: &[u8], paths| pick(data, paths, &mut Tree).is_some();
        for data in nests(DEPTH) {
            assert!(Value::unpack(&data).is_ok());
            assert!(to_json(&data, Options::PAYLOAD).is_ok());
            for paths in &paths {
                assert_eq!(picked(&data, paths), data[0] == 0x81);
            }
        }
        for data in nests(DEPTH + 1) {
            let at = data.len() - if data[data.len() - 2] == 0x91 { 2 } else { 3 };
            let error = DecodeError::new(Reason::Depth, at);
            assert_eq!(Value::unpack(&data), Err(error));
            assert_eq!(to_json(&data, Options::PAYLOAD), Err(error));
            for paths in &paths {
                assert!(!picked(&data, paths));
            }
        }
    });
}

#[test]
fn a_depth_bomb_is_an_error() {
    on_a_small_stack(|| {
        for data in nests(100_000) {
            assert_eq!(Value::unpack(&data).unwrap_err().reason, Reason::Depth);
            assert_eq!(
                to_json(&data, Options::PAYLOAD).unwrap_err().reason,
                Reason::Depth
            );
        }
    });
}

#[test]
fn a_depth_bomb_of_keys_is_an_error() {
    for opener in [0x81, 0x82, 0x91] {
        let error = Value::unpack(&vec![opener; 100_000]).unwrap_err();
        assert_eq!(error.reason, Reason::Depth);
    }
}

#[test]
fn nesting_costs_no_stack() {
    on_a_small_stack(|| {
        let options = Options {
            max_depth: usize::MAX,
            ..Options::STANDARD
        };
        for data in nests(100_000) {
            let mut claims = Claims::default();
            assert_eq!(read(&data, options, &mut claims), Ok(((), data.len())));
            assert_eq!(claims.containers, 100_000);
        }
    });
}

#[test]
fn a_false_length_is_found_before_the_sink_hears_of_it() {
    let lies: [&[u8]; 8] = [
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xdc, 0xff, 0xff, 1, 2, 3],
        &[0xde, 0xff, 0xff, 1, 2, 3],
        &[0x92, 0x93, 1, 2],
        &[0x82, 1, 0x82, 2],
        &[0xdb, 0xff, 0xff, 0xff, 0xff, b'a'],
        &[0xc9, 0xff, 0xff, 0xff, 0xff, 1, b'a'],
    ];
    for data in lies {
        let mut claims = Claims::default();
        let error = read(data, Options::STANDARD, &mut claims).unwrap_err();
        assert_eq!(error.reason, Reason::Truncated, "{data:02x?}");
        assert!(claims.values <= data.len());
    }
}

#[test]
fn an_earlier_error_is_reported_before_a_false_length() {
    assert_eq!(
        Value::unpack(&[0xdc, 0xff, 0xff, 1, 0xc1, 2]),
        Err(DecodeError::new(Reason::Format(0xc1), 4))
    );
    assert_eq!(
        Value::unpack(&[0x82, 0x90, 0xa1, 0xff]).map_err(|error| error.offset),
        Err(3)
    );
}

#[test]
fn a_value_goes_before_its_unusable_key() {
    let unhashable = Value::unpack(&[0x81, 0x91, 0x01, 0x02]).unwrap_err();
    assert_eq!((unhashable.reason.word(), unhashable.offset), ("key", 1));
    let inside = Value::unpack(&[0x81, 0x91, 0x01, 0xc1]).unwrap_err();
    assert_eq!(inside, DecodeError::new(Reason::Format(0xc1), 3));
}

/// Adds up what it is told to make room for.
#[derive(Default)]
struct Claims {
    values: usize,
    containers: usize,
}

impl<'a> Sink<'a> for Claims {
    type Out = ();
    type Seq = ();
    type Map = ();
    type Key = ();
    type Error = DecodeError;

    fn scalar(&mut self, scalar: Scalar<'a>, _at: usize) -> Result<(), DecodeError> {
        if let Scalar::Str(text) = scalar {
            text.check()?;
        }
        Ok(())
    }

    fn seq(&mut self, len: usize) -> Result<(), DecodeError> {
        self.values += len;
        self.containers += 1;
        Ok(())
    }

    fn item(&mut self, _seq: &mut (), _value: ()) -> Result<(), DecodeError> {
        Ok(())
    }

    fn end_seq(&mut self, _seq: ()) -> Result<(), DecodeError> {
        Ok(())
    }

    fn map(&mut self, len: usize) -> Result<(), DecodeError> {
        self.values += 2 * len;
        self.containers += 1;
        Ok(())
    }

    fn key(&mut self, _map: &mut (), key: Scalar<'a>, at: usize) -> Result<(), DecodeError> {
        self.scalar(key, at)
    }

    fn entry(&mut self, _map: &mut (), _key: (), _value: ()) -> Result<(), DecodeError> {
        Ok(())
    }

    fn end_map(&mut self, _map: ()) -> Result<(), DecodeError> {
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn lengths_add_up_to_no_more_than_the_input(data in wild()) {
        let mut claims = Claims::default();
        let _ = read(&data, Options::STANDARD, &mut claims);
        prop_assert!(claims.values <= data.len());
    }
}
