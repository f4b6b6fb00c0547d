//! What AfterShip's signature is, and what is none.

use axum::http::HeaderValue;

use super::*;

const SECRET: &str = "whsec-example-0123456789abcdef";
const BODY: &[u8] = br#"{"event":"tracking_pending_time","ts":1712741800}"#;
const SIGNATURE: &str = "ijJCeA8iCU9KvaERhDGGW39bEC8AKN1v+L19ixx6uHo=";

fn verifier(products: &[Product]) -> Verifier {
    Verifier::new(products, Secrets::new(vec![SECRET.to_owned()]))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header's value"));
    }
    headers
}

fn check(
    verifier: &Verifier,
    pairs: &[(&'static str, &str)],
    body: &[u8],
) -> Result<SecretId, SignatureError> {
    verifier.verify(&verifier.claim(&headers(pairs))?, body)
}

#[test]
fn the_reference_vectors_verify() {
    let vectors: [(&[u8], &str); 8] = [
        (
            br#"{"event":"tracking_update","event_id":"94dadd60-ed26-46d0-aa52-3ced925a50ff","is_tracking_first_tag":true,"msg":{"id":"0b02015fc7fd4f3c8d5490cece4d124d","tag":"InTransit"},"ts":1712741696}"#,
            "0xqexGQfp6kaOwbflSqDLMh6U7mKeyaz8BIMITCAxMM=",
        ),
        (
            r#"{"event":"edd_revise","msg":{"tracking_number":"TN-1","checkpoints":[{"city":"Zürich","message":"Zustellung"}]},"ts":1712741700}"#.as_bytes(),
            "hM/9X1VzR3lArz2NcakW7a4ePAiW/JUW9w/VthS9iHw=",
        ),
        (
            br#"{"event":"edd_revise","msg":{"tracking_number":"TN-1","checkpoints":[{"city":"Z\u00fcrich","message":"Zustellung"}]},"ts":1712741700}"#,
            "LLSQrcqtfVq3FhAgtYPResNY4De1AVGwKSxUh+wODMo=",
        ),
        (BODY, SIGNATURE),
        (br#"{"event": "tracking_pending_time", "ts": 1712741800}"#, "e7hUlefhXUR/CHjCsfiTLPAlRuDBw/QKPdTasCooN94="),
        (
            b"{\"event\":\"tracking_pending_time\",\"ts\":1712741800}\n",
            "GxjLeQlMGORLL9GVVGqmiJJ5KAzLwf357FtcFd4n5e4=",
        ),
        (br#"{"u":"https:\/\/x.test\/a"}"#, "kEqqCxAaXBV7wP3xxWzFW67/SDnt2+qBsdliaInL91k="),
        (b"", "rUdguGfrMMUMZSVVEvQgxGsb0yDdpVSNxlSR5WU6uUI="),
    ];
    let sizes: Vec<_> = vectors.iter().map(|(body, _)| body.len()).collect();
    assert_eq!(sizes, [188, 129, 133, 49, 52, 50, 27, 0]);

    let verifier = verifier(&[Product::Tracking]);
    for (body, signature) in vectors {
        assert_eq!(sign(SECRET, body), signature);
        let id = check(&verifier, &[(TRACKING_HEADER, signature)], body).expect("signed by us");
        assert_eq!(id.as_str(), "1");
    }
}

#[test]
fn one_changed_byte_is_a_mismatch() {
    let verifier = verifier(&[Product::Tracking]);
    let mut body = BODY.to_vec();
    for index in 0..body.len() {
        body[index] ^= 1;
        assert_eq!(
            check(&verifier, &[(TRACKING_HEADER, SIGNATURE)], &body),
            Err(SignatureError::Mismatch),
            "byte {index}"
        );
        body[index] ^= 1;
    }
}

#[test]
fn a_missing_header_is_refused_before_the_body() {
    let error = verifier(&[Product::Tracking]).claim(&HeaderMap::new()).expect_err("no header");

    assert_eq!(error, SignatureError::Missing);
    assert_eq!(error.code(), "signature_missing");
}

#[test]
fn a_repeated_header_is_refused_even_when_both_are_right() {
    let verifier = verifier(&[Product::Tracking, Product::Returns]);
    for second in [TRACKING_HEADER, RETURNS_HEADER] {
        let headers = headers(&[(TRACKING_HEADER, SIGNATURE), (second, SIGNATURE)]);
        assert_eq!(verifier.claim(&headers), Err(SignatureError::Repeated));
    }
}

#[test]
fn what_is_not_base64_of_32_bytes_is_malformed() {
    let verifier = verifier(&[Product::Tracking]);
    let hex = "8a3242780f22094f4abda1118431865b7f5b102f0028dd6ff8bd7d8b1c7ab87a";
    let unpadded = SIGNATURE.trim_end_matches('=');
    let url_safe = SIGNATURE.replace('+', "-");
    let prefixed = format!("hmac-sha256={SIGNATURE}");
    let joined = format!("{SIGNATURE},{SIGNATURE}");
    let without_room = format!("{unpadded}A");
    let short = "rUdguGfrMMUMZSVVEvQgxGsb0yDdpVSNxlSR5WU6uQ==";
    let inner_space = format!("{} {}", &SIGNATURE[..20], &SIGNATURE[21..]);
    // Same bytes, another last character: one signature must have one form.
    let loose_end = format!("{}p=", &SIGNATURE[..42]);
    for value in [
        "",
        hex,
        unpadded,
        &url_safe,
        &prefixed,
        &joined,
        &without_room,
        short,
        &inner_space,
        &loose_end,
        "\u{e9}",
    ] {
        assert_eq!(
            verifier.claim(&headers(&[(TRACKING_HEADER, value)])),
            Err(SignatureError::Malformed),
            "{value:?}"
        );
    }
}

#[test]
fn white_space_around_a_signature_does_not_matter() {
    let value = format!(" \t{SIGNATURE}  ");

    assert!(check(&verifier(&[Product::Tracking]), &[(TRACKING_HEADER, &value)], BODY).is_ok());
}

#[test]
fn letter_case_counts_in_the_value_and_not_in_the_header_name() {
    let verifier = verifier(&[Product::Tracking]);
    let swapped = SIGNATURE.replacen('i', "I", 1);
    let mut mixed = HeaderMap::new();
    let name = axum::http::HeaderName::from_bytes(b"Aftership-Hmac-Sha256").expect("a header's name");
    mixed.insert(name, HeaderValue::from_static(SIGNATURE));

    assert_eq!(check(&verifier, &[(TRACKING_HEADER, &swapped)], BODY), Err(SignatureError::Mismatch));
    assert!(verifier.claim(&mixed).is_ok());
}

#[test]
fn only_the_old_header_takes_the_prefix() {
    let prefixed = format!("hmac-sha256={SIGNATURE}");
    let wrong_case = format!("HMAC-SHA256={SIGNATURE}");
    for product in [Product::Shipping, Product::Returns] {
        let verifier = verifier(&[product]);
        assert!(check(&verifier, &[(SHIPPING_HEADER, &prefixed)], BODY).is_ok());
        assert!(check(&verifier, &[(SHIPPING_HEADER, SIGNATURE)], BODY).is_ok());
        assert_eq!(check(&verifier, &[(SHIPPING_HEADER, &wrong_case)], BODY), Err(SignatureError::Malformed));
    }
    let returns = verifier(&[Product::Returns]);
    assert!(check(&returns, &[(RETURNS_HEADER, SIGNATURE)], BODY).is_ok());
    assert_eq!(check(&returns, &[(RETURNS_HEADER, &prefixed)], BODY), Err(SignatureError::Malformed));
}

#[test]
fn the_secret_that_matched_is_told_by_its_place() {
    let secrets = Secrets::new(vec!["a-new-secret".to_owned(), SECRET.to_owned()]);
    let verifier = Verifier::new(&[Product::Tracking], secrets);
    let newest = sign("a-new-secret", BODY);

    assert_eq!(check(&verifier, &[(TRACKING_HEADER, SIGNATURE)], BODY).map(SecretId::as_str), Ok("2"));
    assert_eq!(check(&verifier, &[(TRACKING_HEADER, &newest)], BODY).map(SecretId::as_str), Ok("1"));
}

#[test]
fn another_products_header_gets_a_hint_when_the_secret_is_right() {
    let tracking = verifier(&[Product::Tracking]);
    let shipping = verifier(&[Product::Shipping]);
    let prefixed = format!("hmac-sha256={SIGNATURE}");
    for (header, value, word) in
        [(RETURNS_HEADER, SIGNATURE, "add returns"), (SHIPPING_HEADER, prefixed.as_str(), "add shipping")]
    {
        let error = check(&tracking, &[(header, value)], BODY).expect_err("not configured");
        assert_eq!(error, SignatureError::WrongProduct { header });
        assert_eq!(error.code(), "signature_missing");
        assert!(error.hint().contains(header) && error.hint().contains(word), "{}", error.hint());

        assert_eq!(check(&tracking, &[(header, value)], b"forged"), Err(SignatureError::Missing));
    }
    assert_eq!(check(&tracking, &[(RETURNS_HEADER, "x")], BODY), Err(SignatureError::Missing));
    let error = check(&shipping, &[(TRACKING_HEADER, SIGNATURE)], BODY).expect_err("not configured");
    assert!(error.hint().contains("add tracking"));
}

#[test]
fn without_a_secret_nothing_verifies() {
    for secrets in [vec![], vec![String::new()]] {
        let verifier = Verifier::new(&[Product::Tracking], Secrets::new(secrets));
        let empty = sign("", BODY);
        assert_eq!(check(&verifier, &[(TRACKING_HEADER, &empty)], BODY), Err(SignatureError::Mismatch));
    }
}

#[test]
fn secrets_never_show_themselves() {
    let verifier = verifier(&[Product::Tracking]);

    assert!(!format!("{verifier:?}").contains(SECRET));
    assert!(format!("{verifier:?}").contains("<secret>"));
}

#[test]
fn products_are_named_by_their_words() {
    for product in Product::ALL {
        assert_eq!(product.as_str().parse(), Ok(product));
    }
    assert_eq!("postmen".parse::<Product>(), Err(UnknownProduct));
}
