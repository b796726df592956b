//! Gets credentials for a user who signed in once. The refresh token gets login tokens, and these
//! get credentials.
//!
//! Without settings, it uses `FakeCognito`:
//!
//! ```sh
//! cargo run --example user_pool --features testing,user-pool
//! ```
//!
//! With these variables it calls AWS, or the emulator at `AWS_ENDPOINT_URL`:
//!
//! | variable | |
//! |---|---|
//! | `AWS_COGNITO_IDENTITY_POOL_ID` | the identity pool, which accepts logins of the user pool |
//! | `USER_POOL_ID`, `CLIENT_ID` | the user pool and its app client |
//! | `CLIENT_SECRET`, `POOL_USERNAME` | for an app client with a secret |
//! | `REFRESH_TOKEN_FILE` | the file with the refresh token of the sign-in |
//! | `STATE_DIRECTORY` | the directory for the identity, and for a refresh token that was rotated |
//!
//! It ends with status 2 if the user has to sign in again.

use std::env;
use std::fs;
use std::process::ExitCode;

use cognito_identity_credentials::testing::FakeCognito;
use cognito_identity_credentials::{
    BoxError, Builder, CognitoIdentityCredentials, Error, FileStorage, UserPoolTokens,
};

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    match error.downcast_ref::<Error>() {
        Some(error) => {
            eprintln!("error: {error:#}");
            error.hint().into_iter().for_each(|hint| eprintln!("hint: {hint}"));
            if error.needs_sign_in() {
                eprintln!("the user has to sign in again");
                return ExitCode::from(2);
            }
        }
        None => eprintln!("error: {error}"),
    }
    ExitCode::FAILURE
}

fn run() -> Result<(), BoxError> {
    let (tokens, credentials) =
        if env::var_os("USER_POOL_ID").is_some() { on_cognito()? } else { on_the_fake()? };
    println!("logging in as a user of {}", tokens.provider());
    let keys = credentials.get()?;
    println!("access key ID  {}", keys.access_key_id());
    println!("expires        {}", humantime::format_rfc3339_seconds(keys.expiration()));

    // The refresh also works hours later: if the login token has expired, the refresh token gets a
    // new one.
    let next = credentials.refresh()?;
    assert_eq!(next.identity_id(), keys.identity_id());
    println!("refreshed      {}", next.access_key_id());
    if let Some(error) = tokens.storage_error() {
        eprintln!("a restart needs another sign-in: {error:#}");
    }
    Ok(())
}

fn on_cognito() -> Result<(UserPoolTokens, CognitoIdentityCredentials), BoxError> {
    let needed = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
    let folder = needed("STATE_DIRECTORY")?;
    let refresh_token = fs::read_to_string(needed("REFRESH_TOKEN_FILE")?)?;

    let mut settings = UserPoolTokens::builder()
        .user_pool_id(needed("USER_POOL_ID")?)
        .client_id(needed("CLIENT_ID")?)
        .refresh_token(refresh_token.trim())
        .storage(FileStorage::new(&folder));
    if let Ok(secret) = env::var("CLIENT_SECRET") {
        settings = settings.client_secret(secret).username(needed("POOL_USERNAME")?);
    }
    if let Ok(url) = env::var("AWS_ENDPOINT_URL") {
        settings = settings.endpoint_url(url);
    }
    let tokens = settings.build()?;
    let credentials = Builder::from_env()?
        .login_from_user_pool(&tokens)
        .storage(FileStorage::new(&folder))
        .on_refresh(|report| {
            report.storage_error.iter().for_each(|error| eprintln!("storage: {error:#}"));
        })
        .build()?;
    Ok((tokens, credentials))
}

fn on_the_fake() -> Result<(UserPoolTokens, CognitoIdentityCredentials), BoxError> {
    println!("USER_POOL_ID is not set: running on FakeCognito, in memory.");
    let cognito = FakeCognito::new();
    let tokens = UserPoolTokens::builder()
        .user_pool_id(FakeCognito::USER_POOL_ID)
        .client_id(FakeCognito::CLIENT_ID)
        .refresh_token(cognito.sign_in("ann"))
        .transport(cognito.clone())
        .build()?;
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(FakeCognito::POOL_ID)
        .login_from_user_pool(&tokens)
        .transport(cognito)
        .build()?;
    Ok((tokens, credentials))
}
