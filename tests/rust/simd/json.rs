use proptest::prelude::*;
use xyfast::simd::{json_escape, Level};

use super::check::json as check;

#[test]
fn every_byte_is_spelled_right_in_every_place_of_a_block() {
    for byte in 0..=255 {
        for at in 0..70 {
            let mut bytes = [b'a'; 70];
            bytes[at] = byte;
            check(&bytes);
            check(&bytes[..=at]);
            check(&bytes[at..]);
        }
    }
}

#[test]
fn bytes_that_all_need_an_escape_are_spelled_right() {
    for len in 0..200 {
        check(&vec![b'"'; len]);
        check(&vec![0x01; len]);
        check(
            &(0..len)
                .map(|i| if i % 5 == 0 { b'"' } else { b'x' })
                .collect::<Vec<_>>(),
        );
    }
}

#[test]
fn memory_stays_a_small_multiple_of_the_longest_answer() {
    for level in Level::available() {
        let mut out = Vec::new();
        json_escape(level, &[b'a'; 100_000], 100_000, &mut out);
        assert!(out.capacity() < 110_000, "{}", level.name());
        json_escape(level, &[1; 100_000], 100_000, &mut out);
        assert!(out.capacity() < 2 * 700_000 + 110_000, "{}", level.name());
    }
}

proptest! {
    #[test]
    fn escapes_like_the_naive_version(
        runs in prop::collection::vec(("[ -~闲鱼é]{0,70}", "[\"\\\\\0-\x1f\x7f]{0,4}"), 0..8),
        start in 0..40_usize,
    ) {
        let text: String = runs.iter().map(|(plain, special)| format!("{plain}{special}")).collect();
        check(&text.as_bytes()[start.min(text.len())..]);
    }

    #[test]
    fn escapes_any_bytes_like_the_naive_version(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        check(&bytes);
    }
}
