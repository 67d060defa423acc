//! Every kernel for text at every level of this machine, against the standard library.

use std::mem::MaybeUninit;

use xyfast::simd::{
    json_escape, json_plain, narrow, narrow1, narrow4, widen, widen4, Level, Widened, SLACK,
};

/// Calls a kernel with `room` elements of memory; returns its answer and the memory.
///
/// What lies before and behind must stay as it is.
#[allow(unsafe_code)]
pub(crate) fn with_room<T: Copy + Default + PartialEq + std::fmt::Debug, R>(
    room: usize,
    kernel: impl FnOnce(&mut [MaybeUninit<T>]) -> R,
) -> (R, Vec<T>) {
    const AROUND: usize = 64;
    let mut out = vec![MaybeUninit::new(T::default()); room + 2 * AROUND];
    let answer = kernel(&mut out[AROUND..AROUND + room]);
    // SAFETY: all elements were initialised above, and kernels only ever write values.
    let out: Vec<T> = out
        .iter()
        .map(|element| unsafe { element.assume_init() })
        .collect();
    assert_eq!(out[..AROUND], [T::default(); AROUND]);
    assert_eq!(out[AROUND + room..], [T::default(); AROUND]);
    (answer, out[AROUND..AROUND + room].to_vec())
}

/// The bounds that `bits` keeps for such text.
fn bits(text: &str) -> std::ops::RangeInclusive<u32> {
    match text.chars().max().map_or(0, u32::from) {
        0..=0x7f => 0..=0x7f,
        0x80..=0xff => 0x80..=0xff,
        0x100..=0xffff => 0x100..=0xffff,
        _ => 0x1_0000..=u32::MAX,
    }
}

/// Checks what becomes of bytes as text, with room that is just enough, and with more.
pub(crate) fn text(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok();
    let points: Option<Vec<u32>> = text.map(|text| text.chars().map(u32::from).collect());
    let units: Option<Vec<u16>> = as_units(points.as_deref());
    let latin: Option<Vec<u8>> = as_units(points.as_deref());
    for level in Level::available() {
        for slack in [0, 1, 17, SLACK] {
            check_wide(level, bytes, slack, units.as_deref(), |out| {
                widen(level, bytes, out)
            });
            check_wide(level, bytes, slack, points.as_deref(), |out| {
                widen4(level, bytes, out)
            });
            check_narrow(bytes, slack, points.as_deref(), |units, out| {
                narrow4(level, units, out)
            });
            check_narrow(bytes, slack, units.as_deref(), |units, out| {
                narrow(level, units, out)
            });
            check_narrow(bytes, slack, latin.as_deref(), |units, out| {
                narrow1(level, units, out)
            });
        }
    }
}

fn as_units<U: TryFrom<u32>>(points: Option<&[u32]>) -> Option<Vec<U>> {
    points?
        .iter()
        .map(|&point| U::try_from(point).ok())
        .collect()
}

fn check_wide<U: Copy + Default + PartialEq + std::fmt::Debug>(
    level: Level,
    bytes: &[u8],
    slack: usize,
    expected: Option<&[U]>,
    kernel: impl FnOnce(&mut [MaybeUninit<U>]) -> Option<Widened>,
) {
    let needed = expected.map_or(bytes.len(), <[U]>::len);
    let (made, out) = with_room(needed + slack, kernel);
    let made_units = made.map(|made| &out[..made.len]);
    assert_eq!(made_units, expected, "{} {slack} {bytes:x?}", level.name());
    if let (Some(made), Ok(text)) = (made, std::str::from_utf8(bytes)) {
        assert!(
            bits(text).contains(&made.bits),
            "{} {text:?} {:x}",
            level.name(),
            made.bits
        );
    }
}

fn check_narrow<U>(
    bytes: &[u8],
    slack: usize,
    units: Option<&[U]>,
    kernel: impl FnOnce(&[U], &mut [MaybeUninit<u8>]) -> Option<usize>,
) {
    if let Some(units) = units {
        let (len, out) = with_room(bytes.len() + slack, |out| kernel(units, out));
        assert_eq!(len.map(|len| &out[..len]), Some(bytes), "{slack}");
    }
}

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

/// Checks what becomes of bytes in a JSON string.
pub(crate) fn json(bytes: &[u8]) {
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
