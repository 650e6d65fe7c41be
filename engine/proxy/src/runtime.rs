//! The one tokio runtime of the process, shared by every Proxy, Listener and Dialer, so that the number of
//! threads follows the CPU limit and not the number of sockets. It starts when first used and is never dropped.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// Most workers that are started unasked; a sidecar that needs more than four cores should say so.
const DEFAULT_WORKERS_AT_MOST: usize = 4;

/// Use this many worker threads (0 = from the CPU limit). Returns false when the runtime already runs with others.
pub fn set_workers(workers: usize) -> bool {
    match RUNTIME.get() {
        None => {
            WORKERS.store(workers, Ordering::SeqCst);
            true
        }
        Some(running) => workers == 0 || running.metrics().num_workers() == workers,
    }
}

/// The runtime, started now if it was not before.
///
/// # Panics
/// When the system refuses to start a thread, which nothing in this process could survive.
pub fn handle() -> &'static Handle {
    RUNTIME.get_or_init(start).handle()
}

fn start() -> Runtime {
    let workers = match WORKERS.load(Ordering::SeqCst) {
        // available_parallelism honours cgroup quotas and CPU affinity.
        0 => std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(DEFAULT_WORKERS_AT_MOST),
        chosen => chosen,
    };
    let built = Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("featward-engine")
        .enable_all()
        .build();
    match built {
        Ok(runtime) => runtime,
        Err(error) => panic!("cannot start the engine's {workers} threads: {error}"),
    }
}
