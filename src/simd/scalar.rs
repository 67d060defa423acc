//! The kernels in plain code: the answer that the others must give, and their last steps.

use std::mem::MaybeUninit;

use super::Widened;

/// The data characters of base64, by the six bits that they stand for.
pub(crate) const ALPHABET: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SIX: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        values[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    values
};

/// Returns the six bits of a data character of base64, something above 63 for other bytes.
#[inline]
pub(crate) fn six(character: u8) -> u8 {
    SIX[usize::from(character)]
}

pub(super) fn base64_decode(text: &[u8], out: &mut [MaybeUninit<u8>]) -> (usize, usize) {
    let mut groups = 0;
    for (group, three) in text.chunks_exact(4).zip(out.chunks_exact_mut(3)) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| u32::from(six(group[i])));
        if (a | b | c | d) > 63 {
            break;
        }
        let [_, bytes @ ..] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
        three.copy_from_slice(&bytes.map(MaybeUninit::new));
        groups += 1;
    }
    (4 * groups, 3 * groups)
}

pub(super) fn base64_encode(data: &[u8], out: &mut [MaybeUninit<u8>]) -> (usize, usize) {
    let mut groups = 0;
    for (three, group) in data.chunks_exact(3).zip(out.chunks_exact_mut(4)) {
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        let text = [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift) as usize & 63]);
        group.copy_from_slice(&text.map(MaybeUninit::new));
        groups += 1;
    }
    (3 * groups, 4 * groups)
}

/// Elements that stand for text, and can be turned into those of another encoding of it.
///
/// Bytes are UTF-8 if they become wider units and Latin-1 if they become UTF-8.
pub(super) trait Transcode<D>: Copy {
    /// How many elements a character from U+0800 to U+FFFF has here.
    const READ: usize;
    /// How many it becomes.
    const WRITE: usize;

    fn is_ascii(self) -> bool;

    /// Turns the first character; returns how much was read and written, and its code point.
    /// None if it is invalid, has no form there or no room.
    fn one(source: &[Self], out: &mut [MaybeUninit<D>]) -> Option<(usize, usize, u32)>;
}

/// Transcodes text, character by character.
pub(super) fn transcode<S: Transcode<D>, D>(
    source: &[S],
    out: &mut [MaybeUninit<D>],
) -> Option<Widened> {
    let room = out.len();
    let (mut rest, mut out, mut bits) = (source, out, 0);
    while !rest.is_empty() {
        let (read, written, point) = S::one(rest, out)?;
        (rest, out) = (&rest[read..], &mut out[written..]);
        bits |= point;
    }
    let len = room - out.len();
    Some(Widened { len, bits })
}

impl Transcode<u16> for u8 {
    const READ: usize = 3;
    const WRITE: usize = 1;

    #[inline(always)]
    fn is_ascii(self) -> bool {
        self < 0x80
    }

    #[inline(always)]
    fn one(utf8: &[u8], out: &mut [MaybeUninit<u16>]) -> Option<(usize, usize, u32)> {
        let (point, len) = character(utf8)?;
        out.first_mut()?.write(u16::try_from(point).ok()?);
        Some((len, 1, point))
    }
}

impl Transcode<u32> for u8 {
    const READ: usize = 3;
    const WRITE: usize = 1;

    #[inline(always)]
    fn is_ascii(self) -> bool {
        self < 0x80
    }

    #[inline(always)]
    fn one(utf8: &[u8], out: &mut [MaybeUninit<u32>]) -> Option<(usize, usize, u32)> {
        let (point, len) = character(utf8)?;
        out.first_mut()?.write(point);
        Some((len, 1, point))
    }
}

/// Units that are code points.
macro_rules! narrowing {
    ($($unit:ty)*) => {$(
        impl Transcode<u8> for $unit {
            const READ: usize = 1;
            const WRITE: usize = 3;

            #[inline(always)]
            fn is_ascii(self) -> bool {
                self < 0x80
            }

            #[inline(always)]
            fn one(units: &[$unit], out: &mut [MaybeUninit<u8>]) -> Option<(usize, usize, u32)> {
                let point = u32::from(*units.first()?);
                let mut bytes = [0; 4];
                let utf8 = char::from_u32(point)?.encode_utf8(&mut bytes).as_bytes();
                for (slot, &byte) in out.get_mut(..utf8.len())?.iter_mut().zip(utf8) {
                    slot.write(byte);
                }
                Some((1, utf8.len(), point))
            }
        }
    )*};
}

narrowing!(u8 u16 u32);

/// Returns the character with these three bytes.
#[inline(always)]
fn three(utf8: &[u8; 3]) -> Option<u32> {
    // What remains of bytes of the right kind is what they add.
    let [a, b, c] = [utf8[0] ^ 0xe0, utf8[1] ^ 0x80, utf8[2] ^ 0x80].map(u32::from);
    let point = a << 12 | b << 6 | c;
    let is_whole = a | (b | c) >> 2 < 0x10;
    (is_whole && !matches!(point & 0xf800, 0 | 0xd800)).then_some(point)
}

/// Returns the first character of UTF-8 text and its length in bytes.
#[inline(always)]
fn character(utf8: &[u8]) -> Option<(u32, usize)> {
    // Most are of three bytes: one look at all of them is quickest.
    if let Some(point) = utf8.first_chunk().and_then(three) {
        return Some((point, 3));
    }
    let six = |byte: u8| (byte & 0xc0 == 0x80).then_some(u32::from(byte & 0x3f));
    match *utf8 {
        [a @ 0..=0x7f, ..] => Some((u32::from(a), 1)),
        [a @ 0xc2..=0xdf, b, ..] => Some((u32::from(a & 0x1f) << 6 | six(b)?, 2)),
        [a @ 0xf0..=0xf4, b, c, d, ..] => {
            let point = u32::from(a & 0x07) << 18 | six(b)? << 12 | six(c)? << 6 | six(d)?;
            (0x1_0000..0x11_0000).contains(&point).then_some((point, 4))
        }
        _ => None,
    }
}

pub(super) fn widen(utf8: &[u8], out: &mut [MaybeUninit<u16>]) -> Option<Widened> {
    // Many a short text is Chinese to its end.
    let mut len = 0;
    for (utf8, unit) in utf8.as_chunks().0.iter().zip(&mut *out) {
        let Some(point) = three(utf8) else {
            break;
        };
        unit.write(point as u16);
        len += 1;
    }
    let rest = transcode(&utf8[3 * len..], &mut out[len..])?;
    Some(Widened {
        len: len + rest.len,
        bits: rest.bits | if len > 0 { 0xffff } else { 0 },
    })
}

pub(super) fn widen4(utf8: &[u8], out: &mut [MaybeUninit<u32>]) -> Option<Widened> {
    transcode(utf8, out)
}

pub(super) fn narrow1(units: &[u8], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    Some(transcode(units, out)?.len)
}

pub(super) fn narrow(units: &[u16], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    Some(transcode(units, out)?.len)
}

pub(super) fn narrow4(units: &[u32], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    Some(transcode(units, out)?.len)
}

pub(super) fn json_plain(bytes: &[u8]) -> usize {
    let special = |&byte: &u8| escape(byte).len > 0;
    bytes.iter().position(special).unwrap_or(bytes.len())
}

pub(super) fn json_escape(text: &[u8], len: usize, out: &mut Vec<u8>) {
    let mut rest = &text[..len];
    while let (plain, [special, behind @ ..]) = rest.split_at(json_plain(rest)) {
        let escape = escape(*special);
        out.extend_from_slice(plain);
        out.extend_from_slice(&escape.text[..usize::from(escape.len)]);
        rest = behind;
    }
    out.extend_from_slice(rest);
}

/// How a byte is spelled inside a JSON string.
#[derive(Clone, Copy)]
pub(super) struct Escape {
    /// The first `len` bytes of this.
    pub(super) text: [u8; 7],
    /// 2 or 6; 0 for bytes that stand for themselves.
    pub(super) len: u8,
}

/// Returns the escape of a byte.
#[inline(always)]
pub(super) fn escape(byte: u8) -> &'static Escape {
    &ESCAPES[usize::from(byte)]
}

static ESCAPES: [Escape; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const SHORT: [(u8, u8); 7] = [
        (0x08, b'b'),
        (0x09, b't'),
        (0x0a, b'n'),
        (0x0c, b'f'),
        (0x0d, b'r'),
        (b'"', b'"'),
        (b'\\', b'\\'),
    ];
    let mut escapes = [Escape {
        text: [0; 7],
        len: 0,
    }; 256];
    let mut byte = 0;
    while byte < 0x20 {
        let text = [
            b'\\',
            b'u',
            b'0',
            b'0',
            DIGITS[byte >> 4],
            DIGITS[byte & 15],
            0,
        ];
        escapes[byte] = Escape { text, len: 6 };
        byte += 1;
    }
    let mut i = 0;
    while i < SHORT.len() {
        let text = [b'\\', SHORT[i].1, 0, 0, 0, 0, 0];
        escapes[SHORT[i].0 as usize] = Escape { text, len: 2 };
        i += 1;
    }
    escapes
};
