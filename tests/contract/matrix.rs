//! Which service can do which scenario. `docs/contract.md` shows it.

use crate::scenarios::SCENARIOS;

/// A service and what it can do: every scenario that is not in `cannot`.
pub(crate) struct Column {
    pub(crate) service: &'static str,
    /// The beginning of the names of its variables; empty for a service in this process.
    pub(crate) prefix: &'static str,
    /// The variable that starts its tests, without the prefix.
    pub(crate) needs: &'static str,
    /// The operation that ends a sign-in. Only an emulator lets a test call
    /// `AdminUserGlobalSignOut`.
    pub(crate) ends_sign_in: EndsSignIn,
    /// Nobody has run the scenarios on it yet.
    pub(crate) untried: bool,
    pub(crate) cannot: &'static [Cannot],
}

#[derive(Clone, Copy)]
pub(crate) enum EndsSignIn {
    RevokeToken,
    AdminUserGlobalSignOut,
}

/// Scenarios that a service cannot do.
pub(crate) struct Cannot {
    pub(crate) scenarios: &'static [&'static str],
    pub(crate) why: &'static str,
    /// A part of the text of the failure, so that the scenario fails only for this reason.
    pub(crate) shows: &'static str,
}

pub(crate) enum Cell {
    Works,
    /// Must work, but nobody has run it yet.
    Untried,
    Cannot(&'static Cannot),
}

const NOT_THROTTLED: Cannot = Cannot {
    scenarios: &["throttled"],
    why: "A test cannot make this service throttle.",
    shows: "a test cannot make this service throttle",
};

const NO_IDENTITY_POOLS: Cannot = Cannot {
    scenarios: &[
        "guest",
        "user",
        "returning user",
        "developer",
        "classic",
        "disabled identity",
        "unknown pool",
    ],
    why: "It has no identity pools.",
    shows: "CONTRACT_COGNITO_LOCAL_IDENTITY_POOL_ID is not set",
};

/// Fills the fields that most columns share.
const IN_THIS_PROCESS: Column = Column {
    service: "",
    prefix: "",
    needs: "",
    ends_sign_in: EndsSignIn::RevokeToken,
    untried: false,
    cannot: &[],
};

pub(crate) static COLUMNS: [Column; 6] = [
    Column { service: "FakeCognito", ..IN_THIS_PROCESS },
    Column { service: "FakeServer", ..IN_THIS_PROCESS },
    Column {
        service: "moto",
        prefix: "CONTRACT_MOTO",
        needs: "ENDPOINT_URL",
        ends_sign_in: EndsSignIn::AdminUserGlobalSignOut,
        untried: false,
        cannot: &[
            Cannot {
                scenarios: &["returning user"],
                why: "`GetId` creates a new identity for each call, whatever the login.",
                shows: "identity of the returning user",
            },
            Cannot {
                scenarios: &["rotated"],
                why: "It has no `GetTokensFromRefreshToken`: the answer is a page with status 500.",
                shows: "GetTokensFromRefreshToken: the service gave no message (HTTP status 500)",
            },
            Cannot {
                scenarios: &["disabled identity"],
                why: "It gives credentials for every identity ID and merges none.",
                shows: "identity after the merge",
            },
            Cannot {
                scenarios: &["unknown pool"],
                why: "For an unknown pool the answer is a page with status 500.",
                shows: "GetId: the service gave no message (HTTP status 500)",
            },
            NOT_THROTTLED,
        ],
    },
    Column {
        service: "ministack",
        prefix: "CONTRACT_MINISTACK",
        needs: "ENDPOINT_URL",
        ends_sign_in: EndsSignIn::RevokeToken,
        untried: false,
        cannot: &[
            Cannot {
                scenarios: &["developer"],
                why: "It has no `GetOpenIdTokenForDeveloperIdentity`.",
                shows: "CONTRACT_MINISTACK_DEVELOPER_IDENTITY_ID is not set",
            },
            Cannot {
                scenarios: &["rotated"],
                why: "It has `GetTokensFromRefreshToken`, but never rotates.",
                shows: "the refresh token was not replaced",
            },
            NOT_THROTTLED,
        ],
    },
    Column {
        service: "cognito-local",
        prefix: "CONTRACT_COGNITO_LOCAL",
        needs: "ENDPOINT_URL",
        ends_sign_in: EndsSignIn::RevokeToken,
        untried: false,
        cannot: &[
            NO_IDENTITY_POOLS,
            Cannot {
                scenarios: &["rotated"],
                why: "It has no `GetTokensFromRefreshToken`.",
                shows: "GetTokensFromRefreshToken: Unsupported",
            },
            NOT_THROTTLED,
        ],
    },
    Column {
        service: "AWS",
        prefix: "LIVE_AWS",
        needs: "IDENTITY_POOL_ID",
        ends_sign_in: EndsSignIn::RevokeToken,
        untried: true,
        cannot: &[NOT_THROTTLED],
    },
];

impl Column {
    pub(crate) fn of(service: &str) -> &'static Self {
        COLUMNS.iter().find(|column| column.service == service).unwrap()
    }

    pub(crate) fn cell(&'static self, scenario: &str) -> Cell {
        match self.cannot.iter().find(|cannot| cannot.scenarios.contains(&scenario)) {
            Some(cannot) => Cell::Cannot(cannot),
            None if self.untried => Cell::Untried,
            None => Cell::Works,
        }
    }
}

/// Returns the table for `docs/contract.md`, with the reasons why a service cannot do a scenario.
pub(crate) fn table() -> String {
    let services: Vec<_> = COLUMNS.iter().map(|column| column.service).collect();
    let mut lines = vec![
        format!("| scenario | {} |", services.join(" | ")),
        format!("|---|{}", "---|".repeat(services.len())),
    ];
    for scenario in &SCENARIOS {
        let mut line = format!("| {} |", scenario.name);
        for column in &COLUMNS {
            line += match column.cell(scenario.name) {
                Cell::Works => " yes |",
                Cell::Untried => " *untried* |",
                Cell::Cannot(_) => " no |",
            };
        }
        lines.push(line);
    }
    lines.push(String::new());
    for column in &COLUMNS {
        for Cannot { scenarios, why, .. } in column.cannot {
            lines.push(format!("* {} ({}): {why}", column.service, scenarios.join(", ")));
        }
    }
    lines.join("\n") + "\n"
}
