use proptest::prelude::*;
use xyfast::simd::{json_escape, json_plain, Level};

fn is_plain(byte: &u8) -> bool {
    *byte >= 0x20 && *byte != b'"' && *byte != b'\\'
}

fn naive_escape(bytes: &[u8]) -> Vec<u8> {
    let spell = |byte: &u8| match byte {
        b'"' => b"\\\"".to_vec(),
        b'\\' => b"\\\\".to_vec(),
        0x08 => b"\\b".to_vec(),
        0x09 => b"\\t".to_vec(),
        0x0a => b"\\n".to_vec(),
        0x0c => b"\\f".to_vec(),
        0x0d => b"\\r".to_vec(),
        0..=0x1f => format!("\\u{byte:04x}").into_bytes(),
        _ => vec![*byte],
    };
    bytes.iter().flat_map(spell).collect()
}

fn check(bytes: &[u8]) {
    let plain = bytes.iter().take_while(|byte| is_plain(byte)).count();
    let escaped = naive_escape(bytes);
    for level in Level::available() {
        assert_eq!(
            json_plain(level, bytes),
            plain,
            "{} {bytes:?}",
            level.name()
        );
        for behind in [0, 10, 100] {
            let text = [bytes, &vec![b'"'; behind]].concat();
            let mut out = b"before".to_vec();
            json_escape(level, &text, bytes.len(), &mut out);
            assert_eq!(out[..6], *b"before");
            assert_eq!(out[6..], escaped, "{} {bytes:?}", level.name());
        }
    }
}

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
