//! A reader of envelopes that builds trees: the yardstick for the one that does not.

use serde::de::IgnoredAny;
use serde_json::{json, Value};
use xyfast::envelope::Envelope;
use xyfast::error::{DecodeError, Reason};

const ECHO: [&str; 5] = ["mid", "sid", "app-key", "ua", "dt"];

/// Reads the ack of a frame.
pub(crate) fn ack(envelope: &Envelope<&str>) -> Option<Value> {
    envelope
        .ack()
        .map(|text| serde_json::from_str(&text).unwrap())
}

/// What an envelope says, found the slow way: in a tree.
#[derive(Debug, PartialEq)]
struct Said {
    lwp: Option<String>,
    code: Option<i64>,
    mid: Option<String>,
    headers: Value,
    body: Option<Value>,
    payloads: Vec<Option<String>>,
    max_pts: Option<i64>,
    timestamp: Option<i64>,
    has_more: bool,
    resync: bool,
    ack: Option<Value>,
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn int(value: &Value) -> Option<i64> {
    value
        .as_str()
        .map_or_else(|| value.as_i64(), |digits| digits.parse().ok())
}

fn by_tree(tree: &Value) -> Option<Said> {
    let headers = tree.get("headers")?.as_object()?;
    let lwp = string(&tree["lwp"]);
    let is_push = lwp.as_deref().is_some_and(|lwp| {
        (lwp.starts_with("/s/") || lwp.starts_with("/push/"))
            && !["/push/kickout", "/push/kickoutV2", "/s/session/remove"].contains(&lwp)
    });
    let echo = ECHO
        .iter()
        .filter_map(|name| Some((name.to_string(), headers.get(*name)?.clone())));
    let package = &tree["body"]["syncPushPackage"];
    let payloads = match &package["data"] {
        Value::Null => Vec::new(),
        Value::Array(entries) => entries.iter().map(|entry| string(&entry["data"])).collect(),
        _ => vec![None],
    };
    Some(Said {
        code: int(&tree["code"]),
        mid: headers.get("mid").and_then(string),
        headers: tree["headers"].clone(),
        body: Some(tree["body"].clone()).filter(|body| !body.is_null()),
        payloads,
        max_pts: int(&package["maxPts"]),
        timestamp: int(&package["timestamp"]),
        has_more: package["hasMore"] == true
            || package["hasMore"] == "true"
            || int(&package["hasMore"]).is_some_and(|number| number != 0),
        resync: matches!(int(&tree["body"]["syncExtraType"]["type"]), Some(1 | 2)),
        ack: is_push.then(|| json!({"code": 200, "headers": Value::Object(echo.collect())})),
        lwp,
    })
}

fn by_envelope(envelope: &Envelope<&str>) -> Said {
    let payloads = 0..envelope.payloads();
    Said {
        lwp: envelope.lwp().map(String::from),
        code: envelope.code(),
        mid: envelope.mid().map(String::from),
        headers: serde_json::from_str(envelope.headers()).unwrap(),
        body: envelope
            .body()
            .map(|body| serde_json::from_str(body).unwrap()),
        payloads: payloads
            .map(|index| envelope.payload(index).map(String::from))
            .collect(),
        max_pts: envelope.max_pts(),
        timestamp: envelope.timestamp(),
        has_more: envelope.has_more(),
        resync: envelope.resync(),
        ack: ack(envelope),
    }
}

/// The envelope agrees with the tree, and with serde_json on what is JSON at all.
pub(crate) fn agrees(text: &str) {
    let envelope = Envelope::parse(text);
    if let Err(DecodeError { reason, offset }) = envelope {
        assert!(offset <= text.len());
        let json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        assert_eq!(
            json,
            reason == Reason::Envelope,
            "{reason:?} at {offset} of {text}"
        );
    }
    // serde_json's trees refuse lone surrogates and numbers beyond a double, RFC 8259 does not.
    if let Ok(tree) = serde_json::from_str(text) {
        assert_eq!(
            envelope.ok().map(|found| by_envelope(&found)),
            by_tree(&tree),
            "{text}"
        );
    }
}
