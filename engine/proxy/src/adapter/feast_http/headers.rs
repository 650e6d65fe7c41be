//! What the headers say the body is. Feast lets a charset parameter and any `+json` type through and reads the
//! bytes by guessing; here the body is UTF-8 JSON or it is refused before it is read.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};

use crate::fault::{Fault, shown};
use crate::refusal::Reason;

/// Whether the headers promise a body that [`super::parse`] can read. An absent Content-Type means JSON, because
/// Feast's own client before 0.60 sends none.
pub fn check_headers(headers: &HeaderMap) -> Result<(), Fault> {
    if let Some(value) = only(headers, &CONTENT_TYPE, Reason::ContentType)?
        && !is_json(value)
    {
        let detail = format!("expected application/json, found {}", shown(value));
        return Err(Fault::new(Reason::ContentType, detail));
    }
    if let Some(value) = only(headers, &CONTENT_ENCODING, Reason::ContentEncoding)?
        && !value.eq_ignore_ascii_case("identity")
    {
        let detail = format!("expected no Content-Encoding, found {}", shown(value));
        return Err(Fault::new(Reason::ContentEncoding, detail));
    }
    Ok(())
}

/// The header's one value. A header that stands twice has two readings: some take the first, some the last.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName, reason: Reason) -> Result<Option<&'h str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Fault::new(reason, format!("{name} stands more than once")));
    }
    match value.to_str() {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(Fault::new(reason, format!("{name} is not ASCII text"))),
    }
}

fn is_json(value: &str) -> bool {
    let mut parts = value.split(';').map(|part| part.trim_matches([' ', '\t']));
    let json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.next().is_none_or(is_utf8_charset);
    json && utf8 && parts.next().is_none()
}

fn is_utf8_charset(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return false;
    };
    let unquoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    name.eq_ignore_ascii_case("charset") && unquoted.unwrap_or(value).eq_ignore_ascii_case("utf-8")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(lines: &[(&'static str, &[u8])]) -> Result<(), Reason> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        check_headers(&headers).map_err(|fault| fault.reason)
    }

    #[test]
    fn json_in_utf8_passes_and_so_does_silence() {
        assert_eq!(check(&[]), Ok(()));
        for value in [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json ; Charset=\"UTF-8\"",
        ] {
            assert_eq!(check(&[("content-type", value.as_bytes())]), Ok(()));
        }
        assert_eq!(check(&[("content-encoding", b"identity")]), Ok(()));
    }

    #[test]
    fn any_other_content_type_is_refused() {
        for value in [
            "",
            "text/plain",
            "application/vnd.x+json",
            "application/json; charset=utf-16",
            "application/json;",
            "application/json; charset=utf-8; charset=utf-16",
            "application/json, text/plain",
            "application/jsonp",
            "application/json; boundary=x",
            "application/x-www-form-urlencoded",
            "application/json;charset=",
            "application/json\u{a0}",
        ] {
            let checked = check(&[("content-type", value.as_bytes())]);
            assert_eq!(checked, Err(Reason::ContentType), "{value}");
        }
    }

    #[test]
    fn two_content_types_are_refused_even_when_they_agree() {
        let json: &[u8] = b"application/json";
        let twice = [("content-type", json), ("content-type", json)];
        assert_eq!(check(&twice), Err(Reason::ContentType));
    }

    #[test]
    fn an_encoded_body_is_refused() {
        for value in ["gzip", "deflate", "br", "zstd", "identity, gzip", ""] {
            let checked = check(&[("content-encoding", value.as_bytes())]);
            assert_eq!(checked, Err(Reason::ContentEncoding), "{value}");
        }
    }
}
