//! Exceptions are written once, in Python, and borrowed here.

use pyo3::exceptions::{PyException, PyRecursionError, PyUnicodeDecodeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{intern, IntoPyObjectExt, PyErrArguments, PyTypeInfo};

use crate::decrypt;
use crate::error::{DecodeError, Reason, Utf8Fault};

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

/// Returns an exception that is made when it is raised, without a call of its class.
///
/// A call would run its `__init__`, which is Python code: from a daemon thread in such code
/// CPython up to 3.13 takes the stack away when the interpreter ends, and that aborts the process
/// if frames of Rust are on it.
fn made<T: PyTypeInfo>(
    make: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send + Sync + 'static,
) -> PyErr {
    PyErr::new::<T, _>(Make(make))
}

struct Make<F>(F);

impl<F> PyErrArguments for Make<F>
where
    F: for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send + Sync,
{
    /// An exception that is given for the arguments of its class is raised as it is.
    fn arguments(self, py: Python<'_>) -> Py<PyAny> {
        match (self.0)(py) {
            Ok(error) => error.unbind(),
            Err(error) => error.into_value(py).into_any(),
        }
    }
}

/// Returns a `DecodeError`, or one of the classes that tell no more than it.
pub(super) fn decode_error<T: PyTypeInfo + 'static>(
    message: impl Into<String>,
    word: &'static str,
    offset: usize,
) -> PyErr {
    let message = message.into();
    made::<T>(move |py| {
        let error = allocate::<T>(py, message)?;
        locate(&error, word, offset)?;
        Ok(error)
    })
}

fn text_error(message: String, fault: Utf8Fault, word: &'static str, offset: usize) -> PyErr {
    made::<raised::TextError>(move |py| {
        let error = allocate::<raised::TextError>(py, &message)?;
        let args = (
            &error,
            "utf-8",
            PyBytes::new(py, b""),
            fault.start,
            fault.end,
            word,
        );
        let class = py.get_type::<PyUnicodeDecodeError>();
        class.call_method1(intern!(py, "__init__"), args)?;
        error.setattr(intern!(py, "_message"), message)?;
        locate(&error, word, offset)?;
        Ok(error)
    })
}

/// Returns the `ExtraData` for a value and the bytes behind it.
pub(super) fn extra_data(value: Py<PyAny>, extra: Py<PyBytes>, offset: usize) -> PyErr {
    made::<raised::ExtraData>(move |py| {
        let class = py.get_type::<raised::ExtraData>();
        let error = allocate::<raised::ExtraData>(py, class.getattr(intern!(py, "_MESSAGE"))?)?;
        error.setattr(intern!(py, "unpacked"), value)?;
        error.setattr(intern!(py, "extra"), extra)?;
        locate(&error, Reason::Extra.word(), offset)?;
        Ok(error)
    })
}

fn allocate<'py, T: PyTypeInfo>(
    py: Python<'py>,
    message: impl IntoPyObject<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let class = py.get_type::<T>();
    let message = message.into_bound_py_any(py)?;
    class.call_method1(intern!(py, "__new__"), (&class, message))
}

/// Sets what every `DecodeError` tells.
fn locate(error: &Bound<'_, PyAny>, word: &'static str, offset: usize) -> PyResult<()> {
    let py = error.py();
    error.setattr(intern!(py, "reason"), word)?;
    error.setattr(intern!(py, "offset"), offset)?;
    error.setattr(intern!(py, "index"), py.None())
}

impl From<DecodeError> for PyErr {
    fn from(error: DecodeError) -> Self {
        let (message, word, offset) = (error.to_string(), error.reason.word(), error.offset);
        match error.reason {
            Reason::Format(_) => decode_error::<raised::FormatError>(message, word, offset),
            Reason::Depth => decode_error::<raised::StackError>(message, word, offset),
            Reason::Utf8(fault) => text_error(message, fault, word, offset),
            Reason::Unhashable(_) => decode_error::<raised::UnhashableKey>(message, word, offset),
            _ => decode_error::<raised::DecodeError>(message, word, offset),
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
                decode_error::<raised::DecryptError>(words, error.reason.word(), error.offset)
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
