//! Arguments that hold bytes or text.

use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};

use crate::msgpack::Text;

/// Bytes that stay valid, and the same, while they are read.
pub(crate) enum Input<'py> {
    Bytes(Bound<'py, PyBytes>),
    Text(Bound<'py, PyString>),
}

impl<'py> Input<'py> {
    /// Takes any object with the buffer protocol. What is not `bytes` is copied, because
    /// other threads may change it.
    pub(crate) fn buffer(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(bytes.clone());
        }
        let view = PyMemoryView::from(object)
            .map_err(|error| expected("a bytes-like object", object, error))?;
        Ok(view.call_method0("tobytes")?.cast_into()?)
    }

    /// Takes `str`, or an object with the buffer protocol as ASCII text.
    pub(crate) fn text(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        match object.cast::<PyString>() {
            Ok(text) => Self::from_str(text),
            Err(_) => Self::buffer(object)
                .map(Self::Bytes)
                .map_err(|error| expected("str or a bytes-like object", object, error)),
        }
    }

    /// Takes what `decrypt` takes: text as above, and of everything else its `str()`.
    pub(crate) fn payload(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        match Self::text(object) {
            Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => {
                Self::from_str(&object.str()?)
            }
            input => input,
        }
    }

    /// Returns whether an object is text as a whole, and no several things.
    pub(crate) fn is_text(object: &Bound<'_, PyAny>) -> bool {
        object.is_instance_of::<PyString>()
            || object.is_instance_of::<PyBytes>()
            || object.is_instance_of::<PyByteArray>()
            || object.is_instance_of::<PyMemoryView>()
    }

    pub(crate) fn as_bytes(&self) -> PyResult<&[u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.as_bytes()),
            Self::Text(text) => Ok(text.to_str()?.as_bytes()),
        }
    }

    /// The text, if it is UTF-8.
    pub(crate) fn as_str(&self) -> PyResult<&str> {
        match self {
            Self::Bytes(bytes) => Ok(Text::new(bytes.as_bytes(), 0).check()?),
            Self::Text(text) => text.to_str(),
        }
    }

    /// Takes any `str`; a lone surrogate becomes three bytes that are no UTF-8.
    pub(crate) fn from_str(text: &Bound<'py, PyString>) -> PyResult<Self> {
        if text.to_str().is_ok() {
            return Ok(Self::Text(text.clone()));
        }
        let bytes = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
        Ok(Self::Bytes(bytes.cast_into()?))
    }
}

/// Words the refusal of an argument of another type; other errors, such as that of a buffer
/// that was released, speak for themselves.
pub(crate) fn expected(what: &str, object: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyTypeError>(object.py()) {
        return error;
    }
    PyTypeError::new_err(match object.get_type().name() {
        Ok(name) => format!("expected {what}, not {name}"),
        Err(_) => format!("expected {what}"),
    })
}

/// Takes a float; one that is too large becomes a NaN, which no range holds.
pub(crate) fn real(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    within(object).map(|value| value.unwrap_or(f64::NAN))
}

/// Takes a count; one that is negative or too large becomes 0, which counts nothing.
pub(crate) fn count<'py, T>(object: &Bound<'py, PyAny>) -> PyResult<T>
where
    T: FromPyObjectOwned<'py, Error = PyErr> + Default,
{
    within(object).map(Option::unwrap_or_default)
}

/// Takes a number, `None` if its type has no room for it.
pub(crate) fn within<'py, T>(object: &Bound<'py, PyAny>) -> PyResult<Option<T>>
where
    T: FromPyObjectOwned<'py, Error = PyErr>,
{
    match object.extract() {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => Ok(None),
        Err(error) => Err(error),
    }
}
