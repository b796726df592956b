//! Texts of `--help` that belong to no option: examples and exit statuses.

pub(crate) const ROOT_EXAMPLES: &str = "\
Examples:
  cognito-credentials doctor --identity-pool-id us-east-1:12345678-dead-beef-cafe-123456790ab0
  cognito-credentials exec -- aws s3 ls
  cognito-credentials help exec

The pool is read from AWS_COGNITO_IDENTITY_POOL_ID in most examples. --help lists all options.";

pub(crate) const EXIT_STATUSES: &str = "\
Exit status:
  0  success
  1  the service rejected a call, no identity is known, or anything else
  2  the options or settings are wrong
  3  no answer: network, proxy, TLS, a captive portal
  4  no valid login token: sign in again
  5  the service or this system has a temporary failure: try again later
  exec: the program's own status; 126 if it cannot be run, 127 if it does not exist";

pub(crate) const PROCESS_EXAMPLES: &str = "\
Example, in ~/.aws/config:
  [profile device]
  credential_process = cognito-credentials process --identity-pool-id REGION:GUID

A user's login, read from a file:
  cognito-credentials process --login accounts.google.com=@/run/id-token";

pub(crate) const ENV_EXAMPLES: &str = "\
Examples:
  keys=$(cognito-credentials env) && eval \"$keys\"
  (umask 077; cognito-credentials env --format dotenv > device.env)

The credentials end within the hour; see also serve and exec --serve.";

pub(crate) const EXEC_EXAMPLES: &str = "\
Examples:
  cognito-credentials exec -- aws s3 ls
  cognito-credentials exec --serve -- ./uploader --forever

Without --serve the credentials in the environment end within the hour. With --serve the program
can run for months: its AWS SDK gets new ones in time.";

pub(crate) const SERVE_EXAMPLES: &str = "\
Example:
  cognito-credentials serve --listen 127.0.0.1:9911

When it is ready it prints two variables. Programs that have them get credentials from it:
  AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

pub(crate) const IDENTITY_EXAMPLES: &str = "\
Example:
  cognito-credentials identity

The first process, env, exec or serve requests the identity from the service and stores it.";

pub(crate) const STATUS_EXAMPLES: &str = "\
Examples:
  cognito-credentials status
  cognito-credentials status --json";

pub(crate) const FORGET_EXAMPLES: &str = "\
Examples:
  cognito-credentials forget
  cognito-credentials forget --all

A guest gets a new identity after that. A user whose refresh tokens rotate has to sign in again.";

pub(crate) const DOCTOR_EXAMPLES: &str = "\
Examples:
  cognito-credentials doctor
  cognito-credentials doctor --json --login accounts.google.com=@/run/id-token";

pub(crate) const COMPLETIONS_EXAMPLES: &str = "\
Example, in ~/.bashrc:
  source <(cognito-credentials completions bash)";
