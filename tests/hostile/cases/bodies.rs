//! JSON and XML that is not an answer of the service.

use super::*;

pub(super) fn json() -> Vec<Case> {
    let good = issued("HOSTILE");
    let mut all = Vec::new();

    let many_keys = |count: usize| {
        let keys: String = (0..count).map(|key| format!("\"{key:x}\":0,")).collect();
        format!("{{{keys}\"\":0}}")
    };
    let with_field = |field: &str| format!("{{{field},{}", &good[1..]);
    let expiring = |value: &str| good.replace("1767229200", value);
    let numbers = format!("[{}0]", "0,".repeat(120_000));
    let lists = format!("[{}0]", "[],".repeat(80_000));
    let escapes = "\\u0041".repeat(200 * 1024 / 6);
    for (name, outcome, body) in [
        ("empty", UNUSABLE, Vec::new()),
        ("null", UNUSABLE, "null".into()),
        ("a list", UNUSABLE, "[]".into()),
        ("a text", UNUSABLE, "\"x\"".into()),
        ("an empty object", UNUSABLE, "{}".into()),
        ("true", UNUSABLE, "true".into()),
        ("a number", UNUSABLE, "1e9999".into()),
        ("spaces", UNUSABLE, vec![b' '; 200_000]),
        ("NULs", UNUSABLE, vec![0; 200_000]),
        ("0xff", UNUSABLE, vec![0xff; 200_000]),
        ("noise", UNUSABLE, noise(200_000, 3)),
        ("deflate", UNUSABLE, [&[0x78, 0x9c][..], &noise(200, 11)].concat()),
        ("brotli", UNUSABLE, [&[0x8b, 0x80][..], &noise(200, 12)].concat()),
        ("gzip", UNUSABLE, [&[0x1f, 0x8b, 8, 0][..], &noise(200, 4)].concat()),
        ("UTF-16", UNUSABLE, utf16(&good, false)),
        ("UTF-16 with a mark", UNUSABLE, utf16(&good, true)),
        ("UTF-8 with a mark", UNUSABLE, format!("\u{feff}{good}").into()),
        ("Latin-1", UNUSABLE, good.replace("secret", "\0").bytes().map(|b| b.max(0xe4)).collect()),
        ("NUL in a text", UNUSABLE, good.replace("secret", "se\0cret").into()),
        ("more after the end", UNUSABLE, format!("{good}{good}").into()),
        ("100,000 nested arrays", UNUSABLE, nested("[", "]", 100_000).into()),
        ("100,000 open arrays", UNUSABLE, "[".repeat(100_000).into()),
        ("40,000 nested objects", UNUSABLE, nested("{\"\":", "}", 40_000).into()),
        ("100,000 open objects", UNUSABLE, "{\"\":".repeat(50_000).into()),
        ("a deep field", TAKEN, with_field(&format!("\"x\":{}", nested("[", "]", 100_000))).into()),
        ("a text of escapes", UNUSABLE, format!("\"{escapes}\"").into()),
        ("a field of escapes", TAKEN, with_field(&format!("\"x\":\"{escapes}\"")).into()),
        ("an ID of escapes", UNUSABLE, format!(r#"{{"IdentityId":"{escapes}"}}"#).into()),
        ("many keys", UNUSABLE, many_keys(28_000).into()),
        ("50,000 keys", UNUSABLE, many_keys(50_000).into()),
        ("a list of numbers", UNUSABLE, numbers.clone().into()),
        ("an ID that is a list", UNUSABLE, format!(r#"{{"IdentityId":{numbers}}}"#).into()),
        ("an expiration of many numbers", UNUSABLE, expiring(&numbers).into()),
        ("an expiration of many lists", UNUSABLE, expiring(&lists).into()),
        ("an expiration of many keys", UNUSABLE, expiring(&many_keys(28_000)).into()),
        ("an expiration of 100,000 digits", UNUSABLE, expiring(&"9".repeat(100_000)).into()),
        ("an expiration of 100,000 decimals", TAKEN, {
            expiring(&format!("1767229200.{}", "9".repeat(100_000))).into()
        }),
        ("a negative expiration", UNUSABLE, expiring("-1767229200").into()),
        ("an expiration in the past", UNUSABLE, expiring("1").into()),
        ("an expiration beyond time", UNUSABLE, expiring("1e300").into()),
        ("a doubled key", UNUSABLE, with_field(&format!("\"IdentityId\":\"{IDENTITY}\"")).into()),
        ("doubled credentials", UNUSABLE, {
            with_field(&format!("\"Credentials\":{}", keys("OTHER"))).into()
        }),
        ("empty secrets", UNUSABLE, good.replace("secret", "").into()),
        ("an ID of 10 KB", UNUSABLE, good.replace("us-east-1", &"a".repeat(10_000)).into()),
        ("an ID with a line end", UNUSABLE, good.replace("us-east-1:", "us-east-1:\\n").into()),
        ("credentials that are a text", UNUSABLE, r#"{"Credentials":"x"}"#.into()),
    ] {
        all.push(answer(format!("body: {name}"), outcome, ok(body)));
    }
    // The library reads a refusal with other code.
    for (name, body) in [
        ("empty", Vec::new()),
        ("a list of numbers", numbers.clone().into()),
        ("a list of lists", lists.clone().into()),
        ("many keys", many_keys(28_000).into()),
        ("a code that is a list", format!(r#"{{"__type":{lists}}}"#).into()),
        ("a code that is an object", format!(r#"{{"__type":{}}}"#, many_keys(28_000)).into()),
        ("a message that is a list", format!(r#"{{"message":{numbers}}}"#).into()),
        ("a long message", format!(r#"{{"message":"{escapes}"}}"#).into()),
        ("100,000 nested arrays", nested("[", "]", 100_000).into()),
        ("0xff", vec![0xff; 200_000]),
        ("NULs", vec![0; 200_000]),
        ("a code of 200 KiB", format!(r#"{{"__type":"{escapes}"}}"#).into()),
        ("UTF-16", utf16(r#"{"__type":"NotAuthorizedException"}"#, true)),
    ] {
        all.push(answer(format!("error: {name}"), UNUSABLE, http("400 Bad", "", body)));
    }
    all.push(answer("error: a code of 10 KiB", fails(ErrorKind::Refused, false), {
        http("400 Bad", "", format!(r#"{{"__type":"{}"}}"#, "x".repeat(10 * 1024)))
    }));
    all
}

pub(super) fn xml(elsewhere: SocketAddr) -> Vec<Case> {
    let good = issued("HOSTILE");
    let role = assumed("HOSTILE");
    let inside = |what: &str| role.replacen("<AssumeRoleWithWebIdentityResult>", what, 1);
    let beside = |what: &str| inside(&format!("{what}<AssumeRoleWithWebIdentityResult>"));
    let bomb: String = ('b'..='j')
        .zip('a'..)
        .map(|(name, of)| format!("<!ENTITY {name} \"{}\">", format!("&{of};").repeat(10)))
        .collect();
    let bomb = format!("<!DOCTYPE r [<!ENTITY a \"aaaaaaaaaa\">{bomb}]>");
    let entity = |definition: &str| {
        let document = role.replacen("HOSTILE", "&x;", 1);
        format!("<!DOCTYPE r [<!ENTITY x {definition}>]>{document}")
    };
    let declared =
        |encoding: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>{role}");
    let attributes: String = (0..400).map(|n| format!(" a{n}='x'")).collect();
    let namespaces: String = (0..19).map(|n| format!(" xmlns:n{n}='x'")).collect();
    vec![
        sts("empty", UNUSABLE, ""),
        sts("spaces", UNUSABLE, " ".repeat(200_000)),
        sts("a portal", UNUSABLE, PORTAL),
        sts("JSON", UNUSABLE, &good),
        sts("an empty root", UNUSABLE, "<a/>"),
        sts("a document type", UNUSABLE, format!("<!DOCTYPE r>{role}")),
        sts("an entity", UNUSABLE, entity("\"HOSTILE\"")),
        sts("a billion laughs", UNUSABLE, format!("{bomb}<r>&j;</r>")),
        sts("an entity of itself", UNUSABLE, entity("\"&x;\"")),
        sts("an external entity", UNUSABLE, entity("SYSTEM \"file:///etc/passwd\"")),
        sts(
            "an entity from elsewhere",
            UNUSABLE,
            entity(&format!("SYSTEM \"http://{elsewhere}/\"")),
        ),
        sts("an external document type", UNUSABLE, {
            format!("<!DOCTYPE r SYSTEM \"http://{elsewhere}/\">{role}")
        }),
        sts("an unknown entity", UNUSABLE, role.replace("HOSTILE", "&nbsp;")),
        sts("a character that is none", UNUSABLE, role.replace("HOSTILE", "&#0;")),
        sts("30,000 nested elements", UNUSABLE, nested("<a>", "</a>", 30_000)),
        sts("9,000 nested elements", UNUSABLE, nested("<a>", "</a>", 9_000)),
        sts("400 nested elements", TAKEN, beside(&nested("<a>", "</a>", 400))),
        sts("30,000 open elements", UNUSABLE, "<a>".repeat(20_000)),
        sts("60,000 tags", UNUSABLE, "<".repeat(60_000)),
        sts("60,000 values", UNUSABLE, "=".repeat(60_000)),
        sts("10,000 elements", UNUSABLE, beside(&"<a/>".repeat(10_000))),
        sts("400 attributes", TAKEN, beside(&format!("<a{attributes}/>"))),
        sts("10,000 attributes", UNUSABLE, beside(&format!("<a{}/>", attributes.repeat(10)))),
        sts("doubled attributes", UNUSABLE, beside("<a b='1' b='2'/>")),
        sts("19 namespaces", TAKEN, beside(&format!("<a{namespaces}/>"))),
        sts("10,000 namespaces", UNUSABLE, beside(&"<a xmlns:b='c'/>".repeat(3_000))),
        sts("an unknown namespace", UNUSABLE, beside("<a:b/>")),
        sts("a text of 200 KiB", UNUSABLE, beside(&format!("<a>{}</a>", "x".repeat(200 * 1024)))),
        sts("200 KiB of references", UNUSABLE, beside(&"&lt;".repeat(50_000))),
        sts("60 KiB of references", TAKEN, beside(&format!("<a>{}</a>", "&lt;".repeat(15_000)))),
        sts("60 KiB of comments", UNUSABLE, beside(&"<!---->".repeat(8_000))),
        sts("60 KiB of instructions", UNUSABLE, beside(&"<?a?>".repeat(10_000))),
        sts("a key in CDATA", TAKEN, role.replace("HOSTILE", "<![CDATA[HOSTILE]]>")),
        sts("CDATA without end", UNUSABLE, beside("<![CDATA[")),
        sts("unclosed", UNUSABLE, &role[..role.len() - 9]),
        sts("closed in the wrong order", UNUSABLE, beside("<a><b></a></b>")),
        sts("two roots", UNUSABLE, format!("{role}{role}")),
        sts("declared as UTF-16", TAKEN, declared("UTF-16")),
        sts("declared as nothing known", TAKEN, declared("x-none")),
        sts("UTF-16", UNUSABLE, utf16(&declared("UTF-16"), true)),
        sts("Latin-1", UNUSABLE, [declared("ISO-8859-1").as_bytes(), b"<!--\xe4-->"].concat()),
        sts("UTF-8 with a mark", TAKEN, format!("\u{feff}{role}")),
        sts("NUL in the key", UNUSABLE, role.replace("HOSTILE", "HOS\0TILE")),
        sts("NULs", UNUSABLE, vec![0; 60_000]),
        sts("noise", UNUSABLE, noise(60_000, 5)),
        sts("an empty key", UNUSABLE, role.replace("HOSTILE", " ")),
        sts("the first of two keys", TAKEN, {
            role.replace("<SecretAccessKey>", "<AccessKeyId>OTHER</AccessKeyId><SecretAccessKey>")
        }),
        sts("an expiration of 50,000 digits", UNUSABLE, role.replace("2026", &"9".repeat(50_000))),
    ]
}
