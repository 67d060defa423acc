//! JSON strings.

pub(super) mod sse41 {
    use std::arch::x86_64::*;

    use super::super::super::walk::{self, BLOCK};
    use super::super::{load16, store16};

    #[target_feature(enable = "ssse3,sse4.1")]
    pub(in super::super) fn json_plain(bytes: &[u8]) -> usize {
        walk::json_plain(bytes, |block| special(block))
    }

    #[target_feature(enable = "ssse3,sse4.1")]
    pub(in super::super) fn json_escape(text: &[u8], len: usize, out: &mut Vec<u8>) {
        walk::json_escape(
            text,
            len,
            out,
            |block| special(block),
            |from, to| {
                store16::<0, _, _>(to, load16::<0, _, _>(from));
                store16::<16, _, _>(to, load16::<16, _, _>(from));
            },
        );
    }

    #[inline]
    #[target_feature(enable = "sse4.1")]
    fn special(block: &[u8; BLOCK]) -> u32 {
        let hits = |bytes| {
            let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
            let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            _mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash))) as u32
        };
        hits(load16::<0, _, _>(block)) | hits(load16::<16, _, _>(block)) << 16
    }
}

pub(super) mod avx2 {
    use std::arch::x86_64::*;

    use super::super::super::walk::{self, BLOCK};
    use super::super::{load32, store32};

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(in super::super) fn json_plain(bytes: &[u8]) -> usize {
        walk::json_plain(bytes, |block| special(block))
    }

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(in super::super) fn json_escape(text: &[u8], len: usize, out: &mut Vec<u8>) {
        walk::json_escape(
            text,
            len,
            out,
            |block| special(block),
            |from, to| store32::<0, _, _>(to, load32::<0, _, _>(from)),
        );
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn special(block: &[u8; BLOCK]) -> u32 {
        let bytes = load32::<0, _, _>(block);
        let control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);
        let quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"' as i8));
        let backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\\' as i8));
        _mm256_movemask_epi8(_mm256_or_si256(control, _mm256_or_si256(quote, backslash))) as u32
    }
}
