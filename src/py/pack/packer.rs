//! The class `Packer`.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBufferError, PyMemoryError, PyValueError};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyString, PyTuple};

use super::other::ext_data;
use super::{flat, refused, walk, Flag, Hook, Options};
use crate::msgpack::Writer;

/// Packs values, with options, one by one or into one buffer.
#[pyclass(frozen, immutable_type, subclass, module = "xyfast._core")]
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
    #[pyo3(signature = (*_args, **_options), text_signature = "(*, default=None, \
        use_single_float=False, autoreset=True, use_bin_type=True, strict_types=False, \
        datetime=False, unicode_errors=None, buf_size=262144)")]
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

    /// Pack a value; the result is bytes with `autoreset`, else None.
    fn pack<'py>(&self, obj: &Bound<'py, PyAny>) -> Packed<'py> {
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

    /// Pack the head of a list; the caller packs as many values after it.
    fn pack_array_header<'py>(&self, py: Python<'py>, size: i64) -> Packed<'py> {
        self.ready()?;
        let mut writer = Writer::new();
        writer.array(length(size)?)?;
        self.give(PyBytes::new(py, &writer.into_bytes()))
    }

    /// Pack the head of a map; the caller packs as many keys and values after it.
    fn pack_map_header<'py>(&self, py: Python<'py>, size: i64) -> Packed<'py> {
        self.ready()?;
        let mut writer = Writer::new();
        writer.map(length(size)?)?;
        self.give(PyBytes::new(py, &writer.into_bytes()))
    }

    /// Pack pairs of keys and values as a map.
    fn pack_map_pairs<'py>(&self, pairs: &Bound<'py, PyAny>) -> Packed<'py> {
        let options = self.ready()?;
        self.give(walk::pack_pairs(&flat(pairs)?, &options)?)
    }

    /// Pack the data of an extension type of any code from -128 to 127.
    fn pack_ext_type<'py>(&self, typecode: i8, data: &Bound<'py, PyAny>) -> Packed<'py> {
        self.ready()?;
        let mut writer = Writer::new();
        match data.cast::<PyString>() {
            Ok(text) => writer.ext(typecode, ascii(text)?)?,
            Err(_) => writer.ext(typecode, ext_data(data)?.as_bytes())?,
        }
        self.give(PyBytes::new(data.py(), &writer.into_bytes()))
    }

    /// Return what was gathered.
    fn bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.state().buffer)
    }

    /// Forget what was gathered.
    fn reset(&self) -> PyResult<()> {
        self.ready()?;
        self.state().buffer.clear();
        Ok(())
    }

    /// Return a view of what was gathered.
    fn getbuffer<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        PyMemoryView::from(slf)
    }

    unsafe fn __getbuffer__(
        slf: &Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        // Not locked while Python may raise: making an exception can run a finaliser, which
        // may use the packer.
        let (data, len) = {
            let mut state = slf.get().state();
            state.exports += 1;
            (state.buffer.as_ptr(), state.buffer.len())
        };
        // SAFETY: `view` is for us to fill. It owns the packer, whose buffer stays as it is
        // until the view is released, and is read only.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), data as _, len as isize, 1, flags)
        };
        if filled < 0 {
            slf.get().state().exports -= 1;
            return Err(PyErr::fetch(slf.py()));
        }
        Ok(())
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.state().exports -= 1;
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.state.try_lock() {
            Ok(state) => state
                .options
                .default
                .iter()
                .try_for_each(|hook| visit.call(hook)),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        let plain = Arc::new(Options::PLAIN);
        let options = mem::replace(&mut self.state().options, plain);
        drop(options);
    }
}

type Packed<'py> = PyResult<Option<Bound<'py, PyBytes>>>;

impl Packer {
    /// Nothing that holds the lock calls Python code or can panic half-way, so it is never
    /// held for long, and as good as new when poisoned.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the options, if there are no exports.
    fn ready(&self) -> PyResult<Arc<Options>> {
        let state = self.state();
        state.check_exports()?;
        Ok(Arc::clone(&state.options))
    }

    /// Returns what was packed, or keeps it in the buffer.
    fn give<'py>(&self, packed: Bound<'py, PyBytes>) -> Packed<'py> {
        let mut state = self.state();
        if state.autoreset {
            return Ok(Some(packed));
        }
        state.check_exports()?;
        let packed = packed.as_bytes();
        let room = state.buffer.try_reserve(packed.len());
        room.map_err(|error| PyMemoryError::new_err(error.to_string()))?;
        state.buffer.extend_from_slice(packed);
        Ok(None)
    }
}

impl State {
    fn check_exports(&self) -> PyResult<()> {
        if self.exports == 0 {
            return Ok(());
        }
        let words = "the packer cannot change while a memoryview of it exists";
        Err(PyBufferError::new_err(words))
    }
}

fn length(size: i64) -> PyResult<usize> {
    usize::try_from(size).map_err(|_| PyValueError::new_err("the size must be non-negative"))
}

/// Returns the bytes of text, which msgpack takes as data if it is ASCII.
fn ascii<'a>(text: &'a Bound<'_, PyString>) -> PyResult<&'a [u8]> {
    let ascii = text.to_str().ok().filter(|text| text.is_ascii());
    let ascii = ascii.ok_or_else(|| refused("the data of an extension type is no ASCII text"));
    ascii.map(str::as_bytes)
}
