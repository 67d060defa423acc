//! Encoding of Python objects.

mod options;
mod other;
mod output;
mod packer;
mod scalar;
mod walk;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::errors::raised;
use crate::msgpack::TooLong;
use options::Options;
pub(crate) use packer::Packer;

/// Encode an object as MessagePack.
#[pyfunction]
#[pyo3(signature = (o, **options), text_signature = "(o, *, default=None, \
    use_single_float=False, autoreset=True, use_bin_type=True, strict_types=False, \
    datetime=False, unicode_errors=None, buf_size=262144)")]
pub(crate) fn packb<'py>(
    o: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    walk::pack(o, &Options::new(options, "packb")?)
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
