//! Claims about the scan for the end of a value.

use proptest::prelude::*;
use xyfast::error::{DecodeError, Reason};
use xyfast::msgpack::scan::{Limit, Limits, Scan};
use xyfast::msgpack::{read, Options, Tree, DEFAULT_DEPTH};

use crate::generate::{tree, wild};

fn scan(data: &[u8]) -> Result<Option<usize>, DecodeError> {
    Scan::new(DEFAULT_DEPTH).advance(data, &Limits::NONE)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_end_is_where_the_reader_ends(data in wild()) {
        let read = read(&data, Options::STANDARD, &mut Tree);
        match (scan(&data), read) {
            (Ok(Some(end)), Ok((_, read_end))) => prop_assert_eq!(end, read_end),
            // What is inside a value does not concern the scan.
            (Ok(Some(end)), Err(error)) => prop_assert!(error.offset < end),
            (Ok(None), Err(_)) => {}
            (Err(error), Err(first)) => prop_assert!(first.offset <= error.offset),
            (found, read) => prop_assert!(false, "{found:?} {read:?}"),
        }
    }

    #[test]
    fn pieces_make_no_difference(data in wild(), step in 1_usize..20) {
        let mut scan_in_pieces = Scan::new(DEFAULT_DEPTH);
        let mut seen = Ok(None);
        for end in (0..data.len()).step_by(step).chain([data.len()]) {
            seen = scan_in_pieces.advance(&data[..end], &Limits::NONE);
            if seen != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(seen, scan(&data));
    }

    #[test]
    fn what_was_looked_at_may_be_thrown_away(tree in tree(), step in 1_usize..20) {
        let data = tree.pack();
        let (mut start, mut end, mut scan) = (0, 0, Scan::new(DEFAULT_DEPTH));
        let left = loop {
            end = (end + step).min(data.len());
            if let Some(left) = scan.advance(&data[start..end], &Limits::NONE).unwrap() {
                break left;
            }
            start += scan.forget(end - start);
        };
        prop_assert_eq!(start + left, data.len());
    }

    #[test]
    fn a_scan_can_start_again(first in tree(), second in tree()) {
        let mut scan = Scan::new(DEFAULT_DEPTH);
        for tree in [first, second] {
            let data = tree.pack();
            prop_assert_eq!(scan.advance(&data, &Limits::NONE), Ok(Some(data.len())));
            scan.restart();
        }
    }
}

#[test]
fn every_limit_refuses_its_kind_by_the_head_alone() {
    let limit = |option| Limit { len: 3, option };
    let limits = Limits {
        str: limit("max_str_len"),
        bin: limit("max_bin_len"),
        array: limit("max_array_len"),
        map: limit("max_map_len"),
        ext: limit("max_ext_len"),
    };
    for (name, heads) in [
        (
            "max_str_len",
            [&b"\xa4"[..], b"\xd9\x04", b"\xdb\x00\x00\x00\x04"],
        ),
        (
            "max_bin_len",
            [b"\xc4\x04", b"\xc5\x00\x04", b"\xc6\x00\x00\x00\x04"],
        ),
        (
            "max_array_len",
            [b"\x94", b"\xdc\x00\x04", b"\xdd\x00\x00\x00\x04"],
        ),
        (
            "max_map_len",
            [b"\x84", b"\xde\x00\x04", b"\xdf\x00\x00\x00\x04"],
        ),
        (
            "max_ext_len",
            [b"\xd6", b"\xc7\x04", b"\xc9\x00\x00\x00\x04"],
        ),
    ] {
        for head in heads {
            let data = [b"\x91", head].concat();
            let refused = Scan::new(DEFAULT_DEPTH).advance(&data, &limits);
            assert_eq!(refused, Err(DecodeError::new(Reason::Length(name), 1)));
            assert_eq!(scan(&data), Ok(None));
        }
    }
    let taken = b"\x93\xa3abc\xc4\x03abc\xc7\x03\x01abc";
    let found = Scan::new(DEFAULT_DEPTH).advance(taken, &limits);
    assert_eq!(found, Ok(Some(taken.len())));
}

#[test]
fn depth_is_counted_as_the_reader_counts_it() {
    for (data, max_depth) in [
        (&b"\x90"[..], 0),
        (b"\x91\x90", 1),
        (b"\x81\x01\x81\x01\x02", 2),
        (b"\x93\x91\x01\x91\x02\x91\x91\x03", 2),
    ] {
        for max_depth in [max_depth, max_depth + 1] {
            let options = Options {
                max_depth,
                ..Options::STANDARD
            };
            let read = read(data, options, &mut Tree).map(|(_, end)| Some(end));
            let found = Scan::new(max_depth).advance(data, &Limits::NONE);
            assert_eq!(found, read);
        }
    }
}

#[test]
fn a_long_value_in_tiny_pieces_is_looked_at_once() {
    // Were each piece to start anew, this would take 10^12 steps.
    let data = [&b"\xdd\x00\x0f\x42\x40"[..], &vec![0x01; 1_000_000]].concat();
    let mut scan = Scan::new(DEFAULT_DEPTH);
    let found = (0..=data.len()).find_map(|end| {
        let found = scan.advance(&data[..end], &Limits::NONE);
        found.unwrap()
    });
    assert_eq!(found, Some(data.len()));
}
