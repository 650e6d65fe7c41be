//! The one table of reasons: what each means, how it is answered, and what the caller can do.
//!
//! Whatever refuses a request names a [`Reason`]; the answer, the record, the metrics and the documentation all
//! read the same row. A reason that waiting cannot cure is never answered with 429 or 503, because Feast's SDK
//! retries those in the caller's thread.

use http::StatusCode;

/// What kind of refusal a reason is; kinds are never confused with one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request breaks the protocol or the adapter's grammar.
    BadRequest,
    /// Policy says no, and waiting does not change it.
    Denied,
    /// Policy says not so fast.
    Limited,
    /// There is no such route or feature set.
    NotFound,
    /// The sidecar cannot judge or record the request now.
    Undecided,
    /// The request was allowed, and the far side failed.
    UpstreamFailed,
    /// The request was allowed, and the feature server will not answer it, now or later.
    UpstreamRefused,
}

impl Kind {
    /// The name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::BadRequest => "bad-request",
            Kind::Denied => "denied",
            Kind::Limited => "limited",
            Kind::NotFound => "not-found",
            Kind::Undecided => "undecided",
            Kind::UpstreamFailed => "upstream-failed",
            Kind::UpstreamRefused => "upstream-refused",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The reason's name: last segment of the problem type, label of metrics.
    pub name: &'static str,
    /// What kind of refusal it is.
    pub kind: Kind,
    /// The HTTP status of the answer.
    pub status: StatusCode,
    /// A short summary that is the same for every occurrence (RFC 9457 section 3.1.4).
    pub title: &'static str,
    /// What the caller can do about it.
    pub remedy: &'static str,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $kind:ident, $status:ident, $title:literal, $remedy:literal;)*) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* #[doc = $title] $variant,)* }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];

            /// The reason's row.
            pub fn row(self) -> &'static Row {
                match self {
                    $(Reason::$variant => &Row {
                        name: $name, kind: Kind::$kind, status: StatusCode::$status, title: $title, remedy: $remedy,
                    },)*
                }
            }
        }
    };
}

reasons! {
    NotGranted = "not-granted", Denied, FORBIDDEN, "No binding grants all of the requested features",
        "Ask the feature set's owner for a binding; `featward request` prints the one to ask for.";
    BindingExpired = "binding-expired", Denied, FORBIDDEN, "The binding that granted this has expired",
        "Ask the feature set's owner to renew the binding.";
    IdentityRequired = "identity-required", Denied, FORBIDDEN, "Callers must prove a workload identity",
        "Call through a featward sidecar, or over mTLS with an SVID of this environment.";
    RowsOverLimit = "rows-over-limit", Denied, FORBIDDEN, "The request asks for more rows than one request may",
        "Send fewer rows a request.";
    CostOverBurst = "cost-over-burst", Denied, FORBIDDEN, "The request costs more than the binding ever allows at once",
        "Ask for fewer rows or features a request.";
    NothingLeft = "nothing-left", Denied, FORBIDDEN, "None of the requested features is granted",
        "Ask the feature set's owner for a binding; `featward request` prints the one to ask for.";
    Closed = "closed", Denied, FORBIDDEN, "This is closed by hand for now",
        "Ask the feature set's owner, who closed it; it opens again by itself.";
    UnsignedToken = "unsigned-token", Denied, FORBIDDEN, "The bearer token is not signed",
        "Send a token that its issuer has signed, or none.";
    RateLimited = "rate-limited", Limited, TOO_MANY_REQUESTS, "The binding's cost limit is used up",
        "Wait as Retry-After says, or ask the owner for a higher limit.";
    UnknownRoute = "unknown-route", NotFound, NOT_FOUND, "This API has no such route",
        "Send the exact method and path of the adapter, such as POST /get-online-features.";
    UnknownFeatureSet = "unknown-feature-set", NotFound, NOT_FOUND, "No server is known for this feature set",
        "Check the name given to --outbound against the manifests.";
    MalformedJson = "malformed-json", BadRequest, BAD_REQUEST, "The body is not valid JSON", "Send one JSON object.";
    DuplicateKey = "duplicate-key", BadRequest, BAD_REQUEST, "An object names a key twice", "Name every key once.";
    NotUtf8 = "not-utf8", BadRequest, BAD_REQUEST, "The body is not UTF-8", "Encode the body as UTF-8, without a byte order mark.";
    TooDeep = "too-deep", BadRequest, BAD_REQUEST, "The body is nested too deeply", "Send flat entity lists.";
    NumberOutOfRange = "number-out-of-range", BadRequest, BAD_REQUEST, "A number is not finite or too large for its type",
        "Send numbers that the declared type can hold.";
    TrailingData = "trailing-data", BadRequest, BAD_REQUEST, "Something follows the JSON object", "Send one JSON object and nothing after it.";
    MissingField = "missing-field", BadRequest, BAD_REQUEST, "A required field is missing", "Add the field.";
    WrongType = "wrong-type", BadRequest, BAD_REQUEST, "A field has the wrong type", "Send the type that the API describes.";
    UnknownEntity = "unknown-entity", BadRequest, BAD_REQUEST, "An entity or request input is not declared by the feature set",
        "Use the names in the FeatureSet's entities and requestInputs.";
    EntityType = "entity-type", BadRequest, BAD_REQUEST, "A value has not the declared type of its column",
        "Send values as the FeatureSet declares them; nothing is coerced.";
    UnevenRows = "uneven-rows", BadRequest, BAD_REQUEST, "Entity lists differ in length", "Send lists of one length.";
    NoRows = "no-rows", BadRequest, BAD_REQUEST, "The request names no entity rows", "Send at least one row.";
    NoFeatures = "no-features", BadRequest, BAD_REQUEST, "The request names no features", "Name features or a feature service.";
    AmbiguousSelection = "ambiguous-selection", BadRequest, BAD_REQUEST, "The request names both features and a feature service",
        "Name one of them.";
    DuplicateFeature = "duplicate-feature", BadRequest, BAD_REQUEST, "A feature is named twice", "Name every feature once.";
    VersionedFeature = "versioned-feature", BadRequest, BAD_REQUEST, "A feature reference carries a version",
        "Name features as view:feature; the feature set's version decides.";
    BadFraming = "bad-framing", BadRequest, BAD_REQUEST, "The request can be read in more than one way",
        "Send exactly one Host, and either Content-Length or Transfer-Encoding: chunked.";
    BodyTooLarge = "body-too-large", BadRequest, PAYLOAD_TOO_LARGE, "The body is larger than the limit", "Send fewer rows a request.";
    BodyTimeout = "body-timeout", BadRequest, REQUEST_TIMEOUT, "The body did not arrive in time", "Send the request at once.";
    ContentType = "content-type", BadRequest, UNSUPPORTED_MEDIA_TYPE, "The content type is not application/json",
        "Send Content-Type: application/json, in UTF-8.";
    ContentEncoding = "content-encoding", BadRequest, UNSUPPORTED_MEDIA_TYPE, "The body is encoded", "Send the body without Content-Encoding.";
    NoPolicy = "no-policy", Undecided, SERVICE_UNAVAILABLE, "The sidecar has no policy yet", "Try again; the platform team sees why in `featward sidecar status`.";
    NoIdentity = "no-identity", Undecided, SERVICE_UNAVAILABLE, "The sidecar has no identity yet", "Try again; the platform team sees why in `featward sidecar status`.";
    IdentityExpired = "identity-expired", Undecided, SERVICE_UNAVAILABLE, "The sidecar's identity has expired",
        "Try again; the sidecar renews by itself as soon as the CA answers. The platform team sees why it does not in `featward sidecar status`.";
    Overloaded = "overloaded", Undecided, SERVICE_UNAVAILABLE, "The sidecar is at its limit of concurrent work", "Try again with fewer requests at once.";
    RecordFailed = "record-failed", Undecided, SERVICE_UNAVAILABLE, "The decision could not be recorded", "The platform team must make room for the record.";
    UpstreamUnreachable = "upstream-unreachable", UpstreamFailed, BAD_GATEWAY, "The feature server cannot be reached", "The owner must start the feature server.";
    UpstreamError = "upstream-error", UpstreamFailed, BAD_GATEWAY, "The feature server failed", "The owner finds the cause in the feature server's log.";
    UpstreamAnswer = "upstream-answer", UpstreamFailed, BAD_GATEWAY, "The feature server's answer cannot be checked", "The owner compares the FeatureSet with the feature server.";
    UpstreamRefused = "upstream-refused", UpstreamRefused, UNPROCESSABLE_ENTITY, "The feature server does not accept the request",
        "Send every join key and request input of what you ask for; if all are there, the owner compares the FeatureSet with the feature server.";
    UpstreamTimeout = "upstream-timeout", UpstreamFailed, GATEWAY_TIMEOUT, "The feature server did not answer in time", "Try again, or ask for fewer rows.";
    ServerUnreachable = "server-unreachable", UpstreamFailed, BAD_GATEWAY, "The feature set's sidecar cannot be reached", "Check that the server's sidecar runs at the address in the FeatureSet.";
    ServerNotTrusted = "server-not-trusted", UpstreamFailed, BAD_GATEWAY, "The server did not prove the feature set's identity", "Check which workload serves the feature set; nothing was sent to this one.";
}

impl Reason {
    /// The reason's name, `not-granted`.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The problem type's address (RFC 9457 section 3.1.1); each has a page in the documentation.
    pub fn problem_type(self) -> String {
        format!("https://featward.dev/problems/{}", self.as_str())
    }
}
