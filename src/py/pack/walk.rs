//! The walk over a tree of Python objects.
//!
//! Exact objects of the common types are borrowed and written by [`Walk::quick`], which
//! runs no Python code, so nothing can change under it. Everything else goes through
//! [`Walk::other`], which may run code of users: what is needed afterwards is owned, and
//! containers are looked at again.

#![allow(unsafe_code)]

use std::mem::{self, MaybeUninit};
use std::{ptr, slice};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use smallvec::SmallVec;

use super::output::{Output, SCRATCH};
use super::{refused, Options};
use crate::msgpack::Head;
use crate::simd::{self, Level};

/// How deep a value may stand, counted from 0: msgpack's limit.
const MAX_DEPTH: usize = 1024;

/// An exception, small enough to be returned from everywhere.
pub(super) type Raised = Box<PyErr>;

/// Packs a value.
pub(super) fn pack<'py>(
    value: &Bound<'py, PyAny>,
    options: &Options,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut scratch = [MaybeUninit::uninit(); SCRATCH];
    let mut walk = Walk::new(value.py(), options, &mut scratch);
    // SAFETY: the caller owns `value`.
    let top = unsafe { walk.write(value.as_ptr()) };
    top.and_then(|top| walk.run(top, MAX_DEPTH - 1))
        .map_err(|error| *error)?;
    walk.out.finish()
}

/// Packs a map from keys and values that follow each other.
pub(super) fn pack_pairs<'py>(
    flat: Bound<'py, PyTuple>,
    options: &Options,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut scratch = [MaybeUninit::uninit(); SCRATCH];
    let mut walk = Walk::new(flat.py(), options, &mut scratch);
    walk.pairs(flat)
        .and_then(|top| walk.run(top, MAX_DEPTH))
        .map_err(|error| *error)?;
    walk.out.finish()
}

/// A container whose head is written and whose values are not, yet.
pub(super) enum Open<'py> {
    #[cfg(not(Py_GIL_DISABLED))]
    List {
        list: Bound<'py, PyList>,
        index: usize,
        len: usize,
    },
    Tuple {
        items: Bound<'py, PyTuple>,
        index: usize,
    },
    Dict {
        dict: Bound<'py, PyDict>,
        place: isize,
        len: usize,
        left: usize,
        /// The value of the key that was written last.
        value: Option<Bound<'py, PyAny>>,
    },
}

/// What [`Walk::quick`] did, or has to be done instead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quick {
    Written,
    List,
    Tuple,
    Dict,
    Other,
}

pub(super) struct Walk<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) options: &'a Options,
    pub(super) out: Output<'a, 'py>,
}

impl<'a, 'py> Walk<'a, 'py> {
    fn new(
        py: Python<'py>,
        options: &'a Options,
        scratch: &'a mut [MaybeUninit<u8>; SCRATCH],
    ) -> Self {
        let out = Output::new(py, scratch);
        Self { py, options, out }
    }

    /// Writes what is in a container. Containers around others wait in a list, so that
    /// nesting costs heap and not stack; there are at most `most` of them.
    fn run(&mut self, top: Option<Open<'py>>, most: usize) -> Result<(), Raised> {
        let Some(mut open) = top else { return Ok(()) };
        let mut outer: SmallVec<[_; 8]> = SmallVec::new();
        loop {
            let inner = match &mut open {
                #[cfg(not(Py_GIL_DISABLED))]
                Open::List { list, index, len } => self.list(list, index, *len)?,
                Open::Tuple { items, index } => self.tuple(items, index)?,
                Open::Dict { .. } => self.dict(&mut open)?,
            };
            match inner {
                Some(_) if outer.len() >= most => {
                    return Err(refused("lists and dicts are nested too deeply").into());
                }
                Some(inner) => outer.push(mem::replace(&mut open, inner)),
                None => match outer.pop() {
                    Some(container) => open = container,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Writes items up to the next container, which it returns.
    #[cfg(not(Py_GIL_DISABLED))]
    fn list(
        &mut self,
        list: &Bound<'py, PyList>,
        index: &mut usize,
        len: usize,
    ) -> Result<Option<Open<'py>>, Raised> {
        let list = list.as_ptr();
        while *index < len {
            // SAFETY: `list` is a list that has the item, and keeps it while no Python code
            // runs; `enter` owns what it needs longer.
            unsafe {
                if ffi::PyList_GET_SIZE(list) as usize != len {
                    return Err(changed("list"));
                }
                let item = ffi::PyList_GET_ITEM(list, *index as isize);
                *index += 1;
                let kind = self.quick(item)?;
                if kind != Quick::Written {
                    if let Some(inner) = self.enter(kind, item)? {
                        return Ok(Some(inner));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Writes items up to the next container, which it returns.
    fn tuple(
        &mut self,
        items: &Bound<'py, PyTuple>,
        index: &mut usize,
    ) -> Result<Option<Open<'py>>, Raised> {
        let (items, len) = (items.as_ptr(), items.len());
        while *index < len {
            // SAFETY: the tuple has the item and keeps it for ever; the caller owns the tuple.
            unsafe {
                let item = ffi::PyTuple_GET_ITEM(items, *index as isize);
                *index += 1;
                let kind = self.quick(item)?;
                if kind != Quick::Written {
                    if let Some(inner) = self.enter(kind, item)? {
                        return Ok(Some(inner));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Writes entries up to the next container, which it returns.
    fn dict(&mut self, open: &mut Open<'py>) -> Result<Option<Open<'py>>, Raised> {
        let Open::Dict {
            dict,
            place,
            len,
            left,
            value: waiting,
        } = open
        else {
            return Ok(None);
        };
        loop {
            if dict.len() != *len {
                return Err(changed("dict"));
            }
            if let Some(value) = waiting.take() {
                // SAFETY: `value` is owned until it is written.
                match unsafe { self.write(value.as_ptr())? } {
                    None => continue,
                    inner => return Ok(inner),
                }
            }
            // In this loop no Python code runs.
            let (kind, object) = loop {
                if *left == 0 {
                    return Ok(None);
                }
                let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
                // SAFETY: `dict` is a dict, which keeps key and value while no Python code
                // runs. A value that has to wait for its key is owned.
                unsafe {
                    if ffi::PyDict_Next(dict.as_ptr(), place, &mut key, &mut value) == 0 {
                        return Err(changed("dict"));
                    }
                    *left -= 1;
                    let kind = self.quick(key)?;
                    if kind != Quick::Written {
                        *waiting = Some(Bound::from_borrowed_ptr(self.py, value));
                        break (kind, key);
                    }
                    let kind = self.quick(value)?;
                    if kind != Quick::Written {
                        break (kind, value);
                    }
                }
            };
            // SAFETY: the dict still keeps the object; `enter` owns what it needs longer.
            if let Some(inner) = unsafe { self.enter(kind, object)? } {
                return Ok(Some(inner));
            }
        }
    }

    /// Writes any value, or the head of a container, which it returns unless it is empty.
    ///
    /// # Safety
    ///
    /// `object` is an object, and alive while no Python code runs.
    pub(super) unsafe fn write(
        &mut self,
        object: *mut ffi::PyObject,
    ) -> Result<Option<Open<'py>>, Raised> {
        // SAFETY: as above.
        unsafe {
            match self.quick(object)? {
                Quick::Written => Ok(None),
                kind => self.enter(kind, object),
            }
        }
    }

    /// Does what [`Walk::quick`] said.
    ///
    /// # Safety
    ///
    /// As for [`Walk::write`].
    unsafe fn enter(
        &mut self,
        kind: Quick,
        object: *mut ffi::PyObject,
    ) -> Result<Option<Open<'py>>, Raised> {
        // SAFETY: the object is alive, and owned from here on.
        let object = unsafe { Bound::from_borrowed_ptr(self.py, object) };
        // SAFETY: `quick` has looked at the type.
        unsafe {
            match kind {
                Quick::Written => Ok(None),
                Quick::List => self.open_list(object.cast_into_unchecked()),
                Quick::Tuple => self.open_tuple(object.cast_into_unchecked()),
                Quick::Dict => self.open_dict(object.cast_into_unchecked()),
                Quick::Other => self.other(object),
            }
        }
    }

    #[cfg(not(Py_GIL_DISABLED))]
    pub(super) fn open_list(
        &mut self,
        list: Bound<'py, PyList>,
    ) -> Result<Option<Open<'py>>, Raised> {
        let (index, len) = (0, list.len());
        self.out.head(Head::array(len).map_err(PyErr::from)?)?;
        Ok((len > 0).then_some(Open::List { list, index, len }))
    }

    /// Takes a copy, because other threads may change the list.
    #[cfg(Py_GIL_DISABLED)]
    pub(super) fn open_list(
        &mut self,
        list: Bound<'py, PyList>,
    ) -> Result<Option<Open<'py>>, Raised> {
        self.open_tuple(list.to_tuple())
    }

    pub(super) fn open_tuple(
        &mut self,
        items: Bound<'py, PyTuple>,
    ) -> Result<Option<Open<'py>>, Raised> {
        let len = items.len();
        self.out.head(Head::array(len).map_err(PyErr::from)?)?;
        Ok((len > 0).then_some(Open::Tuple { items, index: 0 }))
    }

    pub(super) fn open_dict(
        &mut self,
        dict: Bound<'py, PyDict>,
    ) -> Result<Option<Open<'py>>, Raised> {
        // Other threads may change the dict.
        #[cfg(Py_GIL_DISABLED)]
        let dict = dict.copy()?;
        let len = dict.len();
        self.out.head(Head::map(len).map_err(PyErr::from)?)?;
        Ok((len > 0).then_some(Open::Dict {
            dict,
            place: 0,
            len,
            left: len,
            value: None,
        }))
    }

    /// Writes the head of a map whose keys and values follow each other in a tuple.
    pub(super) fn pairs(&mut self, flat: Bound<'py, PyTuple>) -> Result<Option<Open<'py>>, Raised> {
        let len = flat.len() / 2;
        self.out.head(Head::map(len).map_err(PyErr::from)?)?;
        let (items, index) = (flat, 0);
        Ok((len > 0).then_some(Open::Tuple { items, index }))
    }

    /// Writes an exact object of a common type, unless it is a container or special. Runs no
    /// Python code.
    ///
    /// # Safety
    ///
    /// `object` is an object.
    #[inline(always)]
    unsafe fn quick(&mut self, object: *mut ffi::PyObject) -> Result<Quick, Raised> {
        // SAFETY: each object is read as what its type says.
        unsafe {
            let kind = ffi::Py_TYPE(object);
            if kind == &raw mut ffi::PyUnicode_Type {
                return self.text(object);
            }
            let head = if kind == &raw mut ffi::PyLong_Type {
                match int_head(object) {
                    Some(head) => head,
                    None => return Ok(Quick::Other),
                }
            } else if kind == &raw mut ffi::PyDict_Type {
                return Ok(Quick::Dict);
            } else if kind == &raw mut ffi::PyList_Type {
                return Ok(Quick::List);
            } else if object == ffi::Py_None() {
                Head::NIL
            } else if object == ffi::Py_True() {
                Head::TRUE
            } else if object == ffi::Py_False() {
                Head::FALSE
            } else if kind == &raw mut ffi::PyFloat_Type {
                self.float_head(ffi::PyFloat_AS_DOUBLE(object))
            } else if kind == &raw mut ffi::PyBytes_Type {
                let data = ffi::PyBytes_AS_STRING(object).cast();
                let data = slice::from_raw_parts(data, ffi::Py_SIZE(object) as usize);
                self.bin(data)?;
                return Ok(Quick::Written);
            } else if kind == &raw mut ffi::PyTuple_Type && !self.options.strict_types {
                return Ok(Quick::Tuple);
            } else {
                return Ok(Quick::Other);
            };
            self.out.head(head)?;
        }
        Ok(Quick::Written)
    }

    /// Writes an exact `str` without surrogates.
    ///
    /// # Safety
    ///
    /// `object` is an exact `str`.
    #[inline(always)]
    unsafe fn text(&mut self, object: *mut ffi::PyObject) -> Result<Quick, Raised> {
        // SAFETY: the text of a compact ASCII `str` stands behind its fields.
        #[cfg(not(Py_3_14))]
        unsafe {
            if ffi::PyUnicode_IS_COMPACT_ASCII(object) != 0 {
                let data = object.cast::<ffi::PyASCIIObject>().add(1).cast();
                let len = ffi::PyUnicode_GET_LENGTH(object) as usize;
                let text = slice::from_raw_parts(data, len);
                self.out.sized(self.text_head(len)?, text)?;
                return Ok(Quick::Written);
            }
        }
        // SAFETY: as above.
        unsafe { self.wide_text(object) }
    }

    /// Writes text from the units of a `str`, so that it need not keep a copy in UTF-8.
    ///
    /// # Safety
    ///
    /// `object` is an exact `str`, before 3.14 not of ASCII alone.
    #[inline(never)]
    unsafe fn wide_text(&mut self, object: *mut ffi::PyObject) -> Result<Quick, Raised> {
        // SAFETY: a ready `str` has `len` units of the size that its kind says. Where its
        // UTF-8 is known already, that is as long as it says.
        unsafe {
            #[cfg(not(Py_3_12))]
            if ffi::PyUnicode_IS_READY(object) == 0 {
                return Ok(Quick::Other);
            }
            #[cfg(not(any(Py_3_14, Py_GIL_DISABLED)))]
            if ffi::PyUnicode_IS_COMPACT(object) != 0 {
                let known = object.cast::<ffi::PyCompactUnicodeObject>();
                if !(*known).utf8.is_null() {
                    let len = (*known).utf8_length as usize;
                    let text = slice::from_raw_parts((*known).utf8.cast(), len);
                    self.out.sized(self.text_head(len)?, text)?;
                    return Ok(Quick::Written);
                }
            }
            let len = ffi::PyUnicode_GET_LENGTH(object) as usize;
            let units = ffi::PyUnicode_DATA(object);
            let level = Level::detect();
            let options = self.options;
            let head = |len| text_head(options, len);
            let out = &mut self.out;
            let written = match ffi::PyUnicode_KIND(object) {
                ffi::PyUnicode_1BYTE_KIND => out.measured(2 * len, head, |out| {
                    simd::narrow1(level, slice::from_raw_parts(units.cast(), len), out)
                }),
                ffi::PyUnicode_2BYTE_KIND => out.measured(3 * len, head, |out| {
                    simd::narrow(level, slice::from_raw_parts(units.cast(), len), out)
                }),
                _ => out.measured(4 * len, head, |out| {
                    simd::narrow4(level, slice::from_raw_parts(units.cast(), len), out)
                }),
            }?;
            Ok(if written {
                Quick::Written
            } else {
                Quick::Other
            })
        }
    }

    /// Writes a number, if `object` is one within 64 bits.
    pub(super) fn int(&mut self, object: &Bound<'py, pyo3::types::PyInt>) -> Result<bool, Raised> {
        // SAFETY: subclasses of `int` begin like `int`.
        match unsafe { int_head(object.as_ptr()) } {
            Some(head) => self.out.head(head).map(|()| true),
            None => Ok(false),
        }
    }

    #[inline(always)]
    pub(super) fn float_head(&self, value: f64) -> Head {
        if self.options.single_float {
            Head::single(value as f32)
        } else {
            Head::float(value)
        }
    }

    #[inline(always)]
    pub(super) fn text_head(&self, len: usize) -> Result<Head, Raised> {
        text_head(self.options, len)
    }

    #[inline(always)]
    pub(super) fn bin(&mut self, data: &[u8]) -> Result<(), Raised> {
        let head = if self.options.bin_type {
            Head::bin(data.len())
        } else {
            Head::raw(data.len())
        };
        self.out.sized(head.map_err(PyErr::from)?, data)
    }
}

#[inline(always)]
fn text_head(options: &Options, len: usize) -> Result<Head, Raised> {
    let head = if options.bin_type {
        Head::str(len)
    } else {
        Head::raw(len)
    };
    Ok(head.map_err(PyErr::from)?)
}

#[cold]
fn changed(kind: &str) -> Raised {
    PyRuntimeError::new_err(format!("{kind} changed size while it was packed")).into()
}

/// An `int` as CPython lays it out: how many digits of 30 bits, and the sign.
#[cfg(target_pointer_width = "64")]
#[repr(C)]
struct Long {
    object: ffi::PyObject,
    tag: isize,
    digits: [u32; 0],
}

/// Returns the form of an int, or None if it has more than 64 bits.
///
/// # Safety
///
/// `object` is an `int`.
#[cfg(target_pointer_width = "64")]
#[inline(always)]
unsafe fn int_head(object: *mut ffi::PyObject) -> Option<Head> {
    let long = object.cast::<Long>();
    // SAFETY: `object` is an int; it has as many digits as its tag says.
    unsafe {
        let tag = (*long).tag;
        let (len, negative) = if cfg!(Py_3_12) {
            (tag as usize >> 3, tag & 2 != 0)
        } else {
            (tag.unsigned_abs(), tag < 0)
        };
        let digits = (&raw const (*long).digits).cast::<u32>();
        let digit = |index| u64::from(digits.add(index).read());
        let size = match len {
            0 => 0,
            1 => digit(0),
            2 => digit(0) | digit(1) << 30,
            3 if digit(2) < 16 => digit(0) | digit(1) << 30 | digit(2) << 60,
            _ => return None,
        };
        match negative {
            false => Some(Head::uint(size)),
            true if size <= 1 << 63 => Some(Head::int((size as i64).wrapping_neg())),
            true => None,
        }
    }
}

/// Returns the form of an int, or None if it has more than 64 bits.
///
/// # Safety
///
/// `object` is an `int`.
#[cfg(not(target_pointer_width = "64"))]
unsafe fn int_head(object: *mut ffi::PyObject) -> Option<Head> {
    let mut overflow = 0;
    // SAFETY: `object` is an int, so that the one error there is can be forgotten.
    unsafe {
        let value = ffi::PyLong_AsLongLongAndOverflow(object, &mut overflow);
        if overflow == 0 {
            return Some(Head::int(value));
        }
        if overflow < 0 {
            return None;
        }
        let value = ffi::PyLong_AsUnsignedLongLong(object);
        if value == u64::MAX && !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        Some(Head::uint(value))
    }
}
