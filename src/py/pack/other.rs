//! Values that are not exactly of a common type. Writing them may run code of users.

use std::cell::Cell;

use pyo3::exceptions::{PyOverflowError, PyUnicodeEncodeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::type_object::PyTypeInfo;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDateTime, PyDelta, PyDeltaAccess, PyDict, PyFloat, PyInt,
    PyList, PyMemoryView, PySlice, PyString, PyTuple, PyType, PyTzInfo, PyTzInfoAccess,
};

use super::walk::{Raised, Walk};
use super::{out_of_range, refused};
use crate::msgpack::{timestamp, HeadBytes};
use crate::py::errors::raised;
use crate::py::input::Input;
use crate::py::object::{ext_type, timestamp_type};

/// What became of a value.
enum Outcome<'py> {
    /// It is written.
    Written,
    /// Its head is written, its items or entries are not.
    Open(Bound<'py, PyTuple>),
    /// It is an int beyond 64 bits.
    TooBig,
    /// It is nothing that has a form.
    Unsupported,
}

/// How many calls may stand inside each other, each in code that the one around it runs. One
/// takes up to some 10 KB of stack.
const MAX_INSIDE: usize = 256;

thread_local! {
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// Counts, while it exists, code of users that this thread is in.
struct Inside;

impl Inside {
    fn enter() -> PyResult<Self> {
        let inside = INSIDE.get();
        if inside == MAX_INSIDE {
            return Err(refused("calls of packb are nested too deeply"));
        }
        INSIDE.set(inside + 1);
        Ok(Self)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}

impl<'py> Walk<'_, 'py> {
    /// Writes a value, or what the `default` hook makes of it. Of a container it writes the
    /// head and returns what is in it.
    #[cold]
    #[inline(never)]
    pub(super) fn other(
        &mut self,
        object: Bound<'py, PyAny>,
    ) -> Result<Option<Bound<'py, PyTuple>>, Raised> {
        let _inside = Inside::enter()?;
        let outcome = self.any(&object)?;
        let Some(default) = &self.options.default else {
            return self.done(&object, outcome);
        };
        if let Outcome::TooBig | Outcome::Unsupported = outcome {
            let made = default.bind(self.py).call1((object,))?;
            let outcome = self.any(&made)?;
            return self.done(&made, outcome);
        }
        self.done(&object, outcome)
    }

    fn done(
        &self,
        object: &Bound<'py, PyAny>,
        outcome: Outcome<'py>,
    ) -> Result<Option<Bound<'py, PyTuple>>, Raised> {
        match outcome {
            Outcome::Written => Ok(None),
            Outcome::Open(items) => Ok(Some(items)),
            Outcome::TooBig => {
                Err(out_of_range("an int is not within -2**63 and 2**64 - 1").into())
            }
            Outcome::Unsupported => Err(self.unsupported(object).into()),
        }
    }

    /// Writes a value of any type, relatives of the common types among them.
    fn any(&mut self, object: &Bound<'py, PyAny>) -> Result<Outcome<'py>, Raised> {
        let py = self.py;
        if object.is_none() {
            self.out.head(HeadBytes::NIL)?;
        } else if let Ok(value) = object.cast::<PyBool>() {
            let value = value.is_true();
            self.out.head(if value {
                HeadBytes::TRUE
            } else {
                HeadBytes::FALSE
            })?;
        } else if let Some(value) = self.taken::<PyInt>(object) {
            if !self.int(value)? {
                return Ok(Outcome::TooBig);
            }
        } else if let Some(value) = self.taken::<PyFloat>(object) {
            self.out.head(self.float_head(value.value())?)?;
        } else if let Some(data) = self.taken::<PyBytes>(object) {
            self.bin(data.as_bytes())?;
        } else if self.taken::<PyByteArray>(object).is_some() {
            self.bin(Input::buffer(object)?.as_bytes())?;
        } else if let Some(text) = self.taken::<PyString>(object) {
            let utf8 = self.encoded(text)?;
            let utf8 = utf8.as_bytes();
            self.out.sized(self.text_head(utf8.len())?, utf8)?;
        } else if let Some(dict) = self.taken::<PyDict>(object) {
            let items = dict.call_method0(intern!(py, "items"))?;
            return Ok(Outcome::Open(self.open_pairs(items)?));
        } else if self.is(object, ext_type(py)?)? {
            let code = object.getattr(intern!(py, "code"))?.extract()?;
            let data = object.getattr(intern!(py, "data"))?;
            let data = ext_data(&data)?;
            let data = data.as_bytes();
            self.out
                .sized(HeadBytes::ext(code, data.len()).map_err(PyErr::from)?, data)?;
        } else if self.is(object, timestamp_type(py)?)? {
            let seconds = object.getattr(intern!(py, "seconds"))?.extract();
            let nanoseconds = object.getattr(intern!(py, "nanoseconds"))?.extract()?;
            self.moment(seconds.map_err(|error| beyond(py, error))?, nanoseconds)?;
        } else if self.taken::<PyList>(object).is_some()
            || !self.options.strict_types && object.is_instance_of::<PyTuple>()
        {
            let items = PyTuple::type_object(py).call1((object,))?;
            let items = items.cast_into().map_err(PyErr::from)?;
            return Ok(Outcome::Open(self.open_tuple(items)?));
        } else if object.is_instance_of::<PyMemoryView>() {
            self.bin(Input::buffer(object)?.as_bytes())?;
        } else if let Some(aware) = self
            .datetime(object)
            .filter(|moment| moment.get_tzinfo().is_some())
        {
            let since = aware
                .sub(epoch(py)?)?
                .cast_into::<PyDelta>()
                .map_err(PyErr::from)?;
            let seconds = i64::from(since.get_days()) * 86_400 + i64::from(since.get_seconds());
            self.moment(seconds, since.get_microseconds() as u32 * 1000)?;
        } else {
            return Ok(Outcome::Unsupported);
        }
        Ok(Outcome::Written)
    }

    /// Returns the object as a `T`; with `strict_types`, only if it is one exactly.
    fn taken<'a, T: PyTypeInfo>(&self, object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, T>> {
        if self.options.strict_types {
            object.cast_exact().ok()
        } else {
            object.cast().ok()
        }
    }

    fn is(&self, object: &Bound<'py, PyAny>, kind: &Bound<'py, PyType>) -> PyResult<bool> {
        if self.options.strict_types {
            Ok(object.get_type().is(kind))
        } else {
            object.get_type().is_subclass(kind)
        }
    }

    fn datetime<'a>(&self, object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, PyDateTime>> {
        self.options.datetime.then(|| object.cast_exact().ok())?
    }

    /// Encodes text that may hold surrogates.
    fn encoded(&self, text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
        let errors = self.options.unicode_errors.as_deref().unwrap_or("strict");
        let encode = PyString::type_object(self.py).getattr(intern!(self.py, "encode"))?;
        match encode.call1((text, intern!(self.py, "utf-8"), errors)) {
            Ok(bytes) => Ok(bytes.cast_into()?),
            Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(self.py) => {
                Err(lone_surrogate(error.value(self.py))?)
            }
            Err(error) => Err(error),
        }
    }

    fn moment(&mut self, seconds: i64, nanoseconds: u32) -> Result<(), Raised> {
        let (form, start) = timestamp(seconds, nanoseconds);
        self.out.bytes(&form[start..])
    }

    fn unsupported(&self, object: &Bound<'py, PyAny>) -> PyErr {
        if self.datetime(object).is_some() {
            return refused("a datetime where tzinfo=None has no MessagePack form");
        }
        match object.get_type().name() {
            Ok(name) => {
                let words = format!("no MessagePack form for type {name}");
                raised::UnsupportedType::new_err(words)
            }
            Err(error) => error,
        }
    }
}

fn beyond(py: Python<'_>, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyOverflowError>(py) {
        out_of_range("a Timestamp is beyond 64 bits of seconds")
    } else {
        error
    }
}

/// Keeps of the text only what is wrong with it.
fn lone_surrogate(error: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let (start, end): (isize, isize) = (
        error.getattr("start")?.extract()?,
        error.getattr("end")?.extract()?,
    );
    let wrong = error
        .getattr("object")?
        .get_item(PySlice::new(error.py(), start, end, 1))?;
    let args = (
        "utf-8",
        wrong.unbind(),
        0,
        end - start,
        "surrogates not allowed",
    );
    Ok(raised::LoneSurrogate::new_err(args))
}

/// Takes the data of an extension type: `bytes` or `bytearray`.
pub(super) fn ext_data<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    if data.is_instance_of::<PyByteArray>() {
        Input::buffer(data)
    } else {
        Ok(data.cast::<PyBytes>()?.clone())
    }
}

fn epoch(py: Python<'_>) -> PyResult<&Bound<'_, PyDateTime>> {
    static EPOCH: PyOnceLock<Py<PyDateTime>> = PyOnceLock::new();
    let epoch = EPOCH.get_or_try_init(py, || {
        let utc = PyTzInfo::utc(py)?;
        PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&utc)).map(Bound::unbind)
    })?;
    Ok(epoch.bind(py))
}
