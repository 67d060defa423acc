//! Exceptions are written once, in Python, and borrowed here.

use pyo3::exceptions::{PyException, PyRecursionError};
use pyo3::intern;
use pyo3::prelude::*;

use crate::decrypt;
use crate::error::{DecodeError, Reason};

macro_rules! borrow {
    ($($name:ident),* $(,)?) => {
        pub(crate) mod raised {
            use pyo3::prelude::*;
            use pyo3::PyTypeInfo;

            $(pyo3::import_exception!(xyfast.errors, $name);)*

            /// Looks all of them up: when the interpreter ends, that is no longer possible.
            pub(crate) fn find(py: Python<'_>) -> PyResult<()> {
                py.import("xyfast.errors")?;
                $($name::type_object(py);)*
                Ok(())
            }
        }
    };
}

borrow!(
    BufferFull,
    DecodeError,
    DecryptError,
    EncodeError,
    ExtraData,
    FormatError,
    LoneSurrogate,
    OutOfData,
    OutOfRange,
    StackError,
    TextError,
    UnhashableKey,
    UnsupportedType,
);

impl From<DecodeError> for PyErr {
    fn from(error: DecodeError) -> Self {
        let (message, word, offset) = (error.to_string(), error.reason.word(), error.offset);
        match error.reason {
            Reason::Format(_) => raised::FormatError::new_err((message, word, offset)),
            Reason::Depth => raised::StackError::new_err((message, word, offset)),
            Reason::Utf8(fault) => {
                raised::TextError::new_err((message, word, offset, fault.start, fault.end))
            }
            Reason::Unhashable(_) => raised::UnhashableKey::new_err((message, word, offset)),
            _ => raised::DecodeError::new_err((message, word, offset)),
        }
    }
}

/// Says in an error which payload is meant.
fn at_payload(py: Python<'_>, index: usize, error: PyErr) -> PyErr {
    match error.value(py).setattr(intern!(py, "index"), index) {
        Ok(()) => error,
        Err(other) => other,
    }
}

/// Puts the exception of a payload where its answer would stand, or raises it: one that ends
/// programs always.
pub(crate) fn in_place<'py>(
    py: Python<'py>,
    index: usize,
    error: PyErr,
    return_exceptions: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let error = at_payload(py, index, error);
    if !return_exceptions || !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    Ok(error.into_value(py).into_bound(py).into_any())
}

/// What can happen while Python objects are built: the input is wrong, or Python raised.
#[derive(Debug)]
pub(crate) enum Failure {
    Decode(DecodeError),
    Python(PyErr),
}

impl Failure {
    /// Takes Python's recursion limit for one more limit of depth.
    pub(crate) fn of_depth(py: Python<'_>, error: PyErr) -> Self {
        if error.is_instance_of::<PyRecursionError>(py) {
            Self::Decode(DecodeError::new(Reason::Depth, 0))
        } else {
            Self::Python(error)
        }
    }

    /// Returns the exception of `decrypt`, worded as its users know it.
    pub(crate) fn into_decrypt_error(self) -> PyErr {
        match self {
            Self::Python(error) => error,
            Self::Decode(error) => {
                let words = decrypt::words(&error);
                raised::DecryptError::new_err((words, error.reason.word(), error.offset))
            }
        }
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

/// Boxed, so that results of builders stay small.
impl From<DecodeError> for Box<Failure> {
    fn from(error: DecodeError) -> Self {
        Self::new(Failure::Decode(error))
    }
}

impl From<PyErr> for Box<Failure> {
    fn from(error: PyErr) -> Self {
        Self::new(Failure::Python(error))
    }
}

impl From<Box<Failure>> for Failure {
    fn from(failure: Box<Failure>) -> Self {
        *failure
    }
}

impl From<Box<Failure>> for PyErr {
    fn from(failure: Box<Failure>) -> Self {
        (*failure).into()
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
