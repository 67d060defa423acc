//! Every level and every decoder agrees with a plain one; what is encoded is decoded again;
//! nothing is written behind the place that was promised.

#![no_main]

use std::mem::MaybeUninit;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use libfuzzer_sys::fuzz_target;
use xyfast::base64::{
    append_forgiving, decode, decode_discarding, decode_forgiving, decode_forgiving_into,
    decode_into, decoded_len, decoded_room, encode, encode_into, encoded_len, forgiving,
};
use xyfast::simd::{base64_decode, base64_encode, Level};

fuzz_target!(|bytes: &[u8]| {
    levels(bytes);
    strict(bytes);
    loose(bytes);
    round_trip(bytes);
});

/// What stands in memory that nobody has written to.
const FRESH: u8 = 0xa5;
/// So much of it lies behind the memory that is handed over.
const BEHIND: usize = 64;

/// Calls `write` with memory and returns what that then holds; what lies behind must stay.
fn with_room<R>(room: usize, write: impl FnOnce(&mut [MaybeUninit<u8>]) -> R) -> (R, Vec<u8>) {
    let mut memory = vec![MaybeUninit::new(FRESH); room + BEHIND];
    let answer = write(&mut memory[..room]);
    // SAFETY: all bytes were initialised above, and nobody takes that back.
    let memory: Vec<u8> = memory
        .iter()
        .map(|byte| unsafe { byte.assume_init() })
        .collect();
    assert_eq!(memory[room..], [FRESH; BEHIND]);
    (answer, memory[..room].to_vec())
}

/// Kernels do at every level what the plain one does.
fn levels(bytes: &[u8]) {
    let [plain, others @ ..] = &Level::available()[..] else {
        unreachable!("plain code is always there");
    };
    for room in [0, bytes.len() / 2, bytes.len() * 2] {
        let decoded = |level: Level| {
            let ((read, written), memory) = with_room(room, |out| base64_decode(level, bytes, out));
            (read, memory[..written].to_vec())
        };
        let encoded = |level: Level| {
            let ((read, written), memory) = with_room(room, |out| base64_encode(level, bytes, out));
            (read, memory[..written].to_vec())
        };
        for level in others {
            assert_eq!(decoded(*level), decoded(*plain));
            assert_eq!(encoded(*level), encoded(*plain));
        }
    }
}

/// Strict decoding takes what the crate `base64` takes.
fn strict(text: &[u8]) {
    let answer = decode(text);
    assert_eq!(answer.as_ref().ok(), STANDARD.decode(text).ok().as_ref());
    if let Err(error) = &answer {
        assert!(error.offset <= text.len());
    }
    let len = decoded_len(text);
    let (into, memory) = with_room(len + 7, |out| decode_into(text, out));
    assert_eq!(memory[len..], [FRESH; 7]);
    assert_eq!(into.map(|len| memory[..len].to_vec()), answer);
}

/// Forgiving decoding skips and repairs as the plain decoder below.
fn loose(text: &[u8]) {
    let answer = decode_forgiving(text);
    assert_eq!(answer.as_ref().ok(), plain(text, true).as_ref());
    assert_eq!(decode_discarding(text).ok(), plain(text, false));
    if let Err(error) = &answer {
        assert!(error.offset <= text.len());
    }
    let room = decoded_room(text.len());
    let (into, memory) = with_room(room + 7, |out| decode_forgiving_into(text, out));
    assert_eq!(memory[room..], [FRESH; 7]);
    assert_eq!(into.map(|len| memory[..len].to_vec()), answer);
    assert_eq!(forgiving(text, <[u8]>::to_vec), answer);
    let mut appended = b"before".to_vec();
    let is_appended = append_forgiving(text, &mut appended).is_ok();
    assert_eq!(appended.split_off(6), answer.unwrap_or_default());
    assert_eq!(appended, b"before");
    assert_eq!(is_appended, forgiving(text, |_| ()).is_ok());
}

/// Decodes group by group; an open end is repaired once.
fn plain(text: &[u8], repair: bool) -> Option<Vec<u8>> {
    let (mut data, mut group, mut pads) = (Vec::new(), Vec::new(), 0);
    let mut finish = |group: &[u8]| {
        let mut padded = group.to_vec();
        padded.resize(4, b'A');
        let bytes = STANDARD
            .decode(padded)
            .expect("four characters of the alphabet");
        data.extend_from_slice(&bytes[..group.len() - 1]);
    };
    for &character in text {
        if character.is_ascii_alphanumeric() || b"+/".contains(&character) {
            group.push(character);
            pads = 0;
        } else if character == b'=' && group.len() >= 2 {
            pads += 1;
        }
        if group.len() + pads == 4 {
            finish(&group);
            if pads > 0 {
                return Some(data);
            }
            group.clear();
        }
    }
    let ascii = text.iter().filter(|character| character.is_ascii()).count();
    let missing = if repair { (4 - ascii % 4) % 4 } else { 0 };
    match group.len() {
        0 => Some(data),
        1 => None,
        len if len + pads + missing >= 4 => {
            finish(&group);
            Some(data)
        }
        _ => None,
    }
}

fn round_trip(data: &[u8]) {
    let text = encode(data);
    assert_eq!(text, STANDARD.encode(data));
    let len = encoded_len(data.len());
    let (written, memory) = with_room(len + 7, |out| encode_into(data, out));
    assert_eq!(memory[len..], [FRESH; 7]);
    assert_eq!(&memory[..written], text.as_bytes());
    assert_eq!(decode(text.as_bytes()).as_deref(), Ok(data));
    assert_eq!(decode_forgiving(text.as_bytes()).as_deref(), Ok(data));
}
