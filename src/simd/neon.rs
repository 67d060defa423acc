//! Kernels for aarch64: NEON.
#![allow(unsafe_code)]

mod base64;
mod json;
mod text;

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;
use std::mem::MaybeUninit;

/// Proof that the machine has NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neon(());

impl Neon {
    pub(super) fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

kernels!(Neon, all);

mod all {
    pub(super) use super::base64::*;
    pub(super) use super::json::*;
    pub(super) use super::text::*;
}

/// Loads and stores at element `AT` of an array, as many elements as said.
macro_rules! access {
    ($($kind:ident $type:ty: $count:literal $number:ty, $name:ident $intrinsic:ident;)*) => {
        $(access! { @$kind $type, $count, $number, $name, $intrinsic })*
    };
    (@load $vector:ty, $count:literal, $number:ty, $name:ident, $intrinsic:ident) => {
        #[inline]
        #[target_feature(enable = "neon")]
        fn $name<const AT: usize, const N: usize>(from: &[$number; N]) -> $vector {
            const { assert!(AT + $count <= N) };
            // SAFETY: the assertion keeps the elements within the array.
            unsafe { $intrinsic(from.as_ptr().add(AT)) }
        }
    };
    (@store $vector:ty, $count:literal, $number:ty, $name:ident, $intrinsic:ident) => {
        #[inline]
        #[target_feature(enable = "neon")]
        fn $name<const AT: usize, const N: usize>(
            to: &mut [MaybeUninit<$number>; N],
            vector: $vector,
        ) {
            const { assert!(AT + $count <= N) };
            // SAFETY: the assertion keeps the elements within the array.
            unsafe { $intrinsic(to.as_mut_ptr().add(AT).cast(), vector) }
        }
    };
}

access! {
    load uint8x16_t: 16 u8, load vld1q_u8;
    load uint8x16x4_t: 64 u8, load_4 vld1q_u8_x4;
    load uint8x8x3_t: 24 u8, load_triples vld3_u8;
    load uint8x16x3_t: 48 u8, load_wide_triples vld3q_u8;
    load uint8x16x4_t: 64 u8, load_quads vld4q_u8;
    load uint16x8_t: 8 u16, load_u16 vld1q_u16;
    load uint32x4_t: 4 u32, load_u32 vld1q_u32;
    store uint8x16_t: 16 u8, store vst1q_u8;
    store uint8x8x3_t: 24 u8, store_triples vst3_u8;
    store uint8x16x3_t: 48 u8, store_wide_triples vst3q_u8;
    store uint8x16x4_t: 64 u8, store_quads vst4q_u8;
    store uint16x8_t: 8 u16, store_u16 vst1q_u16;
    store uint32x4_t: 4 u32, store_u32 vst1q_u32;
}
