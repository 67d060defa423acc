//! Every kernel at every level of this machine, against naive versions.

mod base64;
mod check;
mod json;
mod text;

use xyfast::simd::{is_ascii, Level};

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
