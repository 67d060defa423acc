use proptest::prelude::*;
use xyfast::simd::{narrow, narrow4, widen, widen4, Level};

use super::check::{text as check, with_room};

/// One of every class of sequence that is no UTF-8.
const INVALID: &[&[u8]] = &[
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc2",
    b"\xc2\x41",
    b"\xdf\xc0",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xe4",
    b"\xe4\xbd",
    b"\xe4\x41\xa0",
    b"\xe4\xbd\x41",
    b"\xe4\xbd\xe4",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xef\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf0\x9f\x98",
    b"\xf0\x9f\x98\x41",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xff",
];

/// What stands around a sequence under test.
const AROUND: &[&str] = &[
    "a",
    "é",
    "闲",
    "a闲",
    "闲鱼,",
    "你好，世界！",
    "x:1,在吗？",
    "鱼é",
];

#[test]
fn invalid_sequences_are_refused_wherever_they_stand() {
    for around in AROUND {
        let around = around.repeat(12);
        for (at, _) in around.char_indices().chain([(around.len(), ' ')]).take(60) {
            for invalid in INVALID {
                check(&[&around.as_bytes()[..at], invalid, &around.as_bytes()[at..]].concat());
                check(&[&around.as_bytes()[..at], invalid].concat());
            }
        }
    }
}

#[test]
fn the_first_and_last_characters_of_every_length_are_taken_wherever_they_stand() {
    let bounds = "\0\x7f\u{80}\u{ff}\u{100}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}";
    for around in AROUND {
        let around = around.repeat(12);
        for (at, _) in around.char_indices().take(60) {
            for middle in bounds.chars().chain(['\u{10000}', '\u{10ffff}', '😀']) {
                check(format!("{}{middle}{}", &around[..at], &around[at..]).as_bytes());
            }
        }
    }
}

#[test]
fn runs_of_every_length_are_taken() {
    for len in 0..100 {
        check("a".repeat(len).as_bytes());
        check("é".repeat(len).as_bytes());
        check("鱼".repeat(len).as_bytes());
        check("😀".repeat(len).as_bytes());
        check(format!("{}{}x", "a".repeat(len % 20), "鱼".repeat(len)).as_bytes());
    }
}

#[test]
fn surrogates_and_what_is_above_all_characters_have_no_utf8() {
    for level in Level::available() {
        for filling in [u16::from(b'a'), 0xe9, 0x95f2] {
            for at in 0..60 {
                let mut units = [filling; 60];
                let mut points = [u32::from(filling); 60];
                for surrogate in [0xd800, 0xdbff, 0xdc00, 0xdfff] {
                    units[at] = surrogate;
                    points[at] = u32::from(surrogate);
                    assert_eq!(with_room(300, |out| narrow(level, &units, out)).0, None);
                    assert_eq!(with_room(300, |out| narrow4(level, &points, out)).0, None);
                }
                for above in [0x11_0000, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
                    points[at] = above;
                    assert_eq!(with_room(300, |out| narrow4(level, &points, out)).0, None);
                }
            }
        }
    }
}

#[test]
fn too_little_room_is_no_answer() {
    let text = "闲a".repeat(30);
    let units: Vec<u16> = text.encode_utf16().collect();
    for level in Level::available() {
        for room in 0..60 {
            assert_eq!(
                with_room(room, |out| widen(level, text.as_bytes(), out)).0,
                None
            );
            assert_eq!(
                with_room(room, |out| widen4(level, text.as_bytes(), out)).0,
                None
            );
            assert_eq!(
                with_room(2 * room, |out| narrow(level, &units, out)).0,
                None
            );
        }
    }
}

/// Text of runs, as chats and JSON have it.
fn text() -> impl Strategy<Value = String> {
    let run = prop_oneof![
        "[ -~]{0,40}",
        "[\u{4e00}-\u{9fff}，。！？]{0,30}",
        "[\u{80}-\u{7ff}]{0,6}",
        "[\u{800}-\u{ffff}]{0,6}",
        "[😀-🙏]{0,3}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(run, 0..12).prop_map(|runs| runs.concat())
}

proptest! {
    #[test]
    fn text_is_transcoded_as_by_the_standard_library(text in text(), start in 0..40_usize) {
        let start = text.char_indices().map(|(at, _)| at).find(|at| *at >= start);
        check(&text.as_bytes()[start.unwrap_or(0)..]);
    }

    #[test]
    fn changed_text_is_refused_as_by_the_standard_library(
        text in text(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = text.into_bytes();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check(&bytes);
        bytes.truncate(end.index(bytes.len() + 1));
        check(&bytes);
    }

    #[test]
    fn any_bytes_are_taken_as_by_the_standard_library(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        check(&bytes);
    }
}
