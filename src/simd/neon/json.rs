//! JSON strings.

use std::arch::aarch64::*;

use super::super::walk::{self, BLOCK};
use super::{load, store};

#[target_feature(enable = "neon")]
pub(in super::super) fn json_plain(bytes: &[u8]) -> usize {
    walk::json_plain(bytes, |block| special(block))
}

#[target_feature(enable = "neon")]
pub(in super::super) fn json_escape(text: &[u8], len: usize, out: &mut Vec<u8>) {
    walk::json_escape(
        text,
        len,
        out,
        |block| special(block),
        |from, to| {
            store::<0, _>(to, load::<0, _>(from));
            store::<16, _>(to, load::<16, _>(from));
        },
    );
}

/// Sets a bit for every byte that needs an escape.
#[inline]
#[target_feature(enable = "neon")]
fn special(block: &[u8; BLOCK]) -> u32 {
    const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
    let bits = load::<0, _>(&BITS);
    let hits = |bytes| {
        let control = vcltq_u8(bytes, vdupq_n_u8(0x20));
        let quote = vceqq_u8(bytes, vdupq_n_u8(b'"'));
        let backslash = vceqq_u8(bytes, vdupq_n_u8(b'\\'));
        vandq_u8(vorrq_u8(control, vorrq_u8(quote, backslash)), bits)
    };
    // Three sums of neighbours make one byte of eight.
    let pairs = vpaddq_u8(hits(load::<0, _>(block)), hits(load::<16, _>(block)));
    let fours = vpaddq_u8(pairs, pairs);
    vgetq_lane_u32(vreinterpretq_u32_u8(vpaddq_u8(fours, fours)), 0)
}
