//! Base64 with the standard alphabet (RFC 4648, section 4).
//!
//! [`decode`] takes exactly what [`encode`] makes. [`decode_forgiving`] takes what the
//! pure-Python `decrypt` of existing bots takes: it skips foreign characters and repairs
//! missing padding where that decoder does.

use crate::error::{Base64Fault, DecodeError, Reason};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD: u8 = b'=';
/// Stands in [`VALUES`] for bytes that are no data characters.
const FOREIGN: u8 = 0xff;
/// The six bits of every data character.
const VALUES: [u8; 256] = {
    let mut values = [FOREIGN; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        values[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    values
};

/// Encodes bytes as padded base64 text.
pub fn encode(data: &[u8]) -> String {
    let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
    for group in data.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            text.push(if i <= group.len() {
                char::from(ALPHABET[(bits >> (18 - 6 * i)) as usize & 63])
            } else {
                char::from(PAD)
            });
        }
    }
    text
}

/// Decodes padded base64 text and refuses everything that [`encode`] does not make.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let pads = text.iter().rev().take(2).take_while(|&&c| c == PAD).count();
    let data = &text[..text.len() - pads];
    if let Some(at) = data.iter().position(|&c| value(c) == FOREIGN) {
        return Err(fault(Base64Fault::Symbol, at));
    }
    match (data.len() % 4, pads) {
        (0, 0) | (3, 1) | (2, 2) => {}
        (0, _) => return Err(fault(Base64Fault::Symbol, data.len())),
        (3, 2) => return Err(fault(Base64Fault::Symbol, data.len() + 1)),
        (1, _) => return Err(fault(Base64Fault::Lone(data.len()), text.len())),
        _ => return Err(fault(Base64Fault::Padding, text.len())),
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in data.chunks(4) {
        let bits = |i| group.get(i).map_or(0, |&c| u32::from(value(c)));
        let [_, high, middle, low] =
            (bits(0) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3)).to_be_bytes();
        let (whole, unused) = match group.len() {
            4 => (&[high, middle, low][..], 0),
            3 => (&[high, middle][..], low),
            _ => (&[high][..], middle),
        };
        if unused != 0 {
            return Err(fault(Base64Fault::Bits, data.len() - 1));
        }
        bytes.extend_from_slice(whole);
    }
    Ok(bytes)
}

/// Decodes base64 text as the pure-Python `decrypt` does.
///
/// Characters outside the alphabet are skipped and so is `=` where no group can end. Text
/// behind the first closed group is ignored. If the last group stays open, the text is
/// padded to a multiple of four characters, counting all its ASCII characters, and tried
/// once more.
pub fn decode_forgiving(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut filled, mut pads) = (0_u32, 0, 0);
    for &character in text {
        if character == PAD {
            if filled >= 2 {
                pads += 1;
                if filled + pads == 4 {
                    return Ok(bytes);
                }
            }
            continue;
        }
        let six = value(character);
        if six == FOREIGN {
            continue;
        }
        pads = 0;
        bits = bits << 6 | u32::from(six);
        filled = (filled + 1) % 4;
        match filled {
            1 => {}
            2 => bytes.push((bits >> 4) as u8),
            3 => bytes.push((bits >> 2) as u8),
            _ => bytes.push(bits as u8),
        }
    }
    let ascii = text.iter().filter(|c| c.is_ascii()).count();
    let repair = (4 - ascii % 4) % 4;
    match filled {
        0 => Ok(bytes),
        1 => {
            let count = bytes.len() / 3 * 4 + 1;
            Err(fault(Base64Fault::Lone(count), characters(text)))
        }
        _ if filled + pads + repair >= 4 => Ok(bytes),
        _ => Err(fault(Base64Fault::Padding, characters(text))),
    }
}

/// Counts the characters of UTF-8 text, so that a place in it is the same in Python.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

/// Returns the six bits of a data character, or [`FOREIGN`].
fn value(character: u8) -> u8 {
    VALUES[usize::from(character)]
}

fn fault(fault: Base64Fault, offset: usize) -> DecodeError {
    DecodeError::new(Reason::Base64(fault), offset)
}
