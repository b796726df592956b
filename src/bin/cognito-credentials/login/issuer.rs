//! The provider name that a login needs for the issuer of its token.

/// Returns the name that the login needs, if its name `provider` does not fit the issuer of its
/// token. `None` if the name fits or the issuer names no host.
///
/// A name is the issuer without `https://`, or the ARN of an OIDC provider. SAML tokens and the
/// access tokens of Facebook and Amazon have no issuer.
pub(crate) fn mismatch(provider: &str, issuer: &str) -> Option<String> {
    // Some issuers end in a slash, which is not part of the name.
    let needed = issuer.split_once("://").map_or(issuer, |(_, rest)| rest).trim_end_matches('/');
    let (host, path) = needed.split_once('/').unwrap_or((needed, ""));
    if !host.contains('.') && !issuer.contains("://") {
        return None;
    }
    let own = provider.split_once(":oidc-provider/").map_or(provider, |(_, name)| name);
    let (own_host, own_path) = own.split_once('/').unwrap_or((own, ""));
    // A user pool has one ID and several issuers, for example a dual-stack endpoint or an emulator.
    let same_pool = path == own_path && path.contains('_');
    if same_pool || (host.eq_ignore_ascii_case(own_host) && path == own_path.trim_end_matches('/'))
    {
        return None;
    }
    Some(needed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: &str = "cognito-idp.us-east-1.amazonaws.com/us-east-1_abc";

    #[test]
    fn a_login_has_the_name_of_its_tokens_issuer() {
        let user_pool = format!("https://{POOL}");
        let rows = [
            ("accounts.google.com", "https://accounts.google.com"),
            ("accounts.google.com", "accounts.google.com"),
            ("Accounts.Google.com", "https://accounts.google.com"),
            (POOL, &user_pool),
            (POOL, "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_abc"),
            (POOL, "http://localhost:9229/us-east-1_abc"),
            ("appleid.apple.com", "https://appleid.apple.com"),
            ("www.amazon.com", "https://www.amazon.com"),
            ("www.facebook.com", "https://www.facebook.com"),
            ("cognito-identity.amazonaws.com", "https://cognito-identity.amazonaws.com"),
            ("tenant.auth0.com", "https://tenant.auth0.com/"),
            ("tenant.auth0.com/", "https://tenant.auth0.com/"),
            ("sso.example.com/realms/devices", "https://sso.example.com/realms/devices"),
            (
                "arn:aws:iam::123456789012:oidc-provider/sso.example.com/realms/devices",
                "https://sso.example.com/realms/devices",
            ),
            // This issuer names no host.
            ("login.example.app", "our-issuer"),
            ("login.example.app", ""),
        ];
        for (provider, issuer) in rows {
            assert_eq!(mismatch(provider, issuer), None, "{provider} {issuer}");
        }
    }

    #[test]
    fn a_login_whose_name_does_not_fit_its_token_gets_the_name_that_fits() {
        let user_pool = format!("https://{POOL}");
        let rows = [
            ("accounts.google.com", &*user_pool, POOL),
            (POOL, "https://accounts.google.com", "accounts.google.com"),
            (&user_pool, &user_pool, POOL),
            ("https://accounts.google.com", "https://accounts.google.com", "accounts.google.com"),
            ("cognito-idp.us-east-1.amazonaws.com", &user_pool, POOL),
            ("us-east-1_abc", &user_pool, POOL),
            ("cognito-idp.us-east-1.amazonaws.com/us-east-1_other", &user_pool, POOL),
            ("graph.facebook.com", "https://www.facebook.com", "www.facebook.com"),
            ("www.amazon.com", "https://appleid.apple.com", "appleid.apple.com"),
            ("sso.example.com", "https://sso.example.com/realms/a", "sso.example.com/realms/a"),
            (
                "sso.example.com/realms/b",
                "https://sso.example.com/realms/a",
                "sso.example.com/realms/a",
            ),
            ("login.microsoftonline.com/t/v2.0", "https://sts.windows.net/t/", "sts.windows.net/t"),
            (
                "arn:aws:iam::123456789012:saml-provider/office",
                "https://accounts.google.com",
                "accounts.google.com",
            ),
            (
                "arn:aws:iam::123456789012:oidc-provider/sso.example.com",
                "https://accounts.google.com",
                "accounts.google.com",
            ),
            (
                "login.example.app",
                "https://cognito-identity.amazonaws.com",
                "cognito-identity.amazonaws.com",
            ),
        ];
        for (provider, issuer, needed) in rows {
            assert_eq!(mismatch(provider, issuer).as_deref(), Some(needed), "{provider} {issuer}");
        }
    }
}
