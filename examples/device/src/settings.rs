//! The settings, from environment variables. `sensor.env` explains most of them.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, error, fmt, fs};

/// A setting whose value is wrong. The program cannot work until somebody corrects it.
#[derive(Debug)]
pub struct WrongSetting(pub String);

impl fmt::Display for WrongSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for WrongSetting {}

/// Reads the file that a variable names. A failure is not a [`WrongSetting`]: the file may be
/// created later.
pub fn read_file(variable: &str, file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{variable} {}: {error}", file.display()))
}

pub struct Settings {
    /// What must survive a loss of power.
    pub state: PathBuf,
    /// What may be lost with the power. It must be in memory: each round writes there.
    pub runtime: Option<PathBuf>,
    /// Without a user, the device is a guest of the identity pool.
    pub user: Option<User>,
    pub bucket: String,
    pub region: String,
    pub s3_url: Option<String>,
    /// For all calls. The usual variables are not read: ureq and the library read different ones.
    pub proxy: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub sensor_file: PathBuf,
    pub pause: Duration,
    /// How long one `get()` and one upload may take.
    pub call_time: Duration,
}

pub struct User {
    pub pool_id: String,
    pub client_id: String,
    pub refresh_token_file: PathBuf,
    /// Names the user, so that stored credentials are never used for another one.
    pub login_id: String,
    pub endpoint_url: Option<String>,
}

impl Settings {
    /// The library reads the variables of `Builder::from_env` by itself.
    pub fn from_env() -> Result<Self, WrongSetting> {
        Self::read(|name| env::var(name).ok()).map_err(WrongSetting)
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let needed = |name: &str| get(name).ok_or_else(|| format!("{name} is not set"));
        let seconds = |name: &str, default: u64| match get(name).map(|value| value.parse()) {
            None => Ok(Duration::from_secs(default)),
            Some(Ok(seconds @ 1..=86_400)) => Ok(Duration::from_secs(seconds)),
            Some(_) => Err(format!("{name} is not a number of seconds from 1 to 86400")),
        };
        let url = |name: &str| get(name).or_else(|| get("AWS_ENDPOINT_URL"));

        let pool = needed("AWS_COGNITO_IDENTITY_POOL_ID")?;
        let pool_region = pool.split(':').next().unwrap_or_default().to_owned();
        let user = match get("USER_POOL_ID") {
            None => match ["CLIENT_ID", "LOGIN_ID"].into_iter().find(|name| get(name).is_some()) {
                Some(name) => return Err(format!("{name} is set, but USER_POOL_ID is not")),
                None => None,
            },
            Some(pool_id) => Some(User {
                pool_id,
                client_id: needed("CLIENT_ID")?,
                refresh_token_file: needed("REFRESH_TOKEN_FILE")?.into(),
                login_id: needed("LOGIN_ID")?,
                endpoint_url: url("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"),
            }),
        };
        let bucket = needed("BUCKET")?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(allowed) {
            return Err("BUCKET is not the name of a bucket".to_owned());
        }
        Ok(Self {
            state: needed("STATE_DIRECTORY")?.into(),
            runtime: get("RUNTIME_DIRECTORY").map(PathBuf::from),
            user,
            bucket,
            region: get("BUCKET_REGION").unwrap_or(pool_region),
            s3_url: url("AWS_ENDPOINT_URL_S3"),
            proxy: get("PROXY"),
            ca_file: get("AWS_CA_BUNDLE").map(PathBuf::from),
            sensor_file: get("SENSOR_FILE")
                .map_or_else(|| "/sys/class/thermal/thermal_zone0/temp".into(), PathBuf::from),
            pause: seconds("UPLOAD_SECONDS", 60)?,
            call_time: seconds("CALL_SECONDS", 30)?,
        })
    }

    /// How long a refresh of the login token may take.
    pub fn token_time(&self) -> Duration {
        self.call_time.min(Duration::from_secs(20))
    }

    /// The longest time between two signs of life: one `get()`. A refresh that replaces the refresh
    /// token is never abandoned, so it can start at the end of that time and still take its own
    /// time.
    pub fn longest_step(&self) -> Duration {
        self.call_time + self.token_time()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: [(&str, &str); 3] = [
        ("AWS_COGNITO_IDENTITY_POOL_ID", "eu-west-1:12345678-dead-beef-cafe-123456790ab0"),
        ("STATE_DIRECTORY", "/var/lib/sensor"),
        ("BUCKET", "readings"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<Settings, String> {
        let all = [more, &GUEST].concat();
        let found = |name: &str| all.iter().find(|(known, _)| *known == name);
        Settings::read(|name| found(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_guest_needs_a_pool_a_bucket_and_a_directory() {
        let settings = read(&[]).unwrap();
        assert!(settings.user.is_none());
        assert_eq!(settings.region, "eu-west-1");
        assert_eq!(settings.pause, Duration::from_secs(60));
        assert_eq!(settings.longest_step(), Duration::from_secs(50));
        for (name, _) in GUEST {
            assert_eq!(read(&[(name, "")]).err().unwrap(), format!("{name} is not set"));
        }
    }

    #[test]
    fn a_user_needs_all_that_names_it() {
        let user = [
            ("USER_POOL_ID", "eu-west-1_aBcDeFgHi"),
            ("CLIENT_ID", "client"),
            ("REFRESH_TOKEN_FILE", "/token"),
            ("LOGIN_ID", "ann"),
        ];
        assert_eq!(read(&user).unwrap().user.unwrap().login_id, "ann");
        for (name, _) in &user[1..] {
            let error = read(&[&[(*name, "")], &user[..]].concat()).err().unwrap();
            assert_eq!(error, format!("{name} is not set"));
        }
        for name in ["CLIENT_ID", "LOGIN_ID"] {
            let error = read(&[(name, "value")]).err().unwrap();
            assert_eq!(error, format!("{name} is set, but USER_POOL_ID is not"));
        }
    }

    #[test]
    fn a_bucket_has_a_form() {
        assert!(read(&[("BUCKET", "my-readings.2")]).is_ok());
        for wrong in ["ab", "../readings", "a?x=1", "Readings", "readings/a"] {
            assert!(read(&[("BUCKET", wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_has_limits() {
        assert_eq!(read(&[("UPLOAD_SECONDS", "5")]).unwrap().pause, Duration::from_secs(5));
        for wrong in ["0", "-1", "1m", "86401"] {
            assert!(read(&[("UPLOAD_SECONDS", wrong)]).is_err(), "{wrong}");
        }
    }
}
