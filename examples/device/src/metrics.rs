//! Numbers of the program, as one line of `name=value` for each round.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cognito_identity_credentials::{RefreshReport, Status};

use crate::readings::Readings;

/// Counted since the start.
#[derive(Default)]
pub struct Metrics {
    refreshes: AtomicU64,
    failed_refreshes: AtomicU64,
    service_calls: AtomicU64,
    last_refresh_ms: AtomicU64,
    uploads: AtomicU64,
    failed_uploads: AtomicU64,
}

impl Metrics {
    /// The library calls this after each refresh.
    pub fn count(&self, report: &RefreshReport) {
        let ms = u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX);
        self.refreshes.fetch_add(1, Relaxed);
        self.service_calls.fetch_add(report.service_calls.into(), Relaxed);
        self.last_refresh_ms.store(ms, Relaxed);
        match &report.result {
            Ok(()) => log::info!("refreshed the credentials in {ms} ms"),
            // The round logs the error.
            Err(_) => drop(self.failed_refreshes.fetch_add(1, Relaxed)),
        }
    }

    pub fn uploaded(&self) {
        self.uploads.fetch_add(1, Relaxed);
    }

    pub fn upload_failed(&self) {
        self.failed_uploads.fetch_add(1, Relaxed);
    }

    pub fn line(&self, status: &Status, token_storage_fails: bool, readings: &Readings) -> String {
        let mut line = String::from("metrics");
        for (name, counter) in [
            ("refreshes", &self.refreshes),
            ("failed_refreshes", &self.failed_refreshes),
            ("service_calls", &self.service_calls),
            ("last_refresh_ms", &self.last_refresh_ms),
            ("uploads", &self.uploads),
            ("failed_uploads", &self.failed_uploads),
        ] {
            let _ = write!(line, " {name}={}", counter.load(Relaxed));
        }
        let identity = status.identity_origin.map_or("none".to_owned(), |from| format!("{from:?}"));
        let valid = status.expires_in.unwrap_or_default().as_secs();
        let error = status.last_error.as_ref();
        let error = error.map_or("none".to_owned(), |error| format!("{:?}", error.kind()));
        let works = |fails| if fails { "fails" } else { "ok" };
        let storage = works(status.storage_error.is_some());
        let tokens = works(token_storage_fails);
        let (waiting, lost) = (readings.len(), readings.lost());
        let _ = write!(
            line,
            " identity={identity} valid_s={valid} last_error={error} storage={storage} \
             token_storage={tokens} waiting={waiting} lost={lost}"
        );
        line
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use cognito_identity_credentials::CognitoIdentityCredentials;
    use cognito_identity_credentials::testing::{FakeCognito, Fault, FaultyStorage};

    use super::*;

    #[test]
    fn refreshes_and_storage_trouble_are_in_the_line() {
        let (cognito, storage) = (FakeCognito::new(), Arc::new(FaultyStorage::new()));
        let metrics = Arc::new(Metrics::default());
        let counted = Arc::clone(&metrics);
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(FakeCognito::POOL_ID)
            .transport(cognito.clone())
            .storage(Arc::clone(&storage))
            .on_refresh(move |report| counted.count(report))
            .build()
            .unwrap();
        let line =
            || metrics.line(&credentials.status(), false, &Readings::new(Path::new("/"), None));
        assert!(line().contains("refreshes=0 failed_refreshes=0 service_calls=0"));
        assert!(line().contains("identity=none valid_s=0 last_error=none storage=ok"));

        storage.fail_next("store", usize::MAX, std::io::ErrorKind::StorageFull);
        credentials.get().unwrap();
        assert!(line().contains("refreshes=1 failed_refreshes=0 service_calls=2"), "{}", line());
        assert!(line().contains("identity=Minted valid_s=35"), "{}", line());
        assert!(line().contains("storage=fails token_storage=ok waiting=0 lost=0"), "{}", line());

        cognito.fail_next("GetCredentialsForIdentity", 1, Fault::not_authorized("No."));
        credentials.refresh().unwrap_err();
        assert!(line().contains("refreshes=2 failed_refreshes=1"), "{}", line());
        assert!(line().contains("last_error=NotAuthorized"), "{}", line());
    }
}
