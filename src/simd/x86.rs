//! Kernels for x86-64: SSSE3 with SSE4.1, AVX2, and AVX-512 for base64.
#![allow(unsafe_code)]

mod base64;
mod json;
mod text;

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// Proof that the machine has SSSE3 and SSE4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sse41(());

/// Proof that the machine has AVX2, BMI1 and BMI2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx2(());

/// Proof that the machine has what [`Avx2`] proves, and AVX-512 with VBMI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx512(());

impl Sse41 {
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1");
        has.then_some(Self(()))
    }
}

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        has.then_some(Self(()))
    }
}

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let has = Avx2::detect().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi");
        has.then_some(Self(()))
    }
}

kernels!(Sse41, sse41);
kernels!(Avx2, avx2);
kernels!(Avx512, avx512);

mod sse41 {
    pub(super) use super::base64::sse41::*;
    pub(super) use super::json::sse41::*;
    pub(super) use super::text::sse41::*;
}

mod avx2 {
    pub(super) use super::base64::avx2::*;
    pub(super) use super::json::avx2::*;
    pub(super) use super::text::avx2::*;
}

mod avx512 {
    pub(super) use super::base64::avx512::*;
    pub(super) use super::json::avx2::*;
    pub(super) use super::text::avx2::*;
}

/// Loads and stores at element `AT` of an array, as many bytes as the name says.
macro_rules! access {
    ($($feature:literal $size:literal $vector:ty: $load:ident $read:ident $store:ident $write:ident;)*) => {$(
        #[inline]
        #[target_feature(enable = $feature)]
        fn $load<const AT: usize, T: Into<u32>, const N: usize>(from: &[T; N]) -> $vector {
            const { assert!(AT * size_of::<T>() + $size <= size_of::<[T; N]>()) };
            // SAFETY: the assertion keeps the bytes within the array. They are initialised,
            // since numbers have no padding, and need not be aligned.
            unsafe { $read(from.as_ptr().add(AT).cast()) }
        }

        #[inline]
        #[target_feature(enable = $feature)]
        fn $store<const AT: usize, T, const N: usize>(to: &mut [MaybeUninit<T>; N], vector: $vector) {
            const { assert!(AT * size_of::<T>() + $size <= size_of::<[T; N]>()) };
            // SAFETY: the assertion keeps the bytes within the array. They need not be
            // aligned.
            unsafe { $write(to.as_mut_ptr().add(AT).cast(), vector) }
        }
    )*};
}

access! {
    "sse2" 4 __m128i: load4 _mm_loadu_si32 store4 _mm_storeu_si32;
    "sse2" 8 __m128i: load8 _mm_loadl_epi64 store8 _mm_storel_epi64;
    "sse2" 16 __m128i: load16 _mm_loadu_si128 store16 _mm_storeu_si128;
    "avx" 32 __m256i: load32 _mm256_loadu_si256 store32 _mm256_storeu_si256;
    "avx512f" 64 __m512i: load64 _mm512_loadu_si512 store64 _mm512_storeu_si512;
}
