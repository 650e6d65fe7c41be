//! Keeps the account of one request: begun when its head is here, closed exactly once, with the record written
//! before the answer's first byte. A request that is decided and then abandoned by its caller is recorded as well,
//! with no status, because the decision was made.

use std::sync::Arc;
use std::time::Instant;

use featward_policy::{Decision, Features, Mode, Policy, Request, SetIndex};
use http::StatusCode;
use http::request::Parts;
use serde_json::json;

use super::judge::Judged;
use super::refuse::Refusal;
use crate::active::Active;
use crate::adapter::feast_http::Differing;
use crate::clock;
use crate::record::{Line, shortened};
use crate::refusal::{Kind, Reason};
use crate::request_id::RequestId;
use crate::state::State;
use crate::tally::Tally;
use crate::visitor::Visitor;

/// The account of one request.
pub(crate) struct Account {
    state: Arc<State>,
    visitor: Arc<Visitor>,
    /// The request's name in answers and records.
    pub(crate) id: RequestId,
    /// When its head was here.
    pub(crate) started: Instant,
    line: Option<Line>,
    active: Option<Arc<Active>>,
    route: &'static str,
    judged: Option<Judged>,
    label: Option<Arc<str>>,
    /// The sets that it asks for, as far as they are known.
    sets: Vec<SetIndex>,
    missing: Vec<String>,
    /// Why it could not be judged, or answered.
    detail: Option<String>,
    upstream_status: Option<u16>,
    closed: bool,
}

/// How a request ended, for the record and the counters.
struct End {
    judged: Judged,
    tally: Tally,
    /// The reason in metrics, which also tells why the feature server failed.
    counted: &'static str,
}

/// More names than this are counted, not listed: a body of 1 MiB must not make records of that size.
const LISTED: usize = 200;
/// What stands for the operation where no route is known.
const NO_ROUTE: &str = "none";

impl Account {
    /// Begin.
    pub(crate) fn open(state: &Arc<State>, visitor: &Arc<Visitor>) -> Account {
        let id = state.ids.next();
        let line = state.recorder.is_on().then(|| begin(visitor, id));
        Account {
            state: Arc::clone(state),
            visitor: Arc::clone(visitor),
            id,
            started: Instant::now(),
            line,
            active: None,
            route: NO_ROUTE,
            judged: None,
            label: None,
            sets: Vec::new(),
            missing: Vec::new(),
            detail: None,
            upstream_status: None,
            closed: false,
        }
    }

    /// Which policy judges it.
    pub(crate) fn under(&mut self, active: &Arc<Active>) {
        self.label = Some(Arc::clone(active.label(None)));
        self.active = Some(Arc::clone(active));
        // Places of another policy's.
        self.sets.clear();
    }

    /// Which route it is on.
    pub(crate) fn on_route(&mut self, route: &'static str) {
        self.route = route;
    }

    /// What it asks for where that is none of our routes: never the query, which holds values.
    pub(crate) fn off_route(&mut self, head: &Parts) {
        if let Some(line) = &mut self.line {
            line.name("method", head.method.as_str());
            line.name("path", head.uri.path());
        }
    }

    /// Why it could not be judged: a sentence that names a place, and no value.
    pub(crate) fn detail(&mut self, detail: String) {
        self.detail = Some(detail);
    }

    /// What it asks for, and what is granted of it.
    pub(crate) fn asked(&mut self, policy: &Policy, request: &Request<'_>, decision: &Decision) {
        self.sets.clone_from(&decision.feature_sets);
        let name = |place: &u32| policy.name_at(request, *place);
        // For the status, which is the owner's: what a service holds is no secret there.
        let missing = decision.missing.iter().take(LISTED).filter_map(name);
        self.missing = missing.map(|name| shortened(name).into_owned()).collect();
        let Some(line) = &mut self.line else { return };
        line.list(
            "feature_sets",
            decision
                .feature_sets
                .iter()
                .map(|set| &*policy.feature_set(*set).full_name),
        );
        match request.features {
            Features::Named(names) => {
                line.list("features", names.iter().copied().take(LISTED));
                line.null("service");
                if names.len() > LISTED {
                    line.number("features_total", names.len() as u64);
                }
            }
            Features::Service(service) => {
                line.list("features", std::iter::empty());
                line.name("service", service);
            }
        }
        line.number("granted", decision.granted.len() as u64);
        line.list("missing", decision.missing.iter().take(LISTED).filter_map(name));
        line.list("stripped", decision.stripped.iter().take(LISTED).filter_map(name));
        line.number("rows", request.rows);
        line.number("cost", decision.cost());
        line.optional("rule", decision.rule.map(|rule| policy.binding(rule).name));
        let mut overrides = policy.overrides(decision, request.now).peekable();
        if overrides.peek().is_some() {
            line.list("overrides", overrides.map(|one| &*one.name));
        }
    }

    /// Where the feature server's answer was not as the catalogue says.
    pub(crate) fn differing(&mut self, differing: &Differing<'_>) {
        let Some(line) = &mut self.line else { return };
        line.list("unlisted", differing.unlisted.iter().map(String::as_str));
        line.list("unanswered", differing.unanswered.iter().copied().take(LISTED));
    }

    /// The verdict.
    pub(crate) fn judged(&mut self, judged: Judged, label: &Arc<str>) {
        self.judged = Some(judged);
        self.label = Some(Arc::clone(label));
    }

    /// What the feature server answered.
    pub(crate) fn upstream(&mut self, status: StatusCode) {
        self.upstream_status = Some(status.as_u16());
    }

    /// End, before the answer's first byte. A refusal comes back where an answer may not go out unrecorded: what is
    /// only observed is not stopped by a full disk, and a refusal stays the refusal that it is.
    pub(crate) fn close(&mut self, status: StatusCode, refusal: Option<&Refusal>) -> Result<(), Refusal> {
        self.closed = true;
        let judged = self.end(refusal).judged;
        let written = match refusal {
            Some(refusal) if self.is_one_too_many(refusal) => {
                self.state.metrics.records_dropped.inc();
                Ok(())
            }
            Some(refusal) if is_explained(refusal.reason.row().kind) => {
                self.detail = Some(refusal.detail().to_owned());
                self.write(judged, Some(status))
            }
            _ => self.write(judged, Some(status)),
        };
        let unrecorded = written.is_err() && refusal.is_none() && judged.mode != Mode::Observe;
        let end = self.end(refusal);
        let mark = self.active.as_ref().map_or(0, |active| active.mark);
        let missing = self.missing.iter().map(String::as_str);
        let (tally, counted) = match unrecorded {
            true => (Tally::Undecided, Reason::RecordFailed.as_str()),
            false => (end.tally, end.counted),
        };
        let label = self.label.clone().unwrap_or_else(|| "".into());
        self.complain(refusal, &label);
        self.state
            .metrics
            .ended(&label, self.route, tally, counted, self.started.elapsed());
        if let Some(active) = &self.active {
            let identified = self.visitor.peer.is_some();
            active
                .counted(&self.sets)
                .for_each(|counts| counts.note(tally, identified));
        }
        self.state
            .callers
            .count(&self.visitor.caller, tally, counted, (&label, mark), missing);
        if unrecorded {
            Err(Refusal::plain(Reason::RecordFailed))
        } else {
            Ok(())
        }
    }

    /// What the feature server did wrong is for its owner, who reads the log; the caller is told a request id.
    fn complain(&self, refusal: Option<&Refusal>, feature_set: &str) {
        let failed = |status: &u16| *status >= 500;
        let (reason, detail) = match refusal {
            Some(refusal) if is_upstreams(refusal.reason.row().kind) => (refusal.reason, refusal.detail()),
            None if self.upstream_status.as_ref().is_some_and(failed) => {
                (Reason::UpstreamError, "its own answer was passed on")
            }
            _ => return,
        };
        self.state.upstream_failed(json!({
            "id": self.id.to_string(),
            "reason": reason.as_str(),
            "detail": detail,
            "upstream_status": self.upstream_status,
            "feature_set": feature_set,
            "route": self.route,
            "peer": self.visitor.identity().map(|identity| identity.as_str()),
        }));
    }

    /// Whoever has proven nothing and gets nothing may not fill the disk either: without one no answer goes out.
    fn is_one_too_many(&self, refusal: &Refusal) -> bool {
        let stranger = self.visitor.peer.is_none() && !is_upstreams(refusal.reason.row().kind);
        stranger && self.state.recorder.is_on() && !self.state.strangers.may_write()
    }

    fn end(&self, refusal: Option<&Refusal>) -> End {
        let Some(refusal) = refusal else {
            let judged = self.judged.unwrap_or(UNJUDGED);
            return End {
                judged,
                tally: judged.tally,
                counted: judged.reason,
            };
        };
        let row = refusal.reason.row();
        let tally = Tally::from(row.kind);
        let judged = match (row.kind, self.judged) {
            // The decision stands; what the feature server made of it is told by the status.
            (kind, Some(judged)) if is_upstreams(kind) => judged,
            (_, judged) => Judged {
                tally,
                outcome: tally.as_str(),
                reason: row.name,
                mode: judged.map_or(UNJUDGED.mode, |judged| judged.mode),
                applied: true,
            },
        };
        End {
            judged,
            tally,
            counted: row.name,
        }
    }

    fn write(&mut self, judged: Judged, status: Option<StatusCode>) -> std::io::Result<()> {
        let Some(mut line) = self.line.take() else {
            return Ok(());
        };
        if let Some(active) = &self.active {
            line.text("policy", active.policy.digest());
        }
        line.text("route", self.route);
        line.text("mode", judged.mode.as_str());
        line.text("outcome", judged.outcome);
        line.flag("applied", judged.applied);
        line.text("reason", judged.reason);
        if let Some(detail) = &self.detail {
            line.name("detail", detail);
        }
        match self.upstream_status {
            Some(status) => line.number("upstream_status", u64::from(status)),
            None => line.null("upstream_status"),
        }
        match status {
            Some(status) => line.number("status", u64::from(status.as_u16())),
            None => line.null("status"),
        }
        line.seconds("seconds", self.started.elapsed());
        self.state.write_record(&line.finish())
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if let (false, Some(judged)) = (self.closed, self.judged) {
            // Nobody waits for the answer any more, so a failure can only be counted.
            let _ = self.write(judged, None);
        }
    }
}

/// Whether there is more to say of a refusal than reason and missing features.
fn is_explained(kind: Kind) -> bool {
    kind == Kind::BadRequest || is_upstreams(kind)
}

/// Whether it was allowed, and got no answer of the feature server all the same.
fn is_upstreams(kind: Kind) -> bool {
    matches!(kind, Kind::UpstreamFailed | Kind::UpstreamRefused)
}

/// For requests that end before a policy looks at them.
const UNJUDGED: Judged = Judged {
    tally: Tally::Undecided,
    outcome: "undecided",
    reason: "none",
    mode: Mode::Enforce,
    applied: true,
};

fn begin(visitor: &Visitor, id: RequestId) -> Line {
    let mut line = Line::new("decision");
    line.time("time", clock::now());
    line.digits("id", &id.digits());
    line.optional("peer", visitor.identity().map(|identity| identity.as_str()));
    line.optional("serial", visitor.peer.as_ref().map(|peer| peer.serial()));
    line.text("source", &visitor.source);
    line.text("via", visitor.via);
    line
}
