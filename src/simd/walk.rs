//! The walks over text and JSON that are the same at every level; the vector steps are
//! arguments.
//!
//! A step looks at a window of fixed size. Where none fits any more, at the end of the input,
//! text is turned by plain code and JSON is copied in front of padding.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use super::scalar::{self, escape, Transcode};
use super::Widened;

/// The most elements that a step of a transcoding walk writes.
pub(super) const PLACE: usize = 32;
/// The block in which JSON is looked through.
pub(super) const BLOCK: usize = 32;
/// Room for a block of which every byte has the longest escape, and for one more that is
/// stored behind them.
const ROOM: usize = 6 * BLOCK + BLOCK;

/// Turns groups of base64, or for it, by whole blocks: `READ` elements to `WRITE`. Returns
/// how much was read and written; None if there is not enough for one block.
///
/// `block` says how many elements are good. The last block lies over the one before it, so
/// that nothing is left for plain code.
#[inline(always)]
pub(super) fn base64<const READ: usize, const WRITE: usize>(
    source: &[u8],
    out: &mut [MaybeUninit<u8>],
    block: impl Fn(&[u8; READ], &mut [MaybeUninit<u8>; WRITE]) -> usize,
) -> Option<(usize, usize)> {
    // Four characters stand for three bytes, whichever side they are on.
    let (read, write) = if READ > WRITE { (4, 3) } else { (3, 4) };
    let groups = (source.len() / read).min(out.len() / write);
    let source = &source[..read * groups];
    let out = &mut out[..write * groups];
    let stop = |start: usize, good: usize| {
        let groups = start / read + good / read;
        Some((read * groups, write * groups))
    };
    let pairs = source.as_chunks().0.iter().zip(out.as_chunks_mut().0);
    for (i, (chunk, place)) in pairs.enumerate() {
        let good = block(chunk, place);
        if good < READ {
            return stop(READ * i, good);
        }
    }
    let (chunk, place) = (source.last_chunk()?, out.last_chunk_mut()?);
    let good = match source.len() % READ {
        0 => READ,
        _ => block(chunk, place),
    };
    stop(source.len() - READ, good)
}

/// Transcodes text.
///
/// `ascii` turns 16 elements as if they were ASCII and says how many of the first ones are;
/// `block` turns 32 and says whether all are.
/// `four` and `eight` turn so many characters as if each had three bytes of UTF-8; `four` says
/// how many of the first ones are valid and do, `eight` whether all are and do; a level without
/// a step of eight says no.
///
/// A step whose length is known beforehand need not be waited for. So long characters are
/// turned by fours and eights, and at the end of a run by as many as there seem to be.
#[inline(always)]
pub(super) fn transcode<const FOUR: usize, const EIGHT: usize, S: Transcode<D>, D>(
    source: &[S],
    out: &mut [MaybeUninit<D>],
    block: impl Fn(&[S; 32], &mut [MaybeUninit<D>; 32]) -> bool,
    ascii: impl Fn(&[S; 16], &mut [MaybeUninit<D>; 16]) -> usize,
    four: impl Fn(&[S; FOUR], &mut [MaybeUninit<D>; PLACE]) -> usize,
    eight: impl Fn(&[S; EIGHT], &mut [MaybeUninit<D>; PLACE]) -> bool,
) -> Option<Widened> {
    let room = out.len();
    let (mut rest, mut out, mut bits) = (source, out, 0);
    loop {
        while let (Some(from), Some(to)) = (rest.first_chunk(), out.first_chunk_mut()) {
            if !block(from, to) {
                break;
            }
            (rest, out) = (&rest[32..], &mut out[32..]);
        }
        let (Some(from), Some(to)) = (rest.first_chunk(), out.first_chunk_mut()) else {
            break;
        };
        let run = ascii(from, to);
        (rest, out) = (&rest[run..], &mut out[run..]);
        if run == 16 {
            continue;
        }
        while let (Some(from), Some(to)) = (rest.first_chunk(), out.first_chunk_mut()) {
            // A look at the last element tells soon that there are hardly enough of them.
            let may_be =
                |count: usize| rest.get(S::READ * count - 1).is_some_and(|e| !e.is_ascii());
            let window = rest.first_chunk().filter(|_| may_be(8));
            let count = if window.is_some_and(|window| eight(window, to)) {
                8
            } else {
                let count = (2..=4).rev().find(|&count| may_be(count));
                match count.filter(|&count| four(from, to) >= count) {
                    Some(count) => count,
                    None => break,
                }
            };
            (rest, out) = (&rest[S::READ * count..], &mut out[S::WRITE * count..]);
            bits |= 0xffff;
        }
        while rest.first().is_some_and(|element| !element.is_ascii()) {
            let (read, written, point) = S::one(rest, out)?;
            (rest, out) = (&rest[read..], &mut out[written..]);
            bits |= point;
        }
    }
    let len = room - out.len();
    let last = scalar::transcode(rest, out)?;
    Some(Widened {
        len: len + last.len,
        bits: bits | last.bits,
    })
}

/// Returns how many leading bytes are no `special` ones; `special` has a bit for every byte.
#[inline(always)]
pub(super) fn json_plain(bytes: &[u8], special: impl Fn(&[u8; BLOCK]) -> u32) -> usize {
    let Some(last) = bytes.last_chunk::<BLOCK>() else {
        let mut padded = [b' '; BLOCK];
        copy_short(bytes, &mut padded);
        return bytes.len().min(special(&padded).trailing_zeros() as usize);
    };
    let mut rest = bytes;
    while let Some((block, behind)) = rest.split_first_chunk() {
        let hits = special(block);
        if hits != 0 {
            return bytes.len() - rest.len() + hits.trailing_zeros() as usize;
        }
        rest = behind;
    }
    // The last block lies over bytes that are known to be plain.
    match special(last) {
        0 => bytes.len(),
        hits => bytes.len() - BLOCK + hits.trailing_zeros() as usize,
    }
}

/// Appends the first `len` bytes of `text`, escaped; `copy` copies a block.
#[inline(always)]
pub(super) fn json_escape(
    text: &[u8],
    len: usize,
    out: &mut Vec<u8>,
    special: impl Fn(&[u8; BLOCK]) -> u32,
    copy: impl Fn(&[u8; BLOCK], &mut [MaybeUninit<u8>; BLOCK]),
) {
    let mut at = 0;
    while at < len {
        out.reserve(len - at + ROOM);
        let (read, written) = escape_within(
            &text[at..],
            len - at,
            out.spare_capacity_mut(),
            &special,
            &copy,
        );
        // SAFETY: so many bytes have been written behind those that were there.
        unsafe { out.set_len(out.len() + written) };
        at += read;
    }
}

/// Escapes the first `len` bytes of `text` as long as there is [`ROOM`]; returns how much was
/// read and written.
///
/// A block is stored as it is. At every hit the escape is stored over it, and the rest of
/// the block once more behind the escape.
#[inline(always)]
fn escape_within(
    text: &[u8],
    len: usize,
    out: &mut [MaybeUninit<u8>],
    special: impl Fn(&[u8; BLOCK]) -> u32,
    copy: impl Fn(&[u8; BLOCK], &mut [MaybeUninit<u8>; BLOCK]),
) -> (usize, usize) {
    let mut padded = [b' '; 2 * BLOCK];
    let (mut read, mut written) = (0, 0);
    while read < len && out.len() - written >= ROOM {
        let window = text[read..].first_chunk().unwrap_or_else(|| {
            copy_short(&text[read..], &mut padded);
            &padded
        });
        let count = (len - read).min(BLOCK);
        let mut hits = window.first_chunk().map_or(0, &special);
        if count < BLOCK {
            hits &= (1 << count) - 1;
        }
        let mut start = 0;
        loop {
            if let (Some(from), Some(to)) = (
                window[start..].first_chunk(),
                out[written..].first_chunk_mut(),
            ) {
                copy(from, to);
            }
            if hits == 0 {
                break;
            }
            let hit = hits.trailing_zeros() as usize;
            hits &= hits - 1;
            written += hit - start;
            if window[hit] >= b' ' {
                // It stands for itself behind a backslash, so how far to go is known before
                // it is looked at.
                out[written].write(b'\\');
                (written, start) = (written + 1, hit);
                continue;
            }
            let escape = escape(window[hit]);
            if let Some(to) = out[written..].first_chunk_mut() {
                *to = escape.text.map(MaybeUninit::new);
            }
            (written, start) = (written + usize::from(escape.len), hit + 1);
        }
        written += count - start;
        read += count;
    }
    (read, written)
}

/// Copies a slice to the start of a longer one, by overlapping pieces of fixed sizes.
#[inline(always)]
fn copy_short<T: Copy>(from: &[T], to: &mut [T]) {
    #[inline(always)]
    fn ends<T: Copy, const N: usize>(from: &[T], to: &mut [T]) -> bool {
        let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
            return false;
        };
        to[..N].copy_from_slice(first);
        to[from.len() - N..from.len()].copy_from_slice(last);
        true
    }
    let whole = ends::<T, 32>(from, to) || ends::<T, 16>(from, to) || ends::<T, 8>(from, to);
    if !whole && !ends::<T, 4>(from, to) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }
}
