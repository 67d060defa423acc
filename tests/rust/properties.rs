//! Claims about all inputs.

use proptest::prelude::*;
use xyfast::error::{DecodeError, Reason};
use xyfast::msgpack::json::to_json;
use xyfast::msgpack::{read, Options, Tree, Value, Writer};

use crate::generate::{payload, tree, wild};
use crate::naive;

fn fault(error: DecodeError) -> naive::Fault {
    (error.reason.word(), error.offset)
}

fn shallow(options: Options) -> Options {
    Options {
        max_depth: 4,
        ..options
    }
}

/// Equality that takes a NaN for the same NaN.
fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

fn second_opinion(value: &Value<'_>) -> rmpv::Value {
    use rmpv::Value as Rmp;
    match value {
        Value::Nil => Rmp::Nil,
        Value::Bool(value) => Rmp::Boolean(*value),
        Value::Int(value) => Rmp::from(*value),
        Value::Uint(value) => Rmp::from(*value),
        Value::Float(value) => Rmp::F64(*value),
        Value::Str(text) => Rmp::from(*text),
        Value::Bin(data) => Rmp::from(*data),
        Value::Ext(code, data) => Rmp::Ext(*code, data.to_vec()),
        Value::Timestamp(seconds, nanoseconds) => {
            let mut writer = Writer::new();
            writer.timestamp(*seconds, *nanoseconds);
            rmpv::decode::read_value(&mut writer.into_bytes().as_slice()).unwrap()
        }
        Value::List(values) => Rmp::Array(values.iter().map(second_opinion).collect()),
        Value::Map(entries) => {
            let entries = entries.iter();
            Rmp::Map(
                entries
                    .map(|(key, value)| (second_opinion(key), second_opinion(value)))
                    .collect(),
            )
        }
    }
}

/// Spells floats of 32 bits and longer forms of timestamps as our values do.
fn widened(value: rmpv::Value) -> rmpv::Value {
    use rmpv::Value as Rmp;
    match value {
        Rmp::F32(value) => Rmp::F64(value.into()),
        Rmp::Array(values) => Rmp::Array(values.into_iter().map(widened).collect()),
        Rmp::Map(entries) => {
            let entries = entries.into_iter();
            Rmp::Map(entries.map(|(k, v)| (widened(k), widened(v))).collect())
        }
        Rmp::Ext(-1, data) => {
            let mut long = Vec::new();
            rmpv::encode::write_value(&mut long, &Rmp::Ext(-1, data)).unwrap();
            let value = Value::unpack(&long).unwrap();
            second_opinion(&value)
        }
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_reader_is_the_naive_decoder(data in wild()) {
        for options in [Options::STANDARD, Options::PAYLOAD, shallow(Options::STANDARD)] {
            let fast = read(&data, options, &mut Tree).map_err(fault);
            match (fast, naive::read(&data, options)) {
                (Ok((fast, end)), Ok((slow, slow_end))) => {
                    prop_assert!(same(&fast, &slow));
                    prop_assert_eq!(end, slow_end);
                }
                (fast, slow) => prop_assert_eq!(fast.err(), slow.err()),
            }
        }
    }

    #[test]
    fn every_sink_refuses_the_same_inputs(data in wild()) {
        let tree = read(&data, Options::PAYLOAD, &mut Tree);
        match to_json(&data, Options::PAYLOAD) {
            Err(DecodeError { reason: Reason::BytesKey, .. }) => prop_assert!(tree.is_ok()),
            json => prop_assert_eq!(json.err(), tree.err()),
        }
    }

    #[test]
    fn rmpv_reads_what_we_read(data in wild()) {
        let mut rest = data.as_slice();
        let theirs = rmpv::decode::read_value(&mut rest);
        match read(&data, Options::STANDARD, &mut Tree) {
            Ok((value, end)) => {
                prop_assert_eq!(data.len() - rest.len(), end);
                let theirs = widened(theirs.unwrap());
                prop_assert_eq!(format!("{theirs:?}"), format!("{:?}", second_opinion(&value)));
            }
            // Wrong for us, not for rmpv: text that is not UTF-8, and what the
            // specification reserves or Python cannot hold. It takes c1 for nil.
            Err(error) => prop_assert!(
                theirs.is_err()
                    || error.reason == Reason::Format(0xc1)
                    || ["utf8", "key", "extension", "timestamp"].contains(&error.reason.word())
            ),
        }
    }

    #[test]
    fn what_is_written_reads_back(tree in tree()) {
        let data = tree.pack();
        let value = Value::unpack(&data).unwrap();
        let mut writer = Writer::new();
        value.pack(&mut writer).unwrap();
        prop_assert_eq!(&writer.into_bytes(), &data);
    }

    #[test]
    fn rmp_serde_reads_what_we_write_and_writes_what_we_read(tree in tree()) {
        let data = tree.pack();
        let theirs: rmpv::Value = rmp_serde::from_slice(&data).unwrap();
        let ours = Value::unpack(&data).unwrap();
        prop_assert_eq!(format!("{theirs:?}"), format!("{:?}", second_opinion(&ours)));
        let again = rmp_serde::to_vec(&theirs).unwrap();
        prop_assert!(same(&Value::unpack(&again).unwrap(), &ours));
    }

    #[test]
    fn a_cut_value_is_truncated(tree in tree()) {
        let data = tree.pack();
        for end in 0..data.len() {
            let error = Value::unpack(&data[..end]).unwrap_err();
            prop_assert_eq!(error.reason, Reason::Truncated);
            prop_assert!(error.offset <= end);
        }
    }

    #[test]
    fn a_cut_payload_is_truncated_for_decrypt(tree in payload()) {
        let data = tree.pack();
        for end in 0..data.len() {
            let error = to_json(&data[..end], Options::PAYLOAD).unwrap_err();
            prop_assert_eq!(error.reason, Reason::Truncated);
        }
    }

    #[test]
    fn more_data_is_an_error_of_its_own(tree in tree(), extra in any::<u8>()) {
        let mut data = tree.pack();
        let end = data.len();
        data.push(extra);
        let error = Value::unpack(&data).unwrap_err();
        prop_assert_eq!(error, DecodeError::new(Reason::Extra, end));
    }

    #[test]
    fn no_bytes_upset_the_payload_decoder(text in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = xyfast::decrypt::decrypt(&text) {
            prop_assert!(!xyfast::decrypt::words(&error).is_empty());
        }
    }
}
