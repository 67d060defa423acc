use proptest::prelude::*;
use xyfast::simd::{base64_decode, base64_encode, Level};

use super::check::with_room;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn naive_decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for group in text.chunks_exact(4) {
        let six = |&c: &u8| ALPHABET.iter().position(|&other| other == c);
        let Some(six) = group.iter().map(six).collect::<Option<Vec<_>>>() else {
            break;
        };
        let bits = six.iter().fold(0, |bits, six| bits << 6 | *six as u32);
        bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
    bytes
}

fn naive_encode(data: &[u8]) -> Vec<u8> {
    let bits = data
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1));
    let bits: Vec<u8> = bits.collect();
    let six = |bits: &[u8]| bits.iter().fold(0, |six, bit| six << 1 | usize::from(*bit));
    let text = bits
        .chunks_exact(24)
        .flat_map(|group| group.chunks_exact(6));
    text.map(|bits| ALPHABET[six(bits)]).collect()
}

fn decoded(level: Level, text: &[u8], room: usize) -> (usize, Vec<u8>) {
    let ((read, written), out) = with_room(room, |out| base64_decode(level, text, out));
    (read, out[..written].to_vec())
}

fn encoded(level: Level, data: &[u8], room: usize) -> (usize, Vec<u8>) {
    let ((read, written), out) = with_room(room, |out| base64_encode(level, data, out));
    (read, out[..written].to_vec())
}

fn check(text: &[u8], room: usize) {
    for level in Level::available() {
        let mut bytes = naive_decode(text);
        bytes.truncate(room / 3 * 3);
        let expected = (bytes.len() / 3 * 4, bytes);
        assert_eq!(
            decoded(level, text, room),
            expected,
            "{} {room} {text:?}",
            level.name()
        );
    }
}

#[test]
fn decoding_stops_at_the_group_of_a_foreign_byte_wherever_it_stands() {
    let good: Vec<u8> = ALPHABET.iter().copied().cycle().take(150).collect();
    for len in 0..good.len() {
        check(&good[..len], len);
        for at in 0..len {
            let mut text = good[..len].to_vec();
            text[at] = b'=';
            check(&text, len);
        }
    }
}

#[test]
fn every_byte_is_of_the_alphabet_or_is_not_in_every_place_of_a_block() {
    for byte in 0..=255 {
        for at in 0..64 {
            let mut text = [b'Q'; 64];
            text[at] = byte;
            check(&text, 48);
        }
    }
}

#[test]
fn no_more_is_written_than_there_is_room_for() {
    let text = [b'z'; 100];
    let data = [0x5a; 100];
    for room in 0..140 {
        check(&text, room);
        for level in Level::available() {
            let mut text = naive_encode(&data);
            text.truncate(room / 4 * 4);
            let expected = (text.len() / 4 * 3, text);
            assert_eq!(
                encoded(level, &data, room),
                expected,
                "{} {room}",
                level.name()
            );
        }
    }
}

proptest! {
    #[test]
    fn decodes_like_the_naive_version(
        text in prop::collection::vec(prop::sample::select(ALPHABET), 0..300),
        foreign in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        start in 0..33_usize,
        spare in 0..40_usize,
    ) {
        let mut text = text;
        if let (Some((at, byte)), false) = (foreign, text.is_empty()) {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let text = &text[start.min(text.len())..];
        check(text, text.len() / 4 * 3 + spare);
    }

    #[test]
    fn encodes_like_the_naive_version(
        data in prop::collection::vec(any::<u8>(), 0..300),
        start in 0..33_usize,
        spare in 0..40_usize,
    ) {
        let data = &data[start.min(data.len())..];
        let expected = naive_encode(data);
        for level in Level::available() {
            let (read, text) = encoded(level, data, expected.len() + spare);
            prop_assert_eq!(read, data.len() / 3 * 3);
            prop_assert_eq!(&text, &expected, "{}", level.name());
        }
    }
}
