//! Base64 by look-ups in tables of 64 bytes; loads and stores sort the bytes of the groups.

use std::arch::aarch64::*;
use std::mem::MaybeUninit;

use super::super::scalar::{self, ALPHABET};
use super::super::{six, walk};
use super::{load_4, load_quads, load_wide_triples, store_quads, store_wide_triples};

/// The six bits of the bytes below 64, and of those from there to 128; above them if foreign.
const SIX: [[u8; 64]; 2] = {
    let mut tables = [[0xff; 64]; 2];
    let mut i = 0;
    while i < ALPHABET.len() {
        let character = ALPHABET[i] as usize;
        tables[character / 64][character % 64] = i as u8;
        i += 1;
    }
    tables
};

#[target_feature(enable = "neon")]
pub(in super::super) fn base64_decode(text: &[u8], out: &mut [MaybeUninit<u8>]) -> (usize, usize) {
    let [below, from_64] = [load_4::<0, _>(&SIX[0]), load_4::<0, _>(&SIX[1])];
    let done = walk::base64::<64, 48>(text, out, |chunk, place| {
        let uint8x16x4_t(a, b, c, d) = load_quads::<0, _>(chunk);
        let value = |text: uint8x16_t| {
            // Look-ups outside of a table give 0. A byte from 128 on is outside of both.
            let six = vorrq_u8(
                vqtbl4q_u8(below, text),
                vqtbl4q_u8(from_64, vsubq_u8(text, vdupq_n_u8(64))),
            );
            vorrq_u8(six, vandq_u8(text, vdupq_n_u8(0x80)))
        };
        let [a, b, c, d] = [value(a), value(b), value(c), value(d)];
        let bytes = uint8x16x3_t(
            vsliq_n_u8(vshrq_n_u8(b, 4), a, 2),
            vsliq_n_u8(vshrq_n_u8(c, 2), b, 4),
            vsliq_n_u8(d, c, 6),
        );
        store_wide_triples::<0, _>(place, bytes);
        let any = vorrq_u8(vorrq_u8(a, b), vorrq_u8(c, d));
        if vmaxvq_u8(any) < 64 {
            return 64;
        }
        chunk.iter().take_while(|&&byte| six(byte) < 64).count()
    });
    done.unwrap_or_else(|| scalar::base64_decode(text, out))
}

#[target_feature(enable = "neon")]
pub(in super::super) fn base64_encode(data: &[u8], out: &mut [MaybeUninit<u8>]) -> (usize, usize) {
    let alphabet = load_4::<0, _>(ALPHABET);
    let done = walk::base64::<48, 64>(data, out, |chunk, place| {
        let uint8x16x3_t(a, b, c) = load_wide_triples::<0, _>(chunk);
        let text = |six| vqtbl4q_u8(alphabet, vandq_u8(six, vdupq_n_u8(63)));
        let groups = uint8x16x4_t(
            text(vshrq_n_u8(a, 2)),
            text(vsliq_n_u8(vshrq_n_u8(b, 4), a, 4)),
            text(vsliq_n_u8(vshrq_n_u8(c, 6), b, 2)),
            text(c),
        );
        store_quads::<0, _>(place, groups);
        48
    });
    done.unwrap_or_else(|| scalar::base64_encode(data, out))
}
