//! The settings that the provider and `UserPoolTokens` share, with their defaults and checks.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::error::ConfigFaults;
use crate::service::client::Client;
use crate::service::endpoint;
use crate::transport::Transport;
#[cfg(feature = "ureq")]
use crate::transport::UreqTransport;

#[derive(Clone)]
pub(crate) struct CallSettings {
    pub(crate) endpoint_url: Option<String>,
    pub(crate) use_fips: bool,
    pub(crate) use_dual_stack: bool,
    pub(crate) danger_allow_http: bool,
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) attempt_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_attempts: u32,
}

/// The values from which [`CallSettings::url`] makes the URL of one service.
pub(crate) struct Endpoint<'a> {
    /// The name of the setting that holds `custom_url`.
    pub(crate) setting: &'static str,
    pub(crate) custom_url: Option<&'a str>,
    /// Returns AWS's URL. Parameters: region, FIPS, dual-stack.
    pub(crate) aws_url: fn(&str, bool, bool) -> String,
    /// Empty if the ID that contains the region is malformed.
    pub(crate) region: &'a str,
    /// The setting that contains the region, and the first words of its fault.
    pub(crate) region_setting: (&'static str, &'static str),
    /// Whether the provider calls this service. If not, the settings of its endpoint are not
    /// checked.
    pub(crate) is_called: bool,
}

impl CallSettings {
    /// Returns the defaults. Only `timeout` differs between the provider and `UserPoolTokens`.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            endpoint_url: None,
            use_fips: false,
            use_dual_stack: false,
            danger_allow_http: false,
            transport: None,
            clock: Arc::new(SystemClock),
            attempt_timeout: Duration::from_secs(10),
            timeout,
            max_attempts: 4,
        }
    }

    pub(crate) fn check_limits(&self, faults: &mut ConfigFaults) {
        for (setting, time) in
            [("timeout", self.timeout), ("attempt_timeout", self.attempt_timeout)]
        {
            if time.is_zero() {
                faults.add(setting, "must be longer than zero");
            }
        }
        if self.max_attempts == 0 {
            faults.add("max_attempts", "must be at least 1");
        }
    }

    /// Returns the URL to call. Adds a fault for each wrong setting.
    pub(crate) fn url(&self, service: &Endpoint<'_>, faults: &mut ConfigFaults) -> String {
        let Endpoint { setting, is_called, region, .. } = *service;
        let Some(custom_url) = service.custom_url else {
            if is_called && !region.is_empty() && !endpoint::is_region(region) {
                let (region_setting, subject) = service.region_setting;
                faults.add_rule(
                    region_setting,
                    format!(
                        "{subject} cannot be part of a host name; set {{{setting}}} for an emulator"
                    ),
                );
            }
            return (service.aws_url)(region, self.use_fips, self.use_dual_stack);
        };
        for (flag, on) in [("use_fips", self.use_fips), ("use_dual_stack", self.use_dual_stack)] {
            if on && is_called {
                faults.add_rule(flag, format!("cannot be combined with {{{setting}}}"));
            }
        }
        let url = endpoint::custom(custom_url, self.danger_allow_http);
        faults.check(setting, url).unwrap_or_default()
    }

    pub(crate) fn client(&self, faults: &mut ConfigFaults) -> Option<Client> {
        let transport = self.transport.clone();
        #[cfg(feature = "ureq")]
        let transport = transport.or_else(|| Some(Arc::new(UreqTransport::new())));
        if transport.is_none() {
            faults.add("transport", "not set, and this build has none (feature `ureq` is off)");
        }
        Some(Client::new(transport?, Arc::clone(&self.clock), self.attempt_timeout))
    }
}
