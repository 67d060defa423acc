//! Base64, after W. Muła and D. Lemire, "Faster Base64 Encoding and Decoding Using AVX2
//! Instructions" (2018) and "Base64 encoding and decoding at almost the speed of a memory
//! copy" (2019).

/// By the low and by the high half of a byte: they share a bit if the byte is foreign.
const FOREIGN: [[u8; 16]; 2] = [
    [
        0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b,
        0x1a,
    ],
    [
        0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10,
        0x10,
    ],
];
/// From a character to its six bits, by the high half; `/` takes the place before its own.
const TO_SIX: [u8; 16] = [0, 16, 19, 4, 191, 191, 185, 185, 0, 0, 0, 0, 0, 0, 0, 0];
/// From six bits to a character: a–z, ten digits, `+`, `/`, A–Z.
const TO_TEXT: [u8; 16] = [
    71, 252, 252, 252, 252, 252, 252, 252, 252, 252, 252, 237, 240, 65, 0, 0,
];
/// Three bytes of every lane, last byte first, to twelve bytes in order.
const PACK: [u8; 16] = [2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 255, 255, 255, 255];
/// Twelve bytes to lanes that hold the second byte of three, the first, the third and the
/// second again.
const SPREAD: [u8; 16] = [1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10];

pub(super) mod sse41 {
    use std::arch::x86_64::*;
    use std::mem::MaybeUninit;

    use super::super::super::{scalar, walk};
    use super::super::{load16, load4, load8, store16, store4, store8};
    use super::{FOREIGN, PACK, SPREAD, TO_SIX, TO_TEXT};

    #[target_feature(enable = "ssse3,sse4.1")]
    pub(in super::super) fn base64_decode(
        text: &[u8],
        out: &mut [MaybeUninit<u8>],
    ) -> (usize, usize) {
        let [by_low, by_high] = FOREIGN.map(|table| load16::<0, _, _>(&table));
        let (to_six, pack) = (load16::<0, _, _>(&TO_SIX), load16::<0, _, _>(&PACK));
        let nibble = _mm_set1_epi8(0x0f);
        let done = walk::base64::<16, 12>(text, out, |chunk, place| {
            let text = load16::<0, _, _>(chunk);
            let low = _mm_and_si128(text, nibble);
            let high = _mm_and_si128(_mm_srli_epi32(text, 4), nibble);
            let foreign = _mm_and_si128(
                _mm_shuffle_epi8(by_low, low),
                _mm_shuffle_epi8(by_high, high),
            );
            let slash = _mm_cmpeq_epi8(text, _mm_set1_epi8(b'/' as i8));
            let shift = _mm_shuffle_epi8(to_six, _mm_add_epi8(slash, high));
            let six = _mm_add_epi8(text, shift);
            let twelve = _mm_maddubs_epi16(six, _mm_set1_epi32(0x0140_0140));
            let lanes = _mm_madd_epi16(twelve, _mm_set1_epi32(0x0001_1000));
            let bytes = _mm_shuffle_epi8(lanes, pack);
            store8::<0, _, _>(place, bytes);
            store4::<8, _, _>(place, _mm_srli_si128(bytes, 8));
            let good = _mm_cmpeq_epi8(foreign, _mm_setzero_si128());
            _mm_movemask_epi8(good).trailing_ones() as usize
        });
        done.unwrap_or_else(|| scalar::base64_decode(text, out))
    }

    #[target_feature(enable = "ssse3,sse4.1")]
    pub(in super::super) fn base64_encode(
        data: &[u8],
        out: &mut [MaybeUninit<u8>],
    ) -> (usize, usize) {
        let (to_text, spread) = (load16::<0, _, _>(&TO_TEXT), load16::<0, _, _>(&SPREAD));
        let done = walk::base64::<12, 16>(data, out, |chunk, place| {
            let bytes = _mm_unpacklo_epi64(load8::<0, _, _>(chunk), load4::<8, _, _>(chunk));
            let lanes = _mm_shuffle_epi8(bytes, spread);
            let outer = _mm_and_si128(lanes, _mm_set1_epi32(0x0fc0_fc00));
            let inner = _mm_and_si128(lanes, _mm_set1_epi32(0x003f_03f0));
            let six = _mm_or_si128(
                _mm_blend_epi16(_mm_srli_epi16(outer, 10), _mm_srli_epi16(outer, 6), 0xaa),
                _mm_blend_epi16(_mm_slli_epi16(inner, 4), _mm_slli_epi16(inner, 8), 0xaa),
            );
            let upper = _mm_cmpgt_epi8(_mm_set1_epi8(26), six);
            let class = _mm_or_si128(
                _mm_subs_epu8(six, _mm_set1_epi8(51)),
                _mm_and_si128(upper, _mm_set1_epi8(13)),
            );
            store16::<0, _, _>(place, _mm_add_epi8(six, _mm_shuffle_epi8(to_text, class)));
            12
        });
        done.unwrap_or_else(|| scalar::base64_encode(data, out))
    }
}

pub(super) mod avx2 {
    use std::arch::x86_64::*;
    use std::mem::MaybeUninit;

    use super::super::super::walk;
    use super::super::{load16, load32, store16, store32, store8};
    use super::{sse41, FOREIGN, PACK, SPREAD, TO_SIX, TO_TEXT};

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(in super::super) fn base64_decode(
        text: &[u8],
        out: &mut [MaybeUninit<u8>],
    ) -> (usize, usize) {
        let [by_low, by_high] = FOREIGN.map(|table| twice(&table));
        let (to_six, pack) = (twice(&TO_SIX), twice(&PACK));
        let join = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
        let nibble = _mm256_set1_epi8(0x0f);
        let done = walk::base64::<32, 24>(text, out, |chunk, place| {
            let text = load32::<0, _, _>(chunk);
            let low = _mm256_and_si256(text, nibble);
            let high = _mm256_and_si256(_mm256_srli_epi32(text, 4), nibble);
            let foreign = _mm256_and_si256(
                _mm256_shuffle_epi8(by_low, low),
                _mm256_shuffle_epi8(by_high, high),
            );
            let slash = _mm256_cmpeq_epi8(text, _mm256_set1_epi8(b'/' as i8));
            let shift = _mm256_shuffle_epi8(to_six, _mm256_add_epi8(slash, high));
            let six = _mm256_add_epi8(text, shift);
            let twelve = _mm256_maddubs_epi16(six, _mm256_set1_epi32(0x0140_0140));
            let lanes = _mm256_madd_epi16(twelve, _mm256_set1_epi32(0x0001_1000));
            let bytes = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(lanes, pack), join);
            store16::<0, _, _>(place, _mm256_castsi256_si128(bytes));
            store8::<16, _, _>(place, _mm256_extracti128_si256(bytes, 1));
            let good = _mm256_cmpeq_epi8(foreign, _mm256_setzero_si256());
            _mm256_movemask_epi8(good).trailing_ones() as usize
        });
        done.unwrap_or_else(|| sse41::base64_decode(text, out))
    }

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(in super::super) fn base64_encode(
        data: &[u8],
        out: &mut [MaybeUninit<u8>],
    ) -> (usize, usize) {
        let to_text = twice(&TO_TEXT);
        // The halves hold the bytes 0..16 and 8..24; the second wants those from 12.
        let behind = _mm256_set_m128i(_mm_set1_epi8(4), _mm_setzero_si128());
        let spread = _mm256_add_epi8(twice(&SPREAD), behind);
        let done = walk::base64::<24, 32>(data, out, |chunk, place| {
            let bytes = _mm256_set_m128i(load16::<8, _, _>(chunk), load16::<0, _, _>(chunk));
            let lanes = _mm256_shuffle_epi8(bytes, spread);
            let outer = _mm256_and_si256(lanes, _mm256_set1_epi32(0x0fc0_fc00));
            let inner = _mm256_and_si256(lanes, _mm256_set1_epi32(0x003f_03f0));
            let six = _mm256_or_si256(
                _mm256_blend_epi16(
                    _mm256_srli_epi16(outer, 10),
                    _mm256_srli_epi16(outer, 6),
                    0xaa,
                ),
                _mm256_blend_epi16(
                    _mm256_slli_epi16(inner, 4),
                    _mm256_slli_epi16(inner, 8),
                    0xaa,
                ),
            );
            let upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), six);
            let class = _mm256_or_si256(
                _mm256_subs_epu8(six, _mm256_set1_epi8(51)),
                _mm256_and_si256(upper, _mm256_set1_epi8(13)),
            );
            store32::<0, _, _>(
                place,
                _mm256_add_epi8(six, _mm256_shuffle_epi8(to_text, class)),
            );
            24
        });
        done.unwrap_or_else(|| sse41::base64_encode(data, out))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn twice(table: &[u8; 16]) -> __m256i {
        _mm256_broadcastsi128_si256(load16::<0, _, _>(table))
    }
}

pub(super) mod avx512 {
    use std::arch::x86_64::*;
    use std::mem::MaybeUninit;

    use super::super::super::scalar::ALPHABET;
    use super::super::super::walk;
    use super::super::{load16, load32, load64, store16, store32, store64};
    use super::avx2;

    /// From a character to its six bits; foreign ones have the highest bit.
    const TO_SIX: [[u8; 64]; 2] = {
        let mut halves = [[0x80; 64]; 2];
        let mut i = 0;
        while i < ALPHABET.len() {
            let character = ALPHABET[i] as usize;
            halves[character / 64][character % 64] = i as u8;
            i += 1;
        }
        halves
    };
    /// Three bytes of every lane, last byte first, to 48 bytes in order.
    const PACK: [u8; 64] = {
        let mut places = [0; 64];
        let mut i = 0;
        while i < 48 {
            places[i] = (i / 3 * 4 + 2 - i % 3) as u8;
            i += 1;
        }
        places
    };
    /// 48 bytes to lanes that hold the second byte of three, the first, the third and the
    /// second again.
    const SPREAD: [u8; 64] = {
        let mut places = [0; 64];
        let mut i = 0;
        while i < 64 {
            places[i] = (i / 4 * 3 + [1, 0, 2, 1][i % 4]) as u8;
            i += 1;
        }
        places
    };
    /// At which bits of two lanes the groups of six begin.
    const GROUPS: i64 = 0x3036_242a_1016_040a;

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx2,bmi1,bmi2")]
    pub(in super::super) fn base64_decode(
        text: &[u8],
        out: &mut [MaybeUninit<u8>],
    ) -> (usize, usize) {
        let [lower, upper] = TO_SIX.map(|half| load64::<0, _, _>(&half));
        let pack = load64::<0, _, _>(&PACK);
        // 48 bytes, and what has the highest bit where a character is foreign.
        let decode = |text| {
            let six = _mm512_permutex2var_epi8(lower, text, upper);
            let twelve = _mm512_maddubs_epi16(six, _mm512_set1_epi32(0x0140_0140));
            let lanes = _mm512_madd_epi16(twelve, _mm512_set1_epi32(0x0001_1000));
            let bytes = _mm512_permutexvar_epi8(pack, lanes);
            (bytes, _mm512_or_si512(text, six))
        };
        let done = walk::base64::<128, 96>(text, out, |chunk, place| {
            let (first, foreign) = decode(load64::<0, _, _>(chunk));
            let (second, more) = decode(load64::<64, _, _>(chunk));
            // What the first store has too many the second one covers.
            store64::<0, _, _>(place, first);
            store32::<48, _, _>(place, _mm512_castsi512_si256(second));
            store16::<80, _, _>(place, _mm512_extracti32x4_epi32(second, 2));
            if _mm512_movepi8_mask(_mm512_or_si512(foreign, more)) == 0 {
                return 128;
            }
            let [first, second] = [foreign, more].map(|foreign| _mm512_movepi8_mask(foreign));
            (u128::from(second) << 64 | u128::from(first)).trailing_zeros() as usize
        });
        done.unwrap_or_else(|| avx2::base64_decode(text, out))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx2,bmi1,bmi2")]
    pub(in super::super) fn base64_encode(
        data: &[u8],
        out: &mut [MaybeUninit<u8>],
    ) -> (usize, usize) {
        let (spread, to_text) = (load64::<0, _, _>(&SPREAD), load64::<0, _, _>(ALPHABET));
        let done = walk::base64::<48, 64>(data, out, |chunk, place| {
            let first = _mm512_castsi256_si512(load32::<0, _, _>(chunk));
            let bytes = _mm512_inserti32x4(first, load16::<32, _, _>(chunk), 2);
            let lanes = _mm512_permutexvar_epi8(spread, bytes);
            let six = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(GROUPS), lanes);
            store64::<0, _, _>(place, _mm512_permutexvar_epi8(six, to_text));
            48
        });
        done.unwrap_or_else(|| avx2::base64_encode(data, out))
    }
}
