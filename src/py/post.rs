//! One HTTP call as Python makes it.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::input::real;
use super::links::seconds;
use crate::transport::{self, Post, Proxy};

mod raised {
    pyo3::import_exception!(xyfast.errors, TokenError);
}

type Answer<'py> = (u16, Vec<(String, String)>, Bound<'py, PyBytes>);

// The signature is the keyword arguments of Python; a struct would only hide them.
#[allow(clippy::too_many_arguments)]
#[pyfunction]
#[pyo3(signature = (
    url, *, headers, body, timeout, allow_plain = false, roots = None, proxy = None,
))]
pub(super) fn post<'py>(
    py: Python<'py>,
    url: String,
    headers: Vec<(String, String)>,
    body: Cow<'_, [u8]>,
    #[pyo3(from_py_with = real)] timeout: f64,
    allow_plain: bool,
    roots: Option<String>,
    proxy: Option<String>,
) -> PyResult<Answer<'py>> {
    let post = Post {
        url,
        headers,
        body: body.into_owned(),
        timeout: seconds("timeout", timeout)?,
        allow_plain,
        roots,
        proxy,
    };
    match py.detach(|| post.send())? {
        Ok(answer) => {
            let body = PyBytes::new(py, &answer.body);
            Ok((answer.status, answer.headers, body))
        }
        Err(closed) => {
            let said = (closed.reason, closed.trouble.as_str());
            Err(raised::TokenError::new_err(said))
        }
    }
}

#[pyfunction]
#[pyo3(signature = (url, /))]
pub(super) fn check_proxy(url: &str) -> PyResult<()> {
    Proxy::parse(url)?;
    Ok(())
}

#[pyfunction]
#[pyo3(signature = (pem, /))]
pub(super) fn check_roots(pem: &str) -> PyResult<()> {
    Ok(transport::check_roots(pem)?)
}
