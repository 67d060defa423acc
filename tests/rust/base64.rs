//! Both decoders and the encoder.

use proptest::prelude::*;
use xyfast::base64::{decode, decode_forgiving, encode};
use xyfast::error::{Base64Fault, DecodeError, Reason};

fn fault(fault: Base64Fault, offset: usize) -> DecodeError {
    DecodeError::new(Reason::Base64(fault), offset)
}

#[test]
fn the_examples_of_rfc_4648_hold() {
    let examples = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
    let texts = [
        "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy",
    ];
    for (data, text) in examples.into_iter().zip(texts) {
        assert_eq!(encode(data.as_bytes()), text);
        assert_eq!(decode(text.as_bytes()).unwrap(), data.as_bytes());
        assert_eq!(decode_forgiving(text.as_bytes()).unwrap(), data.as_bytes());
    }
}

#[test]
fn strict_decoding_says_what_is_wrong_and_where() {
    let cases = [
        ("Zm9v YmFy", fault(Base64Fault::Symbol, 4)),
        ("Zm9v\n", fault(Base64Fault::Symbol, 4)),
        ("Zm-_", fault(Base64Fault::Symbol, 2)),
        ("Zg==Zg==", fault(Base64Fault::Symbol, 2)),
        ("=", fault(Base64Fault::Symbol, 0)),
        ("Zm9v=", fault(Base64Fault::Symbol, 4)),
        ("Zm8==", fault(Base64Fault::Symbol, 4)),
        ("Zm9vY", fault(Base64Fault::Lone(5), 5)),
        ("Zg=", fault(Base64Fault::Padding, 3)),
        ("Zm8", fault(Base64Fault::Padding, 3)),
        ("Zh==", fault(Base64Fault::Bits, 1)),
        ("Zm9=", fault(Base64Fault::Bits, 2)),
    ];
    for (text, error) in cases {
        assert_eq!(decode(text.as_bytes()), Err(error), "{text:?}");
    }
}

#[test]
fn forgiving_decoding_counts_skipped_characters_for_its_repair() {
    let cases = [
        ("gQGhYQ", Ok(4)),
        ("gQGhYQ\n", Err(fault(Base64Fault::Padding, 7))),
        ("gQGhYQ\n\n", Err(fault(Base64Fault::Padding, 8))),
        ("gQGiYWI\n\n", Ok(5)),
        ("闲gQGhYQ", Ok(4)),
        ("闲gQGhY", Err(fault(Base64Fault::Lone(5), 6))),
        ("gQGhYQ==gQGhYQ==", Ok(4)),
        ("g=QGhYQ==", Ok(4)),
    ];
    for (text, expected) in cases {
        let len = decode_forgiving(text.as_bytes()).map(|data| data.len());
        assert_eq!(len, expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn both_decoders_take_what_is_encoded(data in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = encode(&data);
        prop_assert_eq!(decode(text.as_bytes()).unwrap(), data.clone());
        prop_assert_eq!(decode_forgiving(text.as_bytes()).unwrap(), data.clone());
        let bare = text.trim_end_matches('=');
        prop_assert_eq!(decode_forgiving(bare.as_bytes()).unwrap(), data);
    }

    #[test]
    fn strict_decoding_takes_one_text_for_every_value(text in "[A-D/+=\\- ]{0,12}") {
        if let Ok(data) = decode(text.as_bytes()) {
            prop_assert_eq!(encode(&data), text.clone());
            prop_assert_eq!(decode_forgiving(text.as_bytes()).unwrap(), data);
        }
    }
}
