//! Entries for the functions that are called once per message.
//!
//! PyO3 needs as long to sort the arguments of a call as a short message takes to decode.
//! So a plain C function stands in front of PyO3's: it serves the usual form of the call and
//! hands every other form on.

#![allow(unsafe_code)]

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU8, Ordering};
use std::{ptr, slice};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCFunction, PyTuple};

use super::picker::Picker;
use super::{codec, frame, pack, unpack};

/// A function of the module that takes one argument; without options it is `Plain`.
type Plain = for<'py> fn(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>;

/// A function that knows some options: nothing where it does not know all of these.
type Optional = for<'py> fn(
    &Bound<'py, PyAny>,
    &Bound<'py, PyTuple>,
    &[Borrowed<'_, 'py, PyAny>],
) -> Option<PyResult<Bound<'py, PyAny>>>;

/// Makes an entry for a [`Plain`] function, and maybe an [`Optional`] one.
macro_rules! entry {
    ($plain:expr) => {
        entry!($plain, |_, _, _| None)
    };
    ($plain:expr, $optional:expr) => {{
        static INNER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        unsafe extern "C" fn entry(
            _module: *mut ffi::PyObject,
            args: *const *mut ffi::PyObject,
            given: ffi::Py_ssize_t,
            names: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            // SAFETY: Python calls, and passes what it promises for this kind of function.
            unsafe { serve($plain, $optional, &INNER, args, given, names) }
        }
        Entry(entry, &INNER)
    }};
}

/// An entry, and what stands behind it.
struct Entry(
    ffi::PyCFunctionFastWithKeywords,
    &'static PyOnceLock<Py<PyAny>>,
);

/// Puts an entry in front of each function that is called often.
pub(crate) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    front(module, "decrypt", entry!(codec::decrypt_plain))?;
    front(module, "decode", entry!(codec::decode_plain))?;
    front(module, "decode_frame", entry!(frame::decode_frame_plain))?;
    front(module, "packb", entry!(packed))?;
    front(
        module,
        "unpackb",
        entry!(unpack::unpackb_plain, unpack::unpackb_optional),
    )?;
    let picker = Bound::new(module.py(), Picker::default())?;
    Call::announce(&picker, &picker.get().call);
    Ok(())
}

/// Stands in every [`Picker`], where Python looks when the picker is called.
#[repr(transparent)]
pub(crate) struct Call(ffi::vectorcallfunc);

impl Default for Call {
    fn default() -> Self {
        Self(call)
    }
}

impl Call {
    /// Tells the class of a picker where its instances have their entry, this one for example.
    fn announce(picker: &Bound<'_, Picker>, entry: &Self) {
        // SAFETY: the class is being made, nobody else has it. Its instances are alike, so
        // all of them have an entry there, which is a pointer to a function of the right kind.
        #[cfg(not(Py_GIL_DISABLED))]
        unsafe {
            let offset = ptr::from_ref(entry).addr() - picker.as_ptr().addr();
            let class = ffi::Py_TYPE(picker.as_ptr());
            (*class).tp_vectorcall_offset = offset as ffi::Py_ssize_t;
            (*class).tp_flags |= ffi::Py_TPFLAGS_HAVE_VECTORCALL;
        }
    }
}

unsafe extern "C" fn call(
    picker: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    given: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python calls a picker, holds its lock, and passes so many live arguments and
    // those that `names`, a tuple or null, is for.
    unsafe {
        let py = Python::assume_attached();
        let picker = Bound::from_borrowed_ptr(py, picker).cast_into_unchecked::<Picker>();
        if ffi::PyVectorcall_NARGS(given) != 1
            || !(names.is_null() || ffi::PyTuple_GET_SIZE(names) == 0)
        {
            let words = "a Picker takes one positional argument, the payload";
            return answer(py, || Some(Err(PyTypeError::new_err(words))));
        }
        let payload = Bound::from_borrowed_ptr(py, *args);
        answer(py, || {
            Some(picker.get().pick(&payload).map(Bound::into_any))
        })
    }
}

fn packed<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    Ok(pack::packb_plain(value)?.into_any())
}

/// Puts `entry` in front of a function of the module, with its name and documentation.
fn front(module: &Bound<'_, PyModule>, name: &str, Entry(entry, behind): Entry) -> PyResult<()> {
    let inner = module.getattr(name)?.cast_into::<PyCFunction>()?;
    behind.get_or_init(module.py(), || inner.clone().into_any().unbind());
    // SAFETY: PyO3's function is a PyCFunctionObject, as was checked. Its definition and
    // ours live for ever.
    let outer = unsafe {
        let definition = (*inner.as_ptr().cast::<ffi::PyCFunctionObject>()).m_ml;
        let definition = Box::new(ffi::PyMethodDef {
            ml_name: (*definition).ml_name,
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunctionFastWithKeywords: entry,
            },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: (*definition).ml_doc,
        });
        let outer = ffi::PyCFunction_NewEx(
            Box::into_raw(definition),
            module.as_ptr(),
            module.name()?.as_ptr(),
        );
        Bound::from_owned_ptr_or_err(module.py(), outer)?
    };
    module.setattr(name, outer)
}

/// Serves a call, or hands it on to `inner`.
///
/// # Safety
///
/// Python's lock is held; `args` are `given` objects and one more for each of `names`, which
/// is a tuple or null; all live as long as the call.
#[inline(always)]
unsafe fn serve(
    plain: Plain,
    optional: Optional,
    inner: &PyOnceLock<Py<PyAny>>,
    args: *const *mut ffi::PyObject,
    given: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as above; a borrowed object is no larger than the pointer to it.
    unsafe {
        if given == 1 {
            let py = Python::assume_attached();
            let argument = Borrowed::from_ptr(py, *args);
            if names.is_null() {
                return answer(py, || Some(plain(&argument)));
            }
            let names = Bound::from_borrowed_ptr(py, names).cast_into_unchecked::<PyTuple>();
            let values = slice::from_raw_parts(args.add(1).cast(), names.len());
            let served = answer(py, || optional(&argument, &names, values));
            if !served.is_null() || !ffi::PyErr_Occurred().is_null() {
                return served;
            }
        }
        match inner.get(Python::assume_attached()) {
            Some(inner) => ffi::PyObject_Vectorcall(inner.as_ptr(), args, given as usize, names),
            None => ptr::null_mut(),
        }
    }
}

/// Gives Python what a call returns or raises, if it was served.
///
/// PyO3 was not told that Python runs here, which would take a third of a short call. So it
/// keeps for later what is dropped as `Py<T>`, errors above all. Later is at an error, and
/// now and then.
#[inline(always)]
fn answer<'py>(
    py: Python<'py>,
    call: impl FnOnce() -> Option<PyResult<Bound<'py, PyAny>>>,
) -> *mut ffi::PyObject {
    static CALLS: AtomicU8 = AtomicU8::new(0);
    let calls = CALLS.load(Ordering::Relaxed).wrapping_add(1);
    // A call that is not counted, since another thread counts too, does not matter.
    CALLS.store(calls, Ordering::Relaxed);
    let served = catch_unwind(AssertUnwindSafe(|| {
        if calls == 0 {
            Python::try_attach(|_| ());
        }
        match call() {
            Some(Ok(object)) => object.into_ptr(),
            Some(Err(error)) => {
                error.restore(py);
                Python::try_attach(|_| ());
                ptr::null_mut()
            }
            None => ptr::null_mut(),
        }
    }));
    served.unwrap_or_else(|_| panicked())
}

/// Raises what a bug would be.
#[cold]
fn panicked() -> *mut ffi::PyObject {
    // SAFETY: Python's lock is held; the words end with a zero.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_SystemError, c"xyfast has panicked".as_ptr()) };
    ptr::null_mut()
}
