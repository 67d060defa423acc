//! Frames and their payloads as Python sees them.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use pyo3::exceptions::{PyRecursionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use smallvec::SmallVec;

use super::errors::{decode_error, in_place, raised};
use super::input::Input;
use super::object::{named, Keys, Objects};
use crate::base64;
use crate::envelope::{check_json, Envelope};
use crate::error::{DecodeError, Reason};
use crate::msgpack::json::to_json;
use crate::msgpack::{read, starts_map, Options, DEFAULT_DEPTH};
use crate::transport::{self, Link, Utf8Bytes};

/// Where a payload's text stands: inside its frame, or alone.
enum Text {
    Entry(transport::Frame, usize),
    Alone(String),
}

impl Text {
    fn get(&self) -> Option<Cow<'_, str>> {
        match self {
            Text::Entry(frame, index) => frame.payload(*index),
            Text::Alone(text) => Some(Cow::Borrowed(text)),
        }
    }
}

/// One entry of a push: what it holds, or why that could not be found out.
#[pyclass(frozen, immutable_type, module = "xyfast._core")]
pub(super) struct Payload {
    text: Text,
    #[pyo3(get)]
    tree: Option<Py<PyAny>>,
    #[pyo3(get)]
    error: Option<Py<PyAny>>,
    #[pyo3(get)]
    stage: Option<&'static str>,
}

impl Payload {
    fn decode(py: Python<'_>, text: Text) -> PyResult<Payload> {
        let (tree, stage, error) = match tree(py, text.get().as_deref()) {
            Ok(tree) => (Some(tree.unbind()), None, None),
            Err((stage, error)) if error.is_instance_of::<raised::DecodeError>(py) => {
                (None, Some(stage), Some(error.into_value(py).into_any()))
            }
            // The payload is not to blame: no memory, or an interrupt.
            Err((_, error)) => return Err(error),
        };
        Ok(Payload {
            text,
            tree,
            stage,
            error,
        })
    }
}

/// The tree of a payload, or the stage at which it could not be had, and why.
fn tree<'py>(
    py: Python<'py>,
    text: Option<&str>,
) -> Result<Bound<'py, PyAny>, (&'static str, PyErr)> {
    let text = text.ok_or_else(|| {
        let words = "the entry has no payload";
        (
            "missing",
            decode_error::<raised::DecodeError>(words, "missing", 0),
        )
    })?;
    if text.trim_start().starts_with('{') {
        return json(py, text).map_err(|error| ("json", error));
    }
    base64::forgiving(text.as_bytes(), |data| decoded(py, data))
        .map_err(|error| ("base64", PyErr::from(error)))?
}

/// The tree of a payload without its base64.
fn decoded<'py>(py: Python<'py>, data: &[u8]) -> Result<Bound<'py, PyAny>, (&'static str, PyErr)> {
    // No MessagePack map starts like this.
    if data.starts_with(b"{") {
        let text = str::from_utf8(data)
            .map_err(|error| DecodeError::new(Reason::Json, error.valid_up_to()))
            .map_err(|error| ("json", PyErr::from(error)))?;
        return json(py, text).map_err(|error| ("json", error));
    }
    let tree = if starts_map(data) {
        named(py, data, DEFAULT_DEPTH).map_err(PyErr::from)
    } else {
        other(py, data)
    };
    tree.map_err(|error| ("msgpack", error))
}

/// What is no map: the same rules for the maps inside it.
fn other<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let mut objects = Objects::new(py, Keys::Names);
    let (value, _) = read(data, Options::PAYLOAD, &mut objects)?;
    if !objects.ambiguous {
        return Ok(value);
    }
    loads(py, &to_json(data, Options::PAYLOAD)?)
}

/// Reads JSON, which is checked here and built by Python's own reader.
fn json<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    check_json(text)?;
    loads(py, text)
}

/// Builds checked JSON; Python's reader has limits of its own, to digits and recursion.
fn loads<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    let tree = py.import("json")?.call_method1("loads", (text,));
    tree.map_err(|error| {
        if error.is_instance_of::<PyRecursionError>(py) {
            DecodeError::new(Reason::Depth, 0).into()
        } else if error.is_instance_of::<PyValueError>(py) {
            DecodeError::new(Reason::Json, 0).into()
        } else {
            error
        }
    })
}

#[pymethods]
impl Payload {
    #[getter]
    fn text(&self) -> Option<Cow<'_, str>> {
        self.text.get()
    }

    fn __repr__(&self) -> String {
        let size = self.text().map_or(0, |text| text.len());
        let stage = self
            .stage
            .map_or("None".to_owned(), |stage| format!("'{stage}'"));
        format!("Payload(size={size}, stage={stage})")
    }
}

/// A frame from the server. Its repr shows sizes, never texts.
#[pyclass(frozen, immutable_type, module = "xyfast._core")]
pub(super) struct Frame {
    /// The link that received it; an ack goes back the same way.
    pub(super) link: Option<Arc<Link>>,
    /// When that read it.
    read: Option<Instant>,
    pub(super) envelope: transport::Frame,
    payloads: OnceLock<Py<PyList>>,
}

impl Frame {
    pub(super) fn new(from: Option<(Arc<Link>, Instant)>, envelope: transport::Frame) -> Frame {
        let (link, read) = from.unzip();
        Frame {
            link,
            read,
            envelope,
            payloads: OnceLock::new(),
        }
    }
}

#[pymethods]
impl Frame {
    #[getter]
    fn kind(&self) -> &'static str {
        self.envelope.kind().as_str()
    }

    #[getter]
    fn link(&self) -> u64 {
        self.link.as_ref().map_or(0, |link| link.number())
    }

    #[getter]
    fn age(&self) -> Option<f64> {
        self.read.map(|read| read.elapsed().as_secs_f64())
    }

    #[getter]
    fn lwp(&self) -> Option<Cow<'_, str>> {
        self.envelope.lwp()
    }

    #[getter]
    fn code(&self) -> Option<i64> {
        self.envelope.code()
    }

    #[getter]
    fn mid(&self) -> Option<Cow<'_, str>> {
        self.envelope.mid()
    }

    #[getter]
    fn max_pts(&self) -> Option<i64> {
        self.envelope.max_pts()
    }

    #[getter]
    fn timestamp(&self) -> Option<i64> {
        self.envelope.timestamp()
    }

    #[getter]
    fn has_more(&self) -> bool {
        self.envelope.has_more()
    }

    #[getter]
    fn resync(&self) -> bool {
        self.envelope.resync()
    }

    #[getter]
    fn payloads<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let payloads = match self.payloads.get() {
            Some(payloads) => payloads,
            None => {
                let payloads = (0..self.envelope.payloads())
                    .map(|index| Text::Entry(self.envelope.clone(), index))
                    .map(|text| Py::new(py, Payload::decode(py, text)?));
                let payloads: PyResult<SmallVec<[_; 2]>> = payloads.collect();
                let payloads = PyList::new(py, payloads?)?.unbind();
                // Another thread may have been quicker: nobody waits for the lock with the GIL.
                self.payloads.get_or_init(|| payloads)
            }
        };
        Ok(payloads.bind(py).clone())
    }

    #[getter]
    fn ack(&self) -> Option<String> {
        self.envelope.ack()
    }

    #[getter]
    fn text(&self) -> &str {
        self.envelope.text()
    }

    #[getter]
    fn size(&self) -> usize {
        self.envelope.text().len()
    }

    #[getter]
    fn headers(&self) -> &str {
        self.envelope.headers()
    }

    #[getter]
    fn body(&self) -> Option<&str> {
        self.envelope.body()
    }

    fn __repr__(&self) -> String {
        format!(
            "Frame(kind='{}', link={}, payloads={}, size={})",
            self.kind(),
            self.link(),
            self.envelope.payloads(),
            self.envelope.text().len()
        )
    }
}

/// Return the payloads of a frame as dicts.
#[pyfunction]
#[pyo3(signature = (frame, /, *, return_exceptions = false))]
pub(super) fn decode_frame<'py>(
    frame: &Bound<'py, PyAny>,
    return_exceptions: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = frame.py();
    let input = Input::text(frame)?;
    let envelope = Envelope::parse(input.as_str()?)?;
    let trees = (0..envelope.payloads()).map(|index| {
        let text = envelope.payload(index);
        let tree = tree(py, text.as_deref()).map_err(|(_, error)| error);
        tree.and_then(only_dict)
            .or_else(|error| in_place(py, index, error, return_exceptions))
    });
    let trees: SmallVec<[_; 4]> = trees.collect::<PyResult<_>>()?;
    Ok(PyList::new(py, trees)?.into_any())
}

pub(super) fn decode_frame_plain<'py>(frame: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    decode_frame(frame, false)
}

/// Refuses the tree of a payload that is no map.
fn only_dict(tree: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    match tree.cast::<PyDict>() {
        Ok(_) => Ok(tree),
        Err(_) => Err(DecodeError::new(Reason::TopLevel, 0).into()),
    }
}

/// Read one frame's text.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub(super) fn parse_frame(text: &Bound<'_, PyString>) -> PyResult<Frame> {
    let envelope = Envelope::parse(Utf8Bytes::from(plain(text)?))?;
    Ok(Frame::new(None, Arc::new(envelope)))
}

/// Read one payload's text as it stands in a push.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub(super) fn read_payload(text: &Bound<'_, PyString>) -> PyResult<Payload> {
    match plain(text) {
        Ok(plain) => Payload::decode(text.py(), Text::Alone(plain)),
        Err(error) => Ok(Payload {
            text: Text::Alone(text.to_string_lossy().into_owned()),
            tree: None,
            stage: Some("base64"),
            error: Some(error.into_value(text.py()).into_any()),
        }),
    }
}

/// The text of a str that can be sent: one without lone surrogates.
fn plain(text: &Bound<'_, PyString>) -> PyResult<String> {
    let plain = text.to_str().map(str::to_owned);
    plain.map_err(|_| {
        decode_error::<raised::DecodeError>("the text has a lone surrogate", "utf8", 0)
    })
}
