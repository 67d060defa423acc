//! The test vectors: what `decrypt` answers, and the MessagePack test suite.

use serde_json::Value as Json;
use xyfast::decrypt::{decrypt, words};
use xyfast::msgpack::{read, Options, Tree, Value, Writer};
use xyfast::{base64, Reason};

fn load(name: &str) -> Json {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn decrypt_answers_every_vector() {
    let file = load("decrypt.json");
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 789);
    // The binding makes text of payloads that are no str, and lets Python word other values
    // than maps; here the errors of those are checked.
    let mut elsewhere = 0;
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        let Some(payload) = vector["payload"].as_str() else {
            elsewhere += 1;
            continue;
        };
        let answer = match decrypt(payload.as_bytes()) {
            Err(error) if error.reason == Reason::TopLevel => {
                let data = base64::decode_forgiving(payload.as_bytes()).unwrap();
                let value = read(&data, Options::PAYLOAD, &mut Tree);
                if value.is_ok() {
                    assert!(vector["text"].is_string(), "{name}");
                    elsewhere += 1;
                    continue;
                }
                value.map(|_| String::new())
            }
            answer => answer,
        };
        match answer {
            Ok(text) => assert_eq!(Some(text.as_str()), vector["text"].as_str(), "{name}"),
            Err(error) => {
                assert_eq!(vector["error"], true, "{name}");
                if let Some(expected) = vector["error_text"].as_str() {
                    assert_eq!(words(&error), expected, "{name}");
                }
            }
        }
    }
    assert_eq!(elsewhere, 63);
}

fn bytes(hex: &str) -> Vec<u8> {
    let bytes = hex.split('-').filter(|byte| !byte.is_empty());
    bytes.map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
}

/// Writes what a case of the suite stands for.
fn expected(case: &Json, writer: &mut Writer) {
    let is = |kind: &str| case.get(kind);
    if is("nil").is_some() {
        writer.nil();
    } else if let Some(value) = is("bool") {
        writer.bool(value.as_bool().unwrap());
    } else if let Some(data) = is("binary") {
        writer.bin(&bytes(data.as_str().unwrap())).unwrap();
    } else if let Some(digits) = is("bignum") {
        let number: i128 = digits.as_str().unwrap().parse().unwrap();
        match i64::try_from(number) {
            Ok(number) => writer.int(number),
            Err(_) => writer.uint(number.try_into().unwrap()),
        }
    } else if let Some(ext) = is("ext") {
        let data = bytes(ext[1].as_str().unwrap());
        let code = ext[0].as_i64().unwrap();
        writer.ext(code.try_into().unwrap(), &data).unwrap();
    } else if let Some(parts) = is("timestamp") {
        let (seconds, nanoseconds) = (parts[0].as_i64().unwrap(), parts[1].as_u64().unwrap());
        writer.timestamp(seconds, nanoseconds.try_into().unwrap());
    } else {
        let kinds = ["number", "string", "array", "map"];
        plain(kinds.iter().find_map(|kind| is(kind)).unwrap(), writer);
    }
}

fn plain(json: &Json, writer: &mut Writer) {
    match json {
        Json::Null => writer.nil(),
        Json::Bool(value) => writer.bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => writer.int(number),
            (None, Some(number)) => writer.uint(number),
            _ => writer.float(number.as_f64().unwrap()),
        },
        Json::String(text) => writer.str(text).unwrap(),
        Json::Array(values) => {
            writer.array(values.len()).unwrap();
            values.iter().for_each(|value| plain(value, writer));
        }
        Json::Object(entries) => {
            writer.map(entries.len()).unwrap();
            for (key, value) in entries {
                writer.str(key).unwrap();
                plain(value, writer);
            }
        }
    }
}

/// Numbers count by value: the suite writes whole ones as floats too.
fn equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Int(b)) => *a == *b as f64,
        (Value::Float(a), Value::Uint(b)) => *a == *b as f64,
        _ => a == b,
    }
}

#[test]
fn the_msgpack_suite_reads_and_writes() {
    let file = load("msgpack-test-suite.json");
    let (mut cases, mut readings) = (0, 0);
    for case in file
        .as_object()
        .unwrap()
        .values()
        .flat_map(|c| c.as_array().unwrap())
    {
        let mut writer = Writer::new();
        expected(case, &mut writer);
        let written = writer.into_bytes();
        let value = Value::unpack(&written).unwrap();
        let encodings = case["msgpack"].as_array().unwrap();
        let encodings: Vec<_> = encodings
            .iter()
            .map(|e| bytes(e.as_str().unwrap()))
            .collect();
        assert!(encodings.contains(&written), "{case}: {written:02x?}");
        cases += 1;
        for encoding in &encodings {
            assert!(equal(&Value::unpack(encoding).unwrap(), &value), "{case}");
            readings += 1;
        }
    }
    assert_eq!((cases, readings), (85, 233));
}
