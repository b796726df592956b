//! The checks of the settings. Each check adds its faults to one list, so one error reports all of
//! them.

use crate::error::ConfigFaults;
use crate::provider::settings::{Parsed, Settings};
use crate::redact;
use crate::service::call_settings::Endpoint;
use crate::service::cognito_identity::Id;
use crate::service::endpoint;

impl Settings {
    /// Checks all settings except `persist_credentials` and the transport.
    pub(super) fn parse(&self, faults: &mut ConfigFaults) -> Parsed {
        let [pool, identity] = self.parse_ids(faults);
        if self.identity_pool_id.is_none() && self.identity_id.is_none() {
            faults.add("identity_pool_id", "not set; set it, or {identity_id}");
        }
        let region = self.parse_region(pool.as_ref(), identity.as_ref(), faults);
        let cognito = Endpoint {
            setting: "endpoint_url",
            custom_url: self.calls.endpoint_url.as_deref(),
            aws_url: endpoint::cognito_identity,
            region: &region,
            region_setting: ("region", "it"),
            is_called: true,
        };
        let sts = Endpoint {
            setting: "sts_endpoint_url",
            custom_url: self.sts_endpoint_url.as_deref(),
            aws_url: endpoint::sts,
            // The enhanced flow does not call STS.
            is_called: self.role_arn.is_some(),
            ..cognito
        };
        let cognito_url = self.calls.url(&cognito, faults);
        let sts_url = self.calls.url(&sts, faults);
        self.check_values(faults);
        self.check_contradictions(faults);
        Parsed { pool, identity, region, cognito_url, sts_url }
    }

    /// Checks each value by itself. The program may still change other settings.
    pub(super) fn check_each(&self, faults: &mut ConfigFaults) {
        self.parse_ids(faults);
        if self.region.as_deref().is_some_and(|region| !endpoint::is_region(region)) {
            faults.add("region", "is not the name of a region");
        }
        // The program may still call `danger_allow_http`.
        let mut check = |setting, url: &Option<String>| {
            faults.check(setting, endpoint::custom(url.as_deref()?, true))
        };
        check("endpoint_url", &self.calls.endpoint_url);
        check("sts_endpoint_url", &self.sts_endpoint_url);
        self.check_values(faults);
    }

    pub(super) fn check_persistence(&self, faults: &mut ConfigFaults) {
        if self.storage.is_none() {
            faults.add("persist_credentials", "needs storage, where the credentials are kept");
        }
        if self.identity_pool_id.is_none() {
            faults.add(
                "persist_credentials",
                "needs {identity_pool_id}: credentials are stored under the pool's ID",
            );
        }
        if (self.developer.is_some() || self.has_logins()) && self.login_id.is_none() {
            faults.add(
                "persist_credentials",
                "needs {login_id} where there are logins or a developer_identity (without \
                 it, one user could get another's credentials)",
            );
        }
    }

    fn has_logins(&self) -> bool {
        self.logins.providers().next().is_some()
    }

    fn parse_ids(&self, faults: &mut ConfigFaults) -> [Option<Id>; 2] {
        let mut parse =
            |setting, id: &Option<String>| faults.check(setting, Id::parse(id.as_deref()?));
        [parse("identity_pool_id", &self.identity_pool_id), parse("identity_id", &self.identity_id)]
    }

    fn parse_region(
        &self,
        pool: Option<&Id>,
        identity: Option<&Id>,
        faults: &mut ConfigFaults,
    ) -> String {
        let (owner, region) = match (pool, identity) {
            (Some(pool), _) => ("identity pool", pool.region()),
            (None, Some(identity)) => ("identity", identity.region()),
            (None, None) => return self.region.clone().unwrap_or_default(),
        };
        // If the parts of an ID are in the wrong order, the GUID is in the place of the region.
        let shown = redact::clean(region);
        if let Some(set) = self.region.as_deref().filter(|set| *set != region) {
            faults.add_with_value(
                "region",
                format!(
                    "{{}} contradicts the {owner}, which is in region {shown}; leave {{region}} out"
                ),
                redact::clean(set),
            );
        }
        let own = identity.map(Id::region).filter(|own| *own != region);
        if let Some(own) = own.filter(|_| self.calls.endpoint_url.is_none()) {
            let own = redact::clean(own);
            faults.add_rule(
                "identity_id",
                format!("it is in region {own}, but the {owner} is in region {shown}"),
            );
        }
        region.to_owned()
    }

    fn check_values(&self, faults: &mut ConfigFaults) {
        if let Some(id) = &self.account_id {
            if !(1..=15).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_digit()) {
                faults.add("account_id", "must be 1 to 15 digits");
            }
        }
        check_text("custom_role_arn", self.custom_role_arn.as_deref(), 20, faults);
        check_text("role_arn", self.role_arn.as_deref(), 20, faults);
        check_text("provider_id", self.provider_id.as_deref(), 4, faults);
        if let Some(policy) = &self.policy {
            faults.check_length("policy", Some(policy), 1, 2048);
            if !policy.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}')) {
                faults.add(
                    "policy",
                    "has a character that STS does not take: a control character, or one above U+00FF",
                );
            }
        }
        if self.policy_arns.len() > 10 {
            let count = self.policy_arns.len();
            faults.add_rule("policy_arns", format!("{count} given, the service takes at most 10"));
        }
        for arn in &self.policy_arns {
            check_text("policy_arns", Some(arn), 20, faults);
        }
        if let Some(name) = &self.role_session_name {
            faults.check_length("role_session_name", Some(name), 2, 64);
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
            if !name.chars().all(allowed) {
                faults.add("role_session_name", "may only have A-Z a-z 0-9 _ + = , . @ -");
            }
        }
        if let Some(duration) = self.duration {
            if !(900..=43_200).contains(&duration.as_secs()) || duration.subsec_nanos() != 0 {
                faults.add("duration", "must be whole seconds, from 15 minutes to 12 hours");
            }
        }
        self.logins.check(faults);
        if self.login_id.as_deref() == Some("") {
            faults.add("login_id", "is empty");
        }
        self.calls.check_limits(faults);
    }

    /// Checks the values that contradict or need each other.
    fn check_contradictions(&self, faults: &mut ConfigFaults) {
        let developer = self.developer.is_some();
        let (has_pool, has_identity) =
            (self.identity_pool_id.is_some(), self.identity_id.is_some());
        let rules = [
            (
                self.role_arn.is_some() && self.custom_role_arn.is_some(),
                "custom_role_arn",
                "cannot be combined with {role_arn}, which selects the classic flow",
            ),
            (developer && self.has_logins(), "login", "cannot be combined with developer_identity"),
            (
                developer && has_identity,
                "identity_id",
                "cannot be combined with developer_identity",
            ),
            (
                self.account_id.is_some() && has_identity && !has_pool,
                "account_id",
                "needs {identity_pool_id}: only GetId sends it, and an identity is set",
            ),
            (
                self.storage.is_some() && !has_pool,
                "storage",
                "needs {identity_pool_id}: the identity is stored under the pool's ID",
            ),
            (
                self.login_id.is_some() && self.storage.is_none(),
                "login_id",
                "names a stored identity, but no storage is set",
            ),
        ];
        for (_, setting, rule) in rules.into_iter().filter(|(broken, ..)| *broken) {
            faults.add(setting, rule);
        }
        for (setting, is_set) in [
            ("role_session_name", self.role_session_name.is_some()),
            ("policy", self.policy.is_some()),
            ("policy_arns", !self.policy_arns.is_empty()),
            ("provider_id", self.provider_id.is_some()),
            ("duration", self.duration.is_some()),
        ] {
            if is_set && self.role_arn.is_none() {
                faults.add(setting, "needs {role_arn}, which selects the classic flow");
            }
        }
    }
}

fn check_text(setting: &'static str, text: Option<&str>, least: usize, faults: &mut ConfigFaults) {
    faults.check_length(setting, text, least, 2048);
    // STS accepts some control characters, but no ARN has any.
    let allowed = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    if !text.unwrap_or_default().chars().all(allowed) {
        faults.add(setting, "has a control character");
    }
}
