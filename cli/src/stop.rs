//! Ctrl-C and SIGTERM as a question that long work asks now and then, so it ends between two steps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

/// Whether someone asked us to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on the signals are only noted; the second one ends the process.
    pub(super) fn on_signal() -> Self {
        let stop = Self::default();
        let flag = stop.clone();
        let (begun, begins) = mpsc::channel::<()>();
        let watch = move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
            else {
                return;
            };
            runtime.block_on(async {
                let mut next = signal();
                drop(begun);
                while next.await {
                    next = signal();
                    if flag.0.swap(true, Ordering::Relaxed) {
                        std::process::exit(130);
                    }
                }
            });
        };
        // Without the thread the signals do what they always do.
        let _ = thread::Builder::new().name("signals".into()).spawn(watch);
        // Nothing is sent: it ends when the signals are waited for, or can't be.
        let _ = begins.recv();
        stop
    }

    pub(super) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Waits for Ctrl-C or SIGTERM, which from this call on end nothing by themselves; also before it
/// is awaited. False if they can't be waited for. Call it within a runtime.
pub(super) fn signal() -> impl Future<Output = bool> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    async {
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            return tokio::signal::ctrl_c().await.is_ok();
        };
        tokio::select! {
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
        }
    }
}
