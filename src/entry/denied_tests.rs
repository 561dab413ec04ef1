use super::*;

fn looks_denied(name: &str) -> bool {
    is_denied(name.as_bytes(), None)
}

#[test]
fn every_rule_is_known_however_it_is_written() {
    assert!(DENIED_FIELDS.is_sorted());
    for rule in DENIED_FIELDS {
        let snake = rule.replace(' ', "_");
        let together = rule.replace(' ', "");
        for name in [
            snake.to_uppercase(),
            snake.replace('_', "-"),
            snake.replace('_', "."),
            format!("user_{snake}"),
            format!("{snake}_value"),
            format!("_{snake}"),
            format!("{together}-"),
            format!("{together}s"),
            format!("{together}2"),
            format!("{together}_2"),
            format!("new{}{}", together[..1].to_uppercase(), &together[1..]),
            format!("{together}Value"),
            together.to_uppercase(),
        ] {
            assert!(looks_denied(&name), "{name}");
        }
        for name in [
            format!("{snake}_count"),
            format!("{snake}s_found"),
            format!("{together}Id"),
            format!("{together}IDs"),
            format!("has_{snake}"),
            format!("max{}{}s", together[..1].to_uppercase(), &together[1..]),
        ] {
            assert!(!looks_denied(&name), "{name}");
        }
    }
}

#[test]
fn names_of_secrets_are_denied() {
    for name in [
        "1password",
        "APIKey",
        "APIKEY",
        "AWS_SECRET_ACCESS_KEY",
        "JWTToken",
        "PASS_WORD",
        "PINs",
        "Proxy-Authorization",
        "Set-Cookie",
        "X-Api-Key",
        "accessTokens",
        "apiKey",
        "authorization_code",
        "authtoken",
        "awssecretaccesskey",
        "cardNumber",
        "card_2_number",
        "client_secret",
        "clientsecret",
        "confirmpassword",
        "connectionString",
        "csrf-token",
        "currentPassword",
        "db.password",
        "db_password",
        "id_token",
        "jwt_value",
        "oauth2_token",
        "password2Hash",
        "passwordConfirmation",
        "password_hash",
        "password_reset_token",
        "password_salt",
        "passwordhash",
        "pin_code",
        "proxyauthorization",
        "secret_key",
        "securityCode",
        "session_token",
        "stripeapikey",
        "token_value",
        "totpSecret",
        "user[password]",
        "userPIN",
        "user_password",
        "xapikey",
    ] {
        assert!(looks_denied(name), "{name}");
    }
}

#[test]
fn names_of_something_else_pass() {
    for name in [
        "",
        "_",
        "123",
        "access_key_id",
        "api_key_name",
        "auth",
        "author",
        "authorized",
        "bypass",
        "calibration",
        "card_type",
        "code",
        "compass",
        "cookies_accepted",
        "created_at",
        "credential_type",
        "credit_score",
        "description",
        "foreign_key",
        "has_password",
        "http_status",
        "key",
        "keyboard",
        "max_tokens",
        "monkey",
        "opinion",
        "organization_id",
        "p_in",
        "passed",
        "passenger",
        "passport",
        "password_changed",
        "password_changed_at",
        "password_policy",
        "passwordchanged",
        "passwordless_login",
        "phone_number",
        "pin_attempts",
        "pinned",
        "private",
        "public_key",
        "secretariat",
        "secretary",
        "secret_id",
        "secret_name",
        "secrets_found",
        "secretsFound",
        "session_id",
        "shipping",
        "spin",
        "status_code",
        "tokenCount",
        "tokenIDs",
        "token_count",
        "token_expires_at",
        "token_type",
        "tokenized",
        "tokenizer",
        "tokens_used",
        "tokens_per_minute",
        "ключ",
    ] {
        assert!(!looks_denied(name), "{name}");
    }
}

fn names(denied: &[&str], allowed: &[&str]) -> Result<Option<&'static FieldNames>> {
    let owned =
        |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    FieldNames::leak(&owned(denied), &owned(allowed))
}

#[test]
fn a_log_denies_more_names_and_allows_some() {
    assert_eq!(names(&[], &[]).unwrap(), None);
    let denied = ["internal_note", "salary", "line2", "id", "a-b", "größe"];
    let names = names(&denied, &["pin", "token_family", "netSalary"]);
    let names = names.unwrap().unwrap();
    for denied in [
        "internal_note",
        "internalNote",
        "customer-internal-notes",
        "internalnote",
        "salary",
        "gross_salary",
        "line2",
        "LINE2",
        "user_id",
        "id",
        "a_b",
        "größe",
        "neue_größe",
    ] {
        assert!(names.denies_also(denied.as_bytes()), "{denied}");
    }
    for passing in [
        "note",
        "internal",
        "internal_note_count",
        "salary_type",
        "has_salary",
        "net_salary",
        "line",
        "line1",
        "line22",
        "video",
        "a",
        "",
    ] {
        assert!(!names.denies_also(passing.as_bytes()), "{passing}");
    }
    for (name, denied) in [
        ("pin", false),
        ("PIN", false),
        ("user_pin", true),
        ("pin2", true),
        ("tokenFamily", false),
        ("token-family", false),
        ("token_family_key", true),
        ("password", true),
    ] {
        assert_eq!(is_denied(name.as_bytes(), Some(names)), denied, "{name}");
    }
}

#[test]
fn a_short_name_beside_long_ones_is_denied_too() {
    for denied in [
        &["salary", "a"][..],
        &["salary"],
        &["a1", "bcd_e"],
        &["2fa_seed"],
        &["internal", "internal_id"],
    ] {
        let names = names(denied, &[]).unwrap().unwrap();
        for name in denied {
            assert!(names.denies_also(name.as_bytes()), "{name}");
        }
        assert!(!names.denies_also(b"wages"));
    }
}

#[test]
fn a_malformed_name_is_an_error_that_says_what_to_write() {
    for (denied, allowed, error) in [
        ("", "x", "deny_fields: a name is empty; leave it out"),
        ("x", "", "allow_fields: a name is empty; leave it out"),
        (
            "user.pin",
            "x",
            "deny_fields: `user.pin` is a path, and a name holds at any depth; write `pin`",
        ),
        (
            "x",
            "a b",
            "allow_fields: \"a b\" is not a field's name, because it has ' ' in it; use letters, digits, `_` and `-`",
        ),
        (
            "_1",
            "x",
            "deny_fields: `_1` is not a field's name, because it has no letter",
        ),
        (
            "token_family",
            "TokenFamily",
            "allow_fields: `TokenFamily` is given to `deny_fields` as well; leave it out of one of the two",
        ),
    ] {
        let refused = names(&[denied], &[allowed]).unwrap_err();
        assert_eq!(refused.to_string(), error);
    }
    let refused = names(&["ip_address"], &[]).unwrap_err().to_string();
    assert!(
        refused.starts_with("deny_fields: `ip_address` is one of an entry's own fields"),
        "{refused}"
    );
}
