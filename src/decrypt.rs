//! What the pure-Python `decrypt` of existing bots answers, text and errors alike.

use crate::base64;
use crate::error::{Base64Fault, DecodeError, Reason};
use crate::msgpack::{json, starts_map, Options};

/// Decodes the base64 text of a payload and returns its map as JSON text.
///
/// A payload that is something else than a map gives [`Reason::TopLevel`].
///
/// ```
/// assert_eq!(xyfast::decrypt::decrypt(b"gQGhYQ==").unwrap(), r#"{"1": "a"}"#);
/// ```
pub fn decrypt(text: &[u8]) -> Result<String, DecodeError> {
    to_json(&base64::decode_forgiving(text)?, Options::PAYLOAD)
}

/// Returns the map that `data` starts with as JSON text.
pub fn to_json(data: &[u8], options: Options) -> Result<String, DecodeError> {
    check_map(data)?;
    json::to_json(data, options)
}

/// Fails if `data` starts with something else than a map; if it is empty, that is no answer
/// yet.
pub(crate) fn check_map(data: &[u8]) -> Result<(), DecodeError> {
    if data.is_empty() || starts_map(data) {
        Ok(())
    } else {
        Err(DecodeError::new(Reason::TopLevel, 0))
    }
}

/// Appends what [`decrypt`] returns and returns true, if nothing about the payload is
/// unusual. The text has yet to be checked, as that of [`json::quick`].
pub fn quick(text: &[u8], out: &mut Vec<u8>) -> bool {
    let write = |data: &[u8]| starts_map(data) && json::quick(data, Options::PAYLOAD, out);
    base64::forgiving(text, write).unwrap_or(false)
}

/// Words an error as the pure-Python `decrypt` does.
pub fn words(error: &DecodeError) -> String {
    let reason = match error.reason {
        Reason::Truncated => "Unexpected end of data".to_owned(),
        Reason::Format(byte) => format!("Unknown format byte: {byte:02x}"),
        Reason::Utf8(fault) => fault.to_string(),
        Reason::Unhashable(kind) => format!("unhashable type: '{}'", kind.type_name()),
        Reason::BytesKey => "keys must be str, int, float, bool or None, not bytes".to_owned(),
        Reason::Depth => "maximum recursion depth exceeded".to_owned(),
        Reason::Base64(Base64Fault::Lone(count)) => format!(
            "Invalid base64-encoded string: number of data characters ({count}) \
             cannot be 1 more than a multiple of 4"
        ),
        Reason::Base64(Base64Fault::Padding) => "Incorrect padding".to_owned(),
        other => other.to_string(),
    };
    failure(&reason)
}

/// Puts the words that users know before a reason.
pub fn failure(reason: &str) -> String {
    format!("解密失败: {reason}")
}
