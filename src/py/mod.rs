//! The Python module `xyfast._core`.

mod base64;
mod batch;
mod codec;
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
mod shapes;
mod stream;
mod unpack;
mod unpacker;

#[pyo3::pymodule]
mod _core {
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
    use super::unpack::unpackb;
    #[pymodule_export]
    use super::unpacker::Unpacker;

    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        super::entry::install(module)
    }

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const build_profile: &str = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
}
