//! Base64 with the standard alphabet (RFC 4648, section 4).
//!
//! [`decode`] takes exactly what [`encode`] makes. [`decode_forgiving`] takes what the
//! pure-Python `decrypt` of existing bots takes: it skips foreign characters and repairs
//! missing padding where that decoder does.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use crate::error::{Base64Fault, DecodeError, Reason};
use crate::simd::{self, six, Level, ALPHABET};

const PAD: u8 = b'=';
/// The most that six bits can say.
const MOST: u8 = 63;

/// Encodes bytes as padded base64 text.
pub fn encode(data: &[u8]) -> String {
    let mut text = Vec::with_capacity(encoded_len(data.len()));
    let len = encode_into(data, text.spare_capacity_mut());
    // SAFETY: `encode_into` has written `len` characters, all of them ASCII.
    unsafe {
        text.set_len(len);
        String::from_utf8_unchecked(text)
    }
}

/// Returns the length of the text that `len` bytes are encoded as.
pub const fn encoded_len(len: usize) -> usize {
    len.div_ceil(3) * 4
}

/// Encodes bytes into the start of `out` and returns the length of the text.
///
/// # Panics
///
/// If `out` is shorter than [`encoded_len`].
pub fn encode_into(data: &[u8], out: &mut [MaybeUninit<u8>]) -> usize {
    let out = &mut out[..encoded_len(data.len())];
    let (read, written) = simd::base64_encode(Level::detect(), data, out);
    let rest = &data[read..];
    if !rest.is_empty() {
        let byte = |i: usize| u32::from(rest.get(i).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8;
        for (i, slot) in out[written..].iter_mut().enumerate() {
            slot.write(if i <= rest.len() {
                ALPHABET[(bits >> (18 - 6 * i)) as usize & 63]
            } else {
                PAD
            });
        }
    }
    out.len()
}

/// Decodes padded base64 text and refuses everything that [`encode`] does not make.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::with_capacity(decoded_len(text));
    let len = decode_into(text, bytes.spare_capacity_mut())?;
    // SAFETY: `decode_into` has written `len` bytes.
    unsafe { bytes.set_len(len) };
    Ok(bytes)
}

/// Decodes base64 text as the pure-Python `decrypt` does.
///
/// Characters outside the alphabet are skipped and so is `=` where no group can end. Text
/// behind the first closed group is ignored. If the last group stays open, the text is
/// padded to a multiple of four characters, counting all its ASCII characters, and tried
/// once more.
pub fn decode_forgiving(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    append_forgiving(text, &mut bytes)?;
    Ok(bytes)
}

/// Decodes like [`decode_forgiving`] behind what `bytes` holds.
pub fn append_forgiving(text: &[u8], bytes: &mut Vec<u8>) -> Result<(), DecodeError> {
    bytes.reserve(decoded_room(text.len()));
    let len = decode_forgiving_into(text, bytes.spare_capacity_mut())?;
    // SAFETY: `decode_forgiving_into` has written `len` bytes behind those that were there.
    unsafe { bytes.set_len(bytes.len() + len) };
    Ok(())
}

/// Decodes like [`decode_forgiving`], but repairs nothing, as Python's `binascii` does.
pub fn decode_discarding(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::with_capacity(decoded_room(text.len()));
    let len = discard(text, bytes.spare_capacity_mut(), || 0)?;
    // SAFETY: `discard` has written `len` bytes.
    unsafe { bytes.set_len(len) };
    Ok(bytes)
}

/// Returns how many bytes text of `len` characters can be decoded to.
pub const fn decoded_room(len: usize) -> usize {
    len / 4 * 3 + 3
}

/// Returns how many bytes a text is decoded to, if strict decoding takes it.
pub fn decoded_len(text: &[u8]) -> usize {
    let len = text.len() - pads(text);
    len / 4 * 3 + len % 4 * 3 / 4
}

/// Decodes like [`decode`] into the start of `out` and returns the number of bytes.
///
/// # Panics
///
/// If `out` is shorter than [`decoded_len`]; [`decoded_room`] is always enough.
pub fn decode_into(text: &[u8], out: &mut [MaybeUninit<u8>]) -> Result<usize, DecodeError> {
    let out = &mut out[..decoded_len(text)];
    let pads = pads(text);
    let data = &text[..text.len() - pads];
    let (whole, last) = data.split_at(data.len() / 4 * 4);
    let (read, written) = simd::base64_decode(Level::detect(), whole, out);
    if let Some(at) = data[read..].iter().position(|&c| six(c) > MOST) {
        return Err(fault(Base64Fault::Symbol, read + at));
    }
    match (last.len(), pads) {
        (0, 0) | (3, 1) | (2, 2) => {}
        (0, _) => return Err(fault(Base64Fault::Symbol, data.len())),
        (3, 2) => return Err(fault(Base64Fault::Symbol, data.len() + 1)),
        (1, _) => return Err(fault(Base64Fault::Lone(data.len()), text.len())),
        _ => return Err(fault(Base64Fault::Padding, text.len())),
    }
    let bits = last
        .iter()
        .fold(0, |bits, &c| bits << 6 | u32::from(six(c)))
        << (6 * pads);
    let [_, bytes @ ..] = bits.to_be_bytes();
    let (bytes, unused) = bytes.split_at(out.len() - written);
    if unused.iter().any(|&byte| byte != 0) {
        return Err(fault(Base64Fault::Bits, data.len() - 1));
    }
    for (slot, &byte) in out[written..].iter_mut().zip(bytes) {
        slot.write(byte);
    }
    Ok(out.len())
}

/// Decodes like [`decode_forgiving`] into the start of `out` and returns the number of
/// bytes.
///
/// # Panics
///
/// If `out` is shorter than [`decoded_room`].
pub fn decode_forgiving_into(
    text: &[u8],
    out: &mut [MaybeUninit<u8>],
) -> Result<usize, DecodeError> {
    let ascii = || text.iter().filter(|c| c.is_ascii()).count();
    discard(text, out, || (4 - ascii() % 4) % 4)
}

/// Decodes and skips what is no data; `repair` says how many `=` an open end may be given.
fn discard(
    text: &[u8],
    out: &mut [MaybeUninit<u8>],
    repair: impl FnOnce() -> usize,
) -> Result<usize, DecodeError> {
    let out = &mut out[..decoded_room(text.len())];
    let level = Level::detect();
    let (mut at, mut len) = (0, 0);
    let (mut bits, mut filled, mut pads) = (0_u32, 0, 0);
    while let Some(&character) = text.get(at) {
        let value = six(character);
        if filled == 0 && value <= MOST {
            let (read, written) = simd::base64_decode(level, &text[at..], &mut out[len..]);
            if read > 0 {
                (at, len) = (at + read, len + written);
                continue;
            }
        }
        at += 1;
        if character == PAD && filled >= 2 {
            pads += 1;
            if filled + pads == 4 {
                return Ok(len);
            }
        }
        if value > MOST {
            continue;
        }
        pads = 0;
        bits = bits << 6 | u32::from(value);
        filled = (filled + 1) % 4;
        // The first character of a group fills no byte, each other one does.
        if filled != 1 {
            out[len].write((bits >> ((4 - filled) % 4 * 2)) as u8);
            len += 1;
        }
    }
    match filled {
        0 => Ok(len),
        1 => {
            let count = len / 3 * 4 + 1;
            Err(fault(Base64Fault::Lone(count), characters(text)))
        }
        _ if filled + pads + repair() >= 4 => Ok(len),
        _ => Err(fault(Base64Fault::Padding, characters(text))),
    }
}

/// Counts the `=` that end a text, two at most.
fn pads(text: &[u8]) -> usize {
    text.iter().rev().take(2).take_while(|&&c| c == PAD).count()
}

/// Counts the characters of UTF-8 text, so that a place in it is the same in Python.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

fn fault(fault: Base64Fault, offset: usize) -> DecodeError {
    DecodeError::new(Reason::Base64(fault), offset)
}

/// Calls `read` with the bytes that [`decode_forgiving`] makes of a text; those of short
/// text, as payloads are, never leave the stack.
pub fn forgiving<T>(text: &[u8], read: impl FnOnce(&[u8]) -> T) -> Result<T, DecodeError> {
    const SHORT: usize = 16 * 1024;
    if decoded_room(text.len()) > SHORT {
        return Ok(read(&decode_forgiving(text)?));
    }
    let mut bytes = [MaybeUninit::uninit(); SHORT];
    let len = decode_forgiving_into(text, &mut bytes)?;
    let bytes = bytes[..len].as_ptr().cast();
    // SAFETY: `decode_forgiving_into` has written `len` bytes.
    Ok(read(unsafe { std::slice::from_raw_parts(bytes, len) }))
}
