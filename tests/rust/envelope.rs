//! What is found in a frame's text, against the shared vectors and a reader that builds trees.

mod tree;

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{json, Value};
use xyfast::envelope::{heartbeat, mid, request_id, Envelope, Kind};
use xyfast::error::{DecodeError, Reason};

use self::tree::{ack, agrees};

fn vectors() -> Vec<Value> {
    let file = include_str!("../vectors/pushes.json");
    let file: Value = serde_json::from_str(file).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn parse(text: &str) -> Envelope<&str> {
    Envelope::parse(text).unwrap()
}

fn error(text: &str) -> DecodeError {
    Envelope::parse(text).unwrap_err()
}

#[test]
fn every_vector_gives_what_it_expects() {
    for vector in vectors() {
        let (name, expect) = (&vector["name"], &vector["expect"]);
        let text = vector["frame"].as_str().unwrap();
        let Ok(envelope) = Envelope::parse(text) else {
            assert_eq!(expect["class"], "invalid", "{name}");
            continue;
        };
        assert_eq!(envelope.kind().as_str(), expect["class"], "{name}");
        assert_eq!(json!(ack(&envelope)), expect["ack"], "{name}");
        if let Some(lwp) = expect.get("lwp") {
            assert_eq!(json!(envelope.lwp()), *lwp, "{name}");
        }
        if let Some(mid) = expect.get("mid") {
            assert_eq!(json!(envelope.mid()), *mid, "{name}");
        }
        if envelope.kind() == Kind::Push {
            assert_eq!(json!(envelope.max_pts()), expect["max_pts"], "{name}");
            assert_eq!(envelope.has_more(), expect["has_more"], "{name}");
            assert_eq!(envelope.resync(), expect["resync"], "{name}");
            let payloads = expect["payloads"].as_array().unwrap();
            assert_eq!(envelope.payloads(), payloads.len(), "{name}");
        }
        if envelope.kind() == Kind::Answer {
            assert_eq!(json!(envelope.code()), expect["code"], "{name}");
        }
    }
}

#[test]
fn agrees_with_a_reader_that_builds_trees() {
    for vector in vectors() {
        agrees(vector["frame"].as_str().unwrap());
    }
}

/// Small texts in which the names and the JSON syntax that matter turn up often.
fn texts() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        " ",
        "\n",
        "null",
        "true",
        "1",
        "-0.5e3",
        "01",
        "\"headers\":",
        "\"body\":",
        "\"lwp\":",
        "\"code\":",
        "\"/s/x\"",
        "\"/push/kickout\"",
        "{}",
        "[]",
        "\"mid\":\"1 0\"",
        "\"syncPushPackage\":",
        "\"data\":",
        "\"syncExtraType\":",
        "\"type\":\"2\"",
        "\"maxPts\":",
        "\"hasMore\":1",
        "\"\\u006dpts\"",
        "\\ud800",
        "é",
        "\u{0}",
        "{\"headers\":{}",
        "{\"data\":\"x\"}",
        "\"sid\":null",
    ]);
    prop::collection::vec(words, 0..24).prop_map(|words| words.concat())
}

/// A vector's frame with bytes replaced, removed and repeated.
fn mutated() -> impl Strategy<Value = String> {
    let frames: Vec<String> = vectors()
        .iter()
        .map(|vector| vector["frame"].as_str().unwrap().to_owned())
        .filter(|frame| frame.len() < 1500)
        .collect();
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..6);
    (prop::sample::select(frames), edits).prop_map(|(frame, edits)| {
        let mut bytes = frame.into_bytes();
        for (index, byte, edit) in edits {
            let at = index.index(bytes.len() + 1);
            match edit {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"{}[]\",:\\0 "[byte as usize % 10]),
                _ => bytes.truncate(at),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_on_any_text(text in texts()) {
        agrees(&text);
    }

    #[test]
    fn agrees_on_mutated_frames(text in mutated()) {
        agrees(&text);
    }

    #[test]
    fn any_string_survives_its_escapes(value in ".*", name in "[a-z/]{1,8}") {
        let spelled = serde_json::to_string(&value).unwrap();
        let name: String = name.chars().map(|c| format!("\\u{:04x}", c as u32)).collect();
        let text = format!(r#"{{"\u006cwp":{spelled},"headers":{{"mid":{spelled}}},"{name}":0}}"#);
        let envelope = parse(&text);
        prop_assert_eq!(envelope.lwp().map(String::from), Some(value.clone()));
        prop_assert_eq!(envelope.mid().map(String::from), Some(value));
    }
}

#[test]
fn the_last_of_equal_names_counts() {
    let text = r#"{"lwp":"/r/x","lwp":"/s/x","code":1,"code":"2",
        "headers":{"mid":"a"},"headers":{"mid":"b","sid":1,"sid":2},
        "body":{"syncPushPackage":{"maxPts":1,"data":[{},{}]},"syncExtraType":{"type":1}},
        "body":{"syncPushPackage":{"hasMore":1},
                "syncPushPackage":{"data":[{"data":"x","data":"y"}],"data":[{"data":"z"}]}}}"#;
    let envelope = parse(text);
    assert_eq!((envelope.kind(), envelope.code()), (Kind::Push, Some(2)));
    assert_eq!(
        envelope.ack().unwrap(),
        r#"{"code":200,"headers":{"mid":"b","sid":2}}"#
    );
    assert_eq!(
        (envelope.max_pts(), envelope.has_more(), envelope.resync()),
        (None, false, false)
    );
    assert_eq!(
        (envelope.payloads(), envelope.payload(0).as_deref()),
        (1, Some("z"))
    );
}

#[test]
fn headers_that_end_as_something_else_are_no_headers() {
    assert_eq!(
        error(r#"{"headers":{},"headers":[]}"#).reason,
        Reason::Envelope
    );
    assert_eq!(error(r#"{"headers":null}"#).reason, Reason::Envelope);
    assert_eq!(error("[]").reason, Reason::Envelope);
    assert_eq!(error("7").reason, Reason::Envelope);
}

#[test]
fn an_ack_echoes_headers_as_they_were_spelled() {
    let text = r#"{"lwp":"/s/x","headers":{"x":1,"dt":"j","ua":"a\/\u00e9\ud800","mid":"1 0"}}"#;
    let expected = r#"{"code":200,"headers":{"mid":"1 0","ua":"a\/\u00e9\ud800","dt":"j"}}"#;
    assert_eq!(parse(text).ack().unwrap(), expected);
}

#[test]
fn kicks_and_answers_want_no_ack() {
    for (lwp, kind) in [
        ("/push/kickout", Kind::Kick),
        ("/push/kickoutV2", Kind::Kick),
        ("/s/session/remove", Kind::SessionRemoved),
        ("/!", Kind::Answer),
    ] {
        let text = format!(r#"{{"lwp":"{lwp}","headers":{{"mid":"1 0"}},"code":200}}"#);
        let envelope = parse(&text);
        assert_eq!((envelope.kind(), envelope.ack()), (kind, None));
    }
}

#[test]
fn an_answer_may_carry_a_package() {
    let text = r#"{"code":200,"headers":{},
        "body":{"syncPushPackage":{"maxPts":"5","timestamp":6,"data":[{"data":"x"}]}}}"#;
    let envelope = parse(text);
    assert_eq!(envelope.kind(), Kind::Answer);
    assert_eq!(
        (envelope.max_pts(), envelope.timestamp()),
        (Some(5), Some(6))
    );
    assert_eq!(envelope.payload(0).as_deref(), Some("x"));
}

#[test]
fn entries_without_a_string_are_counted_but_empty() {
    let package = r#"{"data":[{"data":1},{},7,"x",{"data":"y"}]}"#;
    let text = format!(r#"{{"headers":{{}},"body":{{"syncPushPackage":{package}}}}}"#);
    let envelope = parse(&text);
    let payloads: Vec<_> = (0..envelope.payloads())
        .map(|index| envelope.payload(index))
        .collect();
    assert_eq!(payloads, [None, None, None, None, Some("y".into())]);
}

/// Strings and numbers are read a word at a time: whatever stands anywhere in one is seen.
#[test]
fn any_byte_at_any_place_counts() {
    let all = (0..0x80).chain(['\u{80}' as u32, 0x22a2, 0xffff, 0x10_dcba]);
    for odd in all.filter_map(char::from_u32) {
        for (before, after) in (0..18).flat_map(|before| [0, 1, 7, 20].map(|after| (before, after)))
        {
            let string = |filling: &str| {
                let (before, after) = (filling.repeat(before), filling.repeat(after));
                format!("{before}{odd}{after}")
            };
            let (text, number) = (string("a"), string("7"));
            for text in [
                format!(r#"{{"headers":{{"mid":"{text}"}},"{text}":1}}"#),
                format!(r#"{{"headers":{{}},"code":{number}}}"#),
                format!("\"{text}"),
                number,
            ] {
                agrees(&text);
                let json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
                let reason = Envelope::parse(text.as_str())
                    .map(drop)
                    .map_err(|error| error.reason);
                assert_eq!(reason != Err(Reason::Json), json, "{text}");
            }
        }
    }
}

#[test]
fn an_error_says_where() {
    for (text, offset) in [
        ("", 0),
        ("hello", 0),
        (r#"{"headers":{}"#, 13),
        (r#"{"headers":{}} x"#, 15),
        (r#"{"headers":{},}"#, 14),
        (r#"{"a":01}"#, 6),
        (r#"{"a":"\x"}"#, 7),
        (r#"{"a":"\u12g4"}"#, 10),
        ("{\"a\":\"\n\"}", 6),
    ] {
        assert_eq!(
            error(text),
            DecodeError::new(Reason::Json, offset),
            "{text}"
        );
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        format!(
            r#"{{"headers":{{}},"x":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert!(Envelope::parse(nested(511).as_str()).is_ok());
    assert_eq!(error(&nested(512)).reason, Reason::Depth);
    assert_eq!(error(&"[".repeat(10_000_000)).reason, Reason::Depth);
}

#[test]
fn a_heartbeat_is_a_request_with_a_fresh_mid() {
    let mid = mid(4, 1_767_225_600_000);
    assert_eq!(mid, "41767225600000 0");
    assert_eq!(request_id(&mid), "41767225600000");
    let text = heartbeat(&mid);
    let envelope = parse(&text);
    assert_eq!(
        (envelope.lwp().as_deref(), envelope.mid().as_deref()),
        (Some("/!"), Some(&*mid))
    );
    assert_eq!(envelope.body(), None);
}
