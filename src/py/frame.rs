//! Frames and their payloads as Python sees them.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;

use super::errors::raised;
use super::object::{named, Keys, Objects};
use crate::base64;
use crate::envelope::Envelope;
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

#[pyclass(frozen, module = "xyfast._core")]
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
    fn decode(py: Python<'_>, text: Text) -> Payload {
        let (tree, stage, error) = match tree(py, text.get().as_deref()) {
            Ok(tree) => (Some(tree.unbind()), None, None),
            Err((stage, error)) => (None, Some(stage), Some(error.into_value(py).into_any())),
        };
        Payload {
            text,
            tree,
            stage,
            error,
        }
    }
}

/// The tree of a payload, or the stage at which it could not be had, and why.
fn tree<'py>(
    py: Python<'py>,
    text: Option<&str>,
) -> Result<Bound<'py, PyAny>, (&'static str, PyErr)> {
    let bad = |stage: &'static str, message: &str, offset: usize| {
        let error = raised::DecodeError::new_err((message.to_owned(), stage, offset));
        (stage, error)
    };
    let text = text.ok_or_else(|| bad("missing", "the entry has no payload", 0))?;
    let json = |text: &[u8]| {
        json(py, text).map_err(|offset| bad("json", "the payload is not JSON", offset))
    };
    if text.trim_start().starts_with('{') {
        return json(text.as_bytes());
    }
    let data = base64::decode_forgiving(text.as_bytes())
        .map_err(|error| ("base64", PyErr::from(error)))?;
    // No MessagePack map starts like this.
    if data.starts_with(b"{") {
        return json(&data);
    }
    let tree = if starts_map(&data) {
        named(py, &data, DEFAULT_DEPTH)
    } else {
        let mut objects = Objects::new(py, Keys::Names);
        read(&data, Options::PAYLOAD, &mut objects).map(|(value, _)| value)
    };
    tree.map_err(|failure| ("msgpack", PyErr::from(failure)))
}

/// Reads JSON with Python's own reader; the error is the place where it gave up.
fn json<'py>(py: Python<'py>, text: &[u8]) -> Result<Bound<'py, PyAny>, usize> {
    let text = str::from_utf8(text).map_err(|error| error.valid_up_to())?;
    let loads = py.import("json").and_then(|json| json.getattr("loads"));
    loads
        .and_then(|loads| loads.call1((text,)))
        .map_err(|error| {
            let place = error.value(py).getattr("pos");
            place.and_then(|place| place.extract()).unwrap_or(0)
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

#[pyclass(frozen, module = "xyfast._core")]
pub(super) struct Frame {
    /// The link that received it; an ack goes back the same way.
    pub(super) link: Option<Arc<Link>>,
    pub(super) envelope: transport::Frame,
    payloads: PyOnceLock<Py<PyList>>,
}

impl Frame {
    pub(super) fn new(link: Option<Arc<Link>>, envelope: transport::Frame) -> Frame {
        Frame {
            link,
            envelope,
            payloads: PyOnceLock::new(),
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
        let payloads = self.payloads.get_or_try_init(py, || {
            let payloads = (0..self.envelope.payloads())
                .map(|index| Text::Entry(self.envelope.clone(), index))
                .map(|text| Py::new(py, Payload::decode(py, text)));
            let payloads: PyResult<Vec<_>> = payloads.collect();
            Ok::<_, PyErr>(PyList::new(py, payloads?)?.unbind())
        })?;
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

#[pyfunction]
#[pyo3(signature = (text, /))]
pub(super) fn parse_frame(text: String) -> PyResult<Frame> {
    let envelope = Envelope::parse(Utf8Bytes::from(text))?;
    Ok(Frame::new(None, Arc::new(envelope)))
}

#[pyfunction]
#[pyo3(signature = (text, /))]
pub(super) fn read_payload(py: Python<'_>, text: String) -> Payload {
    Payload::decode(py, Text::Alone(text))
}
