//! The texts of `--help` and `--version`.

pub(crate) const VERSION: &str = concat!("cognito-credentials ", env!("CARGO_PKG_VERSION"), "\n");

pub(crate) const TEXT: &str = "\
Temporary AWS credentials from an Amazon Cognito identity pool.

Usage: cognito-credentials COMMAND [OPTIONS]

  process    print them as JSON, for credential_process in ~/.aws/config
  env        print them for a shell (--format dotenv: as lines of a file)
  exec [OPTIONS] -- PROGRAM [ARGUMENTS]    run a program with them
  identity   print the identity ID             (no network)
  status     print what is known and cached    (no network)
  forget     remove the records of this pool and user: identity, credentials,
             rotated refresh token (then sign in again); --all: of all users
  doctor     try every step and report what is wrong

  --identity-pool-id ID    REGION:GUID; a guest needs no other option
  --login PROVIDER=SOURCE  a user's token; SOURCE: @FILE, env:NAME, cmd:COMMAND
  --login-id NAME          names the user of the cache; without it, each command
                           reads the token for the name, even identity, forget
  --user-pool-id ID        a user pool's login, which is refreshed, with
                           --user-pool-client-id ID, --refresh-token SOURCE;
                           --user-pool-client-secret SOURCE with
                           --user-pool-username NAME; --user-pool-device-key KEY
  --identity-id ID         safer in AWS_COGNITO_IDENTITY_ID: others see options
  --region NAME  --account-id ID  --custom-role-arn ARN
  --role-arn ARN           the classic flow, with --role-session-name NAME,
                           --duration TIME, --policy @FILE
  --endpoint-url URL  --sts-endpoint-url URL  --user-pool-endpoint-url URL
  --danger-allow-http      allow plain http to other hosts
  --fips  --dual-stack     use these endpoints of AWS
  --ca-file PEM            trust only these authorities
  --proxy URL              [HTTPS_PROXY]; with a password: @FILE or env:NAME
  --timeout TIME           90, 15m [60], for cmd: too     --max-attempts N [4]
  --cache-dir DIRECTORY    [~/.cache/cognito-credentials]     --no-cache
  -v, --verbose  -h, --help  -V, --version

Variables replace options: AWS_COGNITO_IDENTITY_POOL_ID, AWS_COGNITO_ROLE_ARN,
AWS_ENDPOINT_URL, AWS_CA_BUNDLE, AWS_MAX_ATTEMPTS and others; not AWS_REGION.

Exit status: 0 success, 1 rejected by the service, 2 wrong options or settings,
3 no answer (network, TLS), 4 no valid login token: sign in again; exec: that of
the program, 126 if it cannot be run, 127 if it does not exist.

  keys=$(cognito-credentials env) && eval \"$keys\"
  cognito-credentials exec -- aws s3 ls
  cognito-credentials process --login accounts.google.com=@/run/id-token
";
