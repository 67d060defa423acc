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

pub(super) fn widen(utf8: &[u8], out: &mut [MaybeUninit<u16>]) -> Option<Widened> {
    widen_from(utf8, out, 0, Widened { len: 0, bits: 0 })
}

pub(super) fn widen4(utf8: &[u8], out: &mut [MaybeUninit<u32>]) -> Option<Widened> {
    widen_from(utf8, out, 0, Widened { len: 0, bits: 0 })
}

/// Goes on with widening at a byte of the text.
pub(super) fn widen_from<U: TryFrom<u32>>(
    utf8: &[u8],
    out: &mut [MaybeUninit<U>],
    mut at: usize,
    mut made: Widened,
) -> Option<Widened> {
    while at < utf8.len() {
        let (point, len) = character(&utf8[at..])?;
        out.get_mut(made.len)?.write(U::try_from(point).ok()?);
        made.len += 1;
        made.bits |= point;
        at += len;
    }
    Some(made)
}

/// Returns the first character of UTF-8 text and its length in bytes.
#[inline(always)]
pub(super) fn character(utf8: &[u8]) -> Option<(u32, usize)> {
    let six = |byte: u8| (byte & 0xc0 == 0x80).then_some(u32::from(byte & 0x3f));
    match *utf8 {
        [a @ 0..=0x7f, ..] => Some((u32::from(a), 1)),
        [a @ 0xc2..=0xdf, b, ..] => Some((u32::from(a & 0x1f) << 6 | six(b)?, 2)),
        [a @ 0xe0..=0xef, b, c, ..] => {
            let point = u32::from(a & 0x0f) << 12 | six(b)? << 6 | six(c)?;
            (point >= 0x800 && point & 0xf800 != 0xd800).then_some((point, 3))
        }
        [a @ 0xf0..=0xf4, b, c, d, ..] => {
            let point = u32::from(a & 0x07) << 18 | six(b)? << 12 | six(c)? << 6 | six(d)?;
            (0x1_0000..0x11_0000).contains(&point).then_some((point, 4))
        }
        _ => None,
    }
}

pub(super) fn narrow1(units: &[u8], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    narrow_from(units, out, 0)
}

pub(super) fn narrow(units: &[u16], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    narrow_from(units, out, 0)
}

pub(super) fn narrow4(units: &[u32], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    narrow_from(units, out, 0)
}

/// Narrows units to a place in the output; returns the place behind them.
#[inline(always)]
pub(super) fn narrow_from<U: Copy + Into<u32>>(
    units: &[U],
    out: &mut [MaybeUninit<u8>],
    mut at: usize,
) -> Option<usize> {
    for &unit in units {
        let character = char::from_u32(unit.into())?;
        let mut bytes = [0; 4];
        let utf8 = character.encode_utf8(&mut bytes).as_bytes();
        let place = out.get_mut(at..)?.get_mut(..utf8.len())?;
        for (slot, &byte) in place.iter_mut().zip(utf8) {
            slot.write(byte);
        }
        at += utf8.len();
    }
    Some(at)
}

pub(super) fn json_plain(bytes: &[u8]) -> usize {
    let special = |&byte: &u8| ESCAPE[usize::from(byte)] != 0;
    bytes.iter().position(special).unwrap_or(bytes.len())
}

/// The letter behind the backslash for every byte that needs one; 0 for plain bytes.
const ESCAPE: [u8; 256] = {
    let mut letters = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        letters[control] = b'u';
        control += 1;
    }
    letters[0x08] = b'b';
    letters[0x09] = b't';
    letters[0x0a] = b'n';
    letters[0x0c] = b'f';
    letters[0x0d] = b'r';
    letters[b'"' as usize] = b'"';
    letters[b'\\' as usize] = b'\\';
    letters
};

pub(super) fn json_escape(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let (plain, [special, behind @ ..]) = rest.split_at(json_plain(rest)) {
        out.extend_from_slice(plain);
        out.extend_from_slice(escape(*special).as_slice());
        rest = behind;
    }
    out.extend_from_slice(rest);
}

/// The escape of a byte: two or six bytes.
pub(super) struct Escape([u8; 8], usize);

impl Escape {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

/// Returns the escape of a byte that needs one.
#[inline]
pub(super) fn escape(byte: u8) -> Escape {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let letter = ESCAPE[usize::from(byte)];
    let [high, low] = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
    let text = [b'\\', letter, b'0', b'0', high, low, 0, 0];
    Escape(text, if letter == b'u' { 6 } else { 2 })
}
