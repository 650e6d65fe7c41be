//! Which routes exist. An adapter is what featward knows of one feature API: its routes, how a request is read and
//! written again, and how an answer is narrowed.
//!
//! A route is found by the exact method and the exact raw path. Nothing is decoded, merged or trimmed first, so
//! that there is no second spelling to disagree about; what is not listed here does not exist.

pub mod feast_http;

use http::{Method, Uri};

/// A route of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// Feast's `POST /get-online-features`.
    GetOnlineFeatures,
}

impl Route {
    /// Every route.
    pub const ALL: &'static [Route] = &[Route::GetOnlineFeatures];

    /// The route that a request names, if it names one. A query, even an empty one, names none.
    pub fn find(method: &Method, uri: &Uri) -> Option<Route> {
        if uri.query().is_some() {
            return None;
        }
        let named = |route: &&Route| route.path() == uri.path() && route.method() == *method;
        Route::ALL.iter().find(named).copied()
    }

    /// The name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Route::GetOnlineFeatures => "get-online-features",
        }
    }

    /// The path, as it is received and as it is sent on.
    pub fn path(self) -> &'static str {
        match self {
            Route::GetOnlineFeatures => "/get-online-features",
        }
    }

    /// The method, likewise.
    pub fn method(self) -> Method {
        match self {
            Route::GetOnlineFeatures => Method::POST,
        }
    }

    /// Whether it only reads, and may be sent again after a pooled connection turned out to be closed.
    pub fn only_reads(self) -> bool {
        match self {
            Route::GetOnlineFeatures => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: &str, target: &str) -> Option<Route> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Route::find(&method, &target.parse().unwrap())
    }

    #[test]
    fn the_exact_method_and_path_name_the_route() {
        for route in Route::ALL {
            assert_eq!(find(route.method().as_str(), route.path()), Some(*route));
        }
    }

    #[test]
    fn no_other_spelling_names_it() {
        for target in [
            "/get%2Donline-features",
            "/%67et-online-features",
            "/get-online-features/",
            "//get-online-features",
            "/./get-online-features",
            "/x/../get-online-features",
            "/get-online-features?",
            "/get-online-features?x=1",
            "/get-online-features;a=b",
            "/get-online-features%20",
            "/get-online-features%00",
            "/Get-Online-Features",
            "/push",
            "/",
            "*",
        ] {
            assert_eq!(find("POST", target), None, "{target}");
        }
        for method in ["GET", "HEAD", "PUT", "OPTIONS", "post", "PATCH"] {
            assert_eq!(find(method, "/get-online-features"), None, "{method}");
        }
    }
}
