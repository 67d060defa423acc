//! UTF-8 from and to code units; loads and stores sort the bytes of three-byte characters.

use std::arch::aarch64::*;
use std::mem::MaybeUninit;

use super::super::walk::{transcode, PLACE};
use super::super::Widened;
use super::{load, load_triples, load_u16, load_u32, store, store_triples, store_u16, store_u32};

#[target_feature(enable = "neon")]
pub(in super::super) fn widen(utf8: &[u8], out: &mut [MaybeUninit<u16>]) -> Option<Widened> {
    let long = |from: &[u8; 24], to: &mut [MaybeUninit<u16>; PLACE]| {
        let (points, count) = points(load_triples::<0, _>(from));
        store_u16::<0, _>(to, points);
        count
    };
    transcode(
        utf8,
        out,
        |_, _| false,
        |from, to| {
            let bytes = load::<0, _>(from);
            store_u16::<0, _>(to, vmovl_u8(vget_low_u8(bytes)));
            store_u16::<8, _>(to, vmovl_high_u8(bytes));
            ascii_run(bytes)
        },
        |from, to| long(from, to).min(4),
        |from, to| long(from, to) == 8,
    )
}

#[target_feature(enable = "neon")]
pub(in super::super) fn widen4(utf8: &[u8], out: &mut [MaybeUninit<u32>]) -> Option<Widened> {
    transcode(
        utf8,
        out,
        |_, _| false,
        |from, to| {
            let bytes = load::<0, _>(from);
            let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
            store_u32::<0, _>(to, vmovl_u16(vget_low_u16(low)));
            store_u32::<4, _>(to, vmovl_high_u16(low));
            store_u32::<8, _>(to, vmovl_u16(vget_low_u16(high)));
            store_u32::<12, _>(to, vmovl_high_u16(high));
            ascii_run(bytes)
        },
        |from: &[u8; 24], to| {
            let (points, count) = points(load_triples::<0, _>(from));
            store_u32::<0, _>(to, vmovl_u16(vget_low_u16(points)));
            count.min(4)
        },
        |from: &[u8; 24], to| {
            let (points, count) = points(load_triples::<0, _>(from));
            store_u32::<0, _>(to, vmovl_u16(vget_low_u16(points)));
            store_u32::<4, _>(to, vmovl_high_u16(points));
            count == 8
        },
    )
}

#[target_feature(enable = "neon")]
pub(in super::super) fn narrow1(units: &[u8], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    let made = transcode(
        units,
        out,
        |_, _| false,
        |from, to| {
            let bytes = load::<0, _>(from);
            store::<0, _>(to, bytes);
            ascii_run(bytes)
        },
        |_: &[u8; 1], _| 0,
        |_: &[u8; 1], _| false,
    );
    Some(made?.len)
}

#[target_feature(enable = "neon")]
pub(in super::super) fn narrow(units: &[u16], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    let long = |from: &[u16; 8], to: &mut [MaybeUninit<u8>; PLACE]| {
        let points = load_u16::<0, _>(from);
        store_triples::<0, _>(to, utf8(points));
        leading(is_three(points))
    };
    let made = transcode(
        units,
        out,
        |_, _| false,
        |from, to| {
            // Widened above 0xff saturate, hence stay above ASCII.
            let low = vqmovn_u16(load_u16::<0, _>(from));
            let bytes = vqmovn_high_u16(low, load_u16::<8, _>(from));
            store::<0, _>(to, bytes);
            ascii_run(bytes)
        },
        |from, to| long(from, to).min(4),
        |from, to| long(from, to) == 8,
    );
    Some(made?.len)
}

#[target_feature(enable = "neon")]
pub(in super::super) fn narrow4(units: &[u32], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    let long = |from: &[u32; 8], to: &mut [MaybeUninit<u8>; PLACE]| {
        let (points, count) = short(from);
        store_triples::<0, _>(to, utf8(points));
        count
    };
    let made = transcode(
        units,
        out,
        |_, _| false,
        |from, to| {
            let low = vqmovn_u32(load_u32::<0, _>(from));
            let low = vqmovn_high_u32(low, load_u32::<4, _>(from));
            let high = vqmovn_u32(load_u32::<8, _>(from));
            let high = vqmovn_high_u32(high, load_u32::<12, _>(from));
            let bytes = vqmovn_high_u16(vqmovn_u16(low), high);
            store::<0, _>(to, bytes);
            ascii_run(bytes)
        },
        |from, to| long(from, to).min(4),
        |from, to| long(from, to) == 8,
    );
    Some(made?.len)
}

/// Narrows eight code points, and counts the leading ones that have three bytes.
#[inline]
#[target_feature(enable = "neon")]
fn short(from: &[u32; 8]) -> (uint16x8_t, usize) {
    let [low, high] = [load_u32::<0, _>(from), load_u32::<4, _>(from)];
    let small = |units| vcleq_u32(units, vdupq_n_u32(0xffff));
    let small = vmovn_high_u32(vmovn_u32(small(low)), small(high));
    let points = vmovn_high_u32(vmovn_u32(low), high);
    (points, leading(vandq_u16(small, is_three(points))))
}

/// Counts the leading bytes of a vector that are ASCII.
#[inline]
#[target_feature(enable = "neon")]
fn ascii_run(bytes: uint8x16_t) -> usize {
    let high = vreinterpretq_u16_u8(vcltzq_s8(vreinterpretq_s8_u8(bytes)));
    // Four bits are left of every byte.
    let high = vreinterpret_u64_u8(vshrn_n_u16(high, 4));
    vget_lane_u64(high, 0).trailing_zeros() as usize / 4
}

/// Puts eight characters of three bytes together, and counts the leading ones that are valid.
#[inline]
#[target_feature(enable = "neon")]
fn points(bytes: uint8x8x3_t) -> (uint16x8_t, usize) {
    let uint8x8x3_t(first, middle, last) = bytes;
    let is = |byte, mask, want| vceq_u8(vand_u8(byte, vdup_n_u8(mask)), vdup_n_u8(want));
    let shape = vand_u8(
        is(first, 0xf0, 0xe0),
        vand_u8(is(middle, 0xc0, 0x80), is(last, 0xc0, 0x80)),
    );
    let six = |byte| vmovl_u8(vand_u8(byte, vdup_n_u8(0x3f)));
    let low = vsliq_n_u16(six(last), six(middle), 6);
    let points = vsliq_n_u16(low, vmovl_u8(first), 12);
    let shape = vreinterpretq_u16_s16(vmovl_s8(vreinterpret_s8_u8(shape)));
    (points, leading(vandq_u16(shape, is_three(points))))
}

/// Spells eight code points in three bytes each.
#[inline]
#[target_feature(enable = "neon")]
fn utf8(points: uint16x8_t) -> uint8x8x3_t {
    let six = |bits| vorr_u8(vand_u8(bits, vdup_n_u8(0x3f)), vdup_n_u8(0x80));
    let first = vmovn_u16(vshrq_n_u16(points, 12));
    uint8x8x3_t(
        vorr_u8(first, vdup_n_u8(0xe0)),
        six(vshrn_n_u16(points, 6)),
        six(vmovn_u16(points)),
    )
}

/// Tells which code points have three bytes and are no surrogates.
#[inline]
#[target_feature(enable = "neon")]
fn is_three(points: uint16x8_t) -> uint16x8_t {
    let block = vandq_u16(points, vdupq_n_u16(0xf800));
    let surrogate = vceqq_u16(block, vdupq_n_u16(0xd800));
    vbicq_u16(vtstq_u16(block, block), surrogate)
}

/// Counts the leading lanes that are set.
#[inline]
#[target_feature(enable = "neon")]
fn leading(lanes: uint16x8_t) -> usize {
    let bytes = vreinterpret_u64_u8(vmovn_u16(lanes));
    vget_lane_u64(bytes, 0).trailing_ones() as usize / 8
}
