//! Values that hold no others: how text and numbers are laid out in memory, and their forms.

#![allow(unsafe_code)]

#[cfg(not(Py_3_14))]
use std::ptr;
use std::slice;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyInt;

use super::walk::{Quick, Raised, Walk};
use super::{out_of_range, Options};
use crate::msgpack::HeadBytes;
use crate::simd::{self, Level};

impl<'py> Walk<'_, 'py> {
    /// Writes an exact `str` without surrogates.
    ///
    /// # Safety
    ///
    /// `object` is an exact `str`.
    #[inline(always)]
    pub(super) unsafe fn text(&mut self, object: *mut ffi::PyObject) -> Result<Quick, Raised> {
        // SAFETY: the text of a compact `str` stands behind its fields if it is ASCII;
        // otherwise it may be known in UTF-8, if somebody has asked for that.
        #[cfg(not(Py_3_14))]
        unsafe {
            if ffi::PyUnicode_IS_COMPACT(object) != 0 {
                let (text, len): (*const u8, isize) = if ffi::PyUnicode_IS_ASCII(object) != 0 {
                    let text = object.cast::<ffi::PyASCIIObject>().add(1);
                    (text.cast_const().cast(), ffi::PyUnicode_GET_LENGTH(object))
                } else if cfg!(Py_GIL_DISABLED) {
                    (ptr::null(), 0)
                } else {
                    let fields = object.cast::<ffi::PyCompactUnicodeObject>();
                    ((*fields).utf8.cast_const().cast(), (*fields).utf8_length)
                };
                if !text.is_null() {
                    let text = slice::from_raw_parts(text, len as usize);
                    self.out.sized(self.text_head(text.len())?, text)?;
                    return Ok(Quick::Written);
                }
            }
        }
        // SAFETY: as above.
        unsafe { self.wide_text(object) }
    }

    /// Writes text from the units of a `str`, so that it need not keep a copy in UTF-8.
    ///
    /// # Safety
    ///
    /// `object` is an exact `str`.
    #[inline(never)]
    unsafe fn wide_text(&mut self, object: *mut ffi::PyObject) -> Result<Quick, Raised> {
        // SAFETY: a ready `str` has `len` units of the size that its kind says.
        unsafe {
            #[cfg(not(Py_3_12))]
            if ffi::PyUnicode_IS_READY(object) == 0 {
                return Ok(Quick::Other);
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
    pub(super) fn int(&mut self, object: &Bound<'py, PyInt>) -> Result<bool, Raised> {
        // SAFETY: subclasses of `int` begin like `int`.
        match unsafe { int_head(object.as_ptr()) } {
            Some(head) => self.out.head(head).map(|()| true),
            None => Ok(false),
        }
    }

    #[inline(always)]
    pub(super) fn float_head(&self, value: f64) -> Result<HeadBytes, Raised> {
        if !self.options.single_float {
            return Ok(HeadBytes::float(value));
        }
        let single = value as f32;
        if single.is_infinite() && value.is_finite() {
            return Err(out_of_range("a float is beyond 32 bits").into());
        }
        Ok(HeadBytes::single(single))
    }

    #[inline(always)]
    pub(super) fn text_head(&self, len: usize) -> Result<HeadBytes, Raised> {
        text_head(self.options, len)
    }

    #[inline(always)]
    pub(super) fn bin(&mut self, data: &[u8]) -> Result<(), Raised> {
        let head = if self.options.bin_type {
            HeadBytes::bin(data.len())
        } else {
            HeadBytes::raw(data.len())
        };
        self.out.sized(head.map_err(PyErr::from)?, data)
    }
}

#[inline(always)]
fn text_head(options: &Options, len: usize) -> Result<HeadBytes, Raised> {
    let head = if options.bin_type {
        HeadBytes::str(len)
    } else {
        HeadBytes::raw(len)
    };
    Ok(head.map_err(PyErr::from)?)
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
pub(super) unsafe fn int_head(object: *mut ffi::PyObject) -> Option<HeadBytes> {
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
            false => Some(HeadBytes::uint(size)),
            true if size <= 1 << 63 => Some(HeadBytes::int((size as i64).wrapping_neg())),
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
pub(super) unsafe fn int_head(object: *mut ffi::PyObject) -> Option<HeadBytes> {
    let mut overflow = 0;
    // SAFETY: `object` is an int, so that the one error there is can be forgotten.
    unsafe {
        let value = ffi::PyLong_AsLongLongAndOverflow(object, &mut overflow);
        if overflow == 0 {
            return Some(HeadBytes::int(value));
        }
        if overflow < 0 {
            return None;
        }
        let value = ffi::PyLong_AsUnsignedLongLong(object);
        if value == u64::MAX && !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        Some(HeadBytes::uint(value))
    }
}
