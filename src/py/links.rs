//! Links as Python sees them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::frame::Frame;
use super::input::{count, real, within};
use crate::transport::{self, keepalive::Policy, Dial, DialError, Event, News};

mod raised {
    pyo3::import_exception!(xyfast.errors, ConfigError);
    pyo3::import_exception!(xyfast.errors, StateError);
}

impl From<DialError> for PyErr {
    fn from(error: DialError) -> PyErr {
        match error {
            DialError::Config(message) => raised::ConfigError::new_err(message),
            DialError::InUse(_) => raised::StateError::new_err(error.to_string()),
            DialError::Io(ref cause) => refused(cause, error.to_string()),
        }
    }
}

/// What the system refuses: its number says whether this machine lacks something.
fn refused(cause: &io::Error, words: String) -> PyErr {
    match cause.raw_os_error() {
        Some(number) => PyOSError::new_err((number, words)),
        None => PyOSError::new_err(words),
    }
}

/// A link is registered: from now on it takes acks and requests.
#[pyclass(frozen, immutable_type, module = "xyfast._core")]
pub(super) struct Opened {
    #[pyo3(get)]
    link: u64,
    #[pyo3(get)]
    answer: Py<Frame>,
}

#[pymethods]
impl Opened {
    fn __repr__(&self) -> String {
        format!("Opened(link={})", self.link)
    }
}

/// A link ended. Every dialled link ends exactly once, and nothing of it follows.
#[pyclass(frozen, immutable_type, module = "xyfast._core")]
pub(super) struct Closed {
    #[pyo3(get)]
    link: u64,
    closed: transport::Closed,
    #[pyo3(get)]
    beats: u64,
    #[pyo3(get)]
    good: u64,
    #[pyo3(get)]
    answer: Option<Py<Frame>>,
}

#[pymethods]
impl Closed {
    #[getter]
    fn trouble(&self) -> &'static str {
        self.closed.trouble.as_str()
    }

    #[getter]
    fn reason(&self) -> &str {
        &self.closed.reason
    }

    #[getter]
    fn code(&self) -> Option<i64> {
        self.closed.code
    }

    fn __repr__(&self) -> String {
        let code = self
            .closed
            .code
            .map_or("None".to_owned(), |code| code.to_string());
        format!(
            "Closed(link={}, trouble='{}', code={code}, reason='{}')",
            self.link,
            self.trouble(),
            self.closed.reason
        )
    }
}

/// A link received something that is no envelope; the link goes on.
#[pyclass(frozen, immutable_type, module = "xyfast._core")]
pub(super) struct Invalid {
    #[pyo3(get)]
    link: u64,
    #[pyo3(get)]
    reason: &'static str,
    #[pyo3(get)]
    offset: usize,
    #[pyo3(get)]
    size: usize,
}

#[pymethods]
impl Invalid {
    fn __repr__(&self) -> String {
        format!(
            "Invalid(link={}, reason='{}', offset={}, size={})",
            self.link, self.reason, self.offset, self.size
        )
    }
}

/// Links to the server, read by whoever drains them.
#[pyclass(frozen, immutable_type, module = "xyfast._core")]
pub(super) struct Links(transport::Links);

#[pymethods]
impl Links {
    #[new]
    fn new() -> PyResult<Links> {
        match transport::Links::new() {
            Ok(links) => Ok(Links(links)),
            Err(error) => {
                let words = transport::words(&error);
                Err(refused(&error, format!("no links can be made: {words}")))
            }
        }
    }

    fn fileno(&self) -> PyResult<RawFd> {
        Ok(self.ours()?.as_fd().as_raw_fd())
    }

    // The signature is the keyword arguments of Python; a struct would only hide them.
    #[allow(clippy::too_many_arguments)]
    #[pyo3(signature = (
        link, url, *, headers, register, heartbeat = 15.0, timeout = 30.0, misses = 3,
        open_timeout = 10.0, close_timeout = 5.0, max_message = 4_194_304, max_frame = 1_048_576,
        max_pushes = 1024, max_bytes = 8_388_608, allow_plain = false, roots = None,
        proxy = None,
    ))]
    fn dial(
        &self,
        #[pyo3(from_py_with = within)] link: Option<u64>,
        url: String,
        headers: Vec<(String, String)>,
        register: Option<String>,
        #[pyo3(from_py_with = real)] heartbeat: f64,
        #[pyo3(from_py_with = real)] timeout: f64,
        #[pyo3(from_py_with = count)] misses: u32,
        #[pyo3(from_py_with = real)] open_timeout: f64,
        #[pyo3(from_py_with = real)] close_timeout: f64,
        #[pyo3(from_py_with = count)] max_message: usize,
        #[pyo3(from_py_with = count)] max_frame: usize,
        #[pyo3(from_py_with = count)] max_pushes: usize,
        #[pyo3(from_py_with = count)] max_bytes: usize,
        allow_plain: bool,
        roots: Option<String>,
        proxy: Option<String>,
    ) -> PyResult<()> {
        let link =
            link.ok_or_else(|| raised::ConfigError::new_err("link must be 0 to 2**64 - 1"))?;
        let policy = Policy {
            interval: seconds("heartbeat", heartbeat)?,
            timeout: seconds("timeout", timeout)?,
            misses,
        };
        let dial = Dial {
            url,
            headers,
            register,
            policy,
            open_timeout: seconds("open_timeout", open_timeout)?,
            close_timeout: seconds("close_timeout", close_timeout)?,
            max_message,
            max_frame,
            max_pushes,
            max_bytes,
            allow_plain,
            roots,
            proxy,
        };
        // Not detached: a fork, which needs the GIL, must not meet threads half started.
        Ok(self.ours()?.dial(link, dial)?)
    }

    /// Not detached: nobody holds the pump's lock for longer than a turn, or waits for Python.
    #[pyo3(signature = (most = 256, /))]
    fn drain<'py>(&self, py: Python<'py>, most: usize) -> PyResult<Bound<'py, PyList>> {
        let events = self.ours()?.drain(most);
        let objects: PyResult<Vec<_>> = events.into_iter().map(|event| object(py, event)).collect();
        PyList::new(py, objects?)
    }

    #[pyo3(signature = (frames, /))]
    fn ack(&self, py: Python<'_>, frames: &Bound<'_, PyAny>) -> PyResult<usize> {
        let links = self.ours()?;
        let frames = frames
            .try_iter()?
            .map(|frame| Ok(frame?.cast_into::<Frame>()?));
        let frames: Vec<_> = frames.collect::<PyResult<_>>()?;
        let batch = frames.iter().map(Bound::get);
        let batch = batch.filter_map(|frame| Some((frame.link.as_ref()?, &frame.envelope)));
        let batch: Vec<_> = batch.collect();
        Ok(py.detach(|| links.ack(batch)))
    }

    #[pyo3(signature = (link, text, /))]
    fn send(&self, py: Python<'_>, link: u64, text: String) -> PyResult<bool> {
        let links = self.ours()?;
        if text.len() > transport::MAX_TEXT {
            return Err(raised::ConfigError::new_err("text is longer than 1 MiB"));
        }
        Ok(py.detach(|| links.send(link, text)))
    }

    #[pyo3(signature = (link, /, *, code = 1000))]
    fn close(
        &self,
        py: Python<'_>,
        link: u64,
        #[pyo3(from_py_with = count)] code: u16,
    ) -> PyResult<()> {
        let links = self.ours()?;
        if code != 1000 && !(3000..5000).contains(&code) {
            return Err(raised::ConfigError::new_err(
                "code must be 1000 or 3000 to 4999",
            ));
        }
        py.detach(|| links.close(link, code));
        Ok(())
    }

    #[pyo3(signature = (link, /))]
    fn stats<'py>(&self, py: Python<'py>, link: u64) -> PyResult<Option<Bound<'py, PyDict>>> {
        let links = self.ours()?;
        let Some(stats) = py.detach(|| links.stats(link)) else {
            return Ok(None);
        };
        let dict = PyDict::new(py);
        dict.set_item("rtt", stats.rtt.as_secs_f64())?;
        dict.set_item("beats", stats.beats)?;
        dict.set_item("answered", stats.answered)?;
        dict.set_item("good", stats.good)?;
        dict.set_item("pushes", stats.pushes)?;
        dict.set_item("bytes_in", stats.bytes_in)?;
        dict.set_item("paused", stats.paused)?;
        Ok(Some(dict))
    }

    fn shutdown(&self, py: Python<'_>) -> PyResult<()> {
        let links = self.ours()?;
        py.detach(|| links.shutdown());
        Ok(())
    }
}

impl Links {
    fn ours(&self) -> PyResult<&transport::Links> {
        if self.0.is_ours() {
            return Ok(&self.0);
        }
        Err(raised::StateError::new_err(
            "these links belong to the process that made them",
        ))
    }
}

/// A length of time that neither vanishes nor overflows.
pub(super) fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    if value > 0.0 && value <= 1e6 {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(raised::ConfigError::new_err(format!(
        "{name} must be above 0 and at most 1 000 000 s"
    )))
}

fn object(py: Python<'_>, event: Event) -> PyResult<Py<PyAny>> {
    let link = event.link.number();
    let (of, at) = (event.link, event.at);
    Ok(match event.news {
        News::Opened(answer) => Py::new(
            py,
            Opened {
                link,
                answer: frame(py, of, at, answer)?,
            },
        )?
        .into_any(),
        News::Frame(envelope) => frame(py, of, at, envelope)?.into_any(),
        News::Invalid { error, size } => {
            let (reason, offset) = (error.reason.word(), error.offset);
            Py::new(
                py,
                Invalid {
                    link,
                    reason,
                    offset,
                    size,
                },
            )?
            .into_any()
        }
        News::Closed(closed) => {
            let stats = of.totals();
            let answer = closed
                .answer
                .clone()
                .map(|answer| frame(py, of, at, answer))
                .transpose()?;
            Py::new(
                py,
                Closed {
                    link,
                    closed,
                    beats: stats.beats,
                    good: stats.good,
                    answer,
                },
            )?
            .into_any()
        }
    })
}

fn frame(
    py: Python<'_>,
    link: Arc<transport::Link>,
    read: Instant,
    envelope: transport::Frame,
) -> PyResult<Py<Frame>> {
    Py::new(py, Frame::new(Some((link, read)), envelope))
}
