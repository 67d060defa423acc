//! Encoding of Python objects.

mod other;
mod output;
mod packer;
mod scalar;
mod walk;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::errors::raised;
use crate::msgpack::TooLong;
pub(crate) use packer::Packer;

/// What `packb` and `Packer` are asked to do differently.
pub(super) struct Options {
    default: Option<Py<PyAny>>,
    single_float: bool,
    bin_type: bool,
    strict_types: bool,
    datetime: bool,
    unicode_errors: Option<String>,
}

impl Options {
    const PLAIN: Self = Self {
        default: None,
        single_float: false,
        bin_type: true,
        strict_types: false,
        datetime: false,
        unicode_errors: None,
    };
}

/// An argument of which only the truth counts.
pub(crate) struct Flag(bool);

impl<'a, 'py> FromPyObject<'a, 'py> for Flag {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        object.is_truthy().map(Self)
    }
}

/// An argument that is None or can be called.
pub(crate) struct Hook(Option<Py<PyAny>>);

impl<'a, 'py> FromPyObject<'a, 'py> for Hook {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if object.is_none() {
            Ok(Self(None))
        } else if object.is_callable() {
            Ok(Self(Some(object.to_owned().unbind())))
        } else {
            Err(PyTypeError::new_err("default must be callable"))
        }
    }
}

/// Encode an object as MessagePack.
#[pyfunction]
#[pyo3(signature = (
    o, *, default = Hook(None), use_single_float = Flag(false), autoreset = Flag(true),
    use_bin_type = Flag(true), strict_types = Flag(false), datetime = Flag(false),
    unicode_errors = None, buf_size = 262_144,
), text_signature = "(o, *, default=None, use_single_float=False, autoreset=True, \
    use_bin_type=True, strict_types=False, datetime=False, unicode_errors=None, \
    buf_size=262144)")]
#[allow(clippy::too_many_arguments, unused_variables)] // `autoreset` and `buf_size` say nothing here.
pub(crate) fn packb<'py>(
    o: &Bound<'py, PyAny>,
    default: Hook,
    use_single_float: Flag,
    autoreset: Flag,
    use_bin_type: Flag,
    strict_types: Flag,
    datetime: Flag,
    unicode_errors: Option<String>,
    buf_size: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let options = Options {
        default: default.0,
        single_float: use_single_float.0,
        bin_type: use_bin_type.0,
        strict_types: strict_types.0,
        datetime: datetime.0,
        unicode_errors,
    };
    walk::pack(o, &options)
}

/// Encodes an object without options.
pub(crate) fn packb_plain<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    static PLAIN: Options = Options::PLAIN;
    walk::pack(value, &PLAIN)
}

/// Returns the keys and values of pairs, following each other.
fn flat<'py>(pairs: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let mut flat = Vec::new();
    for pair in pairs.try_iter()? {
        let start = flat.len();
        for part in pair?.try_iter()? {
            flat.push(part?);
        }
        if flat.len() != start + 2 {
            return Err(PyValueError::new_err("expected pairs of a key and a value"));
        }
    }
    PyTuple::new(pairs.py(), flat)
}

fn refused(message: &str) -> PyErr {
    raised::EncodeError::new_err(message.to_owned())
}

fn out_of_range(message: &str) -> PyErr {
    raised::OutOfRange::new_err(message.to_owned())
}

impl From<TooLong> for PyErr {
    fn from(error: TooLong) -> Self {
        refused(&error.to_string())
    }
}
