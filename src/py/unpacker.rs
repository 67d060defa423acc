//! A decoder of values that come in pieces.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyAssertionError, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::errors::raised;
use super::input::Input;
use super::stream::{Stream, Task};
use super::unpack::Choices;
use crate::error::Container;

/// Decodes values that come in pieces.
#[pyclass(frozen, immutable_type, subclass, module = "xyfast._core")]
pub(crate) struct Unpacker(Mutex<State>);

struct State {
    /// Nothing while a method is at work. No lock is held then: what runs may be a hook.
    stream: Option<Box<Stream>>,
    /// Bytes before the next value, as of the end of the last method.
    offset: u64,
}

#[pymethods]
impl Unpacker {
    /// Subclasses may take other arguments; those for this class come to `__init__`.
    #[new]
    #[pyo3(
        signature = (*_args, **_options),
        text_signature = "(file_like=None, *, read_size=0, use_list=True, raw=False, \
timestamp=0, strict_map_key=True, object_hook=None, object_pairs_hook=None, list_hook=None, \
unicode_errors=None, max_buffer_size=104857600, ext_hook=None, max_str_len=-1, max_bin_len=-1, \
max_array_len=-1, max_map_len=-1, max_ext_len=-1)"
    )]
    fn new(_args: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Ok(Self(Mutex::new(State {
            stream: Some(Box::new(Stream::default())),
            offset: 0,
        })))
    }

    #[pyo3(signature = (file_like = None, *, read_size = 0, max_buffer_size = 104_857_600, **options))]
    fn __init__(
        &self,
        py: Python<'_>,
        file_like: Option<&Bound<'_, PyAny>>,
        read_size: usize,
        max_buffer_size: usize,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let choices = Choices::new(py, options, "Unpacker")?;
        let new = Stream::new(file_like, read_size, max_buffer_size, choices)?;
        self.work(|stream| {
            *stream = new;
            Ok(())
        })
    }

    /// Take more bytes.
    fn feed(&self, next_bytes: &Bound<'_, PyAny>) -> PyResult<()> {
        self.work(|stream| {
            if stream.read.is_some() {
                return Err(PyAssertionError::new_err(
                    "feed() cannot be used with file_like",
                ));
            }
            stream.sound()?;
            stream.append(Input::buffer(next_bytes)?.as_bytes())
        })
    }

    /// Return the next value.
    fn unpack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.next(py, Task::Unpack)?.ok_or_else(out_of_data)
    }

    /// Pass over the next value.
    fn skip<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.next(py, Task::Skip)?.ok_or_else(out_of_data)
    }

    /// Return the length of the next value, a list, whose items are then the next values.
    fn read_array_header<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let task = Task::Header(Container::List);
        self.next(py, task)?.ok_or_else(out_of_data)
    }

    /// Return the length of the next value, a map, whose keys and values follow by turns.
    fn read_map_header<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let task = Task::Header(Container::Map);
        self.next(py, task)?.ok_or_else(out_of_data)
    }

    /// Return so many bytes as they are; fewer if there are no more.
    fn read_bytes<'py>(&self, py: Python<'py>, nbytes: usize) -> PyResult<Bound<'py, PyBytes>> {
        self.work(|stream| stream.read_bytes(py, nbytes))
    }

    /// Return how many bytes stand before the next value.
    fn tell(&self) -> u64 {
        self.state().offset
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.next(py, Task::Unpack)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // What is at work is held by the method that works.
        let Ok(state) = self.0.try_lock() else {
            return Ok(());
        };
        if let Some(stream) = &state.stream {
            visit.call(&stream.read)?;
            for hook in stream.choices.hooks() {
                visit.call(hook)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let stream = self.state().stream.take();
        drop(stream);
    }
}

impl Unpacker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends the stream to a method. Whoever comes in between, a hook or another thread, is
    /// refused.
    fn work<T>(&self, method: impl FnOnce(&mut Stream) -> PyResult<T>) -> PyResult<T> {
        let Some(mut stream) = self.state().stream.take() else {
            return Err(PyRuntimeError::new_err(
                "an Unpacker cannot be used while it is at work",
            ));
        };
        let result = method(&mut stream);
        let mut state = self.state();
        state.offset = stream.offset;
        state.stream = Some(stream);
        result
    }

    fn next<'py>(&self, py: Python<'py>, task: Task) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.work(|stream| stream.next(py, task))
    }
}

fn out_of_data() -> PyErr {
    raised::OutOfData::new_err("no whole value is left")
}
