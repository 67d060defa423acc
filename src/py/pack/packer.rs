//! The class `Packer`.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyTuple};

use super::other::ext_data;
use super::{flat, walk, Flag, Hook, Options};
use crate::msgpack::Head;

/// Packs values, with options, one by one or into one buffer.
#[pyclass(frozen, subclass, module = "xyfast._core")]
pub(crate) struct Packer {
    state: Mutex<State>,
}

struct State {
    options: Arc<Options>,
    autoreset: bool,
    /// What was packed without `autoreset`. While there are exports it does not change.
    buffer: Vec<u8>,
    exports: usize,
}

#[pymethods]
impl Packer {
    /// Takes anything, as subclasses may have other arguments; `__init__` looks at them.
    #[new]
    #[pyo3(signature = (*_args, **_options))]
    fn new(_args: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> Self {
        let state = State {
            options: Arc::new(Options::PLAIN),
            autoreset: true,
            buffer: Vec::new(),
            exports: 0,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    #[pyo3(signature = (
        *, default = Hook(None), use_single_float = Flag(false), autoreset = Flag(true),
        use_bin_type = Flag(true), strict_types = Flag(false), datetime = Flag(false),
        unicode_errors = None, buf_size = 262_144,
    ))]
    #[allow(clippy::too_many_arguments, unused_variables)] // The buffer grows by itself.
    fn __init__(
        &self,
        default: Hook,
        use_single_float: Flag,
        autoreset: Flag,
        use_bin_type: Flag,
        strict_types: Flag,
        datetime: Flag,
        unicode_errors: Option<String>,
        buf_size: usize,
    ) {
        let mut options = Arc::new(Options {
            default: default.0,
            single_float: use_single_float.0,
            bin_type: use_bin_type.0,
            strict_types: strict_types.0,
            datetime: datetime.0,
            unicode_errors,
        });
        let mut state = self.state();
        mem::swap(&mut state.options, &mut options);
        state.autoreset = autoreset.0;
        // The old hook goes away when the lock has.
        drop(state);
    }

    #[pyo3(signature = (obj, /))]
    fn pack<'py>(&self, obj: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let options = self.ready()?;
        let packed = walk::pack(obj, &options);
        if packed.is_err() {
            // As msgpack does: what a failed call leaves is empty.
            let mut state = self.state();
            if state.exports == 0 {
                state.buffer.clear();
            }
        }
        self.give(packed?)
    }

    #[pyo3(signature = (size, /))]
    fn pack_array_header<'py>(
        &self,
        py: Python<'py>,
        size: i64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.give_head(py, Head::array(length(size)?)?, b"")
    }

    #[pyo3(signature = (size, /))]
    fn pack_map_header<'py>(
        &self,
        py: Python<'py>,
        size: i64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.give_head(py, Head::map(length(size)?)?, b"")
    }

    #[pyo3(signature = (pairs, /))]
    fn pack_map_pairs<'py>(
        &self,
        pairs: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let options = self.ready()?;
        self.give(walk::pack_pairs(flat(pairs)?, &options)?)
    }

    #[pyo3(signature = (typecode, data, /))]
    fn pack_ext_type<'py>(
        &self,
        typecode: i8,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let data = ext_data(data)?;
        let data = data.as_bytes();
        self.give_head(py_of(&data), Head::ext(typecode, data.len())?, data)
    }

    fn bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.state().buffer)
    }

    fn reset(&self) -> PyResult<()> {
        self.ready()?;
        self.state().buffer.clear();
        Ok(())
    }

    fn getbuffer<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        PyMemoryView::from(slf)
    }
}
