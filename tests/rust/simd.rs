//! Every kernel at every level of this machine, against naive versions.

mod base64;
mod json;
mod text;

use std::mem::MaybeUninit;

use xyfast::simd::{is_ascii, Level};

/// Calls a kernel with `room` elements of memory; returns its answer and the memory.
///
/// What lies before and behind must stay as it is.
#[allow(unsafe_code)]
fn with_room<T: Copy + Default + PartialEq + std::fmt::Debug, R>(
    room: usize,
    kernel: impl FnOnce(&mut [MaybeUninit<T>]) -> R,
) -> (R, Vec<T>) {
    const AROUND: usize = 64;
    let mut out = vec![MaybeUninit::new(T::default()); room + 2 * AROUND];
    let answer = kernel(&mut out[AROUND..AROUND + room]);
    // SAFETY: all elements were initialised above, and kernels only ever write values.
    let out: Vec<T> = out
        .iter()
        .map(|element| unsafe { element.assume_init() })
        .collect();
    assert_eq!(out[..AROUND], [T::default(); AROUND]);
    assert_eq!(out[AROUND + room..], [T::default(); AROUND]);
    (answer, out[AROUND..AROUND + room].to_vec())
}

#[test]
fn plain_code_is_always_there_and_the_best_level_is_the_default() {
    let levels = Level::available();
    assert_eq!(levels[0].name(), "scalar");
    if std::env::var_os("XYFAST_SIMD").is_none() {
        assert_eq!(Level::detect(), levels[levels.len() - 1]);
    }
    assert!(levels.contains(&Level::detect()));
}

#[test]
fn ascii_is_told_from_the_rest_wherever_the_other_byte_stands() {
    for len in 0..200 {
        let mut bytes = vec![0x7f; len];
        assert!(is_ascii(&bytes), "{len}");
        for at in 0..len {
            bytes[at] = 0x80;
            assert!(!is_ascii(&bytes), "{at} of {len}");
            bytes[at] = 0;
        }
    }
}
