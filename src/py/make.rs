//! Python objects made in place, without a step between.
//!
//! Nothing here runs Python code. But on Python up to 3.11 making a list or a dict can start
//! the garbage collector and with it finalisers, and those can find any list, as everywhere in
//! Python: places that are not filled yet hold nothing.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::simd::{self, Level, Widened, SLACK};

/// An object, or nothing where Python has raised.
type Made<'py> = Option<Bound<'py, PyAny>>;

/// Takes what a function of Python's C interface returned: a new reference or null.
///
/// # Safety
///
/// The pointer is null or a reference that the caller owns.
unsafe fn made<'py>(py: Python<'py>, object: *mut ffi::PyObject) -> Made<'py> {
    // SAFETY: the caller hands over the reference.
    unsafe { Bound::from_owned_ptr_or_opt(py, object) }
}

/// Makes an int.
#[inline]
pub(crate) fn int(py: Python<'_>, value: i64) -> Made<'_> {
    // SAFETY: returns a new reference or null.
    unsafe { made(py, ffi::PyLong_FromLongLong(value)) }
}

/// Makes an int that needs all of 64 bits.
#[inline]
pub(crate) fn uint(py: Python<'_>, value: u64) -> Made<'_> {
    // SAFETY: returns a new reference or null.
    unsafe { made(py, ffi::PyLong_FromUnsignedLongLong(value)) }
}

/// Makes a float.
#[inline]
pub(crate) fn float(py: Python<'_>, value: f64) -> Made<'_> {
    // SAFETY: returns a new reference or null.
    unsafe { made(py, ffi::PyFloat_FromDouble(value)) }
}

/// Makes bytes.
#[inline]
pub(crate) fn bytes<'py>(py: Python<'py>, data: &[u8]) -> Made<'py> {
    let (start, len) = (data.as_ptr().cast(), data.len() as ffi::Py_ssize_t);
    // SAFETY: the bytes are copied; a slice is never longer than a Py_ssize_t can say.
    unsafe { made(py, ffi::PyBytes_FromStringAndSize(start, len)) }
}

/// Makes a dict with room for `len` keys of any kind.
///
/// Python makes such a dict larger than one that grows with keys that are all strings.
#[inline]
pub(crate) fn dict(py: Python<'_>, len: usize) -> Option<Bound<'_, PyDict>> {
    /// Entries for which Python's smallest table has room.
    const SMALLEST: usize = 5;
    // SAFETY: both return a new reference to a dict or null.
    unsafe {
        #[cfg(not(Py_3_14))]
        if len > SMALLEST {
            let dict = made(py, _PyDict_NewPresized(len as ffi::Py_ssize_t))?;
            return Some(dict.cast_into_unchecked());
        }
        Some(made(py, ffi::PyDict_New())?.cast_into_unchecked())
    }
}

/// Returns for how many entries [`dict`] makes room if asked for `len`.
pub(crate) fn room(len: usize) -> usize {
    /// Python makes no larger tables than for so many.
    const MOST: usize = if cfg!(Py_3_14) { 0 } else { 87_381 };
    len.min(MOST)
}

extern "C" {
    #[cfg(not(Py_3_14))]
    fn _PyDict_NewPresized(len: ffi::Py_ssize_t) -> *mut ffi::PyObject;

    #[cfg(Py_3_13)]
    fn _PyDict_SetItem_Take2(
        dict: *mut ffi::PyObject,
        key: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
    ) -> std::ffi::c_int;

    #[cfg(not(Py_3_13))]
    fn _PyDict_SetItem_KnownHash(
        dict: *mut ffi::PyObject,
        key: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
        hash: ffi::Py_hash_t,
    ) -> std::ffi::c_int;
}

/// A key of a dict and its hash.
pub(crate) struct Key<'py> {
    pub(crate) object: Bound<'py, PyAny>,
    pub(crate) hash: ffi::Py_hash_t,
}

impl<'py> Key<'py> {
    /// Hashes an object, or returns nothing where Python has raised.
    #[inline]
    pub(crate) fn new(object: Bound<'py, PyAny>) -> Option<Self> {
        // SAFETY: a live object.
        let hash = unsafe { ffi::PyObject_Hash(object.as_ptr()) };
        (hash != -1).then_some(Self { object, hash })
    }

    /// Takes a str, which knows its hash if it has been asked for it before.
    #[inline(always)]
    pub(crate) fn text(text: Bound<'py, PyString>) -> Option<Self> {
        #[cfg(not(Py_GIL_DISABLED))]
        {
            // SAFETY: a live str; nobody hashes it meanwhile.
            let hash = unsafe { (*text.as_ptr().cast::<ffi::PyASCIIObject>()).hash };
            if hash != -1 {
                let object = text.into_any();
                return Some(Self { object, hash });
            }
        }
        Self::new(text.into_any())
    }
}

/// A key that is used again.
pub(crate) struct KeptKey {
    pub(crate) object: Py<PyAny>,
    hash: ffi::Py_hash_t,
}

impl KeptKey {
    /// Keeps a number or a str, which always have a hash.
    pub(crate) fn new(object: Bound<'_, PyAny>) -> Self {
        // SAFETY: a live object.
        let hash = unsafe { ffi::PyObject_Hash(object.as_ptr()) };
        let object = object.unbind();
        Self { object, hash }
    }

    /// Returns the key.
    #[inline(always)]
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Key<'py> {
        Key {
            object: self.object.bind(py).clone(),
            hash: self.hash,
        }
    }
}

/// Puts an entry into a dict; false where Python has raised.
#[inline]
pub(crate) fn insert(dict: &Bound<'_, PyDict>, key: Key<'_>, value: Bound<'_, PyAny>) -> bool {
    let (dict, object) = (dict.as_ptr(), key.object);
    // SAFETY: a live dict, two live objects, and the hash is that of the key. The function
    // without a hash takes over the references, also if it fails.
    unsafe {
        #[cfg(not(Py_3_13))]
        return _PyDict_SetItem_KnownHash(dict, object.as_ptr(), value.as_ptr(), key.hash) == 0;
        #[cfg(Py_3_13)]
        return _PyDict_SetItem_Take2(dict, object.into_ptr(), value.into_ptr()) == 0;
    }
}

/// Makes a str, or nothing where the bytes are not UTF-8 or Python has raised.
#[inline(always)]
pub(crate) fn text<'py>(py: Python<'py>, utf8: &[u8]) -> Made<'py> {
    if simd::is_ascii(utf8) {
        ascii(py, utf8)
    } else {
        wide(py, utf8)
    }
}

#[inline(always)]
fn ascii<'py>(py: Python<'py>, text: &[u8]) -> Made<'py> {
    // SAFETY: a str of ASCII characters has its text right behind its head, with room for
    // all characters, and nobody else has seen it yet. The str of no characters is shared,
    // and nothing is written into it.
    unsafe {
        let object = ffi::PyUnicode_New(text.len() as ffi::Py_ssize_t, 0x7f);
        if !object.is_null() {
            let start = object.cast::<ffi::PyASCIIObject>().add(1).cast::<u8>();
            start.copy_from_nonoverlapping(text.as_ptr(), text.len());
        }
        made(py, object)
    }
}

/// Plain code has turned fewer bytes before vector code would have begun.
const VECTOR: usize = 24;
/// Text up to this many bytes is widened on the stack, where the first lines are in use.
const SHORT: usize = 64;
/// The same for longer text.
const MEDIUM: usize = 512;
/// The same for text with characters beyond U+FFFF.
const WIDEST: usize = 1024;

#[inline(never)]
fn wide<'py>(py: Python<'py>, utf8: &[u8]) -> Made<'py> {
    match utf8.len() {
        ..VECTOR => {
            let mut units = [MaybeUninit::uninit(); VECTOR];
            two_bytes(py, utf8, &mut units, Level::SCALAR)
        }
        VECTOR..=SHORT => {
            let mut units = [MaybeUninit::uninit(); SHORT + SLACK];
            two_bytes(py, utf8, &mut units, Level::detect())
        }
        _ if utf8.len() <= MEDIUM => medium(py, utf8),
        _ => long(py, utf8),
    }
}

#[inline(never)]
fn medium<'py>(py: Python<'py>, utf8: &[u8]) -> Made<'py> {
    let mut units = [MaybeUninit::uninit(); MEDIUM + SLACK];
    two_bytes(py, utf8, &mut units, Level::detect())
}

/// Widens into the str itself, which is made too long and cut: a long text is not copied.
#[inline(never)]
fn long<'py>(py: Python<'py>, utf8: &[u8]) -> Made<'py> {
    let room = utf8.len() + SLACK;
    // SAFETY: the units stand right behind the head of the str, which has room for all of
    // them, and nobody else has seen it yet. So it may be cut, to no less than one unit.
    unsafe {
        let mut object = ffi::PyUnicode_New(room as ffi::Py_ssize_t, 0xffff);
        if object.is_null() {
            return None;
        }
        let start = object.cast::<ffi::PyCompactUnicodeObject>().add(1);
        let units = std::slice::from_raw_parts_mut(start.cast::<MaybeUninit<u16>>(), room);
        match simd::widen(Level::detect(), utf8, units) {
            Some(Widened { len, bits: 0x100.. }) => {
                let cut = ffi::PyUnicode_Resize(&mut object, len as ffi::Py_ssize_t);
                made(py, object).filter(|_| cut == 0)
            }
            other => {
                let made = made_of(py, utf8, units, other);
                ffi::Py_DECREF(object);
                made
            }
        }
    }
}

/// Makes a str; `units` has room for one unit per byte.
#[inline(always)]
fn two_bytes<'py>(
    py: Python<'py>,
    utf8: &[u8],
    units: &mut [MaybeUninit<u16>],
    level: Level,
) -> Made<'py> {
    let widened = simd::widen(level, utf8, units);
    made_of(py, utf8, units, widened)
}

#[inline(always)]
fn made_of<'py>(
    py: Python<'py>,
    utf8: &[u8],
    units: &[MaybeUninit<u16>],
    widened: Option<Widened>,
) -> Made<'py> {
    match widened {
        Some(Widened { len, bits: ..=0xff }) => {
            let narrow = units[..len].iter().map(|unit| {
                // SAFETY: `widen` has written the units.
                MaybeUninit::new(unsafe { unit.assume_init() } as u8)
            });
            // SAFETY: they are Latin-1, and not all are ASCII.
            unsafe { units_of(py, len, 0xff, narrow) }
        }
        // SAFETY: `widen` has written the units, of which one is at least above Latin-1.
        Some(Widened { len, .. }) => unsafe {
            units_of(py, len, 0xffff, units[..len].iter().copied())
        },
        None if utf8.len() <= WIDEST => four_bytes(py, utf8),
        None => decoded(py, utf8),
    }
}

#[inline(never)]
fn four_bytes<'py>(py: Python<'py>, utf8: &[u8]) -> Made<'py> {
    let mut units = [MaybeUninit::uninit(); WIDEST + SLACK];
    let Widened { len, .. } = simd::widen4(Level::detect(), utf8, &mut units)?;
    // SAFETY: `widen4` has written the units, of which one is above U+FFFF, since `widen` has
    // refused the text.
    unsafe { units_of(py, len, 0x10_ffff, units[..len].iter().copied()) }
}

/// Lets Python decode text, or say what is wrong with it.
#[cold]
fn decoded<'py>(py: Python<'py>, utf8: &[u8]) -> Made<'py> {
    let (start, len) = (utf8.as_ptr().cast(), utf8.len() as ffi::Py_ssize_t);
    // SAFETY: Python reads so many bytes.
    unsafe { made(py, ffi::PyUnicode_DecodeUTF8(start, len, std::ptr::null())) }
}

/// Makes a str of units that are as wide as Python has them for characters up to `most`.
///
/// # Safety
///
/// There are `len` units, they are initialised, and the highest one needs `most`.
#[inline(always)]
unsafe fn units_of<T>(
    py: Python<'_>,
    len: usize,
    most: u32,
    units: impl Iterator<Item = MaybeUninit<T>>,
) -> Made<'_> {
    // SAFETY: the units stand right behind the head of the str, which has room for all of
    // them, and nobody else has seen it yet.
    unsafe {
        let object = ffi::PyUnicode_New(len as ffi::Py_ssize_t, most);
        if !object.is_null() {
            let start = object.cast::<ffi::PyCompactUnicodeObject>().add(1);
            let start = start.cast::<MaybeUninit<T>>();
            for (i, unit) in units.take(len).enumerate() {
                start.add(i).write(unit);
            }
        }
        made(py, object)
    }
}

/// A list that is being filled.
pub(crate) struct List<'py> {
    list: Bound<'py, PyAny>,
    filled: ffi::Py_ssize_t,
}

impl<'py> List<'py> {
    /// Makes a list for `len` values, or nothing where Python has raised.
    #[inline(always)]
    pub(crate) fn new(py: Python<'py>, len: usize) -> Option<Self> {
        // SAFETY: returns a new reference or null; no list is longer than the input.
        let list = unsafe { made(py, ffi::PyList_New(len as ffi::Py_ssize_t))? };
        Some(Self { list, filled: 0 })
    }

    /// Returns the list as it is.
    #[inline(always)]
    pub(crate) fn object(&self) -> Bound<'py, PyAny> {
        self.list.clone()
    }

    /// A finaliser can find the list through the garbage collector and make it shorter.
    #[inline(always)]
    fn is_full(&self) -> bool {
        // SAFETY: a live list.
        self.filled >= unsafe { ffi::PyList_GET_SIZE(self.list.as_ptr()) }
    }

    /// Adds a value; one that has no room any more is dropped.
    #[inline(always)]
    pub(crate) fn push(&mut self, value: Bound<'py, PyAny>) {
        if !self.is_full() {
            // SAFETY: the index is within the list, and its place is still empty.
            unsafe { ffi::PyList_SET_ITEM(self.list.as_ptr(), self.filled, value.into_ptr()) };
            self.filled += 1;
        }
    }

    /// Returns the list; places that were not filled hold None.
    #[inline(always)]
    pub(crate) fn finish(mut self) -> Bound<'py, PyAny> {
        while !self.is_full() {
            self.push(self.list.py().None().into_bound(self.list.py()));
        }
        self.list
    }
}
