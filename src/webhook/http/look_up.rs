//! Looks up names, with the system's resolver: `/etc/hosts`, `nsswitch.conf` and all.
//!
//! In comes a name, out go its addresses. `getaddrinfo` can't be stopped, and takes as long as
//! `resolv.conf` lets it: minutes, where no server answers. So a look-up has a thread of its own
//! and takes none from the runtime, whose threads read the log and save the queues of all webhooks.
//! Always true: for each webhook, a name has one look-up at a time, and attempts that need the same
//! name meanwhile wait for its answer. So there is at most one such thread for each webhook and
//! name, however many attempts give up waiting.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, ToSocketAddrs as _},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::watch;

/// Finds the addresses of a name.
pub(in crate::webhook) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<io::Result<Vec<IpAddr>>> + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The addresses, or why there are none; `None` as long as that isn't known.
type Answer = Option<Result<Vec<IpAddr>, (io::ErrorKind, String)>>;

/// The look-ups under way, by their names.
type UnderWay = Arc<Mutex<HashMap<String, watch::Receiver<Answer>>>>;

/// The system's resolver, for one webhook.
pub(in crate::webhook) fn system_lookup() -> Lookup {
    on_threads(|name| {
        let found = (name, 0).to_socket_addrs()?;
        Ok(found.map(|address| address.ip()).collect())
    })
}

/// Has names resolved by `resolve`, which may take its time.
fn on_threads(resolve: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Lookup {
    let resolve = Arc::new(resolve);
    let under_way = UnderWay::default();
    Arc::new(move |name| {
        let begun = joined(&under_way, name, &resolve);
        Box::pin(async move {
            let mut answer = begun?;
            let gone = |_| io::Error::other("the look-up of the name panicked");
            let answer = answer.wait_for(Option::is_some).await.map_err(gone)?;
            match &*answer {
                Some(Ok(found)) => Ok(found.clone()),
                Some(Err((kind, text))) => Err(io::Error::new(*kind, text.clone())),
                None => Err(io::Error::other("the look-up of the name has no answer")),
            }
        })
    })
}

/// The answer of the look-up of this name, which is begun unless it is under way.
fn joined(
    under_way: &UnderWay,
    name: String,
    resolve: &Arc<impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static>,
) -> io::Result<watch::Receiver<Answer>> {
    let mut names = locked(under_way);
    // A look-up whose thread panicked never gets an answer, so a new one is begun.
    let answering = |answer: &&watch::Receiver<Answer>| answer.has_changed().is_ok();
    if let Some(answer) = names.get(&name).filter(answering) {
        return Ok(answer.clone());
    }
    let (sender, answer) = watch::channel(None);
    let (of, wanted) = (Arc::clone(under_way), name.clone());
    let resolve = Arc::clone(resolve);
    thread::Builder::new()
        .name("audit-look-up".into())
        .spawn(move || {
            let found = resolve(&wanted).map_err(|error| (error.kind(), error.to_string()));
            // An attempt that asks from now on begins a new look-up.
            locked(&of).remove(&wanted);
            sender.send_replace(Some(found));
        })?;
    names.insert(name, answer.clone());
    Ok(answer)
}

fn locked(under_way: &UnderWay) -> MutexGuard<'_, HashMap<String, watch::Receiver<Answer>>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use tokio::{runtime, task::spawn_blocking, time::timeout};

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Resolves nothing as long as the lock is held; counts how often it was asked.
    fn hanging(lock: &Arc<Mutex<()>>) -> (Lookup, Arc<AtomicUsize>) {
        let asked = Arc::<AtomicUsize>::default();
        let (lock, count) = (Arc::clone(lock), Arc::clone(&asked));
        let lookup = on_threads(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            drop(lock.lock());
            Ok(vec![ADDRESS])
        });
        (lookup, asked)
    }

    #[test]
    fn names_that_never_resolve_take_no_thread_that_others_need() {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .build()
            .unwrap();
        let lock = Arc::new(Mutex::new(()));
        let held = lock.lock().unwrap();
        runtime.block_on(async {
            for _ in 0..45 {
                let (lookup, _) = hanging(&lock);
                let waited = timeout(Duration::from_millis(1), lookup("nowhere.example".into()));
                assert!(waited.await.is_err(), "it hangs");
            }
            let work = timeout(Duration::from_secs(10), spawn_blocking(|| ()));
            work.await.expect("there is a thread for it").unwrap();
        });
        drop(held);
    }

    #[test]
    fn a_name_is_looked_up_once_at_a_time() {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let lock = Arc::new(Mutex::new(()));
        let (lookup, asked) = hanging(&lock);
        let ask = || lookup("a.example".to_owned());
        let held = lock.lock().unwrap();
        for _ in 0..5 {
            let waited = runtime.block_on(async { timeout(Duration::from_millis(1), ask()).await });
            assert!(waited.is_err(), "it hangs");
        }
        drop(held);
        let (first, second) = runtime.block_on(async { tokio::join!(ask(), ask()) });
        assert_eq!(first.unwrap(), [ADDRESS]);
        assert_eq!(second.unwrap(), [ADDRESS]);
        let before = asked.load(Ordering::SeqCst);
        assert!((1..=2).contains(&before), "{before} look-ups");
        runtime.block_on(ask()).unwrap();
        let after = asked.load(Ordering::SeqCst);
        assert_eq!(after, before + 1, "no answer is kept");
    }

    #[tokio::test]
    async fn an_error_keeps_its_kind_and_text_and_a_panic_is_one() {
        let failing = on_threads(|name| match name {
            "panics.example" => panic!("as it is told"),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
        });
        let error = failing("nowhere.example".to_owned()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (io::ErrorKind::NotFound, "no such name".to_owned())
        );
        for _ in 0..2 {
            let error = failing("panics.example".to_owned()).await.unwrap_err();
            assert!(error.to_string().contains("panicked"), "{error}");
        }
    }
}
