//! Questions of operators that change nothing: the evidence behind a verdict, and what a step would do.

use super::{Daemon, problem};
use crate::control::ConnId;
use mpath_config::defaults::{self, Defaults};
use mpath_ipc::{Failure, Reply, Request};
use mpath_linux::clock;
use std::path::Path;

impl Daemon {
    pub(super) fn inquire(&mut self, caller: ConnId, request: Request) {
        let now = clock::now();
        match self.findings(request) {
            Ok(reply) => self.server.reply(now, caller, &reply),
            Err(failure) => self.server.error(now, caller, &failure),
        }
    }

    fn findings(&self, request: Request) -> Result<Reply, Failure> {
        let now = clock::now();
        let unknown = |message| Failure::Refused { reason: "unknown_interface".to_owned(), message };
        match request {
            Request::Explain { interface } => {
                let list = self.engine.explain(now, interface.as_deref());
                match interface.filter(|_| list.is_empty()) {
                    Some(name) => Err(unknown(format!("{name} is not watched: it is in no group"))),
                    None => Ok(Reply::Explanations(list)),
                }
            }
            Request::PlanFailure { interface } => {
                let plan = self.engine.plan_failure(now, &interface).map_err(unknown)?;
                Ok(Reply::Plan(Box::new(plan)))
            }
            Request::PlanConfiguration { text, name } => {
                // Whoever may only read must not have other files looked into.
                let parsed = mpath_config::parse_alone(&text, &name, &self.defaults());
                let settings = parsed.map_err(not_understood)?.settings;
                Ok(Reply::Plan(Box::new(self.engine.plan_settings(now, settings))))
            }
            other => Err(Failure::MethodNotFound { method: other.method().to_owned() }),
        }
    }

    /// The meaning of a configuration that somebody sends, with the defaults of this host.
    pub(super) fn understand(&self, text: &str, name: &str) -> Result<mpath_config::Loaded, Failure> {
        mpath_config::parse(text, name, &self.defaults()).map_err(not_understood)
    }

    pub(super) fn defaults(&self) -> Defaults {
        let path = self.options.defaults.as_deref().unwrap_or(Path::new(mpath_config::DEFAULT_DEFAULTS));
        defaults::parse(&std::fs::read(path).unwrap_or_default(), &path.display().to_string())
    }
}

fn not_understood(errors: mpath_config::Errors) -> Failure {
    Failure::ConfigError { errors: errors.problems().iter().map(problem).collect() }
}
