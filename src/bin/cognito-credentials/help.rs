//! The texts of `--help` and `--version`.

pub(crate) const VERSION: &str = concat!("cognito-credentials ", env!("CARGO_PKG_VERSION"), "\n");

pub(crate) const TEXT: &str = "\
Temporary AWS credentials from an Amazon Cognito identity pool.

Usage: cognito-credentials COMMAND [OPTIONS]

  process    print them as JSON, for credential_process in ~/.aws/config
  env        print them for a shell (--format dotenv: as lines of a file)
  exec [OPTIONS] -- PROGRAM [ARGUMENTS]    run a program with them
  identity   print the identity ID             (no network)
  status     tell what is known and kept       (no network)
  forget     remove what is kept for this pool and user: identity, credentials,
             rotated refresh token (then sign in again); --all: everybody's
  doctor     try every step and say what is wrong

  --identity-pool-id ID    REGION:GUID, and nothing else is needed for guests
  --login PROVIDER=SOURCE  a user's token; SOURCE: @FILE, env:NAME, cmd:COMMAND
  --login-id NAME          who the user is, for the cache [by the token]; else
                           cmd: runs for identity, status and forget too
  --user-pool-id ID        a user pool's login, which renews itself, with
                           --user-pool-client-id ID, --refresh-token SOURCE;
                           --user-pool-client-secret SOURCE with
                           --user-pool-username NAME; --user-pool-device-key KEY
  --identity-id ID         better in AWS_COGNITO_IDENTITY_ID: others see options
  --region NAME  --account-id ID  --custom-role-arn ARN
  --role-arn ARN           the classic flow, with --role-session-name NAME,
                           --duration TIME, --policy @FILE
  --endpoint-url URL  --sts-endpoint-url URL  --user-pool-endpoint-url URL
  --danger-allow-http      plain http to other hosts than this one
  --fips  --dual-stack     other endpoints of AWS
  --ca-file PEM            trust these authorities alone
  --proxy URL              [HTTPS_PROXY]; with a password: @FILE or env:NAME
  --timeout TIME           90, 15m [60], for cmd: too     --max-attempts N [4]
  --cache-dir DIRECTORY    [~/.cache/cognito-credentials]     --no-cache
  -v, --verbose  -h, --help  -V, --version

Variables stand for options: AWS_COGNITO_IDENTITY_POOL_ID, AWS_COGNITO_ROLE_ARN,
AWS_ENDPOINT_URL, AWS_CA_BUNDLE, AWS_MAX_ATTEMPTS and others; not AWS_REGION.

Exit status: 0 fine, 1 refused by the service, 2 wrong options or settings,
3 no answer (network, TLS), 4 no good login token: sign in again; exec: that of
the program, 126 if it cannot be run, 127 if it is not there.

  keys=$(cognito-credentials env) && eval \"$keys\"
  cognito-credentials exec -- aws s3 ls
  cognito-credentials process --login accounts.google.com=@/run/id-token
";
