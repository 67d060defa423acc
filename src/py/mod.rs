//! The Python module `xyfast._core`.

mod base64;
mod batch;
mod clock;
mod codec;
mod crowded;
mod dedup;
mod entry;
mod errors;
mod frame;
mod hooks;
mod input;
mod keys;
mod links;
mod make;
mod object;
mod pack;
mod picker;
mod post;
mod shapes;
mod stream;
mod tree;
mod unpack;
mod unpacker;

use std::ffi::CString;

use pyo3::exceptions::{PyImportError, PyRuntimeWarning};
use pyo3::prelude::*;

use crate::simd::Level;

/// Refuses interpreters other than the main one: types and exceptions that are looked up
/// once would be shared by all of them.
fn check_interpreter(py: Python<'_>) -> PyResult<()> {
    let interpreters = py.import("_interpreters");
    // Its name up to Python 3.12. An interpreter without either has no others.
    let Ok(interpreters) = interpreters.or_else(|_| py.import("_xxsubinterpreters")) else {
        return Ok(());
    };
    let current = interpreters.call_method0("get_current")?;
    if current.eq(interpreters.call_method0("get_main")?)? {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "xyfast cannot be imported in a sub-interpreter",
    ))
}

/// Chooses the level of vector instructions, before threads could wait for each other to do it.
fn choose_level(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let (py, level) = (module.py(), Level::detect().name());
    module.add("simd", level)?;
    if let Some(unknown) = Level::unknown() {
        let words = format!("XYFAST_SIMD={unknown} is no level of this machine; {level} is used");
        let category = py.get_type::<PyRuntimeWarning>();
        PyErr::warn(py, &category, &CString::new(words)?, 1)?;
    }
    Ok(())
}

#[pyo3::pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::check_interpreter(module.py())?;
        super::errors::raised::find(module.py())?;
        super::choose_level(module)?;
        super::entry::install(module)
    }

    #[pymodule_export]
    use super::base64::{a2b_base64, b2a_base64, b64decode, b64encode};
    #[pymodule_export]
    use super::batch::{decode_many, decrypt_many};
    #[pymodule_export]
    use super::codec::{decode, decrypt};
    #[pymodule_export]
    use super::dedup::DedupCache;
    #[pymodule_export]
    use super::frame::{decode_frame, parse_frame, read_payload, Frame, Payload};
    #[pymodule_export]
    use super::links::{Closed, Invalid, Links, Opened};
    #[pymodule_export]
    use super::pack::{packb, Packer};
    #[pymodule_export]
    use super::picker::{pick, Picker};
    #[pymodule_export]
    use super::post::{check_proxy, check_roots, post};
    #[pymodule_export]
    use super::tree::mentions;
    #[pymodule_export]
    use super::unpack::unpackb;
    #[pymodule_export]
    use super::unpacker::Unpacker;

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const build_profile: &str = if cfg!(debug_assertions) {
        "debug"
    } else if option_env!("MATURIN_PGO").is_some() {
        "release, guided by a profile"
    } else {
        "release"
    };
}
