//! The quick and the careful text are the same; errors lie within the input; text is UTF-8
//! and, where JSON has one meaning for it, says what the tree says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;
use xyfast::base64;
use xyfast::decrypt::{self, decrypt, words};
use xyfast::error::DecodeError;
use xyfast::msgpack::json::{careful, quick};
use xyfast::msgpack::{read, starts_map, Options, Tree, Value};

// The bytes are taken as base64 text, and as what such text stands for.
fuzz_target!(|bytes: &[u8]| {
    payload(bytes);
    payload(base64::encode(bytes).as_bytes());
    values(bytes);
});

fn payload(text: &[u8]) {
    let data = match base64::decode_forgiving(text) {
        Ok(data) => data,
        Err(error) => {
            assert_eq!(decrypt(text), Err(error));
            assert!(error.offset <= text.len());
            assert!(!words(&error).is_empty());
            assert!(!decrypt::quick(text, &mut Vec::new()));
            return;
        }
    };
    let answer = decrypt(text);
    if data.is_empty() || starts_map(&data) {
        assert_eq!(answer, careful::to_json(&data, Options::PAYLOAD));
    }
    if let Err(error) = &answer {
        assert!(error.offset <= data.len());
        assert!(!words(error).is_empty());
    }
    let mut written = b"before".to_vec();
    let is_written = decrypt::quick(text, &mut written);
    let written = written.split_off(6);
    assert_eq!(is_written, !written.is_empty());
    if is_written {
        same(written, &answer);
    }
}

/// Values that are no maps have JSON text too.
fn values(data: &[u8]) {
    let exact = careful::to_json(data, Options::PAYLOAD);
    let mut written = Vec::new();
    if quick(data, Options::PAYLOAD, &mut written) {
        same(written, &exact);
    }
    let (Ok(text), Ok((tree, _))) = (exact, read(data, Options::PAYLOAD, &mut Tree)) else {
        return;
    };
    if has_one_meaning(&tree) {
        let mut json = serde_json::Deserializer::from_str(&text);
        json.disable_recursion_limit();
        let json: Json = serde::Deserialize::deserialize(&mut json).expect("JSON");
        assert!(says(&json, &tree), "{text}");
    }
}

/// Text that was written quickly is the exact one, or shows that a string is not UTF-8.
fn same(quick: Vec<u8>, exact: &Result<String, DecodeError>) {
    match (String::from_utf8(quick), exact) {
        (Ok(quick), exact) => assert_eq!(Ok(&quick), exact.as_ref()),
        (Err(_), exact) => assert!(matches!(exact, Err(error) if error.reason.word() == "utf8")),
    }
}

/// Returns whether no map has a name twice and no float is one that JSON lacks.
fn has_one_meaning(value: &Value<'_>) -> bool {
    match value {
        Value::Float(value) => value.is_finite(),
        Value::List(values) => values.iter().all(has_one_meaning),
        Value::Map(entries) => {
            let names: Option<Vec<_>> = entries.iter().map(|(key, _)| name(key)).collect();
            names.is_some_and(|mut names| {
                names.sort_unstable();
                names.windows(2).all(|pair| pair[0] != pair[1])
            }) && entries.iter().all(|(_, value)| has_one_meaning(value))
        }
        _ => true,
    }
}

/// Returns the name of a key, unless others may equal it.
fn name(key: &Value<'_>) -> Option<String> {
    match key {
        Value::Nil => Some("null".to_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::Uint(number) => Some(number.to_string()),
        Value::Str(text) => Some((*text).to_owned()),
        _ => None,
    }
}

fn says(json: &Json, value: &Value<'_>) -> bool {
    match (json, value) {
        (Json::Null, Value::Nil) => true,
        (Json::Bool(json), Value::Bool(value)) => json == value,
        (Json::Number(json), Value::Int(value)) => json.as_i64() == Some(*value),
        (Json::Number(json), Value::Uint(value)) => json.as_u64() == Some(*value),
        (Json::Number(json), Value::Float(value)) => json.as_f64() == Some(*value),
        (Json::String(json), Value::Str(value)) => json == value,
        (Json::String(json), Value::Bin(value)) => {
            *json
                == value
                    .utf8_chunks()
                    .map(|chunk| chunk.valid())
                    .collect::<String>()
        }
        (Json::Array(json), Value::List(values)) => {
            json.len() == values.len() && json.iter().zip(values).all(|(j, v)| says(j, v))
        }
        (Json::Object(json), Value::Map(entries)) => {
            json.len() == entries.len()
                && entries.iter().all(|(key, value)| {
                    let found = name(key).and_then(|name| json.get(&name));
                    found.is_some_and(|found| says(found, value))
                })
        }
        _ => false,
    }
}
