//! The one thread that opens all links of a process.

use std::io;
use std::sync::Mutex;
use std::time::Duration;
use std::{future, mem, process, thread};

use tokio::runtime::{Builder, Handle};

use super::lock;

/// The runtime and the process that it runs in.
static RUNTIME: Mutex<Option<(u32, Handle)>> = Mutex::new(None);

/// The running runtime; the first call in a process starts it.
pub(super) fn handle() -> io::Result<Handle> {
    let mut runtime = lock(&RUNTIME);
    let pid = process::id();
    match &*runtime {
        Some((owner, handle)) if *owner == pid => Ok(handle.clone()),
        _ => {
            let handle = start()?;
            // After a fork the parent's runtime has no thread here, and its epoll descriptor is
            // shared with the parent: leave it alone.
            mem::forget(runtime.replace((pid, handle.clone())));
            Ok(handle)
        }
    }
}

fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        // Only names are resolved on other threads; a slow resolver must not collect them.
        .thread_name("xyfast-dns")
        .max_blocking_threads(8)
        .thread_keep_alive(Duration::from_secs(1))
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("xyfast".to_owned())
        .spawn(move || runtime.block_on(future::pending::<()>()))?;
    Ok(handle)
}
