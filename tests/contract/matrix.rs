//! Which service can do which scenario. `docs/contract.md` shows it.

use crate::scenarios::SCENARIOS;

/// A service and what it can do.
pub(crate) struct Column {
    pub(crate) service: &'static str,
    /// The beginning of the names of its variables; empty for a service in this process.
    pub(crate) prefix: &'static str,
    /// The variable without which it is not tested, after the prefix.
    pub(crate) needs: &'static str,
    /// The operation that ends a sign-in. Only emulators let a test call the administrator's.
    pub(crate) ends_sign_in: EndsSignIn,
    /// One for each of [`SCENARIOS`].
    pub(crate) cells: [Cell; SCENARIOS.len()],
}

#[derive(Clone, Copy)]
pub(crate) enum EndsSignIn {
    RevokeToken,
    AdminUserGlobalSignOut,
}

pub(crate) enum Cell {
    Works,
    /// Must work, but nobody has run it yet.
    Untried,
    Cannot {
        why: &'static str,
        /// What the failure of the scenario says, so that it fails for this reason and no other.
        shows: &'static str,
    },
}

use Cell::{Untried, Works};

const NOT_THROTTLED: Cell =
    Cell::Cannot { why: "Throttling cannot be ordered.", shows: "throttling cannot be ordered" };

const fn no_identity_pools() -> Cell {
    Cell::Cannot {
        why: "It has no identity pools.",
        shows: "CONTRACT_COGNITO_LOCAL_IDENTITY_POOL_ID is not set",
    }
}

/// The rows of `cells` are those of [`SCENARIOS`].
pub(crate) const COLUMNS: [Column; 6] = [
    Column {
        service: "FakeCognito",
        prefix: "",
        needs: "",
        ends_sign_in: EndsSignIn::RevokeToken,
        cells: [const { Works }; SCENARIOS.len()],
    },
    Column {
        service: "FakeServer",
        prefix: "",
        needs: "",
        ends_sign_in: EndsSignIn::RevokeToken,
        cells: [const { Works }; SCENARIOS.len()],
    },
    Column {
        service: "moto",
        prefix: "CONTRACT_MOTO",
        needs: "ENDPOINT_URL",
        ends_sign_in: EndsSignIn::AdminUserGlobalSignOut,
        cells: [
            Works,
            Works,
            Works,
            Cell::Cannot {
                why: "`GetId` creates a new identity for each call, whatever the login.",
                shows: "identity of the returning user",
            },
            Works,
            Works,
            Works,
            Cell::Cannot {
                why: "It has no `GetTokensFromRefreshToken`: the answer is a page with status 500.",
                shows: "GetTokensFromRefreshToken: the service gave no message (HTTP status 500)",
            },
            Cell::Cannot {
                why: "It gives credentials for every identity ID and merges none.",
                shows: "identity after the merge",
            },
            Cell::Cannot {
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
        cells: [
            Works,
            Works,
            Works,
            Works,
            Cell::Cannot {
                why: "It has no `GetOpenIdTokenForDeveloperIdentity`.",
                shows: "CONTRACT_MINISTACK_DEVELOPER_IDENTITY_ID is not set",
            },
            Works,
            Works,
            Cell::Cannot {
                why: "It has `GetTokensFromRefreshToken`, but never rotates.",
                shows: "the refresh token was not replaced",
            },
            Works,
            Cell::Cannot {
                why: "Its message for an unknown pool is not that of AWS, so the hint is another.",
                shows: "hint of GetId",
            },
            NOT_THROTTLED,
        ],
    },
    Column {
        service: "cognito-local",
        prefix: "CONTRACT_COGNITO_LOCAL",
        needs: "ENDPOINT_URL",
        ends_sign_in: EndsSignIn::RevokeToken,
        cells: [
            Works,
            no_identity_pools(),
            no_identity_pools(),
            no_identity_pools(),
            no_identity_pools(),
            no_identity_pools(),
            Works,
            Cell::Cannot {
                why: "It has no `GetTokensFromRefreshToken`.",
                shows: "GetTokensFromRefreshToken: Unsupported",
            },
            no_identity_pools(),
            no_identity_pools(),
            NOT_THROTTLED,
        ],
    },
    Column {
        service: "AWS",
        prefix: "LIVE_AWS",
        needs: "IDENTITY_POOL_ID",
        ends_sign_in: EndsSignIn::RevokeToken,
        cells: [
            Untried,
            Untried,
            Untried,
            Untried,
            Untried,
            Untried,
            Untried,
            Untried,
            Untried,
            Untried,
            NOT_THROTTLED,
        ],
    },
];

/// Returns the table for `docs/contract.md`, and below it why a service cannot do a scenario.
pub(crate) fn table() -> String {
    let services: Vec<_> = COLUMNS.iter().map(|column| column.service).collect();
    let mut lines = vec![
        format!("| scenario | {} |", services.join(" | ")),
        format!("|---|{}", "---|".repeat(services.len())),
    ];
    // Service, reason, and the scenarios that it is the reason for.
    let mut reasons = Vec::<(&str, &str, Vec<&str>)>::new();
    for column in &COLUMNS {
        for (scenario, cell) in SCENARIOS.iter().zip(&column.cells) {
            let Cell::Cannot { why, .. } = cell else { continue };
            let known = reasons.iter_mut().find(|r| (r.0, r.1) == (column.service, *why));
            match known {
                Some((_, _, scenarios)) => scenarios.push(scenario.name),
                None => reasons.push((column.service, why, vec![scenario.name])),
            }
        }
    }
    for (row, scenario) in SCENARIOS.iter().enumerate() {
        let mut line = format!("| {} |", scenario.name);
        for column in &COLUMNS {
            line += match &column.cells[row] {
                Cell::Works => " yes |",
                Cell::Untried => " *untried* |",
                Cell::Cannot { .. } => " no |",
            };
        }
        lines.push(line);
    }
    lines.push(String::new());
    for (service, why, scenarios) in reasons {
        lines.push(format!("* {service} ({}): {why}", scenarios.join(", ")));
    }
    lines.join("\n") + "\n"
}
