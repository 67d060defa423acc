//! The envelope of a frame: what has to be known about it, found without building a tree.
//!
//! [`Envelope::parse`] checks the whole text as strict JSON and remembers where the few parts
//! stand that matter, so that a payload is copied only when somebody wants it and an ack echoes
//! the server's headers exactly as they were spelled.

mod json;

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

use self::json::{Span, Walk};
use crate::error::{DecodeError, Reason};

/// The headers that an ack echoes, in the order in which it does.
const ECHO: [&str; 5] = ["mid", "sid", "app-key", "ua", "dt"];

/// Most entries of a package: some dozens are seen, and each costs far more than its text.
const MAX_PAYLOADS: usize = 4096;

/// What a frame from the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sent unasked; wants an ack.
    Push,
    /// Answers the request with the same `mid`.
    Answer,
    /// Another login took over; wants no ack.
    Kick,
    /// The server removed this session; wants no ack.
    SessionRemoved,
}

impl Kind {
    fn of(lwp: &str) -> Kind {
        match lwp {
            "/push/kickout" | "/push/kickoutV2" => Kind::Kick,
            "/s/session/remove" => Kind::SessionRemoved,
            _ if lwp.starts_with("/s/") || lwp.starts_with("/push/") => Kind::Push,
            _ => Kind::Answer,
        }
    }

    /// The name of the kind in Python.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Push => "push",
            Kind::Answer => "answer",
            Kind::Kick => "kick",
            Kind::SessionRemoved => "session_removed",
        }
    }
}

/// A frame's text together with the places of its parts.
#[derive(Clone)]
pub struct Envelope<T> {
    text: T,
    kind: Kind,
    lwp: Option<Span>,
    code: Option<i64>,
    headers: Headers,
    body: Option<Body>,
}

impl<T: AsRef<str>> Envelope<T> {
    /// Reads an envelope; the error's offset counts bytes of the text.
    ///
    /// Names that appear twice count with their last value, as in most JSON readers.
    pub fn parse(text: T) -> Result<Envelope<T>, DecodeError> {
        let mut walk = Walk::new(text.as_ref())?;
        let top = Top::read(&mut walk)?;
        walk.end()?;
        let headers = top.headers.ok_or(DecodeError::new(Reason::Envelope, 0))?;
        let lwp = top.lwp.and_then(|span| span.string(text.as_ref()));
        let kind = lwp.map_or(Kind::Answer, |lwp| Kind::of(&lwp));
        Ok(Envelope {
            kind,
            lwp: top.lwp,
            code: top.code,
            headers,
            body: top.body,
            text,
        })
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        self.text.as_ref()
    }

    /// What the frame is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The path.
    pub fn lwp(&self) -> Option<Cow<'_, str>> {
        self.lwp?.string(self.text())
    }

    /// The result code of an answer, written as a number or as digits in a string.
    pub fn code(&self) -> Option<i64> {
        self.code
    }

    /// The id that pairs request and answer.
    pub fn mid(&self) -> Option<Cow<'_, str>> {
        self.headers.echo[0]?.string(self.text())
    }

    /// The headers as JSON text.
    pub fn headers(&self) -> &str {
        self.slice(self.headers.span)
    }

    /// The body as JSON text.
    pub fn body(&self) -> Option<&str> {
        Some(self.slice(self.body.as_ref()?.span))
    }

    /// The number of entries in the body's package.
    pub fn payloads(&self) -> usize {
        self.package().map_or(0, |package| package.payloads.len())
    }

    /// The payload of one entry, `None` if the entry has no string.
    pub fn payload(&self, index: usize) -> Option<Cow<'_, str>> {
        let entry = *self.package()?.payloads.get(index)?;
        entry?.string(self.text())
    }

    /// The position behind the package, in microseconds.
    pub fn max_pts(&self) -> Option<i64> {
        self.package()?.max_pts
    }

    /// The server's time at which the package was made, in milliseconds.
    pub fn timestamp(&self) -> Option<i64> {
        self.package()?.timestamp
    }

    /// Whether the package says that more will follow.
    pub fn has_more(&self) -> bool {
        self.package().is_some_and(|package| package.has_more)
    }

    /// Whether the server says that the gap is too long to be replayed.
    pub fn resync(&self) -> bool {
        self.body
            .as_ref()
            .is_some_and(|body| matches!(body.extra_type, Some(1 | 2)))
    }

    /// The text that acknowledges this frame; `None` for what is not acknowledged.
    pub fn ack(&self) -> Option<String> {
        if self.kind != Kind::Push {
            return None;
        }
        const START: &str = r#"{"code":200,"headers":{"#;
        let told = || {
            let spans = ECHO.iter().zip(self.headers.echo);
            spans.filter_map(|(name, span)| Some((name, self.slice(span?))))
        };
        // Besides name and value: two quotes, a colon, and a comma, or a brace behind the last.
        let size: usize = told()
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum();
        let mut ack = String::with_capacity(START.len() + size + 1);
        ack.push_str(START);
        for (name, value) in told() {
            for part in ["\"", name, "\":", value, ","] {
                ack.push_str(part);
            }
        }
        if ack.ends_with(',') {
            ack.pop();
        }
        ack.push_str("}}");
        Some(ack)
    }

    fn slice(&self, span: Span) -> &str {
        &self.text()[span.range()]
    }

    fn package(&self) -> Option<&Package> {
        self.body.as_ref()?.package.as_ref()
    }
}

/// Shows no text: it may be private.
impl<T: AsRef<str>> fmt::Debug for Envelope<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("kind", &self.kind)
            .field("code", &self.code)
            .field("payloads", &self.payloads())
            .field("size", &self.text().len())
            .finish()
    }
}

/// Checks that a text is strict JSON within the limit of depth.
pub fn check_json(text: &str) -> Result<(), DecodeError> {
    let mut walk = Walk::new(text)?;
    walk.value()?;
    Ok(walk.end()?)
}

/// A fresh request id: `dice` is random below 1000, `now` milliseconds since 1970.
pub fn mid(dice: u16, now: u64) -> String {
    format!("{dice}{now} 0")
}

/// The part of a `mid` that server and client agree on: what stands before the first space.
pub fn request_id(mid: &str) -> &str {
    mid.split(' ').next().unwrap_or(mid)
}

/// The heartbeat request with this `mid`.
pub fn heartbeat(mid: &str) -> String {
    format!(r#"{{"lwp":"/!","headers":{{"mid":"{mid}"}}}}"#)
}

#[derive(Default)]
struct Top {
    lwp: Option<Span>,
    code: Option<i64>,
    headers: Option<Headers>,
    body: Option<Body>,
}

impl Top {
    fn read(walk: &mut Walk<'_>) -> json::Result<Top> {
        let mut top = Top::default();
        walk.members(|walk, name| {
            match name {
                "lwp" => top.lwp = Some(walk.value()?),
                "code" => top.code = int(walk)?,
                "headers" => top.headers = Headers::read(walk)?,
                "body" => top.body = Body::read(walk)?,
                _ => drop(walk.value()?),
            }
            Ok(())
        })?;
        Ok(top)
    }
}

#[derive(Clone, Debug)]
struct Headers {
    span: Span,
    echo: [Option<Span>; ECHO.len()],
}

impl Headers {
    /// Only an object is headers.
    fn read(walk: &mut Walk<'_>) -> json::Result<Option<Headers>> {
        let mut echo = [None; ECHO.len()];
        let object = walk.peek() == Some(b'{');
        let span = walk.members(|walk, name| {
            let value = walk.value()?;
            if let Some(index) = ECHO.iter().position(|known| *known == name) {
                echo[index] = Some(value);
            }
            Ok(())
        })?;
        Ok(object.then_some(Headers { span, echo }))
    }
}

#[derive(Clone, Debug)]
struct Body {
    span: Span,
    package: Option<Package>,
    extra_type: Option<i64>,
}

impl Body {
    /// Any value but null is a body; only an object can hold a package.
    fn read(walk: &mut Walk<'_>) -> json::Result<Option<Body>> {
        let (mut package, mut extra_type) = (None, None);
        let span = walk.members(|walk, name| {
            match name {
                "syncPushPackage" => package = Some(Package::read(walk)?),
                "syncExtraType" => extra_type = Body::extra_type(walk)?,
                _ => drop(walk.value()?),
            }
            Ok(())
        })?;
        let is_null = &walk.text()[span.range()] == "null";
        Ok((!is_null).then_some(Body {
            span,
            package,
            extra_type,
        }))
    }

    fn extra_type(walk: &mut Walk<'_>) -> json::Result<Option<i64>> {
        let mut found = None;
        walk.members(|walk, name| {
            match name {
                "type" => found = int(walk)?,
                _ => drop(walk.value()?),
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The payload of each entry; most packages have one.
type Payloads = SmallVec<[Option<Span>; 1]>;

#[derive(Clone, Debug, Default)]
struct Package {
    payloads: Payloads,
    max_pts: Option<i64>,
    timestamp: Option<i64>,
    has_more: bool,
}

impl Package {
    fn read(walk: &mut Walk<'_>) -> json::Result<Package> {
        let mut package = Package::default();
        walk.members(|walk, name| {
            match name {
                "data" => package.payloads = Package::payloads(walk)?,
                "maxPts" => package.max_pts = int(walk)?,
                "timestamp" => package.timestamp = int(walk)?,
                "hasMore" => package.has_more = truth(walk)?,
                _ => drop(walk.value()?),
            }
            Ok(())
        })?;
        Ok(package)
    }

    fn payloads(walk: &mut Walk<'_>) -> json::Result<Payloads> {
        let mut payloads = Payloads::new();
        // Whatever is there instead of a list counts as one entry that cannot be read.
        if !matches!(walk.peek(), Some(b'[' | b'n')) {
            payloads.push(None);
        }
        walk.items(|walk| {
            let mut data = None;
            walk.members(|walk, name| {
                match name {
                    "data" => data = Some(walk.value()?),
                    _ => drop(walk.value()?),
                }
                Ok(())
            })?;
            if payloads.len() == MAX_PAYLOADS {
                let reason = Reason::Payloads(MAX_PAYLOADS);
                return Err(Box::new(DecodeError::new(reason, walk.at())));
            }
            payloads.push(data);
            Ok(())
        })?;
        Ok(payloads)
    }
}

/// Reads a value and gives its text without quotes: numbers may come as strings.
fn word<'a>(walk: &mut Walk<'a>) -> json::Result<Cow<'a, str>> {
    let span = walk.value()?;
    let string = span.string(walk.text());
    Ok(string.unwrap_or_else(|| Cow::Borrowed(&walk.text()[span.range()])))
}

/// Reads a value; `None` unless it is an integer.
fn int(walk: &mut Walk<'_>) -> json::Result<Option<i64>> {
    Ok(word(walk)?.parse().ok())
}

/// Reads a value; whether it is true or a number other than zero.
fn truth(walk: &mut Walk<'_>) -> json::Result<bool> {
    let word = word(walk)?;
    Ok(word == "true" || word.parse::<i64>().is_ok_and(|number| number != 0))
}
