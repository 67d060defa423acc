//! The walks over text and JSON that are the same at every level; the vector steps are
//! arguments.
//!
//! A step looks at a window of fixed size. The end of the input, where no window fits, is
//! copied in front of padding first.

use std::mem::MaybeUninit;

use super::scalar::{self, escape, Transcode};
use super::Widened;

/// The most elements that a step of a transcoding walk looks at.
const WINDOW: usize = 24;
/// The most that it writes.
const PLACE: usize = 32;
/// The block in which JSON is looked through.
pub(super) const BLOCK: usize = 32;
/// The longest escape of a byte.
const LONGEST: usize = 6;

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
/// `ascii` turns 16 elements as if they were ASCII and says how many of the first ones are.
/// `three` turns `most` characters, `IN` elements, as if each had three bytes of UTF-8 and
/// says how many of the first ones are valid and do. What neither takes is turned by plain
/// code.
#[inline(always)]
pub(super) fn transcode<const IN: usize, S: Transcode<D>, D>(
    source: &[S],
    out: &mut [MaybeUninit<D>],
    most: usize,
    ascii: impl Fn(&[S; 16], &mut [MaybeUninit<D>; 16]) -> usize,
    three: impl Fn(&[S; IN], &mut [MaybeUninit<D>; PLACE]) -> usize,
) -> Option<Widened> {
    const { assert!(IN <= WINDOW) };
    let mut padded = [S::default(); 2 * WINDOW];
    let (mut is_last, mut end) = (false, source.len());
    let (mut at, mut len, mut bits) = (0, 0, 0);
    while at < end {
        let rest = if is_last { &padded } else { source };
        let Some(window) = rest[at..].first_chunk::<WINDOW>() else {
            copy_short(&source[at..], &mut padded);
            (is_last, at, end) = (true, 0, end - at);
            continue;
        };
        let Some(place) = out[len..].first_chunk_mut::<PLACE>() else {
            let last = scalar::transcode(&rest[at..end], &mut out[len..])?;
            (at, len, bits) = (end, len + last.len, bits | last.bits);
            break;
        };
        let (Some(from), Some(to)) = (window.first_chunk(), place.first_chunk_mut()) else {
            break;
        };
        let run = ascii(from, to);
        // A whole step ends at a place that is known before it is made: the next one need
        // not wait for it.
        if run == 16 {
            (at, len) = (at + 16, len + 16);
            continue;
        }
        (at, len) = (at + run, len + run);
        let mut taken = 0;
        while let (Some(from), Some(to)) = (rest[at..].first_chunk(), out[len..].first_chunk_mut())
        {
            let count = three(from, to);
            taken |= count;
            if count < most || most == 0 {
                (at, len) = (at + S::READ * count, len + S::WRITE * count);
                break;
            }
            (at, len) = (at + S::READ * most, len + S::WRITE * most);
        }
        if taken > 0 {
            bits |= 0xffff;
        } else if run == 0 {
            let (read, written, point) = S::one(&rest[at..], &mut out[len..])?;
            (at, len, bits) = (at + read, len + written, bits | point);
        }
    }
    // The padding is taken for as much ASCII.
    len -= at - end;
    Some(Widened { len, bits })
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

/// How much room [`json_escape`] wants for `len` bytes, to get anywhere.
pub(super) const fn json_room(len: usize) -> usize {
    len + LONGEST * BLOCK + BLOCK
}

/// Escapes bytes as far as there is room; returns how much was read and written.
///
/// A block is stored as it is. At every hit the escape is stored over it, and the rest of
/// the block once more behind the escape.
#[inline(always)]
pub(super) fn json_escape(
    bytes: &[u8],
    out: &mut [MaybeUninit<u8>],
    special: impl Fn(&[u8; BLOCK]) -> u32,
    store: impl Fn(&[u8; BLOCK], &mut [MaybeUninit<u8>; BLOCK]),
) -> (usize, usize) {
    let mut padded = [b' '; 2 * BLOCK];
    let (mut read, mut written) = (0, 0);
    while read < bytes.len() && out.len() - written >= json_room(0) {
        let rest = &bytes[read..];
        let window = rest.first_chunk::<{ 2 * BLOCK }>().unwrap_or_else(|| {
            copy_short(&rest[..rest.len().min(2 * BLOCK)], &mut padded);
            &padded
        });
        let count = rest.len().min(BLOCK);
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
                store(from, to);
            }
            if hits == 0 {
                break;
            }
            let hit = hits.trailing_zeros() as usize;
            hits &= hits - 1;
            written += hit - start;
            let escape = escape(window[hit]);
            if let Some(to) = out[written..].first_chunk_mut() {
                *to = escape.text.map(MaybeUninit::new);
            }
            written += usize::from(escape.len);
            start = hit + 1;
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
