//! Exceptions are written once, in Python, and borrowed here.

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;

use crate::decrypt;
use crate::error::{DecodeError, Reason};

pub(crate) mod raised {
    pyo3::import_exception!(xyfast.errors, DecodeError);
    pyo3::import_exception!(xyfast.errors, DecryptError);
    pyo3::import_exception!(xyfast.errors, EncodeError);
    pyo3::import_exception!(xyfast.errors, ExtraData);
}

impl From<DecodeError> for PyErr {
    fn from(error: DecodeError) -> Self {
        raised::DecodeError::new_err((error.to_string(), error.reason.word(), error.offset))
    }
}

/// What can happen while Python objects are built: the input is wrong, or Python raised.
#[derive(Debug)]
pub(crate) enum Failure {
    Decode(DecodeError),
    Python(PyErr),
}

impl Failure {
    /// Returns the exception of `decrypt`, worded as its users know it.
    pub(crate) fn into_decrypt_error(self, py: Python<'_>) -> PyErr {
        match self.shallow(py) {
            Self::Python(error) => error,
            Self::Decode(error) => raised::DecryptError::new_err((
                decrypt::words(&error),
                error.reason.word(),
                error.offset,
            )),
        }
    }

    /// Python's recursion limit is one more limit of depth.
    pub(crate) fn shallow(self, py: Python<'_>) -> Self {
        match self {
            Self::Python(error) if error.is_instance_of::<PyRecursionError>(py) => {
                Self::Decode(DecodeError::new(Reason::Depth, 0))
            }
            other => other,
        }
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Decode(error) => error.into(),
            Failure::Python(error) => error,
        }
    }
}
