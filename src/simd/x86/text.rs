//! UTF-8 from and to code units.
//!
//! A character of three bytes is put together in a lane of 32 bits. Whether it was one, and
//! is one, is read off the lane afterwards.

pub(super) mod sse41 {
    use std::arch::x86_64::*;
    use std::mem::MaybeUninit;

    use super::super::super::walk::{transcode, PLACE};
    use super::super::super::Widened;
    use super::super::{load16, load8, store16, store8};

    #[target_feature(enable = "ssse3,sse4.1")]
    pub(in super::super) fn widen(utf8: &[u8], out: &mut [MaybeUninit<u16>]) -> Option<Widened> {
        transcode(
            utf8,
            out,
            |_, _| false,
            |from, to| {
                let bytes = load16::<0, _, _>(from);
                store16::<0, _, _>(to, _mm_cvtepu8_epi16(bytes));
                store16::<8, _, _>(to, _mm_cvtepu8_epi16(_mm_srli_si128(bytes, 8)));
                ascii_run(bytes)
            },
            |from: &[u8; 16], to| {
                let (points, good) = points(load16::<0, _, _>(from));
                store8::<0, _, _>(to, _mm_packus_epi32(points, points));
                good
            },
            |_: &[u8; 16], _| false,
        )
    }

    #[target_feature(enable = "ssse3,sse4.1")]
    pub(in super::super) fn widen4(utf8: &[u8], out: &mut [MaybeUninit<u32>]) -> Option<Widened> {
        transcode(
            utf8,
            out,
            |_, _| false,
            |from, to| {
                let bytes = load16::<0, _, _>(from);
                store16::<0, _, _>(to, _mm_cvtepu8_epi32(bytes));
                store16::<4, _, _>(to, _mm_cvtepu8_epi32(_mm_srli_si128(bytes, 4)));
                store16::<8, _, _>(to, _mm_cvtepu8_epi32(_mm_srli_si128(bytes, 8)));
                store16::<12, _, _>(to, _mm_cvtepu8_epi32(_mm_srli_si128(bytes, 12)));
                ascii_run(bytes)
            },
            |from: &[u8; 16], to| {
                let (points, good) = points(load16::<0, _, _>(from));
                store16::<0, _, _>(to, points);
                good
            },
            |_: &[u8; 16], _| false,
        )
    }

    #[target_feature(enable = "ssse3,sse4.1")]
    pub(in super::super) fn narrow1(units: &[u8], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
        let made = transcode(
            units,
            out,
            |_, _| false,
            |from, to| {
                let bytes = load16::<0, _, _>(from);
                store16::<0, _, _>(to, bytes);
                ascii_run(bytes)
            },
            |_: &[u8; 1], _| 0,
            |_: &[u8; 1], _| false,
        );
        Some(made?.len)
    }

    #[target_feature(enable = "ssse3,sse4.1")]
    pub(in super::super) fn narrow(units: &[u16], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
        let made = transcode(
            units,
            out,
            |_, _| false,
            |from, to| narrow_run(from, to),
            |from: &[u16; 4], to| utf8(_mm_cvtepu16_epi32(load8::<0, _, _>(from)), to),
            |_: &[u16; 4], _| false,
        );
        Some(made?.len)
    }

    #[target_feature(enable = "ssse3,sse4.1")]
    pub(in super::super) fn narrow4(units: &[u32], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
        let made = transcode(
            units,
            out,
            |_, _| false,
            |from, to| {
                let top = |units| _mm_min_epu32(units, _mm_set1_epi32(0x80));
                let low =
                    _mm_packus_epi32(top(load16::<0, _, _>(from)), top(load16::<4, _, _>(from)));
                let high =
                    _mm_packus_epi32(top(load16::<8, _, _>(from)), top(load16::<12, _, _>(from)));
                let bytes = _mm_packus_epi16(low, high);
                store16::<0, _, _>(to, bytes);
                ascii_run(bytes)
            },
            |from: &[u32; 4], to| utf8(load16::<0, _, _>(from), to),
            |_: &[u32; 4], _| false,
        );
        Some(made?.len)
    }

    /// Narrows units as if they were ASCII, and counts the leading ones that are.
    #[inline]
    #[target_feature(enable = "sse4.1")]
    pub(super) fn narrow_run(from: &[u16; 16], to: &mut [MaybeUninit<u8>; 16]) -> usize {
        let (low, high) = (load16::<0, _, _>(from), load16::<8, _, _>(from));
        store16::<0, _, _>(to, _mm_packus_epi16(low, high));
        let top = |units| _mm_min_epu16(units, _mm_set1_epi16(0x80));
        ascii_run(_mm_packus_epi16(top(low), top(high)))
    }

    /// Counts the leading bytes of a vector that are ASCII.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn ascii_run(bytes: __m128i) -> usize {
        (_mm_movemask_epi8(bytes) | 0x1_0000).trailing_zeros() as usize
    }

    /// Puts four characters of three bytes together, and counts the leading ones that are
    /// valid.
    #[inline]
    #[target_feature(enable = "ssse3,sse4.1")]
    pub(super) fn points(bytes: __m128i) -> (__m128i, usize) {
        // Each lane holds the last byte, the middle one and the first.
        let order = _mm_setr_epi8(2, 1, 0, -1, 5, 4, 3, -1, 8, 7, 6, -1, 11, 10, 9, -1);
        let lanes = _mm_shuffle_epi8(bytes, order);
        let shape = _mm_cmpeq_epi32(
            _mm_and_si128(lanes, _mm_set1_epi32(0x00f0_c0c0)),
            _mm_set1_epi32(0x00e0_8080),
        );
        let payload = _mm_and_si128(lanes, _mm_set1_epi32(0x000f_3f3f));
        let pairs = _mm_maddubs_epi16(payload, _mm_set1_epi32(0x0001_4001));
        let points = _mm_madd_epi16(pairs, _mm_set1_epi32(0x1000_0001));
        (
            points,
            leading(_mm_andnot_si128(too_low_or_surrogate(points), shape)),
        )
    }

    /// Spells four code points in three bytes each, and counts the leading ones of which that
    /// is the spelling.
    #[inline]
    #[target_feature(enable = "ssse3,sse4.1")]
    pub(super) fn utf8(points: __m128i, to: &mut [MaybeUninit<u8>; PLACE]) -> usize {
        let last = _mm_and_si128(_mm_slli_epi32(points, 16), _mm_set1_epi32(0x003f_0000));
        let middle = _mm_and_si128(_mm_slli_epi32(points, 2), _mm_set1_epi32(0x3f00));
        let first = _mm_srli_epi32(points, 12);
        let lanes = _mm_or_si128(
            _mm_or_si128(first, middle),
            _mm_or_si128(last, _mm_set1_epi32(0x0080_80e0)),
        );
        let order = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
        store16::<0, _, _>(to, _mm_shuffle_epi8(lanes, order));
        let small = _mm_cmpeq_epi32(_mm_srli_epi32(points, 16), _mm_setzero_si128());
        leading(_mm_andnot_si128(too_low_or_surrogate(points), small))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn too_low_or_surrogate(points: __m128i) -> __m128i {
        let block = _mm_and_si128(points, _mm_set1_epi32(!0x7ff));
        _mm_or_si128(
            _mm_cmpeq_epi32(block, _mm_setzero_si128()),
            _mm_cmpeq_epi32(block, _mm_set1_epi32(0xd800)),
        )
    }

    /// Counts the leading lanes that are set.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn leading(lanes: __m128i) -> usize {
        _mm_movemask_ps(_mm_castsi128_ps(lanes)).trailing_ones() as usize
    }
}

pub(super) mod avx2 {
    use std::arch::x86_64::*;
    use std::mem::MaybeUninit;

    use super::super::super::walk::{transcode, PLACE};
    use super::super::super::Widened;
    use super::super::{load16, load32, load8, store16, store32, store8};
    pub(in super::super) use super::sse41::narrow1;
    use super::sse41::{self, ascii_run};

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(in super::super) fn widen(utf8: &[u8], out: &mut [MaybeUninit<u16>]) -> Option<Widened> {
        transcode(
            utf8,
            out,
            |from, to| {
                let bytes = load32::<0, _, _>(from);
                let [low, high] = [load16::<0, _, _>(from), load16::<16, _, _>(from)];
                store32::<0, _, _>(to, _mm256_cvtepu8_epi16(low));
                store32::<16, _, _>(to, _mm256_cvtepu8_epi16(high));
                _mm256_movemask_epi8(bytes) == 0
            },
            |from, to| {
                let bytes = load16::<0, _, _>(from);
                store32::<0, _, _>(to, _mm256_cvtepu8_epi16(bytes));
                ascii_run(bytes)
            },
            |from: &[u8; 16], to| {
                let (points, good) = sse41::points(load16::<0, _, _>(from));
                store8::<0, _, _>(to, _mm_packus_epi32(points, points));
                good
            },
            |from: &[u8; 24], to| {
                let (points, good) = points(from);
                let high = _mm256_extracti128_si256(points, 1);
                let units = _mm_packus_epi32(_mm256_castsi256_si128(points), high);
                store16::<0, _, _>(to, units);
                good
            },
        )
    }

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(in super::super) fn widen4(utf8: &[u8], out: &mut [MaybeUninit<u32>]) -> Option<Widened> {
        transcode(
            utf8,
            out,
            |_, _| false,
            |from, to| {
                let bytes = load16::<0, _, _>(from);
                store32::<0, _, _>(to, _mm256_cvtepu8_epi32(bytes));
                store32::<8, _, _>(to, _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)));
                ascii_run(bytes)
            },
            |from: &[u8; 16], to| {
                let (points, good) = sse41::points(load16::<0, _, _>(from));
                store16::<0, _, _>(to, points);
                good
            },
            |from: &[u8; 24], to| {
                let (points, good) = points(from);
                store32::<0, _, _>(to, points);
                good
            },
        )
    }

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(in super::super) fn narrow(units: &[u16], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
        let made = transcode(
            units,
            out,
            |from, to| {
                let (low, high) = (load32::<0, _, _>(from), load32::<16, _, _>(from));
                // Packing works on the halves apart, so that the words come out crossed.
                let crossed = _mm256_packus_epi16(low, high);
                store32::<0, _, _>(to, _mm256_permute4x64_epi64(crossed, 0b11_01_10_00));
                let long = _mm256_set1_epi16(!0x7f);
                _mm256_testz_si256(_mm256_or_si256(low, high), long) == 1
            },
            |from, to| sse41::narrow_run(from, to),
            |from: &[u16; 8], to| sse41::utf8(_mm_cvtepu16_epi32(load8::<0, _, _>(from)), to),
            |from: &[u16; 8], to| utf8(_mm256_cvtepu16_epi32(load16::<0, _, _>(from)), to),
        );
        Some(made?.len)
    }

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(in super::super) fn narrow4(units: &[u32], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
        let made = transcode(
            units,
            out,
            |_, _| false,
            |from, to| {
                let top = |units| _mm256_min_epu32(units, _mm256_set1_epi32(0x80));
                // Packing works on the halves apart, so that the words come out crossed.
                let crossed =
                    _mm256_packus_epi32(top(load32::<0, _, _>(from)), top(load32::<8, _, _>(from)));
                let units = _mm256_permute4x64_epi64(crossed, 0b11_01_10_00);
                let high = _mm256_extracti128_si256(units, 1);
                let bytes = _mm_packus_epi16(_mm256_castsi256_si128(units), high);
                store16::<0, _, _>(to, bytes);
                ascii_run(bytes)
            },
            |from: &[u32; 4], to| sse41::utf8(load16::<0, _, _>(from), to),
            |from: &[u32; 8], to| utf8(load32::<0, _, _>(from), to),
        );
        Some(made?.len)
    }

    /// Puts eight characters of three bytes together, and says whether all are valid.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn points(bytes: &[u8; 24]) -> (__m256i, bool) {
        // The halves hold the bytes 0..16 and 8..24; the second wants those from 12.
        let order = _mm256_setr_epi8(
            2, 1, 0, -1, 5, 4, 3, -1, 8, 7, 6, -1, 11, 10, 9, -1, 6, 5, 4, -1, 9, 8, 7, -1, 12, 11,
            10, -1, 15, 14, 13, -1,
        );
        let bytes = _mm256_set_m128i(load16::<8, _, _>(bytes), load16::<0, _, _>(bytes));
        let lanes = _mm256_shuffle_epi8(bytes, order);
        let shape = _mm256_cmpeq_epi32(
            _mm256_and_si256(lanes, _mm256_set1_epi32(0x00f0_c0c0)),
            _mm256_set1_epi32(0x00e0_8080),
        );
        let payload = _mm256_and_si256(lanes, _mm256_set1_epi32(0x000f_3f3f));
        let pairs = _mm256_maddubs_epi16(payload, _mm256_set1_epi32(0x0001_4001));
        let points = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x1000_0001));
        let ok = _mm256_andnot_si256(too_low_or_surrogate(points), shape);
        (points, all(ok))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn utf8(points: __m256i, to: &mut [MaybeUninit<u8>; PLACE]) -> bool {
        let last = _mm256_and_si256(
            _mm256_slli_epi32(points, 16),
            _mm256_set1_epi32(0x003f_0000),
        );
        let middle = _mm256_and_si256(_mm256_slli_epi32(points, 2), _mm256_set1_epi32(0x3f00));
        let first = _mm256_srli_epi32(points, 12);
        let lanes = _mm256_or_si256(
            _mm256_or_si256(first, middle),
            _mm256_or_si256(last, _mm256_set1_epi32(0x0080_80e0)),
        );
        let order = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
        let bytes = _mm256_shuffle_epi8(lanes, _mm256_broadcastsi128_si256(order));
        store16::<0, _, _>(to, _mm256_castsi256_si128(bytes));
        store16::<12, _, _>(to, _mm256_extracti128_si256(bytes, 1));
        let small = _mm256_cmpeq_epi32(_mm256_srli_epi32(points, 16), _mm256_setzero_si256());
        all(_mm256_andnot_si256(too_low_or_surrogate(points), small))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn too_low_or_surrogate(points: __m256i) -> __m256i {
        let block = _mm256_and_si256(points, _mm256_set1_epi32(!0x7ff));
        _mm256_or_si256(
            _mm256_cmpeq_epi32(block, _mm256_setzero_si256()),
            _mm256_cmpeq_epi32(block, _mm256_set1_epi32(0xd800)),
        )
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn all(lanes: __m256i) -> bool {
        _mm256_movemask_epi8(lanes) == -1
    }
}
